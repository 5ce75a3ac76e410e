//! Cuts the power of the disk stores, again and again.
//!
//!     powercut [--seeds 500] [--from 1] [--teeth 100] [--jobs 8] [--work records|stores] [--keep FOLDER]
//!
//! Each seed is a gateway over the disk stores, and, with other draws, the stores alone: two to four lives on a simulated
//! disk, each ended by a loss of power or by kill −9 before an operation that is drawn. What each restart is compared with
//! stands in `records` and `stores`. Then as many runs as `--teeth` says, per kind of sync, in which syncs are skipped from a
//! drawn one on: a judge that cannot tell is no judge, so that too few of them caught is a failure as well.
//! Exit code 1 when something was lost, or too little caught. A failing seed is told with its command, and the disk that it was
//! found on is written below `--keep` (target/powercut): a data directory, to be looked at or opened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use sluice_powercut::machine::SyncKind;
use sluice_powercut::run::{Failure, Outcome, Plan, Skip, Work, run};

/// Kinds of skipped syncs: its name, the syncs, and how many of 100 runs must be caught.
///
/// All at once is the measure. Of one kind alone fewer can be seen, however good the judge: a skipped folder sync
/// shows only where the name was not made certain by a later sync of the same folder, and a skipped sync of one object only
/// where that object's bytes were not kept anyway.
const TEETH: [(&str, Option<SyncKind>, u64); 4] = [
    ("all", None, 90),
    ("folders", Some(SyncKind::Folder), 75),
    ("files", Some(SyncKind::File), 75),
    ("database", Some(SyncKind::Database), 75),
];
/// Failures that are told in full.
const TOLD_MAX: usize = 5;

struct Arguments {
    seeds: u64,
    from: u64,
    teeth: u64,
    jobs: usize,
    work: Option<Work>,
    keep: PathBuf,
}

fn arguments() -> Result<Arguments, String> {
    let mut parsed =
        Arguments { seeds: 500, from: 1, teeth: 100, jobs: 8, work: None, keep: PathBuf::from("target/powercut") };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().ok_or(format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{name} {value}: {error}"));
        match name.as_str() {
            "--seeds" => parsed.seeds = number()?,
            "--from" => parsed.from = number()?,
            "--teeth" => parsed.teeth = number()?,
            "--jobs" => parsed.jobs = value.parse().map_err(|error| format!("{name} {value}: {error}"))?,
            "--work" if value == "records" => parsed.work = Some(Work::Records),
            "--work" if value == "stores" => parsed.work = Some(Work::Stores),
            "--keep" => parsed.keep = PathBuf::from(value),
            _ => return Err(format!("unknown argument {name} {value}")),
        }
    }
    Ok(parsed)
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("error: {problem}");
            return ExitCode::from(2);
        }
    };
    let is_sound = lose_nothing(&arguments);
    // A store that was lied to may well panic; each run tells of its own.
    std::panic::set_hook(Box::new(|_| {}));
    let is_judged = catch_skips(&arguments);
    if is_sound && is_judged { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Makes the runs, several at a time: they wait more than they work.
fn run_all(plans: &[Plan], jobs: usize) -> Vec<(Plan, Result<Outcome, Box<Failure>>)> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(plan) = plans.get(at) else { break };
                    let result = run(*plan);
                    results.lock().unwrap_or_else(PoisonError::into_inner).insert(at, (*plan, result));
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner).into_values().collect()
}

fn plans(arguments: &Arguments, count: u64, skip: Option<Skip>) -> Vec<Plan> {
    let works = arguments.work.map_or(vec![Work::Records, Work::Stores], |work| vec![work]);
    let seeds = arguments.from..arguments.from + count;
    seeds.flat_map(|seed| works.iter().map(move |&work| Plan { seed, work, skip })).collect()
}

/// True when no run found anything.
fn lose_nothing(arguments: &Arguments) -> bool {
    let started = Instant::now();
    let (mut sum, mut failures) = (Outcome::default(), Vec::new());
    for (plan, result) in run_all(&plans(arguments, arguments.seeds, None), arguments.jobs) {
        match result {
            Ok(outcome) => sum.add(outcome),
            Err(failure) => failures.push((plan, failure)),
        }
    }
    let Outcome { cuts, kills, operations, checked } = &sum;
    let (seeds, took) = (arguments.seeds, started.elapsed().as_secs_f64());
    let losses: u64 = cuts.values().sum();
    println!(
        "powercut: {seeds} seeds from {} on, {losses} losses of power, {kills} kills, {took:.1} s",
        arguments.from
    );
    let mut by_operation: Vec<_> = cuts.iter().collect();
    by_operation.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let by_operation: Vec<_> = by_operation.iter().map(|(name, count)| format!("{name} {count}")).collect();
    println!("  power lost before: {} (of {operations} operations)", by_operation.join(", "));
    println!(
        "  found again: {} acknowledged records, {} committed offsets, {} elements of the log, {} objects or deletions, \
         {} items of the view; {} things that nobody had been told of were there, whole",
        checked.records, checked.committed, checked.elements, checked.objects, checked.shown, checked.unacknowledged
    );
    println!("  runs that lost or damaged something: {}", failures.len());
    for (plan, failure) in failures.iter().take(TOLD_MAX) {
        let kept = keep(&arguments.keep, *plan, failure);
        println!("  seed {}: {failure}", plan.seed);
        let (seed, work) = (plan.seed, plan.work.name());
        println!("    again: make powercut SEEDS=1 FROM={seed} TEETH=0 ({work}; its threads may take other turns)");
        println!("    the disk it was found on: {kept}");
    }
    failures.is_empty()
}

/// True when enough runs with skipped syncs were caught.
fn catch_skips(arguments: &Arguments) -> bool {
    let mut is_enough = true;
    for (name, kind, least) in TEETH {
        if arguments.teeth == 0 {
            break;
        }
        let started = Instant::now();
        for (work, results) in by_work(run_all(&plans(arguments, arguments.teeth, Some(Skip { kind })), arguments.jobs))
        {
            let caught = results.iter().filter(|result| result.is_err()).count() as u64;
            let of = results.len() as u64;
            let is_caught = caught * 100 >= least * of;
            is_enough &= is_caught;
            println!(
                "  syncs skipped ({name}), {work}: {caught} of {of} runs caught (at least {least} of 100){}, {:.1} s",
                if is_caught { "" } else { ": TOO FEW" },
                started.elapsed().as_secs_f64()
            );
        }
    }
    is_enough
}

type Results = Vec<Result<Outcome, Box<Failure>>>;

fn by_work(results: Vec<(Plan, Result<Outcome, Box<Failure>>)>) -> BTreeMap<&'static str, Results> {
    let mut sorted: BTreeMap<_, Results> = BTreeMap::new();
    for (plan, result) in results {
        sorted.entry(plan.work.name()).or_default().push(result);
    }
    sorted
}

/// Writes the disk of a failure into real files.
fn keep(below: &Path, plan: Plan, failure: &Failure) -> String {
    let folder = below.join(format!("seed-{}-{}", plan.seed, plan.work.name()));
    let write = || {
        for (path, bytes) in failure.machine.files() {
            let file = folder.join(path.trim_start_matches('/'));
            std::fs::create_dir_all(file.parent().unwrap_or(&folder))?;
            std::fs::write(file, bytes)?;
        }
        std::io::Result::Ok(())
    };
    match write() {
        Ok(()) => folder.display().to_string(),
        Err(error) => format!("could not be kept: {error}"),
    }
}
