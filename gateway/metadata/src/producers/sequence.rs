//! The judgement of a batch by its producer's sequence.

use std::sync::Arc;

use super::{Producer, ProducerBatch};
use crate::partitions::Usage;
use crate::{BatchProducer, BatchRef, BatchVerdict, Partition, limits};

/// The sequence `count` records after `sequence`: sequences wrap from 2^31 − 1 to 0, as in Kafka.
pub(crate) fn add_sequence(sequence: i32, count: u32) -> i32 {
    let sum = i64::from(sequence) + i64::from(count);
    i32::try_from(sum & i64::from(i32::MAX)).unwrap_or(0)
}

impl Partition {
    /// `Ok` when the batch is the producer's next one here.
    ///
    /// In this order: a duplicate of a remembered batch; a stale epoch; the sequence. A newer epoch starts at 0. A
    /// producer without state here starts at 0 too: Kafka before 4.5 takes any first sequence, which loses data when
    /// the first batch is delayed (KAFKA-15591, KAFKA-19880).
    pub(crate) fn judge_producer(&self, batch: BatchProducer, records: u32) -> Result<(), BatchVerdict> {
        let expected = match self.producers.get(&batch.id) {
            None => 0,
            Some(producer) => {
                if let Some(original) = find_duplicate(producer, batch, records) {
                    let (base_offset, timestamp) = (original.base_offset, original.timestamp);
                    return Err(BatchVerdict::Duplicate { base_offset, timestamp });
                }
                if batch.epoch < producer.epoch() {
                    return Err(BatchVerdict::StaleEpoch);
                }
                let same_epoch = batch.epoch == producer.epoch();
                let last = producer.last_batch().filter(|_| same_epoch);
                last.map_or(0, |last| add_sequence(last.last_sequence, 1))
            }
        };
        if batch.base_sequence == expected { Ok(()) } else { Err(BatchVerdict::OutOfOrderSequence { expected }) }
    }

    /// I-14: an error when the batch's producer is new here and there are as many as there may be.
    pub(crate) fn check_room_for_producer(
        &self,
        producer: Option<BatchProducer>,
        usage: &Usage,
    ) -> Result<(), BatchVerdict> {
        let full = self.producers.len() >= limits::PRODUCERS_PER_PARTITION || usage.producers >= limits::PRODUCERS;
        match producer {
            Some(producer) if full && !self.producers.contains_key(&producer.id) => Err(BatchVerdict::LimitReached),
            _ => Ok(()),
        }
    }

    /// Remembers an accepted batch.
    pub(crate) fn record_producer(
        &mut self,
        producer: BatchProducer,
        batch: &BatchRef,
        base_offset: i64,
        usage: &mut Usage,
    ) {
        let accepted = ProducerBatch {
            base_sequence: producer.base_sequence,
            last_sequence: last_sequence(producer.base_sequence, batch.records),
            base_offset,
            timestamp: batch.max_timestamp,
        };
        if let Some(known) = self.producers.get_mut(&producer.id) {
            let known = Arc::make_mut(known);
            if known.epoch() != producer.epoch {
                *known = Producer::new(producer.epoch);
            }
            known.push(accepted);
        } else {
            let mut known = Producer::new(producer.epoch);
            known.push(accepted);
            self.producers.insert(producer.id, Arc::new(known));
            usage.producers += 1;
        }
    }
}

fn last_sequence(base_sequence: i32, records: u32) -> i32 {
    add_sequence(base_sequence, records.saturating_sub(1))
}

fn find_duplicate(producer: &Producer, batch: BatchProducer, records: u32) -> Option<&ProducerBatch> {
    let last = last_sequence(batch.base_sequence, records);
    let same = |b: &&ProducerBatch| b.base_sequence == batch.base_sequence && b.last_sequence == last;
    producer.batches().iter().filter(|_| batch.epoch == producer.epoch()).find(same)
}
