//! A member of a group as a client library is one: requests of any version over a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use sluice_engine::Settings;
use sluice_protocol::messages::describe_groups::DescribedGroup;
use sluice_protocol::messages::join_group::JoinGroupRequestProtocol;
use sluice_protocol::messages::leave_group::MemberIdentity;
use sluice_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use sluice_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use sluice_protocol::messages::sync_group::SyncGroupRequestAssignment;
use sluice_protocol::messages::{
    DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    OffsetCommitRequest, OffsetFetchRequest, SyncGroupRequest, SyncGroupResponse,
};
use sluice_protocol::{KString, Uuid};
use sluice_server::ServerConfig;
use tokio::time::{Instant, sleep};

use crate::support::{Client, Cluster, Gateway, Topic};

/// The newest version of any of the APIs here: members of it speak the newest of each.
pub(crate) const NEWEST: i16 = 10;

/// Groups that do not wait for more members to come.
pub(crate) fn hasty() -> Settings {
    Settings { group_initial_rebalance_delay_ms: 0, ..Settings::default() }
}

impl Cluster {
    /// Two gateways whose groups begin at once.
    pub(crate) async fn two(&mut self) -> (Gateway, Gateway) {
        let first = self.gateway_with(hasty(), ServerConfig::default()).await;
        (first, self.gateway_with(hasty(), ServerConfig::default()).await)
    }
}

/// A subscription as consumers send it: version 1, topics, no user data, nothing owned.
pub(crate) fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = 1_i16.to_be_bytes().to_vec();
    bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1_i32).to_be_bytes());
    bytes.extend(0_i32.to_be_bytes());
    bytes.into()
}

/// One member. Its fields are what it would send next.
pub(crate) struct Member {
    pub(crate) client: Client,
    /// Its requests have this version, or the newest there is below.
    pub(crate) version: i16,
    pub(crate) group: KString,
    pub(crate) id: KString,
    pub(crate) instance: Option<KString>,
    pub(crate) generation: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) protocol_type: &'static str,
    pub(crate) protocols: Vec<(&'static str, Bytes)>,
}

impl Member {
    pub(crate) async fn new(gateway: &Gateway, version: i16, group: &str) -> Self {
        Self {
            client: gateway.client().await,
            version,
            group: KString::from(group),
            id: KString::new(),
            instance: None,
            generation: -1,
            session_timeout_ms: 10_000,
            protocol_type: "consumer",
            protocols: vec![("range", subscription(&["t"]))],
        }
    }

    pub(crate) async fn fixed(gateway: &Gateway, version: i16, group: &str, instance: &str) -> Self {
        Self { instance: Some(KString::from(instance)), ..Self::new(gateway, version, group).await }
    }

    /// The version in which it speaks an API that goes up to `newest`.
    fn at(&self, newest: i16) -> i16 {
        self.version.min(newest)
    }

