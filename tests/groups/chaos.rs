//! `make chaos`: a random gateway of three is killed under ten groups, round after round.
//!
//! Prints a line per round; exits with 1 at the first generation that moved, member that stopped, or committed offset
//! that is gone or lower.
#![allow(clippy::print_stdout, missing_docs)]

use clap::Parser;
use sluice_tests::chaos::{Plan, run};
use sluice_tests::skip::in_ci;

#[derive(Debug, Parser)]
#[command(about = "Kill a random gateway of three under ten consumer groups, round after round")]
struct Arguments {
    /// Kills.
    #[arg(long, default_value_t = 20)]
    rounds: u32,
    /// Groups, of two members each.
    #[arg(long, default_value_t = 10)]
    groups: usize,
    /// Decides which gateway is killed in which round.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> anyhow::Result<()> {
    let Arguments { rounds, groups, seed } = Arguments::parse();
    match run(Plan { rounds, groups, seed }, |line| println!("{line}"))? {
        Some(outcome) => println!(
            "chaos: {} kills, {} records by {groups} groups, committed offsets compared {} times, slowest recovery {} ms",
            outcome.kills,
            outcome.records,
            outcome.looks,
            outcome.slowest.as_millis()
        ),
        None => anyhow::ensure!(!in_ci(), "the store emulator is not installed (make setup)"),
    }
    Ok(())
}
