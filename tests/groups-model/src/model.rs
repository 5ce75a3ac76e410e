//! What Kafka's coordinator of classic groups does, as a function from a state and a request to states and answers.
//!
//! Promises: written from Kafka's documented behaviour and source, knowing nothing of Sluice's state machine, with an
//! initial rebalance delay of 0 and no timeout but [`World::expire`]. Where Kafka's choice is arbitrary (the leader after a
//! leader went, a tie between protocols, the moment of a timer, the order of requests sent together) there is a world per
//! choice; what is observed decides which worlds remain. Never: bytes, names, sockets.
//!
//! Facts that surprise stand beside the code that models them, marked "Kafka:".

use std::collections::{BTreeMap, BTreeSet};

use crate::manner::Manner;
use crate::members::{Due, Leader, Member, Phase, State, Waiting};
use crate::request::{Answer, Body, Group, Id, Request, Ticket, instance_name};

/// Shortest session timeout that the broker allows, in milliseconds.
pub const SESSION_MIN_MS: i32 = 1_000;
/// Longest session timeout that the broker allows, in milliseconds.
pub const SESSION_MAX_MS: i32 = 600_000;
/// Longest metadata of a committed offset, in characters.
pub const METADATA_MAX: usize = 4_096;

pub(crate) const NONE: i16 = 0;
pub(crate) const UNKNOWN_SERVER_ERROR: i16 = -1;
pub(crate) const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
pub(crate) const OFFSET_METADATA_TOO_LARGE: i16 = 12;
pub(crate) const COORDINATOR_NOT_AVAILABLE: i16 = 15;
pub(crate) const ILLEGAL_GENERATION: i16 = 22;
pub(crate) const INCONSISTENT_GROUP_PROTOCOL: i16 = 23;
pub(crate) const INVALID_GROUP_ID: i16 = 24;
pub(crate) const UNKNOWN_MEMBER_ID: i16 = 25;
pub(crate) const INVALID_SESSION_TIMEOUT: i16 = 26;
pub(crate) const REBALANCE_IN_PROGRESS: i16 = 27;
pub(crate) const INVALID_REQUEST: i16 = 42;
pub(crate) const NON_EMPTY_GROUP: i16 = 68;
pub(crate) const GROUP_ID_NOT_FOUND: i16 = 69;
pub(crate) const MEMBER_ID_REQUIRED: i16 = 79;
pub(crate) const FENCED_INSTANCE_ID: i16 = 82;
pub(crate) const GROUP_SUBSCRIBED_TO_TOPIC: i16 = 86;
pub(crate) const UNKNOWN_TOPIC_ID: i16 = 100;

/// One thing that may be the case.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct World {
    pub(crate) manner: Manner,
    pub(crate) groups: BTreeMap<Group, State>,
    /// What was answered since [`World::take_answers`].
    pub(crate) answers: BTreeMap<Ticket, Answer>,
    /// Requests that Kafka never answers: a Join or a Sync that its member sent again, a Sync whose member left.
    /// A broker may answer them, with anything.
    forgotten: BTreeSet<Ticket>,
}

impl World {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(manner: Manner) -> Self {
        Self { manner, ..Self::default() }
    }

    /// The answers given since the last call.
    pub fn take_answers(&mut self) -> BTreeMap<Ticket, Answer> {
        std::mem::take(&mut self.answers)
    }

    /// True when the answer to this request, if any comes, means nothing.
    #[must_use]
    pub fn has_forgotten(&self, ticket: Ticket) -> bool {
        self.forgotten.contains(&ticket)
    }

    /// What a group is in; `None` if there is no such group.
    #[must_use]
    pub fn state(&self, group: Group) -> Option<&State> {
        self.groups.get(&group)
    }

    pub(crate) fn answer(&mut self, ticket: Ticket, answer: Answer) {
        self.answers.insert(ticket, answer);
    }

    fn forget(&mut self, waiting: Option<Waiting>) {
        self.forgotten.extend(waiting.map(|w| w.ticket));
    }

