//! What Apache Kafka 4.3.1 answers in corners of the admin APIs, as tests/differential found it.

use sluice_protocol::messages::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use sluice_protocol::messages::create_partitions::CreatePartitionsTopic;
use sluice_protocol::messages::create_topics::CreatableTopic;
use sluice_protocol::messages::delete_topics::DeleteTopicState;
use sluice_protocol::messages::describe_topic_partitions::TopicRequest;
use sluice_protocol::messages::elect_leaders::TopicPartitions;
use sluice_protocol::messages::metadata::MetadataRequestTopic;
use sluice_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use sluice_protocol::messages::{
    AlterPartitionReassignmentsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeGroupsRequest, DescribeTopicPartitionsRequest, ElectLeadersRequest, FindCoordinatorRequest,
    MetadataRequest, OffsetCommitRequest,
};
use sluice_protocol::{KString, Uuid};

use crate::support::{Client, gateway};

fn named(name: &str) -> DeleteTopicState {
    DeleteTopicState { name: Some(KString::from(name)), topic_id: Uuid::nil() }
}

fn with_id(topic_id: Uuid) -> DeleteTopicState {
    DeleteTopicState { name: None, topic_id }
}

/// Name, id and code of each result.
async fn delete(client: &mut Client, topics: Vec<DeleteTopicState>) -> Vec<(Option<String>, Uuid, i16)> {
    let response =
        client.call(6, &DeleteTopicsRequest { topics, timeout_ms: 10_000, ..DeleteTopicsRequest::default() }).await;
    let told = response.responses.into_iter();
    told.map(|topic| (topic.name.map(String::from), topic.topic_id, topic.error_code.as_i16())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_deleted_twice_in_one_request_is_told_once_and_stays() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let id = client.create("t", 1).await;
    let nil = Uuid::nil();
    let answer = delete(&mut client, vec![named("t"), named("t"), named("none"), named("none")]).await;
    assert_eq!(answer, [(Some("t".to_owned()), nil, 42), (Some("none".to_owned()), nil, 42)]);
    assert_eq!(delete(&mut client, vec![with_id(id), with_id(id)]).await, [(None, id, 42)]);
    assert_eq!(client.topic(12, "t").await.topic_id, id);
    let names = vec!["t".into(), "t".into()];
    let old = DeleteTopicsRequest { topic_names: names, ..DeleteTopicsRequest::default() };
    let codes: Vec<_> = client.call(5, &old).await.responses.iter().map(|r| r.error_code.as_i16()).collect();
    assert_eq!(codes, [42]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_deleted_by_its_name_and_by_its_id_stays_and_its_neighbour_goes() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let (id, other) = (client.create("t", 1).await, client.create("other", 1).await);
    let answer = delete(&mut client, vec![with_id(id), named("t"), named("other")]).await;
    assert_eq!(answer, [(Some("t".to_owned()), id, 42), (Some("other".to_owned()), other, 0)]);
    assert_eq!(client.topic(12, "t").await.topic_id, id);
    // An id that is asked for twice is told of by itself, beside the name.
    let answer = delete(&mut client, vec![with_id(id), with_id(id), named("t")]).await;
    assert_eq!(answer, [(None, id, 42), (Some("t".to_owned()), id, 42)]);
}

#[tokio::test(start_paused = true)]
async fn more_than_ten_thousand_partitions_in_one_request_violate_the_policy_and_create_nothing() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = |name: &str, num_partitions| CreatableTopic {
        name: KString::from(name),
        num_partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    for (topics, codes) in [
        (vec![topic("a", 5_000), topic("b", 5_001)], vec![44, 44]),
        (vec![topic("a", i32::MAX), topic("b", i32::MAX), topic("c d", 1)], vec![44, 44, 44]),
        (vec![topic("twice", 10_001), topic("twice", 1), topic("c d", 1)], vec![42, 17]),
        (vec![topic("__cluster_metadata", 1), topic("c", -1)], vec![42, 0]),
    ] {
        let request = CreateTopicsRequest { topics, validate_only: false, ..CreateTopicsRequest::default() };
        let told: Vec<_> = client.call(7, &request).await.topics.iter().map(|t| t.error_code.as_i16()).collect();
        assert_eq!(told, codes);
    }
    // It was not there: creating it succeeds.
    assert!(!client.create("a", 1).await.is_nil());
}

#[tokio::test(start_paused = true)]
async fn names_are_not_looked_at_beside_an_id_in_metadata() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let id = client.create("t", 1).await;
    let by_name = MetadataRequestTopic { name: Some("other".into()), ..MetadataRequestTopic::default() };
    let topics = Some(vec![by_name, MetadataRequestTopic { topic_id: id, name: None }]);
    let answer = client.call(12, &MetadataRequest { topics, ..MetadataRequest::default() }).await;
    assert_eq!(answer.topics.len(), 1);
    assert_eq!(answer.topics[0].topic_id, id);
    assert_eq!(client.topic(12, "t").await.topic_id, id);
}

#[tokio::test(start_paused = true)]
async fn a_metadata_request_that_is_refused_as_a_whole_tells_no_broker() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let id = client.create("t", 1).await;
    for version in 10..=11 {
        let topics = Some(vec![MetadataRequestTopic { topic_id: id, name: Some("t".into()) }]);
        let answer = client.call(version, &MetadataRequest { topics, ..MetadataRequest::default() }).await;
        assert_eq!((answer.brokers.len(), answer.cluster_id, answer.controller_id), (0, None, -1));
        assert_eq!(answer.topics[0].error_code.as_i16(), 42);
    }
}

