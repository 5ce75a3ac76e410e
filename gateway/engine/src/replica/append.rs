//! Sealing, staging and sending entries (L1), and opening the session (L2).
//!
//! Promises: one append request in flight; it carries the staged prefix of the sealed entries, ascending, from the lowest
//! unsettled one. An entry that may be in the log keeps its identity until replay settles it (L3). An entry that certainly
//! is not may be recalled: its commands are sealed again in their old order, its sequence is never sent again.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sluice_metadata::{BatchVerdict, Command, Entry, PartitionKey, SessionId};
use sluice_store::{Appended, Sealed, Staged, StoreErrorKind, StoreResult};
use tokio::time::Instant;

use super::draft::{Draft, Terms};
use super::log_task::{Fatal, LogTask};
use super::session::OwnSession;
use super::waiter::waiter;
use crate::api::Readiness;
use crate::error::EngineError;

/// What is known of an entry's way into the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sent {
    /// No attempt, or every attempt was definitely refused.
    No,
    /// The first attempt that may succeed is in flight.
    InFlight,
    /// An attempt may have succeeded.
    Maybe,
}

/// An entry whose identity and bytes are fixed.
pub(super) struct SealedEntry {
    pub(super) sequence: u64,
    pub(super) entry: Arc<Entry>,
    pub(super) drafts: Vec<Draft>,
    staged: Option<Staged>,
    sent: Sent,
}

/// The answer of a staging.
pub(super) struct StagedEntry {
    session: SessionId,
    sealed: Sealed,
    result: StoreResult<Staged>,
}

/// An append in flight.
pub(super) struct InFlight {
    pub(super) op: u64,
    pub(super) started: Instant,
    pub(super) future: BoxFuture<'static, StoreResult<Appended>>,
    /// The session and the last sequence of the entries it carries; none: it opens the session.
    carries: Option<(SessionId, u64)>,
}

/// Nonces remembered while no session could be opened.
const NONCES_MAX: usize = 64;

impl LogTask {
    /// Starts whatever may start: the opening of a session, stagings, one append.
    pub(super) fn start_appends(&mut self) {
        self.fail_orphaned_drafts();
        self.reopen_idle_session();
        if self.session.id().is_none() {
            self.open_session();
            return;
        }
        self.draft_close();
        self.keep_session_alive();
        self.seal_drafts();
        self.send_staged();
    }

    /// Opens a session under a fresh nonce (L2). Not before the replay: State must be known to judge the answer.
    fn open_session(&mut self) {
        // Who waited under the lost session answers first (design section 8).
        let unanswered = self.shared.wakers.holds_lost_session();
        let wait = self.appending.is_some() || self.must_read || self.is_held_back() || unanswered;
        // A gateway that is leaving opens none only to close it.
        let leaving = self.drafts.is_empty() && self.sealed.is_empty() && self.closing.is_some();
        if wait || leaving {
            return;
        }
        let nonce = self.parts.entropy.next_u128();
        let OwnSession::Opening { nonces } = &mut self.session else { return };
        // A session under a nonce that is forgotten expires unused (L2).
        if nonces.len() >= NONCES_MAX {
            nonces.remove(0);
        }
        nonces.push(nonce);
        let entry = Entry {
            known: self.state.known(),
            hash_at_known: self.state.hash(),
            commands: vec![Command::OpenSession {
                nonce,
                feature_level: sluice_metadata::limits::FEATURE_LEVEL,
                opened_at_ms: self.parts.stamp_ms(),
                name: self.parts.settings.name.clone(),
            }],
        };
        let sealed = Sealed { session: 0, sequence: 0, bytes: entry.encode() };
        let (log, known) = (self.parts.log.clone(), self.known());
        let future = Box::pin(async move {
            // Nothing is in the log before the append was sent, whatever became of the body.
            let staged = log.stage(&sealed).await.map_err(|e| e.with_kind(StoreErrorKind::Unavailable))?;
            log.append(&[staged], known).await
        });
        self.start_append(future, None);
    }

    fn start_append(&mut self, future: BoxFuture<'static, StoreResult<Appended>>, carries: Option<(SessionId, u64)>) {
        let op = self.start_op();
        self.metrics.log_appends.inc();
        let started = self.parts.clock.now();
        self.last_append_began = Some(started);
        self.appending = Some(InFlight { op, started, future, carries });
    }

    pub(super) fn is_held_back(&mut self) -> bool {
        let now = self.parts.clock.now();
        if self.append_not_before.is_some_and(|at| at <= now) {
            self.append_not_before = None;
        }
        self.append_not_before.is_some()
    }

    /// Seals the drafts that wait into entries, and starts to stage them.
    fn seal_drafts(&mut self) {
        let now = self.parts.clock.now();
        self.drafts.iter().for_each(|draft| draft.expire_unsent(now));
        if self.linger_ends().is_some_and(|at| at > now) {
            return;
        }
        while !self.drafts.is_empty() && !self.is_held_back() && self.sealed.len() < self.parts.limits.staging_max {
            let count = self.drafts.len().min(self.parts.limits.entry_commands_max);
            let drafts: Vec<_> = self.drafts.drain(..count).filter_map(Draft::without_cancelled).collect();
            if !drafts.is_empty() {
                self.seal(drafts);
            }
        }
    }

