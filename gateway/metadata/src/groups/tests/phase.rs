//! The end of phases by time.

use super::*;

#[test]
fn those_who_did_not_join_in_time_are_expelled() {
    let mut s = Scenario::stable(&["m0", "m1", "m2"]);
    s.run_a(s.rejoin("m0"));
    s.run_b(s.rejoin("m2"));
    let (outcome, applied) = s.send(s.b, s.completion());
    assert_eq!((outcome, applied.groups.len()), (GroupOutcome::PhaseCompleted, 1));
    assert_eq!((s.at(), s.ids()), ((GroupPhase::CompletingRebalance, 2), vec!["m0".to_owned(), "m2".to_owned()]));
    assert_eq!((s.group().phase_began, s.group().phase_began_ms), (applied.position, 5_000));
}

#[test]
fn registered_ones_outlive_the_end_of_a_phase() {
    let mut s = Scenario::stable(&["m0"]);
    s.run_a(s.register("m1"));
    s.run_a(s.rejoin("m0"));
    s.complete();
    assert_eq!((s.at(), s.group().registered.len()), ((GroupPhase::CompletingRebalance, 2), 1));
}

// Kafka's expirePendingSync, for the leader: who else did not sync is expired by its watcher.
#[test]
fn a_leader_that_did_not_sync_is_expelled() {
    let mut s = Scenario::completing(&["m0", "m1"]);
    assert_eq!(s.complete(), GroupOutcome::PhaseCompleted);
    assert_eq!((s.at(), s.ids()), ((GroupPhase::PreparingRebalance, 1), vec!["m1".to_owned()]));
    let mut s = Scenario::completing(&["m0"]);
    assert_eq!(s.complete(), GroupOutcome::PhaseCompleted);
    assert_eq!(s.at(), (GroupPhase::Empty, 2));
}

// Holds: T7 (phase, generation, and the last membership change)
#[test]
fn a_phase_that_is_not_the_one_seen_is_not_ended() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    assert_eq!(s.complete(), GroupOutcome::Mismatch, "stable");
    s.run_a(s.rejoin("m0"));
    let seen = s.completion();
    for other in [
        CompletePhase { group: GroupNumber(4), ..seen.clone() },
        CompletePhase { phase: GroupPhase::CompletingRebalance, ..seen.clone() },
        CompletePhase { generation: 2, ..seen.clone() },
        CompletePhase { last_change: Position::ZERO, ..seen.clone() },
    ] {
        assert_eq!(s.run_b(other), GroupOutcome::Mismatch);
    }
    s.run_b(s.register("m2"));
    assert_eq!(s.run_b(seen), GroupOutcome::Mismatch, "somebody came");
    let seen = s.completion();
    assert_eq!(s.run_a(seen.clone()), GroupOutcome::PhaseCompleted);
    assert_eq!(s.run_b(seen), GroupOutcome::Mismatch, "another gateway was first");
    s.run_a(s.leave(&["m0"]));
    s.run_a(s.leave(&["m2"]));
    assert_eq!(s.group().phase, GroupPhase::Empty);
    assert_eq!(s.complete(), GroupOutcome::Mismatch, "empty");
}
