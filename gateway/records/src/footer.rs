//! Footer and trailer of a segment: their layouts, and reading them.
//!
//! Promises: what is read back is what was written, or an error: both CRCs are checked, every count is held against
//! the bytes that are left before memory is taken for it (I-09), and the runs must tile the data exactly. Never does:
//! read batch bytes. Called by: `segment` (writing), `sluice inspect`, sweep, rebuild (reading).
//!
//! All integers are little-endian. A segment is data, footer, trailer.
//!
//! Footer, version 1:
//!
//! | bytes | field |
//! |-|-|
//! | 4 | run count, u32 |
//! | 36 + 31 per batch | per run, ascending by (topic id, partition) without repeats: |
//! | · 16 | topic id |
//! | · 4 | partition, i32 |
//! | · 8 | start in the object, u64: 0 for the first run, the end of the run before for the others |
//! | · 8 | length, u64: the sum over its batches |
//! | · 4 | batch count, u32, at least 1 |
//! | · 31 | per batch, in order: |
//! | · · 4 | records, u32, at least 1 |
//! | · · 4 | bytes, u32, at least 61 |
//! | · · 8 | producer id, i64, −1 for none |
//! | · · 2 | producer epoch, i16 |
//! | · · 4 | base sequence, i32 |
//! | · · 8 | max timestamp, i64, milliseconds |
//! | · · 1 | flags: bit 0 transactional; the others are 0 |
//!
//! Trailer, the last 36 bytes of the object:
//!
//! | at | bytes | field |
//! |-|-|-|
//! | 0 | 8 | footer start = bytes of data, u64 |
//! | 8 | 8 | footer length, u64 |
//! | 16 | 4 | CRC32C of the footer, u32 |
//! | 20 | 4 | CRC32C of the trailer's first 20 bytes, u32 |
//! | 24 | 4 | format version, u32 |
//! | 28 | 8 | magic, `SLUICSEG` |
//!
//! Version and magic keep their places in every later version.

use std::ops::Range;

use bytes::{Buf, BufMut};
use uuid::Uuid;

use crate::segment::{Run, RunBatch};
use crate::{BATCH_OVERHEAD, SegmentError};

/// The last eight bytes of every segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"SLUICSEG";

/// The segment format this build writes, and the only one it reads.
pub const SEGMENT_VERSION: u32 = 1;

/// Bytes of the trailer.
pub const TRAILER_LEN: usize = 36;

/// Bytes of the trailer that its own CRC covers.
const COVERED_BY_TRAILER_CRC: usize = 20;

/// Bytes of a run without its batches, and of a batch.
const RUN_LEN: usize = 40;
const RUN_BATCH_LEN: usize = 31;

const TRANSACTIONAL_FLAG: u8 = 1;

/// What a segment's trailer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trailer {
    /// Where the footer starts: the bytes of data before it.
    pub footer_start: u64,
    /// Bytes of the footer.
    pub footer_len: u64,
    /// CRC32C of the footer.
    pub footer_crc32c: u32,
}

impl Trailer {
    /// Where in the object the footer is.
    #[must_use]
    pub fn footer_range(&self) -> Range<u64> {
        self.footer_start..self.footer_start.saturating_add(self.footer_len)
    }

    /// Bytes of the whole object, to be held against what the store says.
    #[must_use]
    pub fn object_len(&self) -> u64 {
        self.footer_range().end.saturating_add(u64::try_from(TRAILER_LEN).unwrap_or(u64::MAX))
    }
}

