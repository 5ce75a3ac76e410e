//! What differs between versions of the group and offset messages, and the embedded protocol of consumers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use sluice_protocol::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, MAX_VERSION, TopicPartition, read_subscribed_topics,
};
use sluice_protocol::messages::{
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeGroupsResponse, HeartbeatRequest, JoinGroupRequest,
    JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse, delete_topics, describe_groups,
    join_group, leave_group, offset_commit, offset_delete, offset_fetch, sync_group,
};
use sluice_protocol::sample::{Sample, Source};
use sluice_protocol::{
    ApiKey, Bytes, DecodeError, EncodeError, ErrorCode, KString, Message, Reader, Uuid, Writer, decode_request,
    encode_request, encode_response,
};

fn encode(message: &impl Message, version: i16) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    message.encode(&mut w, version)?;
    Ok(w.finish().to_bytes())
}

fn decode<M: Message>(bytes: &Bytes, version: i16) -> Result<M, DecodeError> {
    let mut r = Reader::new(bytes.clone());
    let message = M::decode(&mut r, version)?;
    r.finish()?;
    Ok(message)
}

fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases: 256,
        rng_seed: RngSeed::Fixed(0x6809),
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

fn commit_of(partition: offset_commit::OffsetCommitRequestPartition) -> OffsetCommitRequest {
    OffsetCommitRequest {
        group_id: "g".into(),
        topics: vec![offset_commit::OffsetCommitRequestTopic {
            name: "t".into(),
            topic_id: Uuid::from_u128(0x0102),
            partitions: vec![partition],
        }],
        ..Default::default()
    }
}

#[test]
fn offset_commit_has_the_layouts_of_every_client_generation() {
    let mut request = commit_of(offset_commit::OffsetCommitRequestPartition {
        partition_index: 1,
        committed_offset: 2,
        committed_leader_epoch: 3,
        committed_metadata: None,
        ..Default::default()
    });
    request.generation_id_or_member_epoch = 5;
    request.member_id = "m".into();
    request.retention_time_ms = 6;
    let (group, member): (&[u8], &[u8]) = (b"\0\x01g", b"\0\0\0\x05\0\x01m");
    let topic: &[u8] = b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\x02";
    let (metadata, retention): (&[u8], &[u8]) = (b"\xff\xff", b"\0\0\0\0\0\0\0\x06");
    let (no_time, epoch, no_instance): (&[u8], &[u8], &[u8]) = (&[0xff; 8], b"\0\0\0\x03", b"\xff\xff");
    assert_eq!(encode(&request, 0).unwrap(), [group, topic, metadata].concat());
    assert_eq!(encode(&request, 1).unwrap(), [group, member, topic, no_time, metadata].concat());
    for version in 2..=4 {
        assert_eq!(encode(&request, version).unwrap(), [group, member, retention, topic, metadata].concat());
    }
    assert_eq!(encode(&request, 5).unwrap(), [group, member, topic, metadata].concat());
    assert_eq!(encode(&request, 6).unwrap(), [group, member, topic, epoch, metadata].concat());
    assert_eq!(encode(&request, 7).unwrap(), [group, member, no_instance, topic, epoch, metadata].concat());
    let flexible: &[u8] = b"\x02g\0\0\0\x05\x02m\0\x02";
    let partition: &[u8] = b"\x02\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\x03\0\0";
    for version in [8, 9] {
        assert_eq!(encode(&request, version).unwrap(), [flexible, b"\x02t", partition, b"\0\0"].concat());
    }
    let id = Uuid::from_u128(0x0102);
    assert_eq!(encode(&request, 10).unwrap(), [flexible, id.as_bytes(), partition, b"\0\0"].concat());
    // A version 0 knows no member: the defaults mean a commit from outside the group.
    let decoded: OffsetCommitRequest = decode(&encode(&request, 0).unwrap(), 0).unwrap();
    assert_eq!((decoded.generation_id_or_member_epoch, decoded.member_id.as_str()), (-1, ""));
    assert_eq!((decoded.retention_time_ms, decoded.topics[0].partitions[0].commit_timestamp), (-1, -1));
    assert_eq!(decoded.topics[0].partitions[0].committed_leader_epoch, -1);
}

