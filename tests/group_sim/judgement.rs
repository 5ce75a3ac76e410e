//! The judgement of one entry that took effect.
//!
//! Promises: names the member or the commit that was wronged. What it holds against an entry are reasons that a client
//! could give: its own leave, its silence, the time that others waited for it.
//! Called by `oracle` alone.

use std::sync::Arc;
use std::time::Duration;

use sluice_metadata::{
    Command, CommitGroup, CommitOffsets, Committer, Entry, Group, GroupCommand, GroupOutcome, GroupPhase, JoinOutcome,
    Member, Outcome, State,
};
use tokio::time::Instant;

use crate::ledger::{Fate, Place};
use crate::oracle::{Oracle, Truth};
use crate::world::{group_number, topic_number};

/// A command of groups that took effect, and its outcome.
type Done<'a> = (&'a GroupCommand, &'a GroupOutcome);

/// Why a member is gone.
enum Reason {
    Left,
    Expired,
    PhaseEnded,
    Replaced,
    None,
}

/// How long the proposal to expire a member may be on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(25);

pub fn judge_entry(oracle: &Oracle, truth: &mut Truth, before: &State, entry: &Entry, outcomes: &[Outcome]) {
    let done: Vec<Done<'_>> = entry.commands.iter().zip(outcomes).filter_map(done).collect();
    for (command, outcome) in &done {
        count(oracle, outcome);
        match (command, outcome) {
            (GroupCommand::CommitOffsets(commit), GroupOutcome::Committed(_)) => {
                judge_commit(oracle, truth, before, commit, outcome);
            }
            (GroupCommand::Join(join), GroupOutcome::Joined { joined, .. }) => {
                judge_join(oracle, &join.client_id, *joined);
            }
            _ => {}
        }
    }
    let mut ids: Vec<Arc<str>> = before.groups().chain(truth.state.groups()).map(|group| group.id.clone()).collect();
    ids.sort();
    ids.dedup();
    for id in ids {
        let (old, new) = (before.group(&id), truth.state.group(&id));
        match (old, new) {
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) => {}
            (Some(old), Some(new)) => judge_group(oracle, truth, before, (old, new), &done),
            (Some(_), None) => oracle.journal.violation("oracle", format_args!("{id} is gone, and nobody deleted it")),
            _ => {}
        }
    }
}

fn done<'a>((command, outcome): (&'a Command, &'a Outcome)) -> Option<Done<'a>> {
    match (command, outcome) {
        (Command::Group(command), Outcome::Group(outcome)) => Some((command, outcome)),
        _ => None,
    }
}

fn count(oracle: &Oracle, outcome: &GroupOutcome) {
    oracle.journal.count(match outcome {
        GroupOutcome::Joined { joined: JoinOutcome::Registered, .. } => "members registered",
        GroupOutcome::Joined { joined: JoinOutcome::Waiting { .. }, .. } => "joins that wait",
        GroupOutcome::Joined { joined: JoinOutcome::Current { replaced: false }, .. } => "joins that change nothing",
        GroupOutcome::Joined { joined: JoinOutcome::Current { replaced: true }, .. } => "static members that came back",
        GroupOutcome::Synced => "syncs in the log",
        GroupOutcome::TookOver => "take-overs",
        GroupOutcome::Left(_) => "leaves",
        GroupOutcome::MemberExpired => "members expired",
        GroupOutcome::PhaseCompleted => "phases completed by time",
        GroupOutcome::Committed(exceptions) if exceptions.is_empty() => "commits",
        GroupOutcome::Committed(_) => "commits overtaken",
        GroupOutcome::Refused(_) => "commands refused in apply",
        GroupOutcome::Mismatch => "commands that met another State",
        _ => "other outcomes",
    });
}

/// A Join does something only for a process that wants to join.
fn judge_join(oracle: &Oracle, who: &str, joined: JoinOutcome) {
    let is_harmless = matches!(joined, JoinOutcome::Registered | JoinOutcome::Current { replaced: false });
    let Some(process) = oracle.ledger.process(who) else { return };
    if process.fate != Fate::Alive {
        oracle.journal.count("joins of those who are gone");
    } else if !process.is_joining && !is_harmless {
        oracle.journal.violation("oracle", format_args!("T7: a late Join of {who} took effect"));
    }
}

