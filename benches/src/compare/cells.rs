//! The cells of the comparison: which load, the same for both, and what it is judged by.
//!
//! Promises: each fails if what it read or left behind is not what it wrote.

use std::time::Duration;

use anyhow::{Context, ensure};

use super::{RUNS_MAX, RUNS_MIN};
use crate::bench::{Bench, readers_of};
use crate::client::Connection;
use crate::consume::Consumer;
use crate::measure::{Load, Measured, Tally, measure};
use crate::process::resident_bytes;
use crate::produce::{ProduceShape, Producer, run_in_turn, run_paced};
use crate::server::Server;

const BATCH_BYTES: usize = 128 << 10;
/// As a Java producer sends: as many batches as its max.request.size of 1 MiB lets through.
const GROUPED: ProduceShape = ProduceShape { connections: 4, in_flight: 5, batches_per_request: 7 };
const PRODUCE_BYTES: u64 = 1_000_000_000;
/// There before anything is read.
const FILL_BYTES: u64 = 2_000_000_000;
const SMALL_VALUE_BYTES: usize = 100;
const SMALL_REQUESTS: u64 = 60_000;
/// Threads that many connections are shared out to: the same number for few as for many, so that only the number of
/// connections differs.
const CROWD_THREADS: u64 = 8;
/// A megabyte of values a second, in batches of ten records.
const PACED_BATCH_BYTES: usize = 10 << 10;
const PACED_PAUSE: Duration = Duration::from_millis(10);
const PACED_REQUESTS: u64 = 1_000;
const IDLE_CONNECTIONS: u64 = 5_000;
/// Memory of a server besides what it keeps of records.
const BESIDE_DATA_BYTES: u64 = 256 << 20;
/// Given back to the machine's host while a cell that keeps records is run, for which free memory of two seconds is enough.
const GIVEN_BACK_BYTES: u64 = 2 << 30;

/// A cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    Produce { value_bytes: usize },
    Consume { value_bytes: usize },
    Small { connections: u64 },
    EmptyFetch { connections: u64 },
    Paced,
    Idle,
}

/// What a cell's own number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// CPU seconds per 1e9 bytes of record values.
    CpuPerGigabyte,
    /// CPU microseconds per request.
    CpuPerRequest,
    /// Milliseconds, half of the requests and 99 of 100.
    Latency,
    /// KiB of resident memory per connection.
    Memory,
}

/// What one run of a cell gave.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Run {
    pub(super) measured: Measured,
    /// Half of the paced requests took at most this, and 99 of 100 this.
    pub(super) latency: Option<(Duration, Duration)>,
    /// Resident memory per idle connection, in bytes.
    pub(super) bytes_per_connection: Option<f64>,
}

impl From<Measured> for Run {
    fn from(measured: Measured) -> Self {
        Self { measured, ..Self::default() }
    }
}

impl Cell {
    pub(super) const ALL: [Self; 13] = [
        Self::Produce { value_bytes: 100 },
        Self::Produce { value_bytes: 1 << 10 },
        Self::Produce { value_bytes: 10 << 10 },
        Self::Consume { value_bytes: 100 },
        Self::Consume { value_bytes: 1 << 10 },
        Self::Consume { value_bytes: 10 << 10 },
        Self::Small { connections: 1 },
        Self::Small { connections: 16 },
        Self::Small { connections: 1_000 },
        Self::EmptyFetch { connections: 16 },
        Self::EmptyFetch { connections: 1_000 },
        Self::Paced,
        Self::Idle,
    ];

    pub(super) fn name(self) -> String {
        match self {
            Self::Produce { value_bytes } => format!("produce {}", size(value_bytes)),
            Self::Consume { value_bytes } => format!("consume {}, 2 GB there and warm", size(value_bytes)),
            Self::Small { connections } => format!("small produce, {}", connected(connections)),
            Self::EmptyFetch { connections } => format!("empty fetch, {}", connected(connections)),
            Self::Paced => "produce 1 MB/s in 10 KiB batches".to_owned(),
            Self::Idle => format!("{IDLE_CONNECTIONS} idle connections"),
        }
    }

