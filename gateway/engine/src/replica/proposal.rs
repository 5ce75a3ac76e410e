//! Proposals: commands that somebody waits for, on their way into the log.
//!
//! Promises: whoever drops a proposal that was not sent has taken it back (T7: unsent commands die with their connection);
//! one that was not sent within `unsent_command` is taken back as well; a Join or Sync enqueued under a session that was
//! lost since is never sent under the next (design section 8).
//! Never: says "did not happen" of what an append request may have carried (L1, I-11).

use std::time::Duration;

use sluice_metadata::{Command, GroupCommand, GroupOutcome, Outcome};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::draft::{Draft, Terms};
use super::handle::{LogRequest, Replica, give_up, gone};
use super::waiter::{Pending, waiter};
use super::wakers::SessionHold;
use crate::error::{EngineError, EngineResult};

/// Whether a command may wait for others that share its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Patience {
    /// It goes into the next entry.
    #[default]
    Now,
    /// It may wait until `commit_linger` after the last append began; an idle log takes it at once.
    Coalesce,
}

/// A command of a group that was enqueued. Dropped before its outcome is known, it is taken back if it was not sent.
#[derive(Debug)]
pub(crate) struct PendingGroup {
    pending: Pending<EngineResult<Outcome>>,
    unsent_until: Instant,
    deadline: Instant,
}

impl PendingGroup {
    /// Waits for the outcome until the deadline that it was proposed with.
    ///
    /// # Errors
    /// `DidNotHappen`: it was not sent in time, or its session was lost before it was sent. `OutcomeUnknown`: it was sent,
    /// and what became of it is not known by the deadline.
    pub(crate) async fn outcome(mut self) -> EngineResult<GroupOutcome> {
        let unsent_for = self.unsent_until;
        tokio::select! {
            biased;
            reply = &mut self.pending.reply => return self.heard(reply.ok()),
            () = tokio::time::sleep_until(unsent_for.min(self.deadline)) => {}
        }
        if self.pending.cancel() {
            return Err(EngineError::DidNotHappen("the log did not take it in time".into()));
        }
        let deadline = self.deadline;
        tokio::select! {
            biased;
            reply = &mut self.pending.reply => self.heard(reply.ok()),
            () = tokio::time::sleep_until(deadline) => Err(give_up(&self.pending)),
        }
    }

    fn heard(&self, reply: Option<EngineResult<Outcome>>) -> EngineResult<GroupOutcome> {
        match reply {
            Some(Ok(Outcome::Group(outcome))) => Ok(outcome),
            Some(Ok(other)) => Err(EngineError::Unexpected(format!("a group's command was answered with {other:?}"))),
            Some(Err(error)) => Err(error),
            None if self.pending.cancel() || self.pending.is_cancelled() => {
                Err(EngineError::DidNotHappen("the log did not take it in time".into()))
            }
            None => Err(EngineError::OutcomeUnknown("the gateway stopped".into())),
        }
    }
}

impl Drop for PendingGroup {
    fn drop(&mut self) {
        // Nobody waits any more: what was not sent never will be (T7). What was sent stays sent.
        self.pending.cancel();
    }
}

impl Replica {
    /// Enqueues a command of a group; the queue's room is waited for until `deadline`. Commands are sent in the order in
    /// which they were enqueued. Not for a Join or a Sync.
    ///
    /// # Errors
    /// `DidNotHappen`: there was no room in time, or the gateway is stopping.
    pub(crate) async fn propose_group(
        &self,
        command: GroupCommand,
        patience: Patience,
        deadline: Instant,
    ) -> EngineResult<PendingGroup> {
        self.enqueue_group(command, patience, None, deadline).await
    }

    /// As `propose_group`, of a Join or a Sync: not sent once the session that the request holds to is lost. The number is
    /// the hold's own, so that no loss falls between the two.
    ///
    /// # Errors
    /// As `propose_group`.
    pub(crate) async fn propose_held(
        &self,
        command: GroupCommand,
        held: &SessionHold<'_>,
        deadline: Instant,
    ) -> EngineResult<PendingGroup> {
        self.enqueue_group(command, Patience::Now, Some(held.losses()), deadline).await
    }

    async fn enqueue_group(
        &self,
        command: GroupCommand,
        patience: Patience,
        under: Option<u64>,
        deadline: Instant,
    ) -> EngineResult<PendingGroup> {
        let unsent_until = self.parts.clock.now() + self.parts.limits.unsent_command;
        let (waiter, pending) = waiter();
        let terms = Terms { patience, unsent_until: Some(unsent_until), under };
        let draft = Draft::Command { command: Box::new(Command::Group(command)), waiter, terms };
        match tokio::time::timeout_at(deadline, self.requests.reserve()).await {
            Ok(Ok(room)) => room.send(LogRequest::Append(draft)),
            Ok(Err(mpsc::error::SendError(()))) => return Err(gone()),
            Err(_) => return Err(EngineError::DidNotHappen("the log's queue was full for too long".into())),
        }
        Ok(PendingGroup { pending, unsent_until, deadline })
    }

    /// Makes sure that State is younger than `age`, by a barrier where it is not (T6: Heartbeat and Sync).
    ///
    /// # Errors
    /// `NotFresh`.
    pub(crate) async fn ensure_fresh_within(&self, age: Duration) -> EngineResult<()> {
        self.note_served();
        if self.age() < age { Ok(()) } else { self.barrier().await }
    }
}
