//! One measurement: threads of load against one server, and what that cost it.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use crate::process::{CpuTime, cpu_time, resident_bytes};
use crate::server::Server;

/// What a load did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Bytes of record values.
    pub(crate) value_bytes: u64,
    /// Requests answered.
    pub(crate) requests: u64,
}

impl Tally {
    fn plus(self, other: Self) -> Self {
        Self { value_bytes: self.value_bytes + other.value_bytes, requests: self.requests + other.requests }
    }
}

/// What it cost.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Measured {
    pub(crate) tally: Tally,
    pub(crate) cpu: CpuTime,
    pub(crate) wall: Duration,
    /// CPU time of the generator: when it nears `wall`, the generator and not the server sets the pace.
    pub(crate) generator: Duration,
    /// Resident memory of the server at the end, in bytes.
    pub(crate) resident_bytes: u64,
}

impl Measured {
    /// Adds a later part of the same cell.
    pub(crate) fn plus(self, later: Self) -> Self {
        Self {
            tally: self.tally.plus(later.tally),
            cpu: self.cpu.plus(later.cpu),
            wall: self.wall + later.wall,
            generator: self.generator + later.generator,
            resident_bytes: later.resident_bytes,
        }
    }
}

/// A thread of load, with its connection open.
pub(crate) type Load<'a> = Box<dyn FnOnce() -> anyhow::Result<Tally> + Send + 'a>;

/// Runs all loads at the same time. The server's time is read when every thread is there and when the last is done.
pub(crate) fn measure(server: &Server, loads: Vec<Load<'_>>) -> anyhow::Result<Measured> {
    let begin = Barrier::new(loads.len() + 1);
    std::thread::scope(|scope| {
        let started: Vec<_> = loads
            .into_iter()
            .map(|load| {
                let begin = &begin;
                scope.spawn(move || {
                    begin.wait();
                    load()
                })
            })
            .collect();
        let before = (cpu_time(server.pid), cpu_time(std::process::id()));
        let start = Instant::now();
        begin.wait();
        let mut tally = Tally::default();
        for thread in started {
            let done = thread.join().map_err(|_| anyhow!("a thread of the generator panicked"))?;
            tally = tally.plus(done?);
        }
        let wall = start.elapsed();
        let (server_before, generator_before) = (before.0?, before.1?);
        let generator = cpu_time(std::process::id())?;
        Ok(Measured {
            tally,
            cpu: cpu_time(server.pid)?.since(server_before),
            wall,
            // Threads that have ended are in these two only.
            generator: (generator.user + generator.system)
                .saturating_sub(generator_before.user + generator_before.system),
            resident_bytes: resident_bytes(server.pid)?,
        })
    })
}
