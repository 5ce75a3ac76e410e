//! Every message in every version: what is encoded is decoded again, cut frames are errors (I-09), left-over bytes are
//! seen, unknown tagged fields are skipped, large records are not copied.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use sluice_protocol::messages::{
    CreateTopicsRequest, FetchRequest, FetchResponse, FindCoordinatorRequest, MetadataRequest, ProduceRequest,
    create_topics, fetch, metadata, produce,
};
use sluice_protocol::sample::{Sample, Source, Visitor, visit_all};
use sluice_protocol::{
    ApiKey, Bytes, DecodeError, EncodeError, KString, Message, Reader, Request, Rope, Uuid, Writer, decode_request,
    decode_response, encode_request, encode_response,
};

fn encode(message: &impl Message, version: i16) -> Result<Bytes, EncodeError> {
    let mut w = Writer::new();
    message.encode(&mut w, version)?;
    Ok(w.finish().to_bytes())
}

fn decode<M: Message>(bytes: &Bytes, version: i16) -> Result<M, DecodeError> {
    let mut r = Reader::new(bytes.clone());
    let message = M::decode(&mut r, version)?;
    r.finish()?;
    Ok(message)
}

/// Same cases on every run: a failure can be run again, and the suite takes the same time everywhere.
fn runner(cases: u32) -> TestRunner {
    TestRunner::new(ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(0x51_0c_e5),
        failure_persistence: None,
        ..ProptestConfig::default()
    })
}

/// Runs a check on samples of every message in every version.
struct EachMessage<C> {
    entropy: Vec<u8>,
    check: C,
    checked: usize,
}

trait Check {
    fn check<M: Message + Sample>(&mut self, sample: &M, version: i16, request: bool, flexible: bool);
}

impl<C: Check> Visitor for EachMessage<C> {
    fn visit<R>(&mut self)
    where
        R: Request<Response: Sample> + Sample,
    {
        for version in R::MIN_VERSION..=R::MAX_VERSION {
            let flexible = version >= R::FLEXIBLE_FROM;
            let request = R::sample(&mut Source::new(&self.entropy), version, false);
            self.check.check(&request, version, true, flexible);
            let response = R::Response::sample(&mut Source::new(&self.entropy), version, false);
            self.check.check(&response, version, false, flexible);
            self.checked += 2;
        }
    }
}

fn for_each_sample(cases: u32, entropy_len: usize, check: impl Check + Clone) {
    let entropy = prop::collection::vec(any::<u8>(), 0..entropy_len);
    runner(cases)
        .run(&entropy, |entropy| {
            let mut each = EachMessage { entropy, check: check.clone(), checked: 0 };
            visit_all(&mut each);
            // Produce 14, Fetch 19, ListOffsets 12, Metadata 14, FindCoordinator 7, ApiVersions 5, CreateTopics 8, DeleteTopics
            // 7, InitProducerId 6 versions; JoinGroup 10, SyncGroup 6, Heartbeat 5, LeaveGroup 6, OffsetCommit 11,
            // OffsetFetch 11, OffsetDelete 1, ListGroups 6, DescribeGroups 7, DeleteGroups 3; DeleteRecords 3,
            // OffsetForLeaderEpoch 5, DescribeConfigs 5, AlterConfigs 3, IncrementalAlterConfigs 2, ListConfigResources 2,
            // DescribeLogDirs 6, CreatePartitions 4, ElectLeaders 3, AlterPartitionReassignments 2,
            // ListPartitionReassignments 1, DescribeCluster 3, DescribeProducers 1, DescribeTopicPartitions 1; two messages
            // each.
            assert_eq!(each.checked, 2 * (92 + 66 + 41));
            Ok(())
        })
        .unwrap();
}

#[derive(Clone)]
struct RoundTrip;

impl Check for RoundTrip {
    fn check<M: Message + Sample>(&mut self, sample: &M, version: i16, _: bool, _: bool) {
        let bytes = encode(sample, version).unwrap();
        let decoded = decode::<M>(&bytes, version).unwrap();
        assert_eq!(&decoded, sample, "{} v{version}", M::NAME);
        assert_eq!(encode(&decoded, version).unwrap(), bytes, "{} v{version}", M::NAME);
    }
}

