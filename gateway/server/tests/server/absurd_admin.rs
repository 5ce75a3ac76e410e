//! "Oversized and absurd admin requests (2³¹−1 partitions, 10,000 topics, names of 0/249/250/32,767 bytes, `..`, NUL) answer
//! per item, quickly."
//!
//! Quickly is CPU time of the one thread that everything here runs on: time on the wall says more about the machine.

use std::fs;
use std::time::Duration;

use sluice_protocol::messages::alter_configs::AlterConfigsResource;
use sluice_protocol::messages::alter_partition_reassignments::{ReassignablePartition, ReassignableTopic};
use sluice_protocol::messages::create_partitions::CreatePartitionsTopic;
use sluice_protocol::messages::create_topics::{CreatableReplicaAssignment, CreatableTopic};
use sluice_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use sluice_protocol::messages::delete_topics::DeleteTopicState;
use sluice_protocol::messages::describe_configs::DescribeConfigsResource;
use sluice_protocol::messages::describe_log_dirs::DescribableLogDirTopic;
use sluice_protocol::messages::describe_producers::TopicRequest as ProducersOf;
use sluice_protocol::messages::describe_topic_partitions::TopicRequest;
use sluice_protocol::messages::elect_leaders::TopicPartitions;
use sluice_protocol::messages::incremental_alter_configs::AlterConfigsResource as ChangedResource;
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::metadata::MetadataRequestTopic;
use sluice_protocol::messages::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use sluice_protocol::messages::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, CreatePartitionsRequest, CreateTopicsRequest,
    DeleteRecordsRequest, DeleteTopicsRequest, DescribeConfigsRequest, DescribeLogDirsRequest,
    DescribeProducersRequest, DescribeTopicPartitionsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest,
    ListOffsetsRequest, MetadataRequest, OffsetForLeaderEpochRequest,
};
use sluice_protocol::{ErrorCode, KString, Request};

use crate::support::{Client, gateway};

const MANY: usize = 10_000;
/// Ten times what any of them takes in this build.
const QUICK: Duration = Duration::from_secs(5);
const TOPIC: i8 = 2;

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split_whitespace().next().unwrap().parse().unwrap())
}

/// The answer, which must not have taken this thread long, both sides of it together.
async fn quickly<R: Request>(client: &mut Client, version: i16, request: &R) -> R::Response {
    let start = cpu_time();
    let answer = client.call(version, request).await;
    let took = cpu_time() - start;
    assert!(took < QUICK, "{} took {took:?}", std::any::type_name::<R>());
    answer
}

fn names(prefix: &str) -> Vec<KString> {
    (0..MANY).map(|n| KString::from(format!("{prefix}{n}"))).collect()
}

/// Names that no topic may have.
fn illegal_names() -> Vec<KString> {
    let (long, longest) = ("n".repeat(250), "n".repeat(32_767));
    ["", ".", "..", "a\0b", "\0", "a b", "ü", &long, &longest].map(KString::from).to_vec()
}

fn longest_legal_name() -> KString {
    KString::from("n".repeat(249))
}

fn creatable(name: &KString, num_partitions: i32) -> CreatableTopic {
    CreatableTopic { name: name.clone(), num_partitions, replication_factor: 1, ..CreatableTopic::default() }
}

async fn create(client: &mut Client, version: i16, topics: Vec<CreatableTopic>) -> Vec<i16> {
    let asked: Vec<KString> = topics.iter().map(|topic| topic.name.clone()).collect();
    let request = CreateTopicsRequest { topics, timeout_ms: 10_000, ..CreateTopicsRequest::default() };
    let answer = quickly(client, version, &request).await;
    let mut told: Vec<_> = answer.topics.iter().map(|topic| topic.name.clone()).collect();
    let mut asked_for = asked;
    told.sort();
    asked_for.sort();
    asked_for.dedup();
    assert!(told == asked_for, "each name is answered once");
    answer.topics.iter().map(|topic| topic.error_code.as_i16()).collect()
}

