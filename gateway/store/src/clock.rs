//! The store's clock: what says whether ours may be judged by (T3).
//!
//! Promises: a machine whose wall clock is wrong cannot destroy anything by it, as long as the store's is right.
//! Never: asks the store; what it said last is all there is.
//! Called by `engine`, before it judges by stamps.

use std::time::Duration;

use sluice_runtime::Clock;
use tokio::time::Instant;

use crate::limits::{CLOCK_DIFFERENCE_MAX, CLOCK_READING_AGE_MAX};

/// What a store knows of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreClock {
    /// An embedded store has its gateways' clock: there is none to compare with (T3).
    Exempt,
    /// The store has not told its time yet.
    Unmeasured,
    /// What its last answer said.
    Measured(ClockReading),
}

/// Both clocks, read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockReading {
    /// The store's, in milliseconds since the epoch.
    pub store_ms: i64,
    /// Ours, in milliseconds since the epoch.
    pub wall_ms: i64,
    /// When that was.
    pub at: Instant,
}

impl ClockReading {
    /// How far the store's clock was ahead of ours, in milliseconds.
    #[must_use]
    pub fn offset_ms(&self) -> i64 {
        self.store_ms.saturating_sub(self.wall_ms)
    }

    /// Whether `clock` still says what the store's would say now. Compared with the time that passed since rather than with
    /// the offset of then: our wall clock may have been set meanwhile, or the machine may have slept.
    fn agrees_with(&self, clock: &dyn Clock) -> bool {
        let age = clock.now().saturating_duration_since(self.at);
        let store_now_ms = self.store_ms.saturating_add(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let difference = Duration::from_millis(store_now_ms.abs_diff(clock.wall_ms()));
        age < CLOCK_READING_AGE_MAX && difference <= CLOCK_DIFFERENCE_MAX
    }
}

impl StoreClock {
    /// The wall clock, if things may be destroyed by it: the store is exempt, or an answer of less than 60 s ago agrees
    /// with it within 5 s (T3). In milliseconds since the epoch.
    #[must_use]
    pub fn agreed_ms(&self, clock: &dyn Clock) -> Option<i64> {
        let agrees = match self {
            Self::Exempt => true,
            Self::Unmeasured => false,
            Self::Measured(reading) => reading.agrees_with(clock),
        };
        agrees.then(|| clock.wall_ms())
    }

    /// A stamp: the wall clock, corrected by what the store's last answer said, however long ago (T3: stamps never wait). In
    /// milliseconds since the epoch.
    #[must_use]
    pub fn stamp_ms(&self, clock: &dyn Clock) -> i64 {
        match self {
            Self::Measured(reading) => clock.wall_ms().saturating_add(reading.offset_ms()),
            Self::Exempt | Self::Unmeasured => clock.wall_ms(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sluice_runtime::{SeededEntropy, TokioClock};

    use super::*;
    use crate::scripted::Scripted;
    use crate::{
        FaultControl, Faults, FaultyObjectStore, ObjectStore, RetryObjectStore, RetryPolicy, TimeoutObjectStore,
        Timeouts,
    };

    const NOW_MS: i64 = 1_700_000_000_000;
    const WEEK_MS: i64 = 7 * 24 * 3_600_000;

    /// A reading of now, with the store's clock so far ahead of ours.
    fn ahead(clock: &TokioClock, ms: i64) -> StoreClock {
        let wall_ms = clock.wall_ms();
        StoreClock::Measured(ClockReading { store_ms: wall_ms + ms, wall_ms, at: clock.now() })
    }

    // Holds: T3
    #[tokio::test(start_paused = true)]
    async fn nothing_is_judged_by_a_clock_that_differs_from_the_stores() {
        let clock = TokioClock::starting_at(NOW_MS);
        for ms in [-WEEK_MS, -5_001, 5_001, WEEK_MS, i64::MAX - NOW_MS, i64::MIN + NOW_MS] {
            assert_eq!(ahead(&clock, ms).agreed_ms(&clock), None, "{ms}");
        }
        for ms in [-5_000, 0, 5_000] {
            assert_eq!(ahead(&clock, ms).agreed_ms(&clock), Some(NOW_MS), "{ms}");
        }
        assert_eq!(StoreClock::Unmeasured.agreed_ms(&clock), None);
        assert_eq!(StoreClock::Exempt.agreed_ms(&clock), Some(NOW_MS));
    }

    // Holds: T3
    #[tokio::test(start_paused = true)]
    async fn an_answer_of_a_minute_ago_is_too_old() {
        let clock = TokioClock::starting_at(NOW_MS);
        let then = ahead(&clock, 0);
        tokio::time::advance(Duration::from_millis(59_999)).await;
        assert_eq!(then.agreed_ms(&clock), Some(NOW_MS + 59_999));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(then.agreed_ms(&clock), None);
    }

    // Holds: T3
    #[tokio::test(start_paused = true)]
    async fn a_wall_clock_that_was_set_since_the_answer_is_not_trusted() {
        let clock = TokioClock::starting_at(NOW_MS);
        let agreed = ahead(&clock, 0);
        let set_forward = TokioClock::starting_at(NOW_MS + WEEK_MS);
        assert_eq!(agreed.agreed_ms(&set_forward), None);
    }

    // Holds: T3
    #[tokio::test(start_paused = true)]
    async fn a_stamp_is_corrected_by_the_last_answer_however_old() {
        let clock = TokioClock::starting_at(NOW_MS);
        let then = ahead(&clock, WEEK_MS);
        tokio::time::advance(Duration::from_secs(3_600)).await;
        assert_eq!(then.stamp_ms(&clock), NOW_MS + 3_600_000 + WEEK_MS);
        assert_eq!(StoreClock::Unmeasured.stamp_ms(&clock), NOW_MS + 3_600_000);
        assert_eq!(StoreClock::Exempt.stamp_ms(&clock), NOW_MS + 3_600_000);
    }

    // Holds: T3
    #[tokio::test(start_paused = true)]
    async fn every_decorator_has_the_clock_of_the_store_within() {
        let told = ahead(&TokioClock::starting_at(NOW_MS), 77);
        let store = Scripted::new([]);
        *store.clock.lock().unwrap() = Some(told);
        let entropy = || Arc::new(SeededEntropy::new(1));
        let inner = || Arc::clone(&store) as Arc<dyn ObjectStore>;
        let control = FaultControl::new(Faults::default(), entropy());
        let decorated: [Arc<dyn ObjectStore>; 3] = [
            Arc::new(RetryObjectStore::new(inner(), RetryPolicy::default(), entropy())),
            Arc::new(TimeoutObjectStore::new(inner(), Timeouts::OBJECTS)),
            Arc::new(FaultyObjectStore::new(inner(), control)),
        ];
        for store in decorated {
            assert_eq!(store.clock(), told, "{store:?}");
        }
    }
}
