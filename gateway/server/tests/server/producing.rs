//! Produce and InitProducerId.

use bytes::Bytes;
use sluice_engine::Settings;
use sluice_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use sluice_protocol::messages::{InitProducerIdRequest, ProduceRequest};
use sluice_protocol::{KString, Uuid};
use sluice_records::BatchBuilder;
use sluice_server::ServerConfig;

use crate::support::{Client, Cluster, Topic, batch, gateway, produce_request, values};

/// I-01, known issue 3: in every version, what was acknowledged is there.
#[tokio::test(start_paused = true)]
async fn every_version_appends() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let mut offset = 0;
    for version in 3..=13 {
        let answer = client.produce(version, &topic, batch(&["a", "b"])).await;
        assert_eq!((answer.error_code.as_i16(), answer.base_offset), (0, offset), "version {version}");
        assert_eq!(answer.log_append_time_ms, -1);
        assert_eq!(answer.log_start_offset, if version >= 5 { 0 } else { -1 });
        assert!(answer.record_errors.is_empty() && answer.error_message.is_none());
        offset += 2;
    }
    let read = values(&client.fetch(18, &topic, 0).await);
    assert_eq!(read.len(), 22);
    assert_eq!(read[21], (21, "b".to_owned()));
}

/// Known issue 9: auto-creation on Produce, by name.
#[tokio::test(start_paused = true)]
async fn a_topic_is_created_by_the_first_produce() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic { name: "new", id: Uuid::nil() };
    assert_eq!(client.produce(12, &topic, batch(&["a"])).await.base_offset, 0);
    let by_id = Topic { name: "new", id: client.topic(13, "new").await.topic_id };
    assert_eq!(client.produce(13, &by_id, batch(&["b"])).await.base_offset, 1);
}

async fn code_of(client: &mut Client, version: i16, request: &ProduceRequest) -> i16 {
    let response = client.call(version, request).await;
    let partition = &response.responses[0].partition_responses[0];
    assert_eq!((partition.base_offset, partition.log_append_time_ms, partition.log_start_offset), (-1, -1, -1));
    // As Kafka 4.3.1: a text comes where single records are at fault, and nowhere else.
    assert_eq!((&partition.error_message, partition.record_errors.len()), (&None, 0));
    partition.error_code.as_i16()
}

#[tokio::test(start_paused = true)]
async fn each_mistake_has_its_code() {
    let settings = Settings { auto_create_topics: false, ..Settings::default() };
    let gateway = Cluster::new().gateway_with(settings, ServerConfig::default()).await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let good = batch(&["a"]);
    let mut damaged = good.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let two = Bytes::from([good.clone(), good.clone()].concat());
    for version in 3..=13 {
        let ask = |records: &Bytes| produce_request(version, &topic, 0, Some(records.clone()));
        let unknown = Topic { name: "absent", id: Uuid::from_u128(9) };
        let unknown_code = if version >= 13 { 100 } else { 3 };
        let cases = [
            (21, ProduceRequest { acks: 2, ..ask(&good) }),
            (21, ProduceRequest { acks: -2, ..ask(&good) }),
            (35, ProduceRequest { transactional_id: Some(KString::from("t")), ..ask(&good) }),
            (unknown_code, produce_request(version, &unknown, 0, Some(good.clone()))),
            (unknown_code, ProduceRequest { acks: 2, ..produce_request(version, &unknown, 0, Some(good.clone())) }),
            (3, produce_request(version, &topic, 2, Some(good.clone()))),
            (3, produce_request(version, &topic, -1, Some(good.clone()))),
            (87, produce_request(version, &topic, 0, None)),
            (87, ask(&Bytes::new())),
            (87, ask(&two)),
            (2, ask(&Bytes::from(damaged.clone()))),
            (87, ask(&good.slice(..good.len() - 1))),
        ];
        for (code, request) in cases {
            assert_eq!(code_of(&mut client, version, &request).await, code, "{version}: {request:?}");
        }
    }
    assert!(values(&client.fetch(18, &topic, 0).await).is_empty(), "something was stored");
}

#[tokio::test(start_paused = true)]
async fn every_requested_partition_gets_a_block_in_order() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("a", 3).await;
    client.create("b", 1).await;
    let partitions = |indexes: &[i32]| {
        let data = |index: &i32| PartitionProduceData { index: *index, records: Some(batch(&["x"])) };
        indexes.iter().map(data).collect()
    };
    let topic = |name, indexes: &[i32]| TopicProduceData {
        name: KString::from_static(name),
        partition_data: partitions(indexes),
        ..TopicProduceData::default()
    };
    // As Kafka 4.3.1: a topic is named once in the answer, and not at all without partitions.
    let topic_data = vec![topic("b", &[7, 0]), topic("a", &[2, 0]), topic("c", &[]), topic("a", &[0, 1])];
    let request = ProduceRequest { acks: 1, timeout_ms: 1000, topic_data, ..ProduceRequest::default() };
    let response = client.call(9, &request).await;
    let blocks: Vec<_> = response
        .responses
        .iter()
        .map(|topic| {
            let block = |p: &sluice_protocol::messages::produce::PartitionProduceResponse| {
                (p.index, p.error_code.as_i16(), p.base_offset)
            };
            (topic.name.to_string(), topic.partition_responses.iter().map(block).collect::<Vec<_>>())
        })
        .collect();
    let expected = [
        ("b".to_owned(), vec![(7, 3, -1), (0, 0, 0)]),
        // A partition twice is appended to twice.
        ("a".to_owned(), vec![(2, 0, 0), (0, 0, 0), (0, 0, 1), (1, 0, 0)]),
    ];
    assert_eq!(blocks, expected);
    let nothing = ProduceRequest { acks: 1, ..ProduceRequest::default() };
    assert!(client.call(9, &nothing).await.responses.is_empty());
}

