//! What the watch has to judge, and when: sessions, members, phases (design section 5, T1 and T2; section 8).
//!
//! Promises: a subject is due only after its full time passed in trusted time since this gateway saw its last activity, and
//! what is then proposed names the activity that was watched, so that apply can refuse it if there was another since. Work
//! is proportional to what changed: what is due is judged anew when its time comes, not whenever something happens.
//! Never: judges a member that waits joined under an open session, one whose Sync waits here, or one that another open
//! session watches.
//! Called by `watch.rs` alone; asks no clock and no store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sluice_metadata::{
    Command, CompletePhase, ExpireMember, Group, GroupCommand, GroupNumber, GroupPhase, MemberNumber, Position,
    SeenMember, SessionId, State, Watch,
};

use super::watch::Local;
use super::windows::Windows;
use crate::defects::Defects;
use crate::limits::Limits;
use crate::replica::WatchNews;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    /// Another gateway's session.
    Session(SessionId),
    /// A member or registered one that this gateway watches, or that nobody does.
    Member(GroupNumber, MemberNumber),
    /// A phase that a Join or Sync here waits for, or that the own session has a part in.
    Phase(GroupNumber),
}

/// A command that time asks for.
#[derive(Debug)]
pub(crate) struct Proposal {
    pub(crate) subject: Subject,
    pub(crate) command: Command,
}

/// What became of a proposal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It took effect.
    Done,
    /// State was another: the timer begins anew.
    Dropped,
    /// The log did not take it, or did not say: it is proposed again.
    Failed,
}

/// What a look is made with.
pub(crate) struct Scene<'a> {
    pub(crate) state: &'a State,
    /// The own session while it is open.
    pub(crate) own: Option<SessionId>,
    /// Trusted time.
    pub(crate) now: Duration,
    /// Wall clock, for the stamps of commands (T3).
    pub(crate) stamp_ms: i64,
    pub(crate) limits: &'a Limits,
    pub(crate) defects: Defects,
}

#[derive(Debug)]
struct SessionTimer {
    last_append: Position,
    since: Duration,
    is_hosting: bool,
}

#[derive(Debug)]
struct MemberTimer {
    watch: Watch,
    since: Duration,
    /// It joined this generation here, then, and has not been seen to sync it.
    unsynced: Option<(i32, Duration)>,
}

#[derive(Debug)]
struct PhaseTimer {
    phase: GroupPhase,
    began: Position,
    since: Duration,
    /// The longest that a member has allowed since it began: as in Kafka, who joins with a shorter one does not end it at once.
    rebalance_timeout: Duration,
    windows: Option<Windows>,
    /// An entry of this gateway began it.
    began_here: bool,
    /// The last membership change that was proposed to complete it with.
    proposed: Option<Position>,
    was_dropped: bool,
}

/// Every timer of one gateway. As many as State has members of this gateway, sessions and phases (I-14).
#[derive(Debug, Default)]
pub(crate) struct Timers {
    known: Position,
    /// How many open sessions are older than the own one.
    rank: usize,
    sessions: BTreeMap<SessionId, SessionTimer>,
    members: BTreeMap<(GroupNumber, MemberNumber), MemberTimer>,
    phases: BTreeMap<GroupNumber, PhaseTimer>,
    due: BTreeSet<(Duration, Subject)>,
    scheduled: BTreeMap<Subject, Duration>,
    /// Proposals in flight: their subjects are not judged meanwhile.
    proposed: BTreeSet<Subject>,
    phases_waited_for: bool,
}

/// What is known of a member or registered one.
struct Subjected {
    watch: Watch,
    session_timeout_ms: i32,
    joined_by: Option<SessionId>,
    is_registered: bool,
}

