//! Replicas: sessions, refusal to go on, graceful stop.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_engine::{EngineError, Limits, Readiness, Settings};
use sluice_metadata::{Command, Entry, Position};
use sluice_store::{
    Appended, BodyRef, Consistency, Faults, Incarnation, LogCapabilities, LogPosition, MetadataLog, OperationFaults,
    Sealed, Staged, StoreResult, TailRead,
};

use super::support::{Cluster, batch, numbered};

async fn append(cluster: &Cluster, session: u64, sequence: u64, bytes: Bytes) {
    let staged = cluster.log.stage(&Sealed { session, sequence, bytes }).await.unwrap();
    cluster.log.append(&[staged], LogPosition::ZERO).await.unwrap();
}

async fn opened_by_hand(cluster: &Cluster) -> u64 {
    let open = Command::OpenSession { nonce: 9, feature_level: 1, opened_at_ms: 0, name: "hand".into() };
    let known = cluster.log.last().0;
    let entry = Entry { known: Position::ZERO, hash_at_known: 0, commands: vec![open] };
    // At position 0 every State has the hash of its incarnation, so the entry claims what it cannot know: see below.
    let state = sluice_metadata::State::new(sluice_metadata::Incarnation(7));
    let entry = Entry { hash_at_known: state.hash(), ..entry };
    append(cluster, 0, 0, entry.encode()).await;
    known + 1
}

async fn failed(engine: &sluice_engine::Engine) -> String {
    tokio::time::timeout(Duration::from_secs(5), engine.failed()).await.expect("it stops")
}

// Holds: L9
#[tokio::test(start_paused = true)]
async fn a_writer_whose_state_differs_stops_the_gateway_before_it_acknowledges_more() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    let session = opened_by_hand(&cluster).await;
    a.engine.barrier().await.unwrap();
    let entry = Entry {
        known: Position::new(0, 1),
        hash_at_known: 0xbad,
        commands: vec![Command::AllocateProducerIds { count: 1 }],
    };
    append(&cluster, session, 1, entry.encode()).await;
    let answer = a.produce_within("t", 0, batch(&["a"]), Duration::from_secs(4)).await;
    assert!(answer.is_err(), "{answer:?}");
    assert!(failed(&a.engine).await.contains("hash"));
    assert!(matches!(a.engine.readiness(), Readiness::Failed(_)));
}

// Holds: L9
#[tokio::test(start_paused = true)]
async fn entries_carry_the_hash_of_what_their_writer_knew() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    let mut state = sluice_metadata::State::new(sluice_metadata::Incarnation(7));
    let mut hashes = vec![state.hash()];
    let TailRead::Tail(tail) = cluster.log.read(LogPosition::ZERO, Consistency::Strong).await.unwrap() else {
        panic!("a tail")
    };
    assert!(tail.elements.len() >= 3, "session, topic, produce");
    for (index, element) in tail.elements.into_iter().enumerate() {
        let bytes = match &element.payload {
            sluice_store::Payload::Inline(bytes) => bytes.clone(),
            sluice_store::Payload::Body(body) => cluster.log.read_body(body).await.unwrap(),
        };
        let entry = Entry::decode(&bytes).unwrap();
        assert_eq!(entry.hash_at_known, hashes[usize::try_from(entry.known.index()).unwrap()]);
        let identity = (element.session != 0).then(|| sluice_metadata::Identity {
            session: sluice_metadata::SessionId(Position::from_raw(element.session)),
            sequence: element.sequence,
        });
        state.apply(Position::new(0, index as u64 + 1), identity, Some(&entry)).unwrap();
        hashes.push(state.hash());
    }
}

// Holds: L11, I-12
#[tokio::test(start_paused = true)]
async fn an_entry_that_cannot_be_decoded_stops_the_gateway() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    let session = opened_by_hand(&cluster).await;
    append(&cluster, session, 1, Bytes::from_static(b"\xff\xfe nonsense")).await;
    let answer = a.engine.barrier().await;
    assert!(matches!(answer, Err(EngineError::NotFresh(_))), "{answer:?}");
    assert!(failed(&a.engine).await.contains("newer build"));
}

// Holds: L4, L1
#[tokio::test(start_paused = true)]
async fn an_entry_of_no_open_session_is_skipped_without_its_body() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    append(&cluster, 4711, 1, Bytes::from_static(b"\xff\xfe nonsense")).await;
    a.engine.barrier().await.unwrap();
    assert_eq!(a.engine.readiness(), Readiness::Ready);
}

