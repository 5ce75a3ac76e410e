//! DeleteRecords: the log start moves forward, and what lies wholly below it is forgotten.
//!
//! Command layout: number of runs (varint), then per run: flags (u8: bit 0 a topic id follows, else it is that of the run
//! before; bit 1 an offset follows), topic id (16 bytes), partition (zigzag), offset (zigzag).

use std::sync::Arc;

use uuid::Uuid;

use super::Partitions;
use crate::wire::{DecodeError, Reader, Writer};
use crate::{Command, DeletedRecords, Malformation, Outcome, PartitionKey, limits};

/// What is to be deleted of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeleteRecordsRun {
    /// The topic.
    pub topic_id: Uuid,
    /// Index of the partition.
    pub partition: i32,
    /// The records below this offset; all that are there, up to the high watermark, for `None`.
    pub before_offset: Option<i64>,
}

const TOPIC_FOLLOWS: u8 = 1;
const OFFSET_FOLLOWS: u8 = 2;
/// The shortest run: flags and partition.
const RUN_BYTES_MIN: usize = 2;

pub(crate) fn write_delete(writer: &mut Writer, runs: &[DeleteRecordsRun]) {
    writer.count(runs.len());
    let mut topic_id = None;
    for run in runs {
        let is_new = topic_id != Some(run.topic_id);
        let topic_flag = if is_new { TOPIC_FOLLOWS } else { 0 };
        let offset_flag = run.before_offset.map_or(0, |_| OFFSET_FOLLOWS);
        writer.u8(topic_flag | offset_flag);
        if is_new {
            writer.uuid(run.topic_id);
        }
        writer.zigzag(i64::from(run.partition));
        if let Some(offset) = run.before_offset {
            writer.zigzag(offset);
        }
        topic_id = Some(run.topic_id);
    }
}

pub(crate) fn read_delete(reader: &mut Reader<'_>) -> Result<Command, DecodeError> {
    let count = reader.count(RUN_BYTES_MIN)?;
    let mut before = None;
    let mut runs = Vec::new();
    for _ in 0..count {
        let flags = reader.u8()?;
        let topic_id = match (flags & TOPIC_FOLLOWS, before) {
            _ if flags & !(TOPIC_FOLLOWS | OFFSET_FOLLOWS) != 0 => return Err(DecodeError::UnknownTag(flags)),
            (TOPIC_FOLLOWS, _) => reader.uuid()?,
            (_, Some(before)) => before,
            (_, None) => return Err(DecodeError::UnknownTag(flags)),
        };
        before = Some(topic_id);
        let partition = reader.zigzag_i32()?;
        let before_offset = if flags & OFFSET_FOLLOWS == 0 { None } else { Some(reader.zigzag()?) };
        runs.push(DeleteRecordsRun { topic_id, partition, before_offset });
    }
    Ok(Command::DeleteRecords { runs })
}

impl Partitions {
    /// Every run in order, each for itself (L11). `touched` gets the partitions whose log start moved.
    pub(crate) fn delete_records(&mut self, runs: &[DeleteRecordsRun], touched: &mut Vec<PartitionKey>) -> Outcome {
        if runs.len() > limits::RUNS_PER_DELETE_RECORDS {
            return Outcome::Malformed(Malformation::TooManyRuns);
        }
        Outcome::RecordsDeleted(runs.iter().map(|run| self.delete_run(run, touched)).collect())
    }

    fn delete_run(&mut self, run: &DeleteRecordsRun, touched: &mut Vec<PartitionKey>) -> DeletedRecords {
        let key = PartitionKey { topic_id: run.topic_id, partition: run.partition };
        let Some(partition) = self.by_key.get(&key) else {
            return DeletedRecords::UnknownPartition;
        };
        let (log_start_offset, high_watermark) = (partition.log_start_offset, partition.high_watermark);
        let before = run.before_offset.unwrap_or(high_watermark);
        if before < 0 || before > high_watermark {
            return DeletedRecords::OutOfRange { log_start_offset, high_watermark };
        }
        // I-05: it never moves back. Kafka takes an offset at or below the log start for done (UnifiedLog,
        // maybeIncrementLogStartOffset).
        if before <= log_start_offset {
            return DeletedRecords::Deleted { log_start_offset };
        }
        if let Some(partition) = self.by_key.get_mut(&key) {
            let forgotten = Arc::make_mut(partition).move_log_start(before);
            let forgotten = u64::try_from(forgotten).unwrap_or(u64::MAX);
            self.usage.extents = self.usage.extents.saturating_sub(forgotten);
            touched.push(key);
        }
        DeletedRecords::Deleted { log_start_offset: before }
    }
}

#[cfg(test)]
mod tests;
