//! Produce: acknowledgement, order, duplicates, outcomes that are not known.

use std::time::Duration;

use sluice_engine::{EngineError, Limits, ProduceAsk, ProduceCapabilities, Settings};
use sluice_store::{Faults, ObjectStore, OperationFaults};

use super::support::{Cluster, batch, batch_of, numbered, topic};

// Holds: I-01, I-02
#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_in_the_store_and_in_the_log_with_dense_offsets() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    let first = a.produce("t", 0, batch(&["a", "b"])).await.unwrap();
    let second = a.produce("t", 0, batch(&["c"])).await.unwrap();
    assert_eq!((first.base_offset, second.base_offset), (0, 2));
    let objects = cluster.objects.list("", None, 10).await.unwrap();
    assert_eq!(objects.len(), 2, "a segment each, for nothing was waiting");
    // A gateway that starts now knows nothing but what is durable.
    a.engine.abort();
    let b = cluster.gateway().await;
    assert_eq!(b.values("t", 0, 0).await, numbered(&["a", "b", "c"]));
}

// Holds: I-01
#[tokio::test(start_paused = true)]
async fn nothing_is_acknowledged_while_the_log_takes_nothing() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    a.faults.set_faults(Faults { append: refused, ..Faults::default() });
    let answer = a.produce_within("t", 0, batch(&["b"]), Duration::from_secs(4)).await;
    assert!(matches!(answer, Err(EngineError::DidNotHappen(_))), "{answer:?}");
    a.faults.set_faults(Faults::default());
    assert_eq!(a.produce("t", 0, batch(&["c"])).await.unwrap().base_offset, 1, "b was cut, not delayed");
    assert_eq!(a.values("t", 0, 0).await, numbered(&["a", "c"]));
}

// Holds: L1, L3, I-11
#[tokio::test(start_paused = true)]
async fn lost_answers_neither_lose_nor_double_anything() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    let lossy = OperationFaults {
        lost_answer_per_mille: 300,
        lost_request_per_mille: 200,
        late_effect_per_mille: 100,
        tail_unread_per_mille: 100,
        refused_per_mille: 100,
        delay_max: Duration::from_millis(200),
        ..OperationFaults::default()
    };
    a.produce("t", 0, batch(&["v0"])).await.unwrap();
    a.faults.set_faults(Faults { append: lossy, ..Faults::default() });
    let values: Vec<String> = (1..60).map(|i| format!("v{i}")).collect();
    for value in &values {
        a.produce("t", 0, batch(&[value])).await.unwrap();
    }
    a.faults.set_faults(Faults::default());
    let expected: Vec<_> = (0..60).map(|i| (i, format!("v{i}"))).collect();
    assert_eq!(a.values("t", 0, 0).await, expected);
    let b = cluster.gateway().await;
    assert_eq!(b.values("t", 0, 0).await, expected);
    assert!(a.faults.counts().lost_answers > 0 && a.faults.counts().late_effects > 0);
}

// Holds: I-11
#[tokio::test(start_paused = true)]
async fn an_append_that_may_have_happened_is_answered_unknown_and_never_did_not_happen() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    let lost = OperationFaults { lost_answer_per_mille: 1000, ..OperationFaults::default() };
    let dark = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    a.faults.set_faults(Faults { append: lost, log_read: dark, ..Faults::default() });
    let answer = a.produce_within("t", 0, batch(&["b"]), Duration::from_secs(4)).await;
    assert!(matches!(answer, Err(EngineError::OutcomeUnknown(_))), "{answer:?}");
    a.faults.set_faults(Faults::default());
    assert_eq!(a.values("t", 0, 0).await, numbered(&["a", "b"]), "it had happened, once");
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_could_not_be_written_did_not_happen() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    let dark = OperationFaults { lost_answer_per_mille: 1000, ..OperationFaults::default() };
    a.faults.set_faults(Faults { object_write: dark, ..Faults::default() });
    let answer = a.produce("t", 0, batch(&["b"])).await;
    assert!(matches!(answer, Err(EngineError::DidNotHappen(_))), "{answer:?}");
    a.faults.set_faults(Faults::default());
    assert_eq!(a.values("t", 0, 0).await, numbered(&["a"]));
}