// Holds: L2, L3
#[tokio::test(start_paused = true)]
async fn a_gateway_whose_session_was_closed_opens_another_and_loses_nothing() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    // What another gateway proposes when it takes this one for dead.
    let session = opened_by_hand(&cluster).await;
    a.engine.barrier().await.unwrap();
    let state = sluice_metadata::State::new(sluice_metadata::Incarnation(7));
    let dead = sluice_metadata::SessionId(Position::new(0, 1));
    let last_append = Position::new(0, cluster.log.last().0 - 1);
    let close = Entry {
        known: Position::ZERO,
        hash_at_known: state.hash(),
        commands: vec![Command::CloseSession { session: dead, last_append }],
    };
    append(&cluster, session, 1, close.encode()).await;
    a.produce("t", 0, batch(&["b"])).await.unwrap();
    a.produce("t", 0, batch(&["c"])).await.unwrap();
    assert_eq!(a.values("t", 0, 0).await, numbered(&["a", "b", "c"]));
}

// Holds: L2
#[tokio::test(start_paused = true)]
async fn a_session_is_opened_through_lost_answers() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    let lossy =
        OperationFaults { lost_answer_per_mille: 500, lost_request_per_mille: 200, ..OperationFaults::default() };
    a.faults.set_faults(Faults { append: lossy, ..Faults::default() });
    a.engine.close(Duration::from_secs(5)).await;
    for _ in 0..5 {
        let b = cluster.gateway().await;
        b.faults.set_faults(Faults { append: lossy, ..Faults::default() });
        b.produce("t", 0, batch(&["x"])).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_graceful_stop_settles_everything_and_closes_the_session() {
    let mut cluster = Cluster::new();
    let (a, b) = (cluster.gateway().await, cluster.gateway().await);
    let writes = (0..10).map(|_| a.produce("t", 0, batch(&["x"])));
    let (answers, ()) = tokio::join!(futures_util::future::join_all(writes), async {
        tokio::task::yield_now().await;
        a.engine.drain().await;
    });
    let accepted = answers.iter().filter(|answer| answer.is_ok()).count();
    a.engine.close(Duration::from_secs(5)).await;
    assert_eq!(b.values("t", 0, 0).await.len(), accepted);
    let refused = a.produce("t", 0, batch(&["late"])).await;
    assert!(matches!(refused, Err(EngineError::DidNotHappen(_))), "{refused:?}");
}

/// A log that has lost what a gateway does not know yet.
#[derive(Debug)]
struct Trimmed(Arc<dyn MetadataLog>);

#[async_trait]
impl MetadataLog for Trimmed {
    fn incarnation(&self) -> Incarnation {
        self.0.incarnation()
    }
    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        self.0.stage(entry).await
    }
    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        match self.0.append(entries, known).await? {
            // As if all but the last element had been rolled away and could not be read now.
            Appended::Tail(mut tail) if tail.elements.len() > 1 => {
                tail.first = LogPosition(tail.end().0 - 1);
                tail.elements.drain(..tail.elements.len() - 1);
                Ok(Appended::Tail(tail))
            }
            other => Ok(other),
        }
    }
    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
        self.0.read(known, consistency).await
    }
    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        self.0.read_body(body).await
    }
    fn capabilities(&self) -> LogCapabilities {
        self.0.capabilities()
    }
}

// Holds: L6
#[tokio::test(start_paused = true)]
async fn a_tail_that_does_not_touch_what_is_known_is_never_applied_over_the_gap() {
    let mut cluster = Cluster::new();
    let b = cluster.gateway().await;
    let log = Arc::new(Trimmed(cluster.log.clone()));
    let a = cluster.start(Limits::default(), Settings::default(), log).await;
    for value in ["a", "b", "c"] {
        b.produce("t", 0, batch(&[value])).await.unwrap();
        a.produce("t", 0, batch(&[value])).await.unwrap();
    }
    assert_eq!(a.values("t", 0, 0).await, numbered(&["a", "a", "b", "b", "c", "c"]));
}

/// With a paused clock two looks at it are the same; with a real one they never are.
#[tokio::test]
async fn a_gateway_starts_and_serves_on_a_clock_that_moves() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    assert_eq!(a.values("t", 0, 0).await, numbered(&["a"]));
}

// Holds: T6
#[tokio::test(start_paused = true)]
async fn a_state_that_could_not_be_refreshed_for_too_long_is_not_answered_from() {
    let mut cluster = Cluster::new();
    let a = cluster.gateway().await;
    a.produce("t", 0, batch(&["a"])).await.unwrap();
    let dark = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    a.faults.set_faults(Faults { log_read: dark, append: dark, ..Faults::default() });
    let stale_stop = Limits::default().stale_stop;
    tokio::time::sleep(stale_stop - Duration::from_secs(1)).await;
    a.engine.ensure_fresh().await.expect("not yet too old");
    tokio::time::sleep(Duration::from_secs(2)).await;
    let answer = a.engine.ensure_fresh().await;
    assert!(matches!(answer, Err(EngineError::NotFresh(_))), "{answer:?}");
    assert!(matches!(a.engine.readiness(), Readiness::Unavailable(_)), "{:?}", a.engine.readiness());
    a.faults.set_faults(Faults::default());
    a.engine.ensure_fresh().await.expect("refreshed by the asking itself");
    assert_eq!(a.values("t", 0, 0).await, numbered(&["a"]));
    assert_eq!(a.engine.readiness(), Readiness::Ready);
}
