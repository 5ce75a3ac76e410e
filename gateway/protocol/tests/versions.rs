//! What differs between versions: defaults of fields a version lacks, values and nulls it cannot carry, layouts that no other
//! codec at hand has.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use sluice_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    DescribeTopicPartitionsRequest, FetchRequest, FetchResponse, FindCoordinatorRequest, ListConfigResourcesRequest,
    ListConfigResourcesResponse, ListOffsetsRequest, ListOffsetsResponse, MetadataRequest, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse, create_topics, describe_configs,
    describe_topic_partitions, fetch, list_config_resources, list_offsets, offset_for_leader_epoch, produce,
};
use sluice_protocol::sample::{Sample, Source};
use sluice_protocol::{Bytes, DecodeError, EncodeError, ErrorCode, Message, Reader, Uuid, Writer};

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
        decode::<FetchRequest>(&Bytes::new(), 19),
        Err(DecodeError::UnsupportedVersion { message: "FetchRequest", version: 19 })
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

#[test]
fn fetch_has_a_layout_from_version_0_on() {
    let request = FetchRequest {
        max_wait_ms: 1,
        min_bytes: 2,
        max_bytes: 9,
        topics: vec![fetch::FetchTopic {
            topic: "t".into(),
            partitions: vec![fetch::FetchPartition {
                partition: 3,
                fetch_offset: 4,
                partition_max_bytes: 5,
                ..Default::default()
            }],
            ..Default::default()
        }],
        ..Default::default()
    };
    let start: &[u8] = b"\xff\xff\xff\xff\0\0\0\x01\0\0\0\x02";
    let topics: &[u8] = b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\0\0\0\0\0\0\0\x04\0\0\0\x05";
    for version in 0..3 {
        assert_eq!(encode(&request, version).unwrap(), [start, topics].concat());
    }
    assert_eq!(encode(&request, 3).unwrap(), [start, b"\0\0\0\x09", topics].concat());
    let partition = fetch::PartitionData {
        partition_index: 3,
        error_code: ErrorCode::OFFSET_OUT_OF_RANGE,
        high_watermark: 4,
        records: Some(Bytes::from_static(b"set").into()),
        ..Default::default()
    };
    let response = FetchResponse {
        responses: vec![fetch::FetchableTopicResponse {
            topic: "t".into(),
            partitions: vec![partition],
            ..Default::default()
        }],
        ..Default::default()
    };
    let topics: &[u8] = b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\0\x01\0\0\0\0\0\0\0\x04\0\0\0\x03set";
    assert_eq!(encode(&response, 0).unwrap(), topics);
    for version in 1..4 {
        assert_eq!(encode(&response, version).unwrap(), [&[0; 4], topics].concat());
    }
}

#[test]
fn list_offsets_0_asks_for_and_tells_a_list() {
    let partition = list_offsets::ListOffsetsPartition { timestamp: -1, max_num_offsets: 7, ..Default::default() };
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![list_offsets::ListOffsetsTopic { name: "t".into(), partitions: vec![partition] }],
        ..Default::default()
    };
    let expected: &[u8] =
        b"\xff\xff\xff\xff\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\x07";
    assert_eq!(encode(&request, 0).unwrap(), expected);
    // More offsets than one cannot be asked for later.
    let refused =
        EncodeError::UnsupportedField { message: "ListOffsetsPartition", field: "max_num_offsets", version: 1 };
    assert_eq!(encode(&request, 1), Err(refused));

    let answer = |partition| ListOffsetsResponse {
        topics: vec![list_offsets::ListOffsetsTopicResponse { name: "t".into(), partitions: vec![partition] }],
        ..Default::default()
    };
    let old =
        answer(list_offsets::ListOffsetsPartitionResponse { old_style_offsets: vec![5, 0], ..Default::default() });
    let expected =
        [&b"\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\0\0\0\0\0\x02"[..], &[0, 0, 0, 0, 0, 0, 0, 5], &[0; 8]].concat();
    assert_eq!(encode(&old, 0).unwrap(), expected);
    assert_eq!(decode::<ListOffsetsResponse>(&Bytes::from(expected), 0), Ok(old.clone()));
    assert!(matches!(encode(&old, 1), Err(EncodeError::UnsupportedField { field: "old_style_offsets", .. })));
    let new = answer(list_offsets::ListOffsetsPartitionResponse { offset: 5, ..Default::default() });
    assert!(matches!(encode(&new, 0), Err(EncodeError::UnsupportedField { field: "offset", .. })));
    assert!(encode(&new, 1).is_ok());
}

