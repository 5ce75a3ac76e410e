//! T2: expiry, and what the close of a session means.

use super::*;

// Holds: T2, T7 (watch epoch and last activity as they were watched)
#[test]
fn a_member_that_was_heard_of_since_is_not_expired() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    let expire = s.expire("m1");
    s.run_a(s.sync("m1", &[]));
    assert_eq!(s.run_a(expire), GroupOutcome::Mismatch, "activity");
    let expire = s.expire("m1");
    s.run_b(TakeOver { group: GroupNumber(0), member: s.seen("m1") });
    assert_eq!(s.run_a(expire.clone()), GroupOutcome::Mismatch, "epoch");
    assert_eq!(s.run_b(expire), GroupOutcome::Mismatch);
    let (outcome, applied) = s.send(s.b, s.expire("m1"));
    assert_eq!((outcome, applied.groups.len()), (GroupOutcome::MemberExpired, 1));
    assert_eq!((s.at(), s.ids()), ((GroupPhase::PreparingRebalance, 1), vec!["m0".to_owned()]));
}

// Holds: T2 (never while it is joined to the running phase under an open session)
#[test]
fn a_waiting_member_is_not_expired_while_its_session_is_open() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    s.run_b(s.rejoin("m0"));
    assert_eq!(s.run_a(s.expire("m0")), GroupOutcome::Mismatch);
    // Watched by another than the one that holds its Join: still waiting.
    s.run_a(TakeOver { group: GroupNumber(0), member: s.seen("m0") });
    assert_eq!(s.run_a(s.expire("m0")), GroupOutcome::Mismatch);
    let before = s.expire("m0");
    s.close(s.b);
    assert_eq!(s.member("m0").joined_by, Some(s.b), "it still counts as joined");
    assert_eq!(s.run_a(before), GroupOutcome::Mismatch, "the close is its last activity");
    assert_eq!(s.run_a(s.expire("m0")), GroupOutcome::MemberExpired);
    assert_eq!(s.ids(), ["m1"]);
}

// Holds: T2 (the test of the planted defect)
#[test]
fn the_planted_defect_expires_a_waiting_member() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    s.replay.state.plant(crate::StateDefects { expire_waiting: true, ..crate::StateDefects::default() });
    s.run_b(s.rejoin("m0"));
    assert_eq!(s.run_a(s.expire("m0")), GroupOutcome::MemberExpired);
}

// Design section 8: the entry that makes all members joined ends the phase, also when that is an expiry.
#[test]
fn the_expiry_of_the_last_that_was_awaited_ends_the_phase() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    s.run_a(s.register("m2"));
    s.run_a(s.rejoin("m0"));
    assert_eq!(s.run_a(s.expire("m1")), GroupOutcome::MemberExpired);
    assert_eq!(s.at(), (GroupPhase::PreparingRebalance, 1));
    let (outcome, applied) = s.send(s.a, s.expire("m2"));
    assert_eq!((outcome, applied.groups.len()), (GroupOutcome::MemberExpired, 1));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 2));
}

// Design section 8: an initial phase ends with the last of its members, whoever removes them.
#[test]
fn the_expiry_of_the_last_member_ends_an_initial_phase() {
    let mut s = Scenario::new();
    s.run_b(JoinGroup { initial_delay_ms: 9, ..s.new_join("m0") });
    s.close(s.b);
    assert_eq!(s.run_a(s.expire("m0")), GroupOutcome::MemberExpired);
    assert_eq!(s.at(), (GroupPhase::Empty, 1));
}

#[test]
fn the_expiry_of_a_registered_one_does_not_rebalance() {
    let mut s = Scenario::stable(&["m0"]);
    s.run_a(s.register("m1"));
    let (_, applied) = s.send(s.a, s.expire("m1"));
    assert_eq!((s.at(), s.group().last_change), ((GroupPhase::Stable, 1), applied.position));
    assert!(s.group().member_ids.get("m1").is_none());
}

// Holds: T2 (the close of the session that watches a member or holds its Join is its last activity)
#[test]
fn a_closed_session_gives_its_members_their_full_timeout() {
    let mut s = Scenario::stable(&["m0", "m1", "m2"]);
    s.run_b(TakeOver { group: GroupNumber(0), member: s.seen("m1") });
    s.run_b(s.register("m3"));
    let (m0, m1, generation) = (s.member("m0").watch, s.member("m1").watch, s.at());
    s.close(s.b);
    let position = s.replay.state.known();
    assert_eq!(s.member("m1").watch, Watch { last_activity: position, ..m1 });
    assert_eq!(s.group().registered_by_id("m3").unwrap().watch.last_activity, position);
    assert_eq!((s.member("m0").watch, s.at()), (m0, generation), "nobody else is touched, no rebalance");
    assert_eq!(s.replay.state.hosted_count(s.b), 2, "they stay until somebody takes them over or expires them");
    s.run_a(TakeOver { group: GroupNumber(0), member: s.seen("m1") });
    assert_eq!(s.replay.state.hosted_count(s.b), 1);
}
