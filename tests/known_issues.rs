//! The known issues of this field, one test each: through real sockets, against gateways from the composition root.
//!
//! Promises: each test says in its name what must not happen here. Known issue 8 (undocumented authentication of an admin
//! API) comes with that API.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

#[path = "known_issues/admin_apis.rs"]
mod admin_apis;
#[path = "known_issues/group_apis.rs"]
mod group_apis;
#[path = "known_issues/record_formats.rs"]
mod record_formats;

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use sluice::GatewayConfig;
use sluice_protocol::messages::api_versions::ApiVersion;
use sluice_protocol::messages::metadata::MetadataRequestTopic;
use sluice_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, FetchRequest, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest,
    ProduceRequest,
};
use sluice_protocol::{ErrorCode, KString, Request, Uuid};
use sluice_tests::batches::{batch, batch_of, values};
use sluice_tests::process::Sluice;
use sluice_tests::raw::{RawClient, fetch_request, frame, produce_request};
use sluice_tests::replicas::Replicas;

fn fetched(block: &sluice_protocol::messages::fetch::PartitionData) -> Vec<Vec<u8>> {
    assert_eq!(block.error_code, ErrorCode::NONE);
    values(&block.records.clone().unwrap_or_default().to_bytes())
}

/// A batch whose length field says something else than its length.
fn lying_batch(length: i32) -> Bytes {
    let mut bytes = BytesMut::from(batch(&[b"x"]).as_ref());
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    bytes.freeze()
}

#[test]
fn issue_1_a_batch_length_that_lies_is_refused_and_harms_nobody() {
    // Holds: I-09
    let replicas = Replicas::over_memory(1);
    let mut client = RawClient::connect(replicas.kafka(0));
    assert_eq!(client.create_topic("t", 1), ErrorCode::NONE);
    let honest = i32::try_from(batch(&[b"x"]).len()).unwrap() - 12;
    for length in [i32::MIN, -1, 0, 1, 11, 12, 48, 49, 50, honest - 1, honest + 1, 1 << 20, i32::MAX - 12, i32::MAX] {
        let block = client.produce("t", 0, &lying_batch(length));
        let refusals = [ErrorCode::CORRUPT_MESSAGE, ErrorCode::INVALID_RECORD, ErrorCode::MESSAGE_TOO_LARGE];
        assert!(refusals.contains(&block.error_code), "length {length}: {:?}", block.error_code);
    }
    for cut in 0..batch(&[b"x"]).len() {
        let block = client.produce("t", 0, &batch(&[b"x"]).slice(..cut));
        assert_ne!(block.error_code, ErrorCode::NONE, "the first {cut} bytes of a batch");
    }
    let block = client.produce("t", 0, &batch(&[b"good"]));
    assert_eq!(
        (block.error_code, block.base_offset),
        (ErrorCode::NONE, 0),
        "nothing of the refused batches has an offset"
    );
    assert_eq!(fetched(&client.fetch("t", 0, 0, 5000)), [b"good"]);
}

#[test]
fn issue_2_every_answer_carries_the_correlation_id_of_its_request() {
    // Holds: I-07
    let replicas = Replicas::over_memory(1);
    let mut client = RawClient::connect(replicas.kafka(0));
    assert_eq!(client.create_topic("t", 2), ErrorCode::NONE);
    // One write with many requests, slow and fast ones mixed, with ids that are neither ascending nor distinct.
    let ids = [7, -1, i32::MAX, 0, 7, i32::MIN, 12, 3, 3, 99, -5, 1_000_000];
    let mut bytes = Vec::new();
    for (at, id) in ids.iter().enumerate() {
        match at % 4 {
            0 => bytes.extend(frame(*id, 9, &produce_request("t", 0, batch(&[b"a"])))),
            1 => bytes.extend(frame(*id, 4, &ApiVersionsRequest::default())),
            2 => bytes.extend(frame(*id, 12, &fetch_request("t", 1, 0, 50))),
            _ => bytes.extend(frame(*id, 9, &MetadataRequest { topics: None, ..MetadataRequest::default() })),
        }
    }
    client.write(&bytes).unwrap();
    for (at, id) in ids.iter().enumerate() {
        let answered = match at % 4 {
            0 => client.receive::<ProduceRequest>(9).0,
            1 => client.receive::<ApiVersionsRequest>(4).0,
            2 => client.receive::<FetchRequest>(12).0,
            _ => client.receive::<MetadataRequest>(9).0,
        };
        assert_eq!(answered, *id, "request {at}");
    }
}

