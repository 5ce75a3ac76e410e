//! Requests of administrators that name many things: all of them are changed together, and each has its answer.

use std::time::Duration;

use sluice_engine::{
    AlterConfigs, ConfigChange, ConfigOp, ConfigResourceKind, ConfigResourceRef, EngineError, EngineResult, Limits,
    NewPartitions, NewTopic, Settings, TopicRef, TopicSelection,
};

use super::support::{Cluster, Gateway};

const MANY: usize = 1_000;
const TIMEOUT: Duration = Duration::from_secs(10);

fn names() -> impl Iterator<Item = String> {
    (0..MANY).map(|n| format!("t{n}"))
}

fn new_topic(name: String) -> NewTopic {
    NewTopic { name, partitions: Some(1), replication_factor: None, configs: vec![] }
}

/// Entries that were appended since.
struct Appended<'a>(&'a Gateway, u64);

impl<'a> Appended<'a> {
    fn since_now(gateway: &'a Gateway) -> Self {
        Self(gateway, gateway.engine.metrics().log_appends.get())
    }

    /// As few as there can be, and a few that something else was in.
    fn is_little(&self, what: &str) {
        let appends = self.0.engine.metrics().log_appends.get() - self.1;
        let least = MANY.div_ceil(Limits::default().entry_commands_max);
        assert!((least..2 * least + 2).contains(&usize::try_from(appends).unwrap()), "{what}: {appends} appends");
    }
}

fn all_done<T>(answers: &[EngineResult<T>]) {
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), MANY);
}

// Holds: I-14 (what is under way is bounded, and still appended together)
#[tokio::test(start_paused = true)]
async fn a_thousand_changes_of_one_request_are_appended_together() {
    let mut cluster = Cluster::new();
    let gateway =
        cluster.gateway_with(Limits::default(), Settings { auto_create_topics: true, ..Settings::default() }).await;
    let engine = &gateway.engine;

    let appended = Appended::since_now(&gateway);
    let created = engine.create_topics(names().map(new_topic).collect(), false, TIMEOUT).await;
    appended.is_little("create");
    all_done(&created);

    let appended = Appended::since_now(&gateway);
    let grown = names().map(|name| NewPartitions { name, count: 2, assigned: None }).collect();
    all_done(&engine.create_partitions(grown, false, TIMEOUT).await);
    appended.is_little("grow");

    let appended = Appended::since_now(&gateway);
    let change = ConfigChange { name: "retention.ms".into(), op: ConfigOp::Set, value: Some("1000".into()) };
    let change = AlterConfigs::Change(vec![change]);
    let of_topic = |name| (ConfigResourceRef { kind: ConfigResourceKind::Topic, name }, change.clone());
    all_done(&engine.alter_configs(names().map(of_topic).collect(), false).await);
    appended.is_little("alter");

    let appended = Appended::since_now(&gateway);
    let deleted = engine.delete_topics(names().map(TopicRef::Name).collect(), TIMEOUT).await;
    appended.is_little("delete");
    let appended = Appended::since_now(&gateway);
    let asked = TopicSelection::Some(names().map(TopicRef::Name).collect());
    let described = engine.describe_topics(asked, true).await.unwrap();
    appended.is_little("create on demand");
    assert!(described.iter().all(|(_, answer)| answer.is_ok()));

    let told: Vec<String> = deleted.into_iter().map(|answer| answer.unwrap().0.to_string()).collect();
    assert_eq!(told, names().collect::<Vec<_>>(), "answers are in the order of what was asked");
}

#[tokio::test(start_paused = true)]
async fn of_two_names_that_collide_in_one_request_one_is_created() {
    let mut cluster = Cluster::new();
    let gateway = cluster.gateway_with(Limits::default(), Settings::default()).await;
    let topics = ["a.b", "other", "a_b"].map(|name| new_topic(name.to_owned())).to_vec();
    let created = gateway.engine.create_topics(topics, false, TIMEOUT).await;
    assert!(created[0].is_ok() && created[1].is_ok(), "{created:?}");
    assert!(matches!(created[2], Err(EngineError::InvalidTopicName(_))), "{:?}", created[2]);
}