#[test]
fn the_commit_time_is_in_version_1_alone() {
    let request = commit_of(offset_commit::OffsetCommitRequestPartition { commit_timestamp: 9, ..Default::default() });
    let told: OffsetCommitRequest = decode(&encode(&request, 1).unwrap(), 1).unwrap();
    assert_eq!(told.topics[0].partitions[0].commit_timestamp, 9);
    for version in [0, 2, 10] {
        assert!(matches!(
            encode(&request, version),
            Err(EncodeError::UnsupportedField { field: "commit_timestamp", .. })
        ));
    }
}

#[test]
fn offset_fetch_asks_for_all_topics_with_null_and_for_none_with_an_empty_list() {
    let all = OffsetFetchRequest { group_id: "g".into(), topics: None, ..Default::default() };
    let none = OffsetFetchRequest { group_id: "g".into(), ..Default::default() };
    for version in [0, 1] {
        assert!(matches!(encode(&all, version), Err(EncodeError::UnexpectedNull { field: "topics", .. })));
        let null = Bytes::from_static(b"\0\x01g\xff\xff\xff\xff");
        assert_eq!(decode::<OffsetFetchRequest>(&null, version), Err(DecodeError::UnexpectedNull));
    }
    for version in 2..=7 {
        assert_eq!(decode(&encode(&all, version).unwrap(), version), Ok(all.clone()));
        assert_eq!(decode(&encode(&none, version).unwrap(), version), Ok(none.clone()));
    }
    let group = |topics| OffsetFetchRequest {
        groups: vec![offset_fetch::OffsetFetchRequestGroup { group_id: "g".into(), topics, ..Default::default() }],
        ..Default::default()
    };
    assert_eq!(&encode(&group(None), 8).unwrap()[..], b"\x02\x02g\0\0\0\0");
    assert_eq!(&encode(&group(Some(Vec::new())), 8).unwrap()[..], b"\x02\x02g\x01\0\0\0");
    // The old form is no request of a new version, nor the other way round.
    assert!(matches!(encode(&none, 8), Err(EncodeError::UnsupportedField { field: "group_id", .. })));
    assert!(matches!(encode(&group(None), 7), Err(EncodeError::UnsupportedField { field: "groups", .. })));
    let stable = OffsetFetchRequest { require_stable: true, ..Default::default() };
    assert!(matches!(encode(&stable, 6), Err(EncodeError::UnsupportedField { .. })));
    assert!(encode(&stable, 7).is_ok());
}

#[test]
fn offset_fetch_answers_a_group_in_its_own_block_from_version_8_on() {
    let old = OffsetFetchResponse { error_code: ErrorCode::UNSTABLE_OFFSET_COMMIT, ..Default::default() };
    assert_eq!(&encode(&old, 1).unwrap()[..], &[0; 4]);
    assert_eq!(&encode(&old, 2).unwrap()[..], &[0, 0, 0, 0, 0, 88]);
    assert_eq!(&encode(&old, 3).unwrap()[..], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 88]);
    let new = OffsetFetchResponse {
        groups: vec![offset_fetch::OffsetFetchResponseGroup {
            group_id: "g".into(),
            topics: vec![offset_fetch::OffsetFetchResponseTopics {
                name: "t".into(),
                topic_id: Uuid::from_u128(7),
                partitions: Vec::new(),
            }],
            error_code: ErrorCode::STALE_MEMBER_EPOCH,
        }],
        ..Default::default()
    };
    assert_eq!(&encode(&new, 9).unwrap()[..], b"\0\0\0\0\x02\x02g\x02\x02t\x01\0\0\x71\0\0");
    let id = Uuid::from_u128(7);
    let expected = [&b"\0\0\0\0\x02\x02g\x02"[..], id.as_bytes(), b"\x01\0\0\x71\0\0"].concat();
    assert_eq!(encode(&new, 10).unwrap(), expected);
    assert!(matches!(encode(&new, 7), Err(EncodeError::UnsupportedField { field: "groups", .. })));
}