#[tokio::test(start_paused = true)]
async fn an_idempotent_producer_is_told_the_first_offset_again_on_any_gateway() {
    let mut cluster = Cluster::new();
    let (a, b) = (cluster.gateway().await, cluster.gateway().await);
    let id = a.engine.allocate_producer_id().await.unwrap().id;
    assert_ne!(id, b.engine.allocate_producer_id().await.unwrap().id);
    assert_eq!(a.produce("t", 0, batch_of(id, 0, 0, &["a", "b"])).await.unwrap().base_offset, 0);
    assert_eq!(b.produce("t", 0, batch_of(id, 0, 2, &["c"])).await.unwrap().base_offset, 2);
    assert_eq!(b.produce("t", 0, batch_of(id, 0, 0, &["a", "b"])).await.unwrap().base_offset, 0);
    let gap = a.produce("t", 0, batch_of(id, 0, 9, &["x"])).await;
    assert!(matches!(gap, Err(EngineError::OutOfOrderSequence { expected: 3 })), "{gap:?}");
    assert_eq!(a.values("t", 0, 0).await, numbered(&["a", "b", "c"]));
}

#[tokio::test(start_paused = true)]
async fn batches_of_many_requests_share_a_segment_and_an_entry() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.produce("t", 0, batch(&["warm"])).await.unwrap();
    let slow =
        OperationFaults { delayed_per_mille: 1000, delay_max: Duration::from_millis(50), ..OperationFaults::default() };
    a.faults.set_faults(Faults { object_write: slow, ..Faults::default() });
    let before = cluster.objects.object_count();
    let many = (0..100).map(|i| a.produce("t", 0, batch(&[&*Box::leak(format!("v{i}").into_boxed_str())])));
    let answers = futures_util::future::join_all(many).await;
    let mut offsets: Vec<_> = answers.into_iter().map(|a| a.unwrap().base_offset).collect();
    offsets.sort_unstable();
    assert_eq!(offsets, (1..=100).collect::<Vec<_>>());
    assert!(cluster.objects.object_count() - before <= 3, "while one flush is up, the rest gathers");
}

#[tokio::test(start_paused = true)]
async fn a_request_of_many_partitions_is_answered_partition_by_partition() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway_with(Limits::default(), Settings { default_partitions: 3, ..Settings::default() }).await;
    let ask = |partition, records| ProduceAsk { topic: topic("t"), partition, records };
    let asks = vec![
        ask(0, Some(batch(&["a"]))),
        ask(7, Some(batch(&["b"]))),
        ask(1, Some(batch(&["c"]).slice(..30))),
        ask(2, None),
        ask(2, Some(batch(&["d"]))),
    ];
    let pending = a
        .engine
        .submit_produce(asks, ProduceCapabilities { zstd: true, message_sets: false }, Duration::from_secs(9))
        .await;
    let answers: Vec<_> = pending.wait().await.into_iter().map(|answer| answer.outcome).collect();
    assert_eq!(answers[0].as_ref().unwrap().base_offset, 0);
    assert!(matches!(answers[1], Err(EngineError::UnknownPartition)));
    assert!(matches!(answers[2], Err(EngineError::Batch(_))));
    assert!(matches!(answers[3], Err(EngineError::InvalidRequest(_))));
    assert_eq!(answers[4].as_ref().unwrap().base_offset, 0);
}

// Holds: I-14
#[tokio::test(start_paused = true)]
async fn admission_is_bounded_and_answers_in_time() {
    let mut cluster = Cluster::new();
    let limits = Limits { produce_bytes_max: 200, ..Limits::default() };
    let a = cluster.gateway_with(limits, Settings::default()).await;
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    let dark = OperationFaults { lost_request_per_mille: 1000, ..OperationFaults::default() };
    a.faults.set_faults(Faults { append: dark, ..Faults::default() });
    let big = "x".repeat(120);
    let held = a.produce_within("t", 0, batch(&[&big]), Duration::from_secs(60));
    let waiting = a.produce_within("t", 0, batch(&[&big]), Duration::from_secs(4));
    let (_, answer) = tokio::join!(held, waiting);
    assert!(matches!(answer, Err(EngineError::DidNotHappen(_))), "{answer:?}");
}
