//! Compares a broker with the reference model of groups.
//!
//!     group-model --bootstrap HOST:PORT[,HOST:PORT…] [--seeds 0..200] [--steps 60] [--pause-ms 4] [--reports 5]
//!                 [--show-late true] [--show SEED]
//!                 [--manner kafka|sluice] [--threads 1]
//!
//! A script that disagrees is run again with ten times the pause after requests that wait, and again with a hundred times
//! (0.4 s at most):
//! if it then agrees, its requests were not taken in in the order of sending, which is no fault; such scripts are counted.
//!
//! The broker runs with group.initial.rebalance.delay.ms=0, group.min.session.timeout.ms=1000 and
//! group.max.session.timeout.ms=600000. Exit code 1 after so many scripts that disagree, each with its report; `--show` prints a
//! script instead, `--show-late` also the reports of first attempts.

use std::net::{SocketAddr, ToSocketAddrs};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use sluice_group_model::drive::Target;
use sluice_group_model::generate::generate;
use sluice_group_model::manner::Manner;

/// Longest pause after a request that waits.
const PAUSE_MAX: Duration = Duration::from_millis(400);

struct Arguments {
    bootstrap: Vec<SocketAddr>,
    seeds: std::ops::Range<u64>,
    steps: usize,
    pause_ms: u64,
    reports: u64,
    show_late: bool,
    show: Option<u64>,
    manner: Manner,
    threads: usize,
}

fn arguments() -> Result<Arguments> {
    let mut parsed = Arguments {
        bootstrap: Vec::new(),
        seeds: 0..200,
        steps: 60,
        pause_ms: 4,
        reports: 5,
        show_late: false,
        show: None,
        manner: Manner::Kafka,
        threads: 1,
    };
    let mut given = std::env::args().skip(1);
    while let Some(name) = given.next() {
        let value = given.next().with_context(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--bootstrap" => {
                for addr in value.split(',') {
                    parsed.bootstrap.extend(addr.to_socket_addrs().with_context(|| addr.to_owned())?.next());
                }
            }
            "--seeds" => {
                let (from, to) = value.split_once("..").context("seeds are given as FROM..TO")?;
                parsed.seeds = from.parse()?..to.parse()?;
            }
            "--steps" => parsed.steps = value.parse()?,
            "--pause-ms" => parsed.pause_ms = value.parse()?,
            "--reports" => parsed.reports = value.parse()?,
            "--show-late" => parsed.show_late = value.parse()?,
            "--show" => parsed.show = Some(value.parse()?),
            "--threads" => parsed.threads = value.parse()?,
            "--manner" if value == "kafka" => parsed.manner = Manner::Kafka,
            "--manner" if value == "sluice" => parsed.manner = Manner::Sluice,
            _ => bail!("unknown argument {name}"),
        }
    }
    Ok(parsed)
}

fn run(mut arguments: Arguments) -> Result<bool> {
    if let Some(seed) = arguments.show {
        for (at, step) in generate(seed, arguments.steps).iter().enumerate() {
            println!("{at}: {step:?}");
        }
        return Ok(true);
    }
    let since = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let prefix = format!("gm-{}-{}", since.as_millis(), std::process::id());
    let target = Target::prepare(std::mem::take(&mut arguments.bootstrap), &prefix, arguments.manner)?;
    let tally = Mutex::new(Tally::default());
    let next = AtomicU64::new(arguments.seeds.start);
    let work = || loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= arguments.seeds.end || lock(&tally).disagreed >= arguments.reports {
            return;
        }
        let outcome = run_patiently(&target, seed, &arguments);
        let mut tally = lock(&tally);
        tally.ran += 1;
        match outcome {
            Ok(None) => {}
            Ok(Some(first)) => {
                tally.late += 1;
                if arguments.show_late {
                    println!("agrees only with a longer pause: {first}\n");
                }
            }
            Err(report) => {
                tally.disagreed += 1;
                println!("{report:#}\n");
            }
        }
        if tally.ran.is_multiple_of(50) {
            println!("{} scripts, {} disagree", tally.ran, tally.disagreed);
        }
    };
    std::thread::scope(|scope| (0..arguments.threads).for_each(|_| drop(scope.spawn(work))));
    let Tally { ran, late, disagreed } = *lock(&tally);
    println!("{} of {ran} scripts agree with the model ({late} of them only with longer pauses)", ran - disagreed);
    Ok(disagreed == 0 && ran > 0)
}

#[derive(Default)]
struct Tally {
    ran: u64,
    late: u64,
    disagreed: u64,
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a script, with longer pauses if it disagrees. The report of the first attempt, if a later one agrees.
fn run_patiently(target: &Target, seed: u64, arguments: &Arguments) -> Result<Option<String>> {
    let script = generate(seed, arguments.steps);
    let mut first = None;
    let mut outcome = Ok(());
    for (attempt, factor) in [1, 10, 100].into_iter().enumerate() {
        let pause = Duration::from_millis(arguments.pause_ms * factor).min(PAUSE_MAX);
        outcome = target.run(seed, &script, pause, attempt);
        match &outcome {
            Ok(()) => break,
            Err(report) => first = first.or_else(|| Some(format!("{report:#}"))),
        }
    }
    outcome.map(|()| first)
}

fn main() -> ExitCode {
    match arguments().and_then(run) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("group-model: {error:#}");
            ExitCode::FAILURE
        }
    }
}
