use super::*;

fn committed() -> GroupOutcome {
    GroupOutcome::Committed(Vec::new())
}

fn overtaken(stored: i64) -> GroupOutcome {
    let reason = CommitRefusal::Overtaken { stored };
    GroupOutcome::Committed(vec![CommitException { index: 0, reason }])
}

#[test]
fn a_commit_stores_what_it_says_and_nothing_of_the_group_changes() {
    let mut s = Scenario::stable(&["m0"]);
    let (watch, change) = (s.member("m0").watch, s.group().last_change);
    let commit = CommitOffsets { expires_at_ms: Some(9), ..s.commit(s.by("m0"), &[(0, 5), (2, -7)]) };
    let (outcome, applied) = s.send(s.b, commit);
    assert_eq!(outcome, committed());
    assert_eq!((s.stored(0), s.stored(1), s.stored(2)), (Some(5), None, Some(-7)));
    let stored = s.group().offsets[&(topic_id(1), 0)].clone();
    let expected = CommittedOffset {
        offset: 5,
        leader_epoch: 0,
        metadata: "m".into(),
        committed_at_ms: 6_000,
        expires_at_ms: Some(9),
        position: applied.position,
        session: s.b,
    };
    assert_eq!(stored, expected);
    assert_eq!((s.member("m0").watch, s.group().last_change), (watch, change), "T2: never a take-over");
    assert!(applied.groups.is_empty());
    let slice = OffsetSlice { group_id: "g".into(), topic_id: topic_id(1), topic: "t".into(), slice: 0 };
    assert_eq!(applied.offset_slices, [slice]);
}

#[test]
fn slices_are_of_a_hundred_partitions() {
    let mut s = Scenario::new();
    s.replay.one(s.a, crate::fixture::create_topic(2, "wide", 250));
    let mut commit = s.commit(Committer::Simple, &[(199, 1), (0, 1), (200, 1), (100, 1), (1, 1)]);
    commit.topics[0].0 = topic_id(2);
    let (_, applied) = s.send(s.a, commit);
    let slices: Vec<_> = applied.offset_slices.iter().map(|slice| slice.slice).collect();
    assert_eq!(slices, [0, 1, 2]);
}

#[test]
fn a_simple_consumer_creates_its_group() {
    let mut s = Scenario::new();
    let first = s.commit(Committer::Simple, &[(0, 1)]);
    assert_eq!(s.run_a(first.clone()), committed());
    assert_eq!((s.at(), s.group().protocol_type.as_deref()), ((GroupPhase::Empty, 0), None));
    assert_eq!(s.run_b(first), GroupOutcome::Mismatch, "T7: it is there by now");
    assert_eq!(s.run_b(s.commit(Committer::Simple, &[(0, 2)])), committed());
    let nobody = Committer::Member { member: MemberNumber(0), generation: 0 };
    let elsewhere = CommitOffsets { group: CommitGroup::New("h".to_owned()), ..s.commit(nobody, &[(0, 1)]) };
    assert_eq!(s.run_a(elsewhere), refused(GroupRefusal::UnknownMember));
}

// Holds: T7 (generation and member are checked in apply: Kafka's validateOffsetCommit)
#[test]
fn a_commit_is_fenced_by_member_generation_and_phase() {
    let mut s = Scenario::stable(&["m0", "m1"]);
    s.run_a(s.register("m2"));
    let (member, registered) = (s.number("m0"), s.number("m2"));
    let by = |member, generation| Committer::Member { member, generation };
    let unknown = refused(GroupRefusal::UnknownMember);
    assert_eq!(s.run_a(s.commit(Committer::Simple, &[(0, 1)])), unknown);
    assert_eq!(s.run_a(s.commit(by(MemberNumber(9), 1), &[(0, 1)])), unknown);
    assert_eq!(s.run_a(s.commit(by(registered, 1), &[(0, 1)])), unknown);
    for generation in [0, 2, -1] {
        let stale = s.commit(by(member, generation), &[(0, 1)]);
        assert_eq!(s.run_a(stale), refused(GroupRefusal::IllegalGeneration));
    }
    let late = s.commit(by(member, 1), &[(0, 1)]);
    s.run_a(s.leave(&["m2"]));
    assert_eq!(s.group().phase, GroupPhase::PreparingRebalance);
    assert_eq!(s.run_a(late.clone()), committed(), "while members join again");
    s.run_a(s.rejoin("m0"));
    s.run_a(s.rejoin("m1"));
    assert_eq!(s.run_a(late.clone()), refused(GroupRefusal::IllegalGeneration));
    assert_eq!(s.run_a(s.commit(s.by("m0"), &[(0, 1)])), refused(GroupRefusal::RebalanceInProgress));
    s.lead();
    assert_eq!(s.run_a(s.commit(s.by("m0"), &[(0, 1)])), committed());
    s.run_a(s.leave(&["m0", "m1"]));
    assert_eq!(s.run_a(late), unknown);
    assert_eq!(s.run_a(s.commit(Committer::Simple, &[(0, 1)])), committed());
    let elsewhere = CommitOffsets { group: CommitGroup::Known(GroupNumber(7)), ..s.commit(Committer::Simple, &[]) };
    assert_eq!(s.run_a(elsewhere), GroupOutcome::Mismatch);
}

