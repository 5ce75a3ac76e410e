//! What clients wrote, what they were told of it, and what they read; and the judgement of it against the final log.
//!
//! Promises: judges only by what a client may rely on: an acknowledgement, a "did not happen", an order, a value once
//! seen. Never: knows anything of gateways or stores.
//! Called by the clients while the run goes on, and by `finale` at its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sluice_protocol::Uuid;

/// A topic's number and a partition.
pub type Place = (usize, i32);
/// A place's values, by offset from 0.
pub type Log = BTreeMap<Place, Vec<String>>;

/// What a client was told of one sending of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// In the log from this offset on.
    Acked(i64),
    /// Certainly not in the log.
    DidNotHappen,
    /// Perhaps in the log: the answer said so, or there was none.
    Unknown,
}

/// One sending of a batch.
#[derive(Debug, Clone, Copy)]
struct Attempt {
    /// The connection it was sent on, and its place in the order of what was sent on it.
    connection: u64,
    order: u64,
    outcome: Outcome,
}

/// A batch of values that exist once in the world.
#[derive(Debug)]
struct Batch {
    place: Place,
    values: Vec<String>,
    /// The identity of an idempotent producer: its batches for a place have ascending sequences.
    identity: Option<u64>,
    attempts: Vec<Attempt>,
}

#[derive(Default)]
struct Pages {
    batches: Vec<Batch>,
    sendings: u64,
    connections: u64,
    acked_ends: BTreeMap<Place, i64>,
    seen: BTreeMap<(Place, i64), String>,
    topic_ids: BTreeMap<usize, Uuid>,
}

/// The ledger of a run.
#[derive(Default)]
pub struct Ledger(Mutex<Pages>);

impl Ledger {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number for a new connection, or a new identity.
    pub fn next_number(&self) -> u64 {
        let mut pages = self.pages();
        pages.connections += 1;
        pages.connections
    }

    /// A new batch; returns its number.
    pub fn add_batch(&self, place: Place, values: Vec<String>, identity: Option<u64>) -> usize {
        let mut pages = self.pages();
        pages.batches.push(Batch { place, values, identity, attempts: Vec::new() });
        pages.batches.len() - 1
    }

    /// The batch is about to be sent; returns the number of this sending.
    pub fn begin(&self, batch: usize, connection: u64) -> usize {
        let mut pages = self.pages();
        pages.sendings += 1;
        let order = pages.sendings;
        // Until an answer says more.
        pages.batches[batch].attempts.push(Attempt { connection, order, outcome: Outcome::Unknown });
        pages.batches[batch].attempts.len() - 1
    }

    /// What became of it.
    pub fn settle(&self, batch: usize, attempt: usize, outcome: Outcome) {
        let mut pages = self.pages();
        let one = &mut pages.batches[batch];
        one.attempts[attempt].outcome = outcome;
        if let Outcome::Acked(offset) = outcome {
            let (place, end) = (one.place, offset + i64::try_from(one.values.len()).unwrap());
            let known = pages.acked_ends.entry(place).or_default();
            *known = end.max(*known);
        }
    }

    /// One past the last acknowledged offset of each place that has one: what a new connection must find (T5).
    pub fn acked_ends(&self) -> BTreeMap<Place, i64> {
        self.pages().acked_ends.clone()
    }

    /// A reader saw this. An error when another value was seen there before.
    pub fn see(&self, place: Place, offset: i64, value: &str) -> Result<(), String> {
        let mut pages = self.pages();
        let before = pages.seen.entry((place, offset)).or_insert_with(|| value.to_owned());
        if before == value {
            return Ok(());
        }
        Err(format!("{place:?} offset {offset} was {before:?} and is now {value:?}"))
    }

    /// A topic's id, once known.
    pub fn topic_id(&self, topic: usize) -> Option<Uuid> {
        self.pages().topic_ids.get(&topic).copied()
    }

    /// A gateway says that a topic has this id. An error when another one was told before.
    pub fn learn_topic_id(&self, topic: usize, id: Uuid) -> Result<(), String> {
        let mut pages = self.pages();
        let before = *pages.topic_ids.entry(topic).or_insert(id);
        if before == id { Ok(()) } else { Err(format!("topic {topic} had the id {before} and now has {id}")) }
    }

