//! Every topic config of Apache Kafka 4.3.1 (`LogConfig`): type, default, what it may be, and what it does here.
//!
//! Promises: in the order in which Kafka checks them, so that of several wrong values the same one is named. The defaults
//! and rules are Kafka's; the broker config whose value a topic takes that sets none is in [`TopicConfig::synonym`]
//! (`ServerTopicConfigSynonyms`). Read by everything in this folder; `docs/configuration.md` is written from it.

use super::value::{ConfigType, Rule};

/// What setting a config does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// It is acted on.
    Honoured,
    /// It is kept and reported; nothing acts on it yet.
    Stored,
    /// It is checked, kept and reported; it governs what does not exist here.
    Immaterial,
    /// Only what is in force anyway is accepted.
    Refused,
}

/// A topic config.
#[derive(Debug)]
pub(crate) struct TopicConfig {
    pub(crate) name: &'static str,
    pub(crate) kind: ConfigType,
    /// Kafka's default, as Kafka shows it; `None` for one that is not shown where it is not set.
    pub(crate) default: Option<&'static str>,
    pub(crate) rule: Rule,
    /// The broker config that gives the value to topics that do not set it.
    pub(crate) synonym: Option<&'static str>,
    pub(crate) treatment: Treatment,
    /// What it is, in words of our own.
    pub(crate) about: &'static str,
}

const POLICIES: Rule = Rule::EachOf(&["compact", "delete"]);
const CODECS: Rule = Rule::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]);
const TIMESTAMP_TYPES: Rule = Rule::OneOf(&["CreateTime", "LogAppendTime"]);

