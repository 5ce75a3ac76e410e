//! The metadata log on a disk: a redb table of elements behind a commit thread.
//!
//! Promises: an append that was answered survives kill −9 and a loss of power (I-01); any `known` is answered with a
//! contiguous tail, from memory where it can be, else from the table.
//! Never: makes bodies: entries of every size are inline.
//! Called by `engine` through `MetadataLog`; the replicas of one process share it by its `Arc`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use async_trait::async_trait;
use bytes::Bytes;
use redb::{Database, ReadableDatabase, ReadableTable};
use sluice_store::{
    Appended, BodyRef, Consistency, Element, Incarnation, LogCapabilities, LogPosition, MetadataLog, Payload, Sealed,
    Staged, StoreError, StoreErrorKind, StoreResult, Tail, TailRead,
};
use tokio::sync::{mpsc, oneshot};

use super::blocking::BlockingIo;
use super::commit::{Append, Committer};
use super::database::LogDatabase;
use super::element::{ELEMENTS, INCARNATION, PROPERTIES, decode};
use super::gate::WriteGate;
use super::recent::Recent;
use crate::limits::{APPEND_ELEMENTS_MAX, DiskLimits, ENTRY_BYTES_MAX};

/// A metadata log in the data directory's `log.redb`.
pub struct DiskLog {
    incarnation: Incarnation,
    database: Arc<LogDatabase>,
    recent: Arc<Mutex<Recent>>,
    io: BlockingIo,
    /// None only while it is dropped.
    queue: Option<mpsc::Sender<Append>>,
    committer: Option<thread::JoinHandle<()>>,
}

impl DiskLog {
    /// Starts the log over an opened database.
    pub(super) fn start(
        database: Arc<LogDatabase>,
        incarnation: Incarnation,
        gate: Arc<WriteGate>,
        limits: DiskLimits,
    ) -> StoreResult<Self> {
        let end = database.read(read_end).map_err(|error| read_error("open the log", error))?;
        let recent = Arc::new(Mutex::new(Recent::new(end, limits.recent_bytes_max)));
        let (sender, queue) = mpsc::channel(limits.queued_appends_max.max(1));
        let (for_thread, shown) = (Arc::clone(&database), Arc::clone(&recent));
        let committer = Committer::new(for_thread, shown, gate, queue, limits, end);
        let spawned = thread::Builder::new().name("sluice-log-commit".to_owned()).spawn(move || committer.run());
        let failed = |error| StoreError::new(StoreErrorKind::Unavailable, "start the commit thread").with_source(error);
        let committer = Some(spawned.map_err(failed)?);
        let io = BlockingIo::new(limits.io_threads_max);
        Ok(Self { incarnation, database, recent, io, queue: Some(sender), committer })
    }

    /// How many appends wait for the commit thread.
    #[cfg(test)]
    pub(super) fn queued(&self) -> usize {
        self.queue.as_ref().map_or(0, |queue| queue.max_capacity() - queue.capacity())
    }

    /// Everything from `known + 1` to before `end`; to the log's end without one.
    async fn tail(&self, known: LogPosition, end: Option<u64>) -> StoreResult<Tail> {
        let from = known.next();
        let (first_recent, recent) = {
            let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
            let end = end.unwrap_or(recent.end());
            if from.0 > end {
                let message = format!("read log after {known}: it ends at {}", end.saturating_sub(1));
                return Err(StoreError::new(StoreErrorKind::Corrupt, message));
            }
            recent.range(from.0, end)
        };
        if first_recent <= from.0 {
            return Ok(Tail { first: from, elements: recent });
        }
        let database = Arc::clone(&self.database);
        let read = move || read_range(&database, from.0, first_recent);
        let mut elements = self.io.run(StoreErrorKind::Unavailable, read).await??;
        elements.extend(recent);
        Ok(Tail { first: from, elements })
    }
}

impl Drop for DiskLog {
    fn drop(&mut self) {
        // Without senders the thread commits what is queued and ends; then nothing uses the directory any more.
        self.queue = None;
        if let Some(committer) = self.committer.take() {
            let _ = committer.join();
        }
    }
}

impl fmt::Debug for DiskLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskLog").field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}

