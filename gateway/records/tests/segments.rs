//! Segments: built, read back, damaged, forged.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod support;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use sluice_records::{
    BuiltSegment, Run, RunBatch, SEGMENT_MAGIC, SegmentBuilder, SegmentError, TRAILER_LEN, Trailer, patch_extent,
    read_footer, read_trailer, validate_produce,
};
use support::{BatchSpec, LENIENT, batch, concat, config, small_batch};
use uuid::Uuid;

type Push = (u128, i32, BatchSpec);

fn pushes() -> impl Strategy<Value = Vec<Push>> {
    vec((prop_oneof![0..3_u128, any::<u128>()], 0..3, batch()), 0..12)
}

fn build(pushes: &[Push]) -> BuiltSegment {
    let mut builder = SegmentBuilder::new();
    for (topic, partition, spec) in pushes {
        builder.push(Uuid::from_u128(*topic), *partition, spec.valid());
    }
    builder.finish()
}

fn read_back(object: &[u8]) -> Result<Vec<Run>, SegmentError> {
    let trailer = read_trailer(object)?;
    assert!(trailer.object_len() <= object.len() as u64);
    let range = trailer.footer_range();
    read_footer(&object[range.start as usize..range.end as usize], &trailer)
}

fn footer_of(object: &[u8]) -> (Vec<u8>, Trailer) {
    let trailer = read_trailer(object).unwrap();
    (object[trailer.footer_start as usize..object.len() - TRAILER_LEN].to_vec(), trailer)
}

/// A trailer whose CRCs hold for a forged footer.
fn trailer_for(footer: &[u8], footer_start: u64) -> Trailer {
    Trailer { footer_start, footer_len: footer.len() as u64, footer_crc32c: crc32c::crc32c(footer) }
}

proptest! {
    #![proptest_config(config(200))]

    /// I-03: what was sealed is what is read, whoever reads it.
    #[test]
    fn runs_are_read_back_as_built(pushes in pushes()) {
        let built = build(&pushes);
        let object = concat(&built.chunks);
        prop_assert_eq!(object.len() as u64, built.len);
        prop_assert_eq!(read_trailer(&object).unwrap().object_len(), built.len);
        prop_assert_eq!(&read_back(&object).unwrap(), &built.runs);
        // Any end of the object that holds the trailer is enough for it.
        prop_assert_eq!(read_trailer(&object[object.len() - TRAILER_LEN..]), read_trailer(&object));
    }

    /// The checksum sent with the PUT comes from the batches' CRCs and must be that of the bytes.
    #[test]
    fn the_derived_checksum_is_that_of_the_object(pushes in pushes()) {
        let built = build(&pushes);
        prop_assert_eq!(built.crc32c, crc32c::crc32c(&concat(&built.chunks)));
    }

    /// I-10: batches lie in the object byte for byte, sorted by partition and, within one, as pushed.
    #[test]
    fn runs_hold_the_batches_in_order_of_push(pushes in pushes()) {
        let built = build(&pushes);
        let object = Bytes::from(concat(&built.chunks));
        let mut sorted = pushes.clone();
        sorted.sort_by_key(|(topic, partition, _)| (*topic, *partition));
        let expected: Vec<Bytes> = sorted.iter().map(|(_, _, spec)| spec.build()).collect();
        prop_assert_eq!(&built.chunks[..expected.len()], &expected[..]);
        prop_assert_eq!(built.chunks.len(), expected.len() + 1);
        let mut specs = sorted.iter();
        for run in &built.runs {
            let bytes = object.slice(run.start as usize..(run.start + run.len) as usize);
            let records = run.batches.iter().map(|batch| u64::from(batch.records)).sum();
            patch_extent(&[bytes], 0, records, 0, true).unwrap();
            for batch in &run.batches {
                let (topic, partition, spec) = specs.next().unwrap();
                prop_assert_eq!((run.topic_id, run.partition), (Uuid::from_u128(*topic), *partition));
                let (producer_id, producer_epoch, base_sequence, is_transactional) =
                    spec.producer.unwrap_or((-1, -1, -1, false));
                let described = RunBatch {
                    records: spec.rows.len() as u32,
                    bytes: spec.build().len() as u32,
                    producer_id,
                    producer_epoch,
                    base_sequence,
                    max_timestamp: spec.rows.iter().map(|row| row.timestamp).max().unwrap(),
                    is_transactional,
                };
                prop_assert_eq!(batch, &described);
            }
        }
        prop_assert!(specs.next().is_none());
    }

    #[test]
    fn every_flipped_bit_of_footer_and_trailer_is_noticed(pushes in pushes(), bit in 0_u8..8) {
        let object = concat(&build(&pushes).chunks);
        let data_len = footer_of(&object).1.footer_start as usize;
        for at in data_len..object.len() {
            let mut flipped = object.clone();
            flipped[at] ^= 1 << bit;
            prop_assert!(read_back(&flipped).is_err(), "byte {} of {}", at, object.len());
        }
    }

    #[test]
    fn every_truncation_is_noticed(pushes in pushes()) {
        let object = concat(&build(&pushes).chunks);
        for len in 0..object.len() {
            let result = read_trailer(&object[..len]);
            prop_assert!(matches!(result, Err(SegmentError::NotASegment(_))), "cut to {}: {:?}", len, result);
        }
        let (footer, trailer) = footer_of(&object);
        for len in 0..footer.len() {
            prop_assert!(read_footer(&footer[..len], &trailer).is_err());
            // Also with a CRC that was made to fit.
            prop_assert!(read_footer(&footer[..len], &trailer_for(&footer[..len], trailer.footer_start)).is_err());
        }
    }

    /// I-09: a footer whose CRC holds may still say anything.
    #[test]
    fn a_forged_footer_never_panics_and_never_misplaces_a_run(
        pushes in pushes(), at in any::<prop::sample::Index>(), forged in vec(any::<u8>(), 1..9),
    ) {
        let (mut footer, trailer) = footer_of(&concat(&build(&pushes).chunks));
        let at = at.index(footer.len());
        let end = footer.len().min(at + forged.len());
        footer[at..end].copy_from_slice(&forged[..end - at]);
        if let Ok(runs) = read_footer(&footer, &trailer_for(&footer, trailer.footer_start)) {
            let mut position = 0;
            for run in &runs {
                prop_assert_eq!(run.start, position);
                position += run.len;
                prop_assert_eq!(run.len, run.batches.iter().map(|batch| u64::from(batch.bytes)).sum::<u64>());
            }
            prop_assert_eq!(position, trailer.footer_start);
        }
    }

    /// I-09.
    #[test]
    fn garbage_never_panics(garbage in vec(any::<u8>(), 0..400), start in any::<u64>()) {
        let dressed = [&garbage[..], &1_u32.to_le_bytes(), &SEGMENT_MAGIC].concat();
        prop_assert!(read_trailer(&garbage).is_err() && read_trailer(&dressed).is_err());
        prop_assert!(read_footer(&garbage, &trailer_for(&garbage, start)).is_err());
    }
}

