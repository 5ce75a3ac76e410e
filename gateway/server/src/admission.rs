//! Memory for large requests, counted over all connections.
//!
//! Promises: the buffer of a frame that is too large for a pooled one is counted before it is made, and grows only with
//! what has come, so that a long frame of which little has come holds little. What a frame decodes to is counted at once
//! and only when the frame is whole: who holds it waits for nothing that others hold here. When half-received frames
//! have used everything up, one of them may go on all the same. So there is no order of frames in which connections wait
//! for each other for ever, and the bound over all of them (I-14) is `receive_bytes_max` and one `frame_bytes_max` while
//! they are received, `request_bytes_max` for what they decode to. Never: waits for a peer. Called by `connection`.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::limits::Limits;
use crate::metrics::Metrics;

/// Unit of the permits.
const PERMIT_BYTES: usize = 1 << 10;

/// A number of bytes, shared.
#[derive(Debug)]
struct Budget {
    permits: Arc<Semaphore>,
    /// As many as there are.
    all: usize,
    /// Bytes taken from it.
    taken: Gauge,
}

impl Budget {
    fn new(bytes: usize, taken: &Gauge) -> Self {
        let most = usize::try_from(u32::MAX).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS);
        let all = (bytes / PERMIT_BYTES).clamp(1, most);
        Self { permits: Arc::new(Semaphore::new(all)), all, taken: taken.clone() }
    }

    /// Permits for so many bytes; never more than there are, or who asks would wait for ever.
    fn count(&self, bytes: usize) -> usize {
        bytes.div_ceil(PERMIT_BYTES).min(self.all)
    }

    fn try_take(&self, count: usize) -> Option<Share> {
        let permit = Arc::clone(&self.permits).try_acquire_many_owned(u32::try_from(count).ok()?).ok()?;
        Some(self.share(permit))
    }

    /// Waits in line. `None` never comes: the semaphore is not closed.
    fn take(&self, count: usize) -> impl Future<Output = Option<Share>> + Send + 'static {
        let (permits, taken) = (Arc::clone(&self.permits), self.taken.clone());
        async move {
            let permit = permits.acquire_many_owned(u32::try_from(count).ok()?).await.ok()?;
            Some(Share::new(permit, taken))
        }
    }

    fn share(&self, permit: OwnedSemaphorePermit) -> Share {
        Share::new(permit, self.taken.clone())
    }
}

/// Part of a budget, given back when dropped.
#[derive(Debug)]
struct Share {
    permit: OwnedSemaphorePermit,
    taken: Gauge,
}

impl Share {
    fn new(permit: OwnedSemaphorePermit, taken: Gauge) -> Self {
        taken.inc_by(bytes_of(&permit));
        Self { permit, taken }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.taken.dec_by(bytes_of(&self.permit));
    }
}

fn bytes_of(permit: &OwnedSemaphorePermit) -> i64 {
    i64::try_from(permit.num_permits().saturating_mul(PERMIT_BYTES)).unwrap_or(i64::MAX)
}

/// The budgets.
#[derive(Debug)]
pub(crate) struct RequestMemory {
    receiving: Budget,
    decoding: Budget,
    /// One permit: with it a half-received frame grows without any others.
    beyond: Arc<Semaphore>,
}

impl RequestMemory {
    pub(crate) fn new(limits: &Limits, metrics: &Metrics) -> Self {
        Self {
            receiving: Budget::new(limits.receive_bytes_max, &metrics.receiving_bytes),
            decoding: Budget::new(limits.request_bytes_max, &metrics.decoding_bytes),
            beyond: Arc::new(Semaphore::new(1)),
        }
    }

    fn wait_to_receive(&self, count: usize, is_half_received: bool) -> BoxFuture<'static, Option<Grant>> {
        let share = self.receiving.take(count);
        if !is_half_received {
            return Box::pin(async move { share.await.map(Grant::Receiving) });
        }
        let beyond = Arc::clone(&self.beyond);
        Box::pin(async move {
            tokio::select! {
                biased;
                share = share => share.map(Grant::Receiving),
                beyond = beyond.acquire_owned() => beyond.ok().map(Grant::Beyond),
            }
        })
    }

    fn wait_to_decode(&self, count: usize) -> BoxFuture<'static, Option<Grant>> {
        let share = self.decoding.take(count);
        Box::pin(async move { share.await.map(Grant::Decoding) })
    }
}

