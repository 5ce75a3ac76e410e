//! One well-formed request of each administrative API and version, for known issue 7.

use sluice_protocol::messages::alter_configs::{AlterConfigsResource, AlterableConfig};
use sluice_protocol::messages::create_partitions::CreatePartitionsTopic;
use sluice_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use sluice_protocol::messages::describe_configs::DescribeConfigsResource;
use sluice_protocol::messages::describe_producers::TopicRequest as ProducersOf;
use sluice_protocol::messages::describe_topic_partitions::TopicRequest;
use sluice_protocol::messages::elect_leaders::TopicPartitions;
use sluice_protocol::messages::offset_for_leader_epoch::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use sluice_protocol::messages::{
    AlterConfigsRequest, AlterPartitionReassignmentsRequest, CreatePartitionsRequest, DeleteRecordsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeLogDirsRequest, DescribeProducersRequest,
    DescribeTopicPartitionsRequest, ElectLeadersRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
    ListPartitionReassignmentsRequest, OffsetForLeaderEpochRequest,
    alter_partition_reassignments::{ReassignablePartition, ReassignableTopic},
    incremental_alter_configs,
};
use sluice_protocol::{ErrorCode, KString};
use sluice_tests::raw::RawClient;

const TOPIC_RESOURCE: i8 = 2;

fn t() -> KString {
    KString::from("t")
}

/// Uses one version of an API on topic `t`, which exists, and judges the answer; false for an API that is not one of these.
pub(crate) fn use_admin_version(client: &mut RawClient, key: i16, version: i16) -> bool {
    let code = match key {
        21 => delete_records(client, version),
        23 => end_of_epoch(client, version),
        32 => describe_configs(client, version),
        33 | 44 => alter_configs(client, key, version),
        35 => client.request(version, &DescribeLogDirsRequest { topics: None }).results[0].error_code,
        37 => create_partitions(client, version),
        43 => return elect_leaders(client, version),
        45 => reassign(client, version),
        46 => client.request(version, &ListPartitionReassignmentsRequest::default()).error_code,
        60 => describe_cluster(client, version),
        61 => {
            let topics = vec![ProducersOf { name: t(), partition_indexes: vec![0] }];
            client.request(version, &DescribeProducersRequest { topics }).topics[0].partitions[0].error_code
        }
        74 => client.request(version, &ListConfigResourcesRequest::default()).error_code,
        75 => {
            let topics = vec![TopicRequest { name: t() }];
            let request = DescribeTopicPartitionsRequest { topics, ..DescribeTopicPartitionsRequest::default() };
            client.request(version, &request).topics[0].error_code
        }
        _ => return false,
    };
    assert_eq!(code, ErrorCode::NONE, "API {key}, version {version}");
    true
}

fn delete_records(client: &mut RawClient, version: i16) -> ErrorCode {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset: 0 }];
    let topics = vec![DeleteRecordsTopic { name: t(), partitions }];
    client.request(version, &DeleteRecordsRequest { topics, timeout_ms: 10_000 }).topics[0].partitions[0].error_code
}

fn end_of_epoch(client: &mut RawClient, version: i16) -> ErrorCode {
    let partitions = vec![OffsetForLeaderPartition::default()];
    let topics = vec![OffsetForLeaderTopic { topic: t(), partitions }];
    let request = OffsetForLeaderEpochRequest { topics, ..OffsetForLeaderEpochRequest::default() };
    let answer = client.request(version, &request);
    assert!(answer.topics[0].partitions[0].end_offset >= 0, "OffsetForLeaderEpoch {version}");
    answer.topics[0].partitions[0].error_code
}

fn describe_configs(client: &mut RawClient, version: i16) -> ErrorCode {
    let resource =
        DescribeConfigsResource { resource_type: TOPIC_RESOURCE, resource_name: t(), configuration_keys: None };
    let request = DescribeConfigsRequest { resources: vec![resource], ..DescribeConfigsRequest::default() };
    let answer = client.request(version, &request).results.remove(0);
    assert!(answer.configs.iter().any(|config| &*config.name == "cleanup.policy"), "DescribeConfigs {version}");
    answer.error_code
}

fn alter_configs(client: &mut RawClient, key: i16, version: i16) -> ErrorCode {
    let (name, value) = (KString::from("retention.ms"), Some(KString::from("86400000")));
    if key == 33 {
        let configs = vec![AlterableConfig { name, value }];
        let resource = AlterConfigsResource { resource_type: TOPIC_RESOURCE, resource_name: t(), configs };
        let request = AlterConfigsRequest { resources: vec![resource], validate_only: false };
        return client.request(version, &request).responses[0].error_code;
    }
    let configs = vec![incremental_alter_configs::AlterableConfig { name, config_operation: 0, value }];
    let resource =
        incremental_alter_configs::AlterConfigsResource { resource_type: TOPIC_RESOURCE, resource_name: t(), configs };
    let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
    client.request(version, &request).responses[0].error_code
}

fn create_partitions(client: &mut RawClient, version: i16) -> ErrorCode {
    let name = KString::from(format!("grows-in-{version}"));
    assert_eq!(client.create_topic(&name, 1), ErrorCode::NONE);
    let topics = vec![CreatePartitionsTopic { name, count: 2, assignments: None }];
    let request = CreatePartitionsRequest { topics, timeout_ms: 10_000, validate_only: false };
    client.request(version, &request).results[0].error_code
}

fn elect_leaders(client: &mut RawClient, version: i16) -> bool {
    let topics = vec![TopicPartitions { topic: t(), partitions: vec![0] }];
    let request = ElectLeadersRequest { topic_partitions: Some(topics), ..ElectLeadersRequest::default() };
    let answer = client.request(version, &request);
    let code = answer.replica_election_results[0].partition_result[0].error_code;
    assert_eq!(code, ErrorCode::ELECTION_NOT_NEEDED, "ElectLeaders {version}");
    true
}

fn reassign(client: &mut RawClient, version: i16) -> ErrorCode {
    let partitions = vec![ReassignablePartition { partition_index: 0, replicas: Some(vec![1]) }];
    let topics = vec![ReassignableTopic { name: t(), partitions }];
    let request = AlterPartitionReassignmentsRequest { topics, ..AlterPartitionReassignmentsRequest::default() };
    client.request(version, &request).responses[0].partitions[0].error_code
}

fn describe_cluster(client: &mut RawClient, version: i16) -> ErrorCode {
    let answer = client.request(version, &DescribeClusterRequest::default());
    assert_eq!(answer.brokers.len(), 1, "DescribeCluster {version}");
    answer.error_code
}
