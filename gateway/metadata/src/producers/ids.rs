//! Producer ids: handed out in blocks, each id once per incarnation.

use crate::{Incarnation, Outcome, limits};

/// Which producer ids are given away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProducerIds {
    /// The next id to give.
    pub(crate) next: i64,
}

impl ProducerIds {
    /// Starts at a base below 2^62 that the incarnation determines (L8): a client that goes on with the id it had
    /// before the store was restored meets no stranger's state. 2^62 ids follow.
    pub(crate) fn new(incarnation: Incarnation) -> Self {
        let spread = xxhash_rust::xxh3::xxh3_64(&incarnation.0.to_le_bytes());
        Self { next: (spread >> 2).cast_signed().max(1) }
    }

    pub(crate) fn allocate(&mut self, count: u32) -> Outcome {
        if count == 0 || count > limits::PRODUCER_IDS_PER_BLOCK {
            return Outcome::ProducerIdsRefused;
        }
        let first = self.next;
        let Some(next) = first.checked_add(i64::from(count)) else {
            return Outcome::ProducerIdsRefused;
        };
        self.next = next;
        Outcome::ProducerIds { first, count }
    }
}