fn one_run() -> Vec<u8> {
    let mut builder = SegmentBuilder::new();
    builder.push(Uuid::from_u128(7), 3, validate_produce(&small_batch(), &LENIENT).unwrap());
    concat(&builder.finish().chunks)
}

#[test]
fn the_layout_is_the_documented_one() {
    let object = one_run();
    let batch = small_batch();
    let data_len = batch.len() as u64;
    let mut footer = 1_u32.to_le_bytes().to_vec();
    footer.extend_from_slice(Uuid::from_u128(7).as_bytes());
    footer.extend_from_slice(&3_i32.to_le_bytes());
    footer.extend_from_slice(&0_u64.to_le_bytes());
    footer.extend_from_slice(&data_len.to_le_bytes());
    footer.extend_from_slice(&1_u32.to_le_bytes());
    footer.extend_from_slice(&1_u32.to_le_bytes());
    footer.extend_from_slice(&(data_len as u32).to_le_bytes());
    footer.extend_from_slice(&(-1_i64).to_le_bytes());
    footer.extend_from_slice(&(-1_i16).to_le_bytes());
    footer.extend_from_slice(&(-1_i32).to_le_bytes());
    footer.extend_from_slice(&1000_i64.to_le_bytes());
    footer.push(0);
    assert_eq!(footer.len(), 4 + 40 + 31);
    let mut trailer = data_len.to_le_bytes().to_vec();
    trailer.extend_from_slice(&(footer.len() as u64).to_le_bytes());
    trailer.extend_from_slice(&crc32c::crc32c(&footer).to_le_bytes());
    trailer.extend_from_slice(&crc32c::crc32c(&trailer).to_le_bytes());
    trailer.extend_from_slice(&1_u32.to_le_bytes());
    trailer.extend_from_slice(b"SLUICSEG");
    assert_eq!(trailer.len(), TRAILER_LEN);
    assert_eq!(object, [batch.to_vec(), footer, trailer].concat());
}

#[test]
fn another_version_is_named() {
    for version in [0, 2, u32::MAX] {
        let mut object = one_run();
        let at = object.len() - 12;
        object[at..at + 4].copy_from_slice(&u32::to_le_bytes(version));
        assert_eq!(read_trailer(&object), Err(SegmentError::Version(version)));
    }
}

#[test]
fn an_empty_segment_can_be_read() {
    let built = SegmentBuilder::new().finish();
    assert_eq!(built.len, 4 + TRAILER_LEN as u64);
    assert_eq!(read_back(&concat(&built.chunks)).unwrap(), vec![]);
}

#[test]
fn a_builder_knows_its_size() {
    let mut builder = SegmentBuilder::new();
    assert!(builder.is_empty() && builder.data_len() == 0);
    builder.push(Uuid::nil(), 0, validate_produce(&small_batch(), &LENIENT).unwrap());
    assert!(!builder.is_empty());
    assert_eq!(builder.data_len(), small_batch().len() as u64);
}

