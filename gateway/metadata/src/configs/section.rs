//! Configs in a snapshot.
//!
//! Layout: kind (u8), then for kind
//! 1 (a topic whose configs changed after its creation): topic id (16 bytes), changed at (varint position); the configs
//!   themselves stand in the topic's item;
//! 2 (the cluster's defaults): changed at, the set as in a command;
//! 3 (a broker): broker id (zigzag), changed at, the set;
//! 4 (brokers without configs, once one's set was emptied): changed at.
//! Cardinality: one item per such topic, ascending by id; one of kind 2 and of kind 4 where it ever changed; one per broker
//! with configs, ascending, at most `limits::BROKERS_WITH_CONFIGS`. Positions only grow.

use imbl::OrdMap;
use uuid::Uuid;

use super::commands::{BROKER, CLUSTER, TOPIC, read_configs, write_configs};
use super::{ConfigSet, Configs};
use crate::wire::{DecodeError, Reader, Writer};
use crate::{Position, State};

const EMPTIED: u8 = 4;

/// One item, as it was read.
pub(crate) enum ConfigItem {
    Topic(Uuid, Position),
    Cluster(ConfigSet),
    Broker(i32, ConfigSet),
    Emptied(Position),
}

/// Writes the items of a State, each through `item`.
pub(crate) fn write_items(state: &State, mut item: impl FnMut(&dyn Fn(&mut Writer))) {
    let changed = state.topics.by_id.values().filter(|topic| topic.configs_changed_at != topic.created_at);
    for topic in changed {
        item(&|writer| {
            writer.u8(TOPIC);
            writer.uuid(topic.id);
            writer.position(topic.configs_changed_at);
        });
    }
    let Configs { cluster, brokers, emptied_at } = &state.configs;
    if cluster.changed_at != Position::ZERO {
        item(&|writer| {
            writer.u8(CLUSTER);
            write_set(writer, cluster);
        });
    }
    for (broker, set) in brokers {
        item(&|writer| {
            writer.u8(BROKER);
            writer.zigzag(i64::from(*broker));
            write_set(writer, set);
        });
    }
    if *emptied_at != Position::ZERO {
        item(&|writer| {
            writer.u8(EMPTIED);
            writer.position(*emptied_at);
        });
    }
}

pub(crate) fn read_item(reader: &mut Reader<'_>) -> Result<ConfigItem, DecodeError> {
    Ok(match reader.u8()? {
        TOPIC => ConfigItem::Topic(reader.uuid()?, reader.position()?),
        CLUSTER => ConfigItem::Cluster(read_set(reader)?),
        BROKER => ConfigItem::Broker(reader.zigzag_i32()?, read_set(reader)?),
        EMPTIED => ConfigItem::Emptied(reader.position()?),
        unknown => return Err(DecodeError::UnknownTag(unknown)),
    })
}

fn write_set(writer: &mut Writer, set: &ConfigSet) {
    writer.position(set.changed_at);
    write_configs(writer, set.configs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
}

fn read_set(reader: &mut Reader<'_>) -> Result<ConfigSet, DecodeError> {
    let changed_at = reader.position()?;
    let configs: OrdMap<_, _> = read_configs(reader)?.into_iter().collect();
    Ok(ConfigSet { configs, changed_at })
}

impl State {
    /// Takes an item into a State that is being restored; false when what it speaks of was there already, or when it
    /// says what needs no item; `None` when it belongs to a topic that is not there.
    pub(crate) fn restore_configs(&mut self, item: ConfigItem) -> Option<bool> {
        Some(match item {
            ConfigItem::Topic(topic_id, changed_at) => {
                let topic = self.topic_by_id(topic_id)?;
                let is_first = topic.configs_changed_at == topic.created_at && changed_at != topic.created_at;
                let configs = topic.configs.clone();
                self.topics.set_configs(topic_id, configs, changed_at);
                is_first
            }
            ConfigItem::Cluster(set) => {
                let is_first = self.configs.cluster.changed_at == Position::ZERO && set.changed_at != Position::ZERO;
                self.configs.cluster = set;
                is_first
            }
            ConfigItem::Broker(broker, set) => self.configs.brokers.insert(broker, set).is_none(),
            ConfigItem::Emptied(at) => {
                let is_first = self.configs.emptied_at == Position::ZERO && at != Position::ZERO;
                self.configs.emptied_at = at;
                is_first
            }
        })
    }
}
