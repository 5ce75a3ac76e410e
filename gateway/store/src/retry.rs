//! Retries: bounded, with full jitter, each class of error on a budget of its own.
//!
//! Promises: attempts are joined, so that one Unknown makes a write Unknown whatever came after (I-11); a create-only put
//! that meets its own earlier attempt has happened; waits come from the given entropy and tokio's clock (I-13).
//! Never: sends an append twice (L1: the engine sends it again, under the same identity and in its order), retries what
//! may not succeed, or waits longer than the policy says.
//! Called by `engine` as an [`ObjectStore`] or a [`MetadataLog`]; composed by `sluice`, around [`crate::TimeoutObjectStore`]
//! and [`crate::TimeoutLog`].

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_runtime::SharedEntropy;

use crate::limits::{
    RETRIES_MAX, RETRY_WAIT_BASE, RETRY_WAIT_MAX, THROTTLE_RETRIES_MAX, THROTTLE_WAIT_BASE, THROTTLE_WAIT_MAX,
};
use crate::{
    Appended, BodyRef, ByteChunks, ByteRange, Consistency, Incarnation, LogCapabilities, LogPosition, MetadataLog,
    ObjectInfo, ObjectKey, ObjectStore, PutOptions, Sealed, Staged, StoreCapabilities, StoreClock, StoreError,
    StoreErrorKind, StoreResult, TailRead,
};

/// How often a class of errors is retried, and how long is waited before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryBudget {
    /// Attempts after the first one.
    pub retries_max: u32,
    /// Longest wait before the first retry; doubles with each one.
    pub wait_base: Duration,
    /// Longest wait before any retry.
    pub wait_max: Duration,
}

/// Which errors are retried how often. The budgets are separate: a throttled operation keeps its other retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// For Unavailable and Unknown.
    pub failed: RetryBudget,
    /// For Throttled.
    pub throttled: RetryBudget,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            failed: RetryBudget { retries_max: RETRIES_MAX, wait_base: RETRY_WAIT_BASE, wait_max: RETRY_WAIT_MAX },
            throttled: RetryBudget {
                retries_max: THROTTLE_RETRIES_MAX,
                wait_base: THROTTLE_WAIT_BASE,
                wait_max: THROTTLE_WAIT_MAX,
            },
        }
    }
}

/// Retries within one operation.
struct Retries<'a> {
    policy: RetryPolicy,
    entropy: &'a SharedEntropy,
    failed: u32,
    throttled: u32,
    /// The attempts so far, joined.
    joined: Option<StoreErrorKind>,
}

impl<'a> Retries<'a> {
    fn new(policy: RetryPolicy, entropy: &'a SharedEntropy) -> Self {
        Self { policy, entropy, failed: 0, throttled: 0, joined: None }
    }

    /// Takes note of a failed attempt and waits for the next one; false when there is none.
    async fn admit_another(&mut self, kind: StoreErrorKind) -> bool {
        self.joined = Some(kind.joined(self.joined));
        let (budget, used) = match kind {
            StoreErrorKind::Throttled => (self.policy.throttled, &mut self.throttled),
            kind if kind.is_retriable() => (self.policy.failed, &mut self.failed),
            _ => return false,
        };
        if *used >= budget.retries_max {
            return false;
        }
        let doubled = budget.wait_base.saturating_mul(2u32.saturating_pow(*used));
        *used += 1;
        tokio::time::sleep(self.entropy.jitter(doubled.min(budget.wait_max))).await;
        true
    }

    /// The operation's error: its last one, as the joined kind.
    fn give_up(&self, last: StoreError) -> StoreError {
        let kind = last.kind().joined(self.joined);
        last.with_kind(kind)
    }
}

/// Retries a write: the outcome is that of all attempts (I-11).
async fn retry_write<T, F: Future<Output = StoreResult<T>>>(
    mut retries: Retries<'_>,
    mut attempt: impl FnMut() -> F,
) -> StoreResult<T> {
    loop {
        match attempt().await {
            Err(error) if !retries.admit_another(error.kind()).await => return Err(retries.give_up(error)),
            Err(_) => {}
            done => return done,
        }
    }
}

/// Retries a read: it has no effect, so that only the last attempt counts.
async fn retry_read<T, F: Future<Output = StoreResult<T>>>(
    mut retries: Retries<'_>,
    mut attempt: impl FnMut() -> F,
) -> StoreResult<T> {
    loop {
        match attempt().await {
            Err(error) if retries.admit_another(error.kind()).await => {}
            done => return done,
        }
    }
}

/// An [`ObjectStore`] whose operations are retried.
pub struct RetryObjectStore {
    inner: Arc<dyn ObjectStore>,
    policy: RetryPolicy,
    entropy: SharedEntropy,
}

