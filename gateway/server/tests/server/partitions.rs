//! Partitions as administrators meet them: CreatePartitions, DeleteRecords, DescribeTopicPartitions, DescribeLogDirs,
//! ElectLeaders, reassignments, DescribeProducers, OffsetForLeaderEpoch, DescribeCluster.

use sluice_protocol::messages::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use sluice_protocol::messages::create_partitions::{CreatePartitionsAssignment, CreatePartitionsTopic};
use sluice_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use sluice_protocol::messages::describe_log_dirs::DescribableLogDirTopic;
use sluice_protocol::messages::describe_producers::TopicRequest as ProducersOf;
use sluice_protocol::messages::describe_topic_partitions::{Cursor, TopicRequest};
use sluice_protocol::messages::elect_leaders::TopicPartitions;
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use sluice_protocol::messages::{
    AlterPartitionReassignmentsRequest, CreatePartitionsRequest, DeleteRecordsRequest, DescribeClusterRequest,
    DescribeLogDirsRequest, DescribeProducersRequest, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse,
    ElectLeadersRequest, ListOffsetsRequest, ListPartitionReassignmentsRequest, OffsetForLeaderEpochRequest,
};
use sluice_protocol::{Bytes, KString};
use sluice_records::BatchBuilder;

use crate::support::{Client, Cluster, Topic, batch, gateway, values};

fn more(name: &str, count: i32) -> CreatePartitionsTopic {
    CreatePartitionsTopic { name: KString::from(name), count, assignments: None }
}

async fn grow(client: &mut Client, version: i16, topics: Vec<CreatePartitionsTopic>) -> Vec<(String, i16, bool)> {
    let request = CreatePartitionsRequest { topics, timeout_ms: 10_000, validate_only: false };
    let results = client.call(version, &request).await.results;
    let told = results
        .into_iter()
        .map(|topic| (topic.name.as_str().to_owned(), topic.error_code.as_i16(), topic.error_message.is_some()));
    told.collect()
}

#[tokio::test(start_paused = true)]
async fn partitions_are_added_and_at_once_written_to_and_read() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in 0..=3 {
        let name: &'static str = ["t0", "t1", "t2", "t3"][usize::try_from(version).unwrap()];
        let topic = Topic::new(&mut client, name).await;
        client.produce(9, &topic, batch(&["before"])).await;
        assert_eq!(grow(&mut client, version, vec![more(name, 5)]).await, [(name.to_owned(), 0, false)]);
        let described = client.topic(12, name).await;
        assert_eq!((described.partitions.len(), described.topic_id), (5, topic.id));
        assert_eq!(values(&client.fetch(12, &topic, 0).await), [(0, "before".to_owned())]);
        let mut request = crate::support::produce_request(9, &topic, 4, Some(batch(&["new"])));
        request.acks = -1;
        let produced = client.call(9, &request).await.responses.remove(0).partition_responses.remove(0);
        assert_eq!((produced.error_code.as_i16(), produced.base_offset), (0, 0));
    }
}

/// "CreatePartitions to <= current INVALID_PARTITIONS 37."
#[tokio::test(start_paused = true)]
async fn a_topic_never_gets_fewer_partitions_and_each_mistake_has_its_code() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 3).await;
    client.create("u", 1).await;
    client.create("v", 1).await;
    let assigned = |name: &str, count, brokers: &[&[i32]]| CreatePartitionsTopic {
        assignments: Some(brokers.iter().map(|ids| CreatePartitionsAssignment { broker_ids: ids.to_vec() }).collect()),
        ..more(name, count)
    };
    for (topic, code) in [
        (more("t", 3), 37),
        (more("t", 2), 37),
        (more("t", 0), 37),
        (more("t", -1), 37),
        (more("t", i32::MAX), 37),
        (more("none", 4), 3),
        (more("a b", 4), 3),
        (more("", 4), 3),
        (assigned("t", 5, &[&[1]]), 39),
        (assigned("t", 4, &[&[]]), 39),
        (assigned("t", 4, &[&[1, 1]]), 39),
        (assigned("t", 4, &[&[-1]]), 39),
    ] {
        let told = grow(&mut client, 3, vec![topic.clone()]).await;
        // Kafka gives a reason with every code but 3.
        assert_eq!(told, [(topic.name.as_str().to_owned(), code, code != 3)], "{topic:?}");
    }
    let told = grow(&mut client, 3, vec![more("u", 2), more("t", 4), more("u", 3), assigned("v", 2, &[&[1]])]).await;
    let expected = [("u", 42, true), ("t", 0, false), ("v", 0, false)];
    assert_eq!(told, expected.map(|(name, code, why)| (name.to_owned(), code, why)));
    let validated = CreatePartitionsRequest { topics: vec![more("t", 9)], timeout_ms: 10_000, validate_only: true };
    assert_eq!(client.call(3, &validated).await.results[0].error_code.as_i16(), 0);
    assert_eq!(client.topic(12, "t").await.partitions.len(), 4);
    assert_eq!(client.topic(12, "u").await.partitions.len(), 1);
}

