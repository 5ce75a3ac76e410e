//! Batches out of records.
//!
//! Promises: what it builds passes [`crate::validate_produce`] unless it was told to break a rule (control bit, base
//! offset, LogAppendTime). Never does: serve clients' batches, which are stored as received. Called by: tests,
//! benches, and whoever must make a batch here (control batches).

use bytes::{BufMut, Bytes};

use crate::header::{CONTROL_BIT, CRC_START, LENGTH_END, LOG_APPEND_TIME_BIT, NO_PRODUCER, TRANSACTIONAL_BIT};
use crate::varint::write_varlong;
use crate::{BATCH_OVERHEAD, BatchError, BatchHeader, Compression, TimestampType};

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
        Self { compression: Compression::None, header: NO_PRODUCER, records: Vec::new(), first_timestamp: None }
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
        let mut body = Vec::new();
        let delta = timestamp.wrapping_sub(base);
        write_record_body(&mut body, delta, self.header.record_count, key, value, headers);
        write_framed(&mut self.records, &body);
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

/// Appends a record but for its length. Attributes are 0: Kafka defines none.
pub(crate) fn write_record_body(
    out: &mut Vec<u8>,
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: &[(&[u8], Option<&[u8]>)],
) {
    out.push(0);
    write_varlong(out, timestamp_delta);
    write_varlong(out, i64::from(offset_delta));
    write_nullable(out, key);
    write_nullable(out, value);
    write_len(out, headers.len());
    for (key, value) in headers {
        write_nullable(out, Some(key));
        write_nullable(out, *value);
    }
}

/// Appends a record's body behind its length.
pub(crate) fn write_framed(out: &mut Vec<u8>, body: &[u8]) {
    write_len(out, body.len());
    out.extend_from_slice(body);
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
