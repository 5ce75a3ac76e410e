//! Configs: the sets that were set on topics, on brokers, and as the defaults of every broker.
//!
//! Promises: a set is replaced as a whole, and only if it is the one its proposer saw (T7): of two gateways that resolve
//! a change against the same set, one hears that it moved and looks again, so that neither undoes the other's. Never:
//! knows which configs there are or what they mean; the gateway that proposes a set has validated it.
//!
//! A set is known by the position of its last change. Positions only grow and a change takes the position of its own
//! entry, so a set that was changed, and changed back to the same values, is still another set than the one before. A
//! broker whose set becomes empty is forgotten, so that brokers which are gone take no room; what stays is one position
//! for all of them, that of the last such removal. It stands for the last change of every broker without a set: never
//! before the true one, hence nothing is lost, and at worst a proposer looks once more because another broker's set went.

mod commands;
mod section;
#[cfg(test)]
mod tests;

use imbl::OrdMap;
use uuid::Uuid;

use crate::topics::legal_configs;
use crate::{ConfigRefusal, Outcome, Position, State, limits};

pub(crate) use commands::{read_alter, read_configs, write_alter, write_configs};
pub(crate) use section::{read_item, write_items};

/// What configs are set on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConfigResource {
    /// A topic.
    Topic(Uuid),
    /// Every broker: the defaults that a broker's own set goes before (in Kafka, the broker resource with an empty name).
    Cluster,
    /// One broker id, 0 or more.
    Broker(i32),
}

/// The configs that were set on a broker, or on all of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConfigSet {
    /// By name.
    pub configs: OrdMap<String, String>,
    /// The entry that changed them last; zero when none ever did.
    pub changed_at: Position,
}

/// The sets that are not a topic's: those stand in the topic.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Configs {
    pub(crate) cluster: ConfigSet,
    /// None is empty.
    pub(crate) brokers: OrdMap<i32, ConfigSet>,
    /// The last entry that emptied a broker's set: the last change of every broker that has none.
    pub(crate) emptied_at: Position,
}

/// The fields of an AlterConfigs command.
#[derive(Clone, Copy)]
pub(crate) struct AlterRequest<'a> {
    pub(crate) resource: ConfigResource,
    pub(crate) seen: Position,
    pub(crate) configs: &'a [(String, String)],
}

impl State {
    /// The position at which the configs of a resource changed last: what an AlterConfigs command that was resolved
    /// against this State says it has seen. Creation is a topic's first change; zero where nothing ever changed; `None`
    /// for a topic that is not there.
    ///
    /// Of a broker without configs it may be later than the true one, never earlier.
    #[must_use]
    pub fn configs_changed_at(&self, resource: ConfigResource) -> Option<Position> {
        match resource {
            ConfigResource::Topic(topic_id) => self.topic_by_id(topic_id).map(|topic| topic.configs_changed_at),
            ConfigResource::Cluster => Some(self.configs.cluster.changed_at),
            ConfigResource::Broker(broker) => {
                Some(self.broker_configs(broker).map_or(self.configs.emptied_at, |set| set.changed_at))
            }
        }
    }

    /// The configs that hold for every broker unless it has its own.
    #[must_use]
    pub fn cluster_configs(&self) -> &ConfigSet {
        &self.configs.cluster
    }

    /// The configs of one broker; `None` when it has none.
    #[must_use]
    pub fn broker_configs(&self, broker: i32) -> Option<&ConfigSet> {
        self.configs.brokers.get(&broker)
    }

    /// The brokers that have configs of their own, ascending; whether such a broker exists is not known here.
    pub fn brokers_with_configs(&self) -> impl Iterator<Item = (i32, &ConfigSet)> {
        self.configs.brokers.iter().map(|(broker, set)| (*broker, set))
    }

    /// Validates first, then mutates (L11).
    pub(crate) fn alter_configs(&mut self, request: AlterRequest<'_>, position: Position) -> Outcome {
        if let Some(refused) = self.refuse_alter(request) {
            return refused;
        }
        let configs: OrdMap<_, _> = request.configs.iter().cloned().collect();
        match request.resource {
            ConfigResource::Topic(topic_id) => self.topics.set_configs(topic_id, configs, position),
            ConfigResource::Cluster => self.configs.cluster = ConfigSet { configs, changed_at: position },
            ConfigResource::Broker(broker) if configs.is_empty() => {
                self.configs.brokers.remove(&broker);
                self.configs.emptied_at = position;
            }
            ConfigResource::Broker(broker) => {
                self.configs.brokers.insert(broker, ConfigSet { configs, changed_at: position });
            }
        }
        Outcome::ConfigsAltered
    }

    /// Why the set is not replaced.
    fn refuse_alter(&self, request: AlterRequest<'_>) -> Option<Outcome> {
        let Some(at) = self.configs_changed_at(request.resource) else {
            return Some(Outcome::ConfigsRefused(ConfigRefusal::UnknownTopic));
        };
        let is_legal_resource = !matches!(request.resource, ConfigResource::Broker(broker) if broker < 0);
        if !is_legal_resource || !legal_configs(request.configs) {
            return Some(Outcome::ConfigsRefused(ConfigRefusal::Invalid));
        }
        // T7: what the proposer resolved its change against is no longer there.
        if at != request.seen && !self.alters_blindly() {
            return Some(Outcome::ConfigsMoved { at });
        }
        let is_full = self.configs.brokers.len() >= limits::BROKERS_WITH_CONFIGS;
        let is_new = |broker| self.broker_configs(broker).is_none() && !request.configs.is_empty();
        let is_refused = is_full && matches!(request.resource, ConfigResource::Broker(broker) if is_new(broker));
        is_refused.then_some(Outcome::ConfigsRefused(ConfigRefusal::LimitReached))
    }

    /// The planted defect: what the proposer saw is not asked.
    fn alters_blindly(&self) -> bool {
        #[cfg(test)]
        return self.defect == crate::simulation::Defect::AlterBlindly;
        #[cfg(not(test))]
        false
    }
}
