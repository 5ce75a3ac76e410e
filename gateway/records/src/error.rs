//! Why a batch or a segment is refused.
//!
//! Promises: one variant per Kafka error a batch can earn, each with a sentence saying what was wrong. The sentence
//! never quotes record contents. Never maps to a wire code: `server/errors` does (I-15).

use std::borrow::Cow;
use std::fmt;

use crate::limits;

/// A sentence for people; borrowed where nothing in it varies.
pub(crate) type Reason = Cow<'static, str>;

/// One record that is refused, and why (KIP-467).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError {
    /// Its index in the batch, from 0.
    pub batch_index: i32,
    /// What is wrong with it.
    pub message: String,
}

/// The records of a batch that are refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordErrors {
    /// In order; the first [`crate::limits::RECORD_ERRORS_MAX`] of them.
    pub errors: Vec<RecordError>,
    /// How many there are.
    pub refused: usize,
}

impl RecordErrors {
    /// The same is wrong with all records of a batch.
    pub(crate) fn of_all(record_count: i32, message: &str) -> Self {
        let named = record_count.min(i32::try_from(limits::RECORD_ERRORS_MAX).unwrap_or(i32::MAX));
        let error = |batch_index| RecordError { batch_index, message: message.to_owned() };
        Self { errors: (0..named).map(error).collect(), refused: usize::try_from(record_count).unwrap_or(0) }
    }
}

impl fmt::Display for RecordErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} records of the batch are refused", self.refused)?;
        self.errors.iter().take(3).try_for_each(|e| write!(f, "; record {}: {}", e.batch_index, e.message))
    }
}

/// Why a record batch is refused. Each variant stands for exactly one Kafka error.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// MESSAGE_TOO_LARGE (10): over `message.max.bytes`, or over the bound given for decompression.
    #[error("{0}")]
    TooLarge(Reason),
    /// CORRUPT_MESSAGE (2): CRC, length, or magic cannot be right; stored bytes do not match their extent.
    #[error("{0}")]
    Corrupt(Reason),
    /// CORRUPT_MESSAGE (2): the length or the magic is one that no batch has, which Kafka says in words.
    #[error("{0}")]
    NotABatch(Reason),
    /// INVALID_RECORD (87): intact as bytes, against the rules as a batch.
    #[error("{0}")]
    InvalidRecord(Reason),
    /// INVALID_RECORD (87): the request does not hold exactly one batch, so that no log ever looks at it.
    #[error("{0}")]
    NotOneBatch(Reason),
    /// INVALID_RECORD (87), because of these records.
    #[error("{0}")]
    InvalidRecords(RecordErrors),
    /// INVALID_TIMESTAMP (32), because of these records (and others, with other faults).
    #[error("{0}")]
    InvalidTimestamps(RecordErrors),
    /// UNSUPPORTED_FOR_MESSAGE_FORMAT (43): magic 0 or 1 where only record batches of magic 2 are taken.
    #[error("{0}")]
    UnsupportedMagic(Reason),
    /// UNSUPPORTED_COMPRESSION_TYPE (76): zstd in a request too old for it, or a codec nobody defined.
    #[error("{0}")]
    UnsupportedCompression(Reason),
    /// INVALID_TIMESTAMP (32): the producer claims broker time (LogAppendTime), or a time out of range.
    #[error("{0}")]
    InvalidTimestamp(Reason),
}

impl BatchError {
    /// The records at fault, where they are known one by one.
    #[must_use]
    pub fn record_errors(&self) -> &[RecordError] {
        match self {
            Self::InvalidRecords(records) | Self::InvalidTimestamps(records) => &records.errors,
            _ => &[],
        }
    }

    /// Whether the partition's log refused the batch, having looked into it: Kafka then tells where the log starts. If not,
    /// the batch was found wanting before (no batch, damaged, too large, a format or codec that the request may not have).
    #[must_use]
    pub fn is_of_log(&self) -> bool {
        match self {
            Self::InvalidRecord(_)
            | Self::InvalidRecords(_)
            | Self::InvalidTimestamp(_)
            | Self::InvalidTimestamps(_) => true,
            Self::TooLarge(_)
            | Self::Corrupt(_)
            | Self::NotABatch(_)
            | Self::NotOneBatch(_)
            | Self::UnsupportedMagic(_)
            | Self::UnsupportedCompression(_) => false,
        }
    }

    pub(crate) fn too_large(reason: impl Into<Reason>) -> Self {
        Self::TooLarge(reason.into())
    }

    pub(crate) fn corrupt(reason: impl Into<Reason>) -> Self {
        Self::Corrupt(reason.into())
    }

    pub(crate) fn invalid_record(reason: impl Into<Reason>) -> Self {
        Self::InvalidRecord(reason.into())
    }
}

/// Why the bytes of a segment object cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The object does not end in the segment magic: it is something else, or was cut.
    #[error("not a segment: {0}")]
    NotASegment(Reason),
    /// The object says it has a version this build does not read.
    #[error("segment format version {0} is not known to this build, which reads version 1")]
    Version(u32),
    /// It is a segment of a known version, and its bytes contradict themselves.
    #[error("corrupt segment: {0}")]
    Corrupt(Reason),
}

impl SegmentError {
    pub(crate) fn corrupt(reason: impl Into<Reason>) -> Self {
        Self::Corrupt(reason.into())
    }
}
