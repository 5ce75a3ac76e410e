//! The judgement: the log is replayed once more, and everybody is measured by it.

use std::collections::{BTreeMap, BTreeSet};

use super::Defect;
use super::clients::records_of;
use super::gateway::Element;
use super::world::{Told, World, position_of};
use crate::{Applied, BatchVerdict, Command, Entry, Judgement, Outcome, Position, State, invariants};

type Checked = Result<(), String>;

/// The full replay of a log.
pub(super) struct Truth {
    state: State,
    /// `applied[i]` is what became of `log[i]`, `hashes[i]` the hash before it.
    applied: Vec<Applied>,
    hashes: Vec<u128>,
}

fn ensure(truth: bool, broken: impl FnOnce() -> String) -> Checked {
    if truth { Ok(()) } else { Err(broken()) }
}

/// Applies `log[from..]` from the entries' bytes; bodies of no-ops are not read (L4).
fn replay(log: &[Element], state: &mut State, from: usize, mut each: impl FnMut(&State, Applied)) -> Checked {
    for (index, element) in log.iter().enumerate().skip(from) {
        let entry = match state.judge(element.identity) {
            Judgement::NoOp => None,
            Judgement::Accept => Some(Entry::decode(&element.sealed.bytes).map_err(|error| error.to_string())?),
        };
        let applied = state.apply(position_of(index), element.identity, entry.as_ref());
        each(state, applied.map_err(|error| error.to_string())?);
        if index % 16 == 0 {
            invariants::check(state)?;
        }
    }
    invariants::check(state)
}

impl Truth {
    pub(super) fn of(world: &World, defect: Defect) -> Result<Self, String> {
        let mut state = State::new(world.incarnation);
        state.defect = defect;
        let mut hashes = vec![state.hash()];
        let mut applied = Vec::new();
        replay(&world.log, &mut state, 0, |state, one| {
            applied.push(one);
            hashes.push(state.hash());
        })?;
        Ok(Self { state, applied, hashes })
    }

    /// Every property. `cut` chooses where the snapshot is taken.
    pub(super) fn check(&self, world: &World, cut: usize) -> Checked {
        ensure(world.broken.is_empty(), || world.broken.join("; "))?;
        self.identities_take_effect_once(world)?;
        self.flushes_take_effect_once(world)?;
        self.replicas_agree(world)?;
        self.offsets_are_dense(world)?;
        self.producer_ids_are_unique()?;
        self.producers_are_exactly_once(world)?;
        self.sessions_are_taken_once(world)?;
        self.verdicts_are_true(world)?;
        self.snapshot_and_replay_equal_full_replay(world, cut)
    }

