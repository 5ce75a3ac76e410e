//! Ten groups at work on three gateways, of which one after the other is killed: nobody may notice.
//!
//! Promises: after each kill, every member goes on; the generation of each group is the one it had, its members and their
//! assignments are the ones it had, and no committed offset is gone or lower than it was. The gateways to kill follow from
//! a seed, which is printed. Called by the program `group_chaos` (`make chaos`, and three rounds in `make conformance`).

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

use crate::company::{Company, Shape, unique};
use crate::feed::Feed;
use crate::fleet::{self, Fleet, Kind};
use crate::members::{Event, Library};
use crate::process::Sluice;

/// What is disturbed, and how often.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Kills.
    pub rounds: u32,
    /// Groups, of two members each.
    pub groups: usize,
    /// Decides which gateway is killed in which round.
    pub seed: u64,
}

/// What came of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Gateways killed.
    pub kills: u32,
    /// Questions for committed offsets, each of one group, that were compared.
    pub looks: u64,
    /// Records processed.
    pub records: i64,
    /// Longest time from a kill until every member had processed something again.
    pub slowest: Duration,
}

const PARTITIONS: i32 = 6;
/// Not so short that a member is expired while its gateway starts again on a busy machine: no member fails here.
const SESSION_MS: u64 = 20_000;
const RECOVERED: Duration = Duration::from_secs(15);

/// Greatest committed offset seen, by group and partition.
type Committed = Vec<BTreeMap<i32, i64>>;

/// Runs the plan; `None` where the emulator is not to be had.
///
/// # Errors
/// What somebody noticed.
pub fn run(plan: Plan, mut say: impl FnMut(&str)) -> anyhow::Result<Option<Outcome>> {
    let Some(mut fleet) = Fleet::start(Kind::Processes(3)) else { return Ok(None) };
    let mut processes = std::mem::take(&mut fleet.processes);
    let (topic, probe) = (unique("chaos"), unique("probe"));
    fleet::create_topic(fleet.gateways()[0], &topic, PARTITIONS)?;
    fleet::create_topic(fleet.gateways()[0], &probe, 1)?;
    let mut feed = Feed::start(fleet.bootstrap(), &topic, PARTITIONS, Duration::from_millis(25));
    let mut groups = Vec::new();
    for n in 0..plan.groups {
        let assignor = if n % 2 == 0 { "range" } else { "cooperative-sticky" };
        let shape = Shape { name: "chaos", assignor, partitions: PARTITIONS, session_ms: SESSION_MS };
        let mut company = Company::over(&fleet, &shape, &topic);
        company.join(Library::Librdkafka)?;
        company.join(Library::Librdkafka)?;
        groups.push(company);
    }
    for group in &groups {
        group.settle("two joined")?;
    }
    say(&format!("{} groups of two members on three gateways; seed {}", plan.groups, plan.seed));
    let mut outcome = disturb(plan, &fleet, &mut processes, &groups, (&topic, &probe), &mut say)?;
    feed.stop();
    for group in groups {
        outcome.records += group.finish(false)?.records;
    }
    Ok(Some(outcome))
}