#[tokio::test(start_paused = true)]
async fn operations_are_told_where_they_are_asked_for() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    for version in 8..=13 {
        let topic = |name: &str| MetadataRequestTopic { name: Some(name.into()), ..MetadataRequestTopic::default() };
        let mut asked = MetadataRequest {
            topics: Some(vec![topic("t"), topic("none")]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let unasked = client.call(version, &asked).await;
        assert_eq!(
            (unasked.topics[0].topic_authorized_operations, unasked.cluster_authorized_operations),
            (i32::MIN, i32::MIN)
        );
        asked.include_topic_authorized_operations = true;
        asked.include_cluster_authorized_operations = version <= 10;
        let told = client.call(version, &asked).await;
        assert!(told.topics.iter().all(|topic| topic.topic_authorized_operations == 3_576), "version {version}");
        assert_eq!(told.cluster_authorized_operations, if version <= 10 { 8_096 } else { i32::MIN });
    }
    let groups = vec!["none".into()];
    let asked = DescribeGroupsRequest { groups, include_authorized_operations: true };
    assert_eq!(client.call(5, &asked).await.groups[0].authorized_operations, 3_400);
    assert_eq!(client.call(6, &asked).await.groups[0].authorized_operations, i32::MIN, "an error");
}

#[tokio::test(start_paused = true)]
async fn a_topic_without_partitions_is_left_out_of_the_answer_to_a_commit() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    let topic =
        |partitions| OffsetCommitRequestTopic { name: "t".into(), partitions, ..OffsetCommitRequestTopic::default() };
    let topics = vec![topic(Vec::new()), topic(vec![OffsetCommitRequestPartition::default()])];
    let request = OffsetCommitRequest { group_id: "g".into(), topics, ..OffsetCommitRequest::default() };
    let told = client.call(8, &request).await.topics;
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].partitions[0].error_code.as_i16(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_names_no_share_partition_is_an_invalid_request() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for (key, code) in [("group", 42), ("group:topic:0", 15)] {
        let coordinator_keys = vec![key.into()];
        let request = FindCoordinatorRequest { key_type: 2, coordinator_keys, ..FindCoordinatorRequest::default() };
        assert_eq!(client.call(6, &request).await.coordinators[0].error_code.as_i16(), code, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_election_of_a_type_that_there_is_not_is_refused_for_each_partition_as_well() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    let topic_partitions = Some(vec![TopicPartitions { topic: "t".into(), partitions: vec![0] }]);
    let request = ElectLeadersRequest { election_type: 7, topic_partitions, ..ElectLeadersRequest::default() };
    let told = client.call(2, &request).await;
    let partition = &told.replica_election_results[0].partition_result[0];
    assert_eq!((told.error_code.as_i16(), partition.partition_id, partition.error_code.as_i16()), (42, 0, 42));
}

#[tokio::test(start_paused = true)]
async fn reasons_are_given_where_kafka_gives_them() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    let topics = vec![CreatePartitionsTopic { name: "none".into(), count: 2, ..CreatePartitionsTopic::default() }];
    let more = CreatePartitionsRequest { topics, timeout_ms: 10_000, validate_only: false };
    assert_eq!(client.call(3, &more).await.results[0].error_message, None);
    let partitions = vec![ReassignablePartition { partition_index: 0, replicas: None }];
    let topics = vec![ReassignableTopic { name: "t".into(), partitions }];
    let call_off = AlterPartitionReassignmentsRequest { topics, ..AlterPartitionReassignmentsRequest::default() };
    let told = client.call(0, &call_off).await;
    assert_eq!((told.error_message, told.responses[0].partitions[0].error_message.clone()), (None, None));
    let nothing = AlterPartitionReassignmentsRequest::default();
    assert_eq!(client.call(0, &nothing).await.error_message.as_deref(), Some(""));
}

#[tokio::test(start_paused = true)]
async fn operations_are_told_of_partitions_that_are_not_there() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topics = ["none", "a b"].map(|name| TopicRequest { name: name.into() }).to_vec();
    let request = DescribeTopicPartitionsRequest { topics, ..DescribeTopicPartitionsRequest::default() };
    let told = client.call(0, &request).await.topics;
    assert_eq!(told.iter().map(|topic| topic.error_code.as_i16()).collect::<Vec<_>>(), [17, 3]);
    assert!(told.iter().all(|topic| topic.topic_authorized_operations == 3_576));
}
