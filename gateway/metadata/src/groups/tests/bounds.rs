//! I-14: every bound of groups, and what its crossing answers.

use super::*;
use crate::limits;

fn is_joined(outcome: &GroupOutcome) -> bool {
    matches!(outcome, GroupOutcome::Joined { .. })
}

fn object(len: u32) -> Payload {
    Payload::Object { object: crate::fixture::object(3), start: 0, len }
}

// Holds: I-14, L11
#[test]
fn a_join_over_a_bound_of_form_is_malformed() {
    let mut s = Scenario::new();
    let long = "x".repeat(limits::MEMBER_TEXT_BYTES + 1);
    let join = s.new_join("m0");
    let inline = Payload::Inline(vec![0; limits::PAYLOAD_INLINE_BYTES + 1].into());
    let new = |member_id: &str, register_only| Joiner::New { member_id: member_id.to_owned(), register_only };
    for bad in [
        JoinGroup { group_id: String::new(), ..join.clone() },
        JoinGroup { group_id: long.clone(), ..join.clone() },
        JoinGroup { joiner: new("", false), ..join.clone() },
        JoinGroup { joiner: new(&long, false), ..join.clone() },
        JoinGroup { joiner: new("m0", true), ..s.static_join("m0", "i0") },
        JoinGroup { instance_id: Some(long.clone()), ..join.clone() },
        JoinGroup { client_id: long.clone(), ..join.clone() },
        JoinGroup { client_host: long.clone(), ..join.clone() },
        JoinGroup { protocol_type: long.clone(), ..join.clone() },
        JoinGroup { protocols: vec![(long, text(""))], ..join.clone() },
        JoinGroup { protocols: vec![("range".to_owned(), inline)], ..join.clone() },
        JoinGroup { protocols: vec![("range".to_owned(), text("")); limits::PROTOCOLS_PER_MEMBER + 1], ..join.clone() },
    ] {
        assert_eq!(s.run_a(bad), refused(GroupRefusal::Malformed));
    }
    let longest = JoinGroup { group_id: "x".repeat(limits::GROUP_ID_BYTES), ..join };
    assert!(is_joined(&s.run_a(longest)));
}

// Holds: I-14 (subscriptions in objects count by their length)
#[test]
fn a_group_holds_so_many_bytes_of_payloads() {
    let mut s = Scenario::new();
    let most = u32::try_from(limits::PAYLOAD_BYTES_PER_GROUP).unwrap();
    let with = |join: JoinGroup, len| JoinGroup { protocols: vec![("range".to_owned(), object(len))], ..join };
    let full = refused(GroupRefusal::GroupFull);
    assert_eq!(s.run_a(with(s.new_join("m0"), most + 1)), full);
    assert!(is_joined(&s.run_a(with(s.new_join("m0"), most - 100))));
    assert_eq!(s.run_a(with(s.new_join("m1"), 101)), full);
    assert!(is_joined(&s.run_a(with(s.rejoin("m0"), most))), "a member's own bytes make room");
    let sync = SyncGroup { assignments: Some(vec![(s.number("m0"), object(1))]), ..s.sync("m0", &[]) };
    assert_eq!(s.run_a(sync), full);
    let (inline, count) =
        (Payload::Inline(vec![0; limits::PAYLOAD_INLINE_BYTES + 1].into()), limits::MEMBERS_PER_GROUP);
    for assignments in [vec![(s.number("m0"), inline)], vec![(s.number("m0"), text("")); count + 1]] {
        let sync = SyncGroup { assignments: Some(assignments), ..s.sync("m0", &[]) };
        assert_eq!(s.run_a(sync), refused(GroupRefusal::Malformed));
    }
}

