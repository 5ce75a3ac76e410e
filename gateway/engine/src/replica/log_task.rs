//! The log task: the single owner of State and of everything that goes into the log.
//!
//! Promises: one append request in flight (L1), one read in flight; every event is handled to its end before the next is
//! looked at, so no lock is ever held across an await.
//! Never: stops because a store is slow or refuses; it stops when going on would be wrong (L9, L11, I-12).
//! The parts: `append.rs` (sealing, staging, sending), `follow.rs` (applying), this file (events, reads, barriers).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use sluice_metadata::State;
use sluice_store::{Appended, Consistency, LogPosition, StoreErrorKind, StoreResult, TailRead};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::append::{InFlight, SealedEntry, StagedEntry};
use super::draft::Draft;
use super::handle::{LogRequest, Shared};
use super::hashes::Hashes;
use super::session::OwnSession;
use crate::api::Readiness;
use crate::engine::EngineParts;
use crate::error::{EngineError, EngineResult};
use crate::metrics::Metrics;

/// Met what it must not go on after.
#[derive(Debug)]
pub(super) struct Fatal(pub(super) String);

/// A read in flight.
pub(super) struct Reading {
    op: u64,
    consistency: Consistency,
    started: Instant,
    future: BoxFuture<'static, StoreResult<TailRead>>,
}

/// Somebody waits for a State as new as their request.
struct PendingBarrier {
    /// Operations started before it: only a later one will do.
    ticket: u64,
    reply: oneshot::Sender<EngineResult<()>>,
}

/// The task's state. See the module comment for which file does what.
pub(super) struct LogTask {
    pub(super) parts: Arc<EngineParts>,
    pub(super) state: State,
    pub(super) hashes: Hashes,
    pub(super) shared: Arc<Shared>,
    pub(super) metrics: Arc<Metrics>,
    requests: mpsc::Receiver<LogRequest>,
    pub(super) session: OwnSession,
    /// Commands not yet in an entry, in order.
    pub(super) drafts: VecDeque<Draft>,
    /// Entries not yet settled, ascending: first those that may have been sent, then those that certainly were not.
    pub(super) sealed: VecDeque<SealedEntry>,
    pub(super) staging: FuturesUnordered<BoxFuture<'static, StagedEntry>>,
    pub(super) appending: Option<InFlight>,
    reading: Option<Reading>,
    barriers: Vec<PendingBarrier>,
    /// Reads and appends started so far.
    ops: u64,
    /// Something is known to be in the log that was not read: a committed append whose tail was not, or a gap.
    pub(super) must_read: bool,
    /// When the last append of the own session that was accepted began (T1).
    pub(super) last_append: Option<Instant>,
    /// When the last append request began.
    pub(super) last_append_began: Option<Instant>,
    pub(super) append_not_before: Option<Instant>,
    pub(super) append_backoff: Duration,
    read_not_before: Option<Instant>,
    last_read: Option<Instant>,
    poll_interval: Duration,
    pub(super) closing: Option<oneshot::Sender<()>>,
}

enum Event {
    Appended(StoreResult<Appended>),
    Read(StoreResult<TailRead>),
    Staged(StagedEntry),
    Request(Option<LogRequest>),
    Look,
}

impl LogTask {
    pub(super) fn new(
        parts: Arc<EngineParts>,
        state: State,
        shared: Arc<Shared>,
        requests: mpsc::Receiver<LogRequest>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let limits = &parts.limits;
        Self {
            hashes: Hashes::starting_at(state.known(), state.hash(), limits.hashes_kept),
            append_backoff: limits.append_backoff_min,
            poll_interval: limits.poll_min,
            state,
            shared,
            metrics,
            requests,
            session: OwnSession::none(),
            drafts: VecDeque::new(),
            sealed: VecDeque::new(),
            staging: FuturesUnordered::new(),
            appending: None,
            reading: None,
            barriers: Vec::new(),
            ops: 0,
            must_read: true, // the replay
            last_append: None,
            last_append_began: None,
            append_not_before: None,
            read_not_before: None,
            last_read: None,
            closing: None,
            parts,
        }
    }

    /// Runs until it is closed, or until it must not go on.
    pub(super) async fn run(mut self) {
        if let Err(Fatal(why)) = self.follow_events().await {
            tracing::error!(position = %self.state.known(), reason = %why, "the gateway stops: it must not go on");
            self.shared.set_readiness(Readiness::Failed(why.clone()));
            self.fail_everything(&EngineError::OutcomeUnknown(why));
            self.shared.wakers.interrupt();
        }
    }

