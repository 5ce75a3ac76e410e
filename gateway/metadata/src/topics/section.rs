//! A topic in a snapshot.
//!
//! Layout: id (16 bytes), name (string), partitions (varint), created at (varint position), created at (zigzag, ms),
//! number of configs (varint), each a name and a value (strings), ascending by name. Cardinality: one item per topic,
//! ascending by id, at most `limits::TOPICS`. Where the configs changed after the creation, an item of configs
//! (`configs/section.rs`) says when.

use crate::Topic;
use crate::configs::{read_configs, write_configs};
use crate::wire::{DecodeError, Reader, Writer};

pub(crate) fn write_topic(writer: &mut Writer, topic: &Topic) {
    writer.uuid(topic.id);
    writer.string(&topic.name);
    writer.varint(u64::from(topic.partitions));
    writer.position(topic.created_at);
    writer.zigzag(topic.created_at_ms);
    write_configs(writer, topic.configs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
}

pub(crate) fn read_topic(reader: &mut Reader<'_>) -> Result<Topic, DecodeError> {
    let id = reader.uuid()?;
    let name = reader.string()?.into();
    let partitions = reader.varint_u32()?;
    let created_at = reader.position()?;
    let created_at_ms = reader.zigzag()?;
    let configs = read_configs(reader)?.into_iter().collect();
    Ok(Topic { id, name, partitions, configs, configs_changed_at: created_at, created_at, created_at_ms })
}
