//! A run: several lives of one data directory, each ended by a loss of power or by kill −9, and judged by the next.
//!
//! Promises: what a run does, where it is cut and what survives follow from its seed; only how its threads take turns does
//! not, so that a failure keeps the disk that it was found on. An end falls between any two operations of a life, the
//! opening's included; what was told after it is not held against the store.
//! Called by the `powercut` binary and by the tests of this crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sluice_embedded::{DiskConfig, DiskStores, open_disk_over};
use sluice_runtime::{SharedClock, SharedEntropy};

use crate::disk::{Disk, Event};
use crate::ledger::{Checked, Ledger};
use crate::machine::{Machine, Op, SyncKind};
use crate::survival::Survival;
use crate::told::Told;
use crate::{records, stores};

/// Where the data directory is: in folders that are not there yet.
pub const DIR: &str = "/srv/sluice/data";
/// Longest that a life takes; far above what is needed.
const LIFE_MAX: Duration = Duration::from_secs(120);

/// What is not as it was promised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation(pub String);

/// What is done to the stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// [`crate::records`]
    Records,
    /// [`crate::stores`]
    Stores,
}

impl Work {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Stores => "stores",
        }
    }
}

/// Syncs that are skipped and answered as if they had been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skip {
    /// Only of this kind.
    pub kind: Option<SyncKind>,
}

/// A run to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// What everything follows from.
    pub seed: u64,
    /// What is done.
    pub work: Work,
    /// What is skipped, from a sync of the first life on that is drawn.
    pub skip: Option<Skip>,
}

/// What a run came to.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Losses of power, by the operation before which they fell.
    pub cuts: BTreeMap<&'static str, u64>,
    /// Ends by kill −9.
    pub kills: u64,
    /// Operations on the disk.
    pub operations: u64,
    /// What was compared.
    pub checked: Checked,
}

impl Outcome {
    /// Adds another run's.
    pub fn add(&mut self, other: Self) {
        for (operation, count) in other.cuts {
            *self.cuts.entry(operation).or_insert(0) += count;
        }
        self.kills += other.kills;
        self.operations += other.operations;
        self.checked.add(other.checked);
    }
}

/// A run that found something.
#[derive(Debug, Clone)]
pub struct Failure {
    /// In which life, and after which end of the one before.
    pub place: String,
    /// What was found.
    pub violation: Violation,
    /// The disk that it was found on.
    pub machine: Machine,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.violation.0)
    }
}

/// A life as a workload sees it.
pub struct Life<'a> {
    /// Its disk.
    pub disk: &'a Disk,
    /// What is known.
    pub ledger: &'a Ledger,
    /// True when the power was lost before it: nothing is in the kernel alone.
    pub was_cut: bool,
    /// False for the last one, which only looks.
    pub works: bool,
    /// Its choices.
    pub rng: &'a mut fastrand::Rng,
    numbers: &'a mut u64,
}

impl Life<'_> {
    /// A number that nothing else has.
    pub fn next_number(&mut self) -> u64 {
        *self.numbers += 1;
        *self.numbers
    }
}

/// Opens the data directory with bounds that are drawn.
///
/// # Errors
/// When it does not open: after it did once, it does without help.
pub fn open(
    disk: &Disk,
    is_opened: bool,
    clock: &SharedClock,
    entropy: &SharedEntropy,
    mut rng: fastrand::Rng,
) -> Result<DiskStores, Violation> {
    let mut config = DiskConfig::new(PathBuf::from(DIR), !is_opened || rng.bool());
    config.limits.recent_bytes_max = [0, 2_000, 8 << 20][rng.usize(..3)];
    config.limits.known_folders_max = [1, 4, 65_536][rng.usize(..3)];
    config.limits.log_cache_bytes = [64 << 10, 16 << 20][rng.usize(..2)];
    config.limits.io_threads_max = rng.usize(1..5);
    let opened = open_disk_over(config, Arc::clone(clock), Arc::clone(entropy), Arc::new(disk.clone()));
    let stores = opened.map_err(|error| Violation(format!("the data directory does not open: {error}")))?;
    disk.tell(Told::Opened);
    Ok(stores)
}

/// What of a run's syncs is skipped, while it is replayed.
struct Skipping {
    kind: Option<SyncKind>,
    /// How many syncs of the kind are still done.
    left: u64,
}

/// How a life ended.
struct End {
    machine: Machine,
    was_cut: bool,
    place: String,
}