    async fn follow_events(&mut self) -> Result<(), Fatal> {
        loop {
            let looked_at = self.parts.clock.now();
            self.start_appends();
            self.start_read();
            if self.is_closed() {
                return Ok(());
            }
            match self.next_event(looked_at).await {
                Event::Appended(answer) => self.on_appended(answer).await?,
                Event::Read(answer) => self.on_read(answer).await?,
                Event::Staged(staged) => self.on_staged(staged),
                Event::Request(request) => self.on_requests(request),
                Event::Look => {}
            }
        }
    }

    async fn next_event(&mut self, looked_at: Instant) -> Event {
        let deadline = self.next_look(looked_at);
        // A gateway that cannot append lets requests wait in their bounded queue, and barriers with them.
        let takes_requests = self.drafts.len() < self.parts.limits.queue_len && self.closing.is_none();
        tokio::select! {
            biased;
            answer = in_flight(self.appending.as_mut().map(|a| &mut a.future)) => Event::Appended(answer),
            answer = in_flight(self.reading.as_mut().map(|r| &mut r.future)) => Event::Read(answer),
            Some(staged) = self.staging.next(), if !self.staging.is_empty() => Event::Staged(staged),
            request = self.requests.recv(), if takes_requests => Event::Request(request),
            () = self.shared.interest.notified() => Event::Look,
            () = self.shared.wakers.released() => Event::Look,
            () = until(deadline) => Event::Look,
        }
    }

    /// The number of an operation that starts now: it satisfies every barrier asked for before.
    pub(super) fn start_op(&mut self) -> u64 {
        self.ops += 1;
        self.ops
    }

    fn on_requests(&mut self, first: Option<LogRequest>) {
        let Some(first) = first else {
            // Every handle is gone: nobody waits for anything.
            self.closing = self.closing.take().or_else(|| Some(oneshot::channel().0));
            return;
        };
        self.on_request(first);
        // What has gathered meanwhile goes into the same entry.
        while self.drafts.len() < self.parts.limits.queue_len && self.closing.is_none() {
            match self.requests.try_recv() {
                Ok(request) => self.on_request(request),
                Err(_) => break,
            }
        }
    }

    fn on_request(&mut self, request: LogRequest) {
        match request {
            LogRequest::Append(draft) => self.drafts.push_back(draft),
            LogRequest::Barrier(reply) => self.barriers.push(PendingBarrier { ticket: self.ops, reply }),
            LogRequest::Close(reply) => self.closing = Some(reply),
        }
    }

    fn is_closed(&self) -> bool {
        let settled = self.drafts.is_empty() && self.sealed.is_empty() && self.appending.is_none();
        self.closing.is_some() && settled && self.session.id().is_none()
    }

    // ---- reads -------------------------------------------------------------------------------------------------

    fn start_read(&mut self) {
        if self.reading.is_some() {
            return;
        }
        let now = self.parts.clock.now();
        let Some((due, consistency)) = self.read_due(now) else { return };
        if due > now {
            return;
        }
        let op = self.start_op();
        let (log, known) = (self.parts.log.clone(), self.known());
        self.shared.served.store(self.shared.wakers.count() > 0, Ordering::Release);
        self.last_read = Some(now);
        self.metrics.log_reads.inc();
        let future = Box::pin(async move { log.read(known, consistency).await });
        self.reading = Some(Reading { op, consistency, started: now, future });
    }

    /// When the next read is due, and how fresh it must be; `None` while nothing asks for one (T4: it sends nothing).
    /// `now` is read once: a read that is due now must not be due a nanosecond later.
    fn read_due(&self, now: Instant) -> Option<(Instant, Consistency)> {
        let limits = &self.parts.limits;
        let spaced = |spacing: Duration| self.last_read.map_or(now, |last| last + spacing);
        // The answer of an append brings what others did as well.
        let refreshed = |spacing: Duration| spaced(spacing).max(self.shared.refreshed() + spacing);
        let mut due = None;
        if self.must_read {
            due = Some((now, Consistency::Strong));
        } else if self.wants_barrier_read(now) {
            due = Some((spaced(limits.barrier_spacing), Consistency::Strong));
        } else if self.shared.wakers.count() > 0 {
            let at = refreshed(self.poll_interval);
            // T4, T6: a read that may lag says nothing of how new State is. One that may not takes its place in time.
            let is_old = at.max(now) >= self.shared.refreshed() + limits.refresh;
            due = Some((at, if is_old { Consistency::Strong } else { Consistency::Eventual }));
        } else if self.is_awake() {
            due = Some((refreshed(limits.refresh), Consistency::Strong));
        }
        due.map(|(at, consistency)| (self.read_not_before.map_or(at, |held| at.max(held)), consistency))
    }

    /// True while State must not grow old: requests are served from it, members are hosted, timers run (T4).
    fn is_awake(&self) -> bool {
        let asked = self.shared.served.load(Ordering::Acquire) || self.shared.timers_run.load(Ordering::Acquire);
        asked || self.is_hosting()
    }