// Holds: I-14
#[test]
fn groups_and_members_of_all_groups_are_bounded() {
    let mut s = Scenario::stable(&["m0"]);
    s.run_a(s.register("m1"));
    let groups = s.replay.state.groups.clone();
    s.replay.state.groups.usage.members = limits::MEMBERS;
    let (new, register, known) = (s.new_join("m2"), s.register("m2"), s.rejoin("m0"));
    let preview = |s: &Scenario, join: &JoinGroup| s.replay.state.preview_group(s.a, &GroupCommand::Join(join.clone()));
    let limit = refused(GroupRefusal::LimitReached);
    assert_eq!((preview(&s, &new), preview(&s, &register)), (limit.clone(), limit.clone()));
    assert!(is_joined(&preview(&s, &known)) && is_joined(&preview(&s, &s.rejoin("m1"))));
    s.replay.state.groups = groups;
    s.replay.state.groups.next_group = u64::MAX;
    let elsewhere = JoinGroup { group_id: "h".to_owned(), seen: None, ..new };
    assert_eq!(preview(&s, &elsewhere), limit);
}

// Holds: I-14
#[test]
fn members_and_registered_ones_of_a_group_are_bounded() {
    let mut s = Scenario::stable(&["m0"]);
    s.run_a(s.register("m1"));
    let group = s.replay.state.groups.by_number.get_mut(&GroupNumber(0)).unwrap();
    let group = Arc::make_mut(group);
    let (member, registered) = (group.members[&MemberNumber(0)].clone(), group.registered[&MemberNumber(1)].clone());
    for number in 10..10 + u64::try_from(limits::MEMBERS_PER_GROUP).unwrap() {
        group.members.insert(MemberNumber(number), Arc::clone(&member));
        group.registered.insert(MemberNumber(1_000_000 + number), Arc::clone(&registered));
    }
    *group.support.get_mut("range").unwrap() = group.members.len();
    let preview = |join: JoinGroup| s.replay.state.preview_group(s.a, &GroupCommand::Join(join));
    let full = refused(GroupRefusal::GroupFull);
    assert_eq!(preview(s.new_join("m2")), full);
    assert_eq!(preview(s.register("m2")), full);
    assert_eq!(preview(s.rejoin("m1")), full);
    assert!(is_joined(&preview(s.rejoin("m0"))));
}

// Holds: I-14
#[test]
fn commits_and_deletions_are_bounded() {
    let mut s = Scenario::new();
    let malformed = refused(GroupRefusal::Malformed);
    let commit = s.commit(Committer::Simple, &[(0, 1)]);
    let offset = commit.topics[0].1[0].clone();
    let many = vec![offset.clone(); limits::OFFSETS_PER_COMMIT + 1];
    let wordy = CommitOffset { metadata: "x".repeat(limits::OFFSET_METADATA_BYTES + 1), ..offset };
    for offsets in [many, vec![wordy]] {
        assert_eq!(s.run_a(CommitOffsets { topics: vec![(topic_id(1), offsets)], ..commit.clone() }), malformed);
    }
    let long = CommitGroup::New("x".repeat(limits::GROUP_ID_BYTES + 1));
    assert_eq!(s.run_a(CommitOffsets { group: long, ..commit.clone() }), malformed);
    s.run_a(commit);
    let topics = vec![(topic_id(1), vec![(0, None); limits::OFFSETS_PER_COMMIT + 1])];
    let (group, last_change) = (GroupNumber(0), s.group().last_change);
    assert_eq!(s.run_a(DeleteOffsets { group, last_change, topics, delete_empty_group: false }), malformed);
    let members = vec![MemberNumber(0); limits::MEMBERS_PER_GROUP + limits::REGISTERED_PER_GROUP + 1];
    assert_eq!(s.run_a(LeaveGroup { group, members, stamp_ms: 0 }), malformed);
    // At the bound of all groups: what is there may be committed again, nothing new.
    s.replay.state.groups.usage.offsets = limits::OFFSETS;
    let both = GroupCommand::CommitOffsets(s.commit(Committer::Simple, &[(0, 2), (1, 2)]));
    let reason = CommitRefusal::LimitReached;
    let expected = GroupOutcome::Committed(vec![CommitException { index: 1, reason }]);
    assert_eq!(s.replay.state.preview_group(s.a, &both), expected);
}
