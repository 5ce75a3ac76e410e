//! Topics: describing, creating, creating on first use, deleting.
//!
//! Promises: a topic is called unknown, and all topics are listed, only after a barrier (T5). Two gateways that create the
//! same name at once make one topic: apply decides.

use std::sync::Arc;
use std::time::Duration;

use sluice_metadata::{Command, Outcome, State, Topic, TopicRefusal, is_legal_topic_name};
use tokio::time::Instant;
use uuid::Uuid;

use crate::api::{CreatedTopic, NewTopic, TopicDescription, TopicRef, TopicSelection};
use crate::configs::{self, DescribedConfig};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};
use crate::produce::find_topic;

/// Names and values of the configs that a topic sets.
type OwnConfigs = Vec<(String, String)>;
/// A topic as it was asked for, and what is known of it.
type Described = (TopicRef, EngineResult<TopicDescription>);

impl Engine {
    /// The topics asked for; those that are missing are created when both the request and the settings allow it.
    ///
    /// # Errors
    /// `NotFresh` when a topic was missing, or all were asked for, and State could not be refreshed.
    pub async fn describe_topics(
        &self,
        selection: TopicSelection,
        allow_auto_create: bool,
    ) -> EngineResult<Vec<Described>> {
        let asked = match selection {
            TopicSelection::All => {
                self.barrier().await?;
                let view = self.inner.replica.view();
                return Ok(view.topics().map(|t| (TopicRef::Name(t.name.to_string()), Ok(describe(t)))).collect());
            }
            TopicSelection::Some(asked) => asked,
        };
        let view = self.inner.replica.view();
        if asked.iter().all(|topic| find_topic(&view, topic).is_ok()) {
            return Ok(describe_each(&view, asked));
        }
        drop(view);
        self.barrier().await?;
        let view = self.inner.replica.view();
        let may_create = allow_auto_create && self.inner.parts.settings.auto_create_topics;
        let described = describe_each(&view, asked);
        drop(view);
        let create = |(topic, answer): Described| async move {
            let answer = match (&topic, answer) {
                (TopicRef::Name(name), Err(EngineError::UnknownTopic)) => match is_legal_topic_name(name) {
                    false => Err(EngineError::InvalidTopicName(illegal_name(name))),
                    true if may_create => self.auto_create(name, self.request_deadline()).await,
                    true => Err(EngineError::UnknownTopic),
                },
                (_, answer) => answer,
            };
            (topic, answer)
        };
        Ok(self.together(described.into_iter().map(create)).await)
    }

    /// Creates topics, or with `validate_only` says what would become of it. `answers[i]` answers `topics[i]`.
    pub async fn create_topics(
        &self,
        topics: Vec<NewTopic>,
        validate_only: bool,
        timeout: Duration,
    ) -> Vec<EngineResult<CreatedTopic>> {
        if let Err(error) = self.barrier().await {
            return topics.iter().map(|_| Err(error.clone())).collect();
        }
        let deadline = self.inner.parts.clock.now() + timeout.min(self.inner.parts.limits.request_timeout);
        self.together(topics.into_iter().map(|topic| self.create_topic(topic, validate_only, deadline))).await
    }

    async fn create_topic(
        &self,
        topic: NewTopic,
        validate_only: bool,
        deadline: Instant,
    ) -> EngineResult<CreatedTopic> {
        if !is_legal_topic_name(&topic.name) {
            return Err(EngineError::InvalidTopicName(illegal_name(&topic.name)));
        }
        if self.inner.replica.view().topic_by_name(&topic.name).is_some() {
            return Err(EngineError::TopicExists);
        }
        let (own, configs) = self.checked_configs(&topic.configs)?;
        let partitions = self.checked_partitions(topic.partitions)?;
        check_replication_factor(topic.replication_factor)?;
        let created = |id| CreatedTopic { id, partitions, configs };
        if validate_only {
            // Kafka tells the id as well that the topic would have had.
            return Ok(created(self.inner.parts.entropy.next_uuid()));
        }
        match self.propose_topic(&topic.name, partitions, own, deadline).await? {
            Outcome::TopicCreated { topic_id, .. } => Ok(created(topic_id)),
            Outcome::TopicExists { .. } => Err(EngineError::TopicExists),
            other => Err(refused(&topic.name, other)),
        }
    }

    /// Deletes topics with their records, and what groups committed of them; `answers[i]` answers `topics[i]` with the name
    /// and the id of the topic. A topic that is created under the name afterwards is another one: it inherits nothing.
    /// Errors: `UnknownTopic` or `UnknownTopicId` after a barrier (T5), or what stood in the way.
    pub async fn delete_topics(&self, topics: Vec<TopicRef>, timeout: Duration) -> Vec<EngineResult<(Arc<str>, Uuid)>> {
        if let Err(error) = self.barrier().await {
            return topics.iter().map(|_| Err(error.clone())).collect();
        }
        let deadline = self.inner.parts.clock.now() + timeout.min(self.inner.parts.limits.request_timeout);
        self.together(topics.into_iter().map(|topic| self.delete_topic(topic, deadline))).await
    }

