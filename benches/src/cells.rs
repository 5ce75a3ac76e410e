//! The cells: which load, on which server, judged by what.
//!
//! Promises: every cell has a server and a topic of its own, and fails if what it read or left behind is not what it wrote.

use std::time::{Duration, Instant};

use sluice_protocol::messages::ApiVersionsRequest;

use crate::bench::{Bench, loads_of, readers_of};
use crate::client::Connection;
use crate::consume::Consumer;
use crate::measure::{Load, Measured, measure};
use crate::process::resident_bytes;
use crate::produce::ProduceShape;
use crate::report::Report;
use crate::server::{Launcher, Server};

/// The name of the measurement of starts, for `--only`.
pub(crate) const START: &str = "start";

const VALUE_BYTES: usize = 1 << 10;
const BATCH_BYTES: usize = 128 << 10;
const SMALL_VALUE_BYTES: usize = 100;
/// Each cell is run so often, each time on a fresh server.
pub(crate) const RUNS: usize = 3;
/// Bytes of record values in a run.
const RUN_BYTES: u64 = 1_000_000_000;
/// Produced, then read, then again: little enough that a gateway may still have it in its cache.
const TAIL_ROUND_BYTES: u64 = 100_000_000;
const TAIL_ROUNDS: u64 = 8;
/// As a librdkafka producer sends: a batch per request.
const SINGLE: ProduceShape = ProduceShape { connections: 4, in_flight: 5, batches_per_request: 1 };
/// As a Java producer sends: as many batches as its max.request.size of 1 MiB lets through.
const GROUPED: ProduceShape = ProduceShape { batches_per_request: 7, ..SINGLE };
const SMALL_REQUESTS: u64 = 40_000;
const STARTS: usize = 10;
const IDLE_BEFORE: Duration = Duration::from_secs(2);

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    /// Divides bytes and requests.
    pub(crate) divide: u32,
}

impl Plan {
    fn of(self, amount: u64) -> u64 {
        amount.div_ceil(u64::from(self.divide))
    }
}

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cell {
    ProduceGrouped,
    ProduceSingle,
    ConsumeTail,
    ConsumeFromStart,
    ProduceAndConsume,
    Small { connections: u64, in_flight: u64 },
    EmptyFetch { connections: u64 },
}

impl Cell {
    pub(crate) const ALL: [Self; 10] = [
        Self::ProduceGrouped,
        Self::ProduceSingle,
        Self::ConsumeTail,
        Self::ConsumeFromStart,
        Self::ProduceAndConsume,
        Self::Small { connections: 1, in_flight: 1 },
        Self::Small { connections: 16, in_flight: 1 },
        Self::Small { connections: 16, in_flight: 5 },
        Self::EmptyFetch { connections: 1 },
        Self::EmptyFetch { connections: 16 },
    ];

    pub(crate) fn name(self) -> String {
        match self {
            Self::ProduceGrouped => "produce, 7 batches a request".to_owned(),
            Self::ProduceSingle => "produce, 1 batch a request".to_owned(),
            Self::ConsumeTail => "consume the tail".to_owned(),
            Self::ConsumeFromStart => "consume from the start".to_owned(),
            Self::ProduceAndConsume => "produce and consume live".to_owned(),
            Self::Small { connections, in_flight } => format!("small produce, {connections} x {in_flight}"),
            Self::EmptyFetch { connections } => format!("empty fetch, {connections} x 1"),
        }
    }

    /// What the design asks for, in CPU seconds per 1e9 bytes of record values.
    pub(crate) fn target(self) -> Option<f64> {
        match self {
            Self::ProduceGrouped | Self::ProduceSingle => Some(1.0),
            Self::ConsumeTail | Self::ConsumeFromStart => Some(0.6),
            Self::ProduceAndConsume | Self::Small { .. } | Self::EmptyFetch { .. } => None,
        }
    }

    /// Whether it is judged by the bytes it moves, or by its requests.
    pub(crate) fn is_about_bytes(self) -> bool {
        !matches!(self, Self::Small { .. } | Self::EmptyFetch { .. })
    }

    fn run(self, server: &Server, plan: Plan) -> anyhow::Result<Measured> {
        let value_bytes = plan.of(RUN_BYTES);
        match self {
            Self::ProduceGrouped => produce(server, GROUPED, value_bytes),
            Self::ProduceSingle => produce(server, SINGLE, value_bytes),
            Self::ConsumeTail => consume_tail(server, plan),
            Self::ConsumeFromStart => consume_from_start(server, value_bytes),
            Self::ProduceAndConsume => produce_and_consume(server, value_bytes),
            Self::Small { connections, in_flight } => {
                let shape = ProduceShape { connections, in_flight, batches_per_request: 1 };
                produce_small(server, shape, plan.of(SMALL_REQUESTS))
            }
            Self::EmptyFetch { connections } => fetch_nothing(server, connections, plan.of(SMALL_REQUESTS)),
        }
    }
}

