//! Clock gaps: times in which this process did not run (a paused process, a suspended machine), noticed by whoever looks
//! first (T2, T7).
//!
//! Promises: a gap is noticed before anything is decided after it, if every decision looks here first; it is counted once.
//! Never: calls an ordinary delay of the scheduler a gap, as long as somebody looks every [`BEAT`].
//! Called by `engine` (deadlines) and `server` (connections older than a gap are closed).

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::Instant;

use crate::SharedClock;

/// How often somebody must look.
pub const BEAT: Duration = Duration::from_millis(250);
/// Longer than this without a look is a gap.
const GAP: Duration = Duration::from_secs(1);

/// Counts the clock gaps of one process.
#[derive(Debug)]
pub struct GapWatch {
    clock: SharedClock,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    at: Instant,
    wall_ms: i64,
    count: u64,
}

impl GapWatch {
    /// Watches `clock` from now on.
    #[must_use]
    pub fn new(clock: SharedClock) -> Self {
        let seen = Seen { at: clock.now(), wall_ms: clock.wall_ms(), count: 0 };
        Self { clock, seen: Mutex::new(seen) }
    }

    /// How many gaps there have been, one that has just ended included.
    ///
    /// A gap shows on the monotonic clock (a stopped process) or on the wall clock alone (a machine that slept: Linux's
    /// monotonic clock does not count that). A wall clock that is set forward looks the same, and is harmless.
    pub fn count(&self) -> u64 {
        let (now, wall_ms) = (self.clock.now(), self.clock.wall_ms());
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let passed = now.saturating_duration_since(seen.at);
        let wall_passed = Duration::from_millis(u64::try_from(wall_ms.saturating_sub(seen.wall_ms)).unwrap_or(0));
        if passed > GAP || wall_passed.saturating_sub(passed) > GAP {
            seen.count += 1;
        }
        seen.at = seen.at.max(now);
        seen.wall_ms = wall_ms;
        seen.count
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::Clock;

    #[derive(Debug)]
    struct SetClock {
        wall_ms: AtomicI64,
    }

    impl Clock for SetClock {
        fn now(&self) -> Instant {
            Instant::now()
        }
        fn wall_ms(&self) -> i64 {
            self.wall_ms.load(Ordering::Relaxed)
        }
    }

    async fn pass(clock: &SetClock, ms: u64) {
        tokio::time::advance(Duration::from_millis(ms)).await;
        clock.wall_ms.fetch_add(i64::try_from(ms).unwrap_or(0), Ordering::Relaxed);
    }

    // Holds: T2, T7
    #[tokio::test(start_paused = true)]
    async fn a_gap_is_counted_once_and_a_delay_is_none() {
        let clock = Arc::new(SetClock { wall_ms: AtomicI64::new(0) });
        let gaps = GapWatch::new(clock.clone());
        pass(&clock, 900).await;
        assert_eq!(gaps.count(), 0, "a delay");
        pass(&clock, 1_200).await;
        assert_eq!((gaps.count(), gaps.count()), (1, 1), "a stopped process");
        clock.wall_ms.fetch_add(5_000, Ordering::Relaxed);
        assert_eq!((gaps.count(), gaps.count()), (2, 2), "a machine that slept");
        clock.wall_ms.fetch_sub(5_000, Ordering::Relaxed);
        assert_eq!(gaps.count(), 2, "a clock set back is no gap");
    }
}