    async fn delete_topic(&self, topic: TopicRef, deadline: Instant) -> EngineResult<(Arc<str>, Uuid)> {
        let (name, topic_id) = {
            let view = self.inner.replica.view();
            let found = find_topic(&view, &topic)?;
            (found.name.clone(), found.id)
        };
        match self.inner.replica.propose(Command::DeleteTopic { topic_id }, deadline).await? {
            Outcome::TopicDeleted { .. } => Ok((name, topic_id)),
            // Another gateway was first.
            _ => Err(match topic {
                TopicRef::Name(_) => EngineError::UnknownTopic,
                TopicRef::Id(_) => EngineError::UnknownTopicId,
            }),
        }
    }

    /// Creates a topic on its first use; one that another gateway made meanwhile is as good.
    pub(crate) async fn auto_create(&self, name: &str, deadline: Instant) -> EngineResult<TopicDescription> {
        if !is_legal_topic_name(name) {
            return Err(EngineError::InvalidTopicName(illegal_name(name)));
        }
        let partitions = self.checked_partitions(None)?;
        match self.propose_topic(name, partitions, Vec::new(), deadline).await? {
            Outcome::TopicCreated { topic_id, .. } | Outcome::TopicExists { topic_id } => {
                let view = self.inner.replica.view();
                view.topic_by_id(topic_id).map(|topic| describe(topic)).ok_or(EngineError::UnknownTopic)
            }
            other => Err(refused(name, other)),
        }
    }

    async fn propose_topic(
        &self,
        name: &str,
        partitions: u32,
        configs: Vec<(String, String)>,
        deadline: Instant,
    ) -> EngineResult<Outcome> {
        let command = Command::CreateTopic {
            topic_id: self.inner.parts.entropy.next_uuid(),
            name: name.to_owned(),
            partitions,
            configs,
            created_at_ms: self.inner.parts.stamp_ms(),
        };
        self.inner.replica.propose(command, deadline).await
    }

    /// The configs that a new topic sets, and all that it will have, its own as they were given.
    fn checked_configs(&self, asked: &[(String, Option<String>)]) -> EngineResult<(OwnConfigs, Vec<DescribedConfig>)> {
        let view = self.inner.replica.view();
        let levels = self.inner.config_levels(&view);
        let own = configs::for_new_topic(&levels, asked)?;
        let mut described = configs::topic_configs(&levels, |name| own.get(name).map(String::as_str), |_| true);
        for config in &mut described {
            if let Some(value) = own.get(&*config.name) {
                config.value = Some(value.clone());
            }
        }
        Ok((own.into_iter().collect(), described))
    }

    fn checked_partitions(&self, asked: Option<i32>) -> EngineResult<u32> {
        let asked = match asked {
            None => return Ok(self.default_partitions()),
            Some(asked) => asked,
        };
        let most = sluice_metadata::limits::PARTITIONS_PER_TOPIC;
        match u32::try_from(asked) {
            Ok(count) if count >= 1 && count <= most => Ok(count),
            _ => Err(EngineError::InvalidPartitions(format!("{asked} partitions; a topic has 1 to {most}"))),
        }
    }

    fn request_deadline(&self) -> Instant {
        self.inner.parts.clock.now() + self.inner.parts.limits.request_timeout
    }
}

/// One replica is reported whatever is asked for: the store is what replicates.
fn check_replication_factor(asked: Option<i16>) -> EngineResult<()> {
    match asked {
        None | Some(1..=3) => Ok(()),
        Some(other) => Err(EngineError::InvalidReplicationFactor(format!("{other}; 1 to 3 are accepted"))),
    }
}

fn describe_each(view: &State, asked: Vec<TopicRef>) -> Vec<Described> {
    let described = |topic: &TopicRef| find_topic(view, topic).map(|topic| describe(topic));
    asked.into_iter().map(|topic| (topic.clone(), described(&topic))).collect()
}

fn describe(topic: &Topic) -> TopicDescription {
    TopicDescription { name: topic.name.clone(), id: topic.id, partitions: topic.partitions }
}

pub(crate) fn illegal_name(name: &str) -> String {
    let shown: String = name.chars().take(64).collect();
    format!("{shown:?}: a topic name has 1 to 249 of the characters a-z A-Z 0-9 . _ - and is not . or ..")
}

fn refused(name: &str, outcome: Outcome) -> EngineError {
    match outcome {
        Outcome::TopicRefused(TopicRefusal::Collides) => {
            EngineError::InvalidTopicName(format!("{name:?} collides with a topic that differs only in . and _"))
        }
        other => EngineError::LimitReached(format!("{other:?}")),
    }
}
