//! What a run is made of, drawn from its seed: the composition, the bounds, the faults.
//!
//! Promises: nothing but the seed and the options decides. Never: draws while the run goes on (each actor has entropy of
//! its own for that). Called by `run`.

use std::time::Duration;

use sluice_engine::{Defects, Limits};
use sluice_runtime::SeededEntropy;
use sluice_store::Faults;

pub use crate::draw::{between, draw_faults, draw_outage, ms_between, one_of, percent};

/// What a test wants of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// No faults, kills or dropped connections at all.
    pub is_calm: bool,
    /// Defects planted in every gateway's engine.
    pub defects: Defects,
    /// A defect planted in the faulty stores: an answer lost after the effect reads as "did not happen".
    pub unknown_reads_as_unavailable: bool,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Bounds of every gateway, many of them tiny.
    pub limits: Limits,
    /// Timeouts and retries around the faulty stores, as `sluice serve` has them.
    pub has_decorators: bool,
    /// Deadline of one attempt at a store request, where there are decorators.
    pub attempt_timeout: Duration,
    /// Puts take tokens, as on S3.
    pub puts_are_metered: bool,
    /// Bytes that a connection buffers each way: small ones cut frames.
    pub pipe_bytes: usize,
    /// Faults in bad times.
    pub storm: Faults,
    /// Faults in good times.
    pub drizzle: Faults,
    /// Faults from the start, by gateway.
    pub first: [Faults; 2],
    /// How long the bad times last, from the start.
    pub chaos: Duration,
    pub idempotent_producers: u64,
    pub plain_producers: u64,
    pub consumers: u64,
    /// Batches of each producer.
    pub batches: u64,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(entropy: &SeededEntropy) -> Self {
        let e = entropy;
        let strength = between(e, 1, 5);
        let (storm, drizzle) = (draw_faults(e, strength * 30), draw_faults(e, 12));
        Self {
            limits: draw_limits(e),
            has_decorators: percent(e, 60),
            attempt_timeout: ms_between(e, 100, 1_000),
            puts_are_metered: percent(e, 30),
            pipe_bytes: one_of(e, &[300, 4096, 65_536]),
            storm,
            drizzle,
            first: [(); 2].map(|()| one_of(e, &[Faults::default(), drizzle, storm])),
            chaos: ms_between(e, 3_000, 8_000),
            idempotent_producers: between(e, 1, 3),
            plain_producers: between(e, 1, 4),
            consumers: between(e, 1, 2),
            batches: between(e, 15, 40),
        }
    }
}

fn draw_limits(e: &SeededEntropy) -> Limits {
    Limits {
        linger: ms_between(e, 1, 80),
        put_rate: 20.0,
        segment_bytes_max: one_of(e, &[300, 1_000, 8 << 20]),
        flushes_in_flight_max: one_of(e, &[1, 2, 4, 8]),
        produce_bytes_max: one_of(e, &[2_000, 256 << 20]),
        cache_bytes_max: one_of(e, &[0, 2_000, 64 << 20]),
        cache_block_bytes: one_of(e, &[100, 1_000, 1 << 20]),
        queue_len: one_of(e, &[2, 16, 1024]),
        entry_commands_max: one_of(e, &[1, 2, 64]),
        staging_max: one_of(e, &[1, 2, 4]),
        append_backoff_max: ms_between(e, 100, 1_000),
        request_timeout: Duration::from_secs(5),
        producer_id_block: one_of(e, &[1, 2, 100]),
        ..Limits::default()
    }
}
