//! A store that does what a test's script says, call by call: for the decorators' own tests.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::{
    Appended, BodyRef, ByteChunks, ByteRange, Consistency, Element, Incarnation, LogCapabilities, LogPosition,
    MetadataLog, ObjectInfo, ObjectKey, ObjectStore, Payload, PutOptions, Sealed, Staged, StoreCapabilities,
    StoreClock, StoreError, StoreErrorKind, StoreResult, Tail, TailRead,
};

/// What one call does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Fails without an effect.
    Fail(StoreErrorKind),
    /// Has its effect, and fails.
    FailAfter(StoreErrorKind),
    /// Has its effect after this time.
    Slow(Duration),
}

/// A store whose calls follow a script; what comes after the script's end works.
#[derive(Debug, Default)]
pub(crate) struct Scripted {
    script: Mutex<VecDeque<Step>>,
    calls: Mutex<Vec<String>>,
    keeps_crc: bool,
    /// Exempt, unless a test says otherwise.
    pub(crate) clock: Mutex<Option<StoreClock>>,
    pub(crate) objects: Mutex<BTreeMap<ObjectKey, ByteChunks>>,
    pub(crate) elements: Mutex<Vec<Element>>,
}

impl Scripted {
    pub(crate) fn new(script: impl IntoIterator<Item = Step>) -> Arc<Self> {
        Self::keeping_crc(script, true)
    }

    pub(crate) fn keeping_crc(script: impl IntoIterator<Item = Step>, keeps_crc: bool) -> Arc<Self> {
        Arc::new(Self { script: Mutex::new(script.into_iter().collect()), keeps_crc, ..Self::default() })
    }

    /// The calls so far: the operation and its subject.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    async fn run<T>(&self, call: String, effect: impl FnOnce() -> StoreResult<T>) -> StoreResult<T> {
        self.calls.lock().unwrap().push(call);
        let step = self.script.lock().unwrap().pop_front();
        match step {
            Some(Step::Fail(kind)) => return Err(StoreError::new(kind, "scripted")),
            Some(Step::FailAfter(kind)) => return effect().and(Err(StoreError::new(kind, "scripted"))),
            Some(Step::Slow(time)) => tokio::time::sleep(time).await,
            None => {}
        }
        effect()
    }

    fn find(&self, key: &ObjectKey) -> StoreResult<ByteChunks> {
        let found = self.objects.lock().unwrap().get(key).cloned();
        found.ok_or_else(|| StoreError::new(StoreErrorKind::NotFound, "scripted"))
    }

    fn info(&self, key: &ObjectKey) -> StoreResult<ObjectInfo> {
        let bytes = self.find(key)?;
        let crc32c = self.keeps_crc.then(|| bytes.crc32c());
        Ok(ObjectInfo { key: key.clone(), size_bytes: bytes.len(), last_modified_ms: 0, crc32c })
    }
}

#[async_trait]
impl ObjectStore for Scripted {
    async fn put(&self, key: &ObjectKey, bytes: ByteChunks, options: PutOptions) -> StoreResult<()> {
        let effect = || {
            let mut objects = self.objects.lock().unwrap();
            if options.create_only && objects.contains_key(key) {
                return Err(StoreError::new(StoreErrorKind::AlreadyExists, "scripted"));
            }
            objects.insert(key.clone(), bytes);
            Ok(())
        };
        self.run(format!("put {key}"), effect).await
    }

    async fn get(&self, key: &ObjectKey, range: ByteRange) -> StoreResult<ByteChunks> {
        let part = |bytes: ByteChunks| Ok(bytes.slice(range.within(bytes.len())?));
        self.run(format!("get {key}"), || self.find(key).and_then(part)).await
    }

    async fn head(&self, key: &ObjectKey) -> StoreResult<ObjectInfo> {
        self.run(format!("head {key}"), || self.info(key)).await
    }

    async fn list(&self, prefix: &str, _: Option<&ObjectKey>, _: usize) -> StoreResult<Vec<ObjectInfo>> {
        let keys: Vec<_> = self.objects.lock().unwrap().keys().cloned().collect();
        self.run(format!("list {prefix}"), || keys.iter().map(|key| self.info(key)).collect()).await
    }

    /// One step of the script for each key.
    async fn delete(&self, keys: &[ObjectKey]) -> Vec<StoreResult<()>> {
        let mut results = Vec::new();
        for key in keys {
            let effect = || {
                self.objects.lock().unwrap().remove(key);
                Ok(())
            };
            results.push(self.run(format!("delete {key}"), effect).await);
        }
        results
    }

    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities { name: "scripted", puts_are_metered: false, durable: false }
    }

    fn clock(&self) -> StoreClock {
        self.clock.lock().unwrap().unwrap_or(StoreClock::Exempt)
    }
}

impl Scripted {
    fn tail(&self, known: LogPosition) -> Tail {
        let elements = self.elements.lock().unwrap();
        Tail { first: known.next(), elements: elements[usize::try_from(known.0).unwrap()..].to_vec() }
    }
}

#[async_trait]
impl MetadataLog for Scripted {
    fn incarnation(&self) -> Incarnation {
        Incarnation(1)
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        let Sealed { session, sequence, bytes } = entry.clone();
        let element = Element { session, sequence, payload: Payload::Inline(bytes) };
        self.run(format!("stage {session}/{sequence}"), || Ok(Staged { element })).await
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        let effect = || {
            self.elements.lock().unwrap().extend(entries.iter().map(|staged| staged.element.clone()));
            Ok(Appended::Tail(self.tail(known)))
        };
        self.run(format!("append {}", entries.len()), effect).await
    }

    async fn read(&self, known: LogPosition, _: Consistency) -> StoreResult<TailRead> {
        self.run(format!("read {known}"), || Ok(TailRead::Tail(self.tail(known)))).await
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        self.run(format!("read_body {}", body.sequence), || Ok(Bytes::new())).await
    }

    fn capabilities(&self) -> LogCapabilities {
        let (inline_bytes_max, entry_bytes_max) = (1_000, 1_000);
        LogCapabilities {
            name: "scripted",
            append_rate: None,
            inline_bytes_max,
            entry_bytes_max,
            append_elements_max: 9,
        }
    }
}

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

pub(crate) fn text(text: &'static str) -> ByteChunks {
    Bytes::from_static(text.as_bytes()).into()
}

pub(crate) fn staged(sequence: u64) -> Staged {
    Staged { element: Element { session: 1, sequence, payload: Payload::Inline(Bytes::from_static(b"entry")) } }
}

pub(crate) fn body_ref() -> BodyRef {
    BodyRef { session: 1, sequence: 1, salt: 0, parts: 1, hash: 0, len: 0 }
}
