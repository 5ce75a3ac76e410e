//! Stores that tell the journal what they are asked and what they answer.
//!
//! Promises: changes nothing. One stands inside the faults ("effect": what really happened), one outside ("answer": what
//! the gateway was told). Called by `fleet`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_store::{
    Appended, BodyRef, ByteChunks, ByteRange, Consistency, Element, Incarnation, LogCapabilities, LogPosition,
    MetadataLog, ObjectInfo, ObjectKey, ObjectStore, PutOptions, Sealed, Staged, StoreCapabilities, StoreClock,
    StoreResult, TailRead,
};

use crate::journal::Journal;

/// Whose requests, and which side of the faults.
#[derive(Clone)]
pub struct Pen {
    pub journal: Arc<Journal>,
    pub gateway: String,
    pub side: &'static str,
}

impl Pen {
    fn write(&self, what: impl fmt::Display) {
        self.journal.note(&self.gateway, format_args!("{} {what}", self.side));
    }

    fn write_outcome<T>(&self, what: impl fmt::Display, answer: &StoreResult<T>, told: impl FnOnce(&T) -> String) {
        match answer {
            Ok(answer) => self.write(format_args!("{what}: {}", told(answer))),
            Err(error) => self.write(format_args!("{what}: {}", error.kind())),
        }
    }
}

impl fmt::Debug for Pen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pen({} {})", self.gateway, self.side)
    }
}

/// A [`MetadataLog`] that is watched.
#[derive(Debug)]
pub struct NotedLog {
    pub inner: Arc<dyn MetadataLog>,
    pub pen: Pen,
}

fn identities<'a>(elements: impl Iterator<Item = &'a Element>) -> String {
    let each: Vec<_> = elements.map(|e| format!("{}/{}", e.session, e.sequence)).collect();
    format!("[{}]", each.join(" "))
}

#[async_trait]
impl MetadataLog for NotedLog {
    fn incarnation(&self) -> Incarnation {
        self.inner.incarnation()
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        let answer = self.inner.stage(entry).await;
        let what = format_args!("stage {}/{} of {} B", entry.session, entry.sequence, entry.bytes.len());
        self.pen.write_outcome(what, &answer, |_| "done".to_owned());
        answer
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        let what = format!("append {} knowing {known}", identities(entries.iter().map(|s| &s.element)));
        let answer = self.inner.append(entries, known).await;
        self.pen.write_outcome(what, &answer, |appended| match appended {
            Appended::Tail(tail) => format!("the log ends before {}", tail.end()),
            Appended::CommittedTailUnread => "committed, tail unread".to_owned(),
        });
        answer
    }

    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
        let answer = self.inner.read(known, consistency).await;
        match &answer {
            // The poll that finds nothing says nothing.
            Ok(TailRead::Tail(tail)) if tail.elements.is_empty() => {}
            _ => self.pen.write_outcome(format_args!("read after {known}"), &answer, |read| match read {
                TailRead::Tail(tail) => identities(tail.elements.iter()),
                TailRead::Trimmed => "trimmed".to_owned(),
            }),
        }
        answer
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        let answer = self.inner.read_body(body).await;
        let what = format_args!("read body {}/{}", body.session, body.sequence);
        self.pen.write_outcome(what, &answer, |bytes| format!("{} B", bytes.len()));
        answer
    }

    fn capabilities(&self) -> LogCapabilities {
        self.inner.capabilities()
    }
}

/// An [`ObjectStore`] that is watched.
#[derive(Debug)]
#[allow(dead_code, reason = "groups are simulated without segments")]
pub struct NotedObjects {
    pub inner: Arc<dyn ObjectStore>,
    pub pen: Pen,
    /// What its capabilities say of the cost of puts.
    pub puts_are_metered: bool,
}

#[async_trait]
impl ObjectStore for NotedObjects {
    async fn put(&self, key: &ObjectKey, bytes: ByteChunks, options: PutOptions) -> StoreResult<()> {
        let what = format!("put {key} of {} B", bytes.len());
        let answer = self.inner.put(key, bytes, options).await;
        self.pen.write_outcome(what, &answer, |()| "done".to_owned());
        answer
    }

    async fn get(&self, key: &ObjectKey, range: ByteRange) -> StoreResult<ByteChunks> {
        let answer = self.inner.get(key, range).await;
        self.pen.write_outcome(format_args!("get {key}"), &answer, |bytes| format!("{} B", bytes.len()));
        answer
    }

    async fn head(&self, key: &ObjectKey) -> StoreResult<ObjectInfo> {
        let answer = self.inner.head(key).await;
        self.pen.write_outcome(format_args!("head {key}"), &answer, |_| "done".to_owned());
        answer
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectKey>, limit: usize) -> StoreResult<Vec<ObjectInfo>> {
        self.inner.list(prefix, start_after, limit).await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<StoreResult<()>> {
        self.inner.delete(keys).await
    }

    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities { puts_are_metered: self.puts_are_metered, ..self.inner.capabilities() }
    }

    fn clock(&self) -> StoreClock {
        self.inner.clock()
    }
}
