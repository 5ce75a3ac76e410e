//! Scripts from seeds.
//!
//! Promises: the same seed gives the same script; groups live in them: members join, sync, hold generations and rebalance,
//! and now and then somebody does something odd. A dry run against the model, in its first world, tells what makes sense.
#![allow(clippy::indexing_slicing, reason = "slots and choices are this module's own")]

use fastrand::Rng;

use crate::members::{Phase, State};
use crate::model::SESSION_MIN_MS;
use crate::request::{Body, Commit, Group, Id, Partitions, Protocol, Slot, Topic};
use crate::script::{Ask, Assigning, Names, Session, Step, What, When, Who};

const LONG_MS: i32 = 300_000;
const GROUPS: [Group; 2] = [Group::Live(0), Group::Live(1)];

#[derive(Debug, Clone)]
struct Client {
    instance: Option<u8>,
    protocols: Vec<Protocol>,
}

struct Generator {
    rng: Rng,
    session: Session,
    clients: Vec<Client>,
    kinds: [&'static str; 2],
    steps: Vec<Step>,
}

/// The script of a seed, about this many steps long.
#[must_use]
pub fn generate(seed: u64, steps: usize) -> Vec<Step> {
    let mut rng = Rng::with_seed(seed);
    let kinds = [kind(&mut rng), kind(&mut rng)];
    let clients = (0..6).map(|slot| client(&mut rng, slot)).collect();
    let mut generator = Generator { rng, session: Session::default(), clients, kinds, steps: Vec::new() };
    while generator.steps.len() < steps {
        let group = *pick(&mut generator.rng, &GROUPS);
        if generator.chance(1) && generator.state(group).phase == Phase::Stable {
            generator.let_expire(group);
        } else {
            let asks = generator.next();
            generator.take(asks);
        }
    }
    generator.steps
}

fn kind(rng: &mut Rng) -> &'static str {
    if rng.u8(..10) < 7 { "consumer" } else { "connect" }
}

fn client(rng: &mut Rng, slot: Slot) -> Client {
    let is_static = rng.u8(..10) < 4;
    // The last one sometimes takes the name of another: then they fence each other.
    let name = if slot == 3 && rng.bool() { 0 } else { slot };
    Client { instance: is_static.then_some(name), protocols: protocols(rng) }
}

fn protocols(rng: &mut Rng) -> Vec<Protocol> {
    let sets: [&[&'static str]; 6] = [
        &["range"],
        &["range", "roundrobin"],
        &["roundrobin", "range"],
        &["range", "sticky", "roundrobin"],
        &["sticky", "range"],
        &["roundrobin", "sticky", "range"],
    ];
    let topics = *pick(rng, &["A", "A", "AB", "B", "!"]);
    let set = *pick(rng, &sets);
    set.iter().map(|name| (*name, format!("{topics}{}", rng.u8(..3)).into_bytes())).collect()
}

fn pick<'a, T>(rng: &mut Rng, from: &'a [T]) -> &'a T {
    &from[rng.usize(..from.len())]
}

impl Generator {
    /// Appends a step and plays it dry.
    fn take(&mut self, asks: Vec<Ask>) {
        let requests: Vec<_> = asks.iter().map(|ask| self.session.resolve(ask)).collect();
        let mut worlds = self.session.predict(&requests);
        worlds.truncate(1);
        let answers = worlds.first().map(|w| w.answers.clone()).unwrap_or_default();
        self.session.observe(worlds, &answers);
        self.steps.push(Step::Ask(asks));
    }

