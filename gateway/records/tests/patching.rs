//! Batches of an extent handed out with their final offsets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod support;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use sluice_records::{BatchError, BatchHeader, PATCHED_LEN, PatchPlan, Taken, patch_extent, take_batches};
use support::{BatchSpec, batch, concat, config, cut, small_batch};

struct Extent {
    bytes: Bytes,
    /// Per batch: bytes and records.
    batches: Vec<(usize, u64)>,
}

impl Extent {
    fn of(specs: &[BatchSpec]) -> Self {
        let built: Vec<Bytes> = specs.iter().map(BatchSpec::build).collect();
        let batches = built.iter().zip(specs).map(|(bytes, spec)| (bytes.len(), spec.rows.len() as u64)).collect();
        Self { bytes: Bytes::from(concat(&built)), batches }
    }

    fn records(&self) -> u64 {
        self.batches.iter().map(|(_, records)| records).sum()
    }
}

/// The headers of batches laid end to end.
fn headers(mut wire: &[u8]) -> Vec<BatchHeader> {
    let mut found = Vec::new();
    while !wire.is_empty() {
        let header = BatchHeader::parse(wire).unwrap();
        wire = &wire[header.total_len()..];
        found.push(header);
    }
    found
}

/// What [`take_batches`] promises, said the slow way.
fn expected(extent: &Extent, plan: &PatchPlan) -> (Vec<u8>, Option<i64>, bool) {
    let (mut out, mut next, mut position, mut offset) = (Vec::new(), None, 0, plan.base_offset);
    for (len, records) in &extent.batches {
        let (start, end) = (offset, offset + *records as i64);
        let bytes = &extent.bytes[position..position + len];
        (position, offset) = (position + len, end);
        if end <= plan.from_offset {
            continue;
        }
        let fits = out.len() + len <= plan.max_bytes || (next.is_none() && plan.first_whole);
        if start >= plan.end_offset || !fits {
            return (out, next, false);
        }
        out.extend_from_slice(&start.to_be_bytes());
        out.extend_from_slice(&bytes[8..12]);
        out.extend_from_slice(&plan.leader_epoch.to_be_bytes());
        out.extend_from_slice(&bytes[16..]);
        next = Some(end);
    }
    (out, next, true)
}

fn assert_taken(taken: &Taken, extent: &Extent, plan: &PatchPlan) {
    let (bytes, next_offset, reached_end) = expected(extent, plan);
    let written = concat(&taken.chunks);
    assert_eq!(written, bytes);
    assert_eq!(taken.bytes, written.len());
    assert_eq!(taken.next_offset, next_offset);
    assert_eq!(taken.reached_end, reached_end);
    assert_eq!(taken.batches, headers(&written).len());
}

