//! A member: it joins, syncs, heartbeats, processes what it owns and commits, and does what Kafka's clients do with errors.
//!
//! Promises: it commits only what its assignment gave it, and never less than it committed before in the same generation.
//! A lively one pauses, is slow to join again, changes its metadata, or leaves. Never: fetches records, so only T4 tells a
//! gateway of a rebalance.
//! Called by `roster`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sluice_protocol::{ErrorCode, KString};
use sluice_runtime::SeededEntropy;
use tokio::time::Instant;

use crate::ledger::{Fate, Place};
use crate::plan::{Spec, between, ms_between, percent};
use crate::requests::{Caller, Lane, assign, read_assignment};
use crate::world::World;

/// A process that is a member.
pub struct Member {
    caller: Caller,
    /// What it tells of itself.
    metadata: u64,
    assigned: Vec<Place>,
    /// The generation in which its positions were read.
    positions_of: Option<i32>,
    positions: BTreeMap<Place, i64>,
    /// When it was last heard of before it began to consume.
    synced: Instant,
    /// Set when it is to leave.
    leaving: Arc<AtomicBool>,
}

/// What a member does next.
enum Next {
    GoOn,
    Rejoin,
    /// It is no member any more, and joins as a new one.
    StartOver,
    /// It has left, or is fenced.
    Gone,
}

/// When a member does what next.
struct Agenda {
    heartbeat: Instant,
    commit: Instant,
    rejoin: Option<Instant>,
}

impl Member {
    pub fn new(world: &Arc<World>, who: String, spec: Spec, entropy: SeededEntropy, leaving: Arc<AtomicBool>) -> Self {
        world.ledger.start(&who, spec.group, spec.instance.clone());
        let caller = Caller::new(world, who, spec, entropy);
        let (assigned, positions, synced) = (Vec::new(), BTreeMap::new(), Instant::now());
        Self { caller, metadata: 0, assigned, positions_of: None, positions, synced, leaving }
    }

    fn world(&self) -> &World {
        &self.caller.world
    }

    fn has_whims(&self) -> bool {
        self.caller.spec.is_lively && !self.world().is_over()
    }

    /// Until it leaves or is fenced.
    pub async fn run(mut self) {
        loop {
            if matches!(self.enter().await, Next::Gone) {
                return;
            }
            match self.consume().await {
                Next::Gone => return,
                Next::StartOver => self.rename(""),
                Next::GoOn | Next::Rejoin => {}
            }
        }
    }

    fn rename(&mut self, member_id: &str) {
        member_id.clone_into(&mut self.caller.member_id);
        self.world().ledger.name(&self.caller.who, member_id);
        // Somebody else may have gone on with what it had.
        self.positions_of = None;
    }

    fn die(&self) -> Next {
        self.caller.note("is fenced");
        self.world().ledger.end(&self.caller.who, Fate::Dead);
        Next::Gone
    }

    async fn back_off(&self) {
        tokio::time::sleep(ms_between(&self.caller.entropy, 20, 200)).await;
    }

    // ---- joining ------------------------------------------------------------------------------------------------

    /// Joins and syncs, until it has an assignment.
    async fn enter(&mut self) -> Next {
        loop {
            self.world().ledger.change(&self.caller.who, |process| process.is_joining = true);
            if self.leaving.load(Ordering::Relaxed) {
                return self.leave().await;
            }
            let Some(joined) = self.caller.join(self.metadata).await else {
                self.back_off().await;
                continue;
            };
            match joined.error_code.as_i16() {
                0 => {}
                79 => {
                    self.rename(joined.member_id.as_str());
                    continue;
                }
                25 => {
                    self.rename("");
                    continue;
                }
                82 => return self.die(),
                _ => {
                    self.caller.hop(Lane::Membership);
                    self.back_off().await;
                    continue;
                }
            }
            if self.caller.member_id != joined.member_id.as_str() {
                self.rename(joined.member_id.as_str());
            }
            self.caller.generation = joined.generation_id;
            self.world().ledger.change(&self.caller.who, |process| process.is_joining = false);
            let leads = joined.leader == joined.member_id && !joined.skip_assignment;
            let members = joined.members.into_iter().map(|member| member.member_id);
            let assignments = if leads { assign(members) } else { Vec::new() };
            match self.sync(assignments).await {
                Next::StartOver => self.rename(""),
                Next::Rejoin => self.back_off().await,
                next => return next,
            }
        }
    }

