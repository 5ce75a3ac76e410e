//! One connection, one task.
//!
//! Promises: answers leave in the order of the requests (I-07), each with the correlation id of its own; requests that
//! overlap (Produce) are begun one after the other and waited for together, any other runs alone, as in Kafka; answers
//! that are ready together leave in one `writev`. Whatever a peer sends, or does not read, costs a bounded amount of
//! memory (I-09), and other connections no more than their turns: after so many requests or bytes the next one is served.
//! An idle connection holds no buffer. Never: knows an API. Called by `listener`.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use prometheus_client::metrics::gauge::Gauge;
use sluice_engine::Liveness;
use sluice_runtime::{Duplex, GapWatch, PeerAddr, SharedClock};
use std::future::poll_fn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::futures::OwnedNotified;
use tokio::time::timeout;

use crate::admission::{Admission, Lease, RequestMemory};
use crate::deadlines::{Circumstances, Deadlines};
use crate::frame::{BufferPool, Coming, FrameReader, guess_protocol};
use crate::inflight::{Inflight, Measured, poll_caught};
use crate::limits::Limits;
use crate::log_gate::LogGate;
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::refusal::Close;
use crate::request::{Caller, Dispatch, Outcome, Stage};
use crate::shutdown::Steps;

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
    memory: RequestMemory,
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
        Self {
            memory: RequestMemory::new(&limits, &metrics),
            clock,
            gaps,
            metrics,
            buffers: BufferPool::new(&limits),
            log_gate: LogGate::new(limits.log_lines_max, limits.log_window),
            steps: Steps::default(),
            dispatch,
            limits,
        }
    }

    /// Whether answers wait for slow readers in more memory than there is for them.
    fn is_scarce(&self) -> bool {
        let waiting = usize::try_from(self.metrics.waiting_answer_bytes.get()).unwrap_or_default();
        waiting > self.limits.answer_bytes_max
    }
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

/// What a connection may still do before others have their turn.
#[derive(Debug, Clone, Copy)]
struct Turn {
    requests: usize,
    bytes: usize,
}

impl Turn {
    fn is_over(self) -> bool {
        self.requests == 0 || self.bytes == 0
    }
}

/// The part of a connection in the count of answers that wait.
struct WaitingAnswers {
    all: Gauge,
    bytes: usize,
}

impl WaitingAnswers {
    fn set(&mut self, bytes: usize) {
        if bytes != self.bytes {
            let of = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
            self.all.inc_by(of(bytes).saturating_sub(of(self.bytes)));
            self.bytes = bytes;
        }
    }
}

impl Drop for WaitingAnswers {
    fn drop(&mut self) {
        self.set(0);
    }
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
    /// Whether the task is woken by it.
    listens_to_stop: bool,
    deadlines: Deadlines,
    turn: Turn,
    waiting: WaitingAnswers,
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
            admission: Admission::default(),
            running: None,
            inflight: Inflight::default(),
            outbox: Outbox::default(),
            has_dropped: false,
            ending: stop.is_none().then_some(Close::Stopped),
            stop,
            listens_to_stop: false,
            deadlines: Deadlines::new(now, &shared.limits),
            turn: Turn { requests: 0, bytes: 0 },
            waiting: WaitingAnswers { all: shared.metrics.waiting_answer_bytes.clone(), bytes: 0 },
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
    async fn say_goodbye(&mut self, close: &Close) {
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
            // Not in the future: every idle connection would have the room for it.
            let mut sink = vec![0_u8; 1024];
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
        self.waiting.set(self.outbox.len());
        let is_done = self.running.is_none() && self.inflight.is_empty() && self.outbox.is_empty();
        if is_done && let Some(close) = self.ending.take() {
            return Poll::Ready(close);
        }
        let Shared { limits, clock, .. } = &*self.shared;
        let is_working = self.running.is_some() || !self.inflight.is_empty();
        let circumstances = || Circumstances { is_working, is_scarce: self.shared.is_scarce() };
        self.deadlines.poll(cx, || clock.now(), circumstances, limits)
    }

    fn poll_stop(&mut self, cx: &mut Context<'_>) {
        let Some(stop) = &mut self.stop else { return };
        // Once it listens the flag will do: looking at the signal itself takes a lock that all connections share.
        let is_given = match self.listens_to_stop {
            true => self.shared.steps.stop.is_given(),
            false => stop.as_mut().poll(cx).is_ready(),
        };
        self.listens_to_stop = true;
        if is_given {
            self.stop = None;
            self.ending.get_or_insert(Close::Stopped);
        }
    }

