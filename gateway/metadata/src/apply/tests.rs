#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::collection::vec;
use proptest::prelude::*;

use crate::fixture::{
    Replay, alter, any_command, any_entry, below, create_topic, plain, produce, run, sequenced, topic_id,
};
use crate::{
    ApplyError, Command, ConfigResource, DeletedRecords, Entry, GroupOutcome, Identity, Incarnation, Judgement,
    Malformation, Outcome, Position, SessionId, State, invariants, limits,
};

fn empty() -> Entry {
    Entry { known: Position::ZERO, hash_at_known: 0, commands: Vec::new() }
}

// Holds: L6 (a Tail that does not touch known + 1 is dropped)
#[test]
fn only_the_next_position_of_the_same_log_is_applied() {
    let (mut replay, session) = Replay::opened();
    let identity = Some(Identity { session, sequence: 1 });
    let known = replay.state.known();
    let hash = replay.state.hash();
    for position in [Position::ZERO, known, Position::new(0, 3), Position::new(1, 2), Position::from_raw(u64::MAX)] {
        let refused = replay.state.apply(position, identity, Some(&empty()));
        assert_eq!(refused, Err(ApplyError::Gap { known, position }));
    }
    assert_eq!((replay.state.known(), replay.state.hash()), (known, hash));
    replay.state.known = Position::new(0, Position::MAX_INDEX);
    let last = replay.state.known;
    assert!(replay.state.apply(last, identity, Some(&empty())).is_err(), "nothing follows the last index");
}

// Holds: L4 (identity is judged before the body is read)
#[test]
fn a_body_is_needed_only_by_entries_that_take_effect() {
    let (mut replay, session) = Replay::opened();
    let next = replay.state.known().next();
    for identity in [None, Some(Identity { session, sequence: 1 })] {
        assert_eq!(replay.state.judge(identity), Judgement::Accept);
        assert_eq!(replay.state.apply(next, identity, None), Err(ApplyError::BodyNeeded(next)));
    }
    let zombie = Some(Identity { session, sequence: 0 });
    let applied = replay.state.apply(next, zombie, None).unwrap();
    assert!(!applied.accepted && applied.outcomes.is_empty());
    assert_eq!(replay.state.known(), next);
}

// Holds: L9
#[test]
fn everything_that_differs_between_two_logs_differs_in_the_hash() {
    let (base, session) = Replay::with_topic();
    let identity = |sequence| Some(Identity { session, sequence });
    let mut hashes = vec![base.state.hash(), State::new(Incarnation(1)).hash(), State::new(Incarnation(2)).hash()];
    let steps: [(Option<Identity>, Vec<Command>); 8] = [
        (identity(9), vec![produce(vec![run(0, 0, vec![plain(1)])])]),
        (identity(9), vec![produce(vec![run(0, 0, vec![plain(0)])])]),
        (identity(9), vec![produce(vec![run(0, 0, vec![sequenced(0, 1, 1)])])]),
        (identity(8), Vec::new()),
        (identity(9), Vec::new()),
        (identity(0), Vec::new()),
        (identity(9), vec![create_topic(1, "t", 3)]),
        (None, Vec::new()),
    ];
    for (identity, commands) in steps {
        let mut replay = Replay { state: base.state.clone() };
        replay.apply(identity, commands);
        hashes.push(replay.state.hash());
    }
    let count = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), count);
}

/// A fixed log that answers with nearly every kind of outcome.
fn golden_log() -> Replay {
    let (mut replay, session) = Replay::with_topic();
    let batches = vec![plain(3), sequenced(0, 0, 2), sequenced(0, 0, 2), sequenced(0, 9, 1), plain(0)];
    replay.send(session, vec![produce(vec![run(0, 0, batches), run(7, 0, vec![plain(1)])])]);
    replay.send(session, vec![produce(vec![run(0, 0, vec![sequenced(1, 0, 1), sequenced(0, 2, 1)])])]);
    replay.send(
        session,
        vec![
            create_topic(1, "t", 1),
            create_topic(1, "t t", 1),
            Command::AllocateProducerIds { count: 3 },
            Command::AllocateProducerIds { count: 0 },
            Command::CloseSession { session, last_append: Position::ZERO },
        ],
    );
    replay.apply(Some(Identity { session, sequence: 1 }), vec![]);
    replay.apply(None, vec![]);
    let last_append = replay.state.session(session).unwrap().last_append;
    replay.one(session, Command::CloseSession { session, last_append });
    replay
}

// Holds: I-12, L9 (every build of feature level 1 has this hash after this log)
#[test]
fn the_hash_of_a_fixed_log_is_fixed() {
    assert_eq!(limits::FEATURE_LEVEL, 1, "a new feature level needs a new number here");
    assert_eq!(golden_log().state.known(), Position::new(0, 8));
    assert_eq!(format!("{:032x}", golden_log().state.hash()), "8391962d967da479f4e6fcadd0e646a1");
}

/// A fixed log that answers with every kind of outcome of configs, CreatePartitions and DeleteRecords.
fn golden_admin_log() -> Replay {
    let (mut replay, session) = Replay::with_topic();
    let topic = ConfigResource::Topic(topic_id(1));
    let at = Position::new(0, 2);
    replay.produce(session, vec![plain(3)]);
    replay.send(
        session,
        vec![
            alter(topic, at, &[("retention.ms", "5")]),
            alter(topic, at, &[]),
            alter(ConfigResource::Topic(topic_id(9)), at, &[]),
            alter(ConfigResource::Cluster, Position::ZERO, &[("a", "b"), ("a", "c")]),
            alter(ConfigResource::Broker(1), Position::ZERO, &[("a", "b")]),
            Command::CreatePartitions { topic_id: topic_id(1), count: 5 },
            Command::CreatePartitions { topic_id: topic_id(1), count: 5 },
            Command::CreatePartitions { topic_id: topic_id(9), count: 5 },
            Command::CreatePartitions { topic_id: topic_id(1), count: u32::MAX },
            Command::DeleteRecords { runs: vec![below(0, 2), below(0, 4), below(9, None), below(0, None)] },
        ],
    );
    replay
}

