#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use proptest::collection::vec;
use proptest::prelude::*;

use crate::fixture::{Replay, below, key, plain, produce, run, sequenced, topic_id};
use crate::{
    BatchVerdict, Command, DeleteRecordsRun, DeletedRecords, Extent, Malformation, Outcome, Partition, State, limits,
};

fn delete(runs: Vec<DeleteRecordsRun>) -> Command {
    Command::DeleteRecords { runs }
}

fn deleted(log_start_offset: i64) -> DeletedRecords {
    DeletedRecords::Deleted { log_start_offset }
}

/// Partition 0 with extents of 3, 1, 6 and 2 records: 0 to 2, 3, 4 to 9, 10 and 11.
fn filled() -> (Replay, crate::SessionId) {
    let (mut replay, session) = Replay::with_topic();
    for records in [3, 1, 6, 2] {
        replay.produce(session, vec![plain(records)]);
    }
    (replay, session)
}

fn partition(replay: &Replay) -> &Partition {
    replay.state.partition(&key(0)).unwrap()
}

fn bases(replay: &Replay, offset: i64) -> Vec<i64> {
    partition(replay).extents_from(offset).map(|extent| extent.base_offset).collect()
}

// Holds: I-05, I-14
#[test]
fn the_log_start_moves_forward_and_extents_wholly_below_it_are_forgotten() {
    let (mut replay, session) = filled();
    for (before, start, left) in [
        (Some(0), 0, &[0, 3, 4, 10][..]),
        (Some(2), 2, &[0, 3, 4, 10]),
        (Some(1), 2, &[0, 3, 4, 10]),
        (Some(3), 3, &[3, 4, 10]),
        (Some(7), 7, &[4, 10]),
        (Some(7), 7, &[4, 10]),
        (Some(0), 7, &[4, 10]),
        (None, 12, &[]),
        (Some(12), 12, &[]),
        (None, 12, &[]),
    ] {
        let before_start = partition(&replay).log_start_offset();
        let applied = replay.send(session, vec![delete(vec![below(0, before)])]);
        assert_eq!(applied.outcomes, [Outcome::RecordsDeleted(vec![deleted(start)])], "below {before:?}");
        let moved = if start > before_start { vec![key(0)] } else { Vec::new() };
        assert_eq!(applied.touched, moved, "who waits at the log start must hear");
        assert_eq!((partition(&replay).log_start_offset(), partition(&replay).high_watermark()), (start, 12));
        assert_eq!(partition(&replay).last_stable_offset(), 12);
        assert_eq!(bases(&replay, i64::MIN), left);
        assert_eq!(replay.state.extent_count(), u64::try_from(left.len()).unwrap());
    }
    assert_eq!(replay.produce(session, vec![plain(2)]), [BatchVerdict::Accepted { base_offset: 12 }], "I-02");
    assert_eq!(bases(&replay, 0), [12]);
}

#[test]
fn an_extent_that_reaches_across_the_log_start_stays_whole() {
    let (mut replay, session) = filled();
    replay.one(session, delete(vec![below(0, 6)]));
    let partition = partition(&replay);
    assert_eq!(partition.extents_from(0).next().map(|e| (e.base_offset, e.records, e.bytes)), Some((4, 6, 100)));
    for offset in [-1, 0, 3, 4, 5] {
        assert_eq!(partition.extent_at(offset), None, "I-05: {offset} is below the log start");
        assert_eq!(partition.extents_from(offset).count(), 2);
    }
    assert_eq!(partition.extent_at(6).map(|e| e.base_offset), Some(4));
    assert_eq!(partition.extent_at(10).map(|e| e.base_offset), Some(10));
    assert_eq!(partition.extent_at(12), None);
}

// Holds: L11, I-05
#[test]
fn an_offset_out_of_range_changes_nothing_and_hurts_no_neighbour() {
    let (mut replay, session) = filled();
    replay.one(session, delete(vec![below(0, 4)]));
    let out = DeletedRecords::OutOfRange { log_start_offset: 4, high_watermark: 12 };
    let stranger = DeleteRecordsRun { topic_id: topic_id(5), ..below(0, None) };
    let runs = vec![below(0, 13), below(0, -1), below(0, i64::MAX), below(0, i64::MIN), below(3, 0), below(-1, None)];
    let unknown = DeletedRecords::UnknownPartition;
    let runs = [runs, vec![stranger, below(1, 0), below(1, None), below(1, 1), below(0, 5), below(0, 4)]].concat();
    let nothing = DeletedRecords::OutOfRange { log_start_offset: 0, high_watermark: 0 };
    let expected =
        vec![out, out, out, out, unknown, unknown, unknown, deleted(0), deleted(0), nothing, deleted(5), deleted(5)];
    let applied = replay.send(session, vec![delete(runs)]);
    assert_eq!(applied.outcomes, [Outcome::RecordsDeleted(expected)]);
    assert_eq!(applied.touched, [key(0)]);
}