    async fn sync(&mut self, assignments: Vec<(KString, Vec<Place>)>) -> Next {
        loop {
            self.synced = Instant::now();
            let code = match self.caller.sync(assignments.clone()).await {
                Some(answer) if answer.error_code.is_none() => {
                    self.take_assignment(&answer.assignment);
                    return Next::GoOn;
                }
                Some(answer) => answer.error_code.as_i16(),
                None => 15,
            };
            match code {
                25 => return Next::StartOver,
                82 => return self.die(),
                // Some clients sync again, through another gateway; others join again.
                15 if percent(&self.caller.entropy, 50) => {
                    self.caller.hop(Lane::Membership);
                    self.back_off().await;
                }
                _ => return Next::Rejoin,
            }
        }
    }

    fn take_assignment(&mut self, bytes: &[u8]) {
        let (group, generation) = (self.caller.spec.group, self.caller.generation);
        self.assigned = read_assignment(bytes);
        self.caller.note(format_args!("owns {:?} in generation {generation}", self.assigned));
        if let Err(wrong) = self.world().ledger.assign(group, generation, &self.assigned, &self.caller.owner()) {
            self.caller.violation(wrong);
        }
        self.world().ledger.change(&self.caller.who, |process| process.assigned = Some(generation));
        if self.positions_of != Some(generation) {
            self.positions.clear();
        }
    }

    // ---- processing ---------------------------------------------------------------------------------------------

    async fn consume(&mut self) -> Next {
        let now = Instant::now();
        let spec = self.caller.spec.clone();
        // Some clients begin with a heartbeat, through whatever connection they have.
        let first = if percent(&self.caller.entropy, 40) { now } else { self.synced + spec.heartbeat };
        let mut agenda = Agenda { heartbeat: first, commit: now + spec.commit, rejoin: None };
        loop {
            if self.leaving.load(Ordering::Relaxed) {
                return self.leave().await;
            }
            if self.has_whims() && percent(&self.caller.entropy, 3) {
                match self.follow_whim(&mut agenda).await {
                    Next::GoOn => {}
                    next => return next,
                }
            }
            if self.world().is_over() {
                let soon = Instant::now() + Duration::from_millis(300);
                agenda.rejoin = agenda.rejoin.map(|at| at.min(soon));
            }
            let due = agenda.rejoin.into_iter().fold(agenda.heartbeat.min(agenda.commit), Instant::min);
            tokio::time::sleep_until(due).await;
            let next = if agenda.rejoin.is_some_and(|at| at <= due) {
                self.prepare_to_rejoin().await
            } else if agenda.heartbeat <= due {
                self.heartbeat(&mut agenda).await
            } else {
                agenda.commit = Instant::now() + spec.commit;
                self.process(&mut agenda).await
            };
            match next {
                Next::GoOn => {}
                next => return next,
            }
        }
    }

    async fn follow_whim(&mut self, agenda: &mut Agenda) -> Next {
        match between(&self.caller.entropy, 0, 9) {
            0..4 => {
                let session = u64::try_from(self.caller.spec.session.as_millis()).unwrap();
                let pause = ms_between(&self.caller.entropy, session / 2, session + 5_000);
                self.caller.note(format_args!("pauses for {pause:?}"));
                self.world().journal.count("members that paused");
                self.world().pause(pause).await;
                // A zombie commits before it hears of anything.
                agenda.commit = Instant::now();
                Next::GoOn
            }
            4..6 => {
                self.metadata += 1;
                self.world().journal.count("members that changed their metadata");
                Next::Rejoin
            }
            6 if self.caller.spec.instance.is_none() => self.leave().await,
            _ => Next::GoOn,
        }
    }

