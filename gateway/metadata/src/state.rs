//! State: everything a gateway knows from the log, and the questions it answers.

use std::fmt;
use std::sync::Arc;

use uuid::Uuid;

use crate::configs::Configs;
use crate::defects::StateDefects;
use crate::gateways::Gateways;
use crate::groups::{GroupEffect, Groups, Scene};
use crate::hash::initial_hash;
use crate::partitions::Partitions;
use crate::producers::ProducerIds;
use crate::topics::Topics;
use crate::{
    Group, GroupCommand, GroupNumber, GroupOutcome, Identity, Incarnation, Judgement, MemberNumber, Partition,
    PartitionKey, Position, Session, SessionId, Topic, limits,
};

/// The replay of the metadata log up to one position.
///
/// A clone is O(1) and shares everything with the original until one of them changes (L10): readers keep a clone as long
/// as they like, and nothing they hold ever changes.
#[derive(Clone)]
pub struct State {
    pub(crate) incarnation: Incarnation,
    pub(crate) known: Position,
    pub(crate) hash: u128,
    pub(crate) feature_level: u16,
    pub(crate) gateways: Gateways,
    pub(crate) topics: Topics,
    pub(crate) configs: Configs,
    pub(crate) partitions: Partitions,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) groups: Groups,
    pub(crate) defects: StateDefects,
    /// A planted defect, to prove that the tests of L1 can fail.
    #[cfg(test)]
    pub(crate) defect: crate::simulation::Defect,
}

impl State {
    /// The State of an empty log: nothing known, feature level [`limits::FEATURE_LEVEL`], producer ids from a base that
    /// the incarnation determines (L8).
    #[must_use]
    pub fn new(incarnation: Incarnation) -> Self {
        Self {
            incarnation,
            known: Position::ZERO,
            hash: initial_hash(incarnation),
            feature_level: limits::FEATURE_LEVEL,
            gateways: Gateways::default(),
            topics: Topics::default(),
            configs: Configs::default(),
            partitions: Partitions::default(),
            producer_ids: ProducerIds::new(incarnation),
            groups: Groups::default(),
            defects: StateDefects::default(),
            #[cfg(test)]
            defect: crate::simulation::Defect::None,
        }
    }

    /// What becomes of an element with this identity at the next position (L1), before its body is read (L4).
    ///
    /// An element without identity is accepted here: whether it may stand is known when it is read (L2).
    #[must_use]
    pub fn judge(&self, identity: Option<Identity>) -> Judgement {
        #[cfg(test)]
        if self.defect.accepts(identity.and_then(|identity| self.session(identity.session))) {
            return Judgement::Accept;
        }
        identity.map_or(Judgement::Accept, |identity| self.gateways.judge(identity))
    }

    /// The position up to which the log is applied.
    #[must_use]
    pub fn known(&self) -> Position {
        self.known
    }

    /// The rolling hash of everything applied, no-ops included (L9).
    #[must_use]
    pub fn hash(&self) -> u128 {
        self.hash
    }

    /// The incarnation of the log (L8).
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// The feature level by which commands are judged (I-12).
    #[must_use]
    pub fn feature_level(&self) -> u16 {
        self.feature_level
    }

    /// An open session.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.gateways.get(id)
    }

    /// The open sessions, ascending by id.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.gateways.iter()
    }

    /// How many sessions are open.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.gateways.len()
    }

    /// The topic of that name.
    #[must_use]
    pub fn topic_by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.by_name.get(name)
    }

    /// The topic of that id.
    #[must_use]
    pub fn topic_by_id(&self, id: Uuid) -> Option<&Arc<Topic>> {
        self.topics.by_id.get(&id)
    }

    /// The topics, in the order of their names.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.by_name.values()
    }

    /// How many topics there are.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.by_id.len()
    }

    /// How many partitions all topics have together.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partitions.by_key.len()
    }

    /// How many extents all partitions have together: the engine throttles Produce by it (design §9).
    #[must_use]
    pub fn extent_count(&self) -> u64 {
        self.partitions.usage.extents
    }

    /// A partition.
    #[must_use]
    pub fn partition(&self, key: &PartitionKey) -> Option<&Arc<Partition>> {
        self.partitions.by_key.get(key)
    }

    /// The partitions, ascending by key.
    pub fn partitions(&self) -> impl Iterator<Item = (&PartitionKey, &Arc<Partition>)> {
        self.partitions.by_key.iter()
    }

    /// The group of that id.
    #[must_use]
    pub fn group(&self, id: &str) -> Option<&Arc<Group>> {
        self.groups.by_id(id)
    }

    /// The group of that number.
    #[must_use]
    pub fn group_by_number(&self, number: GroupNumber) -> Option<&Arc<Group>> {
        self.groups.by_number.get(&number)
    }

    /// The groups, in the order of their ids.
    pub fn groups(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.groups.by_id.values().filter_map(|number| self.groups.by_number.get(number))
    }

    /// How many groups there are.
    #[must_use]
    pub fn group_count(&self) -> usize {
        self.groups.by_number.len()
    }

    /// The members and registered ones that a session watches, or whose Join it holds; ascending, each once. O(log n) and
    /// their number.
    pub fn hosted(&self, session: SessionId) -> impl Iterator<Item = (GroupNumber, MemberNumber)> + use<'_> {
        self.groups.hosted.of(session)
    }

    /// How many members and registered ones a session watches (T1: such a session keeps itself alive).
    #[must_use]
    pub fn hosted_count(&self, session: SessionId) -> usize {
        self.groups.hosted.watched(session)
    }

    /// The answer that `command` would get if it were the next to be applied, sent by `session`. Changes nothing; costs
    /// as much as applying it.
    #[must_use]
    pub fn preview_group(&self, session: SessionId, command: &GroupCommand) -> GroupOutcome {
        let scene = self.scene(self.known.next(), session);
        self.groups.clone().apply(scene, command, &mut GroupEffect::default())
    }

    /// Plants defects: for the tests that must find them, never outside (see [`StateDefects`]).
    pub fn plant(&mut self, defects: StateDefects) {
        self.defects = defects;
    }

    fn scene(&self, position: Position, session: SessionId) -> Scene<'_> {
        let (gateways, topics) = (&self.gateways, &self.topics);
        Scene { position, session, gateways, topics, defects: self.defects }
    }
}

impl fmt::Debug for State {
    /// A summary: State may hold millions of extents.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("incarnation", &format_args!("{}", self.incarnation))
            .field("known", &format_args!("{}", self.known))
            .field("hash", &format_args!("{:032x}", self.hash))
            .field("feature_level", &self.feature_level)
            .field("sessions", &self.session_count())
            .field("topics", &self.topic_count())
            .field("partitions", &self.partition_count())
            .field("extents", &self.extent_count())
            .field("groups", &self.group_count())
            .finish_non_exhaustive()
    }
}
