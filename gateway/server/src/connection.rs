//! One connection, one task.
//!
//! Promises: answers leave in the order of the requests (I-07), each with the correlation id of its own; requests that
//! overlap (Produce) are begun one after the other and waited for together, any other runs alone, as in Kafka; answers
//! that are ready together leave in one `writev`. Whatever a peer sends, or does not read, costs a bounded amount of
//! memory and no other connection anything (I-09). An idle connection holds no buffer. Never: knows an API.
//! Called by `listener`.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluice_engine::Liveness;
use sluice_runtime::{Duplex, GapWatch, PeerAddr, SharedClock};
use std::future::poll_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::futures::OwnedNotified;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use crate::frame::{BufferPool, Coming, FrameReader, guess_protocol};
use crate::inflight::{Inflight, Measured, poll_caught};
use crate::limits::Limits;
use crate::log_gate::LogGate;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::refusal::Close;
use crate::request::{Caller, Dispatch, Outcome, Stage};
use crate::shutdown::Steps;

/// Unit of the permits for request memory.
const PERMIT_BYTES: usize = 1 << 10;

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) limits: Limits,
    pub(crate) clock: SharedClock,
    pub(crate) metrics: Metrics,
    pub(crate) buffers: BufferPool,
    pub(crate) log_gate: LogGate,
    pub(crate) steps: Steps,
    /// Notices when the process did not run for a while (T7).
    gaps: Arc<GapWatch>,
    /// One permit per KiB of `Limits::request_bytes_max`.
    request_memory: Arc<Semaphore>,
    pub(crate) dispatch: Arc<dyn Dispatch>,
}

impl Shared {
    pub(crate) fn new(
        limits: Limits,
        clock: SharedClock,
        gaps: Arc<GapWatch>,
        metrics: Metrics,
        dispatch: Arc<dyn Dispatch>,
    ) -> Self {
        let permits = (limits.request_bytes_max / PERMIT_BYTES).clamp(1, max_permits());
        Self {
            clock,
            gaps,
            metrics,
            buffers: BufferPool::new(&limits),
            log_gate: LogGate::new(limits.log_lines_max, limits.log_window),
            steps: Steps::default(),
            request_memory: Arc::new(Semaphore::new(permits)),
            dispatch,
            limits,
        }
    }

    /// Permits for a request of so many bytes; never more than there are, or it would wait for ever.
    fn permits(&self, bytes: usize) -> u32 {
        let there_are = (self.limits.request_bytes_max / PERMIT_BYTES).clamp(1, max_permits());
        u32::try_from(bytes.div_ceil(PERMIT_BYTES).min(there_are)).unwrap_or(u32::MAX)
    }
}

