//! Base offsets and leader epochs written in front of stored batches, for Fetch.
//!
//! Promises: of each batch only bytes 0..8 and 12..16 are replaced, which its CRC does not cover (I-10); record
//! bytes are sliced, not copied; all prefixes share one allocation. What is handed out is a sequence of whole
//! batches with consecutive offsets. Never does: decompress, or serve a batch whose lengths, count or (when asked)
//! CRC contradict the extent. Called by: `engine/fetch`, once per extent of an answer.

use bytes::Bytes;

use crate::header::CRC_START;
use crate::rope::RopeCursor;
use crate::{BATCH_OVERHEAD, BatchError, BatchHeader};

/// Bytes at the start of a batch that are rewritten when it is served: base offset, length (kept), leader epoch.
pub const PATCHED_LEN: usize = 16;

/// The first 16 bytes of a batch with another base offset and leader epoch; the batch length is kept. The CRC covers
/// bytes 21.., so it holds before and after (I-10).
#[must_use]
pub fn patched_prefix(first16: &[u8; PATCHED_LEN], base_offset: i64, leader_epoch: i32) -> [u8; PATCHED_LEN] {
    let mut prefix = *first16;
    if let Some(field) = prefix.first_chunk_mut() {
        *field = base_offset.to_be_bytes();
    }
    if let Some(field) = prefix.last_chunk_mut() {
        *field = leader_epoch.to_be_bytes();
    }
    prefix
}

/// Which batches of an extent to hand out, and what the extent says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchPlan {
    /// Offset of the extent's first record.
    pub base_offset: i64,
    /// Records in the whole extent.
    pub records: u64,
    /// Leader epoch to write into each batch.
    pub leader_epoch: i32,
    /// Whether each batch handed out must pass its CRC: needed when the bytes came from the store.
    pub check_crc: bool,
    /// The first batch handed out is the one that holds this offset, or the first one after it.
    pub from_offset: i64,
    /// Batches whose first offset is this one or later are left out (high watermark, last stable offset).
    pub end_offset: i64,
    /// Bytes to hand out at most.
    pub max_bytes: usize,
    /// Whether the first batch is handed out even if it alone is larger than `max_bytes` (KIP-74).
    pub first_whole: bool,
}

impl PatchPlan {
    /// Everything the extent holds, without a bound, CRCs unchecked, leader epoch 0.
    #[must_use]
    pub fn whole(base_offset: i64, records: u64) -> Self {
        Self {
            base_offset,
            records,
            leader_epoch: 0,
            check_crc: false,
            from_offset: i64::MIN,
            end_offset: i64::MAX,
            max_bytes: usize::MAX,
            first_whole: true,
        }
    }
}

/// What [`take_batches`] hands out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Per batch: a prefix of 16 bytes, then slices of the rope. Written one after the other they are the batches.
    pub chunks: Vec<Bytes>,
    /// Bytes in all chunks.
    pub bytes: usize,
    /// Batches handed out.
    pub batches: usize,
    /// The offset behind the last batch handed out; None if there was none.
    pub next_offset: Option<i64>,
    /// Whether the walk went to the end of the extent, which is then known to hold exactly its bytes and records.
    pub reached_end: bool,
}

/// One batch met on the walk.
struct Stored {
    total_len: usize,
    base_offset: i64,
    next_offset: i64,
    crc: u32,
}

/// Hands out batches of one extent, whose bytes are exactly the rope's; chunk borders may fall anywhere. Offsets are
/// assigned consecutively from `plan.base_offset`, whatever the stored headers say. Stops at the first batch that is
/// at or behind `end_offset`, or does not fit `max_bytes`; batches behind that are not looked at.
///
/// Memory: 16 bytes and at most (chunks it spans + 1) handles per batch handed out; no record bytes.
///
/// Errors: `Corrupt` if a header is no batch header, a batch is cut by the end of the rope, counts more or (at the
/// end) fewer records than the extent, overflows an offset, or fails its CRC when `check_crc` asks for it.
pub fn take_batches(rope: &[Bytes], plan: &PatchPlan) -> Result<Taken, BatchError> {
    let mut cursor =
        RopeCursor::new(rope).ok_or_else(|| BatchError::corrupt("the extent is longer than memory can be"))?;
    let extent_end = i64::try_from(plan.records)
        .ok()
        .and_then(|records| plan.base_offset.checked_add(records))
        .ok_or_else(|| BatchError::corrupt("the extent's last offset does not fit 64 bits"))?;
    let mut taken = Taken::default();
    let mut patched = Patched::default();
    let mut offset = plan.base_offset;
    while cursor.remaining() > 0 {
        let batch = read_stored(&cursor, offset, extent_end)?;
        if batch.next_offset <= plan.from_offset {
            skip(&mut cursor, batch.total_len)?;
        } else {
            let fits = taken.bytes.checked_add(batch.total_len).filter(|bytes| *bytes <= plan.max_bytes);
            let whole_anyway = plan.first_whole && taken.batches == 0;
            if batch.base_offset >= plan.end_offset || (fits.is_none() && !whole_anyway) {
                patched.finish(&mut taken.chunks);
                return Ok(taken);
            }
            patched.append(&mut cursor, &batch, plan, &mut taken.chunks)?;
            taken.bytes = taken.bytes.saturating_add(batch.total_len);
            taken.batches = taken.batches.saturating_add(1);
            taken.next_offset = Some(batch.next_offset);
        }
        offset = batch.next_offset;
    }
    if offset != extent_end {
        return Err(BatchError::corrupt(format!(
            "the extent ends at offset {offset}; its {} records from {} end at {extent_end}",
            plan.records, plan.base_offset
        )));
    }
    patched.finish(&mut taken.chunks);
    taken.reached_end = true;
    Ok(taken)
}

