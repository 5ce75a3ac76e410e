//! Writing a flush's segment.
//!
//! Promises: a fresh key for every attempt at a flush, create-only (I-03); the object's CRC32C is derived from those of the
//! batches, which the store checks. A segment that was not written, or may not have been, is never referred to: its
//! batches did not happen.

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_metadata::{BatchProducer, BatchRef, ObjectId, SessionId};
use sluice_records::{RunBatch, SegmentBuilder};
use sluice_store::{ByteChunks, PutOptions, StoreResult};

use super::buffer::BufferedBatch;
use crate::cache::SegmentReader;
use crate::engine::EngineParts;
use crate::error::EngineError;
use crate::metrics::Metrics;
use crate::replica::{Draft, DraftBatch, DraftRun, Flight, ProduceDraft};

/// A closed flush: its batches are fixed, sorted by partition, in order within each.
#[derive(Debug)]
pub(crate) struct Flush {
    pub(crate) id: u64,
    pub(crate) session: SessionId,
    pub(crate) batches: Vec<BufferedBatch>,
    pub(crate) flight: Flight,
}

/// A flush whose upload is over; without a draft when it failed or nobody waits for it any more.
pub(crate) struct Uploaded {
    pub(crate) id: u64,
    pub(crate) draft: Option<Draft>,
}

/// Writes segments.
#[derive(Debug, Clone)]
pub(crate) struct Uploader {
    parts: Arc<EngineParts>,
    reader: SegmentReader,
    metrics: Arc<Metrics>,
}

impl Uploader {
    pub(crate) fn new(parts: Arc<EngineParts>, reader: SegmentReader, metrics: Arc<Metrics>) -> Self {
        Self { parts, reader, metrics }
    }

    /// Writes the flush's segment.
    pub(crate) fn upload(&self, flush: Flush) -> BoxFuture<'static, Uploaded> {
        let this = self.clone();
        async move { this.run(flush).await }.boxed()
    }

    async fn run(self, flush: Flush) -> Uploaded {
        let Flush { id, session, mut batches, flight } = flush;
        // Whose time is up is left out before anything is written.
        batches.retain(|batch| !batch.waiter.claim().is_cancelled());
        if batches.is_empty() {
            return Uploaded { id, draft: None };
        }
        let object = ObjectId { session, nonce: self.parts.entropy.next_u64() };
        let mut builder = SegmentBuilder::new();
        for batch in &batches {
            builder.push(batch.key.topic_id, batch.key.partition, batch.batch.clone());
        }
        let built = builder.finish();
        let (object_bytes, crc32c, runs) = (built.len, built.crc32c, built.runs);
        let bytes = ByteChunks::new(built.chunks);
        match self.put(object, &bytes, crc32c).await {
            Ok(()) => {
                self.metrics.segments_put.inc();
                self.metrics.segment_bytes_put.inc_by(object_bytes);
                self.reader.insert(object, &bytes).await;
                let runs = draft_runs(runs, batches);
                let draft = ProduceDraft { object, object_bytes, runs, flight };
                Uploaded { id, draft: Some(Draft::Produce(draft)) }
            }
            Err(error) => {
                self.metrics.segment_put_failures.inc();
                tracing::warn!(object = %object.key(self.incarnation()), %error, "a segment could not be written");
                // Even if the object is there: no entry refers to it, and none ever will.
                let error = EngineError::DidNotHappen(error.to_string());
                batches.into_iter().for_each(|batch| batch.waiter.resolve(Err(error.clone())));
                Uploaded { id, draft: None }
            }
        }
    }

    async fn put(&self, object: ObjectId, bytes: &ByteChunks, crc32c: u32) -> StoreResult<()> {
        let key = self.reader.key(object)?;
        let options = PutOptions { create_only: true, crc32c: Some(crc32c) };
        self.parts.objects.put(&key, bytes.clone(), options).await
    }

    fn incarnation(&self) -> sluice_metadata::Incarnation {
        sluice_metadata::Incarnation(self.parts.log.incarnation().0)
    }
}

/// The runs that the segment says it has, with those who wait for them: both are in the order of partitions, and within
/// one in the order of arrival.
fn draft_runs(runs: Vec<sluice_records::Run>, batches: Vec<BufferedBatch>) -> Vec<DraftRun> {
    let mut waiting = batches.into_iter();
    let draft_run = |run: sluice_records::Run| DraftRun {
        topic_id: run.topic_id,
        partition: run.partition,
        start: run.start,
        batches: (run.batches.iter().zip(waiting.by_ref()))
            .map(|(batch, buffered)| DraftBatch {
                batch: batch_ref(batch),
                waiter: buffered.waiter,
                permit: buffered.permit,
            })
            .collect(),
    };
    runs.into_iter().map(draft_run).collect()
}

fn batch_ref(batch: &RunBatch) -> BatchRef {
    BatchRef {
        records: batch.records,
        bytes: batch.bytes,
        producer: (batch.producer_id >= 0).then_some(BatchProducer {
            id: batch.producer_id,
            epoch: batch.producer_epoch,
            base_sequence: batch.base_sequence,
        }),
        max_timestamp: batch.max_timestamp,
    }
}
