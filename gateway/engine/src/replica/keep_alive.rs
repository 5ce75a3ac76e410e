//! The own session's life (T1): kept alive while it hosts members, reopened when it was idle for long, and not opened anew
//! before whoever waited under the lost one was answered (design section 8).
//!
//! Never: appends anything for a session that hosts nobody.

use sluice_metadata::Command;
use tokio::time::Instant;

use super::draft::{Draft, Terms};
use super::log_task::LogTask;
use super::session::OwnSession;
use super::waiter::waiter;

impl LogTask {
    /// True when the own session watches members or holds their Joins: it must be heard of (T1), and State must be fresh
    /// (T4).
    pub(super) fn is_hosting(&self) -> bool {
        self.session.id().is_some_and(|own| self.state.hosted(own).next().is_some())
    }

    /// When the next entry without commands is due, if no other comes before it (T1).
    pub(super) fn keepalive_due(&self) -> Option<Instant> {
        let is_idle = self.drafts.is_empty() && self.sealed.is_empty() && self.appending.is_none();
        if !is_idle || !self.is_hosting() || self.closing.is_some() {
            return None;
        }
        self.last_append.map(|last| last + self.parts.limits.session_keepalive)
    }

    /// Seals an entry without commands, when the session has said nothing for too long (T1).
    pub(super) fn keep_session_alive(&mut self) {
        let now = self.parts.clock.now();
        if self.keepalive_due().is_some_and(|due| due <= now) && !self.is_held_back() {
            self.seal(Vec::new());
        }
    }

    /// Gives up a session that others may be about to take for dead, before it is used again (T1). It is closed by the
    /// first entry of the next one.
    pub(super) fn reopen_idle_session(&mut self) {
        let now = self.parts.clock.now();
        let is_old = self.last_append.is_some_and(|last| last + self.parts.limits.session_reopen <= now);
        let is_unsettled = !self.sealed.is_empty() || self.appending.is_some() || !self.staging.is_empty();
        if self.drafts.is_empty() || !is_old || is_unsettled || self.closing.is_some() {
            return;
        }
        let Some(own) = self.session.id().and_then(|id| self.state.session(id)) else { return };
        if self.state.hosted(own.id).next().is_some() {
            return;
        }
        let command = Box::new(Command::CloseSession { session: own.id, last_append: own.last_append });
        let (waiter, _nobody_waits) = waiter();
        self.drafts.push_front(Draft::Command { command, waiter, terms: Terms::default() });
        // Nobody waits under it, so nobody has to hear of this.
        self.leave_session();
    }

    /// The own session is closed: Joins and Syncs that waited under it hear of it.
    pub(super) fn lose_session(&mut self) {
        self.leave_session();
        self.shared.wakers.lose_session();
    }

    fn leave_session(&mut self) {
        self.session = OwnSession::none();
        self.last_append = None;
        self.shared.set_open_session(None);
    }

    /// Joins and Syncs that were proposed under a lost session did not happen, and are not sent under another.
    pub(super) fn fail_orphaned_drafts(&mut self) {
        let losses = self.shared.wakers.losses();
        if !self.drafts.iter().any(|draft| draft.is_orphaned(losses)) {
            return;
        }
        let error = crate::error::EngineError::DidNotHappen("the gateway session was closed".into());
        for draft in std::mem::take(&mut self.drafts) {
            if draft.is_orphaned(losses) {
                draft.fail(&error);
            } else {
                self.drafts.push_back(draft);
            }
        }
    }
}
