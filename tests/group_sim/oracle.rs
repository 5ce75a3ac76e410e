//! What really is: the log, replayed as it grows, with the time of every effect; and the judgement of each of them.
//!
//! Promises: judges what took effect by what members did (`ledger`) and by time, not by the rules by which apply decides:
//! a member goes only for a reason, a generation ends only for a reason, an offset is committed by its owner and never
//! goes back. What gateways answer is compared with it (T5, T6). Every writer's State is compared with it (L9, I-12).
//! Never: is asked by a gateway.
//! Called by the log when something took effect, by members for each answer, by `finale`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_embedded::MemoryLog;
use sluice_metadata::{
    Entry, Group, GroupPhase, Identity, Incarnation, Judgement, Position, SessionId, State, StateDefects, invariants,
};
use sluice_store::{
    Appended, BodyRef, Consistency, Element, LogCapabilities, LogPosition, MetadataLog, Payload, Sealed, Staged,
    StoreResult, TailRead,
};
use tokio::time::Instant;

use crate::journal::Journal;
use crate::judgement::judge_entry;
use crate::ledger::{Ledger, Place};
use crate::world::group_name;

/// How old a State may be from which "all is well" is answered (T6).
const FRESH: Duration = Duration::from_secs(2);

/// The oracle of a run.
pub struct Oracle {
    pub journal: Arc<Journal>,
    pub log: Arc<MemoryLog>,
    pub ledger: Arc<Ledger>,
    turn: tokio::sync::Mutex<()>,
    truth: Mutex<Truth>,
}

/// What is.
pub struct Truth {
    pub state: State,
    hashes: BTreeMap<Position, u128>,
    /// When each entry took effect.
    pub times: BTreeMap<Position, Instant>,
    /// The last commit of each place: its offset and its id.
    pub stored: BTreeMap<(usize, Place), (i64, String)>,
    /// Which commits took effect.
    pub applied: BTreeSet<(String, Place)>,
    pub histories: BTreeMap<String, History>,
}

/// The past of a group.
#[derive(Clone)]
pub struct History {
    pub phase: GroupPhase,
    pub generation: i32,
    pub phase_since: Instant,
    /// When the current generation got its members.
    pub generation_since: Instant,
    /// When each generation began to end.
    pub ended: BTreeMap<i32, Instant>,
}

/// Who a request spoke for.
#[derive(Debug, Clone)]
pub struct Claim {
    pub group: usize,
    pub member_id: String,
    pub generation: i32,
}

impl std::fmt::Debug for Oracle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Oracle")
    }
}

