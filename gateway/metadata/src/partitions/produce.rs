//! Apply of Produce: each batch gets its offsets or its verdict.

use std::sync::Arc;

use super::{Partitions, Usage};
use crate::{
    BatchRef, BatchVerdict, CommittedRun, Extent, InvalidBatch, Malformation, ObjectId, Outcome, Partition,
    PartitionKey, limits,
};

impl Partitions {
    /// Judges every batch of every run in order. `touched` gets the partitions whose high watermark moved.
    pub(crate) fn produce(
        &mut self,
        object: ObjectId,
        object_bytes: u64,
        runs: &[CommittedRun],
        touched: &mut Vec<PartitionKey>,
    ) -> Outcome {
        if runs.len() > limits::RUNS_PER_PRODUCE {
            return Outcome::Malformed(Malformation::TooManyRuns);
        }
        let batches = runs.iter().fold(0_usize, |sum, run| sum.saturating_add(run.batches.len()));
        if batches > limits::BATCHES_PER_PRODUCE {
            return Outcome::Malformed(Malformation::TooManyBatches);
        }
        let produced = runs.iter().map(|run| self.produce_run(object, object_bytes, run, touched)).collect();
        Outcome::Produced(produced)
    }

    fn produce_run(
        &mut self,
        object: ObjectId,
        object_bytes: u64,
        run: &CommittedRun,
        touched: &mut Vec<PartitionKey>,
    ) -> Vec<BatchVerdict> {
        let key = PartitionKey { topic_id: run.topic_id, partition: run.partition };
        // Asked first, because `get_mut` copies the path to a key that turns out to be missing.
        if !self.by_key.contains_key(&key) {
            return vec![BatchVerdict::UnknownPartition; run.batches.len()];
        }
        let Some(partition) = self.by_key.get_mut(&key) else {
            return vec![BatchVerdict::UnknownPartition; run.batches.len()];
        };
        let before = partition.high_watermark;
        let mut place = Place { object, object_bytes, start: Some(run.start), follows: false };
        let verdicts = run.batches.iter().map(|batch| place.judge(partition, batch, &mut self.usage)).collect();
        if partition.high_watermark != before {
            touched.push(key);
        }
        verdicts
    }
}

/// Where the next batch of a run lies.
struct Place {
    object: ObjectId,
    object_bytes: u64,
    /// `None` once the run has left the 64 bits an object's bytes are counted in.
    start: Option<u64>,
    /// The batch before was accepted: the next one may share its extent.
    follows: bool,
}

impl Place {
    fn judge(&mut self, partition: &mut Arc<Partition>, batch: &BatchRef, usage: &mut Usage) -> BatchVerdict {
        let start = self.start;
        let end = start.and_then(|start| start.checked_add(u64::from(batch.bytes)));
        self.start = end;
        let verdict = match (start, end) {
            (Some(start), Some(end)) if end <= self.object_bytes => self.accept(partition, batch, start, usage),
            _ => Err(BatchVerdict::Invalid(InvalidBatch::OutsideObject)),
        };
        self.follows = verdict.is_ok();
        verdict.map_or_else(|refusal| refusal, |base_offset| BatchVerdict::Accepted { base_offset })
    }

    /// Validates first, then mutates (L11): a refused batch leaves no trace, its bytes take no offset.
    fn accept(
        &self,
        partition: &mut Arc<Partition>,
        batch: &BatchRef,
        start: u64,
        usage: &mut Usage,
    ) -> Result<i64, BatchVerdict> {
        check_form(batch)?;
        if let Some(producer) = batch.producer {
            partition.judge_producer(producer, batch.records)?;
        }
        let base_offset = partition.high_watermark;
        let next_offset = base_offset.checked_add(i64::from(batch.records)).ok_or(BatchVerdict::LimitReached)?;
        let grown = partition
            .extents
            .last()
            .filter(|_| self.follows)
            .and_then(|last| last.grown(batch.records, batch.bytes, batch.max_timestamp));
        if grown.is_none() && usage.extents >= limits::EXTENTS {
            return Err(BatchVerdict::LimitReached);
        }
        partition.check_room_for_producer(batch.producer, usage)?;

        let partition = Arc::make_mut(partition);
        match grown {
            Some(grown) => partition.extents.grow_last(grown),
            None => {
                partition.extents.push(Extent {
                    base_offset,
                    records: batch.records,
                    object: self.object,
                    start,
                    bytes: batch.bytes,
                    max_timestamp: batch.max_timestamp,
                });
                usage.extents += 1;
            }
        }
        partition.high_watermark = next_offset;
        if let Some(producer) = batch.producer {
            partition.record_producer(producer, batch, base_offset, usage);
        }
        Ok(base_offset)
    }
}

fn check_form(batch: &BatchRef) -> Result<(), BatchVerdict> {
    if batch.records == 0 || batch.records > limits::RECORDS_PER_BATCH {
        return Err(BatchVerdict::Invalid(InvalidBatch::Records));
    }
    if batch.bytes < limits::BATCH_BYTES_MIN {
        return Err(BatchVerdict::Invalid(InvalidBatch::Bytes));
    }
    let legal = |p: crate::BatchProducer| p.id >= 0 && p.epoch >= 0 && p.base_sequence >= 0;
    if batch.producer.is_some_and(|producer| !legal(producer)) {
        return Err(BatchVerdict::Invalid(InvalidBatch::Producer));
    }
    Ok(())
}