async fn delete(client: &mut Client, version: i16, topic: &str, offsets: &[(i32, i64)]) -> Vec<(i32, i64, i16)> {
    let partition = |(index, offset): &(i32, i64)| DeleteRecordsPartition { partition_index: *index, offset: *offset };
    let topics =
        vec![DeleteRecordsTopic { name: KString::from(topic), partitions: offsets.iter().map(partition).collect() }];
    let answer = client.call(version, &DeleteRecordsRequest { topics, timeout_ms: 10_000 }).await;
    let partitions = answer.topics.into_iter().flat_map(|topic| topic.partitions);
    partitions.map(|told| (told.partition_index, told.low_watermark, told.error_code.as_i16())).collect()
}

async fn offset_at(client: &mut Client, topic: &str, timestamp: i64) -> i64 {
    let asked = ListOffsetsPartition { partition_index: 0, timestamp, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: KString::from(topic), partitions: vec![asked] };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
    client.call(7, &request).await.topics[0].partitions[0].offset
}

/// "DeleteRecords beyond HW OFFSET_OUT_OF_RANGE 1, `-1` = HW, response low_watermark."
#[tokio::test(start_paused = true)]
async fn deleted_records_are_gone_for_every_reader_and_the_log_start_never_moves_back() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in 0..=2 {
        let name: &'static str = ["t0", "t1", "t2"][usize::try_from(version).unwrap()];
        let topic = Topic::new(&mut client, name).await;
        // In two segments, the first of two records.
        client.produce(9, &topic, batch(&["a", "b"])).await;
        client.produce(9, &topic, batch(&["c", "d", "e"])).await;
        assert_eq!(delete(&mut client, version, name, &[(0, 6)]).await, [(0, -1, 1)], "past the high watermark");
        assert_eq!(delete(&mut client, version, name, &[(0, -2)]).await, [(0, -1, 1)]);
        assert_eq!(delete(&mut client, version, name, &[(0, 3)]).await, [(0, 3, 0)], "inside a batch");
        assert_eq!(delete(&mut client, version, name, &[(0, 1)]).await, [(0, 3, 0)], "it never moves back");
        assert_eq!(offset_at(&mut client, name, -2).await, 3);
        // Timestamps are 1000, 1001 and 1002.
        assert_eq!(offset_at(&mut client, name, 1001).await, 3);
        let below = client.fetch(12, &topic, 2).await;
        assert_eq!((below.error_code.as_i16(), below.log_start_offset, below.high_watermark), (1, -1, -1));
        let fetched = client.fetch(12, &topic, 3).await;
        assert_eq!((fetched.error_code.as_i16(), fetched.log_start_offset), (0, 3));
        // The batch comes whole; clients skip what they did not ask for.
        assert_eq!(values(&fetched).last(), Some(&(4, "e".to_owned())));
        assert_eq!(delete(&mut client, version, name, &[(0, -1)]).await, [(0, 5, 0)]);
        assert_eq!((offset_at(&mut client, name, -2).await, offset_at(&mut client, name, -1).await), (5, 5));
        let produced = client.produce(9, &topic, batch(&["f"])).await;
        assert_eq!((produced.base_offset, produced.log_start_offset), (5, 5));
    }
}

#[tokio::test(start_paused = true)]
async fn records_of_unknown_partitions_and_of_compacted_topics_are_not_deleted() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    assert_eq!(delete(&mut client, 2, "t", &[(1, 0), (0, 0), (-1, 0)]).await, [(-1, -1, 3), (0, 0, 0), (1, -1, 3)]);
    assert_eq!(delete(&mut client, 2, "none", &[(0, 0)]).await, [(0, -1, 3)]);
    assert_eq!(delete(&mut client, 2, "t", &[(0, 7), (0, 0)]).await, [(0, 0, 0)], "the last mention counts");
}

