//! The order in which flushes reach the log: a flush waits only for earlier ones that hold a batch of the same partition.
//!
//! Promises: two batches of one partition are committed in the order in which they were buffered, however long their
//! uploads take; a flush that failed leaves the order.

use std::collections::VecDeque;

use sluice_metadata::PartitionKey;

use crate::replica::Draft;

/// A flush between its close and its commit.
#[derive(Debug)]
struct Waiting {
    id: u64,
    /// Sorted.
    partitions: Vec<PartitionKey>,
    uploaded: Option<Draft>,
}

/// The flushes being uploaded, oldest first.
#[derive(Debug, Default)]
pub(crate) struct CommitOrder {
    waiting: VecDeque<Waiting>,
    next_id: u64,
}

impl CommitOrder {
    /// A flush closes; `partitions` are sorted.
    pub(crate) fn enter(&mut self, partitions: Vec<PartitionKey>) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.waiting.push_back(Waiting { id, partitions, uploaded: None });
        id
    }

    /// Its upload is done (`None`: it failed and its clients are answered). Returns what may be committed now, in order.
    pub(crate) fn uploaded(&mut self, id: u64, draft: Option<Draft>) -> Vec<Draft> {
        match draft {
            None => self.waiting.retain(|flush| flush.id != id),
            Some(draft) => {
                if let Some(flush) = self.waiting.iter_mut().find(|flush| flush.id == id) {
                    flush.uploaded = Some(draft);
                }
            }
        }
        self.release()
    }

    fn release(&mut self) -> Vec<Draft> {
        let mut released = Vec::new();
        let mut kept: VecDeque<Waiting> = VecDeque::with_capacity(self.waiting.len());
        for mut flush in std::mem::take(&mut self.waiting) {
            let is_held = kept.iter().any(|earlier| intersects(&earlier.partitions, &flush.partitions));
            match flush.uploaded.take() {
                Some(draft) if !is_held => released.push(draft),
                uploaded => kept.push_back(Waiting { uploaded, ..flush }),
            }
        }
        self.waiting = kept;
        released
    }
}

/// Both sorted.
fn intersects(a: &[PartitionKey], b: &[PartitionKey]) -> bool {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        match x.cmp(y) {
            std::cmp::Ordering::Less => _ = a.next(),
            std::cmp::Ordering::Greater => _ = b.next(),
            std::cmp::Ordering::Equal => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replica::{FlightCount, ProduceDraft};
    use sluice_metadata::{ObjectId, Position, SessionId};
    use std::sync::Arc;
    use uuid::Uuid;

    fn keys(partitions: &[i32]) -> Vec<PartitionKey> {
        partitions.iter().map(|&partition| PartitionKey { topic_id: Uuid::nil(), partition }).collect()
    }

    fn draft(nonce: u64) -> Draft {
        let flight = Arc::new(FlightCount::default()).take_off();
        let object = ObjectId { session: SessionId(Position::new(0, 1)), nonce };
        Draft::Produce(ProduceDraft { object, object_bytes: 0, runs: Vec::new(), flight })
    }

    fn nonces(drafts: &[Draft]) -> Vec<u64> {
        drafts.iter().map(|d| if let Draft::Produce(d) = d { d.object.nonce } else { 0 }).collect()
    }

    #[test]
    fn only_flushes_of_the_same_partition_wait_for_each_other() {
        let mut order = CommitOrder::default();
        let (a, b, c) = (order.enter(keys(&[1, 2])), order.enter(keys(&[2, 3])), order.enter(keys(&[4])));
        assert_eq!(nonces(&order.uploaded(c, Some(draft(3)))), [3], "shares nothing");
        assert!(order.uploaded(b, Some(draft(2))).is_empty(), "partition 2 of a flush closed before it");
        assert_eq!(nonces(&order.uploaded(a, Some(draft(1)))), [1, 2]);
    }

    #[test]
    fn a_failed_flush_holds_nobody_back() {
        let mut order = CommitOrder::default();
        let (a, b) = (order.enter(keys(&[1])), order.enter(keys(&[1])));
        assert!(order.uploaded(b, Some(draft(2))).is_empty());
        assert_eq!(nonces(&order.uploaded(a, None)), [2]);
    }
}