    pub(super) fn unit(self) -> Unit {
        match self {
            Self::Produce { .. } | Self::Consume { .. } => Unit::CpuPerGigabyte,
            Self::Small { .. } | Self::EmptyFetch { .. } => Unit::CpuPerRequest,
            Self::Paced => Unit::Latency,
            Self::Idle => Unit::Memory,
        }
    }

    /// What a run of it is judged by: less is better.
    pub(super) fn cost(self, run: &Run) -> f64 {
        match self.unit() {
            Unit::CpuPerGigabyte | Unit::CpuPerRequest => run.measured.cpu.total.as_secs_f64(),
            Unit::Latency => run.latency.map_or(f64::MAX, |(_, slow)| slow.as_secs_f64()),
            Unit::Memory => run.bytes_per_connection.unwrap_or(f64::MAX),
        }
    }

    /// How often it is run on a server, at least and at most. A paced run takes long, and of what a connection takes no two
    /// runs differ.
    pub(super) fn runs(self) -> (usize, usize) {
        match self.unit() {
            Unit::CpuPerGigabyte | Unit::CpuPerRequest => (RUNS_MIN, RUNS_MAX),
            Unit::Latency => (2, 2),
            Unit::Memory => (1, 1),
        }
    }

    /// Whether it is run on Kafka as well. Java's heap is resident whatever is in it: nothing is seen of a connection.
    pub(super) fn is_compared(self) -> bool {
        self.unit() != Unit::Memory
    }

    /// Memory to be warmed for it: what a server takes, the kernel's for its files and sockets included, generously.
    pub(super) fn memory_bytes(self, divide: u64) -> u64 {
        let data = match self {
            Self::Produce { .. } => PRODUCE_BYTES,
            Self::Consume { .. } => FILL_BYTES,
            Self::Small { .. } | Self::EmptyFetch { .. } | Self::Paced | Self::Idle => return BESIDE_DATA_BYTES,
        };
        data.div_ceil(divide) * 5 / 4 + BESIDE_DATA_BYTES + GIVEN_BACK_BYTES
    }

    /// Runs it on a server; `divide` divides the amounts.
    pub(super) fn run(self, server: &Server, divide: u64) -> anyhow::Result<Run> {
        let of = |amount: u64| amount.div_ceil(divide);
        match self {
            Self::Produce { value_bytes } => produce(server, value_bytes, of(PRODUCE_BYTES)).map(Run::from),
            Self::Consume { value_bytes } => consume(server, value_bytes, of(FILL_BYTES)).map(Run::from),
            Self::Small { connections } => produce_small(server, connections, of(SMALL_REQUESTS)).map(Run::from),
            Self::EmptyFetch { connections } => fetch_nothing(server, connections, of(SMALL_REQUESTS)).map(Run::from),
            Self::Paced => produce_paced(server, of(PACED_REQUESTS)),
            Self::Idle => hold_idle(server, of(IDLE_CONNECTIONS)),
        }
    }
}

fn size(bytes: usize) -> String {
    if bytes.is_multiple_of(1024) { format!("{} KiB", bytes / 1024) } else { format!("{bytes} B") }
}

fn connected(connections: u64) -> String {
    if connections == 1 { "1 connection".to_owned() } else { format!("{connections} connections") }
}

fn produce(server: &Server, value_bytes: usize, amount: u64) -> anyhow::Result<Measured> {
    let mut bench = Bench::new(server, BATCH_BYTES, value_bytes)?;
    let measured = bench.produce(GROUPED, amount)?;
    bench.check_ends()?;
    bench.delete()?;
    Ok(measured)
}

/// Everything is there and was read once; the second reading counts.
fn consume(server: &Server, value_bytes: usize, amount: u64) -> anyhow::Result<Measured> {
    let mut bench = Bench::new(server, BATCH_BYTES, value_bytes)?;
    bench.produce(GROUPED, amount)?;
    bench.check_ends()?;
    let ends = bench.ends()?;
    measure(server, readers_of(&mut bench.consumers()?, &ends))?;
    let measured = measure(server, readers_of(&mut bench.consumers()?, &ends))?;
    bench.check_consumed(measured.tally.value_bytes)?;
    bench.delete()?;
    Ok(measured)
}