#[test]
fn the_planted_defect_does_not_fence() {
    let mut s = Scenario::stable(&["m0"]);
    s.replay.state.plant(crate::StateDefects { commit_unfenced: true, ..crate::StateDefects::default() });
    let stale = Committer::Member { member: MemberNumber(9), generation: 0 };
    assert_eq!(s.run_a(s.commit(stale, &[(0, 1)])), committed());
}

// Kafka's validateOffsetCommit, as the gateway that reads the request asks it.
#[test]
fn a_request_s_committer_is_found_as_kafka_finds_it() {
    use GroupRefusal::{FencedInstance, IllegalGeneration, RebalanceInProgress, UnknownMember};
    let mut s = Scenario::stable(&["m0"]);
    s.run_a(s.static_join("m1", "i1"));
    let group = s.group();
    assert_eq!(group.check_commit("m0", None, 1), Ok(s.by("m0")));
    assert_eq!(group.check_commit("m1", Some("i1"), 1), Ok(s.by("m1")));
    assert_eq!(group.check_commit("m0", Some("i1"), 1), Err(FencedInstance));
    assert_eq!(group.check_commit("m0", Some("i9"), 1), Err(UnknownMember));
    assert_eq!(group.check_commit("m9", None, 1), Err(UnknownMember));
    assert_eq!(group.check_commit("m0", None, -1), Err(IllegalGeneration));
    assert_eq!(group.check_commit("", None, -1), Err(UnknownMember));
    assert_eq!(group.check_commit("", None, 1), Err(UnknownMember));
    let completing = Scenario::completing(&["m0"]);
    assert_eq!(completing.group().check_commit("m0", None, 1), Err(RebalanceInProgress));
    s.run_a(s.leave(&["m0", "m1"]));
    assert_eq!(s.group().check_commit("anybody", Some("i1"), -1), Ok(Committer::Simple));
    assert_eq!(s.group().check_commit("m0", None, 1), Err(UnknownMember));
}

// Holds: T7 (a late commit of a stalled gateway never moves an offset back)
#[test]
fn what_another_session_committed_since_is_not_overwritten() {
    let mut s = Scenario::stable(&["m0"]);
    let stalled = s.commit(s.by("m0"), &[(0, 10)]);
    s.run_b(s.commit(s.by("m0"), &[(0, 20)]));
    let (outcome, applied) = s.send(s.a, stalled);
    assert_eq!((outcome, s.stored(0)), (overtaken(20), Some(20)));
    assert!(applied.offset_slices.is_empty());
    // Seen, an offset may be moved back: that is what a reset does.
    assert_eq!(s.run_a(s.commit(s.by("m0"), &[(0, 10)])), committed());
    assert_eq!(s.stored(0), Some(10));
}

// Holds: T7 (a gateway orders its own commits, except one that it proposes a second time)
#[test]
fn commits_of_one_session_follow_each_other_unless_exclusive() {
    let mut s = Scenario::stable(&["m0"]);
    let (first, second) = (s.commit(s.by("m0"), &[(0, 10)]), s.commit(s.by("m0"), &[(0, 20)]));
    assert_eq!((s.run_a(first.clone()), s.run_a(second)), (committed(), committed()));
    assert_eq!(s.stored(0), Some(20));
    let again = CommitOffsets { exclusive: true, ..first };
    assert_eq!((s.run_a(again.clone()), s.stored(0)), (overtaken(20), Some(20)));
    let looked = CommitOffsets { known: s.replay.state.known(), ..again };
    assert_eq!((s.run_a(looked), s.stored(0)), (committed(), Some(10)));
}

// Holds: T7 (also within one entry, which has one position)
#[test]
fn a_second_proposal_does_not_overwrite_a_newer_commit_of_its_own_entry() {
    let mut s = Scenario::stable(&["m0"]);
    let newer = s.commit(s.by("m0"), &[(0, 20)]);
    let again = CommitOffsets { exclusive: true, ..s.commit(s.by("m0"), &[(0, 10)]) };
    let applied = s.replay.send(s.a, vec![Command::Group(newer.into()), Command::Group(again.into())]);
    assert_eq!(applied.outcomes, [Outcome::Group(committed()), Outcome::Group(overtaken(20))]);
    assert_eq!(s.stored(0), Some(20));
}

#[test]
fn partitions_that_are_not_there_are_named_and_the_others_committed() {
    let mut s = Scenario::new();
    let unknown = |index| CommitException { index, reason: CommitRefusal::UnknownPartition };
    let mut commit = s.commit(Committer::Simple, &[(3, 1), (0, 1), (-1, 1)]);
    let stranger = (topic_id(9), commit.topics[0].1.clone());
    commit.topics.insert(0, stranger);
    let expected = GroupOutcome::Committed([0, 1, 2, 3, 5].map(unknown).to_vec());
    assert_eq!(s.run_a(commit.clone()), expected);
    assert_eq!((s.stored(0), s.group().offsets.len()), (Some(1), 1));
    // Nothing at all to commit: no group is made for it.
    commit.topics.truncate(1);
    commit.group = CommitGroup::New("h".to_owned());
    assert_eq!(s.run_a(commit), GroupOutcome::Committed([0, 1, 2].map(unknown).to_vec()));
    assert!(s.replay.state.group("h").is_none());
}
