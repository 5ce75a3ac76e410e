//! What the rest of the engine holds of the replica: the published State, and a way to ask the log task for more.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use sluice_metadata::{Command, Outcome, Position, SessionId, State};
use sluice_store::MetadataLog;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::draft::{Draft, Terms};
use super::log_task::LogTask;
use super::news::{Inbox, ViewNews, WatchNews};
use super::owed::Owed;
use super::waiter::waiter;
use super::wakers::Wakers;
use crate::api::Readiness;
use crate::engine::EngineParts;
use crate::error::{EngineError, EngineResult};
use crate::metrics::Metrics;

/// A request to the log task.
#[derive(Debug)]
pub(crate) enum LogRequest {
    /// Append this command.
    Append(Draft),
    /// Tell when State is at least as new as this request (T5).
    Barrier(oneshot::Sender<EngineResult<()>>),
    /// Close the session once everything before is settled, then stop.
    Close(oneshot::Sender<()>),
}

/// What the log task publishes.
#[derive(Debug)]
pub(crate) struct Shared {
    /// State as last applied.
    pub(crate) view: ArcSwap<State>,
    /// Long polls.
    pub(crate) wakers: Wakers,
    /// Members whose Join was answered and whose Sync is yet to come.
    pub(crate) owed: Owed,
    /// The session's position, 0 before the first: names the objects of this gateway.
    session: AtomicU64,
    /// Microseconds from `origin` to the start of the last read or append that was applied.
    refreshed_micros: AtomicU64,
    origin: Instant,
    /// Requests that were answered from State since the last look.
    pub(crate) served: AtomicBool,
    /// Timers of members or phases run here: State must be fresh (T4).
    pub(crate) timers_run: AtomicBool,
    /// The own session while it is open, 0 while it is not.
    open_session: AtomicU64,
    /// For the watch.
    pub(crate) watch_news: Inbox<WatchNews>,
    /// For the offsets view.
    pub(crate) view_news: Inbox<ViewNews>,
    /// Told when somebody begins to wait or is served from an old State.
    pub(crate) interest: Notify,
    readiness: Mutex<Readiness>,
    /// Told whenever `readiness` may have changed.
    changed: Notify,
}

impl Shared {
    fn new(state: State, now: Instant) -> Self {
        Self {
            view: ArcSwap::from_pointee(state),
            wakers: Wakers::default(),
            owed: Owed::default(),
            session: AtomicU64::new(0),
            refreshed_micros: AtomicU64::new(0),
            origin: now,
            served: AtomicBool::new(false),
            timers_run: AtomicBool::new(false),
            open_session: AtomicU64::new(0),
            watch_news: Inbox::default(),
            view_news: Inbox::default(),
            interest: Notify::new(),
            readiness: Mutex::new(Readiness::Unavailable("the log is being replayed".into())),
            changed: Notify::new(),
        }
    }

    pub(crate) fn set_session(&self, session: SessionId) {
        self.session.store(session.0.raw(), Ordering::Release);
        self.set_open_session(Some(session));
    }

    pub(crate) fn set_open_session(&self, session: Option<SessionId>) {
        self.open_session.store(session.map_or(0, |id| id.0.raw()), Ordering::Release);
    }

    pub(crate) fn set_refreshed(&self, since: Instant) {
        let micros = since.saturating_duration_since(self.origin).as_micros();
        self.refreshed_micros.store(u64::try_from(micros).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(crate) fn refreshed(&self) -> Instant {
        self.origin + Duration::from_micros(self.refreshed_micros.load(Ordering::Acquire))
    }

    /// Failed is for good, and stopping is left only by failing.
    pub(crate) fn set_readiness(&self, next: Readiness) {
        let mut now = self.readiness.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*now, &next) {
            (Readiness::Failed(_), _) => {}
            (Readiness::Stopping, Readiness::Ready | Readiness::Unavailable(_)) => {}
            (same, _) if *same == next => return,
            _ => *now = next,
        }
        drop(now);
        self.changed.notify_waiters();
    }

    /// The first readiness that `wanted` accepts.
    async fn readiness_when(&self, wanted: impl Fn(&Readiness) -> bool) -> Readiness {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Registered before the look, so that no change falls between.
            changed.as_mut().enable();
            let now = self.readiness();
            if wanted(&now) {
                return now;
            }
            changed.await;
        }
    }

    pub(crate) fn readiness(&self) -> Readiness {
        self.readiness.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One gateway's replica.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    shared: Arc<Shared>,
    pub(super) requests: mpsc::Sender<LogRequest>,
    pub(super) parts: Arc<EngineParts>,
}

/// Replays the log, opens a session and goes on following, in a task of its own.
pub(crate) fn start(parts: &Arc<EngineParts>, metrics: &Arc<Metrics>) -> (Replica, JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(parts.limits.queue_len);
    let log: Arc<dyn MetadataLog> = parts.log.clone();
    let mut state = State::new(sluice_metadata::Incarnation(log.incarnation().0));
    state.plant(parts.defects.state);
    let shared = Arc::new(Shared::new(state.clone(), parts.clock.now()));
    let task = LogTask::new(parts.clone(), state, shared.clone(), receiver, metrics.clone());
    let join = tokio::spawn(task.run());
    (Replica { shared, requests: sender, parts: parts.clone() }, join)
}

impl Replica {
    /// State as last applied. How new it is, `barrier` and `ensure_fresh` decide.
    pub(crate) fn view(&self) -> Arc<State> {
        self.shared.view.load_full()
    }

