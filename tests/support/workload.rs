//! The records that the client tests write, and the digest of what they read: `tests/clients/workload.py` in Rust.
//!
//! Record i of a seed depends on nothing but the two, so that any reader can say what it must find; values are of mixed
//! sizes (most under 200 bytes, some of 64 KiB, some empty, some null), as are keys and headers.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

/// Timestamp of record 0, in milliseconds; record i has i more.
pub const FIRST_TIMESTAMP_MS: i64 = 1_700_000_000_000;

/// One record, as written and as read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Its timestamp in milliseconds.
    pub timestamp: i64,
}

/// Record `index` of `seed`.
#[must_use]
pub fn record(seed: u64, index: u64) -> Record {
    let digest = Sha256::digest(format!("{seed}/{index}"));
    let draw = usize::from(u16::from_be_bytes([digest[0], digest[1]]));
    let size = match digest[2] {
        _ if index % 1000 == 999 => 0,
        ..230 => draw % 200,
        230..254 => draw % 4096,
        254.. => draw,
    };
    let key = match index {
        _ if index % 5 == 4 => None,
        _ if index % 211 == 7 => Some(Vec::new()),
        _ => Some(format!("key-{}", index % 1000).into_bytes()),
    };
    // Not every client sends a record that has neither.
    let is_tombstone = index % 97 == 13 && key.is_some();
    let value = (!is_tombstone).then(|| digest.iter().copied().cycle().take(size).collect());
    let count = usize::try_from(index % 3).unwrap_or(0);
    let headers = (0..count).map(|j| (format!("h{j}"), digest[j..j + 8].to_vec())).collect();
    Record { key, value, headers, timestamp: FIRST_TIMESTAMP_MS + i64::try_from(index).unwrap_or(i64::MAX) }
}

/// SHA-256 over the records of each partition in order, then over the partitions: records of different partitions may be
/// added in any order.
#[derive(Debug, Default, Clone)]
pub struct Digest(BTreeMap<i32, Sha256>);

impl Digest {
    /// Adds the record found at an offset of a partition.
    pub fn add(&mut self, partition: i32, offset: i64, record: &Record) {
        let into = self.0.entry(partition).or_default();
        into.update(partition.to_be_bytes());
        into.update(offset.to_be_bytes());
        into.update(record.timestamp.to_be_bytes());
        add_bytes(into, record.key.as_deref());
        add_bytes(into, record.value.as_deref());
        into.update(length(record.headers.len()));
        for (name, value) in &record.headers {
            add_bytes(into, Some(name.as_bytes()));
            add_bytes(into, Some(value));
        }
    }

    /// The digest as hexadecimal text.
    #[must_use]
    pub fn hex(&self) -> String {
        let mut whole = Sha256::new();
        for partition in self.0.values() {
            whole.update(partition.clone().finalize());
        }
        whole.finalize().iter().map(|b| format!("{b:02x}")).collect()
    }
}

fn add_bytes(into: &mut Sha256, bytes: Option<&[u8]>) {
    match bytes {
        None => into.update((-1i32).to_be_bytes()),
        Some(bytes) => {
            into.update(length(bytes.len()));
            into.update(bytes);
        }
    }
}

fn length(len: usize) -> [u8; 4] {
    i32::try_from(len).unwrap().to_be_bytes()
}

/// The digest of a topic that holds `records` records of `seed`, record i in partition i modulo `partitions`, from offset 0.
#[must_use]
pub fn expected_digest(seed: u64, records: u64, partitions: u64) -> String {
    let mut digest = Digest::default();
    for partition in 0..partitions {
        for (offset, index) in (partition..records).step_by(usize::try_from(partitions).unwrap()).enumerate() {
            digest.add(i32::try_from(partition).unwrap(), i64::try_from(offset).unwrap(), &record(seed, index));
        }
    }
    digest.hex()
}
