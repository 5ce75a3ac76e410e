//! What happened in a run: the trace, the violations, the counts.
//!
//! Promises: a line per event, stamped with virtual time, in the order in which the events happened; the same seed gives
//! the same bytes (I-13). Never: reads a real clock, or lets an order of hashing reach a line.
//! Called by every part of the simulation.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// Counts by name.
pub type Stats = BTreeMap<&'static str, u64>;

/// One run's journal.
pub struct Journal {
    origin: Instant,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    trace: Vec<String>,
    violations: Vec<String>,
    stats: Stats,
}

/// Everything in a journal.
pub struct Read {
    pub trace: Vec<String>,
    pub violations: Vec<String>,
    pub stats: Stats,
}

impl Journal {
    /// An empty one; its time starts now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { origin: Instant::now(), pages: Mutex::default() })
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An event.
    pub fn note(&self, who: &str, what: impl Display) {
        let at = self.origin.elapsed().as_secs_f64();
        self.pages().trace.push(format!("{at:>9.4} {who:<6} {what}"));
    }

    /// Something that must not be.
    pub fn violation(&self, who: &str, what: impl Display) {
        self.note(who, format_args!("VIOLATION {what}"));
        self.pages().violations.push(format!("{who}: {what}"));
    }

    /// One more of these.
    pub fn count(&self, what: &'static str) {
        self.count_many(what, 1);
    }

    /// So many more of these.
    pub fn count_many(&self, what: &'static str, more: u64) {
        if more > 0 {
            *self.pages().stats.entry(what).or_default() += more;
        }
    }

    /// All of it so far.
    pub fn read(&self) -> Read {
        let pages = std::mem::take(&mut *self.pages());
        Read { trace: pages.trace, violations: pages.violations, stats: pages.stats }
    }
}