// Holds: I-06
#[tokio::test(start_paused = true)]
async fn what_one_gateway_deletes_another_does_not_serve() {
    let mut cluster = Cluster::new();
    let (here, there) = (cluster.gateway().await, cluster.gateway().await);
    let (mut client, mut other) = (here.client().await, there.client().await);
    let topic = Topic::new(&mut client, "t").await;
    client.produce(9, &topic, batch(&["a", "b"])).await;
    assert_eq!(values(&other.fetch(12, &topic, 0).await).len(), 2);
    assert_eq!(delete(&mut client, 2, "t", &[(0, 1)]).await, [(0, 1, 0)]);
    assert_eq!(offset_at(&mut other, "t", -2).await, 1);
    assert_eq!(grow(&mut client, 3, vec![more("t", 3)]).await, [("t".to_owned(), 0, false)]);
    let added = OffsetForLeaderTopic {
        topic: KString::from("t"),
        partitions: vec![OffsetForLeaderPartition { partition: 2, ..OffsetForLeaderPartition::default() }],
    };
    let request = OffsetForLeaderEpochRequest { topics: vec![added], ..OffsetForLeaderEpochRequest::default() };
    assert_eq!(other.call(4, &request).await.topics[0].partitions[0].error_code.as_i16(), 0);
}

#[tokio::test(start_paused = true)]
async fn epoch_0_ends_at_the_high_watermark_and_there_is_no_other() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    client.produce(9, &topic, batch(&["a", "b"])).await;
    let ask = |partition, current_leader_epoch, leader_epoch| OffsetForLeaderPartition {
        partition,
        current_leader_epoch,
        leader_epoch,
    };
    for version in 0..=4 {
        let topics = vec![
            OffsetForLeaderTopic {
                topic: KString::from("t"),
                partitions: vec![ask(0, 0, 0), ask(0, -1, 1), ask(0, 1, 0), ask(1, 0, 0), ask(2, 0, 0), ask(0, -1, -1)],
            },
            OffsetForLeaderTopic { topic: KString::from("none"), partitions: vec![ask(0, 0, 0)] },
        ];
        let answer = client.call(version, &OffsetForLeaderEpochRequest { replica_id: -1, topics }).await;
        let told = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let told: Vec<_> = told.map(|end| (end.error_code.as_i16(), end.end_offset)).collect();
        // The asker's own epoch is read from version 2 on.
        let ahead = if version >= 2 { (75, -1) } else { (0, 2) };
        assert_eq!(told, [(0, 2), (0, -1), ahead, (0, 0), (3, -1), (0, -1), (3, -1)], "{version}");
        assert_eq!(answer.topics[0].partitions[0].leader_epoch, if version >= 1 { 0 } else { -1 });
    }
}

#[tokio::test(start_paused = true)]
async fn the_cluster_is_one_broker_that_is_its_controller() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in 0..=2 {
        let request =
            DescribeClusterRequest { include_cluster_authorized_operations: true, ..DescribeClusterRequest::default() };
        let answer = client.call(version, &request).await;
        assert_eq!((answer.error_code.as_i16(), answer.error_message, answer.controller_id), (0, None, 1));
        assert!(!answer.cluster_id.is_empty());
        let [broker] = answer.brokers.as_slice() else { panic!("{:?}", answer.brokers) };
        assert_eq!((broker.broker_id, &*broker.host, broker.port), (1, "broker.example", 19092));
        // Each operation that a cluster has, by the bits of KIP-430.
        assert_eq!(answer.cluster_authorized_operations, 0b1_1111_1010_0000);
        let unasked = client.call(version, &DescribeClusterRequest::default()).await;
        assert_eq!(unasked.cluster_authorized_operations, i32::MIN);
    }
    for (endpoint_type, code) in [(2, 114), (0, 115), (3, 115)] {
        let request = DescribeClusterRequest { endpoint_type, ..DescribeClusterRequest::default() };
        let answer = client.call(1, &request).await;
        assert_eq!((answer.error_code.as_i16(), answer.brokers.len()), (code, 0));
    }
}

async fn page(
    client: &mut Client,
    topics: &[&str],
    limit: i32,
    cursor: Option<(&str, i32)>,
) -> DescribeTopicPartitionsResponse {
    let cursor = cursor.map(|(name, partition_index)| Cursor { topic_name: KString::from(name), partition_index });
    let topics = topics.iter().map(|name| TopicRequest { name: KString::from(*name) }).collect();
    client.call(0, &DescribeTopicPartitionsRequest { topics, response_partition_limit: limit, cursor }).await
}

/// Topics with their partitions, and where to go on.
type Page = (Vec<(String, Vec<i32>)>, Option<(String, i32)>);

