//! LeaveGroup where the members that it names change meanwhile.

use std::time::Duration;

use sluice_engine::{EngineError, LeaveAsk, Origin};
use sluice_metadata::GroupPhase;
use tokio::time::Instant;

use super::members::{is_now_not, static_ask, sync_ask};
use super::support::{Cluster, Gateway};

fn instance(instance_id: &str, member_id: &str) -> LeaveAsk {
    LeaveAsk { member_id: member_id.into(), instance_id: Some(instance_id.into()) }
}

/// A static member that was replaced through A; B has not heard of it. The old member's id.
async fn replaced(cluster: &mut Cluster) -> (Gateway, Gateway, String) {
    let (a, b) = cluster.two().await;
    let old = a.join(static_ask("g", "i")).await.unwrap();
    a.sync(sync_ask("g", &old, &[])).await.unwrap();
    b.engine.barrier().await.unwrap();
    a.join(static_ask("g", "i")).await.unwrap();
    (a, b, old.member_id.to_string())
}

// Holds: T5 (no absence is answered from an older State), T7 (re-propose once)
#[tokio::test(start_paused = true)]
async fn an_instance_is_removed_though_another_member_has_taken_its_place() {
    let mut cluster = Cluster::new();
    let (_a, b, _) = replaced(&mut cluster).await;
    let asks = [instance("i", ""), instance("i", "")];
    let left = b.engine.leave_group(&b.origin(), "g", &asks).await.unwrap();
    assert!(matches!(&left[..], [Ok(()), Err(EngineError::UnknownMember)]), "{left:?}");
    assert_eq!(cluster.group("g").await.phase, GroupPhase::Empty);
}

// Holds: T5
#[tokio::test(start_paused = true)]
async fn one_that_was_replaced_is_told_so_and_removes_nobody() {
    let mut cluster = Cluster::new();
    let (_a, b, old) = replaced(&mut cluster).await;
    let left = b.engine.leave_group(&b.origin(), "g", &[instance("i", &old)]).await.unwrap();
    assert!(matches!(&left[..], [Err(EngineError::FencedInstanceId)]), "{left:?}");
    assert_eq!(cluster.group("g").await.members.len(), 1);
}

// Holds: T7 (… only within 1 s of its reading)
#[tokio::test(start_paused = true)]
async fn a_leave_that_is_old_is_not_proposed_again_and_calls_nobody_unknown() {
    let mut cluster = Cluster::new();
    let (_a, b, _) = replaced(&mut cluster).await;
    let origin = Origin { read_at: Instant::now().checked_sub(Duration::from_secs(1)).unwrap(), ..b.origin() };
    let left = b.engine.leave_group(&origin, "g", &[instance("i", "")]).await.unwrap();
    assert!(matches!(&left[..], [Err(error)] if is_now_not(error)), "{left:?}");
    assert_eq!(cluster.group("g").await.members.len(), 1);
}