fn judge_group(
    oracle: &Oracle,
    truth: &Truth,
    state_before: &State,
    (old, new): (&Arc<Group>, &Arc<Group>),
    done: &[Done<'_>],
) {
    let mut has_cause = false;
    for (number, member) in &old.members {
        if new.members.contains_key(number) {
            continue;
        }
        has_cause = true;
        let wrong = match reason(old, new, member, done) {
            Reason::Left => judge_left(oracle, member),
            Reason::Expired => judge_expired(oracle, truth, state_before, old, member),
            Reason::PhaseEnded => judge_expelled(truth, old, member),
            Reason::Replaced => None,
            Reason::None => Some("nothing says why".to_owned()),
        };
        oracle.journal.note("oracle", format_args!("{} is no member of {} any more", member.id, old.id));
        if let Some(wrong) = wrong {
            let (id, group) = (&member.id, &old.id);
            oracle.journal.violation("oracle", format_args!("{id} is no member of {group} any more: {wrong}"));
        }
    }
    has_cause |= new.members.keys().any(|number| !old.members.contains_key(number));
    has_cause |= new.registered.keys().ne(old.registered.keys());
    has_cause |= done.iter().any(|(command, outcome)| {
        let is_waiting = matches!(outcome, GroupOutcome::Joined { joined: JoinOutcome::Waiting { .. }, .. });
        is_waiting && matches!(command, GroupCommand::Join(join) if *join.group_id == *old.id)
    });
    let is_over = old.phase == GroupPhase::Stable && (new.phase != old.phase || new.generation != old.generation);
    if is_over && !has_cause {
        oracle
            .journal
            .violation("oracle", format_args!("{} leaves generation {} for no reason", old.id, old.generation));
    }
    // The phase ends with the entry that completes it, whatever that entry is (design section 8).
    let is_complete = new.has_all_joined() && !new.is_initial && new.phase == GroupPhase::PreparingRebalance;
    if is_complete {
        let all = new.members.len();
        oracle.journal.violation("oracle", format_args!("all {all} members of {} have joined, and still wait", new.id));
    }
}

fn reason(old: &Group, new: &Group, member: &Member, done: &[Done<'_>]) -> Reason {
    for (command, outcome) in done {
        match (command, outcome) {
            (GroupCommand::Leave(leave), GroupOutcome::Left(_))
                if leave.group == old.number && leave.members.contains(&member.number) =>
            {
                return Reason::Left;
            }
            (GroupCommand::ExpireMember(expire), GroupOutcome::MemberExpired)
                if expire.group == old.number && expire.member.member == member.number =>
            {
                return Reason::Expired;
            }
            _ => {}
        }
    }
    let instance = member.instance_id.as_deref();
    if instance.is_some_and(|instance| new.member_by_instance(instance).is_some()) {
        return Reason::Replaced;
    }
    let has_ended = |(command, outcome): &Done<'_>| {
        let is_it = matches!(command, GroupCommand::CompletePhase(complete) if complete.group == old.number);
        is_it && matches!(outcome, GroupOutcome::PhaseCompleted)
    };
    if done.iter().any(has_ended) { Reason::PhaseEnded } else { Reason::None }
}

fn judge_left(oracle: &Oracle, member: &Member) -> Option<String> {
    let process = oracle.ledger.by_member_id(&member.id);
    let left = process.is_some_and(|(_, process)| process.fate == Fate::Left);
    (!left).then(|| "it did not leave".to_owned())
}

/// T2: it was silent for its whole session timeout, or did not sync.
fn judge_expired(oracle: &Oracle, truth: &Truth, before: &State, old: &Group, member: &Member) -> Option<String> {
    let now = Instant::now();
    if member.joined_by.is_some_and(|session| before.session(session).is_some()) {
        return Some("T2: it was expired while it waited for the end of a phase".to_owned());
    }
    let timeout = Duration::from_millis(u64::try_from(member.session_timeout_ms).unwrap_or(0));
    let process = oracle.ledger.by_member_id(&member.id).map(|(_, process)| process);
    let has_synced = process.as_ref().is_some_and(|process| process.assigned == Some(old.generation));
    let generation_since = truth.histories.get(&*old.id).map(|history| history.generation_since);
    let waited = generation_since.map(|since| now - since).unwrap_or_default();
    if !has_synced && waited >= rebalance_timeout(old) && old.phase != GroupPhase::PreparingRebalance {
        oracle.journal.count("members that did not sync");
        return None;
    }
    let late = process.as_ref().and_then(|process| process.late);
    if late.is_some_and(|late| now - late < ON_ITS_WAY) {
        oracle.journal.count("members heard of too late");
        return None;
    }
    let in_log = truth.times.get(&member.watch.last_activity).copied();
    let proof = process.and_then(|process| process.proof);
    let last = in_log.max(proof)?;
    let silent = now - last;
    (silent < timeout).then(|| {
        format!("T2: it was expired after {:.3} s of silence; its timeout is {timeout:?}", silent.as_secs_f64())
    })
}

/// The phase waited for it as long as it had to.
fn judge_expelled(truth: &Truth, old: &Group, member: &Member) -> Option<String> {
    if old.phase == GroupPhase::PreparingRebalance && member.joined_by.is_some() {
        return Some("it had joined".to_owned());
    }
    let since = truth.histories.get(&*old.id)?.phase_since;
    let waited = Instant::now() - since;
    (waited < rebalance_timeout(old)).then(|| format!("the others waited only {:.3} s", waited.as_secs_f64()))
}

fn rebalance_timeout(group: &Group) -> Duration {
    Duration::from_millis(u64::try_from(group.rebalance_timeout_ms()).unwrap_or(0))
}

/// A commit that took effect is its owner's, of the generation that is, and does not go back.
fn judge_commit(oracle: &Oracle, truth: &mut Truth, before: &State, commit: &CommitOffsets, outcome: &GroupOutcome) {
    let GroupOutcome::Committed(exceptions) = outcome else { return };
    let groups = |state: &State| match &commit.group {
        CommitGroup::Known(number) => state.group_by_number(*number).cloned(),
        CommitGroup::New(id) => state.group(id).cloned(),
    };
    let Some(group) = groups(&truth.state) else { return };
    let was = groups(before);
    let Some(number) = group_number(&group.id) else { return };
    let mut index = 0;
    for (topic_id, offsets) in &commit.topics {
        let topic = truth.state.topic_by_id(*topic_id).and_then(|topic| topic_number(&topic.name));
        for offset in offsets {
            let is_exception = exceptions.iter().any(|exception| exception.index == index);
            index += 1;
            let (false, Some(topic)) = (is_exception, topic) else { continue };
            let place: Place = (topic, offset.partition);
            let new = (offset.offset, offset.metadata.clone());
            truth.applied.insert((offset.metadata.clone(), place));
            let old = truth.stored.insert((number, place), new);
            if let Committer::Member { generation, .. } = commit.committer {
                judge_owner(oracle, &offset.metadata, place, generation, [was.as_deref(), Some(&group)]);
                if let Some((old, id)) = old.filter(|(old, _)| *old > offset.offset) {
                    let (new, by) = (offset.offset, &offset.metadata);
                    let what = format_args!("{} {place:?} goes back from {old} ({id}) to {new} ({by})", group.id);
                    oracle.journal.violation("oracle", what);
                }
            }
        }
    }
}

/// `states`: the group before the entry and after it.
fn judge_owner(oracle: &Oracle, id: &str, place: Place, generation: i32, states: [Option<&Group>; 2]) {
    let wrong = |what: std::fmt::Arguments<'_>| {
        oracle.journal.violation("oracle", format_args!("the commit {id} of {place:?} took effect: {what}"));
    };
    let Some(commit) = oracle.ledger.commit(id) else { return wrong(format_args!("nobody made it")) };
    if !states.iter().flatten().any(|group| group.generation == generation) || commit.generation != generation {
        let now = states.map(|group| group.map(|group| group.generation));
        return wrong(format_args!("T7: it is of generation {}, and that is {now:?}", commit.generation));
    }
    if !states.iter().flatten().any(|group| group.member_by_id(&commit.member_id).is_some()) {
        return wrong(format_args!("T7: {} is no member", commit.member_id));
    }
    let owner = oracle.ledger.owner(commit.group, generation, place);
    if owner.as_ref() != Some(&commit.owner) || !commit.places.contains_key(&place) {
        wrong(format_args!("{place:?} is {owner:?}'s, not {}'s", commit.owner));
    }
}
