//! The small types: strings, ropes, keys, error codes, and the primitives of reader and writer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use sluice_protocol::{ApiKey, Bytes, DecodeError, EncodeError, ErrorCode, KString, Reader, Rope, Uuid, Writer};

fn runner() -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases: 512,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

fn hash_of(value: &(impl Hash + ?Sized)) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn a_string_compares_and_hashes_as_the_str_it_holds() {
    runner()
        .run(&(any::<String>(), any::<String>()), |(a, b)| {
            let (ours_a, ours_b) = (KString::from(a.as_str()), KString::from(b.clone()));
            assert_eq!(ours_a.cmp(&ours_b), a.cmp(&b));
            assert_eq!(ours_a == ours_b, a == b);
            assert_eq!((&*ours_a, ours_a.to_string(), format!("{ours_a:?}")), (&*a, a.clone(), format!("{a:?}")));
            assert_eq!(String::from(ours_a.detach()), a);
            Ok(())
        })
        .unwrap();
    let map = BTreeMap::from([(KString::from_static("b"), 2), (KString::from_static("a"), 1)]);
    assert_eq!(map.get("a"), Some(&1));
    // `Borrow<str>`: a hash map is asked by `&str`.
    assert_eq!(hash_of(&KString::from_static("topic")), hash_of("topic"));
    assert_eq!(KString::default(), "");
    assert_eq!(KString::from_utf8(Bytes::from_static(&[0xc3, 0x28])), None);
}

#[test]
fn a_detached_string_no_longer_points_into_its_frame() {
    let frame = Bytes::from(b"\0\x05topic".to_vec());
    let name = Reader::new(frame.clone()).read_nullable_string(false).unwrap().unwrap();
    assert!(frame.as_ptr_range().contains(&name.as_bytes().as_ptr()));
    assert!(!frame.as_ptr_range().contains(&name.detach().as_bytes().as_ptr()));
    assert_eq!(name, name.detach());
}

#[test]
fn a_rope_reads_as_its_bytes_however_it_is_cut() {
    let cuts = prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9), 0..7);
    runner()
        .run(&(cuts, 0_usize..70, 0_usize..70), |(cuts, from, to)| {
            let joined = cuts.concat();
            let rope: Rope = cuts.into_iter().map(Bytes::from).collect();
            assert_eq!((rope.len(), rope.is_empty()), (joined.len(), joined.is_empty()));
            assert!(rope.iter().all(|chunk| !chunk.is_empty()));
            assert_eq!(rope.to_bytes(), joined);
            assert_eq!(rope, Rope::from(Bytes::from(joined.clone())));
            let (low, high) = (from.min(joined.len()), to.min(joined.len()));
            let slice = rope.slice(from..to);
            assert_eq!(slice.to_bytes(), joined.get(low..high).unwrap_or_default());
            assert_eq!(slice.len(), slice.to_bytes().len());
            let mut twice = rope.clone();
            twice.append(rope);
            assert_eq!(twice.to_bytes(), joined.repeat(2));
            Ok(())
        })
        .unwrap();
    assert_ne!(Rope::from(Bytes::from_static(b"ab")), Rope::from(Bytes::from_static(b"ac")));
}

#[test]
fn a_writer_keeps_large_chunks_and_joins_small_ones() {
    let large = Bytes::from(vec![9; 1024]);
    let small = Bytes::from(vec![8; 1023]);
    let mut w = Writer::new();
    w.put_chunk(&large);
    w.put_chunk(&small);
    w.put_i8(7);
    w.put_chunk(&large);
    w.put_chunk(&large);
    assert_eq!(w.len(), 3 * 1024 + 1024);
    let rope = w.finish();
    let lens: Vec<usize> = rope.iter().map(Bytes::len).collect();
    assert_eq!(lens, [1024, 1024, 1024, 1024]);
    let shared: Vec<bool> = rope.iter().map(|chunk| chunk.as_ptr() == large.as_ptr()).collect();
    assert_eq!(shared, [true, false, true, true]);
    assert!(Writer::new().finish().is_empty());
}

