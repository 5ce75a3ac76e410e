//! Apply: the one place where State changes.
//!
//! Promises: total (L11) – for every element it says what became of it and never panics; it reads State and the entry
//! alone. Validates, then mutates: a command or batch that is refused leaves no trace but its verdict in the hash (L9).
//! Never: compares an entry's `hash_at_known`; the replica does, on accepted entries.

use uuid::Uuid;

use crate::configs::AlterRequest;
use crate::gateways::OpenRequest;
use crate::groups::{GroupEffect, Scene};
use crate::hash::roll_hash;
use crate::topics::CreateRequest;
use crate::{
    Command, Entry, GroupCommand, GroupNumber, Identity, Judgement, Malformation, OffsetSlice, Outcome, PartitionKey,
    Position, SessionId, SessionRefusal, State, invariants, limits,
};

/// What became of one element of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Its position.
    pub position: Position,
    /// The entry took effect: its identity is used up (L1), or it had none and was one OpenSession (L2).
    pub accepted: bool,
    /// `outcomes[i]` answers `commands[i]`. Empty for a copy, zombie or stranger; all [`Outcome::Malformed`] for an
    /// entry without identity that is not exactly one OpenSession.
    pub outcomes: Vec<Outcome>,
    /// The partitions whose high watermark or log start moved, ascending, each once: what a waiting Fetch looks at again.
    pub touched: Vec<PartitionKey>,
    /// The groups that a waiting Join or Sync must look at again, ascending, each once: the phase or the generation
    /// changed, assignments were set, a member went or was replaced, the group went. Not for a Join that leaves the phase
    /// running, and not for commits.
    pub groups: Vec<GroupNumber>,
    /// The slices of committed offsets that changed, deletions included; ascending, each once.
    pub offset_slices: Vec<OffsetSlice>,
}

/// Why an element could not be applied. State is as before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// The position is not the one after `known` (L6).
    #[error("position {position} does not follow {known}")]
    Gap {
        /// State's position.
        known: Position,
        /// The element's position.
        position: Position,
    },
    /// The element takes effect, so its entry is needed (L4).
    #[error("the entry at position {0} takes effect, and its body was not given")]
    BodyNeeded(Position),
}

/// What an element did, before it is hashed.
#[derive(Default)]
struct Effect {
    accepted: bool,
    outcomes: Vec<Outcome>,
    touched: Vec<PartitionKey>,
    groups: GroupEffect,
}

impl State {
    /// Applies the element at `position`. `entry` may be `None` when [`State::judge`] says no-op (L4).
    ///
    /// # Errors
    /// `Gap` when `position` is not `known() + 1`; `BodyNeeded` when the entry takes effect and was not given.
    pub fn apply(
        &mut self,
        position: Position,
        identity: Option<Identity>,
        entry: Option<&Entry>,
    ) -> Result<Applied, ApplyError> {
        if position <= self.known || position != self.known.next() {
            return Err(ApplyError::Gap { known: self.known, position });
        }
        let effect = match (self.judge(identity), identity, entry) {
            (Judgement::NoOp, _, _) => Effect::default(),
            (Judgement::Accept, _, None) => return Err(ApplyError::BodyNeeded(position)),
            (Judgement::Accept, None, Some(entry)) => self.apply_opening(position, entry),
            (Judgement::Accept, Some(identity), Some(entry)) => self.apply_accepted(position, identity, entry),
        };
        let mut touched = sorted(effect.touched);
        // A topic may have been deleted by a later command of the entry.
        touched.retain(|key| self.partition(key).is_some());
        self.hash = roll_hash(self.hash, position, identity, effect.accepted, &effect.outcomes);
        self.known = position;
        debug_assert_eq!(invariants::check_partitions(self, &touched), Ok(()));
        debug_assert_eq!(invariants::check_groups(self, &effect.groups.touched), Ok(()));
        Ok(Applied {
            position,
            accepted: effect.accepted,
            outcomes: effect.outcomes,
            touched,
            groups: sorted(effect.groups.announced),
            offset_slices: sorted(effect.groups.slices),
        })
    }

    /// L2: without identity, exactly one OpenSession and nothing else.
    fn apply_opening(&mut self, position: Position, entry: &Entry) -> Effect {
        if let [Command::OpenSession { nonce, feature_level, opened_at_ms, name }] = entry.commands.as_slice() {
            let request =
                OpenRequest { nonce: *nonce, feature_level: *feature_level, opened_at_ms: *opened_at_ms, name };
            let outcome = self.gateways.open(position, request, self.feature_level);
            return Effect { accepted: true, outcomes: vec![outcome], ..Effect::default() };
        }
        let refused = Outcome::Malformed(Malformation::NoIdentity);
        Effect { outcomes: vec![refused; entry.commands.len()], ..Effect::default() }
    }

