//! The runs of many records: over disk with one process, killed or not, and over S3 and DynamoDB with two.
//!
//! Promises: a run ends in numbers, or in an error that says what is missing, there twice, out of order or changed.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use sluice_tests::process::{Sluice, wait_until};

use crate::{Progress, Read, Write, create_topic, read, write};

/// How large a run is.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Records in all.
    pub records: u64,
    /// Partitions of the topic.
    pub partitions: u64,
    /// When to give up: for writing, and again for reading.
    pub deadline: Duration,
}

/// What a run has shown.
#[derive(Debug, Clone)]
pub struct Report {
    /// Records written, acknowledged, and read once, in order, unchanged.
    pub records: u64,
    /// SIGKILLs that the gateway took while they were written.
    pub kills: u32,
    /// Time until the last acknowledgement.
    pub write: Duration,
    /// Time until the last record was read.
    pub read: Duration,
    /// Digest of what was read.
    pub digest: String,
}

const TOPIC: &str = "long-run";
const SEED: u64 = 3;

fn write_run(size: Size, bootstrap: String, mine: std::ops::Range<u64>) -> Write {
    Write {
        bootstrap,
        topic: TOPIC.to_owned(),
        partitions: size.partitions,
        mine,
        records: size.records,
        seed: SEED,
        compression: "none",
        idempotent: true,
        deadline: size.deadline,
    }
}

fn read_run(size: Size, bootstrap: String, mine: std::ops::Range<u64>) -> Read {
    Read {
        bootstrap,
        topic: TOPIC.to_owned(),
        partitions: size.partitions,
        mine,
        records: size.records,
        seed: SEED,
        isolation: "read_committed",
        deadline: size.deadline,
    }
}

/// Writes through an idempotent producer to one process over files in `folder`, killing it `kills` times, evenly spread
/// over the run; then reads everything.
///
/// # Errors
/// A record that is missing, there twice, out of order or changed.
pub fn over_disk(folder: &Path, size: Size, kills: u32) -> anyhow::Result<Report> {
    let folder = folder.to_str().context("a folder with a readable name")?;
    let mut sluice = Sluice::serve(&["--store", "disk", "--data-dir", folder], &[]);
    let bootstrap = sluice.kafka.to_string();
    create_topic(&bootstrap, TOPIC, size.partitions)?;
    let progress = Progress::default();
    let started = Instant::now();
    let (ended, run) = (AtomicBool::new(false), write_run(size, bootstrap.clone(), 0..size.partitions));
    let (acked, killed) = std::thread::scope(|threads| {
        let writer = threads.spawn(|| {
            let acked = write(&run, &progress);
            ended.store(true, Ordering::Relaxed);
            acked
        });
        let mut killed = 0;
        for n in 1..=kills {
            let share = size.records * u64::from(n) / u64::from(kills + 1);
            wait_until("the next kill", size.deadline, || progress.acked() >= share || ended.load(Ordering::Relaxed));
            if ended.load(Ordering::Relaxed) {
                break;
            }
            sluice.restart();
            killed += 1;
        }
        (writer.join().expect("the writer"), killed)
    });
    acked?;
    anyhow::ensure!(killed == kills, "the run was over after {killed} of {kills} kills");
    let written = started.elapsed();
    let started = Instant::now();
    let (records, digest) = read(&read_run(size, bootstrap, 0..size.partitions))?;
    Ok(Report { records, kills, write: written, read: started.elapsed(), digest })
}

/// Writes half of the partitions through each of two gateways over one store, at the same time; then reads through each
/// what was written through the other.
///
/// # Errors
/// A record that is missing, there twice, out of order or changed.
pub fn over_two(gateways: &[Sluice], size: Size) -> anyhow::Result<Report> {
    let bootstrap: Vec<String> = gateways.iter().map(|g| g.kafka.to_string()).collect();
    let (one, other) = (bootstrap[0].clone(), bootstrap[1].clone());
    create_topic(&one, TOPIC, size.partitions)?;
    let half = size.partitions / 2;
    let progress = Progress::default();
    let started = Instant::now();
    let writes = [write_run(size, one.clone(), 0..half), write_run(size, other.clone(), half..size.partitions)];
    std::thread::scope(|threads| {
        let runs: Vec<_> = writes.iter().map(|run| threads.spawn(|| write(run, &progress))).collect();
        runs.into_iter().try_for_each(|run| run.join().expect("a writer").map(drop))
    })?;
    let written = started.elapsed();
    let started = Instant::now();
    let reads = [read_run(size, other, 0..half), read_run(size, one, half..size.partitions)];
    let found = std::thread::scope(|threads| {
        let runs: Vec<_> = reads.iter().map(|run| threads.spawn(|| read(run))).collect();
        runs.into_iter().map(|run| run.join().expect("a reader")).collect::<anyhow::Result<Vec<_>>>()
    })?;
    let records = found.iter().map(|(count, _)| count).sum();
    let digest = found.iter().map(|(_, digest)| &digest[..16]).collect::<Vec<_>>().join("+");
    Ok(Report { records, kills: 0, write: written, read: started.elapsed(), digest })
}
