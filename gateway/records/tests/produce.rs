//! What is accepted from a producer and what is refused, with which error.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod support;

use bytes::Bytes;
use proptest::prelude::*;
use sluice_records::{
    BatchBuilder, BatchError, Compression, ProduceRules, TimestampType, limits, patch_extent, records, validate_produce,
};
use support::{ALL_CODECS, LENIENT, MAX_DECOMPRESSED, batch, config, forge, small_batch};

fn refused(batch: &Bytes) -> BatchError {
    validate_produce(batch, &LENIENT).expect_err("must be refused")
}

fn with_record(mut builder: BatchBuilder) -> Bytes {
    builder.push(1000, None, Some(b"v"), &[]);
    builder.build().unwrap()
}

/// Kafka takes bytes 12..16 from any producer and overwrites them.
fn is_leader_epoch(byte: usize) -> bool {
    (12..16).contains(&byte)
}

proptest! {
    #![proptest_config(config(300))]

    /// I-10: from admission to the consumer nothing but offset and leader epoch changes.
    #[test]
    fn built_batches_are_valid_and_come_back_through_patching(spec in batch(), base in 0..i64::MAX / 2) {
        let bytes = spec.build();
        let valid = validate_produce(&bytes, &LENIENT).unwrap();
        prop_assert_eq!(valid.crc_of_all, crc32c::crc32c(&bytes));
        prop_assert_eq!(valid.to_bytes().as_ptr(), bytes.as_ptr(), "validation must not copy");
        let count = spec.rows.len() as u64;
        let (chunks, len) = patch_extent(&[valid.to_bytes()], base, count, 7, true).unwrap();
        let patched = Bytes::from(support::concat(&chunks));
        prop_assert_eq!(len, patched.len());
        prop_assert_eq!(&patched[..8], &base.to_be_bytes());
        prop_assert_eq!(&patched[8..12], &bytes[8..12]);
        prop_assert_eq!(&patched[12..16], &7_i32.to_be_bytes());
        prop_assert_eq!(&patched[16..], &bytes[16..]);
        let first_timestamp = spec.rows[0].timestamp;
        let read: Vec<_> = records(&patched, MAX_DECOMPRESSED).unwrap().map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), spec.rows.len());
        for (index, (record, row)) in read.iter().zip(&spec.rows).enumerate() {
            prop_assert_eq!(record.offset_delta as usize, index);
            prop_assert_eq!(record.timestamp_delta, row.timestamp - first_timestamp);
            prop_assert_eq!(record.key.as_deref(), row.key.as_deref());
            prop_assert_eq!(record.value.as_deref(), row.value.as_deref());
            let headers: Vec<_> = record.headers.iter()
                .map(|(key, value)| (key.to_vec(), value.as_ref().map(|value| value.to_vec())))
                .collect();
            prop_assert_eq!(&headers, &row.headers);
        }
    }

    /// Bytes 21.. are under the CRC; those before are each under a rule of their own, the leader epoch excepted.
    #[test]
    fn every_flipped_bit_is_noticed(spec in batch(), bit in 0_u8..8) {
        let bytes = spec.build();
        for byte in 0..bytes.len() {
            let mut flipped = bytes.to_vec();
            flipped[byte] ^= 1 << bit;
            let result = validate_produce(&Bytes::from(flipped), &LENIENT);
            prop_assert_eq!(result.is_ok(), is_leader_epoch(byte), "byte {} bit {}: {:?}", byte, bit, result);
            if byte >= 21 {
                let corrupt = matches!(
                    result,
                    Err(BatchError::Corrupt(_) | BatchError::NotABatch(_) | BatchError::UnsupportedCompression(_))
                );
                prop_assert!(corrupt, "byte {}: {:?}", byte, result);
            }
        }
    }

    #[test]
    fn every_truncation_and_every_surplus_is_refused(spec in batch(), surplus in 1_usize..100) {
        let bytes = spec.build();
        for len in 0..bytes.len() {
            let result = validate_produce(&bytes.slice(..len), &LENIENT);
            prop_assert!(matches!(result, Err(BatchError::NotOneBatch(_))), "cut to {}: {:?}", len, result);
        }
        let mut longer = bytes.to_vec();
        longer.resize(bytes.len() + surplus, 0);
        prop_assert!(matches!(refused(&Bytes::from(longer)), BatchError::NotOneBatch(_)));
    }

    /// I-09. Half of the garbage looks like a batch up to the magic.
    #[test]
    fn garbage_never_panics(mut garbage in proptest::collection::vec(any::<u8>(), 0..200), dressed in any::<bool>()) {
        if dressed && garbage.len() > 17 {
            garbage[..8].fill(0);
            let length = (garbage.len() - 12) as i32;
            garbage[8..12].copy_from_slice(&length.to_be_bytes());
            garbage[16] = 2;
        }
        prop_assert!(validate_produce(&Bytes::from(garbage), &LENIENT).is_err());
    }
}

