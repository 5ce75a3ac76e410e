//! The end of a run: nothing is in the way any more, and every group comes to rest.
//!
//! Promises: waits as long as the protocol allows and no longer. All gateways, old and new, say the same in the end.
//! Called by `run`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sluice_metadata::GroupPhase;
use sluice_protocol::KString;
use sluice_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use sluice_protocol::messages::offset_fetch::OffsetFetchRequestGroup;
use sluice_protocol::messages::{DescribeGroupsRequest, OffsetCommitRequest, OffsetFetchRequest};
use tokio::time::Instant;

use crate::connection::{Connection, Lost};
use crate::fleet::SLOTS;
use crate::ledger::{Fate, Place};
use crate::roster::Roster;
use crate::world::{World, group_name, places, topic_name, topic_number};

const WHO: &str = "end";
/// The lease of a gateway session (T1).
const LEASE: Duration = Duration::from_secs(15);
/// The longest session timeout of a member.
const SESSION_MAX: Duration = Duration::from_secs(10);
/// The longest rebalance timeout.
const REBALANCE_MAX: Duration = Duration::from_secs(20);
/// Staggered proposals, the way there and back.
const SLACK: Duration = Duration::from_secs(20);
/// How long groups at rest are watched.
const REST: Duration = Duration::from_secs(15);
const PATIENCE: Duration = Duration::from_secs(10);

pub async fn run(world: &Arc<World>, roster: &Roster) {
    // Those who were away come back, those who paused go on.
    tokio::time::sleep(Duration::from_secs(1)).await;
    while world.is_somebody_paused() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // They are heard of again, or found to be too late; and what the log was asked on the last bad day is answered.
    tokio::time::sleep(Duration::from_secs(13)).await;
    if !come_to_rest(world).await {
        return;
    }
    let generations = generations(world);
    tokio::time::sleep(REST).await;
    if generations != self::generations(world) {
        let now = self::generations(world);
        world.journal.violation(WHO, format_args!("groups at rest rebalance: {generations:?}, then {now:?}"));
    }
    for seat in roster.seats.iter().filter(|seat| seat.has_panicked()) {
        world.journal.violation(WHO, format_args!("a member came to an end: {:?}", seat.spec));
    }
    everywhere(world, Question::Members).await;
    empty_groups(world, roster).await;
    // One that has only replayed it.
    world.fleet.kill(0);
    world.fleet.start(0).await;
    everywhere(world, Question::Offsets).await;
    // Each of them writes, twice: what they think of the log so far is in what they write (L9).
    everywhere(world, Question::Commit).await;
    everywhere(world, Question::Commit).await;
    world.oracle.check_invariants();
}

fn generations(world: &World) -> Vec<i32> {
    (0..world.plan.groups).map(|group| world.oracle.group(group).map_or(0, |group| group.generation)).collect()
}

/// Whether the group is stable with just the members that live, and each knows what it owns; else what is wrong.
fn is_at_rest(world: &World, number: usize) -> Result<(), String> {
    let group = world.oracle.group(number).ok_or("it does not exist")?;
    let alive = world.ledger.alive(number);
    let ids: BTreeSet<&str> = group.members.values().map(|member| &*member.id).collect();
    let living: BTreeSet<&str> = alive.iter().map(|process| process.member_id.as_str()).collect();
    if group.phase != GroupPhase::Stable || ids != living {
        return Err(format!("it is {:?} with {ids:?}, and {living:?} live", group.phase));
    }
    if alive.iter().any(|process| process.assigned != Some(group.generation)) {
        return Err(format!("somebody has no assignment in generation {}", group.generation));
    }
    match places().find(|place| world.ledger.owner(number, group.generation, *place).is_none()) {
        Some(place) => Err(format!("{place:?} has no owner")),
        None => Ok(()),
    }
}

