//! Configs: altered through any gateway, told and acted on by all, and no change undone by another.

use std::collections::BTreeMap;
use std::time::Duration;

use sluice_engine::{
    AlterConfigs, BatchError, ConfigChange, ConfigOp, ConfigResourceKind, ConfigResourceRef, ConfigSource,
    DescribeConfigsAsk, DescribedConfig, EngineError, EngineResult, Limits, NewTopic, Settings,
};
use sluice_runtime::{Entropy, SeededEntropy};
use sluice_store::{Faults, OperationFaults};

use super::support::{Cluster, Gateway, batch};

fn resource(kind: ConfigResourceKind, name: &str) -> ConfigResourceRef {
    ConfigResourceRef { kind, name: name.to_owned() }
}

fn topic(name: &str) -> ConfigResourceRef {
    resource(ConfigResourceKind::Topic, name)
}

fn change(name: &str, op: ConfigOp, value: &str) -> ConfigChange {
    ConfigChange { name: name.to_owned(), op, value: Some(value.to_owned()) }
}

fn set(name: &str, value: &str) -> AlterConfigs {
    AlterConfigs::Change(vec![change(name, ConfigOp::Set, value)])
}

/// Two gateways whose appends take a while, so that what goes through both at once meets.
async fn two_slow_ones(cluster: &mut Cluster, limits: Limits) -> (Gateway, Gateway) {
    let a = cluster.gateway_with(limits.clone(), Settings::default()).await;
    let b = cluster.gateway_with(limits, Settings::default()).await;
    a.create("t").await;
    let slow = OperationFaults {
        delayed_per_mille: 1_000,
        delay_max: Duration::from_millis(50),
        ..OperationFaults::default()
    };
    for gateway in [&a, &b] {
        gateway.faults.set_faults(Faults { append: slow, log_read: slow, ..Faults::default() });
    }
    (a, b)
}

impl Gateway {
    async fn create(&self, name: &str) {
        let topic = NewTopic { name: name.to_owned(), partitions: Some(1), replication_factor: None, configs: vec![] };
        self.engine.create_topics(vec![topic], false, Duration::from_secs(10)).await.remove(0).unwrap();
    }

    async fn alter(&self, resource: ConfigResourceRef, change: AlterConfigs) -> EngineResult<()> {
        self.engine.alter_configs(vec![(resource, change)], false).await.remove(0)
    }

    async fn configs(&self, resource: ConfigResourceRef) -> Vec<DescribedConfig> {
        self.engine
            .describe_configs(vec![DescribeConfigsAsk::<String> { resource, names: vec![] }])
            .await
            .remove(0)
            .unwrap()
    }

    /// Value and source of one config of a topic.
    async fn config(&self, name: &str, config: &str) -> (String, ConfigSource) {
        let found = self.configs(topic(name)).await.into_iter().find(|described| described.name == config).unwrap();
        (found.value.unwrap(), found.source)
    }

    async fn own(&self, name: &str) -> BTreeMap<String, String> {
        let configs = self.configs(topic(name)).await.into_iter();
        let own = configs.filter(|config| config.source == ConfigSource::Topic);
        own.map(|config| (config.name.into_owned(), config.value.unwrap())).collect()
    }

    async fn is_too_large(&self, name: &str, bytes: usize) -> bool {
        match self.produce(name, 0, batch(&["x".repeat(bytes).as_str()])).await {
            Ok(_) => false,
            Err(EngineError::Batch(error)) => matches!(*error, BatchError::TooLarge(_)),
            Err(other) => panic!("{other:?}"),
        }
    }
}

// Holds: I-06, T5
#[tokio::test(start_paused = true)]
async fn what_is_altered_through_one_gateway_is_told_and_acted_on_by_another() {
    let mut cluster = Cluster::new();
    let (a, b) = (cluster.gateway().await, cluster.gateway().await);
    a.create("t").await;
    for (bytes, is_refused) in [("500", true), ("5000", false), ("500", true)] {
        a.alter(topic("t"), set("max.message.bytes", bytes)).await.unwrap();
        assert_eq!(b.config("t", "max.message.bytes").await, (bytes.to_owned(), ConfigSource::Topic));
        assert_eq!(b.is_too_large("t", 1_000).await, is_refused, "{bytes}");
        assert_eq!(a.is_too_large("t", 1_000).await, is_refused, "{bytes}");
    }
    a.alter(topic("t"), AlterConfigs::Replace(vec![])).await.unwrap();
    assert_eq!(b.own("t").await, BTreeMap::new());
    assert!(!b.is_too_large("t", 1_000).await);
}

