#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::section::{read_extents, read_partition, write_extents, write_partition};
use crate::fixture::{Replay, key, object, plain, produce, run, topic_id};
use crate::wire::{Reader, Writer};
use crate::{
    BatchRef, BatchVerdict, Command, CommittedRun, Extent, InvalidBatch, Malformation, Outcome, Partition, Position,
    SessionId, limits,
};

fn accepted(base_offset: i64) -> BatchVerdict {
    BatchVerdict::Accepted { base_offset }
}

fn extents(replay: &Replay, partition: i32) -> Vec<(i64, u32, u64, u32)> {
    let partition = replay.state.partition(&key(partition)).unwrap();
    partition.extents_from(0).map(|e| (e.base_offset, e.records, e.start, e.bytes)).collect()
}

// Holds: I-02, I-05
#[test]
fn contiguous_batches_of_a_run_share_an_extent() {
    let (mut replay, session) = Replay::with_topic();
    let runs = vec![run(0, 0, vec![plain(3), plain(4)]), run(2, 200, vec![plain(5)]), run(0, 300, vec![plain(1)])];
    let applied = replay.send(session, vec![produce(runs)]);
    let verdicts = vec![vec![accepted(0), accepted(3)], vec![accepted(0)], vec![accepted(7)]];
    assert_eq!(applied.outcomes, [Outcome::Produced(verdicts)]);
    assert_eq!(applied.touched, [key(0), key(2)]);
    assert_eq!(extents(&replay, 0), [(0, 7, 0, 200), (7, 1, 300, 100)]);
    let partition = replay.state.partition(&key(0)).unwrap();
    assert_eq!((partition.high_watermark(), partition.last_stable_offset()), (8, 8));
    assert_eq!(partition.extents_from(0).next().unwrap().object, object(9));
    assert_eq!(replay.state.partition(&key(1)).unwrap().high_watermark(), 0);
}

// Holds: I-02, L11 (unit = batch: a refused one takes no offset, its bytes are skipped)
#[test]
fn a_refused_batch_leaves_a_hole_in_the_bytes_and_none_in_the_offsets() {
    let (mut replay, session) = Replay::with_topic();
    let short = BatchRef { bytes: limits::BATCH_BYTES_MIN - 1, ..plain(1) };
    let verdicts = replay.produce(session, vec![plain(2), plain(0), plain(3), plain(u32::MAX), short, plain(1)]);
    let invalid = BatchVerdict::Invalid;
    assert_eq!(
        verdicts,
        [
            accepted(0),
            invalid(InvalidBatch::Records),
            accepted(2),
            invalid(InvalidBatch::Records),
            invalid(InvalidBatch::Bytes),
            accepted(5),
        ]
    );
    assert_eq!(extents(&replay, 0), [(0, 2, 0, 100), (2, 3, 200, 100), (5, 1, 460, 100)]);
}

// Holds: L11
#[test]
fn a_run_of_an_unknown_partition_leaves_its_neighbours_untouched() {
    let (mut replay, session) = Replay::with_topic();
    let stranger = CommittedRun { topic_id: topic_id(5), partition: 0, start: 0, batches: vec![plain(1); 2] };
    let runs = vec![run(3, 0, vec![plain(1)]), run(-1, 0, vec![plain(1)]), stranger, run(1, 0, vec![plain(1)])];
    let unknown = BatchVerdict::UnknownPartition;
    let applied = replay.send(session, vec![produce(runs)]);
    let verdicts = vec![vec![unknown], vec![unknown], vec![unknown, unknown], vec![accepted(0)]];
    assert_eq!(applied.outcomes, [Outcome::Produced(verdicts)]);
    assert_eq!(applied.touched, [key(1)]);
}

#[test]
fn a_batch_outside_its_object_is_invalid() {
    let (mut replay, session) = Replay::with_topic();
    let runs = vec![
        run(0, 0, vec![plain(1), plain(1), plain(1)]),
        run(1, u64::MAX - 50, vec![plain(1), plain(1)]),
        run(2, 150, vec![plain(1)]),
    ];
    let outside = BatchVerdict::Invalid(InvalidBatch::OutsideObject);
    let outcome = replay.one(session, Command::Produce { object: object(1), object_bytes: 250, runs });
    let verdicts = vec![vec![accepted(0), accepted(1), outside], vec![outside, outside], vec![accepted(0)]];
    assert_eq!(outcome, Outcome::Produced(verdicts));
}

// Holds: I-02
#[test]
fn offsets_end_before_they_overflow() {
    let (mut replay, session) = Replay::with_topic();
    let partition = std::sync::Arc::make_mut(replay.state.partitions.by_key.get_mut(&key(0)).unwrap());
    partition.log_start_offset = i64::MAX - 10;
    partition.high_watermark = i64::MAX - 10;
    let verdicts = replay.produce(session, vec![plain(8), plain(3), plain(2), plain(1)]);
    let limit = BatchVerdict::LimitReached;
    assert_eq!(verdicts, [accepted(i64::MAX - 10), limit, accepted(i64::MAX - 2), limit]);
    assert_eq!(replay.state.partition(&key(0)).unwrap().high_watermark(), i64::MAX);
}

#[test]
fn an_extent_is_cut_where_32_bits_end() {
    let (mut replay, session) = Replay::with_topic();
    let big = |records, bytes| BatchRef { bytes, ..plain(records) };
    let verdicts = replay
        .produce(session, vec![big(limits::RECORDS_PER_BATCH, 100), big(limits::RECORDS_PER_BATCH, 100), big(2, 100)]);
    assert!(verdicts.iter().all(|verdict| matches!(verdict, BatchVerdict::Accepted { .. })));
    assert_eq!(extents(&replay, 0).len(), 2);
    let runs = vec![run(1, 0, vec![big(1, u32::MAX - 99), big(1, 99), big(1, 100)])];
    replay.one(session, produce(runs));
    assert_eq!(extents(&replay, 1).iter().map(|e| e.3).collect::<Vec<_>>(), [u32::MAX, 100]);
}