fn disturb(
    plan: Plan,
    fleet: &Fleet,
    processes: &mut [Sluice],
    groups: &[Company<'_>],
    (topic, probe): (&str, &str),
    say: &mut impl FnMut(&str),
) -> anyhow::Result<Outcome> {
    let any = fleet.gateways()[0];
    let mut before = Vec::new();
    for group in groups {
        before.push((fleet::generation(any, &group.membership.group, probe, 1)?, members(any, group)?));
    }
    let (over, alive) = (AtomicBool::new(false), Mutex::new(fleet.gateways().to_vec()));
    std::thread::scope(|threads| {
        let looking = threads.spawn(|| look_on(groups, topic, &alive, &over));
        let mut rounds = || -> anyhow::Result<Outcome> {
            let (mut outcome, mut seed) = (Outcome::default(), plan.seed);
            for round in 1..=plan.rounds {
                let victim = usize::try_from(next(&mut seed) % processes.len() as u64)?;
                let took = kill_one(victim, fleet, processes, groups, &alive)?;
                outcome.slowest = outcome.slowest.max(took);
                outcome.kills += 1;
                let other = fleet.gateways()[(victim + 1) % fleet.gateways().len()];
                for (group, (generation, members_before)) in groups.iter().zip(&before) {
                    nothing_moved(other, group, probe, *generation, members_before)
                        .with_context(|| format!("round {round}, gateway {victim} killed"))?;
                }
                say(&format!(
                    "round {round}: gateway {victim} killed; all members work again after {} ms; every generation is unchanged",
                    took.as_millis()
                ));
            }
            Ok(outcome)
        };
        let outcome = rounds();
        over.store(true, Ordering::Relaxed);
        let looks = looking.join().expect("who looks on")?;
        let mut outcome = outcome?;
        outcome.looks = looks;
        Ok(outcome)
    })
}

/// Kills a gateway under load and starts it again when every member works again; returns how long that took.
fn kill_one(
    victim: usize,
    fleet: &Fleet,
    processes: &mut [Sluice],
    groups: &[Company<'_>],
    alive: &Mutex<Vec<SocketAddr>>,
) -> anyhow::Result<Duration> {
    let addr = fleet.gateways()[victim];
    alive.lock().unwrap_or_else(PoisonError::into_inner).retain(|a| *a != addr);
    processes[victim].kill();
    let since = Instant::now();
    for group in groups {
        group.progress("a gateway was killed", RECOVERED)?;
    }
    let took = since.elapsed();
    processes[victim].restart();
    alive.lock().unwrap_or_else(PoisonError::into_inner).push(addr);
    Ok(took)
}

/// A group's members and assignments, as a gateway shows them.
fn members(addr: SocketAddr, group: &Company<'_>) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let described = fleet::describe(addr, &group.membership.group)?;
    ensure!(
        &*described.group_state == "Stable",
        "{} is {}\n{}",
        group.membership.group,
        described.group_state,
        group.story()
    );
    let one = |m: &sluice_protocol::messages::describe_groups::DescribedGroupMember| {
        (m.member_id.to_string(), m.member_assignment.to_vec())
    };
    Ok(described.members.iter().map(one).collect())
}

fn nothing_moved(
    addr: SocketAddr,
    group: &Company<'_>,
    probe: &str,
    generation: i32,
    members_before: &BTreeMap<String, Vec<u8>>,
) -> anyhow::Result<()> {
    let found = fleet::generation(addr, &group.membership.group, probe, generation)?;
    ensure!(found == generation, "the generation went from {generation} to {found}\n{}", group.story());
    let members = members(addr, group)?;
    ensure!(members == *members_before, "members or assignments have changed\n{}", group.story());
    Ok(())
}

/// Asks gateways that are alive, in turn, for what is committed, until it is over; returns how often.
fn look_on(
    groups: &[Company<'_>],
    topic: &str,
    alive: &Mutex<Vec<SocketAddr>>,
    over: &AtomicBool,
) -> anyhow::Result<u64> {
    let mut greatest: Committed = vec![BTreeMap::new(); groups.len()];
    let mut looks = 0u64;
    while !over.load(Ordering::Relaxed) {
        for (group, greatest) in groups.iter().zip(&mut greatest) {
            // What the members know to be committed before the question must be in the answer.
            for entry in group.journal.entries() {
                if let Event::Committed(offsets) = entry.event {
                    offsets.into_iter().for_each(|(p, o)| raise(greatest, p, o));
                }
            }
            let (turn, alive_now) = (looks, alive.lock().unwrap_or_else(PoisonError::into_inner).clone());
            let addr = alive_now[usize::try_from(turn)? % alive_now.len()];
            // A gateway that is killed while it is asked answers nothing, which is no answer to judge.
            let found = match fleet::committed(addr, &group.membership.group, topic, PARTITIONS) {
                Err(error) if error.is::<fleet::Gone>() => continue,
                found => found?,
            };
            for (partition, offset) in greatest.iter() {
                ensure!(
                    found.get(partition) >= Some(offset),
                    "{}: {addr} shows {:?} for partition {partition}, where {offset} was committed\n{}",
                    group.membership.group,
                    found.get(partition),
                    group.story()
                );
            }
            found.into_iter().for_each(|(p, o)| raise(greatest, p, o));
            looks += 1;
        }
        crate::process::pause();
    }
    Ok(looks)
}

fn raise(greatest: &mut BTreeMap<i32, i64>, partition: i32, offset: i64) {
    let known = greatest.entry(partition).or_default();
    *known = offset.max(*known);
}

/// The next number of a sequence that follows from the seed (SplitMix64).
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
