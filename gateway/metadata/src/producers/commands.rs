//! The bytes of AllocateProducerIds: count (varint).

use crate::Command;
use crate::wire::{DecodeError, Reader, Writer};

pub(crate) fn write_allocate(writer: &mut Writer, count: u32) {
    writer.varint(u64::from(count));
}

pub(crate) fn read_allocate(reader: &mut Reader<'_>) -> Result<Command, DecodeError> {
    Ok(Command::AllocateProducerIds { count: reader.varint_u32()? })
}
