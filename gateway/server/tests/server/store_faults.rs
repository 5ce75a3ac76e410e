//! What clients hear when the store stands in the way (T5, T6, design section 5): codes that make them try again.

use std::time::Duration;

use sluice_protocol::KString;
use sluice_protocol::messages::create_topics::CreatableTopic;
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest,
};
use sluice_store::{Faults, OperationFaults};

use crate::support::{Gateway, Topic, batch, fetch_request, gateway, log_is_down, produce_request};

/// A gateway that knows topic `t`, and then loses its log.
async fn without_log() -> (Gateway, Topic) {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    client.produce(9, &topic, batch(&["a"])).await;
    gateway.faults.set_faults(log_is_down());
    (gateway, topic)
}

/// T5: the first request of a connection is not answered from an old State, but with the code of its API.
#[tokio::test(start_paused = true)]
async fn each_api_has_its_code_for_what_could_not_be_decided() {
    let (gateway, topic) = without_log().await;
    assert_eq!(gateway.client().await.topic(12, "t").await.error_code.as_i16(), 5);

    let fetched = gateway.client().await.call(12, &fetch_request(12, &topic, 0, 0)).await;
    let partition = &fetched.responses[0].partitions[0];
    assert_eq!((partition.error_code.as_i16(), partition.high_watermark), (56, -1));

    let partitions = vec![ListOffsetsPartition { timestamp: -1, ..ListOffsetsPartition::default() }];
    let topics = vec![ListOffsetsTopic { name: KString::from("t"), partitions }];
    let request = ListOffsetsRequest { topics, ..ListOffsetsRequest::default() };
    let listed = gateway.client().await.call(7, &request).await;
    assert_eq!(listed.topics[0].partitions[0].error_code.as_i16(), 56);

    let request = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
    assert_eq!(gateway.client().await.call(4, &request).await.error_code.as_i16(), 14);

    let asked = CreatableTopic {
        name: KString::from("new"),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![asked], ..CreateTopicsRequest::default() };
    let created = gateway.client().await.call(7, &request).await;
    assert_eq!(created.topics[0].error_code.as_i16(), 7);

    let produced = gateway.client().await.produce(9, &topic, batch(&["b"])).await;
    assert!(matches!(produced.error_code.as_i16(), 7 | 19), "{produced:?}");
}

/// All topics: never an empty list, so the connection closes.
#[tokio::test(start_paused = true)]
async fn all_topics_are_never_told_to_be_none() {
    let (gateway, _) = without_log().await;
    for (version, topics) in [(0, Some(Vec::new())), (1, None), (13, None)] {
        let mut client = gateway.client().await;
        client.send(version, &MetadataRequest { topics, ..MetadataRequest::default() }).await;
        assert!(client.rest().await.is_empty());
    }
    assert!(gateway.metrics().await.contains("sluice_connections_closed_total{reason=\"no_safe_answer\"} 3"));
}

/// What needs no State is answered all the same: a client can still bootstrap.
#[tokio::test(start_paused = true)]
async fn what_needs_no_state_is_answered() {
    let (gateway, _) = without_log().await;
    let mut client = gateway.client().await;
    assert!(client.call(0, &ApiVersionsRequest::default()).await.error_code.is_none());
    let brokers = client.describe(12, &[]).await.brokers;
    assert_eq!(brokers.len(), 1);
}

/// A barrier that failed is asked for again by the next request: when the store is back, so is the gateway (T5).
#[tokio::test(start_paused = true)]
async fn a_connection_recovers_with_the_store() {
    let (gateway, topic) = without_log().await;
    let mut client = gateway.client().await;
    assert_eq!(client.topic(12, "t").await.error_code.as_i16(), 5);
    gateway.faults.set_enabled(false);
    assert_eq!(client.topic(12, "t").await.error_code.as_i16(), 0);
    assert_eq!(client.produce(9, &topic, batch(&["c"])).await.error_code.as_i16(), 0);
}

/// Kafka's `timeout_ms` is for replicas, of which there is one: whatever a client allows, its records are stored as ever.
#[tokio::test(start_paused = true)]
async fn a_produce_that_allows_little_time_waits_for_a_slow_store() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let slow = OperationFaults {
        delayed_per_mille: 1_000,
        delay_max: Duration::from_millis(100),
        ..OperationFaults::default()
    };
    gateway.faults.set_faults(Faults { append: slow, object_write: slow, ..Faults::default() });
    for (offset, timeout_ms) in (0..).zip([0, -1, 1, 100, i32::MIN, 0, 1]) {
        let request = ProduceRequest { timeout_ms, ..produce_request(9, &topic, 0, Some(batch(&["a"]))) };
        let answer = client.call(9, &request).await.responses.remove(0).partition_responses.remove(0);
        assert_eq!((answer.error_code.as_i16(), answer.base_offset), (0, offset), "timeout_ms {timeout_ms}");
    }
}
