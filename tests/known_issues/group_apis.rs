//! One well-formed request of each group API and version, for known issue 7; and the life of an offset, for known issue 5.

use sluice_protocol::messages::delete_topics::DeleteTopicState;
use sluice_protocol::messages::leave_group::MemberIdentity;
use sluice_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use sluice_protocol::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use sluice_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use sluice_protocol::messages::{
    DeleteGroupsRequest, DeleteTopicsRequest, DescribeGroupsRequest, FindCoordinatorRequest, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, SyncGroupRequest,
};
use sluice_protocol::messages::{join_group::JoinGroupRequestProtocol, sync_group::SyncGroupRequestAssignment};
use sluice_protocol::{ErrorCode, KString, Uuid};
use sluice_tests::raw::RawClient;

fn text(text: &str) -> KString {
    KString::from(text)
}

/// Commits one offset of partition 0 of topic `t` as nobody in particular.
pub(crate) fn commit(client: &mut RawClient, version: i16, group: &str, topic_id: Uuid, offset: i64) -> ErrorCode {
    let partition = OffsetCommitRequestPartition {
        committed_offset: offset,
        committed_metadata: Some(text("note")),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic { name: text("t"), topic_id, partitions: vec![partition] };
    let request = OffsetCommitRequest { group_id: text(group), topics: vec![topic], ..OffsetCommitRequest::default() };
    client.request(version, &request).topics[0].partitions[0].error_code
}

/// The committed offset and metadata of partition 0 of topic `t`.
pub(crate) fn committed(client: &mut RawClient, version: i16, group: &str, topic_id: Uuid) -> (i64, String) {
    let request = if version < 8 {
        let topic = OffsetFetchRequestTopic { name: text("t"), partition_indexes: vec![0] };
        OffsetFetchRequest { group_id: text(group), topics: Some(vec![topic]), ..OffsetFetchRequest::default() }
    } else {
        let topic = OffsetFetchRequestTopics { name: text("t"), topic_id, partition_indexes: vec![0] };
        let group = OffsetFetchRequestGroup {
            group_id: text(group),
            topics: Some(vec![topic]),
            ..OffsetFetchRequestGroup::default()
        };
        OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() }
    };
    let answer = client.request(version, &request);
    let (offset, metadata, code) = if version < 8 {
        let told = answer.topics[0].partitions[0].clone();
        (told.committed_offset, told.metadata, told.error_code)
    } else {
        let told = answer.groups[0].topics[0].partitions[0].clone();
        (told.committed_offset, told.metadata, told.error_code)
    };
    assert_eq!(code, ErrorCode::NONE, "OffsetFetch {version}");
    (offset, metadata.map(String::from).unwrap_or_default())
}

/// Joins a group of its own, and answers MEMBER_ID_REQUIRED as a client does.
fn join(client: &mut RawClient, version: i16) {
    let protocol = JoinGroupRequestProtocol { name: text("range"), ..JoinGroupRequestProtocol::default() };
    let mut request = JoinGroupRequest {
        group_id: text(&format!("joined-with-{version}")),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: if version == 0 { -1 } else { 10_000 },
        protocol_type: text("consumer"),
        protocols: vec![protocol],
        ..JoinGroupRequest::default()
    };
    let mut answer = client.request(version, &request);
    if version >= 4 {
        assert_eq!(answer.error_code, ErrorCode::MEMBER_ID_REQUIRED, "JoinGroup {version}");
        request.member_id = answer.member_id;
        answer = client.request(version, &request);
    }
    assert_eq!((answer.error_code, answer.generation_id), (ErrorCode::NONE, 1), "JoinGroup {version}");
    assert_eq!((&answer.leader, answer.members.len()), (&answer.member_id, 1), "JoinGroup {version}");
}

