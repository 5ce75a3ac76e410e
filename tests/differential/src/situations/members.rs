//! Members of groups: Join, Sync, Heartbeat, Leave.

use anyhow::{Context, Result};
use sluice_protocol::KString;
use sluice_protocol::messages::{
    DescribeGroupsRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, SyncGroupRequest,
};

use super::membership::{
    Member, alone_in, await_rebalance, beat, join, join_second, join_static, joined_as, leave, leave_all, member_of,
    members_sorted, pair, protocols, registered, second_joins, subscription, sync, sync_both,
};
use crate::brokers::GROUP_MAX_SIZE;
use crate::rows;
use crate::session::Session;
use crate::situation::{Situation, differs, differs_at, family, situation};

/// Joins a new group in this version, recorded; from version 4 on in two steps.
fn join_in(s: &mut Session, version: i16, group: &KString) -> Result<(JoinGroupRequest, JoinGroupResponse)> {
    let mut request = join(group, &KString::new());
    if version >= 4 {
        let told = s.ask(version, &request).context("an answer")?;
        request.member_id = told.member_id.detach();
    }
    let answer = s.ask_shaped(version, &request, members_sorted).context("an answer")?;
    Ok((request, answer))
}

fn nobody(s: &Session, short: &str) -> Member {
    Member { group: s.name(short), id: "nobody".into(), instance: None, generation: 1 }
}