#[test]
fn issue_3_what_was_acknowledged_is_there_after_the_process_was_killed() {
    // Holds: I-01
    let folder = tempfile::tempdir().unwrap();
    let mut sluice = Sluice::serve(&["--store", "disk", "--data-dir", folder.path().to_str().unwrap()], &[]);
    let mut acked = Vec::new();
    for round in 0..3 {
        let mut client = RawClient::connect(sluice.kafka);
        for n in 0..20 {
            let value = format!("round {round}, record {n}").into_bytes();
            let block = client.produce("kept", 0, &batch(&[&value]));
            assert_eq!(block.error_code, ErrorCode::NONE);
            assert_eq!(usize::try_from(block.base_offset).unwrap(), acked.len());
            acked.push(value);
        }
        // The last answer is hardly out: no flush at exit, no second chance.
        sluice.restart();
        let mut client = RawClient::connect(sluice.kafka);
        assert_eq!(client.list_offset("kept", 0, -1), Ok(i64::try_from(acked.len()).unwrap()));
        assert_eq!(fetched(&client.fetch("kept", 0, 0, 5000)), acked);
    }
}

#[test]
fn issue_4_a_fetch_returns_what_was_produced_from_every_offset_and_through_every_gateway() {
    // Holds: I-06
    let replicas = Replicas::over_memory(2);
    let (mut one, mut other) = (RawClient::connect(replicas.kafka(0)), RawClient::connect(replicas.kafka(1)));
    assert_eq!(one.create_topic("t", 1), ErrorCode::NONE);
    let all: Vec<Vec<u8>> = (0..9u8).map(|n| vec![n; 300]).collect();
    for three in all.chunks(3) {
        let block = one.produce("t", 0, &batch(&[&three[0], &three[1], &three[2]]));
        assert_eq!(block.error_code, ErrorCode::NONE);
    }
    for client in [&mut one, &mut other] {
        for offset in 0..9 {
            let found = fetched(&client.fetch("t", 0, i64::try_from(offset).unwrap(), 5000));
            // Batches come whole: a consumer drops what lies before the offset it asked for.
            assert_eq!(found, all[offset / 3 * 3..], "from offset {offset}");
        }
        // A budget smaller than a batch still brings the first one whole, or the reader would never get on.
        let mut request = fetch_request("t", 0, 4, 5000);
        request.max_bytes = 1;
        request.topics[0].partitions[0].partition_max_bytes = 1;
        let response = client.request(12, &request);
        assert_eq!(fetched(&response.responses[0].partitions[0]), all[3..6]);
    }
    // A reader that waits at the end is woken by a write through the other gateway.
    let waiting = other.send(12, &fetch_request("t", 0, 9, 15_000));
    assert_eq!(one.produce("t", 0, &batch(&[b"news"])).error_code, ErrorCode::NONE);
    let (answered, response) = other.receive::<FetchRequest>(12);
    assert_eq!(answered, waiting);
    assert_eq!(fetched(&response.responses[0].partitions[0]), [b"news"]);
}

/// Sends a well-formed request of one advertised version and judges that the answer is one.
fn use_version(client: &mut RawClient, api: &ApiVersion, version: i16, topic_id: Uuid) {
    let none = ErrorCode::NONE;
    match api.api_key {
        0 => {
            let mut request = produce_request("t", 0, batch(&[b"x"]));
            request.topic_data[0].topic_id = topic_id;
            let answer = client.request(version, &request).responses[0].partition_responses[0].error_code;
            assert_eq!(answer, none, "Produce {version}");
        }
        1 => {
            let mut request = fetch_request("t", 0, 0, 0);
            request.topics[0].topic_id = topic_id;
            let answer = client.request(version, &request);
            assert_eq!(answer.responses[0].partitions[0].error_code, none, "Fetch {version}");
        }
        2 => {
            let request: ListOffsetsRequest = list_offsets("t");
            assert_eq!(
                client.request(version, &request).topics[0].partitions[0].error_code,
                none,
                "ListOffsets {version}"
            );
        }
        3 => {
            let topic = MetadataRequestTopic { name: Some(KString::from("t")), ..MetadataRequestTopic::default() };
            let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
            assert_eq!(client.request(version, &request).topics[0].error_code, none, "Metadata {version}");
        }
        18 => {
            let request = if version < 3 { ApiVersionsRequest::default() } else { named_api_versions() };
            assert_eq!(client.request(version, &request).error_code, none, "ApiVersions {version}");
        }
        19 => {
            let request = create_topics(&format!("made-by-{version}"));
            assert_eq!(client.request(version, &request).topics[0].error_code, none, "CreateTopics {version}");
        }
        22 => {
            let request =
                InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() };
            let answer = client.request(version, &request);
            assert_eq!(answer.error_code, none, "InitProducerId {version}");
            assert!(answer.producer_id >= 0, "InitProducerId {version}");
        }
        other => {
            let is_used = group_apis::use_group_version(client, other, version, topic_id)
                || admin_apis::use_admin_version(client, other, version);
            assert!(is_used, "API {other} is advertised, and nothing here tests it");
        }
    }
}

