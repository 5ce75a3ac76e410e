#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::section::{read_producer, write_producer};
use super::{Producer, ProducerBatch, ProducerIds, add_sequence};
use crate::fixture::{Replay, key, plain, produce, run, sequenced};
use crate::wire::{Reader, Writer};
use crate::{BatchProducer, BatchRef, BatchVerdict, Command, Incarnation, InvalidBatch, Outcome, SessionId, limits};

fn accepted(base_offset: i64) -> BatchVerdict {
    BatchVerdict::Accepted { base_offset }
}

fn gap(expected: i32) -> BatchVerdict {
    BatchVerdict::OutOfOrderSequence { expected }
}

fn duplicate(base_offset: i64, timestamp: i64) -> BatchVerdict {
    BatchVerdict::Duplicate { base_offset, timestamp }
}

/// One batch of producer 77 in an entry of its own.
fn one(replay: &mut Replay, session: SessionId, epoch: i16, sequence: i32, records: u32) -> BatchVerdict {
    replay.produce(session, vec![sequenced(epoch, sequence, records)])[0]
}

#[test]
fn a_producer_without_state_starts_at_zero() {
    let (mut replay, session) = Replay::with_topic();
    assert_eq!(one(&mut replay, session, 0, 1, 1), gap(0));
    assert_eq!(one(&mut replay, session, 3, 0, 2), accepted(0));
    let partition = replay.state.partition(&key(0)).unwrap();
    assert_eq!(partition.producer(77).map(Producer::epoch), Some(3));
    assert!(partition.producer(78).is_none());
    assert_eq!(partition.producers().map(|(id, _)| id).collect::<Vec<_>>(), [77]);
}

#[test]
fn a_gap_and_an_overlap_are_out_of_order() {
    let (mut replay, session) = Replay::with_topic();
    assert_eq!(one(&mut replay, session, 0, 0, 4), accepted(0));
    assert_eq!(one(&mut replay, session, 0, 5, 1), gap(4));
    assert_eq!(one(&mut replay, session, 0, 3, 2), gap(4));
    assert_eq!(one(&mut replay, session, 0, 0, 3), gap(4), "no duplicate: it has other records");
    assert_eq!(one(&mut replay, session, 0, 4, 1), accepted(4));
}

#[test]
fn one_of_the_last_five_batches_is_a_duplicate_with_its_original_offset() {
    let (mut replay, session) = Replay::with_topic();
    for sequence in 0..6 {
        assert_eq!(one(&mut replay, session, 0, 2 * sequence, 2), accepted(2 * i64::from(sequence)));
    }
    replay.produce(session, vec![plain(100)]);
    for sequence in 1..6 {
        let original = 2 * i64::from(sequence);
        assert_eq!(one(&mut replay, session, 0, 2 * sequence, 2), duplicate(original, original));
    }
    assert_eq!(one(&mut replay, session, 0, 0, 2), gap(12), "the sixth last is forgotten, as in Kafka");
    assert_eq!(replay.state.partition(&key(0)).unwrap().high_watermark(), 112);
}

#[test]
fn a_duplicate_in_the_same_entry_is_found() {
    let (mut replay, session) = Replay::with_topic();
    let verdicts =
        replay.produce(session, vec![sequenced(0, 0, 2), sequenced(0, 0, 2), sequenced(0, 7, 1), sequenced(0, 2, 1)]);
    assert_eq!(verdicts, [accepted(0), duplicate(0, 0), gap(2), accepted(2)]);
}

#[test]
fn a_newer_epoch_starts_at_zero_and_fences_the_older() {
    let (mut replay, session) = Replay::with_topic();
    assert_eq!(one(&mut replay, session, 4, 0, 3), accepted(0));
    assert_eq!(one(&mut replay, session, 5, 3, 1), gap(0));
    assert_eq!(one(&mut replay, session, 4, 3, 1), accepted(3), "a refused epoch changes nothing");
    assert_eq!(one(&mut replay, session, 5, 0, 3), accepted(4));
    assert_eq!(one(&mut replay, session, 4, 4, 1), BatchVerdict::StaleEpoch);
    assert_eq!(one(&mut replay, session, 4, 3, 1), BatchVerdict::StaleEpoch, "batches of an older epoch are forgotten");
    assert_eq!(one(&mut replay, session, 5, 0, 3), duplicate(4, 0));
    assert_eq!(one(&mut replay, session, 5, 3, 1), accepted(7));
}

#[test]
fn sequences_wrap_to_zero_as_in_kafka() {
    assert_eq!(add_sequence(i32::MAX, 1), 0);
    assert_eq!(add_sequence(i32::MAX - 1, 3), 1);
    let (mut replay, session) = Replay::with_topic();
    let most = i32::MAX - 1;
    assert_eq!(one(&mut replay, session, 0, 0, most.unsigned_abs()), accepted(0));
    // Sequences 2^31 − 2, 2^31 − 1, 0 and 1: wraps inside the batch.
    assert_eq!(one(&mut replay, session, 0, most, 4), accepted(i64::from(most)));
    assert_eq!(one(&mut replay, session, 0, most, 4), duplicate(i64::from(most), i64::from(most)));
    assert_eq!(one(&mut replay, session, 0, 0, 1), gap(2));
    assert_eq!(one(&mut replay, session, 0, 2, 1), accepted(i64::from(most) + 4));
}