#[test]
fn join_group_answers_with_an_empty_protocol_before_version_7_and_with_null_after() {
    let refused = JoinGroupResponse {
        error_code: ErrorCode::MEMBER_ID_REQUIRED,
        protocol_name: None,
        member_id: "m".into(),
        ..Default::default()
    };
    for version in 0..=6 {
        assert!(matches!(encode(&refused, version), Err(EncodeError::UnexpectedNull { field: "protocol_name", .. })));
    }
    for version in 7..=9 {
        assert_eq!(decode(&encode(&refused, version).unwrap(), version), Ok(refused.clone()));
    }
    let empty = JoinGroupResponse { protocol_name: Some(KString::new()), ..refused };
    assert_eq!(&encode(&empty, 0).unwrap()[..], b"\0\x4f\xff\xff\xff\xff\0\0\0\0\0\x01m\0\0\0\0");
    assert_eq!(decode(&encode(&empty, 6).unwrap(), 6), Ok(empty));
    let skipping = JoinGroupResponse { skip_assignment: true, ..Default::default() };
    assert!(matches!(encode(&skipping, 8), Err(EncodeError::UnsupportedField { field: "skip_assignment", .. })));
    assert!(encode(&skipping, 9).is_ok());
}

#[test]
fn join_group_without_a_rebalance_timeout_says_so() {
    let request = JoinGroupRequest { session_timeout_ms: 10, rebalance_timeout_ms: 20, ..Default::default() };
    assert_eq!(decode::<JoinGroupRequest>(&encode(&request, 0).unwrap(), 0).unwrap().rebalance_timeout_ms, -1);
    assert_eq!(decode::<JoinGroupRequest>(&encode(&request, 1).unwrap(), 1).unwrap().rebalance_timeout_ms, 20);
}

#[test]
fn a_static_member_cannot_be_named_in_versions_that_have_none() {
    let instance = || Some(KString::from_static("i"));
    let join = JoinGroupRequest { group_instance_id: instance(), ..Default::default() };
    let sync = SyncGroupRequest { group_instance_id: instance(), ..Default::default() };
    let heartbeat = HeartbeatRequest { group_instance_id: instance(), ..Default::default() };
    let commit = OffsetCommitRequest { group_instance_id: instance(), ..Default::default() };
    fn check<M: Message>(message: &M, since: i16) {
        let field = "group_instance_id";
        let refused = EncodeError::UnsupportedField { message: M::NAME, field, version: since - 1 };
        assert_eq!(encode(message, since - 1), Err(refused));
        assert_eq!(decode::<M>(&encode(message, since).unwrap(), since).as_ref(), Ok(message));
    }
    check(&join, 5);
    check(&sync, 3);
    check(&heartbeat, 3);
    check(&commit, 7);
}

#[test]
fn leave_group_names_one_member_up_to_version_2_and_several_after() {
    let one = LeaveGroupRequest { group_id: "g".into(), member_id: "m".into(), ..Default::default() };
    assert_eq!(&encode(&one, 2).unwrap()[..], b"\0\x01g\0\x01m");
    assert!(matches!(encode(&one, 3), Err(EncodeError::UnsupportedField { field: "member_id", .. })));
    let member = leave_group::MemberIdentity { member_id: "m".into(), reason: Some("r".into()), ..Default::default() };
    let several = LeaveGroupRequest { group_id: "g".into(), members: vec![member], ..Default::default() };
    assert!(matches!(encode(&several, 2), Err(EncodeError::UnsupportedField { field: "members", .. })));
    assert_eq!(&encode(&several, 3).unwrap()[..], b"\0\x01g\0\0\0\x01\0\x01m\xff\xff");
    assert_eq!(&encode(&several, 4).unwrap()[..], b"\x02g\x02\x02m\0\0\0");
    assert_eq!(&encode(&several, 5).unwrap()[..], b"\x02g\x02\x02m\0\x02r\0\0");
}

