//! The commit thread: one fsync for all the appends that waited for it.
//!
//! Promises: an append is answered after its elements are durable, at contiguous positions in the order of the queue;
//! a group is in the log whole or not at all. After a failed commit nothing is appended until the directory is opened
//! again.
//! Never: reads the log for anyone; answers with a tail (the waiting task builds its own).
//! Called by `log`, through a bounded queue.

use std::sync::{Arc, Mutex, PoisonError};

use sluice_store::{Element, LogPosition, StoreError, StoreErrorKind, StoreResult};
use tokio::sync::{mpsc, oneshot};

use super::database::{LogDatabase, WriteFailure};
use super::element::{ELEMENTS, encode};
use super::gate::WriteGate;
use super::log::read_end;
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
    database: Arc<LogDatabase>,
    recent: Arc<Mutex<Recent>>,
    gate: Arc<WriteGate>,
    queue: mpsc::Receiver<Append>,
    limits: DiskLimits,
    /// The position the next element will have.
    end: u64,
    /// The elements of a group that met a full disk, and may be in the log from `end` on. Until that is known nothing is
    /// appended.
    unsettled: Vec<Element>,
}

impl Committer {
    /// A thread's state, for a log that will have its next element at `end`.
    pub(super) fn new(
        database: Arc<LogDatabase>,
        recent: Arc<Mutex<Recent>>,
        gate: Arc<WriteGate>,
        queue: mpsc::Receiver<Append>,
        limits: DiskLimits,
        end: u64,
    ) -> Self {
        Self { database, recent, gate, queue, limits, end, unsettled: Vec::new() }
    }

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
        // Of a closed gate each append hears by itself; nothing more is written then, not even to open the database again.
        let is_open = self.gate.check(String::new).is_ok();
        if is_open && let Err(failure) = self.settle() {
            group.into_iter().for_each(|append| answer(append, Err(append_error(&failure))));
            return;
        }
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
        match self.write(&accepted) {
            Ok(()) => {
                self.end = end;
                self.publish(accepted);
            }
            Err(failure) => self.fail(accepted, failure),
        }
    }

    /// Answers a group that was not committed, or may not have been.
    fn fail(&mut self, group: Vec<(Append, u64)>, mut failure: WriteFailure) {
        if !failure.is_full {
            self.gate.close(format!("the log could not be written ({})", failure.reason));
        } else if failure.may_have_happened {
            self.unsettled = group.iter().flat_map(|(append, _)| append.elements.iter().cloned()).collect();
            let before = self.end;
            match self.settle() {
                Ok(()) if self.end > before => {
                    group.into_iter().for_each(|(append, after)| drop(append.answer.send(Ok(after))));
                    return;
                }
                Ok(()) => failure.may_have_happened = false,
                // It stays unknown (I-11).
                Err(_) => {}
            }
        }
        group.into_iter().for_each(|(append, _)| answer(append, Err(append_error(&failure))));
    }

    /// Finds out what became of the last group, where that is not known, once the database can be written again.
    fn settle(&mut self) -> Result<(), WriteFailure> {
        if self.unsettled.is_empty() {
            return Ok(());
        }
        let settled = self.database.reopen().and_then(|()| {
            let failed = |error: redb::Error| WriteFailure::before_writing(&error);
            self.database.read(read_end).map_err(failed)
        });
        let end = settled.inspect_err(|failure| {
            if !failure.is_full {
                self.gate.close(format!("the log could not be opened again ({})", failure.reason));
            }
        })?;
        let unsettled = std::mem::take(&mut self.unsettled);
        if end > self.end {
            self.end = end;
            let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            unsettled.into_iter().for_each(|element| recent.push(element));
        }
        Ok(())
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
    fn write(&self, group: &[(Append, u64)]) -> Result<(), WriteFailure> {
        let mut values = Vec::new();
        for (position, element) in (self.end..).zip(group.iter().flat_map(|(append, _)| &append.elements)) {
            let mut value = Vec::new();
            encode(position, element, &mut value).map_err(|error| WriteFailure::before_writing(&error))?;
            values.push((position, value));
        }
        self.database.write(|transaction| {
            let mut table = transaction.open_table(ELEMENTS)?;
            for (position, value) in &values {
                table.insert(position, value.as_slice())?;
            }
            Ok(())
        })
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

fn append_error(failure: &WriteFailure) -> StoreError {
    let kind = if failure.may_have_happened { StoreErrorKind::Unknown } else { StoreErrorKind::Unavailable };
    StoreError::new(kind, format!("append to the log: {}", failure.reason))
}

fn refused(reason: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, format!("append to the log: {reason}"))
}
