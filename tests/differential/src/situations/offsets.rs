//! Committed offsets: OffsetCommit, OffsetFetch, OffsetDelete; and the coordinator that is asked for them.

use anyhow::{Context, Result};
use sluice_protocol::KString;
use sluice_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use sluice_protocol::messages::offset_delete::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
use sluice_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use sluice_protocol::messages::{
    FindCoordinatorRequest, JoinGroupRequest, OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
};
use uuid::Uuid;

use super::membership::{
    Member, alone_in, await_rebalance, join, join_second, join_static, joined_as, protocols, registered, second_joins,
    subscription,
};
use crate::dump::Node;
use crate::requests::{NO_SUCH_ID, To};
use crate::rows;
use crate::session::Session;
use crate::situation::{Situation, differs, family, situation};

/// A topic of three partitions, by name and id.
fn topic(s: &mut Session) -> Result<To> {
    let name = s.topic_with("t", 3, &[])?;
    let id = s.topic_id(&name)?;
    Ok(To { name, id })
}

/// A commit of `offset` for one partition, by a client that is no member.
fn commit(group: &KString, to: &To, partition: i32, offset: i64) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_leader_epoch: -1,
        committed_metadata: Some("what it says".into()),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic { name: to.name.clone(), topic_id: to.id, partitions: vec![partition] };
    OffsetCommitRequest { group_id: group.clone(), topics: vec![topic], ..OffsetCommitRequest::default() }
}

fn commit_as(member: &Member, to: &To, offset: i64) -> OffsetCommitRequest {
    OffsetCommitRequest {
        generation_id_or_member_epoch: member.generation,
        member_id: member.id.clone(),
        group_instance_id: member.instance.clone(),
        ..commit(&member.group, to, 0, offset)
    }
}

/// What is committed for these partitions; `None`: for all.
fn committed(group: &KString, to: Option<&To>, partitions: &[i32], version: i16) -> OffsetFetchRequest {
    if version >= 8 {
        let topics = to.map(|to| {
            vec![OffsetFetchRequestTopics {
                name: to.name.clone(),
                topic_id: to.id,
                partition_indexes: partitions.to_vec(),
            }]
        });
        let of = OffsetFetchRequestGroup { group_id: group.clone(), topics, ..OffsetFetchRequestGroup::default() };
        return OffsetFetchRequest { groups: vec![of], ..OffsetFetchRequest::default() };
    }
    let topics =
        to.map(|to| vec![OffsetFetchRequestTopic { name: to.name.clone(), partition_indexes: partitions.to_vec() }]);
    OffsetFetchRequest { group_id: group.clone(), topics, ..OffsetFetchRequest::default() }
}

fn sorted(answer: &mut Node, _prefix: &str) {
    for list in ["partitions", "topics", "groups"] {
        answer.sort(list);
    }
}

fn delete(group: &KString, topics: &[(&KString, &[i32])]) -> OffsetDeleteRequest {
    let topic = |(name, partitions): &(&KString, &[i32])| OffsetDeleteRequestTopic {
        name: (*name).clone(),
        partitions: partitions.iter().map(|p| OffsetDeleteRequestPartition { partition_index: *p }).collect(),
    };
    OffsetDeleteRequest { group_id: group.clone(), topics: topics.iter().map(topic).collect() }
}

fn find(keys: &[&KString], key_type: i8, version: i16) -> FindCoordinatorRequest {
    let first = keys.first().map(|key| (*key).clone()).unwrap_or_default();
    if version >= 4 {
        let coordinator_keys = keys.iter().map(|key| (*key).clone()).collect();
        return FindCoordinatorRequest { key_type, coordinator_keys, ..FindCoordinatorRequest::default() };
    }
    FindCoordinatorRequest { key: first, key_type, ..FindCoordinatorRequest::default() }
}

/// A member that subscribes to this topic, alone in a group.
fn subscriber(s: &mut Session, to: &To) -> Result<Member> {
    let group = s.name("g");
    let id = registered(s, &group)?;
    let protocols = protocols(&[("range", subscription(&[&to.name], ""))]);
    joined_as(s, &JoinGroupRequest { protocols, ..join(&group, &id) })
}