#[test]
fn every_message_in_every_version_survives_a_round_trip() {
    for_each_sample(192, 400, RoundTrip);
}

#[derive(Clone)]
struct CutAndExtended;

impl Check for CutAndExtended {
    fn check<M: Message + Sample>(&mut self, sample: &M, version: i16, _: bool, _: bool) {
        let bytes = encode(sample, version).unwrap();
        for len in 0..bytes.len() {
            let cut = decode::<M>(&bytes.slice(..len), version);
            assert!(cut.is_err(), "{} v{version} cut at {len} of {} was decoded", M::NAME, bytes.len());
        }
        let mut longer = bytes.to_vec();
        longer.push(0);
        let left_over = decode::<M>(&Bytes::from(longer), version);
        assert_eq!(left_over, Err(DecodeError::TrailingBytes(1)), "{} v{version}", M::NAME);
    }
}

#[test]
fn a_message_cut_at_any_byte_is_an_error_and_left_over_bytes_are_seen() {
    // I-09.
    for_each_sample(24, 250, CutAndExtended);
}

#[derive(Clone)]
struct AnyBytes;

impl Check for AnyBytes {
    fn check<M: Message + Sample>(&mut self, _: &M, version: i16, _: bool, _: bool) {
        for seed in 0_u32..40 {
            // A fixed linear congruence, small bytes as often as large ones, so that counts are believed.
            let mut state = seed.wrapping_mul(0x9e37_79b9) ^ u32::from(version.unsigned_abs());
            let noise: Vec<u8> = (0..64)
                .map(|_| {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let [.., low, high] = state.to_be_bytes();
                    if high & 1 == 0 { low } else { low % 4 }
                })
                .collect();
            // Only that it returns: any outcome is right.
            let _ = decode::<M>(&Bytes::from(noise), version);
        }
    }
}

#[test]
fn noise_is_decoded_or_refused_without_a_panic() {
    // I-09.
    visit_all(&mut EachMessage { entropy: Vec::new(), check: AnyBytes, checked: 0 });
}

/// Bytes of a tag section with one field of a tag nobody knows.
const UNKNOWN_TAG: [u8; 7] = [1, 0xc8, 0x01, 3, b'n', b'e', b'w'];

/// Offsets at which an empty tag section can be replaced by one with an unknown field and nothing else changes.
fn tag_sections<M: Message>(message: &M, version: i16) -> usize {
    let bytes = encode(message, version).unwrap();
    (0..bytes.len())
        .filter(|&at| bytes[at] == 0)
        .filter(|&at| {
            let mut grown = bytes[..at].to_vec();
            grown.extend_from_slice(&UNKNOWN_TAG);
            grown.extend_from_slice(&bytes[at + 1..]);
            decode::<M>(&Bytes::from(grown), version).as_ref() == Ok(message)
        })
        .count()
}

#[derive(Clone)]
struct UnknownTagAtTheEnd;

impl Check for UnknownTagAtTheEnd {
    fn check<M: Message + Sample>(&mut self, _: &M, version: i16, _: bool, flexible: bool) {
        // All defaults: the tag section of the message itself is the last byte.
        let message = M::default();
        let expected = usize::from(flexible);
        assert!(tag_sections(&message, version) >= expected, "{} v{version}", M::NAME);
    }
}

#[test]
fn unknown_tagged_fields_are_skipped_in_every_flexible_message() {
    visit_all(&mut EachMessage { entropy: Vec::new(), check: UnknownTagAtTheEnd, checked: 0 });
}

#[test]
fn unknown_tagged_fields_are_skipped_in_every_nested_struct() {
    // Values without zero bytes at a place where a section could be mistaken for one.
    let partition = fetch::FetchPartition {
        partition: 0x0101_0101,
        fetch_offset: 0x0101_0101_0101_0101,
        partition_max_bytes: 0x0101_0101,
        ..Default::default()
    };
    let request = FetchRequest {
        topics: vec![fetch::FetchTopic {
            topic: "t".into(),
            partitions: vec![partition.clone(), partition],
            ..Default::default()
        }],
        forgotten_topics_data: vec![fetch::ForgottenTopic { topic: "f".into(), ..Default::default() }],
        ..Default::default()
    };
    // Two partitions, one topic, one forgotten topic, the request.
    assert_eq!(tag_sections(&request, 12), 5);

    let request = MetadataRequest {
        topics: Some(vec![
            metadata::MetadataRequestTopic { name: Some("a".into()), ..Default::default() },
            metadata::MetadataRequestTopic { name: Some("b".into()), ..Default::default() },
        ]),
        ..Default::default()
    };
    assert_eq!(tag_sections(&request, 9), 3);

    let request = CreateTopicsRequest {
        topics: vec![create_topics::CreatableTopic {
            name: "t".into(),
            assignments: vec![create_topics::CreatableReplicaAssignment::default()],
            configs: vec![create_topics::CreatableTopicConfig::default()],
            ..Default::default()
        }],
        ..Default::default()
    };
    assert_eq!(tag_sections(&request, 5), 4);
}

