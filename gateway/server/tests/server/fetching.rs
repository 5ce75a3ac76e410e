//! Fetch and ListOffsets.

use std::time::Duration;

use sluice_protocol::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::{FetchRequest, ListOffsetsRequest};
use sluice_protocol::{KString, Uuid};
use tokio::time::Instant;

use crate::support::{Client, Cluster, Topic, batch, fetch_request, gateway, values};

/// Known issue 4: in every version, at every offset, what is there comes.
#[tokio::test(start_paused = true)]
async fn every_version_reads_from_any_offset() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    client.produce(9, &topic, batch(&["a", "b"])).await;
    client.produce(9, &topic, batch(&["c"])).await;
    let all = [(0, "a".to_owned()), (1, "b".to_owned()), (2, "c".to_owned())];
    for version in 4..=18 {
        let first = client.fetch(version, &topic, 0).await;
        assert!(first.error_code.is_none(), "{version}: {first:?}");
        assert_eq!((first.high_watermark, first.last_stable_offset), (3, 3));
        assert_eq!(first.log_start_offset, if version >= 5 { 0 } else { -1 });
        assert_eq!((first.preferred_read_replica, &first.aborted_transactions), (-1, &None));
        assert_eq!(values(&first), all, "version {version}");
        // A batch comes whole: the client drops what it did not ask for.
        assert_eq!(values(&client.fetch(version, &topic, 1).await), all);
        assert_eq!(values(&client.fetch(version, &topic, 2).await), all[2..]);
        let committed = FetchRequest { isolation_level: 1, ..fetch_request(version, &topic, 0, 0) };
        let committed = client.call(version, &committed).await.responses.remove(0).partitions.remove(0);
        assert_eq!((values(&committed).len(), committed.aborted_transactions), (3, Some(Vec::new())));
    }
}

#[tokio::test(start_paused = true)]
async fn each_partition_has_its_block_and_its_error() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic { name: "t", id: client.create("t", 6).await };
    client.produce(9, &topic, batch(&["a"])).await;
    for version in 4..=18 {
        let by_id = version >= 13;
        let named = |name, id| FetchTopic {
            topic: if by_id { KString::new() } else { KString::from_static(name) },
            topic_id: if by_id { id } else { Uuid::nil() },
            partitions: vec![],
        };
        let ask = |partition, fetch_offset, current_leader_epoch| FetchPartition {
            partition,
            fetch_offset,
            current_leader_epoch,
            partition_max_bytes: 1 << 20,
            ..FetchPartition::default()
        };
        let asked = vec![ask(0, 5, -1), ask(9, 0, -1), ask(1, 0, -1), ask(2, 0, 1), ask(3, 0, 0), ask(4, -3, -1)];
        let topics = vec![
            FetchTopic { partitions: asked, ..named("t", topic.id) },
            FetchTopic { partitions: vec![ask(0, 0, -1)], ..named("absent", Uuid::from_u128(3)) },
        ];
        let request = FetchRequest { topics, ..fetch_request(version, &topic, 0, 0) };
        let response = client.call(version, &request).await;
        assert_eq!(response.session_id, 0);
        let codes: Vec<Vec<i16>> = response
            .responses
            .iter()
            .map(|topic| topic.partitions.iter().map(|p| p.error_code.as_i16()).collect())
            .collect();
        // Leader epochs came with version 9: before, they are not sent.
        let epoch_code = if version >= 9 { 75 } else { 0 };
        let unknown_topic = if by_id { 100 } else { 3 };
        assert_eq!(codes, [vec![1, 3, 0, epoch_code, 0, 1], vec![unknown_topic]], "version {version}");
        assert!(response.responses.iter().flat_map(|t| &t.partitions).all(|p| p.records.is_some()));
        // As Kafka 4.3.1: nothing is told of a log that nothing could be read from. Where no log was looked at, the list of
        // aborted transactions is empty rather than absent.
        let offsets = |p: &PartitionData| [p.high_watermark, p.last_stable_offset, p.log_start_offset];
        for refused in response.responses.iter().flat_map(|t| &t.partitions).filter(|p| !p.error_code.is_none()) {
            assert_eq!(offsets(refused), [-1; 3], "{refused:?}");
            let is_unknown = [3, 100].contains(&refused.error_code.as_i16());
            assert_eq!(refused.aborted_transactions.is_some(), is_unknown, "{refused:?}");
        }
    }
}

