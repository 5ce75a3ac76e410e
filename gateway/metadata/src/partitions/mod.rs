//! Partitions: offsets, extents, and the judgement of produced batches.
//!
//! Promises: offsets are assigned here and nowhere else, dense and never reused (I-02); the log start and the high
//! watermark only move forward (I-05); one batch refused never affects its neighbours (L11). Never: looks at the bytes
//! of a batch; the gateway that sealed the entry has validated them.

mod delete;
mod extent;
mod extents;
mod partition;
mod produce;
mod produce_command;
mod section;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use imbl::OrdMap;
use uuid::Uuid;

use crate::Producer;

pub use delete::DeleteRecordsRun;
pub(crate) use delete::{read_delete, write_delete};
pub use extent::Extent;
pub use partition::Partition;
pub(crate) use partition::shard_of;
pub use produce_command::{BatchProducer, BatchRef, CommittedRun};
pub(crate) use produce_command::{read_produce, write_produce};
pub(crate) use section::{EXTENTS_PER_ITEM, read_extents, read_partition, write_extents, write_partition};

/// A partition's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey {
    /// The topic.
    pub topic_id: Uuid,
    /// Its index in the topic, from 0.
    pub partition: i32,
}

/// All partitions, and the counts that the bounds of I-14 need.
#[derive(Debug, Clone, Default)]
pub(crate) struct Partitions {
    pub(crate) by_key: OrdMap<PartitionKey, Arc<Partition>>,
    pub(crate) usage: Usage,
}

/// How much of State's bounds all partitions use together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) extents: u64,
    pub(crate) producers: u64,
}

impl Partitions {
    /// Adds the partitions `first` to `count` − 1 of a topic, empty.
    pub(crate) fn create(&mut self, topic_id: Uuid, first: u32, count: u32) {
        let index = |index| i32::try_from(index).unwrap_or(i32::MAX);
        for partition in index(first)..index(count) {
            let key = PartitionKey { topic_id, partition };
            self.by_key.insert(key, Arc::new(Partition::new(key)));
        }
    }

    /// Removes all partitions of a topic, and what they used.
    pub(crate) fn remove(&mut self, topic_id: Uuid) {
        let key = |partition| PartitionKey { topic_id, partition };
        let keys: Vec<_> = self.by_key.range(key(i32::MIN)..=key(i32::MAX)).map(|(key, _)| *key).collect();
        for key in keys {
            let Some(partition) = self.by_key.remove(&key) else { continue };
            let used = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            self.usage.extents = self.usage.extents.saturating_sub(used(partition.extents.len()));
            self.usage.producers = self.usage.producers.saturating_sub(used(partition.producers.len()));
        }
    }

    /// Adds extents from a snapshot to their partition; `None` when it is not there.
    pub(crate) fn restore_extents(&mut self, key: PartitionKey, extents: Vec<Extent>) -> Option<()> {
        let partition = Arc::make_mut(self.by_key.get_mut(&key)?);
        self.usage.extents = self.usage.extents.saturating_add(u64::try_from(extents.len()).ok()?);
        extents.into_iter().for_each(|extent| partition.extents.push(extent));
        Some(())
    }

    /// Adds a producer from a snapshot to its partition; `None` when it is not there, false when the producer was.
    pub(crate) fn restore_producer(&mut self, key: PartitionKey, id: i64, producer: Producer) -> Option<bool> {
        let partition = Arc::make_mut(self.by_key.get_mut(&key)?);
        self.usage.producers = self.usage.producers.saturating_add(1);
        Some(partition.producers.insert(id, Arc::new(producer)).is_none())
    }
}
