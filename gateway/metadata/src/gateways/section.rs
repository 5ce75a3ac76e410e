//! A session in a snapshot.
//!
//! Layout: id (varint position), nonce (16 bytes), feature level (varint), name (string), opened at (zigzag, ms), last
//! sequence (varint), last append (varint position). Cardinality: one item per open session, ascending by id, at most
//! `limits::SESSIONS`. Changes with every accepted entry of the session; gone when it is closed.

use crate::Session;
use crate::wire::{DecodeError, Reader, Writer};

pub(crate) fn write_session(writer: &mut Writer, session: &Session) {
    writer.position(session.id.0);
    writer.u128(session.nonce);
    writer.varint(u64::from(session.feature_level));
    writer.string(&session.name);
    writer.zigzag(session.opened_at_ms);
    writer.varint(session.last_sequence);
    writer.position(session.last_append);
}

pub(crate) fn read_session(reader: &mut Reader<'_>) -> Result<Session, DecodeError> {
    Ok(Session {
        id: reader.session()?,
        nonce: reader.u128()?,
        feature_level: reader.varint_u16()?,
        name: reader.string()?.into(),
        opened_at_ms: reader.zigzag()?,
        last_sequence: reader.varint()?,
        last_append: reader.position()?,
    })
}