fn all(codes: &[i16], code: ErrorCode, count: usize) {
    assert_eq!(codes.len(), count);
    assert!(codes.iter().all(|told| *told == code.as_i16()), "{:?} and not all {code:?}", codes.first());
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_topics_are_created_grown_described_and_deleted() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let names = names("t");
    let topics = names.iter().map(|name| creatable(name, 1)).collect();
    all(&create(&mut client, 7, topics).await, ErrorCode::NONE, MANY);
    let topics = names.iter().map(|name| creatable(name, 1)).collect();
    all(&create(&mut client, 2, topics).await, ErrorCode::TOPIC_ALREADY_EXISTS, MANY);

    let topics = names.iter().map(|name| CreatePartitionsTopic { name: name.clone(), count: 2, assignments: None });
    let request = CreatePartitionsRequest { topics: topics.collect(), timeout_ms: 10_000, validate_only: false };
    let answer = quickly(&mut client, 3, &request).await;
    let codes: Vec<i16> = answer.results.iter().map(|topic| topic.error_code.as_i16()).collect();
    all(&codes, ErrorCode::NONE, MANY);

    let answer = quickly(&mut client, 12, &MetadataRequest { topics: None, ..MetadataRequest::default() }).await;
    assert_eq!(answer.topics.len(), MANY);
    assert!(answer.topics.iter().all(|topic| topic.partitions.len() == 2));

    let topics = names.iter().map(|name| DeleteTopicState { name: Some(name.clone()), ..DeleteTopicState::default() });
    let request =
        DeleteTopicsRequest { topics: topics.collect(), timeout_ms: 10_000, ..DeleteTopicsRequest::default() };
    for code in [ErrorCode::NONE, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION] {
        let answer = quickly(&mut client, 6, &request).await;
        let codes: Vec<i16> = answer.responses.iter().map(|topic| topic.error_code.as_i16()).collect();
        all(&codes, code, MANY);
    }
    let answer = client.call(12, &MetadataRequest { topics: None, ..MetadataRequest::default() }).await;
    assert_eq!(answer.topics.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn names_numbers_and_assignments_that_cannot_be_are_refused_one_by_one() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in [2, 7] {
        let topics: Vec<_> = illegal_names().iter().map(|name| creatable(name, 1)).collect();
        let count = topics.len();
        all(&create(&mut client, version, topics).await, ErrorCode::INVALID_TOPIC_EXCEPTION, count);
    }
    for count in [0, -2, i32::MIN] {
        let codes = create(&mut client, 7, vec![creatable(&KString::from("t"), count)]).await;
        all(&codes, ErrorCode::INVALID_PARTITIONS, 1);
    }
    for replication_factor in [0, -2, 4, i16::MAX, i16::MIN] {
        let topic = CreatableTopic { replication_factor, ..creatable(&KString::from("t"), 1) };
        all(&create(&mut client, 7, vec![topic]).await, ErrorCode::INVALID_REPLICATION_FACTOR, 1);
    }
    let assigned = |assignments: Vec<(i32, Vec<i32>)>| CreatableTopic {
        num_partitions: -1,
        replication_factor: -1,
        assignments: assignments
            .into_iter()
            .map(|(partition_index, broker_ids)| CreatableReplicaAssignment { partition_index, broker_ids })
            .collect(),
        ..creatable(&KString::from("t"), -1)
    };
    for assignments in [
        vec![(i32::MAX, vec![1])],
        vec![(i32::MIN, vec![1])],
        vec![(0, vec![1]), (0, vec![1])],
        vec![(0, vec![])],
        vec![(0, vec![1; MANY])],
        vec![(0, vec![1]), (i32::MAX, vec![1])],
    ] {
        all(&create(&mut client, 7, vec![assigned(assignments)]).await, ErrorCode::INVALID_REPLICA_ASSIGNMENT, 1);
    }
    // One more than any of the above is legal, and the longest name there is serves as any other.
    all(&create(&mut client, 7, vec![creatable(&longest_legal_name(), 1)]).await, ErrorCode::NONE, 1);
    assert_eq!(client.call(12, &MetadataRequest { topics: None, ..MetadataRequest::default() }).await.topics.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_topics_that_are_not_there_are_answered_one_by_one() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let names = names("none");
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;

    let topics = names.iter().map(|name| MetadataRequestTopic { name: Some(name.clone()), ..Default::default() });
    let request = MetadataRequest {
        topics: Some(topics.collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let answer = quickly(&mut client, 12, &request).await;
    all(&answer.topics.iter().map(|topic| topic.error_code.as_i16()).collect::<Vec<_>>(), unknown, MANY);

    let topics =
        names.iter().map(|name| CreatePartitionsTopic { name: name.clone(), count: i32::MAX, assignments: None });
    let request = CreatePartitionsRequest { topics: topics.collect(), timeout_ms: 10_000, validate_only: true };
    let answer = quickly(&mut client, 3, &request).await;
    all(&answer.results.iter().map(|topic| topic.error_code.as_i16()).collect::<Vec<_>>(), unknown, MANY);

    let topics = names.iter().map(|name| TopicRequest { name: name.clone() }).collect();
    let request = DescribeTopicPartitionsRequest { topics, response_partition_limit: i32::MAX, cursor: None };
    let answer = quickly(&mut client, 0, &request).await;
    all(&answer.topics.iter().map(|topic| topic.error_code.as_i16()).collect::<Vec<_>>(), unknown, MANY);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_partitions_that_are_not_there_are_answered_one_by_one() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = KString::from("none");
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    let partitions = || (0..MANY).map(|n| i32::MAX - i32::try_from(n).unwrap());
    let partition = |partition_index| DeleteRecordsPartition { partition_index, offset: i64::MAX };
    let asked = DeleteRecordsTopic { name: topic.clone(), partitions: partitions().map(partition).collect() };
    let answer = quickly(&mut client, 2, &DeleteRecordsRequest { topics: vec![asked], timeout_ms: 10_000 }).await;
    all(&answer.topics[0].partitions.iter().map(|p| p.error_code.as_i16()).collect::<Vec<_>>(), unknown, MANY);

    let partition = |partition_index| ListOffsetsPartition { partition_index, ..ListOffsetsPartition::default() };
    let asked = ListOffsetsTopic { name: topic.clone(), partitions: partitions().map(partition).collect() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![asked], ..ListOffsetsRequest::default() };
    let answer = quickly(&mut client, 7, &request).await;
    all(&answer.topics[0].partitions.iter().map(|p| p.error_code.as_i16()).collect::<Vec<_>>(), unknown, MANY);

    let partition = |partition| OffsetForLeaderPartition { partition, ..OffsetForLeaderPartition::default() };
    let asked = OffsetForLeaderTopic { topic: topic.clone(), partitions: partitions().map(partition).collect() };
    let request = OffsetForLeaderEpochRequest { replica_id: -1, topics: vec![asked] };
    let answer = quickly(&mut client, 4, &request).await;
    all(&answer.topics[0].partitions.iter().map(|p| p.error_code.as_i16()).collect::<Vec<_>>(), unknown, MANY);

    let asked = ProducersOf { name: topic.clone(), partition_indexes: partitions().collect() };
    let answer = quickly(&mut client, 0, &DescribeProducersRequest { topics: vec![asked] }).await;
    all(&answer.topics[0].partitions.iter().map(|p| p.error_code.as_i16()).collect::<Vec<_>>(), unknown, MANY);

    let asked = TopicPartitions { topic: topic.clone(), partitions: partitions().collect() };
    let request = ElectLeadersRequest { topic_partitions: Some(vec![asked]), timeout_ms: 10_000, ..Default::default() };
    let answer = quickly(&mut client, 2, &request).await;
    let results = &answer.replica_election_results[0].partition_result;
    all(&results.iter().map(|p| p.error_code.as_i16()).collect::<Vec<_>>(), unknown, MANY);

    let partition = |partition_index| ReassignablePartition { partition_index, replicas: Some(vec![1]) };
    let asked = ReassignableTopic { name: topic.clone(), partitions: partitions().map(partition).collect() };
    let request = AlterPartitionReassignmentsRequest { topics: vec![asked], timeout_ms: 10_000, ..Default::default() };
    let answer = quickly(&mut client, 0, &request).await;
    all(&answer.responses[0].partitions.iter().map(|p| p.error_code.as_i16()).collect::<Vec<_>>(), unknown, MANY);

    let asked = DescribableLogDirTopic { topic: topic.clone(), partitions: partitions().collect() };
    let answer = quickly(&mut client, 4, &DescribeLogDirsRequest { topics: Some(vec![asked]) }).await;
    assert!(answer.results.iter().all(|dir| dir.topics.is_empty()), "what is not there has no size");
}

#[tokio::test(start_paused = true)]
async fn configs_of_names_that_no_topic_has_are_refused_one_by_one() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let asked = [illegal_names(), names("none")].concat();
    let refused = |codes: Vec<i16>, what: &str| {
        assert_eq!(codes.len(), asked.len(), "{what}");
        // No name at all is another mistake in some of them.
        assert!([17, 42].contains(&codes[0]), "{what}: {}", codes[0]);
        let (illegal, absent) = codes[1..].split_at(illegal_names().len() - 1);
        assert!(illegal.iter().all(|code| *code == 17), "{what}: {illegal:?}");
        // DescribeConfigs tells of so many at once and no more (D-68).
        assert!(absent.iter().all(|code| [3, 44].contains(code)), "{what}: {:?}", &absent[..12]);
    };

    let resource = |name: &KString| DescribeConfigsResource {
        resource_type: TOPIC,
        resource_name: name.clone(),
        configuration_keys: None,
    };
    let request =
        DescribeConfigsRequest { resources: asked.iter().map(resource).collect(), ..DescribeConfigsRequest::default() };
    let answer = quickly(&mut client, 4, &request).await;
    refused(answer.results.iter().map(|result| result.error_code.as_i16()).collect(), "DescribeConfigs");

    let resource = |name: &KString| AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: name.clone(),
        configs: Vec::new(),
    };
    let request = AlterConfigsRequest { resources: asked.iter().map(resource).collect(), validate_only: false };
    let answer = quickly(&mut client, 2, &request).await;
    refused(answer.responses.iter().map(|result| result.error_code.as_i16()).collect(), "AlterConfigs");

    let resource =
        |name: &KString| ChangedResource { resource_type: TOPIC, resource_name: name.clone(), configs: Vec::new() };
    let request =
        IncrementalAlterConfigsRequest { resources: asked.iter().map(resource).collect(), validate_only: false };
    let answer = quickly(&mut client, 1, &request).await;
    refused(answer.responses.iter().map(|result| result.error_code.as_i16()).collect(), "IncrementalAlterConfigs");
}
