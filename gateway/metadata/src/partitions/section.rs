//! A partition, and its extents, in a snapshot.
//!
//! Partition: key (topic id 16 bytes, index zigzag), log start offset and high watermark (zigzag), shard (u8).
//! Cardinality: one item per partition, ascending by key, at most `limits::PARTITIONS`.
//!
//! Extents: key, number of extents (varint, 1 to [`EXTENTS_PER_ITEM`]), then per extent: base offset (zigzag), records
//! (varint), object (session varint, nonce 8 bytes), start (varint), bytes (varint), max timestamp (zigzag). Base offset
//! and timestamp are differences from those of the extent before in the item. Cardinality: as many items as the extents
//! of a partition fill, in order, after all partitions; at most `limits::EXTENTS` extents in all. An extent never
//! changes once the entry that made it is applied.

use crate::wire::{DecodeError, Reader, Writer};
use crate::{Extent, Partition, PartitionKey};

/// Extents in one item: small enough that parts are cut where they should be.
pub(crate) const EXTENTS_PER_ITEM: usize = 256;

/// The shortest extent on the wire.
const EXTENT_BYTES_MIN: usize = 14;

pub(crate) fn write_partition(writer: &mut Writer, key: PartitionKey, partition: &Partition) {
    writer.partition_key(key);
    writer.zigzag(partition.log_start_offset);
    writer.zigzag(partition.high_watermark);
    writer.u8(partition.shard);
}

/// A partition without its extents and producers: they follow in their own sections.
pub(crate) fn read_partition(reader: &mut Reader<'_>) -> Result<(PartitionKey, Partition), DecodeError> {
    let key = reader.partition_key()?;
    let mut partition = Partition::new(key);
    partition.log_start_offset = reader.zigzag()?;
    partition.high_watermark = reader.zigzag()?;
    partition.shard = reader.u8()?;
    Ok((key, partition))
}

pub(crate) fn write_extents(writer: &mut Writer, key: PartitionKey, extents: &[Extent]) {
    writer.partition_key(key);
    writer.count(extents.len());
    let (mut base_offset, mut max_timestamp) = (0_i64, 0_i64);
    for extent in extents {
        writer.zigzag(extent.base_offset.wrapping_sub(base_offset));
        writer.varint(u64::from(extent.records));
        writer.object(extent.object);
        writer.varint(extent.start);
        writer.varint(u64::from(extent.bytes));
        writer.zigzag(extent.max_timestamp.wrapping_sub(max_timestamp));
        (base_offset, max_timestamp) = (extent.base_offset, extent.max_timestamp);
    }
}

pub(crate) fn read_extents(reader: &mut Reader<'_>) -> Result<(PartitionKey, Vec<Extent>), DecodeError> {
    let key = reader.partition_key()?;
    let count = reader.count(EXTENT_BYTES_MIN)?;
    let (mut base_offset, mut max_timestamp) = (0_i64, 0_i64);
    let mut extents = Vec::new();
    for _ in 0..count {
        base_offset = base_offset.wrapping_add(reader.zigzag()?);
        let records = reader.varint_u32()?;
        let object = reader.object()?;
        let start = reader.varint()?;
        let bytes = reader.varint_u32()?;
        max_timestamp = max_timestamp.wrapping_add(reader.zigzag()?);
        extents.push(Extent { base_offset, records, object, start, bytes, max_timestamp });
    }
    Ok((key, extents))
}
