#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_128;

use super::{Manifest, PartRef, Snapshot, SnapshotError};
use crate::fixture::{Replay, alter, any_entry, below, create_topic, key, plain, sequenced, topic_id};
use crate::wire::DecodeError;
use crate::{Command, ConfigResource, Identity, Outcome, Position, State, limits};

fn full() -> State {
    let (mut replay, session) = Replay::with_topic();
    replay.open(2);
    replay.one(session, create_topic(2, "a.b", 2));
    for index in 0..700 {
        replay.produce(session, vec![plain(2), plain(0), sequenced(0, index, 1)]);
    }
    replay.state
}

fn restore(snapshot: &Snapshot) -> Result<State, SnapshotError> {
    State::restore(&snapshot.manifest, &snapshot.parts)
}

/// A snapshot whose manifest vouches for other parts: what a defect of the writer could leave.
fn forge(state: &State, change: impl FnOnce(&mut Manifest, &mut Vec<Bytes>)) -> Snapshot {
    let Snapshot { manifest, mut parts } = state.snapshot(1 << 20);
    let mut manifest = Manifest::decode(&manifest).unwrap();
    change(&mut manifest, &mut parts);
    manifest.parts = parts.iter().map(|part| PartRef::of(part)).collect();
    Snapshot { manifest: manifest.encode(), parts }
}

// Holds: L10
#[test]
fn a_restored_state_is_the_same_in_every_byte_and_goes_on_alike() {
    let state = full();
    let snapshot = state.snapshot(1_000);
    let restored = restore(&snapshot).unwrap();
    assert_eq!(restored.snapshot(1_000), snapshot);
    assert_eq!((restored.known(), restored.hash()), (state.known(), state.hash()));
    assert_eq!(restored.partition(&key(0)), state.partition(&key(0)));
    let (mut a, mut b) = (Replay { state }, Replay { state: restored });
    let session = a.state.sessions().next().unwrap().id;
    assert_eq!(a.produce(session, vec![plain(1)]), b.produce(session, vec![plain(1)]));
    assert_eq!(a.state.hash(), b.state.hash());
}

#[test]
fn an_empty_state_needs_no_parts() {
    let snapshot = State::new(crate::Incarnation(5)).snapshot(10);
    assert!(snapshot.parts.is_empty());
    assert_eq!(restore(&snapshot).unwrap().hash(), State::new(crate::Incarnation(5)).hash());
}

// Holds: I-14 (parts are bounded), L10
#[test]
fn parts_are_cut_at_the_bound_and_only_an_item_that_is_larger_exceeds_it() {
    let state = full();
    let whole = state.snapshot(usize::MAX).parts;
    assert_eq!(whole.len(), 1);
    let parts = state.snapshot(12_000).parts;
    assert!(parts.len() >= 3 && parts.iter().all(|part| part.len() <= 12_000));
    assert_eq!(parts.concat(), whole[0]);
    let items = state.snapshot(0).parts;
    assert_eq!(items.concat(), whole[0]);
    assert!(items.len() > 10);
}

// Holds: L12, L9, L8
#[test]
fn a_manifest_names_incarnation_position_hash_and_parts() {
    let state = full();
    let snapshot = state.snapshot(12_000);
    let manifest = Manifest::decode(&snapshot.manifest).unwrap();
    assert_eq!((manifest.incarnation, manifest.known), (state.incarnation(), state.known()));
    assert_eq!((manifest.hash, manifest.feature_level), (state.hash(), state.feature_level()));
    let lengths: Vec<_> = snapshot.parts.iter().map(|part| part.len() as u64).collect();
    assert_eq!(manifest.parts.iter().map(|part| part.bytes).collect::<Vec<_>>(), lengths);
    let elsewhere = forge(&state, |manifest, _| manifest.known = Position::new(4, 1_000));
    assert_eq!(restore(&elsewhere).unwrap().known(), Position::new(4, 1_000));
}

