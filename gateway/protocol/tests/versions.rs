//! What differs between versions: defaults of fields a version lacks, values and nulls it cannot carry, layouts that no other
//! codec at hand has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use sluice_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, FetchRequest, FindCoordinatorRequest, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, ProduceRequest, ProduceResponse, create_topics, fetch, produce,
};
use sluice_protocol::sample::{Sample, Source};
use sluice_protocol::{Bytes, DecodeError, EncodeError, Message, Reader, Uuid, Writer};

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

#[test]
fn fields_a_version_lacks_get_their_defaults() {
    let decoded: FetchRequest = decode(&encode(&FetchRequest::default(), 4).unwrap(), 4).unwrap();
    assert_eq!(decoded.replica_id, -1);
    assert_eq!(decoded.max_bytes, i32::MAX);
    assert_eq!((decoded.isolation_level, decoded.session_id, decoded.session_epoch), (0, 0, -1));
    assert_eq!(decoded.replica_state, fetch::ReplicaState { replica_id: -1, replica_epoch: -1 });
    assert_eq!(fetch::FetchPartition::default().high_watermark, i64::MAX);
    assert_eq!(fetch::FetchPartition::default().log_start_offset, -1);
    let decoded: MetadataRequest = decode(&encode(&MetadataRequest::default(), 0).unwrap(), 0).unwrap();
    assert!(decoded.allow_auto_topic_creation);
    assert_eq!(CreateTopicsRequest::default().timeout_ms, 60_000);
}

#[test]
fn a_field_the_version_lacks_is_refused_unless_default_or_ignorable() {
    let by_name = FindCoordinatorRequest { key: "group".into(), ..Default::default() };
    assert!(encode(&by_name, 3).is_ok());
    assert_eq!(
        encode(&by_name, 4),
        Err(EncodeError::UnsupportedField { message: "FindCoordinatorRequest", field: "key", version: 4 })
    );
    let no_creation = MetadataRequest { allow_auto_topic_creation: false, ..Default::default() };
    assert!(matches!(encode(&no_creation, 3), Err(EncodeError::UnsupportedField { .. })));
    assert!(encode(&no_creation, 4).is_ok());
    // In a tagged field and in a nested struct.
    let follower =
        FetchRequest { replica_state: fetch::ReplicaState { replica_id: 1, replica_epoch: 2 }, ..Default::default() };
    assert!(matches!(encode(&follower, 14), Err(EncodeError::UnsupportedField { .. })));
    assert!(encode(&follower, 15).is_ok());
    // Ignorable: dropped.
    let consumer = FetchRequest { rack_id: "a".into(), max_bytes: 5, session_epoch: 7, ..Default::default() };
    let decoded: FetchRequest = decode(&encode(&consumer, 4).unwrap(), 4).unwrap();
    assert_eq!(decoded, FetchRequest { max_bytes: 5, ..Default::default() });
}

#[test]
fn null_is_refused_where_the_version_does_not_allow_it() {
    let all_topics = MetadataRequest { topics: None, ..Default::default() };
    let refused = EncodeError::UnexpectedNull { message: "MetadataRequest", field: "topics", version: 0 };
    assert_eq!(encode(&all_topics, 0), Err(refused));
    assert_eq!(&encode(&all_topics, 1).unwrap()[..], &[0xff, 0xff, 0xff, 0xff]);
    let null_array = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff]);
    assert_eq!(decode::<MetadataRequest>(&null_array, 0), Err(DecodeError::UnexpectedNull));
    assert_eq!(decode::<MetadataRequest>(&null_array, 1), Ok(MetadataRequest { topics: None, ..Default::default() }));
    // Below −1 is no null.
    let negative = Bytes::from_static(&[0xff, 0xff, 0xff, 0xfe]);
    assert_eq!(decode::<MetadataRequest>(&negative, 1), Err(DecodeError::NegativeLength(-2)));
}

#[test]
fn versions_outside_the_range_are_refused() {
    assert_eq!(
        encode(&ListOffsetsResponse::default(), 12),
        Err(EncodeError::UnsupportedVersion { message: "ListOffsetsResponse", version: 12 })
    );
    assert_eq!(
        decode::<FetchRequest>(&Bytes::new(), 3),
        Err(DecodeError::UnsupportedVersion { message: "FetchRequest", version: 3 })
    );
    assert!(decode::<FetchRequest>(&Bytes::new(), -1).is_err());
    assert!(decode::<ProduceRequest>(&Bytes::new(), i16::MAX).is_err());
}

#[test]
fn produce_has_a_layout_from_version_0_on() {
    // KAFKA-18659: librdkafka must see 0 advertised, and old clients get an answer they can read.
    let request = ProduceRequest {
        acks: 1,
        timeout_ms: 2,
        topic_data: vec![produce::TopicProduceData {
            name: "t".into(),
            partition_data: vec![produce::PartitionProduceData { index: 3, records: Some(Bytes::from_static(b"set")) }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let expected: &[u8] = b"\0\x01\0\0\0\x02\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\0\0\0\x03set";
    for version in 0..3 {
        assert_eq!(encode(&request, version).unwrap(), expected);
    }
    let response = ProduceResponse {
        responses: vec![produce::TopicProduceResponse {
            name: "t".into(),
            partition_responses: vec![produce::PartitionProduceResponse {
                index: 3,
                base_offset: 4,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let partition: &[u8] = b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\0\0\0\0\0\0\0\0\0\x04";
    let (throttle, append_time): (&[u8], &[u8]) = (&[0; 4], &[0xff; 8]);
    assert_eq!(encode(&response, 0).unwrap(), partition);
    assert_eq!(encode(&response, 1).unwrap(), [partition, throttle].concat());
    assert_eq!(encode(&response, 2).unwrap(), [partition, append_time, throttle].concat());
}

#[test]
fn list_offsets_11_has_the_layout_of_10() {
    // The version `kafka-protocol` lacks: KIP-1023 adds a timestamp value, no field.
    let entropy: Vec<u8> = (0_u8..=255).collect();
    let request = ListOffsetsRequest::sample(&mut Source::new(&entropy), 11, false);
    assert_eq!(encode(&request, 11), encode(&request, 10));
    let response = ListOffsetsResponse::sample(&mut Source::new(&entropy), 11, false);
    assert_eq!(encode(&response, 11), encode(&response, 10));
}

#[test]
fn create_topics_tells_the_topic_id_from_version_7_on() {
    let id = Uuid::from_u128(0x0102_0304);
    let response = CreateTopicsResponse {
        topics: vec![create_topics::CreatableTopicResult { topic_id: id, error_message: None, ..Default::default() }],
        ..Default::default()
    };
    let told: CreateTopicsResponse = decode(&encode(&response, 7).unwrap(), 7).unwrap();
    assert_eq!(told, response);
    let not_told: CreateTopicsResponse = decode(&encode(&response, 6).unwrap(), 6).unwrap();
    assert_eq!(not_told.topics[0].topic_id, Uuid::nil());
}
