//! A few connections that want everything, beside many that want a little.
//!
//! Judged by counts: while each of the modest ones has its requests answered one after the other, so many of the greedy
//! ones' are. A server that served the greedy ones first would answer thousands of these for each of those.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use sluice_protocol::ErrorCode;
use sluice_protocol::messages::FetchRequest;
use sluice_tests::batches::batch;
use sluice_tests::crowd::{Peer, crowd, runtime};
use sluice_tests::process::Sluice;
use sluice_tests::raw::{RawClient, fetch_request, frame, produce_request};
use tokio::task::JoinSet;

use crate::{first_requests, metadata, on_a_gateway, report};

const GREEDY: usize = 4;
const IN_FLIGHT: usize = 5;
const MODEST: usize = 20;
/// Requests of each modest connection.
const EACH: usize = 15;
/// Greedy requests in a round of the modest ones, as a multiple of those that are in flight: a round waits for what is in
/// front of it, some flushes included. Whoever is starved has thousands.
const FAIR: usize = 20;

/// Sends the request again for each answer, so that five are always on their way; counts the answers.
async fn take_all(mut peer: Peer, request: Vec<u8>, answered: Arc<AtomicUsize>) {
    for _ in 0..IN_FLIGHT {
        peer.write(&request).await.unwrap();
    }
    loop {
        peer.answer().await.expect("an answer to a greedy one");
        answered.fetch_add(1, Ordering::Relaxed);
        peer.write(&request).await.unwrap();
    }
}

/// How many greedy requests are answered while the modest ones have all of theirs.
async fn compete(sluice: &Sluice, greedy: &[u8], modest: &[Vec<u8>]) -> usize {
    let answered = Arc::new(AtomicUsize::new(0));
    let mut taking = JoinSet::new();
    for peer in crowd(sluice.kafka, GREEDY, &first_requests()).await {
        taking.spawn(take_all(peer, greedy.to_vec(), Arc::clone(&answered)));
    }
    let peers = crowd(sluice.kafka, MODEST, &first_requests()).await;
    // They compete from here on: each greedy one has been served.
    while answered.load(Ordering::Relaxed) < GREEDY * IN_FLIGHT {
        tokio::task::yield_now().await;
        assert!(taking.try_join_next().is_none(), "a greedy connection ended");
    }
    let before = answered.load(Ordering::Relaxed);
    let mut asking = JoinSet::new();
    for mut peer in peers {
        let modest = modest.to_vec();
        asking.spawn(async move {
            for request in modest.iter().cycle().take(EACH) {
                peer.ask(request).await;
            }
        });
    }
    asking.join_all().await;
    answered.load(Ordering::Relaxed) - before
}

/// Sees that greedy requests, called so, take no more than their share from small ones of another topic.
fn is_fair(sluice: &Sluice, what: &str, greedy: &[u8]) {
    let modest = [
        metadata(1),
        frame(2, 9, &produce_request("small", 0, batch(&[b"x"]))),
        frame(3, 12, &fetch_request("small", 0, 0, 0)),
    ];
    let answered = runtime().block_on(compete(sluice, greedy, &modest));
    report(&format!("{GREEDY} x {IN_FLIGHT} {what}: {answered} while {MODEST} others had {EACH} small requests each"));
    let fair = FAIR * EACH * GREEDY * IN_FLIGHT;
    assert!(answered <= fair, "{answered} {what} for {EACH} rounds of small requests, {fair} would be fair");
}

/// A client, after it has made the two topics.
fn with_topics(sluice: &Sluice) -> RawClient {
    let mut control = RawClient::connect(sluice.kafka);
    for topic in ["large", "small"] {
        assert_eq!(control.create_topic(topic, 1), ErrorCode::NONE);
    }
    control
}

#[test]
fn endless_large_produces_do_not_starve_others() {
    on_a_gateway(&["--store", "memory", "--cache-bytes", "1048576"], |sluice| {
        drop(with_topics(sluice));
        let large = batch(&[&vec![7; (1 << 20) - 200]]);
        is_fair(sluice, "produces of 1 MiB", &frame(9, 9, &produce_request("large", 0, large)));
    });
}

#[test]
fn endless_large_fetches_do_not_starve_others() {
    on_a_gateway(&["--store", "memory"], |sluice| {
        let mut control = with_topics(sluice);
        let large = batch(&[&vec![7; (1 << 20) - 200]]);
        for _ in 0..4 {
            assert_eq!(control.produce("large", 0, &large).error_code, ErrorCode::NONE);
        }
        let mut fetch: FetchRequest = fetch_request("large", 0, 0, 0);
        fetch.topics[0].partitions[0].partition_max_bytes = 4 << 20;
        is_fair(sluice, "fetches of 4 MiB", &frame(9, 12, &fetch));
    });
}

/// Thousands of small requests in one write, again and again.
#[test]
fn endless_small_requests_do_not_starve_others() {
    on_a_gateway(&["--store", "memory"], |sluice| {
        let requests: usize = 500;
        let burst: Vec<u8> = (0..i32::try_from(requests).unwrap()).flat_map(metadata).collect();
        let answered = runtime().block_on(async {
            let answered = Arc::new(AtomicUsize::new(0));
            let mut taking = JoinSet::new();
            for mut peer in crowd(sluice.kafka, GREEDY, &first_requests()).await {
                let (burst, answered) = (burst.clone(), Arc::clone(&answered));
                taking.spawn(async move {
                    loop {
                        peer.write(&burst).await.unwrap();
                        for _ in 0..requests {
                            peer.answer().await.expect("an answer");
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            let mut modest = crowd(sluice.kafka, 1, &first_requests()).await.remove(0);
            while answered.load(Ordering::Relaxed) < requests {
                tokio::task::yield_now().await;
            }
            let before = answered.load(Ordering::Relaxed);
            for id in 0..100 {
                modest.ask(&metadata(id)).await;
            }
            answered.load(Ordering::Relaxed) - before
        });
        report(&format!("{GREEDY} floods of small requests: {answered} while another connection had 100 answered"));
        let fair = FAIR * 100 * GREEDY * 64;
        assert!(answered <= fair, "{answered} requests of the floods for 100 others");
    });
}
