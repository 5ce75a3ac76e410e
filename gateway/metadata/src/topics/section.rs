//! A topic in a snapshot.
//!
//! Layout: id (16 bytes), name (string), partitions (varint), created at (varint position), created at (zigzag, ms),
//! number of configs (varint), each a name and a value (strings), ascending by name. Cardinality: one item per topic,
//! ascending by id, at most `limits::TOPICS`. Immutable today.

use super::commands::read_configs;
use crate::Topic;
use crate::wire::{DecodeError, Reader, Writer};

pub(crate) fn write_topic(writer: &mut Writer, topic: &Topic) {
    writer.uuid(topic.id);
    writer.string(&topic.name);
    writer.varint(u64::from(topic.partitions));
    writer.position(topic.created_at);
    writer.zigzag(topic.created_at_ms);
    writer.count(topic.configs.len());
    for (name, value) in &topic.configs {
        writer.string(name);
        writer.string(value);
    }
}

pub(crate) fn read_topic(reader: &mut Reader<'_>) -> Result<Topic, DecodeError> {
    Ok(Topic {
        id: reader.uuid()?,
        name: reader.string()?.into(),
        partitions: reader.varint_u32()?,
        created_at: reader.position()?,
        created_at_ms: reader.zigzag()?,
        configs: read_configs(reader)?.into_iter().collect(),
    })
}