    /// A member joins again with the shortest session, all others too, and it falls silent.
    fn let_expire(&mut self, group: Group) {
        let state = self.state(group);
        let is_in =
            |generator: &Self, slot: &Slot| state.members.contains_key(&generator.session.view(*slot, group).id);
        let mut slots = Self::slots(group);
        slots.retain(|slot| is_in(self, slot));
        let Some(silent) = slots.first().copied() else { return };
        self.clients[usize::from(silent)].protocols = protocols(&mut self.rng);
        let mut ask = self.join(group, silent);
        if let What::Join { session_ms, .. } = &mut ask.what {
            *session_ms = SESSION_MIN_MS;
        }
        self.take(vec![ask]);
        if slots.len() > 1 {
            let others = slots.iter().skip(1).map(|slot| self.join(group, *slot)).collect();
            self.take(others);
        }
        let syncs = slots.iter().map(|slot| self.sync(group, *slot)).collect();
        self.take(syncs);
        if let Some(mut after) = self.session.expired(group, silent) {
            after.truncate(1);
            let answers = after.first().map(|w| w.answers.clone()).unwrap_or_default();
            self.session.observe(after, &answers);
        }
        self.steps.push(Step::Expire(group, silent));
    }

    fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    fn state(&self, group: Group) -> State {
        self.session.worlds.first().and_then(|w| w.state(group)).cloned().unwrap_or_default()
    }

    fn next(&mut self) -> Vec<Ask> {
        let group = if self.chance(70) { GROUPS[0] } else { GROUPS[1] };
        match self.rng.u8(..100) {
            0..15 => vec![self.odd(group)],
            15..25 => vec![self.look(group)],
            _ => self.live(group),
        }
    }

    fn slots(group: Group) -> Vec<Slot> {
        if group == GROUPS[0] { vec![0, 1, 2, 3] } else { vec![3, 4, 5] }
    }

    /// What clients do that mean well.
    fn live(&mut self, group: Group) -> Vec<Ask> {
        let state = self.state(group);
        let slots = Self::slots(group);
        match state.phase {
            Phase::Empty => self.begin(group, &slots),
            Phase::Preparing { .. } => self.rejoin(group, &slots, &state),
            Phase::Completing => self.complete(group, &slots, &state),
            Phase::Stable => self.rest(group, &slots, &state),
        }
    }

    fn begin(&mut self, group: Group, slots: &[Slot]) -> Vec<Ask> {
        if self.chance(10) {
            let slot = *pick(&mut self.rng, slots);
            return vec![self.commit(group, slot, Who::Exactly(Id::Nobody), When::Outside)];
        }
        if self.chance(30) {
            return slots.iter().take(3).map(|slot| self.join(group, *slot)).collect();
        }
        let slot = *pick(&mut self.rng, slots);
        vec![self.join(group, slot)]
    }

    fn rejoin(&mut self, group: Group, slots: &[Slot], state: &State) -> Vec<Ask> {
        let mut absent = Vec::new();
        let mut outside = Vec::new();
        for slot in slots {
            let id = self.session.view(*slot, group).id;
            match state.members.get(&id) {
                Some(member) if member.join.is_none() => absent.push(*slot),
                None if state.pending.contains(&id) => absent.push(*slot),
                None => outside.push(*slot),
                Some(_) => {}
            }
        }
        if absent.is_empty() {
            // Nobody answers for the rest: somebody takes them out.
            let known = |id: &Id| slots.iter().any(|slot| self.session.view(*slot, group).id == *id);
            let mut orphans: Vec<Id> =
                state.members.iter().filter(|(_, m)| m.join.is_none()).map(|(id, _)| *id).collect();
            orphans.extend(state.pending.iter().copied());
            orphans.retain(|id| !known(id));
            if let Some(orphan) = orphans.first() {
                let what = What::Leave { members: vec![(Who::Exactly(*orphan), None)] };
                return vec![Ask { slot: slots[0], version: 3, group, what }];
            }
        }
        if self.chance(8) && !outside.is_empty() {
            let slot = *pick(&mut self.rng, &outside);
            return vec![self.join(group, slot)];
        }
        if absent.is_empty() || self.chance(15) {
            return self.chat(group, slots);
        }
        if self.chance(40) {
            return absent.iter().take(3).map(|slot| self.join(group, *slot)).collect();
        }
        let slot = *pick(&mut self.rng, &absent);
        vec![self.join(group, slot)]
    }

