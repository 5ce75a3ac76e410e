//! The batches that are produced, built once, and the check that what comes back is them.
//!
//! Promises: no work per record once a load runs; a batch that is lost, repeated, reordered, damaged or delivered from
//! another partition is noticed.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use bytes::Bytes;
use sluice_records::{BATCH_OVERHEAD, BatchBuilder, BatchHeader};

/// Where the bytes under a batch's CRC begin.
const CRC_START: usize = 21;

/// One batch per partition, each with bytes of its own, all of one size.
#[derive(Debug)]
pub(crate) struct Batches {
    of_partition: Vec<(Bytes, BatchHeader)>,
    records: u32,
    value_bytes: u64,
}

impl Batches {
    /// Batches of as many records of `value_len` bytes as fit into `batch_bytes`, at least one.
    pub(crate) fn new(partitions: i32, batch_bytes: usize, value_len: usize) -> anyhow::Result<Self> {
        let now_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
        let mut of_partition = Vec::new();
        let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
        let mut records = 0;
        for _ in 0..partitions {
            let mut builder = BatchBuilder::new();
            let mut batch = Bytes::new();
            loop {
                let value: Vec<u8> = std::iter::repeat_with(|| next_byte(&mut noise)).take(value_len).collect();
                builder.push(now_ms, None, Some(&value), &[]);
                let larger = builder.build()?;
                if larger.len() > batch_bytes && !batch.is_empty() {
                    break;
                }
                batch = larger;
                if batch.len() > batch_bytes {
                    break;
                }
            }
            let header = BatchHeader::parse(&batch)?;
            records = header.dense_record_count().context("a batch without records")?;
            of_partition.push((batch, header));
        }
        let value_bytes = u64::from(records) * u64::try_from(value_len)?;
        Ok(Self { of_partition, records, value_bytes })
    }

    pub(crate) fn of(&self, partition: i32) -> anyhow::Result<&Bytes> {
        self.get(partition).map(|(batch, _)| batch)
    }

    /// Records in each batch.
    pub(crate) fn records(&self) -> u32 {
        self.records
    }

    /// Bytes of record values in each batch.
    pub(crate) fn value_bytes(&self) -> u64 {
        self.value_bytes
    }

    /// How many batches make up so many bytes of record values, rounded up.
    pub(crate) fn count_for(&self, value_bytes: u64) -> u64 {
        value_bytes.div_ceil(self.value_bytes.max(1))
    }

    /// Checks the whole batches at the front of a Fetch's bytes: each must be the partition's, undamaged, and begin where
    /// the one before ended. How many there were; a partial batch at the end is left out, as in Kafka.
    pub(crate) fn check(&self, partition: i32, mut bytes: &[u8], mut offset: i64) -> anyhow::Result<u64> {
        let (_, sent) = self.get(partition)?;
        let mut count = 0;
        while bytes.len() >= BATCH_OVERHEAD {
            let header = BatchHeader::parse(bytes)?;
            let Some((batch, rest)) = bytes.split_at_checked(header.total_len()) else { break };
            let place = || format!("partition {partition}, offset {offset}");
            ensure!(header.base_offset == offset, "{}: got a batch of offset {}", place(), header.base_offset);
            ensure!(
                header.crc == sent.crc && header.record_count == sent.record_count,
                "{}: not what was sent",
                place()
            );
            let covered = batch.get(CRC_START..).unwrap_or_default();
            ensure!(crc32c::crc32c(covered) == header.crc, "{}: the batch is damaged", place());
            offset += i64::from(self.records);
            count += 1;
            bytes = rest;
        }
        Ok(count)
    }

    fn get(&self, partition: i32) -> anyhow::Result<&(Bytes, BatchHeader)> {
        usize::try_from(partition)
            .ok()
            .and_then(|index| self.of_partition.get(index))
            .with_context(|| format!("no partition {partition}"))
    }
}

/// Bytes that do not compress, the same in every run (xorshift).
fn next_byte(noise: &mut u64) -> u8 {
    *noise ^= *noise << 13;
    *noise ^= *noise >> 7;
    *noise ^= *noise << 17;
    noise.to_le_bytes()[3]
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use sluice_records::{ProduceRules, TimestampType, validate_produce};

    use super::*;

    const KIB_128: usize = 128 << 10;

    /// What a Fetch at offset 0 gives of partition 1, twice its batch.
    fn fetched(batches: &Batches) -> BytesMut {
        let mut bytes = BytesMut::new();
        for base_offset in [0, i64::from(batches.records())] {
            let mut batch = BytesMut::from(batches.of(1).unwrap().as_ref());
            batch[..8].copy_from_slice(&base_offset.to_be_bytes());
            bytes.unsplit(batch);
        }
        bytes
    }

    #[test]
    fn batches_are_full_and_legal() {
        let batches = Batches::new(3, KIB_128, 1024).unwrap();
        let rules = ProduceRules {
            max_batch_bytes: KIB_128,
            timestamp_type: TimestampType::CreateTime,
            allow_zstd: false,
            exactly_one: true,
        };
        for partition in 0..3 {
            let batch = validate_produce(batches.of(partition).unwrap(), &rules).unwrap();
            assert!(batch.byte_len() + 1100 > KIB_128 && batches.records() == 126);
        }
        assert_eq!(batches.value_bytes(), 126 * 1024);
        assert_eq!(batches.count_for(126 * 1024 + 1), 2);
        assert_eq!(Batches::new(1, 0, 100).unwrap().records(), 1);
    }

    #[test]
    fn what_was_sent_passes_the_check() {
        let batches = Batches::new(2, 4096, 100).unwrap();
        let bytes = fetched(&batches);
        assert_eq!(batches.check(1, &bytes, 0).unwrap(), 2);
        assert_eq!(batches.check(1, &bytes[..bytes.len() - 1], 0).unwrap(), 1, "a partial batch is left out");
        assert_eq!(batches.check(1, &[], 7).unwrap(), 0);
    }

    #[test]
    fn lost_foreign_and_damaged_batches_are_noticed() {
        let batches = Batches::new(2, 4096, 100).unwrap();
        let bytes = fetched(&batches);
        let half = bytes.len() / 2;
        assert!(batches.check(1, &bytes[half..], 0).is_err(), "the first one is missing");
        assert!(batches.check(0, &bytes, 0).is_err(), "of another partition");
        let mut twice = bytes[..half].to_vec();
        twice.extend_from_slice(&bytes[..half]);
        assert!(batches.check(1, &twice, 0).is_err(), "the first one twice");
        let mut damaged = bytes;
        damaged[half - 1] ^= 1;
        assert!(batches.check(1, &damaged, 0).is_err(), "a flipped bit");
    }
}