    /// Until when the drafts wait for more of their kind: all of them are patient, and an append began a moment ago.
    pub(super) fn linger_ends(&self) -> Option<Instant> {
        let limits = &self.parts.limits;
        let is_patient = !self.drafts.is_empty() && self.drafts.len() < limits.entry_commands_max;
        if !is_patient || !self.drafts.iter().all(Draft::may_wait) {
            return None;
        }
        self.last_append_began.map(|began| began + limits.commit_linger)
    }

    pub(super) fn seal(&mut self, drafts: Vec<Draft>) {
        let Some((session, sequence)) = self.session.next_sequence() else {
            self.drafts.extend(drafts);
            return;
        };
        let entry = Entry {
            known: self.state.known(),
            hash_at_known: self.state.hash(),
            commands: drafts.iter().map(Draft::command).collect(),
        };
        let sealed = Sealed { session: session.0.raw(), sequence, bytes: entry.encode() };
        let log = self.parts.log.clone();
        self.staging.push(Box::pin(async move {
            let result = log.stage(&sealed).await;
            StagedEntry { session, sealed, result }
        }));
        self.sealed.push_back(SealedEntry { sequence, entry: Arc::new(entry), drafts, staged: None, sent: Sent::No });
    }

    /// A staging was answered. One of a recalled entry, or of a session that is gone, no longer matters.
    pub(super) fn on_staged(&mut self, answer: StagedEntry) {
        if self.session.id() != Some(answer.session) {
            return;
        }
        let Some(index) = self.sealed.iter().position(|e| e.sequence == answer.sealed.sequence) else { return };
        match answer.result {
            Ok(staged) => {
                if let Some(entry) = self.sealed.get_mut(index) {
                    entry.staged = Some(staged);
                }
                self.plant_ack_before_apply(index);
            }
            Err(error) if error.kind() == StoreErrorKind::TooLarge => self.split(index, &error.to_string()),
            Err(error) => {
                tracing::warn!(sequence = answer.sealed.sequence, %error, "an entry could not be staged");
                self.hold_back(&error.to_string());
                self.recall_from(index);
            }
        }
    }

    /// An entry too large for the log: its commands one by one; a single one that is too large fails.
    fn split(&mut self, index: usize, why: &str) {
        let mut later = self.sealed.split_off(index);
        let Some(entry) = later.pop_front() else { return };
        self.sealed.append(&mut later);
        self.recall_from(index);
        if entry.drafts.len() == 1 {
            let error = EngineError::LimitReached(why.to_owned());
            entry.drafts.into_iter().for_each(|draft| draft.fail(&error));
            return;
        }
        entry.drafts.iter().for_each(Draft::recall);
        for draft in entry.drafts {
            self.seal(vec![draft]);
        }
    }

    /// Sends the staged prefix of the sealed entries (L1).
    fn send_staged(&mut self) {
        if self.appending.is_some() || self.must_read || self.is_held_back() {
            return;
        }
        let most = self.parts.log.capabilities().append_elements_max.max(1);
        let now = self.parts.clock.now();
        let mut request: Vec<Staged> = Vec::new();
        for index in 0..self.sealed.len().min(most) {
            let Some(entry) = self.sealed.get(index) else { break };
            let Some(staged) = &entry.staged else { break };
            if entry.sent == Sent::No {
                entry.drafts.iter().for_each(|draft| draft.expire_unsent(now));
            }
            if entry.sent == Sent::No && !entry.drafts.iter().all(Draft::send) {
                // Somebody's time was up: this entry and what comes after it is sealed again without their part.
                self.recall_from(index);
                self.seal_drafts();
                break;
            }
            request.push(staged.clone());
        }
        let Some(session) = self.session.id() else { return };
        let Some(last) = request.last().map(|staged| staged.element.sequence) else { return };
        let (log, known) = (self.parts.log.clone(), self.known());
        let carries = Some((session, last));
        self.move_sent(carries, Sent::No, Sent::InFlight);
        self.start_append(Box::pin(async move { log.append(&request, known).await }), carries);
    }

    /// Moves the entries that a request carries from one state to the next. Entries of a session that is gone are gone.
    fn move_sent(&mut self, carries: Option<(SessionId, u64)>, from: Sent, to: Sent) {
        let Some((session, last)) = carries.filter(|(session, _)| self.session.id() == Some(*session)) else { return };
        debug_assert!(session.0.raw() > 0);
        for entry in self.sealed.iter_mut().filter(|entry| entry.sequence <= last && entry.sent == from) {
            entry.sent = to;
            if to == Sent::No {
                // Refused for certain: its commands may be given up again.
                entry.drafts.iter().for_each(Draft::recall);
            }
        }
    }