    /// What the log and the clients saw, by name.
    pub(super) fn tally(&self, world: &World) -> BTreeMap<&'static str, usize> {
        let mut tally = world.tally.clone();
        let mut add = |what, count| *tally.entry(what).or_default() += count;
        add("elements", self.applied.len());
        add("no-ops", self.applied.iter().filter(|applied| !applied.accepted).count());
        add("entries denied", world.denied.len());
        for told in world.told.values() {
            match told {
                Told::Success { .. } => add("told success", 1),
                Told::DidNotHappen => add("told did not happen", 1),
                Told::Unknown => add("told unknown", 1),
            }
        }
        for outcome in self.applied.iter().flat_map(|applied| &applied.outcomes) {
            match outcome {
                Outcome::SessionOpened { .. } => add("sessions opened", 1),
                Outcome::SessionClosed { .. } => add("sessions closed", 1),
                Outcome::SessionCloseRefused => add("closes refused", 1),
                Outcome::TopicExists { .. } => add("topics existing", 1),
                _ => {}
            }
        }
        for verdict in self.verdicts(world).flat_map(|(_, verdicts)| verdicts) {
            match verdict {
                BatchVerdict::Accepted { .. } => add("batches accepted", 1),
                BatchVerdict::Duplicate { .. } => add("batches duplicate", 1),
                BatchVerdict::OutOfOrderSequence { .. } => add("batches out of order", 1),
                _ => add("batches refused", 1),
            }
        }
        tally
    }

    fn accepted<'a>(&'a self, world: &'a World) -> impl Iterator<Item = (&'a Applied, &'a Element)> {
        self.applied.iter().zip(&world.log).filter(|(applied, _)| applied.accepted)
    }

    /// L1: at most one copy takes effect; a session's entries in the order of their sequences; a sequence is skipped
    /// only when it was dropped.
    fn identities_take_effect_once(&self, world: &World) -> Checked {
        let mut last = BTreeMap::new();
        for identity in self.accepted(world).filter_map(|(_, element)| element.identity) {
            let before = last.insert(identity.session, identity.sequence).unwrap_or(0);
            ensure(before < identity.sequence, || format!("L1: {identity:?} took effect after {before}"))?;
            let skipped = (before + 1..identity.sequence)
                .find(|sequence| !world.sealed[&crate::Identity { sequence: *sequence, ..identity }]);
            ensure(skipped.is_none(), || format!("L1: {identity:?} overtook {skipped:?}"))?;
        }
        Ok(())
    }

    /// L3: what was sealed again had not happened before.
    fn flushes_take_effect_once(&self, world: &World) -> Checked {
        let mut seen = BTreeSet::new();
        self.accepted(world)
            .filter_map(|(_, element)| element.flush)
            .try_for_each(|flush| ensure(seen.insert(flush), || format!("L3: flush {flush} took effect twice")))
    }

    /// L9, I-12: at every position every replica has the same hash; accepted entries carry a true one.
    fn replicas_agree(&self, world: &World) -> Checked {
        let hash_at = |position: Position| self.hashes.get(usize::try_from(position.index()).unwrap()).copied();
        for (position, hash) in world.gateways.iter().flat_map(|gateway| &gateway.hashes) {
            ensure(hash_at(*position) == Some(*hash), || format!("L9: hashes differ at {position}"))?;
        }
        for (_, element) in self.accepted(world) {
            let entry = &element.sealed.entry;
            ensure(hash_at(entry.known) == Some(entry.hash_at_known), || "L9: an entry's hash differs".to_owned())?;
        }
        Ok(())
    }

    fn verdicts<'a>(
        &'a self,
        world: &'a World,
    ) -> impl Iterator<Item = (&'a crate::CommittedRun, &'a Vec<BatchVerdict>)> {
        self.accepted(world).flat_map(|(applied, element)| {
            let answered = element.sealed.entry.commands.iter().zip(&applied.outcomes);
            answered.flat_map(|(command, outcome)| match (command, outcome) {
                (Command::Produce { runs, .. }, Outcome::Produced(verdicts)) => {
                    runs.iter().zip(verdicts).collect::<Vec<_>>()
                }
                _ => Vec::new(),
            })
        })
    }

    /// I-02: no offset is reused or skipped. I-05: the high watermark is where the offsets end.
    fn offsets_are_dense(&self, world: &World) -> Checked {
        let mut next = BTreeMap::new();
        for (run, verdicts) in self.verdicts(world) {
            let key = crate::PartitionKey { topic_id: run.topic_id, partition: run.partition };
            let next: &mut i64 = next.entry(key).or_default();
            for (batch, verdict) in run.batches.iter().zip(verdicts) {
                if let BatchVerdict::Accepted { base_offset } = verdict {
                    ensure(base_offset == next, || format!("I-02: {base_offset} instead of {next}"))?;
                    *next += i64::from(batch.records);
                }
            }
        }
        self.state.partitions().try_for_each(|(key, partition)| {
            let expected = next.get(key).copied().unwrap_or(0);
            ensure(partition.high_watermark() == expected, || format!("I-05: {key:?} ends before {expected}"))
        })
    }

    fn producer_ids_are_unique(&self) -> Checked {
        let mut end = 0;
        for outcome in self.applied.iter().flat_map(|applied| &applied.outcomes) {
            if let Outcome::ProducerIds { first, count } = outcome {
                ensure(*first >= end, || format!("producer id {first} was given twice"))?;
                end = first + i64::from(*count);
            }
        }
        Ok(())
    }

    /// Each batch of an idempotent producer exactly once and in order, where its client was told.
    fn producers_are_exactly_once(&self, world: &World) -> Checked {
        let mut accepted: BTreeMap<i64, Vec<(i32, i64)>> = BTreeMap::new();
        for (run, verdicts) in self.verdicts(world) {
            for (batch, verdict) in run.batches.iter().zip(verdicts) {
                if let (Some(producer), BatchVerdict::Accepted { base_offset }) = (batch.producer, verdict) {
                    accepted.entry(producer.id).or_default().push((producer.base_sequence, *base_offset));
                }
            }
        }
        for (id, batches) in accepted {
            let told = world.clients.acknowledged(usize::try_from(id).unwrap());
            let mut sequence = 0;
            for (index, (base_sequence, base_offset)) in batches.iter().enumerate() {
                ensure(*base_sequence == sequence, || format!("producer {id}: {base_sequence} for {sequence}"))?;
                sequence += i32::try_from(records_of(index)).unwrap();
                let told = told.get(&index);
                ensure(told.is_none_or(|told| told == base_offset), || format!("batch {index} lies elsewhere"))?;
            }
            let lost = told.keys().find(|index| **index >= batches.len());
            ensure(lost.is_none(), || format!("producer {id}: acknowledged batch {lost:?} is lost"))?;
        }
        Ok(())
    }

    /// L2: a gateway takes the first position of a nonce of its own, never a second, and retires them all.
    fn sessions_are_taken_once(&self, world: &World) -> Checked {
        let mut first = BTreeMap::new();
        for (applied, element) in self.accepted(world) {
            let opened = (element.sealed.entry.commands.first(), applied.outcomes.first());
            if let (Some(Command::OpenSession { nonce, .. }), Some(Outcome::SessionOpened { session })) = opened {
                first.entry(*nonce).or_insert(*session);
            }
        }
        let mut used = BTreeSet::new();
        for taken in world.gateways.iter().flat_map(|gateway| &gateway.taken) {
            let session = taken.session;
            let own = taken.nonces.iter().filter_map(|nonce| first.get(nonce)).min();
            ensure(taken.jumped || own == Some(&session), || format!("L2: {own:?} came before {session}"))?;
            let fresh = taken.nonces.iter().all(|nonce| used.insert(*nonce));
            ensure(fresh, || format!("L2: session {session} was taken with a nonce used before"))?;
        }
        Ok(())
    }

    /// L3: whatever a gateway concluded is what the log says.
    fn verdicts_are_true(&self, world: &World) -> Checked {
        let happened: BTreeSet<_> = self.accepted(world).filter_map(|(_, element)| element.identity).collect();
        let lie = world.denied.iter().find(|identity| happened.contains(identity));
        ensure(lie.is_none(), || format!("L3: {lie:?} did happen"))?;
        let flushed: BTreeSet<_> = self.accepted(world).filter_map(|(_, element)| element.flush).collect();
        for (flush, told) in &world.told {
            match told {
                Told::Unknown => {}
                Told::DidNotHappen => {
                    ensure(!flushed.contains(flush), || format!("L3: flush {flush} did happen"))?;
                }
                Told::Success { position, outcomes } => {
                    let index = usize::try_from(position.index()).unwrap() - 1;
                    let same = self.applied[index].outcomes == *outcomes && self.applied[index].accepted;
                    ensure(same, || format!("L3: flush {flush} has another outcome"))?;
                }
            }
        }
        let silent = (0..world.flushes.len()).find(|flush| !world.told.contains_key(flush));
        ensure(silent.is_none(), || format!("the clients of flush {silent:?} hear nothing"))
    }

    /// L10: full replay = snapshot + replay of the rest, in the hash and in every byte.
    fn snapshot_and_replay_equal_full_replay(&self, world: &World, cut: usize) -> Checked {
        let cut = cut % (world.log.len() + 1);
        let mut before = State::new(world.incarnation);
        before.defect = self.state.defect;
        replay(&world.log[..cut], &mut before, 0, |_, _| {})?;
        let snapshot = before.snapshot(300);
        let mut state = State::restore(&snapshot.manifest, &snapshot.parts).map_err(|error| error.to_string())?;
        state.defect = self.state.defect;
        ensure(state.snapshot(300) == snapshot, || "L10: a restored State has another snapshot".to_owned())?;
        replay(&world.log, &mut state, cut, |_, _| {})?;
        ensure(state.hash() == self.state.hash(), || "L10: hashes differ after a snapshot".to_owned())?;
        ensure(state.snapshot(300) == self.state.snapshot(300), || "L10: States differ".to_owned())
    }
}
