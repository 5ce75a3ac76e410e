//! One group of the model: its members and its phase.
//!
//! Promises: functions of the group alone. Never: decides when a phase ends (that is `model`).

use std::collections::{BTreeMap, BTreeSet};

use crate::manner::Manner;
use crate::model::{FENCED_INSTANCE_ID, NONE, UNKNOWN_MEMBER_ID, synced};
use crate::request::{Answer, Id, Protocol, Slot, Ticket, Topic, instance_name};

/// Where a group is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No members.
    #[default]
    Empty,
    /// Waits for its members to join.
    Preparing {
        /// It was empty before.
        first: bool,
    },
    /// Waits for the leader's assignments.
    Completing,
    /// Members have assignments.
    Stable,
}

impl Phase {
    /// Kafka's name of it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Empty => "Empty",
            Phase::Preparing { .. } => "PreparingRebalance",
            Phase::Completing => "CompletingRebalance",
            Phase::Stable => "Stable",
        }
    }
}

/// Whether a rebalance completes without another request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// No.
    #[default]
    Never,
    /// At once; nothing else is asked before its answers came, unless it was sent together with them.
    Soon,
    /// At once, and nobody is told.
    Sometime,
}

/// Who assigns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Leader {
    /// There are no members.
    #[default]
    Nobody,
    /// This member.
    Is(Id),
    /// The leader went: any member.
    Anybody,
}

impl Leader {
    /// The id as it is written into answers.
    #[must_use]
    pub fn id(self) -> Id {
        match self {
            Leader::Is(id) => id,
            Leader::Nobody | Leader::Anybody => Id::Nobody,
        }
    }
}

/// A request that waits, and its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "says it")]
pub struct Waiting {
    pub ticket: Ticket,
    pub version: i16,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "says it")]
pub struct Member {
    pub slot: Slot,
    pub instance: Option<u8>,
    pub session_ms: i32,
    pub protocols: Vec<Protocol>,
    pub assignment: Vec<u8>,
    pub join: Option<Waiting>,
    pub sync: Option<Waiting>,
}

impl Member {
    fn metadata(&self, protocol: Option<&str>) -> Vec<u8> {
        let found = self.protocols.iter().find(|(name, _)| Some(*name) == protocol);
        found.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }
}

/// A committed offset: offset, leader epoch, metadata.
pub type Offset = (i64, i32, String);

/// A group.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "says it")]
pub struct State {
    pub phase: Phase,
    pub due: Due,
    pub generation: i32,
    pub kind: Option<&'static str>,
    pub protocol: Option<&'static str>,
    pub leader: Leader,
    pub members: BTreeMap<Id, Member>,
    /// Were given an id and have not joined with it.
    pub pending: BTreeSet<Id>,
    /// Topics that the members subscribe to, if that is known.
    pub topics: Option<BTreeSet<Topic>>,
    pub offsets: BTreeMap<(Topic, i32), Offset>,
}

impl State {
    fn offering(&self, protocol: &str) -> usize {
        self.members.values().filter(|m| m.protocols.iter().any(|(name, _)| *name == protocol)).count()
    }

    /// Whether a Join with these may be let in.
    pub(crate) fn supports(&self, kind: &str, protocols: &[Protocol]) -> bool {
        if self.phase == Phase::Empty {
            return !kind.is_empty() && !protocols.is_empty();
        }
        // Kafka: a member that joins again counts with what it offered before.
        self.kind == Some(kind) && protocols.iter().any(|(name, _)| self.offering(name) == self.members.len())
    }

    /// The member that holds an instance id.
    #[must_use]
    pub fn holder(&self, instance: u8) -> Option<Id> {
        self.members.iter().find(|(_, m)| m.instance == Some(instance)).map(|(id, _)| *id)
    }

    /// Why a request of this member is refused.
    pub(crate) fn refusal(&self, id: Id, instance: Option<u8>) -> Option<i16> {
        // Kafka: a static member may leave its instance id out; a dynamic one that brings one is unknown.
        if let Some(instance) = instance {
            match self.holder(instance) {
                None => return Some(UNKNOWN_MEMBER_ID),
                Some(held) if held != id => return Some(FENCED_INSTANCE_ID),
                Some(_) => {}
            }
        }
        (!self.members.contains_key(&id)).then_some(UNKNOWN_MEMBER_ID)
    }

    pub(crate) fn remove(&mut self, id: Id) -> Option<Member> {
        let removed = self.members.remove(&id);
        if self.leader == Leader::Is(id) || self.members.is_empty() {
            self.leader = if self.members.is_empty() { Leader::Nobody } else { Leader::Anybody };
        }
        removed
    }

    pub(crate) fn have_all_joined(&self) -> bool {
        self.pending.is_empty() && self.members.values().all(|m| m.join.is_some())
    }

    /// Removes who has not joined again; static members stay.
    pub(crate) fn drop_absent(&mut self) {
        let is_absent = |m: &Member| m.join.is_none() && m.instance.is_none();
        let absent: Vec<Id> = self.members.iter().filter(|(_, m)| is_absent(m)).map(|(id, _)| *id).collect();
        for id in absent {
            self.remove(id);
        }
    }

