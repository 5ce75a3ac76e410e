//! Records out of batches, also out of hostile ones whose CRC holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod support;

use bytes::Bytes;
use proptest::prelude::*;
use sluice_records::{
    BatchBuilder, BatchError, Compression, Record, TimestampType, find_greatest_timestamp, find_timestamp, records,
    validate_produce,
};
use support::{ALL_CODECS, LENIENT, MAX_DECOMPRESSED, batch, batch_with, config, forge, small_batch};

/// A batch whose payload is `payload` as it is, with a CRC that holds.
fn with_payload(codec: Compression, count: i32, payload: &[u8]) -> Bytes {
    let mut batch = small_batch()[..61].to_vec();
    batch.extend_from_slice(payload);
    let length = i32::try_from(batch.len() - 12).unwrap();
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[22] = codec.code() as u8;
    batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    forge(&Bytes::from(batch), 57, &count.to_be_bytes())
}

fn read(batch: &Bytes) -> Result<Vec<Record>, BatchError> {
    records(batch, MAX_DECOMPRESSED)?.collect()
}

proptest! {
    #![proptest_config(config(300))]

    /// I-09: behind a valid CRC anything can stand; it is admitted unread, and reading it ends and gives errors.
    #[test]
    fn a_garbage_payload_never_panics(
        payload in proptest::collection::vec(any::<u8>(), 0..200),
        codec in proptest::sample::select(ALL_CODECS.to_vec()), count in 1..20_i32,
    ) {
        let batch = with_payload(codec, count, &payload);
        validate_produce(&batch, &LENIENT).unwrap();
        if let Ok(iterator) = records(&batch, 10_000) {
            prop_assert!(iterator.take(1000).count() <= count as usize + 1);
        }
        let _ = find_timestamp(&batch, 0, 0, 10_000);
    }

    /// The same, with payloads that are almost right.
    #[test]
    fn a_damaged_payload_never_panics(
        spec in batch(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let whole = spec.build();
        let at = 61 + at.index(whole.len() - 61);
        let damaged = forge(&whole, at, &[byte]);
        validate_produce(&damaged, &LENIENT).unwrap();
        if let Ok(iterator) = records(&damaged, MAX_DECOMPRESSED) {
            prop_assert!(iterator.count() <= spec.rows.len() + 1);
        }
    }

    #[test]
    fn a_cut_payload_is_an_error(spec in batch(), at in any::<prop::sample::Index>()) {
        let whole = spec.build();
        let payload = &whole[61..][..at.index(whole.len() - 61)];
        let result = read(&with_payload(spec.codec, spec.rows.len() as i32, payload));
        prop_assert!(result.is_err() || spec.codec == Compression::Lz4 || spec.codec == Compression::Gzip,
            "{:?}", result);
        // The ends of lz4 frames and gzip members hold checksums and marks; without them the records are still whole.
        if let Ok(found) = result {
            prop_assert_eq!(found.len(), spec.rows.len());
        }
    }

    #[test]
    fn keys_and_values_of_uncompressed_batches_are_slices(spec in batch_with(Just(Compression::None))) {
        let batch = spec.build();
        let inside = batch.as_ptr_range();
        for record in read(&batch).unwrap() {
            for field in record.key.iter().chain(&record.value).filter(|field| !field.is_empty()) {
                prop_assert!(inside.contains(&field.as_ptr()));
            }
        }
    }

    #[test]
    fn the_first_record_at_or_after_a_timestamp_is_found(spec in batch(), target in -5..2_000_000_000_005_i64) {
        let expected = spec.rows.iter().position(|row| row.timestamp >= target)
            .map(|index| (index as i32, spec.rows[index].timestamp));
        prop_assert_eq!(find_timestamp(&spec.build(), 0, target, MAX_DECOMPRESSED).unwrap(), expected);
        let exact = spec.rows[spec.rows.len() / 2].timestamp;
        let first = spec.rows.iter().position(|row| row.timestamp >= exact).unwrap();
        prop_assert_eq!(
            find_timestamp(&spec.build(), 0, exact, MAX_DECOMPRESSED).unwrap(),
            Some((first as i32, spec.rows[first].timestamp))
        );
    }
}

#[test]
fn missing_and_surplus_records_are_told() {
    let batch = small_batch();
    let payload = &batch[61..];
    for (count, copies) in [(2, 1), (1, 2), (5, 3), (3, 5)] {
        let result = read(&with_payload(Compression::None, count, &payload.repeat(copies)));
        assert!(matches!(result, Err(BatchError::InvalidRecord(_))), "{count} {copies}: {result:?}");
    }
    assert_eq!(read(&with_payload(Compression::None, 3, &payload.repeat(3))).unwrap().len(), 3);
}

#[test]
fn after_an_error_the_iterator_is_at_its_end() {
    let broken = with_payload(Compression::None, 1000, &[0xff; 50]);
    let mut iterator = records(&broken, 0).unwrap();
    assert!(matches!(iterator.next(), Some(Err(BatchError::InvalidRecord(_)))));
    assert!(iterator.next().is_none() && iterator.next().is_none());
}

#[test]
fn forged_lengths_inside_a_record_are_errors() {
    // Body length, attributes, timestamp delta, offset delta, then what is forged.
    let i32_max: &[u8] = &[0xfe, 0xff, 0xff, 0xff, 0x0f];
    let forged: [(&str, Vec<u8>); 9] = [
        ("body of i32::MAX", i32_max.to_vec()),
        ("negative body", vec![1]),
        ("empty body", vec![0]),
        ("key of i32::MAX", [&[20, 0, 0, 0], i32_max, &[0, 0]].concat()),
        ("value of i32::MAX", [&[22, 0, 0, 0, 1], i32_max, &[0]].concat()),
        ("i32::MAX headers", [&[20, 0, 0, 0, 1, 1], i32_max].concat()),
        ("body longer than its fields", vec![14, 0, 0, 0, 1, 1, 0, 0]),
        ("negative header count", vec![12, 0, 0, 0, 1, 1, 1]),
        ("header without a key", vec![16, 0, 0, 0, 1, 1, 2, 1, 1]),
    ];
    for (what, payload) in forged {
        let result = read(&with_payload(Compression::None, 1, &payload));
        assert!(matches!(result, Err(BatchError::InvalidRecord(_))), "{what}: {result:?}");
    }
    // The same shape, unforged, is a record: null key, null value, no headers.
    let honest = read(&with_payload(Compression::None, 1, &[12, 0, 0, 0, 1, 1, 0])).unwrap();
    assert_eq!(honest, vec![Record::default()]);
}

/// I-09: an uncompressed size is believed only up to the caller's bound.
#[test]
fn decompression_bombs_are_refused() {
    let mut builder = BatchBuilder::new();
    builder.push(0, None, Some(&vec![0; 4 << 20]), &[]);
    for codec in [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let batch = builder.clone().compression(codec).build().unwrap();
        assert!(batch.len() < 300_000, "{codec:?}: {}", batch.len());
        let bounded = records(&batch, 1 << 20).map(|_| ());
        assert!(matches!(bounded, Err(BatchError::TooLarge(_))), "{codec:?}: {bounded:?}");
        let bounded = find_timestamp(&batch, 0, 0, 1 << 20);
        assert!(matches!(bounded, Err(BatchError::TooLarge(_))), "{codec:?}: {bounded:?}");
        assert_eq!(records(&batch, 5 << 20).unwrap().count(), 1);
    }
}

#[test]
fn a_batch_of_another_length_than_it_says_is_corrupt() {
    let batch = small_batch();
    assert!(matches!(records(&batch.slice(..batch.len() - 1), 0), Err(BatchError::Corrupt(_))));
    assert!(matches!(records(&Bytes::from(batch.repeat(2)), 0), Err(BatchError::Corrupt(_))));
}

#[test]
fn under_broker_time_every_record_has_the_maximal_timestamp() {
    let mut builder = BatchBuilder::new().timestamp_type(TimestampType::LogAppendTime);
    for timestamp in [100, 300, 200] {
        builder.push(timestamp, None, None, &[]);
    }
    let batch = builder.build().unwrap();
    assert_eq!(find_timestamp(&batch, 0, 250, 0).unwrap(), Some((0, 300)));
    assert_eq!(find_timestamp(&batch, 0, 301, 0).unwrap(), None);
}

/// Records before a log start inside the batch do not count (as Kafka 4.3.1 answers after DeleteRecords).
#[test]
fn records_before_a_delta_are_not_found() {
    for codec in ALL_CODECS {
        let mut builder = BatchBuilder::new().compression(codec);
        for timestamp in [101, 105, 103, 105] {
            builder.push(timestamp, None, None, &[]);
        }
        let batch = builder.build().unwrap();
        let find = |from, target| find_timestamp(&batch, from, target, 1000).unwrap();
        assert_eq!([find(0, 102), find(2, 102), find(2, 104)], [Some((1, 105)), Some((2, 103)), Some((3, 105))]);
        assert_eq!([find(3, 106), find(4, 0)], [None, None]);
        let greatest = |from| find_greatest_timestamp(&batch, from, 1000).unwrap();
        assert_eq!([greatest(0), greatest(1), greatest(2)], [Some((1, 105)), Some((1, 105)), Some((3, 105))]);
        assert_eq!(greatest(4), None);
    }
    let mut timeless = BatchBuilder::new();
    timeless.push(-1, None, None, &[]);
    timeless.push(-1, None, None, &[]);
    assert_eq!(find_greatest_timestamp(&timeless.build().unwrap(), 0, 0).unwrap(), Some((0, -1)));
}

/// A header may lie about its greatest timestamp; what is told is a record's.
#[test]
fn the_greatest_timestamp_is_that_of_a_record() {
    let lying = forge(&small_batch(), 35, &5000_i64.to_be_bytes());
    assert_eq!(find_greatest_timestamp(&lying, 0, 0).unwrap(), Some((0, 1000)));
    let mut builder = BatchBuilder::new().timestamp_type(TimestampType::LogAppendTime);
    builder.push(1, None, None, &[]);
    builder.push(9, None, None, &[]);
    assert_eq!(find_greatest_timestamp(&builder.build().unwrap(), 0, 0).unwrap(), Some((0, 9)));
}

#[test]
fn a_batch_that_ends_too_early_is_not_decompressed() {
    let batch = with_payload(Compression::Zstd, 1, b"not zstd at all");
    assert_eq!(find_timestamp(&batch, 0, 1001, 100).unwrap(), None);
    assert!(find_timestamp(&batch, 0, 1000, 100).is_err());
}

#[test]
fn an_offset_delta_outside_the_batch_is_never_reported() {
    // Offset delta 1 in a batch that ends at delta 0.
    let batch = with_payload(Compression::None, 1, &[12, 0, 0, 2, 1, 1, 0]);
    assert!(matches!(find_timestamp(&batch, 0, 0, 0), Err(BatchError::InvalidRecord(_))));
}
