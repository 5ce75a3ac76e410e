use super::*;

fn left(answers: &[bool]) -> GroupOutcome {
    GroupOutcome::Left(answers.to_vec())
}

#[test]
fn a_leave_rebalances_those_who_stay() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    let (outcome, applied) = s.send(s.b, s.leave(&["m0"]));
    assert_eq!((outcome, applied.groups.len()), (left(&[true]), 1));
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 1));
    assert_eq!((s.ids(), s.group().leader), (vec!["m1".to_owned()], Some(s.number("m1"))));
    assert_eq!(s.group().last_change, applied.position);
}

// Design section 8: the entry that makes all members joined ends the phase, also when that is a Leave.
#[test]
fn the_leave_of_the_last_that_was_awaited_ends_the_phase() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    s.run_a(s.rejoin("m0"));
    let (outcome, applied) = s.send(s.b, s.leave(&["m1"]));
    assert_eq!((outcome, applied.groups.len()), (left(&[true]), 1));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 2));
    // A registered one as well.
    s.run_a(s.register("m2"));
    s.run_a(JoinGroup { protocols: protocols(&["range", "x"]), ..s.rejoin("m0") });
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 2));
    assert_eq!(s.run_a(s.leave(&["m2"])), left(&[true]));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 3));
}

#[test]
fn the_planted_defect_ends_phases_with_joins_only() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    s.replay.state.plant(crate::StateDefects { complete_after_joins_only: true, ..crate::StateDefects::default() });
    s.run_a(s.rejoin("m0"));
    assert_eq!(s.run_a(s.leave(&["m1"])), left(&[true]));
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 1), "all have joined, and nobody ends it");
    s.run_a(s.rejoin("m0"));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 2), "a Join does");
}

// Kafka: the group is empty in the next generation, its protocol type stays.
#[test]
fn when_all_leave_the_group_is_empty() {
    for mut s in [Scenario::stable(&["m0", "m1"]), Scenario::completing(&["m0", "m1"])] {
        assert_eq!(s.run_a(s.leave(&["m1", "m0"])), left(&[true, true]));
        assert_eq!(s.at(), (GroupPhase::Empty, 2));
        let group = s.group();
        assert_eq!((group.leader, group.protocol.as_deref(), group.phase_began_ms), (None, None, 3_000));
        assert_eq!(group.protocol_type.as_deref(), Some("consumer"));
        assert_eq!((group.payload_bytes, group.support.len()), (0, 0));
    }
}

// Design section 8: nobody is left whose gateway could wait for the delay and end the phase.
#[test]
fn an_initial_phase_whose_members_all_left_ends_at_once() {
    let mut s = Scenario::new();
    s.run_a(JoinGroup { initial_delay_ms: 9, ..s.new_join("m0") });
    s.run_a(JoinGroup { initial_delay_ms: 9, ..s.new_join("m1") });
    s.run_b(s.leave(&["m0"]));
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 0), "one is left");
    let (outcome, applied) = s.send(s.b, s.leave(&["m1"]));
    assert_eq!((outcome, applied.groups.len()), (left(&[true]), 1));
    assert_eq!(s.at(), (GroupPhase::Empty, 1));
    assert_eq!((s.group().rebalance_timeout_ms(), s.group().leader, s.group().is_initial), (0, None, false));
    // The next member waits for its whole delay again.
    s.run_a(JoinGroup { initial_delay_ms: 9, ..s.new_join("m2") });
    assert_eq!((s.at(), s.group().initial_delay_ms), ((GroupPhase::PreparingRebalance, 1), 9));
}

#[test]
fn an_initial_phase_whose_members_all_left_waits_for_its_registered_ones_alone() {
    let mut s = Scenario::new();
    s.run_a(JoinGroup { initial_delay_ms: 9, ..s.new_join("m0") });
    s.run_a(s.register("m1"));
    s.run_a(s.leave(&["m0"]));
    assert_eq!((s.at(), s.group().leader), ((GroupPhase::PreparingRebalance, 0), None));
    // A newcomer of the same type is taken although nobody supports its protocol.
    s.run_a(s.new_join("m2"));
    s.run_a(s.leave(&["m2"]));
    assert_eq!(s.run_a(s.expire("m1")), GroupOutcome::MemberExpired);
    assert_eq!(s.at(), (GroupPhase::Empty, 1));
}

// As Kafka: any success in a stable group begins a rebalance.
#[test]
fn the_leave_of_a_registered_one_rebalances_a_stable_group() {
    let mut s = Scenario::stable(&["m0"]);
    s.run_a(s.register("m1"));
    assert_eq!(s.run_a(s.leave(&["m1"])), left(&[true]));
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 1));
}

#[test]
fn a_group_whose_members_left_waits_for_its_registered_ones() {
    let mut s = Scenario::stable(&["m0"]);
    s.run_a(s.register("m1"));
    s.run_a(s.leave(&["m0"]));
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 1));
    s.run_a(s.rejoin("m1"));
    assert_eq!((s.at(), s.group().leader), ((GroupPhase::CompletingRebalance, 2), Some(s.number("m1"))));
}

#[test]
fn those_who_are_not_there_are_answered_one_by_one() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    let mut leave = s.leave(&["m1"]);
    leave.members.extend([MemberNumber(9), s.number("m1")]);
    assert_eq!(s.run_a(leave), left(&[true, false, false]));
    let nobody = LeaveGroup { group: GroupNumber(0), members: vec![MemberNumber(9)], stamp_ms: 0 };
    let (outcome, applied) = s.send(s.a, nobody.clone());
    assert_eq!((outcome, applied.groups.len()), (left(&[false]), 0));
    assert_eq!(s.run_a(LeaveGroup { group: GroupNumber(5), ..nobody }), left(&[false]));
}
