//! Connections that ask nothing.

use std::time::{Duration, Instant};

use sluice_protocol::ErrorCode;
use sluice_tests::batches::batch;
use sluice_tests::crowd::{Peer, cpu_per_request, crowd, each, room_for, runtime};
use sluice_tests::process::wait_until;
use sluice_tests::raw::{RawClient, fetch_request, frame, produce_request};
use sluice_tests::skip::skip;

use crate::{first_requests, metadata, on_a_gateway, report};

const CONNECTIONS: usize = 10_000;
/// Most resident memory of an idle connection, in bytes.
const IDLE_BYTES_MAX: u64 = 20 << 10;
/// Connections before the first look: pools and arenas are there from then on.
const FIRST: usize = 500;

fn as_many_as_wanted(wanted: usize) -> usize {
    let count = room_for(wanted);
    if count < wanted {
        skip(&format!(
            "only {count} of {wanted} connections may be open at once: raise the limit of open files (ulimit -Hn)"
        ));
    }
    count
}

/// The middle one of the times that so many requests take, one after the other.
async fn median(client: &mut Peer) -> Duration {
    let mut times = Vec::new();
    for id in 0..200 {
        let start = Instant::now();
        client.ask(&metadata(id)).await;
        times.push(start.elapsed());
    }
    times.sort();
    times[times.len() / 2]
}

#[test]
fn ten_thousand_idle_connections_cost_little_and_disturb_nobody() {
    let count = as_many_as_wanted(CONNECTIONS);
    on_a_gateway(&["--store", "memory", "--max-connections", "10100"], |sluice| {
        runtime().block_on(async {
        let mut active = crowd(sluice.kafka, 1, &first_requests()).await.remove(0);
        let mut idle = crowd(sluice.kafka, FIRST, &first_requests()).await;
        let (quick, before) = (median(&mut active).await, sluice.resident_bytes().unwrap());
        let start = Instant::now();
        idle.extend(crowd(sluice.kafka, count - FIRST, &first_requests()).await);
        let opening = start.elapsed();
        let after = sluice.resident_bytes().unwrap();
        let each = (after - before) / u64::try_from(count - FIRST).unwrap();
        let (beside, cpu_before) = (median(&mut active).await, sluice.cpu_time());
        report(&format!(
            "{count} idle: {each} bytes each, {} MiB in all; opened in {opening:.1?}; a Metadata takes {beside:?} beside \
             them, {quick:?} beside {FIRST}",
            after >> 20
        ));
        assert!(each <= IDLE_BYTES_MAX, "{each} bytes of memory for an idle connection");
        assert_eq!(sluice.metric("sluice_connections"), i64::try_from(count + 1).unwrap());
        // Whoever comes now is served as well, and the idle ones are still connected.
        assert!(cpu_before > Duration::ZERO);
        for peer in idle.iter_mut().step_by(997) {
            peer.ask(&metadata(5)).await;
        }
        assert!(beside < 10 * quick + Duration::from_millis(20), "{beside:?} beside idle ones, {quick:?} without");
    });
    });
}

/// Buffers of large requests are not kept for the next one.
#[test]
fn connections_that_sent_a_mebibyte_each_are_small_when_they_idle() {
    const EACH: usize = 300;
    on_a_gateway(&["--store", "disk", "--cache-bytes", "8388608"], |sluice| {
        runtime().block_on(async {
            let value = vec![7; (1 << 20) - 200];
            let large = frame(9, 9, &produce_request("large", 0, batch(&[&value])));
            let requests = [first_requests(), vec![large]].concat();
            let mut idle = Vec::new();
            let mut resident = Vec::new();
            for _ in 0..3 {
                for _ in 0..EACH / 20 {
                    idle.extend(crowd(sluice.kafka, 20, &requests).await);
                }
                resident.push(sluice.resident_bytes().unwrap());
            }
            // Reading, writing and the cache come and go by tens of megabytes; what connections keep is there for good.
            let each = resident[2].saturating_sub(resident[0].max(resident[1])) / u64::try_from(EACH).unwrap();
            let told = resident.iter().map(|bytes| format!("{} MiB", bytes >> 20)).collect::<Vec<_>>().join(", ");
            report(&format!("after 1 MiB each: {each} bytes for each of {EACH} idle ones; resident {told}"));
            assert!(each <= IDLE_BYTES_MAX, "{each} bytes of memory for an idle connection that sent 1 MiB");
            assert_eq!(sluice.metric("sluice_receiving_bytes"), 0);
            let mut client = RawClient::connect(sluice.kafka);
            assert_eq!(client.list_offset("large", 0, -1), Ok(3 * i64::try_from(EACH).unwrap()));
            drop(idle);
        });
    });
}

