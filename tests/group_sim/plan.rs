//! What a run is made of, drawn from its seed: the groups and their members, the bounds, the faults.
//!
//! Promises: nothing but the seed and the options decides. Called by `run`.

use std::time::Duration;

use sluice_engine::{Defects, Limits};
use sluice_runtime::SeededEntropy;
use sluice_store::{Faults, OperationFaults};

pub use crate::draw::{between, draw_faults, draw_outage, ms_between, one_of, percent};

/// What a test wants of a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Nothing befalls anybody.
    pub is_calm: bool,
    /// Defects planted in every gateway.
    pub defects: Defects,
}

/// One run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub limits: Limits,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_delay_ms: u32,
    /// Timeouts and retries around the faulty log, as `sluice serve` has them.
    pub has_decorators: bool,
    pub attempt_timeout: Duration,
    pub pipe_bytes: usize,
    /// How the log is on a bad day, on a middling one, and on a good one.
    pub weathers: [Faults; 3],
    /// How long the bad times last.
    pub chaos: Duration,
    pub groups: usize,
    pub members: Vec<Spec>,
}

/// What a member is like, over all the processes that are it one after another.
#[derive(Debug, Clone)]
pub struct Spec {
    pub group: usize,
    /// `group.instance.id`.
    pub instance: Option<String>,
    pub session: Duration,
    pub rebalance: Duration,
    /// Between two heartbeats: never longer than the session timeout.
    pub heartbeat: Duration,
    /// Between two commits.
    pub commit: Duration,
    /// Changes its connection before so many requests of a hundred.
    pub hops: u64,
    /// Its own whims: pauses, slowness, new metadata, leaving.
    pub is_lively: bool,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(e: &SeededEntropy, is_calm: bool) -> Self {
        let groups = usize::try_from(between(e, 1, 3)).unwrap();
        // Nobody of the first group does anything by itself, more often than not.
        let calm_groups = usize::try_from(one_of(e, &[0, 1, 1, 1, groups as u64])).unwrap();
        let count = usize::try_from(between(e, 4, 8)).unwrap();
        let members = (0..count).map(|index| draw_spec(e, index, index % groups, index % groups >= calm_groups));
        let fair = slow_log(Duration::from_millis(between(e, 2, 40)));
        Self {
            members: members.collect(),
            groups,
            limits: draw_limits(e),
            initial_delay_ms: one_of(e, &[0, 500, 3_000]),
            has_decorators: percent(e, 60),
            attempt_timeout: ms_between(e, 200, 1_000),
            pipe_bytes: one_of(e, &[1_024, 4_096, 65_536]),
            weathers: [
                if is_calm { fair } else { draw_faults(e, 120) },
                if is_calm { fair } else { draw_faults(e, 12) },
                fair,
            ],
            chaos: ms_between(e, 40_000, 90_000),
        }
    }

    /// The longest rebalance timeout of a group.
    pub fn rebalance(&self, group: usize) -> Duration {
        self.members.iter().filter(|spec| spec.group == group).map(|spec| spec.rebalance).max().unwrap_or_default()
    }
}

fn draw_spec(e: &SeededEntropy, index: usize, group: usize, is_lively: bool) -> Spec {
    let session = ms_between(e, 6_000, 10_000);
    // Those who come at the last moment leave a timer nearly no time to hear of it.
    let part = one_of(e, &[20, 33, 33, 50, 85, 93]);
    Spec {
        group,
        instance: percent(e, 30).then(|| format!("static-{index}")),
        session,
        rebalance: ms_between(e, 8_000, 20_000),
        heartbeat: session * part / 100,
        commit: ms_between(e, 200, 2_500),
        hops: one_of(e, &[5, 20, 50, 90]),
        is_lively,
    }
}

/// Every request takes its time.
fn slow_log(delay_max: Duration) -> Faults {
    let slow = OperationFaults { delayed_per_mille: 1_000, delay_max, ..OperationFaults::default() };
    Faults { append: slow, stage: slow, log_read: slow, ..Faults::default() }
}

fn draw_limits(e: &SeededEntropy) -> Limits {
    Limits {
        queue_len: one_of(e, &[2, 16, 1_024]),
        entry_commands_max: one_of(e, &[1, 2, 64]),
        staging_max: one_of(e, &[1, 2, 4]),
        append_backoff_max: ms_between(e, 100, 1_000),
        request_timeout: Duration::from_secs(5),
        commit_linger: ms_between(e, 0, 40),
        ..Limits::default()
    }
}
