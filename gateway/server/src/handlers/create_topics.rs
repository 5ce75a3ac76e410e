//! CreateTopics (key 19), versions 2–7.
//!
//! Behaviour: replication factors 1 to 3 are accepted and reported as 1: the store keeps the copies. A manual assignment
//! decides the number of partitions; which brokers it names does not matter, there being one.
//! Version notes: 4 defaults by −1 (KIP-464); 5 tells counts and configs (KIP-525); 7 tells the topic id (KIP-516).
//! Errors, for all topics: 44 more than 10,000 partitions in one request. Per topic: 42 named twice, or an assignment beside a
//! count, or `__cluster_metadata`; 39 an assignment that is not 0, 1, 2 … with the same
//! number of distinct brokers each; 36, 37, 38, 40, 17, 44 from the engine; 7 what could not be decided now.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::BoxFuture;
use sluice_engine::{CreatedTopic, DescribedConfig, EngineError, EngineResult, NewTopic};
use sluice_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfigs, CreatableTopicResult,
};
use sluice_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use super::{duration_from_ms, tell_name, tell_source};
use crate::dispatch::{Call, run_alone};
use crate::errors::admin_code;
use crate::request::{Outcome, Stage};

/// Most partitions that one request may create, as in Kafka.
const REQUEST_PARTITIONS_MAX: u64 = 10_000;
/// The controller's own topic, which nobody may create.
const CLUSTER_METADATA_TOPIC: &str = "__cluster_metadata";
/// What every partition is reported to have.
const REPLICATION_FACTOR: i16 = 1;

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

type Refusal = (ErrorCode, String);

async fn handle(call: Call, request: CreateTopicsRequest) -> Outcome {
    let mut times_asked = BTreeMap::<&str, usize>::new();
    for topic in &request.topics {
        let times = times_asked.entry(&topic.name).or_default();
        *times = times.saturating_add(1);
    }
    let once = request.topics.iter().filter(|topic| times_asked.get(topic.name.as_str()) == Some(&1));
    if count_partitions(once, call.service.engine.default_partitions()) > REQUEST_PARTITIONS_MAX {
        let refuse =
            |topic| refused(topic, ErrorCode::POLICY_VIOLATION, "too many partitions in one request".to_owned());
        let topics = request.topics.iter().map(refuse).collect();
        return call.answer(&CreateTopicsResponse { topics, ..CreateTopicsResponse::default() });
    }
    // Each name once, in the order in which they first come: a name asked for twice gets one refusal, as in Kafka.
    let mut told = BTreeSet::new();
    let mut planned = Vec::with_capacity(request.topics.len());
    let mut new_topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics.iter().filter(|topic| told.insert(&topic.name)) {
        let is_twice = times_asked.get(topic.name.as_str()).is_some_and(|times| *times > 1);
        let planned_topic = match topic.name.as_str() {
            _ if is_twice => Err(twice()),
            CLUSTER_METADATA_TOPIC => Err((ErrorCode::INVALID_REQUEST, "the topic is the controller's own".to_owned())),
            _ => plan(topic),
        };
        let refusal = match planned_topic {
            Ok(new_topic) => {
                new_topics.push(new_topic);
                None
            }
            Err(refusal) => Some(refusal),
        };
        planned.push((topic, refusal));
    }
    let mut created = create(&call, &request, new_topics).await.into_iter();
    let tell = |(topic, refusal): (&CreatableTopic, Option<Refusal>)| match refusal {
        Some((code, reason)) => refused(topic, code, reason),
        None => tell_topic(topic, created.next()),
    };
    let topics = planned.into_iter().map(tell).collect();
    call.answer(&CreateTopicsResponse { topics, ..CreateTopicsResponse::default() })
}

async fn create(call: &Call, request: &CreateTopicsRequest, topics: Vec<NewTopic>) -> Vec<EngineResult<CreatedTopic>> {
    if topics.is_empty() {
        return Vec::new();
    }
    let timeout = duration_from_ms(request.timeout_ms, call.service.limits.admin_wait_max);
    // It has a barrier of its own, for every request and not only the first (T5).
    call.service.engine.create_topics(topics, request.validate_only, timeout).await
}

/// The partitions that these topics would have in all.
fn count_partitions<'a>(topics: impl Iterator<Item = &'a CreatableTopic>, default: u32) -> u64 {
    let count = |topic: &CreatableTopic| match topic.num_partitions {
        _ if !topic.assignments.is_empty() => u64::try_from(topic.assignments.len()).unwrap_or(u64::MAX),
        -1 => u64::from(default),
        given => u64::try_from(given).unwrap_or(0),
    };
    topics.map(count).fold(0, u64::saturating_add)
}

fn twice() -> Refusal {
    (ErrorCode::INVALID_REQUEST, "the topic is in the request more than once".to_owned())
}

fn plan(topic: &CreatableTopic) -> Result<NewTopic, Refusal> {
    let configs = topic.configs.iter();
    let config = |name: &KString, value: &Option<KString>| {
        (name.as_str().to_owned(), value.as_ref().map(|value| value.as_str().to_owned()))
    };
    let (partitions, replication_factor) = if topic.assignments.is_empty() {
        let given = |number: i32| (number != -1).then_some(number);
        (given(topic.num_partitions), (topic.replication_factor != -1).then_some(topic.replication_factor))
    } else {
        let (partitions, replicas) = count_assigned(topic)?;
        (Some(partitions), Some(replicas))
    };
    Ok(NewTopic {
        name: topic.name.as_str().to_owned(),
        partitions,
        replication_factor,
        configs: configs.map(|entry| config(&entry.name, &entry.value)).collect(),
    })
}

