//! What situations of groups are made of: members that join, and the requests they send.

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use sluice_protocol::KString;
use sluice_protocol::messages::join_group::JoinGroupRequestProtocol;
use sluice_protocol::messages::leave_group::MemberIdentity;
use sluice_protocol::messages::sync_group::SyncGroupRequestAssignment;
use sluice_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};

use crate::dump::Node;
use crate::session::Session;

/// A member as it knows itself.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) group: KString,
    pub(super) id: KString,
    pub(super) instance: Option<KString>,
    pub(super) generation: i32,
}

/// A consumer's subscription to these topics, version 0, with user data that tells members apart.
pub(super) fn subscription(topics: &[&KString], tag: &str) -> Bytes {
    let mut bytes = vec![0, 0];
    bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.as_str().as_bytes());
    }
    bytes.extend(i32::try_from(tag.len()).unwrap().to_be_bytes());
    bytes.extend(tag.as_bytes());
    bytes.into()
}

pub(super) fn protocols(of: &[(&str, Bytes)]) -> Vec<JoinGroupRequestProtocol> {
    of.iter()
        .map(|(name, metadata)| JoinGroupRequestProtocol { name: KString::from(*name), metadata: metadata.clone() })
        .collect()
}

/// A Join of a consumer that supports `range` and subscribes to nothing.
pub(super) fn join(group: &KString, member_id: &KString) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group.clone(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        member_id: member_id.clone(),
        protocol_type: "consumer".into(),
        protocols: protocols(&[("range", subscription(&[], ""))]),
        ..JoinGroupRequest::default()
    }
}

/// As [`join`], with metadata of its own, so that members can be put into an order.
pub(super) fn join_second(group: &KString, member_id: &KString) -> JoinGroupRequest {
    let protocols = protocols(&[("range", subscription(&[], "second"))]);
    JoinGroupRequest { protocols, ..join(group, member_id) }
}

/// As [`join`], for the version: older ones do not carry what newer ones do.
pub(super) fn join_static(group: &KString, member_id: &KString, instance: &KString) -> JoinGroupRequest {
    JoinGroupRequest { group_instance_id: Some(instance.clone()), ..join(group, member_id) }
}

pub(super) fn sync(member: &Member, assignments: &[(&KString, &str)]) -> SyncGroupRequest {
    let assignment = |(id, text): &(&KString, &str)| SyncGroupRequestAssignment {
        member_id: (*id).clone(),
        assignment: Bytes::copy_from_slice(text.as_bytes()),
    };
    SyncGroupRequest {
        group_id: member.group.clone(),
        generation_id: member.generation,
        member_id: member.id.clone(),
        group_instance_id: member.instance.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: assignments.iter().map(assignment).collect(),
    }
}

pub(super) fn beat(member: &Member) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: member.group.clone(),
        generation_id: member.generation,
        member_id: member.id.clone(),
        group_instance_id: member.instance.clone(),
    }
}

pub(super) fn leave(member: &Member, version: i16) -> LeaveGroupRequest {
    if version < 3 {
        let (group_id, member_id) = (member.group.clone(), member.id.clone());
        return LeaveGroupRequest { group_id, member_id, ..LeaveGroupRequest::default() };
    }
    leave_all(&member.group, &[(member.id.clone(), member.instance.clone())])
}

pub(super) fn leave_all(group: &KString, members: &[(KString, Option<KString>)]) -> LeaveGroupRequest {
    let identity = |(id, instance): &(KString, Option<KString>)| MemberIdentity {
        member_id: id.clone(),
        group_instance_id: instance.clone(),
        reason: None,
    };
    LeaveGroupRequest {
        group_id: group.clone(),
        members: members.iter().map(identity).collect(),
        ..LeaveGroupRequest::default()
    }
}

/// The members of an answer in one order: Kafka's is that of a hash map.
pub(super) fn members_sorted(answer: &mut Node, _prefix: &str) {
    answer.sort("members");
}

/// What a Join's answer makes of the member.
pub(super) fn member_of(request: &JoinGroupRequest, answer: &JoinGroupResponse) -> Member {
    Member {
        group: request.group_id.clone(),
        id: answer.member_id.detach(),
        instance: request.group_instance_id.clone(),
        generation: answer.generation_id,
    }
}

/// Gets a member id (not recorded), without joining yet.
pub(super) fn registered(s: &mut Session, group: &KString) -> Result<KString> {
    let answer = s.prepare(5, &join(group, &KString::new()))?;
    ensure!(i16::from(answer.error_code) == 79, "no member id: {:?}", answer.error_code);
    Ok(answer.member_id.detach())
}

/// Joins as the only member, and syncs (not recorded).
pub(super) fn alone_in(s: &mut Session, short: &str) -> Result<Member> {
    let group = s.name(short);
    let id = registered(s, &group)?;
    joined_as(s, &join(&group, &id))
}

/// Joins with this request as the only member, and syncs (not recorded).
pub(super) fn joined_as(s: &mut Session, request: &JoinGroupRequest) -> Result<Member> {
    let answer = s.prepare(5, request)?;
    ensure!(answer.error_code.is_none(), "not joined: {:?}", answer.error_code);
    let member = member_of(request, &answer);
    let synced = s.prepare(3, &sync(&member, &[(&member.id, "all of it")]))?;
    ensure!(synced.error_code.is_none(), "not synced: {:?}", synced.error_code);
    Ok(member)
}

/// Lets a second member in over connection 1 while the first, over connection 0, joins again (not recorded). Both are in the
/// phase in which the leader's Sync is awaited; the first leads.
pub(super) fn second_joins(s: &mut Session, first: &Member, request: &JoinGroupRequest) -> Result<(Member, Member)> {
    s.over(1).send(5, request)?;
    await_rebalance(s, first)?;
    let again = JoinGroupRequest { group_instance_id: first.instance.clone(), ..join(&first.group, &first.id) };
    let one = s.over(0).prepare(5, &again)?;
    let two = s.over(1).take::<JoinGroupRequest>(5)?;
    s.over(0);
    ensure!(one.error_code.is_none() && two.error_code.is_none(), "{:?} {:?}", one.error_code, two.error_code);
    Ok((member_of(&again, &one), member_of(request, &two)))
}

/// Two members, both synced (not recorded): the first leads, over connection 0; the second speaks over 1.
pub(super) fn pair(s: &mut Session, short: &str) -> Result<(Member, Member)> {
    let first = alone_in(s, short)?;
    let id = registered(s, &first.group)?;
    let (first, second) = second_joins(s, &first, &join_second(&first.group, &id))?;
    sync_both(s, &first, &second)?;
    Ok((first, second))
}

/// The leader syncs over connection 0, the follower over 1 (not recorded).
pub(super) fn sync_both(s: &mut Session, first: &Member, second: &Member) -> Result<()> {
    let assignments = [(&first.id, "one half"), (&second.id, "the other")];
    let one = s.over(0).prepare(3, &sync(first, &assignments))?;
    let two = s.over(1).prepare(3, &sync(second, &[]))?;
    s.over(0);
    ensure!(one.error_code.is_none() && two.error_code.is_none(), "{:?} {:?}", one.error_code, two.error_code);
    Ok(())
}

/// Waits until the member is told that the group rebalances (over connection 0).
pub(super) fn await_rebalance(s: &mut Session, member: &Member) -> Result<()> {
    s.over(0);
    for _ in 0..2_000 {
        let code = i16::from(s.prepare(3, &beat(member))?.error_code);
        if code == 27 {
            return Ok(());
        }
        ensure!(code == 0, "a Heartbeat was answered {code}");
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    None.context("no rebalance began")
}
