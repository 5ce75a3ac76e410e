//! The watch: one task that judges time for groups and sessions (T2), and what requests tell it.
//!
//! Promises: it proposes what its timers say and nothing else; a proposal that meets another State is dropped and its timer
//! begins anew. While there is nothing to watch it does nothing but look at the clock.
//! Never: waits for one proposal before it looks at the next timer; is asked for anything by a request (requests only tell).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use sluice_metadata::{Command, GroupNumber, GroupOutcome, MemberNumber, Outcome};
use sluice_runtime::{BEAT, GapWatch};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::timers::{Proposal, Scene, Subject, Timers, Verdict};
use super::trusted_time::TrustedTime;
use crate::engine::EngineParts;
use crate::error::EngineResult;
use crate::metrics::Metrics;
use crate::replica::{Patience, Replica};

/// What requests tell the watch.
#[derive(Debug, Clone)]
pub(crate) struct Watch(Arc<Told>);

#[derive(Debug)]
struct Told {
    time: TrustedTime,
    local: Mutex<Local>,
    /// Told when a Join or a Sync begins to wait.
    nudged: Notify,
}

/// What only this gateway knows of its members: no timeout needs more, and no store request carries it.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// By member. Those that this gateway does not watch are forgotten by the task.
    pub(crate) activity: BTreeMap<(GroupNumber, MemberNumber), Activity>,
    /// How many Joins of each group wait here.
    pub(crate) joins: BTreeMap<GroupNumber, usize>,
    /// How many Syncs of each group wait here.
    pub(crate) syncs: BTreeMap<GroupNumber, usize>,
    /// Whose Syncs they are: such a member is heard of as long as its Sync waits.
    pub(crate) syncing: BTreeMap<(GroupNumber, MemberNumber), usize>,
    /// Groups for which a Join or Sync began to wait since the last look.
    pub(crate) began_waiting: BTreeSet<GroupNumber>,
}

/// A member's last request here.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Activity {
    /// In trusted time.
    pub(crate) at: Duration,
    /// The last generation it synced here.
    pub(crate) synced: Option<i32>,
}

/// A Join or Sync that waits: while one does, this gateway proposes the end of the group's phase when it is due, and the
/// member whose Sync waits is not silent.
#[derive(Debug)]
pub(crate) struct PhaseHold {
    told: Arc<Told>,
    group: GroupNumber,
    waits: Waits,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Waits {
    Join,
    Sync(MemberNumber),
}

impl Local {
    pub(super) fn begin_wait(&mut self, group: GroupNumber, waits: Waits) {
        match waits {
            Waits::Join => add_one(&mut self.joins, group),
            Waits::Sync(member) => {
                add_one(&mut self.syncs, group);
                add_one(&mut self.syncing, (group, member));
            }
        }
        self.began_waiting.insert(group);
    }

    pub(super) fn end_wait(&mut self, group: GroupNumber, waits: Waits, now: Duration) {
        match waits {
            Waits::Join => take_one(&mut self.joins, group),
            Waits::Sync(member) => {
                take_one(&mut self.syncs, group);
                take_one(&mut self.syncing, (group, member));
                // T2: as in Kafka, the session timeout begins anew when a Sync is answered, whatever the answer.
                self.activity.entry((group, member)).or_default().at = now;
            }
        }
    }
}

fn add_one<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    *counts.entry(key).or_default() += 1;
}

fn take_one<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl Told {
    fn local(&self) -> MutexGuard<'_, Local> {
        // Every holder leaves the maps whole.
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hold(self: &Arc<Self>, group: GroupNumber, waits: Waits) -> PhaseHold {
        self.local().begin_wait(group, waits);
        self.nudged.notify_one();
        PhaseHold { told: self.clone(), group, waits }
    }
}

impl Watch {
    /// The member sent a request to this gateway, which watches it: its session timeout begins anew.
    pub(crate) fn note_activity(&self, group: GroupNumber, member: MemberNumber) {
        let at = self.0.time.look().trusted;
        self.0.local().activity.entry((group, member)).or_default().at = at;
    }

    /// The member's Sync of this generation came to this gateway: it is not among those who did not sync in time.
    pub(crate) fn note_synced(&self, group: GroupNumber, member: MemberNumber, generation: i32) {
        let at = self.0.time.look().trusted;
        let activity = Activity { at, synced: Some(generation) };
        self.0.local().activity.insert((group, member), activity);
    }

    /// A Join of the group waits here.
    pub(crate) fn hold_join(&self, group: GroupNumber) -> PhaseHold {
        self.0.hold(group, Waits::Join)
    }

    /// The member's Sync waits here.
    pub(crate) fn hold_sync(&self, group: GroupNumber, member: MemberNumber) -> PhaseHold {
        self.0.hold(group, Waits::Sync(member))
    }
}

