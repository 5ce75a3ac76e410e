//! Symbols to bytes, and bytes to symbols.
//!
//! Promises: every field that the model speaks of is compared; throttle times, error texts and authorized operations are
//! not. Never: sockets.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use sluice_protocol::consumer_protocol::{self, ConsumerProtocolSubscription};
use sluice_protocol::messages::create_topics::CreatableTopic;
use sluice_protocol::messages::join_group::JoinGroupRequestProtocol;
use sluice_protocol::messages::leave_group::MemberIdentity;
use sluice_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use sluice_protocol::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use sluice_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use sluice_protocol::messages::sync_group::SyncGroupRequestAssignment;
use sluice_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteGroupsRequest, DescribeGroupsRequest, HeartbeatRequest,
    JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, SyncGroupRequest,
};
use sluice_protocol::{ErrorCode, KString, Request as ApiRequest, decode_response, encode_request};
use uuid::Uuid;

use crate::request::{
    Answer, Body, Commit, Described, DescribedGroup, Fetched, Group, Id, Partitions, Request, Ticket, Topic,
    instance_name,
};

/// The id of [`Topic::Unknown`]: no broker gives it out.
pub const UNKNOWN_TOPIC_ID: Uuid = Uuid::from_u128(0x5eed_0000_4000_8000_0000_0000_0000);

