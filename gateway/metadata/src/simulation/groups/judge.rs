//! The judgement of one entry: what was before it against what is after it.

use std::collections::BTreeSet;

use crate::{
    Applied, Command, CommitGroup, CommitOffsets, CommitRefusal, Group, GroupCommand, GroupNumber, GroupOutcome,
    GroupPhase, GroupRefusal, JoinOutcome, MemberNumber, OffsetSlice, Outcome, SessionId, State,
};

type Checked = Result<(), String>;

fn ensure(truth: bool, broken: impl FnOnce() -> String) -> Checked {
    if truth { Ok(()) } else { Err(broken()) }
}

/// Every property of one entry that took effect.
pub(super) fn judge(
    before: &State,
    after: &State,
    session: SessionId,
    commands: &[Command],
    applied: &Applied,
) -> Checked {
    for group in after.groups() {
        numbers_ascend(before, group)?;
    }
    slices_are_those_that_changed(before, after, commands, applied)?;
    announced_are_those_that_changed(before, after, commands, applied)?;
    if let ([Command::Group(command)], [Outcome::Group(outcome)]) = (commands, applied.outcomes.as_slice()) {
        judge_answer(before, after, session, command, outcome)?;
    }
    Ok(())
}

/// What one command alone did.
fn judge_answer(
    before: &State,
    after: &State,
    session: SessionId,
    command: &GroupCommand,
    outcome: &GroupOutcome,
) -> Checked {
    let previewed = before.preview_group(session, command);
    ensure(previewed == *outcome, || format!("{previewed:?} was previewed, {outcome:?} came"))?;
    if matches!(outcome, GroupOutcome::Refused(_) | GroupOutcome::Mismatch) {
        ensure(before.groups == after.groups, || format!("L11: {outcome:?} changed something"))?;
    }
    if let (GroupCommand::ExpireMember(expire), GroupOutcome::MemberExpired) = (command, outcome) {
        let group = before.group_by_number(expire.group).ok_or("a group that is not there lost a member")?;
        let member = group.members.get(&expire.member.member);
        let holder = member.and_then(|member| member.joined_by);
        let is_waiting = holder.is_some_and(|holder| before.session(holder).is_some());
        ensure(!is_waiting, || "T2: a member was expired that waits under an open session".to_owned())?;
    }
    if let (GroupCommand::CommitOffsets(commit), GroupOutcome::Committed(_)) = (command, outcome) {
        commits_never_go_behind(before, after, session, commit)?;
    }
    let generations = after.groups().filter_map(|group| Some((before.group_by_number(group.number)?, group)));
    for (old, new) in generations {
        let steps = i64::from(new.generation) - i64::from(old.generation);
        ensure((0..=1).contains(&steps), || format!("the generation went from {} by {steps}", old.generation))?;
    }
    Ok(())
}

/// T7: what another session committed after the proposer looked stays, and so does anything for a second proposal.
fn commits_never_go_behind(before: &State, after: &State, session: SessionId, commit: &CommitOffsets) -> Checked {
    let CommitGroup::Known(number) = commit.group else { return Ok(()) };
    let (Some(old), Some(new)) = (before.group_by_number(number), after.group_by_number(number)) else {
        return Err("a commit made or removed a group".to_owned());
    };
    for (key, stored) in &old.offsets {
        let is_guarded = stored.position > commit.known && (commit.exclusive || stored.session != session);
        let is_same = new.offsets.get(key) == Some(stored);
        ensure(!is_guarded || is_same, || format!("T7: the offset of {key:?} was overtaken"))?;
    }
    let is_same = old.members == new.members && old.last_change == new.last_change;
    ensure(is_same, || "T2: a commit counted as something else".to_owned())
}

/// Numbers of groups and members are given once.
fn numbers_ascend(before: &State, after: &Group) -> Checked {
    let Some(old) = before.group_by_number(after.number) else {
        return ensure(after.number.0 >= before.groups.next_group, || "a group's number was given again".to_owned());
    };
    let was_there = |number: &MemberNumber| old.members.contains_key(number) || old.registered.contains_key(number);
    let mut numbers = after.members.keys().chain(after.registered.keys());
    let again = numbers.find(|number| !was_there(number) && number.0 < old.next_member);
    ensure(again.is_none(), || format!("the number {again:?} was given again"))
}

fn all_numbers(before: &State, after: &State) -> BTreeSet<GroupNumber> {
    before.groups().chain(after.groups()).map(|group| group.number).collect()
}

/// The groups that waiting requests must look at, and no others.
fn announced_are_those_that_changed(before: &State, after: &State, commands: &[Command], applied: &Applied) -> Checked {
    let mut expected = Vec::new();
    for number in all_numbers(before, after) {
        let (Some(old), new) = (before.group_by_number(number), after.group_by_number(number)) else {
            let is_running = after.group_by_number(number).is_some_and(|group| group.phase != GroupPhase::Empty);
            expected.extend(is_running.then_some(number));
            continue;
        };
        let has_changed = new.is_none_or(|new| {
            let lost = old.members.keys().any(|member| !new.members.contains_key(member));
            lost || old.phase_began != new.phase_began || old.generation != new.generation
        });
        expected.extend(has_changed.then_some(number));
    }
    // Several commands may undo each other.
    let is_exact = commands.len() == 1;
    let missing = expected.iter().find(|number| !applied.groups.contains(number));
    ensure(missing.is_none(), || format!("{missing:?} is not announced"))?;
    ensure(!is_exact || expected == applied.groups, || format!("{:?} for {expected:?}", applied.groups))
}

