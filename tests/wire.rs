//! Hostile bytes over real sockets: frames and batches that are malformed, truncated, oversized, or lie.
//!
//! Promises: each is answered as Kafka answers it or by a closed connection; nothing of it is stored; a neighbour's
//! connection goes on as if nothing had been. Called by `cargo test`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::{Bytes, BytesMut};
use sluice_protocol::messages::{ApiVersionsRequest, MetadataRequest, ProduceRequest};
use sluice_protocol::{ErrorCode, KString};
use sluice_records::{BatchBuilder, Compression};
use sluice_tests::batches::{TIMESTAMP_MS, batch, values};
use sluice_tests::raw::{DEADLINE, RawClient, fetch_request, frame, produce_request};
use sluice_tests::replicas::Replicas;

/// A gateway with a topic of one record, and a neighbour that is connected all the time.
struct Scene {
    replicas: Replicas,
    neighbour: RawClient,
}

impl Scene {
    fn new() -> Self {
        let replicas = Replicas::over_memory(1);
        let mut neighbour = RawClient::connect(replicas.kafka(0));
        assert_eq!(neighbour.create_topic("t", 1), ErrorCode::NONE);
        assert_eq!(neighbour.produce("t", 0, &batch(&[b"before"])).error_code, ErrorCode::NONE);
        Self { replicas, neighbour }
    }

    fn connect(&self) -> RawClient {
        RawClient::connect(self.replicas.kafka(0))
    }

    /// The neighbour's connection still works, and the log holds what it held: one record, written by the neighbour.
    fn is_undisturbed(&mut self) {
        assert_eq!(self.neighbour.list_offset("t", 0, -1), Ok(1), "something was stored");
        let block = self.neighbour.fetch("t", 0, 0, 0);
        assert_eq!(values(&block.records.unwrap_or_default().to_bytes()), [b"before"]);
        let metrics = http_get(self.replicas.http(0), "/metrics");
        let panics =
            metrics.lines().find(|l| l.contains("handler_panics") && !l.starts_with('#')).expect("a counter of panics");
        assert!(panics.ends_with(" 0"), "{panics}");
    }
}