/// The footer of a segment with these runs.
pub(crate) fn encode_footer(runs: &[Run]) -> Vec<u8> {
    let batches = runs.iter().map(|run| run.batches.len()).sum::<usize>();
    let size = runs.len().saturating_mul(RUN_LEN).saturating_add(batches.saturating_mul(RUN_BATCH_LEN));
    let mut out = Vec::with_capacity(size.saturating_add(4 + TRAILER_LEN));
    out.put_u32_le(count_u32(runs.len()));
    for run in runs {
        out.put_slice(run.topic_id.as_bytes());
        out.put_i32_le(run.partition);
        out.put_u64_le(run.start);
        out.put_u64_le(run.len);
        out.put_u32_le(count_u32(run.batches.len()));
        for batch in &run.batches {
            out.put_u32_le(batch.records);
            out.put_u32_le(batch.bytes);
            out.put_i64_le(batch.producer_id);
            out.put_i16_le(batch.producer_epoch);
            out.put_i32_le(batch.base_sequence);
            out.put_i64_le(batch.max_timestamp);
            out.put_u8(if batch.is_transactional { TRANSACTIONAL_FLAG } else { 0 });
        }
    }
    out
}

/// The trailer behind `footer`, which starts at `footer_start`.
pub(crate) fn encode_trailer(footer_start: u64, footer: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(TRAILER_LEN);
    out.put_u64_le(footer_start);
    out.put_u64_le(u64::try_from(footer.len()).unwrap_or(u64::MAX));
    out.put_u32_le(crc32c::crc32c(footer));
    let own_crc = crc32c::crc32c(&out);
    out.put_u32_le(own_crc);
    out.put_u32_le(SEGMENT_VERSION);
    out.put_slice(&SEGMENT_MAGIC);
    out
}

/// More batches than a u32 counts do not fit in memory: each has at least 61 bytes and a handle of 32.
fn count_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Reads the trailer at the end of `last_bytes`: the object, or any end of it that has at least [`TRAILER_LEN`] bytes.
///
/// Errors: `NotASegment` if there are fewer bytes or the magic is missing; `Version` for a version this build does
/// not read (checked before anything else is believed); `Corrupt` if the trailer's own CRC does not hold or its
/// lengths overflow.
pub fn read_trailer(last_bytes: &[u8]) -> Result<Trailer, SegmentError> {
    let trailer: &[u8; TRAILER_LEN] = last_bytes.last_chunk().ok_or_else(|| {
        SegmentError::NotASegment(format!("{} bytes are fewer than a trailer has", last_bytes.len()).into())
    })?;
    if !trailer.ends_with(&SEGMENT_MAGIC) {
        return Err(SegmentError::NotASegment("the object does not end in the segment magic".into()));
    }
    // Reads 28 of 36 bytes, so none can run short.
    let mut rest: &[u8] = trailer;
    let read =
        Trailer { footer_start: rest.get_u64_le(), footer_len: rest.get_u64_le(), footer_crc32c: rest.get_u32_le() };
    let own_crc = rest.get_u32_le();
    let version = rest.get_u32_le();
    if version != SEGMENT_VERSION {
        return Err(SegmentError::Version(version));
    }
    let covered = trailer.get(..COVERED_BY_TRAILER_CRC).unwrap_or_default();
    if crc32c::crc32c(covered) != own_crc {
        return Err(SegmentError::corrupt("the CRC of the trailer does not hold"));
    }
    let end = read.footer_start.checked_add(read.footer_len);
    if end.and_then(|end| end.checked_add(TRAILER_LEN as u64)).is_none() {
        return Err(SegmentError::corrupt("the footer's range does not fit 64 bits"));
    }
    Ok(read)
}

