//! Nobody waits longer than they said, however full the queues are and however long a store takes nothing.

use std::time::Duration;

use sluice_engine::{EngineError, Limits, Settings};
use sluice_store::{Faults, OperationFaults};
use tokio::time::{Instant, timeout};

use super::support::{Cluster, Gateway, batch, numbered};

/// Every operation of the class takes so long that nobody lives to see it.
fn stuck() -> OperationFaults {
    OperationFaults { delayed_per_mille: 1000, delay_max: Duration::from_secs(100_000), ..OperationFaults::default() }
}

fn tiny() -> Limits {
    Limits { segment_bytes_max: 100, flushes_in_flight_max: 1, queue_len: 1, staging_max: 1, ..Limits::default() }
}

async fn produce_many(gateway: &Gateway, patience: Duration) -> Vec<Result<i64, EngineError>> {
    let sends = (0..12).map(|i| async move {
        let value = format!("late-{i}");
        gateway.produce_within("t", 0, batch(&[&value]), patience).await.map(|produced| produced.base_offset)
    });
    futures_util::future::join_all(sends).await
}

// Holds: I-11
#[tokio::test(start_paused = true)]
async fn a_produce_for_which_the_buffer_has_no_room_is_answered_in_time() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(tiny(), Settings::default()).await;
    a.produce("t", 0, batch(&["first"])).await.unwrap();
    a.faults.set_faults(Faults { object_write: stuck(), ..Faults::default() });
    let (began, patience) = (Instant::now(), Duration::from_secs(2));
    let answers = produce_many(&a, patience).await;
    assert!(began.elapsed() < patience, "{:?}", began.elapsed());
    for answer in answers {
        assert!(matches!(answer, Err(EngineError::DidNotHappen(_))), "{answer:?}");
    }
    // What was said not to have happened never does.
    a.engine.abort();
    let b = cluster.gateway().await;
    assert_eq!(b.values("t", 0, 0).await, numbered(&["first"]));
}

// Holds: T5
#[tokio::test(start_paused = true)]
async fn a_produce_to_a_topic_that_cannot_be_looked_for_is_answered_in_time() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.faults.set_faults(Faults { log_read: stuck(), append: stuck(), ..Faults::default() });
    let (began, patience) = (Instant::now(), Duration::from_secs(2));
    let answer = a.produce_within("unheard-of", 0, batch(&["v"]), patience).await;
    assert!(matches!(answer, Err(EngineError::DidNotHappen(_))), "{answer:?}");
    assert!(began.elapsed() < patience, "{:?}", began.elapsed());
}

// Holds: T5
#[tokio::test(start_paused = true)]
async fn barriers_and_proposals_end_while_the_queue_of_the_log_is_full() {
    let mut cluster = Cluster::new();
    let limits = tiny();
    let longest = limits.request_timeout.max(limits.stale_stop) + Duration::from_secs(1);
    let a = cluster.gateway_with(limits, Settings::default()).await;
    a.faults.set_faults(Faults { append: stuck(), ..Faults::default() });
    // More proposals than all queues hold; each is given up in time.
    let proposals = futures_util::future::join_all((0..12).map(|_| a.engine.allocate_producer_id()));
    for answer in timeout(longest, proposals).await.expect("proposals end") {
        assert!(matches!(answer, Err(EngineError::DidNotHappen(_) | EngineError::OutcomeUnknown(_))), "{answer:?}");
    }
    // Nothing was taken out of the queues, for what is in them may be sent yet.
    let answer = timeout(longest, a.engine.barrier()).await.expect("a barrier ends, passed or not");
    assert!(matches!(answer, Err(EngineError::NotFresh(_))), "{answer:?}");
}
