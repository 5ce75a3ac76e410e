#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, missing_docs)]

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

use super::*;
use crate::message::MessageHead;
use crate::{ProduceRules, records, validate_produce};

const WRITTEN_BY_KAFKA: &str = include_str!("../../tests/golden/message-sets-2.8.2.txt");

/// Bytes that `tests/golden/MessageSets.java` made Kafka write.
pub(crate) fn golden(name: &str) -> Bytes {
    let line = WRITTEN_BY_KAFKA.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let hex = line.unwrap_or_else(|| panic!("no {name}"));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

pub(crate) const NOON: i64 = 1_700_000_000_000;
pub(crate) const CODECS: [Compression; 4] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4];
pub(crate) const CODEC_NAMES: [&str; 4] = ["none", "gzip", "snappy", "lz4"];

pub(crate) type Row = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// The four records of the golden bytes.
pub(crate) fn golden_rows(codec: &str) -> Vec<Row> {
    let long = "x".repeat(if codec == "none" { 40 } else { 40_000 });
    let bytes = |text: &str| Some(text.as_bytes().to_vec());
    vec![
        (NOON, bytes("key"), bytes("value")),
        (NOON + 100, None, bytes("only a value")),
        (NOON - 1, bytes("tombstone"), None),
        (NOON + 50, bytes("long"), bytes(&long)),
    ]
}

pub(crate) fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(0x51_1c_e0), failure_persistence: None, ..Default::default() }
}

pub(crate) const LENIENT: MessageSetRules = MessageSetRules {
    max_batch_bytes: usize::MAX,
    max_decompressed: 1 << 20,
    wants: RecordWants::NOTHING,
    target: TargetCompression::Producer,
};

/// The records of a batch, and that it is one that a producer might have sent.
pub(crate) fn rows(batch: &ValidBatch) -> Vec<Row> {
    let whole = batch.to_bytes();
    let rules = ProduceRules {
        max_batch_bytes: usize::MAX,
        timestamp_type: TimestampType::CreateTime,
        allow_zstd: true,
        exactly_one: true,
    };
    assert_eq!(&validate_produce(&whole, &rules).unwrap(), batch);
    let records: Vec<_> = records(&whole, 1 << 20).unwrap().map(Result::unwrap).collect();
    assert!(records.iter().enumerate().all(|(index, record)| record.offset_delta == index as i32));
    let row = |record: crate::Record| {
        let timestamp = batch.header.base_timestamp + record.timestamp_delta;
        (timestamp, record.key.map(|key| key.to_vec()), record.value.map(|value| value.to_vec()))
    };
    let rows: Vec<Row> = records.into_iter().map(row).collect();
    assert_eq!(batch.header.max_timestamp, rows.iter().map(|row| row.0).max().unwrap().max(-1));
    rows
}

/// A plain message, or what is to be one.
#[derive(Debug, Clone)]
struct Plain {
    magic: u8,
    attributes: u8,
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
}

impl Plain {
    fn new(magic: u8, value: &[u8]) -> Self {
        let (key, value) = (Some(b"k".to_vec()), Some(value.to_vec()));
        Self { magic, attributes: 0, offset: 0, timestamp: NOON, key, value }
    }

    fn wrapper(magic: u8, codec: Compression, value: &[u8]) -> Self {
        let packed = if magic == 0 && codec == Compression::Lz4 {
            let mut encoder = Encoder::new(codec, None, Vec::new()).with_old_lz4_header();
            encoder.write(value).unwrap();
            encoder.finish().unwrap()
        } else {
            codec.compress(value).unwrap()
        };
        Self { attributes: codec.code() as u8, key: None, ..Self::new(magic, &packed) }
    }

    fn at(self, offset: i64) -> Self {
        Self { offset, ..self }
    }

    fn bits(self, bits: u8) -> Self {
        Self { attributes: self.attributes | bits, ..self }
    }

