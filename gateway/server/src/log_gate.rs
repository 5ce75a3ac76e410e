//! A bound on what misbehaving peers can write into the log (I-14).
//!
//! Promises: at most so many lines per window, over all connections, and the next line says how many were left out.
//! Called by `connection` and `listener`.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Lets lines through at a bounded rate.
#[derive(Debug)]
pub(crate) struct LogGate {
    lines_max: u32,
    window: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    window_start: Option<Instant>,
    lines: u32,
    left_out: u64,
}

impl LogGate {
    pub(crate) fn new(lines_max: u32, window: Duration) -> Self {
        Self { lines_max, window, state: Mutex::default() }
    }

    /// `Some` lets the line through and tells how many were left out since the last one.
    pub(crate) fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over = |start: Instant| now.saturating_duration_since(start) >= self.window;
        if state.window_start.is_none_or(is_over) {
            state.window_start = Some(now);
            state.lines = 0;
        }
        if state.lines >= self.lines_max {
            state.left_out = state.left_out.saturating_add(1);
            return None;
        }
        state.lines = state.lines.saturating_add(1);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_over_the_bound_are_counted_and_told_with_the_next_one() {
        let gate = LogGate::new(2, Duration::from_secs(10));
        let start = Instant::now();
        let admitted: Vec<_> = (0..5).map(|_| gate.admit(start)).collect();
        assert_eq!(admitted, [Some(0), Some(0), None, None, None]);
        assert_eq!(gate.admit(start + Duration::from_secs(9)), None);
        assert_eq!(gate.admit(start + Duration::from_secs(10)), Some(4));
        assert_eq!(gate.admit(start + Duration::from_secs(11)), Some(0));
    }
}
