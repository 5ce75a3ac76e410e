//! The 61 bytes in front of every record batch of magic 2.
//!
//! Promises: [`BatchHeader::parse`] reads exactly Kafka's layout (all big-endian) and refuses what cannot be a
//! batch; [`BatchHeader::encode`] is its inverse. Never does: check the CRC or the rules for producers (`validate`).
//! Called by: every other module of this crate.
//!
//! | at | bytes | field |
//! |-|-|-|
//! | 0 | 8 | base offset |
//! | 8 | 4 | batch length: bytes after this field |
//! | 12 | 4 | partition leader epoch |
//! | 16 | 1 | magic = 2 |
//! | 17 | 4 | CRC32C of bytes 21.. |
//! | 21 | 2 | attributes: 0–2 compression, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon |
//! | 23 | 4 | last offset delta |
//! | 27 | 8 | base timestamp, ms |
//! | 35 | 8 | max timestamp, ms |
//! | 43 | 8 | producer id, −1 for none |
//! | 51 | 2 | producer epoch |
//! | 53 | 4 | base sequence |
//! | 57 | 4 | record count |

use bytes::{Buf, BufMut};

use crate::{BatchError, Compression};

/// Bytes of a batch's header; an empty batch of magic 2 has this size.
pub const BATCH_OVERHEAD: usize = 61;

/// The magic of record batches, the only format that is stored.
pub const MAGIC_V2: i8 = 2;

/// Bytes in front of what `batch_length` counts: base offset and the length itself.
pub(crate) const LENGTH_END: usize = 12;

/// Where the CRC's coverage starts.
pub(crate) const CRC_START: usize = 21;

/// Where the magic byte is, in every format Kafka ever had.
pub(crate) const MAGIC_AT: usize = 16;

/// The smallest `batch_length` a batch of magic 2 can have.
const MIN_BATCH_LENGTH: i32 = 49;

const COMPRESSION_MASK: i16 = 0x07;
pub(crate) const LOG_APPEND_TIME_BIT: i16 = 0x08;
pub(crate) const TRANSACTIONAL_BIT: i16 = 0x10;
pub(crate) const CONTROL_BIT: i16 = 0x20;

/// Who set a batch's timestamps (KIP-32).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer, per record.
    CreateTime,
    /// The broker, one for the whole batch: `max_timestamp`.
    LogAppendTime,
}

/// A batch's fixed header, every field as on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes of the batch after this field; never under 49 after [`BatchHeader::parse`].
    pub batch_length: i32,
    /// Leader epoch stamped by the broker.
    pub partition_leader_epoch: i32,
    /// Format version: 2 after [`BatchHeader::parse`].
    pub magic: i8,
    /// CRC32C of the bytes from the attributes on.
    pub crc: u32,
    /// Flag bits; see the module's table.
    pub attributes: i16,
    /// Offset of the last record minus `base_offset`.
    pub last_offset_delta: i32,
    /// Milliseconds since 1970 that record deltas are added to.
    pub base_timestamp: i64,
    /// Greatest timestamp of the batch in milliseconds, as its writer claims.
    pub max_timestamp: i64,
    /// Producer id; negative for none.
    pub producer_id: i64,
    /// Producer epoch; −1 without a producer.
    pub producer_epoch: i16,
    /// Sequence number of the first record; −1 without a producer.
    pub base_sequence: i32,
    /// Records in the batch.
    pub record_count: i32,
}

/// The header of a batch that has no producer and no records yet: what a producer without idempotence begins with.
pub(crate) const NO_PRODUCER: BatchHeader = BatchHeader {
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

impl BatchHeader {
    /// Reads the header at the start of `bytes`, which may go on past the batch or end before it does.
    ///
    /// Errors: `UnsupportedMagic` for magic 0 and 1; `Corrupt` for another magic, fewer than 61 bytes, or a batch
    /// length under 49 (negative ones included).
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchError> {
        let magic = bytes.get(MAGIC_AT).ok_or_else(|| too_short(bytes.len()))?;
        check_magic(i8::from_be_bytes([*magic]))?;
        let fixed: &[u8; BATCH_OVERHEAD] = bytes.first_chunk().ok_or_else(|| too_short(bytes.len()))?;
        let header = Self::read(fixed);
        if header.batch_length < MIN_BATCH_LENGTH {
            return Err(BatchError::corrupt(format!(
                "batch length {} is below the {MIN_BATCH_LENGTH} bytes of a batch without records",
                header.batch_length
            )));
        }
        Ok(header)
    }

    fn read(fixed: &[u8; BATCH_OVERHEAD]) -> Self {
        // The reads below take exactly 61 bytes, so none of them can run short.
        let mut wire: &[u8] = fixed;
        Self {
            base_offset: wire.get_i64(),
            batch_length: wire.get_i32(),
            partition_leader_epoch: wire.get_i32(),
            magic: wire.get_i8(),
            crc: wire.get_u32(),
            attributes: wire.get_i16(),
            last_offset_delta: wire.get_i32(),
            base_timestamp: wire.get_i64(),
            max_timestamp: wire.get_i64(),
            producer_id: wire.get_i64(),
            producer_epoch: wire.get_i16(),
            base_sequence: wire.get_i32(),
            record_count: wire.get_i32(),
        }
    }

    /// The 61 bytes of this header; [`BatchHeader::parse`] gives it back.
    #[must_use]
    pub fn encode(&self) -> [u8; BATCH_OVERHEAD] {
        let mut out = [0; BATCH_OVERHEAD];
        let mut rest: &mut [u8] = &mut out;
        // The writes add up to exactly 61 bytes.
        rest.put_i64(self.base_offset);
        rest.put_i32(self.batch_length);
        rest.put_i32(self.partition_leader_epoch);
        rest.put_i8(self.magic);
        rest.put_u32(self.crc);
        rest.put_i16(self.attributes);
        rest.put_i32(self.last_offset_delta);
        rest.put_i64(self.base_timestamp);
        rest.put_i64(self.max_timestamp);
        rest.put_i64(self.producer_id);
        rest.put_i16(self.producer_epoch);
        rest.put_i32(self.base_sequence);
        rest.put_i32(self.record_count);
        out
    }

    /// Bytes of the whole batch: 12 + `batch_length`. A negative length counts as 0.
    #[must_use]
    pub fn total_len(&self) -> usize {
        usize::try_from(self.batch_length).unwrap_or(0).saturating_add(LENGTH_END)
    }

    /// The codec of the records. Errors: `UnsupportedCompression` for codes 5, 6 and 7, which nobody defined.
    pub fn compression(&self) -> Result<Compression, BatchError> {
        let code = self.attributes & COMPRESSION_MASK;
        Compression::from_code(code)
            .ok_or_else(|| BatchError::UnsupportedCompression(format!("compression code {code} is not defined").into()))
    }

    /// Who set the timestamps (bit 3).
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        match self.attributes & LOG_APPEND_TIME_BIT {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    /// Whether the batch is part of a transaction (bit 4, KIP-98).
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL_BIT != 0
    }

    /// Whether the batch holds a transaction marker rather than records of a client (bit 5, KIP-98).
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL_BIT != 0
    }

    /// Whether the batch names a producer: a non-negative id, as in Kafka.
    #[must_use]
    pub fn has_producer(&self) -> bool {
        self.producer_id >= 0
    }

    /// Sequence number of the last record: (base + last offset delta) modulo 2^31, as Kafka wraps it; −1 when the
    /// batch has no sequence.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        if self.base_sequence < 0 {
            return -1;
        }
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// `record_count` as a count, if it is positive and equal to `last_offset_delta` + 1: a batch without gaps.
    #[must_use]
    pub fn dense_record_count(&self) -> Option<u32> {
        let dense = self.record_count > 0 && self.last_offset_delta.checked_add(1) == Some(self.record_count);
        dense.then_some(u32::try_from(self.record_count).ok()).flatten()
    }
}