impl Timers {
    /// Takes in what changed.
    pub(crate) fn observe(&mut self, scene: &Scene<'_>, news: WatchNews, local: &mut Local) {
        for group in &news.began_here {
            if let Some(state) = scene.state.group_by_number(*group) {
                self.observe_phase(scene, state).began_here = true;
            }
        }
        if news.everything {
            let old: BTreeSet<GroupNumber> = self.members.keys().map(|(group, _)| *group).collect();
            let old = old.into_iter().chain(self.phases.keys().copied().collect::<Vec<_>>());
            let all: BTreeSet<GroupNumber> = old.chain(scene.state.groups().map(|group| group.number)).collect();
            all.into_iter().for_each(|group| self.observe_group(scene, group, local));
        }
        for group in news.groups {
            self.observe_group(scene, group, local);
        }
        let moved: BTreeSet<GroupNumber> = news.members.iter().map(|(group, _)| *group).collect();
        for (group, member) in news.members {
            self.observe_member(scene, group, member, local);
        }
        // Who joined or was taken over may give the own session a part in the phase, or take it away.
        moved.into_iter().for_each(|group| self.reschedule(scene, local, Subject::Phase(group)));
        for session in news.closed {
            for (group, member) in scene.state.hosted(session) {
                self.observe_member(scene, group, member, local);
            }
        }
        if scene.state.known() != self.known {
            self.known = scene.state.known();
            self.observe_sessions(scene);
        }
        for group in std::mem::take(&mut local.began_waiting) {
            self.reschedule(scene, local, Subject::Phase(group));
        }
        self.phases_waited_for = !local.joins.is_empty() || !local.syncs.is_empty();
        if local.activity.len() > self.members.len() + STRAY_ACTIVITY_MAX {
            local.activity.retain(|key, _| self.members.contains_key(key));
        }
    }

    /// The proposals that are due, at most `room`.
    pub(crate) fn take_due(&mut self, scene: &Scene<'_>, local: &Local, room: usize) -> Vec<Proposal> {
        let mut proposals = Vec::new();
        while proposals.len() < room {
            let Some((at, subject)) = self.due.first().copied().filter(|(at, _)| *at <= scene.now) else { break };
            self.due.remove(&(at, subject));
            self.scheduled.remove(&subject);
            match self.judge(scene, local, subject) {
                Some(due) if due > scene.now => self.schedule(subject, due),
                Some(_) => {
                    if let Some(command) = self.command(scene, subject) {
                        self.proposed.insert(subject);
                        proposals.push(Proposal { subject, command });
                    }
                }
                None => {}
            }
        }
        proposals
    }

    /// When the next subject may be due, in trusted time.
    pub(crate) fn next_due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// True while State must not grow old because of a timer (T4).
    pub(crate) fn are_running(&self) -> bool {
        !self.members.is_empty() || self.phases_waited_for
    }

    /// A proposal was answered: its subject, if it is still one, is judged again.
    pub(crate) fn on_verdict(&mut self, subject: Subject, verdict: Verdict, now: Duration) {
        self.proposed.remove(&subject);
        let again = match verdict {
            Verdict::Done => now,
            Verdict::Dropped => {
                self.restart(subject, now);
                now
            }
            Verdict::Failed => now + RETRY_AFTER,
        };
        self.schedule(subject, again);
    }

    fn restart(&mut self, subject: Subject, now: Duration) {
        match subject {
            Subject::Session(session) => {
                if let Some(timer) = self.sessions.get_mut(&session) {
                    timer.since = now;
                }
            }
            Subject::Member(group, member) => {
                if let Some(timer) = self.members.get_mut(&(group, member)) {
                    timer.since = now;
                    timer.unsynced = timer.unsynced.map(|(generation, _)| (generation, now));
                }
            }
            Subject::Phase(group) => {
                if let Some(timer) = self.phases.get_mut(&group) {
                    timer.was_dropped = true;
                }
            }
        }
    }

    // ---- what there is ------------------------------------------------------------------------------------------

    fn observe_sessions(&mut self, scene: &Scene<'_>) {
        let state = scene.state;
        let gone: Vec<_> = self.sessions.keys().filter(|id| state.session(**id).is_none()).copied().collect();
        for session in gone {
            self.sessions.remove(&session);
            self.unschedule(Subject::Session(session));
        }
        self.rank = state.sessions().take_while(|session| Some(session.id) != scene.own).count();
        let mut changed = Vec::new();
        for session in state.sessions().filter(|session| Some(session.id) != scene.own) {
            // A session that only holds Joins hosts as well: nobody expires those while it is open.
            let is_hosting = state.hosted(session.id).next().is_some();
            let (last_append, since) = (session.last_append, scene.now);
            let fresh = SessionTimer { last_append, since, is_hosting };
            match self.sessions.get_mut(&session.id) {
                // Activity alone is found when its old time is due.
                Some(timer) if timer.is_hosting == is_hosting => {
                    if timer.last_append != last_append {
                        *timer = fresh;
                    }
                }
                Some(timer) => {
                    let since = if timer.last_append == last_append { timer.since } else { since };
                    *timer = SessionTimer { since, ..fresh };
                    changed.push(session.id);
                }
                None => {
                    self.sessions.insert(session.id, fresh);
                    changed.push(session.id);
                }
            }
        }
        for session in changed {
            if let Some(due) = self.judge_session(scene, session) {
                self.schedule_unless_proposed(Subject::Session(session), due);
            }
        }
    }