#[async_trait]
impl MetadataLog for DiskLog {
    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        let Sealed { session, sequence, bytes } = entry.clone();
        if bytes.len() > ENTRY_BYTES_MAX {
            let len = bytes.len();
            let message = format!("stage entry {session}/{sequence} of {len} bytes (at most {ENTRY_BYTES_MAX})");
            return Err(StoreError::new(StoreErrorKind::TooLarge, message));
        }
        Ok(Staged { element: Element { session, sequence, payload: Payload::Inline(bytes) } })
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        check_elements(entries)?;
        let elements = entries.iter().map(|staged| staged.element.clone()).collect();
        let (answer, answered) = oneshot::channel();
        let stopped = |kind| StoreError::new(kind, "append to the log: its thread has ended; restart sluice");
        let queue = self.queue.as_ref().ok_or_else(|| stopped(StoreErrorKind::Unavailable))?;
        let sent = queue.send(Append { elements, known, answer }).await;
        sent.map_err(|_| stopped(StoreErrorKind::Unavailable))?;
        let end = answered.await.map_err(|_| stopped(StoreErrorKind::Unknown))??;
        match self.tail(known, Some(end)).await {
            Ok(tail) => Ok(Appended::Tail(tail)),
            // The elements are in the log; a read tells the caller what stands in the way of its tail.
            Err(error) => {
                tracing::warn!(%error, "an append was committed, but its tail could not be read");
                Ok(Appended::CommittedTailUnread)
            }
        }
    }

    async fn read(&self, known: LogPosition, _consistency: Consistency) -> StoreResult<TailRead> {
        self.tail(known, None).await.map(TailRead::Tail)
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        let message = format!("read body of entry {}/{}: this log has no bodies", body.session, body.sequence);
        Err(StoreError::new(StoreErrorKind::NotFound, message))
    }

    fn capabilities(&self) -> LogCapabilities {
        LogCapabilities {
            name: "disk",
            append_rate: None,
            inline_bytes_max: ENTRY_BYTES_MAX,
            entry_bytes_max: ENTRY_BYTES_MAX,
            append_elements_max: APPEND_ELEMENTS_MAX,
        }
    }
}

/// Refuses what the commit thread could not write, before it meets the appends of others.
fn check_elements(entries: &[Staged]) -> StoreResult<()> {
    let invalid = |message| Err(StoreError::new(StoreErrorKind::Invalid, message));
    if entries.is_empty() || entries.len() > APPEND_ELEMENTS_MAX {
        return invalid(format!("append {} elements (1 to {APPEND_ELEMENTS_MAX})", entries.len()));
    }
    let has_body = |staged: &&Staged| matches!(staged.element.payload, Payload::Body(_));
    match entries.iter().find(has_body) {
        Some(Staged { element: Element { session, sequence, .. } }) => {
            invalid(format!("append entry {session}/{sequence}: this log has no bodies"))
        }
        None => Ok(()),
    }
}

/// The position the next element will have.
pub(super) fn read_end(database: &Database) -> Result<u64, redb::Error> {
    let table = database.begin_read()?.open_table(ELEMENTS)?;
    Ok(table.last()?.map_or(1, |(position, _)| position.value().saturating_add(1)))
}

/// The elements at `from..to`, all of which the log has.
fn read_range(database: &LogDatabase, from: u64, to: u64) -> StoreResult<Vec<Element>> {
    let read = database.read(|database| {
        let table = database.begin_read()?.open_table(ELEMENTS)?;
        let mut elements = Vec::new();
        let mut expected = from;
        for row in table.range(from..to)? {
            let (position, value) = row?;
            // L6: a gap, or an element that is not what was written, is no log to go on with.
            let element = decode(position.value(), value.value()).filter(|_| position.value() == expected);
            let Some(element) = element else { break };
            elements.push(element);
            expected = expected.saturating_add(1);
        }
        Ok((elements, expected))
    });
    let (elements, expected) = read.map_err(|error| read_error("read the log", error))?;
    if expected == to { Ok(elements) } else { Err(damaged(expected)) }
}

fn damaged(position: u64) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, format!("read the log: the element at {position} is missing or damaged"))
}

/// The error of a read from the database.
pub(super) fn read_error(operation: &str, error: redb::Error) -> StoreError {
    let kind = match error {
        redb::Error::Corrupted(_) => StoreErrorKind::Corrupt,
        redb::Error::UpgradeRequired(_) => StoreErrorKind::Invalid,
        redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. } => StoreErrorKind::Corrupt,
        _ => StoreErrorKind::Unavailable,
    };
    StoreError::new(kind, operation).with_source(error)
}

/// The incarnation that a database belongs to; none when it was not made whole.
pub(super) fn read_incarnation(database: &Database) -> Result<Option<Incarnation>, redb::Error> {
    let transaction = database.begin_read()?;
    match transaction.open_table(PROPERTIES) {
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
        Ok(table) => Ok(table.get(INCARNATION)?.map(|value| Incarnation(value.value()))),
    }
}

/// Makes the tables of a new log.
pub(super) fn initialise(database: &Database, incarnation: Incarnation) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(ELEMENTS)?;
    transaction.open_table(PROPERTIES)?.insert(INCARNATION, incarnation.0)?;
    Ok(transaction.commit()?)
}

/// True when the log has no element.
pub(super) fn is_empty(database: &Database) -> Result<bool, redb::Error> {
    match database.begin_read()?.open_table(ELEMENTS) {
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(true),
        Err(error) => Err(error.into()),
        Ok(table) => Ok(table.last()?.is_none()),
    }
}
