//! The bytes of OpenSession and CloseSession.
//!
//! OpenSession: nonce (16 bytes), feature level (varint), opened at (zigzag, ms), name (string).
//! CloseSession: session (varint), last append (varint).

use crate::wire::{DecodeError, Reader, Writer};
use crate::{Command, Position, SessionId};

pub(crate) fn write_open(writer: &mut Writer, nonce: u128, feature_level: u16, opened_at_ms: i64, name: &str) {
    writer.u128(nonce);
    writer.varint(u64::from(feature_level));
    writer.zigzag(opened_at_ms);
    writer.string(name);
}

pub(crate) fn read_open(reader: &mut Reader<'_>) -> Result<Command, DecodeError> {
    Ok(Command::OpenSession {
        nonce: reader.u128()?,
        feature_level: reader.varint_u16()?,
        opened_at_ms: reader.zigzag()?,
        name: reader.string()?.to_owned(),
    })
}

pub(crate) fn write_close(writer: &mut Writer, session: SessionId, last_append: Position) {
    writer.position(session.0);
    writer.position(last_append);
}

pub(crate) fn read_close(reader: &mut Reader<'_>) -> Result<Command, DecodeError> {
    Ok(Command::CloseSession { session: reader.session()?, last_append: reader.position()? })
}
