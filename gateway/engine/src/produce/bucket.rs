//! The PUT bucket: how often segments may be written where each write costs money (design section 6.4).
//!
//! Promises: over any stretch of time at most `burst + rate × time + debt` tokens are taken.

use std::time::Duration;

use tokio::time::Instant;

/// Tokens that fill up at a rate. A lingering flush may go into debt, at most the burst; a waiting one may not.
#[derive(Debug)]
pub(crate) struct PutBucket {
    tokens: f64,
    rate: f64,
    burst: f64,
    filled: Instant,
}

impl PutBucket {
    /// A full bucket.
    pub(crate) fn full(rate: f64, burst: f64, now: Instant) -> Self {
        Self { tokens: burst, rate, burst, filled: now }
    }

    /// True when a flush may be written now; `may_owe` when its batches have waited long enough.
    pub(crate) fn allows(&mut self, may_owe: bool, now: Instant) -> bool {
        self.fill(now);
        self.tokens >= Self::needed(may_owe, self.burst)
    }

    /// Takes a token.
    pub(crate) fn take(&mut self, now: Instant) {
        self.fill(now);
        self.tokens -= 1.0;
    }

    /// When it will allow a flush, if nothing is taken until then.
    pub(crate) fn allows_at(&mut self, may_owe: bool, now: Instant) -> Instant {
        self.fill(now);
        let missing = (Self::needed(may_owe, self.burst) - self.tokens).max(0.0);
        // A microsecond more, so that rounding does not wake up just too early.
        now + Duration::from_secs_f64(missing / self.rate.max(1e-6)) + Duration::from_micros(1)
    }

    fn needed(may_owe: bool, burst: f64) -> f64 {
        if may_owe { 1.0 - burst } else { 1.0 }
    }

    fn fill(&mut self, now: Instant) {
        let since = now.saturating_duration_since(self.filled);
        self.tokens = (self.tokens + since.as_secs_f64() * self.rate).min(self.burst);
        self.filled = self.filled.max(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate_then_debt_for_those_who_lingered() {
        let start = Instant::now();
        let mut bucket = PutBucket::full(4.0, 8.0, start);
        for _ in 0..8 {
            assert!(bucket.allows(false, start));
            bucket.take(start);
        }
        assert!(!bucket.allows(false, start));
        let next = bucket.allows_at(false, start);
        assert!(next > start + Duration::from_millis(249) && next < start + Duration::from_millis(251));
        assert!(bucket.allows(false, next));
        // One token is there, and eight may be owed.
        for _ in 0..9 {
            assert!(bucket.allows(true, next));
            bucket.take(next);
        }
        assert!(!bucket.allows(true, next), "the debt is bounded");
        assert!(bucket.allows(true, next + Duration::from_millis(260)));
    }
}
