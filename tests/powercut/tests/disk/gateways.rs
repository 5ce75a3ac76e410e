//! Gateways over a disk that is full, or has failed: what their clients hear, and what goes on.

use std::time::Duration;

use futures_util::future::join_all;
use sluice_engine::{EngineError, Readiness};
use sluice_powercut::disk::{Disk, Trouble};
use sluice_powercut::ledger::Ledger;
use sluice_powercut::machine::SyncKind;
use sluice_powercut::records::{Batch, Gateway};
use tokio::time::{sleep, timeout};

use super::requests::cut;

/// What a client waits; half of it is left for the answer's way back.
const CLIENT_TIMEOUT: Duration = Duration::from_millis(800);
const PATIENCE: Duration = Duration::from_secs(30);

fn batch(id: u64) -> Vec<Batch> {
    let partition = i32::try_from(id % 3).unwrap();
    vec![Batch { partition, records: vec![(id, 100), (id + 1_000, 3_000)] }]
}

async fn start(disk: &Disk) -> Gateway {
    Gateway::start(disk, false, fastrand::Rng::with_seed(7)).await.unwrap()
}

/// A gateway with some records.
async fn filled() -> (Disk, Gateway) {
    let disk = Disk::default();
    let gateway = start(&disk).await;
    for id in 1..4 {
        produce_at_last(&gateway, id).await;
    }
    (disk, gateway)
}

async fn produce(gateway: &Gateway, id: u64) -> Result<(), EngineError> {
    gateway.try_produce(batch(id), CLIENT_TIMEOUT).await.remove(0)
}

/// Over a sound disk, however busy the machine.
async fn produce_at_last(gateway: &Gateway, id: u64) {
    gateway.try_produce(batch(id), PATIENCE).await.remove(0).unwrap();
}

/// Only what a client may repeat, and nothing that is not so.
fn assert_is_retriable(answer: &Result<(), EngineError>, when: &str) {
    let is_retriable = matches!(answer, Err(EngineError::DidNotHappen(_) | EngineError::OutcomeUnknown(_)));
    assert!(answer.is_ok() || is_retriable, "{when}: {answer:?}");
}

/// Everything told so far holds, in this process.
async fn check(disk: &Disk, gateway: &Gateway, when: &str) {
    let ledger = Ledger::of(&disk.events());
    let checked = gateway.check(&ledger).await.unwrap_or_else(|violation| panic!("{when}: {}", violation.0));
    assert!(checked.records >= 6, "{when}: {checked:?}");
}

/// Everything told so far holds after a loss of power and a restart.
async fn check_after_power_cut(disk: &Disk, when: &str) {
    let ledger = Ledger::of(&disk.events());
    let restarted = Gateway::start(&cut(disk), true, fastrand::Rng::with_seed(8)).await.unwrap();
    restarted.check(&ledger).await.unwrap_or_else(|violation| panic!("{when}, power lost: {}", violation.0));
    restarted.engine.abort();
}

/// Holds: I-01, I-11 (a full disk: retriable errors that are true, reads go on, and so do writes when there is room again)
#[tokio::test]
async fn a_gateway_whose_disk_is_full_reads_on_and_writes_again_when_it_is_not() {
    let runs = (0..40).map(|room| async move {
        let when = format!("room for {room}");
        let (disk, gateway) = filled().await;
        disk.set_trouble(Trouble::FullAfter(room));
        let mut refused = 0;
        for id in 10..13 {
            let answer = produce(&gateway, id).await;
            assert_is_retriable(&answer, &when);
            refused += u64::from(answer.is_err());
        }
        check(&disk, &gateway, &when).await;
        disk.set_trouble(Trouble::None);
        let again = async {
            // Another record each time: one that was told not to have happened must not show.
            for id in 20.. {
                let answer = produce(&gateway, id).await;
                assert_is_retriable(&answer, &when);
                if answer.is_ok() {
                    break;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, again).await.unwrap_or_else(|_| panic!("{when}: no write although there is room again"));
        check(&disk, &gateway, &format!("{when}, and now for more")).await;
        check_after_power_cut(&disk, &when).await;
        gateway.engine.abort();
        refused
    });
    let refused: u64 = join_all(runs).await.into_iter().sum();
    assert!(refused > 10, "{refused} requests found the disk full");
}

/// Design section 10.
/// Holds: I-01, I-11
#[tokio::test]
async fn a_gateway_whose_disk_failed_a_sync_reads_on_and_writes_again_after_a_restart() {
    let kinds = [SyncKind::File, SyncKind::Folder, SyncKind::Database];
    let runs =
        kinds.into_iter().flat_map(|kind| (0..2).map(move |after| (kind, after))).map(|(kind, after)| async move {
            let when = format!("{kind:?} sync {after} failed");
            let (disk, gateway) = filled().await;
            disk.set_trouble(Trouble::SyncFails(kind, after));
            let mut is_refused = false;
            for id in 10..16 {
                let answer = produce(&gateway, id).await;
                assert_is_retriable(&answer, &when);
                assert!(answer.is_err() || !is_refused, "{when}: a write was taken after a failed sync");
                is_refused |= disk.refusals() > 0;
            }
            assert!(is_refused, "{when}: no sync was there to fail");
            check(&disk, &gateway, &when).await;
            gateway.engine.abort();
            drop(gateway);
            // The machine runs on.
            let restarted = Disk::of(disk.machine());
            let told = Ledger::of(&disk.events());
            let gateway = Gateway::start(&restarted, true, fastrand::Rng::with_seed(9)).await.unwrap();
            gateway.check(&told).await.unwrap_or_else(|violation| panic!("{when}, restarted: {}", violation.0));
            produce_at_last(&gateway, 30).await;
            assert_eq!(gateway.engine.readiness(), Readiness::Ready);
            gateway.engine.abort();
            drop(gateway);
            check_after_power_cut(&restarted, &when).await;
        });
    join_all(runs).await;
}
