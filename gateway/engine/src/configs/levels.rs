//! Where the value of a config comes from: the topic, the broker, all brokers, the gateway's own settings, or Kafka's default.
//!
//! Promises: what is reported as in force is what the rest of the engine acts on. The order of the levels, and which names
//! stand for the same value at each, are Kafka's (`ConfigHelper`). Never: changes anything. Called by everything here.

use std::borrow::Cow;

use sluice_metadata::{ConfigSet, State};

use super::broker_table::{BrokerConfig, broker_config, broker_synonyms};
use super::topic_table::TopicConfig;
use super::value::checked;
use crate::engine::Inner;
use crate::limits::{Limits, Settings};

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConfigSource {
    /// It was set on the topic.
    Topic,
    /// It was set on the broker while it ran.
    Broker,
    /// It was set for all brokers while they ran.
    Cluster,
    /// The gateway was started with it.
    Static,
    /// It is the default.
    Default,
}

/// A value that a config has, or would have if those before it were not set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigSynonym {
    /// The name under which it is set.
    pub name: Cow<'static, str>,
    /// It; `None` where it is not told.
    pub value: Option<String>,
    /// Where it is set.
    pub source: ConfigSource,
}

/// The levels below the topic, as one gateway sees them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Levels<'a> {
    pub(crate) broker: Option<&'a ConfigSet>,
    pub(crate) cluster: &'a ConfigSet,
    pub(crate) settings: &'a Settings,
    pub(crate) limits: &'a Limits,
}

impl Inner {
    /// The levels below the topic.
    pub(crate) fn config_levels<'a>(&'a self, view: &'a State) -> Levels<'a> {
        Levels {
            broker: view.broker_configs(self.parts.settings.node_id),
            cluster: view.cluster_configs(),
            settings: &self.parts.settings,
            limits: &self.parts.limits,
        }
    }
}

impl<'a> Levels<'a> {
    /// The value that a name was given while the gateway ran.
    pub(crate) fn dynamic(&self, name: &str) -> Option<&'a str> {
        let of_broker = self.broker.and_then(|set| set.configs.get(name));
        of_broker.or_else(|| self.cluster.configs.get(name)).map(String::as_str)
    }

    /// The value of a name with which the gateway was started, where that is not the default or was asked for.
    fn started_with(&self, name: &str) -> Option<String> {
        let value = self.setting(name)?;
        let is_default = broker_config(name).is_some_and(|config| config.default == Some(&value));
        (!is_default || self.settings.given.contains(name)).then_some(value)
    }

    /// What the gateway's own settings say of a name.
    fn setting(&self, name: &str) -> Option<String> {
        Some(match name {
            "auto.create.topics.enable" => self.settings.auto_create_topics.to_string(),
            "broker.id" | "node.id" => self.settings.node_id.to_string(),
            "group.initial.rebalance.delay.ms" => self.settings.group_initial_rebalance_delay_ms.to_string(),
            "group.max.session.timeout.ms" => self.settings.group_max_session_timeout_ms.to_string(),
            "group.max.size" => self.settings.group_max_size.to_string(),
            "group.min.session.timeout.ms" => self.settings.group_min_session_timeout_ms.to_string(),
            "message.max.bytes" => self.limits.message_bytes_max.to_string(),
            "num.partitions" => self.settings.default_partitions.to_string(),
            "offset.metadata.max.bytes" => self.settings.offset_metadata_max_bytes.to_string(),
            "offsets.retention.check.interval.ms" => self.settings.offsets_retention_check_interval_ms.to_string(),
            "offsets.retention.minutes" => self.settings.offsets_retention_minutes.to_string(),
            _ => self.settings.statics.get(name)?.clone(),
        })
    }

    /// The value of a broker config as Kafka shows it.
    pub(crate) fn broker_value(&self, config: &BrokerConfig) -> Option<String> {
        match self.dynamic(config.name) {
            Some(value) => checked(config.name, config.kind, config.rule, value).ok(),
            None => None,
        }
        .or_else(|| self.setting(config.name))
        .or_else(|| config.default.map(str::to_owned))
    }

    /// The values that a broker config could have, the one in force first; none before the first of its own name.
    pub(crate) fn broker_chain(&self, name: &'static str) -> Vec<ConfigSynonym> {
        let names = match broker_synonyms(name) {
            [] => &[name][..],
            names => names,
        };
        let of_set = |set: Option<&ConfigSet>, name: &str| set.and_then(|set| set.configs.get(name)).cloned();
        let mut chain = Vec::new();
        for source in [ConfigSource::Broker, ConfigSource::Cluster, ConfigSource::Static, ConfigSource::Default] {
            for &name in names {
                let value = match source {
                    ConfigSource::Broker => of_set(self.broker, name),
                    ConfigSource::Cluster => of_set(Some(self.cluster), name),
                    ConfigSource::Static => self.started_with(name),
                    _ => broker_config(name).and_then(|config| config.default).map(str::to_owned),
                };
                chain.extend(value.map(|value| ConfigSynonym { name: name.into(), value: Some(value), source }));
            }
        }
        let own = chain.iter().position(|synonym: &ConfigSynonym| synonym.name == name);
        chain.split_off(own.unwrap_or(chain.len()))
    }

    /// The value of a topic config as Kafka shows it, `own` being what the topic sets. A value that this build does not
    /// know counts as not set. `None` for one that is shown only where it is set.
    pub(crate) fn topic_value(&self, config: &TopicConfig, own: Option<&str>) -> Option<String> {
        let read = |value: &str| checked(config.name, config.kind, config.rule, value).ok();
        own.and_then(read).or_else(|| self.inherited(config))
    }

    /// The value of a topic config that the topic does not set.
    fn inherited(&self, config: &TopicConfig) -> Option<String> {
        let below = || config.default.map(str::to_owned);
        let Some(synonym) = config.synonym else { return below() };
        if let Some(value) = self.dynamic(synonym).and_then(|value| self.read_inherited(config, synonym, value)) {
            return Some(value);
        }
        self.setting(synonym).or_else(below)
    }

    /// A broker's rules are not always the topic's: any time below 0 is no limit.
    fn read_inherited(&self, config: &TopicConfig, synonym: &str, value: &str) -> Option<String> {
        let broker = broker_config(synonym)?;
        let shown = checked(synonym, broker.kind, broker.rule, value).ok()?;
        let is_no_limit = config.name == "retention.ms" && shown.starts_with('-');
        let shown = if is_no_limit { "-1".to_owned() } else { shown };
        checked(config.name, config.kind, config.rule, &shown).ok()
    }

    /// The values that a topic config could have, the one in force first.
    pub(crate) fn topic_chain(&self, config: &TopicConfig, own: Option<&str>) -> Vec<ConfigSynonym> {
        let mut chain = config.synonym.map(|synonym| self.broker_chain(synonym)).unwrap_or_default();
        if own.is_some() {
            let value = self.topic_value(config, own);
            chain.insert(0, ConfigSynonym { name: config.name.into(), value, source: ConfigSource::Topic });
        }
        chain
    }
}

/// Where the value in force comes from.
pub(crate) fn source_of(chain: &[ConfigSynonym]) -> ConfigSource {
    chain.first().map_or(ConfigSource::Default, |synonym| synonym.source)
}
