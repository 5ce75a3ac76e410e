//! I-09: what lies about its size takes no memory. Alone in its file, and one test, because it counts every
//! allocation of the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::alloc::System;

use bytes::Bytes;
use sluice_records::{
    BatchBuilder, Compression, DownPlan, MessageFormat, MessageSetRules, PatchPlan, ProduceRules, RecordWants,
    TargetCompression, TimestampType, Trailer, check_records, convert_message_set, down_convert, read_footer,
    recompress, records, take_batches, validate_produce,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use support::{forge, small_batch};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn allocated_by(work: impl FnOnce()) -> usize {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    change.bytes_allocated + usize::try_from(change.bytes_reallocated.max(0)).unwrap()
}

/// A batch of one record with this payload and codec, CRC and length right.
fn with_payload(codec: Compression, payload: &[u8]) -> Bytes {
    let mut batch = small_batch()[..61].to_vec();
    batch.extend_from_slice(payload);
    let length = i32::try_from(batch.len() - 12).unwrap();
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    forge(&Bytes::from(batch), 22, &[codec.code() as u8])
}

fn read_all(batch: &Bytes, max: usize) {
    if let Ok(iterator) = records(batch, max) {
        assert!(iterator.filter(Result::is_ok).count() <= 1);
    }
}

// Holds: I-09
#[test]
fn lies_about_sizes_take_no_memory() {
    let kib = 1024;
    // Footers that announce four billion runs, and a run with four billion batches.
    for (at, len) in [(0, 100), (40, 100), (40, 44)] {
        let mut footer = vec![0; len];
        footer[0] = 1;
        footer[at..at + 4].fill(0xff);
        let footer_crc32c = crc32c::crc32c(&footer);
        let trailer = Trailer { footer_start: 0, footer_len: len as u64, footer_crc32c };
        let used = allocated_by(|| assert!(read_footer(&footer, &trailer).is_err()));
        assert!(used < kib, "footer of {len}: {used}");
    }
    // A record that announces two billion headers.
    let headers = [&[20, 0, 0, 0, 1, 1][..], &[0xfe, 0xff, 0xff, 0xff, 0x0f]].concat();
    let used = allocated_by(|| read_all(&with_payload(Compression::None, &headers), usize::MAX));
    assert!(used < 4 * kib, "headers: {used}");
    // A batch that announces two billion records.
    let counted = forge(&forge(&small_batch(), 23, &(i32::MAX - 1).to_be_bytes()), 57, &i32::MAX.to_be_bytes());
    let used = allocated_by(|| read_all(&counted, usize::MAX));
    assert!(used < kib, "records: {used}");
    // Snappy blocks that announce four billion bytes, raw and framed.
    let snappy = [0xff, 0xff, 0xff, 0xff, 0x0f];
    let framed = [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\0\0\0\x05"[..], &snappy].concat();
    for payload in [&snappy[..], &framed] {
        let used = allocated_by(|| read_all(&with_payload(Compression::Snappy, payload), usize::MAX));
        assert!(used < 4 * kib, "snappy: {used}");
    }
    // An extent that announces 2^62 records.
    let rope = [small_batch()];
    let plan = PatchPlan::whole(0, 1 << 62);
    let used = allocated_by(|| assert!(take_batches(&rope, &plan).is_err()));
    assert!(used < kib, "extent: {used}");
    // Bombs: 16 MiB of zeros in a few bytes, 64 KiB allowed; lz4 keeps block buffers, the others next to nothing.
    let mut builder = BatchBuilder::new();
    builder.push(0, None, Some(&vec![0; 16 << 20]), &[]);
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let bomb = builder.clone().compression(codec).build().unwrap();
        let used = allocated_by(|| assert!(records(&bomb, 64 * kib).is_err()));
        let bound = if codec == Compression::Lz4 { 17 * kib * kib } else { kib * kib };
        assert!(used < bound, "{codec:?}: {used}");
        bombs_do_not_go_off_in_conversions(&bomb, bound);
    }
    message_sets_that_lie_take_no_memory();
    a_stamp_takes_a_header();
}

/// Whatever looks into a batch keeps to its bound.
fn bombs_do_not_go_off_in_conversions(bomb: &Bytes, bound: usize) {
    let rules = ProduceRules {
        max_batch_bytes: usize::MAX,
        timestamp_type: TimestampType::CreateTime,
        allow_zstd: true,
        exactly_one: true,
    };
    let valid = validate_produce(bomb, &rules).unwrap();
    let max = 64 * 1024;
    let wants = RecordWants { keys: true, ..RecordWants::NOTHING };
    let used = allocated_by(|| assert!(check_records(&valid, &wants, max).is_err()));
    assert!(used < bound, "check: {used}");
    let used =
        allocated_by(|| assert!(recompress(valid.clone(), TargetCompression::Uncompressed, usize::MAX, max).is_err()));
    assert!(used < bound, "recompress: {used}");
    let plan = DownPlan {
        format: MessageFormat::V1,
        from_offset: 0,
        max_bytes: usize::MAX,
        first_whole: true,
        max_decompressed: max,
    };
    let used = allocated_by(|| assert!(down_convert(std::slice::from_ref(bomb), &plan).is_err()));
    assert!(used < bound, "down-conversion: {used}");
    // The payload of the bomb as a wrapper of magic 1.
    let codec = valid.header.compression().unwrap();
    let covered = [
        &[1, codec.code() as u8][..],
        &0_i64.to_be_bytes(),
        &(-1_i32).to_be_bytes(),
        &((bomb.len() - 61) as i32).to_be_bytes(),
        &bomb[61..],
    ]
    .concat();
    let set = set_of(&covered);
    let rules = MessageSetRules { max_decompressed: max, ..SET_RULES };
    let used = allocated_by(|| assert!(convert_message_set(&set, &rules).is_err()));
    assert!(used < bound, "message set: {used}");
}

const SET_RULES: MessageSetRules = MessageSetRules {
    max_batch_bytes: usize::MAX,
    max_decompressed: usize::MAX,
    wants: RecordWants::NOTHING,
    target: TargetCompression::Producer,
};

/// A message with these bytes behind its CRC.
fn set_of(covered: &[u8]) -> Bytes {
    let size = covered.len() as i32 + 4;
    // CRC32, not CRC32C: by hand, since nothing else here needs it.
    let crc = covered.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    });
    [&[0; 8][..], &size.to_be_bytes(), &(!crc).to_be_bytes(), covered].concat().into()
}