/// acks=0: no bytes at all, whether before or between other answers; an error closes the connection.
#[tokio::test(start_paused = true)]
async fn without_acks_there_is_no_answer_and_an_error_closes() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let silent = |records| ProduceRequest { acks: 0, ..produce_request(9, &topic, 0, Some(records)) };
    client.send(9, &silent(batch(&["a"]))).await;
    let answer = client.produce(9, &topic, batch(&["b"])).await;
    assert_eq!(answer.base_offset, 1);
    client.send(9, &silent(batch(&["c"]))).await;
    assert!(client.topic(9, "t").await.error_code.is_none());
    assert_eq!(values(&client.fetch(12, &topic, 0).await).len(), 3);
    client.send(9, &silent(Bytes::from_static(b"nonsense"))).await;
    assert!(client.rest().await.is_empty());
    let metrics = gateway.metrics().await;
    assert!(metrics.contains("sluice_connections_closed_total{reason=\"acks_zero_failed\"} 1"), "{metrics}");
}

/// I-07, known issue 2: many requests under way, each answered in its turn and with its own id.
#[tokio::test(start_paused = true)]
async fn pipelined_requests_of_all_kinds_are_answered_in_order() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let mut sent = Vec::new();
    for round in 0..20 {
        let bad = round % 5 == 3;
        let records = if round % 10 == 3 { Bytes::from_static(b"nonsense") } else { batch(&["x"]) };
        // Wrong acks are refused before anything is submitted, while earlier requests are still under way.
        let acks = if round % 10 == 8 { 5 } else { -1 };
        let request = ProduceRequest { acks, ..produce_request(9, &topic, 0, Some(records)) };
        sent.push((0, bad, client.send(9, &request).await));
        if round % 7 == 2 {
            let request = crate::support::fetch_request(12, &topic, 0, 0);
            sent.push((1, false, client.send(12, &request).await));
        }
    }
    let mut offset = 0;
    for (key, bad, id) in sent {
        let received = if key == 0 {
            let (received, response) = client.receive::<ProduceRequest>(9).await;
            let partition = &response.responses[0].partition_responses[0];
            assert_eq!(!partition.error_code.is_none(), bad);
            if !bad {
                assert_eq!(partition.base_offset, offset);
                offset += 1;
            }
            received
        } else {
            let (received, response) = client.receive::<sluice_protocol::messages::FetchRequest>(12).await;
            // It ran after every Produce before it was answered.
            assert_eq!(values(&response.responses[0].partitions[0]).len() as i64, offset);
            received
        };
        assert_eq!(received, id);
    }
    assert_eq!(offset, 16);
}

#[tokio::test(start_paused = true)]
async fn every_version_gives_producer_ids_that_work() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let mut ids = Vec::new();
    for version in 0..=5 {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: 60_000,
            ..InitProducerIdRequest::default()
        };
        let answer = client.call(version, &request).await;
        assert_eq!((answer.error_code.as_i16(), answer.producer_epoch), (0, 0));
        assert!(answer.producer_id >= 0 && !ids.contains(&answer.producer_id));
        ids.push(answer.producer_id);
        if version >= 3 {
            let again = InitProducerIdRequest { producer_id: answer.producer_id, producer_epoch: 0, ..request };
            let renewed = client.call(version, &again).await;
            assert!(renewed.error_code.is_none() && renewed.producer_id != answer.producer_id);
        }
    }
    let of_producer = |sequence| {
        let mut builder = BatchBuilder::new().producer(ids[0], 0, sequence);
        builder.push(1000, None, Some(b"x"), &[]);
        builder.build().unwrap()
    };
    assert_eq!(client.produce(9, &topic, of_producer(0)).await.base_offset, 0);
    assert_eq!(client.produce(9, &topic, of_producer(0)).await.base_offset, 0, "a duplicate");
    assert_eq!(client.produce(9, &topic, of_producer(1)).await.base_offset, 1);
    assert_eq!(client.produce(9, &topic, of_producer(5)).await.error_code.as_i16(), 45);
}

#[tokio::test(start_paused = true)]
async fn producer_ids_are_refused_where_the_request_is_wrong_or_transactional() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in 0..=5 {
        let base = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
        let with_id = |id: &str| InitProducerIdRequest { transactional_id: Some(KString::from(id)), ..base.clone() };
        let mut cases = vec![(42, with_id("")), (35, with_id("orders"))];
        if version >= 3 {
            cases.push((42, InitProducerIdRequest { producer_id: 5, ..base.clone() }));
            cases.push((42, InitProducerIdRequest { producer_epoch: 5, ..base.clone() }));
        }
        for (code, request) in cases {
            let answer = client.call(version, &request).await;
            assert_eq!((answer.error_code.as_i16(), answer.producer_id, answer.producer_epoch), (code, -1, -1));
        }
    }
}
