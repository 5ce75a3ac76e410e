//! T7: what a Join saw travels in it, and apply compares.

use super::*;

// Holds: T7
#[test]
fn a_join_that_saw_another_group_is_a_mismatch() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    let join = s.new_join("m2");
    for seen in [None, Some((GroupNumber(0), 0)), Some((GroupNumber(1), 1))] {
        assert_eq!(s.run_a(JoinGroup { seen, ..join.clone() }), GroupOutcome::Mismatch);
    }
    let elsewhere = JoinGroup { group_id: "other".to_owned(), ..join };
    assert_eq!(s.run_a(elsewhere.clone()), GroupOutcome::Mismatch, "there is no such group");
    let known = JoinGroup { seen: None, joiner: Joiner::Known(s.seen("m0")), ..elsewhere };
    assert_eq!(s.run_a(known), GroupOutcome::Mismatch);
}

// Holds: T7 (the watch as it was seen; a member that went is for its proposer to find out)
#[test]
fn a_join_of_a_member_that_moved_or_went_is_a_mismatch() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    let join = s.rejoin("m1");
    s.run_b(TakeOver { group: GroupNumber(0), member: s.seen("m1") });
    assert_eq!(s.run_a(join), GroupOutcome::Mismatch);
    let join = s.rejoin("m1");
    s.run_b(s.leave(&["m1"]));
    assert_eq!(s.run_a(join), GroupOutcome::Mismatch);
}

#[test]
fn a_member_id_is_given_once() {
    let mut s = Scenario::stable(&["m0"]);
    s.run_a(s.register("m1"));
    for id in ["m0", "m1"] {
        assert_eq!(s.run_b(s.new_join(id)), GroupOutcome::Mismatch);
        assert_eq!(s.run_b(s.register(id)), GroupOutcome::Mismatch);
    }
}

// Two proposals that saw the same: the second is looked at again, and a generation that passed is never joined.
#[test]
fn a_join_that_came_after_the_end_of_its_phase_is_a_mismatch() {
    let mut s = Scenario::stable(&["m0"]);
    let late = s.rejoin("m0");
    s.run_a(s.rejoin("m0"));
    assert_eq!(s.at(), (GroupPhase::CompletingRebalance, 2));
    assert_eq!(s.run_a(late), GroupOutcome::Mismatch);
}
