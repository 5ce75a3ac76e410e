//! A producer of one partition in a snapshot.
//!
//! Layout: partition key (topic id 16 bytes, index zigzag), producer id (zigzag), epoch (zigzag), number of batches
//! (varint, 1 to `limits::BATCHES_PER_PRODUCER`), each: base sequence, last sequence, base offset, timestamp (zigzag).
//! Cardinality: one item per producer and partition, ascending by both, after all extents; at most
//! `limits::PRODUCERS`. Changes with every batch that is accepted from the producer.

use super::{Producer, ProducerBatch};
use crate::wire::{DecodeError, Reader, Writer};
use crate::{PartitionKey, limits};

/// The shortest batch on the wire.
const BATCH_BYTES_MIN: usize = 4;

pub(crate) fn write_producer(writer: &mut Writer, key: PartitionKey, producer_id: i64, producer: &Producer) {
    writer.partition_key(key);
    writer.zigzag(producer_id);
    writer.zigzag(i64::from(producer.epoch()));
    writer.count(producer.batches().len());
    for batch in producer.batches() {
        writer.zigzag(i64::from(batch.base_sequence));
        writer.zigzag(i64::from(batch.last_sequence));
        writer.zigzag(batch.base_offset);
        writer.zigzag(batch.timestamp);
    }
}

pub(crate) fn read_producer(reader: &mut Reader<'_>) -> Result<(PartitionKey, i64, Producer), DecodeError> {
    let key = reader.partition_key()?;
    let producer_id = reader.zigzag()?;
    let mut producer = Producer::new(reader.zigzag_i16()?);
    let count = reader.count(BATCH_BYTES_MIN)?;
    if count > limits::BATCHES_PER_PRODUCER {
        return Err(DecodeError::TooLong);
    }
    for _ in 0..count {
        producer.push(ProducerBatch {
            base_sequence: reader.zigzag_i32()?,
            last_sequence: reader.zigzag_i32()?,
            base_offset: reader.zigzag()?,
            timestamp: reader.zigzag()?,
        });
    }
    Ok((key, producer_id, producer))
}
