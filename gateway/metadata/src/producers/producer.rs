//! What a partition remembers of one producer.

use crate::limits;

/// A producer in one partition: its epoch and its last accepted batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Producer {
    epoch: i16,
    count: u8,
    /// Oldest first; only the first `count` mean anything, the others are zero.
    batches: [ProducerBatch; limits::BATCHES_PER_PRODUCER],
}

/// An accepted batch of a producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProducerBatch {
    /// Sequence of its first record.
    pub base_sequence: i32,
    /// Sequence of its last record; below `base_sequence` when the sequence wrapped inside it.
    pub last_sequence: i32,
    /// Offset of its first record.
    pub base_offset: i64,
    /// Its greatest timestamp, milliseconds.
    pub timestamp: i64,
}

impl Producer {
    /// A producer that has written nothing yet at this epoch.
    pub(crate) fn new(epoch: i16) -> Self {
        Self { epoch, count: 0, batches: [ProducerBatch::default(); limits::BATCHES_PER_PRODUCER] }
    }

    /// Its epoch here.
    #[must_use]
    pub fn epoch(&self) -> i16 {
        self.epoch
    }

    /// Its last batches at this epoch, oldest first: 1 to [`limits::BATCHES_PER_PRODUCER`].
    #[must_use]
    pub fn batches(&self) -> &[ProducerBatch] {
        self.batches.get(..usize::from(self.count)).unwrap_or(&self.batches)
    }

    /// Its last batch.
    #[must_use]
    pub fn last_batch(&self) -> Option<&ProducerBatch> {
        self.batches().last()
    }

    /// Remembers a batch; forgets the oldest when there are too many.
    pub(crate) fn push(&mut self, batch: ProducerBatch) {
        if let Some(free) = self.batches.get_mut(usize::from(self.count)) {
            *free = batch;
            self.count += 1;
        } else {
            self.batches.rotate_left(1);
            if let Some(last) = self.batches.last_mut() {
                *last = batch;
            }
        }
    }
}
