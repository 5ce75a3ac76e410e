//! How fresh State is kept for groups, and at what price (T4, T5, T6).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_engine::{EngineError, Limits};
use sluice_store::{
    Appended, BodyRef, Consistency, Faults, Incarnation, LogCapabilities, LogPosition, MetadataLog, OperationFaults,
    Sealed, Staged, StoreError, StoreErrorKind, StoreResult, Tail, TailRead,
};
use tokio::time::{Instant, sleep};

use super::members::{hasty, join_ask, nobody, settle};
use super::support::{Cluster, batch};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

// Holds: T4
#[tokio::test(start_paused = true)]
async fn a_gateway_whose_members_do_not_fetch_learns_of_a_rebalance_within_a_second() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let joined = a.alone("g").await;
    sleep(Duration::from_millis(5_130)).await;
    a.beat("g", &joined).await.unwrap();
    let second = b.joining(join_ask("g", "")).await;
    sleep(Duration::from_millis(700)).await;
    let answer = a.beat("g", &joined).await;
    assert!(matches!(answer, Err(EngineError::RebalanceInProgress)), "{answer:?}");
    second.abort();
}

// Holds: T4
#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_makes_nobody_poll_faster() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.alone("g").await;
    let waiting = a.joining(join_ask("g", "")).await;
    sleep(secs(2)).await;
    let before = a.engine.metrics().log_reads.get();
    for _ in 0..100 {
        // Nobody on `a` waits for this partition.
        b.produce("t", 0, batch(&["v"])).await.unwrap();
        sleep(Duration::from_millis(50)).await;
    }
    let polls = a.engine.metrics().log_reads.get() - before;
    // A hundred times 50 ms and what the produces took.
    assert!(polls <= 30, "4 a second: {polls}");
    assert!(polls >= 15, "it polls while somebody waits: {polls}");
    waiting.abort();
}

// Holds: T4
#[tokio::test(start_paused = true)]
async fn a_waiting_join_hears_of_the_end_of_its_phase_on_another_gateway_soon() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let first = a.alone("g").await;
    let second = b.joining(join_ask("g", "")).await;
    sleep(secs(3)).await;
    let began = Instant::now();
    let (_first, second) = tokio::join!(a.join(join_ask("g", &first.member_id)), second);
    second.unwrap().unwrap();
    assert!(began.elapsed() <= Duration::from_millis(600), "{:?}", began.elapsed());
}

// Holds: T4
#[tokio::test(start_paused = true)]
async fn the_answers_of_appends_count_as_refreshes() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    let joined = a.alone("g").await;
    a.produce("t", 0, batch(&["v"])).await.unwrap();
    let before = a.engine.metrics().log_reads.get();
    for _ in 0..50 {
        sleep(Duration::from_millis(200)).await;
        a.produce("t", 0, batch(&["v"])).await.unwrap();
        a.beat("g", &joined).await.unwrap();
    }
    let reads = a.engine.metrics().log_reads.get() - before;
    assert!(reads <= 2, "{reads}");
}

// Holds: T6
#[tokio::test(start_paused = true)]
async fn what_has_to_be_younger_than_state_is_waits_for_a_barrier_or_is_refused() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    a.alone("g").await;
    let fresh = Limits::default().fresh_for_heartbeat;
    settle().await;
    let reads = a.engine.metrics().log_reads.get();
    a.engine.ensure_fresh_within(fresh).await.unwrap();
    assert_eq!(a.engine.metrics().log_reads.get(), reads, "it is younger");
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    a.faults.set_faults(Faults { log_read: refused, append: refused, ..Faults::default() });
    sleep(secs(3)).await;
    let answer = a.engine.ensure_fresh_within(fresh).await;
    assert!(matches!(answer, Err(EngineError::NotFresh(_))), "{answer:?}");
    a.engine.ensure_fresh().await.expect("other answers may come from it for longer");
    a.faults.set_faults(Faults::default());
    a.engine.ensure_fresh_within(fresh).await.unwrap();
}