    fn complete(&mut self, group: Group, slots: &[Slot], state: &State) -> Vec<Ask> {
        let mut unsynced = Vec::new();
        for slot in slots {
            let id = self.session.view(*slot, group).id;
            if state.members.get(&id).is_some_and(|m| m.sync.is_none()) {
                unsynced.push(*slot);
            }
        }
        if unsynced.is_empty() || self.chance(20) {
            return if self.chance(20) { self.change(group, slots) } else { self.chat(group, slots) };
        }
        if self.chance(40) {
            return unsynced.iter().take(3).map(|slot| self.sync(group, *slot)).collect();
        }
        let slot = *pick(&mut self.rng, &unsynced);
        vec![self.sync(group, slot)]
    }

    fn rest(&mut self, group: Group, slots: &[Slot], state: &State) -> Vec<Ask> {
        match self.rng.u8(..100) {
            0..40 => self.chat(group, slots),
            40..70 => self.change(group, slots),
            70..80 => {
                let missing: Vec<Slot> = slots
                    .iter()
                    .copied()
                    .filter(|s| !state.members.contains_key(&self.session.view(*s, group).id))
                    .collect();
                let slot = if missing.is_empty() { slots[0] } else { *pick(&mut self.rng, &missing) };
                vec![self.join(group, slot)]
            }
            80..90 => {
                let slot = *pick(&mut self.rng, slots);
                vec![self.sync(group, slot)]
            }
            _ => vec![self.look(group)],
        }
    }

    /// Heartbeats and commits.
    fn chat(&mut self, group: Group, slots: &[Slot]) -> Vec<Ask> {
        let slot = *pick(&mut self.rng, slots);
        if self.chance(60) {
            vec![self.commit(group, slot, Who::Own, When::Current)]
        } else {
            let instance = self.clients[usize::from(slot)].instance;
            let version = self.rng.i16(0..=4);
            vec![Ask { slot, version, group, what: What::Heartbeat { who: Who::Own, when: When::Current, instance } }]
        }
    }

    /// Somebody joins again, with the same or another offer, restarts, or leaves.
    fn change(&mut self, group: Group, slots: &[Slot]) -> Vec<Ask> {
        let slot = *pick(&mut self.rng, slots);
        match self.rng.u8(..10) {
            0..3 => vec![self.join(group, slot)],
            3..5 => {
                self.clients[usize::from(slot)].protocols = protocols(&mut self.rng);
                vec![self.join(group, slot)]
            }
            5..7 => {
                let mut ask = self.join(group, slot);
                if let What::Join { who, .. } = &mut ask.what {
                    *who = Who::Exactly(Id::Nobody);
                }
                vec![ask]
            }
            _ => {
                let instance = self.clients[usize::from(slot)].instance;
                let version = self.rng.i16(0..=5);
                let by_name = instance.is_some() && self.rng.bool();
                let who = if by_name { Who::Exactly(Id::Nobody) } else { Who::Own };
                let mut members = vec![(who, instance.filter(|_| by_name || self.rng.bool()))];
                if version >= 3 && self.chance(30) {
                    members.push((Who::Other(*pick(&mut self.rng, slots)), None));
                }
                vec![Ask { slot, version, group, what: What::Leave { members } }]
            }
        }
    }

    fn join(&mut self, group: Group, slot: Slot) -> Ask {
        let client = self.clients[usize::from(slot)].clone();
        let first = if client.instance.is_some() { 5 } else { 0 };
        let version = if self.chance(70) { self.rng.i16(5..=9) } else { self.rng.i16(first..=9) };
        let kind = if group == GROUPS[0] { self.kinds[0] } else { self.kinds[1] };
        let Client { instance, protocols } = client;
        let what = What::Join { who: Who::Own, instance, session_ms: LONG_MS, kind, protocols };
        Ask { slot, version, group, what }
    }