    /// Written by hand, not by the code under test.
    fn bytes(&self) -> Vec<u8> {
        let mut covered = vec![self.magic, self.attributes];
        if self.magic > 0 {
            covered.extend(self.timestamp.to_be_bytes());
        }
        for field in [&self.key, &self.value] {
            let len = field.as_ref().map_or(-1, |field| field.len() as i32);
            covered.extend(len.to_be_bytes());
            covered.extend(field.iter().flatten());
        }
        let size = covered.len() as i32 + 4;
        let crc = crc32fast::hash(&covered);
        [&self.offset.to_be_bytes()[..], &size.to_be_bytes(), &crc.to_be_bytes(), &covered].concat()
    }
}

fn set(messages: &[Plain]) -> Bytes {
    messages.iter().flat_map(Plain::bytes).collect()
}

fn convert(set: &Bytes) -> Result<ValidBatch, BatchError> {
    convert_message_set(set, &LENIENT)
}

#[test]
fn the_sets_that_kafka_writes_become_their_records_with_every_codec() {
    for (codec, name) in CODECS.into_iter().zip(CODEC_NAMES) {
        for magic in [0, 1] {
            let batch = convert(&golden(&format!("set-{magic}-{name}"))).unwrap();
            let timeless = |rows: Vec<Row>| rows.into_iter().map(|(_, key, value)| (-1, key, value)).collect();
            let expected = if magic == 0 { timeless(golden_rows(name)) } else { golden_rows(name) };
            assert_eq!(rows(&batch), expected, "{name} {magic}");
            assert_eq!(batch.header.compression().unwrap(), codec);
            let header = BatchHeader { attributes: codec.code(), record_count: 4, last_offset_delta: 3, ..NO_PRODUCER };
            let (base_timestamp, max_timestamp) = if magic == 0 { (-1, -1) } else { (NOON, NOON + 100) };
            let BatchHeader { batch_length, crc, .. } = batch.header;
            assert_eq!(batch.header, BatchHeader { batch_length, crc, base_timestamp, max_timestamp, ..header });
        }
        let stamped = convert(&golden(&format!("stamped-1-{name}")));
        assert!(matches!(stamped, Err(BatchError::InvalidTimestamp(_))), "{name}: {stamped:?}");
    }
}

#[test]
fn a_topic_may_want_another_codec() {
    let targets = [
        (TargetCompression::Uncompressed, Compression::None),
        (TargetCompression::Gzip(Some(9)), Compression::Gzip),
        (TargetCompression::Snappy, Compression::Snappy),
        (TargetCompression::Lz4, Compression::Lz4),
        (TargetCompression::Zstd(None), Compression::Zstd),
    ];
    for name in CODEC_NAMES {
        for (target, codec) in targets {
            let rules = MessageSetRules { target, ..LENIENT };
            let batch = convert_message_set(&golden(&format!("set-1-{name}")), &rules).unwrap();
            assert_eq!(batch.header.compression().unwrap(), codec);
            assert_eq!(rows(&batch), golden_rows(name));
        }
    }
}

type IsRight = fn(&BatchError) -> bool;