pub(super) const ALL: &[Situation] = &[
    family("a client that is no member commits, and reads it again", rows::SIMPLE_COMMIT, 2..=10, |s, v| {
        let (to, group) = (topic(s)?, s.name("g"));
        s.ask(v, &commit(&group, &to, 1, 42));
        s.ask_shaped(v, &committed(&group, Some(&to), &[0, 1, 2], v), sorted);
        s.ask(v, &commit(&group, &to, 1, 7));
        s.ask_shaped(v, &committed(&group, Some(&to), &[1], v), sorted);
        Ok(())
    }),
    family("what a group has committed, in every version", "OffsetFetch", 1..=10, |s, v| {
        let (to, group) = (topic(s)?, s.name("g"));
        let mut with_epoch = commit(&group, &to, 0, 5);
        with_epoch.topics[0].partitions[0].committed_leader_epoch = 0;
        s.prepare(8, &with_epoch)?;
        s.ask_shaped(v, &committed(&group, Some(&to), &[0, 7], v), sorted);
        if v >= 2 {
            s.ask_shaped(v, &committed(&group, None, &[], v), sorted);
        }
        Ok(())
    }),
    family("what a group that there is not has committed", "OffsetFetch", 1..=10, |s, v| {
        let (to, group) = (topic(s)?, s.name("none"));
        s.ask_shaped(v, &committed(&group, Some(&to), &[0], v), sorted);
        if v >= 2 {
            s.ask_shaped(v, &committed(&group, None, &[], v), sorted);
        }
        s.ask_shaped(v, &committed(&KString::new(), Some(&to), &[0], v), sorted);
        Ok(())
    }),
    family("what is committed of a topic that there is not", rows::UNKNOWN_TOPIC, 1..=9, |s, v| {
        let (group, none) = (s.name("g"), To::name(&s.name("none")));
        let to = topic(s)?;
        s.prepare(8, &commit(&group, &to, 0, 5))?;
        s.ask_shaped(v, &committed(&group, Some(&none), &[0, -1], v), sorted);
        Ok(())
    }),
    situation("what is committed of an id that no topic has", rows::UNKNOWN_ID, |s, _| {
        let (to, group) = (topic(s)?, s.name("g"));
        s.prepare(8, &commit(&group, &to, 0, 5))?;
        s.ask_shaped(10, &committed(&group, Some(&To::id(NO_SUCH_ID)), &[0], 10), sorted);
        s.ask_shaped(10, &committed(&group, Some(&To::id(Uuid::nil())), &[0], 10), sorted);
        Ok(())
    }),
    family("several groups in one OffsetFetch", "OffsetFetch", 8..=10, |s, v| {
        let (to, group, none) = (topic(s)?, s.name("g"), s.name("none"));
        s.prepare(8, &commit(&group, &to, 0, 5))?;
        let mut both = committed(&group, Some(&to), &[0], v);
        both.groups.extend(committed(&none, Some(&to), &[1], v).groups);
        both.groups.extend(committed(&KString::new(), None, &[], v).groups);
        s.ask_shaped(v, &both, sorted);
        s.ask(v, &OffsetFetchRequest::default());
        Ok(())
    }),
    family("a group twice in one OffsetFetch", "OffsetFetch", 8..=10, |s, v| {
        let (to, group) = (topic(s)?, s.name("g"));
        s.prepare(8, &commit(&group, &to, 0, 5))?;
        let mut twice = committed(&group, Some(&to), &[0], v);
        twice.groups.extend(committed(&group, Some(&to), &[1], v).groups);
        s.ask_shaped(v, &twice, sorted);
        Ok(())
    }),
    family("no topics, and no partitions, in OffsetFetch", "OffsetFetch", 1..=10, |s, v| {
        let (to, group) = (topic(s)?, s.name("g"));
        s.prepare(8, &commit(&group, &to, 0, 5))?;
        s.ask_shaped(v, &committed(&group, Some(&to), &[], v), sorted);
        let mut nothing = committed(&group, Some(&to), &[], v);
        nothing.topics.iter_mut().for_each(Vec::clear);
        nothing.groups.iter_mut().for_each(|g| g.topics = Some(Vec::new()));
        s.ask_shaped(v, &nothing, sorted);
        Ok(())
    }),
    family("a partition twice in one OffsetFetch", "OffsetFetch", 1..=10, |s, v| {
        let (to, group) = (topic(s)?, s.name("g"));
        s.prepare(8, &commit(&group, &to, 0, 5))?;
        s.ask_shaped(v, &committed(&group, Some(&to), &[0, 0], v), sorted);
        Ok(())
    }),
    family("only what is stable", "OffsetFetch", 7..=10, |s, v| {
        let (to, group) = (topic(s)?, s.name("g"));
        s.prepare(8, &commit(&group, &to, 0, 5))?;
        s.ask_shaped(v, &OffsetFetchRequest { require_stable: true, ..committed(&group, Some(&to), &[0], v) }, sorted);
        Ok(())
    }),
    family("an OffsetFetch that names a member of a classic group", "OffsetFetch", 9..=10, |s, v| {
        let to = topic(s)?;
        let member = subscriber(s, &to)?;
        for (id, epoch) in [(&member.id, member.generation), (&"nobody".into(), 1), (&member.id, 99)] {
            let mut asked = committed(&member.group, Some(&to), &[0], v);
            asked.groups[0].member_id = Some(id.clone());
            asked.groups[0].member_epoch = epoch;
            s.ask_shaped(v, &asked, sorted);
        }
        Ok(())
    }),
    // ---- OffsetCommit --------------------------------------------------------------------------------------------
    family("a commit for a topic or partition that there is not", rows::UNKNOWN_TOPIC, 2..=9, |s, v| {
        let (to, group, none) = (topic(s)?, s.name("g"), To::name(&s.name("none")));
        s.ask(v, &commit(&group, &to, 3, 5));
        s.ask(v, &commit(&group, &to, -1, 5));
        s.ask(v, &commit(&group, &none, 0, 5));
        let mut mixed = commit(&group, &none, 0, 5);
        mixed.topics.extend(commit(&group, &to, 0, 6).topics);
        s.ask_shaped(v, &mixed, sorted);
        s.ask_shaped(v.max(2), &committed(&group, None, &[], v.max(2)), sorted);
        Ok(())
    }),
    situation("a commit for an id that no topic has", rows::UNKNOWN_ID, |s, _| {
        let (to, group) = (topic(s)?, s.name("g"));
        s.ask(10, &commit(&group, &To::id(NO_SUCH_ID), 0, 5));
        s.ask(10, &commit(&group, &To::id(Uuid::nil()), 0, 5));
        s.ask(10, &commit(&group, &To::id(to.id), 5, 5));
        Ok(())
    }),
    family("the text beside an offset is at most 4096 long", rows::LONG_METADATA, 2..=10, |s, v| {
        let (to, group) = (topic(s)?, s.name("g"));
        for length in [4096, 4097] {
            let mut request = commit(&group, &to, 0, 5);
            request.topics[0].partitions[0].committed_metadata = Some("x".repeat(length).into());
            s.ask(v, &request);
        }
        let mut none = commit(&group, &to, 1, 5);
        none.topics[0].partitions[0].committed_metadata = None;
        s.ask(v, &none);
        s.ask_shaped(v, &committed(&group, Some(&to), &[1], v), sorted);
        Ok(())
    }),
    family("a negative offset", "OffsetCommit", 2..=10, |s, v| {
        let (to, group) = (topic(s)?, s.name("g"));
        for offset in [-1, -5, i64::MIN, i64::MAX] {
            s.ask(v, &commit(&group, &to, 0, offset));
            s.ask_shaped(v, &committed(&group, Some(&to), &[0], v), sorted);
        }
        Ok(())
    }),
    family("a commit of nothing", "OffsetCommit", 2..=10, |s, v| {
        let (to, group) = (topic(s)?, s.name("g"));
        s.ask(v, &OffsetCommitRequest { topics: Vec::new(), ..commit(&group, &to, 0, 5) });
        let mut none = commit(&group, &to, 0, 5);
        none.topics[0].partitions.clear();
        s.ask(v, &none);
        Ok(())
    }),
    family("a commit for the empty group id", "OffsetCommit", 2..=10, |s, v| {
        let to = topic(s)?;
        s.ask(v, &commit(&KString::new(), &to, 0, 5));
        s.ask_shaped(v, &committed(&KString::new(), Some(&to), &[0], v), sorted);
        Ok(())
    }),
    family("a commit with a generation for a group that there is not", rows::WRONG_GENERATION, 2..=10, |s, v| {
        let to = topic(s)?;
        let member = Member { group: s.name("none"), id: "nobody".into(), instance: None, generation: 3 };
        s.ask(v, &commit_as(&member, &to, 5));
        s.ask(v, &commit_as(&Member { generation: -1, ..member.clone() }, &to, 5));
        s.ask(v, &commit_as(&Member { id: KString::new(), ..member }, &to, 5));
        Ok(())
    }),
    family("a member commits", "OffsetCommit", 2..=10, |s, v| {
        let to = topic(s)?;
        let member = subscriber(s, &to)?;
        s.ask(v, &commit_as(&member, &to, 5));
        s.ask_shaped(v, &committed(&member.group, Some(&to), &[0], v), sorted);
        Ok(())
    }),
    family("a commit by nobody, and of another generation", rows::WRONG_GENERATION, 2..=10, |s, v| {
        let to = topic(s)?;
        let member = subscriber(s, &to)?;
        s.ask(v, &commit_as(&Member { generation: member.generation + 1, ..member.clone() }, &to, 5));
        s.ask(v, &commit_as(&Member { generation: member.generation - 1, ..member.clone() }, &to, 5));
        s.ask(v, &commit_as(&Member { id: "nobody".into(), ..member.clone() }, &to, 5));
        s.ask(v, &commit_as(&Member { generation: -1, ..member }, &to, 5));
        Ok(())
    }),
    family("a client that is no member commits for a group that has members", rows::ALTER_OFFSETS, 2..=10, |s, v| {
        let to = topic(s)?;
        let member = subscriber(s, &to)?;
        s.ask(v, &commit(&member.group, &to, 0, 5));
        let none = To::name(&s.name("none"));
        if v < 10 {
            s.ask(v, &commit(&member.group, &none, 0, 5));
        }
        Ok(())
    }),
    family(
        "a commit of the current generation while a rebalance is prepared",
        rows::WRONG_GENERATION,
        2..=10,
        |s, v| {
            let to = topic(s)?;
            let member = subscriber(s, &to)?;
            let id = registered(s, &member.group)?;
            s.over(1).send(5, &join(&member.group, &id))?;
            await_rebalance(s, &member)?;
            s.over(0).ask(v, &commit_as(&member, &to, 5));
            Ok(())
        },
    ),
    family("a commit before the leader's Sync", rows::WRONG_GENERATION, 2..=10, |s, v| {
        let to = topic(s)?;
        let member = alone_in(s, "g")?;
        let id = registered(s, &member.group)?;
        let (first, second) = second_joins(s, &member, &join_second(&member.group, &id))?;
        s.over(0).ask(v, &commit_as(&first, &to, 5));
        s.over(1).ask(v, &commit_as(&second, &to, 5));
        s.over(0).ask(v, &commit_as(&member, &to, 5));
        Ok(())
    }),
    family("a commit of a fenced instance", rows::INSTANCE, 7..=10, |s, v| {
        let (to, group, instance) = (topic(s)?, s.name("g"), s.name("i"));
        let old = joined_as(s, &join_static(&group, &KString::new(), &instance))?;
        s.prepare(5, &join_static(&group, &KString::new(), &instance))?;
        s.ask(v, &commit_as(&old, &to, 5));
        s.ask(v, &commit_as(&Member { instance: Some(s.name("no-instance")), ..old }, &to, 5));
        Ok(())
    }),
    situation("a partition twice in one commit: the last one counts", "OffsetCommit", |s, _| {
        let (to, group) = (topic(s)?, s.name("g"));
        let mut twice = commit(&group, &to, 0, 5);
        twice.topics[0].partitions.extend(commit(&group, &to, 0, 9).topics[0].partitions.clone());
        s.ask(8, &twice);
        s.ask(6, &committed(&group, Some(&to), &[0], 6));
        Ok(())
    }),
    situation("a topic twice in one commit", "OffsetCommit", |s, _| {
        let (to, group) = (topic(s)?, s.name("g"));
        let mut twice = commit(&group, &to, 0, 5);
        twice.topics.extend(commit(&group, &to, 1, 9).topics);
        s.ask(8, &twice);
        s.ask_shaped(6, &committed(&group, Some(&to), &[0, 1], 6), sorted);
        Ok(())
    }),
    situation("offsets go with their topic", rows::DELETE_TOPICS, |s, _| {
        let (to, group) = (topic(s)?, s.name("g"));
        s.ask(8, &commit(&group, &to, 0, 5));
        let states = vec![sluice_protocol::messages::delete_topics::DeleteTopicState {
            name: Some(to.name.clone()),
            topic_id: Uuid::nil(),
        }];
        let gone =
            sluice_protocol::messages::DeleteTopicsRequest { topics: states, timeout_ms: 20_000, ..Default::default() };
        s.prepare(6, &gone)?;
        s.await_no_topic(&to.name)?;
        crate::session::pass_ms(300);
        s.ask_shaped(6, &committed(&group, Some(&to), &[0], 6), sorted);
        Ok(())
    }),
    // ---- OffsetDelete --------------------------------------------------------------------------------------------
    situation("offsets are deleted, also where there are none", "OffsetDelete", |s, _| {
        let (to, group) = (topic(s)?, s.name("g"));
        s.prepare(8, &commit(&group, &to, 0, 5))?;
        s.ask_shaped(0, &delete(&group, &[(&to.name, &[0, 1])]), sorted);
        s.ask_shaped(6, &committed(&group, Some(&to), &[0, 1], 6), sorted);
        Ok(())
    }),
    situation("OffsetDelete of a group, a topic, a partition that there is not", "OffsetDelete", |s, _| {
        let (to, group, none) = (topic(s)?, s.name("g"), s.name("none"));
        s.ask(0, &delete(&none, &[(&to.name, &[0])]));
        s.ask(0, &delete(&KString::new(), &[(&to.name, &[0])]));
        s.prepare(8, &commit(&group, &to, 0, 5))?;
        s.ask_shaped(0, &delete(&group, &[(&to.name, &[3, -1])]), sorted);
        s.ask(0, &delete(&group, &[(&none, &[0])]));
        s.ask(0, &delete(&group, &[]));
        s.ask(0, &delete(&group, &[(&to.name, &[])]));
        s.ask_shaped(0, &delete(&group, &[(&to.name, &[0, 0])]), sorted);
        Ok(())
    }),
    situation("OffsetDelete of a topic that a member subscribes to", rows::OFFSET_DELETE, |s, _| {
        let to = topic(s)?;
        let other = s.topic("other")?;
        let member = subscriber(s, &to)?;
        s.prepare(8, &commit_as(&member, &to, 5))?;
        s.prepare(8, &commit_as(&member, &To::name(&other), 5))?;
        s.ask_shaped(0, &delete(&member.group, &[(&to.name, &[0]), (&other, &[0])]), sorted);
        s.ask_shaped(6, &committed(&member.group, None, &[], 6), sorted);
        Ok(())
    }),
    situation("OffsetDelete of a group of another type that has members", rows::OFFSET_DELETE, |s, _| {
        let (to, group) = (topic(s)?, s.name("g"));
        s.prepare(8, &commit(&group, &to, 0, 5))?;
        let id = registered(s, &group)?;
        let request = JoinGroupRequest { protocol_type: "connect".into(), ..join(&group, &id) };
        s.prepare(5, &request)?;
        s.ask(0, &delete(&group, &[(&to.name, &[0])]));
        Ok(())
    }),
    // ---- FindCoordinator -----------------------------------------------------------------------------------------
    family("the coordinator of a group", rows::COORDINATOR, 0..=6, |s, v| {
        let group = s.name("g");
        s.ask(v, &find(&[&group], 0, v));
        Ok(())
    }),
    family("the coordinator of the empty group id", "FindCoordinator", 0..=6, |s, v| {
        s.ask(v, &find(&[&KString::new()], 0, v));
        Ok(())
    }),
    family("the coordinators of several groups", rows::COORDINATOR, 4..=6, |s, v| {
        let (a, b) = (s.name("a"), s.name("b"));
        s.ask_shaped(v, &find(&[&a, &b, &a], 0, v), |answer, _| answer.sort("coordinators"));
        s.ask(v, &find(&[], 0, v));
        Ok(())
    }),
    family("the coordinator of a transactional id", "FindCoordinator", 1..=6, |s, v| {
        let id = s.name("tx");
        // Kafka makes the topic of transactions first.
        for _ in 0..200 {
            let answer = s.prepare(v, &find(&[&id], 1, v))?;
            let code = answer.coordinators.first().map_or(answer.error_code, |c| c.error_code);
            if i16::from(code) != 15 {
                break;
            }
            std::thread::park_timeout(std::time::Duration::from_millis(50));
        }
        s.ask(v, &find(&[&id], 1, v));
        Ok(())
    })
    .but(const { &[differs("D-36")] }),
    family("the coordinator of a kind that there is not", "FindCoordinator", 1..=6, |s, v| {
        let key = s.name("x");
        s.ask(v, &find(&[&key], 7, v));
        s.hang_up();
        s.ask(v, &find(&[&key], -1, v));
        Ok(())
    }),
    family("the coordinator of a share partition", "FindCoordinator", 5..=6, |s, v| {
        let key = s.name("x");
        s.ask(v, &find(&[&key], 2, v));
        Ok(())
    }),
    situation("the coordinator that is told answers", rows::COORDINATOR, |s, _| {
        let group = s.name("g");
        let told = s.ask(3, &find(&[&group], 0, 3)).context("an answer")?;
        s.note("an address", format!("{}:{}", told.host, i32::from(told.port > 0)));
        Ok(())
    }),
];
