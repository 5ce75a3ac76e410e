//! `sluice-bench groups`: what consumer groups cost, in store requests, time and CPU, judged by counted targets.
//!
//! Promises: every number stands beside its target; whoever runs it hears by the exit code whether all were kept; every
//! cell has a fleet of its own, and fails if members or offsets are not what they must be. Never: leaves a process running.
//! Run by `make bench-groups`; small cells run in `cargo test`.

mod client;
mod commits;
mod cost;
mod counters;
mod delay;
mod fleet;
mod heartbeats;
mod joins;
mod member;
mod observe;
mod restart;
#[cfg(test)]
mod tests;
mod topics;
mod verdict;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;

use self::commits::CommitPlan;
use self::cost::CostPlan;
use self::fleet::{Fleet, Shape};
use self::heartbeats::HeartbeatPlan;
use self::joins::JoinPlan;
use self::restart::RestartPlan;
use self::verdict::Verdicts;
use crate::cores::Cores;
use crate::server::Launcher;

/// Kafka's default of `group.initial.rebalance.delay.ms`, where the delay itself is looked at.
const INITIAL_DELAY: Duration = Duration::from_secs(3);
/// Where groups only have to be there.
const SHORT_DELAY: Duration = Duration::from_secs(1);
/// Of a store that is a round trip away.
const STORE_LATENCY: Duration = Duration::from_millis(5);
const FLEET: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct GroupsArgs {
    /// The gateway to start; by default the `sluice` that lies beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,
    /// Runs only the cells whose name contains this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Leaves out the cells over the store emulator.
    #[arg(long)]
    no_emulator: bool,
    /// Divides the number of groups and members, for a first look or under a profiler. Says nothing about the targets.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=100))]
    divide: u16,
    /// Writes the results here as JSON as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    Heartbeats,
    Commits { over_emulator: bool },
    Joins { gateways: usize },
    Restart,
    Cost,
}

impl Cell {
    const ALL: [Self; 7] = [
        Self::Heartbeats,
        Self::Commits { over_emulator: false },
        Self::Commits { over_emulator: true },
        Self::Joins { gateways: 1 },
        Self::Joins { gateways: FLEET },
        Self::Restart,
        Self::Cost,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Heartbeats => "100 groups x 10, 3 gateways",
            Self::Commits { over_emulator: false } => "1000 commits/s of 12, memory + 5 ms",
            Self::Commits { over_emulator: true } => "1000 commits/s of 12, MiniStack + 5 ms",
            Self::Joins { gateways: 1 } => "500 members of one group, 1 gateway",
            Self::Joins { .. } => "500 members of one group, 3 gateways",
            Self::Restart => "restart of 3 gateways, 1000 groups",
            Self::Cost => "cost of a request, 1 gateway",
        }
    }

    fn shape(self) -> Shape {
        let shape = Shape { gateways: FLEET, initial_delay: SHORT_DELAY, ..Shape::default() };
        match self {
            Self::Heartbeats | Self::Restart => shape,
            Self::Commits { .. } => Shape { store_latency: STORE_LATENCY, ..shape },
            Self::Joins { gateways } => Shape { gateways, initial_delay: INITIAL_DELAY, ..shape },
            Self::Cost => Shape { gateways: 1, ..shape },
        }
    }

    /// False when what it needs is not to be had.
    async fn run(self, launcher: &Launcher, divide: usize, verdicts: &mut Verdicts) -> anyhow::Result<bool> {
        let mut fleet = match self {
            Self::Commits { over_emulator: true } => match Fleet::over_ministack(launcher, self.shape()).await? {
                Some(fleet) => fleet,
                None => return Ok(false),
            },
            _ => Fleet::hosted(launcher, self.shape()).await?,
        };
        verdicts.begin(self.name());
        match self {
            Self::Heartbeats => heartbeats::run(&fleet, heartbeat_plan(divide), verdicts).await,
            Self::Commits { .. } => commits::run(&fleet, commit_plan(divide)?, verdicts).await,
            Self::Joins { gateways } => joins::run(&fleet, join_plan(gateways, divide), verdicts).await,
            Self::Restart => restart::run(&mut fleet, Some(launcher), restart_plan(divide), verdicts).await,
            Self::Cost => {
                let plan = CostPlan { heartbeats: 200_000 / u64::try_from(divide)?, commits_each: 100 };
                cost::run(&fleet, plan, verdicts).await
            }
        }
        .map(|()| true)
    }
}

fn heartbeat_plan(divide: usize) -> HeartbeatPlan {
    HeartbeatPlan {
        groups: 100 / divide,
        members_each: 10,
        interval: Duration::from_secs(3),
        // A commit of each member every 6 s.
        beats_per_commit: 2,
        window: Duration::from_secs(15),
    }
}

fn commit_plan(divide: usize) -> anyhow::Result<CommitPlan> {
    Ok(CommitPlan {
        members: 300 / u32::try_from(divide)?,
        per_second: 1_000 / u32::try_from(divide)?,
        partitions: 12,
        warm_up: Duration::from_secs(3),
        window: Duration::from_secs(15),
    })
}

fn join_plan(gateways: usize, divide: usize) -> JoinPlan {
    let target_s = if gateways == 1 { 2.0 } else { 5.0 };
    JoinPlan { members: 500 / divide, initial_delay: INITIAL_DELAY, target_s }
}

fn restart_plan(divide: usize) -> RestartPlan {
    RestartPlan {
        groups: 1_000 / divide,
        members_each: 2,
        session_timeout: Duration::from_secs(30),
        back_within: Duration::from_secs(20),
        interval: Duration::from_secs(3),
        // The lease of a lost session, the timeout of the members it watched, and some.
        watched: Duration::from_secs(55),
    }
}

/// Runs the cells. Fails when a target was missed.
pub(crate) fn run_groups(args: &GroupsArgs, binary: PathBuf) -> anyhow::Result<()> {
    let wanted = |cell: &Cell| {
        let is_named = args.only.is_empty() || args.only.iter().any(|text| cell.name().contains(text.as_str()));
        is_named && !(args.no_emulator && matches!(cell, Cell::Commits { over_emulator: true }))
    };
    let cores = Cores::take().context("cannot pin the generator to a core")?;
    let launcher = Launcher::new(binary, &cores);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut verdicts = Verdicts::default();
    Verdicts::print_heading();
    for cell in Cell::ALL.into_iter().filter(wanted) {
        let ran = runtime.block_on(cell.run(&launcher, usize::from(args.divide), &mut verdicts));
        if !ran.with_context(|| cell.name())? {
            println!("{:<44} skipped: the store emulator is not installed (make setup)", cell.name());
        }
    }
    if let Some(path) = &args.json {
        std::fs::write(path, verdicts.to_json()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match verdicts.missed().as_slice() {
        [] => Ok(()),
        missed => bail!("{} of the targets were missed", missed.len()),
    }
}
