#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::compression::decompress_any_header;
use crate::message::RawMessage;
use crate::message_set::tests::{CODEC_NAMES, CODECS, LENIENT, NOON, Row, config, golden, golden_rows, rows};
use crate::{BatchBuilder, convert_message_set};

const FORMATS: [MessageFormat; 2] = [MessageFormat::V0, MessageFormat::V1];

fn plan(format: MessageFormat) -> DownPlan {
    DownPlan { format, from_offset: i64::MIN, max_bytes: usize::MAX, first_whole: true, max_decompressed: 1 << 20 }
}

fn messages(set: &Bytes) -> Vec<RawMessage> {
    let mut rest = set.clone();
    std::iter::from_fn(|| RawMessage::next(&mut rest).unwrap())
        .inspect(|message| message.check_crc().unwrap())
        .collect()
}

/// What is inside the only wrapper of a set.
fn unwrap(set: &Bytes, codec: Compression) -> Bytes {
    let wrapper = &messages(set)[0];
    let value = wrapper.read().unwrap().value.unwrap();
    assert_eq!(wrapper.compression().unwrap(), codec);
    match (codec, wrapper.magic()) {
        (Compression::Lz4, 0) => decompress_any_header(&value, 1 << 20).unwrap().into(),
        _ => codec.decompress(&value, 1 << 20).unwrap(),
    }
}

/// With SLUICE_PRINT_SAMPLES=1, what `tests/golden/MessageSets.java` reads, given as its argument.
fn print(name: &str, set: &Bytes) {
    if std::env::var_os("SLUICE_PRINT_SAMPLES").is_some() {
        let hex = set.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        println!("{name} {hex}");
    }
}

#[test]
fn kafkas_batches_become_what_kafka_makes_of_them() {
    for (codec, name) in CODECS.into_iter().zip(CODEC_NAMES) {
        for time in ["CreateTime", "LogAppendTime"] {
            let batch = golden(&format!("batch-{time}-{name}"));
            for (magic, format) in FORMATS.into_iter().enumerate() {
                let expected = golden(&format!("down-{magic}-{time}-{name}"));
                let plan = DownPlan { from_offset: 101, ..plan(format) };
                let converted = down_convert(std::slice::from_ref(&batch), &plan).unwrap();
                assert!(converted.reached_end);
                print(&format!("down-{magic}-{time}-{name}"), &converted.bytes);
                if codec == Compression::None {
                    assert_eq!(converted.bytes, expected, "{time} {magic}");
                    continue;
                }
                // Two compressors seldom write the same bytes: the heads are equal but for length and CRC, and what is
                // inside is.
                assert_eq!(converted.bytes[..8], expected[..8]);
                let end = format.overhead() - 4;
                assert_eq!(converted.bytes[16..end], expected[16..end], "{time} {name} {magic}");
                assert_eq!(unwrap(&converted.bytes, codec), unwrap(&expected, codec), "{time} {name} {magic}");
                if codec == Compression::Lz4 {
                    let frame_header = |set: &Bytes| messages(set)[0].read().unwrap().value.unwrap().slice(..7);
                    assert_eq!(frame_header(&converted.bytes), frame_header(&expected), "{magic}");
                }
            }
        }
    }
}

/// Batches of these rows from offset 10 on, two records each.
fn batches(codec: Compression, rows: &[Row]) -> Bytes {
    let mut all = Vec::new();
    for (index, pair) in rows.chunks(2).enumerate() {
        let mut builder = BatchBuilder::new().compression(codec).base_offset(10 + 2 * index as i64);
        for (timestamp, key, value) in pair {
            builder.push(*timestamp, key.as_deref(), value.as_deref(), &[(b"h", Some(b"dropped"))]);
        }
        all.extend_from_slice(&builder.build().unwrap());
    }
    all.into()
}

fn five_rows() -> Vec<Row> {
    let mut rows = golden_rows("none");
    rows.push((NOON + 7, Some(vec![]), Some(vec![])));
    rows
}

#[test]
fn what_does_not_fit_is_left_out_but_for_the_first() {
    for codec in CODECS {
        let rope = [batches(codec, &five_rows())];
        let sizes: Vec<usize> = [2, 4, 5]
            .map(|rows| {
                down_convert(&[batches(codec, &five_rows()[..rows])], &plan(MessageFormat::V1)).unwrap().bytes.len()
            })
            .to_vec();
        let with = |max_bytes, first_whole| {
            let plan = DownPlan { max_bytes, first_whole, ..plan(MessageFormat::V1) };
            let converted = down_convert(&rope, &plan).unwrap();
            (converted.bytes.len(), converted.reached_end)
        };
        for first_whole in [false, true] {
            let first = if first_whole { sizes[0] } else { 0 };
            assert_eq!(with(0, first_whole), (first, false));
            assert_eq!(with(sizes[0] - 1, first_whole), (first, false));
            assert_eq!(with(sizes[0], first_whole), (sizes[0], false));
            assert_eq!(with(sizes[1] - 1, first_whole), (sizes[0], false));
            assert_eq!(with(sizes[1], first_whole), (sizes[1], false));
            assert_eq!(with(sizes[2], first_whole), (sizes[2], true));
        }
    }
}