    /// Everything in which the final log breaks a promise.
    pub fn judge(&self, log: &Log) -> Vec<String> {
        let pages = self.pages();
        let found = Found::of(log);
        let mut wrong: Vec<String> = pages.batches.iter().flat_map(|batch| judge_batch(batch, &found)).collect();
        wrong.extend(judge_strangers(&pages.batches, log));
        wrong.extend(judge_identities(&pages.batches, &found));
        wrong.extend(judge_connections(&pages.batches, &found));
        for ((place, offset), value) in &pages.seen {
            let now = log.get(place).and_then(|values| values.get(usize::try_from(*offset).ok()?));
            if now != Some(value) {
                wrong.push(format!("{place:?} offset {offset} was read as {value:?} and is {now:?} in the end"));
            }
        }
        wrong
    }
}

/// Where each value stands.
struct Found<'a>(BTreeMap<&'a str, Vec<(Place, i64)>>);

impl<'a> Found<'a> {
    fn of(log: &'a Log) -> Self {
        let mut found: BTreeMap<&str, Vec<(Place, i64)>> = BTreeMap::new();
        for (place, values) in log {
            for (offset, value) in (0..).zip(values) {
                found.entry(value).or_default().push((*place, offset));
            }
        }
        Self(found)
    }

    fn places(&self, value: &str) -> &[(Place, i64)] {
        self.0.get(value).map_or(&[], Vec::as_slice)
    }

    /// The offsets at which a batch begins.
    fn offsets(&self, batch: &Batch) -> Vec<i64> {
        self.places(&batch.values[0]).iter().map(|(_, offset)| *offset).collect()
    }
}

/// Acked: there, at that offset, whole. Not acked: at most as often as its outcomes allow. "Did not happen": not there.
fn judge_batch(batch: &Batch, found: &Found<'_>) -> Vec<String> {
    let mut wrong = Vec::new();
    let name = &batch.values[0];
    let offsets = found.offsets(batch);
    for (index, value) in (0..).zip(&batch.values) {
        let expected: Vec<_> = offsets.iter().map(|offset| (batch.place, offset + index)).collect();
        if found.places(value) != expected {
            let there = found.places(value);
            wrong.push(format!("{value:?} stands at {there:?}; its batch begins at {offsets:?} of {:?}", batch.place));
        }
    }
    let acked: Vec<i64> = batch
        .attempts
        .iter()
        .filter_map(|a| if let Outcome::Acked(offset) = a.outcome { Some(offset) } else { None })
        .collect();
    for offset in &acked {
        if !offsets.contains(offset) {
            wrong.push(format!("{name:?} was acknowledged at {offset} and stands at {offsets:?}"));
        }
    }
    let unknown = batch.attempts.iter().filter(|a| a.outcome == Outcome::Unknown).count();
    let distinct: BTreeSet<_> = acked.iter().collect();
    let (least, most) = match batch.identity {
        Some(_) => (usize::from(!acked.is_empty()), usize::from(!acked.is_empty() || unknown > 0)),
        None => (acked.len(), acked.len() + unknown),
    };
    if batch.identity.is_none() && distinct.len() < acked.len() {
        wrong.push(format!("{name:?} was acknowledged twice at the same offset: {acked:?}"));
    }
    if offsets.len() < least || offsets.len() > most {
        let told: Vec<_> = batch.attempts.iter().map(|a| a.outcome).collect();
        wrong.push(format!("{name:?} stands {} times, at {offsets:?}; its sender was told {told:?}", offsets.len()));
    }
    wrong
}

/// Nothing is in the log that nobody wrote.
fn judge_strangers(batches: &[Batch], log: &Log) -> Vec<String> {
    let written: BTreeSet<&str> = batches.iter().flat_map(|batch| &batch.values).map(String::as_str).collect();
    let all = log.values().flatten().map(String::as_str);
    all.filter(|value| !written.contains(value)).map(|value| format!("{value:?} was never written")).collect()
}

/// The batches of an idempotent producer stand in the order of their sequences.
fn judge_identities(batches: &[Batch], found: &Found<'_>) -> Vec<String> {
    let mut last: BTreeMap<(u64, Place), (i64, &str)> = BTreeMap::new();
    let mut wrong = Vec::new();
    for batch in batches {
        let (Some(identity), Some(offset)) = (batch.identity, found.offsets(batch).first().copied()) else { continue };
        let before = last.insert((identity, batch.place), (offset, &batch.values[0]));
        if let Some((earlier, name)) = before.filter(|(earlier, _)| *earlier >= offset) {
            wrong.push(format!("{name:?} at {earlier} was before {:?} at {offset} in sequence", batch.values[0]));
        }
    }
    wrong
}

