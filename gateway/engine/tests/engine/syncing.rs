//! Syncs that wait for their leader on one gateway while the group goes on through another.

use sluice_engine::{EngineError, EngineResult, Joined};
use sluice_metadata::GroupPhase;
use sluice_store::{Faults, OperationFaults};
use tokio::task::JoinHandle;

use super::members::{join_ask, settle, sync_ask};
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

// Kafka answers all Joins of a generation before it looks at a Sync of it, so that each member syncs before whoever is faster has
// joined again. A gateway may hear of all that at once, and its members must not miss the generation for it (KAFKA-14639).
#[tokio::test(start_paused = true)]
async fn a_sync_is_answered_though_the_next_rebalance_was_read_together_with_the_end_of_its_join() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = ahead(&a, &b).await;
    let rejoin = assign_and_rejoin(&a, &first).await;
    assert!(!second.is_finished());
    b.faults.set_faults(Faults::default());
    let second = second.await.unwrap().unwrap();
    assert_eq!(second.generation, 2);
    settle().await;
    assert_eq!(b.sync(sync_ask("g", &second, &[])).await.unwrap().assignment, "two");
    let late = b.sync(sync_ask("g", &second, &[])).await;
    assert!(matches!(late, Err(EngineError::RebalanceInProgress)), "it has been told: {late:?}");
    let again = b.join(join_ask("g", &second.member_id)).await.unwrap();
    assert_eq!((again.generation, rejoin.await.unwrap().unwrap().generation), (3, 3));
    let late = b.sync(sync_ask("g", &second, &[])).await;
    assert!(matches!(late, Err(EngineError::IllegalGeneration)), "{late:?}");
}

#[tokio::test(start_paused = true)]
async fn a_sync_is_answered_though_its_join_was_when_the_generation_had_its_assignments() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = ahead(&a, &b).await;
    assign(&a, &first).await;
    b.faults.set_faults(Faults::default());
    let second = second.await.unwrap().unwrap();
    let rejoin = a.joining(join_ask("g", &first.member_id)).await;
    b.engine.barrier().await.unwrap();
    assert_eq!(b.sync(sync_ask("g", &second, &[])).await.unwrap().assignment, "two");
    rejoin.abort();
}

// Its Sync was on the way while the gateway read the assignment and the next rebalance at once: it never saw the group stable.
#[tokio::test(start_paused = true)]
async fn a_sync_is_answered_though_its_assignment_was_never_seen_before_the_next_rebalance() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = two_joined(&a, &b).await;
    b.faults.set_faults(blind());
    let rejoin = assign_and_rejoin(&a, &first).await;
    b.faults.set_faults(Faults::default());
    b.engine.barrier().await.unwrap();
    assert_eq!(b.sync(sync_ask("g", &second, &[])).await.unwrap().assignment, "two");
    rejoin.abort();
}

#[tokio::test(start_paused = true)]
async fn a_sync_that_comes_when_its_gateway_has_seen_the_group_stable_and_then_rebalancing_is_told_so_as_by_kafka() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = two_joined(&a, &b).await;
    assign(&a, &first).await;
    b.engine.barrier().await.unwrap();
    let rejoin = a.joining(join_ask("g", &first.member_id)).await;
    b.engine.barrier().await.unwrap();
    let late = b.sync(sync_ask("g", &second, &[])).await;
    assert!(matches!(late, Err(EngineError::RebalanceInProgress)), "{late:?}");
    rejoin.abort();
}

#[tokio::test(start_paused = true)]
async fn a_sync_of_a_generation_that_was_never_assigned_is_told_of_the_rebalance() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let (first, second) = ahead(&a, &b).await;
    let third = a.joining(join_ask("g", "")).await;
    assert_eq!((first.generation, cluster.group("g").await.phase), (2, GroupPhase::PreparingRebalance));
    b.faults.set_faults(Faults::default());
    let second = second.await.unwrap().unwrap();
    let sync = b.sync(sync_ask("g", &second, &[])).await;
    assert!(matches!(sync, Err(EngineError::RebalanceInProgress)), "{sync:?}");
    third.abort();
}

/// A leader that has joined through the first gateway; and a follower whose Join waits at the second one, which cannot read the
/// log and does not know yet that the phase is over.
async fn ahead(a: &Gateway, b: &Gateway) -> (Joined, JoinHandle<EngineResult<Joined>>) {
    let first = a.join(join_ask("g", "")).await.unwrap();
    let second = b.joining(join_ask("g", "")).await;
    b.faults.set_faults(blind());
    (a.join(join_ask("g", &first.member_id)).await.unwrap(), second)
}

/// The leader gives the other member "two".
async fn assign(gateway: &Gateway, leader: &Joined) {
    let other = &leader.members[1].member_id;
    gateway.sync(sync_ask("g", leader, &[(other, b"two")])).await.unwrap();
}

/// The leader assigns, and begins the next rebalance at once.
async fn assign_and_rejoin(gateway: &Gateway, leader: &Joined) -> JoinHandle<EngineResult<Joined>> {
    assign(gateway, leader).await;
    gateway.joining(join_ask("g", &leader.member_id)).await
}

/// A leader that joined through the first gateway and a follower that joined through the second, before either synced.
async fn two_joined(a: &Gateway, b: &Gateway) -> (Joined, Joined) {
    let first = a.join(join_ask("g", "")).await.unwrap();
    let second = b.joining(join_ask("g", "")).await;
    let first = a.join(join_ask("g", &first.member_id)).await.unwrap();
    (first, second.await.unwrap().unwrap())
}
