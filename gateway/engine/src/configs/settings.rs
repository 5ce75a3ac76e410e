//! What the configs of a topic mean to those who produce to it: parsed once, not per batch.
//!
//! Promises: a value set on the topic goes before the broker's dynamic one, that before the cluster's, that before this
//! gateway's own settings, that before Kafka's default. A stored value that this build cannot read counts as not set: it
//! was written by a build that could, and records must not be refused for it. Called by `produce/admit`.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use sluice_metadata::{ConfigResource, Position, State, Topic};
use sluice_records::{Compression, TimestampType};
use uuid::Uuid;

use super::levels::Levels;
use super::topic_table::topic_config;
use crate::engine::Inner;

/// How batches of a topic are compressed (`compression.type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TopicCompression {
    /// As the producer did.
    Producer,
    /// With this codec; [`Compression::None`] is Kafka's `uncompressed`.
    Codec {
        /// The codec.
        codec: Compression,
        /// Its level (`compression.*.level`): gzip 1 to 9 or −1 for its default, lz4 1 to 17, zstd −131072 to 22; 0 for
        /// the codecs that have none.
        level: i32,
    },
}

/// The configs of a topic that decide what becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopicSettings {
    /// `max.message.bytes`: largest record batch, the 12 bytes of its offset and length included.
    pub(crate) max_message_bytes: usize,
    /// `message.timestamp.type`.
    pub(crate) timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`: how far before the gateway's time a record's may lie; `i64::MAX` is no limit.
    pub(crate) timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`: how far after the gateway's time a record's may lie; `i64::MAX` is no limit.
    pub(crate) timestamp_after_max_ms: i64,
    /// `compression.type` and the levels.
    pub(crate) compression: TopicCompression,
    /// `cleanup.policy` names `compact`: records need keys.
    pub(crate) compacted: bool,
}

/// When the sets were changed last that the settings of a topic come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamps {
    topic: Position,
    broker: Option<Position>,
    cluster: Position,
}

/// The settings of topics as they were parsed last, so that no batch waits for parsing. Bounded (I-14): full, it is emptied.
#[derive(Debug)]
pub(crate) struct SettingsCache {
    by_topic: Mutex<BTreeMap<Uuid, (Stamps, TopicSettings)>>,
    topics_max: usize,
}

impl SettingsCache {
    pub(crate) fn new(topics_max: usize) -> Self {
        Self { by_topic: Mutex::default(), topics_max }
    }

    fn get_or(&self, topic: Uuid, stamps: Stamps, parse: impl FnOnce() -> TopicSettings) -> TopicSettings {
        let mut by_topic = self.by_topic.lock().unwrap_or_else(PoisonError::into_inner);
        match by_topic.get(&topic) {
            Some((of, settings)) if *of == stamps => return *settings,
            None if by_topic.len() >= self.topics_max => by_topic.clear(),
            _ => {}
        }
        let settings = parse();
        by_topic.insert(topic, (stamps, settings));
        settings
    }
}

impl Inner {
    /// What the configs of `topic` mean in `view`.
    pub(crate) fn topic_settings(&self, view: &State, topic: &Topic) -> TopicSettings {
        let stamps = Stamps {
            topic: topic.configs_changed_at,
            broker: view.configs_changed_at(ConfigResource::Broker(self.parts.settings.node_id)),
            cluster: view.cluster_configs().changed_at,
        };
        let own = |name: &str| topic.configs.get(name).map(String::as_str);
        self.topic_settings.get_or(topic.id, stamps, || parse(&self.config_levels(view), own))
    }
}

/// The settings of a topic that sets `own`.
fn parse<'a>(levels: &Levels<'_>, own: impl Fn(&str) -> Option<&'a str>) -> TopicSettings {
    let value_of = |name: &str| topic_config(name).and_then(|config| levels.topic_value(config, own(name)));
    // Every value that is left is one that the table accepts; the zeros stand for what cannot be.
    let number = |name: &str| value_of(name).and_then(|value| value.parse::<i64>().ok()).unwrap_or_default();
    let level = |name: &str| i32::try_from(number(name)).unwrap_or_default();
    let codec = |codec, level| TopicCompression::Codec { codec, level };
    TopicSettings {
        max_message_bytes: usize::try_from(number("max.message.bytes")).unwrap_or_default(),
        timestamp_type: match value_of("message.timestamp.type").as_deref() {
            Some("LogAppendTime") => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
        timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
        compression: match value_of("compression.type").as_deref() {
            Some("uncompressed") => codec(Compression::None, 0),
            Some("gzip") => codec(Compression::Gzip, level("compression.gzip.level")),
            Some("snappy") => codec(Compression::Snappy, 0),
            Some("lz4") => codec(Compression::Lz4, level("compression.lz4.level")),
            Some("zstd") => codec(Compression::Zstd, level("compression.zstd.level")),
            _ => TopicCompression::Producer,
        },
        compacted: value_of("cleanup.policy")
            .is_some_and(|policies| policies.split(',').any(|policy| policy == "compact")),
    }
}

#[cfg(test)]
mod tests {
    use sluice_metadata::ConfigSet;

    use super::*;
    use crate::limits::{Limits, Settings};

    fn settings(configs: &[(&str, &'static str)]) -> TopicSettings {
        let cluster = ConfigSet::default();
        let limits = Limits { message_bytes_max: 1_000, ..Limits::default() };
        let levels = Levels { broker: None, cluster: &cluster, settings: &Settings::default(), limits: &limits };
        parse(&levels, |name| configs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value))
    }

    #[test]
    fn nothing_set_means_kafka_s_defaults() {
        let expected = TopicSettings {
            max_message_bytes: 1_000,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
            compression: TopicCompression::Producer,
            compacted: false,
        };
        assert_eq!(settings(&[]), expected);
    }

    #[test]
    fn values_are_read_as_kafka_reads_them() {
        let set = settings(&[
            ("max.message.bytes", " +2000 "),
            ("message.timestamp.type", "LogAppendTime"),
            ("message.timestamp.before.max.ms", "5"),
            ("message.timestamp.after.max.ms", "6"),
            ("compression.type", "zstd"),
            ("compression.zstd.level", "-7"),
            ("cleanup.policy", " delete , compact "),
        ]);
        let expected = TopicSettings {
            max_message_bytes: 2_000,
            timestamp_type: TimestampType::LogAppendTime,
            timestamp_before_max_ms: 5,
            timestamp_after_max_ms: 6,
            compression: TopicCompression::Codec { codec: Compression::Zstd, level: -7 },
            compacted: true,
        };
        assert_eq!(set, expected);
    }

    #[test]
    fn what_cannot_be_read_counts_as_not_set() {
        let set = settings(&[("max.message.bytes", "-1"), ("compression.type", "brotli"), ("cleanup.policy", "")]);
        assert_eq!(set, settings(&[]));
    }
}
