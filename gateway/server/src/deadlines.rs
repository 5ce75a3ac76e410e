//! What a peer owes a connection, and by when.
//!
//! Promises: a connection whose peer asks nothing, takes nothing of a waiting answer, takes it too slowly, or sends a
//! request too slowly, ends at a named time; what the gateway itself takes long for is not held against the peer. A timer
//! is set again only when it has run out or something is due before it. Called by `connection`.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::coop::has_budget_remaining;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::limits::Limits;
use crate::refusal::Close;

/// How often a connection with waiting answers looks whether memory for answers has become scarce.
const SCARCITY_LOOK: Duration = Duration::from_secs(1);

/// What is so long on its way may take so much longer than its base time.
fn time_for(bytes: usize, limits: &Limits) -> Duration {
    let seconds = bytes / limits.bytes_per_second_min.max(1);
    Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX))
}

/// What the connection is doing, for the judgement of its peer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circumstances {
    /// A request is being worked on.
    pub(crate) is_working: bool,
    /// Answers wait for slow readers in more memory than there is for them.
    pub(crate) is_scarce: bool,
}

/// Answers that wait: those before `left` ran to 0 began to wait at `since`.
#[derive(Debug, Clone, Copy)]
struct Backlog {
    since: Instant,
    bytes: usize,
    left: usize,
}

/// A frame of which some bytes have come.
#[derive(Debug, Clone, Copy)]
struct HalfRead {
    since: Instant,
    /// Its length; 0 before it is known.
    bytes: usize,
}

impl HalfRead {
    fn due(self, limits: &Limits) -> Instant {
        self.since + limits.frame_timeout + time_for(self.bytes, limits)
    }
}

/// The deadlines of one connection, which one task polls.
#[derive(Debug)]
pub(crate) struct Deadlines {
    timer: Pin<Box<Sleep>>,
    /// When it runs out.
    timer_at: Instant,
    /// Whether it wakes the task then.
    is_armed: bool,
    /// Whether bytes have moved since the last look.
    has_moved: bool,
    /// When bytes last moved, either way.
    last_active: Instant,
    /// Since when the peer has been taking nothing of a waiting answer.
    stalled_since: Option<Instant>,
    backlog: Option<Backlog>,
    half_read: Option<HalfRead>,
}

impl Deadlines {
    pub(crate) fn new(now: Instant, limits: &Limits) -> Self {
        Self {
            timer: Box::pin(sleep_until(now + limits.idle_timeout)),
            timer_at: now + limits.idle_timeout,
            is_armed: false,
            has_moved: false,
            last_active: now,
            stalled_since: None,
            backlog: None,
            half_read: None,
        }
    }

    /// Bytes have come.
    pub(crate) fn note_read(&mut self, now: Instant) {
        self.last_active = now;
        self.has_moved = true;
    }

    /// The peer has sent part of a frame of so many bytes (0 if not even that is known), and is waited for.
    pub(crate) fn note_half_read(&mut self, bytes: usize, limits: &Limits) {
        let since = self.half_read.map_or(self.last_active, |half| half.since);
        let half_read = HalfRead { since, bytes };
        self.half_read = Some(half_read);
        self.bring_forward(half_read.due(limits));
    }

    /// The peer is not waited for within a frame.
    pub(crate) fn note_not_half_read(&mut self) {
        self.half_read = None;
    }

    /// Bytes have been taken; `left` wait.
    pub(crate) fn note_written(&mut self, now: Instant, bytes: usize, left: usize) {
        self.last_active = now;
        self.has_moved = true;
        self.stalled_since = None;
        let still_waits = |backlog: Backlog| {
            let before = backlog.left.saturating_sub(bytes);
            (before > 0).then_some(Backlog { left: before, ..backlog })
        };
        self.backlog = match self.backlog {
            _ if left == 0 => None,
            None => None,
            Some(backlog) => Some(still_waits(backlog).unwrap_or(Backlog { since: now, bytes: left, left })),
        };
    }