/// Partitions and replicas of a manual assignment, checked as Kafka does.
fn count_assigned(topic: &CreatableTopic) -> Result<(i32, i16), Refusal> {
    let contradicts = |what: &str| (ErrorCode::INVALID_REQUEST, format!("a manual assignment comes with {what} of -1"));
    let wrong = |reason: &str| (ErrorCode::INVALID_REPLICA_ASSIGNMENT, reason.to_owned());
    if topic.replication_factor != -1 {
        return Err(contradicts("a replication factor"));
    }
    if topic.num_partitions != -1 {
        return Err(contradicts("a number of partitions"));
    }
    let assignments = &topic.assignments;
    let indexes: BTreeSet<i32> = assignments.iter().map(|assigned| assigned.partition_index).collect();
    if indexes.len() != assignments.len() {
        return Err(wrong("a partition is assigned more than once"));
    }
    if !indexes.iter().copied().eq((0..).take(assignments.len())) {
        return Err(wrong("the partitions assigned are not 0, 1, 2 and so on"));
    }
    let replicas = assignments.first().map_or(0, |assigned| assigned.broker_ids.len());
    let is_sound = |assigned: &CreatableReplicaAssignment| {
        let brokers: BTreeSet<i32> = assigned.broker_ids.iter().copied().collect();
        brokers.len() == replicas && assigned.broker_ids.len() == replicas && brokers.iter().all(|id| *id >= 0)
    };
    if replicas == 0 || !assignments.iter().all(is_sound) {
        return Err(wrong("each partition needs the same number of distinct brokers, at least one"));
    }
    let counts = i32::try_from(assignments.len()).ok().zip(i16::try_from(replicas).ok());
    counts.ok_or_else(|| wrong("too many partitions or replicas"))
}

fn refused(topic: &CreatableTopic, error_code: ErrorCode, reason: String) -> CreatableTopicResult {
    let error_message = Some(KString::from(reason));
    CreatableTopicResult { name: topic.name.clone(), error_code, error_message, ..CreatableTopicResult::default() }
}

fn tell_topic(topic: &CreatableTopic, created: Option<EngineResult<CreatedTopic>>) -> CreatableTopicResult {
    match created {
        Some(Ok(created)) => CreatableTopicResult {
            name: topic.name.clone(),
            topic_id: created.id,
            error_message: None,
            num_partitions: i32::try_from(created.partitions).unwrap_or(i32::MAX),
            replication_factor: REPLICATION_FACTOR,
            configs: Some(created.configs.into_iter().map(tell_config).collect()),
            ..CreatableTopicResult::default()
        },
        // In Kafka's words: kafka-topics prints them.
        Some(Err(error @ EngineError::TopicExists)) => {
            refused(topic, admin_code(&error), format!("Topic '{}' already exists.", topic.name.as_str()))
        }
        Some(Err(error)) => refused(topic, admin_code(&error), error.to_string()),
        // The engine answers every ask (its contract); were one missing, its effect would not be known.
        None => refused(topic, ErrorCode::REQUEST_TIMED_OUT, "the topic was not answered".to_owned()),
    }
}

fn tell_config(config: DescribedConfig) -> CreatableTopicConfigs {
    CreatableTopicConfigs {
        name: tell_name(config.name),
        value: config.value.map(KString::from),
        read_only: config.is_read_only,
        config_source: tell_source(config.source),
        is_sensitive: config.is_sensitive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assigned(partitions: &[(i32, &[i32])]) -> CreatableTopic {
        let assignment = |(partition_index, brokers): &(i32, &[i32])| CreatableReplicaAssignment {
            partition_index: *partition_index,
            broker_ids: brokers.to_vec(),
        };
        CreatableTopic {
            num_partitions: -1,
            replication_factor: -1,
            assignments: partitions.iter().map(assignment).collect(),
            ..CreatableTopic::default()
        }
    }

    fn code_of(topic: &CreatableTopic) -> i16 {
        count_assigned(topic).map_or_else(|(code, _)| code.as_i16(), |_| 0)
    }

    #[test]
    fn a_consistent_assignment_decides_the_counts() {
        let topic = assigned(&[(1, &[1, 2]), (0, &[3, 1]), (2, &[2, 3])]);
        assert_eq!(count_assigned(&topic).ok(), Some((3, 2)));
    }

    #[test]
    fn an_inconsistent_assignment_is_refused() {
        assert_eq!(code_of(&assigned(&[(0, &[1]), (0, &[1])])), 39, "a partition twice");
        assert_eq!(code_of(&assigned(&[(1, &[1])])), 39, "not from 0");
        assert_eq!(code_of(&assigned(&[(0, &[1]), (2, &[1])])), 39, "a gap");
        assert_eq!(code_of(&assigned(&[(0, &[])])), 39, "no broker");
        assert_eq!(code_of(&assigned(&[(0, &[1, 1])])), 39, "a broker twice");
        assert_eq!(code_of(&assigned(&[(0, &[1]), (1, &[1, 2])])), 39, "uneven");
        assert_eq!(code_of(&assigned(&[(0, &[-1])])), 39, "no such broker");
        let with_count = CreatableTopic { num_partitions: 1, ..assigned(&[(0, &[1])]) };
        assert_eq!(code_of(&with_count), 42);
        let with_factor = CreatableTopic { replication_factor: 1, ..assigned(&[(0, &[1])]) };
        assert_eq!(code_of(&with_factor), 42);
    }
}