// Holds: I-14
#[test]
fn extents_of_all_partitions_are_bounded() {
    let (mut replay, session) = Replay::with_topic();
    replay.produce(session, vec![plain(1)]);
    replay.state.partitions.usage.extents = limits::EXTENTS - 1;
    let entry = |runs| crate::Entry { known: Position::ZERO, hash_at_known: 0, commands: vec![produce(runs)] };
    let runs = vec![run(0, 0, vec![plain(1), plain(1)]), run(1, 0, vec![plain(1)])];
    let sequence = replay.state.session(session).unwrap().last_sequence + 1;
    let identity = Some(crate::Identity { session, sequence });
    let applied = replay.state.apply(replay.state.known().next(), identity, Some(&entry(runs))).unwrap();
    // The second batch grows the extent of the first; the third would need one of its own.
    let verdicts = vec![vec![accepted(1), accepted(2)], vec![BatchVerdict::LimitReached]];
    assert_eq!(applied.outcomes, [Outcome::Produced(verdicts)]);
}

// Holds: I-14
#[test]
fn runs_and_batches_of_a_command_are_bounded() {
    let (mut replay, session) = Replay::with_topic();
    let runs = vec![run(0, 0, Vec::new()); limits::RUNS_PER_PRODUCE + 1];
    assert_eq!(replay.one(session, produce(runs)), Outcome::Malformed(Malformation::TooManyRuns));
    let half = vec![plain(1); limits::BATCHES_PER_PRODUCE / 2 + 1];
    let runs = vec![run(0, 0, half.clone()), run(1, 0, half)];
    assert_eq!(replay.one(session, produce(runs)), Outcome::Malformed(Malformation::TooManyBatches));
    assert_eq!(replay.state.extent_count(), 0);
}

#[test]
fn extents_are_found_by_offset_and_by_timestamp() {
    let (mut replay, session) = Replay::with_topic();
    for (records, max_timestamp) in [(3, 50), (1, 90), (6, 10), (2, 90)] {
        replay.produce(session, vec![BatchRef { max_timestamp, ..plain(records) }]);
    }
    let partition = replay.state.partition(&key(0)).unwrap();
    let bases = |offset| partition.extents_from(offset).map(|e| e.base_offset).collect::<Vec<_>>();
    assert_eq!(bases(i64::MIN), [0, 3, 4, 10]);
    assert_eq!(bases(2), [0, 3, 4, 10]);
    assert_eq!(bases(3), [3, 4, 10]);
    assert_eq!(bases(9), [4, 10]);
    assert_eq!(bases(11), [10]);
    assert!(bases(12).is_empty() && bases(i64::MAX).is_empty());
    assert_eq!(partition.extent_at(9).map(|e| (e.base_offset, e.last_offset())), Some((4, 9)));
    assert_eq!(partition.extent_at(12), None);
    assert_eq!(partition.extent_at(-1), None);
    assert_eq!(partition.first_extent_since(60).map(|e| e.base_offset), Some(3));
    assert_eq!(partition.first_extent_since(91), None);
    assert_eq!(partition.latest_extent().map(|e| e.base_offset), Some(3));
    let since = |timestamp| partition.extents_since(timestamp).map(|e| e.base_offset).collect::<Vec<_>>();
    assert_eq!((since(0), since(50), since(51), since(91)), (vec![0, 3, 4, 10], vec![0, 3, 10], vec![3, 10], vec![]));
}

// Holds: L10 (copy-on-write: what a reader holds never changes)
#[test]
fn a_reader_s_view_never_changes() {
    let (mut replay, session) = Replay::with_topic();
    replay.produce(session, vec![plain(1)]);
    let view = replay.state.clone();
    let bytes = view.snapshot(1 << 20);
    let partition = view.partition(&key(0)).unwrap().clone();
    for _ in 0..200 {
        replay.produce(session, vec![plain(1), plain(0), plain(1)]);
    }
    assert_eq!(partition.high_watermark(), 1);
    assert_eq!(partition.extents_from(0).count(), 1);
    assert_eq!(view.snapshot(1 << 20), bytes);
    assert_eq!(replay.state.partition(&key(0)).unwrap().high_watermark(), 401);
}

fn any_extent() -> impl Strategy<Value = Extent> {
    any::<(i64, u32, u64, u64, u64, u32, i64)>().prop_map(
        |(base_offset, records, session, nonce, start, bytes, max_timestamp)| {
            let object = crate::ObjectId { session: SessionId(Position::from_raw(session)), nonce };
            Extent { base_offset, records, object, start, bytes, max_timestamp }
        },
    )
}

proptest! {
    #![proptest_config(crate::simulation::config(256))]
    // Holds: L12 (the session in an object's name is a persisted position)
    #[test]
    fn partitions_and_extents_in_a_snapshot_round_trip(
        index: i32, log_start_offset: i64, high_watermark: i64, shard: u8, extents in vec(any_extent(), 0..20),
    ) {
        let key = key(index);
        let partition = Partition { log_start_offset, high_watermark, shard, ..Partition::new(key) };
        let mut writer = Writer::default();
        write_partition(&mut writer, key, &partition);
        write_extents(&mut writer, key, &extents);
        let mut reader = Reader::new(writer.as_slice());
        prop_assert_eq!(read_partition(&mut reader).unwrap(), (key, partition));
        prop_assert_eq!(read_extents(&mut reader).unwrap(), (key, extents));
        prop_assert!(reader.is_empty());
    }
}