fn told(page: &DescribeTopicPartitionsResponse) -> Page {
    let topics = page.topics.iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|partition| partition.partition_index).collect();
        (topic.name.as_ref().unwrap().as_str().to_owned(), partitions)
    });
    let cursor = page.next_cursor.as_ref();
    (topics.collect(), cursor.map(|next| (next.topic_name.as_str().to_owned(), next.partition_index)))
}

#[tokio::test(start_paused = true)]
async fn a_cursor_leads_through_all_partitions_once() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for (name, partitions) in [("c", 1), ("a", 3), ("b", 2)] {
        client.create(name, partitions).await;
    }
    let all = told(&page(&mut client, &[], 2000, None).await);
    let topic = |name: &str, partitions: &[i32]| (name.to_owned(), partitions.to_vec());
    assert_eq!(all, (vec![topic("a", &[0, 1, 2]), topic("b", &[0, 1]), topic("c", &[0])], None));
    for limit in [-1, 0, 1, 2, 3, 4, 5, 6] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let next: Option<(String, i32)> = cursor.take();
            let from = next.as_ref().map(|(name, partition)| (name.as_str(), *partition));
            let (topics, next) = told(&page(&mut client, &[], limit, from).await);
            let count: usize = topics.iter().map(|(_, partitions)| partitions.len()).sum();
            assert!(count <= usize::try_from(limit.max(1)).unwrap(), "{limit}: {topics:?}");
            seen.extend(topics.into_iter().flat_map(|(name, ids)| ids.into_iter().map(move |id| (name.clone(), id))));
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        let expected: Vec<_> = all.0.iter().flat_map(|(name, ids)| ids.iter().map(|id| (name.clone(), *id))).collect();
        assert_eq!(seen, expected, "{limit}");
    }
}

#[tokio::test(start_paused = true)]
async fn topics_are_described_by_name_with_their_errors_and_bad_cursors_are_refused() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let id = client.create("t", 1).await;
    let found = page(&mut client, &["u", "t", "a b", "t"], 2000, None).await;
    let codes: Vec<_> =
        found.topics.iter().map(|topic| (topic.name.as_ref().unwrap().as_str(), topic.error_code.as_i16())).collect();
    assert_eq!(codes, [("a b", 17), ("t", 0), ("u", 3)]);
    let topic = &found.topics[1];
    assert_eq!((topic.topic_id, topic.topic_authorized_operations), (id, 3576));
    let partition = &topic.partitions[0];
    assert_eq!((partition.leader_id, &partition.replica_nodes, &partition.isr_nodes), (1, &vec![1], &vec![1]));
    assert_eq!((&partition.eligible_leader_replicas, &partition.last_known_elr), (&Some(vec![]), &Some(vec![])));
    for (topics, cursor) in [(vec!["t"], ("u", 0)), (vec!["t"], ("t", -1))] {
        let refused = page(&mut client, &topics, 2000, Some(cursor)).await;
        assert_eq!(refused.topics[0].error_code.as_i16(), 42, "{cursor:?}");
    }
    assert_eq!(told(&page(&mut client, &[], 2000, Some(("zz", 0))).await), (vec![], None));
}

#[tokio::test(start_paused = true)]
async fn a_log_directory_tells_the_bytes_of_each_partition() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    client.create("u", 1).await;
    let records = batch(&["a", "b"]);
    let bytes = i64::try_from(records.len()).unwrap();
    for _ in 0..2 {
        client.produce(9, &topic, records.clone()).await;
    }
    for version in 0..=5 {
        let answer = client.call(version, &DescribeLogDirsRequest { topics: None }).await;
        assert_eq!((answer.error_code.as_i16(), answer.results.len()), (0, 1));
        let sizes = answer.results[0].topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|told| (topic.name.as_str(), told.partition_index, told.partition_size))
        });
        assert_eq!(sizes.collect::<Vec<_>>(), [("t", 0, 2 * bytes), ("t", 1, 0), ("u", 0, 0)]);
        let asked = DescribableLogDirTopic { topic: KString::from("t"), partitions: vec![7, 1] };
        let none = DescribableLogDirTopic { topic: KString::from("none"), partitions: vec![0] };
        let answer = client.call(version, &DescribeLogDirsRequest { topics: Some(vec![asked, none]) }).await;
        let told = &answer.results[0].topics;
        assert_eq!((told.len(), &*told[0].name, told[0].partitions.len()), (1, "t", 1), "{told:?}");
        let answer = client.call(version, &DescribeLogDirsRequest { topics: Some(vec![]) }).await;
        assert!(answer.results[0].topics.is_empty());
    }
}

