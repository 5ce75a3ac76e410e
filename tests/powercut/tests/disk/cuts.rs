//! Ends at every operation of short histories.

use sluice_powercut::disk::{Disk, Event, Trouble, replay};
use sluice_powercut::machine::{Machine, SyncKind};
use sluice_powercut::survival::Survival;

use super::requests::{Known, REQUESTS, Request, ask, check, cut, filled, open};

/// Where a history can end: before each of its operations, and after the last.
fn ends(events: &[Event]) -> impl Iterator<Item = usize> {
    let operations = (0..events.len()).filter(|at| matches!(events[*at], Event::Op(_)));
    operations.chain([events.len()])
}

/// Survivals of every temper, the plainest first.
fn survivals() -> impl Iterator<Item = (String, Survival)> {
    let plain =
        [("nothing survived".to_owned(), Survival::nothing()), ("names survived".into(), Survival::names_only())];
    let names = (0..6).map(|seed| (format!("some names survived ({seed})"), Survival::some_names(seed)));
    let drawn = (0..8).map(|seed| (format!("survival {seed}"), Survival::drawn(seed)));
    plain.into_iter().chain(names).chain(drawn)
}

/// Holds: I-01, I-03 (a request that was answered before the power was lost, at whatever operation, has its effect, and one
/// that was not has all of it or none)
#[tokio::test]
async fn the_power_may_be_lost_at_any_operation() {
    let disk = Disk::default();
    // What was known, and how much had happened, after each answer.
    let mut known = Known::default();
    let stores = open(&disk);
    let mut answered = vec![(disk.events().len(), known.clone())];
    for request in REQUESTS {
        known.maybe(request);
        answered.push((disk.events().len(), known.clone()));
        ask(&stores, request, &mut known).await.unwrap();
        known.certain(request);
        answered.push((disk.events().len(), known.clone()));
    }
    drop(stores);
    let events = disk.events();
    let mut checked = 0;
    for at in ends(&events) {
        let machine = replay(Machine::default(), &events[..at]);
        let known = answered.iter().rev().find(|(by, _)| *by <= at).map(|(_, known)| known.clone()).unwrap_or_default();
        for (what, mut survival) in survivals() {
            let survived = Disk::of(machine.after_power_cut(&mut survival));
            check(&open(&survived), &known, &format!("power lost at event {at}, {what}")).await;
            checked += 1;
        }
    }
    assert!(checked > 1_000, "{checked} losses of power");
}

/// Found by seeds 108, 222, 232, 243 and 270: a process that was killed while it made the directory, right after it named
/// FORMAT, left that name, or those of the folders above, in the kernel alone; the next process took them for made, and all
/// that it acknowledged was lost with the power.
/// Holds: I-01
#[tokio::test]
async fn what_is_acknowledged_in_a_directory_that_a_killed_process_made_stays() {
    let making = Disk::default();
    drop(open(&making));
    let events = making.events();
    for at in ends(&events) {
        let killed = Disk::of(replay(Machine::default(), &events[..at]));
        let mut known = Known::default();
        let stores = open(&killed);
        for request in [Request::Put(90), Request::Append(91, 100), Request::Show(1)] {
            ask(&stores, request, &mut known).await.unwrap();
        }
        check(&open(&cut(&killed)), &known, &format!("killed at event {at}")).await;
    }
}

/// After a failed sync of the database the next opening writes all of it again: that too may end anywhere.
/// Holds: I-01
#[tokio::test]
async fn the_rewriting_after_a_failed_sync_may_end_anywhere() {
    for failing in 0..3 {
        let mut known = Known::default();
        let (disk, stores) = filled(&mut known).await;
        disk.set_trouble(Trouble::SyncFails(SyncKind::Database, failing));
        for request in REQUESTS {
            let _ = ask(&stores, request, &mut known).await;
        }
        assert_eq!(disk.refusals(), 1);
        drop(stores);
        let failed = disk.machine();
        let reopened = Disk::of(failed.clone());
        drop(open(&reopened));
        let events = reopened.events();
        assert!(events.len() > 5, "something is written again");
        for at in ends(&events) {
            let machine = replay(failed.clone(), &events[..at]);
            for (what, mut survival) in survivals() {
                let when = format!("sync {failing} failed, power lost at event {at} of the restart, {what}");
                check(&open(&Disk::of(machine.after_power_cut(&mut survival))), &known, &when).await;
            }
            // Killed instead, started again, used, and then the power is lost.
            let (killed, mut known) = (Disk::of(machine), known.clone());
            let stores = open(&killed);
            ask(&stores, Request::Append(200, 20_000), &mut known).await.unwrap();
            let when = format!("sync {failing} failed, killed at event {at} of the restart");
            check(&open(&cut(&killed)), &known, &when).await;
        }
    }
}
