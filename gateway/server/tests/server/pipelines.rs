//! One connection, any mixture of slow and fast requests of every API, cut into any pieces: I-07.

use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use sluice_protocol::messages::join_group::JoinGroupRequestProtocol;
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::*;
use sluice_protocol::{ErrorCode, KString, Request, decode_response, encode_request};
use sluice_server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Cluster, Topic, batch, fetch_request, limited, produce_request};

/// What is asked; the numbers are a version and whatever else the request varies by.
#[derive(Debug, Clone, Copy)]
struct Ask {
    kind: usize,
    version: u8,
    vary: u16,
}

/// A request on its way, and how its answer is told from others.
struct Sent {
    name: String,
    frame: Bytes,
    /// Reads a whole answer: its correlation id.
    read: Option<fn(&Bytes, i16) -> i32>,
    answer_version: i16,
}

fn read<R: Request>(frame: &Bytes, version: i16) -> i32 {
    decode_response::<R>(frame, version).unwrap_or_else(|e| panic!("no answer of {} {version}: {e}", R::KEY)).0
}

fn sent<R: Request>(id: i32, version: i16, request: &R) -> Sent {
    let frame = encode_request(id, Some("pipeline"), version, request).unwrap().to_bytes();
    Sent { name: format!("{} {version}", R::KEY), frame, read: Some(read::<R>), answer_version: version }
}

/// As [`sent`], in a version between the lowest and the highest that the gateway reads.
fn ask_any<R: Request>(id: i32, ask: Ask, min: i16, request: &R) -> Sent {
    sent(id, min + i16::from(ask.version) % (R::MAX_VERSION - min + 1), request)
}

fn produce(id: i32, ask: Ask, topic: &Topic) -> Sent {
    let version = 3 + i16::from(ask.version) % 11;
    let value = "v".repeat(usize::from(ask.vary) % 3_000);
    let mut request = produce_request(version, topic, i32::from(ask.vary % 2), Some(batch(&[&value])));
    request.acks = [-1, 1, 0][usize::from(ask.vary) % 3];
    let is_answered = request.acks != 0;
    let sent = sent(id, version, &request);
    Sent { read: sent.read.filter(|_| is_answered), ..sent }
}

/// At once where something is there and one byte is enough; else a long poll.
fn fetch(id: i32, ask: Ask, topic: &Topic) -> Sent {
    let version = 4 + i16::from(ask.version) % 15;
    let mut request = fetch_request(version, topic, i32::from(ask.vary % 2), 0);
    request.max_wait_ms = i32::from(ask.vary % 700);
    request.min_bytes = [1, i32::MAX][usize::from(ask.vary / 2) % 2];
    sent(id, version, &request)
}

/// Without a member id: before version 4 it waits for the group's delay, from then on it is told an id at once.
fn join(id: i32, ask: Ask) -> Sent {
    let request = JoinGroupRequest {
        group_id: KString::from(format!("group-{id}")),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: KString::from("consumer"),
        protocols: vec![JoinGroupRequestProtocol { name: KString::from("range"), metadata: Bytes::new() }],
        ..JoinGroupRequest::default()
    };
    ask_any(id, ask, 0, &request)
}

fn list_offsets(id: i32, ask: Ask) -> Sent {
    let partitions = vec![ListOffsetsPartition { timestamp: -1, ..ListOffsetsPartition::default() }];
    let topics = vec![ListOffsetsTopic { name: KString::from("t"), partitions }];
    ask_any(id, ask, 1, &ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() })
}

/// KIP-511: a version that does not exist yet is answered in version 0.
fn api_versions_of_the_future(id: i32) -> Sent {
    let mut body = [&18_i16.to_be_bytes()[..], &999_i16.to_be_bytes(), &id.to_be_bytes(), &[0xff; 20]].concat();
    body.splice(0..0, 28_i32.to_be_bytes());
    let read = Some(read::<ApiVersionsRequest> as fn(&Bytes, i16) -> i32);
    Sent { name: "ApiVersions 999".to_owned(), frame: body.into(), read, answer_version: 0 }
}

const KINDS: usize = 20;

fn request(id: i32, ask: Ask, topic: &Topic) -> Sent {
    let group_id = KString::from("g");
    let member_id = KString::from("nobody");
    match ask.kind {
        0 | 1 => produce(id, ask, topic),
        2 | 3 => fetch(id, ask, topic),
        4 => join(id, ask),
        5 => list_offsets(id, ask),
        6 => ask_any(id, ask, 0, &MetadataRequest::default()),
        7 => ask_any(id, ask, 0, &ApiVersionsRequest::default()),
        8 => api_versions_of_the_future(id),
        9 => ask_any(id, ask, 0, &FindCoordinatorRequest::default()),
        10 => ask_any(id, ask, 0, &HeartbeatRequest { group_id, member_id, ..HeartbeatRequest::default() }),
        11 => ask_any(id, ask, 0, &SyncGroupRequest { group_id, member_id, ..SyncGroupRequest::default() }),
        12 => ask_any(id, ask, 0, &LeaveGroupRequest { group_id, ..LeaveGroupRequest::default() }),
        13 => ask_any(id, ask, 0, &OffsetCommitRequest { group_id, ..OffsetCommitRequest::default() }),
        14 => ask_any(id, ask, 0, &OffsetFetchRequest::default()),
        15 => {
            ask_any(id, ask, 0, &InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() })
        }
        16 => ask_any(id, ask, 2, &CreateTopicsRequest { timeout_ms: 1_000, ..CreateTopicsRequest::default() }),
        17 => {
            ask_any(id, ask, 0, &DescribeGroupsRequest { groups: vec![group_id], ..DescribeGroupsRequest::default() })
        }
        18 => ask_any(id, ask, 0, &ListGroupsRequest::default()),
        _ => ask_any(id, ask, 0, &DeleteGroupsRequest { groups_names: vec![group_id] }),
    }
}

