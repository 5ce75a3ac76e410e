//! `sluice-bench compare`: a gateway beside Apache Kafka, the same load by the same client, in one run.
//!
//! Promises: both servers have the same core, the generator the other; a cell is run on one and then on the other; every
//! cell checks that what was read is what was written; the floors for speed are judged, and who runs it hears by the exit
//! code whether all were kept. Never: leaves a server or a file of its own behind. Run by `make bench`.

mod cells;
mod kafka;
mod table;

use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use clap::Args;

use self::cells::{Cell, Run};
use self::kafka::Kafka;
use self::table::Table;
use crate::cores::Cores;
use crate::server::Launcher;

/// Each cell is run so often on each server; the run in the middle by CPU time counts, of two the cheaper one.
const RUNS: usize = 3;

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
        let (mut of_kafka, mut of_sluice) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let name = || format!("{} (Kafka)", cell.name());
            if let Some(kafka) = &kafka {
                of_kafka.push(cell.run(&kafka.server, args.divide).with_context(name)?);
            }
            // Over the memory store nothing is ever given back: a fresh one for every run.
            let server = launcher.launch()?;
            of_sluice.push(cell.run(&server, args.divide).with_context(|| cell.name())?);
        }
        table.add(cell, middle(of_kafka), middle(of_sluice).context("no run")?);
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

/// What is not counted: a virtual machine gets memory from its host page by page, and Java compiles what it runs often.
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

/// The run in the middle by CPU time.
fn middle(mut runs: Vec<Run>) -> Option<Run> {
    runs.sort_unstable_by_key(|run| run.measured.cpu.total);
    runs.get(runs.len() / 2).copied()
}