/// What a Kafka 2.8.2 broker answered to each of these in a Produce 2, unless it says otherwise.
#[test]
fn every_situation_has_the_answer_of_kafka_2_8() {
    let gzip = Compression::Gzip;
    let two = set(&[Plain::new(1, b"1"), Plain::new(1, b"2").at(1)]);
    let far = set(&[Plain::new(1, b"1").at(4), Plain::new(1, b"2").at(5)]);
    let damaged = |bytes: Vec<u8>| {
        let mut bytes = bytes;
        *bytes.last_mut().unwrap() ^= 1;
        Bytes::from(bytes)
    };
    let wrap = |inner: &[u8]| Plain::wrapper(1, gzip, inner);
    let inner_damaged = damaged(Plain::new(1, b"1").bytes());
    let good: [(&str, Bytes, usize); 9] = [
        ("two messages", two.clone(), 2),
        ("a wrapper", set(&[wrap(&two).at(1)]), 2),
        ("a wrapper with offset 0, as old librdkafka has it", set(&[wrap(&two)]), 2),
        ("offsets inside that do not begin at 0", set(&[wrap(&far).at(9)]), 2),
        ("the LogAppendTime bit inside a wrapper", set(&[wrap(&Plain::new(1, b"1").bits(8).bytes())]), 1),
        ("a wrapper with a key", set(&[Plain { key: Some(vec![1]), ..wrap(&two) }]), 2),
        ("LogAppendTime in magic 0, which does not have it", set(&[Plain::new(0, b"1").bits(8)]), 1),
        ("no timestamp", set(&[Plain { timestamp: -1, ..Plain::new(1, b"1") }]), 1),
        (
            "absolute offsets in a wrapper of magic 0",
            {
                let inner = set(&[Plain::new(0, b"1").at(70), Plain::new(0, b"2").at(90)]);
                set(&[Plain::wrapper(0, gzip, &inner).at(3)])
            },
            2,
        ),
    ];
    for (what, set, count) in good {
        assert_eq!(rows(&convert(&set).unwrap()).len(), count, "{what}");
    }
    let bad: [(&str, Bytes, IsRight); 22] = [
        ("empty (Kafka: nothing happens)", Bytes::new(), is_invalid),
        ("a set that is cut (Kafka: what is whole)", two.slice(..two.len() - 1), is_invalid),
        ("a CRC that does not hold", damaged(Plain::new(1, b"1").bytes()), is_corrupt),
        ("a second CRC that does not hold", damaged(two.to_vec()), is_corrupt),
        (
            "a size below the least",
            Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5, 1, 1, 1, 1, 1]),
            is_corrupt,
        ),
        ("a negative size", Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 255, 0, 0, 0, 1, 1, 1, 1, 1]), is_corrupt),
        ("magic 3", set(&[Plain::new(1, b"1"), Plain::new(3, b"2")]), is_corrupt),
        ("magic 1, then 0", set(&[Plain::new(1, b"1"), Plain::new(0, b"2")]), is_invalid),
        ("magic 1, then 2", set(&[Plain::new(1, b"1"), Plain::new(2, b"2")]), is_invalid),
        ("two wrappers", set(&[wrap(&two), wrap(&two)]), is_invalid),
        ("a wrapper and a message", set(&[wrap(&two), Plain::new(1, b"1")]), is_invalid),
        ("a message and a wrapper", set(&[Plain::new(1, b"1"), wrap(&two)]), is_invalid),
        ("an offset below the last", set(&[wrap(&far).at(3)]), is_invalid),
        ("magic 0 inside magic 1", set(&[wrap(&Plain::new(0, b"1").bytes())]), is_invalid),
        ("a wrapper in a wrapper", set(&[wrap(&wrap(&two).bytes())]), is_invalid),
        ("a CRC inside that does not hold", set(&[wrap(&inner_damaged)]), is_corrupt),
        ("nothing inside", set(&[wrap(b"")]), is_invalid),
        ("a wrapper without value", set(&[Plain { value: None, ..wrap(b"") }]), is_invalid),
        ("a size inside below the least", set(&[wrap(&[0; 40])]), is_corrupt),
        ("zstd", set(&[Plain::new(1, b"1").bits(4)]), is_invalid),
        ("the LogAppendTime bit", set(&[Plain::new(1, b"1").bits(8)]), is_untimely),
        ("the LogAppendTime bit of a wrapper", set(&[wrap(&two).bits(8)]), is_untimely),
    ];
    for (what, set, is_right) in bad {
        let refused = convert(&set).unwrap_err();
        assert!(is_right(&refused), "{what}: {refused:?}");
    }
}

