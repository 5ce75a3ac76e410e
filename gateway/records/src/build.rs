//! Batches out of records.
//!
//! Promises: what it builds passes [`crate::validate_produce`] unless it was told to break a rule (control bit, base
//! offset, LogAppendTime). Never does: serve clients' batches, which are stored as received. Called by: tests,
//! benches, and whoever must make a batch here (control batches).

use bytes::{BufMut, Bytes};

use crate::header::{CONTROL_BIT, CRC_START, LENGTH_END, LOG_APPEND_TIME_BIT, TRANSACTIONAL_BIT};
use crate::varint::write_varlong;
use crate::{BATCH_OVERHEAD, BatchError, BatchHeader, Compression, MAGIC_V2, TimestampType};

/// Builds one record batch of magic 2. Settings first (each returns the builder), then [`BatchBuilder::push`] per
/// record, then [`BatchBuilder::build`].
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    compression: Compression,
    header: BatchHeader,
    records: Vec<u8>,
    first_timestamp: Option<i64>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch: no compression, no producer, base offset 0, leader epoch −1, as producers send it.
    #[must_use]
    pub fn new() -> Self {
        let header = BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: -1,
            magic: MAGIC_V2,
            crc: 0,
            attributes: 0,
            last_offset_delta: -1,
            base_timestamp: -1,
            max_timestamp: -1,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            record_count: 0,
        };
        Self { compression: Compression::None, header, records: Vec::new(), first_timestamp: None }
    }

    /// Compresses the records.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Names the producer: id, epoch, and sequence number of the first record.
    #[must_use]
    pub fn producer(mut self, id: i64, epoch: i16, base_sequence: i32) -> Self {
        self.header.producer_id = id;
        self.header.producer_epoch = epoch;
        self.header.base_sequence = base_sequence;
        self
    }

    /// Marks the batch as part of a transaction.
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.header.attributes |= TRANSACTIONAL_BIT;
        self
    }

    /// Marks the batch as a control batch.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.header.attributes |= CONTROL_BIT;
        self
    }

    /// Says who set the timestamps.
    #[must_use]
    pub fn timestamp_type(mut self, timestamp_type: TimestampType) -> Self {
        match timestamp_type {
            TimestampType::CreateTime => self.header.attributes &= !LOG_APPEND_TIME_BIT,
            TimestampType::LogAppendTime => self.header.attributes |= LOG_APPEND_TIME_BIT,
        }
        self
    }

    /// Sets the base offset.
    #[must_use]
    pub fn base_offset(mut self, base_offset: i64) -> Self {
        self.header.base_offset = base_offset;
        self
    }

    /// Sets the partition leader epoch.
    #[must_use]
    pub fn leader_epoch(mut self, leader_epoch: i32) -> Self {
        self.header.partition_leader_epoch = leader_epoch;
        self
    }

    /// Appends a record with a timestamp in milliseconds, and gives it the next offset delta.
    pub fn push(
        &mut self,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&[u8], Option<&[u8]>)],
    ) {
        let base = *self.first_timestamp.get_or_insert(timestamp);
        let mut body = vec![0];
        write_varlong(&mut body, timestamp.wrapping_sub(base));
        write_varlong(&mut body, i64::from(self.header.record_count));
        write_nullable(&mut body, key);
        write_nullable(&mut body, value);
        write_len(&mut body, headers.len());
        for (key, value) in headers {
            write_nullable(&mut body, Some(key));
            write_nullable(&mut body, *value);
        }
        write_len(&mut self.records, body.len());
        self.records.extend_from_slice(&body);
        self.header.last_offset_delta = self.header.record_count;
        self.header.record_count = self.header.record_count.saturating_add(1);
        self.header.base_timestamp = base;
        self.header.max_timestamp = self.header.max_timestamp.max(timestamp);
    }

    /// Records pushed so far.
    #[must_use]
    pub fn record_count(&self) -> i32 {
        self.header.record_count
    }

    /// The batch. May be called again, also after more records. Errors: `TooLarge` if its length does not fit the 31
    /// bits Kafka has for it.
    pub fn build(&self) -> Result<Bytes, BatchError> {
        let packed;
        let payload = if self.compression == Compression::None {
            &self.records
        } else {
            packed = self.compression.compress(&self.records)?;
            &packed
        };
        let total = BATCH_OVERHEAD.saturating_add(payload.len());
        let mut header = self.header;
        header.attributes |= self.compression.code();
        header.batch_length = i32::try_from(total.saturating_sub(LENGTH_END))
            .map_err(|_| BatchError::too_large(format!("a batch of {total} bytes cannot be encoded")))?;
        let unsealed = header.encode();
        let covered = unsealed.get(CRC_START..).unwrap_or_default();
        header.crc = crc32c::crc32c_append(crc32c::crc32c(covered), payload);
        let mut batch = Vec::with_capacity(total);
        batch.put_slice(&header.encode());
        batch.put_slice(payload);
        Ok(Bytes::from(batch))
    }
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => write_varlong(out, -1),
        Some(bytes) => {
            write_len(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

fn write_len(out: &mut Vec<u8>, len: usize) {
    // Slices are never longer than isize::MAX.
    write_varlong(out, i64::try_from(len).unwrap_or(i64::MAX));
}
