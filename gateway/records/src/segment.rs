//! The segment object: building one.
//!
//! Promises: runs sorted by (topic id, partition), the batches of a run in the order they were pushed, every batch
//! byte for byte as received (I-10); a footer and a trailer that say what is where ([`crate::read_footer`] reads
//! them); the CRC32C of the whole object derived from the batches' CRCs. The same pushes give the same bytes. A
//! built segment is never changed (I-03). Never does: copy or read batch bytes, or choose a key. Called by:
//! `engine/produce` (upload), later merge.
//!
//! ```text
//! segment = batch* · footer · trailer
//! ```
//! The layouts of footer and trailer stand in `footer.rs`.

use std::collections::BTreeMap;

use bytes::Bytes;
use uuid::Uuid;

use crate::footer::{encode_footer, encode_trailer};
use crate::{ValidBatch, crc32c_of_parts};

/// One batch of a run, as the footer and the metadata log describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunBatch {
    /// Records in the batch; at least 1.
    pub records: u32,
    /// Bytes of the batch, header included; at least 61.
    pub bytes: u32,
    /// Producer id; −1 for none.
    pub producer_id: i64,
    /// Producer epoch; −1 without a producer.
    pub producer_epoch: i16,
    /// Sequence number of the first record; −1 without a producer.
    pub base_sequence: i32,
    /// Greatest timestamp in milliseconds, as the producer claims.
    pub max_timestamp: i64,
    /// Whether the batch belongs to a transaction.
    pub is_transactional: bool,
}

impl RunBatch {
    /// What a footer says of `batch`. Whatever a batch without a producer carries in its producer fields becomes −1.
    #[must_use]
    pub fn of(batch: &ValidBatch) -> Self {
        let header = &batch.header;
        let (producer_id, producer_epoch, base_sequence) = match header.has_producer() {
            true => (header.producer_id, header.producer_epoch, header.base_sequence),
            false => (-1, -1, -1),
        };
        Self {
            // Validation made both positive and small: the length of a batch has 31 bits.
            records: header.dense_record_count().unwrap_or_default(),
            bytes: u32::try_from(batch.byte_len()).unwrap_or(u32::MAX),
            producer_id,
            producer_epoch,
            base_sequence,
            max_timestamp: header.max_timestamp,
            is_transactional: header.is_transactional(),
        }
    }
}

/// The batches of one partition in a segment: a contiguous byte range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Topic id.
    pub topic_id: Uuid,
    /// Partition index.
    pub partition: i32,
    /// Where the run starts in the object, in bytes.
    pub start: u64,
    /// Its bytes: the sum over its batches.
    pub len: u64,
    /// Its batches in order; at least one.
    pub batches: Vec<RunBatch>,
}

/// Collects batches for one segment.
#[derive(Debug, Clone, Default)]
pub struct SegmentBuilder {
    runs: BTreeMap<(Uuid, i32), Vec<ValidBatch>>,
    data_len: u64,
}

/// A segment ready to be stored under a fresh key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltSegment {
    /// The object's bytes in order: the batches as pushed (not copied), then footer and trailer in one chunk.
    pub chunks: Vec<Bytes>,
    /// Bytes of the object.
    pub len: u64,
    /// CRC32C of the object.
    pub crc32c: u32,
    /// What the footer says, sorted by (topic id, partition).
    pub runs: Vec<Run>,
}

impl SegmentBuilder {
    /// A builder without batches.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a batch to the run of its partition.
    pub fn push(&mut self, topic_id: Uuid, partition: i32, batch: ValidBatch) {
        self.data_len = self.data_len.saturating_add(len_u64(batch.byte_len()));
        self.runs.entry((topic_id, partition)).or_default().push(batch);
    }

    /// Bytes of all batches pushed so far.
    #[must_use]
    pub fn data_len(&self) -> u64 {
        self.data_len
    }

    /// Whether nothing was pushed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The segment. Without batches it is a footer without runs and a trailer, which can be read back too.
    #[must_use]
    pub fn finish(self) -> BuiltSegment {
        let batch_count = self.runs.values().map(Vec::len).sum::<usize>();
        let mut chunks = Vec::with_capacity(batch_count.saturating_add(1));
        let mut parts = Vec::with_capacity(batch_count.saturating_add(1));
        let mut runs = Vec::with_capacity(self.runs.len());
        let mut position = 0_u64;
        for ((topic_id, partition), batches) in self.runs {
            let start = position;
            let described = batches.iter().map(RunBatch::of).collect();
            for batch in batches {
                let len = len_u64(batch.byte_len());
                position = position.saturating_add(len);
                parts.push((batch.crc_of_all, len));
                chunks.extend(batch.into_chunks());
            }
            let len = position.saturating_sub(start);
            runs.push(Run { topic_id, partition, start, len, batches: described });
        }
        let mut tail = encode_footer(&runs);
        let trailer = encode_trailer(position, &tail);
        tail.extend_from_slice(&trailer);
        let tail = Bytes::from(tail);
        parts.push((crc32c::crc32c(&tail), len_u64(tail.len())));
        let len = position.saturating_add(len_u64(tail.len()));
        chunks.push(tail);
        BuiltSegment { chunks, len, crc32c: crc32c_of_parts(parts), runs }
    }
}

fn len_u64(len: usize) -> u64 {
    u64::try_from(len).unwrap_or(u64::MAX)
}
