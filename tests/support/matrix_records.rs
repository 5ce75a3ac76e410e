//! The records of the client matrix, and the digests of what a client reads, field by field.
//!
//! Promises: the same digests, byte for byte, as the programs of `tests/clients/matrix` make (its README says how).
//! Called by the program `client_matrix` and by the one of librdkafka.

use std::collections::BTreeMap;

use sha2::{Digest as _, Sha256};

use crate::workload::{self, Record};

/// The fields that are told apart: key, value, headers, timestamp; key and value also with the empty
/// counted as null, for clients that cannot tell the two apart.
pub const KINDS: [char; 6] = ['k', 'e', 'v', 'w', 'h', 't'];

/// The digests of a topic.
#[derive(Debug, Default, Clone)]
pub struct Fields {
    /// Records added so far.
    pub count: u64,
    digests: BTreeMap<i32, [Sha256; 6]>,
}

impl Fields {
    /// Adds the record found at an offset of a partition; those of one partition come in order.
    pub fn add(&mut self, partition: i32, offset: i64, record: &Record) {
        self.count += 1;
        let [key, key_or_null, value, value_or_null, headers, timestamp] = self.digests.entry(partition).or_default();
        for digest in [&mut *key, key_or_null, value, value_or_null, headers, timestamp] {
            digest.update(partition.to_be_bytes());
            digest.update(offset.to_be_bytes());
        }
        add_bytes(key, record.key.as_deref());
        add_bytes(key_or_null, record.key.as_deref().filter(|key| !key.is_empty()));
        add_bytes(value, record.value.as_deref());
        add_bytes(value_or_null, record.value.as_deref().filter(|value| !value.is_empty()));
        headers.update(length(record.headers.len()));
        for (name, content) in &record.headers {
            add_bytes(headers, Some(name.as_bytes()));
            add_bytes(headers, Some(content));
        }
        timestamp.update(record.timestamp.to_be_bytes());
    }

    /// Each field's digest.
    #[must_use]
    pub fn digests(&self) -> BTreeMap<char, String> {
        let of = |at: usize| {
            let mut whole = Sha256::new();
            self.digests.values().for_each(|partition| whole.update(partition[at].clone().finalize()));
            whole.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect()
        };
        KINDS.into_iter().enumerate().map(|(at, kind)| (kind, of(at))).collect()
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

/// What a client can say of a record that it writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Everything: the workload's record.
    Full,
    /// Text for key and value, at a time that the client takes from its clock; the header `origin`, where it can.
    Text {
        /// Whether it can.
        headers: bool,
    },
}

impl Shape {
    fn record(self, seed: u64, index: u64) -> Record {
        let Self::Text { headers } = self else { return workload::record(seed, index) };
        let hex: String = Sha256::digest(format!("{seed}/{index}")).iter().map(|b| format!("{b:02x}")).collect();
        let times = usize::try_from(1 + index % 7).unwrap();
        let origin = ("origin".to_owned(), b"matrix".to_vec());
        Record {
            key: Some(format!("key-{}", index % 50).into_bytes()),
            value: Some(hex.repeat(times).into_bytes()),
            headers: if headers { vec![origin] } else { Vec::new() },
            timestamp: 0,
        }
    }

    /// The digests of a topic with `records` records of `seed`, record i in partition i modulo `partitions`, from offset
    /// 0; without that of the timestamp, where it cannot be known.
    #[must_use]
    pub fn expected(self, seed: u64, records: u64, partitions: u64) -> BTreeMap<char, String> {
        let mut fields = Fields::default();
        for partition in 0..partitions {
            for (offset, index) in (partition..records).step_by(usize::try_from(partitions).unwrap()).enumerate() {
                let (partition, offset) = (i32::try_from(partition).unwrap(), i64::try_from(offset).unwrap());
                fields.add(partition, offset, &self.record(seed, index));
            }
        }
        let mut digests = fields.digests();
        if self != Self::Full {
            digests.remove(&'t');
        }
        digests
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_tell_every_field_apart() {
        let record = || Record {
            key: Some(b"k".to_vec()),
            value: None,
            headers: vec![("h".to_owned(), b"1".to_vec())],
            timestamp: 5,
        };
        let digests = |records: &[Record]| {
            let mut fields = Fields::default();
            (0..).zip(records).for_each(|(offset, record)| fields.add(0, offset, record));
            fields.digests()
        };
        let before = digests(&[record()]);
        let changed = |change: fn(&mut Record)| {
            let mut other = record();
            change(&mut other);
            let after = digests(&[other]);
            KINDS.into_iter().filter(|kind| before[kind] != after[kind]).collect::<String>()
        };
        assert_eq!(changed(|r| r.key = Some(b"l".to_vec())), "ke");
        assert_eq!(changed(|r| r.value = Some(Vec::new())), "v");
        assert_eq!(changed(|r| r.value = Some(b"v".to_vec())), "vw");
        assert_eq!(changed(|r| r.headers[0].1 = b"2".to_vec()), "h");
        assert_eq!(changed(|r| r.headers.clear()), "h");
        assert_eq!(changed(|r| r.timestamp = 6), "t");
        assert_ne!(before[&'k'], digests(&[record(), record()])[&'k']);
        let (mut none, mut empty) = (record(), record());
        none.key = None;
        empty.key = Some(Vec::new());
        let (none, empty) = (digests(&[none]), digests(&[empty]));
        assert!(none[&'k'] != empty[&'k'] && none[&'e'] == empty[&'e']);
    }
}
