//! Syncs that wait for their leader on one gateway while the group goes on through another.

use sluice_engine::{EngineError, Joined};
use sluice_metadata::GroupPhase;
use sluice_store::{Faults, OperationFaults};

use super::members::{join_ask, sync_ask};
use super::support::{Cluster, Gateway};

/// The log cannot be read.
fn blind() -> Faults {
    Faults { log_read: OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() }, ..Faults::default() }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_sync_hears_of_a_rebalance() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = two_joined(&a, &b).await;
    let waiting = b.syncing(sync_ask("g", &second, &[])).await;
    a.leave("g", &first.member_id).await.unwrap();
    assert!(matches!(waiting.await.unwrap(), Err(EngineError::RebalanceInProgress)));
}

// As Kafka, which answers it before it looks at the next Join. A client that missed the generation would say again that it owns
// what it does not: before KAFKA-14639 the partition was then given to another while it still worked on it.
#[tokio::test(start_paused = true)]
async fn a_waiting_sync_is_answered_though_the_next_rebalance_is_read_together_with_its_assignment() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = two_joined(&a, &b).await;
    let waiting = b.syncing(sync_ask("g", &second, &[])).await;
    b.faults.set_faults(blind());
    a.sync(sync_ask("g", &first, &[(&first.member_id, b"one"), (&second.member_id, b"two")])).await.unwrap();
    let rejoin = a.joining(join_ask("g", &first.member_id)).await;
    assert_eq!(cluster.group("g").await.phase, GroupPhase::PreparingRebalance);
    assert!(!waiting.is_finished());
    b.faults.set_faults(Faults::default());
    assert_eq!(waiting.await.unwrap().unwrap().assignment, "two");
    let beat = b.beat("g", &second).await;
    assert!(matches!(beat, Err(EngineError::RebalanceInProgress)), "{beat:?}");
    let late = b.sync(sync_ask("g", &second, &[])).await;
    assert!(matches!(late, Err(EngineError::RebalanceInProgress)), "one that comes now is told so: {late:?}");
    let again = b.join(join_ask("g", &second.member_id)).await.unwrap();
    assert_eq!((again.generation, rejoin.await.unwrap().unwrap().generation), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_waiting_sync_is_answered_though_its_member_has_left_since() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = two_joined(&a, &b).await;
    let waiting = b.syncing(sync_ask("g", &second, &[])).await;
    b.faults.set_faults(blind());
    a.sync(sync_ask("g", &first, &[(&second.member_id, b"two")])).await.unwrap();
    a.leave("g", &second.member_id).await.unwrap();
    b.faults.set_faults(Faults::default());
    assert_eq!(waiting.await.unwrap().unwrap().assignment, "two");
}

/// A leader that joined through the first gateway and a follower that joined through the second, before either synced.
async fn two_joined(a: &Gateway, b: &Gateway) -> (Joined, Joined) {
    let first = a.join(join_ask("g", "")).await.unwrap();
    let second = b.joining(join_ask("g", "")).await;
    let first = a.join(join_ask("g", &first.member_id)).await.unwrap();
    (first, second.await.unwrap().unwrap())
}