/// The slices whose offsets changed, and no others.
fn slices_are_those_that_changed(before: &State, after: &State, commands: &[Command], applied: &Applied) -> Checked {
    let mut expected = BTreeSet::new();
    for number in all_numbers(before, after) {
        let (old, new) = (before.group_by_number(number), after.group_by_number(number));
        let offsets =
            |group: Option<&std::sync::Arc<Group>>| group.map(|group| group.offsets.clone()).unwrap_or_default();
        let group_id = old.or(new).map(|group| group.id.clone()).ok_or("a group without an id")?;
        let (old, new) = (offsets(old), offsets(new));
        for (topic_id, partition) in old.keys().chain(new.keys()) {
            if old.get(&(*topic_id, *partition)) == new.get(&(*topic_id, *partition)) {
                continue;
            }
            let topic = before.topic_by_id(*topic_id).or_else(|| after.topic_by_id(*topic_id));
            let topic = topic.ok_or("an offset without a topic")?.name.clone();
            let slice = u32::try_from(*partition).unwrap() / 100;
            expected.insert(OffsetSlice { group_id: group_id.clone(), topic_id: *topic_id, topic, slice });
        }
    }
    let found: BTreeSet<_> = applied.offset_slices.iter().cloned().collect();
    let is_exact = commands.len() == 1;
    let agrees = expected.is_subset(&found) && (!is_exact || expected == found);
    ensure(agrees, || format!("slices {found:?} for {expected:?}"))?;
    ensure(found.into_iter().eq(applied.offset_slices.iter().cloned()), || "slices are not in order".to_owned())
}

/// What happened, by name.
pub(super) fn name_of(command: &Command, outcome: &Outcome) -> Vec<&'static str> {
    let Outcome::Group(outcome) = outcome else {
        return match outcome {
            Outcome::SessionClosed { .. } => vec!["sessions closed"],
            Outcome::TopicDeleted { .. } => vec!["topics deleted"],
            _ => Vec::new(),
        };
    };
    match outcome {
        GroupOutcome::Joined { joined: JoinOutcome::Registered, .. } => vec!["registered"],
        GroupOutcome::Joined { joined: JoinOutcome::Waiting { .. }, .. } => vec!["waiting"],
        GroupOutcome::Joined { joined: JoinOutcome::Current { replaced: true }, .. } => vec!["replaced"],
        GroupOutcome::Joined { joined: JoinOutcome::Current { replaced: false }, .. } => vec!["current"],
        GroupOutcome::Synced => vec!["synced"],
        GroupOutcome::TookOver => vec!["took over"],
        GroupOutcome::Left(left) if left.contains(&true) => vec!["left"],
        GroupOutcome::Left(_) => vec!["left nothing"],
        GroupOutcome::MemberExpired => vec!["expired"],
        GroupOutcome::PhaseCompleted => vec!["completed by time"],
        GroupOutcome::Committed(exceptions) => name_commit(exceptions.iter().map(|exception| exception.reason)),
        GroupOutcome::OffsetsDeleted { group_deleted: true, .. } => vec!["offsets deleted with the group"],
        GroupOutcome::OffsetsDeleted { .. } => vec!["offsets deleted"],
        GroupOutcome::GroupDeleted => vec!["group deleted"],
        GroupOutcome::Refused(refusal) => vec![name_refusal(*refusal)],
        GroupOutcome::Mismatch => vec![match command {
            Command::Group(GroupCommand::Join(_)) => "mismatch of a join",
            Command::Group(GroupCommand::Sync(_)) => "mismatch of a sync",
            Command::Group(GroupCommand::TakeOver(_)) => "mismatch of a take-over",
            Command::Group(GroupCommand::ExpireMember(_)) => "mismatch of an expiry",
            Command::Group(GroupCommand::CompletePhase(_)) => "mismatch of a completion",
            Command::Group(GroupCommand::CommitOffsets(_)) => "mismatch of a commit",
            _ => "mismatch of a deletion",
        }],
    }
}

fn name_commit(reasons: impl Iterator<Item = CommitRefusal>) -> Vec<&'static str> {
    let mut names = vec!["committed"];
    for reason in reasons {
        names.push(match reason {
            CommitRefusal::Overtaken { .. } => "overtaken",
            CommitRefusal::UnknownPartition => "unknown partition",
            CommitRefusal::LimitReached => "limit of offsets",
        });
    }
    names
}

fn name_refusal(refusal: GroupRefusal) -> &'static str {
    match refusal {
        GroupRefusal::GroupNotFound => "group not found",
        GroupRefusal::UnknownMember => "unknown member",
        GroupRefusal::FencedInstance => "fenced instance",
        GroupRefusal::IllegalGeneration => "illegal generation",
        GroupRefusal::RebalanceInProgress => "rebalance in progress",
        GroupRefusal::InconsistentProtocol => "inconsistent protocol",
        GroupRefusal::GroupFull => "group full",
        GroupRefusal::NotEmpty => "not empty",
        GroupRefusal::LimitReached => "limit",
        GroupRefusal::Malformed => "malformed",
    }
}