#[test]
fn describe_configs_tells_the_source_in_place_of_the_default_from_version_1_on() {
    let entry = describe_configs::DescribeConfigsResourceResult {
        name: "a".into(),
        value: None,
        is_default: true,
        ..Default::default()
    };
    let response = DescribeConfigsResponse {
        results: vec![describe_configs::DescribeConfigsResult {
            error_message: None,
            configs: vec![entry],
            ..Default::default()
        }],
        ..Default::default()
    };
    let body = encode(&response, 0).unwrap();
    // The name, a null value, not read-only, the default, not a secret.
    assert!(body.ends_with(b"\0\x01a\xff\xff\0\x01\0"), "{body:?}");
    assert!(matches!(encode(&response, 1), Err(EncodeError::UnsupportedField { field: "is_default", .. })));
    let with_synonyms = DescribeConfigsRequest { include_synonyms: true, ..Default::default() };
    assert!(matches!(encode(&with_synonyms, 0), Err(EncodeError::UnsupportedField { .. })));
    let with_documentation = DescribeConfigsRequest { include_documentation: true, ..Default::default() };
    assert!(matches!(encode(&with_documentation, 2), Err(EncodeError::UnsupportedField { .. })));
    assert!(encode(&with_documentation, 3).is_ok());
}

#[test]
fn offset_for_leader_epoch_tells_the_epoch_from_version_1_on() {
    let asked =
        offset_for_leader_epoch::OffsetForLeaderPartition { partition: 1, current_leader_epoch: 2, leader_epoch: 3 };
    let request = OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![offset_for_leader_epoch::OffsetForLeaderTopic { topic: "t".into(), partitions: vec![asked] }],
    };
    let (topic, partition): (&[u8], &[u8]) = (b"\0\0\0\x01\0\x01t\0\0\0\x01", b"\0\0\0\x01");
    let (current, epoch): (&[u8], &[u8]) = (b"\0\0\0\x02", b"\0\0\0\x03");
    for version in [0, 1] {
        assert_eq!(encode(&request, version).unwrap(), [topic, partition, epoch].concat());
    }
    assert_eq!(encode(&request, 2).unwrap(), [topic, partition, current, epoch].concat());
    assert_eq!(encode(&request, 3).unwrap(), [&[0xff; 4], topic, partition, current, epoch].concat());
    let found =
        offset_for_leader_epoch::EpochEndOffset { partition: 1, leader_epoch: 3, end_offset: 4, ..Default::default() };
    let response = OffsetForLeaderEpochResponse {
        topics: vec![offset_for_leader_epoch::OffsetForLeaderTopicResult {
            topic: "t".into(),
            partitions: vec![found],
        }],
        ..Default::default()
    };
    let end: &[u8] = b"\0\0\0\0\0\0\0\x04";
    assert_eq!(encode(&response, 0).unwrap(), [topic, &[0, 0], partition, end].concat());
    assert_eq!(encode(&response, 1).unwrap(), [topic, &[0, 0], partition, epoch, end].concat());
    assert_eq!(encode(&response, 2).unwrap(), [&[0; 4], topic, &[0, 0], partition, epoch, end].concat());
}

#[test]
fn list_config_resources_0_is_about_client_metrics_only() {
    let topics = ListConfigResourcesRequest { resource_types: vec![2] };
    assert!(matches!(encode(&topics, 0), Err(EncodeError::UnsupportedField { .. })));
    assert_eq!(encode(&topics, 1).unwrap(), &b"\x02\x02\0"[..]);
    let metrics = list_config_resources::ConfigResource { resource_name: "m".into(), ..Default::default() };
    let response = ListConfigResourcesResponse { config_resources: vec![metrics], ..Default::default() };
    assert_eq!(encode(&response, 0).unwrap(), &b"\0\0\0\0\0\0\x02\x02m\0\0"[..]);
    assert_eq!(encode(&response, 1).unwrap(), &b"\0\0\0\0\0\0\x02\x02m\x10\0\0"[..]);
    assert_eq!(decode::<ListConfigResourcesResponse>(&encode(&response, 0).unwrap(), 0), Ok(response));
}

#[test]
fn a_nullable_struct_begins_with_a_byte_that_is_negative_for_null() {
    let mut request = DescribeTopicPartitionsRequest { response_partition_limit: 5, ..Default::default() };
    assert_eq!(encode(&request, 0).unwrap(), &b"\x01\0\0\0\x05\xff\0"[..]);
    request.cursor = Some(describe_topic_partitions::Cursor { topic_name: "t".into(), partition_index: 3 });
    assert_eq!(encode(&request, 0).unwrap(), &b"\x01\0\0\0\x05\x01\x02t\0\0\0\x03\0\0"[..]);
    // Kafka looks at the sign only.
    for (byte, expected) in [(0x80, None), (0xff, None), (0, request.cursor.clone()), (0x7f, request.cursor.clone())] {
        let mut bytes = b"\x01\0\0\0\x05".to_vec();
        bytes.push(byte);
        bytes.extend_from_slice(if expected.is_some() { b"\x02t\0\0\0\x03\0\0" } else { b"\0" });
        let decoded: DescribeTopicPartitionsRequest = decode(&Bytes::from(bytes), 0).unwrap();
        assert_eq!(decoded.cursor, expected, "{byte:#x}");
    }
    let cut = Bytes::from_static(b"\x01\0\0\0\x05\x01\x02t\0\0");
    assert!(matches!(decode::<DescribeTopicPartitionsRequest>(&cut, 0), Err(DecodeError::UnexpectedEnd { .. })));
}
