//! Fetch (key 1), versions 0–18; advertised from 4 on, as by Kafka 4.3.
//!
//! Behaviour: there are no fetch sessions: every answer has session id 0, which tells a client to ask for everything each
//! time, and every requested partition gets a block, once. Leader epochs are 0. Rack, replica and forgotten topics are not read.
//! Version notes: 0–3 message sets, to which batches are converted (0 and 1 without timestamps); 7 sessions (KIP-227); 9 leader epochs (KIP-320); 11 preferred replica, always −1 (KIP-392); 12 flexible;
//! 13 topic ids in place of names (KIP-516).
//! Errors: of the whole, 70 for an incremental fetch, since no session exists (a full one is served whatever session it
//! names, as in Kafka). Per partition: 3 and 100 unknown, 1 out of range, 75 a leader epoch above 0, 42 an unknown isolation
//! level, 2 damaged records, 56 what could not be decided or read now; for readers of message sets, 76 zstd and 10 a batch
//! that decompresses to too much.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;
use sluice_engine::{EngineError, FetchAsk, FetchCall, Fetched, Isolation, MessageFormat};
use sluice_protocol::messages::fetch::{FetchPartition, FetchTopic, FetchableTopicResponse, PartitionData};
use sluice_protocol::messages::{FetchRequest, FetchResponse};
use sluice_protocol::{DecodeError, ErrorCode, Rope};

use super::{NONE, duration_from_ms, isolation_from, leader_epoch_from, size_from, topic_ref};
use crate::dispatch::{Call, run_alone};
use crate::errors::fetch_code;
use crate::request::{Outcome, Stage};

/// Message sets are sent up to this version, and up to this one without timestamps.
const MESSAGE_SETS_UNTIL: i16 = 3;
const TIMELESS_UNTIL: i16 = 1;
/// Topics have ids, not names, from this version on.
const TOPIC_IDS_SINCE: i16 = 13;
/// Epochs of a full fetch: one that wants a session, and one that does not.
const FULL_FETCH_EPOCHS: [i32; 2] = [0, -1];

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, mut request: FetchRequest) -> Outcome {
    if !FULL_FETCH_EPOCHS.contains(&request.session_epoch) {
        let error_code = ErrorCode::FETCH_SESSION_ID_NOT_FOUND;
        return call.answer(&FetchResponse { error_code, ..FetchResponse::default() });
    }
    request.topics = name_once(request.topics);
    let isolation = isolation_from(request.isolation_level);
    let fetched = match (isolation, call.freshen().await) {
        (None, _) => Err(EngineError::InvalidRequest("unknown isolation level".to_owned())),
        (Some(_), Err(error)) => Err(error),
        (Some(isolation), Ok(())) => Ok(call.service.engine.fetch(translate(&call, &request, isolation)).await),
    };
    let is_committed = isolation == Some(Isolation::ReadCommitted);
    let (fetched, missing) = match fetched {
        Ok(fetched) => (fetched, EngineError::StorageUnavailable("the partition was not answered".to_owned())),
        Err(error) => (Vec::new(), error),
    };
    let missing = || Fetched {
        error: Some(missing.clone()),
        high_watermark: NONE,
        last_stable_offset: NONE,
        log_start_offset: NONE,
        records: Vec::new(),
    };
    let mut fetched = fetched.into_iter().chain(std::iter::repeat_with(missing));
    let responses = request.topics.iter().map(|topic| tell_topic(topic, &mut fetched, is_committed)).collect();
    call.answer(&FetchResponse { responses, ..FetchResponse::default() })
}