/// Hands out a whole extent: [`take_batches`] without bounds. The walk must end exactly on the rope's last byte and
/// on `records` records. Returns the chunks and the number of bytes in them, which is that of the rope.
pub fn patch_extent(
    rope: &[Bytes],
    base_offset: i64,
    records: u64,
    leader_epoch: i32,
    check_crc: bool,
) -> Result<(Vec<Bytes>, usize), BatchError> {
    let plan = PatchPlan { leader_epoch, check_crc, ..PatchPlan::whole(base_offset, records) };
    take_batches(rope, &plan).map(|taken| (taken.chunks, taken.bytes))
}

/// Reads the batch header under the cursor and holds it against the extent. Each batch has at least 61 bytes, so the
/// walk is bounded by the rope (I-09).
fn read_stored(cursor: &RopeCursor<'_>, base_offset: i64, extent_end: i64) -> Result<Stored, BatchError> {
    let bad = |what: &str| BatchError::corrupt(format!("stored batch at offset {base_offset}: {what}"));
    let header: [u8; BATCH_OVERHEAD] = cursor.peek().ok_or_else(|| bad("the extent ends inside the batch header"))?;
    let header = BatchHeader::parse(&header).map_err(|error| bad(&error.to_string()))?;
    if header.total_len() > cursor.remaining() {
        return Err(bad("the extent ends inside the batch"));
    }
    let count = header.dense_record_count().ok_or_else(|| bad("the record count contradicts the offset delta"))?;
    let next_offset = base_offset
        .checked_add(i64::from(count))
        .filter(|next| *next <= extent_end)
        .ok_or_else(|| bad("the batch has more records than the extent has left"))?;
    Ok(Stored { total_len: header.total_len(), base_offset, next_offset, crc: header.crc })
}

fn skip(cursor: &mut RopeCursor<'_>, len: usize) -> Result<(), BatchError> {
    cursor.advance(len, |_, _| {}).ok_or_else(|| BatchError::corrupt("the extent ends inside a batch"))
}

/// The prefixes written so far, and where in the output each belongs: they become slices of one allocation only when
/// all are known.
#[derive(Default)]
struct Patched {
    prefixes: Vec<u8>,
    places: Vec<usize>,
}

impl Patched {
    fn append<'a>(
        &mut self,
        cursor: &mut RopeCursor<'a>,
        batch: &Stored,
        plan: &PatchPlan,
        chunks: &mut Vec<Bytes>,
    ) -> Result<(), BatchError> {
        let cut = || BatchError::corrupt("the extent ends inside a batch");
        if plan.check_crc {
            check_stored_crc(*cursor, batch)?;
        }
        let first16: [u8; PATCHED_LEN] = cursor.peek().ok_or_else(cut)?;
        let prefix = patched_prefix(&first16, batch.base_offset, plan.leader_epoch);
        self.prefixes.extend_from_slice(&prefix);
        self.places.push(chunks.len());
        chunks.push(Bytes::new());
        skip(cursor, PATCHED_LEN)?;
        let body_len = batch.total_len.checked_sub(PATCHED_LEN).ok_or_else(cut)?;
        cursor.advance(body_len, |chunk, range| chunks.push(chunk.slice(range))).ok_or_else(cut)
    }

    fn finish(self, chunks: &mut [Bytes]) {
        let mut prefixes = Bytes::from(self.prefixes);
        for place in self.places {
            if let Some(chunk) = chunks.get_mut(place) {
                *chunk = prefixes.split_to(PATCHED_LEN.min(prefixes.len()));
            }
        }
    }
}

fn check_stored_crc(mut cursor: RopeCursor<'_>, batch: &Stored) -> Result<(), BatchError> {
    skip(&mut cursor, CRC_START)?;
    let mut computed = 0;
    let covered = batch.total_len.saturating_sub(CRC_START);
    cursor
        .advance(covered, |chunk, range| {
            computed = crc32c::crc32c_append(computed, chunk.get(range).unwrap_or_default());
        })
        .ok_or_else(|| BatchError::corrupt("the extent ends inside a batch"))?;
    if computed != batch.crc {
        return Err(BatchError::corrupt(format!(
            "stored batch at offset {}: the CRC does not hold: stored {:#010x}, computed {computed:#010x}",
            batch.base_offset, batch.crc
        )));
    }
    Ok(())
}