#[test]
fn offset_delete_is_not_flexible_in_header_or_body() {
    let request = OffsetDeleteRequest {
        group_id: "g".into(),
        topics: vec![offset_delete::OffsetDeleteRequestTopic {
            name: "t".into(),
            partitions: vec![offset_delete::OffsetDeleteRequestPartition { partition_index: 3 }],
        }],
    };
    let frame = encode_request(1, None, 0, &request).unwrap().to_bytes();
    let header: &[u8] = b"\0\0\0\x1c\0\x2f\0\0\0\0\0\x01\xff\xff";
    assert_eq!(frame, [header, b"\0\x01g\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03"].concat());
    // The error comes before the throttle time.
    let error_code = ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC;
    let response = OffsetDeleteResponse { error_code, throttle_time_ms: 5, ..Default::default() };
    let frame = encode_response(1, ApiKey::OffsetDelete, 0, &response).unwrap().to_bytes();
    assert_eq!(&frame[..], b"\0\0\0\x0e\0\0\0\x01\0\x56\0\0\0\x05\0\0\0\0");
}

#[test]
fn delete_topics_names_topics_or_ids_from_version_6_on() {
    let by_name = DeleteTopicsRequest { topic_names: vec!["t".into()], timeout_ms: 1, ..Default::default() };
    for version in 0..=3 {
        assert_eq!(&encode(&by_name, version).unwrap()[..], b"\0\0\0\x01\0\x01t\0\0\0\x01");
    }
    assert_eq!(&encode(&by_name, 4).unwrap()[..], b"\x02\x02t\0\0\0\x01\0");
    let id = Uuid::from_u128(9);
    let by_id = DeleteTopicsRequest {
        topics: vec![delete_topics::DeleteTopicState { name: None, topic_id: id }],
        ..Default::default()
    };
    assert!(matches!(encode(&by_id, 5), Err(EncodeError::UnsupportedField { field: "topics", .. })));
    let expected = [&b"\x02\0"[..], id.as_bytes(), b"\0\0\0\0\0\0"].concat();
    assert_eq!(encode(&by_id, 6).unwrap(), expected);
    // An unknown id is answered without a name.
    let result = delete_topics::DeletableTopicResult { name: None, topic_id: id, ..Default::default() };
    let response = DeleteTopicsResponse { responses: vec![result], ..Default::default() };
    assert!(matches!(encode(&response, 5), Err(EncodeError::UnexpectedNull { field: "name", .. })));
    assert_eq!(decode(&encode(&response, 6).unwrap(), 6), Ok(response));
}

#[test]
fn authorized_operations_are_left_at_their_default_before_version_3() {
    let described = |authorized_operations| DescribeGroupsResponse {
        groups: vec![describe_groups::DescribedGroup { authorized_operations, ..Default::default() }],
        ..Default::default()
    };
    assert!(encode(&described(i32::MIN), 2).is_ok());
    assert!(matches!(encode(&described(1), 2), Err(EncodeError::UnsupportedField { .. })));
    assert!(encode(&described(1), 3).is_ok());
}

#[test]
fn metadata_and_assignments_cannot_be_null() {
    // I-09: a null where Kafka's schema has none is an error, in both encodings.
    let old = Bytes::from_static(b"\0\0\0\0\xff\xff\xff\xff");
    assert_eq!(decode::<SyncGroupResponse>(&old.slice(2..), 0), Err(DecodeError::UnexpectedNull));
    let flexible = Bytes::from_static(b"\0\0\0\0\0\0\0\0");
    assert_eq!(decode::<SyncGroupResponse>(&flexible, 4), Err(DecodeError::UnexpectedNull));
    let empty = Bytes::from_static(b"\0\0\0\0\0\0\x01\0");
    assert_eq!(decode(&empty, 4), Ok(SyncGroupResponse::default()));
}

