//! Time: one monotonic reading for every timeout, one wall reading for stamps that nothing waits on (T2, T3).

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// Monotonic and wall time.
///
/// Waiting is done with `tokio::time`, whose clock a simulation pauses and steps; readings come from here, so that a
/// simulation decides the wall clock as well.
pub trait Clock: Send + Sync + std::fmt::Debug + 'static {
    /// Monotonic time; never goes back. The only clock a timeout may be judged by (T2).
    fn now(&self) -> Instant;

    /// Milliseconds since the Unix epoch. For stamps only; may jump either way.
    fn wall_ms(&self) -> i64;
}

/// A clock shared by everything in one gateway.
pub type SharedClock = Arc<dyn Clock>;

/// The machine's clocks.
#[derive(Debug, Default, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that reads the wall clock (I-13)")]
    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A clock that follows tokio's (possibly paused) clock, with a wall clock that starts at a given time: for simulations.
#[derive(Debug, Clone, Copy)]
pub struct TokioClock {
    origin: Instant,
    wall_origin_ms: i64,
}

impl TokioClock {
    /// A clock whose wall time is `wall_origin_ms` now and advances with tokio's clock.
    #[must_use]
    pub fn starting_at(wall_origin_ms: i64) -> Self {
        Self { origin: Instant::now(), wall_origin_ms }
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Instant {
        Instant::now()
    }

    fn wall_ms(&self) -> i64 {
        let since = Instant::now().saturating_duration_since(self.origin);
        self.wall_origin_ms.saturating_add(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
