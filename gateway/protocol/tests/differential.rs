//! The same bytes as crate `kafka-protocol`, an independent codec generated from Kafka's schemas.
//!
//! For each version it has: our encoding is decoded by it, encoded by it, decoded by us and encoded by us; all bytes must be
//! equal, and so must the names and values of all fields. Only well-formed bytes: its decoder can abort the process on others.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::fmt::Debug;
use std::io::Write as _;

use bytes::BytesMut;
use kafka_protocol::messages as theirs;
use kafka_protocol::protocol::{Decodable, Encodable, Message as TheirMessage};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use sluice_protocol::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, MAX_VERSION};
use sluice_protocol::messages as ours;
use sluice_protocol::sample::{Sample, Source};
use sluice_protocol::{Bytes, Message, Reader, Request, Writer};

fn encode(message: &impl Message, version: i16) -> Bytes {
    let mut w = Writer::new();
    message.encode(&mut w, version).unwrap();
    w.finish().to_bytes()
}

/// Fields as `name: value`, without what the two crates print differently for the same thing.
fn normalised(debug: &str) -> String {
    let mut text = debug.replace(", unknown_tagged_fields: {}", "");
    // Fields of InitProducerId 6 (unstable), which their response has and ours has not.
    text = text.replace(", ongoing_txn_producer_id: -1, ongoing_txn_producer_epoch: -1", "");
    text = text.replace(", enable_2_pc: false, keep_prepared_txn: false", "");
    // Only in OffsetCommit 1, ListOffsets 0, DescribeConfigs 0 and DescribeLogDirs 5, which they do not have.
    for field in [
        ", commit_timestamp: -1",
        ", max_num_offsets: 1",
        ", old_style_offsets: []",
        ", is_default: false",
        ", is_cordoned: false",
    ] {
        text = text.replace(field, "");
    }
    for wrapper in ["TopicName(", "BrokerId(", "GroupId(", "TransactionalId(", "ProducerId(", "ErrorCode("] {
        while let Some(at) = text.find(wrapper) {
            let end = at + text[at..].find(')').expect("a wrapper that does not close");
            text = format!("{}{}{}", &text[..at], &text[at + wrapper.len()..end], &text[end + 1..]);
        }
    }
    // Records are compared by their bytes; a rope prints only its sizes.
    let mut out = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("records: Some(") {
        let value = at + "records: Some(".len();
        out.push_str(&rest[..value]);
        rest = &rest[value..];
        rest = &rest[end_of_records(rest)..];
    }
    out + rest
}