    /// Kafka's reaction to an error of Heartbeat or OffsetCommit.
    fn react(&mut self, code: ErrorCode, lane: Lane, agenda: &mut Agenda) -> Next {
        match code.as_i16() {
            27 => {
                if agenda.rejoin.is_none() {
                    // It finishes what it is doing; the slow ones for longer than the others wait.
                    let is_slow = self.has_whims() && percent(&self.caller.entropy, 25);
                    let most = if is_slow { 25_000 } else { 300 };
                    agenda.rejoin = Some(Instant::now() + ms_between(&self.caller.entropy, 0, most));
                }
                Next::GoOn
            }
            22 => Next::Rejoin,
            25 => Next::StartOver,
            82 => self.die(),
            7 | 14 | 15 | 16 => {
                self.caller.hop(lane);
                Next::GoOn
            }
            _ => Next::GoOn,
        }
    }

    async fn heartbeat(&mut self, agenda: &mut Agenda) -> Next {
        let sent = Instant::now();
        let code = self.caller.heartbeat().await;
        let is_heard = code.is_some_and(|code| matches!(code.as_i16(), 0 | 27));
        agenda.heartbeat = if is_heard {
            sent + self.caller.spec.heartbeat
        } else {
            Instant::now() + ms_between(&self.caller.entropy, 20, 200)
        };
        code.map_or(Next::GoOn, |code| self.react(code, Lane::Heartbeats, agenda))
    }

    /// What a listener does when partitions are taken away.
    async fn prepare_to_rejoin(&mut self) -> Next {
        if self.positions_of == Some(self.caller.generation) && percent(&self.caller.entropy, 50) {
            let offsets = self.advance();
            if !offsets.is_empty() {
                self.caller.commit(&offsets, Duration::ZERO).await;
            }
        }
        Next::Rejoin
    }

    /// Reads on in some of its partitions; the new positions.
    fn advance(&mut self) -> BTreeMap<Place, i64> {
        let entropy = &self.caller.entropy;
        let mut moved = BTreeMap::new();
        for (place, position) in &mut self.positions {
            if percent(entropy, 70) {
                *position += i64::try_from(between(entropy, 1, 20)).unwrap();
                moved.insert(*place, *position);
            }
        }
        moved
    }

    async fn process(&mut self, agenda: &mut Agenda) -> Next {
        if self.positions_of != Some(self.caller.generation) {
            let assigned = self.assigned.clone();
            match self.caller.fetch(&assigned).await {
                Some(positions) => {
                    self.positions = positions;
                    self.positions_of = Some(self.caller.generation);
                }
                None => self.caller.hop(Lane::Offsets),
            }
            return Next::GoOn;
        }
        let offsets = self.advance();
        if offsets.is_empty() {
            return Next::GoOn;
        }
        let code = if self.has_whims() && percent(&self.caller.entropy, 3) {
            let pause = ms_between(&self.caller.entropy, 1_000, 15_000);
            self.caller.commit(&offsets, pause).await
        } else if percent(&self.caller.entropy, 15) {
            let further = offsets.iter().map(|(place, offset)| (*place, offset + 1)).collect();
            self.positions.extend(&further);
            self.caller.commit_twice(&offsets, &further).await
        } else {
            self.caller.commit(&offsets, Duration::ZERO).await
        };
        match code {
            Some(code) => self.react(code, Lane::Offsets, agenda),
            None => Next::GoOn,
        }
    }

    async fn leave(&mut self) -> Next {
        self.world().ledger.end(&self.caller.who, Fate::Left);
        self.world().journal.count("members that left");
        if self.caller.member_id.is_empty() {
            return Next::Gone;
        }
        for _ in 0..20 {
            if self.caller.leave().await.is_some_and(|code| matches!(code.as_i16(), 0 | 25 | 82)) {
                break;
            }
            self.caller.hop(Lane::Membership);
            self.back_off().await;
        }
        Next::Gone
    }
}