/// Liveness: whatever happened, every group is stable again in time.
async fn come_to_rest(world: &World) -> bool {
    let began = Instant::now();
    let deadline = began + REBALANCE_MAX + SESSION_MAX + LEASE + SLACK;
    loop {
        let restless: Vec<_> =
            (0..world.plan.groups).filter_map(|group| Some((group, is_at_rest(world, group).err()?))).collect();
        if restless.is_empty() {
            world.journal.note(WHO, format_args!("all groups rest after {:?}", began.elapsed()));
            return true;
        }
        if Instant::now() > deadline {
            for (group, why) in restless {
                world.journal.violation(WHO, format_args!("group {group} does not come to rest: {why}"));
            }
            return false;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Of some groups the members leave, of others they die: all are empty in time.
async fn empty_groups(world: &World, roster: &Roster) {
    for group in 0..world.plan.groups {
        roster.of(group).for_each(|seat| if group % 2 == 0 { seat.leave() } else { seat.end() });
    }
    let began = Instant::now();
    for group in 0..world.plan.groups {
        let time = if group % 2 == 0 { SLACK } else { REBALANCE_MAX + SESSION_MAX + SLACK };
        let is_empty = || world.oracle.group(group).is_some_and(|group| group.phase == GroupPhase::Empty);
        while !is_empty() && began.elapsed() < time {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        if !is_empty() {
            let is = world.oracle.group(group).map(|group| (group.phase, group.members.len(), group.registered.len()));
            world.journal.violation(WHO, format_args!("group {group} is not empty in time: {is:?}"));
        }
        debug_assert!(world.ledger.alive(group).iter().all(|process| process.fate == Fate::Alive));
    }
}

#[derive(Debug, Clone, Copy)]
enum Question {
    Members,
    Offsets,
    Commit,
}

/// Asks every gateway.
async fn everywhere(world: &World, question: Question) {
    for slot in 0..SLOTS {
        let Some((mut connection, _)) = world.fleet.connect(slot, WHO).await else {
            world.journal.violation(WHO, format_args!("g{slot} does not run"));
            continue;
        };
        let answered = match question {
            Question::Members => describe(world, &mut connection).await,
            Question::Offsets => fetch(world, &mut connection).await,
            Question::Commit => commit(world, &mut connection).await,
        };
        if let Err(lost) = answered {
            world.journal.violation(WHO, format_args!("{question:?} through g{slot}: {lost:?}"));
        }
    }
}

async fn describe(world: &World, connection: &mut Connection) -> Result<(), Lost> {
    let groups = (0..world.plan.groups).map(|group| KString::from(group_name(group))).collect();
    let request = DescribeGroupsRequest { groups, include_authorized_operations: false };
    let answer = connection.request(5, &request, PATIENCE).await?;
    for (group, told) in answer.groups.iter().enumerate() {
        let ids: BTreeSet<String> = told.members.iter().map(|member| member.member_id.as_str().to_owned()).collect();
        let living: BTreeSet<String> = world.ledger.alive(group).into_iter().map(|process| process.member_id).collect();
        if told.group_state.as_str() != "Stable" || ids != living {
            let state = told.group_state.as_str();
            world
                .journal
                .violation(WHO, format_args!("{} says {state} with {ids:?}; {living:?} live", connection.gateway()));
        }
    }
    Ok(())
}

/// Nothing that was acknowledged is lost, and all gateways say the same.
async fn fetch(world: &World, connection: &mut Connection) -> Result<(), Lost> {
    let group = |group| OffsetFetchRequestGroup {
        group_id: KString::from(group_name(group)),
        topics: None,
        ..OffsetFetchRequestGroup::default()
    };
    let groups = (0..world.plan.groups).map(group).collect();
    let answer =
        connection.request(9, &OffsetFetchRequest { groups, ..OffsetFetchRequest::default() }, PATIENCE).await?;
    let acked = world.ledger.acked();
    for (group, told) in answer.groups.iter().enumerate() {
        let blocks =
            told.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |block| (&topic.name, block)));
        let offsets: BTreeMap<Place, i64> = blocks
            .filter_map(|(name, block)| {
                Some(((topic_number(name.as_str())?, block.partition_index), block.committed_offset))
            })
            .collect();
        for place in places() {
            let told = offsets.get(&place).copied().unwrap_or(-1);
            let (stored, acked) =
                (world.oracle.stored(group, place), acked.get(&(group, place)).copied().unwrap_or(-1));
            if told != stored || told < acked {
                let gateway = connection.gateway();
                let what =
                    format_args!("{gateway}: {place:?} of group {group} is at {told}, not {stored}; acked {acked}");
                world.journal.violation(WHO, what);
            }
        }
    }
    Ok(())
}

/// A simple consumer's commit to a group without members.
async fn commit(world: &World, connection: &mut Connection) -> Result<(), Lost> {
    let place = (0, 0);
    let partition = OffsetCommitRequestPartition {
        partition_index: place.1,
        committed_offset: world.oracle.stored(0, place) + 1,
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: topic_name(place.0),
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let group_id = KString::from(group_name(0));
    let request = OffsetCommitRequest { group_id, topics: vec![topic], ..OffsetCommitRequest::default() };
    let answer = connection.request(8, &request, PATIENCE).await?;
    let code = answer.topics.first().and_then(|topic| topic.partitions.first()).map(|block| block.error_code);
    if code.is_none_or(|code| !code.is_none()) {
        world.journal.violation(WHO, format_args!("{}: a commit to an empty group: {code:?}", connection.gateway()));
    }
    Ok(())
}