// Holds: I-09
#[test]
fn damage_anywhere_is_found() {
    let (replay, _) = Replay::with_topic();
    let snapshot = replay.state.snapshot(1 << 20);
    for index in 0..snapshot.manifest.len() {
        let mut manifest = snapshot.manifest.to_vec();
        manifest[index] ^= 1;
        assert!(State::restore(&manifest.into(), &snapshot.parts).is_err(), "byte {index}");
        let cut = snapshot.manifest.slice(..index);
        assert!(State::restore(&cut, &snapshot.parts).is_err(), "cut at {index}");
    }
    let part = &snapshot.parts[0];
    for index in 0..part.len() {
        let mut damaged = part.to_vec();
        damaged[index] ^= 1;
        let found = State::restore(&snapshot.manifest, &[damaged.into()]);
        assert_eq!(found.unwrap_err(), SnapshotError::DamagedPart(0));
    }
    let found = State::restore(&snapshot.manifest, &[]).unwrap_err();
    assert_eq!(found, SnapshotError::WrongPartCount { expected: 1, found: 0 });
}

// Holds: I-12 (a gateway that meets a higher level stops before acting)
#[test]
fn a_state_of_a_higher_feature_level_or_format_is_refused() {
    let (found, supported) = (limits::FEATURE_LEVEL + 1, limits::FEATURE_LEVEL);
    let higher = forge(&full(), |manifest, _| manifest.feature_level = found);
    assert_eq!(restore(&higher).unwrap_err(), SnapshotError::FeatureLevel { found, supported });
    let mut manifest = higher.manifest.to_vec();
    manifest[8] = 9;
    assert_eq!(Manifest::decode(&manifest.into()), Err(SnapshotError::UnknownFormat(9)));
}

// Holds: I-09 (a part cut anywhere, vouched for by its manifest: an error or a whole State, never a panic)
#[test]
fn a_part_that_ends_early_is_not_restored() {
    let (mut replay, session) = Replay::with_topic();
    replay.produce(session, vec![sequenced(0, 0, 1)]);
    let len = replay.state.snapshot(1 << 20).parts[0].len();
    let mut whole = 0;
    for cut in 0..len {
        let forged = forge(&replay.state, |_, parts| parts[0].truncate(cut));
        whole += usize::from(restore(&forged).is_ok());
    }
    // Between items a cut leaves a smaller State; only where nothing refers to what is missing does it stand: without
    // anything, without topics, and without the producer.
    assert_eq!(whole, 3);
}

#[test]
fn contradictions_are_named() {
    let state = full();
    let twice = forge(&state, |_, parts| parts.push(parts[0].clone()));
    assert!(matches!(restore(&twice).unwrap_err(), SnapshotError::Inconsistent(_)));
    let early = forge(&state, |manifest, _| manifest.known = Position::new(0, 3));
    assert!(matches!(restore(&early).unwrap_err(), SnapshotError::Inconsistent(_)));
    let unknown = forge(&state, |_, parts| parts.push(Bytes::from_static(&[99])));
    let found = restore(&unknown).unwrap_err();
    assert_eq!(found, SnapshotError::Malformed { part: 1, error: DecodeError::UnknownTag(99) });
    let below = forge(&state, |manifest, _| manifest.next_producer_id = -1);
    assert!(matches!(restore(&below).unwrap_err(), SnapshotError::Inconsistent(_)));
}

// The format of today, as a fixture: what is in a store is read for ever.
#[test]
fn the_bytes_of_a_snapshot_are_fixed() {
    let (mut replay, session) = Replay::with_topic();
    replay.produce(session, vec![plain(3), sequenced(0, 0, 2)]);
    let snapshot = replay.state.snapshot(1 << 20);
    let bytes = [&snapshot.manifest[..], &snapshot.parts[0]].concat();
    assert_eq!(format!("{:032x}", xxh3_128(&bytes)), "2bee8f452211469a5210a198e63bd349");
}