/// Known issue 1 (I-09): a batch length is compared with what is there, never trusted.
#[test]
fn no_batch_length_panics() {
    let batch = small_batch();
    let interesting = [
        i32::MIN,
        i32::MIN + 1,
        -62,
        -61,
        -49,
        -13,
        -12,
        -11,
        -1,
        0,
        1,
        12,
        13,
        14,
        47,
        48,
        49,
        50,
        60,
        61,
        i32::MAX - 12,
        i32::MAX - 11,
        i32::MAX - 1,
        i32::MAX,
    ];
    let right = i32::try_from(batch.len()).unwrap() - 12;
    for length in interesting.into_iter().chain(right - 70..right + 70) {
        let mut forged = batch.to_vec();
        forged[8..12].copy_from_slice(&length.to_be_bytes());
        let forged = Bytes::from(forged);
        for exactly_one in [true, false] {
            let result = validate_produce(&forged, &ProduceRules { exactly_one, ..LENIENT });
            assert_eq!(result.is_ok(), length == right, "length {length}: {result:?}");
        }
        let _ = records(&forged, 100);
        let _ = sluice_records::find_timestamp(&forged, 0, 0, 100);
        let _ = patch_extent(&[forged], 0, 1, 0, true);
    }
}

#[test]
fn the_error_for_each_wrong_length_is_kafkas() {
    let batch = small_batch();
    let with_length = |length: i32| forge(&batch, 8, &length.to_be_bytes());
    for length in [i32::MIN, -1, 0, 13] {
        assert!(matches!(refused(&with_length(length)), BatchError::NotABatch(_)), "{length}");
    }
    for length in [14, 48] {
        assert!(matches!(refused(&with_length(length)), BatchError::NotABatch(_)), "{length}");
    }
    // Longer than what is there: Kafka finds no batch at all.
    for length in [1_000_000, i32::MAX] {
        assert!(matches!(refused(&with_length(length)), BatchError::NotOneBatch(_)), "{length}");
    }
    assert!(matches!(refused(&Bytes::new()), BatchError::NotOneBatch(_)));
}

#[test]
fn a_second_batch_is_refused_or_left_to_the_caller() {
    let batch = small_batch();
    let two = Bytes::from(batch.repeat(2));
    assert!(matches!(refused(&two), BatchError::NotOneBatch(_)));
    let rules = ProduceRules { exactly_one: false, ..LENIENT };
    let first = validate_produce(&two, &rules).unwrap();
    assert_eq!(first.to_bytes(), batch);
    assert_eq!(first.crc_of_all, crc32c::crc32c(&batch));
    let rest = two.slice(first.byte_len()..);
    assert_eq!(validate_produce(&rest, &rules).unwrap().to_bytes(), batch);
}

#[test]
fn other_formats_are_refused_by_their_magic() {
    for magic in i8::MIN..=i8::MAX {
        let result = validate_produce(&forge(&small_batch(), 16, &magic.to_be_bytes()), &LENIENT);
        match magic {
            2 => assert!(result.is_ok()),
            0 | 1 => assert!(matches!(result, Err(BatchError::UnsupportedMagic(_))), "{magic}: {result:?}"),
            _ => assert!(matches!(result, Err(BatchError::NotABatch(_))), "{magic}: {result:?}"),
        }
    }
    // A message set of v1: shorter than a batch header, and yet it must not be called corrupt.
    let mut message = vec![0; 34];
    message[11] = 22;
    message[16] = 1;
    assert!(matches!(refused(&Bytes::from(message)), BatchError::UnsupportedMagic(_)));
}

#[test]
fn the_size_limit_is_inclusive_and_counts_the_header() {
    let batch = small_batch();
    let limited = |max_batch_bytes| validate_produce(&batch, &ProduceRules { max_batch_bytes, ..LENIENT });
    assert!(limited(batch.len()).is_ok());
    assert!(matches!(limited(batch.len() - 1), Err(BatchError::TooLarge(_))));
}

/// As in Kafka, a batch too large is called that even when its CRC is wrong too: it is refused before it is read.
#[test]
fn the_size_is_judged_before_the_crc() {
    let mut broken = small_batch().to_vec();
    *broken.last_mut().unwrap() ^= 1;
    let rules = ProduceRules { max_batch_bytes: 61, ..LENIENT };
    let result = validate_produce(&Bytes::from(broken), &rules);
    assert!(matches!(result, Err(BatchError::TooLarge(_))), "{result:?}");
}

#[test]
fn codecs_are_held_against_what_the_request_allows() {
    for codec in ALL_CODECS {
        let batch = with_record(BatchBuilder::new().compression(codec));
        assert!(validate_produce(&batch, &LENIENT).is_ok());
        let old = validate_produce(&batch, &ProduceRules { allow_zstd: false, ..LENIENT });
        match codec {
            Compression::Zstd => assert!(matches!(old, Err(BatchError::UnsupportedCompression(_)))),
            _ => assert!(old.is_ok(), "{codec:?}: {old:?}"),
        }
    }
    for code in 5..8_u8 {
        let undefined = forge(&small_batch(), 22, &[code]);
        assert!(matches!(refused(&undefined), BatchError::UnsupportedCompression(_)));
    }
}

