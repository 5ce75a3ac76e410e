use super::*;
use crate::fixture::create_topic;

fn deleted(count: u64, group_deleted: bool) -> GroupOutcome {
    GroupOutcome::OffsetsDeleted { count, group_deleted }
}

/// An empty group with offsets of partitions 0 and 1.
fn with_offsets() -> Scenario {
    let mut s = Scenario::new();
    s.run_a(s.commit(Committer::Simple, &[(0, 10), (1, 11)]));
    s
}

fn delete(s: &Scenario, partitions: &[(i32, Option<Position>)]) -> DeleteOffsets {
    let topics = vec![(topic_id(1), partitions.to_vec())];
    let (group, last_change) = (s.group().number, s.group().last_change);
    DeleteOffsets { group, last_change, topics, delete_empty_group: false }
}

#[test]
fn offsets_are_deleted_on_request() {
    let mut s = with_offsets();
    let (outcome, applied) = s.send(s.b, delete(&s, &[(0, None), (2, None), (0, None)]));
    assert_eq!((outcome, s.stored(0), s.stored(1)), (deleted(1, false), None, Some(11)));
    assert_eq!(applied.offset_slices.len(), 1);
    let (outcome, applied) = s.send(s.b, delete(&s, &[(0, None)]));
    assert_eq!((outcome, applied.offset_slices.len()), (deleted(0, false), 0));
}

// What was committed since it was found to be expired stays.
#[test]
fn an_expired_offset_is_deleted_unless_it_was_committed_again() {
    let mut s = with_offsets();
    let position = Some(s.replay.state.known());
    s.run_a(s.commit(Committer::Simple, &[(1, 12)]));
    assert_eq!(s.run_b(delete(&s, &[(0, position), (1, position)])), deleted(1, false));
    assert_eq!((s.stored(0), s.stored(1)), (None, Some(12)));
}

// Holds: T7 (what a client is subscribed to may have changed with the members)
#[test]
fn a_deletion_that_did_not_see_the_last_change_of_members_is_a_mismatch() {
    let mut s = with_offsets();
    let late = delete(&s, &[(0, None)]);
    s.run_a(s.register("m0"));
    assert_eq!(s.run_b(late.clone()), GroupOutcome::Mismatch);
    assert_eq!(s.run_b(DeleteOffsets { group: GroupNumber(3), ..late }), GroupOutcome::Mismatch);
}

#[test]
fn an_empty_group_goes_with_its_last_offset_when_asked() {
    let mut s = with_offsets();
    let with_group = |delete| DeleteOffsets { delete_empty_group: true, ..delete };
    assert_eq!(s.run_a(with_group(delete(&s, &[(0, None)]))), deleted(1, false), "an offset is left");
    let (outcome, applied) = s.send(s.a, with_group(delete(&s, &[(1, None)])));
    assert_eq!((outcome, applied.groups), (deleted(1, true), vec![GroupNumber(0)]));
    assert_eq!(s.replay.state.group_count(), 0);
    let mut s = Scenario::stable(&["m0"]);
    assert_eq!(s.run_a(with_group(delete(&s, &[]))), deleted(0, false), "it has members");
}

#[test]
fn a_group_is_deleted_unless_it_has_members_and_its_number_is_not_given_again() {
    let mut s = Scenario::stable(&["m0"]);
    s.run_a(s.commit(s.by("m0"), &[(0, 10), (2, 10)]));
    let gone = DeleteGroup { group: GroupNumber(0) };
    assert_eq!(s.run_b(gone.clone()), refused(GroupRefusal::NotEmpty));
    s.run_a(s.leave(&["m0"]));
    s.run_a(s.register("m1"));
    let rejoin = s.rejoin("m1");
    // Kafka: registered ones do not keep a group.
    let (outcome, applied) = s.send(s.b, gone.clone());
    assert_eq!((outcome, applied.groups), (GroupOutcome::GroupDeleted, vec![GroupNumber(0)]));
    assert_eq!(applied.offset_slices.len(), 1);
    assert_eq!(s.run_b(gone), refused(GroupRefusal::GroupNotFound));
    assert_eq!((s.replay.state.group_count(), s.replay.state.hosted_count(s.a)), (0, 0));
    assert_eq!(s.run_a(rejoin), GroupOutcome::Mismatch);
    s.run_a(s.new_join("m2"));
    assert_eq!(s.group().number, GroupNumber(1));
    assert!(s.group().offsets.is_empty());
}

#[test]
fn a_deleted_topic_takes_its_offsets_along_and_a_new_one_inherits_nothing() {
    let mut s = with_offsets();
    s.replay.one(s.a, create_topic(2, "kept", 1));
    let mut kept = s.commit(Committer::Simple, &[(0, 1)]);
    kept.topics[0].0 = topic_id(2);
    s.run_a(kept);
    s.replay.produce(s.a, vec![crate::fixture::plain(3), crate::fixture::sequenced(0, 0, 1)]);
    let applied = s.replay.send(s.b, vec![Command::DeleteTopic { topic_id: topic_id(1) }]);
    assert_eq!(applied.outcomes, [Outcome::TopicDeleted { topic_id: topic_id(1) }]);
    let slice = OffsetSlice { group_id: "g".into(), topic_id: topic_id(1), topic: "t".into(), slice: 0 };
    assert_eq!(applied.offset_slices, [slice]);
    assert_eq!((s.stored(0), s.group().offsets.len()), (None, 1));
    let state = &s.replay.state;
    assert!(state.topic_by_name("t").is_none() && state.topic_by_id(topic_id(1)).is_none());
    assert_eq!((state.partition_count(), state.extent_count()), (1, 0));
    assert_eq!(s.replay.one(s.a, Command::DeleteTopic { topic_id: topic_id(1) }), Outcome::TopicNotFound);
    s.replay.one(s.a, create_topic(3, "t", 3));
    let gone = CommitException { index: 0, reason: CommitRefusal::UnknownPartition };
    let outcome = s.run_a(s.commit(Committer::Simple, &[(0, 9)]));
    assert_eq!(outcome, GroupOutcome::Committed(vec![gone]), "a commit for the old topic");
}

// Holds: L11 (an entry that produces to a topic and then deletes it)
#[test]
fn a_topic_may_be_produced_to_and_deleted_in_one_entry() {
    let mut s = Scenario::new();
    let produce = crate::fixture::produce(vec![crate::fixture::run(0, 0, vec![crate::fixture::plain(1)])]);
    let applied = s.replay.send(s.a, vec![produce, Command::DeleteTopic { topic_id: topic_id(1) }]);
    assert!(applied.touched.is_empty());
    assert_eq!(applied.outcomes[1], Outcome::TopicDeleted { topic_id: topic_id(1) });
}

#[test]
fn a_topic_s_name_is_free_after_its_deletion_colliding_ones_too() {
    let (mut replay, session) = Replay::opened();
    replay.one(session, create_topic(1, "a.b", 1));
    assert!(matches!(replay.one(session, create_topic(2, "a_b", 1)), Outcome::TopicRefused(_)));
    replay.one(session, Command::DeleteTopic { topic_id: topic_id(1) });
    assert!(matches!(replay.one(session, create_topic(2, "a_b", 1)), Outcome::TopicCreated { .. }));
}
