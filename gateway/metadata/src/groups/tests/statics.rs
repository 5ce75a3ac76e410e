//! Static members (KIP-345, KIP-814).

use super::*;

/// A stable group of the static members m0 (instance i0, the leader) and m1 (i1).
fn stable() -> Scenario {
    let mut s = Scenario::new();
    for (id, instance) in [("m0", "i0"), ("m1", "i1")] {
        let join = JoinGroup { initial_delay_ms: 9, ..s.static_join(id, instance) };
        s.run_a(join);
    }
    s.complete();
    s.lead();
    s
}

#[test]
fn a_static_member_that_comes_back_takes_its_place_without_a_rebalance() {
    let mut s = stable();
    let old = s.number("m0");
    let join = JoinGroup { client_id: "other".to_owned(), session_timeout_ms: 7, ..s.static_join("m0-again", "i0") };
    let (outcome, applied) = s.send(s.b, join);
    let joined = JoinOutcome::Current { replaced: true };
    assert_eq!(outcome, GroupOutcome::Joined { group: GroupNumber(0), member: MemberNumber(2), joined });
    assert_eq!(applied.groups.len(), 1, "the old member's waiting requests are fenced");
    assert_eq!(s.at(), (GroupPhase::Stable, 1));
    let member = s.member("m0-again");
    assert_eq!((member.assignment.as_ref(), member.joined_by), (Some(&text("assigned")), None));
    assert_eq!((&*member.client_id, member.session_timeout_ms), ("client", 7), "as Kafka keeps and changes them");
    assert_eq!(member.watch, Watch { session: s.b, epoch: 0, last_activity: applied.position });
    assert_eq!(s.group().leader, Some(member.number));
    assert_eq!(s.group().last_change, applied.position);
    assert!(!s.group().members.contains_key(&old));
    assert_eq!(s.group().member_by_instance("i0").map(|member| member.number), Some(MemberNumber(2)));
    assert_eq!(s.group().check_member("m0", Some("i0")), Err(GroupRefusal::FencedInstance));
    assert_eq!(s.group().check_member("m0", None), Err(GroupRefusal::UnknownMember));
}

// Holds: T7
#[test]
fn a_late_join_of_a_static_member_replaces_nobody_who_came_meanwhile() {
    let mut s = stable();
    // The same client asked through two gateways, and the first request is the last to arrive. No generation lies between.
    let late = s.static_join("first-try", "i0");
    let outcome = s.run_b(s.static_join("second-try", "i0"));
    assert!(matches!(outcome, GroupOutcome::Joined { joined: JoinOutcome::Current { replaced: true }, .. }));
    assert_eq!(s.run_a(late), GroupOutcome::Mismatch);
    assert_eq!((s.at(), s.ids()), ((GroupPhase::Stable, 1), vec!["m1".to_owned(), "second-try".to_owned()]));
    // Nor does one that saw nobody there.
    let late = s.static_join("first-try", "i2");
    s.run_b(s.static_join("third-try", "i2"));
    assert_eq!(s.run_a(late), GroupOutcome::Mismatch);
}

#[test]
fn a_static_member_that_changes_the_vote_rebalances() {
    let mut s = stable();
    let list = protocols(&["sticky", "range"]);
    let same = s.run_a(JoinGroup { protocols: list, ..s.static_join("n0", "i0") });
    assert!(matches!(same, GroupOutcome::Joined { joined: JoinOutcome::Current { replaced: true }, .. }));
    let list = protocols(&["sticky", "range"]);
    // Now both support "sticky", and both votes move to it.
    let moved = s.run_a(JoinGroup { protocols: list, ..s.static_join("n1", "i1") });
    assert!(matches!(moved, GroupOutcome::Joined { joined: JoinOutcome::Waiting { generation: 1 }, .. }));
    assert_eq!((s.at(), s.group().joined), ((GroupPhase::PreparingRebalance, 1), 1));
}

#[test]
fn a_static_member_that_comes_back_while_assignments_are_awaited_rebalances() {
    let mut s = stable();
    s.run_a(s.rejoin("m0"));
    s.run_a(s.rejoin("m1"));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 2));
    let outcome = s.run_b(s.static_join("n1", "i1"));
    assert!(matches!(outcome, GroupOutcome::Joined { joined: JoinOutcome::Waiting { generation: 2 }, .. }));
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 2));
    assert!(s.member("m0").assignment.is_none() && s.member("n1").assignment.is_none());
}

#[test]
fn a_static_member_that_comes_back_during_a_phase_counts_as_joined() {
    let mut s = stable();
    s.run_a(s.rejoin("m0"));
    s.run_a(s.static_join("n0", "i0"));
    assert_eq!((s.at(), s.group().joined), ((GroupPhase::PreparingRebalance, 1), 1));
    s.run_a(s.static_join("n1", "i1"));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 2));
}

#[test]
fn static_members_that_did_not_join_again_stay_and_cannot_lead_alone() {
    let mut s = stable();
    s.run_a(s.new_join("dynamic"));
    assert_eq!(s.complete(), GroupOutcome::PhaseCompleted);
    assert_eq!(s.ids(), ["m0", "m1", "dynamic"]);
    assert_eq!(s.group().leader, Some(s.number("dynamic")));
    let mut s = stable();
    s.run_a(s.new_join("dynamic"));
    s.run_a(s.leave(&["dynamic"]));
    assert_eq!((s.at(), s.group().joined), ((GroupPhase::PreparingRebalance, 1), 0));
    assert_eq!(s.complete(), GroupOutcome::Mismatch, "Kafka postpones the end");
    s.run_a(s.expire("m0"));
    s.run_a(s.expire("m1"));
    assert_eq!(s.at(), (GroupPhase::Empty, 2));
}

// Holds: T2 (Kafka restarts the session timeout of every member at the end of a phase)
#[test]
fn the_end_of_a_phase_is_activity_also_of_static_members_that_did_not_join_again() {
    let mut s = stable();
    s.run_a(s.new_join("dynamic"));
    let before = s.expire("m0");
    let (outcome, applied) = s.send(s.b, s.completion());
    assert_eq!(outcome, GroupOutcome::PhaseCompleted);
    for id in ["m0", "m1", "dynamic"] {
        assert_eq!(s.member(id).watch.last_activity, applied.position, "{id}");
    }
    assert_eq!(s.run_a(before), GroupOutcome::Mismatch);
}

#[test]
fn an_instance_id_fences_every_member_but_its_own() {
    let mut s = stable();
    s.run_a(s.new_join("dynamic"));
    let group = s.group();
    assert!(group.check_member("m0", Some("i0")).is_ok());
    assert!(group.check_member("m0", None).is_ok(), "a static member need not say so");
    assert_eq!(group.check_member("m0", Some("i1")), Err(GroupRefusal::FencedInstance));
    assert_eq!(group.check_member("m0", Some("i9")), Err(GroupRefusal::UnknownMember));
    assert_eq!(group.check_member("dynamic", Some("i9")), Err(GroupRefusal::UnknownMember));
    let fenced = JoinGroup { instance_id: Some("i1".to_owned()), ..s.rejoin("m0") };
    assert_eq!(s.run_a(fenced), refused(GroupRefusal::FencedInstance));
}

#[test]
fn a_full_group_does_not_take_a_static_member_back() {
    let mut s = stable();
    let join = JoinGroup { max_size: 2, ..s.static_join("n0", "i0") };
    assert_eq!(s.run_a(join), refused(GroupRefusal::GroupFull), "as Kafka");
}
