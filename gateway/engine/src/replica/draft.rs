//! Commands on their way into an entry, with those who wait for them.
//!
//! Promises: a draft's shape is its command's shape, so that `outcomes[i]` resolves what `drafts[i]` asked. What was given
//! up before it was sent is cut out of the command, and only that (unit = batch, L11).

use std::sync::Arc;

use sluice_metadata::{BatchRef, BatchVerdict, Command, CommittedRun, ObjectId, Outcome};
use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;
use uuid::Uuid;

use super::proposal::Patience;
use super::waiter::{Claim, Waiter};
use crate::error::{EngineError, EngineResult};

/// A command and who waits for it.
#[derive(Debug)]
pub(crate) enum Draft {
    /// One flush: a segment and the runs in it.
    Produce(ProduceDraft),
    /// Any other command.
    Command {
        /// The command.
        command: Box<Command>,
        /// Who waits.
        waiter: Waiter<EngineResult<Outcome>>,
        /// How long it may wait, and for what.
        terms: Terms,
    },
}

/// What a command's proposer asks of its way into the log.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Terms {
    /// Whether it may wait for others.
    pub(crate) patience: Patience,
    /// When it is taken back if it was not sent (T7).
    pub(crate) unsent_until: Option<Instant>,
    /// How many own sessions had been lost when it was enqueued: it is not sent under a later one (Join, Sync).
    pub(crate) under: Option<u64>,
}

/// A flush: its segment is in the store.
#[derive(Debug)]
pub(crate) struct ProduceDraft {
    pub(crate) object: ObjectId,
    pub(crate) object_bytes: u64,
    pub(crate) runs: Vec<DraftRun>,
    /// Tells the buffer, when dropped, that the flush is settled.
    #[expect(dead_code, reason = "held for its Drop")]
    pub(crate) flight: Flight,
}

/// One partition's batches of a flush.
#[derive(Debug)]
pub(crate) struct DraftRun {
    pub(crate) topic_id: Uuid,
    pub(crate) partition: i32,
    pub(crate) start: u64,
    pub(crate) batches: Vec<DraftBatch>,
}

/// A batch and who waits for its verdict.
#[derive(Debug)]
pub(crate) struct DraftBatch {
    pub(crate) batch: BatchRef,
    pub(crate) waiter: Waiter<EngineResult<BatchVerdict>>,
    /// Admitted bytes count until the batch is settled, whether or not its client still waits (I-14).
    #[expect(dead_code, reason = "held for its Drop")]
    pub(crate) permit: Arc<OwnedSemaphorePermit>,
}

/// Wakes the buffer when a flush, or the last trace of it, is gone.
#[derive(Debug)]
pub(crate) struct Flight(pub(crate) Arc<FlightCount>);

/// How many flushes are in flight.
#[derive(Debug, Default)]
pub(crate) struct FlightCount {
    pub(crate) count: std::sync::atomic::AtomicUsize,
    pub(crate) changed: Notify,
}

impl FlightCount {
    /// One more.
    pub(crate) fn take_off(self: &Arc<Self>) -> Flight {
        self.count.fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        Flight(self.clone())
    }

    /// How many there are.
    pub(crate) fn get(&self) -> usize {
        self.count.load(std::sync::atomic::Ordering::Acquire)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
        self.0.changed.notify_one();
    }
}

impl Draft {
    /// The command as it stands.
    pub(crate) fn command(&self) -> Command {
        match self {
            Self::Produce(draft) => Command::Produce {
                object: draft.object,
                object_bytes: draft.object_bytes,
                runs: draft.runs.iter().map(DraftRun::committed).collect(),
            },
            Self::Command { command, .. } => Command::clone(command),
        }
    }

