//! One run of a seed, from an empty store to the judgement.
//!
//! Promises: one thread, paused time, seeded entropy: the same seed and options give the same trace, byte for byte (I-13);
//! ends by itself, within a bounded virtual time. Called by the tests.

use std::sync::Arc;
use std::time::Duration;

use sluice_runtime::{Entropy, SeededEntropy};
use tokio::task::JoinHandle;

use crate::chaos;
use crate::consumers::Consumer;
use crate::finale;
use crate::fleet::{Fleet, SLOTS};
use crate::journal::{Journal, Stats};
use crate::plan::{Options, Plan};
use crate::producers::{Idempotent, Plain};
use crate::world::World;

/// Longest that a client goes on after the bad times: retries under way, then what it still wants to write.
const CLIENTS_MAX: Duration = Duration::from_secs(300);

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
        play(&journal, seed, options).await;
        journal
    });
    // What still runs ends with the runtime, before the journal is read.
    drop(runtime);
    let read = journal.read();
    Report { seed, trace: read.trace, violations: read.violations, stats: read.stats }
}

async fn play(journal: &Arc<Journal>, seed: u64, options: Options) {
    let entropy = SeededEntropy::new(seed);
    let plan = Plan::draw(&entropy);
    let next = || SeededEntropy::new(entropy.next_u64());
    let fleet = Fleet::new(journal, &plan, options, next());
    let world = World::new(journal.clone(), fleet.clone(), !options.is_calm);
    for slot in 0..SLOTS {
        if world.is_rough {
            fleet.set_faults(slot, plan.first[slot]);
        }
        fleet.start(slot).await;
    }
    let think_ms = u64::try_from(plan.chaos.as_millis()).unwrap() * 2 / plan.batches;
    let mut clients = Vec::new();
    for index in 0..plan.idempotent_producers {
        let client = Idempotent::new(&world, format!("i{index}"), next(), plan.batches, think_ms);
        clients.push((format!("i{index}"), tokio::spawn(client.run())));
    }
    for index in 0..plan.plain_producers {
        let client = Plain::new(&world, format!("p{index}"), next(), plan.batches, think_ms);
        clients.push((format!("p{index}"), tokio::spawn(client.run())));
    }
    for index in 0..plan.consumers {
        let client = Consumer::new(&world, format!("c{index}"), next());
        clients.push((format!("c{index}"), tokio::spawn(client.run())));
    }
    chaos::run(world.clone(), plan, next()).await;
    for (who, client) in clients {
        wait_for(journal, &who, client).await;
    }
    finale::run(&world, &next()).await;
    fleet.end();
}

async fn wait_for(journal: &Journal, who: &str, mut client: JoinHandle<()>) {
    match tokio::time::timeout(CLIENTS_MAX, &mut client).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => journal.violation(who, format_args!("the client panicked: {error}")),
        Err(_) => {
            client.abort();
            journal.violation(who, "nothing is in its way any more, and it does not come to an end");
        }
    }
}