/// The table.
#[rustfmt::skip]
pub(crate) static TOPIC_CONFIGS: &[TopicConfig] = &[
    TopicConfig { name: "segment.bytes", kind: ConfigType::Int, default: Some("1073741824"), rule: Rule::AtLeast(1_048_576), synonym: Some("log.segment.bytes"),
        treatment: Treatment::Immaterial, about: "Kafka rolls its segment files at this size. Segments here are objects that many topics share." },
    TopicConfig { name: "segment.ms", kind: ConfigType::Long, default: Some("604800000"), rule: Rule::AtLeast(1), synonym: Some("log.roll.ms"),
        treatment: Treatment::Immaterial, about: "Kafka rolls its segment files at this age." },
    TopicConfig { name: "segment.jitter.ms", kind: ConfigType::Long, default: Some("0"), rule: Rule::AtLeast(0), synonym: Some("log.roll.jitter.ms"),
        treatment: Treatment::Immaterial, about: "Spreads the rolling of segment files in time." },
    TopicConfig { name: "segment.index.bytes", kind: ConfigType::Int, default: Some("10485760"), rule: Rule::AtLeast(4), synonym: Some("log.index.size.max.bytes"),
        treatment: Treatment::Immaterial, about: "Size of the index of a segment file." },
    TopicConfig { name: "flush.messages", kind: ConfigType::Long, default: Some("9223372036854775807"), rule: Rule::AtLeast(1), synonym: Some("log.flush.interval.messages"),
        treatment: Treatment::Immaterial, about: "Records between two fsyncs. Here every record is durable before it is acknowledged." },
    TopicConfig { name: "flush.ms", kind: ConfigType::Long, default: Some("9223372036854775807"), rule: Rule::AtLeast(0), synonym: Some("log.flush.interval.ms"),
        treatment: Treatment::Immaterial, about: "Time between two fsyncs, as above." },
    TopicConfig { name: "retention.bytes", kind: ConfigType::Long, default: Some("-1"), rule: Rule::Any, synonym: Some("log.retention.bytes"),
        treatment: Treatment::Stored, about: "Bytes of a partition beyond which its oldest records may go; -1 is no limit." },
    TopicConfig { name: "retention.ms", kind: ConfigType::Long, default: Some("604800000"), rule: Rule::AtLeast(-1), synonym: Some("log.retention.ms"),
        treatment: Treatment::Stored, about: "Age beyond which records may go; -1 is no limit." },
    TopicConfig { name: "max.message.bytes", kind: ConfigType::Int, default: Some("1048588"), rule: Rule::AtLeast(0), synonym: Some("message.max.bytes"),
        treatment: Treatment::Honoured, about: "Largest record batch that is taken, in bytes as sent." },
    TopicConfig { name: "index.interval.bytes", kind: ConfigType::Int, default: Some("4096"), rule: Rule::AtLeast(0), synonym: Some("log.index.interval.bytes"),
        treatment: Treatment::Immaterial, about: "Bytes of records per entry of the index of a segment file." },
    TopicConfig { name: "delete.retention.ms", kind: ConfigType::Long, default: Some("86400000"), rule: Rule::AtLeast(0), synonym: Some("log.cleaner.delete.retention.ms"),
        treatment: Treatment::Stored, about: "How long compaction keeps tombstones." },
    TopicConfig { name: "min.compaction.lag.ms", kind: ConfigType::Long, default: Some("0"), rule: Rule::AtLeast(0), synonym: Some("log.cleaner.min.compaction.lag.ms"),
        treatment: Treatment::Stored, about: "Age below which a record is not compacted; not above max.compaction.lag.ms." },
    TopicConfig { name: "max.compaction.lag.ms", kind: ConfigType::Long, default: Some("9223372036854775807"), rule: Rule::AtLeast(1), synonym: Some("log.cleaner.max.compaction.lag.ms"),
        treatment: Treatment::Stored, about: "Age beyond which a record is to be compacted." },
    TopicConfig { name: "file.delete.delay.ms", kind: ConfigType::Long, default: Some("60000"), rule: Rule::AtLeast(0), synonym: Some("log.segment.delete.delay.ms"),
        treatment: Treatment::Immaterial, about: "How long Kafka keeps a segment file that it has deleted." },
    TopicConfig { name: "min.cleanable.dirty.ratio", kind: ConfigType::Double, default: Some("0.5"), rule: Rule::Between(0, 1), synonym: Some("log.cleaner.min.cleanable.ratio"),
        treatment: Treatment::Stored, about: "Part of the log that is not compacted yet, beyond which compaction begins." },
    TopicConfig { name: "cleanup.policy", kind: ConfigType::List, default: Some("delete"), rule: POLICIES, synonym: Some("log.cleanup.policy"),
        treatment: Treatment::Stored, about: "`delete`, `compact`, both or neither. Records of a topic that names `compact` need keys." },
    TopicConfig { name: "unclean.leader.election.enable", kind: ConfigType::Boolean, default: Some("false"), rule: Rule::Any, synonym: Some("unclean.leader.election.enable"),
        treatment: Treatment::Immaterial, about: "Whether a replica that lacks records may lead. There are no replicas to elect." },
    TopicConfig { name: "min.insync.replicas", kind: ConfigType::Int, default: Some("1"), rule: Rule::AtLeast(1), synonym: Some("min.insync.replicas"),
        treatment: Treatment::Immaterial, about: "Replicas that must have a record. The store keeps the copies." },
    TopicConfig { name: "compression.type", kind: ConfigType::String, default: Some("producer"), rule: CODECS, synonym: Some("compression.type"),
        treatment: Treatment::Honoured, about: "Codec in which batches are kept; `producer` leaves them as they came." },
    TopicConfig { name: "compression.gzip.level", kind: ConfigType::Int, default: Some("-1"), rule: Rule::GzipLevel, synonym: Some("compression.gzip.level"),
        treatment: Treatment::Honoured, about: "Level of gzip, 1 to 9 or -1 for its default." },
    TopicConfig { name: "compression.lz4.level", kind: ConfigType::Int, default: Some("9"), rule: Rule::Between(1, 17), synonym: Some("compression.lz4.level"),
        treatment: Treatment::Stored, about: "Level of lz4, 1 to 17; all compress alike." },
    TopicConfig { name: "compression.zstd.level", kind: ConfigType::Int, default: Some("3"), rule: Rule::Between(-131_072, 22), synonym: Some("compression.zstd.level"),
        treatment: Treatment::Honoured, about: "Level of zstd, -131072 to 22." },
    TopicConfig { name: "preallocate", kind: ConfigType::Boolean, default: Some("false"), rule: Rule::Any, synonym: Some("log.preallocate"),
        treatment: Treatment::Immaterial, about: "Whether Kafka preallocates its segment files." },
    TopicConfig { name: "message.timestamp.type", kind: ConfigType::String, default: Some("CreateTime"), rule: TIMESTAMP_TYPES, synonym: Some("log.message.timestamp.type"),
        treatment: Treatment::Honoured, about: "Whether a record has the producer's timestamp or the time at which it was taken." },
    TopicConfig { name: "message.timestamp.before.max.ms", kind: ConfigType::Long, default: Some("9223372036854775807"), rule: Rule::AtLeast(0), synonym: Some("log.message.timestamp.before.max.ms"),
        treatment: Treatment::Honoured, about: "How far before the gateway's time a record's timestamp may lie." },
    TopicConfig { name: "message.timestamp.after.max.ms", kind: ConfigType::Long, default: Some("3600000"), rule: Rule::AtLeast(0), synonym: Some("log.message.timestamp.after.max.ms"),
        treatment: Treatment::Honoured, about: "How far after the gateway's time a record's timestamp may lie." },
    TopicConfig { name: "leader.replication.throttled.replicas", kind: ConfigType::List, default: Some(""), rule: Rule::ThrottledReplicas, synonym: None,
        treatment: Treatment::Immaterial, about: "Replicas whose copying is throttled at the leader. Nothing is copied between brokers." },
    TopicConfig { name: "follower.replication.throttled.replicas", kind: ConfigType::List, default: Some(""), rule: Rule::ThrottledReplicas, synonym: None,
        treatment: Treatment::Immaterial, about: "Replicas whose copying is throttled at the follower, as above." },
    TopicConfig { name: "remote.storage.enable", kind: ConfigType::Boolean, default: Some("false"), rule: Rule::Any, synonym: None,
        treatment: Treatment::Refused, about: "`true` is refused, as by a Kafka without tiered storage: all records are in one tier." },
    TopicConfig { name: "local.retention.ms", kind: ConfigType::Long, default: Some("-2"), rule: Rule::AtLeast(-2), synonym: Some("log.local.retention.ms"),
        treatment: Treatment::Immaterial, about: "Retention of the local tier." },
    TopicConfig { name: "local.retention.bytes", kind: ConfigType::Long, default: Some("-2"), rule: Rule::AtLeast(-2), synonym: Some("log.local.retention.bytes"),
        treatment: Treatment::Immaterial, about: "Retention of the local tier." },
    TopicConfig { name: "remote.log.copy.disable", kind: ConfigType::Boolean, default: Some("false"), rule: Rule::Any, synonym: None,
        treatment: Treatment::Immaterial, about: "Whether records stop going to the remote tier." },
    TopicConfig { name: "remote.log.delete.on.disable", kind: ConfigType::Boolean, default: Some("false"), rule: Rule::Any, synonym: None,
        treatment: Treatment::Immaterial, about: "Whether the remote tier goes when it is switched off." },
    TopicConfig { name: "internal.segment.bytes", kind: ConfigType::Int, default: None, rule: Rule::Any, synonym: None,
        treatment: Treatment::Immaterial, about: "Kafka's own tests set it in place of segment.bytes; shown where it is set." },
];