    /// Takes the entries from `index` on back into drafts, in their old order, before anything newer. None of them may
    /// be in the log: either no request that carried one can have succeeded, or replay settled it so (L3).
    pub(super) fn recall_from(&mut self, index: usize) {
        if index >= self.sealed.len() {
            return;
        }
        for entry in self.sealed.split_off(index).into_iter().rev() {
            for draft in entry.drafts.into_iter().rev() {
                draft.recall();
                if let Some(draft) = draft.without_cancelled() {
                    self.drafts.push_front(draft);
                }
            }
        }
    }

    /// Our entry at `index` was accepted. What has a lower sequence did not happen (L3): it is sealed again in its old
    /// order, and so is what is newer and was never sent, so that nothing newer comes before it.
    pub(super) fn settle(&mut self, index: usize) -> Option<Vec<Draft>> {
        let newer = self.sealed.split_off(index + 1);
        let settled = self.sealed.pop_back()?;
        let lower = std::mem::replace(&mut self.sealed, newer);
        if !lower.is_empty() {
            let unsent = self.sealed.iter().position(|entry| entry.sent == Sent::No);
            self.recall_from(unsent.unwrap_or(self.sealed.len()));
            let newer = std::mem::replace(&mut self.sealed, lower);
            self.recall_from(0);
            self.sealed = newer;
        }
        Some(settled.drafts)
    }

    /// An append was answered.
    pub(super) async fn on_appended(&mut self, answer: StoreResult<Appended>) -> Result<(), Fatal> {
        let Some(InFlight { op, started, carries, .. }) = self.appending.take() else { return Ok(()) };
        match answer {
            Ok(appended) => {
                self.append_backoff = self.parts.limits.append_backoff_min;
                self.move_sent(carries, Sent::InFlight, Sent::Maybe);
                if carries.is_some() {
                    self.last_append = Some(started);
                }
                match appended {
                    Appended::Tail(tail) if tail.first <= self.known().next() => {
                        self.apply_tail(tail).await?;
                        self.on_refreshed(op, started);
                    }
                    // In the log for certain; what it came to, only a read tells (L3, L6).
                    Appended::Tail(_) | Appended::CommittedTailUnread => self.must_read = true,
                }
            }
            Err(error) if error.kind() == StoreErrorKind::Unknown => {
                tracing::warn!(%error, "an append may or may not be in the log");
                self.metrics.log_unknown.inc();
                self.move_sent(carries, Sent::InFlight, Sent::Maybe);
                self.hold_back(&error.to_string());
                if self.parts.defects.reseal_unknown {
                    self.recall_from(0);
                }
            }
            Err(error) if matches!(error.kind(), StoreErrorKind::Invalid | StoreErrorKind::Corrupt) => {
                return Err(Fatal(error.to_string()));
            }
            Err(error) => {
                tracing::warn!(%error, "an append was refused");
                // Attempts are joined: what an earlier attempt may have put there stays `Maybe`.
                self.move_sent(carries, Sent::InFlight, Sent::No);
                self.hold_back(&error.to_string());
            }
        }
        Ok(())
    }

    /// Waits before the next attempt: doubling, half of it jitter and half certain, so that a refusal at once never spins.
    pub(super) fn hold_back(&mut self, why: &str) {
        if self.append_backoff >= self.parts.limits.append_backoff_max {
            self.shared.set_readiness(Readiness::Unavailable(why.to_owned()));
        }
        let pause = self.append_backoff / 2 + self.parts.entropy.jitter(self.append_backoff / 2);
        self.append_not_before = Some(self.parts.clock.now() + pause);
        self.append_backoff = (self.append_backoff * 2).min(self.parts.limits.append_backoff_max);
    }

    /// When the gateway leaves and everything is settled: closes its own session.
    fn draft_close(&mut self) {
        let settled = self.drafts.is_empty() && self.sealed.is_empty() && self.appending.is_none();
        if self.closing.is_none() || !settled || self.must_read {
            return;
        }
        let Some(own) = self.session.id().and_then(|id| self.state.session(id)) else { return };
        let command = Box::new(Command::CloseSession { session: own.id, last_append: own.last_append });
        let (waiter, _nobody_waits) = waiter();
        self.drafts.push_back(Draft::Command { command, waiter, terms: Terms::default() });
    }

    /// A planted defect (see [`crate::Defects`]): tells the producers before the entry is in the log, let alone applied,
    /// and guesses their offsets from what is known so far.
    fn plant_ack_before_apply(&mut self, index: usize) {
        if !self.parts.defects.ack_before_apply {
            return;
        }
        let Some(entry) = self.sealed.get_mut(index) else { return };
        for draft in &mut entry.drafts {
            let Draft::Produce(draft) = draft else { continue };
            for run in std::mem::take(&mut draft.runs) {
                let key = PartitionKey { topic_id: run.topic_id, partition: run.partition };
                let mut base_offset = self.state.partition(&key).map_or(0, |partition| partition.high_watermark());
                for batch in run.batches {
                    batch.waiter.resolve(Ok(BatchVerdict::Accepted { base_offset }));
                    base_offset = base_offset.saturating_add(i64::from(batch.batch.records));
                }
            }
        }
    }
}
