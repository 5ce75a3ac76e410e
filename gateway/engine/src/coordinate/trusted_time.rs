//! Trusted time: the only clock by which a timeout of a member, a phase or a session is judged (T2).
//!
//! Promises: it runs no faster than this machine's monotonic clock, only while State was refreshed within the last two
//! seconds, and never across a clock gap: what happened meanwhile may not have been seen.
//! Never: compares the clocks of two machines; goes back.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sluice_runtime::{GapWatch, SharedClock};
use tokio::time::Instant;

use crate::replica::Shared;

/// Trusted time of one gateway.
#[derive(Debug)]
pub(crate) struct TrustedTime {
    clock: SharedClock,
    gaps: Arc<GapWatch>,
    /// How old State may be while it runs.
    fresh: Duration,
    replica: Arc<Shared>,
    seen: Mutex<Seen>,
}

/// What the last look saw.
#[derive(Debug, Clone, Copy)]
struct Seen {
    trusted: Duration,
    at: Instant,
    refreshed: Instant,
    gaps: u64,
}

/// Trusted time at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// How much of it has passed.
    pub(crate) trusted: Duration,
    /// How many clock gaps there have been.
    pub(crate) gaps: u64,
}

impl TrustedTime {
    pub(crate) fn new(clock: SharedClock, gaps: Arc<GapWatch>, fresh: Duration, replica: Arc<Shared>) -> Self {
        let refreshed = replica.refreshed();
        let seen = Seen { trusted: Duration::ZERO, at: clock.now(), refreshed, gaps: gaps.count() };
        Self { clock, gaps, fresh, replica, seen: Mutex::new(seen) }
    }

    /// Now. Gaps are looked at first: what was measured across one is not counted (T2).
    pub(crate) fn look(&self) -> Look {
        let gaps = self.gaps.count();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.pass(self.clock.now(), gaps, self.replica.refreshed(), self.fresh);
        Look { trusted: seen.trusted, gaps: seen.gaps }
    }
}

impl Seen {
    /// What passed since the last look counts as far as the State known at that look was fresh.
    fn pass(&mut self, now: Instant, gaps: u64, refreshed: Instant, fresh: Duration) {
        if gaps == self.gaps {
            let until = now.min(self.refreshed + fresh);
            self.trusted += until.saturating_duration_since(self.at);
        }
        self.at = self.at.max(now);
        self.gaps = self.gaps.max(gaps);
        self.refreshed = self.refreshed.max(refreshed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Duration = Duration::from_secs(2);

    // Holds: T2
    #[test]
    fn it_runs_only_while_state_is_fresh_and_never_across_a_gap() {
        let origin = Instant::now();
        let at = |ms: u64| origin + Duration::from_millis(ms);
        let mut seen = Seen { trusted: Duration::ZERO, at: origin, refreshed: origin, gaps: 0 };
        for ms in (250..=1_000).step_by(250) {
            seen.pass(at(ms), 0, at(ms), FRESH);
        }
        assert_eq!(seen.trusted, Duration::from_secs(1), "fresh all the time");
        for ms in (1_250..=10_000).step_by(250) {
            seen.pass(at(ms), 0, at(1_000), FRESH);
        }
        assert_eq!(seen.trusted, Duration::from_secs(3), "the two seconds after the last refresh, and no more");
        seen.pass(at(10_250), 0, at(10_250), FRESH);
        assert_eq!(seen.trusted, Duration::from_secs(3), "what lies behind a refresh was not watched");
        seen.pass(at(10_500), 0, at(10_250), FRESH);
        assert_eq!(seen.trusted, Duration::from_millis(3_250));
        seen.pass(at(11_900), 1, at(10_250), FRESH);
        assert_eq!(seen.trusted, Duration::from_millis(3_250), "a gap, though State is not old");
        seen.pass(at(12_000), 1, at(12_000), FRESH);
        assert_eq!(seen.trusted, Duration::from_millis(3_350));
    }
}