proptest! {
    #![proptest_config(config(250))]

    /// I-10: only the 16 bytes in front are new; chunk borders, inside headers too, make no difference.
    #[test]
    fn a_rope_cut_anywhere_is_patched_like_one_piece(
        specs in vec(batch(), 1..6), places in vec(any::<usize>(), 0..40), base in 0..1_i64 << 62, epoch in 0..9,
    ) {
        let extent = Extent::of(&specs);
        let whole = patch_extent(std::slice::from_ref(&extent.bytes), base, extent.records(), epoch, true).unwrap();
        let rope = cut(&extent.bytes, &places);
        let cut = patch_extent(&rope, base, extent.records(), epoch, true).unwrap();
        prop_assert_eq!(concat(&whole.0), concat(&cut.0));
        prop_assert_eq!((whole.1, cut.1), (extent.bytes.len(), extent.bytes.len()));
        let mut offset = base;
        for (header, spec) in headers(&concat(&cut.0)).iter().zip(&specs) {
            prop_assert_eq!((header.base_offset, header.partition_leader_epoch), (offset, epoch));
            offset += spec.rows.len() as i64;
        }
    }

    #[test]
    fn offsets_and_sizes_choose_the_batches(
        specs in vec(batch(), 1..8), places in vec(any::<usize>(), 0..12),
        from in -3..40_i64, end in -3..40_i64, max_bytes in 0_usize..1500, first_whole in any::<bool>(),
    ) {
        let extent = Extent::of(&specs);
        let base = 1000;
        let plan = PatchPlan {
            leader_epoch: 4, check_crc: true, from_offset: base + from, end_offset: base + end, max_bytes, first_whole,
            ..PatchPlan::whole(base, extent.records())
        };
        let taken = take_batches(&cut(&extent.bytes, &places), &plan).unwrap();
        assert_taken(&taken, &extent, &plan);
    }

    /// Reading on from `next_offset` until the end gives every batch once, and always ends.
    #[test]
    fn small_bites_make_up_the_whole(specs in vec(batch(), 1..8), max_bytes in 0_usize..600) {
        let extent = Extent::of(&specs);
        let rope = [extent.bytes.clone()];
        let (whole, _) = patch_extent(&rope, 50, extent.records(), 0, false).unwrap();
        let mut plan = PatchPlan { max_bytes, ..PatchPlan::whole(50, extent.records()) };
        let mut collected = Vec::new();
        while plan.from_offset < 50 + extent.records() as i64 {
            let taken = take_batches(&rope, &plan).unwrap();
            prop_assert!(taken.batches > 0);
            collected.extend(concat(&taken.chunks));
            plan.from_offset = taken.next_offset.unwrap();
        }
        prop_assert_eq!(collected, concat(&whole));
    }

    #[test]
    fn an_extent_that_lies_about_its_size_is_corrupt(
        specs in vec(batch(), 1..5), places in vec(any::<usize>(), 0..6), lost in any::<prop::sample::Index>(),
        lie in 1..5_u64,
    ) {
        let extent = Extent::of(&specs);
        let (bytes, records) = (&extent.bytes, extent.records());
        let corrupt = |bytes: &Bytes, records: u64| {
            let result = patch_extent(&cut(bytes, &places), 0, records, 0, false);
            assert!(matches!(result, Err(BatchError::Corrupt(_))), "{result:?}");
        };
        corrupt(bytes, records + lie);
        corrupt(bytes, records.saturating_sub(lie));
        corrupt(&bytes.slice(..lost.index(bytes.len())), records);
        let mut longer = bytes.to_vec();
        longer.resize(bytes.len() + lie as usize, 0);
        corrupt(&Bytes::from(longer), records);
    }

    /// Bytes from the store are checked before they are served (design section 10).
    #[test]
    fn a_flipped_bit_under_the_crc_is_never_served(
        specs in vec(batch(), 1..4), places in vec(any::<usize>(), 0..6), at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let extent = Extent::of(&specs);
        let mut flipped = extent.bytes.to_vec();
        let at = at.index(flipped.len());
        flipped[at] ^= 1 << bit;
        let result = patch_extent(&cut(&Bytes::from(flipped), &places), 0, extent.records(), 0, true);
        match result {
            Err(BatchError::Corrupt(_)) => {}
            Err(other) => panic!("{other:?}"),
            // The only bytes outside every check are those that are written anew.
            Ok((chunks, _)) => {
                let (clean, _) = patch_extent(std::slice::from_ref(&extent.bytes), 0, extent.records(), 0, true).unwrap();
                prop_assert_eq!(concat(&chunks), concat(&clean));
            }
        }
    }

    /// I-09.
    #[test]
    fn garbage_never_panics(
        mut garbage in vec(any::<u8>(), 0..300), places in vec(any::<usize>(), 0..6), base in any::<i64>(),
        records in any::<u64>(), dressed in any::<bool>(),
    ) {
        if dressed && garbage.len() >= 61 {
            garbage[8..12].copy_from_slice(&49_i32.to_be_bytes());
            garbage[16] = 2;
        }
        let nothing = garbage.is_empty();
        let result = patch_extent(&cut(&Bytes::from(garbage), &places), base, records, 0, false);
        prop_assert_eq!(result.is_ok(), nothing && records == 0);
    }
}

