use super::*;

#[test]
fn the_leader_s_sync_sets_every_assignment_and_the_group_is_stable() {
    let mut s = Scenario::completing(&["m0", "m1", "m2"]);
    let stranger = (MemberNumber(77), text("nobody's"));
    let mut sync = s.sync("m0", &[("m0", "a"), ("m2", "c")]);
    sync.assignments.as_mut().unwrap().push(stranger);
    let (outcome, applied) = s.send(s.a, sync);
    assert_eq!((outcome, applied.groups.len()), (GroupOutcome::Synced, 1));
    assert_eq!((s.at(), s.group().phase_began_ms), ((GroupPhase::Stable, 1), 2_000));
    let assignments: Vec<_> = s.group().members.values().map(|member| member.assignment.clone()).collect();
    assert_eq!(assignments, [Some(text("a")), None, Some(text("c"))]);
}

#[test]
fn a_follower_s_sync_moves_its_watch_and_nothing_else() {
    let mut s = Scenario::completing(&["m0", "m1"]);
    let (outcome, applied) = s.send(s.b, s.sync("m1", &[("m1", "mine")]));
    assert_eq!(outcome, GroupOutcome::Synced);
    assert!(applied.groups.is_empty());
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 1));
    let member = s.member("m1");
    assert_eq!(member.assignment, None);
    assert_eq!(member.watch, Watch { session: s.b, epoch: 1, last_activity: applied.position });
}

#[test]
fn in_a_stable_group_nobody_s_assignments_count() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    assert_eq!(s.run_a(s.sync("m0", &[("m0", "other")])), GroupOutcome::Synced);
    assert_eq!(s.member("m0").assignment, Some(text("assigned")));
    assert_eq!(s.member("m0").watch.epoch, 0, "the same session");
}

#[test]
fn a_sync_of_another_generation_or_during_the_joins_is_refused() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    let sync = SyncGroup { generation: 0, ..s.sync("m0", &[]) };
    assert_eq!(s.run_a(sync), refused(GroupRefusal::IllegalGeneration));
    s.run_a(s.rejoin("m0"));
    assert_eq!(s.run_a(s.sync("m0", &[])), refused(GroupRefusal::RebalanceInProgress));
}

// Holds: T7 (the watch as it was seen)
#[test]
fn a_sync_of_a_member_that_moved_or_went_is_a_mismatch() {
    let mut s = Scenario::completing(&["m0", "m1"]);
    let sync = s.sync("m0", &[("m0", "a")]);
    s.run_b(TakeOver { group: sync.group, member: sync.member });
    assert_eq!(s.run_a(sync.clone()), GroupOutcome::Mismatch);
    s.run_a(s.leave(&["m0"]));
    assert_eq!(s.run_a(sync), GroupOutcome::Mismatch);
}

// Holds: T2, T7 (a take-over is a new epoch: two gateways that saw the same cannot both have it)
#[test]
fn a_take_over_moves_the_watch_once() {
    let mut s = Scenario::stable(&["m0"]);
    let take_over = TakeOver { group: GroupNumber(0), member: s.seen("m0") };
    let change = s.group().last_change;
    let (outcome, applied) = s.send(s.b, take_over.clone());
    assert_eq!(outcome, GroupOutcome::TookOver);
    let watch = Watch { session: s.b, epoch: 1, last_activity: applied.position };
    assert_eq!((s.member("m0").watch, s.group().last_change), (watch, change));
    assert!(applied.groups.is_empty());
    assert_eq!((s.replay.state.hosted_count(s.a), s.replay.state.hosted_count(s.b)), (0, 1));
    assert_eq!(s.run_a(take_over), GroupOutcome::Mismatch);
    assert_eq!(s.run_a(TakeOver { group: GroupNumber(0), member: s.seen("m0") }), GroupOutcome::TookOver);
    assert_eq!(s.member("m0").watch.epoch, 2);
}

// Holds: T7 (the test of the planted defect: without the epoch both gateways believe that they watch)
#[test]
fn the_planted_defect_keeps_the_epoch() {
    let mut s = Scenario::stable(&["m0"]);
    s.replay.state.plant(crate::StateDefects { takeover_keeps_epoch: true, ..crate::StateDefects::default() });
    let take_over = TakeOver { group: GroupNumber(0), member: s.seen("m0") };
    let before = s.member("m0").watch;
    assert_eq!(s.run_b(take_over.clone()), GroupOutcome::TookOver);
    assert_eq!(s.member("m0").watch, Watch { session: s.b, ..before });
    assert_eq!(s.run_a(take_over), GroupOutcome::TookOver);
}

// Holds: T1 (a session keeps itself alive for those it watches)
#[test]
fn a_session_hosts_those_it_watches_and_those_whose_join_it_holds() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    s.run_a(s.rejoin("m0"));
    s.run_b(TakeOver { group: GroupNumber(0), member: s.seen("m0") });
    let hosted = |s: &Scenario, session| s.replay.state.hosted(session).map(|(_, member)| member.0).collect::<Vec<_>>();
    assert_eq!((hosted(&s, s.a), hosted(&s, s.b)), (vec![0, 1], vec![0]));
    assert_eq!((s.replay.state.hosted_count(s.a), s.replay.state.hosted_count(s.b)), (1, 1));
    s.run_a(s.rejoin("m1"));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 2));
    assert_eq!((hosted(&s, s.a), hosted(&s, s.b)), (vec![1], vec![0]), "the Join was answered");
    s.run_b(s.register("m2"));
    assert_eq!((hosted(&s, s.b), s.replay.state.hosted_count(s.b)), (vec![0, 2], 2));
    s.run_a(s.leave(&["m0", "m1", "m2"]));
    assert_eq!((hosted(&s, s.a), hosted(&s, s.b)), (vec![], vec![]));
    assert_eq!((s.replay.state.hosted_count(s.a), s.replay.state.hosted_count(s.b)), (0, 0));
}
