//! The buffer: one owner task that groups batches by partition and closes flushes.
//!
//! Promises: a flush closes when nothing is in flight and the PUT bucket has a token, when its oldest batch is `linger`
//! old, or at `segment_bytes_max`; flushes of one partition are committed in order (`order.rs`).
//! Never: waits for the log or the store in the middle of something.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use sluice_metadata::{BatchVerdict, PartitionKey};
use sluice_records::ValidBatch;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::bucket::PutBucket;
use super::order::CommitOrder;
use super::upload::{Flush, Uploaded, Uploader};
use crate::cache::SegmentReader;
use crate::engine::EngineParts;
use crate::error::{EngineError, EngineResult};
use crate::metrics::Metrics;
use crate::replica::{FlightCount, Replica, Waiter};

/// A batch that was admitted.
#[derive(Debug)]
pub(crate) struct BufferedBatch {
    pub(crate) key: PartitionKey,
    pub(crate) batch: ValidBatch,
    pub(crate) waiter: Waiter<EngineResult<BatchVerdict>>,
    /// See [`crate::replica::DraftBatch`].
    pub(crate) permit: Arc<OwnedSemaphorePermit>,
}

#[derive(Debug)]
enum BufferRequest {
    Add(Vec<BufferedBatch>),
    /// Flush without lingering, and tell when everything is settled.
    Drain(oneshot::Sender<()>),
}

/// The way into the buffer.
#[derive(Debug, Clone)]
pub(crate) struct Buffer(mpsc::Sender<BufferRequest>);

impl Buffer {
    /// Starts the owner task.
    pub(crate) fn start(
        parts: &Arc<EngineParts>,
        replica: &Replica,
        reader: &SegmentReader,
        metrics: &Arc<Metrics>,
    ) -> (Self, JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(parts.limits.queue_len);
        let task = BufferTask::new(parts.clone(), replica.clone(), reader.clone(), metrics.clone(), receiver);
        (Self(sender), tokio::spawn(task.run()))
    }

    /// Queues the batches of one request, in order. Those for which there is no room until `deadline` did not happen:
    /// a full buffer holds a client back, but not past its time.
    pub(crate) async fn add(&self, batches: Vec<BufferedBatch>, deadline: Instant) {
        let room = match self.0.try_reserve() {
            Err(mpsc::error::TrySendError::Full(())) => tokio::time::timeout_at(deadline, self.0.reserve()).await,
            room => Ok(room.map_err(|_| mpsc::error::SendError(()))),
        };
        let why = match room {
            Ok(Ok(room)) => return room.send(BufferRequest::Add(batches)),
            Ok(Err(_)) => "the gateway stopped",
            Err(_) => "no room for more records in time",
        };
        let error = EngineError::DidNotHappen(why.to_owned());
        batches.into_iter().for_each(|b| b.waiter.resolve(Err(error.clone())));
    }

    /// Flushes everything and waits until it is settled.
    pub(crate) async fn drain(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.0.send(BufferRequest::Drain(sender)).await.is_ok() {
            let _ = receiver.await;
        }
    }
}

/// The batches of the next flush.
#[derive(Debug, Default)]
struct Gathering {
    runs: BTreeMap<PartitionKey, Vec<BufferedBatch>>,
    bytes: usize,
    oldest: Option<Instant>,
}

struct BufferTask {
    parts: Arc<EngineParts>,
    replica: Replica,
    uploader: Uploader,
    requests: mpsc::Receiver<BufferRequest>,
    gathering: Gathering,
    /// Only where puts are metered.
    bucket: Option<PutBucket>,
    order: CommitOrder,
    uploads: FuturesUnordered<BoxFuture<'static, Uploaded>>,
    flights: Arc<FlightCount>,
    draining: Vec<oneshot::Sender<()>>,
}

impl BufferTask {
    fn new(
        parts: Arc<EngineParts>,
        replica: Replica,
        reader: SegmentReader,
        metrics: Arc<Metrics>,
        requests: mpsc::Receiver<BufferRequest>,
    ) -> Self {
        let limits = &parts.limits;
        let metered = parts.objects.capabilities().puts_are_metered;
        let bucket = metered.then(|| PutBucket::full(limits.put_rate, limits.put_burst, parts.clock.now()));
        Self {
            uploader: Uploader::new(parts.clone(), reader, metrics),
            replica,
            requests,
            gathering: Gathering::default(),
            bucket,
            order: CommitOrder::default(),
            uploads: FuturesUnordered::new(),
            flights: Arc::default(),
            draining: Vec::new(),
            parts,
        }
    }