    /// Does what can be done now, in one turn. Errors end the connection at once.
    fn poll_work(&mut self, cx: &mut Context<'_>) -> Result<(), Close> {
        self.turn =
            Turn { requests: self.shared.limits.turn_requests.max(1), bytes: self.shared.limits.turn_bytes.max(1) };
        loop {
            // Requests before bytes: what arrived together is begun together, and its answers leave together.
            while self.poll_running(cx) || self.poll_inflight(cx) || self.start_next(cx) {}
            let has_written = self.poll_write(cx)?;
            if self.turn.is_over() {
                // Woken here, the task goes to the end of the line.
                cx.waker().wake_by_ref();
                return Ok(());
            }
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
    fn start_next(&mut self, cx: &mut Context<'_>) -> bool {
        if self.running.is_some() || self.turn.requests == 0 || self.ending.as_ref().is_some_and(Close::drops_unread) {
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
        if !self.may_start(coming) || self.poll_decoding(cx, coming).is_pending() {
            return false;
        }
        if self.shared.gaps.count() != self.gaps_before {
            self.end(Close::ClockGap);
            return true;
        }
        self.has_spoken_kafka = true;
        self.turn.requests = self.turn.requests.saturating_sub(1);
        self.deadlines.note_not_half_read();
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

    /// Whether what the frame decodes to has the memory it may need.
    fn poll_decoding(&mut self, cx: &mut Context<'_>, coming: Coming) -> Poll<()> {
        if coming.len <= self.shared.limits.frame_bytes_free {
            return Poll::Ready(());
        }
        let estimate = self.shared.dispatch.memory_estimate(coming.key, coming.len);
        self.admission.poll_decode(cx, &self.shared.memory, estimate.saturating_sub(coming.len))
    }

    /// The next frame, and the memory that is held for it.
    fn take_frame(&mut self, coming: Coming) -> (Bytes, Lease) {
        let frame = self.frames.take(coming, &self.shared.limits);
        if coming.len <= self.shared.limits.frame_bytes_free {
            if !self.admission.is_empty() {
                self.admission.release();
            }
            return (frame, Lease::default());
        }
        let memory = self.admission.hand_over();
        // What overlaps is Produce, whose records stay in the cache.
        if coming.key.is_some_and(|key| self.shared.dispatch.overlaps(key)) {
            return (frame, memory);
        }
        (memory.bind(frame), memory)
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
                self.turn.bytes = self.turn.bytes.saturating_sub(written);
                self.deadlines.note_written(self.shared.clock.now(), written, self.outbox.len());
                Ok(true)
            }
            Poll::Ready(Err(_)) if self.has_dropped => {
                // Nobody is there to take it; what was sent before counts all the same.
                self.outbox = Outbox::default();
                self.deadlines.forget_answers();
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(Close::Io(error.kind())),
            Poll::Pending => {
                let Shared { clock, limits, .. } = &*self.shared;
                self.deadlines.note_stalled(|| clock.now(), self.outbox.len(), limits);
                Ok(false)
            }
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Close> {
        if !self.wants_bytes() || self.poll_receiving(cx).is_pending() {
            // What the peer has begun to send is not waited for now.
            self.deadlines.note_not_half_read();
            return Ok(false);
        }
        let Shared { buffers, limits, .. } = &*self.shared;
        match self.frames.poll_read(cx, &mut *self.stream, buffers, limits) {
            Poll::Pending => {
                self.wait_for_bytes();
                Ok(false)
            }
            Poll::Ready(Ok(0)) => {
                let is_clean = self.frames.is_between_frames();
                self.frames.release(buffers);
                self.ending = Some(if is_clean { Close::PeerClosed } else { Close::Truncated });
                Ok(true)
            }
            Poll::Ready(Ok(read)) => {
                self.shared.metrics.bytes_received.inc_by(read.try_into().unwrap_or_default());
                self.turn.bytes = self.turn.bytes.saturating_sub(read);
                self.deadlines.note_read(self.shared.clock.now());
                Ok(true)
            }
            Poll::Ready(Err(error)) => Err(Close::Io(error.kind())),
        }
    }

    /// Nothing is there to be read.
    fn wait_for_bytes(&mut self) {
        if self.frames.is_between_frames() {
            if !self.admission.is_empty() {
                self.admission.release();
            }
            return self.deadlines.note_not_half_read();
        }
        let coming = self.frames.coming(&self.shared.limits).ok().flatten();
        self.deadlines.note_half_read(coming.map_or(0, |coming| coming.len), &self.shared.limits);
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

    /// Whether the buffer that the next read needs is paid for.
    fn poll_receiving(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Shared { limits, memory, .. } = &*self.shared;
        let Some(bytes) = self.frames.large_bytes(limits) else { return Poll::Ready(()) };
        if !self.frames.is_between_frames() {
            return self.admission.poll_receive(cx, memory, bytes);
        }
        // Another large frame is expected, nothing more: what there is no room for now may wait in a pooled buffer.
        if !self.admission.try_receive(memory, bytes) {
            self.frames.expect_small();
        }
        Poll::Ready(())
    }

    /// Nothing more is begun; what was begun is still answered. The first reason stands, unless a peer that was only done
    /// also turns out to have been wrong.
    fn end(&mut self, close: Close) {
        if close.drops_unread() {
            self.frames.clear();
            self.admission.release();
        }
        if self.ending.as_ref().is_none_or(|ending| !ending.drops_unread()) {
            self.ending = Some(close);
        }
    }
}

#[cfg(test)]
mod tests;