    /// Cuts what was given up; `None` when nothing is left.
    pub(crate) fn without_cancelled(self) -> Option<Self> {
        match self {
            Self::Produce(mut draft) => {
                if draft.runs.iter().flat_map(|run| &run.batches).any(|b| b.waiter.claim().is_cancelled()) {
                    draft.runs = draft.runs.into_iter().flat_map(DraftRun::without_cancelled).collect();
                }
                if draft.runs.is_empty() { None } else { Some(Self::Produce(draft)) }
            }
            Self::Command { waiter, .. } if waiter.claim().is_cancelled() => None,
            kept @ Self::Command { .. } => Some(kept),
        }
    }

    /// Every claim on it.
    fn claims(&self) -> impl Iterator<Item = &Claim> {
        let (runs, waiter) = match self {
            Self::Produce(draft) => (draft.runs.as_slice(), None),
            Self::Command { waiter, .. } => (&[][..], Some(waiter.claim())),
        };
        runs.iter().flat_map(|run| &run.batches).map(|b| b.waiter.claim()).chain(waiter)
    }

    /// Takes every part of it into a request. False: a part was given up (those taken before it stay taken).
    pub(crate) fn send(&self) -> bool {
        self.claims().all(Claim::send)
    }

    /// Takes every part back out of a request that was definitely refused.
    pub(crate) fn recall(&self) {
        self.claims().for_each(Claim::recall);
    }

    /// Tells everybody that it failed in this way.
    pub(crate) fn fail(self, error: &EngineError) {
        match self {
            Self::Produce(draft) => {
                for batch in draft.runs.into_iter().flat_map(|run| run.batches) {
                    batch.waiter.resolve(Err(error.clone()));
                }
            }
            Self::Command { waiter, .. } => waiter.resolve(Err(error.clone())),
        }
    }

    /// Tells everybody the outcome that apply gave.
    pub(crate) fn resolve(self, outcome: Outcome) {
        match (self, outcome) {
            (Self::Produce(draft), Outcome::Produced(verdicts)) => {
                for (run, verdicts) in draft.runs.into_iter().zip(verdicts) {
                    for (batch, verdict) in run.batches.into_iter().zip(verdicts) {
                        batch.waiter.resolve(Ok(verdict));
                    }
                }
            }
            (draft @ Self::Produce(_), other) => {
                draft.fail(&EngineError::LimitReached(format!("the flush was refused: {other:?}")));
            }
            (Self::Command { waiter, .. }, outcome) => waiter.resolve(Ok(outcome)),
        }
    }

    /// True when it may wait for others that share its entry.
    pub(crate) fn may_wait(&self) -> bool {
        matches!(self, Self::Command { terms: Terms { patience: Patience::Coalesce, .. }, .. })
    }

    /// Takes the command back if it has waited for too long without being sent (T7).
    pub(crate) fn expire_unsent(&self, now: Instant) {
        if let Self::Command { waiter, terms: Terms { unsent_until: Some(until), .. }, .. } = self
            && *until <= now
        {
            waiter.claim().cancel();
        }
    }

    /// True when it must not be sent any more, because the session it was proposed under is lost.
    pub(crate) fn is_orphaned(&self, losses: u64) -> bool {
        matches!(self, Self::Command { terms: Terms { under: Some(under), .. }, .. } if *under < losses)
    }
}

impl DraftRun {
    fn committed(&self) -> CommittedRun {
        CommittedRun {
            topic_id: self.topic_id,
            partition: self.partition,
            start: self.start,
            batches: self.batches.iter().map(|b| b.batch).collect(),
        }
    }

    /// The same run without what was given up: several runs when that leaves holes.
    fn without_cancelled(self) -> Vec<Self> {
        let (topic_id, partition) = (self.topic_id, self.partition);
        let mut runs: Vec<Self> = Vec::new();
        let mut at = self.start;
        let mut hole = true;
        for batch in self.batches {
            let start = at;
            at = at.saturating_add(u64::from(batch.batch.bytes));
            if batch.waiter.claim().is_cancelled() {
                hole = true;
                continue;
            }
            match runs.last_mut() {
                Some(run) if !hole => run.batches.push(batch),
                _ => runs.push(Self { topic_id, partition, start, batches: vec![batch] }),
            }
            hole = false;
        }
        runs
    }
}