#[derive(Debug)]
enum Grant {
    Receiving(Share),
    Beyond(OwnedSemaphorePermit),
    Decoding(Share),
}

/// What one connection holds for the frame that it receives.
#[derive(Default)]
pub(crate) struct Admission {
    receiving: Vec<Share>,
    beyond: Option<OwnedSemaphorePermit>,
    decoding: Option<Share>,
    waiting: Option<BoxFuture<'static, Option<Grant>>>,
}

impl Admission {
    /// Ready when a buffer of so many bytes is paid for.
    pub(crate) fn poll_receive(&mut self, cx: &mut Context<'_>, memory: &RequestMemory, bytes: usize) -> Poll<()> {
        loop {
            ready!(self.poll_waiting(cx));
            let held: usize = self.receiving.iter().map(|share| share.permit.num_permits()).sum();
            let more = memory.receiving.count(bytes).saturating_sub(held);
            if more == 0 || self.beyond.is_some() {
                return Poll::Ready(());
            }
            match memory.receiving.try_take(more) {
                Some(share) => self.receiving.push(share),
                None => self.waiting = Some(memory.wait_to_receive(more, held > 0)),
            }
        }
    }

    /// Ready when so many bytes for what a whole frame decodes to are paid for.
    pub(crate) fn poll_decode(&mut self, cx: &mut Context<'_>, memory: &RequestMemory, bytes: usize) -> Poll<()> {
        loop {
            ready!(self.poll_waiting(cx));
            if self.decoding.is_some() {
                return Poll::Ready(());
            }
            let count = memory.decoding.count(bytes);
            match memory.decoding.try_take(count) {
                Some(share) => self.decoding = Some(share),
                None => self.waiting = Some(memory.wait_to_decode(count)),
            }
        }
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(waiting) = &mut self.waiting else { return Poll::Ready(()) };
        match ready!(waiting.as_mut().poll(cx)) {
            Some(Grant::Receiving(share)) => self.receiving.push(share),
            Some(Grant::Beyond(permit)) => self.beyond = Some(permit),
            Some(Grant::Decoding(share)) => self.decoding = Some(share),
            None => {}
        }
        self.waiting = None;
        Poll::Ready(())
    }

    /// Pays for a buffer of so many bytes if nobody has to be waited for.
    pub(crate) fn try_receive(&mut self, memory: &RequestMemory, bytes: usize) -> bool {
        if self.receiving.is_empty() && self.beyond.is_none() {
            self.receiving.extend(memory.receiving.try_take(memory.receiving.count(bytes)));
        }
        !self.receiving.is_empty() || self.beyond.is_some()
    }

    /// Whether anything is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.receiving.is_empty() && self.beyond.is_none() && self.decoding.is_none()
    }

    /// Gives back what is held.
    pub(crate) fn release(&mut self) {
        *self = Self::default();
    }

    /// What is held, for the request to hold from now on.
    pub(crate) fn hand_over(&mut self) -> Lease {
        let held = std::mem::take(self);
        if held.is_empty() {
            return Lease::default();
        }
        Lease(Some(Arc::new(Mutex::new(Some(held)))))
    }
}

/// Memory of a request: given back by whoever is done with it first, the stage that ends or the last slice of the frame.
/// A Join or Sync that waits for others has let go of its frame long before it is answered.
#[derive(Clone, Default)]
pub(crate) struct Lease(Option<Arc<Mutex<Option<Admission>>>>);

impl Lease {
    /// The frame, which gives the memory back with its last slice.
    pub(crate) fn bind(&self, frame: Bytes) -> Bytes {
        if self.0.is_none() {
            return frame;
        }
        Bytes::from_owner(LeasedFrame { frame, _memory: self.clone() })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(held) = &self.0 {
            drop(held.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}

/// A frame that gives its memory back.
struct LeasedFrame {
    frame: Bytes,
    _memory: Lease,
}

impl AsRef<[u8]> for LeasedFrame {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}