#[test]
fn large_metadata_and_assignments_are_neither_copied_in_nor_out() {
    let blob = Bytes::from(vec![7; 400 * 1024]);
    let join = JoinGroupRequest {
        protocols: vec![join_group::JoinGroupRequestProtocol { name: "range".into(), metadata: blob.clone() }],
        ..Default::default()
    };
    let assignment = sync_group::SyncGroupRequestAssignment { member_id: "m".into(), assignment: blob.clone() };
    let sync = SyncGroupRequest { assignments: vec![assignment; 3], ..Default::default() };
    for version in [0, 9] {
        let rope = encode_request(1, None, version, &join).unwrap();
        assert!(rope.iter().any(|chunk| chunk.as_ptr() == blob.as_ptr()), "copied while encoding");
        let frame = rope.to_bytes().slice(4..);
        let (_, decoded) = decode_request::<JoinGroupRequest>(&frame).unwrap();
        assert!(frame.as_ptr_range().contains(&decoded.protocols[0].metadata.as_ptr()), "copied while decoding");
    }
    for version in [0, 5] {
        let rope = encode_request(1, None, version, &sync).unwrap();
        assert_eq!(rope.iter().filter(|chunk| chunk.as_ptr() == blob.as_ptr()).count(), 3);
        let frame = rope.to_bytes().slice(4..);
        let (_, decoded) = decode_request::<SyncGroupRequest>(&frame).unwrap();
        assert!(decoded.assignments.iter().all(|a| frame.as_ptr_range().contains(&a.assignment.as_ptr())));
    }
}

fn subscription() -> ConsumerProtocolSubscription {
    ConsumerProtocolSubscription {
        topics: vec!["a".into(), "b".into()],
        user_data: None,
        owned_partitions: vec![TopicPartition { topic: "a".into(), partitions: vec![1] }],
        generation_id: 4,
        rack_id: Some("r".into()),
    }
}

#[test]
fn a_subscription_has_the_known_bytes_in_every_version() {
    let topics: &[u8] = b"\0\0\0\x02\0\x01a\0\x01b\xff\xff\xff\xff";
    let owned: &[u8] = b"\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x01";
    let (generation, rack): (&[u8], &[u8]) = (b"\0\0\0\x04", b"\0\x01r");
    let fields = [topics, owned, generation, rack];
    for (version, fields_of_version) in (0_i16..).zip(1..=4) {
        let expected = [&version.to_be_bytes()[..], &fields[..fields_of_version].concat()].concat();
        assert_eq!(subscription().to_bytes(version).unwrap(), expected);
        assert_eq!(read_subscribed_topics(&Bytes::from(expected)).unwrap(), ["a", "b"]);
    }
    assert_eq!(
        subscription().to_bytes(4),
        Err(EncodeError::UnsupportedVersion { message: "ConsumerProtocolSubscription", version: 4 })
    );
}

#[test]
fn an_assignment_has_the_known_bytes_in_every_version() {
    let assignment = ConsumerProtocolAssignment {
        assigned_partitions: vec![TopicPartition { topic: "a".into(), partitions: vec![0, 2] }],
        user_data: Some(Bytes::from_static(b"u")),
    };
    for version in 0..=MAX_VERSION {
        let bytes = assignment.to_bytes(version).unwrap();
        let fields = b"\0\0\0\x01\0\x01a\0\0\0\x02\0\0\0\0\0\0\0\x02\0\0\0\x01u";
        assert_eq!(bytes, [&version.to_be_bytes()[..], fields].concat());
        assert_eq!(ConsumerProtocolAssignment::from_bytes(&bytes), Ok(assignment.clone()));
    }
}

