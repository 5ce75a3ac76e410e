//! How connections end: by strangers, by lengths, by peers that go away.

use std::time::Duration;

use sluice_protocol::messages::{JoinGroupRequest, MetadataRequest, ProduceRequest};
use sluice_protocol::messages::{LeaveGroupRequest, join_group::JoinGroupRequestProtocol};
use sluice_protocol::{ErrorCode, KString};
use sluice_tests::batches::batch;
use sluice_tests::crowd::{Peer, runtime};
use sluice_tests::process::wait_until;
use sluice_tests::raw::{RawClient, fetch_request, frame, produce_request};

use crate::{metadata, on_a_gateway};

/// "connection dropped when first bytes are not a Kafka frame": at once, with a line that says what they look like.
#[test]
fn strangers_are_told_apart_in_the_log() {
    on_a_gateway(&["--store", "memory"], |sluice| {
        let strangers: [(&[u8], &str); 4] = [
            (b"GET /metrics HTTP/1.1\r\nHost: broker\r\n\r\n", "this looks like HTTP"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "this looks like a TLS handshake"),
            (b"SSH-2.0-OpenSSH_9.6\r\n", "this looks like SSH"),
            (b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n", "this looks like a PROXY protocol header"),
        ];
        for (bytes, told) in strangers {
            let mut client = RawClient::connect(sluice.kafka);
            let _ = client.write(bytes);
            assert!(client.is_closed(), "{told}: answered");
            wait_until(told, Duration::from_secs(20), || sluice.log().contains(told));
        }
        assert_eq!(sluice.metric("sluice_connections_closed_total{reason=\"bad_frame\"}"), 4);
    });
}

/// `socket.request.max.bytes`: as in Kafka 4.3.1 the longest request is served, one more byte closes the connection at its
/// length, and what came before is answered.
#[test]
fn the_longest_request_is_served_and_a_longer_one_is_not_waited_for() {
    on_a_gateway(&["--store", "memory", "--socket-request-max-bytes", "100000"], |sluice| {
        let of_length = |wanted: usize| {
            let of = |value: usize| frame(5, 9, &produce_request("t", 0, batch(&[&vec![7; value]])));
            let other = of(90_000).len() - 90_000;
            let request = of(wanted + 4 - other);
            assert_eq!(request.len(), wanted + 4);
            request
        };
        let mut client = RawClient::connect(sluice.kafka);
        client.write(&of_length(100_000)).unwrap();
        let (_, answer) = client.receive::<ProduceRequest>(9);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::NONE);
        client.write(&[metadata(6), 100_001_i32.to_be_bytes().to_vec()].concat()).unwrap();
        assert_eq!(client.receive::<MetadataRequest>(12).0, 6);
        assert!(client.is_closed());
    });
}

/// As Kafka 4.3.1 does with the same bytes: what is there before the end is carried out and answered.
#[test]
fn requests_before_an_end_are_answered() {
    on_a_gateway(&["--store", "memory"], |sluice| {
        let mut control = RawClient::connect(sluice.kafka);
        assert_eq!(control.create_topic("t", 1), ErrorCode::NONE);
        let poll = frame(1, 12, &fetch_request("t", 0, 0, 1_000));
        let requests = [poll, metadata(2), frame(3, 9, &produce_request("t", 0, batch(&[b"x"]))), metadata(4)].concat();
        runtime().block_on(async {
            let mut peer = Peer::connect(sluice.kafka).await;
            peer.write(&requests).await.unwrap();
            peer.finish_writing().await;
            for id in 1..=4_i32 {
                let answer = peer.answer().await.expect("an answer");
                assert_eq!(answer[..4], id.to_be_bytes());
            }
            assert!(peer.answer().await.is_none());
        });
        assert_eq!(control.list_offset("t", 0, -1), Ok(1));
    });
}

// Holds: T7 (over sockets, with bytes between the request and the end: nothing but the end wakes who waits)
#[test]
fn a_join_whose_client_goes_away_behind_other_requests_ends_at_once() {
    // The Join would wait for ten minutes.
    on_a_gateway(&["--store", "memory", "--group-initial-rebalance-delay-ms", "600000"], |sluice| {
        let protocols = vec![JoinGroupRequestProtocol { name: KString::from("range"), ..Default::default() }];
        let join = JoinGroupRequest {
            group_id: KString::from("g"),
            session_timeout_ms: 600_000,
            rebalance_timeout_ms: 600_000,
            protocol_type: KString::from("consumer"),
            protocols,
            ..JoinGroupRequest::default()
        };
        let leave = LeaveGroupRequest { group_id: KString::from("g"), ..LeaveGroupRequest::default() };
        let mut client = RawClient::connect(sluice.kafka);
        client.send(3, &join);
        let begun = "sluice_requests_total{api=\"JoinGroup\",version=\"3\"}";
        wait_until("the Join waits", Duration::from_secs(20), || sluice.metric(begun) == 1);
        client.send(2, &leave);
        client.send(9, &MetadataRequest::default());
        assert_eq!(sluice.metric("sluice_connections"), 1);
        drop(client);
        wait_until("the connection ends", Duration::from_secs(20), || sluice.metric("sluice_connections") == 0);
        let left = "sluice_requests_total{api=\"LeaveGroup\",version=\"2\"}";
        assert_eq!(sluice.metric(left), 1, "LeaveGroup outlives its client");
    });
}