/// Sizes, keys and values of two billion bytes.
fn message_sets_that_lie_take_no_memory() {
    let huge = i32::MAX.to_be_bytes();
    let honest = set_of(&[0, 0, 255, 255, 255, 255, 0, 0, 0, 0]);
    assert!(convert_message_set(&honest, &SET_RULES).is_ok());
    let mut size = honest.to_vec();
    size[8..12].copy_from_slice(&huge);
    let key = set_of(&[&[0, 0][..], &huge, &[0; 4]].concat());
    let value = set_of(&[&[0, 0, 255, 255, 255, 255][..], &huge].concat());
    let snappy = set_of(&[&[1, 2][..], &[0; 8], &[255; 4], &5_i32.to_be_bytes(), &[255, 255, 255, 255, 15]].concat());
    for set in [Bytes::from(size), key, value, snappy] {
        let used = allocated_by(|| assert!(convert_message_set(&set, &SET_RULES).is_err()));
        assert!(used < 4 * 1024, "{used}");
    }
}

/// The records of a stamped batch are not copied.
fn a_stamp_takes_a_header() {
    let mut builder = BatchBuilder::new();
    builder.push(0, None, Some(&vec![0; 1 << 20]), &[]);
    let rules = ProduceRules {
        max_batch_bytes: usize::MAX,
        timestamp_type: TimestampType::CreateTime,
        allow_zstd: true,
        exactly_one: true,
    };
    let valid = validate_produce(&builder.build().unwrap(), &rules).unwrap();
    let used = allocated_by(|| assert_eq!(valid.stamp_log_append_time(7).header.max_timestamp, 7));
    assert!(used < 256, "{used}");
}
