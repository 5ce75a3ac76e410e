//! Configs: DescribeConfigs, AlterConfigs, IncrementalAlterConfigs, ListConfigResources, and those of CreateTopics.
//!
//! What is expected, messages included, is what Apache Kafka 4.3.1 answers to the same requests.

use sluice_engine::Settings;
use sluice_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig, CreatableTopicResult};
use sluice_protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult,
};
use sluice_protocol::messages::{
    AlterConfigsRequest, CreateTopicsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest,
    ListConfigResourcesRequest, alter_configs, incremental_alter_configs,
};
use sluice_protocol::{ErrorCode, KString};
use sluice_server::ServerConfig;

use crate::support::{Client, Cluster, gateway};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const LOGGER: i8 = 8;
const METRICS: i8 = 16;
const GROUP: i8 = 32;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// What Kafka tells of a topic that sets nothing: name, value, type, and the broker config that it has its value from.
const DEFAULTS: [(&str, &str, i8, &str); 33] = [
    ("cleanup.policy", "delete", 7, "log.cleanup.policy"),
    ("compression.gzip.level", "-1", 3, "compression.gzip.level"),
    ("compression.lz4.level", "9", 3, "compression.lz4.level"),
    ("compression.type", "producer", 2, "compression.type"),
    ("compression.zstd.level", "3", 3, "compression.zstd.level"),
    ("delete.retention.ms", "86400000", 5, "log.cleaner.delete.retention.ms"),
    ("file.delete.delay.ms", "60000", 5, "log.segment.delete.delay.ms"),
    ("flush.messages", "9223372036854775807", 5, "log.flush.interval.messages"),
    ("flush.ms", "9223372036854775807", 5, ""),
    ("follower.replication.throttled.replicas", "", 7, ""),
    ("index.interval.bytes", "4096", 3, "log.index.interval.bytes"),
    ("leader.replication.throttled.replicas", "", 7, ""),
    ("local.retention.bytes", "-2", 5, "log.local.retention.bytes"),
    ("local.retention.ms", "-2", 5, "log.local.retention.ms"),
    ("max.compaction.lag.ms", "9223372036854775807", 5, "log.cleaner.max.compaction.lag.ms"),
    ("max.message.bytes", "1048588", 3, "message.max.bytes"),
    ("message.timestamp.after.max.ms", "3600000", 5, "log.message.timestamp.after.max.ms"),
    ("message.timestamp.before.max.ms", "9223372036854775807", 5, "log.message.timestamp.before.max.ms"),
    ("message.timestamp.type", "CreateTime", 2, "log.message.timestamp.type"),
    ("min.cleanable.dirty.ratio", "0.5", 6, "log.cleaner.min.cleanable.ratio"),
    ("min.compaction.lag.ms", "0", 5, "log.cleaner.min.compaction.lag.ms"),
    ("min.insync.replicas", "1", 3, "min.insync.replicas"),
    ("preallocate", "false", 1, "log.preallocate"),
    ("remote.log.copy.disable", "false", 1, ""),
    ("remote.log.delete.on.disable", "false", 1, ""),
    ("remote.storage.enable", "false", 1, ""),
    ("retention.bytes", "-1", 5, "log.retention.bytes"),
    ("retention.ms", "604800000", 5, ""),
    ("segment.bytes", "1073741824", 3, "log.segment.bytes"),
    ("segment.index.bytes", "10485760", 3, "log.index.size.max.bytes"),
    ("segment.jitter.ms", "0", 5, ""),
    ("segment.ms", "604800000", 5, ""),
    ("unclean.leader.election.enable", "false", 1, "unclean.leader.election.enable"),
];

/// Type, name, and names of configs.
type Asked<'a> = (i8, &'a str, &'a [&'a str]);

fn asked((kind, name, keys): &Asked<'_>) -> DescribeConfigsResource {
    let keys: Vec<_> = keys.iter().map(|key| KString::from(*key)).collect();
    DescribeConfigsResource {
        resource_type: *kind,
        resource_name: KString::from(*name),
        configuration_keys: (!keys.is_empty()).then_some(keys),
    }
}