fn http_get(addr: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A small deterministic source of bytes, so that a failure can be run again.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn a_frame_length_that_no_frame_has_closes_the_connection() {
    // Holds: I-09
    let mut scene = Scene::new();
    let too_long = 100 * 1024 * 1024 + 1;
    for length in [-1, i32::MIN, i32::MAX, too_long, 0, 1, 3, 7] {
        let mut client = scene.connect();
        let mut bytes = length.to_be_bytes().to_vec();
        bytes.extend(vec![0; usize::try_from(length.clamp(0, 16)).unwrap()]);
        // It may close before it has read all of it.
        let _ = client.write(&bytes);
        assert!(client.is_closed(), "a frame of {length} bytes was answered");
    }
    scene.is_undisturbed();
}

#[test]
fn other_protocols_and_noise_close_the_connection() {
    // Holds: I-09
    let mut scene = Scene::new();
    let mut senders: Vec<Vec<u8>> = vec![
        b"GET / HTTP/1.1\r\nHost: sluice\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a client hello".to_vec(),
        b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(),
    ];
    for seed in 1..=40 {
        // In a frame of its own length, so that it is looked into.
        let body = noise(seed, 8 + usize::try_from(seed).unwrap() * 5);
        let mut framed = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
        framed.extend(&body);
        senders.push(framed);
    }
    for bytes in senders {
        let mut client = scene.connect();
        let _ = client.write(&bytes);
        client.finish_writing();
        assert!(client.is_closed(), "{bytes:?} was answered");
    }
    scene.is_undisturbed();
}

#[test]
fn a_request_cut_anywhere_is_never_answered_and_never_stored() {
    // Holds: I-09
    let mut scene = Scene::new();
    let whole = frame(1, 9, &produce_request("t", 0, batch(&[b"cut"])));
    for cut in 0..whole.len() {
        let mut client = scene.connect();
        client.write(&whole[..cut]).unwrap();
        client.finish_writing();
        assert!(client.is_closed(), "the first {cut} bytes of a request were answered");
        // Cut, and with a length that fits: the frame is whole, the request in it is not.
        if cut > 12 {
            let mut shorter = whole[..cut].to_vec();
            let length = u32::try_from(cut - 4).unwrap().to_be_bytes();
            shorter[..4].copy_from_slice(&length);
            let mut client = scene.connect();
            client.write(&shorter).unwrap();
            client.finish_writing();
            assert!(client.is_closed(), "a request of {cut} bytes was answered");
        }
    }
    scene.is_undisturbed();
}

#[test]
fn a_request_with_any_byte_changed_is_refused_or_harmless() {
    // Holds: I-09, I-10
    let mut scene = Scene::new();
    // Into another topic: a changed byte may be one of the name, and then the batch is rightly stored.
    let whole = frame(1, 9, &produce_request("changed", 0, batch(&[b"a batch that lies"])));
    for at in 4..whole.len() {
        for flip in [0x01, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= flip;
            let mut client = scene.connect();
            client.write(&bytes).unwrap();
            client.finish_writing();
            // Answered or closed: what must not be is a hang, which read_frame panics about.
            let _ = client.read_frame();
        }
    }
    // What was stored under the true name is whole: the CRC of each batch holds, and its value is the one that was sent.
    let end = scene.neighbour.list_offset("changed", 0, -1).unwrap_or(0);
    let block = scene.neighbour.fetch("changed", 0, 0, 0);
    let found = values(&block.records.unwrap_or_default().to_bytes());
    assert_eq!(i64::try_from(found.len()).unwrap(), end);
    assert!(found.iter().all(|v| v == b"a batch that lies"));
    scene.is_undisturbed();
}

#[test]
fn an_array_that_claims_more_than_its_frame_holds_closes_the_connection() {
    // Holds: I-09
    let mut scene = Scene::new();
    // Metadata 0: the only thing after the header is the number of topics.
    for claimed in [i32::MAX, 1 << 24, 2, -2, i32::MIN] {
        let mut client = scene.connect();
        let mut bytes = vec![0, 0, 0, 14, 0, 3, 0, 0, 0, 0, 0, 1, 255, 255];
        bytes.extend(claimed.to_be_bytes());
        client.write(&bytes).unwrap();
        client.finish_writing();
        assert!(client.is_closed(), "{claimed} topics in no bytes were answered");
    }
    scene.is_undisturbed();
}

#[test]
fn bytes_after_a_request_are_ignored_as_in_kafka() {
    let mut scene = Scene::new();
    let mut bytes = frame(1, 9, &MetadataRequest { topics: None, ..MetadataRequest::default() });
    bytes.extend([1, 2, 3]);
    let length = u32::try_from(bytes.len() - 4).unwrap().to_be_bytes();
    bytes[..4].copy_from_slice(&length);
    let mut client = scene.connect();
    client.write(&bytes).unwrap();
    assert!(client.read_frame().is_some(), "an answer");
    client.write(&bytes).unwrap();
    assert!(client.read_frame().is_some(), "and the connection goes on");
    scene.is_undisturbed();
}

/// A batch with some bytes of its header replaced; the CRC is put right when they are under it.
fn forged(at: usize, bytes: &[u8]) -> Bytes {
    let mut forged = BytesMut::from(batch(&[b"forged", b"twice"]).as_ref());
    forged[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32c(&forged[21..]);
    forged[17..21].copy_from_slice(&crc.to_be_bytes());
    forged.freeze()
}

/// CRC32C, bit by bit: another implementation than the gateway's.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 })
    })
}