impl Oracle {
    pub fn new(journal: &Arc<Journal>, log: Arc<MemoryLog>, ledger: Arc<Ledger>, defects: StateDefects) -> Arc<Self> {
        let mut state = State::new(Incarnation(log.incarnation().0));
        // A defect of apply is to be found by what it does, not because another build computes something else.
        state.plant(defects);
        let truth = Truth {
            hashes: BTreeMap::from([(state.known(), state.hash())]),
            state,
            times: BTreeMap::new(),
            stored: BTreeMap::new(),
            applied: BTreeSet::new(),
            histories: BTreeMap::new(),
        };
        Arc::new(Self {
            journal: journal.clone(),
            log,
            ledger,
            turn: tokio::sync::Mutex::default(),
            truth: Mutex::new(truth),
        })
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn violation(&self, what: impl std::fmt::Display) {
        self.journal.violation("oracle", what);
    }

    /// Takes in what took effect.
    pub async fn catch_up(&self) {
        let _turn = self.turn.lock().await;
        loop {
            let known = LogPosition(self.truth().state.known().raw());
            let Ok(TailRead::Tail(tail)) = self.log.read(known, Consistency::Strong).await else {
                return self.violation("the log cannot be read");
            };
            if tail.elements.is_empty() {
                return;
            }
            for element in tail.elements {
                if let Err(wrong) = self.take(element).await {
                    return self.violation(wrong);
                }
            }
        }
    }

    async fn take(&self, element: Element) -> Result<(), String> {
        let session = SessionId(Position::from_raw(element.session));
        let identity = (element.session != 0).then_some(Identity { session, sequence: element.sequence });
        let mut entry = None;
        let is_accepted = self.truth().state.judge(identity) == Judgement::Accept;
        if is_accepted {
            let bytes = match &element.payload {
                Payload::Inline(bytes) => bytes.clone(),
                Payload::Body(body) => self.log.read_body(body).await.map_err(|error| error.to_string())?,
            };
            entry = Some(Entry::decode(&bytes).map_err(|error| error.to_string())?);
        } else {
            self.journal.count("log elements that are copies or zombies");
        }
        let mut truth = self.truth();
        let position = truth.state.known().next();
        if let Some(Entry { known, hash_at_known, .. }) = &entry
            && truth.hashes.get(known) != Some(hash_at_known)
        {
            return Err(format!("L9: the writer of {position} had another State at {known}"));
        }
        let before = truth.state.clone();
        let applied = truth.state.apply(position, identity, entry.as_ref()).map_err(|error| error.to_string())?;
        let hash = truth.state.hash();
        truth.hashes.insert(position, hash);
        truth.times.insert(position, Instant::now());
        if let Some(entry) = &entry {
            judge_entry(self, &mut truth, &before, entry, &applied.outcomes);
            self.remember(&mut truth, &before);
        }
        Ok(())
    }

    fn remember(&self, truth: &mut Truth, before: &State) {
        let groups: Vec<Arc<Group>> = truth.state.groups().cloned().collect();
        let now = Instant::now();
        for group in groups {
            if before.group(&group.id).is_some_and(|old| Arc::ptr_eq(old, &group)) {
                continue;
            }
            let fresh = History {
                phase: GroupPhase::Empty,
                generation: 0,
                phase_since: now,
                generation_since: now,
                ended: BTreeMap::new(),
            };
            let history = truth.histories.entry(group.id.to_string()).or_insert(fresh);
            if (history.phase, history.generation) == (group.phase, group.generation) {
                continue;
            }
            let was_running = matches!(history.phase, GroupPhase::Stable | GroupPhase::CompletingRebalance);
            if was_running && (group.phase == GroupPhase::PreparingRebalance || group.generation != history.generation)
            {
                history.ended.entry(history.generation).or_insert(now);
            }
            if group.generation != history.generation {
                history.generation_since = now;
                self.journal.count("generations");
            }
            (history.phase, history.generation, history.phase_since) = (group.phase, group.generation, now);
            let what = format!(
                "{} is {:?} in generation {}, {} of {} members joined",
                group.id,
                group.phase,
                group.generation,
                group.joined,
                group.members.len()
            );
            self.journal.note("oracle", what);
        }
    }

    // ---- what is asked ------------------------------------------------------------------------------------------

    pub fn group(&self, group: usize) -> Option<Arc<Group>> {
        self.truth().state.group(&group_name(group)).cloned()
    }

    /// The gateway that watches a member.
    pub fn watcher(&self, claim: &Claim) -> Option<String> {
        let truth = self.truth();
        let group = truth.state.group(&group_name(claim.group))?;
        let session = group.member_by_id(&claim.member_id)?.watch.session;
        Some(truth.state.session(session)?.name.to_string())
    }

    pub fn history(&self, group: usize) -> Option<History> {
        self.truth().histories.get(&group_name(group)).cloned()
    }

    /// The offset that is stored; −1 for none.
    pub fn stored(&self, group: usize, place: Place) -> i64 {
        self.truth().stored.get(&(group, place)).map_or(-1, |(offset, _)| *offset)
    }

    pub fn was_applied(&self, id: &str, place: Place) -> bool {
        self.truth().applied.contains(&(id.to_owned(), place))
    }

    pub fn check_invariants(&self) {
        if let Err(wrong) = invariants::check(&self.truth().state) {
            self.violation(format_args!("{wrong:?}"));
        }
    }

    /// Counts the groups that should not notice.
    pub fn note_kill(&self) {
        let stable = self.truth().state.groups().filter(|group| group.phase == GroupPhase::Stable).count();
        self.journal.count_many("stable groups at a kill", stable as u64);
    }

    // ---- answers ------------------------------------------------------------------------------------------------

    /// T5: an error that says what the group is, told by a request sent at `sent`.
    pub fn judge_error(&self, who: &str, what: &str, code: i16, claim: &Claim, sent: Instant) {
        self.journal.count(match code {
            22 => "answers 22 (illegal generation)",
            25 => "answers 25 (unknown member)",
            27 => "answers 27 (rebalance in progress)",
            82 => "answers 82 (fenced instance)",
            14 | 15 => "answers 14 and 15 (try again)",
            7 => "answers 7 (outcome unknown)",
            79 => "answers 79 (member id required)",
            _ => "other errors",
        });
        let group = self.group(claim.group);
        let is_there = group.as_ref().is_some_and(|group| {
            group.member_by_id(&claim.member_id).is_some() || group.registered_by_id(&claim.member_id).is_some()
        });
        let is_current = is_there && group.as_ref().is_some_and(|group| group.generation == claim.generation);
        let stable_since = self.history(claim.group).filter(|h| h.phase == GroupPhase::Stable).map(|h| h.phase_since);
        match code {
            25 if is_there => {
                self.tell(who, format_args!("T5: {what} of {} is told 25, and it is a member", claim.member_id))
            }
            22 if is_current => {
                self.tell(who, format_args!("T5: {what} is told 22 in generation {}", claim.generation))
            }
            27 if is_current && stable_since.is_some_and(|since| since < sent) => {
                self.tell(who, format_args!("T5: {what} is told 27 in a stable generation {}", claim.generation));
            }
            82 if !self.ledger.has_twin(who) => {
                self.tell(who, format_args!("{what} is told 82, and nobody else has its instance id"));
            }
            _ => {}
        }
    }

    fn tell(&self, who: &str, what: std::fmt::Arguments<'_>) {
        self.journal.violation(who, what);
    }

    /// T6: a Heartbeat or Sync was answered with "all is well".
    pub fn judge_calm(&self, who: &str, what: &str, claim: &Claim, sent: Instant) {
        let ended = self.history(claim.group).and_then(|history| history.ended.get(&claim.generation).copied());
        if let Some(ended) = ended
            && ended + FRESH < sent
        {
            let late = (sent - ended).as_secs_f64();
            self.journal.violation(who, format_args!("T6: {what} hears nothing of a rebalance {late} s before"));
        }
    }
}

/// The log as it is, watched by the oracle.
#[derive(Debug)]
pub struct WatchedLog {
    pub inner: Arc<MemoryLog>,
    pub oracle: Arc<Oracle>,
}

#[async_trait]
impl MetadataLog for WatchedLog {
    fn incarnation(&self) -> sluice_store::Incarnation {
        self.inner.incarnation()
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        self.inner.stage(entry).await
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        let answer = self.inner.append(entries, known).await;
        self.oracle.catch_up().await;
        answer
    }

    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
        self.inner.read(known, consistency).await
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        self.inner.read_body(body).await
    }

    fn capabilities(&self) -> LogCapabilities {
        self.inner.capabilities()
    }
}