/// Magic 2 is fine; 0 and 1 are Kafka's message sets; nothing else was ever defined.
pub(crate) fn check_magic(magic: i8) -> Result<(), BatchError> {
    match magic {
        MAGIC_V2 => Ok(()),
        0 | 1 => Err(BatchError::UnsupportedMagic(
            format!("message format v{magic} is not supported here: record batches of magic 2 are").into(),
        )),
        unknown => Err(BatchError::corrupt(format!("magic {unknown} is not a message format"))),
    }
}

fn too_short(len: usize) -> BatchError {
    BatchError::corrupt(format!("{len} bytes are fewer than the {BATCH_OVERHEAD} of a batch header"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]
    use super::*;

    fn header() -> BatchHeader {
        BatchHeader {
            base_offset: 0x0102_0304_0506_0708,
            batch_length: 49,
            partition_leader_epoch: -1,
            magic: 2,
            crc: 0xdead_beef,
            attributes: 0,
            last_offset_delta: 9,
            base_timestamp: -1,
            max_timestamp: i64::MAX,
            producer_id: 77,
            producer_epoch: 3,
            base_sequence: 5,
            record_count: 10,
        }
    }

    #[test]
    fn encoding_and_parsing_are_inverse() {
        assert_eq!(BatchHeader::parse(&header().encode()).unwrap(), header());
    }

    #[test]
    fn last_sequence_wraps_at_two_to_the_31() {
        let mut wrapping = header();
        wrapping.base_sequence = i32::MAX - 2;
        wrapping.last_offset_delta = 5;
        assert_eq!(wrapping.last_sequence(), 2);
        wrapping.base_sequence = i32::MAX;
        wrapping.last_offset_delta = 0;
        assert_eq!(wrapping.last_sequence(), i32::MAX);
        wrapping.last_offset_delta = 1;
        assert_eq!(wrapping.last_sequence(), 0);
        wrapping.base_sequence = -1;
        assert_eq!(wrapping.last_sequence(), -1);
    }

    #[test]
    fn attribute_bits_are_where_kafka_has_them() {
        let with = |attributes| BatchHeader { attributes, ..header() };
        assert_eq!(with(4).compression().unwrap(), Compression::Zstd);
        assert!(matches!(with(5).compression(), Err(BatchError::UnsupportedCompression(_))));
        assert_eq!(with(8).timestamp_type(), TimestampType::LogAppendTime);
        assert!(with(16).is_transactional() && !with(16).is_control());
        assert!(with(32).is_control() && !with(32).is_transactional());
        // Bits 6 and above are nobody's business here (Kafka ignores them too).
        assert_eq!(with(!0x3f).compression().unwrap(), Compression::None);
    }

    /// Known issue 1: a produce that panics on a batch length (I-09).
    #[test]
    fn impossible_batch_lengths_are_corrupt_and_never_panic() {
        for batch_length in [i32::MIN, -13, -12, -1, 0, 1, 12, 13, 14, 48] {
            let wrong = BatchHeader { batch_length, ..header() };
            assert!(matches!(BatchHeader::parse(&wrong.encode()), Err(BatchError::Corrupt(_))), "{batch_length}");
            assert!(wrong.total_len() >= 12);
        }
        let largest = BatchHeader { batch_length: i32::MAX, ..header() };
        assert_eq!(BatchHeader::parse(&largest.encode()).unwrap().total_len(), 2_147_483_659);
    }
}