#[test]
fn a_batch_that_lies_is_refused_with_the_code_of_its_lie() {
    // Holds: I-09, I-10
    let mut scene = Scene::new();
    let two = [batch(&[b"one"]), batch(&[b"two"])].concat();
    let mut damaged = BytesMut::from(batch(&[b"damaged"]).as_ref());
    *damaged.last_mut().unwrap() ^= 1;
    let control = {
        let mut builder = BatchBuilder::new().control();
        builder.push(TIMESTAMP_MS, Some(&[0, 0, 0, 1]), Some(&[0; 6]), &[]);
        builder.build().unwrap()
    };
    let transactional = {
        let mut builder = BatchBuilder::new().transactional();
        builder.push(TIMESTAMP_MS, None, Some(b"x"), &[]);
        builder.build().unwrap()
    };
    let cases: Vec<(&str, Bytes, &[ErrorCode])> = vec![
        ("a damaged byte", damaged.freeze(), &[ErrorCode::CORRUPT_MESSAGE]),
        ("two batches", two.into(), &[ErrorCode::INVALID_RECORD]),
        ("magic 3", forged(16, &[3]), &[ErrorCode::CORRUPT_MESSAGE, ErrorCode::INVALID_RECORD]),
        ("magic 1", forged(16, &[1]), &[ErrorCode::INVALID_RECORD]),
        ("codec 7", forged(21, &[0, 7]), &[ErrorCode::UNSUPPORTED_COMPRESSION_TYPE, ErrorCode::CORRUPT_MESSAGE]),
        ("more records than offsets", forged(57, &[0, 0, 0, 9]), &[ErrorCode::INVALID_RECORD]),
        ("no record", forged(57, &[0, 0, 0, 0]), &[ErrorCode::INVALID_RECORD]),
        ("a negative number of records", forged(57, &[255; 4]), &[ErrorCode::INVALID_RECORD]),
        ("a control batch", control, &[ErrorCode::INVALID_RECORD]),
        ("a transaction without a producer", transactional, &[ErrorCode::INVALID_RECORD]),
        ("nothing", Bytes::new(), &[ErrorCode::INVALID_RECORD, ErrorCode::CORRUPT_MESSAGE]),
        ("noise", noise(5, 200).into(), &[ErrorCode::CORRUPT_MESSAGE, ErrorCode::INVALID_RECORD]),
    ];
    for (lie, bytes, wanted) in cases {
        let block = scene.neighbour.produce("t", 0, &bytes);
        assert!(wanted.contains(&block.error_code), "{lie}: {:?}, not one of {wanted:?}", block.error_code);
        assert_eq!(block.base_offset, -1, "{lie}");
    }
    scene.is_undisturbed();
}

#[test]
fn a_batch_over_message_max_bytes_is_refused_and_its_neighbour_in_the_request_is_not() {
    let mut scene = Scene::new();
    assert_eq!(scene.neighbour.create_topic("two", 2), ErrorCode::NONE);
    let huge = vec![7; 1_100_000];
    let mut request = produce_request("two", 0, batch(&[&huge]));
    let mut small = request.topic_data[0].partition_data[0].clone();
    small.index = 1;
    small.records = Some(batch(&[b"small"]));
    request.topic_data[0].partition_data.push(small);
    let answer = scene.neighbour.request(9, &request);
    let codes: Vec<_> = answer.responses[0].partition_responses.iter().map(|p| (p.index, p.error_code)).collect();
    assert_eq!(codes, [(0, ErrorCode::MESSAGE_TOO_LARGE), (1, ErrorCode::NONE)]);
    assert_eq!(scene.neighbour.list_offset("two", 0, -1), Ok(0));
    assert_eq!(scene.neighbour.list_offset("two", 1, -1), Ok(1));
    scene.is_undisturbed();
}

#[test]
fn zstd_is_refused_to_a_client_too_old_to_read_it_back() {
    let mut scene = Scene::new();
    let mut builder = BatchBuilder::new().compression(Compression::Zstd);
    builder.push(TIMESTAMP_MS, None, Some(b"x"), &[]);
    let request = produce_request("t", 0, builder.build().unwrap());
    let answer = scene.neighbour.request(6, &request);
    assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    scene.is_undisturbed();
}