/// As Kafka 4.3.1: a partition is told once, at the offset named last; a topic without partitions not at all.
#[tokio::test(start_paused = true)]
async fn what_is_named_twice_is_told_once() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    Topic::new(&mut client, "u").await;
    client.produce(9, &topic, batch(&["a"])).await;
    client.produce(9, &topic, batch(&["b"])).await;
    let ask = |partition, fetch_offset| FetchPartition {
        partition,
        fetch_offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let named =
        |name, partitions| FetchTopic { topic: KString::from_static(name), partitions, ..FetchTopic::default() };
    let topics = vec![
        named("t", vec![ask(0, 0), ask(1, 0)]),
        named("empty", vec![]),
        named("t", vec![ask(0, 1), ask(0, 1)]),
        named("u", vec![ask(1, 0)]),
    ];
    let request = FetchRequest { topics, ..fetch_request(12, &topic, 0, 0) };
    let response = client.call(12, &request).await;
    let told: Vec<(&str, Vec<i32>)> = response
        .responses
        .iter()
        .map(|topic| (topic.topic.as_str(), topic.partitions.iter().map(|p| p.partition_index).collect()))
        .collect();
    assert_eq!(told, [("t", vec![0, 1]), ("u", vec![1])]);
    assert_eq!(values(&response.responses[0].partitions[0]), [(1, "b".to_owned())]);
}

/// As Kafka 4.3.1: there is nothing to wait for, and no record of a later epoch.
#[tokio::test(start_paused = true)]
async fn an_empty_fetch_does_not_wait_and_an_epoch_from_the_future_is_out_of_range() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    client.produce(9, &topic, batch(&["a"])).await;
    let waiting = FetchRequest { max_wait_ms: 60_000, ..fetch_request(12, &topic, 0, 0) };
    let start = Instant::now();
    assert!(client.call(12, &FetchRequest { topics: vec![], ..waiting.clone() }).await.responses.is_empty());
    assert!(start.elapsed() < Duration::from_secs(1));
    for (last_fetched_epoch, code) in [(-1, 0), (0, 0), (1, 1)] {
        let asked = FetchPartition { last_fetched_epoch, ..waiting.topics[0].partitions[0].clone() };
        let asked = FetchTopic { partitions: vec![asked], ..waiting.topics[0].clone() };
        let response = client.call(12, &FetchRequest { topics: vec![asked], ..waiting.clone() }).await;
        assert_eq!(response.responses[0].partitions[0].error_code.as_i16(), code, "{last_fetched_epoch}");
    }
}

