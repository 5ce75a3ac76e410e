//! Peers that read too little, and peers that send too slowly.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use sluice_protocol::ErrorCode;
use sluice_protocol::messages::{FetchRequest, ListGroupsRequest};
use sluice_tests::batches::batch;
use sluice_tests::crowd::{DEADLINE, Peer, crowd, runtime};
use sluice_tests::raw::{RawClient, fetch_request, frame, produce_request};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::{first_requests, metadata, on_a_gateway, report};

const SLOW_READERS: &str = "sluice_connections_closed_total{reason=\"slow_reader\"}";

/// A Fetch of up to 50 MiB of one partition, as consumers send it by default.
fn large_fetch(topic: &str) -> FetchRequest {
    let mut request = fetch_request(topic, 0, 0, 500);
    request.max_bytes = 50 << 20;
    request.topics[0].partitions[0].partition_max_bytes = 50 << 20;
    request
}

/// Fifty megabytes for each of sixteen readers, none of which reads: they get what there is room for, and are dropped when
/// there is too little, while others are served.
#[test]
fn readers_that_do_not_read_hold_a_bounded_amount_and_are_dropped() {
    const READERS: usize = 16;
    // What a gateway gives to Fetches, its cache, and what reading and the allocator need besides.
    const RESIDENT_MAX: u64 = (256 + 8 + 128) << 20;
    on_a_gateway(&["--store", "disk", "--cache-bytes", "8388608"], |sluice| {
        let mut modest = RawClient::connect(sluice.kafka);
        assert_eq!(modest.create_topic("large", 1), ErrorCode::NONE);
        assert_eq!(modest.create_topic("small", 1), ErrorCode::NONE);
        let large = batch(&[&vec![7; (1 << 20) - 200]]);
        for _ in 0..50 {
            assert_eq!(modest.produce("large", 0, &large).error_code, ErrorCode::NONE);
        }
        let before = sluice.resident_bytes().unwrap();
        runtime().block_on(async {
        let mut readers = crowd(sluice.kafka, READERS, &first_requests()).await;
        for reader in &mut readers {
            reader.write(&frame(5, 12, &large_fetch("large"))).await.unwrap();
        }
        let (start, mut most_waiting, mut most_resident, mut served) = (Instant::now(), 0, 0, 0);
        while sluice.metric(SLOW_READERS) == 0 {
            assert!(start.elapsed() < DEADLINE, "nobody was dropped");
            most_waiting = sluice.metric("sluice_waiting_answer_bytes").max(most_waiting);
            most_resident = sluice.resident_bytes().unwrap().max(most_resident);
            assert_eq!(modest.produce("small", 0, &batch(&[b"x"])).error_code, ErrorCode::NONE);
            let block = modest.fetch("small", 0, served, 0);
            assert_eq!((block.error_code, block.high_watermark), (ErrorCode::NONE, served + 1));
            served += 1;
        }
        report(&format!(
            "{READERS} readers of 50 MiB that do not read: at most {} MiB wait, {} MiB resident ({} before); the first \
             was dropped after {:.1?}, {served} small produces and fetches meanwhile",
            most_waiting >> 20,
            most_resident >> 20,
            before >> 20,
            start.elapsed()
        ));
        assert!(most_waiting > 192 << 20, "too little for this test: {most_waiting}");
        assert!(most_waiting <= 256 << 20, "{most_waiting} bytes of answers wait");
        assert!(most_resident <= RESIDENT_MAX, "{most_resident} bytes are resident");
    });
        // Who reads gets everything.
        let answer = modest.request(12, &large_fetch("large"));
        let block = &answer.responses[0].partitions[0];
        let got = block.records.as_ref().map_or(0, sluice_protocol::Rope::len);
        assert!(got >= large.len(), "{got} bytes, {:?}", block.error_code);
    });
}

/// Requests without end from clients that read nothing: few of them are taken in.
#[test]
fn floods_of_requests_that_are_never_read_are_not_taken_in() {
    const FLOODS: usize = 50;
    on_a_gateway(&["--store", "memory"], |sluice| {
        runtime().block_on(async {
            let mut active = crowd(sluice.kafka, 1, &first_requests()).await.remove(0);
            let floods = crowd(sluice.kafka, FLOODS, &first_requests()).await;
            let before = sluice.resident_bytes().unwrap();
            let flood: Vec<u8> = (0..2_000).flat_map(|id| frame(id, 3, &ListGroupsRequest::default())).collect();
            let flood: Arc<[u8]> = flood.into();
            let mut flooding = JoinSet::new();
            for peer in floods {
                let flood = Arc::clone(&flood);
                flooding.spawn(async move { (write_until_full(&peer, &flood).await, peer) });
            }
            active.ask(&metadata(3)).await;
            let floods = flooding.join_all().await;
            let sent: usize = floods.iter().map(|(sent, _)| sent).sum();
            let each = sluice.resident_bytes().unwrap().saturating_sub(before) / u64::try_from(FLOODS).unwrap();
            report(&format!("{FLOODS} floods of {} KiB: {each} bytes of memory each", (sent / FLOODS) >> 10));
            // A read buffer, the answers that may be ahead, and one turn of requests.
            assert!(each <= 512 << 10, "{each} bytes for each flood");
            for id in 0..100 {
                active.ask(&metadata(id)).await;
            }
            drop(floods);
        });
    });
}

