//! What configs a resource has, and which resources have some.
//!
//! Promises: what is told was in force after the request came (T5), so that a change made through another gateway is told.
//! A value is told as what the rest of the engine acts on. Never: more than `Limits::described_configs_max` entries in one
//! answer (I-09). Called by the handlers of DescribeConfigs and ListConfigResources.

use std::borrow::{Borrow, Cow};

use sluice_metadata::{ConfigSet, State, is_legal_topic_name};

use super::broker_table::{BROKER_CONFIGS, broker_config, other_config};
use super::levels::{ConfigSource, ConfigSynonym, Levels, source_of};
use super::other_tables::{CLIENT_METRICS_CONFIGS, GROUP_CONFIGS, PlainConfig};
use super::topic_table::TOPIC_CONFIGS;
use super::value::ConfigType;
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};
use crate::topics::illegal_name;

/// What kind of thing configs are set on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ConfigResourceKind {
    /// A topic.
    Topic,
    /// A broker, or with an empty name all of them.
    Broker,
    /// The loggers of a broker's process: there are none.
    BrokerLogger,
    /// A subscription to client metrics (KIP-714).
    ClientMetrics,
    /// A group.
    Group,
    /// A kind that Kafka does not have, by its number.
    Other(i8),
}

/// What configs are set on, as a request names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConfigResourceRef {
    /// Its kind.
    pub kind: ConfigResourceKind,
    /// Its name, not yet checked.
    pub name: String,
}

/// Which configs of a resource are asked for, their names in whatever form the caller has them: there may be millions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribeConfigsAsk<N> {
    /// The resource.
    pub resource: ConfigResourceRef,
    /// Names; none for all.
    pub names: Vec<N>,
}

/// One config.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedConfig {
    /// Its name.
    pub name: Cow<'static, str>,
    /// Its value; `None` where there is none, or where it may be a secret.
    pub value: Option<String>,
    /// Its type.
    pub kind: ConfigType,
    /// Where its value comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed while the gateway runs.
    pub is_read_only: bool,
    /// Whether its value may be a secret.
    pub is_sensitive: bool,
    /// The values that it could have, the one in force first.
    pub synonyms: Vec<ConfigSynonym>,
    /// What it is; empty where there is nothing to say.
    pub about: &'static str,
}

impl Engine {
    /// The configs of resources, each in name order. `answers[i]` answers `asks[i]`.
    ///
    /// Errors, per resource: `UnknownTopic`, `InvalidTopicName`; `InvalidRequest` for a broker that is not this one, a kind
    /// that Kafka does not have, a name that is missing; `LimitReached` for those beyond what one answer may hold;
    /// `NotFresh` when State could not be refreshed.
    pub async fn describe_configs<N: Borrow<str>>(
        &self,
        asks: Vec<DescribeConfigsAsk<N>>,
    ) -> Vec<EngineResult<Vec<DescribedConfig>>> {
        if let Err(error) = self.barrier().await {
            return asks.iter().map(|_| Err(error.clone())).collect();
        }
        let view = self.inner.replica.view();
        let levels = self.inner.config_levels(&view);
        let mut room = self.inner.parts.limits.described_configs_max;
        let mut answers = Vec::with_capacity(asks.len());
        for ask in &asks {
            let described = describe(&view, &levels, ask).and_then(|configs| {
                room = room.checked_sub(configs.len()).ok_or_else(too_many)?;
                Ok(configs)
            });
            answers.push(described);
        }
        answers
    }

    /// The resources of these kinds that can be described, or have something set where there is no end of them.
    ///
    /// # Errors
    /// `NotFresh`: all topics are told only after a barrier (T5).
    pub async fn config_resources(&self, kinds: &[ConfigResourceKind]) -> EngineResult<Vec<ConfigResourceRef>> {
        self.barrier().await?;
        let view = self.inner.replica.view();
        let node = self.inner.parts.settings.node_id.to_string();
        let mut resources = Vec::new();
        for &kind in kinds {
            let named = |name: &str| ConfigResourceRef { kind, name: name.to_owned() };
            match kind {
                ConfigResourceKind::Topic => resources.extend(view.topics().map(|topic| named(&topic.name))),
                ConfigResourceKind::Broker | ConfigResourceKind::BrokerLogger => resources.push(named(&node)),
                // Nothing can be set on them.
                ConfigResourceKind::Group | ConfigResourceKind::ClientMetrics | ConfigResourceKind::Other(_) => {}
            }
        }
        Ok(resources)
    }
}

fn too_many() -> EngineError {
    EngineError::LimitReached("too many configs for one answer: ask for fewer resources, or for single configs".into())
}

fn invalid<T>(why: impl Into<String>) -> EngineResult<T> {
    Err(EngineError::InvalidRequest(why.into()))
}

fn describe<N: Borrow<str>>(
    view: &State,
    levels: &Levels<'_>,
    ask: &DescribeConfigsAsk<N>,
) -> EngineResult<Vec<DescribedConfig>> {
    let is_asked = |name: &str| ask.names.is_empty() || ask.names.iter().any(|asked| asked.borrow() == name);
    let node_id = levels.settings.node_id;
    match (ask.resource.kind, ask.resource.name.as_str()) {
        (ConfigResourceKind::Topic, name) => describe_topic(view, levels, name, is_asked),
        (ConfigResourceKind::Broker, "") => Ok(describe_cluster(levels, is_asked)),
        (ConfigResourceKind::Broker, name) => match broker_id(name, "Broker")? {
            id if id == node_id => Ok(describe_broker(levels, is_asked)),
            _ => invalid(format!("Unexpected broker id, expected {node_id} or empty string, but received {name}")),
        },
        (ConfigResourceKind::BrokerLogger, "") => invalid("Broker id must not be empty"),
        (ConfigResourceKind::BrokerLogger, name) => match broker_id(name, "Broker")? {
            id if id == node_id => Ok(Vec::new()),
            _ => invalid(format!("Unexpected broker id, expected {node_id} but received {name}")),
        },
        (ConfigResourceKind::ClientMetrics, "") => invalid("Client metrics subscription name must not be empty"),
        (ConfigResourceKind::ClientMetrics, _) => Ok(describe_plain(CLIENT_METRICS_CONFIGS, is_asked)),
        (ConfigResourceKind::Group, "") => invalid("Group name must not be empty"),
        (ConfigResourceKind::Group, _) => Ok(describe_plain(GROUP_CONFIGS, is_asked)),
        (ConfigResourceKind::Other(kind), _) => invalid(format!("Unknown resource type {kind}")),
    }
}

