//! The bytes of Produce: the largest and most frequent command, so it is packed.
//!
//! Layout: object (session varint, nonce 8 bytes), object bytes (varint), number of runs (varint), the runs.
//! Run: flag (u8: 1 when a topic id follows, 0 for that of the run before), topic id (16 bytes), partition (zigzag),
//! start (zigzag, from the end of the run before), number of batches (varint), the batches.
//! Batch: flag (u8: 0 no producer, 1 producer follows, 2 that of the batch before), records (varint), bytes (varint),
//! max timestamp (zigzag, from that of the batch before), for flag 1 producer id and epoch (zigzag), for flags 1 and 2
//! base sequence (zigzag). A difference wraps around 64 bits, so that every value has one.

use uuid::Uuid;

use crate::wire::{DecodeError, Reader, Writer};
use crate::{Command, ObjectId};

/// The batches of one partition in one object, as they lie there, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedRun {
    /// The topic.
    pub topic_id: Uuid,
    /// Index of the partition.
    pub partition: i32,
    /// Offset in the object of the first batch's first byte.
    pub start: u64,
    /// The batches, contiguous from `start`.
    pub batches: Vec<BatchRef>,
}

/// One record batch, as the gateway that validated it describes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchRef {
    /// Records in it.
    pub records: u32,
    /// Its length in bytes, header included.
    pub bytes: u32,
    /// Its producer; `None` for one that is not idempotent.
    pub producer: Option<BatchProducer>,
    /// Its greatest timestamp, milliseconds.
    pub max_timestamp: i64,
}

/// The idempotent producer of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchProducer {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i16,
    /// Sequence of the batch's first record.
    pub base_sequence: i32,
}

/// The shortest run: flag, partition, start, number of batches.
const RUN_BYTES_MIN: usize = 4;
/// The shortest batch: flag, records, bytes, timestamp.
const BATCH_BYTES_MIN: usize = 4;

const NO_PRODUCER: u8 = 0;
const NEW_PRODUCER: u8 = 1;
const SAME_PRODUCER: u8 = 2;

/// What the deltas are taken from.
#[derive(Default)]
struct Before {
    topic_id: Option<Uuid>,
    end: u64,
    max_timestamp: i64,
    producer: Option<(i64, i16)>,
}

pub(crate) fn write_produce(writer: &mut Writer, object: ObjectId, object_bytes: u64, runs: &[CommittedRun]) {
    writer.object(object);
    writer.varint(object_bytes);
    writer.count(runs.len());
    let mut before = Before::default();
    for run in runs {
        before.write_run(writer, run);
    }
}

pub(crate) fn read_produce(reader: &mut Reader<'_>) -> Result<Command, DecodeError> {
    let object = reader.object()?;
    let object_bytes = reader.varint()?;
    let count = reader.count(RUN_BYTES_MIN)?;
    let mut before = Before::default();
    let mut runs = Vec::new();
    for _ in 0..count {
        runs.push(before.read_run(reader)?);
    }
    Ok(Command::Produce { object, object_bytes, runs })
}

impl Before {
    fn write_run(&mut self, writer: &mut Writer, run: &CommittedRun) {
        if self.topic_id == Some(run.topic_id) {
            writer.u8(0);
        } else {
            writer.u8(1);
            writer.uuid(run.topic_id);
        }
        writer.zigzag(i64::from(run.partition));
        writer.zigzag(run.start.wrapping_sub(self.end).cast_signed());
        writer.count(run.batches.len());
        self.topic_id = Some(run.topic_id);
        self.end = run.start;
        for batch in &run.batches {
            self.write_batch(writer, batch);
        }
    }

    fn read_run(&mut self, reader: &mut Reader<'_>) -> Result<CommittedRun, DecodeError> {
        let topic_id = match (reader.u8()?, self.topic_id) {
            (0, Some(topic_id)) => topic_id,
            (1, _) => reader.uuid()?,
            (unknown, _) => return Err(DecodeError::UnknownTag(unknown)),
        };
        let partition = reader.zigzag_i32()?;
        let start = self.end.wrapping_add(reader.zigzag()?.cast_unsigned());
        let count = reader.count(BATCH_BYTES_MIN)?;
        self.topic_id = Some(topic_id);
        self.end = start;
        let mut batches = Vec::new();
        for _ in 0..count {
            batches.push(self.read_batch(reader)?);
        }
        Ok(CommittedRun { topic_id, partition, start, batches })
    }

    fn write_batch(&mut self, writer: &mut Writer, batch: &BatchRef) {
        let named = batch.producer.map(|producer| (producer.id, producer.epoch));
        let flag = match named {
            None => NO_PRODUCER,
            Some(_) if named == self.producer => SAME_PRODUCER,
            Some(_) => NEW_PRODUCER,
        };
        writer.u8(flag);
        writer.varint(u64::from(batch.records));
        writer.varint(u64::from(batch.bytes));
        writer.zigzag(batch.max_timestamp.wrapping_sub(self.max_timestamp));
        if let Some(producer) = batch.producer {
            if flag == NEW_PRODUCER {
                writer.zigzag(producer.id);
                writer.zigzag(i64::from(producer.epoch));
            }
            writer.zigzag(i64::from(producer.base_sequence));
        }
        self.advance(batch);
    }

    fn read_batch(&mut self, reader: &mut Reader<'_>) -> Result<BatchRef, DecodeError> {
        let flag = reader.u8()?;
        let records = reader.varint_u32()?;
        let bytes = reader.varint_u32()?;
        let max_timestamp = self.max_timestamp.wrapping_add(reader.zigzag()?);
        let named = match (flag, self.producer) {
            (NO_PRODUCER, _) => None,
            (NEW_PRODUCER, _) => Some((reader.zigzag()?, reader.zigzag_i16()?)),
            (SAME_PRODUCER, Some(before)) => Some(before),
            (unknown, _) => return Err(DecodeError::UnknownTag(unknown)),
        };
        let producer = match named {
            None => None,
            Some((id, epoch)) => Some(BatchProducer { id, epoch, base_sequence: reader.zigzag_i32()? }),
        };
        let batch = BatchRef { records, bytes, producer, max_timestamp };
        self.advance(&batch);
        Ok(batch)
    }

    fn advance(&mut self, batch: &BatchRef) {
        self.end = self.end.wrapping_add(u64::from(batch.bytes));
        self.max_timestamp = batch.max_timestamp;
        if let Some(producer) = batch.producer {
            self.producer = Some((producer.id, producer.epoch));
        }
    }
}
