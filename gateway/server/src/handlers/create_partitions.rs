//! CreatePartitions (key 37), versions 0–3.
//!
//! Behaviour: an assignment of replicas is checked by its shape and otherwise does not matter: there is one broker.
//! A topic named twice is answered once, before the others, as in Kafka.
//! Errors, per topic: 3 unknown, 37 not more than there are or too many, 39 an assignment that does not fit, 42 named twice,
//! 7 what could not be decided now.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sluice_engine::{EngineError, EngineResult, NewPartitions};
use sluice_protocol::messages::create_partitions::{CreatePartitionsTopic, CreatePartitionsTopicResult};
use sluice_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use super::{duration_from_ms, repeated};
use crate::dispatch::{Call, run_alone};
use crate::errors::admin_code;
use crate::request::{Outcome, Stage};

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: CreatePartitionsRequest) -> Outcome {
    let twice = repeated(request.topics.iter().map(|topic| &topic.name));
    let mut results: Vec<_> = twice.iter().map(|name| tell(name, Err(named_twice()))).collect();
    let topics: Vec<_> = request.topics.iter().filter(|topic| !twice.contains(&topic.name)).collect();
    let mut asks = Vec::new();
    let mut shapes = Vec::with_capacity(topics.len());
    for topic in &topics {
        let shape = check_assignments(topic);
        if shape.is_ok() {
            asks.push(NewPartitions {
                name: topic.name.as_str().to_owned(),
                count: topic.count,
                assigned: topic.assignments.as_ref().map(Vec::len),
            });
        }
        shapes.push(shape);
    }
    let timeout = duration_from_ms(request.timeout_ms, Duration::MAX);
    let mut created = call.service.engine.create_partitions(asks, request.validate_only, timeout).await.into_iter();
    let lost = || Err(EngineError::OutcomeUnknown("the topic was not answered".to_owned()));
    for (topic, shape) in topics.into_iter().zip(shapes) {
        let outcome = shape.and_then(|()| created.next().unwrap_or_else(lost));
        results.push(tell(&topic.name, outcome));
    }
    call.answer(&CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() })
}

fn named_twice() -> EngineError {
    EngineError::InvalidRequest("the topic is named twice".to_owned())
}

/// Every partition needs the same one broker, in the count that topics report.
fn check_assignments(topic: &CreatePartitionsTopic) -> EngineResult<()> {
    let wrong = |reason: &str| Err(EngineError::InvalidReplicaAssignment(reason.to_owned()));
    for assigned in topic.assignments.iter().flatten() {
        let brokers: BTreeSet<i32> = assigned.broker_ids.iter().copied().collect();
        if assigned.broker_ids.is_empty() {
            return wrong("a partition without a broker");
        }
        if brokers.len() != assigned.broker_ids.len() {
            return wrong("a partition with a broker twice");
        }
        if brokers.iter().any(|id| *id < 0) {
            return wrong("a broker id below 0");
        }
    }
    Ok(())
}

fn tell(name: &KString, outcome: EngineResult<()>) -> CreatePartitionsTopicResult {
    let (error_code, error_message) = match outcome {
        Ok(()) => (ErrorCode::NONE, None),
        // Kafka gives no reason for this one.
        Err(EngineError::UnknownTopic) => (admin_code(&EngineError::UnknownTopic), None),
        Err(error) => (admin_code(&error), Some(KString::from(error.to_string()))),
    };
    CreatePartitionsTopicResult { name: name.clone(), error_code, error_message }
}