/// A broker's id as a name; `who` is how Kafka calls it where it is none.
pub(crate) fn broker_id(name: &str, who: &str) -> EngineResult<i32> {
    name.parse().or_else(|_| {
        let shown: String = name.chars().take(64).collect();
        invalid(format!("{who} id must be an integer, but it is: {shown}"))
    })
}

fn describe_topic(
    view: &State,
    levels: &Levels<'_>,
    name: &str,
    is_asked: impl Fn(&str) -> bool,
) -> EngineResult<Vec<DescribedConfig>> {
    if !is_legal_topic_name(name) {
        return Err(EngineError::InvalidTopicName(illegal_name(name)));
    }
    let topic = view.topic_by_name(name).ok_or(EngineError::UnknownTopic)?;
    let own = |name: &str| topic.configs.get(name).map(String::as_str);
    Ok(topic_configs(levels, own, is_asked))
}

/// All configs of a topic that sets `own`, in name order.
pub(crate) fn topic_configs<'a>(
    levels: &Levels<'_>,
    own: impl Fn(&str) -> Option<&'a str>,
    is_asked: impl Fn(&str) -> bool,
) -> Vec<DescribedConfig> {
    let shown = TOPIC_CONFIGS.iter().filter(|config| is_asked(config.name));
    let shown = shown.filter(|config| config.default.is_some() || own(config.name).is_some());
    let mut configs: Vec<_> = shown
        .map(|config| {
            let synonyms = levels.topic_chain(config, own(config.name));
            DescribedConfig {
                name: config.name.into(),
                value: levels.topic_value(config, own(config.name)),
                kind: config.kind,
                source: source_of(&synonyms),
                is_read_only: false,
                is_sensitive: false,
                synonyms,
                about: config.about,
            }
        })
        .collect();
    configs.sort_by(|a, b| a.name.cmp(&b.name));
    configs
}

fn describe_broker(levels: &Levels<'_>, is_asked: impl Fn(&str) -> bool) -> Vec<DescribedConfig> {
    let known = BROKER_CONFIGS.iter().filter(|config| is_asked(config.name)).map(|config| {
        let synonyms = levels.broker_chain(config.name);
        DescribedConfig {
            name: config.name.into(),
            value: levels.broker_value(config),
            kind: config.kind,
            source: source_of(&synonyms),
            is_read_only: !config.is_dynamic,
            is_sensitive: false,
            synonyms,
            about: config.meaning(),
        }
    });
    let of_broker = levels.broker.map(|set| custom(set, ConfigSource::Broker)).unwrap_or_default();
    let of_all = custom(levels.cluster, ConfigSource::Cluster);
    let of_all =
        of_all.into_iter().filter(|config| levels.broker.is_none_or(|set| !set.configs.contains_key(&*config.name)));
    let custom = of_broker.into_iter().chain(of_all).filter(|config| is_asked(&config.name));
    let mut configs: Vec<_> = known.chain(custom).collect();
    configs.sort_by(|a, b| a.name.cmp(&b.name));
    configs
}

/// What is set for all brokers, and nothing else.
fn describe_cluster(levels: &Levels<'_>, is_asked: impl Fn(&str) -> bool) -> Vec<DescribedConfig> {
    let set = levels.cluster;
    let alone = Levels { broker: None, ..*levels };
    let mut configs = describe_broker(&alone, |name| set.configs.contains_key(name) && is_asked(name));
    for config in &mut configs {
        config.synonyms.retain(|synonym| synonym.source == ConfigSource::Cluster);
    }
    configs
}

/// Those of a set that are not Kafka's: what they are for, and whether they are secret, is not known.
fn custom(set: &ConfigSet, source: ConfigSource) -> Vec<DescribedConfig> {
    let is_custom = |name: &str| broker_config(name).is_none() && other_config(name).is_none();
    let names = set.configs.keys().filter(|name| is_custom(name));
    names
        .map(|name| DescribedConfig {
            name: name.clone().into(),
            value: None,
            kind: ConfigType::Unknown,
            source,
            is_read_only: true,
            is_sensitive: true,
            synonyms: vec![ConfigSynonym { name: name.clone().into(), value: None, source }],
            about: "",
        })
        .collect()
}

fn describe_plain(table: &'static [PlainConfig], is_asked: impl Fn(&str) -> bool) -> Vec<DescribedConfig> {
    let described = |config: &PlainConfig| DescribedConfig {
        name: config.name.into(),
        value: Some(config.default.to_owned()),
        kind: config.kind,
        source: ConfigSource::Default,
        is_read_only: false,
        is_sensitive: false,
        synonyms: match config.synonym {
            "" => Vec::new(),
            synonym => {
                let value = Some(config.default.to_owned());
                vec![ConfigSynonym { name: synonym.into(), value, source: ConfigSource::Default }]
            }
        },
        about: "",
    };
    table.iter().filter(|config| is_asked(config.name)).map(described).collect()
}
