//! What the configs of a topic mean to those who produce to it: parsed once, not per batch.
//!
//! Promises: a value set on the topic goes before the broker's dynamic one, that before the cluster's, that before this
//! gateway's own settings, that before Kafka's default. A stored value that this build cannot read counts as not set: it
//! was written by a build that could, and records must not be refused for it. Called by `produce/admit`.

use sluice_metadata::{State, Topic};
use sluice_records::{Compression, TimestampType};

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

/// Parses the settings from the values in force, by the names of topic configs; `None` is Kafka's default.
fn settings_from<'a>(value_of: impl Fn(&str) -> Option<&'a str>, max_message_bytes: usize) -> TopicSettings {
    let number = |name: &str| value_of(name)?.trim().parse::<i64>().ok();
    let level = |name: &str, default: i32| number(name).and_then(|level| level.try_into().ok()).unwrap_or(default);
    let codec = |codec, level| TopicCompression::Codec { codec, level };
    TopicSettings {
        max_message_bytes: number("max.message.bytes")
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(max_message_bytes),
        timestamp_type: match value_of("message.timestamp.type").map(str::trim) {
            Some("LogAppendTime") => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        },
        timestamp_before_max_ms: number("message.timestamp.before.max.ms").unwrap_or(i64::MAX),
        timestamp_after_max_ms: number("message.timestamp.after.max.ms").unwrap_or(3_600_000),
        compression: match value_of("compression.type").map(str::trim) {
            Some("uncompressed") => codec(Compression::None, 0),
            Some("gzip") => codec(Compression::Gzip, level("compression.gzip.level", -1)),
            Some("snappy") => codec(Compression::Snappy, 0),
            Some("lz4") => codec(Compression::Lz4, level("compression.lz4.level", 9)),
            Some("zstd") => codec(Compression::Zstd, level("compression.zstd.level", 3)),
            _ => TopicCompression::Producer,
        },
        compacted: value_of("cleanup.policy")
            .is_some_and(|policies| policies.split(',').any(|policy| policy.trim() == "compact")),
    }
}

impl Inner {
    /// What the configs of `topic` mean in `view`.
    pub(crate) fn topic_settings(&self, view: &State, topic: &Topic) -> TopicSettings {
        // What is set on brokers is not in State yet.
        let _ = view;
        settings_from(|name| topic.configs.get(name).map(String::as_str), self.parts.limits.message_bytes_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(configs: &[(&str, &'static str)]) -> TopicSettings {
        settings_from(|name| configs.iter().find(|(known, _)| *known == name).map(|(_, value)| *value), 1_000)
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
