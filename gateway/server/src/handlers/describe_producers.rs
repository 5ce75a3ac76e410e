//! DescribeProducers (key 61), version 0 (KIP-664).
//!
//! Behaviour: as Kafka's; no transaction is ever open, and no coordinator has written to the partition.
//! Errors, per partition: 3 unknown, 17 illegal topic name, 7 what could not be decided now.

use futures_util::future::BoxFuture;
use sluice_engine::{ActiveProducer, EngineError, EngineResult, PartitionName};
use sluice_protocol::messages::describe_producers::{PartitionResponse, ProducerState, TopicResponse};
use sluice_protocol::messages::{DescribeProducersRequest, DescribeProducersResponse};
use sluice_protocol::{DecodeError, KString};

use crate::dispatch::{Call, run_alone};
use crate::errors::admin_code;
use crate::request::{Outcome, Stage};

/// No coordinator has written a marker for the producer.
const NO_COORDINATOR: i32 = -1;

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: DescribeProducersRequest) -> Outcome {
    let mut asks = Vec::new();
    for topic in &request.topics {
        let name_of = |partition: &i32| PartitionName { topic: topic.name.as_str().to_owned(), partition: *partition };
        asks.extend(topic.partition_indexes.iter().map(name_of));
    }
    let mut described = call.service.engine.describe_producers(asks).await.into_iter();
    let lost = || Err(EngineError::NotFresh("the partition was not answered".to_owned()));
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in request.topics {
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for partition in &topic.partition_indexes {
            partitions.push(tell(*partition, described.next().unwrap_or_else(lost)));
        }
        topics.push(TopicResponse { name: topic.name, partitions });
    }
    call.answer(&DescribeProducersResponse { topics, ..DescribeProducersResponse::default() })
}

fn tell(partition_index: i32, described: EngineResult<Vec<ActiveProducer>>) -> PartitionResponse {
    match described {
        Ok(producers) => PartitionResponse {
            partition_index,
            active_producers: producers.into_iter().map(tell_producer).collect(),
            ..PartitionResponse::default()
        },
        // Kafka gives no reason for this one.
        Err(error @ EngineError::UnknownPartition) => {
            PartitionResponse { partition_index, error_code: admin_code(&error), ..PartitionResponse::default() }
        }
        Err(error) => PartitionResponse {
            partition_index,
            error_code: admin_code(&error),
            error_message: Some(KString::from(error.to_string())),
            ..PartitionResponse::default()
        },
    }
}

fn tell_producer(producer: ActiveProducer) -> ProducerState {
    ProducerState {
        producer_id: producer.producer_id,
        producer_epoch: i32::from(producer.epoch),
        last_sequence: producer.last_sequence,
        last_timestamp: producer.last_timestamp,
        coordinator_epoch: NO_COORDINATOR,
        ..ProducerState::default()
    }
}

#[cfg(test)]
mod tests {
    use sluice_protocol::ErrorCode;

    use super::*;

    #[test]
    fn an_error_has_no_producers_and_a_reason_where_kafka_gives_one() {
        for (error, has_reason) in [(EngineError::UnknownTopic, true), (EngineError::UnknownPartition, false)] {
            let told = tell(3, Err(error));
            assert_eq!((told.partition_index, told.error_code), (3, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
            assert!(told.error_message.is_some() == has_reason && told.active_producers.is_empty());
        }
    }
}