// Holds: I-12, L9
#[test]
fn the_hash_of_a_fixed_log_of_configs_partitions_and_deletions_is_fixed() {
    assert_eq!(format!("{:032x}", golden_admin_log().state.hash()), "6aef48675bbeff5be7b3b72d856ffbb2");
}

// Holds: L11, I-14
#[test]
fn an_entry_with_too_many_commands_changes_nothing_and_uses_up_its_identity() {
    let (mut replay, session) = Replay::opened();
    let allocate = Command::AllocateProducerIds { count: 1 };
    let next = replay.state.producer_ids.next;
    let applied = replay.send(session, vec![allocate.clone(); limits::COMMANDS_PER_ENTRY + 1]);
    assert!(applied.accepted);
    let refused = Outcome::Malformed(Malformation::TooManyCommands);
    assert!(applied.outcomes.iter().all(|outcome| *outcome == refused));
    assert_eq!(replay.state.producer_ids.next, next);
    assert_eq!(replay.state.session(session).unwrap().last_sequence, 1);
    let applied = replay.send(session, vec![allocate; limits::COMMANDS_PER_ENTRY]);
    assert!(applied.outcomes.iter().all(|outcome| matches!(outcome, Outcome::ProducerIds { .. })));
}

fn any_identity() -> impl Strategy<Value = Option<Identity>> {
    let named = (0..4_u64, 0..40_u64)
        .prop_map(|(session, sequence)| Identity { session: SessionId(Position::new(0, session)), sequence });
    prop_oneof![8 => named.prop_map(Some), 1 => Just(None)]
}

proptest! {
    #![proptest_config(crate::simulation::config(1_000))]

    // Holds: L11, I-09, I-12 (whatever is decodable is applied without a panic, alike by two replicas, one of which reads
    // no body that it does not need)
    #[test]
    fn apply_is_total(elements in vec((any_identity(), any_entry()), 0..30)) {
        let (mut replay, session) = Replay::with_topic();
        let mut second = replay.state.clone();
        for (identity, entry) in elements {
            let position = replay.state.known().next();
            let body = (second.judge(identity) == Judgement::Accept).then_some(&entry);
            let other = second.apply(position, identity, body).unwrap();
            let applied = replay.state.apply(position, identity, Some(&entry)).unwrap();
            prop_assert_eq!(&applied, &other);
            let answered = applied.outcomes.len();
            prop_assert!(answered == entry.commands.len() || (answered == 0 && !applied.accepted));
            prop_assert!(applied.touched.is_sorted());
            prop_assert_eq!(invariants::check(&replay.state), Ok(()));
            prop_assert_eq!(replay.state.hash(), second.hash());
        }
        // A neighbour that comes after all this is served as ever, unless its topic was deleted.
        let is_open = replay.state.session(session).is_some_and(|session| session.last_sequence < u64::MAX);
        if is_open && replay.state.topic_by_id(topic_id(1)).is_some() {
            let verdicts = replay.produce(session, vec![plain(1)]);
            let accepted = matches!(verdicts[..], [crate::BatchVerdict::Accepted { .. }]);
            prop_assert!(accepted, "{verdicts:?}");
        }
    }

    // Holds: L11 (a refused command never affects its neighbours: with or without it, theirs are the same outcomes)
    #[test]
    fn a_refused_command_is_as_if_it_were_not_there(commands in vec(any_command(), 1..8)) {
        let (replay, session) = Replay::with_topic();
        let identity = Some(Identity { session, sequence: 50 });
        let entry = |commands| Entry { commands, ..empty() };
        let position = replay.state.known().next();
        let mut whole = replay.state.clone();
        let applied = whole.apply(position, identity, Some(&entry(commands.clone()))).unwrap();
        let effective = |outcome: &Outcome| match outcome {
            Outcome::SessionClosed { .. }
            | Outcome::TopicCreated { .. }
            | Outcome::TopicDeleted { .. }
            | Outcome::ConfigsAltered
            | Outcome::PartitionsCreated { .. }
            | Outcome::ProducerIds { .. } => true,
            Outcome::RecordsDeleted(answers) => answers.iter().any(|a| matches!(a, DeletedRecords::Deleted { .. })),
            Outcome::Group(outcome) => !matches!(outcome, GroupOutcome::Refused(_) | GroupOutcome::Mismatch),
            Outcome::Produced(verdicts) => {
                verdicts.iter().flatten().any(|v| matches!(v, crate::BatchVerdict::Accepted { .. }))
            }
            _ => false,
        };
        let keep: Vec<bool> = applied.outcomes.iter().map(effective).collect();
        let kept: Vec<_> = commands.into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(c, _)| c).collect();
        let mut pruned = replay.state.clone();
        let alone = pruned.apply(position, identity, Some(&entry(kept))).unwrap();
        let expected: Vec<_> = applied.outcomes.into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(o, _)| o).collect();
        prop_assert_eq!(alone.outcomes, expected);
        prop_assert_eq!(alone.touched, applied.touched);
        prop_assert_eq!(pruned.snapshot(1 << 20).parts, whole.snapshot(1 << 20).parts);
    }
}