impl Drop for PhaseHold {
    fn drop(&mut self) {
        let now = self.told.time.look().trusted;
        self.told.local().end_wait(self.group, self.waits, now);
    }
}

/// Starts the task. It ends when it is aborted.
pub(crate) fn start_watch(
    parts: &Arc<EngineParts>,
    replica: &Replica,
    gaps: &Arc<GapWatch>,
    metrics: &Arc<Metrics>,
) -> (Watch, JoinHandle<()>) {
    let fresh = parts.limits.fresh_for_heartbeat;
    let time = TrustedTime::new(parts.clock.clone(), gaps.clone(), fresh, replica.shared().clone());
    let told = Arc::new(Told { time, local: Mutex::default(), nudged: Notify::new() });
    let task = WatchTask {
        parts: parts.clone(),
        replica: replica.clone(),
        told: told.clone(),
        metrics: metrics.clone(),
        timers: Timers::default(),
        proposals: FuturesUnordered::new(),
        gaps_seen: 0,
    };
    (Watch(told), tokio::spawn(task.run()))
}

struct WatchTask {
    parts: Arc<EngineParts>,
    replica: Replica,
    told: Arc<Told>,
    metrics: Arc<Metrics>,
    timers: Timers,
    proposals: FuturesUnordered<BoxFuture<'static, (Subject, Verdict)>>,
    gaps_seen: u64,
}

impl WatchTask {
    async fn run(mut self) {
        loop {
            let pause = self.look();
            let shared = self.replica.shared().clone();
            tokio::select! {
                biased;
                Some((subject, verdict)) = self.proposals.next(), if !self.proposals.is_empty() => {
                    self.on_verdict(subject, verdict);
                }
                () = shared.watch_news.told() => {}
                () = self.told.nudged.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Looks at what changed and at what is due; for how long nothing is due.
    fn look(&mut self) -> Duration {
        let look = self.told.time.look();
        if look.gaps != self.gaps_seen {
            self.gaps_seen = look.gaps;
            tracing::info!(gaps = look.gaps, "a clock gap: timeouts are extended, waiting requests look again");
            self.replica.wakers().wake_groups();
        }
        // Taken before State is loaded: what they are about is in it.
        let news = self.replica.shared().watch_news.take();
        let state = self.replica.view();
        let mut local = self.told.local();
        let scene = Scene {
            state: &state,
            own: self.replica.open_session(),
            now: look.trusted,
            limits: &self.parts.limits,
            defects: self.parts.defects,
            stamp_ms: self.parts.stamp_ms(),
        };
        self.timers.observe(&scene, news, &mut local);
        let room = self.parts.limits.watch_proposals_max.saturating_sub(self.proposals.len());
        let due = self.timers.take_due(&scene, &local, room);
        drop(local);
        due.into_iter().for_each(|proposal| self.propose(proposal));
        self.replica.set_timers_run(self.timers.are_running());
        // With no room left for proposals the next answer makes some.
        let overdue = self.proposals.len() >= self.parts.limits.watch_proposals_max;
        let next = self.timers.next_due().filter(|_| !overdue);
        next.map_or(BEAT, |due| due.saturating_sub(look.trusted).clamp(LOOK_MIN, BEAT))
    }

    fn propose(&self, proposal: Proposal) {
        self.metrics.groups.count_proposal(&proposal.command);
        let Proposal { subject, command } = proposal;
        let replica = self.replica.clone();
        let deadline = self.parts.clock.now() + self.parts.limits.request_timeout;
        let answer = async move {
            let verdict = match command {
                Command::Group(command) => {
                    verdict(propose_group(&replica, command, deadline).await.map(Outcome::Group))
                }
                command => verdict(replica.propose(command, deadline).await),
            };
            (subject, verdict)
        };
        self.proposals.push(Box::pin(answer));
    }

    fn on_verdict(&mut self, subject: Subject, verdict: Verdict) {
        let now = self.told.time.look().trusted;
        self.timers.on_verdict(subject, verdict, now);
    }
}

/// Trusted time stands still while State is not fresh: what is due by it is looked for no more often than this.
const LOOK_MIN: Duration = Duration::from_millis(5);

async fn propose_group(
    replica: &Replica,
    command: sluice_metadata::GroupCommand,
    deadline: tokio::time::Instant,
) -> EngineResult<GroupOutcome> {
    replica.propose_group(command, Patience::Now, deadline).await?.outcome().await
}

fn verdict(outcome: EngineResult<Outcome>) -> Verdict {
    match outcome {
        Ok(Outcome::SessionCloseRefused | Outcome::Group(GroupOutcome::Mismatch | GroupOutcome::Refused(_))) => {
            Verdict::Dropped
        }
        Ok(_) => Verdict::Done,
        Err(error) => {
            tracing::debug!(%error, "a proposal of the watch is not in the log yet");
            Verdict::Failed
        }
    }
}
