//! Record batches for raw produces, good and bad.

use bytes::Bytes;
use sluice_records::{BatchBuilder, records};

/// Timestamp of every record made here, in milliseconds.
pub const TIMESTAMP_MS: i64 = 1_700_000_000_000;

/// One batch of these values, without keys, uncompressed, without a producer.
#[must_use]
pub fn batch(values: &[&[u8]]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.push(TIMESTAMP_MS, None, Some(value), &[]);
    }
    builder.build().unwrap()
}

/// As [`batch`], of an idempotent producer at a sequence number.
#[must_use]
pub fn batch_of(producer_id: i64, base_sequence: i32, values: &[&[u8]]) -> Bytes {
    let mut builder = BatchBuilder::new().producer(producer_id, 0, base_sequence);
    for value in values {
        builder.push(TIMESTAMP_MS, None, Some(value), &[]);
    }
    builder.build().unwrap()
}

/// The values in the batches that a Fetch returned, in order.
///
/// # Panics
/// When they are not whole batches.
#[must_use]
pub fn values(fetched: &Bytes) -> Vec<Vec<u8>> {
    let mut left = fetched.clone();
    let mut values = Vec::new();
    while !left.is_empty() {
        let length = u32::from_be_bytes(left[8..12].try_into().unwrap());
        let one = left.split_to(12 + usize::try_from(length).unwrap());
        for record in records(&one, 1 << 26).unwrap() {
            values.push(record.unwrap().value.map(|v| v.to_vec()).unwrap_or_default());
        }
    }
    values
}