    pub(crate) fn wakers(&self) -> &Wakers {
        &self.shared.wakers
    }

    pub(crate) fn owed(&self) -> &Owed {
        &self.shared.owed
    }

    pub(crate) fn readiness(&self) -> Readiness {
        self.shared.readiness()
    }

    /// Ready, or failed.
    pub(crate) async fn started(&self) -> Readiness {
        self.shared.readiness_when(|now| !matches!(now, Readiness::Unavailable(_))).await
    }

    /// Why it must not go on, once that is so.
    pub(crate) async fn failed(&self) -> String {
        match self.shared.readiness_when(|now| matches!(now, Readiness::Failed(_))).await {
            Readiness::Failed(why) => why,
            _ => String::new(),
        }
    }

    pub(crate) fn set_stopping(&self) {
        self.shared.set_readiness(Readiness::Stopping);
    }

    /// The session that names new objects; `None` before the first was opened.
    pub(crate) fn session(&self) -> Option<SessionId> {
        let raw = self.shared.session.load(Ordering::Acquire);
        (raw != 0).then(|| SessionId(Position::from_raw(raw)))
    }

    /// The own session while it is open.
    pub(crate) fn open_session(&self) -> Option<SessionId> {
        let raw = self.shared.open_session.load(Ordering::Acquire);
        (raw != 0).then(|| SessionId(Position::from_raw(raw)))
    }

    /// What the log task publishes.
    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Timers run here, or none does any more: State is refreshed while they do (T4).
    pub(crate) fn set_timers_run(&self, run: bool) {
        if self.shared.timers_run.swap(run, Ordering::AcqRel) != run && run {
            self.shared.interest.notify_one();
        }
    }

    /// Somebody waits for foreign entries: the log is polled while this is so (T4).
    pub(crate) fn note_interest(&self) {
        self.shared.served.store(true, Ordering::Release);
        self.shared.interest.notify_one();
    }

    /// Queues a draft. An error hands it back: the log task is gone.
    pub(crate) async fn submit(&self, draft: Draft) -> Result<(), Draft> {
        match self.requests.send(LogRequest::Append(draft)).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendError(LogRequest::Append(draft))) => Err(draft),
            Err(_) => Ok(()),
        }
    }

    /// Appends a command and waits for its outcome until `deadline`.
    pub(crate) async fn propose(&self, command: Command, deadline: Instant) -> EngineResult<Outcome> {
        let (waiter, mut pending) = waiter();
        // The queue stays full while the log takes nothing: its room is waited for as long as for the outcome, no longer.
        match tokio::time::timeout_at(deadline, self.requests.reserve()).await {
            Ok(Ok(room)) => room.send(LogRequest::Append(Draft::Command {
                command: Box::new(command),
                waiter,
                terms: Terms::default(),
            })),
            Ok(Err(_)) => return Err(gone()),
            Err(_) => return Err(EngineError::DidNotHappen("the log's queue was full for too long".into())),
        }
        tokio::select! {
            biased;
            outcome = &mut pending.reply => outcome.unwrap_or_else(|_| Err(EngineError::OutcomeUnknown("the gateway stopped".into()))),
            () = tokio::time::sleep_until(deadline) => Err(give_up(&pending)),
        }
    }

    /// Waits until State is at least as new as this call (T5). Shared by all who wait.
    pub(crate) async fn barrier(&self) -> EngineResult<()> {
        let (sender, receiver) = oneshot::channel();
        self.shared.served.store(true, Ordering::Release);
        // Room in the queue counts as well: it stays full while the log takes nothing.
        let answered = async {
            match self.requests.send(LogRequest::Barrier(sender)).await {
                Ok(()) => receiver.await.unwrap_or_else(|_| Err(stopped())),
                Err(_) => Err(stopped()),
            }
        };
        let in_time = tokio::time::timeout(self.parts.limits.stale_stop, answered).await;
        in_time.unwrap_or_else(|_| Err(EngineError::NotFresh("no answer from the log in time".into())))
    }

    /// Makes sure that State was refreshed lately (T4); beyond the stale limit nothing is answered from it (T6).
    pub(crate) async fn ensure_fresh(&self) -> EngineResult<()> {
        self.note_served();
        if self.age() > self.parts.limits.stale_stop { self.barrier().await } else { Ok(()) }
    }

    /// Since when State may lack what others did.
    pub(crate) fn age(&self) -> Duration {
        self.parts.clock.now().saturating_duration_since(self.shared.refreshed())
    }

    /// A request is answered from State: it is refreshed while that goes on (T4).
    pub(super) fn note_served(&self) {
        let was_served = self.shared.served.swap(true, Ordering::AcqRel);
        if !was_served || self.age() > self.parts.limits.refresh {
            self.shared.interest.notify_one();
        }
    }

    /// Closes the session after everything queued before, and ends the log task.
    pub(crate) async fn close(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.requests.send(LogRequest::Close(sender)).await.is_ok() {
            let _ = receiver.await;
        }
    }
}

/// What a client hears whose time is up (design section 5).
pub(crate) fn give_up<T>(pending: &super::waiter::Pending<T>) -> EngineError {
    if pending.cancel() {
        EngineError::DidNotHappen("the store did not take it in time".into())
    } else {
        EngineError::OutcomeUnknown("the store has not confirmed it in time".into())
    }
}

fn stopped() -> EngineError {
    EngineError::NotFresh("the gateway stopped".into())
}

pub(super) fn gone() -> EngineError {
    EngineError::DidNotHappen("the gateway is stopping".into())
}