#[test]
fn only_uncompressed_batches_lose_the_records_before_the_offset() {
    for codec in CODECS {
        let rope = [batches(codec, &five_rows())];
        let from = |from_offset| {
            let plan = DownPlan { from_offset, ..plan(MessageFormat::V1) };
            messages(&down_convert(&rope, &plan).unwrap().bytes).into_iter().map(|m| m.offset).collect::<Vec<_>>()
        };
        let expected: [&[i64]; 2] = match codec {
            Compression::None => [&[10, 11, 12, 13, 14], &[13, 14]],
            _ => [&[11, 13, 14], &[11, 13, 14]],
        };
        assert_eq!([from(10), from(13)], expected, "{codec:?}");
    }
}

#[test]
fn control_batches_are_left_out_and_zstd_is_told_of_when_it_comes_first() {
    let mut control = BatchBuilder::new().control().producer(1, 0, 0).base_offset(10);
    control.push(NOON, Some(&[0, 0, 0, 0]), Some(&[0; 6]), &[]);
    let control = control.build().unwrap();
    let plain = batches(Compression::None, &five_rows()[..1]);
    let zstd = batches(Compression::Zstd, &five_rows()[..1]);
    let convert = |parts: &[&Bytes]| {
        let rope: Vec<Bytes> = parts.iter().map(|part| (*part).clone()).collect();
        down_convert(&rope, &plan(MessageFormat::V1))
    };
    assert_eq!(convert(&[&control]).unwrap(), DownConverted { bytes: Bytes::new(), reached_end: true });
    let alone = convert(&[&plain]).unwrap();
    assert_eq!(convert(&[&control, &plain, &control]).unwrap(), alone);
    assert!(matches!(convert(&[&zstd]), Err(BatchError::UnsupportedCompression(_))));
    assert!(matches!(convert(&[&control, &zstd, &plain]), Err(BatchError::UnsupportedCompression(_))));
    assert_eq!(convert(&[&plain, &zstd]).unwrap(), DownConverted { reached_end: false, ..alone });
}

#[test]
fn a_batch_that_cannot_be_read_is_corrupt_and_hides_nothing_before_it() {
    let good = batches(Compression::Gzip, &five_rows()[..1]);
    let mut bad = good.to_vec();
    bad[61..].fill(7);
    let bad = Bytes::from(bad);
    let convert = |rope: &[Bytes]| down_convert(rope, &plan(MessageFormat::V0));
    assert!(matches!(convert(std::slice::from_ref(&bad)), Err(BatchError::Corrupt(_))));
    assert!(matches!(convert(&[good.slice(..70)]), Err(BatchError::Corrupt(_))));
    let alone = convert(std::slice::from_ref(&good)).unwrap();
    assert_eq!(convert(&[good.clone(), bad]).unwrap(), DownConverted { reached_end: false, ..alone.clone() });
    let small = DownPlan { max_decompressed: 10, ..plan(MessageFormat::V0) };
    assert!(matches!(down_convert(&[good], &small), Err(BatchError::TooLarge(_))));
}

fn row() -> impl Strategy<Value = Row> {
    let bytes = || proptest::option::of(vec(any::<u8>(), 0..40));
    (-1..2_000_000_000_000_i64, bytes(), bytes())
}

proptest! {
    #![proptest_config(config(200))]

    /// v2 → v1 → v2 → v1, and v0: what the formats have in common is kept, whatever the chunks are.
    #[test]
    fn conversions_are_inverse(
        given in vec(row(), 1..9), codec in proptest::sample::select(CODECS.to_vec()), cuts in vec(any::<usize>(), 0..5),
    ) {
        let whole = batches(codec, &given);
        let mut places: Vec<usize> = cuts.iter().map(|place| place % whole.len()).chain([0, whole.len()]).collect();
        places.sort_unstable();
        let rope: Vec<Bytes> = places.windows(2).map(|range| whole.slice(range[0]..range[1])).collect();
        for format in FORMATS {
            let down = down_convert(&rope, &plan(format)).unwrap();
            prop_assert!(down.reached_end);
            let mut found = Vec::new();
            let mut offsets = Vec::new();
            // A producer sends one wrapper at a time.
            for message in messages(&down.bytes) {
                offsets.push(message.offset);
                found.extend(rows(&convert_message_set(&one(&message, &down.bytes), &LENIENT).unwrap()));
            }
            let timeless = format == MessageFormat::V0;
            let expected: Vec<Row> = given.iter()
                .map(|(time, key, value)| (if timeless { -1 } else { *time }, key.clone(), value.clone())).collect();
            prop_assert_eq!(found, expected);
            prop_assert_eq!(offsets.last(), Some(&(9 + given.len() as i64)));
        }
    }

    /// I-09: stored bytes are checked before they come here; even unchecked ones do no harm.
    #[test]
    fn damage_never_panics(
        given in vec(row(), 1..5), codec in proptest::sample::select(CODECS.to_vec()),
        at in any::<prop::sample::Index>(), byte in any::<u8>(), is_old in any::<bool>(),
    ) {
        let mut damaged = batches(codec, &given).to_vec();
        let at = at.index(damaged.len());
        damaged[at] = byte;
        let format = if is_old { MessageFormat::V0 } else { MessageFormat::V1 };
        if let Ok(converted) = down_convert(&[Bytes::from(damaged)], &plan(format)) {
            messages(&converted.bytes);
        }
    }
}

/// The bytes of one message of `set`, found by its offset.
fn one(wanted: &RawMessage, set: &Bytes) -> Bytes {
    let mut rest = set.clone();
    loop {
        let before = rest.clone();
        let message = RawMessage::next(&mut rest).unwrap().unwrap();
        if message.offset == wanted.offset {
            return before.slice(..message.wire_len());
        }
    }
}
