//! What befalls the gateways: storms, kills, stops, restarts, at instants that the seed draws.
//!
//! Promises: at the end both gateways run and nothing befalls anybody any more.
//! Called by `run`.

use std::sync::Arc;
use std::time::Duration;

use sluice_runtime::{Entropy, SeededEntropy};
use sluice_store::Faults;
use tokio::time::Instant;

use crate::fleet::SLOTS;
use crate::plan::{Plan, between, draw_outage, ms_between, percent};
use crate::world::World;

/// Lets the bad times pass.
pub async fn run(world: Arc<World>, plan: Plan, entropy: SeededEntropy) {
    let end = Instant::now() + plan.chaos;
    world.journal.note("chaos", "begins");
    while Instant::now() < end {
        tokio::time::sleep(ms_between(&entropy, 20, 400)).await;
        if world.is_rough {
            strike(&world, &plan, &entropy).await;
        }
    }
    for slot in 0..SLOTS {
        world.fleet.set_faults(slot, Faults::default());
    }
    for slot in 0..SLOTS {
        if !world.fleet.running().contains(&slot) {
            world.fleet.start(slot).await;
        }
    }
    world.journal.note("chaos", "is over");
    world.end_chaos();
}

async fn strike(world: &Arc<World>, plan: &Plan, entropy: &SeededEntropy) {
    let slot = usize::try_from(entropy.next_below(SLOTS as u64)).unwrap();
    let is_running = world.fleet.running().contains(&slot);
    match between(entropy, 0, 99) {
        0..35 => {
            let faults = if percent(entropy, 60) { plan.storm } else { plan.drizzle };
            world.journal.note("chaos", format_args!("other weather at g{slot}"));
            world.fleet.set_faults(slot, faults);
        }
        35..45 => {
            let outage = draw_outage(entropy);
            world.journal.note("chaos", format_args!("an outage at g{slot}"));
            world.journal.count("outages");
            world.fleet.set_faults(slot, outage);
            // Now and then longer than anybody's patience.
            let most = if percent(entropy, 15) { 60_000 } else { 5_000 };
            tokio::time::sleep(ms_between(entropy, 100, most)).await;
            world.fleet.set_faults(slot, plan.drizzle);
        }
        45..52 => world.fleet.set_faults(slot, Faults::default()),
        52..72 if is_running => world.fleet.kill(slot),
        72..80 if is_running => world.fleet.stop(slot).await,
        _ if !is_running => {
            // A machine takes its time to come back; others go on meanwhile.
            tokio::time::sleep(Duration::from_millis(between(entropy, 0, 200))).await;
            world.fleet.start(slot).await;
        }
        _ => {}
    }
}
