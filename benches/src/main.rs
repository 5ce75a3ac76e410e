//! `sluice-bench`: what a gateway costs in CPU and memory (design section 17).
//!
//! Promises: judges the real binary from outside, over TCP, by the CPU time of its process; every cell also checks that
//! what was read is what was written, and fails if not. Exit code 0 of `quick` says that the numbers are valid, not that
//! they are good: no time is asserted, targets stand beside the results; `compare` and `groups` fail when one is missed.
//! Never: leaves a server running, or uses the network. Run by `make bench`, `make bench-quick` and
//! `make bench-groups`.

mod batches;
mod bench;
mod cells;
mod client;
mod compare;
mod consume;
mod cores;
mod groups;
mod guard;
mod measure;
mod process;
mod produce;
mod report;
mod server;
mod topic;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Parser, Subcommand};

use crate::cells::{Cell, Plan};
use crate::compare::{CompareArgs, run_compare, touch};
use crate::cores::Cores;
use crate::groups::{GroupsArgs, run_groups};
use crate::guard::{GuardArgs, run_guard};
use crate::report::Report;
use crate::server::{Launcher, Server};

/// That of the gateway, which tests host here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Debug, Parser)]
#[command(name = "sluice-bench", about = "Measures what a gateway costs in CPU and memory")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// A gateway beside Apache Kafka, judged by the floors for speed; fails when one is missed. Under 15 minutes.
    Compare(CompareArgs),
    /// Every cell three times, over the memory store: about a minute, and under four on a busy machine.
    Quick(QuickArgs),
    /// Consumer groups: store requests, times and CPU beside their targets; fails when one is missed. About four minutes.
    Groups(GroupsArgs),
    /// Instructions per request beside those that were written down; fails when one grew by more than 10 %. About a minute.
    Guard(GuardArgs),
    /// Writes to so many bytes of memory, for `compare`.
    #[command(hide = true)]
    Touch { bytes: u64 },
}

#[derive(Debug, Args)]
struct QuickArgs {
    /// The gateway to start; by default the `sluice` that lies beside this program.
    #[arg(long, value_name = "FILE", conflicts_with = "bootstrap")]
    server: Option<PathBuf>,
    /// Measures the broker that listens here instead, which runs already; start and idle memory are left out.
    #[arg(long, value_name = "HOST:PORT", requires = "pid")]
    bootstrap: Option<SocketAddr>,
    /// The process of that broker, on this machine.
    #[arg(long, requires = "bootstrap")]
    pid: Option<u32>,
    /// Runs only the cells whose name contains this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Divides the amount of data and of requests, for a first look or under a profiler.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    divide: u32,
    /// Writes the results here as JSON as well.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Compare(args) => find_binary(args.server.as_deref()).and_then(|binary| run_compare(&args, binary)),
        Command::Quick(args) => run_quick(&args),
        Command::Groups(args) => find_binary(args.server.as_deref()).and_then(|binary| run_groups(&args, binary)),
        Command::Guard(args) => find_binary(args.server.as_deref()).and_then(|binary| run_guard(&args, &binary)),
        Command::Touch { bytes } => touch(bytes),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_quick(args: &QuickArgs) -> anyhow::Result<()> {
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|text| name.contains(text.as_str()));
    let cells: Vec<Cell> = Cell::ALL.into_iter().filter(|cell| wanted(&cell.name())).collect();
    let cores = Cores::take().context("cannot pin the generator to a core")?;
    let mut report = Report::new(&cores, args.divide);
    let plan = Plan { divide: args.divide };
    match (args.bootstrap, args.pid) {
        (Some(addr), Some(pid)) => {
            let server = Server::running(addr, pid);
            cells::run_all(&cells, plan, &mut report, &mut || Ok(server.clone()))?;
        }
        _ => {
            let launcher = Launcher::new(find_binary(args.server.as_deref())?, &cores);
            if wanted(cells::START) {
                report.add_start(&cells::measure_start(&launcher)?);
            }
            cells::run_all(&cells, plan, &mut report, &mut || launcher.launch())?;
        }
    }
    print!("{}", report.summary());
    if let Some(path) = &args.json {
        std::fs::write(path, report.to_json()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

fn find_binary(given: Option<&std::path::Path>) -> anyhow::Result<PathBuf> {
    let path = match given {
        Some(path) => path.to_owned(),
        None => std::env::current_exe().context("cannot tell where this program is")?.with_file_name("sluice"),
    };
    if !path.is_file() {
        bail!(
            "there is no gateway at {}: build it with `cargo build --release`, or name it with --server",
            path.display()
        );
    }
    Ok(path)
}
