//! Fetch and ListOffsets: what is served, what is waited for, what is refused.

use std::time::Duration;

use sluice_engine::{EngineError, FetchAsk, Fetched, Limits, OffsetSpec, Settings};
use sluice_store::{ByteChunks, ObjectStore, PutOptions};

use super::support::{Cluster, batch, call, decode, numbered, topic};

// Holds: I-06
#[tokio::test(start_paused = true)]
async fn any_gateway_serves_any_partition() {
    let mut cluster = Cluster::new();
    let (a, b) = (cluster.gateway().await, cluster.gateway().await);
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    b.produce("t", 0, batch(&["b"])).await.unwrap();
    a.produce("t", 0, batch(&["c"])).await.unwrap();
    assert_eq!(a.values("t", 0, 0).await, numbered(&["a", "b", "c"]));
    assert_eq!(b.values("t", 0, 0).await, numbered(&["a", "b", "c"]));
}

// Holds: T4
#[tokio::test(start_paused = true)]
async fn a_long_poll_sees_what_another_gateway_writes_within_the_poll_interval() {
    let mut cluster = Cluster::new();
    let (a, b) = (cluster.gateway().await, cluster.gateway().await);
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    assert_eq!(decode(&b.fetch("t", 0, 0).await).len(), 1);
    let started = tokio::time::Instant::now();
    let waiting = b.fetch_waiting("t", 0, 1, Duration::from_secs(60));
    let writing = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        a.produce("t", 0, batch(&["b"])).await.unwrap();
    };
    let (fetched, ()) = tokio::join!(waiting, writing);
    assert_eq!(decode(&fetched), [(1, "b".to_owned())]);
    let waited = started.elapsed();
    assert!(waited < Duration::from_millis(3_000 + 260), "{waited:?}: one slow poll at most");
}

// Holds: T4
#[tokio::test(start_paused = true)]
async fn a_gateway_without_requests_sends_nothing() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    a.engine.ensure_fresh().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = a.engine.metrics().log_reads.get();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    assert_eq!(a.engine.metrics().log_reads.get(), before);
    // And while it serves, it refreshes once a second.
    for _ in 0..40 {
        a.engine.ensure_fresh().await.unwrap();
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    let reads = a.engine.metrics().log_reads.get() - before;
    assert!((9..=13).contains(&reads), "{reads} reads in 10 s");
}

