//! The bytes of AlterConfigs, and of any set of configs.
//!
//! Layout: resource, seen (varint position), the set. Resource: kind (u8: 1 topic, 2 cluster, 3 broker), for 1 the topic
//! id (16 bytes), for 3 the broker id (zigzag). Set: number of configs (varint), each a name and a value (strings).

use super::ConfigResource;
use crate::wire::{DecodeError, Reader, Writer};
use crate::{Command, Position};

/// The shortest config: two empty strings.
const CONFIG_BYTES_MIN: usize = 2;

pub(super) const TOPIC: u8 = 1;
pub(super) const CLUSTER: u8 = 2;
pub(super) const BROKER: u8 = 3;

pub(crate) fn write_alter(writer: &mut Writer, resource: ConfigResource, seen: Position, configs: &[(String, String)]) {
    match resource {
        ConfigResource::Topic(topic_id) => {
            writer.u8(TOPIC);
            writer.uuid(topic_id);
        }
        ConfigResource::Cluster => writer.u8(CLUSTER),
        ConfigResource::Broker(broker) => {
            writer.u8(BROKER);
            writer.zigzag(i64::from(broker));
        }
    }
    writer.position(seen);
    let pairs = configs.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    write_configs(writer, pairs);
}

pub(crate) fn read_alter(reader: &mut Reader<'_>) -> Result<Command, DecodeError> {
    let resource = match reader.u8()? {
        TOPIC => ConfigResource::Topic(reader.uuid()?),
        CLUSTER => ConfigResource::Cluster,
        BROKER => ConfigResource::Broker(reader.zigzag_i32()?),
        unknown => return Err(DecodeError::UnknownTag(unknown)),
    };
    let seen = reader.position()?;
    let configs = read_configs(reader)?;
    Ok(Command::AlterConfigs { resource, seen, configs })
}

pub(crate) fn write_configs<'a>(writer: &mut Writer, configs: impl ExactSizeIterator<Item = (&'a str, &'a str)>) {
    writer.count(configs.len());
    for (name, value) in configs {
        writer.string(name);
        writer.string(value);
    }
}

pub(crate) fn read_configs(reader: &mut Reader<'_>) -> Result<Vec<(String, String)>, DecodeError> {
    let count = reader.count(CONFIG_BYTES_MIN)?;
    let mut configs = Vec::new();
    for _ in 0..count {
        configs.push((reader.string()?.to_owned(), reader.string()?.to_owned()));
    }
    Ok(configs)
}