// Holds: T7
#[tokio::test(start_paused = true)]
async fn of_changes_through_two_gateways_at_once_none_undoes_another() {
    const THROTTLED: &str = "leader.replication.throttled.replicas";
    let mut cluster = Cluster::new();
    let (a, b) = two_slow_ones(&mut cluster, Limits::default()).await;
    for round in 0..20 {
        let (of_a, of_b) = (format!("{round}:1"), format!("{round}:2"));
        let append = |value: &str| AlterConfigs::Change(vec![change(THROTTLED, ConfigOp::Append, value)]);
        let broker = resource(ConfigResourceKind::Broker, "");
        let (one, two, three, four) = tokio::join!(
            a.alter(topic("t"), append(&of_a)),
            b.alter(topic("t"), append(&of_b)),
            a.alter(broker.clone(), set("log.retention.ms", &round.to_string())),
            b.alter(broker.clone(), set("log.retention.bytes", &round.to_string())),
        );
        assert!(one.is_ok() && two.is_ok() && three.is_ok() && four.is_ok(), "{one:?} {two:?} {three:?} {four:?}");
        let (list, _) = b.config("t", THROTTLED).await;
        let list: Vec<&str> = list.split(',').collect();
        assert_eq!(list.len(), 2 * (round + 1), "{list:?}");
        assert!(list.contains(&of_a.as_str()) && list.contains(&of_b.as_str()), "{list:?}");
        for name in ["retention.ms", "retention.bytes"] {
            assert_eq!(b.config("t", name).await, (round.to_string(), ConfigSource::Cluster), "{name}");
        }
    }
}

// Holds: T7
#[tokio::test(start_paused = true)]
async fn a_change_that_never_meets_what_it_saw_did_not_happen() {
    let mut cluster = Cluster::new();
    let limits = Limits { config_attempts_max: 1, ..Limits::default() };
    let (a, b) = two_slow_ones(&mut cluster, limits).await;
    let mut lost = 0;
    for round in 0..20 {
        let value = round.to_string();
        let before = a.own("t").await;
        let (one, two) = tokio::join!(
            a.alter(topic("t"), set("retention.ms", &value)),
            b.alter(topic("t"), set("segment.index.bytes", &(1_000 + round).to_string())),
        );
        let now = b.own("t").await;
        for (answer, name) in [(one, "retention.ms"), (two, "segment.index.bytes")] {
            match answer {
                Ok(()) => assert_ne!(now.get(name), before.get(name)),
                Err(EngineError::DidNotHappen(_)) => {
                    lost += 1;
                    assert_eq!(now.get(name), before.get(name));
                }
                Err(other) => panic!("{other:?}"),
            }
        }
    }
    assert!(lost > 0, "no two changes ever met: this test shows nothing");
}

#[tokio::test(start_paused = true)]
async fn a_topic_s_value_goes_before_the_broker_s_and_that_before_the_cluster_s() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    let b = cluster.gateway_with(Limits::default(), Settings { node_id: 2, ..Settings::default() }).await;
    a.create("t").await;
    let levels = [
        (resource(ConfigResourceKind::Broker, ""), "message.max.bytes", "4000", ConfigSource::Cluster),
        (resource(ConfigResourceKind::Broker, "1"), "message.max.bytes", "300", ConfigSource::Broker),
        (topic("t"), "max.message.bytes", "2000", ConfigSource::Topic),
    ];
    assert_eq!(a.config("t", "max.message.bytes").await, ("1048588".to_owned(), ConfigSource::Default));
    for (resource, name, value, source) in levels.clone() {
        a.alter(resource, set(name, value)).await.unwrap();
        assert_eq!(a.config("t", "max.message.bytes").await, (value.to_owned(), source));
        assert_eq!(a.is_too_large("t", 1_000).await, value == "300", "{value}");
    }
    let (other, _) = b.config("t", "max.message.bytes").await;
    assert_eq!(other, "2000", "the topic's own, through whichever broker");
    for (resource, name, ..) in levels.into_iter().rev() {
        assert!(!b.is_too_large("t", 1_000).await, "what is set on broker 1 is not broker 2's");
        let delete =
            AlterConfigs::Change(vec![ConfigChange { name: name.to_owned(), op: ConfigOp::Delete, value: None }]);
        a.alter(resource, delete).await.unwrap();
        b.engine.barrier().await.unwrap();
    }
    assert_eq!(a.config("t", "max.message.bytes").await, ("1048588".to_owned(), ConfigSource::Default));
}

#[tokio::test(start_paused = true)]
async fn what_the_gateway_was_started_with_is_told_as_such() {
    let mut cluster = Cluster::new();
    let settings = Settings { default_partitions: 7, given: ["group.max.size"].into(), ..Settings::default() };
    let limits = Limits { message_bytes_max: 2_000, ..Limits::default() };
    let a = cluster.gateway_with(limits, settings).await;
    a.create("t").await;
    assert_eq!(a.config("t", "max.message.bytes").await, ("2000".to_owned(), ConfigSource::Static));
    let broker = a.configs(resource(ConfigResourceKind::Broker, "1")).await;
    let told = |name: &str| {
        let config = broker.iter().find(|config| config.name == name).unwrap();
        let sources: Vec<_> = config.synonyms.iter().map(|synonym| synonym.source).collect();
        (config.value.as_deref().unwrap(), sources, config.is_read_only)
    };
    let both = vec![ConfigSource::Static, ConfigSource::Default];
    assert_eq!(told("num.partitions"), ("7", both.clone(), true));
    assert_eq!(told("group.max.size"), ("2147483647", both.clone(), true), "given, though it is the default");
    assert_eq!(told("message.max.bytes"), ("2000", both, false));
    assert_eq!(told("delete.topic.enable"), ("true", vec![ConfigSource::Default], true));
    assert_eq!(told("node.id"), ("1", vec![ConfigSource::Static], true));
}