/// How many bytes the other side takes before it takes nothing for a while.
async fn write_until_full(peer: &Peer, bytes: &[u8]) -> usize {
    let mut sent = 0;
    loop {
        let is_writable = timeout(Duration::from_millis(200), peer.stream.writable()).await.is_ok();
        // Always whole requests, so that the last is not half-sent for ever.
        let written = peer.stream.try_write(&bytes[sent % bytes.len()..]);
        match written {
            Ok(written) => sent += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock && is_writable => {}
            Err(_) => return sent,
        }
        assert!(sent < 1 << 30, "a gigabyte of requests was taken in unread");
    }
}

#[test]
fn a_thousand_clients_that_write_a_byte_at_a_time_are_served_for_little() {
    const CLIENTS: usize = 1_000;
    on_a_gateway(&["--store", "memory"], |sluice| {
        runtime().block_on(async {
            let mut clients = crowd(sluice.kafka, CLIENTS, &first_requests()).await;
            let request = metadata(77);
            let (before, cpu) = (sluice.resident_bytes().unwrap(), sluice.cpu_time());
            let mut most = before;
            for (n, byte) in request.iter().enumerate() {
                for client in &mut clients {
                    client.write(&[*byte]).await.unwrap();
                }
                if n % 8 == 1 {
                    most = sluice.resident_bytes().unwrap().max(most);
                }
            }
            for client in &mut clients {
                assert_eq!(client.answer().await.expect("an answer")[..4], 77_i32.to_be_bytes());
            }
            let each = (most - before) / u64::try_from(CLIENTS).unwrap();
            let spent = sluice.cpu_time() - cpu;
            let per_byte = spent / u32::try_from(CLIENTS * request.len()).unwrap();
            report(&format!(
                "{CLIENTS} clients, a byte at a time: {each} bytes of memory each, {per_byte:?} of CPU a byte"
            ));
            assert!(each <= 16 << 10, "{each} bytes of memory for each of them");
            assert!(per_byte < Duration::from_millis(1), "{per_byte:?} of CPU for a byte");
        });
    });
}

/// A length of 100 MiB, and little behind it.
#[test]
fn a_thousand_long_frames_of_which_little_comes_take_little_and_nothing_from_others() {
    const CLIENTS: usize = 1_000;
    const SENT: usize = 2_000;
    on_a_gateway(&["--store", "memory"], |sluice| {
        let mut honest = RawClient::connect(sluice.kafka);
        assert_eq!(honest.create_topic("t", 1), ErrorCode::NONE);
        let large = batch(&[&vec![7; (1 << 20) - 200]]);
        assert_eq!(honest.produce("t", 0, &large).error_code, ErrorCode::NONE);
        runtime().block_on(async {
            let mut clients = crowd(sluice.kafka, CLIENTS, &first_requests()).await;
            let before = sluice.resident_bytes().unwrap();
            let mut start = frame(1, 9, &produce_request("t", 0, large.clone()));
            start.truncate(SENT);
            start[..4].copy_from_slice(&(100_i32 << 20).to_be_bytes());
            for client in &mut clients {
                client.write(&start).await.unwrap();
            }
            let received = || usize::try_from(sluice.metric("sluice_receiving_bytes")).unwrap();
            let deadline = Instant::now() + DEADLINE;
            while received() < CLIENTS * SENT {
                assert!(Instant::now() < deadline, "{} bytes are counted", received());
                sleep(Duration::from_millis(10)).await;
            }
            let each = sluice.resident_bytes().unwrap().saturating_sub(before) / u64::try_from(CLIENTS).unwrap();
            let counted = received() / CLIENTS;
            report(&format!(
                "{CLIENTS} frames of 100 MiB, {SENT} bytes each sent: {each} bytes of memory each, {counted} counted"
            ));
            assert!(counted <= 16 << 10, "{counted} bytes are counted for each");
            assert!(each <= 32 << 10, "{each} bytes of memory for each");
        });
        for _ in 0..20 {
            assert_eq!(honest.produce("t", 0, &large).error_code, ErrorCode::NONE);
        }
    });
}