    /// The worlds after one request.
    #[must_use]
    pub fn apply(mut self, ticket: Ticket, request: &Request) -> Vec<World> {
        let version = request.version;
        match &request.body {
            Body::Join { .. } => self.join(ticket, request),
            Body::Sync { .. } => {
                self.sync(ticket, request);
                vec![self]
            }
            Body::Heartbeat { group, generation, id, instance } => {
                let error = self.heartbeat(*group, *generation, *id, *instance);
                self.answer(ticket, Answer::Heartbeat(error));
                vec![self]
            }
            Body::Leave { group, members } => self.leave(ticket, version, *group, members),
            _ => {
                let answer = self.administer(request);
                self.answer(ticket, answer);
                vec![self]
            }
        }
    }

    /// The worlds in which what comes by itself at no certain time may have come or not.
    #[must_use]
    pub fn drift(self) -> Vec<World> {
        let mut worlds = vec![self];
        let groups: Vec<Group> = worlds.iter().flat_map(|w| w.groups.keys().copied()).collect();
        for group in groups {
            let due: Vec<World> = worlds.iter().filter(|w| w.due(group) != Due::Never).cloned().collect();
            worlds.extend(due.into_iter().flat_map(|w| w.complete(group)));
        }
        worlds
    }

    /// The worlds in which a first rebalance, whose delay is 0, is complete.
    #[must_use]
    pub fn settle(self) -> Vec<World> {
        let groups: Vec<Group> = self.groups.keys().copied().collect();
        let mut worlds = vec![self];
        for group in groups {
            worlds = worlds
                .into_iter()
                .flat_map(|w| if w.due(group) == Due::Soon { w.complete(group) } else { vec![w] })
                .collect();
        }
        worlds
    }

    fn due(&self, group: Group) -> Due {
        self.groups.get(&group).map_or(Due::Never, |s| s.due)
    }

    /// The worlds after the session of a member that waits for nothing has run out.
    #[must_use]
    pub fn expire(mut self, group: Group, id: Id) -> Vec<World> {
        let removed = self.groups.get_mut(&group).and_then(|state| state.remove(id));
        if removed.is_some() { self.rebalance_or_complete(group) } else { vec![self] }
    }

    // ---- JoinGroup --------------------------------------------------------------------------------------------------

    fn join(mut self, ticket: Ticket, request: &Request) -> Vec<World> {
        let Body::Join { group, id, instance, session_ms, kind, protocols } = &request.body else { return vec![self] };
        let (group, id, version) = (*group, *id, request.version);
        let early = if group == Group::Nameless {
            Some(INVALID_GROUP_ID)
        } else if !(SESSION_MIN_MS..=SESSION_MAX_MS).contains(session_ms) {
            Some(INVALID_SESSION_TIMEOUT)
        } else if id != Id::Nobody && !self.groups.contains_key(&group) {
            Some(UNKNOWN_MEMBER_ID)
        } else {
            None
        };
        if let Some(error) = early {
            self.answer(ticket, refused(version, error, id));
            return vec![self];
        }
        // Kafka: a Join without an id creates the group even if it is then refused.
        let is_new = !self.groups.contains_key(&group);
        let state = self.groups.entry(group).or_default();
        // Kafka: protocols are judged before membership: an unknown member with wrong ones hears 23.
        if !state.supports(kind, protocols) {
            if is_new && self.manner.refused_joins_make_no_group() {
                self.groups.remove(&group);
            }
            self.answer(ticket, refused(version, INCONSISTENT_GROUP_PROTOCOL, id));
            return vec![self];
        }
        let waiting = Waiting { ticket, version };
        let member = Member {
            slot: request.slot,
            instance: *instance,
            session_ms: *session_ms,
            protocols: protocols.clone(),
            assignment: Vec::new(),
            join: Some(waiting),
            sync: None,
        };
        if id == Id::Nobody {
            return self.join_new(group, waiting, kind, member);
        }
        if state.pending.contains(&id) {
            if instance.is_some() {
                // Kafka: an internal error, because static members are never pending. Nobody depends on that, so another
                // broker may say that the request is wrong.
                let mut other = self.clone();
                self.answer(ticket, refused(version, UNKNOWN_SERVER_ERROR, Id::Nobody));
                other.answer(ticket, refused(version, INVALID_REQUEST, id));
                return vec![self, other];
            }
            return self.add(group, id, kind, member);
        }
        if let Some(error) = state.refusal(id, *instance) {
            self.answer(ticket, refused(version, error, id));
            return vec![self];
        }
        self.join_again(group, id, &member)
    }

