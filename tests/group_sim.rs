//! The simulation of groups: three gateways and the members of up to three groups in one process, on one thread, in
//! virtual time, over a log that fails as a seed says, with gateways that are killed, stop and stand still.
//!
//! What is simulated is everything between a member's bytes and the log. What is checked (`oracle`, `judgement`, `ledger`,
//! `finale`): in a generation a partition has one owner; a commit that takes effect is its owner's, and never goes back; a
//! member goes, and a generation ends, only for a reason that a client could give; every error is true of the group (T5);
//! whatever happened, groups come to rest in time; all gateways agree.
//!
//! Promises: the same seed gives the same trace, byte for byte; a violation is printed with its seed, the end of its trace
//! and the command that runs it again. Called by `cargo test`.
//! `SLUICE_SIM_SEED=n` runs one seed and prints its trace; `SLUICE_SIM_SEEDS=start..end` runs others than the usual ones.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "group_sim/chaos.rs"]
mod chaos;
#[path = "sim/connection.rs"]
mod connection;
#[path = "sim/draw.rs"]
mod draw;
#[path = "group_sim/finale.rs"]
mod finale;
#[path = "group_sim/fleet.rs"]
mod fleet;
#[path = "group_sim/gate.rs"]
mod gate;
#[path = "sim/journal.rs"]
mod journal;
#[path = "group_sim/judgement.rs"]
mod judgement;
#[path = "group_sim/ledger.rs"]
mod ledger;
#[path = "group_sim/member.rs"]
mod member;
#[path = "sim/noted.rs"]
mod noted;
#[path = "group_sim/oracle.rs"]
mod oracle;
#[path = "group_sim/plan.rs"]
mod plan;
#[path = "group_sim/requests.rs"]
mod requests;
#[path = "group_sim/roster.rs"]
mod roster;
#[path = "group_sim/run.rs"]
mod run;
#[path = "group_sim/world.rs"]
mod world;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use sluice_engine::Defects;
use sluice_metadata::StateDefects;

use crate::journal::Stats;
use crate::plan::Options;
use crate::run::{Report, run};

/// Seeds of `make test`.
const SEEDS: Range<u64> = 0..200;
/// Lines of a trace that are printed with a violation.
const TAIL: usize = 80;

/// The seeds to run, and whether their traces are printed.
fn chosen_seeds() -> (Range<u64>, bool) {
    let number = |text: &str| text.trim().parse::<u64>().expect("a seed is a number");
    if let Ok(seed) = std::env::var("SLUICE_SIM_SEED") {
        let seed = number(&seed);
        return (seed..seed + 1, true);
    }
    match std::env::var("SLUICE_SIM_SEEDS") {
        Ok(range) => {
            let (start, end) = range.split_once("..").expect("SLUICE_SIM_SEEDS=start..end");
            (number(start)..number(end), false)
        }
        Err(_) => (SEEDS, false),
    }
}

/// Runs the seeds on as many threads as there are processors: each run has a thread to itself.
fn run_all(seeds: Range<u64>, options: Options) -> Vec<Report> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut reports = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return reports;
            }
            let mut report = run(seed, options);
            if report.violations.is_empty() && seeds.end - seeds.start > 1 {
                report.trace = Vec::new();
            }
            reports.push(report);
        }
    };
    let mut reports: Vec<Report> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().flat_map(|thread| thread.join().expect("a run that ends")).collect()
    });
    reports.sort_by_key(|report| report.seed);
    reports
}

/// A violation as a person wants to see it: what led to the first of them.
fn tell(report: &Report) -> String {
    let first = report.trace.iter().position(|line| line.contains("VIOLATION"));
    let end = first.map_or(report.trace.len(), |first| first + 1);
    let tail = report.trace[end.saturating_sub(TAIL)..end].join("\n");
    let violations = report.violations.join("\n  ");
    let seed = report.seed;
    format!(
        "seed {seed}:\n  {violations}\nits trace up to the first of them:\n{tail}\nrun it again, with its whole trace:\n  \
         SLUICE_SIM_SEED={seed} cargo test -p sluice-tests --test group_sim kept -- --nocapture"
    )
}

// Holds: T1, T2, T4, T5, T6, T7, L9, I-06, I-12
#[test]
fn every_promise_to_groups_is_kept_whatever_befalls_gateways_and_members() {
    let (seeds, prints) = chosen_seeds();
    let reports = run_all(seeds.clone(), Options::default());
    let mut stats = Stats::new();
    for report in &reports {
        if prints {
            println!("{}", report.trace.join("\n"));
        }
        report.stats.iter().for_each(|(what, count)| *stats.entry(what).or_default() += count);
    }
    for (what, count) in &stats {
        println!("{count:>9}  {what}");
    }
    let bad: Vec<&Report> = reports.iter().filter(|report| !report.violations.is_empty()).collect();
    if let Some(first) = bad.first() {
        let each: Vec<String> = bad.iter().map(|report| format!("{}: {}", report.seed, report.violations[0])).collect();
        panic!("{}\n{} of {} seeds are bad:\n{}", tell(first), bad.len(), reports.len(), each.join("\n"));
    }
    if seeds == SEEDS {
        check_that_it_was_rough(&stats);
    }
}