/// As in Kafka without a session: incremental fetches are refused, full ones served whatever session they name.
#[tokio::test(start_paused = true)]
async fn there_are_no_fetch_sessions() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    client.produce(9, &topic, batch(&["a"])).await;
    for version in 7..=18 {
        for (session_id, session_epoch, code) in
            [(0, -1, 0), (0, 0, 0), (5, 0, 0), (5, -1, 0), (5, 1, 70), (0, 1, 70), (0, -2, 70)]
        {
            let full = fetch_request(version, &topic, 0, 0);
            let response = client.call(version, &FetchRequest { session_id, session_epoch, ..full }).await;
            assert_eq!((response.error_code.as_i16(), response.session_id), (code, 0), "{session_id} {session_epoch}");
            assert_eq!(response.responses.len(), usize::from(code == 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_isolation_level_is_refused() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let request = FetchRequest { isolation_level: 2, ..fetch_request(12, &topic, 0, 0) };
    let response = client.call(12, &request).await;
    assert_eq!(response.responses[0].partitions[0].error_code.as_i16(), 42);
}

#[tokio::test(start_paused = true)]
async fn a_fetch_waits_for_records_as_long_as_it_says() {
    let gateway = gateway().await;
    let mut reader = gateway.client().await;
    let mut writer = gateway.client().await;
    let topic = Topic::new(&mut writer, "t").await;
    let waiting = FetchRequest { max_wait_ms: 5000, ..fetch_request(12, &topic, 0, 0) };
    let start = Instant::now();
    let empty = reader.call(12, &waiting).await;
    assert!(values(&empty.responses[0].partitions[0]).is_empty());
    assert!((5.0..6.0).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());

    reader.send(12, &waiting).await;
    let start = Instant::now();
    writer.produce(9, &topic, batch(&["a"])).await;
    let (_, woken) = reader.receive::<FetchRequest>(12).await;
    assert_eq!(values(&woken.responses[0].partitions[0]).len(), 1);
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_first_batch_comes_whole_whatever_the_budget() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let large = "x".repeat(100_000);
    client.produce(9, &topic, batch(&[&large])).await;
    client.produce(9, &topic, batch(&["small"])).await;
    for max_bytes in [0, -1, i32::MIN, 1, 1000] {
        let request = FetchRequest { max_bytes, ..fetch_request(12, &topic, 0, 0) };
        let response = client.call(12, &request).await;
        assert_eq!(values(&response.responses[0].partitions[0]).len(), 1, "{max_bytes}");
    }
}

/// T5: the first request of a connection sees what was there before it was sent, through whichever gateway (I-06).
#[tokio::test(start_paused = true)]
async fn a_client_that_hops_finds_what_it_wrote() {
    let mut cluster = Cluster::new();
    let (one, two) = (cluster.gateway().await, cluster.gateway().await);
    let mut writer = one.client().await;
    let topic = Topic::new(&mut writer, "t").await;
    // The second gateway knows the topic, so that an unknown one is not what makes it look.
    assert_eq!(two.client().await.topic(12, "t").await.partitions.len(), 2);
    for round in 1..=5 {
        writer.produce(9, &topic, batch(&["a"])).await;
        let fetched = two.client().await.fetch(12, &topic, 0).await;
        assert_eq!((values(&fetched).len(), fetched.high_watermark), (round, round as i64));
    }
}

/// T5: a ListOffsets is as new as its sending, first on its connection or not, at the price of one read of the log.
#[tokio::test(start_paused = true)]
async fn a_list_offsets_costs_one_read_of_the_log_and_sees_what_another_gateway_wrote() {
    let mut cluster = Cluster::new();
    let (one, two) = (cluster.gateway().await, cluster.gateway().await);
    let mut writer = one.client().await;
    let topic = Topic::new(&mut writer, "t").await;
    assert_eq!(two.client().await.topic(12, "t").await.partitions.len(), 2);
    let mut reader = two.client().await;
    for round in 1..=3 {
        writer.produce(9, &topic, batch(&["a"])).await;
        let before = two.engine.metrics().log_reads.get();
        assert_eq!(offset_of(&mut reader, 7, -1).await.1, round);
        assert_eq!(two.engine.metrics().log_reads.get() - before, 1, "round {round}");
    }
}

async fn offset_of(client: &mut Client, version: i16, timestamp: i64) -> (i16, i64, i64, i32) {
    let partitions = vec![ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() }];
    let topics = vec![ListOffsetsTopic { name: KString::from("t"), partitions }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
    let response = client.call(version, &request).await;
    let found = &response.topics[0].partitions[0];
    (found.error_code.as_i16(), found.offset, found.timestamp, found.leader_epoch)
}

#[tokio::test(start_paused = true)]
async fn every_version_lists_offsets() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    client.produce(9, &topic, batch(&["a", "b", "c"])).await;
    for version in 1..=11 {
        let epoch = if version >= 4 { 0 } else { -1 };
        assert_eq!(offset_of(&mut client, version, -1).await, (0, 3, -1, epoch), "{version}: the end");
        assert_eq!(offset_of(&mut client, version, -2).await, (0, 0, -1, epoch), "{version}: the start");
        assert_eq!(offset_of(&mut client, version, 1001).await, (0, 1, 1001, epoch), "{version}: a timestamp");
        assert_eq!(offset_of(&mut client, version, 0).await, (0, 0, 1000, epoch), "{version}: an early timestamp");
        assert_eq!(offset_of(&mut client, version, 2000).await, (0, -1, -1, -1), "{version}: none that late");
        let unsupported = (35, -1, -1, -1);
        let special = [
            (-3, 7, (0, 2, 1002, 0)),
            (-4, 8, (0, 0, -1, 0)),
            (-5, 9, (0, -1, -1, -1)),
            (-6, 11, (0, -1, -1, -1)),
            (-7, 12, unsupported),
        ];
        for (timestamp, since, found) in special {
            let expected = if version >= since { found } else { unsupported };
            assert_eq!(offset_of(&mut client, version, timestamp).await, expected, "{version}: {timestamp}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn offsets_of_partitions_that_cannot_be_listed_are_refused_one_by_one() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    Topic::new(&mut client, "t").await;
    for version in 1..=11 {
        let ask = |partition_index, timestamp, current_leader_epoch| ListOffsetsPartition {
            partition_index,
            timestamp,
            current_leader_epoch,
            ..ListOffsetsPartition::default()
        };
        let topics = vec![
            ListOffsetsTopic {
                name: KString::from("t"),
                partitions: vec![ask(0, -1, -1), ask(0, -2, -1), ask(1, -1, -1), ask(7, -1, -1), ask(8, -9, -1)],
            },
            ListOffsetsTopic { name: KString::from("absent"), partitions: vec![ask(0, -1, -1)] },
        ];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
        let response = client.call(version, &request).await;
        let codes: Vec<Vec<i16>> = response
            .topics
            .iter()
            .map(|topic| topic.partitions.iter().map(|p| p.error_code.as_i16()).collect())
            .collect();
        // A partition named twice is told once, as in Kafka.
        assert_eq!(codes, [vec![42, 0, 3, 35], vec![3]], "version {version}");
        assert_eq!(response.topics[0].partitions[1].offset, 0);
    }
}