/// Every way in which a footer with good CRCs can contradict itself.
#[test]
fn contradictions_are_corrupt() {
    let (footer, trailer) = footer_of(&one_run());
    let data_len = small_batch().len() as u64;
    let forgeries: [(&str, usize, Vec<u8>); 11] = [
        ("no runs but bytes", 0, 0_u32.to_le_bytes().to_vec()),
        ("too many runs", 0, u32::MAX.to_le_bytes().to_vec()),
        ("start not 0", 24, 1_u64.to_le_bytes().to_vec()),
        ("start overflows", 24, u64::MAX.to_le_bytes().to_vec()),
        ("length not the sum", 32, (data_len + 1).to_le_bytes().to_vec()),
        ("no batches", 40, 0_u32.to_le_bytes().to_vec()),
        ("too many batches", 40, u32::MAX.to_le_bytes().to_vec()),
        ("no records", 44, 0_u32.to_le_bytes().to_vec()),
        ("bytes not the length", 48, 61_u32.to_le_bytes().to_vec()),
        ("bytes below a header", 48, 60_u32.to_le_bytes().to_vec()),
        ("unknown flag", 74, vec![2]),
    ];
    for (what, at, bytes) in forgeries {
        let mut forged = footer.clone();
        forged[at..at + bytes.len()].copy_from_slice(&bytes);
        let result = read_footer(&forged, &trailer_for(&forged, trailer.footer_start));
        assert!(matches!(result, Err(SegmentError::Corrupt(_))), "{what}: {result:?}");
    }
    let result = read_footer(&footer, &trailer_for(&footer, trailer.footer_start + 1));
    assert!(matches!(result, Err(SegmentError::Corrupt(_))), "data longer than the runs: {result:?}");
}

/// Start, length, and per batch records and bytes.
type RunSpec<'a> = (u64, u64, &'a [(u32, u32)]);

/// A footer of runs of topic 1, partitions 0.. .
fn footer_with(runs: &[RunSpec<'_>]) -> Vec<u8> {
    let mut footer = (runs.len() as u32).to_le_bytes().to_vec();
    for (partition, (start, len, batches)) in runs.iter().enumerate() {
        footer.extend_from_slice(Uuid::from_u128(1).as_bytes());
        footer.extend_from_slice(&(partition as i32).to_le_bytes());
        footer.extend_from_slice(&start.to_le_bytes());
        footer.extend_from_slice(&len.to_le_bytes());
        footer.extend_from_slice(&(batches.len() as u32).to_le_bytes());
        for (records, bytes) in *batches {
            footer.extend_from_slice(&records.to_le_bytes());
            footer.extend_from_slice(&bytes.to_le_bytes());
            footer.extend_from_slice(&[0; 8 + 2 + 4 + 8 + 1]);
        }
    }
    footer
}

/// The same, where only one rule at a time is broken.
#[test]
fn each_rule_of_a_footer_holds_by_itself() {
    let read = |footer: &[u8], data_len| read_footer(footer, &trailer_for(footer, data_len));
    let corrupt = |footer: &[u8], data_len| {
        let result = read(footer, data_len);
        assert!(matches!(result, Err(SegmentError::Corrupt(_))), "{result:?}");
    };
    let honest = footer_with(&[(0, 61, &[(1, 61)]), (61, 122, &[(1, 61), (5, 61)])]);
    assert_eq!(read(&honest, 183).unwrap().len(), 2);
    corrupt(&[&honest[..], &[0]].concat(), 183);
    corrupt(&footer_with(&[(0, 0, &[]), (0, 122, &[(1, 61), (5, 61)])]), 122);
    corrupt(&footer_with(&[(0, 60, &[(1, 60)])]), 60);
    corrupt(&footer_with(&[(0, 61, &[(0, 61)])]), 61);
    corrupt(&footer_with(&[(0, 62, &[(1, 61)])]), 62);
    corrupt(&footer_with(&[(1, 61, &[(1, 61)])]), 62);
    corrupt(&footer_with(&[(0, 61, &[(1, 61)]), (60, 61, &[(1, 61)])]), 121);
}

#[test]
fn runs_out_of_order_or_repeated_are_corrupt() {
    let batch = validate_produce(&small_batch(), &LENIENT).unwrap();
    let mut builder = SegmentBuilder::new();
    builder.push(Uuid::from_u128(1), 0, batch.clone());
    builder.push(Uuid::from_u128(1), 1, batch);
    let (footer, trailer) = footer_of(&concat(&builder.finish().chunks));
    // The partition of the second run: behind the count, one run of 71 bytes, and a topic id.
    let at = 4 + 71 + 16;
    for partition in [0_i32, -1] {
        let mut forged = footer.clone();
        forged[at..at + 4].copy_from_slice(&partition.to_le_bytes());
        let result = read_footer(&forged, &trailer_for(&forged, trailer.footer_start));
        assert!(matches!(result, Err(SegmentError::Corrupt(_))), "{partition}: {result:?}");
    }
}