    async fn run(mut self) {
        loop {
            self.close_flushes();
            self.answer_drains();
            let deadline = self.next_close();
            // Beyond one full segment that cannot close, requests wait in their bounded queue.
            let has_room = self.gathering.bytes < self.parts.limits.segment_bytes_max;
            tokio::select! {
                biased;
                Some(uploaded) = self.uploads.next(), if !self.uploads.is_empty() => self.commit(uploaded).await,
                () = self.flights.changed.notified() => {}
                request = self.requests.recv(), if has_room => match request {
                    Some(request) => self.on_requests(request),
                    None => return,
                },
                () = sleep_until(deadline) => {}
            }
        }
    }

    fn on_requests(&mut self, first: BufferRequest) {
        self.on_request(first);
        while self.gathering.bytes < self.parts.limits.segment_bytes_max {
            match self.requests.try_recv() {
                Ok(request) => self.on_request(request),
                Err(_) => break,
            }
        }
    }

    fn on_request(&mut self, request: BufferRequest) {
        match request {
            BufferRequest::Add(batches) => {
                self.gathering.oldest.get_or_insert_with(|| self.parts.clock.now());
                for batch in batches {
                    self.gathering.bytes += batch.batch.byte_len();
                    self.gathering.runs.entry(batch.key).or_default().push(batch);
                }
            }
            BufferRequest::Drain(done) => self.draining.push(done),
        }
    }

    fn close_flushes(&mut self) {
        let now = self.parts.clock.now();
        if self.gathering.runs.is_empty() || !self.wants_to_close(now) {
            return;
        }
        if let Some(bucket) = &mut self.bucket {
            bucket.take(now);
        }
        self.close_flush();
    }

    fn wants_to_close(&mut self, now: Instant) -> bool {
        let limits = &self.parts.limits;
        if self.flights.get() >= limits.flushes_in_flight_max || self.replica.session().is_none() {
            return false;
        }
        let forced = self.is_due(now);
        let idle = self.flights.get() == 0;
        let allowed = self.bucket.as_mut().is_none_or(|bucket| bucket.allows(forced, now));
        (forced || idle) && allowed
    }

    /// True when lingering is over.
    fn is_due(&self, now: Instant) -> bool {
        let limits = &self.parts.limits;
        self.gathering.bytes >= limits.segment_bytes_max
            || !self.draining.is_empty()
            || self.gathering.oldest.is_some_and(|oldest| oldest + limits.linger <= now)
    }

    fn next_close(&mut self) -> Option<Instant> {
        let oldest = self.gathering.oldest?;
        if self.flights.get() >= self.parts.limits.flushes_in_flight_max {
            return None; // The end of a flight wakes us.
        }
        let now = self.parts.clock.now();
        if self.replica.session().is_none() {
            return Some(now + self.parts.limits.poll_min);
        }
        let forced = self.is_due(now);
        let linger = oldest + self.parts.limits.linger;
        let token = self.bucket.as_mut().map(|bucket| bucket.allows_at(forced, now));
        match (forced, token) {
            (true, token) => Some(token.unwrap_or(now)),
            (false, Some(token)) if self.flights.get() == 0 => Some(token.min(linger)),
            (false, _) => Some(linger),
        }
    }

    fn close_flush(&mut self) {
        let gathered = std::mem::take(&mut self.gathering);
        let Some(session) = self.replica.session() else { return };
        let partitions: Vec<_> = gathered.runs.keys().copied().collect();
        let flush = Flush {
            id: self.order.enter(partitions),
            session,
            batches: gathered.runs.into_values().flatten().collect(),
            flight: self.flights.take_off(),
        };
        self.uploads.push(self.uploader.upload(flush));
    }

    async fn commit(&mut self, uploaded: Uploaded) {
        for draft in self.order.uploaded(uploaded.id, uploaded.draft) {
            if let Err(draft) = self.replica.submit(draft).await {
                draft.fail(&EngineError::DidNotHappen("the gateway stopped".into()));
            }
        }
    }

    fn answer_drains(&mut self) {
        if self.gathering.runs.is_empty() && self.flights.get() == 0 {
            for done in self.draining.drain(..) {
                let _ = done.send(());
            }
        }
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
