//! Requests of one connection that have passed their first stage, in the order of their frames.
//!
//! Promises: outcomes come out in the order in which requests went in, whichever is ready first (I-07). Never: polls any
//! but the oldest; the engine works on the others all the same. Called by `connection`.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use crate::request::Outcome;

/// Entries that an empty queue keeps room for.
const ENTRIES_KEPT: usize = 8;

/// What is measured of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    /// Index of the API in the metrics.
    pub(crate) api: usize,
    /// When its first stage began.
    pub(crate) started: Instant,
}

/// A panic of a handler, caught.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Polls a handler; a panic of it stays within its connection.
pub(crate) fn poll_caught<T>(
    future: Pin<&mut (dyn Future<Output = T> + Send)>,
    cx: &mut Context<'_>,
) -> Result<Poll<T>, Panicked> {
    // Unwind safe: after a panic the future is dropped, and shared state behind it is guarded by its owners.
    catch_unwind(AssertUnwindSafe(|| future.poll(cx))).map_err(|_| Panicked)
}

enum Entry {
    Settled(Outcome),
    Waiting(BoxFuture<'static, Outcome>),
}

/// The queue.
#[derive(Default)]
pub(crate) struct Inflight {
    entries: VecDeque<(Measured, Entry)>,
}

impl Inflight {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A request that waits for its outcome.
    pub(crate) fn push_waiting(&mut self, measured: Measured, outcome: BoxFuture<'static, Outcome>) {
        self.entries.push_back((measured, Entry::Waiting(outcome)));
    }

    /// A request whose outcome is known, but must not overtake those before it.
    pub(crate) fn push_settled(&mut self, measured: Measured, outcome: Outcome) {
        self.entries.push_back((measured, Entry::Settled(outcome)));
    }

    /// The outcome of the oldest request, once it is there; pending also when there is none.
    pub(crate) fn poll_oldest(&mut self, cx: &mut Context<'_>) -> Result<Poll<(Measured, Outcome)>, Panicked> {
        let Some((_, oldest)) = self.entries.front_mut() else {
            return Ok(Poll::Pending);
        };
        if let Entry::Waiting(outcome) = oldest {
            match poll_caught(outcome.as_mut(), cx)? {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(outcome) => *oldest = Entry::Settled(outcome),
            }
        }
        match self.entries.pop_front() {
            Some((measured, Entry::Settled(outcome))) => {
                if self.entries.is_empty() {
                    self.entries.shrink_to(ENTRIES_KEPT);
                }
                Ok(Poll::Ready((measured, outcome)))
            }
            // The front was settled above.
            _ => Ok(Poll::Pending),
        }
    }

    /// Gives up on all of them.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