fn produce_small(server: &Server, connections: u64, requests: u64) -> anyhow::Result<Measured> {
    let mut bench = Bench::new(server, 0, SMALL_VALUE_BYTES)?;
    let shape = ProduceShape { connections, in_flight: 1, batches_per_request: 1 };
    let mut producers = bench.producers(shape, requests)?;
    let loads = crowd_of(&mut producers, connections)?
        .map(|share: &mut [Producer]| Box::new(move || run_in_turn(share)) as Load<'_>);
    let measured = measure(server, loads.collect())?;
    bench.check_ends()?;
    bench.delete()?;
    Ok(measured)
}

fn fetch_nothing(server: &Server, connections: u64, requests: u64) -> anyhow::Result<Measured> {
    let bench = Bench::new(server, 0, SMALL_VALUE_BYTES)?;
    let mut consumers = Vec::new();
    for _ in 0..connections {
        consumers.extend(Consumer::group(server, &bench.topic, &bench.batches, 1)?);
    }
    // The first request of a connection costs more (T5) and is none of many: it is not counted.
    Consumer::fetch_nothing_in_turn(&mut consumers, 1)?;
    let times = requests.div_ceil(connections);
    let loads = crowd_of(&mut consumers, connections)?
        .map(|share: &mut [Consumer]| Box::new(move || Consumer::fetch_nothing_in_turn(share, times)) as Load<'_>);
    let measured = measure(server, loads.collect())?;
    bench.delete()?;
    Ok(measured)
}

/// Connections shared out evenly to the threads of load.
fn crowd_of<T>(members: &mut [T], connections: u64) -> anyhow::Result<std::slice::ChunksMut<'_, T>> {
    let share = usize::try_from(connections.div_ceil(CROWD_THREADS.min(connections)))?;
    Ok(members.chunks_mut(share))
}

fn produce_paced(server: &Server, requests: u64) -> anyhow::Result<Run> {
    let mut bench = Bench::new(server, PACED_BATCH_BYTES, 1 << 10)?;
    let shape = ProduceShape { connections: 1, in_flight: 1, batches_per_request: 1 };
    let mut producers = bench.producers(shape, requests)?;
    let mut took = Vec::new();
    let bytes = bench.batches.value_bytes() * requests;
    let producer = producers.first_mut().context("a producer")?;
    let load: Load<'_> = Box::new(|| {
        took = run_paced(producer, PACED_PAUSE)?;
        Ok(Tally { value_bytes: bytes, requests })
    });
    let measured = measure(server, vec![load])?;
    bench.check_ends()?;
    bench.delete()?;
    took.sort_unstable();
    let at = |percent: usize| took.get((took.len() * percent / 100).min(took.len().saturating_sub(1))).copied();
    let latency = at(50).zip(at(99));
    ensure!(latency.is_some(), "no paced request was answered");
    Ok(Run { measured, latency, bytes_per_connection: None })
}

/// Connections that have asked for something and then rest.
fn hold_idle(server: &Server, connections: u64) -> anyhow::Result<Run> {
    let bench = Bench::new(server, 0, SMALL_VALUE_BYTES)?;
    let before = resident_bytes(server.pid)?;
    let mut held: Vec<Connection> = Vec::new();
    for _ in 0..connections {
        let mut connection = Connection::open(server.addr).context("too few open files are allowed (ulimit -n)")?;
        bench.topic.end_offsets(&mut connection)?;
        held.push(connection);
    }
    let after = resident_bytes(server.pid)?;
    let measured = Measured { resident_bytes: after, ..Measured::default() };
    let bytes = after.saturating_sub(before) as f64 / held.len() as f64;
    bench.delete()?;
    Ok(Run { measured, latency: None, bytes_per_connection: Some(bytes) })
}
