//! I-09: what lies about its size takes no memory. Alone in its file, and one test, because it counts every
//! allocation of the process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod support;

use std::alloc::System;

use bytes::Bytes;
use sluice_records::{BatchBuilder, Compression, PatchPlan, Trailer, read_footer, records, take_batches};
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
    }
}
