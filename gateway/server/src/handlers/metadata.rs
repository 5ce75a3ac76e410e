//! Metadata (key 3), versions 0–13.
//!
//! Behaviour: there is one broker, this gateway, at the address its listener advertises; it leads every partition, is its
//! only replica, and is the controller. Leader epochs are 0. Topics asked for by name are created when both the gateway
//! and the request allow it. A topic named twice is told once, and names are not looked at beside an id, as in Kafka.
//! Operations are told as Kafka tells them where nobody is authenticated: all of them.
//! Version notes: 0 takes an empty list for all topics, later ones null; 4 may decline auto-creation; 10 and 11 carry topic
//! ids in requests but do not take them; 12 asks by id (KIP-516); 13 has an error of the whole answer.
//! Errors, per topic: 3 and 100 unknown, 17 illegal name, 42 an id or a null name before version 12, 5 what could not be
//! decided now. When that is so for "all topics", the connection is closed: an empty list would say there are none.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use sluice_engine::{EngineResult, TopicDescription, TopicRef, TopicSelection};
use sluice_protocol::messages::metadata::{
    MetadataRequestTopic, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use sluice_protocol::messages::{MetadataRequest, MetadataResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use super::{CLUSTER_OPERATIONS, LEADER_EPOCH, TOPIC_OPERATIONS, is_internal};
use crate::dispatch::{Call, run_alone};
use crate::errors::metadata_code;
use crate::refusal::Refusal;
use crate::request::{Outcome, Stage};

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: MetadataRequest) -> Outcome {
    let asked = match request.topics {
        None => None,
        Some(topics) if topics.is_empty() && call.version == 0 => None,
        Some(topics) => Some(topics),
    };
    let topics = match asked {
        None => match describe_all(&call).await {
            Ok(topics) => topics,
            Err(refusal) => return Outcome::Hangup(refusal),
        },
        Some(topics) if call.version < 12 && topics.iter().any(is_asked_by_id) => {
            // The error of the whole request: Kafka tells no broker beside it.
            return call.answer(&MetadataResponse { topics: refuse_ids(&topics), ..MetadataResponse::default() });
        }
        Some(topics) => describe_some(&call, &topics, request.allow_auto_topic_creation).await,
    };
    // As Kafka, also for a name that no topic has; not for an id.
    let tell_operations = |topic: MetadataResponseTopic| match request.include_topic_authorized_operations {
        true if topic.name.is_some() => {
            MetadataResponseTopic { topic_authorized_operations: TOPIC_OPERATIONS, ..topic }
        }
        _ => topic,
    };
    let unasked = MetadataResponse::default();
    let (host, port) = call.caller.advertised.get();
    let node_id = call.service.node_id;
    call.answer(&MetadataResponse {
        brokers: vec![MetadataResponseBroker { node_id, host, port, rack: None }],
        cluster_id: Some(KString::from(call.service.engine.cluster_id())),
        controller_id: node_id,
        topics: topics.into_iter().map(tell_operations).collect(),
        cluster_authorized_operations: match request.include_cluster_authorized_operations {
            true => CLUSTER_OPERATIONS,
            false => unasked.cluster_authorized_operations,
        },
        ..unasked
    })
}

async fn describe_all(call: &Call) -> Result<Vec<MetadataResponseTopic>, Refusal> {
    let refusal = |error: sluice_engine::EngineError| Refusal::NoSafeAnswer(format!("all topics: {error}"));
    // A listing has a barrier of its own (T5), which serves as the connection's as well.
    let described = call.service.engine.describe_topics(TopicSelection::All, false).await.map_err(refusal)?;
    call.caller.note_barrier();
    Ok(described.into_iter().map(|(topic, outcome)| tell_topic(call, topic, outcome)).collect())
}

async fn describe_some(
    call: &Call,
    asked: &[MetadataRequestTopic],
    allow_auto_create: bool,
) -> Vec<MetadataResponseTopic> {
    let mut seen = BTreeSet::new();
    // Where one topic is asked for by its id, Kafka looks at ids alone.
    let by_id = asked.iter().any(|topic| !topic.topic_id.is_nil());
    let asked = asked.iter().filter(|topic| !by_id || !topic.topic_id.is_nil());
    let topics: Vec<TopicRef> = asked.map(topic_asked).filter(|topic| seen.insert(topic.clone())).collect();
    if topics.is_empty() {
        return Vec::new();
    }
    let engine = &call.service.engine;
    let described = match call.freshen().await {
        Ok(()) => engine.describe_topics(TopicSelection::Some(topics.clone()), allow_auto_create).await,
        Err(error) => Err(error),
    };
    match described {
        Ok(described) => described.into_iter().map(|(topic, outcome)| tell_topic(call, topic, outcome)).collect(),
        Err(error) => topics.into_iter().map(|topic| tell_topic(call, topic, Err(error.clone()))).collect(),
    }
}

/// An id stands before a name, as in Kafka. Only version 12 and later get here with one.
fn topic_asked(topic: &MetadataRequestTopic) -> TopicRef {
    match &topic.name {
        Some(name) if topic.topic_id.is_nil() => TopicRef::Name(name.as_str().to_owned()),
        _ => TopicRef::Id(topic.topic_id),
    }
}

fn is_asked_by_id(topic: &MetadataRequestTopic) -> bool {
    topic.name.is_none() || !topic.topic_id.is_nil()
}

/// Versions 10 and 11 have a place for ids in the request that Kafka does not read: every topic gets the error.
fn refuse_ids(topics: &[MetadataRequestTopic]) -> Vec<MetadataResponseTopic> {
    let refuse = |topic: &MetadataRequestTopic| MetadataResponseTopic {
        error_code: ErrorCode::INVALID_REQUEST,
        // These versions have no null name in answers.
        name: Some(topic.name.clone().unwrap_or_default()),
        topic_id: topic.topic_id,
        ..MetadataResponseTopic::default()
    };
    topics.iter().map(refuse).collect()
}

fn tell_topic(call: &Call, asked: TopicRef, outcome: EngineResult<TopicDescription>) -> MetadataResponseTopic {
    match outcome {
        Ok(topic) => MetadataResponseTopic {
            name: Some(KString::from(&*topic.name)),
            topic_id: topic.id,
            is_internal: is_internal(&topic.name),
            partitions: (0..).zip(0..topic.partitions).map(|(index, _)| tell_partition(call, index)).collect(),
            ..MetadataResponseTopic::default()
        },
        Err(error) => {
            let unknown =
                MetadataResponseTopic { error_code: metadata_code(&error), ..MetadataResponseTopic::default() };
            match asked {
                TopicRef::Name(name) => MetadataResponseTopic { name: Some(KString::from(name)), ..unknown },
                TopicRef::Id(id) => MetadataResponseTopic { name: None, topic_id: id, ..unknown },
            }
        }
    }
}

fn tell_partition(call: &Call, partition_index: i32) -> MetadataResponsePartition {
    let node_id = call.service.node_id;
    MetadataResponsePartition {
        partition_index,
        leader_id: node_id,
        leader_epoch: LEADER_EPOCH,
        replica_nodes: vec![node_id],
        isr_nodes: vec![node_id],
        ..MetadataResponsePartition::default()
    }
}
