//! Entries: one element of the log, as bytes.
//!
//! Layout: version (u8, today 1), `known` (varint), `hash_at_known` (16 bytes, little-endian), number of commands
//! (varint), the commands. Cardinality: one per element of the log. Immutable once sealed (L1).
//!
//! Whatever can be encoded can be decoded: bounds are judged in apply and answered with a verdict, so that a gateway
//! that seals an entry over a bound harms itself only and never stops the replay of all (L11).

use bytes::Bytes;

use crate::command::COMMAND_BYTES_MIN;
use crate::wire::{DecodeError, Reader, Writer};
use crate::{Command, Position};

const VERSION: u8 = 1;

/// A batch of commands from one gateway, and what that gateway knew when it sealed them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The position up to which its gateway had applied the log.
    pub known: Position,
    /// Its gateway's [`crate::State::hash`] there: compared by whoever replays, outside apply, on accepted entries (L9).
    pub hash_at_known: u128,
    /// The commands, applied in order.
    pub commands: Vec<Command>,
}

impl Entry {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::with_capacity(256);
        writer.u8(VERSION);
        writer.position(self.known);
        writer.u128(self.hash_at_known);
        writer.count(self.commands.len());
        for command in &self.commands {
            command.write(&mut writer);
        }
        Bytes::from(writer.into_vec())
    }

    /// The entry in these bytes. Allocates at most a small multiple of their length (I-09).
    ///
    /// # Errors
    /// Anything but exactly one entry of a version and with commands this build knows: the caller stops before acting
    /// (L11).
    pub fn decode(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        match reader.u8()? {
            VERSION => {}
            unknown => return Err(DecodeError::UnknownVersion(unknown)),
        }
        let known = reader.position()?;
        let hash_at_known = reader.u128()?;
        let count = reader.count(COMMAND_BYTES_MIN)?;
        let mut commands = Vec::new();
        for _ in 0..count {
            commands.push(Command::read(&mut reader)?);
        }
        reader.finish()?;
        Ok(Self { known, hash_at_known, commands })
    }
}

#[cfg(test)]
mod tests;