    /// Every command in order. The session's last append moves last, so that a session can close itself (T2, T7), and
    /// moves even if every command was refused (L1).
    fn apply_accepted(&mut self, position: Position, identity: Identity, entry: &Entry) -> Effect {
        let mut effect = Effect { accepted: true, ..Effect::default() };
        if entry.commands.len() > limits::COMMANDS_PER_ENTRY {
            let refused = Outcome::Malformed(Malformation::TooManyCommands);
            effect.outcomes = vec![refused; entry.commands.len()];
        } else {
            effect.outcomes.reserve_exact(entry.commands.len());
            for command in &entry.commands {
                let outcome = self.apply_command(position, identity.session, command, &mut effect);
                effect.outcomes.push(outcome);
            }
        }
        self.gateways.record_append(identity, position);
        effect
    }

    fn apply_command(
        &mut self,
        position: Position,
        sender: SessionId,
        command: &Command,
        effect: &mut Effect,
    ) -> Outcome {
        match command {
            Command::OpenSession { .. } => Outcome::SessionRefused(SessionRefusal::NotAlone),
            Command::CloseSession { session, last_append } => {
                let outcome = self.gateways.close(*session, *last_append);
                if matches!(outcome, Outcome::SessionClosed { .. }) {
                    self.groups.session_closed(position, *session, &mut effect.groups);
                }
                outcome
            }
            Command::CreateTopic { topic_id, name, partitions, configs, created_at_ms } => {
                let request = CreateRequest {
                    topic_id: *topic_id,
                    name,
                    partitions: *partitions,
                    configs,
                    created_at_ms: *created_at_ms,
                };
                self.create_topic(&request, position)
            }
            Command::Produce { object, object_bytes, runs } => {
                self.partitions.produce(*object, *object_bytes, runs, &mut effect.touched)
            }
            Command::AllocateProducerIds { count } => self.producer_ids.allocate(*count),
            Command::Group(command) => self.apply_group(position, sender, command, &mut effect.groups),
            Command::DeleteTopic { topic_id } => self.delete_topic(*topic_id, &mut effect.groups),
            Command::AlterConfigs { resource, seen, configs } => {
                self.alter_configs(AlterRequest { resource: *resource, seen: *seen, configs }, position)
            }
            Command::CreatePartitions { topic_id, count } => self.create_partitions(*topic_id, *count),
            Command::DeleteRecords { runs } => self.partitions.delete_records(runs, &mut effect.touched),
        }
    }

    fn apply_group(
        &mut self,
        position: Position,
        session: SessionId,
        command: &GroupCommand,
        effect: &mut GroupEffect,
    ) -> Outcome {
        let (gateways, topics) = (&self.gateways, &self.topics);
        let scene = Scene { position, session, gateways, topics, defects: self.defects };
        Outcome::Group(self.groups.apply(scene, command, effect))
    }

    /// Everything of the topic goes in one step; what a later topic of that name finds is nothing.
    fn delete_topic(&mut self, topic_id: Uuid, effect: &mut GroupEffect) -> Outcome {
        let Some(topic) = self.topics.remove(topic_id) else {
            return Outcome::TopicNotFound;
        };
        self.partitions.remove(topic_id);
        self.groups.topic_deleted(topic_id, &topic.name, effect);
        Outcome::TopicDeleted { topic_id }
    }

    fn create_topic(&mut self, request: &CreateRequest<'_>, position: Position) -> Outcome {
        match self.topics.judge_create(request, position, self.partition_count()) {
            Err(refused) => refused,
            Ok(topic) => {
                let (topic_id, partitions) = (topic.id, topic.partitions);
                self.partitions.create(topic_id, 0, partitions);
                self.topics.insert(topic);
                Outcome::TopicCreated { topic_id, partitions }
            }
        }
    }

    fn create_partitions(&mut self, topic_id: Uuid, count: u32) -> Outcome {
        match self.topics.judge_create_partitions(topic_id, count, self.partition_count()) {
            Err(refused) => Outcome::PartitionsRefused(refused),
            Ok(current) => {
                self.partitions.create(topic_id, current, count);
                self.topics.set_partitions(topic_id, count);
                Outcome::PartitionsCreated { count }
            }
        }
    }
}

/// In order, each once.
fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort_unstable();
    list.dedup();
    list
}

#[cfg(test)]
mod tests;