#[test]
fn partitions_and_producers_are_judged_apart() {
    let (mut replay, session) = Replay::with_topic();
    let of = |id| BatchRef { producer: Some(BatchProducer { id, epoch: 0, base_sequence: 0 }), ..plain(1) };
    let runs = vec![run(0, 0, vec![of(1), of(2)]), run(1, 200, vec![of(1)])];
    let verdicts = vec![vec![accepted(0), accepted(1)], vec![accepted(0)]];
    assert_eq!(replay.one(session, produce(runs)), Outcome::Produced(verdicts));
}

#[test]
fn a_negative_id_epoch_or_sequence_is_invalid() {
    let (mut replay, session) = Replay::with_topic();
    let invalid = BatchVerdict::Invalid(InvalidBatch::Producer);
    assert_eq!(one(&mut replay, session, -1, 0, 1), invalid);
    assert_eq!(one(&mut replay, session, 0, -1, 1), invalid);
    let nobody = BatchRef { producer: Some(BatchProducer { id: -1, epoch: 0, base_sequence: 0 }), ..plain(1) };
    assert_eq!(replay.produce(session, vec![nobody, plain(1)]), [invalid, accepted(0)]);
}

// Holds: I-14, L11
#[test]
fn producers_are_bounded_and_those_known_go_on() {
    let (mut replay, session) = Replay::with_topic();
    one(&mut replay, session, 0, 0, 1);
    replay.state.partitions.usage.producers = limits::PRODUCERS;
    let stranger = BatchRef { producer: Some(BatchProducer { id: 5, epoch: 0, base_sequence: 0 }), ..plain(1) };
    let batches = vec![stranger, sequenced(0, 1, 1), plain(1)];
    let entry = crate::Entry {
        known: crate::Position::ZERO,
        hash_at_known: 0,
        commands: vec![produce(vec![run(0, 0, batches)])],
    };
    let sequence = replay.state.session(session).unwrap().last_sequence + 1;
    let identity = Some(crate::Identity { session, sequence });
    let applied = replay.state.apply(replay.state.known().next(), identity, Some(&entry)).unwrap();
    let verdicts = vec![vec![BatchVerdict::LimitReached, accepted(1), accepted(2)]];
    assert_eq!(applied.outcomes, [Outcome::Produced(verdicts)]);
}

#[test]
fn producer_ids_are_given_once() {
    let (mut replay, session) = Replay::opened();
    let mut allocate = |count| replay.one(session, Command::AllocateProducerIds { count });
    let Outcome::ProducerIds { first, count: 10 } = allocate(10) else { panic!("refused") };
    assert!(first > 0);
    assert_eq!(allocate(1), Outcome::ProducerIds { first: first + 10, count: 1 });
    assert_eq!(allocate(0), Outcome::ProducerIdsRefused);
    assert_eq!(allocate(limits::PRODUCER_IDS_PER_BLOCK + 1), Outcome::ProducerIdsRefused);
    assert_eq!(allocate(u32::MAX), Outcome::ProducerIdsRefused);
    let most = limits::PRODUCER_IDS_PER_BLOCK;
    assert_eq!(allocate(most), Outcome::ProducerIds { first: first + 11, count: most });
    let mut used_up = ProducerIds { next: i64::MAX - 1 };
    assert_eq!(used_up.allocate(2), Outcome::ProducerIdsRefused);
    assert_eq!(used_up.allocate(1), Outcome::ProducerIds { first: i64::MAX - 1, count: 1 });
}

proptest! {
    #![proptest_config(crate::simulation::config(256))]
    // Holds: L8 (a base of its own per incarnation, with room above)
    #[test]
    fn producer_ids_start_at_a_base_of_the_incarnation(incarnation: u128) {
        let base = ProducerIds::new(Incarnation(incarnation)).next;
        prop_assert!((1..1 << 62).contains(&base));
        prop_assert_ne!(base, ProducerIds::new(Incarnation(incarnation.wrapping_add(1))).next);
    }

    #[test]
    fn a_producer_in_a_snapshot_round_trips(
        index: i32, id: i64, epoch: i16, batches in vec(any::<(i32, i32, i64, i64)>(), 0..8),
    ) {
        let mut producer = Producer::new(epoch);
        for (base_sequence, last_sequence, base_offset, timestamp) in batches {
            producer.push(ProducerBatch { base_sequence, last_sequence, base_offset, timestamp });
        }
        let mut writer = Writer::default();
        write_producer(&mut writer, key(index), id, &producer);
        let mut reader = Reader::new(writer.as_slice());
        prop_assert_eq!(read_producer(&mut reader).unwrap(), (key(index), id, producer));
        prop_assert!(reader.is_empty());
    }
}