    pub(crate) fn join_request(&self) -> JoinGroupRequest {
        let protocol = |(name, metadata): &(&'static str, Bytes)| JoinGroupRequestProtocol {
            name: KString::from(*name),
            metadata: metadata.clone(),
        };
        JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: self.session_timeout_ms,
            rebalance_timeout_ms: 20_000,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            protocol_type: KString::from(self.protocol_type),
            protocols: self.protocols.iter().map(protocol).collect(),
            reason: None,
        }
    }

    /// One JoinGroup. The member goes on under the id and in the generation that it is told.
    pub(crate) async fn join_once(&mut self) -> JoinGroupResponse {
        let joined = self.client.call(self.at(9), &self.join_request()).await;
        self.note(&joined);
        joined
    }

    fn note(&mut self, joined: &JoinGroupResponse) {
        if matches!(joined.error_code.as_i16(), 0 | 79) {
            self.id = joined.member_id.clone();
        }
        if joined.error_code.is_none() {
            self.generation = joined.generation_id;
        }
    }

    /// Joins as client libraries do: again with its id when it is told one.
    pub(crate) async fn join(&mut self) -> JoinGroupResponse {
        let mut joined = self.join_once().await;
        if joined.error_code.as_i16() == 79 {
            joined = self.join_once().await;
        }
        assert_eq!(joined.error_code.as_i16(), 0, "{joined:?}");
        joined
    }

    /// Sends a JoinGroup whose answer [`Self::joined`] takes later. New members are told their id first.
    pub(crate) async fn begin_join(&mut self) {
        if self.id.is_empty() && self.version >= 4 && self.instance.is_none() {
            assert_eq!(self.join_once().await.error_code.as_i16(), 79);
        }
        self.client.send(self.at(9), &self.join_request()).await;
    }

    /// The answer to what [`Self::begin_join`] sent.
    pub(crate) async fn joined(&mut self) -> JoinGroupResponse {
        let (_, joined) = self.client.receive::<JoinGroupRequest>(self.at(9)).await;
        self.note(&joined);
        joined
    }

    pub(crate) fn sync_request(&self, assignments: &[(&KString, &str)]) -> SyncGroupRequest {
        let assignment = |(member, bytes): &(&KString, &str)| SyncGroupRequestAssignment {
            member_id: (*member).clone(),
            assignment: Bytes::copy_from_slice(bytes.as_bytes()),
        };
        SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone().filter(|_| self.version >= 3),
            protocol_type: Some(KString::from(self.protocol_type)),
            protocol_name: self.protocols.first().map(|(name, _)| KString::from(*name)),
            assignments: assignments.iter().map(assignment).collect(),
        }
    }

    pub(crate) async fn sync(&mut self, assignments: &[(&KString, &str)]) -> SyncGroupResponse {
        let request = self.sync_request(assignments);
        self.client.call(self.at(5), &request).await
    }

    /// Joins and syncs as the only member.
    pub(crate) async fn settle_alone(&mut self) {
        self.join().await;
        let id = self.id.clone();
        assert_eq!(self.sync(&[(&id, "all")]).await.error_code.as_i16(), 0);
    }

    pub(crate) async fn heartbeat(&mut self) -> i16 {
        let request = HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone().filter(|_| self.version >= 3),
        };
        self.client.call(self.at(4), &request).await.error_code.as_i16()
    }

    /// Heartbeats until it hears `code`: what happened through another gateway is known here within 2 s (T6), and a
    /// member that does not fetch hears of it within about 1 s (T4).
    pub(crate) async fn hears(&mut self, code: i16) {
        let began = Instant::now();
        loop {
            let heard = self.heartbeat().await;
            if heard == code {
                return;
            }
            assert!(heard == 0 && began.elapsed() < Duration::from_millis(1_200), "{heard}, not {code}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The code of the whole, or else of the member.
    pub(crate) async fn leave(&mut self) -> i16 {
        let identity = MemberIdentity {
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone(),
            ..MemberIdentity::default()
        };
        let request = LeaveGroupRequest {
            group_id: self.group.clone(),
            member_id: if self.version < 3 { self.id.clone() } else { KString::new() },
            members: if self.version < 3 { Vec::new() } else { vec![identity] },
        };
        let left = self.client.call(self.at(5), &request).await;
        let of_member = left.members.first().map_or(0, |member| member.error_code.as_i16());
        if left.error_code.is_none() { of_member } else { left.error_code.as_i16() }
    }

    pub(crate) fn commit_request(&self, topic: &Topic, offsets: &[(i32, i64)]) -> OffsetCommitRequest {
        let partition = |(partition_index, committed_offset): &(i32, i64)| OffsetCommitRequestPartition {
            partition_index: *partition_index,
            committed_offset: *committed_offset,
            ..OffsetCommitRequestPartition::default()
        };
        let topics = vec![OffsetCommitRequestTopic {
            name: KString::from(topic.name),
            topic_id: topic.id,
            partitions: offsets.iter().map(partition).collect(),
        }];
        OffsetCommitRequest {
            group_id: self.group.clone(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance.clone().filter(|_| self.version >= 7),
            topics,
            ..OffsetCommitRequest::default()
        }
    }

    /// The code of each partition.
    pub(crate) async fn commit(&mut self, topic: &Topic, offsets: &[(i32, i64)]) -> Vec<i16> {
        let request = self.commit_request(topic, offsets);
        codes_of(&mut self.client, self.version, &request).await
    }

    /// What the group has committed of a partition.
    pub(crate) async fn committed(&mut self, topic: &Topic, partition: i32) -> i64 {
        let (version, group) = (self.version, self.group.clone());
        fetch_offsets(&mut self.client, version, &group, Some((topic, &[partition]))).await[0].1
    }
}

/// The code of each partition of an OffsetCommit.
pub(crate) async fn codes_of(client: &mut Client, version: i16, request: &OffsetCommitRequest) -> Vec<i16> {
    let committed = client.call(version, request).await;
    assert_eq!(committed.topics.len(), request.topics.len(), "every topic has a block");
    let partitions = committed.topics.iter().flat_map(|topic| &topic.partitions);
    let asked = request.topics.iter().flat_map(|topic| &topic.partitions);
    let mut codes = Vec::new();
    for (told, asked) in partitions.zip(asked) {
        assert_eq!(told.partition_index, asked.partition_index, "every partition has a block");
        codes.push(told.error_code.as_i16());
    }
    codes
}

/// Partition, offset and text of what a group has committed: of some partitions of a topic, or of all. No errors.
pub(crate) async fn fetch_offsets(
    client: &mut Client,
    version: i16,
    group: &str,
    asked: Option<(&Topic, &[i32])>,
) -> Vec<(i32, i64, String)> {
    if version < 8 {
        let topics = asked.map(|(topic, partitions)| {
            vec![OffsetFetchRequestTopic { name: KString::from(topic.name), partition_indexes: partitions.to_vec() }]
        });
        let request = OffsetFetchRequest { group_id: KString::from(group), topics, ..OffsetFetchRequest::default() };
        let fetched = client.call(version, &request).await;
        assert!(fetched.error_code.is_none(), "{fetched:?}");
        let partitions = fetched.topics.into_iter().flat_map(|topic| topic.partitions);
        return partitions
            .map(|told| {
                assert!(told.error_code.is_none(), "{told:?}");
                (told.partition_index, told.committed_offset, told.metadata.unwrap().to_string())
            })
            .collect();
    }
    let request =
        OffsetFetchRequest { groups: vec![group_ask(version, group, asked)], ..OffsetFetchRequest::default() };
    let fetched = client.call(version, &request).await.groups.remove(0);
    assert!(fetched.error_code.is_none() && *fetched.group_id == *group, "{fetched:?}");
    let partitions = fetched.topics.into_iter().flat_map(|topic| {
        assert_eq!(topic.topic_id.is_nil(), version < 10, "{topic:?}");
        topic.partitions
    });
    partitions
        .map(|told| {
            assert!(told.error_code.is_none(), "{told:?}");
            (told.partition_index, told.committed_offset, told.metadata.unwrap().to_string())
        })
        .collect()
}

/// One group of an OffsetFetch from version 8 on.
pub(crate) fn group_ask(version: i16, group: &str, asked: Option<(&Topic, &[i32])>) -> OffsetFetchRequestGroup {
    let topics = asked.map(|(topic, partitions)| {
        vec![OffsetFetchRequestTopics {
            name: if version < 10 { KString::from(topic.name) } else { KString::new() },
            topic_id: if version < 10 { Uuid::nil() } else { topic.id },
            partition_indexes: partitions.to_vec(),
        }]
    });
    OffsetFetchRequestGroup { group_id: KString::from(group), topics, ..OffsetFetchRequestGroup::default() }
}

/// One group as DescribeGroups shows it.
pub(crate) async fn describe(client: &mut Client, version: i16, group: &str) -> DescribedGroup {
    let request = DescribeGroupsRequest { groups: vec![KString::from(group)], ..DescribeGroupsRequest::default() };
    let mut described = client.call(version, &request).await.groups;
    assert_eq!(described.len(), 1);
    described.remove(0)
}

/// The state of a group by Kafka's name.
pub(crate) async fn state(gateway: &Gateway, group: &str) -> String {
    describe(&mut gateway.client().await, 6, group).await.group_state.to_string()
}
