//! Kafka's initial rebalance delay: a group that was empty waits in windows, each begun because new members came in the one
//! before, at most for the rebalance timeout in all.

use std::sync::Arc;
use std::time::Duration;

use imbl::OrdMap;
use sluice_metadata::{Group, Member, MemberNumber};

/// The running window of one initial phase, in trusted time.
#[derive(Debug)]
pub(super) struct Windows {
    ends: Duration,
    /// How long this window is.
    delay: Duration,
    /// How much longer the group may wait after it.
    remaining: Duration,
    /// `group.initial.rebalance.delay.ms`.
    full: Duration,
    /// Who was there when it began; `None`: it is the first, and only who began the phase was.
    before: Option<OrdMap<MemberNumber, Arc<Member>>>,
}

impl Windows {
    /// The first window of a phase that began at `since`.
    pub(super) fn first(since: Duration, delay: Duration, rebalance_timeout: Duration) -> Self {
        Self {
            ends: since + delay,
            delay,
            remaining: rebalance_timeout.saturating_sub(delay),
            full: delay,
            before: None,
        }
    }

    /// When the phase is to be completed, as far as is known at `now`.
    pub(super) fn end(&mut self, group: &Group, now: Duration) -> Duration {
        while self.ends <= now && !self.remaining.is_zero() && self.has_new(group) {
            // As Kafka counts it: what remains shrinks by the window that ended.
            let next = self.full.min(self.remaining);
            self.remaining = self.remaining.saturating_sub(self.delay);
            self.delay = next;
            self.ends += next;
            self.before = Some(group.members.clone());
        }
        self.ends
    }

    fn has_new(&self, group: &Group) -> bool {
        match &self.before {
            Some(before) => group.members.keys().any(|member| !before.contains_key(member)),
            None => group.members.values().any(|member| member.watch.last_activity > group.phase_began),
        }
    }
}
