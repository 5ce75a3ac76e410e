//! Configs: described, altered, listed.

use anyhow::{Context, Result};
use sluice_protocol::KString;
use sluice_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use sluice_protocol::messages::describe_configs::DescribeConfigsResource;
use sluice_protocol::messages::{
    AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest, ListConfigResourcesRequest,
    alter_configs, incremental_alter_configs,
};

use crate::dump::Node;
use crate::requests::{create, new_topic};
use crate::rows;
use crate::session::Session;
use crate::situation::{Situation, differs, differs_at, each_of, family, situation};

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

fn describe(kind: i8, name: &KString, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.clone(),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| KString::from(*key)).collect()),
    };
    DescribeConfigsRequest { resources: vec![resource], include_synonyms: false, include_documentation: false }
}

/// Asks for a setting of broker 1.
pub(super) fn broker_config(key: &str) -> DescribeConfigsRequest {
    describe(BROKER, &KString::from("1"), Some(&[key]))
}

fn sorted(answer: &mut Node, _prefix: &str) {
    answer.sort("configs");
    answer.sort("results");
    answer.sort("responses");
}

/// Texts of documentation are for people: that there is one is what counts.
fn documented(answer: &mut Node, prefix: &str) {
    sorted(answer, prefix);
    answer.shorten("documentation");
}

fn alter(kind: i8, name: &KString, configs: &[(&str, Option<&str>)]) -> AlterConfigsRequest {
    let config = |(name, value): &(&str, Option<&str>)| alter_configs::AlterableConfig {
        name: KString::from(*name),
        value: value.map(KString::from),
    };
    let resource = alter_configs::AlterConfigsResource {
        resource_type: kind,
        resource_name: name.clone(),
        configs: configs.iter().map(config).collect(),
    };
    AlterConfigsRequest { resources: vec![resource], validate_only: false }
}

type Change<'a> = (&'a str, i8, Option<&'a str>);

fn change(kind: i8, name: &KString, configs: &[Change<'_>]) -> IncrementalAlterConfigsRequest {
    let config = |(name, operation, value): &Change<'_>| incremental_alter_configs::AlterableConfig {
        name: KString::from(*name),
        config_operation: *operation,
        value: value.map(KString::from),
    };
    let resource = incremental_alter_configs::AlterConfigsResource {
        resource_type: kind,
        resource_name: name.clone(),
        configs: configs.iter().map(config).collect(),
    };
    IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false }
}

/// Asks for the value of one config of a topic until it is the one that was set: brokers hear of it a little later.
fn look(s: &mut Session, name: &KString, key: &str, expected: Option<&str>) -> Result<()> {
    let request = describe(TOPIC, name, Some(&[key]));
    for _ in 0..400 {
        let told = s.prepare(4, &request)?;
        let value = told.results.first().and_then(|r| r.configs.first()).and_then(|c| c.value.clone());
        if expected.is_none_or(|expected| value.as_deref() == Some(expected)) {
            break;
        }
        std::thread::park_timeout(std::time::Duration::from_millis(5));
    }
    s.ask(4, &request);
    Ok(())
}