fn list_offsets(topic: &str) -> ListOffsetsRequest {
    use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
    let partition = ListOffsetsPartition { partition_index: 0, timestamp: -1, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: KString::from(topic), partitions: vec![partition] };
    ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() }
}

fn create_topics(name: &str) -> CreateTopicsRequest {
    use sluice_protocol::messages::create_topics::CreatableTopic;
    let topic = CreatableTopic {
        name: KString::from(name),
        num_partitions: 1,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, validate_only: false }
}

/// Versions that Kafka has dropped, and that are served to whoever sends them all the same.
const SERVED_SILENTLY: [(i16, i16); 5] = [(1, 0), (2, 0), (8, 0), (9, 0), (20, 0)];

#[test]
fn issue_5_what_a_group_committed_is_found_through_every_gateway_and_after_every_restart() {
    // Holds: I-01, I-06, T5
    let folder = tempfile::tempdir().unwrap();
    let mut sluice = Sluice::serve(&["--store", "disk", "--data-dir", folder.path().to_str().unwrap()], &[]);
    let mut client = RawClient::connect(sluice.kafka);
    let topic_id = client.request(7, &create_topics("t")).topics[0].topic_id;
    for version in 0..=10 {
        let mut client = RawClient::connect(sluice.kafka);
        let offset = i64::from(version) * 10 + 3;
        assert_eq!(group_apis::commit(&mut client, version, "g", topic_id, offset), ErrorCode::NONE);
        // Killed with the answer hardly out.
        sluice.restart();
        let mut client = RawClient::connect(sluice.kafka);
        assert_eq!(group_apis::committed(&mut client, version, "g", topic_id), (offset, "note".to_owned()));
    }
    let replicas = Replicas::over_memory(3);
    let topic_id = RawClient::connect(replicas.kafka(0)).request(7, &create_topics("t")).topics[0].topic_id;
    for offset in 0..30 {
        let gateway = |n: i64| RawClient::connect(replicas.kafka(usize::try_from(n % 3).unwrap()));
        assert_eq!(group_apis::commit(&mut gateway(offset), 9, "g", topic_id, offset), ErrorCode::NONE);
        assert_eq!(group_apis::committed(&mut gateway(offset + 1), 9, "g", topic_id).0, offset);
    }
}

#[test]
fn issue_7_every_advertised_version_is_served_and_no_other() {
    // Holds: I-08
    let mut config = GatewayConfig::default();
    config.settings.group_initial_rebalance_delay_ms = 0;
    let replicas = Replicas::over_memory_with(1, &config);
    let mut client = RawClient::connect(replicas.kafka(0));
    let created = client.request(7, &create_topics("t")).topics[0].clone();
    assert_eq!(created.error_code, ErrorCode::NONE);
    let advertised = client.request(0, &ApiVersionsRequest::default()).api_keys;
    assert!(advertised.len() >= 19, "{advertised:?}");
    for api in &advertised {
        for version in api.min_version..=api.max_version {
            use_version(&mut client, api, version, created.topic_id);
        }
    }
    let mut ranges: BTreeMap<i16, (i16, i16)> =
        advertised.iter().map(|a| (a.api_key, (a.min_version, a.max_version))).collect();
    for (key, min) in SERVED_SILENTLY {
        let advertised = ranges.get_mut(&key).unwrap();
        for version in min..advertised.0 {
            let api = ApiVersion { api_key: key, ..ApiVersion::default() };
            use_version(&mut client, &api, version, created.topic_id);
        }
        advertised.0 = min;
    }
    for key in -1..=100 {
        let (min, max) = ranges.get(&key).copied().unwrap_or((0, -1));
        for version in [min - 1, max + 1].into_iter().filter(|_| key != 18) {
            let mut client = RawClient::connect(replicas.kafka(0));
            // The body does not matter: a version outside the range is not looked into.
            let mut bytes = vec![0, 0, 0, 10];
            bytes.extend(key.to_be_bytes());
            bytes.extend(version.to_be_bytes());
            bytes.extend([0, 0, 0, 1, 255, 255]);
            client.write(&bytes).unwrap();
            assert!(client.is_closed(), "API {key} version {version} is not advertised, and was answered");
        }
    }
}

