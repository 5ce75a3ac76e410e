//! Expiry of committed offsets, on gateways whose clocks are right or wrong, over stores that have a clock of their own.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use sluice_embedded::MemoryObjectStore;
use sluice_engine::{BlockCache, Defects, Engine, EngineParts, Limits, LruBlockCache, Settings};
use sluice_runtime::{SeededEntropy, SharedClock, TokioClock};
use sluice_store::{
    ByteChunks, ByteRange, ClockReading, FaultControl, Faults, ObjectInfo, ObjectKey, ObjectStore, PutOptions,
    StoreCapabilities, StoreClock, StoreResult,
};

use super::members::{hasty, nobody};
use super::support::{Cluster, Gateway};

const WEEK_MS: i64 = 7 * 24 * 3_600_000;

/// An object store whose answers have a date, as its one gateway sees it.
#[derive(Debug)]
struct DatedStore {
    objects: Arc<MemoryObjectStore>,
    /// The store's clock.
    right: SharedClock,
    /// The gateway's.
    wall: SharedClock,
    told: Mutex<StoreClock>,
    answers: AtomicU64,
    /// Requests from this one on get no answer.
    answers_max: AtomicU64,
}

impl DatedStore {
    fn answer(&self) -> StoreResult<()> {
        if self.answers.load(Ordering::Relaxed) >= self.answers_max.load(Ordering::Relaxed) {
            return Err(sluice_store::StoreError::new(sluice_store::StoreErrorKind::Unavailable, "planted"));
        }
        self.answers.fetch_add(1, Ordering::Relaxed);
        let at = self.wall.now();
        let reading = ClockReading { store_ms: self.right.wall_ms(), wall_ms: self.wall.wall_ms(), at };
        *self.told.lock().unwrap() = StoreClock::Measured(reading);
        Ok(())
    }

    fn count(&self) -> u64 {
        self.answers.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl ObjectStore for DatedStore {
    async fn put(&self, key: &ObjectKey, bytes: ByteChunks, options: PutOptions) -> StoreResult<()> {
        self.answer()?;
        self.objects.put(key, bytes, options).await
    }

    async fn get(&self, key: &ObjectKey, range: ByteRange) -> StoreResult<ByteChunks> {
        self.answer()?;
        self.objects.get(key, range).await
    }

    async fn head(&self, key: &ObjectKey) -> StoreResult<ObjectInfo> {
        self.answer()?;
        self.objects.head(key).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectKey>, limit: usize) -> StoreResult<Vec<ObjectInfo>> {
        self.answer()?;
        self.objects.list(prefix, start_after, limit).await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<StoreResult<()>> {
        self.objects.delete(keys).await
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.objects.capabilities()
    }

    fn clock(&self) -> StoreClock {
        *self.told.lock().unwrap()
    }
}

/// Offsets are kept for a minute, and looked at every ten seconds.
fn forgetful() -> Settings {
    Settings { offsets_retention_minutes: 1, offsets_retention_check_interval_ms: 10_000, ..hasty() }
}

/// A gateway whose wall clock is `ahead_ms` ahead of the store's. To be called before any time has passed.
async fn dated(cluster: &Cluster, ahead_ms: i64, settings: Settings) -> (Gateway, Arc<DatedStore>) {
    let clock: SharedClock = Arc::new(TokioClock::starting_at(cluster.clock.wall_ms() + ahead_ms));
    let store = Arc::new(DatedStore {
        objects: cluster.objects.clone(),
        right: cluster.clock.clone(),
        wall: clock.clone(),
        told: Mutex::new(StoreClock::Unmeasured),
        answers: AtomicU64::new(0),
        answers_max: AtomicU64::new(u64::MAX),
    });
    let limits = Limits::default();
    let cache: Arc<dyn BlockCache> = LruBlockCache::new(limits.cache_bytes_max);
    let parts = EngineParts {
        objects: store.clone(),
        log: cluster.log.clone(),
        offsets_view: cluster.view.clone(),
        cache,
        limits,
        settings,
        clock,
        entropy: Arc::new(SeededEntropy::new(ahead_ms.unsigned_abs())),
        defects: Defects::default(),
    };
    let engine = Engine::start(parts, Duration::from_secs(10)).await.expect("the gateway starts");
    let faults = FaultControl::new(Faults::default(), Arc::new(SeededEntropy::new(1)));
    (Gateway { engine, faults }, store)
}

/// Somebody asks the gateway something for so long: it is awake.
async fn serve(gateway: &Gateway, seconds: Range<u64>) {
    for _ in seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        gateway.engine.barrier().await.unwrap();
    }
}

// Holds: T3
#[tokio::test(start_paused = true)]
async fn what_a_gateway_whose_clock_is_wrong_did_is_stamped_with_the_stores_time() {
    let cluster = Cluster::new();
    let (a, store) = dated(&cluster, -DAY_MS, forgetful()).await;
    store.answer().unwrap();
    a.make_topic("t").await;
    a.commit("g", nobody(), &[("t", 0, 5)]).await.unwrap();
    let joined = a.alone("h").await;
    let right_ms = cluster.clock.wall_ms();
    let state = cluster.replay().await;
    let near = |stamp_ms: i64| assert!(stamp_ms.abs_diff(right_ms) < 1_000, "{stamp_ms} at {right_ms}");
    near(state.group("g").unwrap().offsets.values().next().unwrap().committed_at_ms);
    near(state.group("h").unwrap().phase_began_ms);
    near(state.topic_by_name("t").unwrap().created_at_ms);
    drop(joined);
}

const DAY_MS: i64 = 24 * 3_600_000;

#[tokio::test(start_paused = true)]
async fn offsets_past_their_retention_go_and_no_others() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), forgetful()).await;
    a.make_topic("t").await;
    a.commit("g", nobody(), &[("t", 0, 5)]).await.unwrap();
    serve(&a, 0..55).await;
    assert_eq!(a.committed("g", "t", 0).await, Some(5));
    serve(&a, 55..80).await;
    assert_eq!(a.committed("g", "t", 0).await, None);
    assert!(cluster.replay().await.group("g").is_none(), "as Kafka: the group goes with its last offset");
}