#[test]
fn unused_attribute_bits_are_tolerated_as_in_kafka() {
    for attributes in [0x0040_u16, 0x0080, 0x0100, 0x8000, 0xff80] {
        let batch = forge(&small_batch(), 21, &attributes.to_be_bytes());
        assert!(validate_produce(&batch, &LENIENT).is_ok(), "{attributes:#06x}");
    }
}

/// As Kafka 4.3.1 answers it: every record is at fault.
#[test]
fn a_producer_may_not_claim_broker_time_where_the_broker_tells_it() {
    let claims = BatchBuilder::new().timestamp_type(TimestampType::LogAppendTime);
    let stamped = ProduceRules { timestamp_type: TimestampType::LogAppendTime, ..LENIENT };
    let mut two = claims.clone();
    two.push(1000, None, None, &[]);
    two.push(1001, None, None, &[]);
    let mut timeless = claims;
    timeless.push(-1, None, None, &[]);
    for (batch, rules, records) in [(two, stamped, 2), (timeless, LENIENT, 1)] {
        let refused = validate_produce(&batch.build().unwrap(), &rules).unwrap_err();
        assert!(matches!(refused, BatchError::InvalidTimestamps(_)), "{refused:?}");
        assert_eq!(
            refused.record_errors().iter().map(|e| e.batch_index).collect::<Vec<_>>(),
            Vec::from_iter(0..records)
        );
    }
    // A count that lies takes no memory.
    let many = forge(
        &forge(
            &with_record(BatchBuilder::new().timestamp_type(TimestampType::LogAppendTime)),
            23,
            &(i32::MAX - 1).to_be_bytes(),
        ),
        57,
        &i32::MAX.to_be_bytes(),
    );
    assert_eq!(validate_produce(&many, &stamped).unwrap_err().record_errors().len(), limits::RECORD_ERRORS_MAX);
}

/// Kafka clears the bit of a batch that has timestamps, and keeps these.
#[test]
fn a_claim_of_broker_time_is_cleared_where_producers_tell_it() {
    let claim = with_record(BatchBuilder::new().timestamp_type(TimestampType::LogAppendTime));
    let honest = with_record(BatchBuilder::new());
    assert_ne!(claim, honest);
    assert_eq!(validate_produce(&claim, &LENIENT).unwrap().to_bytes(), honest);
    let cleared = validate_produce(&claim, &LENIENT).unwrap();
    assert_eq!(cleared.crc_of_all, crc32c::crc32c(&honest));
}

#[test]
fn a_producer_may_not_choose_offsets() {
    for base_offset in [1, -1, i64::MAX, i64::MIN] {
        let batch = with_record(BatchBuilder::new().base_offset(base_offset));
        assert!(matches!(refused(&batch), BatchError::InvalidRecord(_)), "{base_offset}");
    }
}

#[test]
fn the_record_count_must_be_positive_and_match_the_offset_delta() {
    let counts = |delta: i32, count: i32| {
        let batch = forge(&small_batch(), 23, &delta.to_be_bytes());
        forge(&batch, 57, &count.to_be_bytes())
    };
    assert!(validate_produce(&counts(4, 5), &LENIENT).is_ok());
    for (delta, count) in
        [(-1, 0), (0, 0), (0, 2), (1, 1), (-2, -1), (i32::MAX, i32::MIN), (i32::MAX, i32::MAX), (i32::MIN, 1)]
    {
        assert!(matches!(refused(&counts(delta, count)), BatchError::InvalidRecord(_)), "{delta} {count}");
    }
    // The largest count there can be; what it claims is only believed, nothing is allocated for it.
    assert!(validate_produce(&counts(i32::MAX - 1, i32::MAX), &LENIENT).is_ok());
}

#[test]
fn control_batches_are_refused() {
    let batch = with_record(BatchBuilder::new().producer(1, 0, 0).transactional().control());
    assert!(matches!(refused(&batch), BatchError::InvalidRecord(_)));
    assert!(matches!(refused(&with_record(BatchBuilder::new().control())), BatchError::InvalidRecord(_)));
}

#[test]
fn a_producer_id_comes_with_epoch_and_sequence() {
    for (id, epoch, sequence, fine) in [
        (0, 0, 0, true),
        (i64::MAX, i16::MAX, i32::MAX, true),
        (5, -1, 0, false),
        (5, 0, -1, false),
        (-1, -1, -1, true),
        // Kafka takes every negative id for "no producer".
        (-2, 5, 5, true),
    ] {
        let result = validate_produce(&with_record(BatchBuilder::new().producer(id, epoch, sequence)), &LENIENT);
        assert_eq!(result.is_ok(), fine, "{id} {epoch} {sequence}: {result:?}");
        assert!(matches!(result, Ok(_) | Err(BatchError::InvalidRecord(_))));
    }
}

#[test]
fn a_transactional_batch_needs_a_producer() {
    assert!(validate_produce(&with_record(BatchBuilder::new().producer(3, 0, 0).transactional()), &LENIENT).is_ok());
    let anonymous = with_record(BatchBuilder::new().transactional());
    assert!(matches!(refused(&anonymous), BatchError::InvalidRecord(_)));
}