    /// True when a barrier waits that the append in flight will not satisfy soon.
    fn wants_barrier_read(&self, now: Instant) -> bool {
        let covering = self.appending.as_ref().filter(|a| now < a.started + APPEND_COVERS_BARRIERS).map_or(0, |a| a.op);
        self.barriers.iter().any(|barrier| barrier.ticket >= covering)
    }

    /// When something is due that was not at `looked_at`, the last look at what can be done. What was overdue then waits
    /// for something else than time: an answer, which is an event of its own.
    fn next_look(&self, looked_at: Instant) -> Option<Instant> {
        let now = self.parts.clock.now();
        let read = if self.reading.is_none() { self.read_due(now).map(|(at, _)| at) } else { None };
        let append = if self.appending.is_none() { self.append_not_before } else { None };
        let cover = self.appending.as_ref().filter(|_| !self.barriers.is_empty() && self.reading.is_none());
        let cover = cover.map(|a| a.started + APPEND_COVERS_BARRIERS);
        let later = [append, cover, self.linger_ends(), self.keepalive_due()];
        read.into_iter().chain(later.into_iter().flatten().filter(|at| *at > looked_at)).min()
    }

    async fn on_read(&mut self, answer: StoreResult<TailRead>) -> Result<(), Fatal> {
        let Some(Reading { op, consistency, started, .. }) = self.reading.take() else { return Ok(()) };
        match answer {
            Ok(TailRead::Tail(tail)) => {
                // Cleared first: the tail itself may show that more must be read.
                self.must_read &= consistency == Consistency::Eventual;
                let woken = self.apply_tail(tail).await?;
                let limits = &self.parts.limits;
                // What nobody here waits for (keep-alives of others) makes nobody poll faster (T4).
                self.poll_interval =
                    if woken > 0 { limits.poll_min } else { (self.poll_interval * 2).min(limits.poll_max) };
                self.read_not_before = None;
                // One that may lag makes nothing fresh (T6), and no barrier is satisfied by it (T5).
                if consistency == Consistency::Strong {
                    self.on_refreshed(op, started);
                }
                Ok(())
            }
            Ok(TailRead::Trimmed) => {
                Err(Fatal("the log no longer reaches back to what this gateway knows; restart it".into()))
            }
            Err(error) if matches!(error.kind(), StoreErrorKind::Corrupt | StoreErrorKind::Invalid) => {
                Err(Fatal(error.to_string()))
            }
            Err(error) => {
                tracing::warn!(position = %self.state.known(), %error, "the log could not be read");
                self.read_not_before = Some(self.parts.clock.now() + self.parts.limits.append_backoff_min * 5);
                self.shared.set_readiness(Readiness::Unavailable(error.to_string()));
                self.fail_barriers(op, &error.to_string());
                Ok(())
            }
        }
    }

    /// State now holds whatever the log held when the operation `op` started.
    pub(super) fn on_refreshed(&mut self, op: u64, started: Instant) {
        self.shared.set_refreshed(started.max(self.shared.refreshed()));
        if self.session.id().is_some() {
            self.shared.set_readiness(Readiness::Ready);
        }
        for barrier in std::mem::take(&mut self.barriers) {
            if barrier.ticket < op {
                let _ = barrier.reply.send(Ok(()));
            } else {
                self.barriers.push(barrier);
            }
        }
    }

    fn fail_barriers(&mut self, op: u64, why: &str) {
        for barrier in std::mem::take(&mut self.barriers) {
            if barrier.ticket < op {
                let _ = barrier.reply.send(Err(EngineError::NotFresh(why.to_owned())));
            } else {
                self.barriers.push(barrier);
            }
        }
    }

    fn fail_everything(&mut self, error: &EngineError) {
        self.sealed.drain(..).flat_map(|entry| entry.drafts).for_each(|draft| draft.fail(error));
        let unsent = EngineError::DidNotHappen("the gateway stopped".into());
        self.drafts.drain(..).for_each(|draft| draft.fail(&unsent));
        self.fail_barriers(u64::MAX, "the gateway stopped");
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            match request {
                LogRequest::Append(draft) => draft.fail(&unsent),
                LogRequest::Barrier(reply) => {
                    let _ = reply.send(Err(EngineError::NotFresh("the gateway stopped".into())));
                }
                LogRequest::Close(reply) => drop(reply),
            }
        }
    }

    pub(super) fn known(&self) -> LogPosition {
        LogPosition(self.state.known().index())
    }
}

/// An append usually answers within this time, and its answer serves the barriers asked for before it started.
const APPEND_COVERS_BARRIERS: Duration = Duration::from_millis(50);

/// The outcome of a future that may not be there: then never.
async fn in_flight<T>(future: Option<&mut BoxFuture<'static, T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