/// "ElectLeaders ELECTION_NOT_NEEDED 84"
#[tokio::test(start_paused = true)]
async fn no_election_is_ever_needed() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 2).await;
    for version in 0..=2 {
        let asked = |topic: &str, partitions: &[i32]| TopicPartitions {
            topic: KString::from(topic),
            partitions: partitions.to_vec(),
        };
        let topics = vec![asked("t", &[1, 2]), asked("none", &[0]), asked("a b", &[0])];
        let request = ElectLeadersRequest { topic_partitions: Some(topics), ..ElectLeadersRequest::default() };
        let answer = client.call(version, &request).await;
        let partitions = answer.replica_election_results.iter().flat_map(|topic| &topic.partition_result);
        let codes: Vec<_> = partitions.map(|told| (told.partition_id, told.error_code.as_i16())).collect();
        assert_eq!(codes, [(1, 84), (2, 3), (0, 3), (0, 3)]);
        let all = ElectLeadersRequest { topic_partitions: None, ..ElectLeadersRequest::default() };
        let answer = client.call(version, &all).await;
        assert_eq!(answer.error_code.as_i16(), 0);
        assert!(answer.replica_election_results.iter().all(|topic| topic.partition_result.is_empty()));
    }
    let request = ElectLeadersRequest { election_type: 2, ..ElectLeadersRequest::default() };
    assert_eq!(client.call(2, &request).await.error_code.as_i16(), 42);
}

/// "NO_REASSIGNMENT_IN_PROGRESS 85"
#[tokio::test(start_paused = true)]
async fn a_partition_stays_where_it_is_and_nothing_is_called_off() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    let asked = |partition_index, replicas: Option<&[i32]>| ReassignablePartition {
        partition_index,
        replicas: replicas.map(<[i32]>::to_vec),
    };
    for version in 0..=1 {
        let topic = |name: &str, partitions| ReassignableTopic { name: KString::from(name), partitions };
        let topics = vec![
            topic(
                "t",
                vec![asked(0, None), asked(0, Some(&[1])), asked(0, Some(&[2])), asked(0, Some(&[])), asked(1, None)],
            ),
            topic("none", vec![asked(0, None)]),
        ];
        let request = AlterPartitionReassignmentsRequest { topics, ..AlterPartitionReassignmentsRequest::default() };
        let answer = client.call(version, &request).await;
        assert_eq!((answer.error_code.as_i16(), answer.error_message), (0, None));
        let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let codes: Vec<_> = partitions.map(|told| (told.error_code.as_i16(), told.error_message.is_some())).collect();
        assert_eq!(codes, [(85, false), (0, false), (39, true), (39, true), (3, true), (3, true)]);
    }
    let listed = client.call(0, &ListPartitionReassignmentsRequest::default()).await;
    assert_eq!((listed.error_code.as_i16(), listed.error_message, listed.topics.len()), (0, None, 0));
}

fn batch_of(producer: (i64, i16), base_sequence: i32, timestamp: i64) -> Bytes {
    let mut builder = BatchBuilder::new().producer(producer.0, producer.1, base_sequence);
    builder.push(timestamp, None, Some(b"v"), &[]);
    builder.build().unwrap()
}

#[tokio::test(start_paused = true)]
async fn producers_of_a_partition_are_told_with_their_last_sequence() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    for (producer, sequence, timestamp) in [((9, 0), 0, 5_000), ((7, 3), 0, 6_000), ((9, 0), 1, 7_000)] {
        let produced = client.produce(9, &topic, batch_of(producer, sequence, timestamp)).await;
        assert_eq!(produced.error_code.as_i16(), 0);
    }
    let asked = |name: &str, partition_indexes: &[i32]| ProducersOf {
        name: KString::from(name),
        partition_indexes: partition_indexes.to_vec(),
    };
    let topics = vec![asked("t", &[0, 1, 2]), asked("none", &[0]), asked("a b", &[0])];
    let answer = client.call(0, &DescribeProducersRequest { topics }).await;
    let partitions: Vec<_> = answer.topics.iter().flat_map(|topic| &topic.partitions).collect();
    let codes: Vec<_> = partitions.iter().map(|told| told.error_code.as_i16()).collect();
    assert_eq!(codes, [0, 0, 3, 3, 17]);
    let producers = partitions[0].active_producers.iter().map(|producer| {
        let state = (producer.producer_id, producer.producer_epoch, producer.last_sequence, producer.last_timestamp);
        (state, producer.current_txn_start_offset)
    });
    assert_eq!(producers.collect::<Vec<_>>(), [((7, 3, 0, 6_000), -1), ((9, 0, 1, 7_000), -1)]);
    assert!(partitions[1].active_producers.is_empty());
}
