//! Groups as an administrator sees them: DescribeGroups, ListGroups, DeleteGroups.

use sluice_protocol::KString;
use sluice_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use sluice_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, JoinGroupRequest, ListGroupsRequest, OffsetCommitRequest,
    OffsetFetchRequest,
};

use super::membership::{
    Member, alone_in, await_rebalance, join, join_second, join_static, joined_as, leave, members_sorted, pair,
    protocols, registered, second_joins, subscription,
};
use crate::dump::Node;
use crate::rows;
use crate::session::Session;
use crate::situation::{Situation, family, situation};

fn describe(groups: &[&KString]) -> DescribeGroupsRequest {
    let groups = groups.iter().map(|group| (*group).clone()).collect();
    DescribeGroupsRequest { groups, include_authorized_operations: false }
}

fn own(answer: &mut Node, prefix: &str) {
    answer.keep("groups", "group_id", prefix);
    answer.sort("groups");
}

fn list(states: &[&str], types: &[&str]) -> ListGroupsRequest {
    let texts = |of: &[&str]| of.iter().map(|text| KString::from(*text)).collect();
    ListGroupsRequest { states_filter: texts(states), types_filter: texts(types) }
}

fn delete(groups: &[&KString]) -> DeleteGroupsRequest {
    DeleteGroupsRequest { groups_names: groups.iter().map(|group| (*group).clone()).collect() }
}

/// A group that has committed something, and no members.
fn with_offsets(s: &mut Session, short: &str) -> anyhow::Result<KString> {
    let (group, name) = (s.name(short), s.topic(&format!("{short}-topic"))?);
    let partition = OffsetCommitRequestPartition { committed_offset: 5, ..OffsetCommitRequestPartition::default() };
    let topic = OffsetCommitRequestTopic { name, partitions: vec![partition], ..OffsetCommitRequestTopic::default() };
    let request =
        OffsetCommitRequest { group_id: group.clone(), topics: vec![topic], ..OffsetCommitRequest::default() };
    s.prepare(8, &request)?;
    Ok(group)
}

/// One group in each state.
fn one_of_each(s: &mut Session) -> anyhow::Result<[KString; 4]> {
    let empty = with_offsets(s, "empty")?;
    let stable = alone_in(s, "stable")?.group;
    let group = s.name("completing");
    let id = registered(s, &group)?;
    s.prepare(5, &join(&group, &id))?;
    let first = alone_in(s, "preparing")?;
    let id = registered(s, &first.group)?;
    s.over(1).send(5, &join(&first.group, &id))?;
    await_rebalance(s, &first)?;
    Ok([empty, stable, group, first.group])
}

