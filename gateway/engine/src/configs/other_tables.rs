//! The configs of groups and of client metrics in Apache Kafka 4.3.1: reported as Kafka reports them where none is set.
//!
//! None can be set: they belong to the newer group protocols (KIP-848, KIP-932, KIP-1071) and to client telemetry (KIP-714),
//! which are not served. Read by `describe` and `alter`.

use super::value::ConfigType;

/// A config with nothing but its default.
#[derive(Debug)]
pub(crate) struct PlainConfig {
    pub(crate) name: &'static str,
    pub(crate) kind: ConfigType,
    pub(crate) default: &'static str,
    /// The config whose default it takes; empty where Kafka names none.
    pub(crate) synonym: &'static str,
}

const fn plain(name: &'static str, kind: ConfigType, default: &'static str, synonym: &'static str) -> PlainConfig {
    PlainConfig { name, kind, default, synonym }
}

/// Of groups, in name order.
#[rustfmt::skip]
pub(crate) static GROUP_CONFIGS: &[PlainConfig] = &[
    plain("consumer.assignment.interval.ms", ConfigType::Int, "1000", "group.consumer.assignment.interval.ms"),
    plain("consumer.heartbeat.interval.ms", ConfigType::Int, "5000", "group.consumer.heartbeat.interval.ms"),
    plain("consumer.session.timeout.ms", ConfigType::Int, "45000", "group.consumer.session.timeout.ms"),
    plain("share.assignment.interval.ms", ConfigType::Int, "1000", "group.share.assignment.interval.ms"),
    plain("share.auto.offset.reset", ConfigType::String, "latest", "share.auto.offset.reset"),
    plain("share.delivery.count.limit", ConfigType::Int, "5", "group.share.delivery.count.limit"),
    plain("share.heartbeat.interval.ms", ConfigType::Int, "5000", "group.share.heartbeat.interval.ms"),
    plain("share.isolation.level", ConfigType::String, "read_uncommitted", "share.isolation.level"),
    plain("share.partition.max.record.locks", ConfigType::Int, "2000", "group.share.partition.max.record.locks"),
    plain("share.record.lock.duration.ms", ConfigType::Int, "30000", "group.share.record.lock.duration.ms"),
    plain("share.renew.acknowledge.enable", ConfigType::Boolean, "true", "share.renew.acknowledge.enable"),
    plain("share.session.timeout.ms", ConfigType::Int, "45000", "group.share.session.timeout.ms"),
    plain("streams.assignment.interval.ms", ConfigType::Int, "1000", "group.streams.assignment.interval.ms"),
    plain("streams.heartbeat.interval.ms", ConfigType::Int, "5000", "group.streams.heartbeat.interval.ms"),
    plain("streams.initial.rebalance.delay.ms", ConfigType::Int, "3000", "group.streams.initial.rebalance.delay.ms"),
    plain("streams.num.standby.replicas", ConfigType::Int, "0", "group.streams.num.standby.replicas"),
    plain("streams.session.timeout.ms", ConfigType::Int, "45000", "group.streams.session.timeout.ms"),
];

/// Of client metrics, in name order.
#[rustfmt::skip]
pub(crate) static CLIENT_METRICS_CONFIGS: &[PlainConfig] = &[
    plain("interval.ms", ConfigType::Int, "300000", ""),
    plain("match", ConfigType::List, "", ""),
    plain("metrics", ConfigType::List, "", ""),
];

/// The config of that name.
pub(crate) fn find(table: &'static [PlainConfig], name: &str) -> Option<&'static PlainConfig> {
    table.iter().find(|config| config.name == name)
}
