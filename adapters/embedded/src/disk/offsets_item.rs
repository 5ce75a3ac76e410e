//! One item in the offsets view's table: (group, topic, slice) → item.
//!
//! Layout of the value: version (u8, 1), incarnation (u128), position (u64), topic id (16 bytes), updated at (i64, ms since
//! 1970), then per partition in ascending order: partition (i32), offset (i64), leader epoch (i32, −1 for none), committed
//! at (i64, ms since 1970), length of the metadata in bytes (u32), the metadata; all big-endian. Replaced as a whole.

use std::collections::BTreeMap;

use sluice_store::{Incarnation, LogPosition, OffsetsEntry, OffsetsItem};
use uuid::Uuid;

const VERSION: u8 = 1;

/// The value of an item.
pub(super) fn encode(item: &OffsetsItem) -> Vec<u8> {
    let mut value = vec![VERSION];
    value.extend_from_slice(&item.incarnation.0.to_be_bytes());
    value.extend_from_slice(&item.position.0.to_be_bytes());
    value.extend_from_slice(item.topic_id.as_bytes());
    value.extend_from_slice(&item.updated_at_ms.to_be_bytes());
    for (partition, entry) in &item.offsets {
        value.extend_from_slice(&partition.to_be_bytes());
        value.extend_from_slice(&entry.offset.to_be_bytes());
        value.extend_from_slice(&entry.leader_epoch.to_be_bytes());
        value.extend_from_slice(&entry.committed_at_ms.to_be_bytes());
        // Cut where the length would not fit, which no frame that brought it could hold.
        let len = u32::try_from(entry.metadata.len()).unwrap_or(0);
        value.extend_from_slice(&len.to_be_bytes());
        value.extend_from_slice(if len == 0 { b"" } else { entry.metadata.as_bytes() });
    }
    value
}

/// Incarnation and position of a value: all that decides whether it is replaced. `None` when it is damaged.
pub(super) fn place(value: &[u8]) -> Option<(Incarnation, LogPosition)> {
    let (incarnation, position, _) = split_place(value)?;
    Some((incarnation, position))
}

/// The item that a row holds; `None` when it is damaged.
pub(super) fn decode((group, topic, slice): (&str, &str, u32), value: &[u8]) -> Option<OffsetsItem> {
    let (incarnation, position, mut rest) = split_place(value)?;
    let topic_id = Uuid::from_bytes(take(&mut rest)?);
    let updated_at_ms = i64::from_be_bytes(take(&mut rest)?);
    let mut offsets = BTreeMap::new();
    while !rest.is_empty() {
        let partition = i32::from_be_bytes(take(&mut rest)?);
        let offset = i64::from_be_bytes(take(&mut rest)?);
        let leader_epoch = i32::from_be_bytes(take(&mut rest)?);
        let committed_at_ms = i64::from_be_bytes(take(&mut rest)?);
        let len = usize::try_from(u32::from_be_bytes(take(&mut rest)?)).ok()?;
        let (metadata, after) = rest.split_at_checked(len)?;
        rest = after;
        let metadata = String::from_utf8(metadata.to_vec()).ok()?;
        offsets.insert(partition, OffsetsEntry { offset, leader_epoch, metadata, committed_at_ms });
    }
    let (group, topic) = (group.to_owned(), topic.to_owned());
    Some(OffsetsItem { incarnation, group, topic, topic_id, slice, position, updated_at_ms, offsets })
}

fn split_place(value: &[u8]) -> Option<(Incarnation, LogPosition, &[u8])> {
    let (&version, mut rest) = value.split_first()?;
    let incarnation = Incarnation(u128::from_be_bytes(take(&mut rest)?));
    let position = LogPosition(u64::from_be_bytes(take(&mut rest)?));
    (version == VERSION).then_some((incarnation, position, rest))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*array)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: (&str, &str, u32) = ("g", "t", 0);

    fn item() -> OffsetsItem {
        let entry = |metadata: &str| OffsetsEntry {
            offset: 7,
            leader_epoch: -1,
            metadata: metadata.to_owned(),
            committed_at_ms: 1_000,
        };
        OffsetsItem {
            incarnation: Incarnation(u128::MAX - 1),
            group: "g".into(),
            topic: "t".into(),
            topic_id: Uuid::from_u128(3),
            slice: 0,
            position: LogPosition(5),
            updated_at_ms: -1,
            offsets: BTreeMap::from([(0, entry("")), (9, entry("ä"))]),
        }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let value = encode(&item());
        assert_eq!(decode(KEY, &value), Some(item()));
        assert_eq!(place(&value), Some((Incarnation(u128::MAX - 1), LogPosition(5))));
        let none = OffsetsItem { offsets: BTreeMap::new(), ..item() };
        assert_eq!(decode(KEY, &encode(&none)), Some(none));
    }

    // The bytes are on somebody's disk: a change of this test is a change of the format.
    #[test]
    fn an_item_has_these_bytes() {
        let value = encode(&item());
        let (head, partitions) = value.split_at(1 + 16 + 8 + 16 + 8);
        assert_eq!(head[0], 1);
        assert_eq!(head[17..25], [0, 0, 0, 0, 0, 0, 0, 5]);
        assert_eq!(partitions.len(), 2 * 28 + "ä".len());
        assert_eq!(partitions[28 + 24..], [0, 0, 0, 2, 0xC3, 0xA4]);
    }

    // I-09: whatever the bytes are, they are judged and not trusted.
    #[test]
    fn what_is_cut_or_of_another_version_is_damaged() {
        let value = encode(&item());
        let whole = [1 + 16 + 8 + 16 + 8, 1 + 16 + 8 + 16 + 8 + 28, value.len()];
        for len in 0..value.len() {
            assert_eq!(decode(KEY, &value[..len]).is_some(), whole.contains(&len), "{len} bytes");
        }
        let mut other = value.clone();
        other[0] = 2;
        assert_eq!((decode(KEY, &other), place(&other)), (None, None));
        let mut no_text = value;
        *no_text.last_mut().unwrap() = 0xFF;
        assert_eq!(decode(KEY, &no_text), None);
    }
}
