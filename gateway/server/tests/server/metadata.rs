//! Metadata and ApiVersions.

use std::collections::BTreeSet;

use sluice_engine::Settings;
use sluice_protocol::messages::metadata::MetadataRequestTopic;
use sluice_protocol::messages::{ApiVersionsRequest, MetadataRequest, MetadataResponse};
use sluice_protocol::{KString, Uuid};
use sluice_server::{HostPort, ServerConfig};

use crate::support::{Cluster, gateway};

/// Known issue 7: what is advertised is what the table says, in every version.
#[tokio::test(start_paused = true)]
async fn api_versions_tells_the_table() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in 0..=4 {
        let software = if version >= 3 { KString::from("librdkafka") } else { KString::new() };
        let request = ApiVersionsRequest { client_software_name: software.clone(), client_software_version: software };
        let response = client.call(version, &request).await;
        assert!(response.error_code.is_none());
        let ranges: Vec<_> =
            response.api_keys.iter().map(|api| (api.api_key, api.min_version, api.max_version)).collect();
        let expected = [
            (0, 0, 13),
            (1, 4, 18),
            (2, 1, 11),
            (3, 0, 13),
            // From here on as Kafka 4.3, which serves fewer old versions than this gateway does.
            (8, 2, 10),
            (9, 1, 10),
            (10, 0, 6),
            (11, 0, 9),
            (12, 0, 4),
            (13, 0, 5),
            (14, 0, 5),
            (15, 0, 6),
            (16, 0, 5),
            (18, 0, 4),
            (19, 2, 7),
            (20, 1, 6),
            (21, 0, 2),
            (22, 0, 5),
            (23, 2, 4),
            (32, 1, 4),
            (33, 0, 2),
            (35, 1, 5),
            (37, 0, 3),
            (42, 0, 2),
            (43, 0, 2),
            (44, 0, 1),
            (45, 0, 1),
            (46, 0, 0),
            (47, 0, 0),
            (60, 0, 2),
            (61, 0, 0),
            (74, 0, 1),
            (75, 0, 0),
        ];
        assert_eq!(ranges, expected, "version {version}");
        assert_eq!(response.finalized_features_epoch, if version >= 3 { 1 } else { -1 });
        assert!(response.finalized_features.is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn api_versions_checks_the_software_name_from_version_3_on() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in 3..=4 {
        let response = client.call(version, &ApiVersionsRequest::default()).await;
        assert_eq!(response.error_code.as_i16(), 42);
        assert!(response.api_keys.is_empty());
    }
    assert!(client.call(2, &ApiVersionsRequest::default()).await.error_code.is_none());
}

/// Known issue 9: auto-creation on Metadata, in every version.
#[tokio::test(start_paused = true)]
async fn every_version_describes_a_topic_and_may_create_it() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let mut ids = BTreeSet::new();
    for version in 0..=13 {
        let name = format!("t{version}");
        let response = client.describe(version, &[&name]).await;
        assert_broker(&response, version, "broker.example", 19092);
        let topic = &response.topics[0];
        assert!(topic.error_code.is_none(), "{topic:?}");
        assert_eq!(topic.name.as_deref(), Some(name.as_str()));
        assert_eq!(topic.topic_id.is_nil(), version < 10);
        assert!(version < 10 || ids.insert(topic.topic_id), "an id twice");
        assert_eq!(topic.topic_authorized_operations, i32::MIN);
        assert!(!topic.is_internal);
        let partition = &topic.partitions[0];
        assert_eq!((topic.partitions.len(), partition.partition_index, partition.leader_id), (1, 0, 1));
        assert_eq!((&partition.replica_nodes, &partition.isr_nodes), (&vec![1], &vec![1]));
        assert_eq!(partition.leader_epoch, if version >= 7 { 0 } else { -1 });
    }
}

