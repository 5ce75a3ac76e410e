//! Committed offsets in the background: the offsets view, expiry, lag.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use sluice_engine::{CommitAsk, JoinAsk, Joined, Limits, Settings};
use sluice_store::{OffsetsItem, OffsetsView, StoreError, StoreErrorKind, StoreResult};
use tokio::time::{Instant, sleep};

use super::members::{claim, commit_ask, hasty, join_ask, nobody, offset, sync_ask};
use super::support::{Cluster, Gateway, batch, topic};

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

async fn stay_awake(gateway: &Gateway, time: Duration) {
    for _ in 0..time.as_secs() * 2 {
        let _ = gateway.engine.ensure_fresh().await;
        sleep(Duration::from_millis(500)).await;
    }
}

/// What the view shows of partition 0 of topic "t".
fn shown(cluster: &Cluster, group_id: &str) -> Option<i64> {
    let items = cluster.view.snapshot();
    let item = items.get(&(group_id.to_owned(), "t".to_owned(), 0))?;
    item.offsets.get(&0).map(|entry| entry.offset)
}

#[tokio::test(start_paused = true)]
async fn the_view_shows_a_commit_within_five_seconds_and_its_end() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.commit_made_group("g").await;
    a.commit("g", nobody(), &[("t", 0, 5)]).await.unwrap();
    sleep(secs(4)).await;
    assert_eq!(shown(&cluster, "g"), Some(5));
    b.commit("g", nobody(), &[("t", 0, 9)]).await.unwrap();
    sleep(secs(4)).await;
    assert_eq!(shown(&cluster, "g"), Some(9));
    b.engine.delete_groups(&b.origin(), vec!["g".into()]).await.remove(0).unwrap();
    sleep(secs(4)).await;
    assert_eq!(shown(&cluster, "g"), None);
    assert!(!cluster.view.snapshot().is_empty(), "an item without offsets keeps its position");
}

#[tokio::test(start_paused = true)]
async fn a_topic_made_anew_shows_its_own_offsets_alone() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    a.commit_made_group("g").await;
    a.commit("g", nobody(), &[("t", 0, 5)]).await.unwrap();
    a.engine.delete_topics(vec![topic("t")], secs(5)).await.remove(0).unwrap();
    a.make_topic("t").await;
    sleep(secs(4)).await;
    assert_eq!(shown(&cluster, "g"), None);
    a.commit("g", nobody(), &[("t", 0, 1)]).await.unwrap();
    sleep(secs(4)).await;
    assert_eq!(shown(&cluster, "g"), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_shows_everything() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    a.commit_made_group("g").await;
    a.commit("g", nobody(), &[("t", 0, 5)]).await.unwrap();
    assert_eq!(shown(&cluster, "g"), None, "not yet");
    a.engine.drain().await;
    a.engine.close(secs(5)).await;
    assert_eq!(shown(&cluster, "g"), Some(5));
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_gateway_did_not_show_the_one_that_closes_its_session_shows() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    a.commit_made_group("g").await;
    let joined = a.alone("hosting").await;
    a.commit("g", nobody(), &[("t", 0, 5)]).await.unwrap();
    drop(joined);
    stay_awake(&b, secs(1)).await;
    a.engine.abort();
    stay_awake(&b, secs(10)).await;
    assert_eq!(shown(&cluster, "g"), None, "its writer is dead, and nobody knows yet");
    stay_awake(&b, secs(12)).await;
    assert_eq!(shown(&cluster, "g"), Some(5));
}

/// A view that takes nothing for a while.
#[derive(Debug)]
struct Closed(Arc<dyn OffsetsView>, AtomicBool);

