//! The whole matrix of consumer groups with real clients: {libraries} × {assignors} × {places}, and the command-line tools.
//!
//! Promises: a line per cell, in the order in which they end; exits with 1 when one has failed. What a machine lacks is
//! named, and is a failure in CI. With `SLUICE_TEST_BOOTSTRAP=IP:PORT`, the same cells against the broker there.
//! Called by `make conformance`.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use clap::Parser;
use sluice_tests::admin_tools;
use sluice_tests::fleet::{Fleet, Kind};
use sluice_tests::group_cells::{have, mixed_group, own_group, restarted_gateways, static_group};
use sluice_tests::group_tools::{console_consumers, have_kafka, have_kcat, kcat, perf_consumers};
use sluice_tests::members::Library;
use sluice_tests::skip::in_ci;

#[derive(Debug, Parser)]
#[command(about = "Consumer groups with real clients, on one gateway and on three")]
struct Arguments {
    /// Cells that run at a time.
    #[arg(long, default_value_t = 8)]
    parallel: usize,
    /// Only cells whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// Print the names of the cells and do nothing.
    #[arg(long)]
    list: bool,
}

type Run = Box<dyn Fn(&Places) -> anyhow::Result<String> + Send>;

/// A cell, by its name and what it takes.
struct Cell {
    name: String,
    have: Have,
    run: Run,
}

/// What a cell needs, beside its place.
enum Have {
    Libraries(Vec<Library>),
    Tool(Check),
}

impl Have {
    fn check(&self) -> anyhow::Result<()> {
        match self {
            Self::Libraries(libraries) => have(libraries),
            Self::Tool(check) => check(),
        }
    }
}

/// The fleets that cells share; a cell that kills gateways starts its own.
struct Places(Vec<(Kind, Fleet)>);

impl Places {
    fn get(&self, kind: Kind) -> anyhow::Result<&Fleet> {
        let found = self.0.iter().find(|(k, _)| *k == kind).map(|(_, fleet)| fleet);
        found.ok_or_else(|| anyhow::anyhow!("{} is not to be had", kind.name()))
    }
}

const SHARED: [Kind; 4] = [Kind::Memory(1), Kind::Memory(3), Kind::Processes(1), Kind::Processes(3)];

type Check = fn() -> anyhow::Result<()>;
type Tool = fn(&Fleet) -> anyhow::Result<String>;

const TOOLS: [(&str, Check, Tool); 3] = [
    ("kafka-console-consumer", have_kafka, console_consumers),
    ("kafka-consumer-perf-test", have_kafka, perf_consumers),
    ("kcat -G", have_kcat, kcat),
];

fn cells() -> VecDeque<Cell> {
    let mut cells = VecDeque::new();
    let mut add = |name: String, libraries: &[Library], run: Run| {
        cells.push_back(Cell { name, have: Have::Libraries(libraries.to_vec()), run });
    };
    for (turn, kind) in SHARED.into_iter().enumerate() {
        let run: Run = Box::new(move |places| mixed_group(places.get(kind)?, &Library::ALL, turn));
        add(format!("{}: all libraries in one group, range", kind.name()), &Library::ALL, run);
    }
    for libraries in [[Library::Java43, Library::FranzGo], [Library::KafkaPython, Library::Java28]] {
        let run: Run = Box::new(move |_| {
            let fleet = Fleet::start(Kind::Processes(3));
            restarted_gateways(&mut fleet.ok_or_else(|| anyhow::anyhow!("no emulator"))?, libraries)
        });
        let names = format!("{} and {}", libraries[0].name(), libraries[1].name());
        add(format!("{}: every gateway restarted under {names}", Kind::Processes(3).name()), &libraries, run);
    }
    for kind in [Kind::Memory(1), Kind::Memory(3), Kind::Processes(3)] {
        for library in Library::ALL {
            for (n, assignor) in library.assignors().iter().enumerate() {
                // A member that is paused takes the cell twice as long: with each library once per place.
                let pause = n == 1 && kind != Kind::Memory(1);
                let run: Run = Box::new(move |places| own_group(places.get(kind)?, library, assignor, pause));
                let paused = if pause { ", one paused" } else { "" };
                add(format!("{}: {}, {assignor}{paused}", kind.name(), library.name()), &[library], run);
            }
            if kind != Kind::Memory(1) {
                let run: Run = Box::new(move |places| static_group(places.get(kind)?, library, "range"));
                add(format!("{}: {}, static members", kind.name(), library.name()), &[library], run);
            }
        }
    }
    for kind in [Kind::Memory(1), Kind::Processes(3)] {
        for (name, have, tool) in TOOLS {
            let run: Run = Box::new(move |places| tool(places.get(kind)?));
            cells.push_back(Cell { name: format!("{}: {name}", kind.name()), have: Have::Tool(have), run });
        }
    }
    for (name, have, run) in admin_tools::CELLS {
        let run: Run = Box::new(move |_| run());
        cells.push_back(Cell { name: name.to_owned(), have: Have::Tool(have), run });
    }
    cells
}

/// What came of the cells.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
}

fn work(cells: &Mutex<VecDeque<Cell>>, places: &Places, tally: &Mutex<Tally>) {
    loop {
        let Some(cell) = cells.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { return };
        let missing = cell.have.check().err();
        let outcome = if missing.is_some() { Ok(String::new()) } else { (cell.run)(places) };
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        match (missing, outcome) {
            (Some(missing), _) => {
                tally.skipped += 1;
                println!("skipped  {}: {missing}", cell.name);
            }
            (None, Ok(line)) => {
                tally.passed += 1;
                println!("ok       {}: {line}", cell.name);
            }
            (None, Err(error)) => {
                println!("FAILED   {}: {error:#}", cell.name);
                tally.failed.push(cell.name);
            }
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let since = Instant::now();
    let mut cells = cells();
    cells.retain(|cell| cell.name.contains(&arguments.only));
    if arguments.list {
        cells.iter().for_each(|cell| println!("{}", cell.name));
        return ExitCode::SUCCESS;
    }
    let used = SHARED.into_iter().filter(|kind| cells.iter().any(|cell| cell.name.starts_with(&kind.name())));
    let places = Places(used.filter_map(|kind| Some((kind, Fleet::start(kind)?))).collect());
    let (cells, tally) = (Mutex::new(cells), Mutex::new(Tally::default()));
    std::thread::scope(|threads| {
        for _ in 0..arguments.parallel.max(1) {
            threads.spawn(|| work(&cells, &places, &tally));
        }
    });
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = since.elapsed().as_secs();
    println!(
        "groups: {} cells passed, {} failed, {} skipped, {seconds} s",
        tally.passed,
        tally.failed.len(),
        tally.skipped
    );
    tally.failed.iter().for_each(|name| println!("failed: {name}"));
    if tally.failed.is_empty() && (tally.skipped == 0 || !in_ci()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
