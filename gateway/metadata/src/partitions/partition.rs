//! One partition: its offsets, its extents, its producers.

use std::sync::Arc;

use imbl::OrdMap;

use super::extents::Extents;
use crate::{Extent, PartitionKey, Producer, limits};

/// A partition as of one position of the log. Immutable to its readers: they hold the `Arc` as long as they like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    pub(crate) log_start_offset: i64,
    pub(crate) high_watermark: i64,
    pub(crate) shard: u8,
    pub(crate) extents: Extents,
    pub(crate) producers: OrdMap<i64, Arc<Producer>>,
}

/// The virtual shard of a new partition (L12): a topic's partitions are spread evenly, topics start anywhere.
pub(crate) fn shard_of(key: PartitionKey) -> u8 {
    let shards = u64::from(limits::SHARDS);
    let start = xxhash_rust::xxh3::xxh3_64(key.topic_id.as_bytes()) % shards;
    let index = u64::from(key.partition.unsigned_abs());
    u8::try_from((start + index) % shards).unwrap_or(0)
}

impl Partition {
    pub(crate) fn new(key: PartitionKey) -> Self {
        Self {
            log_start_offset: 0,
            high_watermark: 0,
            shard: shard_of(key),
            extents: Extents::default(),
            producers: OrdMap::new(),
        }
    }

    /// The first offset that can be read. Only moves forward (I-05).
    #[must_use]
    pub fn log_start_offset(&self) -> i64 {
        self.log_start_offset
    }

    /// The offset the next record gets. Only moves forward (I-05).
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// The offset up to which a read_committed consumer reads: max(log start, first open offset) (I-05). Today no
    /// transaction can be open, so it is the high watermark.
    #[must_use]
    pub fn last_stable_offset(&self) -> i64 {
        self.high_watermark
    }

    /// Its virtual shard, 0 to 63, given at birth (L12).
    #[must_use]
    pub fn shard(&self) -> u8 {
        self.shard
    }

    /// How many extents it has.
    #[must_use]
    pub fn extent_count(&self) -> usize {
        self.extents.len()
    }

    /// The extents in offset order, from the one that contains `offset`; from the first one for an earlier offset, none
    /// at or past the high watermark. Finding the first takes O(log n).
    ///
    /// The first one of all may begin below the log start: its readers leave out what lies there.
    pub fn extents_from(&self, offset: i64) -> impl Iterator<Item = &Extent> {
        self.extents.ending_after(offset)
    }

    /// The extent that contains `offset`; none below the log start (I-05).
    #[must_use]
    pub fn extent_at(&self, offset: i64) -> Option<&Extent> {
        if offset < self.log_start_offset {
            return None;
        }
        self.extents.ending_after(offset).next().filter(|extent| extent.base_offset <= offset)
    }

    /// The extents that may hold a record of at least this timestamp (milliseconds), in offset order. The first one of all
    /// may begin below the log start and have its greatest timestamp there: a reader that finds nothing in it goes on to
    /// the next. Finding the first takes O(log n), or O(n) where a deleted record is later than all that is sought.
    pub fn extents_since(&self, timestamp: i64) -> impl Iterator<Item = &Extent> {
        self.extents.since(timestamp)
    }

    /// The first extent that may hold a record of at least this timestamp (milliseconds).
    #[must_use]
    pub fn first_extent_since(&self, timestamp: i64) -> Option<&Extent> {
        self.extents_since(timestamp).next()
    }

    /// The first of the extents with the greatest timestamp. As fast as [`Self::extents_since`].
    #[must_use]
    pub fn latest_extent(&self) -> Option<&Extent> {
        self.first_extent_since(self.extents.max_timestamp()?)
    }

    /// What is remembered of a producer here.
    #[must_use]
    pub fn producer(&self, producer_id: i64) -> Option<&Producer> {
        self.producers.get(&producer_id).map(|producer| &**producer)
    }

    /// The producers remembered here, ascending by id.
    pub fn producers(&self) -> impl Iterator<Item = (i64, &Producer)> {
        self.producers.iter().map(|(id, producer)| (*id, &**producer))
    }

    /// Moves the log start forward to `offset`, which is at most the high watermark; answers how many extents were
    /// forgotten: those wholly below it. One that reaches across stays whole, as its bytes do. Nothing ever refers to what
    /// was forgotten again (I-04): only Produce adds extents, with an object that no entry named before (I-03, L1).
    pub(crate) fn move_log_start(&mut self, offset: i64) -> usize {
        self.log_start_offset = offset;
        self.extents.forget_below(offset)
    }
}
