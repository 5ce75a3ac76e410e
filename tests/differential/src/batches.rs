//! Record batches: made to be sent, and read back as fields that can be compared.
//!
//! Promises: what is described is every byte of a batch, the header by its fields and the records by their bytes. Used by
//! `requests` (to make) and `session` (to describe what a Fetch brought).

use bytes::Bytes;
use sluice_records::{BatchBuilder, Compression};

use crate::dump::Node;

/// Timestamp of the records made here, in milliseconds.
pub(crate) const TIMESTAMP_MS: i64 = 1_700_000_000_000;
/// Bytes in front of the records.
const HEADER_LEN: usize = 61;
const LOG_APPEND_TIME: i16 = 8;

/// One batch of these values, uncompressed, without keys or a producer.
pub(crate) fn batch(values: &[&str]) -> Bytes {
    build(BatchBuilder::new(), values)
}

/// As [`batch`], compressed.
pub(crate) fn compressed(codec: Compression, values: &[&str]) -> Bytes {
    build(BatchBuilder::new().compression(codec), values)
}

/// As [`batch`], of an idempotent producer.
pub(crate) fn batch_of(producer: (i64, i16), base_sequence: i32, values: &[&str]) -> Bytes {
    build(BatchBuilder::new().producer(producer.0, producer.1, base_sequence), values)
}

/// Puts the values into a batch, a second apart from [`TIMESTAMP_MS`] on.
pub(crate) fn build(mut builder: BatchBuilder, values: &[&str]) -> Bytes {
    let mut timestamp = TIMESTAMP_MS;
    for value in values {
        builder.push(timestamp, None, Some(value.as_bytes()), &[]);
        timestamp += 1_000;
    }
    builder.build().unwrap_or_default()
}

/// The batch with a byte of its header changed, and the CRC made to fit again.
pub(crate) fn with_byte(batch: &Bytes, at: usize, value: u8) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[at] = value;
    let crc = crc_of(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

/// The batch with these bytes from `at` on, and the CRC made to fit again.
pub(crate) fn with_bytes(batch: &Bytes, at: usize, value: &[u8]) -> Bytes {
    let mut bytes = batch.to_vec();
    bytes[at..at + value.len()].copy_from_slice(value);
    let crc = crc_of(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn crc_of(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// The batches in what a Fetch brought.
pub(crate) fn describe(fetched: &[u8]) -> Node {
    let (mut batches, mut left) = (Vec::new(), fetched);
    while let Some(length) = left.get(8..12).map(|b| be(b) as usize + 12) {
        match left.split_at_checked(length) {
            Some((batch, rest)) if batch.len() >= HEADER_LEN => {
                batches.push(describe_one(batch));
                left = rest;
            }
            _ => break,
        }
    }
    if !left.is_empty() {
        batches.push(Node::Leaf(format!("{} bytes of a batch that is not whole", left.len())));
    }
    Node::List(batches)
}

fn be(bytes: &[u8]) -> i64 {
    let sign = if bytes.first().is_some_and(|b| *b >= 0x80) { -1 } else { 0 };
    bytes.iter().fold(sign, |value, byte| value << 8 | i64::from(*byte))
}

fn describe_one(batch: &[u8]) -> Node {
    let number = |from: usize, to: usize| be(&batch[from..to]);
    let attributes = number(21, 23);
    let by_broker = attributes & i64::from(LOG_APPEND_TIME) != 0;
    let mut fields = vec![
        ("base_offset", number(0, 8).to_string()),
        ("batch_length", number(8, 12).to_string()),
        ("partition_leader_epoch", number(12, 16).to_string()),
        ("magic", number(16, 17).to_string()),
        ("attributes", attributes.to_string()),
        ("last_offset_delta", number(23, 27).to_string()),
        ("base_timestamp", number(27, 35).to_string()),
        ("max_timestamp", if by_broker { "‹time›".to_owned() } else { number(35, 43).to_string() }),
        ("producer_id", number(43, 51).to_string()),
        ("producer_epoch", number(51, 53).to_string()),
        ("base_sequence", number(53, 57).to_string()),
        ("record_count", number(57, 61).to_string()),
        ("records", short_hex(&batch[HEADER_LEN..])),
    ];
    let crc = number(17, 21) & 0xffff_ffff;
    let holds = crc == i64::from(crc_of(&batch[21..]));
    fields.push(("crc", if holds { "holds".to_owned() } else { "does not hold".to_owned() }));
    Node::Fields(fields.into_iter().map(|(name, value)| (name.to_owned(), Node::Leaf(value))).collect())
}

/// Bytes as text: all of a few, the digest of many.
pub(crate) fn short_hex(bytes: &[u8]) -> String {
    if bytes.len() > 200 {
        return format!("{} bytes, CRC32C {:08x}", bytes.len(), crc_of(bytes));
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