/// Makes a run.
///
/// # Errors
/// What it found.
pub fn run(plan: Plan) -> Result<Outcome, Box<Failure>> {
    let mut rng = fastrand::Rng::with_seed(plan.seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut outcome = Outcome::default();
    let mut ledger = Ledger::default();
    let mut numbers = 0;
    let mut skipping = None;
    let mut end = End { machine: Machine::default(), was_cut: true, place: "on an empty disk".into() };
    // A run that skips syncs goes on until it had the time to lose something.
    let lives = if plan.skip.is_some() { 5 } else { rng.usize(2..5) };
    for number in 0..=lives {
        let disk = Disk::of(end.machine.clone());
        let (was_cut, works) = (end.was_cut, number < lives);
        let life = Life { disk: &disk, ledger: &ledger, was_cut, works, rng: &mut rng, numbers: &mut numbers };
        let lived = live(plan.work, life);
        let checked = lived.map_err(|violation| {
            let place = format!("life {number}, {}", end.place);
            Box::new(Failure { place, violation, machine: end.machine.clone() })
        })?;
        outcome.checked.add(checked);
        if !works {
            break;
        }
        let events = disk.events();
        let at = draw_end(&mut rng, &events);
        if let (Some(skip), None) = (plan.skip, &skipping) {
            let syncs = events[..at].iter().filter(|event| skip.is_of(event)).count();
            skipping = Some(Skipping { kind: skip.kind, left: rng.u64(..syncs.max(1) as u64) });
        }
        outcome.operations += events.iter().filter(|event| matches!(event, Event::Op(_))).count() as u64;
        let machine = replay_skipping(end.machine, &events[..at], &mut ledger, &mut skipping);
        let was_cut = number + 1 == lives || rng.u8(..4) > 0;
        end = end_life(&mut rng, machine, &events, at, was_cut, &mut outcome);
    }
    Ok(outcome)
}

impl Skip {
    fn is_of(self, event: &Event) -> bool {
        matches!(event, Event::Op(Op::SyncBegin { kind, .. }) if self.kind.is_none_or(|wanted| wanted == *kind))
    }
}

/// Runs a life to its end, on a runtime and threads of its own.
fn live(work: Work, mut life: Life<'_>) -> Result<Checked, Violation> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().max_blocking_threads(4).build().unwrap();
    let lived = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            let lived = async {
                match work {
                    Work::Records => records::live(&mut life).await,
                    Work::Stores => stores::live(&mut life).await,
                }
            };
            let late = |_| Err(Violation(format!("not done after {LIFE_MAX:?}")));
            tokio::time::timeout(LIFE_MAX, lived).await.unwrap_or_else(late)
        })
    }));
    // What the dropped stores still write belongs to the life.
    let ended = catch_unwind(AssertUnwindSafe(|| drop(runtime)));
    let panicked = |_| Err(Violation("it panicked".into()));
    let lived = lived.unwrap_or_else(panicked);
    ended.map_err(|_| Violation("it panicked at its end".into()))?;
    lived
}

/// The event before which a life ends: an operation, or the end.
fn draw_end(rng: &mut fastrand::Rng, events: &[Event]) -> usize {
    let operations: Vec<usize> = (0..events.len()).filter(|at| matches!(events[*at], Event::Op(_))).collect();
    let opened = events.iter().position(|event| matches!(event, Event::Told(Told::Opened)));
    let of_opening = operations.partition_point(|at| *at < opened.unwrap_or(0));
    // One in five in the opening, which has few operations; and one in twenty after the last of all.
    let drawn = match rng.u8(..20) {
        0 => operations.len(),
        1..5 => rng.usize(..=of_opening),
        _ => rng.usize(..=operations.len()),
    };
    operations.get(drawn).copied().unwrap_or(events.len())
}

/// The machine and what was known of it after some events of a life.
fn replay_skipping(
    mut machine: Machine,
    events: &[Event],
    ledger: &mut Ledger,
    skipping: &mut Option<Skipping>,
) -> Machine {
    let mut skipped = BTreeSet::new();
    for event in events {
        match event {
            Event::Told(told) => ledger.learn(told),
            Event::Op(Op::SyncEnd { token, .. }) if skipped.remove(token) => {}
            Event::Op(op) => {
                if let (Op::SyncBegin { token, kind, .. }, Some(skipping)) = (op, skipping.as_mut())
                    && skipping.skips(*kind)
                {
                    skipped.insert(*token);
                }
                machine.apply(op).expect("what was done once can be done again");
            }
        }
    }
    machine
}

/// Ends a life by a loss of power, or by kill −9, which the kernel outlives.
fn end_life(
    rng: &mut fastrand::Rng,
    machine: Machine,
    events: &[Event],
    at: usize,
    was_cut: bool,
    outcome: &mut Outcome,
) -> End {
    let before = match events.get(at) {
        Some(Event::Op(op)) => op.name(),
        _ => "the end",
    };
    let how = if was_cut { "power lost" } else { "killed" };
    let place = format!("{how} at event {at} of {} ({before})", events.len());
    if !was_cut {
        outcome.kills += 1;
        return End { machine, was_cut, place };
    }
    *outcome.cuts.entry(before).or_insert(0) += 1;
    let machine = machine.after_power_cut(&mut Survival::drawn(rng.u64(..)));
    End { machine, was_cut, place }
}

impl Skipping {
    fn skips(&mut self, kind: SyncKind) -> bool {
        if self.kind.is_some_and(|wanted| wanted != kind) {
            return false;
        }
        let skips = self.left == 0;
        self.left = self.left.saturating_sub(1);
        skips
    }
}
