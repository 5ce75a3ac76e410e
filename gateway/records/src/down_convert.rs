//! Stored batches into message sets of magic 0 and 1, for Fetch 0–3.
//!
//! Promises: what Kafka 2.8 answers (`RecordsUtil.downConvert`): an uncompressed batch becomes a message per record, a
//! compressed one a wrapper with the same codec; offsets and timestamps stay, headers of records are dropped, control
//! batches are left out. Memory: what one batch decompresses to (bounded by the caller), and the answer: at most five times
//! the bytes of its records, which is what the smallest record grows by. Never does: check CRCs (`patch` does). Called by:
//! `engine/fetch`.

use bytes::Bytes;

use crate::check::NO_TIMESTAMP;
use crate::compression::Encoder;
use crate::message::MessageHead;
use crate::rope::RopeCursor;
use crate::{BATCH_OVERHEAD, BatchError, BatchHeader, Compression, MessageFormat, Record, RecordIter};

/// What is to become of stored batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DownPlan {
    /// The format to write.
    pub format: MessageFormat,
    /// Records of uncompressed batches before this offset are left out; wrappers stay whole, as in Kafka.
    pub from_offset: i64,
    /// Bytes to write at most.
    pub max_bytes: usize,
    /// Whether the first batch is converted even if it alone takes more than `max_bytes` (KIP-74).
    pub first_whole: bool,
    /// Bytes that a batch may decompress to.
    pub max_decompressed: usize,
}

/// What [`down_convert`] wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DownConverted {
    /// A message set. Empty if there was nothing but control batches.
    pub bytes: Bytes,
    /// Whether every batch is in it; if not, the next one did not fit, or cannot be converted and will be told of when it
    /// comes first.
    pub reached_end: bool,
}

/// Converts the batches of `rope`, whole ones with true offsets, as [`crate::take_batches`] hands them out; chunk borders
/// may fall anywhere.
///
/// Errors, all about the first batch that would have been converted: `UnsupportedCompression` for zstd, which no reader of
/// message sets knows; `TooLarge` if it decompresses to more than allowed; `Corrupt` if it is no batch, or cannot be read.
pub fn down_convert(rope: &[Bytes], plan: &DownPlan) -> Result<DownConverted, BatchError> {
    let mut cursor =
        RopeCursor::new(rope).ok_or_else(|| BatchError::corrupt("the rope is longer than memory can be"))?;
    let mut out = Vec::new();
    while cursor.remaining() > 0 {
        let start = out.len();
        let converted = next_batch(&mut cursor).and_then(|(header, payload)| {
            if header.is_control() { Ok(()) } else { convert(&header, &payload, plan, &mut out) }
        });
        match converted {
            Err(error) if start == 0 => return Err(error),
            Ok(()) if out.len() <= plan.max_bytes || (start == 0 && plan.first_whole) => continue,
            Ok(()) | Err(_) => {}
        }
        out.truncate(start);
        return Ok(DownConverted { bytes: Bytes::from(out), reached_end: false });
    }
    Ok(DownConverted { bytes: Bytes::from(out), reached_end: true })
}

/// Takes the header and the payload of the next batch off the rope; the payload is copied only where it spans chunks.
fn next_batch(cursor: &mut RopeCursor<'_>) -> Result<(BatchHeader, Bytes), BatchError> {
    let cut = || BatchError::corrupt("the rope ends inside a batch");
    let header: [u8; BATCH_OVERHEAD] = cursor.peek().ok_or_else(cut)?;
    let header = BatchHeader::parse(&header)?;
    let payload_len = header.total_len().checked_sub(BATCH_OVERHEAD).ok_or_else(cut)?;
    cursor.advance(BATCH_OVERHEAD, |_, _| {}).ok_or_else(cut)?;
    let mut pieces = Vec::new();
    cursor.advance(payload_len, |chunk, range| pieces.push(chunk.slice(range))).ok_or_else(cut)?;
    let payload = if pieces.len() > 1 { Bytes::from(pieces.concat()) } else { pieces.pop().unwrap_or_default() };
    Ok((header, payload))
}