fn max_permits() -> usize {
    usize::try_from(u32::MAX).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

/// A request in its first stage.
struct Running {
    measured: Measured,
    stage: BoxFuture<'static, Stage>,
    /// Dropped when the peer goes away meanwhile (T7).
    ends_with_peer: bool,
    /// Given back when the stage ends: from then on the engine counts the records.
    _memory: Lease,
}

/// Memory of a request: given back by whoever is done with it first, the stage that ends or the last slice of the frame.
/// A Join or Sync that waits for others has let go of its frame long before it is answered.
#[derive(Clone, Default)]
struct Lease(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
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

/// Permission for the memory of the frame being received.
enum Admission {
    /// Not asked for.
    Idle,
    /// Asked for.
    Waiting(BoxFuture<'static, Option<OwnedSemaphorePermit>>),
    /// Given.
    Granted(OwnedSemaphorePermit),
}

/// A connection being served.
pub(crate) struct Connection {
    stream: Box<dyn Duplex>,
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    frames: FrameReader,
    admission: Admission,
    running: Option<Running>,
    inflight: Inflight,
    outbox: Outbox,
    /// Whether a request was dropped with its peer (T7). What the peer sent behind it is read to the end, for the sake of
    /// what outlives it (LeaveGroup), and answered no more: a peer that still reads would take it for the missing
    /// answer (I-07).
    has_dropped: bool,
    /// Set once it is known that the connection ends; it does when everything begun was answered.
    ending: Option<Close>,
    /// The signal to stop, until it came.
    stop: Option<Pin<Box<OwnedNotified>>>,
    timer: Pin<Box<Sleep>>,
    /// When bytes last moved, either way.
    last_active: Instant,
    /// Since when the peer has been taking nothing of a waiting answer.
    stalled_since: Option<Instant>,
    /// Whether a whole frame has ever come.
    has_spoken_kafka: bool,
    /// Clock gaps before this connection.
    gaps_before: u64,
}

impl Connection {
    pub(crate) fn new(stream: Box<dyn Duplex>, shared: Arc<Shared>, caller: Arc<Caller>) -> Self {
        let now = shared.clock.now();
        let stop = shared.steps.stop.listen();
        Self {
            stream,
            caller,
            frames: FrameReader::default(),
            admission: Admission::Idle,
            running: None,
            inflight: Inflight::default(),
            outbox: Outbox::default(),
            has_dropped: false,
            ending: stop.is_none().then_some(Close::Stopped),
            stop,
            timer: Box::pin(sleep_until(now + shared.limits.idle_timeout)),
            last_active: now,
            stalled_since: None,
            has_spoken_kafka: false,
            gaps_before: shared.gaps.count(),
            shared,
        }
    }

    /// Serves the connection until it ends, and says why it did.
    pub(crate) async fn run(mut self, peer: &PeerAddr) -> Close {
        let close = poll_fn(|cx| self.poll(cx)).await;
        let metrics = &self.shared.metrics;
        metrics.count_close(&close);
        if matches!(close, Close::Panicked) {
            metrics.panics.inc();
        }
        if close.is_noteworthy()
            && let Some(left_out) = self.shared.log_gate.admit(self.shared.clock.now())
        {
            tracing::warn!(%peer, reason = %close, left_out, "connection closed");
        }
        self.say_goodbye(&close).await;
        close
    }

    /// Sends the FIN. After a graceful stop, takes in what the peer still sends until it closes: closing with unread
    /// input would reset the connection and could destroy the last answers on their way.
    async fn say_goodbye(mut self, close: &Close) {
        if matches!(close, Close::Io(_) | Close::SlowReader) {
            return;
        }
        let limits = &self.shared.limits;
        let linger = async {
            self.stream.shutdown().await?;
            if !matches!(close, Close::Stopped) {
                return Ok(());
            }
            let mut left = limits.linger_bytes_max;
            let mut sink = [0_u8; 1024];
            while left > 0 {
                match self.stream.read(&mut sink).await? {
                    0 => return Ok(()),
                    read => left = left.saturating_sub(read),
                }
            }
            io::Result::Ok(())
        };
        // Whatever comes of it: the connection is over.
        let _ = timeout(limits.linger_max, linger).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        self.poll_stop(cx);
        if let Err(close) = self.poll_work(cx) {
            return Poll::Ready(close);
        }
        let is_done = self.running.is_none() && self.inflight.is_empty() && self.outbox.is_empty();
        if is_done && let Some(close) = self.ending.take() {
            return Poll::Ready(close);
        }
        self.poll_timer(cx)
    }

    fn poll_stop(&mut self, cx: &mut Context<'_>) {
        if let Some(stop) = &mut self.stop
            && stop.as_mut().poll(cx).is_ready()
        {
            self.stop = None;
            self.ending.get_or_insert(Close::Stopped);
        }
    }

    /// Does everything that can be done now. Errors end the connection at once.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Result<(), Close> {
        loop {
            // Requests before bytes: what arrived together is begun together, and its answers leave together.
            while self.poll_running(cx) || self.poll_inflight(cx) || self.start_next() {}
            let has_written = self.poll_write(cx)?;
            let has_read = self.poll_read(cx)?;
            if !has_written && !has_read {
                return Ok(());
            }
        }
    }

    /// Brings the first stage of the current request on. True if it ended.
    fn poll_running(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(running) = &mut self.running else {
            return false;
        };
        let measured = running.measured;
        // Before the work goes on: it asks whether the client is still there (T7).
        if running.ends_with_peer && self.stream.poll_peer_gone(cx).is_ready() {
            self.caller.note_gone();
        }
        let polled = poll_caught(running.stage.as_mut(), cx);
        let stage = match polled {
            Ok(Poll::Pending) if running.ends_with_peer && self.caller.is_gone() => {
                self.running = None;
                self.has_dropped = true;
                return true;
            }
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready(stage)) => stage,
            Err(_) => {
                self.running = None;
                self.end(Close::Panicked);
                return true;
            }
        };
        self.running = None;
        match stage {
            Stage::Overlapping(outcome) => self.inflight.push_waiting(measured, outcome),
            Stage::Settled(outcome) if self.inflight.is_empty() => self.settle(measured, outcome),
            // I-07: answers do not overtake.
            Stage::Settled(outcome) => self.inflight.push_settled(measured, outcome),
        }
        true
    }

    /// Takes the outcome of the oldest request that waits for one. True if there was one.
    fn poll_inflight(&mut self, cx: &mut Context<'_>) -> bool {
        match self.inflight.poll_oldest(cx) {
            Ok(Poll::Pending) => return false,
            Ok(Poll::Ready((measured, outcome))) => self.settle(measured, outcome),
            Err(_) => {
                // Later answers cannot leave without the one that is missing.
                self.inflight.clear();
                self.end(Close::Panicked);
            }
        }
        true
    }

    fn settle(&mut self, measured: Measured, outcome: Outcome) {
        let took = self.shared.clock.now().saturating_duration_since(measured.started);
        self.shared.metrics.observe_request(measured.api, took.as_secs_f64());
        match outcome {
            Outcome::Answer(frame) if !self.has_dropped => self.outbox.push(frame),
            Outcome::Answer(_) | Outcome::Silence => {}
            Outcome::Hangup(refusal) => {
                self.inflight.clear();
                self.end(Close::Refused(refusal));
            }
        }
    }

    /// Begins the next request if it is there and its turn has come. True if anything changed.
    fn start_next(&mut self) -> bool {
        if self.running.is_some() || self.ending.as_ref().is_some_and(Close::drops_unread) {
            return false;
        }
        let coming = match self.frames.coming(&self.shared.limits) {
            Ok(Some(coming)) if coming.whole => coming,
            Ok(_) => return false,
            Err(error) => {
                let guess = if self.has_spoken_kafka { None } else { guess_protocol(self.frames.unread()) };
                self.end(Close::BadFrame(error, guess));
                return true;
            }
        };
        if !self.may_start(coming) {
            return false;
        }
        if self.shared.gaps.count() != self.gaps_before {
            self.end(Close::ClockGap);
            return true;
        }
        self.has_spoken_kafka = true;
        let (frame, memory) = self.take_frame(coming);
        let (dispatch, caller) = (&self.shared.dispatch, &self.caller);
        match catch_unwind(AssertUnwindSafe(|| dispatch.start(frame, caller))) {
            Ok(Ok(started)) if started.ends_with_peer && self.caller.is_gone() => self.has_dropped = true,
            Ok(Ok(started)) => {
                self.shared.metrics.count_request(started.api, started.version);
                let measured = Measured { api: started.api, started: self.shared.clock.now() };
                let (stage, ends_with_peer) = (started.stage, started.ends_with_peer);
                self.running = Some(Running { measured, stage, ends_with_peer, _memory: memory });
            }
            Ok(Err(refusal)) => self.end(Close::Refused(refusal)),
            Err(_) => self.end(Close::Panicked),
        }
        true
    }

    /// The next frame, and the memory it was granted.
    fn take_frame(&mut self, coming: Coming) -> (Bytes, Lease) {
        let frame = self.frames.take(coming, &self.shared.limits);
        let Admission::Granted(permit) = std::mem::replace(&mut self.admission, Admission::Idle) else {
            return (frame, Lease::default());
        };
        let memory = Lease(Arc::new(Mutex::new(Some(permit))));
        // What overlaps is Produce, whose records stay in the cache.
        if coming.key.is_some_and(|key| self.shared.dispatch.overlaps(key)) {
            return (frame, memory);
        }
        (Bytes::from_owner(LeasedFrame { frame, _memory: memory.clone() }), memory)
    }

    /// Requests that overlap wait for room, others for the answers of all before them.
    fn may_start(&self, coming: Coming) -> bool {
        if self.outbox.len() > self.shared.limits.answer_bytes_ahead {
            return false;
        }
        match coming.key {
            Some(key) if self.shared.dispatch.overlaps(key) => {
                self.inflight.len() < self.shared.limits.produces_in_flight_max.max(1)
            }
            _ => self.inflight.is_empty(),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Result<bool, Close> {
        if self.outbox.is_empty() {
            return Ok(false);
        }
        match self.outbox.poll_write(cx, &mut *self.stream) {
            Poll::Ready(Ok(written)) => {
                self.shared.metrics.bytes_sent.inc_by(written.try_into().unwrap_or_default());
                self.last_active = self.shared.clock.now();
                self.stalled_since = None;
                Ok(true)
            }
            Poll::Ready(Err(_)) if self.has_dropped => {
                // Nobody is there to take it; what was sent before counts all the same.
                self.outbox = Outbox::default();
                self.stalled_since = None;
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(Close::Io(error.kind())),
            Poll::Pending => {
                if self.stalled_since.is_none() {
                    let now = self.shared.clock.now();
                    self.stalled_since = Some(now);
                    self.timer.as_mut().reset(now + self.shared.limits.write_timeout);
                }
                Ok(false)
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Close> {
        if !self.wants_bytes() || !self.poll_admission(cx) {
            return Ok(false);
        }
        let Shared { buffers, limits, .. } = &*self.shared;
        match self.frames.poll_read(cx, &mut *self.stream, buffers, limits) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(0)) => {
                let is_clean = self.frames.unread().is_empty();
                self.frames.release(buffers);
                self.ending = Some(if is_clean { Close::PeerClosed } else { Close::Truncated });
                Ok(true)
            }
            Poll::Ready(Ok(read)) => {
                self.shared.metrics.bytes_received.inc_by(read.try_into().unwrap_or_default());
                self.last_active = self.shared.clock.now();
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(Close::Io(error.kind())),
        }
    }

    /// Nothing is read that could not be begun: a peer that does not take its answers, or is ahead by too many requests,
    /// finds its socket full.
    fn wants_bytes(&self) -> bool {
        let limits = &self.shared.limits;
        let has_whole_frame = !matches!(self.frames.coming(limits), Ok(None | Some(Coming { whole: false, .. })));
        self.ending.is_none()
            && self.running.is_none()
            && !has_whole_frame
            && self.inflight.len() < limits.produces_in_flight_max.max(1)
            && self.outbox.len() <= limits.answer_bytes_ahead
    }

    /// Whether the frame being received has the memory it may need.
    fn poll_admission(&mut self, cx: &mut Context<'_>) -> bool {
        let coming = match self.frames.coming(&self.shared.limits) {
            Ok(Some(coming)) if coming.len > self.shared.limits.frame_bytes_free => coming,
            _ => return true,
        };
        loop {
            match &mut self.admission {
                Admission::Granted(_) => return true,
                Admission::Waiting(permit) => match permit.as_mut().poll(cx) {
                    Poll::Pending => return false,
                    Poll::Ready(Some(permit)) => self.admission = Admission::Granted(permit),
                    // The semaphore is never closed.
                    Poll::Ready(None) => return true,
                },
                Admission::Idle => {
                    let estimate = self.shared.dispatch.memory_estimate(coming.key, coming.len);
                    let permits = self.shared.permits(estimate);
                    let memory = Arc::clone(&self.shared.request_memory);
                    self.admission = match Arc::clone(&memory).try_acquire_many_owned(permits) {
                        Ok(permit) => Admission::Granted(permit),
                        Err(_) => {
                            Admission::Waiting(Box::pin(async move { memory.acquire_many_owned(permits).await.ok() }))
                        }
                    };
                }
            }
        }
    }

    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Close> {
        loop {
            if self.timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            let now = self.shared.clock.now();
            let limits = &self.shared.limits;
            let is_working = self.running.is_some() || !self.inflight.is_empty();
            let (deadline, close) = match self.stalled_since {
                Some(since) => (since + limits.write_timeout, Close::SlowReader),
                None if is_working => (now + limits.idle_timeout, Close::Idle),
                None => (self.last_active + limits.idle_timeout, Close::Idle),
            };
            if deadline <= now {
                return Poll::Ready(close);
            }
            self.timer.as_mut().reset(deadline);
        }
    }

    /// Nothing more is begun; what was begun is still answered. The first reason stands, unless a peer that was only done
    /// also turns out to have been wrong.
    fn end(&mut self, close: Close) {
        if close.drops_unread() {
            self.frames.clear();
        }
        if self.ending.as_ref().is_none_or(|ending| !ending.drops_unread()) {
            self.ending = Some(close);
        }
    }
}

#[cfg(test)]
mod tests;
