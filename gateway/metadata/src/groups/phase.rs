//! Phases: how a rebalance begins and ends (Kafka's classic coordinator).
//!
//! Promises: a phase ends in the entry after which every member has joined and nobody is registered, whatever that entry
//! did, except a phase entered from Empty that has members: that one ends by time (design section 8). Where Kafka takes
//! any member of a hash map, the one with the lowest number is taken, so that every gateway takes the same (I-12).

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;

use super::command::{CompletePhase, MemberNumber};
use super::group::{Group, GroupPhase, Member};
use super::outcome::GroupOutcome;
use super::turn::Turn;
use super::{GroupEffect, Groups, Scene};

impl Groups {
    /// A phase ends by time, if it still is the one that was seen (T7).
    pub(super) fn complete_phase(
        &mut self,
        scene: Scene<'_>,
        complete: &CompletePhase,
        effect: &mut GroupEffect,
    ) -> Result<GroupOutcome, GroupOutcome> {
        let group = self.seen(complete.group)?;
        let seen = (group.phase, group.generation, group.last_change);
        if seen != (complete.phase, complete.generation, complete.last_change) {
            return Err(GroupOutcome::Mismatch);
        }
        match group.phase {
            // Nobody can lead: it waits until the session timeouts have removed the static members, as in Kafka.
            GroupPhase::PreparingRebalance if group.joined == 0 && group.has_static_member() => {
                Err(GroupOutcome::Mismatch)
            }
            GroupPhase::PreparingRebalance => {
                let mut turn = self.turn(complete.group, scene, complete.stamp_ms, effect)?;
                turn.expel_absent();
                turn.complete();
                Ok(GroupOutcome::PhaseCompleted)
            }
            GroupPhase::CompletingRebalance => {
                let leader = group.leader.ok_or(GroupOutcome::Mismatch)?;
                let mut turn = self.turn(complete.group, scene, complete.stamp_ms, effect)?;
                turn.remove_member(leader);
                turn.prepare(0, true);
                Ok(GroupOutcome::PhaseCompleted)
            }
            GroupPhase::Empty | GroupPhase::Stable => Err(GroupOutcome::Mismatch),
        }
    }
}

