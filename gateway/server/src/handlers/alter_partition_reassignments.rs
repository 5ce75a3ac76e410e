//! AlterPartitionReassignments (key 45), versions 0–1.
//!
//! Behaviour: every partition has this gateway for its one replica. To move it there is done already; there is no other
//! broker to move it to, and no reassignment to call off.
//! Version notes: 1 may forbid that the number of replicas changes, which it cannot.
//! Errors, per partition: 3 unknown, 39 replicas that are not this broker alone, 85 nothing to call off, 7 what could not
//! be decided now.

use futures_util::future::BoxFuture;
use sluice_engine::{EngineError, EngineResult, TopicDescription, TopicRef, TopicSelection};
use sluice_protocol::messages::alter_partition_reassignments::{
    ReassignablePartition, ReassignablePartitionResponse, ReassignableTopicResponse,
};
use sluice_protocol::messages::{AlterPartitionReassignmentsRequest, AlterPartitionReassignmentsResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use super::has_partition;
use crate::dispatch::{Call, run_alone};
use crate::errors::admin_code;
use crate::request::{Outcome, Stage};

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: AlterPartitionReassignmentsRequest) -> Outcome {
    let named = request.topics.iter().map(|topic| TopicRef::Name(topic.name.as_str().to_owned())).collect();
    let described = match call.freshen().await {
        Ok(()) => call.service.engine.describe_topics(TopicSelection::Some(named), false).await,
        Err(error) => Err(error),
    };
    let topics: Vec<EngineResult<TopicDescription>> = match described {
        Ok(described) => described.into_iter().map(|(_, topic)| topic).collect(),
        Err(error) => request.topics.iter().map(|_| Err(error.clone())).collect(),
    };
    let node_id = call.service.node_id;
    let tell = |(asked, topic): (&sluice_protocol::messages::alter_partition_reassignments::ReassignableTopic, _)| {
        let topic: EngineResult<TopicDescription> = topic;
        let partitions = asked.partitions.iter().map(|partition| tell_partition(node_id, partition, &topic)).collect();
        ReassignableTopicResponse { name: asked.name.clone(), partitions }
    };
    call.answer(&AlterPartitionReassignmentsResponse {
        // As Kafka, where nothing is asked.
        error_message: request.topics.is_empty().then(KString::new),
        allow_replication_factor_change: request.allow_replication_factor_change,
        responses: request.topics.iter().zip(topics).map(tell).collect(),
        ..AlterPartitionReassignmentsResponse::default()
    })
}

fn tell_partition(
    node_id: i32,
    asked: &ReassignablePartition,
    topic: &EngineResult<TopicDescription>,
) -> ReassignablePartitionResponse {
    let refusal = match topic {
        Err(EngineError::InvalidTopicName(_)) => Some(of_error(&EngineError::UnknownTopic)),
        Err(error) => Some(of_error(error)),
        Ok(topic) if !has_partition(topic, asked.partition_index) => Some(of_error(&EngineError::UnknownPartition)),
        Ok(_) => refuse_replicas(node_id, asked.replicas.as_deref()),
    };
    let (error_code, error_message) = match refusal {
        // Kafka gives no reason for this one.
        Some((code @ ErrorCode::NO_REASSIGNMENT_IN_PROGRESS, _)) => (code, None),
        Some((code, reason)) => (code, Some(KString::from(reason))),
        None => (ErrorCode::NONE, None),
    };
    ReassignablePartitionResponse { partition_index: asked.partition_index, error_code, error_message }
}

fn of_error(error: &EngineError) -> (ErrorCode, String) {
    (admin_code(error), error.to_string())
}

fn refuse_replicas(node_id: i32, replicas: Option<&[i32]>) -> Option<(ErrorCode, String)> {
    match replicas {
        None => Some((ErrorCode::NO_REASSIGNMENT_IN_PROGRESS, "no partition is being reassigned".to_owned())),
        Some([only]) if *only == node_id => None,
        Some(_) => Some((
            ErrorCode::INVALID_REPLICA_ASSIGNMENT,
            format!("broker {node_id} is the only one, and holds every partition alone"),
        )),
    }
}
