//! A run as State knows it: a stretch of a partition's offsets, and where its bytes lie.

use crate::ObjectId;

/// Contiguous offsets of one partition, stored in contiguous bytes of one object.
///
/// Its batches were accepted by one entry from one run. Immutable once that entry is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Offset of its first record.
    pub base_offset: i64,
    /// Records in it, at least 1.
    pub records: u32,
    /// The object that holds its bytes.
    pub object: ObjectId,
    /// Offset of its first byte in the object.
    pub start: u64,
    /// Its length in bytes.
    pub bytes: u32,
    /// The greatest timestamp of its batches, milliseconds.
    pub max_timestamp: i64,
}

impl Extent {
    /// Offset of its last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.end_offset().saturating_sub(1)
    }

    /// The offset after its last record.
    #[must_use]
    pub fn end_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.records))
    }

    /// This extent grown by a batch that follows it; `None` when it would no longer be countable in 32 bits.
    pub(crate) fn grown(&self, records: u32, bytes: u32, max_timestamp: i64) -> Option<Self> {
        Some(Self {
            records: self.records.checked_add(records)?,
            bytes: self.bytes.checked_add(bytes)?,
            max_timestamp: self.max_timestamp.max(max_timestamp),
            ..*self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // A million extents are a normal State: their size is its memory (I-14).
    #[test]
    fn an_extent_is_at_most_56_bytes() {
        assert!(size_of::<Extent>() <= 56, "{}", size_of::<Extent>());
    }
}
