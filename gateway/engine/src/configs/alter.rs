//! Changing configs: sets replaced as a whole, or changed entry by entry.
//!
//! Promises: of changes made through several gateways at once none undoes another: a set is resolved against what this
//! gateway saw, the command says what that was (T7), and a set that has moved meanwhile is resolved anew. One resource that
//! is refused never affects its neighbours. Never: keeps a set that `validate` refuses. Called by the handlers of AlterConfigs
//! and IncrementalAlterConfigs.

use std::collections::{BTreeMap, BTreeSet};

use sluice_metadata::{Command, ConfigRefusal, ConfigResource, Outcome, State, is_legal_topic_name};
use tokio::time::Instant;

use super::broker_table::broker_config;
use super::describe::{ConfigResourceKind, ConfigResourceRef, broker_id};
use super::levels::Levels;
use super::other_tables::{CLIENT_METRICS_CONFIGS, GROUP_CONFIGS, PlainConfig, find};
use super::topic_table::topic_config;
use super::validate::{ConfigValues, check_broker, check_topic, shortened};
use super::value::ConfigType;
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};
use crate::topics::illegal_name;

/// How an entry of a set is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigOp {
    /// It is given the value.
    Set,
    /// It is as if it had never been set.
    Delete,
    /// Its list gets those elements of the value that it does not have.
    Append,
    /// Its list loses the elements of the value.
    Subtract,
    /// A number that Kafka does not have.
    Other(i8),
}

/// A change of one config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigChange {
    /// Its name, not yet checked.
    pub name: String,
    /// How.
    pub op: ConfigOp,
    /// With what.
    pub value: Option<String>,
}

/// A change of the configs of one resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AlterConfigs {
    /// These and no others are set from now on (AlterConfigs); all of them [`ConfigOp::Set`].
    Replace(Vec<ConfigChange>),
    /// These are changed (IncrementalAlterConfigs).
    Change(Vec<ConfigChange>),
}

impl AlterConfigs {
    fn changes(&self) -> &[ConfigChange] {
        match self {
            Self::Replace(changes) | Self::Change(changes) => changes,
        }
    }
}

impl Engine {
    /// Changes configs, or with `validate_only` says what would become of it. `answers[i]` answers `asks[i]`.
    ///
    /// Errors, per resource: `InvalidRequest` for one named twice, a config named twice, a null value, a broker that is not
    /// this one; `InvalidConfig`; `UnknownTopic` after a barrier (T5); what stood in the way.
    pub async fn alter_configs(
        &self,
        asks: Vec<(ConfigResourceRef, AlterConfigs)>,
        validate_only: bool,
    ) -> Vec<EngineResult<()>> {
        if let Err(error) = self.barrier().await {
            return asks.iter().map(|_| Err(error.clone())).collect();
        }
        let deadline = self.inner.parts.clock.now() + self.inner.parts.limits.request_timeout;
        let mut times_named = BTreeMap::<&ConfigResourceRef, usize>::new();
        for (resource, _) in &asks {
            let times = times_named.entry(resource).or_default();
            *times = times.saturating_add(1);
        }
        let is_once: Vec<bool> = asks.iter().map(|(resource, _)| times_named.get(resource) == Some(&1)).collect();
        let alter = |((resource, change), is_once): ((ConfigResourceRef, AlterConfigs), bool)| async move {
            match is_once {
                true => self.alter(&resource, &change, validate_only, deadline).await,
                false => invalid("Each resource must appear at most once."),
            }
        };
        self.together(asks.into_iter().zip(is_once).map(alter)).await
    }

    async fn alter(
        &self,
        resource: &ConfigResourceRef,
        change: &AlterConfigs,
        validate_only: bool,
        deadline: Instant,
    ) -> EngineResult<()> {
        check_changes(change.changes())?;
        for _ in 0..self.inner.parts.limits.config_attempts_max {
            let (command, is_new) = {
                let view = self.inner.replica.view();
                let levels = self.inner.config_levels(&view);
                let Some(target) = find_target(&view, &levels, resource, change)? else { return Ok(()) };
                let before = values_of(&view, target);
                let after = resolve(&levels, target, &before, change)?;
                check(&levels, target, change, &after)?;
                let seen = view.configs_changed_at(target).ok_or(EngineError::UnknownTopic)?;
                let is_new = before != after;
                (Command::AlterConfigs { resource: target, seen, configs: after.into_iter().collect() }, is_new)
            };
            if validate_only || !is_new {
                return Ok(());
            }
            match self.inner.replica.propose(command, deadline).await? {
                Outcome::ConfigsAltered => return Ok(()),
                // Another gateway was first, and State here knows what it did.
                Outcome::ConfigsMoved { .. } => {}
                Outcome::ConfigsRefused(ConfigRefusal::UnknownTopic) => return Err(EngineError::UnknownTopic),
                Outcome::ConfigsRefused(ConfigRefusal::LimitReached) => {
                    return Err(EngineError::LimitReached(ConfigRefusal::LimitReached.to_string()));
                }
                other => return Err(EngineError::InvalidConfig(format!("{other:?}"))),
            }
        }
        Err(EngineError::DidNotHappen("others change the same configs all the time".into()))
    }
}