    fn join_new(mut self, group: Group, waiting: Waiting, kind: &'static str, member: Member) -> Vec<World> {
        let id = Id::Of(waiting.ticket);
        let state = self.groups.entry(group).or_default();
        if let Some(instance) = member.instance {
            return match state.holder(instance) {
                Some(old) => self.replace(group, old, id, member),
                None => self.add(group, id, kind, member),
            };
        }
        if waiting.version < 4 {
            return self.add(group, id, kind, member);
        }
        state.pending.insert(id);
        self.answer(waiting.ticket, refused(waiting.version, MEMBER_ID_REQUIRED, id));
        vec![self]
    }

    fn add(mut self, group: Group, id: Id, kind: &'static str, member: Member) -> Vec<World> {
        let state = self.groups.entry(group).or_default();
        if state.members.is_empty() {
            state.kind = Some(kind);
        }
        if state.leader == Leader::Nobody {
            state.leader = Leader::Is(id);
        }
        state.members.insert(id, member);
        state.pending.remove(&id);
        self.rebalance_or_complete(group)
    }

    fn join_again(mut self, group: Group, id: Id, again: &Member) -> Vec<World> {
        let Some(waiting) = again.join else { return vec![self] };
        let Some(state) = self.groups.get_mut(&group) else { return vec![self] };
        let same = state.members.get(&id).is_some_and(|m| m.protocols == again.protocols);
        let is_leader = state.leader == Leader::Is(id);
        let at_once = match state.phase {
            Phase::Completing => same,
            Phase::Stable => same && !is_leader,
            Phase::Empty | Phase::Preparing { .. } => false,
        };
        if at_once {
            // Kafka: only in CompletingRebalance can it be the leader, who is told the members again. What else the Join
            // says, the session timeout above all, is not taken over.
            let answer = state.joined(id, waiting.version);
            self.answer(waiting.ticket, answer);
            return vec![self];
        }
        let mut earlier = None;
        if let Some(member) = state.members.get_mut(&id) {
            member.protocols.clone_from(&again.protocols);
            member.session_ms = again.session_ms;
            earlier = member.join.replace(waiting);
        }
        self.forget(earlier);
        self.rebalance_or_complete(group)
    }

    /// A static member's new id takes the place of the old one.
    fn replace(mut self, group: Group, old: Id, id: Id, mut member: Member) -> Vec<World> {
        let Some(state) = self.groups.get_mut(&group) else { return vec![self] };
        let Some(replaced) = state.members.remove(&old) else { return vec![self] };
        let leader = state.leader;
        if leader == Leader::Is(old) {
            state.leader = Leader::Is(id);
        }
        member.assignment.clone_from(&replaced.assignment);
        // Kafka: keeps the client id of the member that was replaced.
        member.slot = replaced.slot;
        // Kafka: until the next heartbeat the session of the member that was replaced runs on.
        member.session_ms = replaced.session_ms;
        state.members.insert(id, member);
        if let Some(join) = replaced.join {
            self.answer(join.ticket, refused(join.version, FENCED_INSTANCE_ID, old));
        }
        if let Some(sync) = replaced.sync {
            self.answer(sync.ticket, synced(sync.version, FENCED_INSTANCE_ID, None, None, Vec::new()));
        }
        match self.groups.get(&group).map(|s| s.phase) {
            Some(Phase::Stable) => self.replace_in_stable(group, id, leader),
            Some(Phase::Completing) => self.prepare(group),
            _ => self.maybe_complete(group),
        }
    }

    /// No rebalance if the protocol stays the same: then the answer is the current generation.
    fn replace_in_stable(self, group: Group, id: Id, leader_before: Leader) -> Vec<World> {
        let Some(state) = self.groups.get(&group) else { return vec![self] };
        let (chosen, current) = (state.electable(), state.protocol);
        let mut worlds = Vec::new();
        for protocol in chosen {
            let mut world = self.clone();
            if Some(protocol) != current {
                worlds.extend(world.prepare(group));
                continue;
            }
            let Some(state) = world.groups.get_mut(&group) else { continue };
            let Some(waiting) = state.members.get_mut(&id).and_then(|m| m.join.take()) else { continue };
            let mut answer = state.joined(id, waiting.version);
            if let Answer::Join { leader, skip, members, .. } = &mut answer {
                if waiting.version >= 9 {
                    *skip = state.leader == Leader::Is(id);
                } else {
                    // Kafka: before version 9 the new leader hears its old id as the leader's, and so does not assign.
                    *leader = leader_before.id();
                    members.clear();
                }
            }
            world.answer(waiting.ticket, answer);
            worlds.push(world);
        }
        worlds
    }

