//! The metadata log in memory: a Vec.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use sluice_store::{
    Appended, BodyRef, Consistency, Element, Incarnation, LogCapabilities, LogPosition, MetadataLog, Payload, Sealed,
    Staged, StoreError, StoreErrorKind, StoreResult, Tail, TailRead,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::limits::{APPEND_ELEMENTS_MAX, ENTRY_BYTES_MAX};

/// A metadata log in memory. The replicas of one process share it by its `Arc`.
pub struct MemoryLog {
    incarnation: Incarnation,
    inline_bytes_max: usize,
    contents: Mutex<Contents>,
}

#[derive(Default)]
struct Contents {
    /// The element at index i has position i + 1.
    elements: Vec<Element>,
    /// By (session, sequence).
    bodies: BTreeMap<(u64, u64), Bytes>,
}

impl MemoryLog {
    /// An empty log that keeps every entry inline.
    #[must_use]
    pub fn new(incarnation: Incarnation) -> Arc<Self> {
        Self::with_bodies_over(incarnation, ENTRY_BYTES_MAX)
    }

    /// An empty log in which entries of more than `inline_bytes_max` get a body, as they do in DynamoDB: for tests and
    /// simulations of what happens around bodies (L4).
    #[must_use]
    pub fn with_bodies_over(incarnation: Incarnation, inline_bytes_max: usize) -> Arc<Self> {
        let inline_bytes_max = inline_bytes_max.min(ENTRY_BYTES_MAX);
        Arc::new(Self { incarnation, inline_bytes_max, contents: Mutex::default() })
    }

    /// Position of the last element; zero when there is none.
    #[must_use]
    pub fn last(&self) -> LogPosition {
        LogPosition(self.lock().elements.len() as u64)
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        // No holder leaves the contents half changed: each makes one extend or one insert.
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Contents {
    /// Everything after `known`; `Corrupt` when the log never reached it (a rollback, L6).
    fn tail_after(&self, known: LogPosition) -> StoreResult<Tail> {
        let elements = usize::try_from(known.0).ok().and_then(|at| self.elements.get(at..));
        let elements = elements.ok_or_else(|| {
            let message = format!("read log after {known}: it ends at {}", self.elements.len());
            StoreError::new(StoreErrorKind::Corrupt, message)
        })?;
        Ok(Tail { first: known.next(), elements: elements.to_vec() })
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryLog").field("incarnation", &self.incarnation).finish_non_exhaustive()
    }
}

#[async_trait]
impl MetadataLog for MemoryLog {
    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        let Sealed { session, sequence, bytes } = entry.clone();
        if bytes.len() > ENTRY_BYTES_MAX {
            let message =
                format!("stage entry {session}/{sequence} of {} bytes (at most {ENTRY_BYTES_MAX})", bytes.len());
            return Err(StoreError::new(StoreErrorKind::TooLarge, message));
        }
        if bytes.len() <= self.inline_bytes_max {
            return Ok(Staged { element: Element { session, sequence, payload: Payload::Inline(bytes) } });
        }
        let (hash, len) = (xxh3_64(&bytes), bytes.len() as u64);
        self.lock().bodies.insert((session, sequence), bytes);
        let body = BodyRef { session, sequence, salt: 0, parts: 1, hash, len };
        Ok(Staged { element: Element { session, sequence, payload: Payload::Body(body) } })
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        if entries.is_empty() || entries.len() > APPEND_ELEMENTS_MAX {
            let message = format!("append {} elements (1 to {APPEND_ELEMENTS_MAX})", entries.len());
            return Err(StoreError::new(StoreErrorKind::Invalid, message));
        }
        let mut contents = self.lock();
        // Judged before the elements are added, so that an error still means that they were not.
        if known.0 > contents.elements.len() as u64 {
            contents.tail_after(known)?;
        }
        contents.elements.extend(entries.iter().map(|staged| staged.element.clone()));
        contents.tail_after(known).map(Appended::Tail)
    }

    async fn read(&self, known: LogPosition, _consistency: Consistency) -> StoreResult<TailRead> {
        self.lock().tail_after(known).map(TailRead::Tail)
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        let found = self.lock().bodies.get(&(body.session, body.sequence)).cloned();
        let describe = || format!("read body of entry {}/{}", body.session, body.sequence);
        let bytes = found.ok_or_else(|| StoreError::new(StoreErrorKind::NotFound, describe()))?;
        if body.salt != 0 || body.parts != 1 {
            return Err(StoreError::new(StoreErrorKind::NotFound, describe()));
        }
        if bytes.len() as u64 != body.len || xxh3_64(&bytes) != body.hash {
            return Err(StoreError::new(StoreErrorKind::Corrupt, describe()));
        }
        Ok(bytes)
    }

    fn capabilities(&self) -> LogCapabilities {
        LogCapabilities {
            name: "memory",
            append_rate: None,
            inline_bytes_max: self.inline_bytes_max,
            entry_bytes_max: ENTRY_BYTES_MAX,
            append_elements_max: APPEND_ELEMENTS_MAX,
        }
    }
}