#[test]
fn issue_7_an_unknown_version_of_api_versions_is_told_which_ones_there_are() {
    let replicas = Replicas::over_memory(1);
    let mut client = RawClient::connect(replicas.kafka(0));
    for version in [5i16, 127, i16::MAX] {
        let mut bytes = vec![0, 0, 0, 10, 0, 18];
        bytes.extend(version.to_be_bytes());
        bytes.extend([0, 0, 0, 9, 255, 255]);
        client.write(&bytes).unwrap();
        // In the layout of version 0, the one that every client can read.
        let (id, answer) = client.receive::<ApiVersionsRequest>(0);
        assert_eq!((id, answer.error_code), (9, ErrorCode::UNSUPPORTED_VERSION));
        let own: Vec<_> = answer.api_keys.iter().map(|a| (a.api_key, a.min_version, a.max_version)).collect();
        assert_eq!(own, [(ApiVersionsRequest::KEY.as_i16(), 0, 4)], "its own range, as Kafka answers");
    }
    assert_eq!(client.request(4, &named_api_versions()).error_code, ErrorCode::NONE, "and the connection goes on");
}

fn named_api_versions() -> ApiVersionsRequest {
    ApiVersionsRequest { client_software_name: KString::from("raw"), client_software_version: KString::from("1.0") }
}

#[test]
fn issue_9_a_topic_is_created_by_its_first_produce() {
    let replicas = Replicas::over_memory(2);
    let mut client = RawClient::connect(replicas.kafka(0));
    // Not a word about the topic before: no Metadata, no CreateTopics.
    let block = client.produce("by-produce", 0, &batch(&[b"first"]));
    assert_eq!((block.error_code, block.base_offset), (ErrorCode::NONE, 0));
    let mut other = RawClient::connect(replicas.kafka(1));
    assert_eq!(fetched(&other.fetch("by-produce", 0, 0, 5000)), [b"first"]);

    // Nor is a partition that the new topic does not have.
    let block = client.produce("too-few", 3, &batch(&[b"nowhere"]));
    assert_eq!(block.error_code, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);

    let ask = |name: &str, create: bool| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { name: Some(KString::from(name)), ..MetadataRequestTopic::default() }]),
        allow_auto_topic_creation: create,
        ..MetadataRequest::default()
    };
    let declined = client.request(9, &ask("declined", false)).topics[0].error_code;
    assert_eq!(declined, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, "a client may decline");
    assert_eq!(client.request(9, &ask("by-metadata", true)).topics[0].error_code, ErrorCode::NONE);
    let again = client.request(9, &ask("declined", false)).topics[0].error_code;
    assert_eq!(again, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn issue_9_the_first_produce_of_an_idempotent_producer_creates_the_topic_once() {
    let replicas = Replicas::over_memory(2);
    let mut clients: Vec<RawClient> = (0..2).map(|n| RawClient::connect(replicas.kafka(n))).collect();
    let init = InitProducerIdRequest { transactional_id: None, transaction_timeout_ms: 60_000, ..Default::default() };
    let ids: Vec<i64> = clients.iter_mut().map(|c| c.request(4, &init).producer_id).collect();
    assert_ne!(ids[0], ids[1], "two producers, one id");
    // Both gateways are asked at once, before either knows the topic.
    for (client, id) in clients.iter_mut().zip(&ids) {
        client.send(9, &produce_request("raced", 0, batch_of(*id, 0, &[format!("of {id}").as_bytes()])));
    }
    let mut offsets: Vec<i64> = clients
        .iter_mut()
        .map(|client| {
            let block = client.receive::<ProduceRequest>(9).1.responses[0].partition_responses[0].clone();
            assert_eq!(block.error_code, ErrorCode::NONE);
            block.base_offset
        })
        .collect();
    offsets.sort_unstable();
    assert_eq!(offsets, [0, 1], "one topic, both records in it");
}