fn invalid<T>(why: impl Into<String>) -> EngineResult<T> {
    Err(EngineError::InvalidRequest(why.into()))
}

fn refused<T>(why: impl Into<String>) -> EngineResult<T> {
    Err(EngineError::InvalidConfig(why.into()))
}

/// What Kafka asks of a request before it looks at what is there.
fn check_changes(changes: &[ConfigChange]) -> EngineResult<()> {
    let mut names = BTreeSet::new();
    if !changes.iter().all(|change| names.insert(&change.name)) {
        return invalid("Error due to duplicate config keys");
    }
    let nulls = changes.iter().filter(|change| change.value.is_none() && change.op != ConfigOp::Delete);
    let nulls: Vec<&str> = nulls.map(|change| change.name.as_str()).collect();
    if !nulls.is_empty() {
        return invalid(format!("Null value not supported for : {}", shortened(&nulls.join(", "))));
    }
    match changes.iter().find_map(|change| if let ConfigOp::Other(op) = change.op { Some(op) } else { None }) {
        Some(op) => Err(EngineError::Unexpected(format!("unknown operation {op} on a config"))),
        None => Ok(()),
    }
}

/// What State keeps the configs of; `None` for what has none to keep, where the change asks for nothing.
fn find_target(
    view: &State,
    levels: &Levels<'_>,
    resource: &ConfigResourceRef,
    change: &AlterConfigs,
) -> EngineResult<Option<ConfigResource>> {
    let node_id = levels.settings.node_id;
    match (resource.kind, resource.name.as_str()) {
        (ConfigResourceKind::Topic, "") => invalid("Default topic resources are not allowed."),
        (ConfigResourceKind::Topic, name) if !is_legal_topic_name(name) => {
            Err(EngineError::InvalidTopicName(illegal_name(name)))
        }
        (ConfigResourceKind::Topic, name) => match view.topic_by_name(name) {
            Some(topic) => Ok(Some(ConfigResource::Topic(topic.id))),
            None => Err(EngineError::UnknownTopic),
        },
        (ConfigResourceKind::Broker, "") => Ok(Some(ConfigResource::Cluster)),
        (ConfigResourceKind::Broker, name) => match broker_id(name, "Node")? {
            id if id == node_id => Ok(Some(ConfigResource::Broker(id))),
            _ => invalid(format!("Unexpected broker id, expected {node_id}, but received {name}")),
        },
        (ConfigResourceKind::BrokerLogger, name) => match (broker_id(name, "Node")?, change) {
            // Only entry by entry, as in Kafka.
            (_, AlterConfigs::Replace(_)) => invalid("Unknown resource type 8"),
            (id, _) if id != node_id => invalid(format!("Unexpected node id. Expected {node_id}, but received {name}")),
            _ => check_loggers(change.changes()).map(|()| None),
        },
        (ConfigResourceKind::ClientMetrics, "") => invalid("Subscription name can't be empty"),
        (ConfigResourceKind::ClientMetrics, _) => check_plain(CLIENT_METRICS_CONFIGS, change, |name| {
            invalid(format!("Unknown client metrics configuration: {name}"))
        }),
        (ConfigResourceKind::Group, "") => invalid("Default group resources are not allowed."),
        (ConfigResourceKind::Group, _) => {
            check_plain(GROUP_CONFIGS, change, |name| refused(format!("Unknown group config name: {name}")))
        }
        (ConfigResourceKind::Other(kind), _) => invalid(format!("Unknown resource type {kind}")),
    }
}

/// The gateway has none of Kafka's loggers.
fn check_loggers(changes: &[ConfigChange]) -> EngineResult<()> {
    match changes.first() {
        None => Ok(()),
        Some(ConfigChange { op: ConfigOp::Append, .. }) => {
            invalid("APPEND operation is not allowed for the BROKER_LOGGER resource")
        }
        Some(ConfigChange { op: ConfigOp::Subtract, .. }) => {
            invalid("SUBTRACT operation is not allowed for the BROKER_LOGGER resource")
        }
        Some(change) => refused(format!("Logger {} does not exist!", shortened(&change.name))),
    }
}