    fn sync(&mut self, group: Group, slot: Slot) -> Ask {
        let instance = self.clients[usize::from(slot)].instance;
        let assigning = *pick(
            &mut self.rng,
            &[Assigning::ToAll, Assigning::ToAll, Assigning::ToAllButOne, Assigning::ToStrangersToo],
        );
        let version = self.rng.i16(0..=5);
        let what = What::Sync { who: Who::Own, when: When::Current, instance, names: Names::Right, assigning };
        Ask { slot, version, group, what }
    }

    fn commit(&mut self, group: Group, slot: Slot, who: Who, when: When) -> Ask {
        let instance = if who == Who::Own { self.clients[usize::from(slot)].instance } else { None };
        let commits = self.commits();
        let version = self.rng.i16(2..=10);
        Ask { slot, version, group, what: What::Commit { who, when, instance, commits } }
    }

    fn commits(&mut self) -> Vec<Commit> {
        let long = "x".repeat(4_097);
        let mut commits: Vec<Commit> = Vec::new();
        // The first one is always good: a commit of which nothing is stored may or may not create a group.
        for at in 0..self.rng.usize(1..4) {
            let topic = if at == 0 { Topic::A } else { *pick(&mut self.rng, &[Topic::A, Topic::B, Topic::Unknown]) };
            let partition = if at == 0 { self.rng.i32(0..3) } else { self.rng.i32(0..4) };
            if commits.iter().any(|c| (c.topic, c.partition) == (topic, partition)) {
                continue;
            }
            let offset = if self.chance(5) { -self.rng.i64(1..10) } else { self.rng.i64(0..1_000_000) };
            let epoch = if self.chance(50) { -1 } else { self.rng.i32(0..9) };
            let metadata = match self.rng.u8(..10) {
                0..4 => Some(String::new()),
                4 => None,
                5 if at > 0 => Some(long.clone()),
                6 => Some("ü".repeat(4_096)),
                _ => Some(format!("note {}", self.rng.u8(..))),
            };
            commits.push(Commit { topic, partition, offset, epoch, metadata });
        }
        commits
    }

    /// Somebody looks at groups or offsets.
    fn look(&mut self, group: Group) -> Ask {
        let slot = self.rng.u8(..6);
        let (version, body) = match self.rng.u8(..10) {
            0..4 => (self.rng.i16(0..=6), Body::Describe { groups: self.groups(group) }),
            4..8 => self.fetch(group),
            8 => {
                let states =
                    *pick(&mut self.rng, &[&[][..], &["Stable"], &["EMPTY", " stable "], &["Nonsense"], &["Dead"]]);
                let types =
                    *pick(&mut self.rng, &[&[][..], &[], &["classic"], &["Classic", "consumer"], &["consumer"]]);
                let version = self.rng.i16(0..=5);
                let states = if version >= 4 { states.to_vec() } else { Vec::new() };
                let types = if version >= 5 { types.to_vec() } else { Vec::new() };
                (version, Body::List { states, types })
            }
            _ => (0, Body::DeleteOffsets { group, partitions: self.partitions() }),
        };
        Ask { slot, version, group, what: What::Plain(body) }
    }

    fn groups(&mut self, group: Group) -> Vec<Group> {
        let mut groups = vec![group];
        if self.chance(30) {
            groups.push(*pick(&mut self.rng, &[Group::Missing, Group::Nameless, Group::Live(2)]));
        }
        groups
    }

    fn fetch(&mut self, group: Group) -> (i16, Body) {
        let version = self.rng.i16(1..=10);
        let stable = version >= 7 && self.rng.bool();
        let mut asked: Vec<Group> = self.groups(group);
        if version < 8 {
            asked.truncate(1);
        }
        let mut groups = Vec::new();
        for group in asked {
            let all = version >= 2 && self.chance(40);
            let partitions = if all { None } else { Some(self.partitions()) };
            groups.push((group, partitions));
        }
        (version, Body::Fetch { groups, stable })
    }

