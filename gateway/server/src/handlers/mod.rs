//! One file per API, named as in `sluice_protocol::messages`.
//!
//! Handlers translate between Kafka's requests and the engine's, and hold no state. Each begins with what it does
//! differently from Apache Kafka, its versions and its errors; codes come from `errors` (I-15).

pub(crate) mod alter_configs;
pub(crate) mod alter_partition_reassignments;
pub(crate) mod api_versions;
pub(crate) mod create_partitions;
pub(crate) mod create_topics;
pub(crate) mod delete_groups;
pub(crate) mod delete_records;
pub(crate) mod delete_topics;
pub(crate) mod describe_cluster;
pub(crate) mod describe_configs;
pub(crate) mod describe_groups;
pub(crate) mod describe_log_dirs;
pub(crate) mod describe_producers;
pub(crate) mod describe_topic_partitions;
pub(crate) mod elect_leaders;
pub(crate) mod fetch;
pub(crate) mod find_coordinator;
pub(crate) mod heartbeat;
pub(crate) mod incremental_alter_configs;
pub(crate) mod init_producer_id;
pub(crate) mod join_group;
pub(crate) mod leave_group;
pub(crate) mod list_config_resources;
pub(crate) mod list_groups;
pub(crate) mod list_offsets;
pub(crate) mod list_partition_reassignments;
pub(crate) mod metadata;
pub(crate) mod offset_commit;
pub(crate) mod offset_delete;
pub(crate) mod offset_fetch;
pub(crate) mod offset_for_leader_epoch;
pub(crate) mod produce;
pub(crate) mod sync_group;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sluice_engine::{
    ConfigResourceKind, ConfigResourceRef, ConfigSource, EngineError, Isolation, TopicDescription, TopicRef,
};
use sluice_protocol::{KString, Uuid};

/// Leader epoch of every partition: there is no leader that could change.
const LEADER_EPOCH: i32 = 0;
/// "Not known", "not there" in Kafka's offsets, epochs and timestamps.
const NONE: i64 = -1;

/// Topics that Kafka itself keeps.
const INTERNAL_TOPICS: [&str; 3] = ["__consumer_offsets", "__transaction_state", "__share_group_state"];

/// What a client may do to a topic where nobody is authenticated: Read, Write, Create, Delete, Alter, Describe,
/// DescribeConfigs and AlterConfigs, a bit each by their codes (KIP-430).
const TOPIC_OPERATIONS: i32 = operations(&[3, 4, 5, 6, 7, 8, 10, 11]);
/// The same for the cluster: Create, Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs and IdempotentWrite.
const CLUSTER_OPERATIONS: i32 = operations(&[5, 7, 8, 9, 10, 11, 12]);

/// The same for a group: Read, Delete, Describe, DescribeConfigs and AlterConfigs.
const GROUP_OPERATIONS: i32 = operations(&[3, 6, 8, 10, 11]);

const fn operations(codes: &[i32]) -> i32 {
    match codes {
        [] => 0,
        [first, rest @ ..] => (1 << *first) | operations(rest),
    }
}

/// Whether a topic is one that Kafka itself keeps.
fn is_internal(topic: &str) -> bool {
    INTERNAL_TOPICS.contains(&topic)
}

/// Whether a topic has this partition.
fn has_partition(topic: &TopicDescription, partition: i32) -> bool {
    u32::try_from(partition).is_ok_and(|index| index < topic.partitions)
}

/// The names that stand more than once, each once.
fn repeated<'a>(names: impl Iterator<Item = &'a KString>) -> BTreeSet<KString> {
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert(*name)).cloned().collect()
}

/// A time in milliseconds as a client asks for it; negative ones are none at all.
fn duration_from_ms(ms: i32, max: Duration) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0)).min(max)
}

/// A size as a client asks for it; negative ones are 0.
fn size_from(bytes: i32) -> usize {
    usize::try_from(bytes).unwrap_or(0)
}

/// The isolation level; `None` for one that Kafka does not have.
fn isolation_from(level: i8) -> Option<Isolation> {
    match level {
        0 => Some(Isolation::ReadUncommitted),
        1 => Some(Isolation::ReadCommitted),
        _ => None,
    }
}

/// A leader epoch as a client names it; −1 names none.
fn leader_epoch_from(epoch: i32) -> Option<i32> {
    (epoch >= 0).then_some(epoch)
}

/// How requests of this version name a topic.
fn topic_ref(by_id: bool, name: &KString, id: Uuid) -> TopicRef {
    if by_id { TopicRef::Id(id) } else { TopicRef::Name(name.as_str().to_owned()) }
}

/// Where in an answer a topic stands: Kafka names each once, however often a request does. `next` is for one not seen yet.
fn place_of<K: Ord>(places: &mut BTreeMap<K, usize>, topic: K, next: usize) -> usize {
    *places.entry(topic).or_insert(next)
}

/// A nullable string as the engine takes it.
fn optional_string(text: Option<KString>) -> Option<String> {
    text.map(String::from)
}

/// A nullable string as the wire takes it.
fn tell_optional(text: Option<&str>) -> Option<KString> {
    text.map(KString::from)
}

/// A name that is most often a constant.
fn tell_name(name: Cow<'static, str>) -> KString {
    match name {
        Cow::Borrowed(name) => KString::from_static(name),
        Cow::Owned(name) => KString::from(name),
    }
}

/// Where a config's value comes from, in Kafka's numbers (`DescribeConfigsResponse.ConfigSource`).
fn tell_source(source: ConfigSource) -> i8 {
    match source {
        ConfigSource::Topic => 1,
        ConfigSource::Broker => 2,
        ConfigSource::Cluster => 3,
        ConfigSource::Static => 4,
        ConfigSource::Default => 5,
    }
}

/// What configs are set on, by Kafka's number of its kind (`ConfigResource.Type`).
fn config_resource(kind: i8, name: &KString) -> ConfigResourceRef {
    ConfigResourceRef { kind: config_kind(kind), name: name.as_str().to_owned() }
}

fn config_kind(kind: i8) -> ConfigResourceKind {
    match kind {
        2 => ConfigResourceKind::Topic,
        4 => ConfigResourceKind::Broker,
        8 => ConfigResourceKind::BrokerLogger,
        16 => ConfigResourceKind::ClientMetrics,
        32 => ConfigResourceKind::Group,
        other => ConfigResourceKind::Other(other),
    }
}

fn tell_config_kind(kind: ConfigResourceKind) -> i8 {
    match kind {
        ConfigResourceKind::Topic => 2,
        ConfigResourceKind::Broker => 4,
        ConfigResourceKind::BrokerLogger => 8,
        ConfigResourceKind::ClientMetrics => 16,
        ConfigResourceKind::Group => 32,
        ConfigResourceKind::Other(other) => other,
    }
}

/// Why the configs of a resource were not changed, in Kafka's words where there are some; no words where Kafka has none.
fn tell_config_error(error: &EngineError, name: &KString) -> Option<KString> {
    match error {
        EngineError::UnknownTopic => Some(KString::from(format!("The topic '{name}' does not exist."))),
        EngineError::Unexpected(_) => None,
        other => Some(KString::from(other.to_string())),
    }
}
