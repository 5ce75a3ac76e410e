//! `sluice-bench guard`: instructions per request, beside those that were written down, so that growth is noticed.
//!
//! Promises: counted by callgrind in the gateway's own process, as the difference of two runs that send different numbers
//! of requests: what a start costs is in both. Fails when a number grew by more than [`GROWTH_MAX`]; numbers are of the
//! build that `cargo test` makes, and say nothing about speed. Never: leaves a gateway running. Run by `make guard`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, bail, ensure};
use clap::Args;

use crate::bench::Bench;
use crate::produce::ProduceShape;
use crate::server::{Server, Started, read_address};

/// The greatest growth that passes, as a share.
const GROWTH_MAX: f64 = 0.10;
/// One request after the other, so that nothing depends on what happens to arrive together.
const ALONE: ProduceShape = ProduceShape { connections: 1, in_flight: 1, batches_per_request: 1 };
const SMALL_VALUE_BYTES: usize = 100;
const LARGE_BATCH_BYTES: usize = 128 << 10;
const LARGE_VALUE_BYTES: usize = 1 << 10;

#[derive(Debug, Args)]
pub(crate) struct GuardArgs {
    /// The gateway to start; by default the `sluice` that lies beside this program.
    #[arg(long, value_name = "FILE")]
    pub(crate) server: Option<PathBuf>,
    /// The file with what is expected.
    #[arg(long, value_name = "FILE", default_value = "benches/instructions.txt")]
    expected: PathBuf,
    /// Writes what is counted to that file.
    #[arg(long)]
    bless: bool,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
enum Cell {
    SmallProduce,
    LargeProduce,
    EmptyFetch,
    Consume,
}

impl Cell {
    const ALL: [Self; 4] = [Self::SmallProduce, Self::LargeProduce, Self::EmptyFetch, Self::Consume];

    fn name(self) -> &'static str {
        match self {
            Self::SmallProduce => "small-produce",
            Self::LargeProduce => "produce-128-KiB",
            Self::EmptyFetch => "empty-fetch",
            Self::Consume => "consume-128-KiB",
        }
    }

    /// How many requests, or batches, the shorter and the longer run are made of.
    fn amounts(self) -> [u64; 2] {
        match self {
            Self::SmallProduce | Self::EmptyFetch => [400, 2_400],
            Self::LargeProduce => [60, 300],
            // One costs so little that what a gateway does beside it would show.
            Self::Consume => [60, 1_500],
        }
    }

    fn run(self, server: &Server, amount: u64) -> anyhow::Result<()> {
        match self {
            Self::SmallProduce => {
                let mut bench = Bench::new(server, 0, SMALL_VALUE_BYTES)?;
                let mut producers = bench.producers(ALONE, amount)?;
                producers.iter_mut().try_for_each(|producer| producer.run().map(drop))
            }
            Self::LargeProduce => produce_large(server, amount).map(drop),
            Self::EmptyFetch => {
                let bench = Bench::new(server, 0, SMALL_VALUE_BYTES)?;
                bench.consumers()?.iter_mut().take(1).try_for_each(|consumer| consumer.fetch_nothing(amount).map(drop))
            }
            Self::Consume => {
                // The same is produced before both runs, so that only the reading differs: once, or many times.
                let [once, _] = self.amounts();
                let bench = produce_large(server, once)?;
                let ends = bench.ends()?;
                for _ in 0..amount / once {
                    for consumer in &mut bench.consumers()? {
                        consumer.read_until(&ends)?;
                    }
                }
                Ok(())
            }
        }
    }
}

fn produce_large(server: &Server, batches: u64) -> anyhow::Result<Bench<'_>> {
    let mut bench = Bench::new(server, LARGE_BATCH_BYTES, LARGE_VALUE_BYTES)?;
    let bytes = bench.batches.value_bytes() * batches;
    let measured = bench.produce(ALONE, bytes)?;
    ensure!(measured.tally.requests == batches, "{} requests instead of {batches}", measured.tally.requests);
    Ok(bench)
}