    fn observe_group(&mut self, scene: &Scene<'_>, number: GroupNumber, local: &mut Local) {
        let all = (number, MemberNumber(0))..=(number, MemberNumber(u64::MAX));
        let mut members: BTreeSet<MemberNumber> = self.members.range(all).map(|((_, member), _)| *member).collect();
        let group = scene.state.group_by_number(number);
        members.extend(group.iter().flat_map(|group| group.members.keys().chain(group.registered.keys())));
        match group.filter(|group| group.phase != GroupPhase::Empty) {
            Some(group) => {
                self.observe_phase(scene, group);
            }
            None => drop(self.phases.remove(&number)),
        }
        for member in members {
            self.observe_member(scene, number, member, local);
        }
        self.reschedule(scene, local, Subject::Phase(number));
    }

    /// Kept for every phase with members, whether or not anybody here waits for it: since when it runs is only
    /// known to who saw it begin.
    fn observe_phase(&mut self, scene: &Scene<'_>, group: &Group) -> &mut PhaseTimer {
        let fresh = || PhaseTimer {
            phase: group.phase,
            began: group.phase_began,
            since: scene.now,
            rebalance_timeout: milliseconds(group.rebalance_timeout_ms()),
            windows: None,
            began_here: false,
            proposed: None,
            was_dropped: false,
        };
        let timer = self.phases.entry(group.number).or_insert_with(fresh);
        if (timer.phase, timer.began) != (group.phase, group.phase_began) {
            *timer = fresh();
        }
        // Longer than Kafka, which keeps the first: a member that came later is given its time as well.
        timer.rebalance_timeout = timer.rebalance_timeout.max(milliseconds(group.rebalance_timeout_ms()));
        timer
    }

    fn observe_member(&mut self, scene: &Scene<'_>, number: GroupNumber, member: MemberNumber, local: &mut Local) {
        let key = (number, member);
        let found = scene.state.group_by_number(number).and_then(|group| Some((group, subjected(group, member)?)));
        let Some((group, found)) = found.filter(|(_, found)| is_subject(scene, found)) else {
            self.members.remove(&key);
            local.activity.remove(&key);
            self.unschedule(Subject::Member(number, member));
            return;
        };
        let timer =
            self.members.entry(key).or_insert(MemberTimer { watch: found.watch, since: scene.now, unsynced: None });
        if timer.watch.epoch != found.watch.epoch {
            // It was elsewhere meanwhile, and may have synced there.
            timer.unsynced = None;
        }
        if timer.watch != found.watch {
            timer.watch = found.watch;
            timer.since = scene.now;
        }
        let joined_now = found.watch.last_activity == group.phase_began && !found.is_registered;
        timer.unsynced = match (group.phase, timer.unsynced) {
            (GroupPhase::CompletingRebalance | GroupPhase::Stable, Some((generation, since)))
                if generation == group.generation =>
            {
                Some((generation, since))
            }
            (GroupPhase::CompletingRebalance, _) if joined_now && scene.own == Some(found.watch.session) => {
                Some((group.generation, scene.now))
            }
            _ => None,
        };
        self.reschedule(scene, local, Subject::Member(number, member));
    }

    // ---- when it is due -----------------------------------------------------------------------------------------

    /// When the subject is due, as things are; `None`: not as things are.
    fn judge(&mut self, scene: &Scene<'_>, local: &Local, subject: Subject) -> Option<Duration> {
        match subject {
            Subject::Session(session) => self.judge_session(scene, session),
            Subject::Member(group, member) => self.judge_member(scene, local, group, member),
            Subject::Phase(group) => self.judge_phase(scene, local, group),
        }
    }