/// Of what is not served, nothing can be set, and nothing is set that could be taken back.
fn check_plain(
    table: &'static [PlainConfig],
    change: &AlterConfigs,
    unknown: impl Fn(String) -> EngineResult<Option<ConfigResource>>,
) -> EngineResult<Option<ConfigResource>> {
    match change.changes().iter().find(|change| change.op != ConfigOp::Delete) {
        None => Ok(None),
        Some(ConfigChange { name, .. }) if find(table, name).is_none() => unknown(shortened(name)),
        Some(ConfigChange { name, .. }) => refused(format!("{name} cannot be set: what it governs is not served")),
    }
}

fn values_of(view: &State, target: ConfigResource) -> ConfigValues {
    let copied = |configs: &mut dyn Iterator<Item = (&String, &String)>| {
        configs.map(|(name, value)| (name.clone(), value.clone())).collect()
    };
    match target {
        ConfigResource::Topic(id) => {
            view.topic_by_id(id).map(|topic| copied(&mut topic.configs.iter())).unwrap_or_default()
        }
        ConfigResource::Cluster => copied(&mut view.cluster_configs().configs.iter()),
        ConfigResource::Broker(id) => {
            view.broker_configs(id).map(|set| copied(&mut set.configs.iter())).unwrap_or_default()
        }
    }
}

/// The whole set as it is to be.
fn resolve(
    levels: &Levels<'_>,
    target: ConfigResource,
    before: &ConfigValues,
    change: &AlterConfigs,
) -> EngineResult<ConfigValues> {
    let mut after = match change {
        AlterConfigs::Replace(_) => ConfigValues::new(),
        AlterConfigs::Change(_) => before.clone(),
    };
    for ConfigChange { name, op, value } in change.changes() {
        let value = value.as_deref().unwrap_or_default();
        match op {
            ConfigOp::Set => drop(after.insert(name.clone(), value.to_owned())),
            ConfigOp::Delete => drop(after.remove(name)),
            ConfigOp::Append | ConfigOp::Subtract => {
                let is_append = *op == ConfigOp::Append;
                let list = base_list(levels, target, name, &after, is_append)?;
                after.insert(name.clone(), changed_list(&list, value, is_append));
            }
            ConfigOp::Other(_) => {}
        }
    }
    Ok(after)
}

/// The list that an Append or Subtract starts from: what is set, else the default.
fn base_list(
    levels: &Levels<'_>,
    target: ConfigResource,
    name: &str,
    set: &ConfigValues,
    is_append: bool,
) -> EngineResult<String> {
    let op = if is_append { "APPEND" } else { "SUBTRACT" };
    let is_topic = matches!(target, ConfigResource::Topic(_));
    let found = if is_topic {
        topic_config(name).map(|config| (config.kind, levels.topic_value(config, None)))
    } else {
        broker_config(name).map(|config| (config.kind, config.default.map(str::to_owned)))
    };
    match found {
        Some((ConfigType::List, default)) => Ok(set.get(name).cloned().or(default).unwrap_or_default()),
        _ if is_topic => refused(format!("Can't {op} to key {} because its type is not LIST.", shortened(name))),
        _ => refused(format!(
            "Config value {} is not allowed for config key: {}",
            op.to_ascii_lowercase(),
            shortened(name)
        )),
    }
}

/// Kafka's way with lists: elements are compared as they are written, and an empty one that is added stays, to be refused.
fn changed_list(list: &str, value: &str, is_append: bool) -> String {
    let mut elements: Vec<&str> = list.split(',').filter(|element| !element.is_empty()).collect();
    for element in value.split(',') {
        if !is_append {
            if let Some(index) = elements.iter().position(|there| *there == element) {
                elements.remove(index);
            }
        } else if !elements.contains(&element) {
            elements.push(element);
        }
    }
    elements.join(",")
}

fn check(levels: &Levels<'_>, target: ConfigResource, change: &AlterConfigs, after: &ConfigValues) -> EngineResult<()> {
    match target {
        ConfigResource::Topic(_) => {
            check_topic(levels, change.changes().iter().map(|change| change.name.as_str()), after)
        }
        ConfigResource::Cluster | ConfigResource::Broker(_) => check_broker(after),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Apache Kafka 4.3.1 makes of them.
    #[test]
    fn lists_are_changed_as_kafka_changes_them() {
        assert_eq!(changed_list("delete", "compact", true), "delete,compact");
        assert_eq!(changed_list("delete,compact", "compact", true), "delete,compact");
        assert_eq!(changed_list("", "delete,compact", true), "delete,compact");
        assert_eq!(changed_list("delete,compact", "", true), "delete,compact,");
        assert_eq!(changed_list("delete,compact", "delete", false), "compact");
        assert_eq!(changed_list("compact", "delete", false), "compact");
        assert_eq!(changed_list("compact", "compact", false), "");
        assert_eq!(changed_list(" delete , compact ", "delete", false), " delete , compact ");
    }
}