/// Reads the footer from exactly its bytes, [`Trailer::footer_range`]. Memory: proportional to `footer`, whatever it
/// claims.
///
/// Errors: `Corrupt` if there are more or fewer bytes than the trailer says, their CRC does not hold, or the runs are
/// not as the module's table says.
pub fn read_footer(footer: &[u8], trailer: &Trailer) -> Result<Vec<Run>, SegmentError> {
    if u64::try_from(footer.len()) != Ok(trailer.footer_len) {
        return Err(SegmentError::corrupt(format!(
            "the footer has {} bytes, the trailer says {}",
            footer.len(),
            trailer.footer_len
        )));
    }
    if crc32c::crc32c(footer) != trailer.footer_crc32c {
        return Err(SegmentError::corrupt("the CRC of the footer does not hold"));
    }
    let mut rest = footer;
    let run_count = read_count(&mut rest, RUN_LEN + RUN_BATCH_LEN)?;
    let mut runs: Vec<Run> = Vec::with_capacity(run_count);
    let mut position = 0;
    for _ in 0..run_count {
        let run = read_run(&mut rest, position)?;
        let order = (run.topic_id, run.partition);
        if runs.last().is_some_and(|last| (last.topic_id, last.partition) >= order) {
            return Err(SegmentError::corrupt("the runs are not in ascending order of topic id and partition"));
        }
        position = run.start.saturating_add(run.len);
        runs.push(run);
    }
    if !rest.is_empty() {
        return Err(SegmentError::corrupt(format!("{} bytes follow the last run of the footer", rest.len())));
    }
    if position != trailer.footer_start {
        return Err(SegmentError::corrupt(format!(
            "the runs end at byte {position}, the data at {}",
            trailer.footer_start
        )));
    }
    Ok(runs)
}

/// Reads a count of things that take at least `least` bytes each, and refuses one the bytes left cannot hold.
fn read_count(rest: &mut &[u8], least: usize) -> Result<usize, SegmentError> {
    let count = rest.try_get_u32_le().map_err(|_| cut())?;
    let count = usize::try_from(count).map_err(|_| cut())?;
    if count > rest.len().checked_div(least).unwrap_or(0) {
        return Err(cut());
    }
    Ok(count)
}

fn cut() -> SegmentError {
    SegmentError::corrupt("the footer ends before what it announces")
}

fn read_run(rest: &mut &[u8], expected_start: u64) -> Result<Run, SegmentError> {
    let (id, behind) = rest.split_first_chunk().ok_or_else(cut)?;
    *rest = behind;
    let topic_id = Uuid::from_bytes(*id);
    let partition = rest.try_get_i32_le().map_err(|_| cut())?;
    let start = rest.try_get_u64_le().map_err(|_| cut())?;
    let len = rest.try_get_u64_le().map_err(|_| cut())?;
    let batch_count = read_count(rest, RUN_BATCH_LEN)?;
    let mut batches = Vec::with_capacity(batch_count);
    let mut sum = 0_u64;
    for _ in 0..batch_count {
        let batch = read_batch(rest)?;
        sum = sum.saturating_add(u64::from(batch.bytes));
        batches.push(batch);
    }
    if batches.is_empty() || start != expected_start || sum != len || start.checked_add(len).is_none() {
        return Err(SegmentError::corrupt(format!(
            "run of {topic_id} partition {partition}: {batch_count} batches of {sum} bytes do not make {len} bytes \
             from {start} on, or do not start at {expected_start}"
        )));
    }
    Ok(Run { topic_id, partition, start, len, batches })
}

fn read_batch(rest: &mut &[u8]) -> Result<RunBatch, SegmentError> {
    let (mut fields, behind) = rest.split_at_checked(RUN_BATCH_LEN).ok_or_else(cut)?;
    *rest = behind;
    // The reads take exactly 31 bytes, so none can run short.
    let mut batch = RunBatch {
        records: fields.get_u32_le(),
        bytes: fields.get_u32_le(),
        producer_id: fields.get_i64_le(),
        producer_epoch: fields.get_i16_le(),
        base_sequence: fields.get_i32_le(),
        max_timestamp: fields.get_i64_le(),
        is_transactional: false,
    };
    let flags = fields.get_u8();
    batch.is_transactional = flags & TRANSACTIONAL_FLAG != 0;
    let too_short = usize::try_from(batch.bytes).is_ok_and(|bytes| bytes < BATCH_OVERHEAD);
    if batch.records == 0 || too_short || flags & !TRANSACTIONAL_FLAG != 0 {
        return Err(SegmentError::corrupt(format!(
            "a batch with {} records, {} bytes and flags {flags:#04x} cannot be",
            batch.records, batch.bytes
        )));
    }
    Ok(batch)
}