#[test]
fn idle_connections_are_closed_at_their_limit_and_busy_ones_are_not() {
    let settings = ["--store", "memory", "--connections-max-idle-ms", "2000"];
    on_a_gateway(&settings, |sluice| {
        runtime().block_on(async {
            assert_eq!(RawClient::connect(sluice.kafka).create_topic("t", 1), ErrorCode::NONE);
            // A long poll is longer than the limit, and another connection asks all the time.
            let mut polling = Peer::connect(sluice.kafka).await;
            polling.write(&frame(7, 12, &fetch_request("t", 0, 0, 5_000))).await.unwrap();
            let start = Instant::now();
            let idle = crowd(sluice.kafka, 200, &first_requests()).await;
            let mut busy = crowd(sluice.kafka, 1, &first_requests()).await.remove(0);
            let ended = tokio::spawn(async move {
                for mut peer in idle {
                    assert!(peer.answer().await.is_none(), "an idle connection was told something");
                }
                start.elapsed()
            });
            while !ended.is_finished() {
                busy.ask(&metadata(3)).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let ended = ended.await.unwrap();
            assert!(ended >= Duration::from_millis(2_000), "closed after {ended:?}");
            assert!(polling.answer().await.is_some(), "a long poll is no idleness");
            let closed = || sluice.metric("sluice_connections_closed_total{reason=\"idle\"}");
            wait_until("closed for their idleness", Duration::from_secs(20), || closed() >= 200);
        });
    });
}

/// The same number of requests over more connections costs about the same.
#[test]
fn a_thousand_connections_have_most_of_the_throughput_of_sixteen() {
    const REQUESTS: usize = 5_000;
    const ATTEMPTS: usize = 12;
    const PARTITIONS: usize = 12;
    let many = as_many_as_wanted(1_000);
    on_a_gateway(&["--store", "memory"], |sluice| {
        let mut client = RawClient::connect(sluice.kafka);
        assert_eq!(client.create_topic("small", i32::try_from(PARTITIONS).unwrap()), ErrorCode::NONE);
        assert_eq!(client.create_topic("empty", 1), ErrorCode::NONE);
        let produce = |n: usize| {
            let partition = i32::try_from(n % PARTITIONS).unwrap();
            frame(3, 9, &produce_request("small", partition, batch(&[&[7; 100]])))
        };
        let fetch = |_| frame(3, 12, &fetch_request("empty", 0, 0, 0));
        runtime().block_on(async {
            let mut few = crowd(sluice.kafka, 16, &first_requests()).await;
            let mut crowd = crowd(sluice.kafka, many, &first_requests()).await;
            for (name, request) in [("small produce", &produce as &dyn Fn(usize) -> Vec<u8>), ("empty fetch", &fetch)] {
                // Not counted: what is only needed once.
                cpu_per_request(sluice, &mut few, REQUESTS, request).await;
                cpu_per_request(sluice, &mut crowd, REQUESTS, request).await;
                // The best of several: caches are shared with whatever else the machine does.
                let mut best = (f64::MAX, f64::MAX);
                for _ in 0..ATTEMPTS {
                    best.0 = best.0.min(cpu_per_request(sluice, &mut few, REQUESTS, request).await.as_secs_f64());
                    best.1 = best.1.min(cpu_per_request(sluice, &mut crowd, REQUESTS, request).await.as_secs_f64());
                    if best.0 / best.1 >= 0.9 {
                        break;
                    }
                }
                let share = 100.0 * best.0 / best.1;
                report(&format!(
                    "{name}: {:.1} us of CPU at 16 connections, {:.1} at {many}: {share:.0} % of the throughput",
                    best.0 * 1e6,
                    best.1 * 1e6
                ));
                assert!(share >= 80.0, "{name}: {share:.0} % of the throughput of 16 connections");
            }
            drop(each(crowd, &[metadata(1)]).await);
        });
    });
}