#[test]
fn primitives_survive_a_round_trip() {
    runner()
        .run(&any::<(u32, i8, i16, i32, i64, u128, bool)>(), |(varint, a, b, c, d, uuid, flag)| {
            let mut w = Writer::new();
            w.put_uvarint(varint);
            w.put_i8(a);
            w.put_i16(b);
            w.put_i32(c);
            w.put_i64(d);
            w.put_uuid(Uuid::from_u128(uuid));
            w.put_bool(flag);
            let mut r = Reader::new(w.finish().to_bytes());
            assert_eq!(r.read_uvarint(), Ok(varint));
            assert_eq!((r.read_i8(), r.read_i16()), (Ok(a), Ok(b)));
            assert_eq!((r.read_i32(), r.read_i64()), (Ok(c), Ok(d)));
            assert_eq!(r.read_uuid(), Ok(Uuid::from_u128(uuid)));
            assert_eq!(r.read_bool(), Ok(flag));
            assert_eq!(r.finish(), Ok(()));
            assert_eq!(r.read_i8(), Err(DecodeError::UnexpectedEnd { needed: 1, remaining: 0 }));
            Ok(())
        })
        .unwrap();
}

#[test]
fn varints_have_the_known_bytes() {
    for (value, bytes) in [
        (0_u32, &[0_u8][..]),
        (127, &[0x7f]),
        (128, &[0x80, 0x01]),
        (300, &[0xac, 0x02]),
        (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
    ] {
        let mut w = Writer::new();
        w.put_uvarint(value);
        assert_eq!(w.finish().to_bytes(), bytes);
        assert_eq!(Reader::new(Bytes::copy_from_slice(bytes)).read_uvarint(), Ok(value));
    }
}

#[test]
fn a_length_that_cannot_be_written_is_an_error() {
    let len = 0x8000_0000;
    for flexible in [false, true] {
        let refused = EncodeError::TooLong { len, max: 0x7fff_ffff };
        assert_eq!(Writer::new().put_len(Some(len), flexible), Err(refused));
        assert_eq!(Writer::new().put_len(Some(len - 1), flexible), Ok(()));
    }
}

#[test]
fn keys_have_kafkas_numbers_and_names() {
    assert_eq!(ApiKey::ALL.len(), 77);
    for &key in ApiKey::ALL {
        assert_eq!(ApiKey::try_from(key.as_i16()), Ok(key));
        // KIP-511: only ApiVersions has a flexible body under an old header.
        assert_eq!(key.has_flexible_response_header(99), key.is_flexible(99) && key != ApiKey::ApiVersions);
    }
    assert!(ApiKey::ALL.is_sorted());
    for unknown in [-1, 4, 7, 52, 56, 93, i16::MAX, i16::MIN] {
        assert!(ApiKey::try_from(unknown).is_err(), "{unknown}");
    }
    assert_eq!((ApiKey::Produce.as_i16(), ApiKey::ApiVersions.name()), (0, "ApiVersions"));
    assert!(!ApiKey::SaslHandshake.is_flexible(1) && !ApiKey::OffsetDelete.is_flexible(0));
    assert!(ApiKey::Fetch.is_flexible(12) && !ApiKey::Fetch.is_flexible(11));
}

#[test]
fn error_codes_run_from_minus_1_to_133() {
    let codes: Vec<i16> = ErrorCode::ALL.iter().map(|code| code.as_i16()).collect();
    assert_eq!(codes, (-1..=133).collect::<Vec<i16>>());
    assert_eq!(ErrorCode::default(), ErrorCode::NONE);
    assert!(ErrorCode::NONE.is_none() && !ErrorCode::UNKNOWN_SERVER_ERROR.is_none());
    assert_eq!(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.to_string(), "UNKNOWN_TOPIC_OR_PARTITION (3)");
    assert_eq!(ErrorCode::SHARE_SESSION_LIMIT_REACHED.as_i16(), 133);
    // Those that the gateway answers with most.
    for (code, name) in [
        (7, "REQUEST_TIMED_OUT"),
        (10, "MESSAGE_TOO_LARGE"),
        (19, "NOT_ENOUGH_REPLICAS"),
        (35, "UNSUPPORTED_VERSION"),
        (45, "OUT_OF_ORDER_SEQUENCE_NUMBER"),
        (56, "KAFKA_STORAGE_ERROR"),
        (87, "INVALID_RECORD"),
        (100, "UNKNOWN_TOPIC_ID"),
    ] {
        assert_eq!(ErrorCode::from_i16(code).name(), Some(name));
    }
    // A code of a newer broker is kept.
    assert_eq!((ErrorCode::from(999).as_i16(), ErrorCode::from(999).name()), (999, None));
    assert_eq!(ErrorCode::from(999).to_string(), "error 999");
}