/// A simulation that meets nothing proves nothing.
fn check_that_it_was_rough(stats: &Stats) {
    let met = [
        "log: refused",
        "log: lost answers",
        "log: lost requests",
        "log: late effects",
        "kills",
        "graceful stops",
        "stalls",
        "stalls with a request in flight",
        "clock gaps",
        "outages",
        "whole fleets down",
        "stable groups at a kill",
        "generations",
        "take-overs",
        "leaves",
        "members expired",
        "members killed",
        "members that paused",
        "members that changed their metadata",
        "static members that came back",
        "phases completed by time",
        "commits",
        "commits in pairs",
        "commits whose sender paused",
        "commits overtaken",
        "commands that met another State",
        "commands refused in apply",
        "connections half closed with a request in flight",
        "connections lost",
        "requests given up",
        "answers 7 (outcome unknown)",
        "answers 14 and 15 (try again)",
        "answers 22 (illegal generation)",
        "answers 25 (unknown member)",
        "answers 27 (rebalance in progress)",
        "answers 79 (member id required)",
        "answers 82 (fenced instance)",
    ];
    for what in met {
        assert!(stats.get(what).copied().unwrap_or_default() >= 5, "hardly ever: {what}");
    }
}

// Holds: I-13
#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in (0..6).chain([1_000, u64::MAX]) {
        let (first, second) = (run(seed, Options::default()), run(seed, Options::default()));
        assert!(first.trace.len() > 100, "seed {seed}: hardly anything happened");
        let differs = first.trace.iter().zip(&second.trace).position(|(a, b)| a != b);
        if let Some(at) = differs {
            panic!("seed {seed}, line {at}:\n  {}\n  {}", first.trace[at], second.trace[at]);
        }
        assert_eq!(first.trace.len(), second.trace.len(), "seed {seed}");
        assert_eq!(first.stats, second.stats, "seed {seed}");
    }
}

/// How many seeds a planted defect may survive.
const SEEDS_UNTIL_FOUND: u64 = 100;

fn find_defect(name: &str, defects: Defects) {
    for seed in 0..SEEDS_UNTIL_FOUND {
        let report = run(seed, Options { defects, ..Options::default() });
        // What the defect breaks holds without it.
        if !report.violations.is_empty() && run(seed, Options::default()).violations.is_empty() {
            let some = report.violations[..report.violations.len().min(3)].join("\n  ");
            println!("{name}: found by seed {seed}, after {seed} others:\n  {some}");
            return;
        }
    }
    panic!("{name}: not found by {SEEDS_UNTIL_FOUND} seeds");
}

fn find_state_defect(name: &str, state: StateDefects) {
    find_defect(name, Defects { state, ..Defects::default() });
}

// Holds: T2, T7 (take-over: watch epoch)
#[test]
fn a_take_over_without_watch_epoch_is_found() {
    find_state_defect(
        "take-over without watch epoch",
        StateDefects { takeover_keeps_epoch: true, ..StateDefects::default() },
    );
}

// Holds: T7 (OffsetCommit: generation, member)
#[test]
fn an_offset_fenced_at_admission_instead_of_in_apply_is_found() {
    find_state_defect("offset fenced at admission", StateDefects { commit_unfenced: true, ..StateDefects::default() });
}

/// Design section 8: the entry that makes all known members joined completes the phase, whatever entry that is.
#[test]
fn a_completion_checked_against_joins_only_is_found() {
    let state = StateDefects { complete_after_joins_only: true, ..StateDefects::default() };
    find_state_defect("completion checked against joins only", state);
}

// Holds: T2 (never while joined under an open session)
#[test]
fn a_waiting_member_expired_is_found() {
    find_state_defect("a waiting member expired", StateDefects { expire_waiting: true, ..StateDefects::default() });
}

// Holds: T2
#[test]
fn an_expiry_judged_by_anothers_clock_is_found() {
    find_defect("expiry judged by another's clock", Defects { expire_by_others: true, ..Defects::default() });
}

// Holds: T7 (phase completion: any gateway with a waiting Join)
#[test]
fn a_completion_by_one_gateway_only_is_found() {
    find_defect("completion by one gateway only", Defects { complete_by_one: true, ..Defects::default() });
}

// Holds: T5
#[test]
fn an_error_answered_without_a_barrier_is_found() {
    find_defect("an error without a barrier", Defects { errors_without_barrier: true, ..Defects::default() });
}

// Holds: T7 (commits are enqueued in the order they were read)
#[test]
fn a_commit_overtaken_on_the_same_gateway_is_found() {
    find_defect("a commit overtaken on the same gateway", Defects { commits_unordered: true, ..Defects::default() });
}

/// Without chaos nothing goes wrong, and nobody goes.
#[test]
fn in_calm_weather_members_stay_and_commits_are_taken() {
    for seed in 0..10 {
        let report = run(seed, Options { is_calm: true, ..Options::default() });
        assert!(report.violations.is_empty(), "{}", tell(&report));
        for never in ["answers 7 (outcome unknown)", "answers 82 (fenced instance)", "log: refused"] {
            assert_eq!(report.stats.get(never), None, "seed {seed}: {never}");
        }
    }
}