impl RetryObjectStore {
    /// Retries the operations of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, policy: RetryPolicy, entropy: SharedEntropy) -> Self {
        Self { inner, policy, entropy }
    }

    fn retries(&self) -> Retries<'_> {
        Retries::new(self.policy, &self.entropy)
    }

    /// Whether the object that is there has these bytes.
    async fn is_same(&self, key: &ObjectKey, bytes: &ByteChunks, crc32c: Option<u32>) -> StoreResult<bool> {
        let info = self.head(key).await?;
        if info.size_bytes != bytes.len() {
            return Ok(false);
        }
        let kept = match info.crc32c {
            Some(kept) => kept,
            // A store that keeps no checksum: the bytes themselves tell.
            None => self.get(key, ByteRange::Full).await?.crc32c(),
        };
        Ok(kept == crc32c.unwrap_or_else(|| bytes.crc32c()))
    }

    /// Judges an AlreadyExists that came after an Unknown (design section 5, "segment PUT"): our own object, or another.
    async fn settle_put(
        &self,
        key: &ObjectKey,
        bytes: &ByteChunks,
        crc32c: Option<u32>,
        taken: StoreError,
    ) -> StoreResult<()> {
        match self.is_same(key, bytes, crc32c).await {
            Ok(true) => Ok(()),
            // Create-only writes never replace (I-03): what is there now was there before, and ours never was.
            Ok(false) => Err(taken),
            Err(error) => {
                let message = format!("put object `{key}`: the key is taken, and by what could not be read");
                Err(StoreError::new(StoreErrorKind::Unknown, message).with_source(error))
            }
        }
    }
}

impl fmt::Debug for RetryObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryObjectStore")
            .field("inner", &self.inner)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl ObjectStore for RetryObjectStore {
    async fn put(&self, key: &ObjectKey, bytes: ByteChunks, options: PutOptions) -> StoreResult<()> {
        let mut retries = self.retries();
        loop {
            // The same key and the same bytes (I-11): a rope's clone shares them.
            let Err(error) = self.inner.put(key, bytes.clone(), options).await else { return Ok(()) };
            let may_be_ours = options.create_only && retries.joined == Some(StoreErrorKind::Unknown);
            if may_be_ours && error.kind() == StoreErrorKind::AlreadyExists {
                return self.settle_put(key, &bytes, options.crc32c, error).await;
            }
            if !retries.admit_another(error.kind()).await {
                return Err(retries.give_up(error));
            }
        }
    }

    async fn get(&self, key: &ObjectKey, range: ByteRange) -> StoreResult<ByteChunks> {
        retry_read(self.retries(), || self.inner.get(key, range)).await
    }

    async fn head(&self, key: &ObjectKey) -> StoreResult<ObjectInfo> {
        retry_read(self.retries(), || self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectKey>, limit: usize) -> StoreResult<Vec<ObjectInfo>> {
        retry_read(self.retries(), || self.inner.list(prefix, start_after, limit)).await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<StoreResult<()>> {
        let mut results = self.inner.delete(keys).await;
        let mut retries = self.retries();
        loop {
            // One budget for the request: its keys fail together more often than alone.
            let retriable = |result: &StoreResult<()>| result.as_ref().is_err_and(|error| error.kind().is_retriable());
            let failed: Vec<usize> = (0..results.len()).filter(|i| results.get(*i).is_some_and(retriable)).collect();
            let worst = failed.iter().filter_map(|i| results.get(*i)?.as_ref().err()).map(StoreError::kind).max();
            let Some(worst) = worst else { return results };
            if !retries.admit_another(worst).await {
                return results;
            }
            let again: Vec<ObjectKey> = failed.iter().filter_map(|i| keys.get(*i).cloned()).collect();
            for (i, outcome) in failed.iter().zip(self.inner.delete(&again).await) {
                if let Some(result) = results.get_mut(*i) {
                    let earlier = result.as_ref().err().map(StoreError::kind);
                    *result = outcome.map_err(|error| {
                        let kind = error.kind().joined(earlier);
                        error.with_kind(kind)
                    });
                }
            }
        }
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    fn clock(&self) -> StoreClock {
        self.inner.clock()
    }
}

/// A [`MetadataLog`] whose reads and stagings are retried, and whose appends are not (L1).
pub struct RetryLog {
    inner: Arc<dyn MetadataLog>,
    policy: RetryPolicy,
    entropy: SharedEntropy,
}

impl RetryLog {
    /// Retries the reads and stagings of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn MetadataLog>, policy: RetryPolicy, entropy: SharedEntropy) -> Self {
        Self { inner, policy, entropy }
    }

    fn retries(&self) -> Retries<'_> {
        Retries::new(self.policy, &self.entropy)
    }
}

impl fmt::Debug for RetryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RetryLog").field("inner", &self.inner).field("policy", &self.policy).finish_non_exhaustive()
    }
}

#[async_trait]
impl MetadataLog for RetryLog {
    fn incarnation(&self) -> Incarnation {
        self.inner.incarnation()
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        retry_write(self.retries(), || self.inner.stage(entry)).await
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        // L1: the engine owns the retry of an append; a second request from here could overtake a later one.
        self.inner.append(entries, known).await
    }

    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
        retry_read(self.retries(), || self.inner.read(known, consistency)).await
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        retry_read(self.retries(), || self.inner.read_body(body)).await
    }

    fn capabilities(&self) -> LogCapabilities {
        self.inner.capabilities()
    }
}

#[cfg(test)]
#[path = "retry_tests.rs"]
mod tests;