#[test]
fn an_unknown_tag_beside_known_ones_is_skipped() {
    let request = FetchRequest { cluster_id: Some("abc".into()), ..Default::default() };
    let bytes = encode(&request, 12).unwrap();
    // The section at the end: one field, tag 0, four bytes.
    let known = [1, 0, 4, 4, b'a', b'b', b'c'];
    assert!(bytes.ends_with(&known));
    let mut grown = bytes[..bytes.len() - known.len()].to_vec();
    grown.extend_from_slice(&[3, 0, 4, 4, b'a', b'b', b'c', 1, 0, 0x7f, 2, 9, 9]);
    // Tag 1 is unknown in version 12: it came with 15.
    assert_eq!(decode::<FetchRequest>(&Bytes::from(grown), 12), Ok(request));
}

#[test]
fn a_tagged_field_whose_size_lies_is_an_error() {
    // I-09: neither beyond its size nor short of it.
    let request = FetchRequest { cluster_id: Some("abc".into()), ..Default::default() };
    let bytes = encode(&request, 12).unwrap();
    let size_at = bytes.len() - 5;
    for (size, extra) in [(3_u8, 0), (5, 1), (0, 0), (0x7f, 0)] {
        let mut lying = bytes.to_vec();
        assert_eq!(lying[size_at], 4);
        lying[size_at] = size;
        lying.extend(std::iter::repeat_n(0, extra));
        let outcome = decode::<FetchRequest>(&Bytes::from(lying), 12);
        assert!(outcome.is_err(), "size {size}: {outcome:?}");
    }
}

#[test]
fn strings_and_varints_of_wrong_form_are_refused() {
    let decode_key = |bytes: &'static [u8]| decode::<FindCoordinatorRequest>(&Bytes::from_static(bytes), 3);
    // Not UTF-8.
    assert_eq!(decode_key(&[2, 0xff, 0, 0]), Err(DecodeError::InvalidUtf8));
    // Null where there is none.
    assert_eq!(decode_key(&[0, 0, 0]), Err(DecodeError::UnexpectedNull));
    // Six bytes of length, and five with more than 32 bits.
    assert_eq!(decode_key(&[0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0]), Err(DecodeError::VarintTooLong));
    assert_eq!(decode_key(&[0xff, 0xff, 0xff, 0xff, 0x1f, 0, 0]), Err(DecodeError::VarintTooLong));
    // Longer than any string of the protocol.
    let mut long = vec![0x81, 0x80, 0x02];
    long.resize(40_000, b'a');
    assert_eq!(decode::<FindCoordinatorRequest>(&Bytes::from(long), 3), Err(DecodeError::StringTooLong(32_768)));
    let long = FindCoordinatorRequest { key: "a".repeat(32_768).into(), ..Default::default() };
    for version in [0, 3] {
        assert_eq!(encode(&long, version), Err(EncodeError::TooLong { len: 32_768, max: 32_767 }));
    }
}

#[test]
fn a_count_beyond_the_bytes_left_is_refused_before_anything_is_reserved() {
    // I-09. A topic of version 1 takes at least two bytes: the four left can be two, not three.
    let two = Bytes::from_static(&[0, 0, 0, 2, 0, 0, 0, 0]);
    assert_eq!(decode::<MetadataRequest>(&two, 1).unwrap().topics.unwrap().len(), 2);
    let three = Bytes::from_static(&[0, 0, 0, 3, 0, 0, 0, 0]);
    let refused = DecodeError::ArrayTooLong { count: 3, max: 2 };
    assert_eq!(decode::<MetadataRequest>(&three, 1), Err(refused));
    let most = Bytes::from_static(&[0x7f, 0xff, 0xff, 0xff]);
    let refused = DecodeError::ArrayTooLong { count: 0x7fff_ffff, max: 0 };
    assert_eq!(decode::<MetadataRequest>(&most, 1), Err(refused));
}

