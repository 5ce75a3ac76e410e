//! The bytes of CreateTopic.
//!
//! Layout: topic id (16 bytes), name (string), partitions (varint), created at (zigzag, ms), number of configs (varint),
//! each a name and a value (strings).

use uuid::Uuid;

use crate::Command;
use crate::wire::{DecodeError, Reader, Writer};

/// The shortest config: two empty strings.
const CONFIG_BYTES_MIN: usize = 2;

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
    writer.count(configs.len());
    for (name, value) in configs {
        writer.string(name);
        writer.string(value);
    }
}

pub(crate) fn read_create(reader: &mut Reader<'_>) -> Result<Command, DecodeError> {
    let topic_id = reader.uuid()?;
    let name = reader.string()?.to_owned();
    let partitions = reader.varint_u32()?;
    let created_at_ms = reader.zigzag()?;
    let configs = read_configs(reader)?;
    Ok(Command::CreateTopic { topic_id, name, partitions, configs, created_at_ms })
}

pub(crate) fn read_configs(reader: &mut Reader<'_>) -> Result<Vec<(String, String)>, DecodeError> {
    let count = reader.count(CONFIG_BYTES_MIN)?;
    let mut configs = Vec::new();
    for _ in 0..count {
        configs.push((reader.string()?.to_owned(), reader.string()?.to_owned()));
    }
    Ok(configs)
}