    // ---- rebalances -------------------------------------------------------------------------------------------------

    fn rebalance_or_complete(self, group: Group) -> Vec<World> {
        match self.groups.get(&group).map(|s| s.phase) {
            Some(Phase::Preparing { .. }) => self.maybe_complete(group),
            _ => self.prepare(group),
        }
    }

    fn maybe_complete(mut self, group: Group) -> Vec<World> {
        let may_end = self.manner.phases_without_members_may_end();
        let Some(state) = self.groups.get_mut(&group) else { return vec![self] };
        if may_end && state.members.is_empty() && state.phase == (Phase::Preparing { first: false }) {
            state.due = Due::Sometime;
        }
        if state.phase == (Phase::Preparing { first: false }) && state.have_all_joined() {
            self.complete(group)
        } else {
            vec![self]
        }
    }

    fn prepare(mut self, group: Group) -> Vec<World> {
        let Some(state) = self.groups.get_mut(&group) else { return vec![self] };
        let mut cut_off = Vec::new();
        if state.phase == Phase::Completing {
            // Kafka: assignments of the generation before are lost here, but kept when the rebalance begins in Stable.
            for member in state.members.values_mut() {
                member.assignment.clear();
                cut_off.extend(member.sync.take());
            }
        }
        let first = state.phase == Phase::Empty;
        state.phase = Phase::Preparing { first };
        if first {
            // Kafka: a first rebalance completes by its timer alone, and does not wait for pending members.
            state.due = Due::Soon;
        } else if state.members.is_empty() && !state.pending.is_empty() {
            // Kafka: the rebalance timeout of a group without members is 0, so its timer fires at once.
            state.due = Due::Sometime;
        }
        for sync in cut_off {
            self.answer(sync.ticket, synced(sync.version, REBALANCE_IN_PROGRESS, None, None, Vec::new()));
        }
        if first { vec![self] } else { self.maybe_complete(group) }
    }

    fn complete(mut self, group: Group) -> Vec<World> {
        let Some(mut state) = self.groups.get(&group).cloned() else { return vec![self] };
        if !matches!(state.phase, Phase::Preparing { .. }) {
            return vec![self];
        }
        state.due = Due::Never;
        state.drop_absent();
        if state.members.is_empty() {
            state.generation += 1;
            state.become_empty();
            self.groups.insert(group, state);
            return vec![self];
        }
        let mut worlds = Vec::new();
        for leader in state.electable_leaders() {
            for protocol in state.electable() {
                let (mut world, mut next) = (self.clone(), state.clone());
                next.leader = Leader::Is(leader);
                next.begin_generation(protocol);
                world.answers.extend(next.answer_joins());
                world.groups.insert(group, next);
                worlds.push(world);
            }
        }
        worlds
    }

    // ---- SyncGroup, Heartbeat, LeaveGroup ---------------------------------------------------------------------------

    fn sync(&mut self, ticket: Ticket, request: &Request) {
        let Body::Sync { group, generation, id, instance, kind, protocol, assignments } = &request.body else { return };
        let version = request.version;
        let refuse = |error| synced(version, error, None, None, Vec::new());
        // Kafka: missing names are judged before everything else, the empty group id included.
        if version >= 5 && (kind.is_none() || protocol.is_none()) {
            return self.answer(ticket, refuse(INCONSISTENT_GROUP_PROTOCOL));
        }
        if *group == Group::Nameless {
            return self.answer(ticket, refuse(INVALID_GROUP_ID));
        }
        let Some(state) = self.groups.get_mut(group).filter(|s| s.phase != Phase::Empty) else {
            return self.answer(ticket, refuse(UNKNOWN_MEMBER_ID));
        };
        let differ = |asked: Option<&str>, have: Option<&str>| asked.is_some_and(|a| Some(a) != have);
        let error = if let Some(error) = state.refusal(*id, *instance) {
            error
        } else if *generation != state.generation {
            ILLEGAL_GENERATION
        } else if differ(*kind, state.kind) || differ(*protocol, state.protocol) {
            INCONSISTENT_GROUP_PROTOCOL
        } else if matches!(state.phase, Phase::Preparing { .. }) {
            REBALANCE_IN_PROGRESS
        } else {
            NONE
        };
        let Some(member) = state.members.get_mut(id).filter(|_| error == NONE) else {
            return self.answer(ticket, refuse(error));
        };
        if state.phase == Phase::Stable {
            let answer = synced(version, NONE, state.kind, state.protocol, member.assignment.clone());
            return self.answer(ticket, answer);
        }
        let earlier = member.sync.replace(Waiting { ticket, version });
        // Kafka: what a follower brings is ignored, and so are assignments for those who are no members.
        let answers = if state.leader == Leader::Is(*id) { state.assign(assignments) } else { Vec::new() };
        self.answers.extend(answers);
        self.forget(earlier);
    }

