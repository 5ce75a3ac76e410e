#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::prelude::*;

use super::section::{read_session, write_session};
use crate::fixture::{Replay, create_topic, open_session};
use crate::wire::{Reader, Writer};
use crate::{
    Command, Identity, Judgement, Malformation, Outcome, Position, Session, SessionId, SessionRefusal, limits,
};

fn allocate() -> Command {
    Command::AllocateProducerIds { count: 1 }
}

fn open_at_level(feature_level: u16) -> Command {
    Command::OpenSession { nonce: 1, feature_level, opened_at_ms: 0, name: "h:1".to_owned() }
}

// Holds: L2
#[test]
fn a_session_is_the_position_that_opened_it_and_keeps_its_nonce() {
    let (mut replay, first) = Replay::opened();
    let second = replay.open(2);
    assert_eq!((first.0, second.0), (Position::new(0, 1), Position::new(0, 2)));
    let session = replay.state.session(second).unwrap();
    assert_eq!((session.nonce, session.opened_at_ms, &*session.name), (2, 5, "host:9092"));
    assert_eq!((session.last_sequence, session.last_append), (0, second.0));
    assert_eq!(replay.state.sessions().map(|s| s.id).collect::<Vec<_>>(), [first, second]);
}

// Holds: L2 (a copy of an OpenSession opens another session, which expires unused)
#[test]
fn a_copy_of_an_open_gets_a_session_of_its_own() {
    let (mut replay, first) = Replay::opened();
    let copy = replay.open(1);
    assert_ne!(first, copy);
    assert_eq!(replay.state.session(first).unwrap().nonce, replay.state.session(copy).unwrap().nonce);
}

// Holds: L2 (alone in its entry)
#[test]
fn an_open_beside_other_commands_opens_nothing() {
    let mut replay = Replay::new();
    for commands in [vec![], vec![open_session(1), allocate()], vec![allocate()], vec![open_session(1); 2]] {
        let count = commands.len();
        let applied = replay.apply(None, commands);
        assert!(!applied.accepted);
        assert_eq!(applied.outcomes, vec![Outcome::Malformed(Malformation::NoIdentity); count]);
    }
    assert_eq!(replay.state.session_count(), 0);
    let (mut replay, session) = Replay::opened();
    let applied = replay.send(session, vec![open_session(3), create_topic(1, "t", 1)]);
    assert_eq!(applied.outcomes[0], Outcome::SessionRefused(SessionRefusal::NotAlone));
    assert!(matches!(applied.outcomes[1], Outcome::TopicCreated { .. }), "its neighbour is untouched (L11)");
    assert_eq!(replay.state.session_count(), 1);
}

// Holds: L1
#[test]
fn a_copy_and_a_lower_sequence_are_no_ops() {
    let (mut replay, session) = Replay::opened();
    for (sequence, accepted) in [(2, true), (2, false), (1, false), (5, true), (3, false), (0, false), (6, true)] {
        let identity = Some(Identity { session, sequence });
        let expected = if accepted { Judgement::Accept } else { Judgement::NoOp };
        assert_eq!(replay.state.judge(identity), expected);
        let before = replay.state.producer_ids.next;
        let applied = replay.apply(identity, vec![allocate()]);
        assert_eq!(applied.accepted, accepted, "sequence {sequence}");
        assert_eq!(applied.outcomes.len(), usize::from(accepted));
        assert_eq!(replay.state.producer_ids.next - before, i64::from(accepted));
    }
    let session = replay.state.session(session).unwrap();
    assert_eq!((session.last_sequence, session.last_append), (6, replay.state.known()));
}

// Holds: L1 (only sessions open in State)
#[test]
fn an_entry_of_a_session_that_is_not_open_is_a_no_op() {
    let (mut replay, session) = Replay::opened();
    for stranger in [SessionId::default(), SessionId(session.0.next()), SessionId(Position::new(1, 1))] {
        assert!(!replay.apply(Some(Identity { session: stranger, sequence: 1 }), vec![allocate()]).accepted);
    }
    let last_append = session.0;
    replay.one(session, Command::CloseSession { session, last_append });
    assert!(!replay.apply(Some(Identity { session, sequence: 9 }), vec![allocate()]).accepted);
}

// Holds: L1 (the identity is used up even if every command was refused)
#[test]
fn a_refused_entry_still_is_the_last_append() {
    let (mut replay, session) = Replay::opened();
    let applied = replay.send(session, vec![Command::AllocateProducerIds { count: 0 }]);
    assert!(applied.accepted);
    assert_eq!(replay.state.session(session).unwrap().last_append, applied.position);
    let empty = replay.send(session, Vec::new());
    assert!(empty.accepted);
    assert_eq!(replay.state.session(session).unwrap().last_sequence, 2);
}