// Holds: T3
#[tokio::test(start_paused = true)]
async fn a_gateway_whose_clock_differs_from_the_stores_expires_nothing() {
    for ahead_ms in [WEEK_MS, 61_000, 6_000] {
        let cluster = Cluster::new();
        let (wrong, _) = dated(&cluster, ahead_ms, forgetful()).await;
        let keep = Settings { offsets_retention_minutes: 10_080, ..forgetful() };
        let (right, _) = dated(&cluster, 0, keep).await;
        right.make_topic("t").await;
        right.commit("g", nobody(), &[("t", 0, 5)]).await.unwrap();
        serve(&wrong, 0..120).await;
        assert_eq!(right.committed("g", "t", 0).await, Some(5), "{ahead_ms} ms ahead");
    }
}

// Holds: T3
#[tokio::test(start_paused = true)]
async fn a_gateway_that_agrees_with_the_store_expires_after_one_request() {
    let cluster = Cluster::new();
    let (a, store) = dated(&cluster, 3_000, forgetful()).await;
    a.make_topic("t").await;
    a.commit("g", nobody(), &[("t", 0, 5)]).await.unwrap();
    serve(&a, 0..50).await;
    assert_eq!(a.committed("g", "t", 0).await, Some(5));
    serve(&a, 50..80).await;
    assert_eq!(a.committed("g", "t", 0).await, None);
    // Nothing else asks the store for objects here.
    assert_eq!(store.count(), 1);
}

// Holds: T3
#[tokio::test(start_paused = true)]
async fn while_the_store_does_not_tell_its_time_nothing_expires() {
    let cluster = Cluster::new();
    let (a, store) = dated(&cluster, 0, forgetful()).await;
    a.make_topic("t").await;
    a.commit("g", nobody(), &[("t", 0, 5)]).await.unwrap();
    // It has told it once; that gets old.
    store.answer().unwrap();
    store.answers_max.store(store.count(), Ordering::Relaxed);
    serve(&a, 0..300).await;
    assert_eq!(a.committed("g", "t", 0).await, Some(5));
    store.answers_max.store(u64::MAX, Ordering::Relaxed);
    serve(&a, 300..320).await;
    assert_eq!(a.committed("g", "t", 0).await, None);
}

/// A fleet that has nothing to expire costs no request for objects.
#[tokio::test(start_paused = true)]
async fn without_anything_due_the_store_is_not_asked() {
    let cluster = Cluster::new();
    let (a, store) = dated(&cluster, 0, Settings { offsets_retention_minutes: 10_080, ..forgetful() }).await;
    a.make_topic("t").await;
    a.commit("g", nobody(), &[("t", 0, 5)]).await.unwrap();
    serve(&a, 0..300).await;
    assert_eq!(store.count(), 0);
}
