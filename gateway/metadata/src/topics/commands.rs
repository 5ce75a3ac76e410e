//! The bytes of CreateTopic.
//!
//! Layout: topic id (16 bytes), name (string), partitions (varint), created at (zigzag, ms), the configs as in
//! `configs/commands.rs`. CreatePartitions: topic id, count (varint).

use uuid::Uuid;

use crate::Command;
use crate::configs::{read_configs, write_configs};
use crate::wire::{DecodeError, Reader, Writer};

pub(crate) fn write_create(
    writer: &mut Writer,
    topic_id: Uuid,
    name: &str,
    partitions: u32,
    configs: &[(String, String)],
    created_at_ms: i64,
) {
    writer.uuid(topic_id);
    writer.string(name);
    writer.varint(u64::from(partitions));
    writer.zigzag(created_at_ms);
    write_configs(writer, configs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
}

pub(crate) fn read_create(reader: &mut Reader<'_>) -> Result<Command, DecodeError> {
    let topic_id = reader.uuid()?;
    let name = reader.string()?.to_owned();
    let partitions = reader.varint_u32()?;
    let created_at_ms = reader.zigzag()?;
    let configs = read_configs(reader)?;
    Ok(Command::CreateTopic { topic_id, name, partitions, configs, created_at_ms })
}

pub(crate) fn write_create_partitions(writer: &mut Writer, topic_id: Uuid, count: u32) {
    writer.uuid(topic_id);
    writer.varint(u64::from(count));
}

pub(crate) fn read_create_partitions(reader: &mut Reader<'_>) -> Result<Command, DecodeError> {
    Ok(Command::CreatePartitions { topic_id: reader.uuid()?, count: reader.varint_u32()? })
}
