//! Objects in memory: ropes in an ordered map.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use async_trait::async_trait;
use sluice_runtime::SharedClock;
use sluice_store::{
    ByteChunks, ByteRange, ObjectInfo, ObjectKey, ObjectStore, PutOptions, StoreCapabilities, StoreClock, StoreError,
    StoreErrorKind, StoreResult,
};

/// An object store in memory. Keeps the ropes it is given and answers with slices of them; copies nothing.
pub struct MemoryObjectStore {
    clock: SharedClock,
    checks_crc: bool,
    objects: RwLock<BTreeMap<ObjectKey, StoredObject>>,
}

struct StoredObject {
    bytes: ByteChunks,
    last_modified_ms: i64,
    crc32c: Option<u32>,
}

impl MemoryObjectStore {
    /// A store that checks every CRC32C it is given against the bytes, and keeps one for every object.
    #[must_use]
    pub fn new(clock: SharedClock) -> Arc<Self> {
        Self::build(clock, true)
    }

    /// A store that keeps the CRC32C it is given without checking it.
    ///
    /// Bytes in memory cannot be damaged on their way, and the check reads every byte once more (about 0.05 CPU-s/GB):
    /// `sluice dev` uses this one. It breaks the promise that a wrong CRC is refused, and no other.
    #[must_use]
    pub fn trusting(clock: SharedClock) -> Arc<Self> {
        Self::build(clock, false)
    }

    fn build(clock: SharedClock, checks_crc: bool) -> Arc<Self> {
        Arc::new(Self { clock, checks_crc, objects: RwLock::default() })
    }

    /// How many objects there are.
    #[must_use]
    pub fn object_count(&self) -> usize {
        self.read().len()
    }

    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<ObjectKey, StoredObject>> {
        // No writer leaves the map half changed: each makes one insert or one remove.
        self.objects.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryObjectStore").field("objects", &self.object_count()).finish_non_exhaustive()
    }
}

#[async_trait]
impl ObjectStore for MemoryObjectStore {
    async fn put(&self, key: &ObjectKey, bytes: ByteChunks, options: PutOptions) -> StoreResult<()> {
        let mut crc32c = options.crc32c;
        if self.checks_crc {
            let actual = bytes.crc32c();
            if crc32c.is_some_and(|expected| expected != actual) {
                return Err(StoreError::new(StoreErrorKind::Corrupt, format!("put object `{key}`: CRC32C differs")));
            }
            crc32c = Some(actual);
        }
        let object = StoredObject { bytes, last_modified_ms: self.clock.wall_ms(), crc32c };
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        // I-03: the check and the insert are under one lock, so that one of several creators wins.
        if options.create_only && objects.contains_key(key) {
            return Err(StoreError::new(StoreErrorKind::AlreadyExists, format!("put object `{key}`")));
        }
        objects.insert(key.clone(), object);
        Ok(())
    }

    async fn get(&self, key: &ObjectKey, range: ByteRange) -> StoreResult<ByteChunks> {
        let objects = self.read();
        let object = objects.get(key).ok_or_else(|| not_found("get", key))?;
        Ok(match range {
            ByteRange::Full => object.bytes.clone(),
            part => object.bytes.slice(part.within(object.bytes.len())?),
        })
    }

    async fn head(&self, key: &ObjectKey) -> StoreResult<ObjectInfo> {
        let objects = self.read();
        let object = objects.get(key).ok_or_else(|| not_found("head", key))?;
        Ok(ObjectInfo { crc32c: object.crc32c, ..listed(key, object) })
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectKey>, limit: usize) -> StoreResult<Vec<ObjectInfo>> {
        let objects = self.read();
        let start = match start_after {
            Some(key) if key.as_str() >= prefix => Bound::Excluded(key.clone()),
            // A prefix need not be a legal key ("a/"), so that the map cannot be entered at it.
            _ => Bound::Unbounded,
        };
        let found = objects.range((start, Bound::Unbounded)).skip_while(|(key, _)| key.as_str() < prefix);
        let matching = found.take_while(|(key, _)| key.as_str().starts_with(prefix)).take(limit);
        Ok(matching.map(|(key, object)| listed(key, object)).collect())
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<StoreResult<()>> {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        keys.iter().map(|key| drop(objects.remove(key))).map(Ok).collect()
    }

    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities { name: "memory", puts_are_metered: false, durable: false }
    }

    fn clock(&self) -> StoreClock {
        // One machine: its clock is the only one.
        StoreClock::Exempt
    }
}

fn listed(key: &ObjectKey, object: &StoredObject) -> ObjectInfo {
    let (size_bytes, last_modified_ms) = (object.bytes.len(), object.last_modified_ms);
    ObjectInfo { key: key.clone(), size_bytes, last_modified_ms, crc32c: None }
}

fn not_found(operation: &str, key: &ObjectKey) -> StoreError {
    StoreError::new(StoreErrorKind::NotFound, format!("{operation} object `{key}`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use sluice_runtime::TokioClock;

    fn key(text: &str) -> ObjectKey {
        ObjectKey::new(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn last_modified_is_the_injected_clocks() {
        let store = MemoryObjectStore::new(Arc::new(TokioClock::starting_at(1_000)));
        tokio::time::advance(std::time::Duration::from_millis(5)).await;
        store.put(&key("k"), Bytes::from_static(b"v").into(), PutOptions::default()).await.unwrap();
        assert_eq!(store.head(&key("k")).await.unwrap().last_modified_ms, 1_005);
    }

    #[tokio::test]
    async fn bytes_are_kept_and_served_without_copies() {
        let store = MemoryObjectStore::new(Arc::new(TokioClock::starting_at(0)));
        let (a, b) = (Bytes::from(vec![1u8; 100]), Bytes::from(vec![2u8; 100]));
        store.put(&key("k"), ByteChunks::new(vec![a.clone(), b]), PutOptions::default()).await.unwrap();
        let got = store.get(&key("k"), ByteRange::Bounded { start: 10, end: 150 }).await.unwrap();
        assert_eq!(got.chunks()[0].as_ptr(), a[10..].as_ptr());
        assert_eq!(got.chunks().len(), 2);
    }

    #[tokio::test]
    async fn a_trusting_store_keeps_the_crc_it_is_given() {
        let store = MemoryObjectStore::trusting(Arc::new(TokioClock::starting_at(0)));
        let options = PutOptions { crc32c: Some(42), create_only: true };
        store.put(&key("k"), Bytes::from_static(b"v").into(), options).await.unwrap();
        assert_eq!(store.head(&key("k")).await.unwrap().crc32c, Some(42));
    }
}
