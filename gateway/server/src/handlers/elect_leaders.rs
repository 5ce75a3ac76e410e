//! ElectLeaders (key 43), versions 0–2.
//!
//! Behaviour: every partition has its one replica for a leader, so no election is ever needed. When all partitions are
//! asked about, none is told, as in Kafka: each topic has an empty list.
//! Errors, per partition: 84 not needed, 3 unknown, 7 what could not be decided now; of the whole and of each partition: 42
//! an election type that is neither preferred nor unclean.

use futures_util::future::BoxFuture;
use sluice_engine::{EngineError, EngineResult, TopicDescription, TopicRef, TopicSelection};
use sluice_protocol::messages::elect_leaders::{PartitionResult, ReplicaElectionResult, TopicPartitions};
use sluice_protocol::messages::{ElectLeadersRequest, ElectLeadersResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use super::has_partition;
use crate::dispatch::{Call, run_alone};
use crate::errors::admin_code;
use crate::refusal::Refusal;
use crate::request::{Outcome, Stage};

/// Preferred and unclean (KIP-460).
const ELECTION_TYPES: [i8; 2] = [0, 1];

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: ElectLeadersRequest) -> Outcome {
    let selection = match &request.topic_partitions {
        None => TopicSelection::All,
        Some(topics) => TopicSelection::Some(topics.iter().map(topic_of).collect()),
    };
    if !ELECTION_TYPES.contains(&request.election_type) {
        let reason = EngineError::InvalidRequest("there is no election of this type".to_owned());
        let asked = request.topic_partitions.iter().flatten();
        let replica_election_results = asked.map(|asked| tell_asked(asked, &Err(reason.clone()))).collect();
        let error_code = admin_code(&reason);
        return call.answer(&ElectLeadersResponse {
            error_code,
            replica_election_results,
            ..ElectLeadersResponse::default()
        });
    }
    let described = match call.freshen().await {
        Ok(()) => call.service.engine.describe_topics(selection, false).await,
        Err(error) => Err(error),
    };
    let replica_election_results = match (request.topic_partitions, described) {
        (None, Ok(all)) => all.into_iter().filter_map(|(_, topic)| Some(tell_topic(&topic.ok()?.name))).collect(),
        (None, Err(error)) => return Outcome::Hangup(Refusal::NoSafeAnswer(format!("all partitions: {error}"))),
        (Some(topics), Ok(described)) => {
            let told = topics.iter().zip(described);
            told.map(|(asked, (_, topic))| tell_asked(asked, &topic)).collect()
        }
        (Some(topics), Err(error)) => {
            let undecided = Err(error);
            topics.iter().map(|asked| tell_asked(asked, &undecided)).collect()
        }
    };
    call.answer(&ElectLeadersResponse { replica_election_results, ..ElectLeadersResponse::default() })
}

fn topic_of(asked: &TopicPartitions) -> TopicRef {
    TopicRef::Name(asked.topic.as_str().to_owned())
}

fn tell_topic(name: &str) -> ReplicaElectionResult {
    ReplicaElectionResult { topic: KString::from(name), partition_result: Vec::new() }
}

fn tell_asked(asked: &TopicPartitions, topic: &EngineResult<TopicDescription>) -> ReplicaElectionResult {
    let tell = |partition_id: &i32| {
        let partition_id = *partition_id;
        let (error_code, reason) = match topic {
            Ok(topic) if has_partition(topic, partition_id) => {
                (ErrorCode::ELECTION_NOT_NEEDED, "the leader is the preferred replica".to_owned())
            }
            Ok(_) => (admin_code(&EngineError::UnknownPartition), EngineError::UnknownPartition.to_string()),
            // The name of a topic to elect in is not looked at: one that cannot be is not there.
            Err(EngineError::InvalidTopicName(_)) => {
                (admin_code(&EngineError::UnknownTopic), EngineError::UnknownTopic.to_string())
            }
            Err(error) => (admin_code(error), error.to_string()),
        };
        PartitionResult { partition_id, error_code, error_message: Some(KString::from(reason)) }
    };
    let partition_result = asked.partitions.iter().map(tell).collect();
    ReplicaElectionResult { topic: asked.topic.clone(), partition_result }
}