#[test]
fn a_producer_is_remembered_past_its_records() {
    let (mut replay, session) = Replay::with_topic();
    replay.produce(session, vec![sequenced(0, 0, 2)]);
    replay.one(session, delete(vec![below(0, None)]));
    assert!(replay.state.partition(&key(0)).unwrap().producer(77).is_some());
    let again = replay.produce(session, vec![sequenced(0, 0, 2), sequenced(0, 2, 1)]);
    let duplicate = BatchVerdict::Duplicate { base_offset: 0, timestamp: 0 };
    assert_eq!(again, [duplicate, BatchVerdict::Accepted { base_offset: 2 }]);
}

// Holds: I-02, I-04 (in one entry: the extent that a deletion emptied is not grown by what follows)
#[test]
fn what_follows_a_deletion_in_its_entry_begins_anew() {
    let (mut replay, session) = Replay::with_topic();
    let commands = vec![
        produce(vec![run(0, 0, vec![plain(2)])]),
        delete(vec![below(0, None)]),
        produce(vec![run(0, 100, vec![plain(3)])]),
        delete(vec![below(0, 3)]),
    ];
    let outcomes = replay.send(session, commands).outcomes;
    assert_eq!(outcomes[3], Outcome::RecordsDeleted(vec![deleted(3)]));
    assert_eq!(partition(&replay).extents_from(0).map(|e| (e.base_offset, e.start)).collect::<Vec<_>>(), [(2, 100)]);
    assert_eq!(replay.state.extent_count(), 1);
}

// Holds: I-14
#[test]
fn runs_of_a_deletion_are_bounded() {
    let (mut replay, session) = filled();
    let most = limits::RUNS_PER_DELETE_RECORDS;
    let refused = replay.one(session, delete(vec![below(0, None); most + 1]));
    assert_eq!(refused, Outcome::Malformed(Malformation::TooManyRuns));
    assert_eq!(partition(&replay).log_start_offset(), 0);
    let taken = replay.one(session, delete(vec![below(0, 4); most]));
    assert_eq!(taken, Outcome::RecordsDeleted(vec![deleted(4); most]));
}

// Holds: L10
#[test]
fn a_moved_log_start_survives_a_snapshot() {
    let (mut replay, session) = filled();
    replay.one(session, delete(vec![below(0, 6)]));
    replay.produce(session, vec![plain(1)]);
    let snapshot = replay.state.snapshot(64);
    let restored = State::restore(&snapshot.manifest, &snapshot.parts).unwrap();
    assert_eq!(restored.partition(&key(0)), replay.state.partition(&key(0)));
    assert_eq!(restored.snapshot(64), snapshot);
    assert_eq!(restored.extent_count(), 3);
}

/// An extent as a list would hold it.
fn extent(base_offset: i64, records: u32) -> Extent {
    Extent { base_offset, records, object: crate::fixture::object(1), start: 0, bytes: 61, max_timestamp: base_offset }
}

proptest! {
    #![proptest_config(crate::simulation::config(128))]

    // Holds: I-05, L10 (against a plain list; thousands of extents, so that the tree that holds them has several levels)
    #[test]
    fn a_partition_forgets_what_a_list_forgets(steps in vec((0..600_u32, 0..3_000_i64, any::<bool>()), 1..12)) {
        let mut partition = Partition::new(key(0));
        let mut list: Vec<Extent> = Vec::new();
        for (grow, ahead, keep) in steps {
            let view = keep.then(|| partition.clone());
            for index in 0..grow {
                let extent = extent(partition.high_watermark, index % 5 + 1);
                partition.extents.push(extent);
                partition.high_watermark = extent.end_offset();
                list.push(extent);
            }
            let before = list.len();
            let start = partition.log_start_offset.saturating_add(ahead).min(partition.high_watermark);
            let seen = view.as_ref().map(|view| view.extents_from(0).copied().collect::<Vec<_>>());
            let forgotten = partition.move_log_start(start);
            list.retain(|extent| extent.end_offset() > start);
            prop_assert_eq!(forgotten, before - list.len());
            prop_assert_eq!(partition.extents_from(i64::MIN).copied().collect::<Vec<_>>(), &list[..]);
            prop_assert_eq!(view.map(|view| view.extents_from(0).copied().collect::<Vec<_>>()), seen);
            for offset in [start - 1, start, start + 1, (start + partition.high_watermark) / 2] {
                let found = list.iter().find(|e| offset >= start && e.base_offset <= offset && offset < e.end_offset());
                prop_assert_eq!(partition.extent_at(offset), found);
            }
        }
    }
}
