//! A batch that may enter a segment.
//!
//! Promises: it is one intact batch of magic 2 that keeps the rules of `validate`; its record bytes are shared, never
//! copied, also where its header had to be rewritten: then it is 61 new bytes and the old rest. Whatever rewrites a header
//! derives the new CRCs from the old one, so that no record byte is read a second time. Made by: `validate`,
//! `message_set`, `recompress`.

use bytes::Bytes;

use crate::header::{CRC_START, LOG_APPEND_TIME_BIT};
use crate::{BATCH_OVERHEAD, BatchError, BatchHeader, RecordIter, crc32c_combine};

/// One batch that kept all the rules, and what admission needs to know of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidBatch {
    /// Its header.
    pub header: BatchHeader,
    /// CRC32C of all its bytes, derived from `header.crc` without reading the records a second time.
    pub crc_of_all: u32,
    /// The batch as received, or a header of its own.
    head: Bytes,
    /// What follows `head`: nothing where `head` is the whole batch.
    rest: Bytes,
}

impl ValidBatch {
    /// `whole` must be a batch with this header; `crc_of_all` its CRC32C.
    pub(crate) fn of_whole(whole: Bytes, header: BatchHeader, crc_of_all: u32) -> Self {
        Self { header, crc_of_all, head: whole, rest: Bytes::new() }
    }

    /// Bytes of the whole batch.
    #[must_use]
    pub fn byte_len(&self) -> usize {
        self.head.len().saturating_add(self.rest.len())
    }

    /// Its bytes, in order: one slice of what was received, or a rewritten header and such a slice.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        [&self.head, &self.rest].into_iter().filter(|chunk| !chunk.is_empty())
    }

    /// As [`ValidBatch::chunks`].
    pub fn into_chunks(self) -> impl Iterator<Item = Bytes> {
        [self.head, self.rest].into_iter().filter(|chunk| !chunk.is_empty())
    }

    /// Its bytes in one piece; copies them only where the header was rewritten.
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        if self.rest.is_empty() { self.head.clone() } else { [self.head.as_ref(), self.rest.as_ref()].concat().into() }
    }

    /// What follows its header: the records, compressed or not.
    pub(crate) fn payload(&self) -> Bytes {
        if self.rest.is_empty() { self.head.slice(BATCH_OVERHEAD.min(self.head.len())..) } else { self.rest.clone() }
    }

    /// Its records, of which at most `max_decompressed` bytes are decompressed. Errors as of [`crate::records`].
    pub fn records(&self, max_decompressed: usize) -> Result<RecordIter, BatchError> {
        RecordIter::of_payload(&self.payload(), &self.header, max_decompressed)
    }

    /// The batch as a topic with `message.timestamp.type=LogAppendTime` keeps it: the type bit is set and the greatest
    /// timestamp is `time_ms`; base timestamp and record deltas stay (Kafka's `DefaultRecordBatch.setMaxTimestamp`). This is
    /// the only change ever made under a batch's CRC, and it is made before anything is stored (I-10).
    #[must_use]
    pub fn stamp_log_append_time(self, time_ms: i64) -> Self {
        let attributes = self.header.attributes | LOG_APPEND_TIME_BIT;
        self.with_header(|header| BatchHeader { attributes, max_timestamp: time_ms, ..*header })
    }

    /// The batch with the timestamps that its records bring, whatever its producer said.
    pub(crate) fn clear_log_append_time(self) -> Self {
        let attributes = self.header.attributes & !LOG_APPEND_TIME_BIT;
        self.with_header(|header| BatchHeader { attributes, ..*header })
    }

    /// The same records behind another header of the same length; CRCs are made to hold.
    fn with_header(self, change: impl FnOnce(&BatchHeader) -> BatchHeader) -> Self {
        let payload = self.payload();
        let payload_len = u64::try_from(payload.len()).unwrap_or(u64::MAX);
        let covered = |bytes: &[u8; BATCH_OVERHEAD]| crc32c::crc32c(bytes.get(CRC_START..).unwrap_or_default());
        // crc(header ++ payload) = shift(crc(header)) ^ crc(payload), and so the other way round.
        let payload_crc = crc32c_combine(covered(&self.header.encode()), self.header.crc, payload_len);
        let mut header = change(&self.header);
        header.crc = crc32c_combine(covered(&header.encode()), payload_crc, payload_len);
        let head = header.encode();
        let crc_of_all = crc32c_combine(crc32c::crc32c(&head), payload_crc, payload_len);
        Self { header, crc_of_all, head: Bytes::copy_from_slice(&head), rest: payload }
    }
}

/// The batch of `header` and what was written behind room for it: `batch` begins with [`BATCH_OVERHEAD`] bytes that are
/// overwritten. Length and CRC are filled in.
///
/// Errors: `TooLarge` if the length does not fit the 31 bits Kafka has for it.
pub(crate) fn seal(mut header: BatchHeader, mut batch: Vec<u8>) -> Result<ValidBatch, BatchError> {
    let total = batch.len();
    let too_large = || BatchError::too_large(format!("a batch of {total} bytes cannot be encoded"));
    let length = total.checked_sub(crate::header::LENGTH_END).and_then(|length| i32::try_from(length).ok());
    header.batch_length = length.ok_or_else(too_large)?;
    let payload = batch.get(BATCH_OVERHEAD..).unwrap_or_default();
    let (payload_crc, payload_len) = (crc32c::crc32c(payload), u64::try_from(payload.len()).unwrap_or(u64::MAX));
    let unsealed = header.encode();
    let covered = crc32c::crc32c(unsealed.get(CRC_START..).unwrap_or_default());
    header.crc = crc32c_combine(covered, payload_crc, payload_len);
    let head = header.encode();
    let crc_of_all = crc32c_combine(crc32c::crc32c(&head), payload_crc, payload_len);
    *batch.first_chunk_mut().ok_or_else(too_large)? = head;
    Ok(ValidBatch::of_whole(Bytes::from(batch), header, crc_of_all))
}
