//! One run of a seed, from an empty log to the judgement.
//!
//! Promises: one thread, paused time, seeded entropy: the same seed and options give the same trace, byte for byte (I-13);
//! ends by itself, within a bounded virtual time. Called by the tests.

use std::sync::Arc;
use std::time::Duration;

use sluice_runtime::{Entropy, SeededEntropy};

use crate::fleet::{Fleet, SLOTS, new_log};
use crate::journal::{Journal, Stats};
use crate::ledger::Ledger;
use crate::oracle::Oracle;
use crate::plan::{Options, Plan};
use crate::roster::Roster;
use crate::world::{World, make_topics};
use crate::{chaos, finale};

/// No run takes longer, in its own time.
const LONGEST: Duration = Duration::from_secs(900);

/// What came of a run.
pub struct Report {
    pub seed: u64,
    /// Every event, in order.
    pub trace: Vec<String>,
    /// What must not have been; empty for a run that kept every promise.
    pub violations: Vec<String>,
    pub stats: Stats,
}

/// Runs a seed.
pub fn run(seed: u64, options: Options) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let journal = runtime.block_on(async {
        let journal = Journal::new();
        if tokio::time::timeout(LONGEST, play(&journal, seed, options)).await.is_err() {
            journal.violation("run", "it does not come to an end");
        }
        journal
    });
    // What still runs ends with the runtime, before the journal is read.
    drop(runtime);
    let read = journal.read();
    Report { seed, trace: read.trace, violations: read.violations, stats: read.stats }
}

async fn play(journal: &Arc<Journal>, seed: u64, options: Options) {
    let entropy = SeededEntropy::new(seed);
    let plan = Plan::draw(&entropy, options.is_calm);
    let next = || SeededEntropy::new(entropy.next_u64());
    let ledger = Arc::new(Ledger::default());
    let oracle = Oracle::new(journal, new_log(&entropy), ledger, options.defects.state);
    let fleet = Fleet::new(&oracle, &plan, options, next());
    for slot in 0..SLOTS {
        fleet.start(slot).await;
    }
    let topic_ids = make_topics(&fleet).await;
    let world = World::new(&fleet, &oracle, &plan, topic_ids, options.is_calm);
    let roster = Roster::start(&world, &next());
    if options.is_calm {
        tokio::time::sleep(plan.chaos).await;
    } else {
        chaos::run(&world, &roster, &next()).await;
    }
    finale::run(&world, &roster).await;
    fleet.end();
}