/// Record bytes are slices of what came from the cache, and all prefixes are slices of one allocation.
#[test]
fn nothing_but_prefixes_is_copied() {
    let batch = small_batch();
    let extent = Bytes::from(batch.repeat(3));
    let (chunks, _) = patch_extent(std::slice::from_ref(&extent), 0, 3, 0, true).unwrap();
    assert_eq!(chunks.len(), 6);
    let first_prefix = chunks[0].as_ptr() as usize;
    for (index, pair) in chunks.chunks(2).enumerate() {
        assert_eq!(pair[0].len(), PATCHED_LEN);
        assert_eq!(pair[0].as_ptr() as usize, first_prefix + index * PATCHED_LEN);
        assert_eq!(pair[1].as_ptr() as usize, extent.as_ptr() as usize + index * batch.len() + PATCHED_LEN);
    }
}

/// What lies behind the last batch handed out is not looked at, so that a bounded read costs what it gives.
#[test]
fn an_early_stop_does_not_read_on() {
    let mut bytes = small_batch().repeat(2);
    let half = bytes.len() / 2;
    bytes.extend_from_slice(&[0xff; 100]);
    let plan = PatchPlan { max_bytes: half, ..PatchPlan::whole(0, 10) };
    let taken = take_batches(&[Bytes::from(bytes)], &plan).unwrap();
    assert_eq!((taken.batches, taken.next_offset, taken.reached_end), (1, Some(1), false));
}

#[test]
fn offsets_never_overflow() {
    let batch = small_batch();
    for base in [i64::MAX, i64::MAX - 1] {
        let result = patch_extent(&[Bytes::from(batch.repeat(2))], base, 2, 0, false);
        assert!(matches!(result, Err(BatchError::Corrupt(_))), "{result:?}");
    }
    assert!(patch_extent(std::slice::from_ref(&batch), i64::MAX - 1, 1, 0, false).is_ok());
    assert!(matches!(patch_extent(&[batch], 0, u64::MAX, 0, false), Err(BatchError::Corrupt(_))));
}

#[test]
fn an_empty_extent_holds_nothing() {
    let nothing = patch_extent(&[], 5, 0, 0, true).unwrap();
    assert_eq!(nothing, (vec![], 0));
    assert!(matches!(patch_extent(&[Bytes::new()], 5, 1, 0, true), Err(BatchError::Corrupt(_))));
}

#[test]
fn a_batch_that_fits_to_the_byte_is_handed_out() {
    let batch = small_batch();
    let extent = [Bytes::from(batch.repeat(3))];
    let taken_with = |max_bytes, first_whole| {
        let plan = PatchPlan { max_bytes, first_whole, ..PatchPlan::whole(0, 3) };
        take_batches(&extent, &plan).unwrap().batches
    };
    assert_eq!(taken_with(batch.len() * 2, false), 2);
    assert_eq!(taken_with(batch.len() * 2 - 1, false), 1);
    assert_eq!(taken_with(batch.len() - 1, false), 0);
    assert_eq!(taken_with(batch.len() - 1, true), 1);
    assert_eq!(taken_with(0, true), 1);
}

/// Also when the walk stops before the end, where the total is not compared.
#[test]
fn a_batch_with_more_records_than_its_extent_is_never_handed_out() {
    let batch = small_batch();
    let extent = [Bytes::from(batch.repeat(3))];
    let plan = PatchPlan { max_bytes: batch.len() * 2, ..PatchPlan::whole(0, 1) };
    let result = take_batches(&extent, &plan);
    assert!(matches!(result, Err(BatchError::Corrupt(_))), "{result:?}");
}