/// The config of that name.
pub(crate) fn topic_config(name: &str) -> Option<&'static TopicConfig> {
    TOPIC_CONFIGS.iter().find(|config| config.name == name)
}

/// The topic config that takes its value from this broker config.
pub(crate) fn topic_config_of_broker(broker_name: &str) -> Option<&'static TopicConfig> {
    TOPIC_CONFIGS.iter().find(|config| config.synonym == Some(broker_name))
}

#[cfg(test)]
mod tests {
    use super::super::value::checked;
    use super::*;

    #[test]
    fn every_default_is_itself_accepted_and_shown_as_it_is_written() {
        for config in TOPIC_CONFIGS {
            if let Some(default) = config.default {
                assert_eq!(checked(config.name, config.kind, config.rule, default).as_deref(), Ok(default));
            }
        }
    }

    #[test]
    fn each_name_stands_once_and_says_what_it_is() {
        for config in TOPIC_CONFIGS {
            assert!(std::ptr::eq(topic_config(config.name).unwrap(), config), "{}", config.name);
            assert!(config.about.ends_with('.'), "{}", config.name);
            if let Some(synonym) = config.synonym {
                assert!(std::ptr::eq(topic_config_of_broker(synonym).unwrap(), config), "{synonym}");
            }
        }
        assert_eq!(TOPIC_CONFIGS.len(), 34, "as many as Apache Kafka 4.3.1 has");
    }
}