    fn heartbeat(&self, group: Group, generation: i32, id: Id, instance: Option<u8>) -> i16 {
        if group == Group::Nameless {
            return INVALID_GROUP_ID;
        }
        let Some(state) = self.groups.get(&group) else { return UNKNOWN_MEMBER_ID };
        if let Some(error) = state.refusal(id, instance) {
            return error;
        }
        if generation != state.generation {
            return ILLEGAL_GENERATION;
        }
        match state.phase {
            Phase::Empty => UNKNOWN_MEMBER_ID,
            Phase::Preparing { .. } => REBALANCE_IN_PROGRESS,
            // Kafka: no 27 in CompletingRebalance, unlike a commit.
            Phase::Completing | Phase::Stable => NONE,
        }
    }

    fn leave(mut self, ticket: Ticket, version: i16, group: Group, leaving: &[(Id, Option<u8>)]) -> Vec<World> {
        if group == Group::Nameless {
            self.answer(ticket, Answer::Leave { error: INVALID_GROUP_ID, members: Vec::new() });
            return vec![self];
        }
        let mut members = Vec::new();
        for (id, instance) in leaving {
            let error = self.leave_one(group, *id, *instance);
            members.push((*id, instance.map(instance_name), error));
        }
        let any = members.iter().any(|(_, _, error)| *error == NONE);
        let answer = match members.first() {
            Some((_, _, error)) if version < 3 => Answer::Leave { error: *error, members: Vec::new() },
            _ => {
                members.sort();
                Answer::Leave { error: NONE, members }
            }
        };
        self.answer(ticket, answer);
        match self.groups.get(&group).map(|s| s.phase) {
            // Kafka: even when only a pending member left, a live group rebalances.
            Some(Phase::Completing | Phase::Stable) if any => self.prepare(group),
            Some(Phase::Preparing { .. }) if any => self.maybe_complete(group),
            _ => vec![self],
        }
    }

    fn leave_one(&mut self, group: Group, id: Id, instance: Option<u8>) -> i16 {
        let Some(state) = self.groups.get_mut(&group) else { return UNKNOWN_MEMBER_ID };
        let id = if id == Id::Nobody {
            let Some(held) = instance.and_then(|i| state.holder(i)) else { return UNKNOWN_MEMBER_ID };
            held
        } else if state.pending.remove(&id) {
            return NONE;
        } else if let Some(error) = state.refusal(id, instance) {
            return error;
        } else {
            id
        };
        let removed = state.remove(id);
        let (join, sync) = removed.map_or((None, None), |m| (m.join, m.sync));
        if let Some(join) = join {
            self.answer(join.ticket, refused(join.version, UNKNOWN_MEMBER_ID, Id::Nobody));
        }
        // Kafka: its waiting Sync is never answered.
        self.forget(sync);
        NONE
    }
}

/// A Join that was not accepted, or not yet.
pub(crate) fn refused(version: i16, error: i16, id: Id) -> Answer {
    Answer::Join {
        error,
        generation: -1,
        kind: None,
        protocol: (version < 7).then(String::new),
        leader: Id::Nobody,
        skip: false,
        id,
        members: Vec::new(),
    }
}

/// An answered Sync.
pub(crate) fn synced(
    version: i16,
    error: i16,
    kind: Option<&str>,
    protocol: Option<&str>,
    assignment: Vec<u8>,
) -> Answer {
    let named = |name: Option<&str>| name.filter(|_| version >= 5).map(str::to_owned);
    Answer::Sync { error, kind: named(kind), protocol: named(protocol), assignment }
}