pub(super) const ALL: &[Situation] = &[
    family("a member's life: Join, Sync, Heartbeat, Leave", "JoinGroup", 0..=9, |s, v| {
        let group = s.name("g");
        let (request, answer) = join_in(s, v, &group)?;
        let member = member_of(&request, &answer);
        s.ask(v.min(5), &sync(&member, &[(&member.id, "everything")]));
        s.ask(v.min(4), &beat(&member));
        s.ask(v.min(5), &leave(&member, v.min(5)));
        s.ask(v.min(4), &beat(&member));
        Ok(())
    }),
    family("a member without an id is told one, from version 4 on", rows::EMPTY_MEMBER, 0..=9, |s, v| {
        let group = s.name("g");
        s.ask_shaped(v, &join(&group, &KString::new()), members_sorted);
        Ok(())
    }),
    family("a static member needs no id of its own", rows::EMPTY_MEMBER, 5..=9, |s, v| {
        let (group, instance) = (s.name("g"), s.name("i"));
        s.ask_shaped(v, &join_static(&group, &KString::new(), &instance), members_sorted);
        Ok(())
    }),
    family("an empty group id in Join", rows::NO_COMMON, 0..=9, |s, v| {
        s.ask(v, &join(&KString::new(), &KString::new()));
        Ok(())
    }),
    family("a session timeout outside 6 s to 30 min", rows::NO_COMMON, 0..=9, |s, v| {
        let group = s.name("g");
        for session_timeout_ms in [5_999, 1_800_001, 0, -1] {
            s.ask(v, &JoinGroupRequest { session_timeout_ms, ..join(&group, &KString::new()) });
        }
        Ok(())
    }),
    family("a Join without protocols, or without a protocol type", rows::NO_COMMON, 0..=9, |s, v| {
        let group = s.name("g");
        s.ask(v, &JoinGroupRequest { protocols: Vec::new(), ..join(&group, &KString::new()) });
        s.ask(v, &JoinGroupRequest { protocol_type: KString::new(), ..join(&group, &KString::new()) });
        Ok(())
    }),
    family("a Join with an id that nobody has", rows::WRONG_GENERATION, 0..=9, |s, v| {
        let group = s.name("g");
        s.ask(v, &join(&group, &"nobody".into()));
        alone_in(s, "g")?;
        s.ask(v, &join(&group, &"nobody".into()));
        Ok(())
    }),
    family("a Join that shares no protocol with the group", rows::NO_COMMON, 0..=9, |s, v| {
        let first = alone_in(s, "g")?;
        let other = protocols(&[("roundrobin", subscription(&[], ""))]);
        s.ask(v, &JoinGroupRequest { protocols: other, ..join(&first.group, &KString::new()) });
        s.ask(v, &JoinGroupRequest { protocol_type: "connect".into(), ..join(&first.group, &KString::new()) });
        Ok(())
    }),
    situation("an instance id that is empty or long", rows::INSTANCE, |s, _| {
        let group = s.name("g");
        for instance in [String::new(), "x".repeat(249), "a b".to_owned(), "..".to_owned(), "x".repeat(250)] {
            let request = join_static(&group, &KString::new(), &KString::from(instance));
            let request = JoinGroupRequest { session_timeout_ms: 6_000, rebalance_timeout_ms: 100, ..request };
            s.ask_shaped(5, &request, members_sorted);
        }
        Ok(())
    }),
    situation("a Join with the same protocol twice", rows::NO_COMMON, |s, _| {
        s.wait_at_most(3_000);
        let group = s.name("g");
        let twice = protocols(&[("range", subscription(&[], "a")), ("range", subscription(&[], "b"))]);
        s.ask_shaped(3, &JoinGroupRequest { protocols: twice, ..join(&group, &KString::new()) }, members_sorted);
        Ok(())
    })
    .but(const { &[differs("D-41")] }),
    situation("a member whose metadata is not a subscription", "JoinGroup", |s, _| {
        s.wait_at_most(3_000);
        let group = s.name("g");
        let garbage = protocols(&[("range", bytes::Bytes::from_static(b"garbage")), ("other", bytes::Bytes::new())]);
        s.ask_shaped(3, &JoinGroupRequest { protocols: garbage, ..join(&group, &KString::new()) }, members_sorted);
        Ok(())
    })
    .but(const { &[differs("D-41")] }),
    situation("a group of a protocol type of its own", "JoinGroup", |s, _| {
        let group = s.name("g");
        let request = JoinGroupRequest {
            protocol_type: "connect".into(),
            protocols: protocols(&[("sessioned", bytes::Bytes::from_static(b"\x00\x01opaque"))]),
            ..join(&group, &KString::new())
        };
        let answer = s.ask_shaped(3, &request, members_sorted).context("an answer")?;
        let member = member_of(&request, &answer);
        let assign =
            SyncGroupRequest { protocol_type: None, protocol_name: None, ..sync(&member, &[(&member.id, "x")]) };
        s.ask(3, &assign);
        Ok(())
    }),
    situation("the group is full", rows::NO_COMMON, |s, _| {
        let group = s.name("g");
        let full = (0..GROUP_MAX_SIZE).map(|_| registered(s, &group)).collect::<Result<Vec<_>>>()?;
        s.ask(5, &join(&group, &KString::new()));
        s.ask(3, &join(&group, &KString::new()));
        s.note("ids given", full.len());
        Ok(())
    }),
    // ---- Heartbeat -----------------------------------------------------------------------------------------------
    family("a Heartbeat of nobody", rows::WRONG_GENERATION, 0..=4, |s, v| {
        let unknown = nobody(s, "none");
        s.ask(v, &beat(&unknown));
        let first = alone_in(s, "g")?;
        s.ask(v, &beat(&Member { id: "nobody".into(), ..first.clone() }));
        s.ask(v, &beat(&Member { id: KString::new(), ..first }));
        s.ask(v, &HeartbeatRequest::default());
        Ok(())
    }),
    family("a Heartbeat of another generation", rows::WRONG_GENERATION, 0..=4, |s, v| {
        let first = alone_in(s, "g")?;
        for generation in [first.generation + 1, first.generation - 1, -1, 0, i32::MAX] {
            s.ask(v, &beat(&Member { generation, ..first.clone() }));
        }
        Ok(())
    }),
    family("a Heartbeat during a rebalance", rows::WRONG_GENERATION, 0..=4, |s, v| {
        let first = alone_in(s, "g")?;
        let id = registered(s, &first.group)?;
        s.over(1).send(5, &join(&first.group, &id))?;
        await_rebalance(s, &first)?;
        s.ask(v, &beat(&first));
        Ok(())
    }),
    // ---- Sync ----------------------------------------------------------------------------------------------------
    family("a Sync of nobody", rows::WRONG_GENERATION, 0..=5, |s, v| {
        let unknown = nobody(s, "none");
        s.ask(v, &sync(&unknown, &[]));
        let first = alone_in(s, "g")?;
        s.ask(v, &sync(&Member { id: "nobody".into(), ..first.clone() }, &[]));
        s.ask(v, &SyncGroupRequest { group_id: KString::new(), ..sync(&first, &[]) });
        Ok(())
    }),
    family("a Sync of another generation", rows::WRONG_GENERATION, 0..=5, |s, v| {
        let first = alone_in(s, "g")?;
        s.ask(v, &sync(&Member { generation: first.generation + 1, ..first.clone() }, &[]));
        s.ask(v, &sync(&Member { generation: -1, ..first }, &[]));
        Ok(())
    }),
    family("a Sync of a stable group tells the assignment again", "SyncGroup", 0..=5, |s, v| {
        let first = alone_in(s, "g")?;
        s.ask(v, &sync(&first, &[]));
        s.ask(v, &sync(&first, &[(&first.id, "something else")]));
        Ok(())
    }),
    family("a Sync during a rebalance", rows::WRONG_GENERATION, 0..=5, |s, v| {
        let first = alone_in(s, "g")?;
        let id = registered(s, &first.group)?;
        s.over(1).send(5, &join(&first.group, &id))?;
        await_rebalance(s, &first)?;
        s.ask(v, &sync(&first, &[]));
        Ok(())
    }),
    situation("a Sync that names another protocol or type", rows::NO_COMMON, |s, _| {
        let first = alone_in(s, "g")?;
        s.ask(5, &SyncGroupRequest { protocol_name: Some("roundrobin".into()), ..sync(&first, &[]) });
        s.ask(5, &SyncGroupRequest { protocol_type: Some("connect".into()), ..sync(&first, &[]) });
        s.ask(5, &SyncGroupRequest { protocol_name: None, ..sync(&first, &[]) });
        s.ask(5, &SyncGroupRequest { protocol_type: None, ..sync(&first, &[]) });
        Ok(())
    }),
    situation("the leader's Sync leaves members out, and names some that there are not", "SyncGroup", |s, _| {
        let group = s.name("g");
        let id = registered(s, &group)?;
        let request = join(&group, &id);
        let answer = s.prepare(5, &request)?;
        let member = member_of(&request, &answer);
        s.ask(3, &sync(&member, &[(&"nobody".into(), "for nobody")]));
        s.ask(3, &beat(&member));
        Ok(())
    }),
    situation("a follower's Sync waits for the leader's", "SyncGroup", |s, _| {
        let first = alone_in(s, "g")?;
        let id = registered(s, &first.group)?;
        let (first, second) = second_joins(s, &first, &join_second(&first.group, &id))?;
        s.over(1).send(3, &sync(&second, &[]))?;
        s.over(0).ask(3, &sync(&first, &[(&first.id, "one half"), (&second.id, "the other")]));
        s.over(1).receive::<SyncGroupRequest>(3);
        Ok(())
    }),
    situation("a follower's assignments are not looked at", "SyncGroup", |s, _| {
        let first = alone_in(s, "g")?;
        let id = registered(s, &first.group)?;
        let (first, second) = second_joins(s, &first, &join_second(&first.group, &id))?;
        s.over(1).send(3, &sync(&second, &[(&second.id, "mine"), (&first.id, "mine too")]))?;
        s.over(0).ask(3, &sync(&first, &[(&first.id, "one half"), (&second.id, "the other")]));
        s.over(1).receive::<SyncGroupRequest>(3);
        Ok(())
    }),
    // ---- rebalances ----------------------------------------------------------------------------------------------
    family("two members: the first leads, and is told of both", "JoinGroup", 0..=9, |s, v| {
        let group = s.name("g");
        let (mut request, answer) = join_in(s, v, &group)?;
        let first = member_of(&request, &answer);
        s.prepare(3, &sync(&first, &[]))?;
        let mut second = join(&group, &KString::new());
        if v >= 4 {
            second.member_id = registered(s, &group)?;
        }
        second.protocols = protocols(&[("range", subscription(&[], "second"))]);
        s.over(1).send(v, &second)?;
        await_rebalance(s, &first)?;
        request.member_id = first.id.clone();
        s.over(0).ask_shaped(v, &request, members_sorted);
        s.over(1).receive_shaped::<JoinGroupRequest>(v, members_sorted);
        Ok(())
    }),
    situation("the protocol that most members prefer is chosen", rows::NO_COMMON, |s, _| {
        let both = |first: &str, second: &str, tag: &str| {
            protocols(&[(first, subscription(&[], tag)), (second, subscription(&[], tag))])
        };
        let group = s.name("g");
        let id = registered(s, &group)?;
        let one = JoinGroupRequest { protocols: both("range", "roundrobin", "first"), ..join(&group, &id) };
        let first = joined_as(s, &one)?;
        let ids = [registered(s, &group)?, registered(s, &group)?];
        for (at, id) in ids.iter().enumerate() {
            let protocols = both("roundrobin", "range", &format!("other {at}"));
            s.over(at + 1).send(5, &JoinGroupRequest { protocols, ..join(&group, id) })?;
        }
        await_rebalance(s, &first)?;
        s.over(0).ask_shaped(5, &JoinGroupRequest { member_id: first.id, ..one }, members_sorted);
        s.over(1).receive_shaped::<JoinGroupRequest>(5, members_sorted);
        s.over(2).receive_shaped::<JoinGroupRequest>(5, members_sorted);
        Ok(())
    }),
    situation("a follower that joins again unchanged is told what it knows", "JoinGroup", |s, _| {
        let (_, second) = pair(s, "g")?;
        s.over(1).ask_shaped(5, &join_second(&second.group, &second.id), members_sorted);
        s.over(1).ask(3, &beat(&second));
        Ok(())
    }),
    situation("a leader that joins again begins a rebalance", "JoinGroup", |s, _| {
        let (first, second) = pair(s, "g")?;
        s.over(0).send(5, &join(&first.group, &first.id))?;
        for _ in 0..400 {
            if i16::from(s.over(1).prepare(3, &beat(&second))?.error_code) == 27 {
                break;
            }
        }
        s.over(1).ask(3, &beat(&second));
        s.over(1).ask_shaped(5, &join_second(&second.group, &second.id), members_sorted);
        s.over(0).receive_shaped::<JoinGroupRequest>(5, members_sorted);
        Ok(())
    }),
    situation("a member that was told its generation and lost it joins again before the Sync", "JoinGroup", |s, _| {
        let first = alone_in(s, "g")?;
        let id = registered(s, &first.group)?;
        let (first, second) = second_joins(s, &first, &join_second(&first.group, &id))?;
        s.over(1).ask_shaped(5, &join_second(&second.group, &second.id), members_sorted);
        s.over(0).ask_shaped(5, &join(&first.group, &first.id), members_sorted);
        Ok(())
    }),
    situation("a member that does not join again in its rebalance timeout is out", "JoinGroup", |s, _| {
        let group = s.name("g");
        let id = registered(s, &group)?;
        let first = joined_as(s, &JoinGroupRequest { rebalance_timeout_ms: 600, ..join(&group, &id) })?;
        let id = registered(s, &group)?;
        let second = JoinGroupRequest { rebalance_timeout_ms: 600, ..join(&group, &id) };
        s.over(1).ask_shaped(5, &second, members_sorted);
        s.over(0).ask(3, &beat(&first));
        s.over(0).ask(3, &sync(&first, &[]));
        Ok(())
    }),
    situation("a member that leaves begins a rebalance", "LeaveGroup", |s, _| {
        let (first, second) = pair(s, "g")?;
        s.over(1).ask(3, &leave(&second, 3));
        await_rebalance(s, &first)?;
        s.over(0).ask_shaped(5, &join(&first.group, &first.id), members_sorted);
        s.over(1).ask(3, &beat(&second));
        Ok(())
    }),
    situation("a leader that leaves is followed by another", "LeaveGroup", |s, _| {
        let (first, second) = pair(s, "g")?;
        s.over(0).ask(3, &leave(&first, 3));
        s.over(1).ask_shaped(5, &join_second(&second.group, &second.id), members_sorted);
        s.over(0).ask(3, &beat(&first));
        Ok(())
    }),
    situation("a member that is silent for its session timeout is out", rows::WRONG_GENERATION, |s, _| {
        let group = s.name("g");
        let id = registered(s, &group)?;
        let first = joined_as(s, &JoinGroupRequest { session_timeout_ms: 6_000, ..join(&group, &id) })?;
        crate::session::pass_ms(4_000);
        s.ask(3, &beat(&first));
        crate::session::pass_ms(9_000);
        s.ask(3, &beat(&first));
        Ok(())
    }),
    situation("the generation goes on after everybody has left", "JoinGroup", |s, _| {
        let first = alone_in(s, "g")?;
        s.ask(3, &leave(&first, 3));
        let id = registered(s, &first.group)?;
        s.ask_shaped(5, &join(&first.group, &id), members_sorted);
        Ok(())
    }),
    // ---- static members ------------------------------------------------------------------------------------------
    situation("an instance id that comes again replaces its member", rows::INSTANCE, |s, _| {
        let (group, instance) = (s.name("g"), s.name("i"));
        let old = joined_as(s, &join_static(&group, &KString::new(), &instance))?;
        s.ask_shaped(5, &join_static(&group, &KString::new(), &instance), members_sorted);
        s.ask(3, &beat(&old));
        s.ask(3, &sync(&old, &[]));
        s.ask(5, &join_static(&group, &old.id, &instance));
        s.ask(3, &leave_all(&group, &[(old.id.clone(), Some(instance.clone()))]));
        Ok(())
    }),
    family("a static member that comes again unchanged causes no rebalance", rows::INSTANCE, 5..=9, |s, v| {
        let (group, instance) = (s.name("g"), s.name("i"));
        let old = joined_as(s, &join_static(&group, &KString::new(), &instance))?;
        let request = join_static(&group, &KString::new(), &instance);
        let answer = s.ask_shaped(v, &request, members_sorted).context("an answer")?;
        let new = member_of(&request, &answer);
        s.note("another id", old.id != new.id);
        s.ask(3, &beat(&new));
        s.ask(3, &sync(&new, &[]));
        Ok(())
    }),
    situation("an instance id that nobody has, in every request", rows::INSTANCE, |s, _| {
        let first = alone_in(s, "g")?;
        let other = Member { instance: Some(s.name("i")), ..first.clone() };
        s.ask(3, &beat(&other));
        s.ask(3, &sync(&other, &[]));
        s.ask(5, &join_static(&first.group, &first.id, &s.name("i")));
        s.ask(3, &leave(&other, 3));
        Ok(())
    }),
    situation("an instance id of another member", rows::INSTANCE, |s, _| {
        let (group, instance) = (s.name("g"), s.name("i"));
        let old = joined_as(s, &join_static(&group, &KString::new(), &instance))?;
        let wrong = Member { id: "nobody".into(), ..old.clone() };
        s.ask(3, &beat(&wrong));
        s.ask(3, &sync(&wrong, &[]));
        s.ask(3, &beat(&Member { instance: None, ..old.clone() }));
        s.ask(5, &join_static(&group, &"nobody".into(), &instance));
        Ok(())
    }),
    // ---- Leave ---------------------------------------------------------------------------------------------------
    family("a Leave of nobody", rows::WRONG_GENERATION, 0..=5, |s, v| {
        let unknown = nobody(s, "none");
        s.ask(v, &leave(&unknown, v));
        let first = alone_in(s, "g")?;
        s.ask(v, &leave(&Member { id: "nobody".into(), ..first.clone() }, v));
        s.ask(v, &leave(&Member { group: KString::new(), ..first }, v));
        Ok(())
    }),
    family("several members leave at once, some of whom there are not", "LeaveGroup", 3..=5, |s, v| {
        let (first, second) = pair(s, "g")?;
        let leaving = [
            (first.id.clone(), None),
            ("nobody".into(), None),
            (second.id.clone(), None),
            (second.id.clone(), None),
            (KString::new(), Some(s.name("no-instance"))),
        ];
        s.ask(v, &leave_all(&first.group, &leaving));
        s.ask(v, &leave_all(&first.group, &leaving));
        Ok(())
    }),
    family("a static member leaves by its instance alone", "LeaveGroup", 3..=5, |s, v| {
        let (group, instance) = (s.name("g"), s.name("i"));
        joined_as(s, &join_static(&group, &KString::new(), &instance))?;
        s.ask(v, &leave_all(&group, &[("nobody".into(), Some(instance.clone()))]));
        s.ask(v, &leave_all(&group, &[(KString::new(), Some(instance.clone()))]));
        s.ask(v, &leave_all(&group, &[(KString::new(), Some(instance.clone()))]));
        Ok(())
    }),
    situation("a Leave of no members", "LeaveGroup", |s, _| {
        let first = alone_in(s, "g")?;
        s.ask(3, &leave_all(&first.group, &[]));
        s.ask(3, &leave_all(&s.name("none"), &[]));
        s.ask(3, &LeaveGroupRequest::default());
        Ok(())
    }),
    situation("an id that was given out leaves before it joins", "LeaveGroup", |s, _| {
        let group = s.name("g");
        let id = registered(s, &group)?;
        s.ask(3, &leave_all(&group, &[(id.clone(), None)]));
        s.ask(5, &join(&group, &id));
        Ok(())
    }),
    situation("a Heartbeat in the time before the leader's Sync", rows::WRONG_GENERATION, |s, _| {
        let first = alone_in(s, "g")?;
        let id = registered(s, &first.group)?;
        let (first, second) = second_joins(s, &first, &join_second(&first.group, &id))?;
        s.over(0).ask(3, &beat(&first));
        s.over(1).ask(3, &beat(&second));
        sync_both(s, &first, &second)?;
        s.over(1).ask(3, &beat(&second));
        Ok(())
    }),
    situation("more protocols than fit", rows::NO_COMMON, |s, _| {
        let group = s.name("g");
        for count in [64, 65] {
            let names: Vec<String> = (0..count).map(|n| format!("protocol-{n}")).collect();
            let all: Vec<_> = names.iter().map(|name| (name.as_str(), subscription(&[], ""))).collect();
            let request = JoinGroupRequest { protocols: protocols(&all), ..join(&group, &KString::new()) };
            s.ask(5, &request);
        }
        Ok(())
    })
    .but(const { &[differs_at("D-31", "2. JoinGroup")] }),
    situation("a first Join that is refused", rows::NO_COMMON, |s, _| {
        let group = s.name("g");
        s.ask(3, &JoinGroupRequest { protocols: Vec::new(), ..join(&group, &KString::new()) });
        s.ask(5, &join(&group, &"nobody".into()));
        s.ask(6, &DescribeGroupsRequest { groups: vec![group], include_authorized_operations: false });
        Ok(())
    })
    .but(const { &[differs_at("D-27", "3. DescribeGroups")] }),
];