    /// T1: the lease of a session that hosts members, else the time after which it is forgotten.
    fn judge_session(&self, scene: &Scene<'_>, session: SessionId) -> Option<Duration> {
        let timer = self.sessions.get(&session)?;
        let timeout = if timer.is_hosting { scene.limits.session_lease } else { scene.limits.session_idle };
        Some(timer.since + timeout + self.stagger(scene.limits, self.rank))
    }

    fn judge_member(
        &self,
        scene: &Scene<'_>,
        local: &Local,
        number: GroupNumber,
        member: MemberNumber,
    ) -> Option<Duration> {
        let timer = self.members.get(&(number, member))?;
        let group = scene.state.group_by_number(number)?;
        let found = subjected(group, member)?;
        // T2: who waits joined under an open session is not silent.
        let waits = found.joined_by.is_some_and(|session| scene.state.session(session).is_some());
        if waits && !scene.defects.state.expire_waiting {
            return None;
        }
        let timeout = milliseconds(found.session_timeout_ms);
        // T6: for so long the gateway that watched it before may have answered it, from a State that did not know better.
        let elsewhere = timer.since + scene.limits.fresh_for_heartbeat;
        if scene.own != Some(timer.watch.session) {
            return Some(elsewhere + timeout + self.stagger(scene.limits, self.rank));
        }
        let activity = local.activity.get(&(number, member)).copied().unwrap_or_default();
        // Kafka's hasSatisfiedHeartbeat: whose Sync waits cannot be heard of otherwise. It is looked at again.
        let is_syncing = local.syncing.contains_key(&(number, member));
        let heard = if is_syncing { scene.now } else { activity.at };
        let since = if timer.watch.epoch == 0 { timer.since } else { elsewhere };
        let silent = since.max(heard) + timeout;
        let unsynced = timer.unsynced.filter(|(generation, _)| {
            let is_running = matches!(group.phase, GroupPhase::CompletingRebalance | GroupPhase::Stable);
            is_running && group.generation == *generation && activity.synced != Some(*generation)
        });
        let late = self.phases.get(&number).map(|phase| phase.rebalance_timeout);
        let unsynced = unsynced.zip(late).map(|((_, since), late)| since + late);
        Some(unsynced.map_or(silent, |late| late.min(silent)))
    }

    /// Design section 8: whoever waits here proposes the end of the phase when its time is over; and of a phase of joins
    /// every gateway that has a part in it, for the clients that waited may all be gone.
    fn judge_phase(&mut self, scene: &Scene<'_>, local: &Local, number: GroupNumber) -> Option<Duration> {
        let group = scene.state.group_by_number(number)?;
        let timer = self.phases.get_mut(&number)?;
        let is_waited_for = match group.phase {
            GroupPhase::PreparingRebalance => local.joins.contains_key(&number) || has_part(scene.own, group),
            GroupPhase::CompletingRebalance => local.syncs.contains_key(&number),
            GroupPhase::Empty | GroupPhase::Stable => false,
        };
        if !is_waited_for || (scene.defects.complete_by_one && !timer.began_here) {
            return None;
        }
        let is_refused = std::mem::take(&mut timer.was_dropped) && timer.proposed == Some(group.last_change);
        let waits_for_leader = cannot_lead(group);
        if is_refused || (waits_for_leader && timer.since + timer.rebalance_timeout <= scene.now) {
            // Nothing came between, and still it could not be completed: its time begins anew, as in Kafka.
            timer.since = scene.now;
            timer.rebalance_timeout = milliseconds(group.rebalance_timeout_ms());
            timer.windows = None;
        }
        let timeout = timer.rebalance_timeout.max(milliseconds(group.rebalance_timeout_ms()));
        timer.rebalance_timeout = timeout;
        if waits_for_leader {
            return Some((timer.since + timeout).max(scene.now + RETRY_AFTER));
        }
        let due = if group.phase == GroupPhase::PreparingRebalance && group.is_initial {
            let first = || Windows::first(timer.since, milliseconds_u32(group.initial_delay_ms), timeout);
            timer.windows.get_or_insert_with(first).end(group, scene.now)
        } else {
            timer.since + timeout
        };
        Some(due + scene.limits.completion_stagger * rank_in_group(scene.own, group))
    }

