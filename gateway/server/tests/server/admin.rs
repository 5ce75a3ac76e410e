//! CreateTopics and FindCoordinator.

use sluice_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult,
};
use sluice_protocol::messages::{CreateTopicsRequest, FindCoordinatorRequest};
use sluice_protocol::{ApiKey, KString};

use crate::support::{Client, gateway};

fn topic(name: &str) -> CreatableTopic {
    CreatableTopic { name: KString::from(name), num_partitions: 1, replication_factor: 1, ..CreatableTopic::default() }
}

async fn create(client: &mut Client, version: i16, topics: Vec<CreatableTopic>) -> Vec<CreatableTopicResult> {
    client.call(version, &CreateTopicsRequest { topics, ..CreateTopicsRequest::default() }).await.topics
}

#[tokio::test(start_paused = true)]
async fn every_version_creates_topics() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in 2..=7 {
        let name = format!("t{version}");
        let asked = CreatableTopic { num_partitions: 3, ..topic(&name) };
        let created = create(&mut client, version, vec![asked.clone()]).await.remove(0);
        assert_eq!((created.error_code.as_i16(), &*created.name), (0, name.as_str()));
        assert_eq!(created.error_message, None);
        let counts = (created.num_partitions, created.replication_factor);
        assert_eq!(counts, if version >= 5 { (3, 1) } else { (-1, -1) });
        let described = client.topic(12, &name).await;
        assert_eq!((described.partitions.len(), described.error_code.as_i16()), (3, 0));
        assert_eq!(created.topic_id == described.topic_id, version >= 7);
        let again = create(&mut client, version, vec![asked]).await.remove(0);
        assert_eq!(again.error_code.as_i16(), 36);
        assert!(again.error_message.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn validation_alone_creates_nothing_and_finds_the_same_mistakes() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in 2..=7 {
        let topics = vec![topic("t"), topic("a b"), CreatableTopic { num_partitions: 0, ..topic("z") }];
        let request = CreateTopicsRequest { topics, validate_only: true, ..CreateTopicsRequest::default() };
        let response = client.call(version, &request).await;
        let codes: Vec<_> = response.topics.iter().map(|topic| topic.error_code.as_i16()).collect();
        assert_eq!(codes, [0, 17, 37]);
        assert!(!response.topics[0].topic_id.is_nil() || version < 7, "Kafka tells an id here as well");
        assert_eq!(response.topics[0].num_partitions, if version >= 5 { 1 } else { -1 });
    }
    let all = sluice_protocol::messages::MetadataRequest { topics: None, ..Default::default() };
    assert!(client.call(12, &all).await.topics.is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_mistake_has_its_code_and_leaves_its_neighbours_alone() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let assignment =
        |partition_index, brokers: &[i32]| CreatableReplicaAssignment { partition_index, broker_ids: brokers.to_vec() };
    let assigned = |name: &str, assignments: Vec<CreatableReplicaAssignment>| CreatableTopic {
        num_partitions: -1,
        replication_factor: -1,
        assignments,
        ..topic(name)
    };
    let config =
        |name: &str, value: &str| CreatableTopicConfig { name: KString::from(name), value: Some(KString::from(value)) };
    for version in 2..=7 {
        let good = format!("good{version}");
        let by_hand = format!("by-hand{version}");
        let topics = vec![
            topic("twice"),
            CreatableTopic { replication_factor: 4, ..topic("replicas") },
            CreatableTopic { configs: vec![config("no.such.config", "1")], ..topic("config") },
            topic(&good),
            topic("twice"),
            assigned(&by_hand, vec![assignment(1, &[1]), assignment(0, &[1])]),
            assigned("gap", vec![assignment(1, &[1])]),
            CreatableTopic { num_partitions: 2, ..assigned("both", vec![assignment(0, &[1])]) },
            CreatableTopic { num_partitions: -1, replication_factor: -1, ..topic(&format!("default{version}")) },
        ];
        let created = create(&mut client, version, topics).await;
        let codes: Vec<_> = created.iter().map(|topic| (topic.name.to_string(), topic.error_code.as_i16())).collect();
        let expected = [
            ("twice", 42),
            ("replicas", 38),
            ("config", 40),
            (&good, 0),
            (&by_hand, 0),
            ("gap", 39),
            ("both", 42),
            (&format!("default{version}"), 0),
        ];
        let expected: Vec<_> = expected.iter().map(|(name, code)| ((*name).to_owned(), *code)).collect();
        assert_eq!(codes, expected, "version {version}");
        assert_eq!(client.topic(12, &by_hand).await.partitions.len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn configs_are_told_with_where_they_come_from() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let config = CreatableTopicConfig { name: KString::from("max.message.bytes"), value: Some(KString::from("2000")) };
    for version in 5..=7 {
        let asked = CreatableTopic { configs: vec![config.clone()], ..topic(&format!("t{version}")) };
        let created = create(&mut client, version, vec![asked]).await.remove(0);
        assert!(created.error_code.is_none(), "{created:?}");
        let configs = created.configs.unwrap();
        let own: Vec<_> = configs.iter().filter(|config| config.config_source == 1).collect();
        assert_eq!(own.len(), 1, "{configs:?}");
        assert_eq!((&*own[0].name, own[0].value.as_deref()), ("max.message.bytes", Some("2000")));
        assert!(configs.iter().all(|config| matches!(config.config_source, 1 | 5)));
    }
}

/// Holds: I-06
#[tokio::test(start_paused = true)]
async fn every_group_is_coordinated_by_the_gateway_that_is_asked() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in 0..=6 {
        for key_type in [0, 1, 2, 3, -1] {
            if version == 0 && key_type != 0 {
                continue;
            }
            let code = match key_type {
                0 => 0,
                // Transactions are not served yet: clients ask again.
                1 => 15,
                // What is no name of a share partition; `as_kafka` has one.
                _ => 42,
            };
            let told = if code == 0 { (1, "broker.example", 19092) } else { (-1, "", -1) };
            for key in ["g", ""] {
                let keys = vec![KString::from(key), KString::from("h")];
                let request = FindCoordinatorRequest {
                    key: if version < 4 { KString::from(key) } else { KString::new() },
                    key_type,
                    coordinator_keys: if version < 4 { Vec::new() } else { keys.clone() },
                };
                let response = client.call(version, &request).await;
                if version < 4 {
                    let found = (response.node_id, &*response.host, response.port);
                    assert_eq!((response.error_code.as_i16(), found), (code, told), "{version} {key_type}");
                    assert!(response.coordinators.is_empty());
                    continue;
                }
                assert_eq!(response.coordinators.len(), keys.len());
                for (coordinator, key) in response.coordinators.iter().zip(&keys) {
                    let found = (coordinator.node_id, &*coordinator.host, coordinator.port);
                    assert_eq!((coordinator.error_code.as_i16(), found), (code, told), "{version} {key_type}");
                    assert_eq!(coordinator.key, *key);
                }
            }
        }
    }
    assert!(gateway.metrics().await.contains(&format!("api=\"{}\"", ApiKey::FindCoordinator)));
}