#[derive(Clone)]
struct Framed;

impl Visitor for Framed {
    fn visit<R>(&mut self)
    where
        R: Request<Response: Sample> + Sample,
    {
        let entropy: Vec<u8> = (0_u8..=255).cycle().take(700).collect();
        assert_eq!(R::KEY.flexible_from(), R::FLEXIBLE_FROM, "{}", R::KEY);
        assert_eq!(R::NAME, format!("{}Request", R::KEY));
        for version in R::MIN_VERSION..=R::MAX_VERSION {
            let request = R::sample(&mut Source::new(&entropy), version, false);
            let frame = encode_request(7, Some("me"), version, &request).unwrap().to_bytes();
            let len = u32::from_be_bytes(frame[..4].try_into().unwrap());
            assert_eq!(usize::try_from(len).unwrap(), frame.len() - 4);
            let (header, decoded) = decode_request::<R>(&frame.slice(4..)).unwrap();
            assert_eq!((header.api_key, header.api_version), (R::KEY.as_i16(), version));
            assert_eq!((header.correlation_id, header.client_id), (7, Some(KString::from("me"))));
            assert_eq!(decoded, request);
            let response = R::Response::sample(&mut Source::new(&entropy), version, false);
            let frame = encode_response(-8, R::KEY, version, &response).unwrap().to_bytes();
            let len = u32::from_be_bytes(frame[..4].try_into().unwrap());
            assert_eq!(usize::try_from(len).unwrap(), frame.len() - 4);
            assert_eq!(decode_response::<R>(&frame.slice(4..), version), Ok((-8, response)));
        }
    }
}

#[test]
fn frames_carry_their_length_and_the_header_of_their_version() {
    visit_all(&mut Framed);
    // A frame of another API is not decoded as this one.
    let frame = encode_request(1, None, 9, &MetadataRequest::default()).unwrap().to_bytes().slice(4..);
    assert_eq!(decode_request::<FetchRequest>(&frame), Err(DecodeError::OtherApi { expected: 1, found: 3 }));
}

#[test]
fn large_records_are_neither_copied_in_nor_out() {
    let batch = Bytes::from(vec![7; 100_000]);
    let request = ProduceRequest {
        topic_data: vec![produce::TopicProduceData {
            topic_id: Uuid::from_u128(1),
            partition_data: vec![produce::PartitionProduceData { index: 0, records: Some(batch.clone()) }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let rope = encode_request(1, None, 13, &request).unwrap();
    assert!(rope.iter().any(|chunk| chunk.as_ptr() == batch.as_ptr()), "copied while encoding");

    let frame = rope.to_bytes().slice(4..);
    let (_, decoded) = decode_request::<ProduceRequest>(&frame).unwrap();
    let records = decoded.topic_data[0].partition_data[0].records.clone().unwrap();
    assert!(frame.as_ptr_range().contains(&records.as_ptr()), "copied while decoding");

    let mut records = Rope::new();
    records.push(Bytes::from_static(b"header"));
    records.push(batch.clone());
    records.push(Bytes::from_static(b"header"));
    records.push(batch.slice(5_000..));
    let partition = fetch::PartitionData { records: Some(records.clone()), ..Default::default() };
    let response = FetchResponse {
        responses: vec![fetch::FetchableTopicResponse { partitions: vec![partition; 3], ..Default::default() }],
        ..Default::default()
    };
    let rope = encode_response(1, ApiKey::Fetch, 13, &response).unwrap();
    // Each big chunk, and the small bytes before, between and after them.
    assert_eq!(rope.chunks().len(), 13);
    assert_eq!(rope.iter().filter(|chunk| chunk.as_ptr() == batch.as_ptr()).count(), 3);
    let (_, decoded) = decode_response::<FetchRequest>(&rope.to_bytes().slice(4..), 13).unwrap();
    assert_eq!(decoded, response);
}