/// What made Kafka 2.8.2 answer UNKNOWN_SERVER_ERROR.
#[test]
fn what_kafka_2_8_stumbles_over_is_refused() {
    let mut long_key = Plain::new(1, b"1").bytes();
    long_key[26..30].copy_from_slice(&100_i32.to_be_bytes());
    let crc = crc32fast::hash(&long_key[16..]);
    long_key[12..16].copy_from_slice(&crc.to_be_bytes());
    let garbage = Plain { attributes: 1, ..Plain::new(1, b"garbage") };
    let early = Plain { timestamp: -5, ..Plain::new(1, b"1") };
    assert!(is_corrupt(&convert(&Bytes::from(long_key)).unwrap_err()));
    assert!(is_invalid(&convert(&set(&[garbage])).unwrap_err()));
    assert!(is_untimely(&convert(&set(&[early])).unwrap_err()));
    let codec = convert(&set(&[Plain::new(1, b"1").bits(5)])).unwrap_err();
    assert!(matches!(codec, BatchError::UnsupportedCompression(_)));
}

fn is_invalid(error: &BatchError) -> bool {
    matches!(error, BatchError::InvalidRecord(_))
}

fn is_corrupt(error: &BatchError) -> bool {
    matches!(error, BatchError::Corrupt(_))
}

fn is_untimely(error: &BatchError) -> bool {
    matches!(error, BatchError::InvalidTimestamp(_))
}

#[test]
fn messages_and_batches_that_are_too_large_are_told_apart_from_the_rest() {
    let two = set(&[Plain::new(1, &[7; 50]), Plain::new(1, &[7; 60]).at(1)]);
    let with = |max_batch_bytes| convert_message_set(&two, &MessageSetRules { max_batch_bytes, ..LENIENT });
    let (largest, whole) = (60 + 1 + 34, convert(&two).unwrap().byte_len());
    assert!(whole > largest);
    for max in [largest - 1, largest, whole - 1] {
        assert!(matches!(with(max), Err(BatchError::TooLarge(_))), "{max}");
    }
    assert_eq!(with(whole).unwrap().byte_len(), whole);
}

#[test]
fn what_the_topic_wants_of_records_is_looked_for_on_the_way() {
    let timed =
        |timestamp, key: Option<&[u8]>| Plain { timestamp, key: key.map(<[u8]>::to_vec), ..Plain::new(1, b"v") };
    let messages = [timed(NOON, Some(b"k")), timed(NOON + 2, None), timed(-1, None), timed(NOON - 2, Some(b"k"))];
    let check = |wants| convert_message_set(&set(&messages), &MessageSetRules { wants, ..LENIENT }).unwrap_err();
    let refused = |error: &BatchError| error.record_errors().iter().map(|e| e.batch_index).collect::<Vec<_>>();
    let keys = check(RecordWants { keys: true, ..RecordWants::NOTHING });
    assert!(matches!(keys, BatchError::InvalidRecords(_)));
    assert_eq!(refused(&keys), [1, 2]);
    let times = check(RecordWants::NOTHING.timestamps_around(NOON, 1, 1));
    assert!(matches!(times, BatchError::InvalidTimestamps(_)));
    assert_eq!(refused(&times), [1, 3], "a record without a timestamp has none that is wrong");
    let both = check(RecordWants { keys: true, ..RecordWants::NOTHING.timestamps_around(NOON, 1, 5) });
    assert!(matches!(both, BatchError::InvalidTimestamps(_)), "a wrong timestamp decides");
    assert_eq!(refused(&both), [1, 2, 3]);
}

fn plain(magic: u8) -> impl Strategy<Value = Plain> {
    let bytes = || proptest::option::of(vec(any::<u8>(), 0..40));
    let timestamp = if magic == 0 { Just(-1).boxed() } else { (-1..2_000_000_000_000_i64).boxed() };
    (timestamp, bytes(), bytes()).prop_map(move |(timestamp, key, value)| Plain {
        magic,
        attributes: 0,
        offset: 0,
        timestamp,
        key,
        value,
    })
}

#[derive(Debug, Clone)]
struct SetSpec {
    magic: u8,
    codec: Compression,
    messages: Vec<Plain>,
}

impl SetSpec {
    fn inner(&self) -> Bytes {
        let offsets = self.messages.iter().enumerate();
        offsets.flat_map(|(index, message)| message.clone().at(index as i64).bytes()).collect()
    }