pub(super) const ALL: &[Situation] = &[
    family("a description of a group that there is not", rows::DESCRIBE_UNKNOWN, 0..=6, |s, v| {
        let none = s.name("none");
        s.ask(v, &describe(&[&none]));
        s.ask(v, &describe(&[&KString::new()]));
        Ok(())
    }),
    family("a description of nothing", "DescribeGroups", 0..=6, |s, v| {
        s.ask(v, &describe(&[]));
        Ok(())
    }),
    family("a description of a stable group", "DescribeGroups", 0..=6, |s, v| {
        let member = alone_in(s, "g")?;
        s.ask(v, &describe(&[&member.group]));
        Ok(())
    }),
    family("a description of a group of two", "DescribeGroups", 0..=6, |s, v| {
        let (first, second) = pair(s, "g")?;
        s.ask_shaped(v, &describe(&[&first.group]), members_sorted);
        s.note("different ids", first.id != second.id);
        Ok(())
    }),
    family("descriptions of groups in every state", "DescribeGroups", 0..=6, |s, v| {
        let groups = one_of_each(s)?;
        s.over(0).ask_shaped(v, &describe(&groups.iter().collect::<Vec<_>>()), |answer, _| {
            answer.sort("members");
            answer.sort("groups");
        });
        Ok(())
    }),
    family("a description of a group with a static member", "DescribeGroups", 0..=6, |s, v| {
        let (group, instance) = (s.name("g"), s.name("i"));
        joined_as(s, &join_static(&group, &KString::new(), &instance))?;
        s.ask(v, &describe(&[&group]));
        Ok(())
    }),
    family("a description of a group that everybody has left", "DescribeGroups", 0..=6, |s, v| {
        let member = alone_in(s, "g")?;
        s.ask(3, &leave(&member, 3));
        s.ask(v, &describe(&[&member.group]));
        Ok(())
    }),
    family("what one may do with a group", "DescribeGroups", 3..=6, |s, v| {
        let (group, none) = (alone_in(s, "g")?.group, s.name("none"));
        let request = DescribeGroupsRequest { include_authorized_operations: true, ..describe(&[&group, &none]) };
        s.ask_shaped(v, &request, |answer, _| answer.sort("groups"));
        Ok(())
    }),
    situation("a group twice in one DescribeGroups", "DescribeGroups", |s, _| {
        let group = alone_in(s, "g")?.group;
        s.ask(5, &describe(&[&group, &group]));
        Ok(())
    }),
    situation("a description tells the metadata and the assignment of each member", "DescribeGroups", |s, _| {
        let (group, topic) = (s.name("g"), s.topic("t")?);
        let id = registered(s, &group)?;
        let metadata = protocols(&[("range", subscription(&[&topic], "user data")), ("other", bytes::Bytes::new())]);
        joined_as(s, &JoinGroupRequest { protocols: metadata, ..join(&group, &id) })?;
        s.ask(5, &describe(&[&group]));
        Ok(())
    }),
    situation("a description while ids are given out and nobody has joined", "DescribeGroups", |s, _| {
        let group = s.name("g");
        registered(s, &group)?;
        s.ask(5, &describe(&[&group]));
        s.ask(6, &describe(&[&group]));
        s.ask_shaped(4, &list(&[], &[]), own);
        Ok(())
    }),
    // ---- ListGroups ----------------------------------------------------------------------------------------------
    family("all groups, in every state", "ListGroups", 0..=5, |s, v| {
        one_of_each(s)?;
        s.over(0).ask_shaped(v, &list(&[], &[]), own);
        Ok(())
    }),
    family("groups of a state", "ListGroups", 4..=5, |s, v| {
        one_of_each(s)?;
        s.over(0);
        for state in ["Stable", "Empty", "PreparingRebalance", "CompletingRebalance", "Dead", "stable", "Nonsense", ""]
        {
            s.ask_shaped(v, &list(&[state], &[]), own);
        }
        s.ask_shaped(v, &list(&["Stable", "Empty", "Stable"], &[]), own);
        Ok(())
    }),
    situation("groups of a type", "ListGroups", |s, _| {
        one_of_each(s)?;
        s.over(0);
        for kind in ["classic", "consumer", "Classic", "share", "Nonsense", ""] {
            s.ask_shaped(5, &list(&[], &[kind]), own);
        }
        s.ask_shaped(5, &list(&["Stable"], &["classic"]), own);
        Ok(())
    }),
    // ---- DeleteGroups --------------------------------------------------------------------------------------------
    family("a group is deleted, and is gone", rows::DELETE_GROUPS, 0..=2, |s, v| {
        let group = with_offsets(s, "g")?;
        s.ask(v, &delete(&[&group]));
        s.ask(v, &delete(&[&group]));
        s.ask(5, &describe(&[&group]));
        s.ask(6, &OffsetFetchRequest { group_id: group, topics: None, ..OffsetFetchRequest::default() });
        Ok(())
    }),
    family("a group that there is not, or that has members, is not deleted", rows::DELETE_GROUPS, 0..=2, |s, v| {
        let (none, member) = (s.name("none"), alone_in(s, "g")?);
        s.ask_shaped(v, &delete(&[&none, &member.group]), |answer, _| answer.sort("results"));
        s.ask(v, &delete(&[&KString::new()]));
        s.ask(v, &delete(&[]));
        Ok(())
    }),
    situation("a group twice in one DeleteGroups", rows::DELETE_GROUPS, |s, _| {
        let (group, none) = (with_offsets(s, "g")?, s.name("none"));
        s.ask_shaped(2, &delete(&[&group, &group, &none, &none]), |answer, _| answer.sort("results"));
        Ok(())
    }),
    situation("a group whose ids are given out and which nobody has joined is deleted", rows::DELETE_GROUPS, |s, _| {
        let group = s.name("g");
        registered(s, &group)?;
        s.ask(2, &delete(&[&group]));
        Ok(())
    }),
    situation("a group in a rebalance is not deleted", rows::DELETE_GROUPS, |s, _| {
        let first = alone_in(s, "g")?;
        let id = registered(s, &first.group)?;
        let (first, _) = second_joins(s, &first, &join_second(&first.group, &id))?;
        s.ask(2, &delete(&[&first.group]));
        Ok(())
    }),
    situation("a group that is deleted begins anew", rows::DELETE_GROUPS, |s, _| {
        let member = alone_in(s, "g")?;
        s.prepare(3, &leave(&member, 3))?;
        s.ask(2, &delete(&[&member.group]));
        let again: Member = alone_in(s, "g")?;
        s.note("generation", again.generation);
        Ok(())
    }),
];
