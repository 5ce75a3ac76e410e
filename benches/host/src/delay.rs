//! A metadata log that is as far away as a real one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_store::{
    Appended, BodyRef, Consistency, Incarnation, LogCapabilities, LogPosition, MetadataLog, Sealed, Staged,
    StoreResult, TailRead,
};
use tokio::time::sleep;

/// Above this, the entry of a log in DynamoDB is written apart from the list of entries, with a request of its own.
const BODY_OVER_BYTES: usize = 256;

/// A log with a round trip before every request.
#[derive(Debug)]
pub(crate) struct DelayedLog {
    inner: Arc<dyn MetadataLog>,
    round_trip: Duration,
}

impl DelayedLog {
    pub(crate) fn new(inner: Arc<dyn MetadataLog>, round_trip: Duration) -> Self {
        Self { inner, round_trip }
    }
}

#[async_trait]
impl MetadataLog for DelayedLog {
    fn incarnation(&self) -> Incarnation {
        self.inner.incarnation()
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        if entry.bytes.len() > BODY_OVER_BYTES {
            sleep(self.round_trip).await;
        }
        self.inner.stage(entry).await
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        sleep(self.round_trip).await;
        self.inner.append(entries, known).await
    }

    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
        sleep(self.round_trip).await;
        self.inner.read(known, consistency).await
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        sleep(self.round_trip).await;
        self.inner.read_body(body).await
    }

    fn capabilities(&self) -> LogCapabilities {
        self.inner.capabilities()
    }
}