#[async_trait]
impl OffsetsView for Closed {
    async fn put(&self, items: Vec<OffsetsItem>) -> Vec<StoreResult<()>> {
        if self.1.load(Ordering::Acquire) {
            let error = || StoreError::new(StoreErrorKind::Unavailable, "closed".to_owned());
            return items.iter().map(|_| Err(error())).collect();
        }
        self.0.put(items).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_view_that_takes_nothing_holds_no_commit_up_and_gets_the_newest_later() {
    let mut cluster = Cluster::new();
    let closed = Arc::new(Closed(cluster.view.clone(), AtomicBool::new(true)));
    cluster.shown_in = Some(closed.clone());
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    a.commit_made_group("g").await;
    for at in 1..=20 {
        a.commit("g", nobody(), &[("t", 0, at)]).await.unwrap();
        sleep(secs(1)).await;
    }
    assert_eq!(shown(&cluster, "g"), None);
    assert!(metrics(&a).contains("sluice_offsets_view_failures_total"));
    closed.1.store(false, Ordering::Release);
    sleep(secs(31)).await;
    assert_eq!(shown(&cluster, "g"), Some(20));
}

/// A view that notes when each item was put.
#[derive(Debug)]
struct Noting(Arc<dyn OffsetsView>, Mutex<Vec<Instant>>);

#[async_trait]
impl OffsetsView for Noting {
    async fn put(&self, items: Vec<OffsetsItem>) -> Vec<StoreResult<()>> {
        self.1.lock().unwrap().extend(items.iter().map(|_| Instant::now()));
        self.0.put(items).await
    }
}

#[tokio::test(start_paused = true)]
async fn groups_that_commit_at_once_are_not_written_at_once() {
    let mut cluster = Cluster::new();
    let noting = Arc::new(Noting(cluster.view.clone(), Mutex::default()));
    cluster.shown_in = Some(noting.clone());
    let a = cluster.gateway_with(Limits::default(), hasty()).await;
    let groups: Vec<String> = (0..100).map(|group| format!("g{group}")).collect();
    for group in &groups {
        a.commit_made_group(group).await;
    }
    sleep(secs(5)).await;
    noting.1.lock().unwrap().clear();
    let committed = Instant::now();
    let commits = groups.iter().map(|group| a.commit(group, nobody(), &[("t", 0, 7)]));
    for answer in join_all(commits).await {
        answer.unwrap();
    }
    assert!(committed.elapsed() < Duration::from_millis(100), "at once");
    sleep(secs(4)).await;
    assert!(groups.iter().all(|group| shown(&cluster, group) == Some(7)));
    let put = noting.1.lock().unwrap().clone();
    let in_quarter_after = |from: &Instant| put.iter().filter(|at| (*from..*from + QUARTER).contains(*at)).count();
    let most = put.iter().map(in_quarter_after).max();
    assert!((1..=60).contains(&most.unwrap_or_default()), "{most:?} of 100 in a quarter of a second");
}

const QUARTER: Duration = Duration::from_millis(250);

#[tokio::test(start_paused = true)]
async fn groups_that_commit_often_are_written_once_for_all_commits_of_a_while() {
    let mut cluster = Cluster::new();
    // Fewer slices in a put than groups that commit.
    let a = cluster.gateway_with(Limits { view_batch_max: 2, ..Limits::default() }, hasty()).await;
    let groups: Vec<String> = (0..6).map(|group| format!("g{group}")).collect();
    for group in &groups {
        a.commit_made_group(group).await;
    }
    sleep(secs(5)).await;
    let writes = |text: String| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix("sluice_offsets_view_writes_total "));
        line.unwrap().parse().unwrap()
    };
    let before = writes(metrics(&a));
    for at in 1..=5 {
        for group in &groups {
            a.commit(group, nobody(), &[("t", 0, at)]).await.unwrap();
        }
    }
    sleep(secs(4)).await;
    assert!(groups.iter().all(|group| shown(&cluster, group) == Some(5)));
    assert_eq!(writes(metrics(&a)) - before, 6, "once each, for 30 commits");
}

fn metrics(gateway: &Gateway) -> String {
    let mut registry = Registry::default();
    gateway.engine.metrics().register(&mut registry);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    text
}

#[tokio::test(start_paused = true)]
async fn lag_is_shown_by_group_and_topic_and_bounded() {
    let mut cluster = Cluster::new();
    let limits = Limits { lag_series_max: 2, ..Limits::default() };
    let a = cluster.gateway_with(limits, hasty()).await;
    a.produce("t", 0, batch(&["a", "b", "c"])).await.unwrap();
    a.commit_made_group("g").await;
    a.commit("g", nobody(), &[("t", 0, 1)]).await.unwrap();
    let text = metrics(&a);
    assert!(text.contains("sluice_group_lag{group=\"g\",topic=\"t\"} 2"), "{text}");
    assert!(text.contains("sluice_group_lag_max{group=\"g\",topic=\"t\"} 2"), "{text}");
    assert!(text.contains("sluice_group_lag_truncated 0"), "{text}");
    for group in 0..5 {
        a.commit_made_group(&format!("more-{group}")).await;
    }
    let text = metrics(&a);
    assert_eq!(text.matches("sluice_group_lag{").count(), 2, "{text}");
    assert!(text.contains("sluice_group_lag_truncated 1"), "{text}");
}