fn convert(header: &BatchHeader, payload: &Bytes, plan: &DownPlan, out: &mut Vec<u8>) -> Result<(), BatchError> {
    let codec = header.compression()?;
    if codec == Compression::Zstd {
        return Err(BatchError::UnsupportedCompression("zstd cannot be told to a reader of message sets".into()));
    }
    let records = RecordIter::of_payload(payload, header, plan.max_decompressed).map_err(unreadable)?;
    if codec == Compression::None {
        return convert_plain(header, records, plan, out);
    }
    out.extend_from_slice(&convert_wrapper(header, codec, records, plan)?);
    Ok(())
}

/// What was admitted unread, and turns out to be no records.
fn unreadable(error: BatchError) -> BatchError {
    match error {
        BatchError::InvalidRecord(reason) => BatchError::Corrupt(reason),
        other => other,
    }
}

/// Offsets and timestamps of a batch's records, one after the other.
struct Places<'a> {
    header: &'a BatchHeader,
    next_delta: i32,
}

impl Places<'_> {
    /// Errors: `Corrupt` if the offset is outside the batch or not above the one before.
    fn of(&mut self, record: &Record) -> Result<(i64, i64), BatchError> {
        let delta = record.offset_delta;
        if !(self.next_delta..=self.header.last_offset_delta).contains(&delta) {
            return Err(BatchError::corrupt(format!("a record claims the offset delta {delta} out of turn")));
        }
        self.next_delta = delta.saturating_add(1);
        Ok((self.header.base_offset.saturating_add(i64::from(delta)), record.timestamp(self.header)))
    }
}

fn convert_plain(
    header: &BatchHeader,
    records: RecordIter,
    plan: &DownPlan,
    out: &mut Vec<u8>,
) -> Result<(), BatchError> {
    let mut places = Places { header, next_delta: 0 };
    for record in records {
        let record = record.map_err(unreadable)?;
        let (offset, timestamp) = places.of(&record)?;
        if offset >= plan.from_offset {
            let head = MessageHead {
                format: plan.format,
                offset,
                compression: Compression::None,
                timestamp_type: header.timestamp_type(),
                timestamp,
            };
            head.write(out, record.key.as_deref(), record.value.as_deref())?;
        }
    }
    Ok(())
}

/// A wrapper with all records of the batch; nothing, if it has none.
fn convert_wrapper(
    header: &BatchHeader,
    codec: Compression,
    records: RecordIter,
    plan: &DownPlan,
) -> Result<Vec<u8>, BatchError> {
    let mut head = MessageHead {
        format: plan.format,
        offset: -1,
        compression: codec,
        timestamp_type: header.timestamp_type(),
        timestamp: NO_TIMESTAMP,
    };
    let mut out = Vec::new();
    head.open_wrapper(&mut out);
    let mut encoder = Encoder::new(codec, None, out);
    if plan.format == MessageFormat::V0 {
        encoder = encoder.with_old_lz4_header();
    }
    let mut places = Places { header, next_delta: 0 };
    let mut first = None;
    let mut message = Vec::new();
    for record in records {
        let record = record.map_err(unreadable)?;
        let (offset, timestamp) = places.of(&record)?;
        head.offset = offset;
        head.timestamp = head.timestamp.max(timestamp);
        // Inside a wrapper, magic 1 counts from the first record (KIP-31).
        let first = *first.get_or_insert(offset);
        let written = match plan.format {
            MessageFormat::V0 => offset,
            MessageFormat::V1 => offset.saturating_sub(first),
        };
        message.clear();
        MessageHead { offset: written, compression: Compression::None, timestamp, ..head }.write(
            &mut message,
            record.key.as_deref(),
            record.value.as_deref(),
        )?;
        encoder.write(&message)?;
    }
    let mut out = encoder.finish()?;
    if first.is_none() {
        return Ok(Vec::new());
    }
    head.close_wrapper(&mut out)?;
    Ok(out)
}

#[cfg(test)]
mod tests;