/// What was sent on one connection to one place stands in the order of sending, as far as it is known which sending stands
/// where.
fn judge_connections(batches: &[Batch], found: &Found<'_>) -> Vec<String> {
    /// Offset and name, in the order of sending.
    type Order<'a> = BTreeMap<u64, (i64, &'a str)>;
    let mut sent: BTreeMap<(u64, Place), Order<'_>> = BTreeMap::new();
    for batch in batches.iter().filter(|batch| batch.identity.is_none()) {
        for attempt in &batch.attempts {
            let offset = match (attempt.outcome, found.offsets(batch).as_slice(), batch.attempts.len()) {
                (Outcome::Acked(offset), _, _) => offset,
                (Outcome::Unknown, [only], 1) => *only,
                _ => continue,
            };
            let order = sent.entry((attempt.connection, batch.place)).or_default();
            order.insert(attempt.order, (offset, &batch.values[0]));
        }
    }
    let mut wrong = Vec::new();
    for order in sent.values() {
        for ((earlier, first), (later, second)) in order.values().zip(order.values().skip(1)) {
            if earlier >= later {
                wrong.push(format!("{first:?} at {earlier} was sent before {second:?} at {later}"));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place = (0, 0);

    fn ledger(identity: Option<u64>, told: &[Outcome]) -> Ledger {
        let ledger = Ledger::default();
        let batch = ledger.add_batch(PLACE, vec!["a".into(), "b".into()], identity);
        for outcome in told {
            let attempt = ledger.begin(batch, 1);
            ledger.settle(batch, attempt, *outcome);
        }
        ledger
    }

    fn is_right(ledger: &Ledger, log: &[&str]) -> bool {
        let log = Log::from([(PLACE, log.iter().map(|v| (*v).to_owned()).collect())]);
        ledger.judge(&log).is_empty()
    }

    #[test]
    fn the_judge_knows_right_from_wrong() {
        use Outcome::{Acked, DidNotHappen, Unknown};
        let acked = ledger(None, &[Acked(0)]);
        assert!(is_right(&acked, &["a", "b"]));
        assert!(!is_right(&acked, &[]), "lost");
        assert!(!is_right(&acked, &["a", "b", "a", "b"]), "twice");
        assert!(!is_right(&acked, &["a"]), "torn");
        assert!(!is_right(&acked, &["b", "a"]), "out of order");
        assert!(!is_right(&acked, &["a", "b", "c"]), "a stranger");
        assert!(!is_right(&ledger(None, &[Acked(1)]), &["a", "b"]), "elsewhere");
        assert!(!is_right(&ledger(None, &[DidNotHappen]), &["a", "b"]), "it did happen");
        assert!(is_right(&ledger(None, &[DidNotHappen, Acked(0)]), &["a", "b"]));
        assert!(!is_right(&ledger(None, &[DidNotHappen, Acked(0)]), &["a", "b", "a", "b"]));
        for log in [&[][..], &["a", "b"]] {
            assert!(is_right(&ledger(None, &[Unknown]), log));
            assert!(is_right(&ledger(Some(1), &[Unknown, Unknown]), log));
        }
        assert!(is_right(&ledger(None, &[Unknown, Acked(2)]), &["a", "b", "a", "b"]), "sent twice, there twice");
        assert!(!is_right(&ledger(None, &[Unknown]), &["a", "b", "a", "b"]), "sent once");
        assert!(!is_right(&ledger(Some(1), &[Unknown, Acked(0)]), &["a", "b", "a", "b"]), "idempotent");
    }

    #[test]
    fn the_judge_knows_the_order_of_sending_and_what_was_read() {
        for identity in [None, Some(1)] {
            let ledger = Ledger::default();
            for value in ["a", "b"] {
                let batch = ledger.add_batch(PLACE, vec![value.into()], identity);
                ledger.begin(batch, 1);
            }
            assert!(is_right(&ledger, &["a", "b"]));
            assert!(is_right(&ledger, &["b"]));
            assert!(!is_right(&ledger, &["b", "a"]));
            assert!(ledger.see(PLACE, 0, "b").is_ok());
            assert!(ledger.see(PLACE, 0, "a").is_err());
            assert!(!is_right(&ledger, &["a", "b"]), "offset 0 was read as b");
        }
    }
}