    /// The members that may lead the next generation: the one that led, if it joined; else any that joined.
    pub(crate) fn electable_leaders(&self) -> Vec<Id> {
        let joined = self.members.iter().filter(|(_, m)| m.join.is_some()).map(|(id, _)| *id);
        let all: Vec<Id> = joined.collect();
        match self.leader {
            Leader::Is(id) if all.contains(&id) => vec![id],
            _ => all,
        }
    }

    /// The protocols that may be chosen: those with the most votes. Each member votes for the first of its own that all
    /// members offer.
    pub(crate) fn electable(&self) -> Vec<&'static str> {
        let mut votes: BTreeMap<&'static str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().find(|(name, _)| self.offering(name) == self.members.len());
            if let Some((name, _)) = vote {
                *votes.entry(name).or_default() += 1;
            }
        }
        let most = votes.values().max().copied().unwrap_or_default();
        votes.into_iter().filter(|(_, count)| *count == most).map(|(name, _)| name).collect()
    }

    pub(crate) fn begin_generation(&mut self, protocol: &'static str) {
        self.generation += 1;
        self.protocol = Some(protocol);
        self.phase = Phase::Completing;
        self.topics = self.subscribed();
    }

    pub(crate) fn become_empty(&mut self) {
        self.protocol = None;
        self.phase = Phase::Empty;
        self.leader = Leader::Nobody;
        self.topics = self.subscribed();
    }

    /// Kafka: known only for consumers, only from the protocol chosen, and only if every member's metadata can be read.
    fn subscribed(&self) -> Option<BTreeSet<Topic>> {
        if self.kind != Some("consumer") {
            return None;
        }
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            topics.extend(crate::script::topics_of(&member.metadata(self.protocol))?);
        }
        Some(topics)
    }

    /// What the members offer now for the protocol chosen; `None` while that is not known of all.
    fn subscribed_now(&self) -> Option<BTreeSet<Topic>> {
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            let (_, metadata) = member.protocols.iter().find(|(name, _)| Some(*name) == self.protocol)?;
            topics.extend(crate::script::topics_of(metadata)?);
        }
        Some(topics)
    }

    /// The answer to a Join that is in.
    pub(crate) fn joined(&self, id: Id, version: i16) -> Answer {
        let mut members = Vec::new();
        if self.leader == Leader::Is(id) {
            members = self.members.iter().map(|(id, m)| self.listed(*id, m, version)).collect();
            members.sort();
        }
        Answer::Join {
            error: NONE,
            generation: self.generation,
            kind: self.kind.filter(|_| version >= 7).map(str::to_owned),
            protocol: self.protocol.map(str::to_owned),
            leader: self.leader.id(),
            skip: false,
            id,
            members,
        }
    }

    fn listed(&self, id: Id, member: &Member, version: i16) -> (Id, Option<String>, Vec<u8>) {
        let instance = member.instance.filter(|_| version >= 5).map(instance_name);
        (id, instance, member.metadata(self.protocol))
    }

    pub(crate) fn answer_joins(&mut self) -> Vec<(Ticket, Answer)> {
        let waiting: Vec<(Id, Waiting)> = self.members.iter().filter_map(|(id, m)| Some((*id, m.join?))).collect();
        for member in self.members.values_mut() {
            member.join = None;
        }
        waiting.into_iter().map(|(id, w)| (w.ticket, self.joined(id, w.version))).collect()
    }

    /// Takes the leader's assignments and answers the Syncs that wait.
    pub(crate) fn assign(&mut self, assignments: &[(Id, Vec<u8>)]) -> Vec<(Ticket, Answer)> {
        self.phase = Phase::Stable;
        let mut answers = Vec::new();
        for (id, member) in &mut self.members {
            // Kafka: of two assignments for one member the last one counts.
            let mine = assignments.iter().rev().find(|(to, _)| to == id);
            member.assignment = mine.map(|(_, bytes)| bytes.clone()).unwrap_or_default();
            if let Some(waiting) = member.sync.take() {
                let answer = synced(waiting.version, NONE, self.kind, self.protocol, member.assignment.clone());
                answers.push((waiting.ticket, answer));
            }
        }
        answers
    }

    /// True when the group is known, or must be taken, to read a topic.
    pub(crate) fn reads(&self, topic: Topic, manner: Manner) -> bool {
        if manner.reads_subscriptions_of_now() {
            let is_consumers = self.kind == Some("consumer");
            return is_consumers && self.subscribed_now().is_none_or(|topics| topics.contains(&topic));
        }
        // Kafka: while it is not known what consumers subscribe to, they count as subscribed to everything.
        self.topics.as_ref().map_or(self.kind == Some("consumer"), |topics| topics.contains(&topic))
    }

    /// What DescribeGroups tells of a member.
    pub(crate) fn described(&self, id: Id, version: i16) -> Option<crate::request::Described> {
        let member = self.members.get(&id)?;
        // Kafka: metadata is told in Stable only, assignments always, even those of the generation before.
        let metadata = if self.phase == Phase::Stable { member.metadata(self.protocol) } else { Vec::new() };
        Some(crate::request::Described {
            id,
            instance: member.instance.filter(|_| version >= 4).map(instance_name),
            client_id: format!("m{}", member.slot),
            metadata,
            assignment: member.assignment.clone(),
        })
    }
}