/// Each partition once, where it is named first and as it is named last; topics that stand side by side as one. So Kafka
/// reads a request.
fn name_once(topics: Vec<FetchTopic>) -> Vec<FetchTopic> {
    if names_once(&topics) {
        return topics;
    }
    let key = |topic: &FetchTopic, index: i32| (topic.topic.clone(), topic.topic_id, index);
    let mut last = BTreeMap::new();
    for topic in &topics {
        for partition in &topic.partitions {
            last.insert(key(topic, partition.partition), partition.clone());
        }
    }
    let mut once: Vec<FetchTopic> = Vec::with_capacity(topics.len());
    for topic in topics {
        let partitions =
            topic.partitions.iter().filter_map(|asked| last.remove(&key(&topic, asked.partition))).collect();
        let topic = FetchTopic { partitions, ..topic };
        match once.last_mut() {
            _ if topic.partitions.is_empty() => {}
            Some(before) if (&before.topic, before.topic_id) == (&topic.topic, topic.topic_id) => {
                before.partitions.extend(topic.partitions);
            }
            _ => once.push(topic),
        }
    }
    once
}

fn names_once(topics: &[FetchTopic]) -> bool {
    let mut seen = BTreeSet::new();
    let mut is_new =
        |topic: &FetchTopic| !topic.partitions.is_empty() && seen.insert((topic.topic.clone(), topic.topic_id));
    let is_set = |topic: &FetchTopic| {
        let mut seen = BTreeSet::new();
        topic.partitions.iter().all(|partition| seen.insert(partition.partition))
    };
    topics.iter().all(|topic| is_new(topic) && is_set(topic))
}

/// What readers of a version are sent; `None`: batches.
fn message_sets(version: i16) -> Option<MessageFormat> {
    let format = if version <= TIMELESS_UNTIL { MessageFormat::V0 } else { MessageFormat::V1 };
    (version <= MESSAGE_SETS_UNTIL).then_some(format)
}

fn translate(call: &Call, request: &FetchRequest, isolation: Isolation) -> FetchCall {
    let by_id = call.version >= TOPIC_IDS_SINCE;
    let asks_of = |topic: &FetchTopic| -> Vec<FetchAsk> {
        let ask = |partition: &FetchPartition| FetchAsk {
            topic: topic_ref(by_id, &topic.topic, topic.topic_id),
            partition: partition.partition,
            offset: partition.fetch_offset,
            max_bytes: size_from(partition.partition_max_bytes),
            leader_epoch: leader_epoch_from(partition.current_leader_epoch),
            last_fetched_epoch: leader_epoch_from(partition.last_fetched_epoch),
        };
        topic.partitions.iter().map(ask).collect()
    };
    let max_bytes = size_from(request.max_bytes).min(call.service.limits.fetch_bytes_max);
    FetchCall {
        partitions: request.topics.iter().flat_map(asks_of).collect(),
        // More than fits into an answer would never be there.
        min_bytes: size_from(request.min_bytes).min(max_bytes),
        max_wait: duration_from_ms(request.max_wait_ms, call.service.engine.limits().fetch_wait_max),
        max_bytes,
        isolation,
        message_sets: message_sets(call.version),
    }
}

fn tell_topic(
    topic: &FetchTopic,
    fetched: &mut impl Iterator<Item = Fetched>,
    is_committed: bool,
) -> FetchableTopicResponse {
    let partitions = topic.partitions.iter().zip(fetched);
    FetchableTopicResponse {
        topic: topic.topic.clone(),
        topic_id: topic.topic_id,
        partitions: partitions.map(|(asked, fetched)| tell_partition(asked.partition, fetched, is_committed)).collect(),
    }
}

fn tell_partition(partition_index: i32, fetched: Fetched, is_committed: bool) -> PartitionData {
    let aborted_transactions = match &fetched.error {
        // No log was looked at; to tell nothing of what it says is something else.
        Some(EngineError::UnknownTopic | EngineError::UnknownTopicId | EngineError::UnknownPartition) => {
            Some(Vec::new())
        }
        Some(_) => None,
        // Null for readers that do not ask, as in Kafka; there are no transactions that could be listed to those who do.
        None => is_committed.then(Vec::new),
    };
    PartitionData {
        partition_index,
        error_code: fetched.error.as_ref().map_or(ErrorCode::NONE, fetch_code),
        high_watermark: fetched.high_watermark,
        last_stable_offset: fetched.last_stable_offset,
        log_start_offset: fetched.log_start_offset,
        aborted_transactions,
        // Never null: old clients do not expect it.
        records: Some(Rope::from_iter(fetched.records)),
        ..PartitionData::default()
    }
}