#[test]
fn newer_versions_of_the_consumer_protocol_are_read_as_the_newest_we_have() {
    let mut newer = subscription().to_bytes(3).unwrap().to_vec();
    newer[..2].copy_from_slice(&i16::MAX.to_be_bytes());
    newer.extend_from_slice(b"fields of the future");
    let newer = Bytes::from(newer);
    assert_eq!(ConsumerProtocolSubscription::from_bytes(&newer), Ok(subscription()));
    assert_eq!(read_subscribed_topics(&newer).unwrap(), ["a", "b"]);
    let negative = Bytes::from_static(b"\xff\xff\0\0\0\0\xff\xff\xff\xff");
    let refused = DecodeError::UnsupportedVersion { message: "ConsumerProtocolAssignment", version: -1 };
    assert_eq!(ConsumerProtocolAssignment::from_bytes(&negative), Err(refused));
}

#[test]
fn topics_are_known_even_where_the_rest_of_a_subscription_is_broken() {
    // As Kafka's coordinator: only what version 0 has is read, whatever the version.
    let whole = subscription().to_bytes(3).unwrap();
    let prefix_len = 2 + 4 + 3 + 3 + 4;
    for len in 0..whole.len() {
        let cut = whole.slice(..len);
        assert_eq!(read_subscribed_topics(&cut).is_ok(), len >= prefix_len, "cut at {len}");
        assert!(ConsumerProtocolSubscription::from_bytes(&cut).is_err(), "cut at {len}");
    }
}

// Holds: I-09
#[test]
fn foreign_metadata_is_read_or_refused_without_a_panic() {
    for bytes in [
        &b""[..],
        b"\0",
        b"\0\x01",
        // Four, and 2^31 − 1 topics in no bytes; below null; null.
        b"\0\x01\0\0\0\x04",
        b"\0\x01\x7f\xff\xff\xff",
        b"\0\x01\xff\xff\xff\xfe",
        b"\0\x01\xff\xff\xff\xff",
        // A topic that is not UTF-8.
        b"\0\0\0\0\0\x01\0\x01\xff\xff\xff\xff\xff",
        // User data longer than what is left.
        b"\0\0\0\0\0\0\x7f\xff\xff\xff",
    ] {
        assert!(read_subscribed_topics(&Bytes::from_static(bytes)).is_err(), "{bytes:?}");
    }
    runner()
        .run(&(any::<u8>(), prop::collection::vec(0_u8..6, 0..120)), |(version, noise)| {
            // Only that it returns: any outcome is right.
            let bytes = Bytes::from([&[0, version % 5][..], &noise].concat());
            let _ = read_subscribed_topics(&bytes);
            let _ = ConsumerProtocolSubscription::from_bytes(&bytes);
            let _ = ConsumerProtocolAssignment::from_bytes(&bytes);
            Ok(())
        })
        .unwrap();
}

#[test]
fn the_consumer_protocol_survives_a_round_trip() {
    runner()
        .run(&(prop::collection::vec(any::<u8>(), 0..300), 0..=MAX_VERSION), |(entropy, version)| {
            let source = &mut Source::new(&entropy);
            let subscription = ConsumerProtocolSubscription::sample(source, version, false);
            let bytes = subscription.to_bytes(version).unwrap();
            assert_eq!(read_subscribed_topics(&bytes).as_ref(), Ok(&subscription.topics));
            assert_eq!(ConsumerProtocolSubscription::from_bytes(&bytes), Ok(subscription));
            let assignment = ConsumerProtocolAssignment::sample(source, version, false);
            let bytes = assignment.to_bytes(version).unwrap();
            assert_eq!(ConsumerProtocolAssignment::from_bytes(&bytes), Ok(assignment));
            Ok(())
        })
        .unwrap();
}
