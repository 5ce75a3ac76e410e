//! Requests that hold to the gateway's session, and for how long (design section 8).

use std::time::Duration;

use bytes::Bytes;
use sluice_engine::JoinAsk;
use sluice_store::{Faults, OperationFaults};
use tokio::time::{sleep, timeout};

use super::members::{is_now_not, join_ask, settle, sync_ask};
use super::support::{Cluster, Gateway, batch};

/// The log can neither be read nor written.
fn dark() -> Faults {
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    Faults { log_read: refused, append: refused, ..Faults::default() }
}

/// Objects come so late that they do not come while the test looks.
fn objects_stall() -> Faults {
    let delay_max = Duration::from_secs(1_000_000);
    let stalls = OperationFaults { delayed_per_mille: 1000, delay_max, ..OperationFaults::default() };
    Faults { object_read: stalls, ..Faults::default() }
}

/// `other` closes the session of a gateway that is dark, after its lease (T1).
async fn outlive_lease(other: &Gateway) {
    for _ in 0..36 {
        let _ = other.engine.ensure_fresh().await;
        sleep(Duration::from_millis(500)).await;
    }
}

/// Silent for longer than a session's lease, and still a member.
fn patient(member_id: &str) -> JoinAsk {
    JoinAsk { session_timeout_ms: 120_000, rebalance_timeout_ms: 120_000, ..join_ask("g", member_id) }
}

fn large(byte: u8) -> Bytes {
    Bytes::from(vec![byte; 70_000])
}

/// Under which another session is opened within seconds, because what had to be answered is answered.
async fn goes_on(gateway: &Gateway) {
    let produced = timeout(Duration::from_secs(10), gateway.produce("t", 0, batch(&["a"]))).await;
    produced.expect("another session is opened").unwrap();
}

// Holds: T1, T7
#[tokio::test(start_paused = true)]
async fn a_sync_whose_outcome_came_with_the_loss_of_its_session_is_answered_before_another_is_opened() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let first = b.join(patient("")).await.unwrap();
    let second = b.joining(patient("")).await;
    b.join(patient(&first.member_id)).await.unwrap();
    let second = second.await.unwrap().unwrap();
    a.engine.barrier().await.unwrap();
    let lost = a.engine.own_session().unwrap();
    // The follower's Sync moves its watch to A; A does not hear of it before it hears that its session was closed.
    let answer_lost = OperationFaults { lost_answer_per_mille: 1000, ..OperationFaults::default() };
    a.faults.set_faults(Faults { append: answer_lost, ..dark() });
    let waiting = {
        let (engine, origin, ask) = (a.engine.clone(), a.origin(), sync_ask("g", &second, &[]));
        tokio::spawn(async move { engine.sync_group(&origin, ask).await })
    };
    sleep(Duration::from_millis(10)).await;
    a.faults.set_faults(dark());
    outlive_lease(&b).await;
    let state = cluster.replay().await;
    assert!(state.session(lost).is_none(), "closed by B");
    let group = state.group("g").unwrap();
    assert_eq!(group.member_by_id(&second.member_id).unwrap().watch.session, lost, "the Sync is in the log");
    a.faults.set_faults(Faults::default());
    goes_on(&a).await;
    let answer = timeout(Duration::from_secs(1), waiting).await.expect("answered").unwrap();
    assert!(answer.as_ref().is_err_and(is_now_not), "{answer:?}");
}

// Holds: T1 (a wait that is over holds to nothing, however long its payloads take)
#[tokio::test(start_paused = true)]
async fn a_join_that_reads_payloads_does_not_hold_to_the_session() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let ask = |id: &str, byte| JoinAsk { protocols: vec![("range".into(), large(byte))], ..patient(id) };
    let first = a.join(ask("", 1)).await.unwrap();
    let second = a.joining(ask("", 2)).await;
    b.faults.set_faults(objects_stall());
    let leader = b.joining(ask(&first.member_id, 1)).await;
    let second = second.await.unwrap().unwrap();
    assert_eq!(second.leader, first.member_id);
    assert!(!leader.is_finished(), "the other member's metadata is an object of A");
    b.faults.set_faults(Faults { object_read: objects_stall().object_read, ..dark() });
    outlive_lease(&a).await;
    b.faults.set_faults(objects_stall());
    goes_on(&b).await;
    assert!(!leader.is_finished());
    leader.abort();
}

// Holds: T1 (a wait that is over holds to nothing, however long its payloads take)
#[tokio::test(start_paused = true)]
async fn a_sync_that_reads_its_assignment_does_not_hold_to_the_session() {
    let mut cluster = Cluster::new();
    let (a, b) = cluster.two().await;
    let first = a.join(patient("")).await.unwrap();
    let second = b.joining(patient("")).await;
    let first = a.join(patient(&first.member_id)).await.unwrap();
    let second = second.await.unwrap().unwrap();
    b.faults.set_faults(objects_stall());
    let follower = b.syncing(sync_ask("g", &second, &[])).await;
    a.sync(sync_ask("g", &first, &[(&second.member_id, &large(2))])).await.unwrap();
    settle().await;
    assert!(!follower.is_finished(), "the assignment is an object of A");
    b.faults.set_faults(Faults { object_read: objects_stall().object_read, ..dark() });
    outlive_lease(&a).await;
    b.faults.set_faults(objects_stall());
    goes_on(&b).await;
    assert!(!follower.is_finished());
    follower.abort();
}
