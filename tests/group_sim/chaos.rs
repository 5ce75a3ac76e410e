//! What befalls gateways and members, at instants that the seed draws.
//!
//! Promises: at the end all gateways run, the weather is fair, and nothing befalls anybody any more. More often than not
//! one gateway at least is left alone.
//! Called by `run`.

use std::sync::Arc;
use std::time::Duration;

use sluice_runtime::{Entropy, SeededEntropy};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::fleet::SLOTS;
use crate::plan::{between, draw_outage, ms_between, one_of, percent};
use crate::roster::Roster;
use crate::world::World;

/// Lets the bad times pass.
pub async fn run(world: &Arc<World>, roster: &Roster, entropy: &SeededEntropy) {
    let end = Instant::now() + world.plan.chaos;
    world.journal.note("chaos", "begins");
    let mut events = JoinSet::new();
    while Instant::now() < end {
        tokio::time::sleep(ms_between(entropy, 100, 4_000)).await;
        strike(world, roster, entropy, &mut events).await;
        while events.try_join_next().is_some() {}
    }
    while events.join_next().await.is_some() {}
    for slot in 0..SLOTS {
        world.fleet.set_faults(slot, world.plan.weathers[2]);
        while !world.fleet.running().contains(&slot) {
            world.fleet.start(slot).await;
        }
    }
    world.journal.note("chaos", "is over");
    world.end_chaos();
}

async fn strike(world: &Arc<World>, roster: &Roster, entropy: &SeededEntropy, events: &mut JoinSet<()>) {
    let slot = usize::try_from(entropy.next_below(SLOTS as u64)).unwrap();
    let may_disturb = world.fleet.undisturbed() > 1 || percent(entropy, 20);
    match between(entropy, 0, 99) {
        0..20 => {
            let weather = one_of(entropy, &world.plan.weathers);
            world.journal.note("chaos", format_args!("other weather at g{slot}"));
            world.fleet.set_faults(slot, weather);
        }
        20..25 if may_disturb => outage(world, slot, entropy, events),
        25..45 if may_disturb => end_gateway(world, slot, entropy, events),
        45..70 if may_disturb => stall(world, slot, entropy, events),
        70..73 => fleet_down(world, entropy).await,
        73..90 => {
            let seat = usize::try_from(entropy.next_below(roster.seats.len() as u64)).unwrap();
            // Nobody of a quiet group goes.
            if roster.seats[seat].spec.is_lively {
                roster.seats[seat].kill();
            }
        }
        _ => {}
    }
}

/// The log of one gateway is out of reach.
fn outage(world: &Arc<World>, slot: usize, entropy: &SeededEntropy, events: &mut JoinSet<()>) {
    if !world.fleet.take(slot) {
        return;
    }
    let (faults, length) = (draw_outage(entropy), ms_between(entropy, 500, 20_000));
    world.journal.note("chaos", format_args!("an outage at g{slot}"));
    world.journal.count("outages");
    world.fleet.set_faults(slot, faults);
    let world = world.clone();
    events.spawn(async move {
        tokio::time::sleep(length).await;
        world.fleet.set_faults(slot, world.plan.weathers[2]);
        world.fleet.give_back(slot);
    });
}

/// A gateway ends, one way or the other, and another comes in its place.
fn end_gateway(world: &Arc<World>, slot: usize, entropy: &SeededEntropy, events: &mut JoinSet<()>) {
    if !world.fleet.take(slot) {
        return;
    }
    let (is_killed, absence) = (percent(entropy, 70), ms_between(entropy, 0, one_of(entropy, &[500, 5_000, 25_000])));
    let world = world.clone();
    events.spawn(async move {
        if is_killed {
            world.fleet.kill(slot);
        } else {
            world.fleet.stop(slot).await;
        }
        tokio::time::sleep(absence).await;
        world.fleet.start(slot).await;
        world.fleet.give_back(slot);
    });
}

/// A gateway stands still for a while. Some of them slept: their clocks show it.
fn stall(world: &Arc<World>, slot: usize, entropy: &SeededEntropy, events: &mut JoinSet<()>) {
    if !world.fleet.take(slot) {
        return;
    }
    let length = ms_between(entropy, 1_000, one_of(entropy, &[3_000, 9_000, 30_000]));
    let slept = percent(entropy, 50).then(|| length.max(Duration::from_secs(2)));
    let is_killed = percent(entropy, 15);
    let Some(stalled) = world.fleet.stall(slot) else { return world.fleet.give_back(slot) };
    let world = world.clone();
    events.spawn(async move {
        tokio::time::sleep(length).await;
        if is_killed {
            // What it sent before arrives all the same.
            world.fleet.kill(slot);
        }
        stalled.end(&world.journal, slept);
        if is_killed {
            world.fleet.start(slot).await;
        }
        world.fleet.give_back(slot);
    });
}

/// All gateways at once, for less than a session timeout.
async fn fleet_down(world: &Arc<World>, entropy: &SeededEntropy) {
    let taken: Vec<usize> = (0..SLOTS).filter(|slot| world.fleet.take(*slot)).collect();
    if taken.len() == SLOTS {
        world.journal.count("whole fleets down");
        (0..SLOTS).for_each(|slot| world.fleet.kill(slot));
        tokio::time::sleep(ms_between(entropy, 100, 4_000)).await;
        for slot in 0..SLOTS {
            world.fleet.start(slot).await;
        }
    }
    taken.into_iter().for_each(|slot| world.fleet.give_back(slot));
}