fn find_coordinator(client: &mut RawClient, version: i16) {
    let (one, several) = if version < 4 { ("g", Vec::new()) } else { ("", vec![text("g")]) };
    let request = FindCoordinatorRequest { key: text(one), coordinator_keys: several, ..Default::default() };
    let answer = client.request(version, &request);
    let (code, node) = match answer.coordinators.first() {
        Some(coordinator) => (coordinator.error_code, coordinator.node_id),
        None => (answer.error_code, answer.node_id),
    };
    assert_eq!((code, node), (ErrorCode::NONE, 1), "FindCoordinator {version}");
}

fn stranger(client: &mut RawClient, key: i16, version: i16) -> ErrorCode {
    let (group_id, member_id) = (text("nobody"), text("stranger"));
    match key {
        12 => client.request(version, &HeartbeatRequest { group_id, member_id, ..Default::default() }).error_code,
        13 => {
            let identity = MemberIdentity { member_id: member_id.clone(), ..MemberIdentity::default() };
            let request = match version {
                3.. => LeaveGroupRequest { group_id, members: vec![identity], ..LeaveGroupRequest::default() },
                _ => LeaveGroupRequest { group_id, member_id, ..LeaveGroupRequest::default() },
            };
            let answer = client.request(version, &request);
            answer.members.first().map_or(answer.error_code, |member| member.error_code)
        }
        _ => {
            let name = (version >= 5).then(|| text("range"));
            let assignments = vec![SyncGroupRequestAssignment::default()];
            let protocol_type = name.as_ref().map(|_| text("consumer"));
            let protocol = SyncGroupRequest { protocol_type, protocol_name: name, assignments, ..Default::default() };
            client.request(version, &SyncGroupRequest { group_id, member_id, ..protocol }).error_code
        }
    }
}

/// Sends a well-formed request of one version of a group API. False: the API is none of these.
pub(crate) fn use_group_version(client: &mut RawClient, key: i16, version: i16, topic_id: Uuid) -> bool {
    let none = ErrorCode::NONE;
    let case = format!("API {key} version {version}");
    match key {
        8 => assert_eq!(commit(client, version, &format!("commits-{version}"), topic_id, 7), none, "{case}"),
        9 => assert_eq!(committed(client, version, "nobody", topic_id), (-1, String::new()), "{case}"),
        10 => find_coordinator(client, version),
        11 => join(client, version),
        12..=14 => assert_eq!(stranger(client, key, version), ErrorCode::UNKNOWN_MEMBER_ID, "{case}"),
        15 => {
            let request = DescribeGroupsRequest { groups: vec![text("nobody")], ..DescribeGroupsRequest::default() };
            let group = client.request(version, &request).groups[0].clone();
            let code = if version < 6 { none } else { ErrorCode::GROUP_ID_NOT_FOUND };
            assert_eq!((group.error_code, group.group_state.as_str()), (code, "Dead"), "{case}");
        }
        16 => assert_eq!(client.request(version, &ListGroupsRequest::default()).error_code, none, "{case}"),
        20 => {
            let state = DeleteTopicState { name: Some(text("none")), ..DeleteTopicState::default() };
            let request = match version {
                6.. => DeleteTopicsRequest { topics: vec![state], timeout_ms: 20_000, ..Default::default() },
                _ => DeleteTopicsRequest { topic_names: vec![text("none")], timeout_ms: 20_000, ..Default::default() },
            };
            let code = client.request(version, &request).responses[0].error_code;
            assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "{case}");
        }
        42 => {
            let request = DeleteGroupsRequest { groups_names: vec![text("nobody")] };
            let code = client.request(version, &request).results[0].error_code;
            assert_eq!(code, ErrorCode::GROUP_ID_NOT_FOUND, "{case}");
        }
        47 => {
            let partitions = vec![OffsetDeleteRequestPartition::default()];
            let topics = vec![OffsetDeleteRequestTopic { name: text("t"), partitions }];
            let request = OffsetDeleteRequest { group_id: text("nobody"), topics };
            assert_eq!(client.request(version, &request).error_code, ErrorCode::GROUP_ID_NOT_FOUND, "{case}");
        }
        _ => return false,
    }
    true
}