// Holds: T7
#[tokio::test(start_paused = true)]
async fn commits_share_entries_and_an_idle_log_takes_the_first_at_once() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    for group in 0..50 {
        a.commit_made_group(&format!("g{group}")).await;
    }
    sleep(secs(1)).await;
    let began = Instant::now();
    a.commit("g0", nobody(), &[("t", 0, 1)]).await.unwrap();
    assert!(began.elapsed() < Duration::from_millis(5), "an idle log: {:?}", began.elapsed());
    let (before, began) = (cluster.log.last().0, Instant::now());
    let ids: Vec<_> = (0..50).map(|group| format!("g{group}")).collect();
    let commits = ids.iter().map(|id| a.commit(id, nobody(), &[("t", 0, 2)]));
    for answer in futures_util::future::join_all(commits).await {
        answer.unwrap();
    }
    assert!(began.elapsed() <= Duration::from_millis(30), "{:?}", began.elapsed());
    assert!(cluster.log.last().0 - before <= 2, "{} entries", cluster.log.last().0 - before);
}

/// A log that shows nothing new to reads that may lag, as a replica of a store does that fell behind.
#[derive(Debug)]
struct LaggingLog {
    inner: Arc<dyn MetadataLog>,
    eventual: AtomicU64,
    strong: AtomicU64,
    /// Strong reads are refused.
    is_dark: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl MetadataLog for LaggingLog {
    fn incarnation(&self) -> Incarnation {
        self.inner.incarnation()
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        self.inner.stage(entry).await
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        self.inner.append(entries, known).await
    }

    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
        if consistency == Consistency::Eventual {
            self.eventual.fetch_add(1, Ordering::Relaxed);
            return Ok(TailRead::Tail(Tail { first: known.next(), elements: Vec::new() }));
        }
        if self.is_dark.load(Ordering::Relaxed) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "dark"));
        }
        self.strong.fetch_add(1, Ordering::Relaxed);
        self.inner.read(known, consistency).await
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        self.inner.read_body(body).await
    }

    fn capabilities(&self) -> LogCapabilities {
        self.inner.capabilities()
    }
}

// Holds: T4, T6
#[tokio::test(start_paused = true)]
async fn polls_that_may_lag_make_nothing_fresh_and_are_strong_once_a_second() {
    let mut cluster = Cluster::new();
    let lagging = Arc::new(LaggingLog {
        inner: cluster.log.clone(),
        eventual: AtomicU64::new(0),
        strong: AtomicU64::new(0),
        is_dark: false.into(),
    });
    let a = cluster.start(Limits::default(), hasty(), lagging.clone()).await;
    let b = cluster.gateway_with(Limits::default(), hasty()).await;
    a.make_topic("t").await;
    a.engine.barrier().await.unwrap();
    b.engine.barrier().await.unwrap();
    // Somebody waits on `a` for nothing that happens.
    let engine = a.engine.clone();
    let ask = sluice_engine::FetchAsk {
        topic: super::support::topic("t"),
        partition: 0,
        offset: 0,
        max_bytes: 1,
        leader_epoch: None,
        last_fetched_epoch: None,
    };
    let fetch = tokio::spawn(async move { engine.fetch(super::support::call(vec![ask], secs(60))).await });
    settle().await;
    b.commit_made_group("g").await;
    let (strong, eventual) = (lagging.strong.load(Ordering::Relaxed), lagging.eventual.load(Ordering::Relaxed));
    sleep(secs(10)).await;
    let strong = lagging.strong.load(Ordering::Relaxed) - strong;
    assert!((8..=11).contains(&strong), "one poll a second is strong: {strong}");
    let eventual = lagging.eventual.load(Ordering::Relaxed) - eventual;
    assert!((25..=35).contains(&eventual), "the others are not: {eventual}");
    // Polls alone show that nothing is known to be new any more.
    let fresh = Limits::default().fresh_for_heartbeat;
    lagging.is_dark.store(true, Ordering::Relaxed);
    sleep(secs(3)).await;
    let answer = a.engine.ensure_fresh_within(fresh).await;
    assert!(matches!(answer, Err(EngineError::NotFresh(_))), "{answer:?}");
    fetch.abort();
}
