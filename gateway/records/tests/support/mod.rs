//! What the tests of this crate share: strategies for batches, cuts of ropes, and a deterministic configuration.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sluice_records::{BatchBuilder, Compression, ProduceRules, TimestampType, ValidBatch, validate_produce};

/// The same cases in every run and on every machine; nothing is written beside the tests.
pub fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, rng_seed: RngSeed::Fixed(0x51_1c_e0), failure_persistence: None, ..Default::default() }
}

pub const ALL_CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Rules that only the format itself can break.
pub const LENIENT: ProduceRules = ProduceRules {
    max_batch_bytes: usize::MAX,
    timestamp_type: TimestampType::CreateTime,
    allow_zstd: true,
    exactly_one: true,
};

/// Enough for whatever the strategies below compress.
pub const MAX_DECOMPRESSED: usize = 1 << 20;

pub type Headers = Vec<(Vec<u8>, Option<Vec<u8>>)>;

#[derive(Debug, Clone)]
pub struct Row {
    pub timestamp: i64,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Headers,
}

#[derive(Debug, Clone)]
pub struct BatchSpec {
    pub codec: Compression,
    /// Id, epoch, base sequence, transactional.
    pub producer: Option<(i64, i16, i32, bool)>,
    pub rows: Vec<Row>,
}

impl BatchSpec {
    pub fn builder(&self) -> BatchBuilder {
        let mut builder = BatchBuilder::new().compression(self.codec);
        if let Some((id, epoch, sequence, transactional)) = self.producer {
            builder = builder.producer(id, epoch, sequence);
            if transactional {
                builder = builder.transactional();
            }
        }
        for row in &self.rows {
            let headers: Vec<(&[u8], Option<&[u8]>)> =
                row.headers.iter().map(|(key, value)| (key.as_slice(), value.as_deref())).collect();
            builder.push(row.timestamp, row.key.as_deref(), row.value.as_deref(), &headers);
        }
        builder
    }

    pub fn build(&self) -> Bytes {
        self.builder().build().unwrap()
    }

    pub fn valid(&self) -> ValidBatch {
        validate_produce(&self.build(), &LENIENT).unwrap()
    }
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..max), (any::<u8>(), 0..max).prop_map(|(byte, len)| vec![byte; len])]
}

fn row() -> impl Strategy<Value = Row> {
    let headers = vec((bytes(8), proptest::option::of(bytes(8))), 0..3);
    let parts = (0..2_000_000_000_000_i64, proptest::option::of(bytes(16)), proptest::option::of(bytes(80)), headers);
    parts.prop_map(|(timestamp, key, value, headers)| Row { timestamp, key, value, headers })
}

pub fn batch_with(codec: impl Strategy<Value = Compression>) -> impl Strategy<Value = BatchSpec> {
    let producer = proptest::option::of((0..i64::MAX, 0..i16::MAX, 0..i32::MAX, any::<bool>()));
    (codec, producer, vec(row(), 1..8)).prop_map(|(codec, producer, rows)| BatchSpec { codec, producer, rows })
}

pub fn batch() -> impl Strategy<Value = BatchSpec> {
    batch_with(proptest::sample::select(ALL_CODECS.to_vec()))
}

/// Cuts `whole` at the given places (taken modulo its length, so any numbers do); empty chunks occur.
pub fn cut(whole: &Bytes, places: &[usize]) -> Vec<Bytes> {
    let mut places: Vec<usize> = places.iter().map(|place| place % (whole.len() + 1)).collect();
    places.sort_unstable();
    places.push(whole.len());
    let mut start = 0;
    let mut chunks = Vec::new();
    for end in places {
        chunks.push(whole.slice(start..end));
        start = end;
    }
    chunks
}

pub fn concat(chunks: &[Bytes]) -> Vec<u8> {
    chunks.iter().flat_map(|chunk| chunk.iter().copied()).collect()
}

/// Replaces a header field's bytes and makes the CRC hold again, as a hostile but careful producer would.
pub fn forge(batch: &Bytes, at: usize, field: &[u8]) -> Bytes {
    let mut forged = batch.to_vec();
    forged[at..at + field.len()].copy_from_slice(field);
    let crc = crc32c::crc32c(&forged[21..]);
    forged[17..21].copy_from_slice(&crc.to_be_bytes());
    Bytes::from(forged)
}

/// A batch of one record, uncompressed.
pub fn small_batch() -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.push(1000, Some(b"k"), Some(b"v"), &[]);
    builder.build().unwrap()
}