fn end_of_records(text: &str) -> usize {
    if text.starts_with("Rope") {
        return text.find('}').unwrap() + 1;
    }
    assert!(text.starts_with("b\""));
    let bytes = text.as_bytes();
    let mut at = 2;
    while bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn compare<O, T>(entropy: &[u8], version: i16)
where
    O: Message + Sample,
    T: Encodable + Decodable + Debug,
{
    let sample = O::sample(&mut Source::new(entropy), version, false);
    let ours = encode(&sample, version);
    let mut unread = ours.clone();
    let theirs = T::decode(&mut unread, version)
        .unwrap_or_else(|error| panic!("{} v{version}: they cannot read {sample:?}: {error}", O::NAME));
    assert!(unread.is_empty(), "{} v{version}: they leave {} bytes", O::NAME, unread.len());
    assert_eq!(normalised(&format!("{sample:?}")), normalised(&format!("{theirs:?}")), "{} v{version}", O::NAME);

    let mut encoded = BytesMut::new();
    theirs.encode(&mut encoded, version).unwrap();
    let encoded = encoded.freeze();
    assert_eq!(encoded, ours, "{} v{version}: {sample:?}", O::NAME);

    let mut r = Reader::new(encoded.clone());
    let decoded = O::decode(&mut r, version).unwrap();
    r.finish().unwrap();
    assert_eq!(decoded, sample);
    assert_eq!(encode(&decoded, version), encoded);
}

fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases: 96,
        rng_seed: RngSeed::Fixed(0xd1ff),
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

/// Compares an API in all its versions and returns those of its messages that they lack.
fn compare_api<R, Q, P>() -> Vec<String>
where
    R: Request<Response: Sample> + Sample,
    Q: Encodable + Decodable + Debug + TheirMessage,
    P: Encodable + Decodable + Debug + TheirMessage,
{
    let versions = || R::MIN_VERSION..=R::MAX_VERSION;
    let requests: Vec<i16> = versions().filter(|v| (Q::VERSIONS.min..=Q::VERSIONS.max).contains(v)).collect();
    let responses: Vec<i16> = versions().filter(|v| (P::VERSIONS.min..=P::VERSIONS.max).contains(v)).collect();
    runner()
        .run(&prop::collection::vec(any::<u8>(), 0..500), |entropy| {
            requests.iter().for_each(|&version| compare::<R, Q>(&entropy, version));
            responses.iter().for_each(|&version| compare::<R::Response, P>(&entropy, version));
            Ok(())
        })
        .unwrap();
    println!("{}: requests {requests:?}, responses {responses:?} agree with kafka-protocol 0.18", R::KEY);
    let lacking = |name: &str, shared: &[i16]| {
        let versions: Vec<String> = versions().filter(|v| !shared.contains(v)).map(|v| v.to_string()).collect();
        (!versions.is_empty()).then(|| format!("{name} {}", versions.join(" ")))
    };
    lacking(R::NAME, &requests).into_iter().chain(lacking(R::Response::NAME, &responses)).collect()
}

/// All of these are among the bytes written by Java (`golden_java`).
#[allow(clippy::explicit_write, reason = "println! is kept back from the output of a test that passes")]
fn tell_lacking(lacking: &[String]) {
    writeln!(std::io::stdout(), "versions that kafka-protocol 0.18 lacks: {}", lacking.join(", ")).unwrap();
}

#[test]
fn every_version_agrees_with_the_kafka_protocol_crate() {
    let lacking = [
        compare_api::<ours::ProduceRequest, theirs::ProduceRequest, theirs::ProduceResponse>(),
        compare_api::<ours::FetchRequest, theirs::FetchRequest, theirs::FetchResponse>(),
        compare_api::<ours::ListOffsetsRequest, theirs::ListOffsetsRequest, theirs::ListOffsetsResponse>(),
        compare_api::<ours::MetadataRequest, theirs::MetadataRequest, theirs::MetadataResponse>(),
        compare_api::<ours::FindCoordinatorRequest, theirs::FindCoordinatorRequest, theirs::FindCoordinatorResponse>(),
        compare_api::<ours::ApiVersionsRequest, theirs::ApiVersionsRequest, theirs::ApiVersionsResponse>(),
        compare_api::<ours::CreateTopicsRequest, theirs::CreateTopicsRequest, theirs::CreateTopicsResponse>(),
        compare_api::<ours::InitProducerIdRequest, theirs::InitProducerIdRequest, theirs::InitProducerIdResponse>(),
        compare_api::<ours::JoinGroupRequest, theirs::JoinGroupRequest, theirs::JoinGroupResponse>(),
        compare_api::<ours::SyncGroupRequest, theirs::SyncGroupRequest, theirs::SyncGroupResponse>(),
        compare_api::<ours::HeartbeatRequest, theirs::HeartbeatRequest, theirs::HeartbeatResponse>(),
        compare_api::<ours::LeaveGroupRequest, theirs::LeaveGroupRequest, theirs::LeaveGroupResponse>(),
        compare_api::<ours::OffsetCommitRequest, theirs::OffsetCommitRequest, theirs::OffsetCommitResponse>(),
        compare_api::<ours::OffsetFetchRequest, theirs::OffsetFetchRequest, theirs::OffsetFetchResponse>(),
        compare_api::<ours::OffsetDeleteRequest, theirs::OffsetDeleteRequest, theirs::OffsetDeleteResponse>(),
        compare_api::<ours::ListGroupsRequest, theirs::ListGroupsRequest, theirs::ListGroupsResponse>(),
        compare_api::<ours::DescribeGroupsRequest, theirs::DescribeGroupsRequest, theirs::DescribeGroupsResponse>(),
        compare_api::<ours::DeleteGroupsRequest, theirs::DeleteGroupsRequest, theirs::DeleteGroupsResponse>(),
        compare_api::<ours::DeleteTopicsRequest, theirs::DeleteTopicsRequest, theirs::DeleteTopicsResponse>(),
    ]
    .concat();
    tell_lacking(&lacking);
    assert_eq!(
        lacking,
        [
            "ProduceRequest 0 1 2",
            "ProduceResponse 0 1 2",
            "FetchRequest 0 1 2 3",
            "FetchResponse 0 1 2 3",
            "ListOffsetsRequest 0 11",
            "ListOffsetsResponse 0 11",
            "CreateTopicsRequest 0 1",
            "CreateTopicsResponse 0 1",
            "OffsetCommitRequest 0 1 10",
            "OffsetCommitResponse 0 1",
            "OffsetFetchRequest 0 10",
            "OffsetFetchResponse 0",
            "DeleteTopicsRequest 0",
            "DeleteTopicsResponse 0",
        ]
    );
}

#[test]
fn every_version_of_the_admin_apis_agrees_with_the_kafka_protocol_crate() {
    let lacking = [
        compare_api::<ours::DeleteRecordsRequest, theirs::DeleteRecordsRequest, theirs::DeleteRecordsResponse>(),
        compare_api::<
            ours::OffsetForLeaderEpochRequest,
            theirs::OffsetForLeaderEpochRequest,
            theirs::OffsetForLeaderEpochResponse,
        >(),
        compare_api::<ours::DescribeConfigsRequest, theirs::DescribeConfigsRequest, theirs::DescribeConfigsResponse>(),
        compare_api::<ours::AlterConfigsRequest, theirs::AlterConfigsRequest, theirs::AlterConfigsResponse>(),
        compare_api::<
            ours::IncrementalAlterConfigsRequest,
            theirs::IncrementalAlterConfigsRequest,
            theirs::IncrementalAlterConfigsResponse,
        >(),
        compare_api::<
            ours::ListConfigResourcesRequest,
            theirs::ListConfigResourcesRequest,
            theirs::ListConfigResourcesResponse,
        >(),
        compare_api::<ours::DescribeLogDirsRequest, theirs::DescribeLogDirsRequest, theirs::DescribeLogDirsResponse>(),
        compare_api::<ours::CreatePartitionsRequest, theirs::CreatePartitionsRequest, theirs::CreatePartitionsResponse>(
        ),
        compare_api::<ours::ElectLeadersRequest, theirs::ElectLeadersRequest, theirs::ElectLeadersResponse>(),
        compare_api::<
            ours::AlterPartitionReassignmentsRequest,
            theirs::AlterPartitionReassignmentsRequest,
            theirs::AlterPartitionReassignmentsResponse,
        >(),
        compare_api::<
            ours::ListPartitionReassignmentsRequest,
            theirs::ListPartitionReassignmentsRequest,
            theirs::ListPartitionReassignmentsResponse,
        >(),
        compare_api::<ours::DescribeClusterRequest, theirs::DescribeClusterRequest, theirs::DescribeClusterResponse>(),
        compare_api::<
            ours::DescribeProducersRequest,
            theirs::DescribeProducersRequest,
            theirs::DescribeProducersResponse,
        >(),
        compare_api::<
            ours::DescribeTopicPartitionsRequest,
            theirs::DescribeTopicPartitionsRequest,
            theirs::DescribeTopicPartitionsResponse,
        >(),
    ]
    .concat();
    tell_lacking(&lacking);
    assert_eq!(
        lacking,
        [
            "OffsetForLeaderEpochRequest 0 1",
            "OffsetForLeaderEpochResponse 0 1",
            "DescribeConfigsRequest 0",
            "DescribeConfigsResponse 0",
            "DescribeLogDirsRequest 0 5",
            "DescribeLogDirsResponse 0 5",
        ]
    );
}

fn check<O: Default + Debug, T: Default + Debug>() {
    assert_eq!(normalised(&format!("{:?}", O::default())), normalised(&format!("{:?}", T::default())));
}

#[test]
fn defaults_agree_with_the_kafka_protocol_crate() {
    // Without the structs that have records: theirs default to empty, Kafka's Java classes and ours to null.
    check::<ours::ProduceRequest, theirs::ProduceRequest>();
    check::<ours::produce::TopicProduceData, theirs::produce_request::TopicProduceData>();
    check::<ours::ProduceResponse, theirs::ProduceResponse>();
    check::<ours::produce::TopicProduceResponse, theirs::produce_response::TopicProduceResponse>();
    check::<ours::produce::PartitionProduceResponse, theirs::produce_response::PartitionProduceResponse>();
    check::<ours::produce::BatchIndexAndErrorMessage, theirs::produce_response::BatchIndexAndErrorMessage>();
    check::<ours::produce::LeaderIdAndEpoch, theirs::produce_response::LeaderIdAndEpoch>();
    check::<ours::produce::NodeEndpoint, theirs::produce_response::NodeEndpoint>();
    check::<ours::FetchRequest, theirs::FetchRequest>();
    check::<ours::fetch::FetchTopic, theirs::fetch_request::FetchTopic>();
    check::<ours::fetch::FetchPartition, theirs::fetch_request::FetchPartition>();
    check::<ours::fetch::ForgottenTopic, theirs::fetch_request::ForgottenTopic>();
    check::<ours::FetchResponse, theirs::FetchResponse>();
    check::<ours::fetch::FetchableTopicResponse, theirs::fetch_response::FetchableTopicResponse>();
    check::<ours::fetch::AbortedTransaction, theirs::fetch_response::AbortedTransaction>();
    check::<ours::fetch::NodeEndpoint, theirs::fetch_response::NodeEndpoint>();
    check::<ours::ListOffsetsRequest, theirs::ListOffsetsRequest>();
    check::<ours::list_offsets::ListOffsetsTopic, theirs::list_offsets_request::ListOffsetsTopic>();
    check::<ours::list_offsets::ListOffsetsPartition, theirs::list_offsets_request::ListOffsetsPartition>();
    check::<ours::ListOffsetsResponse, theirs::ListOffsetsResponse>();
    check::<ours::list_offsets::ListOffsetsTopicResponse, theirs::list_offsets_response::ListOffsetsTopicResponse>();
    check::<
        ours::list_offsets::ListOffsetsPartitionResponse,
        theirs::list_offsets_response::ListOffsetsPartitionResponse,
    >();
    check::<ours::MetadataRequest, theirs::MetadataRequest>();
    check::<ours::metadata::MetadataRequestTopic, theirs::metadata_request::MetadataRequestTopic>();
    check::<ours::MetadataResponse, theirs::MetadataResponse>();
    check::<ours::metadata::MetadataResponseBroker, theirs::metadata_response::MetadataResponseBroker>();
    check::<ours::metadata::MetadataResponseTopic, theirs::metadata_response::MetadataResponseTopic>();
    check::<ours::metadata::MetadataResponsePartition, theirs::metadata_response::MetadataResponsePartition>();
    check::<ours::FindCoordinatorRequest, theirs::FindCoordinatorRequest>();
    check::<ours::FindCoordinatorResponse, theirs::FindCoordinatorResponse>();
    check::<ours::find_coordinator::Coordinator, theirs::find_coordinator_response::Coordinator>();
    check::<ours::ApiVersionsRequest, theirs::ApiVersionsRequest>();
    check::<ours::ApiVersionsResponse, theirs::ApiVersionsResponse>();
    check::<ours::CreateTopicsRequest, theirs::CreateTopicsRequest>();
    check::<ours::create_topics::CreatableTopic, theirs::create_topics_request::CreatableTopic>();
    check::<ours::create_topics::CreatableTopicConfig, theirs::create_topics_request::CreatableTopicConfig>();
    check::<ours::CreateTopicsResponse, theirs::CreateTopicsResponse>();
    check::<ours::create_topics::CreatableTopicResult, theirs::create_topics_response::CreatableTopicResult>();
    check::<ours::create_topics::CreatableTopicConfigs, theirs::create_topics_response::CreatableTopicConfigs>();
    check::<ours::InitProducerIdRequest, theirs::InitProducerIdRequest>();
    check::<ours::InitProducerIdResponse, theirs::InitProducerIdResponse>();
}

#[test]
fn defaults_of_the_group_apis_agree_with_the_kafka_protocol_crate() {
    check::<ours::JoinGroupRequest, theirs::JoinGroupRequest>();
    check::<ours::JoinGroupResponse, theirs::JoinGroupResponse>();
    check::<ours::SyncGroupRequest, theirs::SyncGroupRequest>();
    check::<ours::SyncGroupResponse, theirs::SyncGroupResponse>();
    check::<ours::HeartbeatRequest, theirs::HeartbeatRequest>();
    check::<ours::HeartbeatResponse, theirs::HeartbeatResponse>();
    check::<ours::LeaveGroupRequest, theirs::LeaveGroupRequest>();
    check::<ours::LeaveGroupResponse, theirs::LeaveGroupResponse>();
    check::<ours::ListGroupsRequest, theirs::ListGroupsRequest>();
    check::<ours::ListGroupsResponse, theirs::ListGroupsResponse>();
    check::<ours::DescribeGroupsRequest, theirs::DescribeGroupsRequest>();
    check::<ours::DescribeGroupsResponse, theirs::DescribeGroupsResponse>();
    check::<ours::DeleteGroupsRequest, theirs::DeleteGroupsRequest>();
    check::<ours::DeleteGroupsResponse, theirs::DeleteGroupsResponse>();
    check::<ours::join_group::JoinGroupRequestProtocol, theirs::join_group_request::JoinGroupRequestProtocol>();
    check::<ours::join_group::JoinGroupResponseMember, theirs::join_group_response::JoinGroupResponseMember>();
    check::<ours::sync_group::SyncGroupRequestAssignment, theirs::sync_group_request::SyncGroupRequestAssignment>();
    check::<ours::leave_group::MemberIdentity, theirs::leave_group_request::MemberIdentity>();
    check::<ours::leave_group::MemberResponse, theirs::leave_group_response::MemberResponse>();
    check::<ours::list_groups::ListedGroup, theirs::list_groups_response::ListedGroup>();
    check::<ours::describe_groups::DescribedGroup, theirs::describe_groups_response::DescribedGroup>();
    check::<ours::describe_groups::DescribedGroupMember, theirs::describe_groups_response::DescribedGroupMember>();
    check::<ours::delete_groups::DeletableGroupResult, theirs::delete_groups_response::DeletableGroupResult>();
}

#[test]
fn defaults_of_the_offset_apis_agree_with_the_kafka_protocol_crate() {
    check::<ours::OffsetCommitRequest, theirs::OffsetCommitRequest>();
    check::<ours::OffsetCommitResponse, theirs::OffsetCommitResponse>();
    check::<ours::OffsetFetchRequest, theirs::OffsetFetchRequest>();
    check::<ours::OffsetFetchResponse, theirs::OffsetFetchResponse>();
    check::<ours::OffsetDeleteRequest, theirs::OffsetDeleteRequest>();
    check::<ours::OffsetDeleteResponse, theirs::OffsetDeleteResponse>();
    check::<ours::DeleteTopicsRequest, theirs::DeleteTopicsRequest>();
    check::<ours::DeleteTopicsResponse, theirs::DeleteTopicsResponse>();
    check::<ours::offset_commit::OffsetCommitRequestTopic, theirs::offset_commit_request::OffsetCommitRequestTopic>();
    check::<
        ours::offset_commit::OffsetCommitRequestPartition,
        theirs::offset_commit_request::OffsetCommitRequestPartition,
    >();
    check::<ours::offset_commit::OffsetCommitResponseTopic, theirs::offset_commit_response::OffsetCommitResponseTopic>(
    );
    check::<
        ours::offset_commit::OffsetCommitResponsePartition,
        theirs::offset_commit_response::OffsetCommitResponsePartition,
    >();
    check::<ours::offset_fetch::OffsetFetchRequestTopic, theirs::offset_fetch_request::OffsetFetchRequestTopic>();
    check::<ours::offset_fetch::OffsetFetchRequestGroup, theirs::offset_fetch_request::OffsetFetchRequestGroup>();
    check::<ours::offset_fetch::OffsetFetchRequestTopics, theirs::offset_fetch_request::OffsetFetchRequestTopics>();
    check::<ours::offset_fetch::OffsetFetchResponseTopic, theirs::offset_fetch_response::OffsetFetchResponseTopic>();
    check::<
        ours::offset_fetch::OffsetFetchResponsePartition,
        theirs::offset_fetch_response::OffsetFetchResponsePartition,
    >();
    check::<ours::offset_fetch::OffsetFetchResponseGroup, theirs::offset_fetch_response::OffsetFetchResponseGroup>();
    check::<ours::offset_fetch::OffsetFetchResponseTopics, theirs::offset_fetch_response::OffsetFetchResponseTopics>();
    check::<
        ours::offset_fetch::OffsetFetchResponsePartitions,
        theirs::offset_fetch_response::OffsetFetchResponsePartitions,
    >();
    check::<ours::offset_delete::OffsetDeleteRequestTopic, theirs::offset_delete_request::OffsetDeleteRequestTopic>();
    check::<
        ours::offset_delete::OffsetDeleteRequestPartition,
        theirs::offset_delete_request::OffsetDeleteRequestPartition,
    >();
    check::<ours::offset_delete::OffsetDeleteResponseTopic, theirs::offset_delete_response::OffsetDeleteResponseTopic>(
    );
    check::<
        ours::offset_delete::OffsetDeleteResponsePartition,
        theirs::offset_delete_response::OffsetDeleteResponsePartition,
    >();
    check::<ours::delete_topics::DeleteTopicState, theirs::delete_topics_request::DeleteTopicState>();
    check::<ours::delete_topics::DeletableTopicResult, theirs::delete_topics_response::DeletableTopicResult>();
}

#[test]
fn the_consumer_protocol_agrees_with_the_kafka_protocol_crate() {
    runner()
        .run(&prop::collection::vec(any::<u8>(), 0..500), |entropy| {
            for version in 0..=MAX_VERSION {
                compare::<ConsumerProtocolSubscription, theirs::ConsumerProtocolSubscription>(&entropy, version);
                compare::<ConsumerProtocolAssignment, theirs::ConsumerProtocolAssignment>(&entropy, version);
            }
            Ok(())
        })
        .unwrap();
}