    fn partitions(&mut self) -> Partitions {
        let mut topics = Vec::new();
        for topic in [Topic::A, Topic::B, Topic::Unknown] {
            let likely = if topic == Topic::Unknown { 10 } else { 60 };
            if self.chance(likely) {
                let count = self.rng.i32(1..=4);
                topics.push((topic, (0..count).collect()));
            }
        }
        topics
    }

    /// Any request at all.
    fn odd(&mut self, group: Group) -> Ask {
        let slot = self.rng.u8(..6);
        let group = if self.chance(12) { *pick(&mut self.rng, &[Group::Missing, Group::Nameless]) } else { group };
        let own = self.clients[usize::from(slot)].instance;
        let instance = *pick(&mut self.rng, &[own, own, own, None, Some(0), Some(9)]);
        let who = self.anybody();
        let when = *pick(&mut self.rng, &[When::Current, When::Current, When::Older, When::Newer, When::Outside]);
        match self.rng.u8(..12) {
            0..3 => self.odd_join(group, slot, who, instance),
            3..5 => {
                let names = [Names::Right, Names::WrongKind, Names::WrongProtocol, Names::NoKind, Names::NoProtocol];
                let names = *pick(&mut self.rng, &names);
                let assigning =
                    *pick(&mut self.rng, &[Assigning::ToAll, Assigning::ToNobody, Assigning::ToStrangersToo]);
                let version = self.rng.i16(0..=5);
                Ask { slot, version, group, what: What::Sync { who, when, instance, names, assigning } }
            }
            5 | 6 => {
                let version = self.rng.i16(0..=4);
                Ask { slot, version, group, what: What::Heartbeat { who, when, instance } }
            }
            7 => {
                let version = self.rng.i16(0..=5);
                let mut members = vec![(who, instance)];
                if version >= 3 && self.rng.bool() {
                    members.push((self.anybody(), None));
                }
                Ask { slot, version, group, what: What::Leave { members } }
            }
            8..11 => {
                // The empty name would outlive the script.
                let group = if group == Group::Nameless { GROUPS[0] } else { group };
                let mut ask = self.commit(group, slot, who, when);
                if let What::Commit { instance: named, .. } = &mut ask.what {
                    *named = instance;
                }
                ask
            }
            _ => {
                let groups = self.groups(group);
                let version = self.rng.i16(0..=2);
                Ask { slot, version, group, what: What::Plain(Body::Delete { groups }) }
            }
        }
    }

    fn anybody(&mut self) -> Who {
        let other = Who::Other(self.rng.u8(..6));
        *pick(
            &mut self.rng,
            &[Who::Own, Who::Own, other, Who::Former, Who::Exactly(Id::Nobody), Who::Exactly(Id::Bogus)],
        )
    }

    fn odd_join(&mut self, group: Group, slot: Slot, who: Who, instance: Option<u8>) -> Ask {
        let pending = self.state(group).pending;
        let waiting = (0..6).find(|slot| pending.contains(&self.session.view(*slot, group).id));
        if let Some(slot) = waiting.filter(|_| self.rng.u8(..4) == 0) {
            // A dynamic member that has its id and joins with an instance id.
            let mut ask = self.join(group, slot);
            ask.version = self.rng.i16(5..=9);
            if let What::Join { instance, .. } = &mut ask.what {
                *instance = Some(9);
            }
            return ask;
        }
        let session_ms = *pick(&mut self.rng, &[LONG_MS, LONG_MS, LONG_MS, LONG_MS, 0, 999, 600_001, i32::MAX, -1]);
        let kind = *pick(&mut self.rng, &["consumer", "consumer", "connect", ""]);
        let protocols = match self.rng.u8(..4) {
            0 => Vec::new(),
            1 => vec![("other", b"A".to_vec())],
            _ => protocols(&mut self.rng),
        };
        let version = self.rng.i16(0..=9);
        Ask { slot, version, group, what: What::Join { who, instance, session_ms, kind, protocols } }
    }
}
