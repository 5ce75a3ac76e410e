//! DescribeTopicPartitions (key 75), version 0 (KIP-966).
//!
//! Behaviour: topics in the order of their names, at most 2,000 partitions in an answer, and a cursor to go on from, as in
//! Kafka; nothing is created. There is one replica, which leads; nobody else could.
//! Errors, per topic: 3 unknown, 17 illegal name, 5 what could not be decided now. Of the whole, told for every topic named:
//! 42 a cursor that is not among the topics, or below partition 0.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use sluice_engine::{EngineResult, TopicDescription, TopicRef, TopicSelection};
use sluice_protocol::messages::describe_topic_partitions::{
    Cursor, DescribeTopicPartitionsResponsePartition, DescribeTopicPartitionsResponseTopic,
};
use sluice_protocol::messages::{DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use super::{LEADER_EPOCH, TOPIC_OPERATIONS, is_internal};
use crate::dispatch::{Call, run_alone};
use crate::errors::metadata_code;
use crate::refusal::Refusal;
use crate::request::{Outcome, Stage};

/// Kafka's `max.request.partition.size.limit`.
const PARTITIONS_MAX: usize = 2_000;

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: DescribeTopicPartitionsRequest) -> Outcome {
    let cursor = request.cursor.as_ref();
    let first = cursor.map(|cursor| cursor.topic_name.clone()).unwrap_or_default();
    let named: BTreeSet<KString> = request.topics.iter().map(|topic| topic.name.clone()).collect();
    if let Some(code) = refuse(cursor, &named) {
        let topics = named.iter().map(|name| refused(name, code)).collect();
        return call.answer(&DescribeTopicPartitionsResponse { topics, ..DescribeTopicPartitionsResponse::default() });
    }
    let is_all = named.is_empty();
    let described = match describe(&call, named, &first).await {
        Ok(described) => described,
        // An empty list would say that there are none.
        Err(error) if is_all => return Outcome::Hangup(Refusal::NoSafeAnswer(format!("all topics: {error}"))),
        Err(error) => {
            let asked = request.topics.iter().filter(|topic| topic.name >= first);
            let topics = asked.map(|topic| refused(&topic.name, metadata_code(&error))).collect();
            return call
                .answer(&DescribeTopicPartitionsResponse { topics, ..DescribeTopicPartitionsResponse::default() });
        }
    };
    let most = usize::try_from(request.response_partition_limit).unwrap_or(0).clamp(1, PARTITIONS_MAX);
    let skipped = cursor.and_then(|cursor| u32::try_from(cursor.partition_index).ok()).unwrap_or(0);
    let (topics, next_cursor) = fill(&call, described, &first, skipped, most);
    call.answer(&DescribeTopicPartitionsResponse { topics, next_cursor, ..DescribeTopicPartitionsResponse::default() })
}

/// What is wrong with the request itself.
fn refuse(cursor: Option<&Cursor>, named: &BTreeSet<KString>) -> Option<ErrorCode> {
    let cursor = cursor?;
    let is_elsewhere = !named.is_empty() && !named.contains(&cursor.topic_name);
    (is_elsewhere || cursor.partition_index < 0).then_some(ErrorCode::INVALID_REQUEST)
}

/// A topic as it was found, by its name.
type Described = (KString, EngineResult<TopicDescription>);

/// The topics from `first` on, ascending by name.
async fn describe(call: &Call, named: BTreeSet<KString>, first: &KString) -> EngineResult<Vec<Described>> {
    let selection = if named.is_empty() {
        TopicSelection::All
    } else {
        call.freshen().await?;
        let asked = named.into_iter().filter(|name| name >= first);
        TopicSelection::Some(asked.map(|name| TopicRef::Name(name.as_str().to_owned())).collect())
    };
    let found = call.service.engine.describe_topics(selection, false).await?;
    let name_of = |topic: TopicRef| match topic {
        TopicRef::Name(name) => KString::from(name),
        TopicRef::Id(id) => KString::from(id.to_string()),
    };
    let described = found.into_iter().map(|(topic, outcome)| (name_of(topic), outcome));
    Ok(described.filter(|(name, _)| name >= first).collect())
}

/// As many partitions as fit, and where to go on.
fn fill(
    call: &Call,
    described: Vec<Described>,
    first: &KString,
    skipped: u32,
    most: usize,
) -> (Vec<DescribeTopicPartitionsResponseTopic>, Option<Cursor>) {
    let mut topics = Vec::new();
    let mut room = most;
    for (name, outcome) in described {
        if room == 0 {
            // The topics before are told whole; whether this one exists is the next answer's matter.
            return (topics, Some(Cursor { topic_name: name, partition_index: 0 }));
        }
        let topic = match outcome {
            Ok(topic) => topic,
            Err(error) => {
                topics.push(DescribeTopicPartitionsResponseTopic {
                    // As Kafka, also for a name that no topic has.
                    topic_authorized_operations: TOPIC_OPERATIONS,
                    ..refused(&name, metadata_code(&error))
                });
                continue;
            }
        };
        let from = if name == *first { skipped } else { 0 };
        let left = usize::try_from(topic.partitions.saturating_sub(from)).unwrap_or(usize::MAX);
        let count = left.min(room);
        let begin = i32::try_from(from).unwrap_or(i32::MAX);
        topics.push(DescribeTopicPartitionsResponseTopic {
            topic_id: topic.id,
            is_internal: is_internal(&name),
            partitions: (begin..).take(count).map(|index| tell_partition(call, index)).collect(),
            topic_authorized_operations: TOPIC_OPERATIONS,
            ..refused(&name, ErrorCode::NONE)
        });
        if count < left {
            let partition_index = begin.saturating_add(i32::try_from(count).unwrap_or(i32::MAX));
            return (topics, Some(Cursor { topic_name: name, partition_index }));
        }
        room -= count;
    }
    (topics, None)
}

fn refused(name: &KString, error_code: ErrorCode) -> DescribeTopicPartitionsResponseTopic {
    DescribeTopicPartitionsResponseTopic {
        error_code,
        name: Some(name.clone()),
        ..DescribeTopicPartitionsResponseTopic::default()
    }
}

fn tell_partition(call: &Call, partition_index: i32) -> DescribeTopicPartitionsResponsePartition {
    let node_id = call.service.node_id;
    DescribeTopicPartitionsResponsePartition {
        partition_index,
        leader_id: node_id,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![node_id],
        isr_nodes: vec![node_id],
        // Empty, not null: it is known that there are none.
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        ..DescribeTopicPartitionsResponsePartition::default()
    }
}