// Holds: T2, T7 (session close: position of its last append)
#[test]
fn a_session_that_spoke_since_is_not_closed() {
    let (mut replay, subject) = Replay::opened();
    let proposer = replay.open(2);
    let close = Command::CloseSession { session: subject, last_append: subject.0 };
    replay.one(subject, allocate());
    assert_eq!(replay.one(proposer, close), Outcome::SessionCloseRefused);
    let last_append = replay.state.session(subject).unwrap().last_append;
    let close = Command::CloseSession { session: subject, last_append };
    assert_eq!(replay.one(proposer, close.clone()), Outcome::SessionClosed { session: subject });
    assert_eq!(replay.one(proposer, close), Outcome::SessionCloseRefused, "it is closed already");
    assert!(replay.state.session(subject).is_none());
}

// Holds: T2, T7 (a gateway closes its own session at a stop)
#[test]
fn a_session_closes_itself_with_the_append_before() {
    let (mut replay, session) = Replay::opened();
    let before = replay.send(session, vec![allocate()]).position;
    let close = Command::CloseSession { session, last_append: before };
    let outcomes = replay.send(session, vec![close, allocate()]).outcomes;
    assert_eq!(outcomes[0], Outcome::SessionClosed { session });
    assert!(matches!(outcomes[1], Outcome::ProducerIds { .. }), "the entry was accepted as a whole");
    assert_eq!(replay.state.session_count(), 0);
}

// Holds: I-12 (SessionOpened below the level is refused)
#[test]
fn a_gateway_below_the_feature_level_gets_no_session() {
    let mut replay = Replay::new();
    let refused = Outcome::SessionRefused(SessionRefusal::FeatureLevel { required: limits::FEATURE_LEVEL });
    assert_eq!(replay.apply(None, vec![open_at_level(limits::FEATURE_LEVEL - 1)]).outcomes, [refused]);
    let applied = replay.apply(None, vec![open_at_level(limits::FEATURE_LEVEL + 1)]);
    assert!(matches!(applied.outcomes[..], [Outcome::SessionOpened { .. }]));
    assert_eq!(replay.state.feature_level(), limits::FEATURE_LEVEL, "a newer build alone does not move the level");
    replay.state.feature_level = 2;
    let refused = Outcome::SessionRefused(SessionRefusal::FeatureLevel { required: 2 });
    assert_eq!(replay.apply(None, vec![open_at_level(1)]).outcomes, [refused]);
}

// Holds: I-14
#[test]
fn sessions_and_their_names_are_bounded() {
    let mut replay = Replay::new();
    let named = |len| Command::OpenSession { nonce: 1, feature_level: 1, opened_at_ms: 0, name: "x".repeat(len) };
    let applied = replay.apply(None, vec![named(limits::SESSION_NAME_BYTES + 1)]);
    assert_eq!(applied.outcomes, [Outcome::SessionRefused(SessionRefusal::BadName)]);
    replay.apply(None, vec![named(limits::SESSION_NAME_BYTES)]);
    let template = replay.state.sessions().next().unwrap().clone();
    for index in 100..100 + limits::SESSIONS as u64 - 1 {
        replay.state.gateways.restore(Session { id: SessionId(Position::new(0, index)), ..template.clone() });
    }
    let entry = crate::Entry { known: Position::ZERO, hash_at_known: 0, commands: vec![named(1)] };
    let applied = replay.state.apply(replay.state.known().next(), None, Some(&entry)).unwrap();
    assert_eq!(applied.outcomes, [Outcome::SessionRefused(SessionRefusal::TooManySessions)]);
}

proptest! {
    #![proptest_config(crate::simulation::config(256))]
    // Holds: L12 (persisted positions name their log)
    #[test]
    fn a_session_in_a_snapshot_round_trips(
        nonce: u128, feature_level: u16, name in ".{0,30}", opened_at_ms: i64, last_sequence: u64, id: u64, last: u64,
    ) {
        let id = SessionId(Position::from_raw(id));
        let last_append = Position::from_raw(last);
        let name = name.as_str().into();
        let session = Session { id, nonce, feature_level, name, opened_at_ms, last_sequence, last_append };
        let mut writer = Writer::default();
        write_session(&mut writer, &session);
        let mut reader = Reader::new(writer.as_slice());
        prop_assert_eq!(read_session(&mut reader).unwrap(), session);
        prop_assert!(reader.is_empty());
    }
}