// The same of what came later: one State with every item of configs and a log start within an extent.
#[test]
fn the_bytes_of_configs_and_deletions_in_a_snapshot_are_fixed() {
    let (mut replay, session) = Replay::with_topic();
    replay.produce(session, vec![plain(3), sequenced(0, 0, 2)]);
    let set = |resource| alter(resource, Position::ZERO, &[("a", "b")]);
    let at = replay.state.known().next();
    let commands = vec![
        alter(ConfigResource::Topic(topic_id(1)), Position::new(0, 2), &[]),
        set(ConfigResource::Cluster),
        set(ConfigResource::Broker(1)),
        set(ConfigResource::Broker(2)),
        alter(ConfigResource::Broker(2), at, &[]),
        Command::CreatePartitions { topic_id: topic_id(1), count: 4 },
        Command::DeleteRecords { runs: vec![below(0, 4)] },
    ];
    let outcomes = replay.send(session, commands).outcomes;
    assert!(outcomes[..5].iter().all(|outcome| *outcome == Outcome::ConfigsAltered), "{outcomes:?}");
    let snapshot = replay.state.snapshot(1 << 20);
    let part = &snapshot.parts[0];
    let set = [&[1, 1, b'a', 1, b'b'][..]].concat();
    let expected =
        [&[11, 1][..], topic_id(1).as_bytes(), &[4], &[11, 2, 4], &set, &[11, 3, 2, 4], &set, &[11, 4, 4]].concat();
    assert!(part.ends_with(&expected), "{part:?}");
    let bytes = [&snapshot.manifest[..], part].concat();
    assert_eq!(format!("{:032x}", xxh3_128(&bytes)), "dfb64c71d6148a5b4efa854cbf27ab36");
}

// Items of configs that say what is there already, or what needs no item.
#[test]
fn contradictions_of_configs_are_named() {
    let (replay, _) = Replay::with_topic();
    let topic = |id, at: u8| [&[11, 1][..], topic_id(id).as_bytes(), &[at]].concat();
    let twice = |item: &[u8]| [item, item].concat();
    let cluster = [11, 2, 1, 0];
    let broker = [11, 3, 2, 1, 1, 1, b'a', 0];
    for fine in [topic(1, 2).as_slice(), &cluster, &broker, &[11, 4, 1]] {
        // The topic's own position says nothing new; all others are what a State may have.
        let is_new = !fine.starts_with(&[11, 1]);
        let item = Bytes::copy_from_slice(fine);
        assert_eq!(restore(&forge(&replay.state, |_, parts| parts.push(item))).is_ok(), is_new);
    }
    for bad in [
        topic(9, 2), // no such topic
        topic(1, 1), // before its creation
        topic(1, 3), // not applied yet
        twice(&topic(1, 2)),
        twice(&cluster),
        vec![11, 2, 0, 0], // never changed
        vec![11, 2, 3, 0],
        twice(&broker),
        vec![11, 3, 2, 1, 0], // empty
        vec![11, 3, 2, 0, 1, 1, b'a', 0],
        vec![11, 3, 1, 1, 1, 1, b'a', 0], // a negative id
        twice(&[11, 4, 1]),
        vec![11, 4, 0],
        vec![11, 4, 3],
    ] {
        let found = restore(&forge(&replay.state, |_, parts| parts.push(bad.clone().into())));
        assert!(matches!(found, Err(SnapshotError::Inconsistent(_))), "{bad:?}: {found:?}");
    }
    let unknown = restore(&forge(&replay.state, |_, parts| parts.push(Bytes::from_static(&[11, 9]))));
    assert!(matches!(unknown, Err(SnapshotError::Malformed { .. })));
}

proptest! {
    #![proptest_config(crate::simulation::config(500))]

    // Holds: L10 (any State, any size of parts)
    #[test]
    fn any_state_round_trips(entries in vec(any_entry(), 0..20), max_part_bytes in 0..2_000_usize) {
        let (mut replay, session) = Replay::with_topic();
        for (sequence, entry) in entries.iter().enumerate() {
            let identity = Some(Identity { session, sequence: 10 + sequence as u64 });
            replay.state.apply(replay.state.known().next(), identity, Some(entry)).unwrap();
        }
        let snapshot = replay.state.snapshot(max_part_bytes);
        let restored = restore(&snapshot).unwrap();
        prop_assert_eq!(restored.snapshot(max_part_bytes), snapshot);
        prop_assert_eq!(restored.hash(), replay.state.hash());
    }

    // Holds: I-09
    #[test]
    fn random_items_never_panic(tag in 0..14_u8, bytes in vec(any::<u8>(), 0..200)) {
        let (replay, _) = Replay::with_topic();
        let forged = forge(&replay.state, |_, parts| parts.push([&[tag][..], &bytes].concat().into()));
        let _ = restore(&forged);
        let _ = Manifest::decode(&bytes.into());
    }
}
