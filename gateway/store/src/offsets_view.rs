//! The offsets view: committed offsets where people, dashboards and functions can read them.
//!
//! Promises: one item per group, topic and slice of 100 partitions; of two puts of an item the one of the higher log
//! position stays, in whatever order they arrive, so that any gateway may write any item at any time.
//! Never: is read by a gateway, or stands in the way of a commit: the metadata log is what offsets are kept in.
//! Called by `engine`; implemented by `adapters/*`.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use uuid::Uuid;

use crate::{Incarnation, LogPosition, StoreError, StoreErrorKind, StoreResult};

/// Which partitions an item is about: slice s has partitions 100·s to 100·s + 99.
pub const PARTITIONS_PER_SLICE: u32 = 100;

/// One partition's committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetsEntry {
    /// The offset of the next record to read.
    pub offset: i64,
    /// Leader epoch of the last record read; −1 when the client named none.
    pub leader_epoch: i32,
    /// What the client stored beside it; often empty.
    pub metadata: String,
    /// When it was committed, in milliseconds since 1970.
    pub committed_at_ms: i64,
}

/// The committed offsets of a group in one slice of a topic's partitions, as of one log position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetsItem {
    /// The life of the store that `position` counts in (L8). An item of another one is replaced whatever its position.
    pub incarnation: Incarnation,
    /// The group's id: 1 to [`OffsetsItem::GROUP_BYTES_MAX`] bytes.
    pub group: String,
    /// The topic's name, without slashes: 1 to [`OffsetsItem::TOPIC_BYTES_MAX`] bytes.
    pub topic: String,
    /// The topic's id, which tells a recreated topic from the one before it.
    pub topic_id: Uuid,
    /// Which partitions: see [`PARTITIONS_PER_SLICE`].
    pub slice: u32,
    /// Position of the State that it was taken from: at or after the entry that last changed it.
    pub position: LogPosition,
    /// When it was written, in milliseconds since 1970 by the clock of the gateway that wrote it.
    pub updated_at_ms: i64,
    /// By partition, all of this slice. Empty: the group has no offsets here any more.
    pub offsets: BTreeMap<i32, OffsetsEntry>,
}

impl OffsetsItem {
    /// Longest group id of an item, in bytes: what DynamoDB takes as a partition key. Kafka allows 32,767.
    pub const GROUP_BYTES_MAX: usize = 2_048;
    /// Longest topic name of an item, in bytes: far over Kafka's 249.
    pub const TOPIC_BYTES_MAX: usize = 900;

    /// The slice that a partition is in; `None` for a negative one.
    #[must_use]
    pub fn slice_of(partition: i32) -> Option<u32> {
        u32::try_from(partition).ok().map(|partition| partition / PARTITIONS_PER_SLICE)
    }

    /// What every view asks of an item before it takes it.
    ///
    /// # Errors
    /// `Invalid` when a view cannot hold it: a group id or topic name that is empty or too long, a position of 0, or a
    /// partition of another slice. Such a group is not shown; repeating the put does not help.
    pub fn check(&self) -> StoreResult<()> {
        let problem = if !(1..=Self::GROUP_BYTES_MAX).contains(&self.group.len()) {
            format!("a group id of {} bytes (1 to {})", self.group.len(), Self::GROUP_BYTES_MAX)
        } else if !(1..=Self::TOPIC_BYTES_MAX).contains(&self.topic.len()) || self.topic.contains('/') {
            format!("a topic name of {} bytes (1 to {}, no slash)", self.topic.len(), Self::TOPIC_BYTES_MAX)
        } else if self.position == LogPosition::ZERO {
            "no log position".to_owned()
        } else if let Some(partition) = self.offsets.keys().find(|&&p| Self::slice_of(p) != Some(self.slice)) {
            format!("partition {partition} in slice {}", self.slice)
        } else {
            return Ok(());
        };
        Err(StoreError::new(StoreErrorKind::Invalid, format!("put offsets into the view: {problem}")))
    }

    /// True when this item takes the place of one that has this incarnation and position: the rule that makes late,
    /// repeated and reordered puts harmless.
    #[must_use]
    pub fn replaces(&self, incarnation: Incarnation, position: LogPosition) -> bool {
        self.incarnation != incarnation || self.position > position
    }
}

/// A view of committed offsets that gateways write and never read.
///
/// Contract: a put is answered once everybody who reads the view can see it. A put that [does not
/// replace](OffsetsItem::replaces) what is there succeeds and changes nothing. Items of one call are independent: one
/// failure says nothing of the others. An item without offsets stays as a mark of its position.
#[async_trait]
pub trait OffsetsView: Send + Sync + fmt::Debug + 'static {
    /// Puts items, an answer for each in their order. Takes a bounded time; never retries.
    ///
    /// # Errors
    /// `Invalid` as [`OffsetsItem::check`] says, or when the view is not there; any other as its kind says. A put may
    /// always be repeated, also after `Unknown`.
    async fn put(&self, items: Vec<OffsetsItem>) -> Vec<StoreResult<()>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item() -> OffsetsItem {
        let entry = OffsetsEntry { offset: 7, leader_epoch: -1, metadata: String::new(), committed_at_ms: 0 };
        OffsetsItem {
            incarnation: Incarnation(1),
            group: "g".into(),
            topic: "t".into(),
            topic_id: Uuid::from_u128(2),
            slice: 1,
            position: LogPosition(5),
            updated_at_ms: 0,
            offsets: BTreeMap::from([(100, entry.clone()), (199, entry)]),
        }
    }

    #[test]
    fn a_slice_has_a_hundred_partitions() {
        let slices = [0, 99, 100, 199, i32::MAX].map(|partition| OffsetsItem::slice_of(partition).unwrap());
        assert_eq!(slices, [0, 0, 1, 1, 21_474_836]);
        assert_eq!(OffsetsItem::slice_of(-1), None);
    }

    #[test]
    fn what_no_view_can_hold_is_invalid_and_the_message_says_why() {
        item().check().unwrap();
        let entry = item().offsets[&100].clone();
        let bad = [
            (OffsetsItem { group: String::new(), ..item() }, "a group id of 0 bytes"),
            (OffsetsItem { group: "g".repeat(2_049), ..item() }, "a group id of 2049 bytes (1 to 2048)"),
            (OffsetsItem { topic: String::new(), ..item() }, "a topic name of 0 bytes"),
            (OffsetsItem { topic: "t".repeat(901), ..item() }, "a topic name of 901 bytes"),
            (OffsetsItem { topic: "a/b".into(), ..item() }, "no slash"),
            (OffsetsItem { position: LogPosition::ZERO, ..item() }, "no log position"),
            (OffsetsItem { offsets: BTreeMap::from([(200, entry.clone())]), ..item() }, "partition 200 in slice 1"),
            (OffsetsItem { offsets: BTreeMap::from([(-1, entry)]), ..item() }, "partition -1 in slice 1"),
        ];
        for (item, why) in bad {
            let error = item.check().expect_err(why);
            assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
        OffsetsItem { group: "g".repeat(2_048), offsets: BTreeMap::new(), ..item() }.check().unwrap();
    }

    // L8: positions of two incarnations cannot be compared.
    #[test]
    fn only_a_higher_position_or_another_incarnation_replaces() {
        let (item, ours) = (item(), Incarnation(1));
        let replaces = [4, 5, 6].map(|there| item.replaces(ours, LogPosition(there)));
        assert_eq!(replaces, [true, false, false]);
        assert!(item.replaces(Incarnation(2), LogPosition(6)));
    }
}