fn assert_broker(response: &MetadataResponse, version: i16, host: &str, port: i32) {
    let broker = &response.brokers[0];
    assert_eq!((response.brokers.len(), broker.node_id, &*broker.host, broker.port), (1, 1, host, port));
    assert_eq!(response.controller_id, if version >= 1 { 1 } else { -1 });
    assert_eq!(response.cluster_id.as_ref().map(|id| id.len()), (version >= 2).then_some(22));
    assert!(response.error_code.is_none());
}

#[tokio::test(start_paused = true)]
async fn null_and_empty_lists_mean_what_the_version_says() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("one", 1).await;
    client.create("two", 3).await;
    for version in 0..=13 {
        let empty = MetadataRequest { topics: Some(Vec::new()), ..MetadataRequest::default() };
        let listed = client.call(version, &empty).await;
        assert_eq!(listed.topics.len(), if version == 0 { 2 } else { 0 }, "version {version}");
        assert_broker(&listed, version, "broker.example", 19092);
        if version >= 1 {
            let all = MetadataRequest { topics: None, ..MetadataRequest::default() };
            let listed = client.call(version, &all).await;
            let found: BTreeSet<_> =
                listed.topics.iter().map(|t| (t.name.as_deref().unwrap(), t.partitions.len())).collect();
            assert_eq!(found, BTreeSet::from([("one", 1), ("two", 3)]));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_can_decline_auto_creation() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in 4..=13 {
        let topic = MetadataRequestTopic { name: Some(KString::from("absent")), ..MetadataRequestTopic::default() };
        let request = MetadataRequest {
            topics: Some(vec![topic]),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response = client.call(version, &request).await;
        assert_eq!(response.topics[0].error_code.as_i16(), 3);
        let all = client.call(version, &MetadataRequest { topics: None, ..MetadataRequest::default() }).await;
        assert!(all.topics.is_empty(), "it was created");
    }
}

#[tokio::test(start_paused = true)]
async fn the_gateway_can_decline_auto_creation() {
    let settings = Settings { auto_create_topics: false, ..Settings::default() };
    let gateway = Cluster::new().gateway_with(settings, ServerConfig::default()).await;
    let mut client = gateway.client().await;
    assert_eq!(client.topic(13, "absent").await.error_code.as_i16(), 3);
}

#[tokio::test(start_paused = true)]
async fn illegal_names_are_told_apart_from_others_and_a_name_twice_is_told_once() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let long = "x".repeat(250);
    for version in 0..=13 {
        let response = client.describe(version, &["a b", "", ".", "..", &long, "fine", "fine"]).await;
        let codes: Vec<_> = response.topics.iter().map(|topic| topic.error_code.as_i16()).collect();
        assert_eq!(codes, [17, 17, 17, 17, 17, 0], "version {version}");
        assert_eq!(response.topics[0].name.as_deref(), Some("a b"));
    }
}

#[tokio::test(start_paused = true)]
async fn topics_are_found_by_id_from_version_12_on() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let id = client.create("by-id", 2).await;
    let ask = |topic_id, name| MetadataRequest {
        topics: Some(vec![MetadataRequestTopic { topic_id, name }]),
        ..MetadataRequest::default()
    };
    for version in 12..=13 {
        let found = client.call(version, &ask(id, None)).await;
        assert_eq!((found.topics[0].name.as_deref(), found.topics[0].partitions.len()), (Some("by-id"), 2));
        let other = Uuid::from_u128(5);
        let missing = client.call(version, &ask(other, None)).await;
        let topic = &missing.topics[0];
        assert_eq!((topic.error_code.as_i16(), &topic.name, topic.topic_id), (100, &None, other));
    }
    for version in 10..=11 {
        for request in [ask(id, None), ask(id, Some(KString::from("by-id")))] {
            let refused = client.call(version, &request).await;
            assert_eq!(refused.topics[0].error_code.as_i16(), 42, "version {version}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_advertised_address_can_change_while_it_is_served() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let address = HostPort { host: "10.1.2.3".to_owned(), port: 5 };
    assert!(gateway.server.set_advertised(0, &address));
    assert!(!gateway.server.set_advertised(1, &address));
    let response = client.describe(13, &[]).await;
    assert_broker(&response, 13, "10.1.2.3", 5);
}