    fn command(&mut self, scene: &Scene<'_>, subject: Subject) -> Option<Command> {
        let stamp_ms = scene.stamp_ms;
        match subject {
            Subject::Session(session) => {
                let last_append = self.sessions.get(&session)?.last_append;
                Some(Command::CloseSession { session, last_append })
            }
            Subject::Member(group, member) => {
                let watch = self.members.get(&(group, member))?.watch;
                let member = SeenMember { member, watch_epoch: watch.epoch };
                let last_activity = watch.last_activity;
                Some(Command::Group(GroupCommand::ExpireMember(ExpireMember {
                    group,
                    member,
                    last_activity,
                    stamp_ms,
                })))
            }
            Subject::Phase(number) => {
                let group = scene.state.group_by_number(number)?;
                let timer = self.phases.get_mut(&number)?;
                timer.proposed = Some(group.last_change);
                Some(Command::Group(GroupCommand::CompletePhase(CompletePhase {
                    group: number,
                    phase: group.phase,
                    generation: group.generation,
                    last_change: group.last_change,
                    stamp_ms,
                })))
            }
        }
    }

    /// Gateways that would propose the same are apart by the rank of their sessions (T2).
    fn stagger(&self, limits: &Limits, rank: usize) -> Duration {
        limits.proposal_stagger * u32::try_from(rank.min(limits.proposal_ranks_max)).unwrap_or(0)
    }

    // ---- the queue ----------------------------------------------------------------------------------------------

    fn reschedule(&mut self, scene: &Scene<'_>, local: &Local, subject: Subject) {
        match self.judge(scene, local, subject) {
            Some(due) => self.schedule_unless_proposed(subject, due),
            None => self.unschedule(subject),
        }
    }

    fn schedule_unless_proposed(&mut self, subject: Subject, due: Duration) {
        if !self.proposed.contains(&subject) {
            self.schedule(subject, due);
        }
    }

    fn schedule(&mut self, subject: Subject, due: Duration) {
        self.unschedule(subject);
        self.due.insert((due, subject));
        self.scheduled.insert(subject, due);
    }

    fn unschedule(&mut self, subject: Subject) {
        if let Some(due) = self.scheduled.remove(&subject) {
            self.due.remove(&(due, subject));
        }
    }
}

/// Activity of members that are not watched, before it is looked for and forgotten.
const STRAY_ACTIVITY_MAX: usize = 1_024;
/// How long a proposal that the log did not take waits before it is made again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// T2: what this gateway watches, and what nobody does. What another open session watches is its own.
fn is_subject(scene: &Scene<'_>, found: &Subjected) -> bool {
    let is_own = scene.own == Some(found.watch.session);
    is_own || scene.state.session(found.watch.session).is_none() || scene.defects.expire_by_others
}

fn subjected(group: &Group, number: MemberNumber) -> Option<Subjected> {
    if let Some(member) = group.members.get(&number) {
        let (watch, joined_by) = (member.watch, member.joined_by);
        return Some(Subjected {
            watch,
            session_timeout_ms: member.session_timeout_ms,
            joined_by,
            is_registered: false,
        });
    }
    let registered = group.registered.get(&number)?;
    let (watch, session_timeout_ms) = (registered.watch, registered.session_timeout_ms);
    Some(Subjected { watch, session_timeout_ms, joined_by: None, is_registered: true })
}

/// The sessions that watch members of the group or hold their Joins. O(members).
fn parts(group: &Group) -> impl Iterator<Item = SessionId> + '_ {
    group.members.values().flat_map(|member| member.joined_by.into_iter().chain([member.watch.session]))
}

fn has_part(own: Option<SessionId>, group: &Group) -> bool {
    own.is_some_and(|own| parts(group).any(|session| session == own))
}

/// How many sessions that have a part in the group come before the own one.
fn rank_in_group(own: Option<SessionId>, group: &Group) -> u32 {
    let before: BTreeSet<SessionId> = parts(group).filter(|session| Some(*session) < own).collect();
    u32::try_from(before.len()).unwrap_or(u32::MAX)
}

/// Only static members are left that have not joined: apply would refuse the end of the phase.
fn cannot_lead(group: &Group) -> bool {
    let is_static = || group.members.values().any(|member| member.instance_id.is_some());
    group.phase == GroupPhase::PreparingRebalance && group.joined == 0 && is_static()
}

fn milliseconds(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

fn milliseconds_u32(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

#[cfg(test)]
mod tests;