fn ask_strategy() -> impl Strategy<Value = Ask> {
    (0..KINDS, any::<u8>(), any::<u16>()).prop_map(|(kind, version, vary)| Ask { kind, version, vary })
}

/// How the bytes go and come: pieces of so many bytes, each after so many milliseconds.
fn pace_strategy() -> impl Strategy<Value = Vec<(usize, u64)>> {
    let size = prop_oneof![2 => 1..40_usize, 1 => 40..100_000_usize];
    prop::collection::vec((size, prop_oneof![3 => Just(0_u64), 1 => 0..400_u64]), 1..16)
}

fn limits(turn_requests: usize, in_flight: usize) -> Limits {
    Limits { turn_requests, produces_in_flight_max: in_flight, ..Limits::default() }
}

/// Sends and receives at these paces; the answers, in the order in which they came.
async fn answers_of(
    limits: Limits,
    asks: &[Ask],
    writes: &[(usize, u64)],
    reads: &[(usize, u64)],
) -> (Vec<Sent>, Vec<Bytes>) {
    let gateway = Cluster::new().gateway_with(sluice_engine::Settings::default(), limited(limits)).await;
    let mut neighbour = gateway.client().await;
    let topic = Topic::new(&mut neighbour, "t").await;
    let requests: Vec<Sent> = (1000..).zip(asks).map(|(id, ask)| request(id, *ask, &topic)).collect();
    let bytes: Vec<u8> = requests.iter().flat_map(|sent| sent.frame.to_vec()).collect();
    let (mut reading, mut writing) = tokio::io::split(gateway.client().await.stream);
    let write = async {
        let mut rest = bytes.as_slice();
        for (size, pause_ms) in writes.iter().cycle() {
            let (piece, behind) = rest.split_at((*size).min(rest.len()));
            writing.write_all(piece).await.unwrap();
            rest = behind;
            if rest.is_empty() {
                break;
            }
            sleep(Duration::from_millis(*pause_ms)).await;
        }
    };
    let wanted = requests.iter().filter(|sent| sent.read.is_some()).count();
    let receive = async {
        let (mut answers, mut paces) = (Vec::new(), reads.iter().cycle());
        while answers.len() < wanted {
            let mut frame = vec![0; usize::try_from(reading.read_i32().await.expect("an answer")).unwrap()];
            let (size, pause_ms) = paces.next().unwrap();
            for piece in frame.chunks_mut(*size) {
                reading.read_exact(piece).await.unwrap();
            }
            sleep(Duration::from_millis(*pause_ms)).await;
            answers.push(Bytes::from(frame));
        }
        answers
    };
    let ((), answers) =
        timeout(Duration::from_secs(3_600), async { tokio::join!(write, receive) }).await.expect("lost");
    // Nothing comes twice: after the last answer there is the end.
    writing.shutdown().await.unwrap();
    let mut rest = Vec::new();
    reading.read_to_end(&mut rest).await.unwrap();
    assert!(rest.is_empty(), "{} bytes behind the last answer", rest.len());
    (requests, answers)
}

// Holds: I-07
#[test]
fn every_request_has_one_answer_of_its_own_kind_in_its_place_however_slow_its_neighbours_are() {
    let config = ProptestConfig {
        cases: 48,
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(7),
        ..ProptestConfig::default()
    };
    let strategy = (
        prop::collection::vec(ask_strategy(), 1..60),
        pace_strategy(),
        pace_strategy(),
        prop_oneof![1..5_usize, Just(64)],
        1..9_usize,
    );
    proptest!(config, |((asks, writes, reads, turn_requests, in_flight) in strategy)| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let (requests, answers) =
            runtime.block_on(answers_of(limits(turn_requests, in_flight), &asks, &writes, &reads));
        let mut answers = answers.into_iter();
        for (id, sent) in (1000..).zip(&requests) {
            let Some(read) = sent.read else { continue };
            let answer = answers.next().unwrap();
            let head = i32::from_be_bytes(answer[..4].try_into().unwrap());
            prop_assert_eq!(head, id, "in the place of {} of {}", id, sent.name);
            prop_assert_eq!(read(&answer, sent.answer_version), id, "{}", sent.name);
        }
    });
}

/// As in Kafka a slow request holds up those behind it on its connection, and nobody else.
#[tokio::test(start_paused = true)]
async fn a_long_poll_holds_up_its_own_connection_alone() {
    let gateway = crate::support::gateway().await;
    let (mut slow, mut other) = (gateway.client().await, gateway.client().await);
    let topic = Topic::new(&mut slow, "t").await;
    let start = Instant::now();
    let poll = FetchRequest { max_wait_ms: 5_000, ..fetch_request(12, &topic, 0, 0) };
    let polled = slow.send(12, &poll).await;
    let asked = slow.send(0, &ApiVersionsRequest::default()).await;
    for _ in 0..100 {
        assert_eq!(other.call(0, &ApiVersionsRequest::default()).await.error_code, ErrorCode::NONE);
        other.describe(9, &["t"]).await;
    }
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(slow.receive::<FetchRequest>(12).await.0, polled);
    assert_eq!(start.elapsed().as_secs(), 5);
    assert_eq!(slow.receive::<ApiVersionsRequest>(0).await.0, asked);
}