impl Turn<'_> {
    pub(super) fn enter(&mut self, phase: GroupPhase) {
        self.group.phase = phase;
        self.group.phase_began = self.position;
        self.group.phase_began_ms = self.stamp_ms;
        self.announce();
    }

    /// A member joined: a rebalance begins, or the running one may be complete.
    pub(super) fn rebalance_or_complete(&mut self, initial_delay_ms: u32) {
        if self.group.phase == GroupPhase::PreparingRebalance {
            self.complete_if_all_joined();
        } else {
            self.prepare(initial_delay_ms, true);
        }
    }

    /// Somebody went. A rebalance begins, or the running one may be complete now that it waits for one less.
    pub(super) fn rebalance_or_complete_after_removal(&mut self) {
        let may_complete = !self.defects.complete_after_joins_only;
        match self.group.phase {
            GroupPhase::Stable | GroupPhase::CompletingRebalance => self.prepare(0, may_complete),
            GroupPhase::PreparingRebalance if may_complete => self.complete_if_all_joined(),
            GroupPhase::PreparingRebalance | GroupPhase::Empty => {}
        }
    }

    /// Begins a rebalance. From Empty it ends after the delay – with a delay of 0 at once, whoever is registered, as
    /// Kafka's timer of 0 does – otherwise as soon as all have joined.
    pub(super) fn prepare(&mut self, initial_delay_ms: u32, may_complete: bool) {
        let from = self.group.phase;
        if from == GroupPhase::CompletingRebalance {
            self.assign(OrdMap::new());
        }
        self.enter(GroupPhase::PreparingRebalance);
        if from == GroupPhase::Empty {
            self.group.is_initial = initial_delay_ms > 0;
            self.group.initial_delay_ms = initial_delay_ms;
            if initial_delay_ms == 0 {
                self.complete();
            }
        } else if may_complete {
            self.complete_if_all_joined();
        }
    }

    /// Design section 8: an initial phase waits for its delay only while somebody is in it. Time is proposed by the
    /// gateways of members, so one without members would never end.
    pub(super) fn complete_if_all_joined(&mut self) {
        let waits_for_time = self.group.is_initial && !self.group.members.is_empty();
        let running = self.group.phase == GroupPhase::PreparingRebalance && !waits_for_time;
        if running && self.group.has_all_joined() {
            self.complete();
        }
    }

    /// Removes the dynamic members that have not joined; static ones stay (KIP-345).
    fn expel_absent(&mut self) {
        if self.group.joined == self.group.members.len() {
            return;
        }
        let is_absent = |member: &Arc<Member>| member.joined_by.is_none() && member.instance_id.is_none();
        let absent: Vec<_> = self.group.members.values().filter(|m| is_absent(m)).map(|m| m.number).collect();
        for number in absent {
            self.remove_member(number);
        }
    }

    /// The next generation begins with the members there are.
    fn complete(&mut self) {
        self.group.generation = next_generation(self.group.generation);
        self.group.is_initial = false;
        self.group.initial_delay_ms = 0;
        self.membership_changed();
        if self.group.members.is_empty() {
            self.group.protocol = None;
            self.group.leader = None;
            self.enter(GroupPhase::Empty);
            return;
        }
        self.elect();
        self.group.protocol = select_protocol(self.group);
        // T2: the end of the phase counts as activity of those who waited for it; and, as in Kafka, of static members that
        // did not join again: whatever is expected of the generation's members is expected of them from now on.
        let (position, generation) = (self.position, self.group.generation);
        let members: Vec<_> = self.group.members.keys().copied().collect();
        for number in members {
            self.change_member(number, |member| {
                member.generation = generation;
                member.joined_by = None;
                member.watch.last_activity = position;
            });
        }
        self.enter(GroupPhase::CompletingRebalance);
    }

    /// The leader stays if it has joined.
    fn elect(&mut self) {
        let has_joined = |member: &Arc<Member>| member.joined_by.is_some();
        let leader = self.group.leader.and_then(|number| self.group.members.get(&number));
        if !leader.is_some_and(has_joined) {
            let first = self.group.members.values().find(|member| has_joined(member));
            self.group.leader = first.map(|member| member.number).or(self.group.leader);
        }
    }
}

/// Kafka's next generation; after the last number, 1: a group that got there has no member of generation 1 left.
fn next_generation(generation: i32) -> i32 {
    generation.checked_add(1).unwrap_or(1)
}

impl Group {
    fn has_static_member(&self) -> bool {
        !self.instances.is_empty()
    }

    /// Kafka's supportsProtocols: of an empty group any; else the group's type, and a protocol that all members support.
    pub(super) fn supports<'a>(&self, protocol_type: &str, mut names: impl Iterator<Item = &'a str>) -> bool {
        if self.phase == GroupPhase::Empty {
            return !protocol_type.is_empty() && names.next().is_some();
        }
        self.protocol_type.as_deref() == Some(protocol_type) && names.any(|name| self.is_candidate(name))
    }

    fn is_candidate(&self, name: &str) -> bool {
        self.support.get(name).copied().unwrap_or(0) == self.members.len()
    }
}

/// The protocol with the most votes; each member votes for the first of its own that all support. Of several with as
/// many votes, the one that the leader prefers. O(members).
pub(super) fn select_protocol(group: &Group) -> Option<Arc<str>> {
    let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
    for member in group.members.values() {
        let choice = member.protocols.iter().find(|(name, _)| group.is_candidate(name));
        if let Some((name, _)) = choice {
            *votes.entry(name).or_insert(0) += 1;
        }
    }
    let leader: Option<MemberNumber> = group.leader;
    let leader = leader.and_then(|number| group.members.get(&number))?;
    let mut best: Option<(&Arc<str>, usize)> = None;
    for (name, _) in leader.protocols.iter() {
        let count = votes.get(&**name).copied().unwrap_or(0);
        if count > best.map_or(0, |(_, most)| most) {
            best = Some((name, count));
        }
    }
    best.map(|(name, _)| Arc::clone(name))
}
