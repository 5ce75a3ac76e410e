//! Topics: names, ids, configs.
//!
//! Promises: a topic has one id and one name for its life; two names that differ only in '.' and '_' never both exist.
//! Never: knows which configs there are; the gateway that creates a topic honours or refuses them.

mod commands;
mod name;
mod section;
#[cfg(test)]
mod tests;
mod topic;

use std::sync::Arc;

use imbl::OrdMap;
use uuid::Uuid;

use crate::{Outcome, PartitionsRefusal, Position, TopicRefusal, limits};

pub(crate) use commands::{read_create, read_create_partitions, write_create, write_create_partitions};
pub use name::is_legal_topic_name;
pub(crate) use name::unify_name;
pub(crate) use section::{read_topic, write_topic};
pub use topic::Topic;

/// The topics, by id and by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Topics {
    pub(crate) by_id: OrdMap<Uuid, Arc<Topic>>,
    pub(crate) by_name: OrdMap<Arc<str>, Arc<Topic>>,
    /// The unified form of every name that has one: names collide when their unified forms are equal.
    pub(crate) unified: OrdMap<String, Uuid>,
}

/// The fields of a CreateTopic command.
pub(crate) struct CreateRequest<'a> {
    pub(crate) topic_id: Uuid,
    pub(crate) name: &'a str,
    pub(crate) partitions: u32,
    pub(crate) configs: &'a [(String, String)],
    pub(crate) created_at_ms: i64,
}

impl Topics {
    /// The topic to create, or why there is none. Changes nothing. `partition_count` is that of all topics.
    pub(crate) fn judge_create(
        &self,
        request: &CreateRequest<'_>,
        position: Position,
        partition_count: usize,
    ) -> Result<Topic, Outcome> {
        if let Some(topic) = self.by_name.get(request.name) {
            return Err(Outcome::TopicExists { topic_id: topic.id });
        }
        self.refuse_create(request, partition_count).map_or(Ok(()), |r| Err(Outcome::TopicRefused(r)))?;
        Ok(Topic {
            id: request.topic_id,
            name: request.name.into(),
            partitions: request.partitions,
            configs: request.configs.iter().cloned().collect(),
            configs_changed_at: position,
            created_at: position,
            created_at_ms: request.created_at_ms,
        })
    }

    fn refuse_create(&self, request: &CreateRequest<'_>, partition_count: usize) -> Option<TopicRefusal> {
        if !is_legal_topic_name(request.name) {
            return Some(TopicRefusal::InvalidName);
        }
        if unify_name(request.name).is_some_and(|unified| self.unified.contains_key(&unified)) {
            return Some(TopicRefusal::Collides);
        }
        if request.partitions == 0 || request.partitions > limits::PARTITIONS_PER_TOPIC {
            return Some(TopicRefusal::InvalidPartitions);
        }
        if !legal_configs(request.configs) {
            return Some(TopicRefusal::InvalidConfig);
        }
        if request.topic_id.is_nil() || self.by_id.contains_key(&request.topic_id) {
            return Some(TopicRefusal::InvalidId);
        }
        let partitions = usize::try_from(request.partitions).unwrap_or(usize::MAX);
        let room = limits::PARTITIONS.saturating_sub(partition_count);
        if self.by_id.len() >= limits::TOPICS || partitions > room {
            return Some(TopicRefusal::LimitReached);
        }
        None
    }

    /// How many partitions the topic has now, when it may have `count`. Changes nothing. `partition_count` is that of
    /// all topics.
    pub(crate) fn judge_create_partitions(
        &self,
        topic_id: Uuid,
        count: u32,
        partition_count: usize,
    ) -> Result<u32, PartitionsRefusal> {
        let current = self.by_id.get(&topic_id).ok_or(PartitionsRefusal::UnknownTopic)?.partitions;
        let more = count.checked_sub(current).filter(|more| *more > 0);
        let more = more.ok_or(PartitionsRefusal::NotMore { current })?;
        let room = limits::PARTITIONS.saturating_sub(partition_count);
        let fits = count <= limits::PARTITIONS_PER_TOPIC && usize::try_from(more).is_ok_and(|more| more <= room);
        if fits { Ok(current) } else { Err(PartitionsRefusal::LimitReached) }
    }

    /// The topic has `partitions` partitions from now on.
    pub(crate) fn set_partitions(&mut self, topic_id: Uuid, partitions: u32) {
        self.replace(topic_id, |topic| topic.partitions = partitions);
    }

    /// The topic has these configs from now on; `position` changed them.
    pub(crate) fn set_configs(&mut self, topic_id: Uuid, configs: OrdMap<String, String>, position: Position) {
        self.replace(topic_id, |topic| {
            topic.configs = configs;
            topic.configs_changed_at = position;
        });
    }

    /// Changes a topic in both indexes; neither its id nor its name may change.
    fn replace(&mut self, topic_id: Uuid, change: impl FnOnce(&mut Topic)) {
        if let Some(topic) = self.by_id.get(&topic_id) {
            let mut topic = Topic::clone(topic);
            change(&mut topic);
            self.insert(topic);
        }
    }

    /// Adds a topic, or takes it for the one of the same id and name.
    pub(crate) fn insert(&mut self, topic: Topic) {
        let topic = Arc::new(topic);
        if let Some(unified) = unify_name(&topic.name) {
            self.unified.insert(unified, topic.id);
        }
        self.by_name.insert(topic.name.clone(), topic.clone());
        self.by_id.insert(topic.id, topic);
    }

    /// Removes a topic and gives it back; `None` when there is none of that id.
    pub(crate) fn remove(&mut self, topic_id: Uuid) -> Option<Arc<Topic>> {
        let topic = self.by_id.remove(&topic_id)?;
        self.by_name.remove(&topic.name);
        if let Some(unified) = unify_name(&topic.name) {
            self.unified.remove(&unified);
        }
        Some(topic)
    }
}

pub(crate) fn legal_configs(configs: &[(String, String)]) -> bool {
    let mut names: Vec<&str> = configs.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let bounded = |(name, value): &(String, String)| {
        !name.is_empty() && name.len() <= limits::CONFIG_NAME_BYTES && value.len() <= limits::CONFIG_VALUE_BYTES
    };
    configs.len() <= limits::CONFIGS_PER_TOPIC && names.len() == configs.len() && configs.iter().all(bounded)
}
