//! `sluice-bench compare`: a gateway beside Apache Kafka, the same load by the same client, in one run.
//!
//! Promises: both servers have the same core, the generator the other; a cell is run on one and then on the other; every
//! cell checks that what was read is what was written; the floors for speed are judged, and who runs it hears by the exit
//! code whether all were kept. Never: leaves a server or a file of its own behind. Run by `make bench`.

mod cells;
mod kafka;
mod table;

use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use clap::Args;

use self::cells::{Cell, Run};
use self::kafka::Kafka;
use self::table::Table;
use crate::cores::Cores;
use crate::server::{Launcher, Server};

/// What is judged by CPU time is run so often at least …
const RUNS_MIN: usize = 3;
/// … and so often at most, while the two cheapest runs are not alike: the second costs over so many times the first.
const RUNS_MAX: usize = 6;
const ALIKE: f64 = 1.15;

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The gateway to start; by default the `sluice` that lies beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,
    /// Runs only the cells whose name contains this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// The version of Apache Kafka, from Maven Central.
    #[arg(long, default_value = "4.3.1")]
    kafka: String,
    /// Measures the gateway alone; floors that need Kafka's number are then not judged.
    #[arg(long)]
    alone: bool,
    /// Divides the amount of data and of requests, for a first look. The floors say nothing then.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=1000))]
    divide: u64,
    /// Writes the results here as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the table here as Markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
}

/// Runs the cells and judges them.
///
/// # Errors
/// What stood in the way of a cell, or that a floor was missed.
pub(crate) fn run_compare(args: &CompareArgs, binary: PathBuf) -> anyhow::Result<()> {
    let wanted = |name: &str| args.only.is_empty() || args.only.iter().any(|text| name.contains(text.as_str()));
    let cells: Vec<Cell> = Cell::ALL.into_iter().filter(|cell| wanted(&cell.name())).collect();
    ensure!(!cells.is_empty(), "no cell has {:?} in its name", args.only);
    let cores = Cores::take().context("cannot pin the generator to a core")?;
    let launcher = Launcher::new(binary, &cores);
    let kafka = if args.alone { None } else { Some(Kafka::start(&launcher, &args.kafka)?) };
    let mut table = Table::new(&cores, kafka.as_ref().map(|kafka| kafka.version.clone()), args.divide);
    warm_up(&launcher, kafka.as_ref(), args.divide)?;
    for cell in cells {
        let beside = kafka.as_ref().filter(|_| cell.is_compared());
        let of_kafka = beside.map(|kafka| cheapest(cell, args.divide, || Ok(kafka.server.clone())));
        let of_kafka = of_kafka.transpose().with_context(|| format!("{} (Kafka)", cell.name()))?;
        // Over the memory store nothing is ever given back: a fresh one for every run.
        let of_sluice = cheapest(cell, args.divide, || launcher.launch()).with_context(|| cell.name())?;
        table.add(cell, of_kafka, of_sluice);
    }
    drop(kafka);
    let verdicts = table.judge();
    print!("{}", verdicts.text);
    if let Some(path) = &args.json {
        std::fs::write(path, table.to_json(&verdicts)).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let Some(path) = &args.markdown {
        std::fs::write(path, table.to_markdown()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if verdicts.missed > 0 && args.divide == 1 {
        bail!("{} of {} floors were missed", verdicts.missed, verdicts.judged);
    }
    Ok(())
}

/// Has another process write to so much memory and end.
///
/// A virtual machine gets memory from its host page by page and gives it back when it rests: whoever writes to a page first
/// pays for that, several times what its own work costs. What this one leaves behind is given out next, to either server.
fn warm_memory(bytes: u64) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let status =
        Command::new(program).args(["touch", &bytes.to_string()]).status().context("cannot run this program")?;
    ensure!(status.success(), "touching {bytes} bytes of memory: {status}");
    Ok(())
}

/// Writes to every page of so much memory.
pub(crate) fn touch(bytes: u64) -> anyhow::Result<()> {
    const PAGE_BYTES: usize = 4 << 10;
    let mut memory = vec![0_u8; usize::try_from(bytes)?];
    memory.iter_mut().step_by(PAGE_BYTES).for_each(|byte| *byte = 1);
    black_box(memory);
    Ok(())
}

/// What is not counted: Java compiles what it runs often.
fn warm_up(launcher: &Launcher, kafka: Option<&Kafka>, divide: u64) -> anyhow::Result<()> {
    let load =
        [Cell::Consume { value_bytes: 1 << 10 }, Cell::Small { connections: 16 }, Cell::EmptyFetch { connections: 16 }];
    for cell in load {
        if let Some(kafka) = kafka {
            cell.run(&kafka.server, divide).context("warming up Kafka")?;
        }
        cell.run(&launcher.launch()?, divide).context("warming up")?;
    }
    Ok(())
}

/// Runs a cell as often as it needs. The cheapest run is what it costs: whatever else the machine does, and its host, only
/// ever adds to that.
fn cheapest(cell: Cell, divide: u64, server: impl Fn() -> anyhow::Result<Server>) -> anyhow::Result<Run> {
    let (runs_min, runs_max) = cell.runs();
    let are_alike = |runs: &[Run]| match runs {
        [first, second, ..] => cell.cost(second) <= cell.cost(first) * ALIKE,
        _ => true,
    };
    let mut runs: Vec<Run> = Vec::new();
    while runs.len() < runs_min || (runs.len() < runs_max && !are_alike(&runs)) {
        warm_memory(cell.memory_bytes(divide))?;
        runs.push(cell.run(&server()?, divide)?);
        runs.sort_by(|one, other| cell.cost(one).total_cmp(&cell.cost(other)));
    }
    runs.first().copied().context("a cell that is never run")
}