#[test]
fn acks_that_mean_nothing_are_refused_and_acks_0_is_never_answered() {
    let mut scene = Scene::new();
    for acks in [2, -2, i16::MAX] {
        let request = ProduceRequest { acks, ..produce_request("t", 0, batch(&[b"x"])) };
        let answer = scene.neighbour.request(9, &request);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, ErrorCode::INVALID_REQUIRED_ACKS);
    }
    scene.is_undisturbed();
    // acks=0: the next answer on the connection is that of the next request; on an error the connection ends instead.
    assert_eq!(scene.neighbour.create_topic("unanswered", 1), ErrorCode::NONE);
    let mut client = scene.connect();
    client.send(9, &ProduceRequest { acks: 0, ..produce_request("unanswered", 0, batch(&[b"x"])) });
    assert_eq!(client.list_offset("unanswered", 0, -1), Ok(1));
    client.send(9, &ProduceRequest { acks: 0, ..produce_request("unanswered", 0, noise(3, 90).into()) });
    assert!(client.is_closed(), "an error behind acks=0 can only be told by closing");
    scene.is_undisturbed();
}

#[test]
fn illegal_names_and_places_are_told_per_partition() {
    let mut scene = Scene::new();
    for name in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
        let code = scene.neighbour.produce(name, 0, &batch(&[b"x"])).error_code;
        let wanted = [ErrorCode::INVALID_TOPIC_EXCEPTION, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION];
        assert!(wanted.contains(&code), "{name:?}: {code:?}");
    }
    for partition in [-1, 1, i32::MIN, i32::MAX] {
        let code = scene.neighbour.produce("t", partition, &batch(&[b"x"])).error_code;
        assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "partition {partition}");
        let code = scene.neighbour.fetch("t", partition, 0, 0).error_code;
        assert_eq!(code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "partition {partition}");
    }
    for offset in [-1, 2, i64::MIN, i64::MAX] {
        let block = scene.neighbour.fetch("t", 0, offset, 0);
        assert_eq!(block.error_code, ErrorCode::OFFSET_OUT_OF_RANGE, "offset {offset}");
        assert_eq!(
            (block.high_watermark, block.log_start_offset),
            (-1, -1),
            "as Kafka 4.3.1: ListOffsets tells the range"
        );
    }
    let all = scene.neighbour.request(1, &MetadataRequest { topics: None, ..MetadataRequest::default() });
    let names: Vec<_> = all.topics.iter().map(|t| t.name.clone().unwrap_or_default()).collect();
    assert_eq!(names, [KString::from("t")], "nothing was created under a name that no topic can have");
    scene.is_undisturbed();
}

#[test]
fn a_client_that_stops_in_the_middle_of_a_frame_keeps_nobody_waiting() {
    // Holds: I-09
    let mut scene = Scene::new();
    let whole = frame(1, 9, &produce_request("t", 0, batch(&[&[1; 5000]])));
    let mut stopped: Vec<RawClient> = (1..20).map(|_| scene.connect()).collect();
    for (n, client) in stopped.iter_mut().enumerate() {
        client.write(&whole[..n * 100 + 1]).unwrap();
    }
    // A frame of 100 MiB is announced, and not sent: only what arrives takes memory.
    let mut announced: Vec<RawClient> = (0..20).map(|_| scene.connect()).collect();
    for client in &mut announced {
        client.write(&(100u32 << 20).to_be_bytes()).unwrap();
        client.write(&whole[4..200]).unwrap();
    }
    scene.is_undisturbed();
    drop(stopped);
    drop(announced);
    scene.is_undisturbed();
}

#[test]
fn one_byte_at_a_time_is_a_request_like_any_other() {
    let mut scene = Scene::new();
    let mut client = scene.connect();
    for byte in frame(
        77,
        3,
        &ApiVersionsRequest {
            client_software_name: KString::from("slow"),
            client_software_version: KString::from("1"),
        },
    ) {
        client.write(&[byte]).unwrap();
    }
    assert_eq!(client.receive::<ApiVersionsRequest>(3).0, 77);
    for byte in frame(78, 12, &fetch_request("t", 0, 0, 0)) {
        client.write(&[byte]).unwrap();
    }
    assert_eq!(client.receive::<sluice_protocol::messages::FetchRequest>(12).0, 78);
    scene.is_undisturbed();
}
