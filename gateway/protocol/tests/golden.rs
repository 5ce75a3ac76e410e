//! Bytes written down by hand from the protocol's definition, header rules included.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use sluice_protocol::messages::api_versions::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use sluice_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse};
use sluice_protocol::{
    ApiKey, Bytes, DecodeError, ErrorCode, HeaderStart, Reader, RequestHeader, decode_request, decode_response,
    encode_request, encode_response,
};

fn check_request<R: sluice_protocol::Request>(
    expected: &[u8],
    correlation_id: i32,
    client_id: Option<&str>,
    version: i16,
    body: &R,
) {
    let frame = encode_request(correlation_id, client_id, version, body).unwrap().to_bytes();
    assert_eq!(frame, expected);
    let (header, decoded) = decode_request::<R>(&frame.slice(4..)).unwrap();
    assert_eq!(header.correlation_id, correlation_id);
    assert_eq!(header.client_id.as_deref(), client_id);
    assert_eq!(&decoded, body);
}

#[test]
fn api_versions_request_0_is_a_bare_header() {
    let expected = b"\0\0\0\x0d\0\x12\0\0\0\0\0\x05\0\x03cli";
    check_request(expected, 5, Some("cli"), 0, &ApiVersionsRequest::default());
    check_request(b"\0\0\0\x0a\0\x12\0\0\0\0\0\x05\xff\xff", 5, None, 0, &ApiVersionsRequest::default());
}

#[test]
fn api_versions_request_3_has_a_flexible_header_and_compact_strings() {
    let body = ApiVersionsRequest { client_software_name: "rdkafka".into(), client_software_version: "2.12".into() };
    // Client id with a two-byte length even so; then the header's empty tag section.
    let expected = b"\0\0\0\x1c\0\x12\0\x03\0\0\0\x07\0\x03cli\0\x08rdkafka\x052.12\0";
    check_request(expected, 7, Some("cli"), 3, &body);
}

#[test]
fn api_versions_response_0_has_no_throttle_time() {
    let body = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION,
        api_keys: vec![ApiVersion { api_key: 18, min_version: 0, max_version: 4 }],
        ..Default::default()
    };
    let expected = b"\0\0\0\x10\0\0\0\x05\0\x23\0\0\0\x01\0\x12\0\0\0\x04";
    let frame = encode_response(5, ApiKey::ApiVersions, 0, &body).unwrap().to_bytes();
    assert_eq!(frame, &expected[..]);
    assert_eq!(decode_response::<ApiVersionsRequest>(&frame.slice(4..), 0), Ok((5, body)));
}

#[test]
fn api_versions_response_3_is_flexible_but_its_header_is_not() {
    let mut body = ApiVersionsResponse {
        api_keys: vec![ApiVersion { api_key: 18, min_version: 0, max_version: 4 }],
        ..Default::default()
    };
    // Correlation id, and at once the error code: no tag section between them (KIP-511).
    let expected = b"\0\0\0\x13\0\0\0\x07\0\0\x02\0\x12\0\0\0\x04\0\0\0\0\0\0";
    let frame = encode_response(7, ApiKey::ApiVersions, 3, &body).unwrap().to_bytes();
    assert_eq!(frame, &expected[..]);

    body.supported_features = vec![SupportedFeatureKey { name: "f".into(), min_version: 0, max_version: 1 }];
    body.finalized_features_epoch = 9;
    body.finalized_features =
        vec![FinalizedFeatureKey { name: "f".into(), max_version_level: 1, min_version_level: 1 }];
    let tags = b"\x03\x00\x08\x02\x02f\0\0\0\x01\0\x01\x08\0\0\0\0\0\0\0\x09\x02\x08\x02\x02f\0\x01\0\x01\0";
    let frame = encode_response(7, ApiKey::ApiVersions, 4, &body).unwrap().to_bytes();
    assert_eq!(&frame[4..22], &expected[4..22]);
    assert_eq!(&frame[22..], &tags[..]);
    assert_eq!(decode_response::<ApiVersionsRequest>(&frame.slice(4..), 4), Ok((7, body)));
}

#[test]
fn other_flexible_responses_have_a_flexible_header() {
    let frame = encode_response(1, ApiKey::Metadata, 9, &MetadataResponse::default()).unwrap().to_bytes();
    // Length, correlation id, the header's empty tag section, throttle time…
    assert_eq!(&frame[4..13], b"\0\0\0\x01\0\0\0\0\0");
    let frame = encode_response(1, ApiKey::Metadata, 8, &MetadataResponse::default()).unwrap().to_bytes();
    // …and without one: throttle time, then the count of brokers.
    assert_eq!(&frame[4..16], b"\0\0\0\x01\0\0\0\0\0\0\0\0");
}

#[test]
fn all_topics_and_no_topics_differ_from_version_1_on() {
    let all = MetadataRequest { topics: None, ..Default::default() };
    check_request(b"\0\0\0\x0e\0\x03\0\x01\0\0\0\x01\xff\xff\xff\xff\xff\xff", 1, None, 1, &all);
    let none = MetadataRequest::default();
    check_request(b"\0\0\0\x0e\0\x03\0\x01\0\0\0\x01\xff\xff\0\0\0\0", 1, None, 1, &none);
    // Version 12: compact null is 0, an empty array 1; auto-creation, authorized operations, tags.
    check_request(b"\0\0\0\x0f\0\x03\0\x0c\0\0\0\x01\xff\xff\0\0\x01\0\0", 1, None, 12, &all);
    check_request(b"\0\0\0\x0f\0\x03\0\x0c\0\0\0\x01\xff\xff\0\x01\x01\0\0", 1, None, 12, &none);
}

#[test]
fn the_start_of_a_header_is_known_even_when_the_rest_is_not() {
    // An API and a version that nobody has.
    let frame = Bytes::from_static(b"\x7f\xff\0\x63\xff\xff\xff\xfe\0\x09too short");
    let start = HeaderStart::peek(&frame).unwrap();
    assert_eq!(start, HeaderStart { api_key: 0x7fff, api_version: 0x63, correlation_id: -2 });
    assert!(!RequestHeader::is_flexible(start.api_key, start.api_version));
    let short = Bytes::from_static(b"\0\x12\0\0\0\0\0");
    assert_eq!(HeaderStart::peek(&short), Err(DecodeError::UnexpectedEnd { needed: 4, remaining: 3 }));
}

#[test]
fn a_request_header_skips_its_tagged_fields_and_leaves_the_body() {
    let frame = Bytes::from_static(b"\0\x12\0\x03\0\0\0\x01\0\x01c\x01\x05\x02xx\x02a\x02b\0");
    let mut r = Reader::new(frame);
    let header = RequestHeader::decode(&mut r, RequestHeader::is_flexible).unwrap();
    assert_eq!(header.client_id.as_deref(), Some("c"));
    assert_eq!(r.remaining(), 5);
    let mut r = Reader::new(Bytes::from_static(b"\0\x12\0\0\0\0\0\x01\0\x01c\x01\x05"));
    RequestHeader::decode(&mut r, RequestHeader::is_flexible).unwrap();
    assert_eq!(r.finish(), Err(DecodeError::TrailingBytes(2)));
}