// ---- expiry ---------------------------------------------------------------------------------------------------------

fn short_retention() -> Settings {
    Settings { offsets_retention_minutes: 1, offsets_retention_check_interval_ms: 10_000, ..hasty() }
}

/// Kafka's ConsumerProtocolSubscription, version 0.
fn subscription(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 0];
    bytes.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        bytes.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1i32).to_be_bytes());
    bytes.into()
}

async fn subscribed(gateway: &Gateway, group_id: &str, topics: &[&str]) -> Joined {
    let protocols = vec![("range".to_owned(), subscription(topics))];
    let joined = gateway.join(JoinAsk { protocols, ..join_ask(group_id, "") }).await.unwrap();
    gateway.sync(sync_ask(group_id, &joined, &[(&joined.member_id, b"all")])).await.unwrap();
    joined
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_simple_group_expire_after_their_last_commit_and_the_group_with_them() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), short_retention()).await;
    a.commit_made_group("g").await;
    a.make_topic("u").await;
    a.commit("g", nobody(), &[("u", 0, 1)]).await.unwrap();
    for _ in 0..9 {
        stay_awake(&a, secs(10)).await;
        a.commit("g", nobody(), &[("t", 0, 1)]).await.unwrap();
    }
    assert_eq!(a.committed("g", "u", 0).await, None, "not committed again");
    assert_eq!(a.committed("g", "t", 0).await, Some(1));
    stay_awake(&a, secs(80)).await;
    assert!(cluster.replay().await.group("g").is_none());
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_group_of_consumers_expire_after_it_became_empty() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), short_retention()).await;
    a.make_topic("t").await;
    let joined = subscribed(&a, "g", &["t"]).await;
    a.commit("g", claim(&joined), &[("t", 0, 1)]).await.unwrap();
    for _ in 0..30 {
        stay_awake(&a, secs(4)).await;
        a.beat("g", &joined).await.unwrap();
    }
    assert_eq!(a.committed("g", "t", 0).await, Some(1), "it is subscribed to");
    a.leave("g", &joined.member_id).await.unwrap();
    stay_awake(&a, secs(55)).await;
    assert_eq!(a.committed("g", "t", 0).await, Some(1), "old, but the group became empty only now");
    stay_awake(&a, secs(20)).await;
    assert!(cluster.replay().await.group("g").is_none());
}

#[tokio::test(start_paused = true)]
async fn offsets_of_topics_that_no_member_subscribes_to_expire_while_the_group_is_stable() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), short_retention()).await;
    a.make_topic("t").await;
    a.make_topic("u").await;
    let joined = subscribed(&a, "g", &["t"]).await;
    a.commit("g", claim(&joined), &[("t", 0, 1), ("u", 0, 1)]).await.unwrap();
    for _ in 0..20 {
        stay_awake(&a, secs(4)).await;
        a.beat("g", &joined).await.unwrap();
    }
    assert_eq!((a.committed("g", "t", 0).await, a.committed("g", "u", 0).await), (Some(1), None));
}

#[tokio::test(start_paused = true)]
async fn an_offset_that_says_when_it_expires_is_kept_until_then() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), short_retention()).await;
    a.commit_made_group("g").await;
    let ask = CommitAsk { retention: Some(secs(200)), ..commit_ask("g", nobody(), vec![offset("t", 0, 1)]) };
    a.engine.commit_offsets(&a.origin(), ask).await.remove(0).unwrap();
    stay_awake(&a, secs(190)).await;
    assert_eq!(a.committed("g", "t", 0).await, Some(1));
    stay_awake(&a, secs(30)).await;
    assert!(cluster.replay().await.group("g").is_none());
}

// Holds: T4
#[tokio::test(start_paused = true)]
async fn a_gateway_that_serves_nobody_expires_nothing() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), short_retention()).await;
    a.commit_made_group("g").await;
    sleep(secs(5)).await;
    let reads = a.engine.metrics().log_reads.get();
    sleep(secs(600)).await;
    assert_eq!(a.engine.metrics().log_reads.get(), reads);
    assert!(cluster.replay().await.group("g").is_some());
}