// Holds: T5, T6
#[tokio::test(start_paused = true)]
async fn nothing_is_told_or_changed_while_state_cannot_be_refreshed() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.create("t").await;
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    a.faults.set_faults(Faults { append: refused, log_read: refused, ..Faults::default() });
    let ask = DescribeConfigsAsk::<String> { resource: topic("t"), names: vec![] };
    let described = a.engine.describe_configs(vec![ask]).await.remove(0);
    assert!(matches!(described, Err(EngineError::NotFresh(_))), "{described:?}");
    let altered = a.alter(topic("t"), set("retention.ms", "5")).await;
    assert!(matches!(altered, Err(EngineError::NotFresh(_))), "{altered:?}");
    a.faults.set_faults(Faults::default());
    assert_eq!(a.own("t").await, BTreeMap::new());
}

// Holds: I-09
#[tokio::test(start_paused = true)]
async fn one_answer_holds_only_so_many_configs() {
    let mut cluster = Cluster::new();
    let limits = Limits { described_configs_max: 40, ..Limits::default() };
    let a = cluster.gateway_with(limits, Settings::default()).await;
    a.create("t").await;
    let all = DescribeConfigsAsk::<String> { resource: topic("t"), names: vec![] };
    let one = DescribeConfigsAsk { names: vec!["retention.ms".to_owned()], ..all.clone() };
    let described = a.engine.describe_configs(vec![all.clone(), all, one]).await;
    let counts: Vec<_> = described.iter().map(|configs| configs.as_ref().ok().map(Vec::len)).collect();
    assert_eq!(counts, [Some(33), None, Some(1)]);
    assert!(matches!(described[1], Err(EngineError::LimitReached(_))));
}

/// What a model of the four operations makes of the same changes.
fn expect(model: &mut BTreeMap<String, String>, change: &ConfigChange) {
    let value = change.value.clone().unwrap_or_default();
    let parts = |text: &str| text.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>();
    match change.op {
        ConfigOp::Set => drop(model.insert(change.name.clone(), value)),
        ConfigOp::Delete => drop(model.remove(&change.name)),
        _ => {
            let default = if change.name == "cleanup.policy" { "delete" } else { "" };
            let mut list = parts(model.get(&change.name).map_or(default, String::as_str));
            for part in parts(&value) {
                match (list.iter().position(|there| *there == part), change.op) {
                    (Some(index), ConfigOp::Subtract) => drop(list.remove(index)),
                    (None, ConfigOp::Append) => list.push(part),
                    _ => {}
                }
            }
            model.insert(change.name.clone(), list.join(","));
        }
    }
}

fn random_change(entropy: &SeededEntropy) -> Vec<ConfigChange> {
    let below = |n: u64| usize::try_from(entropy.next_u64() % n).unwrap();
    let ops = [ConfigOp::Set, ConfigOp::Delete, ConfigOp::Append, ConfigOp::Subtract];
    let mut changes = Vec::new();
    for (name, values) in [
        ("cleanup.policy", ["delete", "compact", "delete,compact", "compact"]),
        ("follower.replication.throttled.replicas", ["0:1", "1:1", "0:1,2:1", "2:1,1:1"]),
        ("retention.ms", ["-1", "0", "5", "1000000"]),
    ] {
        if below(2) == 0 {
            let op = ops[below(if name == "retention.ms" { 2 } else { 4 })];
            let value = (op != ConfigOp::Delete).then(|| values[below(4)].to_owned());
            changes.push(ConfigChange { name: name.to_owned(), op, value });
        }
    }
    changes
}

/// Property: whatever the operations and the gateways they come through, the configs are those of the model.
// Holds: I-06
#[tokio::test(start_paused = true)]
async fn incremental_changes_add_up_whatever_gateway_they_come_through() {
    for seed in 0..20 {
        let entropy = SeededEntropy::new(seed);
        let mut cluster = Cluster::new();
        let gateways = [cluster.gateway().await, cluster.gateway().await];
        gateways[0].create("t").await;
        let mut model = BTreeMap::new();
        for step in 0..40 {
            let gateway = &gateways[usize::try_from(entropy.next_u64() % 2).unwrap()];
            let changes = random_change(&entropy);
            if entropy.next_u64().is_multiple_of(8) {
                let sets: Vec<_> = changes.iter().filter(|change| change.op == ConfigOp::Set).cloned().collect();
                model.clear();
                sets.iter().for_each(|change| expect(&mut model, change));
                gateway.alter(topic("t"), AlterConfigs::Replace(sets)).await.unwrap();
            } else {
                changes.iter().for_each(|change| expect(&mut model, change));
                gateway.alter(topic("t"), AlterConfigs::Change(changes)).await.unwrap();
            }
            for gateway in &gateways {
                assert_eq!(gateway.own("t").await, model, "seed {seed}, step {step}");
            }
        }
    }
}