// Holds: T5
#[tokio::test(start_paused = true)]
async fn no_absence_and_no_range_is_judged_from_an_old_state() {
    let mut cluster = Cluster::new();
    let (a, b) = (cluster.gateway().await, cluster.gateway().await);
    assert!(matches!(b.describe("t", false).await, Err(EngineError::UnknownTopic)));
    a.produce("t", 0, batch(&["a", "b"])).await.unwrap();
    // b has not polled since: it must ask before it says no.
    assert_eq!(b.describe("t", false).await.unwrap(), 1);
    a.produce("t", 0, batch(&["c", "d"])).await.unwrap();
    let fetched = b.fetch("t", 0, 3).await;
    assert_eq!(fetched.error.map(|e| e.to_string()), None, "offset 3 exists");
    assert_eq!(b.offset("t", OffsetSpec::Latest).await.offset, 4);
    let fetched = b.fetch("t", 0, 5).await;
    assert!(matches!(fetched.error, Some(EngineError::OffsetOutOfRange)));
    // As Kafka 4.3.1: nothing is told of a log that nothing could be read from.
    assert_eq!((fetched.high_watermark, fetched.log_start_offset), (-1, -1));
    assert!(matches!(b.fetch("nowhere", 0, 0).await.error, Some(EngineError::UnknownTopic)));
    assert!(matches!(b.fetch("t", 9, 0).await.error, Some(EngineError::UnknownPartition)));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_from_the_middle_of_an_extent_starts_at_its_batch() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.produce("t", 0, batch(&["a", "b", "c"])).await.unwrap();
    a.produce("t", 0, batch(&["d"])).await.unwrap();
    let fetched = decode(&a.fetch("t", 0, 1).await);
    assert_eq!(fetched.first().map(|(offset, _)| *offset), Some(0), "the whole batch, as Kafka sends it");
    assert_eq!(decode(&a.fetch("t", 0, 3).await), [(3, "d".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn budgets_hold_but_the_first_batch_is_whole() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), Settings { default_partitions: 2, ..Settings::default() }).await;
    let value = "x".repeat(1000);
    for partition in [0, 1] {
        for _ in 0..5 {
            a.produce("t", partition, batch(&[&value])).await.unwrap();
        }
    }
    let ask = |partition, max_bytes| FetchAsk {
        topic: topic("t"),
        partition,
        offset: 0,
        max_bytes,
        leader_epoch: None,
        last_fetched_epoch: None,
    };
    let mut tight = call(vec![ask(0, 10), ask(1, 10)], Duration::ZERO);
    let fetched = a.engine.fetch(tight.clone()).await;
    assert_eq!((decode(&fetched[0]).len(), decode(&fetched[1]).len()), (1, 0));
    tight.partitions = vec![ask(0, 2500), ask(1, 1 << 20)];
    let fetched = a.engine.fetch(tight.clone()).await;
    assert_eq!((decode(&fetched[0]).len(), decode(&fetched[1]).len()), (2, 5));
    tight.max_bytes = 3500;
    let fetched = a.engine.fetch(tight).await;
    assert_eq!((decode(&fetched[0]).len(), decode(&fetched[1]).len()), (2, 1));
}

// Holds: I-10
#[tokio::test(start_paused = true)]
async fn damaged_bytes_are_never_served() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.produce("t", 0, batch(&["precious"])).await.unwrap();
    let info = cluster.objects.list("", None, 1).await.unwrap().remove(0);
    let mut bytes = cluster.objects.get(&info.key, sluice_store::ByteRange::Full).await.unwrap().to_bytes().to_vec();
    bytes[65] ^= 1;
    let _ = cluster.objects.delete(std::slice::from_ref(&info.key)).await;
    let damaged = ByteChunks::from(bytes::Bytes::from(bytes));
    cluster.objects.put(&info.key, damaged, PutOptions::default()).await.unwrap();
    let b = cluster.gateway().await;
    let fetched = b.fetch("t", 0, 0).await;
    assert!(matches!(fetched.error, Some(EngineError::StorageCorrupt(_))), "{:?}", fetched.error);
    assert!(fetched.records.is_empty());
    assert_eq!(b.engine.metrics().corrupt_extents.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_missing_segment_is_an_error_and_not_an_empty_answer() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.produce("t", 0, batch(&["precious"])).await.unwrap();
    let info = cluster.objects.list("", None, 1).await.unwrap().remove(0);
    let _ = cluster.objects.delete(&[info.key]).await;
    let b = cluster.gateway().await;
    let fetched = b.fetch("t", 0, 0).await;
    assert!(matches!(fetched.error, Some(EngineError::StorageUnavailable(_))), "{:?}", fetched.error);
}

#[tokio::test(start_paused = true)]
async fn offsets_by_timestamp_are_exact_to_the_record() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    // Timestamps 1000, 1001, 1002 in each.
    a.produce("t", 0, batch(&["a", "b", "c"])).await.unwrap();
    a.produce("t", 0, batch(&["d"])).await.unwrap();
    let b = cluster.gateway().await;
    for gateway in [&a, &b] {
        let at = |target| gateway.offset("t", OffsetSpec::Timestamp(target));
        assert_eq!((at(0).await.offset, at(1001).await.offset, at(1002).await.offset), (0, 1, 2));
        assert_eq!(at(1002).await.timestamp, 1002);
        assert_eq!((at(1003).await.offset, at(1003).await.timestamp), (-1, -1));
        assert_eq!(gateway.offset("t", OffsetSpec::MaxTimestamp).await.offset, 2);
        assert_eq!(gateway.offset("t", OffsetSpec::Earliest).await.offset, 0);
        assert_eq!(gateway.offset("t", OffsetSpec::LatestTiered).await.offset, -1);
    }
}

fn bytes_of(fetched: &Fetched) -> usize {
    fetched.records.iter().map(bytes::Bytes::len).sum()
}

// Holds: I-14 (records that were read and not sent count, and nobody waits for much while there is little)
#[tokio::test(start_paused = true)]
async fn records_that_are_not_sent_keep_their_room_and_others_get_little() {
    let mut cluster = Cluster::new();
    let limits = Limits { fetch_bytes_max: 100_000, fetch_bytes_scarce: 10_000, ..Limits::default() };
    let gateway = cluster.gateway_with(limits, Settings::default()).await;
    let value = "v".repeat(8_000);
    for _ in 0..5 {
        gateway.produce("t", 0, batch(&[&value])).await.unwrap();
    }
    // All five, twice over; then two extents at once at most, until even for these there is no room.
    let slow = [gateway.fetch("t", 0, 0).await, gateway.fetch("t", 0, 0).await];
    let sizes: Vec<usize> = slow.iter().map(bytes_of).collect();
    assert!(sizes.iter().all(|size| (40_000..42_000).contains(size)), "{sizes:?}");
    let little = gateway.fetch("t", 0, 0).await;
    assert!(little.error.is_none() && (8_000..17_000).contains(&bytes_of(&little)), "{}", bytes_of(&little));
    let started = tokio::time::Instant::now();
    let refused = gateway.fetch("t", 0, 0).await;
    assert!(matches!(refused.error, Some(EngineError::StorageUnavailable(_))), "{:?}", refused.error);
    assert_eq!((started.elapsed().as_secs(), refused.high_watermark), (10, 5));
    // Sent, or given up with their connection.
    drop(slow);
    assert!((40_000..42_000).contains(&bytes_of(&gateway.fetch("t", 0, 0).await)));
    drop(little);
    // Nothing leaks: what is over is given back, and what is asked for in vain.
    for offset in [0, 5, 4, 0].into_iter().cycle().take(100) {
        let fetched = gateway.fetch("t", 0, offset).await;
        assert!(fetched.error.is_none(), "{:?}", fetched.error);
        assert_eq!(bytes_of(&fetched) > 40_000, offset == 0);
    }
}