/// The configs of topics in Kafka 4.3.
const TOPIC_CONFIGS: &[&str] = &[
    "cleanup.policy",
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "delete.retention.ms",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.copy.lag.bytes",
    "remote.copy.lag.ms",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

/// Values that are tried for each config of a topic.
const VALUES: &[&str] =
    &["-1", "0", "1", "100", "1048576", "true", "delete", "compact,delete", "gzip", "abc", "", "0.5"];

pub(super) const ALL: &[Situation] = &[
    family("the configs of a topic", rows::DESCRIBE_CONFIGS, 1..=4, |s, v| {
        let name = s.topic_with("a", 1, &[("max.message.bytes", "2000")])?;
        s.ask_shaped(v, &describe(TOPIC, &name, None), sorted);
        Ok(())
    })
    .but(const { &[differs_at("D-65", "config_source")] }),
    family("the configs of a topic with synonyms", rows::DESCRIBE_CONFIGS, 1..=4, |s, v| {
        let name = s.topic_with("a", 1, &[("max.message.bytes", "2000")])?;
        s.ask_shaped(v, &DescribeConfigsRequest { include_synonyms: true, ..describe(TOPIC, &name, None) }, sorted);
        Ok(())
    })
    .but(const { &[differs_at("D-65", "configs[21]")] }),
    family("the configs of a topic with documentation", rows::DESCRIBE_CONFIGS, 3..=4, |s, v| {
        let name = s.topic("a")?;
        let request = DescribeConfigsRequest { include_documentation: true, ..describe(TOPIC, &name, None) };
        s.ask_shaped(v, &request, documented);
        Ok(())
    })
    .but(const { &[differs_at("D-65", "config_source")] }),
    family("some configs of a topic, and some that there are not", rows::DESCRIBE_CONFIGS, 1..=4, |s, v| {
        let name = s.topic("a")?;
        s.ask_shaped(v, &describe(TOPIC, &name, Some(&["retention.ms", "no.such", "cleanup.policy"])), sorted);
        s.ask_shaped(v, &describe(TOPIC, &name, Some(&[])), sorted);
        s.ask_shaped(v, &describe(TOPIC, &name, Some(&["retention.ms", "retention.ms"])), sorted);
        Ok(())
    })
    .but(const { &[differs_at("D-65", "config_source")] }),
    family("configs of what there is not", rows::DESCRIBE_CONFIGS, 1..=4, |s, v| {
        let none = s.name("none");
        s.ask(v, &describe(TOPIC, &none, None));
        s.ask(v, &describe(TOPIC, &KString::from("a b"), None));
        s.ask(v, &describe(TOPIC, &KString::new(), None));
        s.ask(v, &describe(BROKER, &KString::from("99"), None));
        s.ask(v, &describe(BROKER, &KString::from("abc"), None));
        s.ask(v, &describe(BROKER, &KString::from("-1"), None));
        s.ask(v, &DescribeConfigsRequest { resources: Vec::new(), ..describe(TOPIC, &none, None) });
        Ok(())
    }),
    family("configs of kinds that there are not", rows::DESCRIBE_CONFIGS, 1..=4, |s, v| {
        for kind in [0, 1, 3, 99, -1] {
            s.ask(v, &describe(kind, &KString::from("x"), None));
            s.hang_up();
        }
        Ok(())
    }),
    situation("a resource twice in one DescribeConfigs", rows::DESCRIBE_CONFIGS, |s, _| {
        let name = s.topic("a")?;
        let mut request = describe(TOPIC, &name, Some(&["retention.ms"]));
        request.resources.extend(describe(TOPIC, &name, Some(&["cleanup.policy"])).resources);
        s.ask_shaped(4, &request, sorted);
        Ok(())
    }),
    situation("several resources in one DescribeConfigs", rows::DESCRIBE_CONFIGS, |s, _| {
        let (a, none) = (s.topic("a")?, s.name("none"));
        let mut request = describe(TOPIC, &a, Some(&["retention.ms"]));
        request.resources.extend(describe(TOPIC, &none, None).resources);
        request.resources.extend(describe(BROKER, &KString::from("1"), Some(&["num.partitions"])).resources);
        s.ask_shaped(4, &request, sorted);
        Ok(())
    }),
    family("configs of the broker that clients look at", rows::DESCRIBE_CONFIGS, 1..=4, |s, v| {
        let keys = [
            "auto.create.topics.enable",
            "num.partitions",
            "message.max.bytes",
            "default.replication.factor",
            "log.retention.ms",
            "log.retention.hours",
            "log.cleanup.policy",
            "log.message.timestamp.type",
            "compression.type",
            "group.max.session.timeout.ms",
            "group.min.session.timeout.ms",
            "group.initial.rebalance.delay.ms",
            "group.max.size",
            "offset.metadata.max.bytes",
            "offsets.retention.minutes",
            "transaction.max.timeout.ms",
            "delete.topic.enable",
            "min.insync.replicas",
            "node.id",
            "broker.id",
            "no.such.config",
        ];
        s.ask_shaped(v, &describe(BROKER, &KString::from("1"), Some(&keys)), sorted);
        Ok(())
    })
    .but(const { &[differs_at("D-65", "config_source"), differs_at("D-61", "configs[19]")] }),
    situation("configs of all brokers", rows::DESCRIBE_CONFIGS, |s, _| {
        s.ask_shaped(4, &describe(BROKER, &KString::new(), None), sorted);
        Ok(())
    })
    .but(const { &[differs("D-65")] }),
    situation("configs of a group", rows::DESCRIBE_CONFIGS, |s, _| {
        let group = s.name("g");
        s.ask_shaped(4, &describe(GROUP, &group, None), sorted);
        s.ask_shaped(4, &describe(GROUP, &KString::new(), None), sorted);
        Ok(())
    }),
    situation("configs of client metrics", rows::DESCRIBE_CONFIGS, |s, _| {
        let name = s.name("metrics");
        s.ask_shaped(4, &describe(CLIENT_METRICS, &name, None), sorted);
        s.ask_shaped(4, &describe(CLIENT_METRICS, &KString::new(), None), sorted);
        Ok(())
    }),
    situation("levels of the broker's loggers", rows::DESCRIBE_CONFIGS, |s, _| {
        s.ask_shaped(4, &describe(BROKER_LOGGER, &KString::from("1"), Some(&["kafka.no.such.logger"])), sorted);
        s.ask_shaped(4, &describe(BROKER_LOGGER, &KString::from("99"), None), sorted);
        s.ask_shaped(4, &describe(BROKER_LOGGER, &KString::new(), None), sorted);
        Ok(())
    }),
    // ---- values --------------------------------------------------------------------------------------------------
    each_of("values of a config of a topic", rows::CREATE_TOPICS, TOPIC_CONFIGS, |s, at| {
        let key = TOPIC_CONFIGS.get(usize::try_from(at)?).context("a config")?;
        for (n, value) in VALUES.iter().enumerate() {
            let name = s.name(&format!("{n}"));
            let config = CreatableTopicConfig { name: KString::from(*key), value: Some(KString::from(*value)) };
            let topic = CreatableTopic { configs: vec![config], ..new_topic(&name, 1, 1) };
            let request = sluice_protocol::messages::CreateTopicsRequest { validate_only: true, ..create(vec![topic]) };
            s.ask_shaped(4, &request, |_, _| {});
            s.note(&format!("{key}={value:?}"), "asked");
        }
        Ok(())
    }),
    each_of("a config of a topic is set, and set back", rows::ALTER_CONFIGS, TOPIC_CONFIGS, |s, at| {
        let key = TOPIC_CONFIGS.get(usize::try_from(at)?).context("a config")?;
        let name = s.topic("a")?;
        s.ask(4, &describe(TOPIC, &name, Some(&[key])));
        s.ask(1, &change(TOPIC, &name, &[(key, DELETE, None)]));
        s.ask(1, &change(TOPIC, &name, &[(key, SET, Some("nonsense"))]));
        s.ask(1, &change(TOPIC, &name, &[(key, SET, None)]));
        s.ask(1, &change(TOPIC, &name, &[(key, APPEND, Some("x"))]));
        Ok(())
    })
    .but(const { &[differs_at("D-65", "config_source").within(21, 21)] }),
    // ---- IncrementalAlterConfigs ---------------------------------------------------------------------------------
    family("a config is changed, and taken back", rows::ALTER_CONFIGS, 0..=1, |s, v| {
        let name = s.topic("a")?;
        s.ask(v, &change(TOPIC, &name, &[("retention.ms", SET, Some("1000"))]));
        look(s, &name, "retention.ms", Some("1000"))?;
        s.ask(v, &change(TOPIC, &name, &[("max.message.bytes", SET, Some("5000")), ("retention.ms", DELETE, None)]));
        look(s, &name, "retention.ms", Some("604800000"))?;
        look(s, &name, "max.message.bytes", Some("5000"))?;
        Ok(())
    }),
    family("a list of a config is added to, and taken from", rows::ALTER_CONFIGS, 0..=1, |s, v| {
        let name = s.topic("a")?;
        s.ask(v, &change(TOPIC, &name, &[("cleanup.policy", APPEND, Some("compact"))]));
        look(s, &name, "cleanup.policy", Some("delete,compact"))?;
        s.ask(v, &change(TOPIC, &name, &[("cleanup.policy", SUBTRACT, Some("delete"))]));
        look(s, &name, "cleanup.policy", Some("compact"))?;
        s.ask(v, &change(TOPIC, &name, &[("cleanup.policy", SUBTRACT, Some("delete"))]));
        s.ask(v, &change(TOPIC, &name, &[("cleanup.policy", APPEND, Some("compact"))]));
        look(s, &name, "cleanup.policy", Some("compact"))?;
        Ok(())
    }),
    family("changes that cannot be", rows::ALTER_CONFIGS, 0..=1, |s, v| {
        let (name, none) = (s.topic("a")?, s.name("none"));
        let changes: [&[Change<'_>]; 9] = [
            &[("retention.ms", 7, Some("1"))],
            &[("retention.ms", -1, Some("1"))],
            &[("retention.ms", SET, Some("abc"))],
            &[("retention.ms", SET, None)],
            &[("retention.ms", APPEND, Some("1"))],
            &[("no.such.config", SET, Some("1"))],
            &[("no.such.config", DELETE, None)],
            &[("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))],
            &[("", SET, Some("1"))],
        ];
        for configs in changes {
            s.ask(v, &change(TOPIC, &name, configs));
        }
        s.ask(v, &change(TOPIC, &name, &[]));
        s.ask(v, &change(TOPIC, &none, &[("retention.ms", SET, Some("1"))]));
        s.ask(v, &change(TOPIC, &KString::from("a b"), &[("retention.ms", SET, Some("1"))]));
        s.ask(v, &change(TOPIC, &KString::new(), &[("retention.ms", SET, Some("1"))]));
        s.ask(v, &change(99, &name, &[("retention.ms", SET, Some("1"))]));
        s.ask(v, &change(BROKER, &KString::from("99"), &[("log.retention.ms", SET, Some("1"))]));
        s.ask(v, &change(BROKER, &KString::from("abc"), &[("log.retention.ms", SET, Some("1"))]));
        s.ask(v, &IncrementalAlterConfigsRequest { resources: Vec::new(), validate_only: false });
        Ok(())
    }),
    family("a change is only validated", rows::ALTER_CONFIGS, 0..=1, |s, v| {
        let name = s.topic("a")?;
        for value in ["1000", "abc"] {
            let request = change(TOPIC, &name, &[("retention.ms", SET, Some(value))]);
            s.ask(v, &IncrementalAlterConfigsRequest { validate_only: true, ..request });
        }
        look(s, &name, "retention.ms", None)
    }),
    situation("a resource twice in one IncrementalAlterConfigs", rows::ALTER_CONFIGS, |s, _| {
        let (a, b) = (s.topic("a")?, s.topic("b")?);
        let mut request = change(TOPIC, &a, &[("retention.ms", SET, Some("1000"))]);
        request.resources.extend(change(TOPIC, &a, &[("retention.ms", SET, Some("2000"))]).resources);
        request.resources.extend(change(TOPIC, &b, &[("retention.ms", SET, Some("3000"))]).resources);
        s.ask_shaped(1, &request, sorted);
        look(s, &b, "retention.ms", Some("3000"))
    }),
    situation("one change that fails leaves its neighbours in peace", rows::ALTER_CONFIGS, |s, _| {
        let (a, b) = (s.topic("a")?, s.topic("b")?);
        let mut request =
            change(TOPIC, &a, &[("retention.ms", SET, Some("1000")), ("max.message.bytes", SET, Some("abc"))]);
        request.resources.extend(change(TOPIC, &b, &[("retention.ms", SET, Some("3000"))]).resources);
        s.ask_shaped(1, &request, sorted);
        look(s, &b, "retention.ms", Some("3000"))?;
        look(s, &a, "retention.ms", None)
    }),
    situation("a broker's config that cannot be changed", rows::ALTER_CONFIGS, |s, _| {
        let broker = KString::from("1");
        s.ask(1, &change(BROKER, &broker, &[("node.id", SET, Some("5"))]));
        s.ask(1, &change(BROKER, &broker, &[("num.partitions", SET, Some("5"))]));
        s.ask(1, &change(BROKER, &broker, &[("no.such.config", DELETE, None)]));
        Ok(())
    }),
    // ---- AlterConfigs --------------------------------------------------------------------------------------------
    family("the configs of a topic are replaced", rows::ALTER_CONFIGS, 0..=2, |s, v| {
        let name = s.topic_with("a", 1, &[("max.message.bytes", "2000")])?;
        s.ask(v, &alter(TOPIC, &name, &[("retention.ms", Some("1000"))]));
        look(s, &name, "retention.ms", Some("1000"))?;
        look(s, &name, "max.message.bytes", Some("1048588"))?;
        s.ask(v, &alter(TOPIC, &name, &[]));
        look(s, &name, "retention.ms", Some("604800000"))
    }),
    family("replacements that cannot be", rows::ALTER_CONFIGS, 0..=2, |s, v| {
        let (name, none) = (s.topic("a")?, s.name("none"));
        s.ask(v, &alter(TOPIC, &name, &[("no.such.config", Some("1"))]));
        s.ask(v, &alter(TOPIC, &name, &[("retention.ms", Some("abc"))]));
        s.ask(v, &alter(TOPIC, &name, &[("retention.ms", None)]));
        s.ask(v, &alter(TOPIC, &name, &[("retention.ms", Some("1")), ("retention.ms", Some("2"))]));
        s.ask(v, &alter(TOPIC, &none, &[("retention.ms", Some("1"))]));
        s.ask(v, &alter(TOPIC, &KString::from("a b"), &[]));
        s.ask(v, &alter(TOPIC, &KString::new(), &[]));
        s.ask(v, &alter(99, &name, &[]));
        s.ask(v, &alter(BROKER, &KString::from("99"), &[]));
        let request = alter(TOPIC, &name, &[("retention.ms", Some("1000"))]);
        s.ask(v, &AlterConfigsRequest { validate_only: true, ..request });
        look(s, &name, "retention.ms", None)
    }),
    // ---- ListConfigResources -------------------------------------------------------------------------------------
    situation("client metrics are listed", "ListConfigResources", |s, _| {
        s.ask(0, &ListConfigResourcesRequest::default());
        Ok(())
    }),
    situation("resources of each kind are listed", "ListConfigResources", |s, _| {
        s.topic("a")?;
        for kinds in [&[TOPIC][..], &[BROKER], &[BROKER_LOGGER], &[CLIENT_METRICS], &[GROUP], &[99], &[0], &[]] {
            let request = ListConfigResourcesRequest { resource_types: kinds.to_vec() };
            let shape: crate::session::Shape = match kinds {
                [TOPIC] => |answer, prefix| answer.keep("config_resources", "resource_name", prefix),
                [] => |answer, _| {
                    answer.keep("config_resources", "resource_type", "4");
                },
                _ => |answer, _| answer.sort("config_resources"),
            };
            s.ask_shaped(1, &request, shape);
        }
        Ok(())
    }),
    situation("a resource twice in one AlterConfigs", rows::ALTER_CONFIGS, |s, _| {
        let name = s.topic("a")?;
        let mut request = alter(TOPIC, &name, &[("retention.ms", Some("1000"))]);
        request.resources.extend(request.resources.clone());
        s.wait_at_most(3_000);
        s.ask(2, &request);
        Ok(())
    })
    .but(const { &[differs("D-66")] }),
    situation("configs of groups and of client metrics are set", rows::ALTER_CONFIGS, |s, _| {
        let (group, metrics) = (s.name("g"), s.name("m"));
        let session = change(GROUP, &group, &[("consumer.session.timeout.ms", SET, Some("50000"))]);
        s.ask(1, &IncrementalAlterConfigsRequest { validate_only: true, ..session });
        let interval = change(CLIENT_METRICS, &metrics, &[("interval.ms", SET, Some("10000"))]);
        s.ask(1, &IncrementalAlterConfigsRequest { validate_only: true, ..interval });
        s.ask(1, &change(GROUP, &group, &[("no.such.config", SET, Some("1"))]));
        Ok(())
    })
    .but(const { &[differs_at("D-63", "1. Incremental"), differs_at("D-63", "2. Incremental")] }),
    situation("a broker config that Kafka changes while it runs", rows::ALTER_CONFIGS, |s, _| {
        for (name, value) in [("log.retention.ms", "100000"), ("num.io.threads", "8"), ("num.network.threads", "3")] {
            let request = change(BROKER, &KString::new(), &[(name, SET, Some(value))]);
            s.ask(1, &IncrementalAlterConfigsRequest { validate_only: true, ..request });
        }
        Ok(())
    })
    .but(const { &[differs_at("D-62", "2. Incremental"), differs_at("D-62", "3. Incremental")] }),
    situation("names of configs that are long", rows::ALTER_CONFIGS, |s, _| {
        let name = s.topic("a")?;
        let long = "x".repeat(200);
        s.ask(1, &change(TOPIC, &name, &[(&long, SET, Some("1"))]));
        s.ask(1, &change(TOPIC, &name, &[("retention.ms", SET, Some(&"1".repeat(5_000)))]));
        s.ask_shaped(4, &describe(TOPIC, &name, Some(&[&long])), sorted);
        Ok(())
    }),
];
