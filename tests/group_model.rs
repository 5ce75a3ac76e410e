//! Random command sequences against the reference model of Kafka's classic groups (`tests/groups-model`): the whole gateway
//! between a client's bytes and the log, in one process, on one thread, in virtual time.
//!
//! The model agrees with Apache Kafka (`tests/groups-model/against-kafka`), so what is checked here is that a gateway, and
//! three gateways of which each request meets a random one, answer as Kafka does.
//! Promises: the same seed gives the same run; a mismatch is printed with its seed, step, what was expected, the script and
//! the command that runs it again. Called by `cargo test`. `SLUICE_MODEL_SEEDS=start..end` runs others than the usual ones.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "group_model/fleet.rs"]
mod fleet;
#[path = "group_model/play.rs"]
mod play;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::play::{Played, play};

/// Seeds of `make test` on one gateway …
const SEEDS_OF_ONE: Range<u64> = 0..700;
/// … and on three.
const SEEDS_OF_THREE: Range<u64> = 10_000..10_500;
/// Steps of a script.
const STEPS: usize = 60;
/// So many mismatches are printed; then the rest is not run.
const REPORTS_MAX: usize = 5;
/// A line is printed each time so many scripts are done.
const TELL_EVERY: u64 = 5_000;

fn seeds(usual: Range<u64>) -> Range<u64> {
    let Ok(range) = std::env::var("SLUICE_MODEL_SEEDS") else { return usual };
    let (start, end) = range.split_once("..").expect("SLUICE_MODEL_SEEDS=start..end");
    let number = |text: &str| text.trim().parse::<u64>().expect("a seed is a number");
    number(start)..number(end)
}

fn run(seed: u64, gateways: usize) -> anyhow::Result<Played> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    runtime.block_on(play(seed, STEPS, gateways))
}

/// Runs the seeds on as many threads as there are processors: each run has a thread to itself.
fn agree(seeds: Range<u64>, gateways: usize, test: &str) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (next, ran, reports) = (AtomicU64::new(seeds.start), AtomicU64::new(0), std::sync::Mutex::new(Vec::new()));
    let work = || {
        let mut sum = Played::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || reports.lock().unwrap().len() >= REPORTS_MAX {
                return sum;
            }
            match run(seed, gateways) {
                Ok(played) => {
                    sum.steps += played.steps;
                    sum.requests += played.requests;
                }
                Err(report) => reports.lock().unwrap().push((seed, format!("{report:#}"))),
            }
            if (ran.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(TELL_EVERY) {
                println!("{} scripts on {gateways} gateways", ran.load(Ordering::Relaxed));
            }
        }
    };
    let sums: Vec<Played> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        running.into_iter().map(|thread| thread.join().expect("a run that ends")).collect()
    });
    let (steps, requests) = sums.iter().fold((0, 0), |(s, r), p| (s + p.steps, r + p.requests));
    let ran = ran.into_inner();
    println!("gateways: {gateways}; scripts: {ran}; steps: {steps}; requests: {requests}");
    let mut reports = reports.into_inner().unwrap();
    reports.sort();
    let Some((seed, report)) = reports.first() else {
        assert!(ran > 0 && requests > 20 * ran, "hardly anything was asked");
        return;
    };
    // Of the others, what was wrong without the script.
    let others = reports.iter().skip(1).map(|(_, report)| report.split("\nthe groups now").next().unwrap_or_default());
    panic!(
        "{report}\n{} of {ran} scripts disagree; the others:\n{}\nrun it again:\n  SLUICE_MODEL_SEEDS={seed}..{} cargo test -p \
         sluice-tests --test group_model {test} -- --nocapture",
        reports.len(),
        others.collect::<Vec<_>>().join("\n"),
        seed + 1
    );
}

#[test]
fn one_gateway_answers_as_kafka_does() {
    agree(seeds(SEEDS_OF_ONE), 1, "one_gateway");
}

// Holds: T5
#[test]
fn three_gateways_answer_as_one_kafka_does() {
    agree(seeds(SEEDS_OF_THREE), 3, "three_gateways");
}
