//! The long runs of `make conformance`: a million records of mixed sizes from librdkafka, idempotent.
//!
//! Prints one line of numbers per run, and exits with 1 at the first record that is missing, there twice, out of order or
//! changed.
#![allow(clippy::print_stdout, missing_docs)]

use std::time::Duration;

use clap::Parser;
use sluice_tests::emulator::{fresh_name, s3_endpoint};
use sluice_tests::replicas::start_over;
use sluice_tests_librdkafka::long_run::{Report, Size, over_disk, over_two};

#[derive(Debug, Parser)]
#[command(about = "A million records over disk, over disk with kills, and over S3 and DynamoDB with two gateways")]
struct Arguments {
    /// Records of each run.
    #[arg(long, default_value_t = 1_000_000)]
    records: u64,
    /// SIGKILLs of the run that is disturbed.
    #[arg(long, default_value_t = 20)]
    kills: u32,
    /// Partitions of the topic.
    #[arg(long, default_value_t = 12)]
    partitions: u64,
    /// When a run gives up writing, and again reading, in seconds.
    #[arg(long, default_value_t = 600)]
    deadline_s: u64,
    /// The runs to do.
    #[arg(long, value_delimiter = ',', default_value = "disk,kills,aws")]
    runs: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let deadline = Duration::from_secs(arguments.deadline_s);
    let size = Size { records: arguments.records, partitions: arguments.partitions, deadline };
    for run in &arguments.runs {
        match run.as_str() {
            "disk" => print("disk, one process", &over_disk(tempfile::tempdir()?.path(), size, 0)?),
            "kills" => {
                print("disk, one process, SIGKILLs", &over_disk(tempfile::tempdir()?.path(), size, arguments.kills)?)
            }
            "aws" => {
                let gateways = start_over(s3_endpoint(), &fresh_name(), 2);
                print("S3 + DynamoDB, two processes", &over_two(&gateways, size)?);
            }
            other => anyhow::bail!("there is no run {other}: disk, kills, aws"),
        }
    }
    Ok(())
}

fn print(name: &str, report: &Report) {
    println!(
        "{name}: {} records written in {:.1} s and read once, in order, unchanged in {:.1} s; {} kills; digest {}",
        report.records,
        report.write.as_secs_f64(),
        report.read.as_secs_f64(),
        report.kills,
        &report.digest[..report.digest.len().min(33)],
    );
}
