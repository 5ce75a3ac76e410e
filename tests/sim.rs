//! The simulation: gateways and clients in one process, on one thread, in virtual time, over stores that fail as a seed
//! says.
//!
//! What is simulated is everything between a client's bytes and the store's: connections, the wire, the server, the
//! engine, the decorators around the stores. What is checked is what a client may rely on (`ledger`, `reading`), and that
//! all gateways agree (`finale`).
//!
//! Promises: the same seed gives the same trace, byte for byte; a violation is printed with its seed, the end of its trace
//! and the command that runs it again. Called by `cargo test`.
//! `SLUICE_SIM_SEED=n` runs one seed and prints its trace; `SLUICE_SIM_SEEDS=start..end` runs others than the usual ones.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "sim/chaos.rs"]
mod chaos;
#[path = "sim/connection.rs"]
mod connection;
#[path = "sim/consumers.rs"]
mod consumers;
#[path = "sim/draw.rs"]
mod draw;
#[path = "sim/finale.rs"]
mod finale;
#[path = "sim/fleet.rs"]
mod fleet;
#[path = "sim/journal.rs"]
mod journal;
#[path = "sim/ledger.rs"]
mod ledger;
#[path = "sim/link.rs"]
mod link;
#[path = "sim/noted.rs"]
mod noted;
#[path = "sim/plan.rs"]
mod plan;
#[path = "sim/producers.rs"]
mod producers;
#[path = "sim/reading.rs"]
mod reading;
#[path = "sim/run.rs"]
mod run;
#[path = "sim/world.rs"]
mod world;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use sluice_engine::Defects;

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

/// A violation as a person wants to see it.
fn tell(report: &Report) -> String {
    let skipped = report.trace.len().saturating_sub(TAIL);
    let tail = report.trace[skipped..].join("\n");
    let violations = report.violations.join("\n  ");
    let seed = report.seed;
    format!(
        "seed {seed}:\n  {violations}\nthe end of its trace:\n{tail}\nrun it again, with its whole trace:\n  \
         SLUICE_SIM_SEED={seed} cargo test -p sluice-tests --test sim kept -- --nocapture"
    )
}

// Holds: L1, L3, I-01, I-02, I-06, I-11, T5
#[test]
fn every_promise_is_kept_whatever_befalls_stores_and_gateways() {
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

/// A simulation that meets no faults proves nothing.
fn check_that_it_was_rough(stats: &Stats) {
    let met = [
        "log: refused",
        "log: lost answers",
        "log: lost requests",
        "log: late effects",
        "log: tails unread",
        "log: delayed",
        "objects: refused",
        "objects: lost answers",
        "objects: lost requests",
        "objects: late effects",
        "objects: delayed",
        "kills",
        "graceful stops",
        "connections that a client dropped",
        "connections that a gateway took with it",
        "batches of unknown outcome (7)",
        "batches that did not happen",
        "batches never answered",
        "batches sent again by idempotent producers",
        "batches sent again by plain producers",
        "log elements that are copies or zombies",
        "fetches that failed for now",
    ];
    for what in met {
        assert!(stats.get(what).copied().unwrap_or_default() >= 20, "hardly ever: {what}");
    }
}

// Holds: I-13
#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in (0..16).chain([1_000, 123_456_789, u64::MAX]) {
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
const SEEDS_UNTIL_FOUND: u64 = 60;

fn find_defect(name: &str, options: Options) {
    for seed in 0..SEEDS_UNTIL_FOUND {
        let report = run(seed, options);
        if !report.violations.is_empty() {
            let some = report.violations[..report.violations.len().min(3)].join("\n  ");
            println!("{name}: found by seed {seed}, after {seed} others:\n  {some}");
            return;
        }
    }
    panic!("{name}: not found by {SEEDS_UNTIL_FOUND} seeds");
}

// Holds: I-01
#[test]
fn an_acknowledgement_before_apply_is_found() {
    let defects = Defects { ack_before_apply: true, ..Defects::default() };
    find_defect("acknowledged before apply", Options { defects, ..Options::default() });
}

// Holds: L1, L3
#[test]
fn a_new_identity_for_an_unknown_entry_is_found() {
    let defects = Defects { reseal_unknown: true, ..Defects::default() };
    find_defect("L1 off", Options { defects, ..Options::default() });
}

// Holds: I-11
#[test]
fn an_unknown_that_reads_as_did_not_happen_is_found() {
    find_defect("Unknown told as did not happen", Options { unknown_reads_as_unavailable: true, ..Options::default() });
}

/// Without faults nobody is ever told that something failed.
#[test]
fn in_calm_weather_everything_is_acknowledged() {
    for seed in 0..5 {
        let report = run(seed, Options { is_calm: true, ..Options::default() });
        assert!(report.violations.is_empty(), "{}", tell(&report));
        for never in ["batches of unknown outcome (7)", "batches that did not happen", "batches never answered"] {
            assert_eq!(report.stats.get(never), None, "seed {seed}: {never}");
        }
    }
}