    fn build(&self) -> Bytes {
        match self.codec {
            Compression::None => self.inner(),
            codec => {
                let last = self.messages.len() as i64 - 1;
                Plain::wrapper(self.magic, codec, &self.inner()).at(last).bytes().into()
            }
        }
    }
}

fn any_set() -> impl Strategy<Value = SetSpec> {
    (0..2_u8, proptest::sample::select(CODECS.to_vec())).prop_flat_map(|(magic, codec)| {
        vec(plain(magic), 1..8).prop_map(move |messages| SetSpec { magic, codec, messages })
    })
}

fn never_panics(outcome: &Result<ValidBatch, impl Debug>) {
    if let Ok(batch) = outcome {
        assert!(batch.byte_len() > BATCH_OVERHEAD);
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn any_set_becomes_its_records(spec in any_set()) {
        let expected: Vec<Row> = spec.messages.iter().map(|m| (m.timestamp, m.key.clone(), m.value.clone())).collect();
        let batch = convert(&spec.build()).unwrap();
        prop_assert_eq!(rows(&batch), expected);
        prop_assert_eq!(batch.header.compression().unwrap(), spec.codec);
    }

    /// The writer for readers of old formats writes what the hand-made one does.
    #[test]
    fn messages_are_written_as_they_are_laid_out(message in plain(1), offset in any::<i64>(), is_old in any::<bool>()) {
        let format = if is_old { MessageFormat::V0 } else { MessageFormat::V1 };
        let message = Plain { magic: if is_old { 0 } else { 1 }, ..message }.at(offset);
        let mut out = b"before".to_vec();
        let (compression, timestamp_type) = (Compression::None, TimestampType::CreateTime);
        let head = MessageHead { format, offset, compression, timestamp_type, timestamp: message.timestamp };
        head.write(&mut out, message.key.as_deref(), message.value.as_deref()).unwrap();
        prop_assert_eq!(&out[6..], &message.bytes()[..]);
    }

    /// I-09: no damage makes it panic, and plain sets never lose it either: a CRC does not hold.
    #[test]
    fn damage_never_panics(spec in any_set(), at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut damaged = spec.build().to_vec();
        let at = at.index(damaged.len());
        damaged[at] ^= 1 << bit;
        let outcome = convert(&Bytes::from(damaged));
        never_panics(&outcome);
        // Offsets, and nothing else, are outside every CRC.
        let starts = spec.messages.iter().scan(0, |end, message| {
            let start = *end;
            *end += message.bytes().len();
            Some(start)
        });
        let is_in_offset = starts.into_iter().any(|start| (start..start + 8).contains(&at));
        prop_assert!(outcome.is_err() || spec.codec != Compression::None || is_in_offset);
    }

    /// The same behind CRCs that hold: damage inside a wrapper.
    #[test]
    fn damage_inside_a_wrapper_never_panics(
        spec in any_set(), at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut inner = spec.inner().to_vec();
        let at = at.index(inner.len());
        inner[at] = byte;
        inner.truncate(cut.index(inner.len()) + 1);
        never_panics(&convert(&set(&[Plain::wrapper(spec.magic, Compression::Gzip, &inner)])));
        let raw = Plain { attributes: spec.codec.code() as u8, ..Plain::new(spec.magic, &inner) };
        never_panics(&convert(&set(&[raw])));
    }

    #[test]
    fn garbage_never_panics(garbage in vec(any::<u8>(), 0..200)) {
        never_panics(&convert(&Bytes::from(garbage)));
    }

    #[test]
    fn a_set_that_is_cut_is_refused(spec in any_set(), at in any::<prop::sample::Index>()) {
        let whole = spec.build();
        let at = at.index(whole.len());
        let borders = spec.messages.iter().scan(0, |end, message| {
            *end += message.bytes().len();
            Some(*end)
        });
        let is_border = spec.codec == Compression::None && borders.into_iter().any(|border| border == at);
        prop_assert_eq!(convert(&whole.slice(..at)).is_ok(), is_border);
    }
}
