//! What is true of every State, as named predicates.
//!
//! Tests call [`check`] after apply; a restore calls it before the State is used; builds with debug assertions check the
//! touched partitions after each apply. Each predicate names the invariant or rule it guards.

use crate::producers::add_sequence;
use crate::topics::{legal_configs, unify_name};
use crate::{
    ConfigSet, GroupNumber, Partition, PartitionKey, Position, Producer, State, Topic, groups, is_legal_topic_name,
    limits, partitions,
};

type Checked = Result<(), String>;

/// Every predicate on the whole State. O(State).
///
/// # Errors
/// The first predicate that does not hold, in words.
pub fn check(state: &State) -> Checked {
    counts_are_bounded(state)?;
    for session in state.sessions() {
        session_is_consistent(state, session)?;
    }
    indexes_agree(state)?;
    for topic in state.topics() {
        topic_is_consistent(state, topic)?;
    }
    configs_are_consistent(state)?;
    partitions_belong_to_topics(state)?;
    let (mut extents, mut producers) = (0_usize, 0_usize);
    for (key, partition) in state.partitions() {
        in_partition(key, partition_is_consistent(*key, partition))?;
        extents += partition.extents.len();
        producers += partition.producers.len();
    }
    let usage = &state.partitions.usage;
    let counted = usize::try_from(usage.extents) == Ok(extents) && usize::try_from(usage.producers) == Ok(producers);
    holds(counted, "I-14: the counts of extents and producers are those of the partitions")?;
    groups::check_all(state)
}

/// The predicates that apply must keep, on some partitions. O(log n) each.
pub(crate) fn check_partitions(state: &State, keys: &[PartitionKey]) -> Checked {
    keys.iter().try_for_each(|key| {
        let partition = state.partition(key).ok_or_else(|| format!("touched partition {key:?} is missing"))?;
        in_partition(key, watermarks_are_ordered(partition))?;
        in_partition(key, extents_end_at_high_watermark(partition))
    })
}

/// The predicates that apply must keep, on some groups; those that were deleted are passed over. O(members).
pub(crate) fn check_groups(state: &State, numbers: &[GroupNumber]) -> Checked {
    numbers.iter().try_for_each(|number| groups::check_group(state, *number))
}

pub(crate) fn holds(truth: bool, predicate: &str) -> Checked {
    if truth { Ok(()) } else { Err(predicate.to_owned()) }
}

fn in_partition(key: &PartitionKey, checked: Checked) -> Checked {
    checked.map_err(|broken| format!("{}/{}: {broken}", key.topic_id, key.partition))
}

fn counts_are_bounded(state: &State) -> Checked {
    let usage = &state.partitions.usage;
    let bounded = state.session_count() <= limits::SESSIONS
        && state.topic_count() <= limits::TOPICS
        && state.partition_count() <= limits::PARTITIONS
        && usage.extents <= limits::EXTENTS
        && usage.producers <= limits::PRODUCERS;
    holds(bounded, "I-14: every collection is within its bound")?;
    holds(state.producer_ids.next >= 1, "L8: producer ids are positive")
}

fn session_is_consistent(state: &State, session: &crate::Session) -> Checked {
    let named = state.gateways.get(session.id) == Some(session);
    holds(named, "L2: a session is found by its id")?;
    let ordered = session.id.0 <= session.last_append && session.last_append <= state.known();
    holds(ordered, "L1: opened, last append and known are in this order")?;
    holds((session.last_sequence == 0) == (session.last_append == session.id.0), "L1: an append has a sequence")?;
    holds(session.feature_level >= state.feature_level(), "I-12: no session is below the feature level")?;
    holds(session.name.len() <= limits::SESSION_NAME_BYTES, "I-14: a session's name is bounded")
}

fn indexes_agree(state: &State) -> Checked {
    let topics = &state.topics;
    holds(topics.by_id.len() == topics.by_name.len(), "as many names as ids")?;
    let unified = topics.by_id.values().filter(|topic| unify_name(&topic.name).is_some()).count();
    holds(unified == topics.unified.len(), "no two topic names collide")
}

fn topic_is_consistent(state: &State, topic: &Topic) -> Checked {
    let found = state.topic_by_id(topic.id).is_some_and(|t| **t == *topic)
        && state.topic_by_name(&topic.name).is_some_and(|t| t.id == topic.id)
        && unify_name(&topic.name).is_none_or(|unified| state.topics.unified.get(&unified) == Some(&topic.id));
    holds(found, "a topic is found by its id and its name")?;
    holds(is_legal_topic_name(&topic.name) && !topic.id.is_nil(), "a topic's name and id are legal")?;
    let bounded = (1..=limits::PARTITIONS_PER_TOPIC).contains(&topic.partitions);
    holds(bounded, "I-14: a topic's partitions are bounded")?;
    let configs: Vec<_> = topic.configs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    holds(legal_configs(&configs), "I-14: a topic's configs are bounded")?;
    let ordered = topic.created_at <= topic.configs_changed_at && topic.configs_changed_at <= state.known();
    holds(ordered, "a topic was created, and its configs changed, by applied entries, in this order")
}