/// Runs cells one after the other, each run on a server from `next_server`, and prints each result as it comes.
///
/// Before them comes a run that is not counted: a virtual machine gets memory from its host page by page, and who needs it
/// first pays several times what the server costs.
pub(crate) fn run_all(
    cells: &[Cell],
    plan: Plan,
    report: &mut Report,
    next_server: &mut dyn FnMut() -> anyhow::Result<Server>,
) -> anyhow::Result<()> {
    let warm_up = match cells.iter().any(|cell| cell.is_about_bytes()) {
        true => Some(Cell::ProduceGrouped.run(&next_server()?, plan)?),
        false => None,
    };
    report.begin(warm_up.as_ref());
    for cell in cells {
        let mut runs = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            let server = next_server()?;
            runs.push(cell.run(&server, plan).map_err(|error| error.context(cell.name()))?);
        }
        report.add(*cell, runs);
    }
    Ok(())
}

fn produce(server: &Server, shape: ProduceShape, value_bytes: u64) -> anyhow::Result<Measured> {
    let mut bench = Bench::new(server, BATCH_BYTES, VALUE_BYTES)?;
    let measured = bench.produce(shape, value_bytes)?;
    bench.check_ends()?;
    Ok(measured)
}

/// Everything is there before anything is read.
fn consume_from_start(server: &Server, value_bytes: u64) -> anyhow::Result<Measured> {
    let mut bench = Bench::new(server, BATCH_BYTES, VALUE_BYTES)?;
    bench.produce(GROUPED, value_bytes)?;
    bench.check_ends()?;
    let ends = bench.ends()?;
    let measured = measure(server, readers_of(&mut bench.consumers()?, &ends))?;
    bench.check_consumed(measured.tally.value_bytes)?;
    Ok(measured)
}

/// Rounds of producing, which is not counted, and reading what was just produced, which is.
fn consume_tail(server: &Server, plan: Plan) -> anyhow::Result<Measured> {
    let mut bench = Bench::new(server, BATCH_BYTES, VALUE_BYTES)?;
    let mut consumers = bench.consumers()?;
    let mut sum = Measured::default();
    for _ in 0..plan.of(TAIL_ROUNDS) {
        bench.produce(GROUPED, TAIL_ROUND_BYTES)?;
        let ends = bench.ends()?;
        sum = sum.plus(measure(server, readers_of(&mut consumers, &ends))?);
    }
    bench.check_ends()?;
    bench.check_consumed(sum.tally.value_bytes)?;
    Ok(sum)
}

/// Consumers that wait for what producers send at the same time: the sum of both, wake-ups included.
fn produce_and_consume(server: &Server, value_bytes: u64) -> anyhow::Result<Measured> {
    let mut bench = Bench::new(server, BATCH_BYTES, VALUE_BYTES)?;
    let mut consumers = bench.consumers()?;
    let mut producers = bench.producers(GROUPED, bench.batches.count_for(value_bytes))?;
    let ends = bench.ends()?;
    let mut loads = loads_of(&mut producers);
    loads.extend(readers_of(&mut consumers, &ends));
    let mut measured = measure(server, loads)?;
    bench.check_ends()?;
    // Each byte was counted going in and coming out; the rate is per byte that took the whole way.
    bench.check_consumed(measured.tally.value_bytes / 2)?;
    measured.tally.value_bytes /= 2;
    Ok(measured)
}

fn produce_small(server: &Server, shape: ProduceShape, requests: u64) -> anyhow::Result<Measured> {
    let mut bench = Bench::new(server, 0, SMALL_VALUE_BYTES)?;
    let mut producers = bench.producers(shape, requests)?;
    let measured = measure(server, loads_of(&mut producers))?;
    bench.check_ends()?;
    Ok(measured)
}

fn fetch_nothing(server: &Server, connections: u64, requests: u64) -> anyhow::Result<Measured> {
    let bench = Bench::new(server, 0, SMALL_VALUE_BYTES)?;
    let mut consumers = Vec::new();
    for _ in 0..connections {
        consumers.extend(Consumer::group(server, &bench.topic, &bench.batches, 1)?);
    }
    let each = requests.div_ceil(connections);
    let loads = consumers.iter_mut().map(|consumer| Box::new(move || consumer.fetch_nothing(each)) as Load<'_>);
    measure(server, loads.collect())
}

/// How a gateway starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Starts {
    /// From the start of the process to the answer to ApiVersions: half of the starts took less.
    pub(crate) median: Duration,
    pub(crate) slowest: Duration,
    /// Resident memory of an idle gateway, in bytes.
    pub(crate) idle_bytes: u64,
}

/// Starts gateways one after the other, and looks at the memory of an idle one.
pub(crate) fn measure_start(launcher: &Launcher) -> anyhow::Result<Starts> {
    let mut times = Vec::with_capacity(STARTS);
    for _ in 0..STARTS {
        let start = Instant::now();
        let server = launcher.launch_bare()?;
        Connection::open(server.addr)?.call(0, &ApiVersionsRequest::default())?;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let server = launcher.launch()?;
    let until = Instant::now() + IDLE_BEFORE;
    while Instant::now() < until {
        std::thread::park_timeout(until.saturating_duration_since(Instant::now()));
    }
    Ok(Starts {
        median: times.get(STARTS / 2).copied().unwrap_or_default(),
        slowest: times.last().copied().unwrap_or_default(),
        idle_bytes: resident_bytes(server.pid)?,
    })
}