    /// The peer takes nothing now of so many bytes.
    pub(crate) fn note_stalled(&mut self, now: impl FnOnce() -> Instant, left: usize, limits: &Limits) {
        if self.stalled_since.is_some() {
            return;
        }
        let now = now();
        self.stalled_since = Some(now);
        self.backlog.get_or_insert(Backlog { since: now, bytes: left, left });
        self.bring_forward(now + limits.write_timeout.min(SCARCITY_LOOK));
    }

    /// Nothing waits any more for a peer that is not there.
    pub(crate) fn forget_answers(&mut self) {
        self.stalled_since = None;
        self.backlog = None;
    }

    fn bring_forward(&mut self, at: Instant) {
        if at < self.timer_at {
            self.set(at);
        }
    }

    fn set(&mut self, at: Instant) {
        self.timer.as_mut().reset(at);
        self.timer_at = at;
        self.is_armed = false;
    }

    /// Ready, with the reason, when the peer has let one of them pass.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        now: impl Fn() -> Instant,
        circumstances: impl Fn() -> Circumstances,
        limits: &Limits,
    ) -> Poll<Close> {
        // The ordinary case: something was read or written before the time, and the timer need not even be looked at.
        if std::mem::take(&mut self.has_moved) && self.is_armed && self.last_active < self.timer_at {
            return Poll::Pending;
        }
        loop {
            if self.timer.as_mut().poll(cx).is_pending() {
                // A task that has used up its share is told so before the timer hears of it.
                self.is_armed = has_budget_remaining();
                return Poll::Pending;
            }
            let now = now();
            let (due, close) = self.next(now, circumstances(), limits);
            if due <= now {
                return Poll::Ready(close);
            }
            let look = if self.backlog.is_some() { now + SCARCITY_LOOK } else { due };
            self.set(due.min(look));
        }
    }

    /// The first of them.
    fn next(&self, now: Instant, circumstances: Circumstances, limits: &Limits) -> (Instant, Close) {
        let write_timeout = match circumstances.is_scarce {
            true => limits.write_timeout.min(limits.write_timeout_scarce),
            false => limits.write_timeout,
        };
        let stalled = self.stalled_since.map(|since| (since + write_timeout, Close::SlowReader));
        let backlog = self
            .backlog
            .map(|answers| (answers.since + write_timeout + time_for(answers.bytes, limits), Close::SlowReader));
        let half_read = self.half_read.map(|frame| (frame.due(limits), Close::SlowSender));
        let idle = if circumstances.is_working || self.backlog.is_some() { now } else { self.last_active };
        let idle = (idle + limits.idle_timeout, Close::Idle);
        [stalled, backlog, half_read].into_iter().flatten().fold(idle, |first, next| match next.0 < first.0 {
            true => next,
            false => first,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::time::Duration;

    use tokio::task::coop::consume_budget;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_did_much_at_first_is_still_closed_when_it_rests() {
        let idle_timeout = Duration::from_secs(5);
        let limits = Limits { idle_timeout, ..Limits::default() };
        let start = Instant::now();
        let mut deadlines = Deadlines::new(start, &limits);
        let mut looks = 0;
        let resting = tokio::spawn(poll_fn(move |cx| {
            looks += 1;
            // Twice something was read; the first time, the share of the task is used up as well.
            if looks <= 2 {
                deadlines.note_read(Instant::now());
            }
            while looks == 1 && pin!(consume_budget()).poll(cx).is_ready() {}
            deadlines.poll(cx, Instant::now, || Circumstances { is_working: false, is_scarce: false }, &limits)
        }));
        let close = tokio::time::timeout(Duration::from_secs(60), resting).await.expect("it is woken").unwrap();
        assert!(matches!(close, Close::Idle), "{close:?}");
        assert_eq!(start.elapsed(), idle_timeout);
    }
}