/// Counts every cell and compares.
///
/// # Errors
/// What stood in the way, or that a number grew too much.
pub(crate) fn run_guard(args: &GuardArgs, binary: &Path) -> anyhow::Result<()> {
    let expected = read_expected(&args.expected, args.bless)?;
    let mut counted = BTreeMap::new();
    let mut grown = 0;
    println!("{:<18} {:>14} {:>14} {:>9}", "instructions per", "expected", "counted", "growth");
    for cell in Cell::ALL {
        let [fewer, more] = cell.amounts();
        let totals = [count(binary, cell, fewer)?, count(binary, cell, more)?];
        let each = (totals[1].saturating_sub(totals[0])) / (more - fewer);
        let before = expected.get(cell.name()).copied();
        let growth = before.map(|before| each as f64 / before as f64 - 1.0);
        let verdict = match growth {
            Some(growth) if growth > GROWTH_MAX => {
                grown += 1;
                "GREW"
            }
            // Not a failure, but the next growth would go unnoticed.
            Some(growth) if growth < -GROWTH_MAX => "fell: write it down (--bless)",
            Some(_) => "",
            None => "not written down",
        };
        println!(
            "{:<18} {:>14} {each:>14} {:>8.1}% {verdict}",
            cell.name(),
            before.map_or_else(|| "-".to_owned(), |before| before.to_string()),
            growth.unwrap_or_default() * 100.0
        );
        if before.is_none() && !args.bless {
            grown += 1;
        }
        counted.insert(cell.name(), each);
    }
    if args.bless {
        return write_expected(&args.expected, &counted);
    }
    ensure!(
        grown == 0,
        "{grown} numbers grew by more than {:.0} % or are not written down: find out why, or write them down with \
         `sluice-bench guard --bless` and say why in the commit",
        GROWTH_MAX * 100.0
    );
    Ok(())
}

/// All instructions of a gateway that serves one run of a cell.
fn count(binary: &Path, cell: Cell, amount: u64) -> anyhow::Result<u64> {
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--"])
        .arg(binary)
        .args(["dev", "--port", "0"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = command.spawn().context("cannot start valgrind (Debian: apt-get install valgrind)")?;
    let mut started = Started(child);
    let stdout = started.0.stdout.take().ok_or_else(|| anyhow!("no stdout"))?;
    let stderr = started.0.stderr.take().ok_or_else(|| anyhow!("no stderr"))?;
    // Read all the while, or the gateway stands still when the pipe is full.
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        BufReader::new(stderr).read_to_string(&mut text).map(|_| text)
    });
    let (address, mut stdout) = read_address(stdout)?;
    let server = Server::running(address, started.0.id());
    cell.run(&server, amount).with_context(|| format!("{} under callgrind", cell.name()))?;
    let stopped = Command::new("kill").args(["-TERM", &started.0.id().to_string()]).status();
    ensure!(stopped.is_ok_and(|status| status.success()), "cannot stop the gateway");
    // To its end, so that it never waits for us.
    let mut line = String::new();
    while stdout.read_line(&mut line)? > 0 {
        line.clear();
    }
    started.0.wait()?;
    let said = said.join().map_err(|_| anyhow!("reading valgrind's output panicked"))??;
    let total = said.lines().find_map(|line| line.split_once("Collected :")).map(|(_, number)| number.trim());
    total.and_then(|number| number.parse().ok()).with_context(|| format!("callgrind told no total:\n{said}"))
}

fn read_expected(path: &Path, may_lack: bool) -> anyhow::Result<BTreeMap<String, u64>> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if may_lack && error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let mut expected = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let Some((name, number)) = line.split_once(' ') else { bail!("{}: {line:?}", path.display()) };
        let number = number.trim().parse().with_context(|| format!("{}: {line:?}", path.display()))?;
        expected.insert(name.to_owned(), number);
    }
    Ok(expected)
}

fn write_expected(path: &Path, counted: &BTreeMap<&str, u64>) -> anyhow::Result<()> {
    let mut text = String::from(
        "# Instructions of a gateway per request (per batch of 128 KiB), in the build that `cargo test` makes.\n\
         # `make guard` fails when one grew by more than 10 %; `sluice-bench guard --bless` writes them.\n",
    );
    for (name, number) in counted {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{name} {number}");
    }
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_read_back() {
        let folder = std::env::temp_dir().join(format!("sluice-guard-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("instructions.txt");
        assert!(read_expected(&path, true).unwrap().is_empty());
        assert!(read_expected(&path, false).is_err());
        write_expected(&path, &BTreeMap::from([("a", 12), ("b", 7)])).unwrap();
        let read = read_expected(&path, false).unwrap();
        assert_eq!(read, BTreeMap::from([("a".to_owned(), 12), ("b".to_owned(), 7)]));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