fn describe_request(version: i16, resources: &[Asked<'_>]) -> DescribeConfigsRequest {
    DescribeConfigsRequest {
        resources: resources.iter().map(asked).collect(),
        include_synonyms: version >= 1,
        include_documentation: version >= 3,
    }
}

impl Client {
    async fn describe_configs(&mut self, resources: &[Asked<'_>]) -> Vec<DescribeConfigsResult> {
        self.call(4, &describe_request(4, resources)).await.results
    }

    /// Code and message.
    async fn describe_refusal(&mut self, kind: i8, name: &str) -> (i16, String) {
        let result = self.describe_configs(&[(kind, name, &[])]).await.remove(0);
        assert!(result.configs.is_empty());
        (result.error_code.as_i16(), result.error_message.unwrap().to_string())
    }

    async fn config(&mut self, kind: i8, name: &str, config: &str) -> DescribeConfigsResourceResult {
        let mut result = self.describe_configs(&[(kind, name, &[config])]).await.remove(0);
        assert_eq!((result.error_code.as_i16(), result.configs.len()), (0, 1), "{config}");
        result.configs.remove(0)
    }

    /// Value and source.
    async fn value(&mut self, kind: i8, name: &str, config: &str) -> (Option<String>, i8) {
        let config = self.config(kind, name, config).await;
        (config.value.map(String::from), config.config_source)
    }

    /// Code and message of a change of one resource.
    async fn change(&mut self, kind: i8, name: &str, changes: &[Change<'_>]) -> Answer {
        let request = change_request(&[(kind, name, changes)], false);
        let response = self.call(1, &request).await.responses.remove(0);
        assert_eq!((response.resource_type, &*response.resource_name), (kind, name));
        (response.error_code.as_i16(), response.error_message.map(String::from))
    }

    async fn replace(&mut self, kind: i8, name: &str, configs: &[Config<'_>]) -> Answer {
        let response = self.call(2, &replace_request(&[(kind, name, configs)], false)).await.responses.remove(0);
        (response.error_code.as_i16(), response.error_message.map(String::from))
    }

    async fn create_with(&mut self, version: i16, name: &str, configs: &[Config<'_>]) -> CreatableTopicResult {
        let config = |(name, value): &Config<'_>| CreatableTopicConfig {
            name: KString::from(*name),
            value: value.map(KString::from),
        };
        let topic = CreatableTopic {
            name: KString::from(name),
            num_partitions: 1,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        self.call(version, &request).await.topics.remove(0)
    }
}

/// Name, operation, value.
type Change<'a> = (&'a str, i8, Option<&'a str>);
/// Code and message.
type Answer = (i16, Option<String>);
/// Name and value.
type Config<'a> = (&'a str, Option<&'a str>);
/// Name and type of a resource.
type Listed<'a> = (&'a str, i8);

fn change_request(resources: &[(i8, &str, &[Change<'_>])], validate_only: bool) -> IncrementalAlterConfigsRequest {
    use incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
    let config = |(name, op, value): &Change<'_>| AlterableConfig {
        name: KString::from(*name),
        config_operation: *op,
        value: value.map(KString::from),
    };
    let resource = |(kind, name, changes): &(i8, &str, &[Change<'_>])| AlterConfigsResource {
        resource_type: *kind,
        resource_name: KString::from(*name),
        configs: changes.iter().map(config).collect(),
    };
    IncrementalAlterConfigsRequest { resources: resources.iter().map(resource).collect(), validate_only }
}

type Replaced<'a> = (i8, &'a str, &'a [Config<'a>]);

fn replace_request(resources: &[Replaced<'_>], validate_only: bool) -> AlterConfigsRequest {
    use alter_configs::{AlterConfigsResource, AlterableConfig};
    let config =
        |(name, value): &Config<'_>| AlterableConfig { name: KString::from(*name), value: value.map(KString::from) };
    let resource = |(kind, name, configs): &Replaced<'_>| AlterConfigsResource {
        resource_type: *kind,
        resource_name: KString::from(*name),
        configs: configs.iter().map(config).collect(),
    };
    AlterConfigsRequest { resources: resources.iter().map(resource).collect(), validate_only }
}

fn refused(code: i16, message: &str) -> Answer {
    (code, Some(message.to_owned()))
}

const DONE: Answer = (0, None);

#[tokio::test(start_paused = true)]
async fn every_version_tells_a_topic_s_configs_as_kafka_does() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    for version in 0..=4 {
        let mut results = client.call(version, &describe_request(version, &[(TOPIC, "t", &[])])).await.results;
        let result = results.remove(0);
        assert_eq!((result.error_code, result.error_message.as_deref()), (ErrorCode::NONE, Some("")));
        assert_eq!(result.configs.len(), DEFAULTS.len());
        for (config, (name, value, kind, synonym)) in result.configs.iter().zip(DEFAULTS) {
            assert_eq!((&*config.name, config.value.as_deref()), (name, Some(value)));
            assert!(!config.read_only && !config.is_sensitive);
            assert_eq!(config.is_default, version == 0);
            assert_eq!(config.config_source, if version >= 1 { 5 } else { -1 });
            let synonyms: Vec<_> = config.synonyms.iter().map(|synonym| (&*synonym.name, synonym.source)).collect();
            let expected = if version == 0 || synonym.is_empty() { vec![] } else { vec![(synonym, 5)] };
            assert_eq!(synonyms, expected, "{name}");
            assert_eq!(config.config_type, if version >= 3 { kind } else { 0 }, "{name}");
            let is_documented = config.documentation.as_ref().is_some_and(|text| text.ends_with('.'));
            assert_eq!(is_documented, version >= 3, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn synonyms_documentation_and_other_configs_are_told_only_when_asked_for() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    let plain = DescribeConfigsRequest {
        resources: vec![asked(&(TOPIC, "t", &["segment.bytes", "nope", "retention.ms", "segment.bytes"]))],
        ..DescribeConfigsRequest::default()
    };
    let result = client.call(4, &plain).await.results.remove(0);
    let names: Vec<_> = result.configs.iter().map(|config| &*config.name).collect();
    assert_eq!(names, ["retention.ms", "segment.bytes"]);
    assert!(result.configs.iter().all(|config| config.synonyms.is_empty() && config.documentation.is_none()));
    let mut none = plain.clone();
    none.resources[0].configuration_keys = Some(Vec::new());
    assert_eq!(client.call(4, &none).await.results[0].configs.len(), 33, "no names are all names");
    let twice = client.describe_configs(&[(TOPIC, "t", &["retention.ms"]), (TOPIC, "t", &["segment.ms"])]).await;
    assert_eq!((&*twice[0].configs[0].name, &*twice[1].configs[0].name), ("retention.ms", "segment.ms"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_described_says_why() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    let cases = [
        (TOPIC, "unknown", 3, ""),
        (BROKER, "7", 42, "Unexpected broker id, expected 1 or empty string, but received 7"),
        (BROKER, "x", 42, "Broker id must be an integer, but it is: x"),
        (LOGGER, "2", 42, "Unexpected broker id, expected 1 but received 2"),
        (LOGGER, "", 42, "Broker id must not be empty"),
        (METRICS, "", 42, "Client metrics subscription name must not be empty"),
        (GROUP, "", 42, "Group name must not be empty"),
    ];
    for (kind, name, code, message) in cases {
        assert_eq!(client.describe_refusal(kind, name).await, (code, message.to_owned()), "{kind} {name}");
    }
    for name in ["", "a b", "..", &"x".repeat(250)] {
        assert_eq!(client.describe_refusal(TOPIC, name).await.0, 17, "{name}");
    }
    for kind in [0, 1, 3, 5, 7, 99, -1] {
        let results = client.describe_configs(&[(TOPIC, "t", &[]), (kind, "x", &[])]).await;
        let codes: Vec<_> = results.iter().map(|result| result.error_code.as_i16()).collect();
        assert_eq!(codes, [42, 42], "one of type {kind} fails them all");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_served_has_kafka_s_defaults_and_cannot_be_set() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let results = client.describe_configs(&[(GROUP, "g", &[]), (METRICS, "m", &[]), (LOGGER, "1", &[])]).await;
    let counts: Vec<_> = results.iter().map(|result| (result.error_code.as_i16(), result.configs.len())).collect();
    assert_eq!(counts, [(0, 17), (0, 3), (0, 0)]);
    let session = client.config(GROUP, "g", "consumer.session.timeout.ms").await;
    let synonyms: Vec<_> = session.synonyms.iter().map(|s| (&*s.name, s.value.as_deref(), s.source)).collect();
    assert_eq!(synonyms, [("group.consumer.session.timeout.ms", Some("45000"), 5)]);
    let cases = [
        (GROUP, "g", "nope", refused(40, "Unknown group config name: nope")),
        (GROUP, "", "nope", refused(42, "Default group resources are not allowed.")),
        (METRICS, "m", "nope", refused(42, "Unknown client metrics configuration: nope")),
        (METRICS, "", "nope", refused(42, "Subscription name can't be empty")),
        (LOGGER, "1", "kafka.server", refused(40, "Logger kafka.server does not exist!")),
        (LOGGER, "7", "kafka.server", refused(42, "Unexpected node id. Expected 1, but received 7")),
        (LOGGER, "", "kafka.server", refused(42, "Node id must be an integer, but it is: ")),
    ];
    for (kind, name, config, answer) in cases {
        assert_eq!(client.change(kind, name, &[(config, SET, Some("5"))]).await, answer);
    }
    for (kind, config) in [(GROUP, "consumer.session.timeout.ms"), (METRICS, "interval.ms")] {
        assert_eq!(client.change(kind, "x", &[(config, SET, Some("50000"))]).await.0, 40, "refused, not swallowed");
        assert_eq!(client.change(kind, "x", &[(config, DELETE, None)]).await, DONE);
    }
    assert_eq!(client.replace(LOGGER, "1", &[("x", Some("DEBUG"))]).await, refused(42, "Unknown resource type 8"));
}

#[tokio::test(start_paused = true)]
async fn every_version_changes_configs_one_by_one() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    for version in 0..=1 {
        let changes: &[Change<'_>] = &[("retention.ms", SET, Some("5")), ("cleanup.policy", APPEND, Some("compact"))];
        for validate_only in [true, false] {
            let request = change_request(&[(TOPIC, "t", changes)], validate_only);
            let response = client.call(version, &request).await.responses.remove(0);
            assert_eq!((response.error_code, response.error_message), (ErrorCode::NONE, None));
            let expected = if validate_only { "604800000" } else { "5" };
            assert_eq!(client.value(TOPIC, "t", "retention.ms").await.0.as_deref(), Some(expected));
        }
        assert_eq!(client.value(TOPIC, "t", "cleanup.policy").await, (Some("delete,compact".to_owned()), 1));
        let back: &[Change<'_>] =
            &[("retention.ms", DELETE, Some("ignored")), ("cleanup.policy", SUBTRACT, Some("delete"))];
        assert_eq!(client.change(TOPIC, "t", back).await, DONE);
        assert_eq!(client.value(TOPIC, "t", "retention.ms").await, (Some("604800000".to_owned()), 5));
        assert_eq!(client.value(TOPIC, "t", "cleanup.policy").await, (Some("compact".to_owned()), 1));
        assert_eq!(client.change(TOPIC, "t", &[("cleanup.policy", DELETE, None)]).await, DONE);
    }
}

#[tokio::test(start_paused = true)]
async fn every_version_replaces_configs() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    for version in 0..=2 {
        assert_eq!(client.change(TOPIC, "t", &[("retention.ms", SET, Some("5"))]).await, DONE);
        for validate_only in [true, false] {
            let request = replace_request(&[(TOPIC, "t", &[("segment.ms", Some("9000"))])], validate_only);
            let response = client.call(version, &request).await.responses.remove(0);
            assert_eq!((response.error_code, response.error_message), (ErrorCode::NONE, None));
            let source = client.value(TOPIC, "t", "retention.ms").await.1;
            assert_eq!(source, if validate_only { 1 } else { 5 });
        }
        assert_eq!(client.value(TOPIC, "t", "segment.ms").await, (Some("9000".to_owned()), 1));
        assert_eq!(client.replace(TOPIC, "t", &[]).await, DONE);
        assert_eq!(client.value(TOPIC, "t", "segment.ms").await.1, 5);
    }
    assert_eq!(
        client.replace(TOPIC, "t", &[("segment.ms", None)]).await,
        refused(42, "Null value not supported for : segment.ms")
    );
    assert_eq!(client.replace(TOPIC, "unknown", &[]).await, refused(3, "The topic 'unknown' does not exist."));
    let twice: &[Replaced<'_>] = &[(TOPIC, "t", &[]), (TOPIC, "t", &[])];
    let codes =
        client.call(2, &replace_request(twice, false)).await.responses.into_iter().map(|r| r.error_code.as_i16());
    assert_eq!(codes.collect::<Vec<_>>(), [42, 42]);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_is_refused_says_why_and_changes_nothing() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    let cases: &[(&[Change<'_>], Answer)] = &[
        (&[("nope", SET, Some("5"))], refused(40, "Unknown topic config name: nope")),
        (&[("", SET, Some("5"))], refused(40, "Unknown topic config name: ")),
        (&[("segment.ms", SET, Some("x")), ("nope", SET, Some("1"))], refused(40, "Unknown topic config name: nope")),
        (
            &[("retention.ms", SET, Some("five"))],
            refused(40, "Invalid value five for configuration retention.ms: Not a number of type LONG"),
        ),
        (
            &[("retention.ms", SET, Some("-5"))],
            refused(40, "Invalid value -5 for configuration retention.ms: Value must be at least -1"),
        ),
        (&[("retention.ms", SET, None)], refused(42, "Null value not supported for : retention.ms")),
        (&[("a", SET, None), ("b", APPEND, None)], refused(42, "Null value not supported for : a, b")),
        (
            &[("retention.ms", APPEND, Some("5"))],
            refused(40, "Can't APPEND to key retention.ms because its type is not LIST."),
        ),
        (&[("nope", SUBTRACT, Some("5"))], refused(40, "Can't SUBTRACT to key nope because its type is not LIST.")),
        (
            &[("cleanup.policy", APPEND, Some("bad"))],
            refused(40, "Invalid value bad for configuration cleanup.policy: String must be one of: compact, delete"),
        ),
        (
            &[("cleanup.policy", APPEND, Some(""))],
            refused(40, "Configuration 'cleanup.policy' values must not be empty."),
        ),
        (
            &[("retention.ms", SET, Some("5")), ("retention.ms", SET, Some("6"))],
            refused(42, "Error due to duplicate config keys"),
        ),
        (
            &[("max.compaction.lag.ms", SET, Some("5")), ("min.compaction.lag.ms", SET, Some("6"))],
            refused(40, "conflict topic config setting min.compaction.lag.ms (6) > max.compaction.lag.ms (5)"),
        ),
        (
            &[("remote.storage.enable", SET, Some("true"))],
            refused(
                40,
                "Tiered Storage functionality is disabled in the broker. \
                 Topic cannot be configured with remote log storage.",
            ),
        ),
        (&[("nope", DELETE, None), ("retention.ms", DELETE, None)], DONE),
        (&[], DONE),
    ];
    for (changes, answer) in cases {
        assert_eq!(client.change(TOPIC, "t", changes).await, *answer, "{changes:?}");
        let result = client.describe_configs(&[(TOPIC, "t", &[])]).await.remove(0);
        assert!(result.configs.iter().all(|config| config.config_source == 5), "{changes:?}");
    }
    assert_eq!(client.change(TOPIC, "t", &[("retention.ms", 9, Some("5"))]).await, (-1, None), "no such operation");
    let long = "0:1,".repeat(2_000);
    let long: &[Change<'_>] = &[("leader.replication.throttled.replicas", SET, long.strip_suffix(','))];
    assert_eq!(client.change(TOPIC, "t", long).await.0, 40, "State keeps no more than 4 KiB");
}

#[tokio::test(start_paused = true)]
async fn one_resource_that_is_refused_leaves_its_neighbours_alone() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for name in ["a", "b", "c"] {
        client.create(name, 1).await;
    }
    let five: &[Change<'_>] = &[("retention.ms", SET, Some("5"))];
    let resources: &[(i8, &str, &[Change<'_>])] = &[
        (TOPIC, "a", five),
        (TOPIC, "b", &[("retention.ms", SET, Some("x"))]),
        (TOPIC, "c", five),
        (3, "a", five),
        (TOPIC, "a", five),
        (TOPIC, "", five),
        (TOPIC, "a b", five),
        (TOPIC, "unknown", five),
    ];
    let responses = client.call(1, &change_request(resources, false)).await.responses;
    let codes: Vec<_> = responses.iter().map(|response| response.error_code.as_i16()).collect();
    assert_eq!(codes, [42, 40, 0, 42, 42, 42, 17, 3]);
    let message = |index: usize| responses[index].error_message.as_deref().unwrap();
    assert_eq!(message(0), "Each resource must appear at most once.");
    assert_eq!(message(3), "Unknown resource type 3");
    assert_eq!(message(5), "Default topic resources are not allowed.");
    assert_eq!(client.value(TOPIC, "c", "retention.ms").await.1, 1);
    assert_eq!(client.value(TOPIC, "a", "retention.ms").await.1, 5);
}

#[tokio::test(start_paused = true)]
async fn a_broker_s_dynamic_configs_become_the_defaults_of_topics() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    assert_eq!(client.value(BROKER, "1", "log.retention.ms").await, (None, 5));
    assert_eq!(client.change(BROKER, "", &[("log.retention.ms", SET, Some("600000"))]).await, DONE);
    assert_eq!(client.change(BROKER, "1", &[("log.retention.ms", SET, Some("500000"))]).await, DONE);
    assert_eq!(client.change(TOPIC, "t", &[("retention.ms", SET, Some(" 7 "))]).await, DONE);
    let config = client.config(TOPIC, "t", "retention.ms").await;
    let synonyms =
        config.synonyms.iter().map(|s| (s.name.to_string(), s.value.as_deref().map(str::to_owned), s.source));
    let expected = [
        ("retention.ms", "7", 1),
        ("log.retention.ms", "500000", 2),
        ("log.retention.ms", "600000", 3),
        ("log.retention.hours", "168", 5),
    ];
    let expected = expected.map(|(name, value, source)| (name.to_owned(), Some(value.to_owned()), source));
    assert_eq!(synonyms.collect::<Vec<_>>(), expected);
    let all = client.describe_configs(&[(BROKER, "", &[])]).await.remove(0).configs;
    assert_eq!(all.len(), 1, "what is set, and nothing else");
    assert_eq!((&*all[0].name, all[0].config_source, all[0].synonyms.len()), ("log.retention.ms", 3, 1));
    // A negative time is no limit; a new topic has what is set.
    assert_eq!(client.replace(BROKER, "1", &[("log.retention.ms", Some("-5"))]).await, DONE);
    let created = client.create_with(7, "u", &[]).await.configs.unwrap();
    let retention = created.iter().find(|config| &*config.name == "retention.ms").unwrap();
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("-1"), 2));
    assert_eq!(client.replace(BROKER, "1", &[]).await, DONE);
    assert_eq!(client.value(BROKER, "1", "log.retention.ms").await, (Some("600000".to_owned()), 3));
    let listed = client.config(BROKER, "1", "log.cleanup.policy").await;
    assert_eq!((listed.value.as_deref(), listed.config_type, listed.read_only), (Some("delete"), 7, false));
}

#[tokio::test(start_paused = true)]
async fn a_broker_s_other_configs_cannot_be_changed() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let cases: &[(&str, &[Change<'_>], Answer)] = &[
        (
            "1",
            &[("auto.create.topics.enable", SET, Some("false")), ("num.partitions", SET, Some("5"))],
            refused(42, "Cannot update these configs dynamically: [auto.create.topics.enable, num.partitions]"),
        ),
        (
            "",
            &[("zookeeper.connect", SET, Some("x")), ("log.dirs", SET, Some("5"))],
            refused(42, "Cannot update these configs dynamically: [log.dirs]"),
        ),
        ("1", &[("num.partitions", DELETE, None)], DONE),
        (
            "1",
            &[("log.retention.ms", SET, Some("x"))],
            refused(42, "Invalid value x for configuration log.retention.ms: Not a number of type LONG"),
        ),
        ("1", &[("log.retention.ms", SET, None)], refused(42, "Null value not supported for : log.retention.ms")),
        (
            "1",
            &[("log.retention.ms", APPEND, Some("5"))],
            refused(40, "Config value append is not allowed for config key: log.retention.ms"),
        ),
        ("7", &[("log.retention.ms", SET, Some("5"))], refused(42, "Unexpected broker id, expected 1, but received 7")),
        ("x", &[("log.retention.ms", SET, Some("5"))], refused(42, "Node id must be an integer, but it is: x")),
        // Kafka takes these; here they would be taken and ignored.
        ("1", &[("num.io.threads", SET, Some("4"))], refused(40, "num.io.threads governs what does not exist here")),
        (
            "1",
            &[("listener.name.plaintext.ssl.keystore.type", SET, Some("PEM"))],
            refused(40, "listener.name.plaintext.ssl.keystore.type governs what does not exist here"),
        ),
    ];
    for (name, changes, answer) in cases {
        assert_eq!(client.change(BROKER, name, changes).await, *answer, "{changes:?}");
    }
    assert!(client.describe_configs(&[(BROKER, "", &[])]).await[0].configs.is_empty());
}

/// As in Kafka, where they are for plugins.
#[tokio::test(start_paused = true)]
async fn custom_configs_of_a_broker_are_kept_and_their_values_not_told() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    assert_eq!(client.change(BROKER, "1", &[("custom", SET, Some("secret"))]).await, DONE);
    assert_eq!(client.change(BROKER, "", &[("other", SET, Some("secret"))]).await, DONE);
    for (broker, name, source) in [("1", "custom", 2), ("1", "other", 3), ("", "other", 3)] {
        let config = client.config(BROKER, broker, name).await;
        assert_eq!((config.value, config.config_source, config.config_type), (None, source, 0), "{name}");
        assert!(config.read_only && config.is_sensitive);
        assert_eq!(config.synonyms.len(), 1);
        assert_eq!(config.synonyms[0].value, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_tells_what_it_was_started_with() {
    let settings = Settings { auto_create_topics: false, default_partitions: 3, node_id: 5, ..Settings::default() };
    let config = ServerConfig { node_id: 5, ..ServerConfig::default() };
    let gateway = Cluster::new().gateway_with(settings, config).await;
    let mut client = gateway.client().await;
    let cases = [
        ("auto.create.topics.enable", "false", 4, 1, true),
        ("num.partitions", "3", 4, 3, true),
        ("node.id", "5", 4, 3, true),
        ("default.replication.factor", "1", 5, 3, true),
        ("delete.topic.enable", "true", 5, 1, true),
        ("group.initial.rebalance.delay.ms", "3000", 5, 3, true),
        ("message.max.bytes", "1048588", 5, 3, false),
        ("compression.type", "producer", 5, 2, false),
    ];
    for (name, value, source, kind, is_read_only) in cases {
        let config = client.config(BROKER, "5", name).await;
        assert_eq!((config.value.as_deref(), config.config_source), (Some(value), source), "{name}");
        assert_eq!((config.config_type, config.read_only, config.is_sensitive), (kind, is_read_only, false), "{name}");
    }
    assert_eq!(client.describe_refusal(BROKER, "1").await.0, 42);
}

#[tokio::test(start_paused = true)]
async fn resources_with_configs_are_listed_by_type() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    client.create("a", 1).await;
    let cases: &[(i16, &[i8], i16, &[Listed<'_>])] = &[
        (0, &[], 0, &[]),
        (1, &[], 0, &[("1", LOGGER), ("1", BROKER), ("a", TOPIC), ("t", TOPIC)]),
        (1, &[TOPIC], 0, &[("a", TOPIC), ("t", TOPIC)]),
        (1, &[BROKER, BROKER], 0, &[("1", BROKER)]),
        (1, &[LOGGER], 0, &[("1", LOGGER)]),
        (1, &[METRICS, GROUP], 0, &[]),
        (1, &[TOPIC, 99], 35, &[]),
        (1, &[0], 35, &[]),
    ];
    for (version, types, code, expected) in cases {
        let request = ListConfigResourcesRequest { resource_types: types.to_vec() };
        let response = client.call(*version, &request).await;
        assert_eq!(response.error_code.as_i16(), *code, "{types:?}");
        let listed: Vec<_> = response.config_resources.iter().map(|r| (&*r.resource_name, r.resource_type)).collect();
        assert_eq!(listed, *expected, "{types:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_created_with_configs_that_kafka_takes() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let takes: &[(&str, &str, &str)] = &[
        ("cleanup.policy", " delete , compact ", "delete,compact"),
        ("cleanup.policy", "", ""),
        ("compression.type", "zstd", "zstd"),
        ("message.timestamp.type", "LogAppendTime", "LogAppendTime"),
        ("segment.bytes", "+2000000", "2000000"),
        ("preallocate", "TRUE", "true"),
        ("min.cleanable.dirty.ratio", "1e-5", "1.0E-5"),
        ("max.message.bytes", "2147483647", "2147483647"),
        ("leader.replication.throttled.replicas", "*", "*"),
        ("internal.segment.bytes", "2000000", "2000000"),
    ];
    for (index, (name, given, shown)) in takes.iter().enumerate() {
        let topic = format!("t{index}");
        let created = client.create_with(7, &topic, &[(name, Some(given))]).await;
        assert_eq!(created.error_code.as_i16(), 0, "{created:?}");
        let configs = created.configs.unwrap();
        assert!(configs.is_sorted_by_key(|config| config.name.clone()));
        let own: Vec<_> = configs.iter().filter(|config| config.config_source == 1).collect();
        assert_eq!(own.len(), 1);
        assert_eq!((&*own[0].name, own[0].value.as_deref()), (*name, Some(*given)), "as it was given");
        assert_eq!(client.value(TOPIC, &topic, name).await, (Some((*shown).to_owned()), 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_with_configs_that_kafka_refuses_is_not_created() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let cases: &[(&[Config<'_>], &str)] = &[
        (&[("nope", Some("1"))], "Unknown topic config name: nope"),
        (&[("retention.ms", None)], "Null value not supported for topic configs: retention.ms"),
        (&[("nope", None)], "Null value not supported for topic configs: nope"),
        (&[("retention.ms", Some("x"))], "Invalid value x for configuration retention.ms: Not a number of type LONG"),
        (
            &[("retention.ms", Some("x")), ("segment.ms", Some("y"))],
            "Invalid value y for configuration segment.ms: Not a number of type LONG",
        ),
        (
            &[("compression.type", Some("none"))],
            "Invalid value none for configuration compression.type: \
             String must be one of: uncompressed, zstd, lz4, snappy, gzip, producer",
        ),
        (&[("message.format.version", Some("3.0"))], "Unknown topic config name: message.format.version"),
    ];
    for version in 2..=7 {
        for (configs, message) in cases {
            let created = client.create_with(version, "t", configs).await;
            assert_eq!(created.error_code.as_i16(), 40, "{configs:?}");
            assert_eq!(created.error_message.as_deref(), Some(*message));
        }
    }
    let twice = client.create_with(7, "t", &[("retention.ms", Some("5")), ("retention.ms", Some("6"))]).await;
    assert_eq!(twice.error_code.as_i16(), 0);
    assert_eq!(client.value(TOPIC, "t", "retention.ms").await, (Some("6".to_owned()), 1), "the last one counts");
}
