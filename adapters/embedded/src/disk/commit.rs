//! The commit thread: one fsync for all the appends that waited for it.
//!
//! Promises: an append is answered after its elements are durable, at contiguous positions in the order of the queue;
//! a group is in the log whole or not at all. After a failed commit nothing is appended until the directory is opened
//! again.
//! Never: reads the log for anyone; answers with a tail (the waiting task builds its own).
//! Called by `log`, through a bounded queue.

use std::sync::{Arc, Mutex, PoisonError};

use redb::Durability;
use sluice_store::{Element, LogPosition, StoreError, StoreErrorKind, StoreResult};
use tokio::sync::{mpsc, oneshot};

use super::element::{ELEMENTS, encode};
use super::gate::WriteGate;
use super::log::LockedDatabase;
use super::recent::Recent;
use crate::limits::DiskLimits;

/// An append on its way to the thread.
pub(super) struct Append {
    pub(super) elements: Vec<Element>,
    /// The last position its caller has applied.
    pub(super) known: LogPosition,
    /// Told the position after the last of the elements.
    pub(super) answer: oneshot::Sender<StoreResult<u64>>,
}

/// The thread's state.
pub(super) struct Committer {
    pub(super) database: Arc<LockedDatabase>,
    pub(super) recent: Arc<Mutex<Recent>>,
    pub(super) gate: Arc<WriteGate>,
    pub(super) queue: mpsc::Receiver<Append>,
    pub(super) limits: DiskLimits,
    /// The position the next element will have.
    pub(super) end: u64,
}

/// A group that failed.
struct Failure {
    /// Unknown when it may be in the log all the same.
    kind: StoreErrorKind,
    reason: String,
}

impl Committer {
    /// Commits until every sender of the queue is gone.
    pub(super) fn run(mut self) {
        while let Some(first) = self.queue.blocking_recv() {
            let group = self.collect_group(first);
            self.commit(group);
        }
    }

    /// The append and all that wait behind it, within the group's bounds (I-14).
    fn collect_group(&mut self, first: Append) -> Vec<Append> {
        let mut bytes = size_bytes(&first);
        let mut group = vec![first];
        while group.len() < self.limits.group_appends_max && bytes < self.limits.group_bytes_max {
            let Ok(next) = self.queue.try_recv() else { break };
            bytes = bytes.saturating_add(size_bytes(&next));
            group.push(next);
        }
        group
    }

    fn commit(&mut self, group: Vec<Append>) {
        let mut accepted = Vec::with_capacity(group.len());
        let mut end = self.end;
        for append in group {
            let count = append.elements.len() as u64;
            match (self.judge(&append, end), end.checked_add(count)) {
                (Ok(()), Some(after)) => {
                    end = after;
                    accepted.push((append, after));
                }
                (Ok(()), None) => answer(append, Err(refused("the log has no positions left"))),
                (Err(error), _) => answer(append, Err(error)),
            }
        }
        if accepted.is_empty() {
            return;
        }
        if let Err(Failure { kind, reason }) = self.write(&accepted) {
            self.gate.close(format!("the log could not be written ({reason})"));
            let error = || StoreError::new(kind, format!("append to the log: {reason}"));
            accepted.into_iter().for_each(|(append, _)| answer(append, Err(error())));
            return;
        }
        self.end = end;
        self.publish(accepted);
    }

    /// Whether an append may be made now, in a log that will end at `end` by then.
    fn judge(&self, append: &Append, end: u64) -> StoreResult<()> {
        self.gate.check(|| "append to the log".to_owned())?;
        if append.known.0 < end {
            return Ok(());
        }
        let message = format!("append with known {}: the log ends at {}", append.known, end.saturating_sub(1));
        Err(StoreError::new(StoreErrorKind::Corrupt, message))
    }

    /// Makes the elements durable, in one transaction and one fsync.
    fn write(&self, group: &[(Append, u64)]) -> Result<(), Failure> {
        let not_written = |error: redb::Error| Failure { kind: StoreErrorKind::Unavailable, reason: error.to_string() };
        let mut transaction = self.database.begin_write().map_err(|error| not_written(error.into()))?;
        transaction.set_durability(Durability::Immediate).map_err(|error| not_written(error.into()))?;
        {
            let mut table = transaction.open_table(ELEMENTS).map_err(|error| not_written(error.into()))?;
            let elements = group.iter().flat_map(|(append, _)| &append.elements);
            let mut value = Vec::new();
            for (position, element) in (self.end..).zip(elements) {
                encode(position, element, &mut value)
                    .map_err(|error| Failure { kind: StoreErrorKind::Unavailable, reason: error.to_string() })?;
                table.insert(position, value.as_slice()).map_err(|error| not_written(error.into()))?;
            }
        }
        // I-11: a commit that failed may have reached the disk.
        transaction.commit().map_err(|error| Failure { kind: StoreErrorKind::Unknown, reason: error.to_string() })
    }

    /// Shows the durable elements to every reader, then answers: what an append was told, a later read sees (T5).
    fn publish(&self, accepted: Vec<(Append, u64)>) {
        let mut answers = Vec::with_capacity(accepted.len());
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        for (append, after) in accepted {
            append.elements.into_iter().for_each(|element| recent.push(element));
            answers.push((append.answer, after));
        }
        drop(recent);
        for (waiting, after) in answers {
            // A caller that gave up waiting settles its append by reading (L3).
            let _ = waiting.send(Ok(after));
        }
    }
}

fn size_bytes(append: &Append) -> usize {
    append.elements.iter().map(super::recent::cost).fold(0, usize::saturating_add)
}

fn answer(append: Append, outcome: StoreResult<u64>) {
    let _ = append.answer.send(outcome);
}

fn refused(reason: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, format!("append to the log: {reason}"))
}