/// The request (version 7) that makes a script's topic under this name.
#[must_use]
pub fn creation(topic: Topic, name: &str) -> CreateTopicsRequest {
    let create = CreatableTopic {
        name: KString::from(name),
        num_partitions: topic.partitions(),
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    CreateTopicsRequest { topics: vec![create], timeout_ms: 15_000, validate_only: false }
}

/// The id that the answer to [`creation`] tells.
///
/// # Errors
/// When the topic was not made.
pub fn created_id(answer: &CreateTopicsResponse) -> Result<Uuid> {
    let created = answer.topics.first().context("no topic in the answer")?;
    ensure!(i16::from(created.error_code) == 0, "topic {:?}: {}", created.name, created.error_code);
    Ok(created.topic_id)
}

/// What the symbols of one script are called on one broker.
#[derive(Debug, Clone)]
pub struct Names {
    prefix: String,
    topics: BTreeMap<Topic, (String, Uuid)>,
    ids: BTreeMap<Ticket, String>,
}

const BOGUS: &str = "nobody-ever-gave-this-id";

fn code(error: ErrorCode) -> i16 {
    error.into()
}

impl Names {
    /// Names that begin with a prefix which no other script uses.
    #[must_use]
    pub fn new(prefix: String, topics: BTreeMap<Topic, (String, Uuid)>) -> Self {
        Self { prefix, topics, ids: BTreeMap::new() }
    }

    /// Name of a group.
    #[must_use]
    pub fn group(&self, group: Group) -> String {
        match group {
            Group::Live(n) => format!("{}-g{n}", self.prefix),
            Group::Missing => format!("{}-missing", self.prefix),
            Group::Nameless => String::new(),
        }
    }

    fn group_of(&self, name: &str) -> Option<Group> {
        if name.is_empty() {
            return Some(Group::Nameless);
        }
        match name.strip_prefix(&self.prefix)? {
            "-missing" => Some(Group::Missing),
            rest => Some(Group::Live(rest.strip_prefix("-g")?.parse().ok()?)),
        }
    }

    fn expect_group(&self, name: &str) -> Result<Group> {
        self.group_of(name)
            .ok_or_else(|| anyhow::anyhow!("an answer about the group {name:?}, which nobody asked about"))
    }

    fn topic(&self, topic: Topic) -> (KString, Uuid) {
        self.topics.get(&topic).map(|(name, id)| (KString::from(name.as_str()), *id)).unwrap_or_default()
    }

    fn topic_of(&self, name: &str, id: Uuid) -> Result<Topic> {
        let found = self.topics.iter().find(|(_, (n, i))| if name.is_empty() { *i == id } else { n == name });
        found.map(|(topic, _)| *topic).ok_or_else(|| anyhow::anyhow!("an answer about the topic {name:?} {id}"))
    }

    fn id(&self, id: Id) -> KString {
        match id {
            Id::Nobody => KString::new(),
            Id::Bogus | Id::Unseen => KString::from_static(BOGUS),
            Id::Of(ticket) => self.ids.get(&ticket).map_or(KString::from_static(BOGUS), |s| KString::from(s.as_str())),
        }
    }

    fn id_of(&self, id: &str) -> Id {
        match id {
            "" => Id::Nobody,
            BOGUS => Id::Bogus,
            _ => self.ids.iter().find(|(_, known)| *known == id).map_or(Id::Unseen, |(ticket, _)| Id::Of(*ticket)),
        }
    }

    /// The id as an observer sees it: one that was not told yet cannot be known.
    #[must_use]
    pub fn seen(&self, id: Id) -> Id {
        match id {
            Id::Of(ticket) if !self.ids.contains_key(&ticket) => Id::Unseen,
            _ => id,
        }
    }

    /// Metadata as consumers write it; other kinds, and what begins with `!`, as it stands.
    fn metadata(&self, kind: &str, metadata: &[u8]) -> Result<Bytes> {
        let Some(topics) = crate::script::topics_of(metadata).filter(|_| kind == consumer_protocol::PROTOCOL_TYPE)
        else {
            return Ok(Bytes::copy_from_slice(metadata));
        };
        let subscription = ConsumerProtocolSubscription {
            topics: topics.iter().map(|t| self.topic(*t).0).collect(),
            user_data: Some(Bytes::copy_from_slice(metadata)),
            ..ConsumerProtocolSubscription::default()
        };
        Ok(subscription.to_bytes(1)?)
    }

    fn metadata_of(&self, bytes: &Bytes) -> Vec<u8> {
        let read = |bytes: &Bytes| ConsumerProtocolSubscription::from_bytes(bytes).ok()?.user_data;
        read(bytes).unwrap_or_else(|| bytes.clone()).to_vec()
    }

    // ---- requests ---------------------------------------------------------------------------------------------------

    /// The frame of a request.
    ///
    /// # Errors
    /// When its version cannot say what it says: a mistake of the script.
    pub fn encode(&self, correlation_id: i32, request: &Request) -> Result<Vec<u8>> {
        let kstring = |text: &str| KString::from(text);
        let group_id = |group: &Group| kstring(&self.group(*group));
        let named = |instance: &Option<u8>| instance.map(|i| kstring(&instance_name(i)));
        match &request.body {
            Body::Join { .. } => frame(correlation_id, request, &self.join_request(request)?),
            Body::Sync { .. } => frame(correlation_id, request, &self.sync_request(request)),
            Body::Heartbeat { group, generation, id, instance } => {
                let body = HeartbeatRequest {
                    group_id: group_id(group),
                    generation_id: *generation,
                    member_id: self.id(*id),
                    group_instance_id: named(instance),
                };
                frame(correlation_id, request, &body)
            }
            Body::Leave { group, members } => {
                let mut body = LeaveGroupRequest { group_id: group_id(group), ..LeaveGroupRequest::default() };
                if request.version < 3 {
                    body.member_id = members.first().map(|(id, _)| self.id(*id)).unwrap_or_default();
                } else {
                    let leave = |(id, instance): &(Id, Option<u8>)| MemberIdentity {
                        member_id: self.id(*id),
                        group_instance_id: named(instance),
                        ..MemberIdentity::default()
                    };
                    body.members = members.iter().map(leave).collect();
                }
                frame(correlation_id, request, &body)
            }
            Body::Commit { .. } => frame(correlation_id, request, &self.commit_request(request)),
            Body::Fetch { groups, stable } => {
                frame(correlation_id, request, &self.fetch_request(request.version, groups, *stable))
            }
            Body::DeleteOffsets { group, partitions } => {
                let asked = |(topic, partitions): &(Topic, Vec<i32>)| OffsetDeleteRequestTopic {
                    name: self.topic(*topic).0,
                    partitions: partitions
                        .iter()
                        .map(|p| OffsetDeleteRequestPartition { partition_index: *p })
                        .collect(),
                };
                let topics = partitions.iter().map(asked).collect();
                frame(correlation_id, request, &OffsetDeleteRequest { group_id: group_id(group), topics })
            }
            Body::Describe { groups } => {
                let groups = groups.iter().map(group_id).collect();
                let body = DescribeGroupsRequest { groups, ..DescribeGroupsRequest::default() };
                frame(correlation_id, request, &body)
            }
            Body::List { states, types } => {
                let states_filter = states.iter().map(|s| kstring(s)).collect();
                let types_filter = types.iter().map(|t| kstring(t)).collect();
                frame(correlation_id, request, &ListGroupsRequest { states_filter, types_filter })
            }
            Body::Delete { groups } => {
                let groups_names = groups.iter().map(group_id).collect();
                frame(correlation_id, request, &DeleteGroupsRequest { groups_names })
            }
        }
    }

    fn join_request(&self, request: &Request) -> Result<JoinGroupRequest> {
        let Body::Join { group, id, instance, session_ms, kind, protocols } = &request.body else {
            bail!("not a Join");
        };
        let mut offered = Vec::new();
        for (name, metadata) in protocols {
            let metadata = self.metadata(kind, metadata)?;
            offered.push(JoinGroupRequestProtocol { name: KString::from(*name), metadata });
        }
        Ok(JoinGroupRequest {
            group_id: KString::from(self.group(*group)),
            session_timeout_ms: *session_ms,
            rebalance_timeout_ms: 300_000,
            member_id: self.id(*id),
            group_instance_id: instance.map(|i| KString::from(instance_name(i))),
            protocol_type: KString::from(*kind),
            protocols: offered,
            reason: None,
        })
    }

    fn sync_request(&self, request: &Request) -> SyncGroupRequest {
        let Body::Sync { group, generation, id, instance, kind, protocol, assignments } = &request.body else {
            return SyncGroupRequest::default();
        };
        let assign = |(id, assignment): &(Id, Vec<u8>)| SyncGroupRequestAssignment {
            member_id: self.id(*id),
            assignment: Bytes::copy_from_slice(assignment),
        };
        SyncGroupRequest {
            group_id: KString::from(self.group(*group)),
            generation_id: *generation,
            member_id: self.id(*id),
            group_instance_id: instance.map(|i| KString::from(instance_name(i))),
            protocol_type: kind.map(KString::from),
            protocol_name: protocol.map(KString::from),
            assignments: assignments.iter().map(assign).collect(),
        }
    }

    fn commit_request(&self, request: &Request) -> OffsetCommitRequest {
        let Body::Commit { group, generation, id, instance, commits } = &request.body else {
            return OffsetCommitRequest::default();
        };
        let mut topics: BTreeMap<Topic, Vec<OffsetCommitRequestPartition>> = BTreeMap::new();
        for Commit { topic, partition, offset, epoch, metadata } in commits {
            topics.entry(*topic).or_default().push(OffsetCommitRequestPartition {
                partition_index: *partition,
                committed_offset: *offset,
                committed_leader_epoch: *epoch,
                committed_metadata: metadata.as_deref().map(KString::from),
                ..OffsetCommitRequestPartition::default()
            });
        }
        let topic = |(topic, partitions)| {
            let (name, topic_id) = self.topic(topic);
            OffsetCommitRequestTopic { name, topic_id, partitions }
        };
        OffsetCommitRequest {
            group_id: KString::from(self.group(*group)),
            generation_id_or_member_epoch: *generation,
            member_id: self.id(*id),
            group_instance_id: instance.map(|i| KString::from(instance_name(i))),
            topics: topics.into_iter().map(topic).collect(),
            ..OffsetCommitRequest::default()
        }
    }

    fn fetch_request(
        &self,
        version: i16,
        groups: &[(Group, Option<Partitions>)],
        require_stable: bool,
    ) -> OffsetFetchRequest {
        let mut body = OffsetFetchRequest { require_stable, ..OffsetFetchRequest::default() };
        for (group, asked) in groups {
            let group_id = KString::from(self.group(*group));
            if version < 8 {
                let topic = |(topic, partitions): &(Topic, Vec<i32>)| OffsetFetchRequestTopic {
                    name: self.topic(*topic).0,
                    partition_indexes: partitions.clone(),
                };
                body.topics = asked.as_ref().map(|asked| asked.iter().map(topic).collect());
                body.group_id = group_id;
            } else {
                let topic = |(topic, partitions): &(Topic, Vec<i32>)| {
                    let (name, topic_id) = self.topic(*topic);
                    OffsetFetchRequestTopics { name, topic_id, partition_indexes: partitions.clone() }
                };
                let topics = asked.as_ref().map(|asked| asked.iter().map(topic).collect());
                body.groups.push(OffsetFetchRequestGroup { group_id, topics, ..OffsetFetchRequestGroup::default() });
            }
        }
        body
    }

    // ---- answers ----------------------------------------------------------------------------------------------------

    /// Learns the id that a Join without one was given.
    ///
    /// # Errors
    /// When the answer cannot be read.
    pub fn bind(&mut self, ticket: Ticket, request: &Request, frame: &Bytes) -> Result<()> {
        if let Body::Join { id: Id::Nobody, .. } = request.body {
            let (_, answer) = decode_response::<JoinGroupRequest>(frame, request.version)?;
            if !answer.member_id.is_empty() {
                self.ids.insert(ticket, answer.member_id.as_str().to_owned());
            }
        }
        Ok(())
    }

    /// An answer in symbols.
    ///
    /// # Errors
    /// When it cannot be read, or speaks of something unknown.
    pub fn decode(&self, request: &Request, frame: &Bytes) -> Result<Answer> {
        let version = request.version;
        let text = |t: &Option<KString>| t.as_ref().map(|t| t.as_str().to_owned());
        Ok(match &request.body {
            Body::Join { .. } => {
                let answer = decode_response::<JoinGroupRequest>(frame, version)?.1;
                let mut members = Vec::new();
                for member in &answer.members {
                    let metadata = self.metadata_of(&member.metadata);
                    members.push((self.id_of(&member.member_id), text(&member.group_instance_id), metadata));
                }
                members.sort();
                Answer::Join {
                    error: code(answer.error_code),
                    generation: answer.generation_id,
                    kind: text(&answer.protocol_type),
                    protocol: text(&answer.protocol_name),
                    leader: self.id_of(&answer.leader),
                    skip: answer.skip_assignment,
                    id: self.id_of(&answer.member_id),
                    members,
                }
            }
            Body::Sync { .. } => {
                let answer = decode_response::<SyncGroupRequest>(frame, version)?.1;
                Answer::Sync {
                    error: code(answer.error_code),
                    kind: text(&answer.protocol_type),
                    protocol: text(&answer.protocol_name),
                    assignment: answer.assignment.to_vec(),
                }
            }
            Body::Heartbeat { .. } => {
                Answer::Heartbeat(code(decode_response::<HeartbeatRequest>(frame, version)?.1.error_code))
            }
            Body::Leave { .. } => {
                let answer = decode_response::<LeaveGroupRequest>(frame, version)?.1;
                let one = |m: &sluice_protocol::messages::leave_group::MemberResponse| {
                    (self.id_of(&m.member_id), text(&m.group_instance_id), code(m.error_code))
                };
                let mut members: Vec<_> = answer.members.iter().map(one).collect();
                members.sort();
                Answer::Leave { error: code(answer.error_code), members }
            }
            Body::Commit { .. } => {
                let mut told = Vec::new();
                for topic in decode_response::<OffsetCommitRequest>(frame, version)?.1.topics {
                    let name = self.topic_of(&topic.name, topic.topic_id)?;
                    told.extend(topic.partitions.iter().map(|p| (name, p.partition_index, code(p.error_code))));
                }
                told.sort_unstable();
                Answer::Commit(told)
            }
            Body::Fetch { groups, .. } => self.fetched(version, groups, frame)?,
            _ => self.administered(request, frame)?,
        })
    }

    fn fetched(&self, version: i16, asked: &[(Group, Option<Partitions>)], frame: &Bytes) -> Result<Answer> {
        let answer = decode_response::<OffsetFetchRequest>(frame, version)?.1;
        let metadata = |m: Option<KString>| m.map_or_else(|| "(null)".to_owned(), |m| m.as_str().to_owned());
        let mut groups = Vec::new();
        if version < 8 {
            let mut told: Vec<Fetched> = Vec::new();
            for topic in answer.topics {
                let name = self.topic_of(&topic.name, Uuid::nil())?;
                told.extend(topic.partitions.into_iter().map(|p| {
                    let (offset, epoch) = (p.committed_offset, p.committed_leader_epoch);
                    (name, p.partition_index, offset, epoch, metadata(p.metadata), code(p.error_code))
                }));
            }
            told.sort();
            let group = asked.first().map_or(Group::Missing, |(group, _)| *group);
            groups.push((group, code(answer.error_code), told));
        }
        for group in answer.groups {
            let mut told: Vec<Fetched> = Vec::new();
            for topic in group.topics {
                let name = self.topic_of(&topic.name, topic.topic_id)?;
                told.extend(topic.partitions.into_iter().map(|p| {
                    let (offset, epoch) = (p.committed_offset, p.committed_leader_epoch);
                    (name, p.partition_index, offset, epoch, metadata(p.metadata), code(p.error_code))
                }));
            }
            told.sort();
            groups.push((self.expect_group(&group.group_id)?, code(group.error_code), told));
        }
        groups.sort();
        Ok(Answer::Fetch(groups))
    }

    fn administered(&self, request: &Request, frame: &Bytes) -> Result<Answer> {
        let version = request.version;
        Ok(match &request.body {
            Body::DeleteOffsets { .. } => {
                let answer = decode_response::<OffsetDeleteRequest>(frame, version)?.1;
                let mut partitions = Vec::new();
                for topic in &answer.topics {
                    let name = self.topic_of(&topic.name, Uuid::nil())?;
                    partitions.extend(topic.partitions.iter().map(|p| (name, p.partition_index, code(p.error_code))));
                }
                partitions.sort_unstable();
                Answer::DeleteOffsets { error: code(answer.error_code), partitions }
            }
            Body::Describe { .. } => {
                let mut groups = Vec::new();
                for group in decode_response::<DescribeGroupsRequest>(frame, version)?.1.groups {
                    groups.push(DescribedGroup {
                        group: self.expect_group(&group.group_id)?,
                        error: code(group.error_code),
                        state: group.group_state.as_str().to_owned(),
                        kind: group.protocol_type.as_str().to_owned(),
                        protocol: group.protocol_data.as_str().to_owned(),
                        members: self.described(&group.members),
                    });
                }
                groups.sort();
                Answer::Describe(groups)
            }
            Body::List { .. } => {
                let answer = decode_response::<ListGroupsRequest>(frame, version)?.1;
                let mut groups = Vec::new();
                for listed in &answer.groups {
                    // Other scripts' groups are there too.
                    let Some(group) = self.group_of(&listed.group_id).filter(|g| *g != Group::Nameless) else {
                        continue;
                    };
                    let [kind, state, class] = [&listed.protocol_type, &listed.group_state, &listed.group_type];
                    groups.push((
                        group,
                        kind.as_str().to_owned(),
                        state.as_str().to_owned(),
                        class.as_str().to_owned(),
                    ));
                }
                groups.sort();
                Answer::List { error: code(answer.error_code), groups }
            }
            _ => {
                let mut told = Vec::new();
                for result in decode_response::<DeleteGroupsRequest>(frame, version)?.1.results {
                    told.push((self.expect_group(&result.group_id)?, code(result.error_code)));
                }
                told.sort_unstable();
                Answer::Delete(told)
            }
        })
    }

    fn described(
        &self,
        members: &[sluice_protocol::messages::describe_groups::DescribedGroupMember],
    ) -> Vec<Described> {
        let describe = |m: &sluice_protocol::messages::describe_groups::DescribedGroupMember| Described {
            id: self.id_of(&m.member_id),
            instance: m.group_instance_id.as_ref().map(|i| i.as_str().to_owned()),
            client_id: m.client_id.as_str().to_owned(),
            metadata: self.metadata_of(&m.member_metadata),
            assignment: m.member_assignment.to_vec(),
        };
        let mut all: Vec<Described> = members.iter().map(describe).collect();
        all.sort();
        all
    }
}

fn frame<R: ApiRequest>(correlation_id: i32, request: &Request, body: &R) -> Result<Vec<u8>> {
    let client_id = format!("m{}", request.slot);
    Ok(encode_request(correlation_id, Some(&client_id), request.version, body)?.to_bytes().to_vec())
}
