//! Deadlines: no operation waits longer than it was given.
//!
//! Promises: a write that took too long is Unknown, since it may still happen (I-11); a read that took too long is
//! Unavailable, since it changed nothing.
//! Never: waits for what it gave up, or retries it.
//! Called by `engine` as an [`ObjectStore`] or a [`MetadataLog`]; composed by `sluice`, inside the retries, so that each
//! attempt has its own deadline.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::time::timeout;

use crate::limits::{LOG_READ_TIMEOUT, LOG_WRITE_TIMEOUT, OBJECT_READ_TIMEOUT, OBJECT_WRITE_TIMEOUT};
use crate::{
    Appended, BodyRef, ByteChunks, ByteRange, Consistency, Incarnation, LogCapabilities, LogPosition, MetadataLog,
    ObjectInfo, ObjectKey, ObjectStore, PutOptions, Sealed, Staged, StoreCapabilities, StoreClock, StoreError,
    StoreErrorKind, StoreResult, TailRead,
};

/// The deadlines of one store's operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For an operation that changes nothing.
    pub read: Duration,
    /// For one that writes or deletes.
    pub write: Duration,
}

impl Timeouts {
    /// The defaults for an object store.
    pub const OBJECTS: Self = Self { read: OBJECT_READ_TIMEOUT, write: OBJECT_WRITE_TIMEOUT };
    /// The defaults for a metadata log.
    pub const LOG: Self = Self { read: LOG_READ_TIMEOUT, write: LOG_WRITE_TIMEOUT };
}

/// What `limit` makes of a read that does not answer in time: it changed nothing.
async fn within_read<T>(
    limit: Duration,
    what: impl FnOnce() -> String,
    read: impl Future<Output = StoreResult<T>>,
) -> StoreResult<T> {
    timeout(limit, read).await.unwrap_or_else(|_| Err(late(StoreErrorKind::Unavailable, limit, what())))
}

/// What `limit` makes of a write that does not answer in time: it may have happened, or happen yet (I-11).
async fn within_write<T>(
    limit: Duration,
    what: impl FnOnce() -> String,
    write: impl Future<Output = StoreResult<T>>,
) -> StoreResult<T> {
    timeout(limit, write).await.unwrap_or_else(|_| Err(late(StoreErrorKind::Unknown, limit, what())))
}

fn late(kind: StoreErrorKind, limit: Duration, what: String) -> StoreError {
    StoreError::new(kind, format!("{what}: no answer within {} ms", limit.as_millis()))
}

/// An [`ObjectStore`] whose operations have deadlines.
#[derive(Debug)]
pub struct TimeoutObjectStore {
    inner: Arc<dyn ObjectStore>,
    timeouts: Timeouts,
}

impl TimeoutObjectStore {
    /// Gives the operations of `inner` these deadlines.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, timeouts: Timeouts) -> Self {
        Self { inner, timeouts }
    }
}

#[async_trait]
impl ObjectStore for TimeoutObjectStore {
    async fn put(&self, key: &ObjectKey, bytes: ByteChunks, options: PutOptions) -> StoreResult<()> {
        within_write(self.timeouts.write, || format!("put object `{key}`"), self.inner.put(key, bytes, options)).await
    }

    async fn get(&self, key: &ObjectKey, range: ByteRange) -> StoreResult<ByteChunks> {
        within_read(self.timeouts.read, || format!("get object `{key}`"), self.inner.get(key, range)).await
    }

    async fn head(&self, key: &ObjectKey) -> StoreResult<ObjectInfo> {
        within_read(self.timeouts.read, || format!("head object `{key}`"), self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectKey>, limit: usize) -> StoreResult<Vec<ObjectInfo>> {
        within_read(
            self.timeouts.read,
            || format!("list objects `{prefix}`"),
            self.inner.list(prefix, start_after, limit),
        )
        .await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<StoreResult<()>> {
        let limit = self.timeouts.write;
        let results = timeout(limit, self.inner.delete(keys)).await;
        let late = |key: &ObjectKey| Err(late(StoreErrorKind::Unknown, limit, format!("delete object `{key}`")));
        results.unwrap_or_else(|_| keys.iter().map(late).collect())
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    fn clock(&self) -> StoreClock {
        self.inner.clock()
    }
}

/// A [`MetadataLog`] whose operations have deadlines.
#[derive(Debug)]
pub struct TimeoutLog {
    inner: Arc<dyn MetadataLog>,
    timeouts: Timeouts,
}

impl TimeoutLog {
    /// Gives the operations of `inner` these deadlines.
    #[must_use]
    pub fn new(inner: Arc<dyn MetadataLog>, timeouts: Timeouts) -> Self {
        Self { inner, timeouts }
    }
}

#[async_trait]
impl MetadataLog for TimeoutLog {
    fn incarnation(&self) -> Incarnation {
        self.inner.incarnation()
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        within_write(
            self.timeouts.write,
            || format!("stage entry {}/{}", entry.session, entry.sequence),
            self.inner.stage(entry),
        )
        .await
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        within_write(
            self.timeouts.write,
            || format!("append {} elements", entries.len()),
            self.inner.append(entries, known),
        )
        .await
    }

    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
        within_read(self.timeouts.read, || format!("read log after {known}"), self.inner.read(known, consistency)).await
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        within_read(
            self.timeouts.read,
            || format!("read body of entry {}/{}", body.session, body.sequence),
            self.inner.read_body(body),
        )
        .await
    }

    fn capabilities(&self) -> LogCapabilities {
        self.inner.capabilities()
    }
}

#[cfg(test)]
#[path = "timeout_tests.rs"]
mod tests;