fn configs_are_consistent(state: &State) -> Checked {
    let is_applied = |position| position <= state.known();
    let is_legal = |set: &ConfigSet| {
        let configs: Vec<_> = set.configs.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        legal_configs(&configs) && is_applied(set.changed_at)
    };
    let cluster = state.cluster_configs();
    let never_set = cluster.changed_at == Position::ZERO && !cluster.configs.is_empty();
    holds(is_legal(cluster) && !never_set, "T7: the cluster's configs are bounded and were set by an applied entry")?;
    let count = state.brokers_with_configs().count();
    holds(count <= limits::BROKERS_WITH_CONFIGS, "I-14: the brokers with configs are bounded")?;
    for (broker, set) in state.brokers_with_configs() {
        let is_set = !set.configs.is_empty() && set.changed_at > Position::ZERO;
        let holds_for_it = broker >= 0 && is_set && is_legal(set);
        holds(holds_for_it, "T7: a broker's configs are bounded, not empty, and were set by an applied entry")?;
    }
    holds(is_applied(state.configs.emptied_at), "T7: a broker's configs were emptied by an applied entry")
}

fn partitions_belong_to_topics(state: &State) -> Checked {
    let expected: usize = state.topics().map(|topic| usize::try_from(topic.partitions).unwrap_or(usize::MAX)).sum();
    holds(expected == state.partition_count(), "there are as many partitions as the topics have")?;
    let owned = |key: &PartitionKey| {
        let topic = state.topic_by_id(key.topic_id);
        topic.is_some_and(|topic| u32::try_from(key.partition).is_ok_and(|index| index < topic.partitions))
    };
    holds(state.partitions().all(|(key, _)| owned(key)), "every partition belongs to a topic")
}

fn partition_is_consistent(key: PartitionKey, partition: &Partition) -> Checked {
    holds(partition.shard == partitions::shard_of(key), "L12: a partition keeps its shard")?;
    watermarks_are_ordered(partition)?;
    extents_are_dense(partition)?;
    extents_end_at_high_watermark(partition)?;
    let bounded = partition.producers.len() <= limits::PRODUCERS_PER_PARTITION;
    holds(bounded, "I-14: a partition's producers are bounded")?;
    partition.producers().try_for_each(|(id, producer)| producer_is_consistent(partition, id, producer))
}

fn watermarks_are_ordered(partition: &Partition) -> Checked {
    let ordered = 0 <= partition.log_start_offset()
        && partition.log_start_offset() <= partition.last_stable_offset()
        && partition.last_stable_offset() <= partition.high_watermark();
    holds(ordered, "I-05: log start, last stable offset and high watermark are in this order")
}

fn extents_are_dense(partition: &Partition) -> Checked {
    let mut expected = None;
    for extent in partition.extents.iter() {
        holds(extent.records >= 1 && extent.bytes >= limits::BATCH_BYTES_MIN, "an extent has records and bytes")?;
        holds(extent.base_offset >= 0, "an extent's offsets are not negative")?;
        holds(extent.start.checked_add(u64::from(extent.bytes)).is_some(), "an extent lies within an object")?;
        let dense = expected.is_none_or(|expected| expected == extent.base_offset);
        holds(dense, "I-02: extents are dense and do not overlap")?;
        expected = Some(extent.end_offset());
    }
    holds(partition.extents.is_searchable(), "an extent is found by its timestamp")
}

fn extents_end_at_high_watermark(partition: &Partition) -> Checked {
    let start = partition.log_start_offset();
    let (first, end) = match (partition.extents.first(), partition.extents.last()) {
        (Some(first), Some(last)) => (first.base_offset <= start && start < first.end_offset(), last.end_offset()),
        _ => (true, start),
    };
    holds(first, "I-05: the log start lies in the first extent")?;
    holds(end == partition.high_watermark(), "I-02: the extents end at the high watermark")
}

fn producer_is_consistent(partition: &Partition, id: i64, producer: &Producer) -> Checked {
    holds(id >= 0 && producer.epoch() >= 0, "a producer's id and epoch are not negative")?;
    holds(producer.last_batch().is_some(), "a producer that is remembered has a batch")?;
    let mut before: Option<&crate::ProducerBatch> = None;
    for batch in producer.batches() {
        holds(batch.base_sequence >= 0 && batch.last_sequence >= 0, "sequences are not negative")?;
        // The number of records modulo 2^31, which is all that sequences tell.
        let steps = (i64::from(batch.last_sequence) - i64::from(batch.base_sequence)) & i64::from(i32::MAX);
        let end = batch.base_offset.checked_add(steps).and_then(|last| last.checked_add(1));
        let within = batch.base_offset >= 0 && end.is_some_and(|end| end <= partition.high_watermark());
        holds(within, "a producer's batches lie below the high watermark")?;
        if let Some(before) = before {
            holds(add_sequence(before.last_sequence, 1) == batch.base_sequence, "sequences follow each other")?;
            holds(before.base_offset < batch.base_offset, "a producer's batches are in offset order")?;
        }
        before = Some(batch);
    }
    Ok(())
}
