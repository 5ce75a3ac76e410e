//! The connection over scripted requests: order, overlap, bounds, bad input. No API of Kafka's is involved.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_util::future::BoxFuture;
use prometheus_client::registry::Registry;
use proptest::prelude::*;
use sluice_protocol::Rope;
use sluice_runtime::{GapWatch, MemoryStream, PeerAddr, SharedClock, TokioClock, memory_pipe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{Connection, Shared};
use crate::advertised::{Advertised, HostPort};
use crate::limits::Limits;
use crate::metrics::{Counted, Metrics};
use crate::refusal::{Close, Refusal};
use crate::request::{Caller, Dispatch, Outcome, Stage, Started};

/// Requests of this key overlap.
const OVERLAPPING: i16 = 0;
const ALONE: i16 = 1;
/// Runs alone, and is dropped when its client is gone.
const ENDS_WITH_PEER: i16 = 2;
/// Runs alone, takes as much memory again as its frame, and keeps its frame.
const HUNGRY: i16 = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Answer,
    /// Overlaps, but its answer is known at the end of the first stage.
    AnswerAtOnce,
    Silence,
    Hangup,
    PanicAtStart,
    PanicInStage,
    PanicLater,
}

const KINDS: [Kind; 7] = [
    Kind::Answer,
    Kind::AnswerAtOnce,
    Kind::Silence,
    Kind::Hangup,
    Kind::PanicAtStart,
    Kind::PanicInStage,
    Kind::PanicLater,
];

/// A request that says how it is to be handled.
#[derive(Debug, Clone, Copy)]
struct Script {
    key: i16,
    correlation_id: i32,
    kind: Kind,
    /// How long the first stage takes, and the second of one that overlaps.
    first_ms: u16,
    second_ms: u16,
    answer_len: u32,
}

impl Script {
    fn new(key: i16, correlation_id: i32) -> Self {
        Self { key, correlation_id, kind: Kind::Answer, first_ms: 0, second_ms: 0, answer_len: 8 }
    }

    /// Its frame, as if it were so long.
    fn frame_of(self, len: usize) -> Bytes {
        let mut frame = BytesMut::from(&self.frame()[..]);
        frame.resize(4 + len, 0);
        frame[..4].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
        frame.freeze()
    }

    fn frame(self) -> Bytes {
        let mut frame = BytesMut::new();
        frame.put_i32(17);
        frame.put_i16(self.key);
        frame.put_i32(self.correlation_id);
        frame.put_u8(KINDS.iter().position(|kind| *kind == self.kind).unwrap() as u8);
        frame.put_u16(self.first_ms);
        frame.put_u16(self.second_ms);
        frame.put_u32(self.answer_len);
        frame.put_u16(0);
        frame.freeze()
    }

    fn parse(mut frame: Bytes) -> Option<Self> {
        (frame.len() >= 15).then(|| Self {
            key: frame.get_i16(),
            correlation_id: frame.get_i32(),
            kind: KINDS[usize::from(frame.get_u8())],
            first_ms: frame.get_u16(),
            second_ms: frame.get_u16(),
            answer_len: frame.get_u32(),
        })
    }

    fn outcome(self) -> Outcome {
        match self.kind {
            Kind::Silence => Outcome::Silence,
            Kind::Hangup => Outcome::Hangup(Refusal::AcksZeroFailed("scripted".to_owned())),
            Kind::PanicLater => panic!("scripted"),
            _ => {
                let mut head = BytesMut::new();
                head.put_u32(4 + self.answer_len);
                head.put_i32(self.correlation_id);
                // Two chunks, so that a `writev` can end within either.
                let body = Bytes::from(vec![self.correlation_id as u8; self.answer_len as usize]);
                Outcome::Answer(Rope::from_iter([head.freeze(), body]))
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Began(i32),
    FirstStageEnded(i32),
    Settled(i32),
}

#[derive(Default)]
struct Scripted {
    events: Arc<Mutex<Vec<Event>>>,
}

impl Dispatch for Scripted {
    fn overlaps(&self, key: i16) -> bool {
        key == OVERLAPPING
    }

    fn memory_estimate(&self, key: Option<i16>, frame_bytes: usize) -> usize {
        if key == Some(HUNGRY) { 2 * frame_bytes } else { frame_bytes }
    }

    fn start(&self, frame: Bytes, _: &Arc<Caller>) -> Result<Started, Refusal> {
        let kept = frame.clone();
        let script = Script::parse(frame).ok_or_else(|| Refusal::Unreadable("too short".to_owned()))?;
        let id = script.correlation_id;
        assert_ne!(script.kind, Kind::PanicAtStart, "scripted");
        let events = Arc::clone(&self.events);
        let note = move |event| events.lock().unwrap().push(event);
        let kept = (script.key == HUNGRY).then_some(kept);
        note(Event::Began(id));
        let stage: BoxFuture<'static, Stage> = Box::pin(async move {
            sleep(Duration::from_millis(script.first_ms.into())).await;
            drop(kept);
            assert_ne!(script.kind, Kind::PanicInStage, "scripted");
            note(Event::FirstStageEnded(id));
            if script.key != OVERLAPPING || script.kind == Kind::AnswerAtOnce {
                note(Event::Settled(id));
                return Stage::Settled(script.outcome());
            }
            // The engine works on all at once, whichever the connection waits for.
            let (answer, later) = tokio::sync::oneshot::channel();
            tokio::spawn(async move {
                sleep(Duration::from_millis(script.second_ms.into())).await;
                note(Event::Settled(id));
                let _ = answer.send(());
            });
            Stage::Overlapping(Box::pin(async move {
                later.await.unwrap();
                script.outcome()
            }))
        });
        Ok(Started { api: 0, version: 0, ends_with_peer: script.key == ENDS_WITH_PEER, stage })
    }
}

struct Fixture {
    client: MemoryStream,
    shared: Arc<Shared>,
    events: Arc<Mutex<Vec<Event>>>,
    task: JoinHandle<Close>,
    registry: Registry,
}

/// As the engine does.
async fn look_for_gaps(gaps: Arc<GapWatch>) {
    loop {
        gaps.count();
        sleep(sluice_runtime::BEAT).await;
    }
}

/// One more connection over what others share.
fn connect(shared: &Arc<Shared>, pipe_bytes: usize) -> (MemoryStream, JoinHandle<Close>) {
    let (client, served) = memory_pipe(pipe_bytes);
    let address = HostPort { host: "localhost".to_owned(), port: 1 };
    let caller = Arc::new(Caller::new(Arc::new(Advertised::new(&address)), &PeerAddr::Memory(1)));
    let connection = Connection::new(Box::new(served), Arc::clone(shared), caller);
    (client, tokio::spawn(async move { connection.run(&PeerAddr::Memory(1)).await }))
}

fn fixture(limits: Limits, pipe_bytes: usize) -> Fixture {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry, &[Counted { name: "Scripted", version_min: 0, version_max: 0 }]);
    let dispatch = Scripted::default();
    let events = Arc::clone(&dispatch.events);
    // Not the system's: a test that takes long would be a clock gap.
    let clock: SharedClock = Arc::new(TokioClock::starting_at(0));
    let gaps = Arc::new(GapWatch::new(Arc::clone(&clock)));
    tokio::spawn(look_for_gaps(Arc::clone(&gaps)));
    let shared = Arc::new(Shared::new(limits, clock, gaps, metrics, Arc::new(dispatch)));
    let (client, task) = connect(&shared, pipe_bytes);
    Fixture { client, shared, events, task, registry }
}

impl Fixture {
    fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// Reads until the server closes.
    async fn read_to_end(&mut self) -> Vec<i32> {
        let mut bytes = Vec::new();
        self.client.read_to_end(&mut bytes).await.unwrap();
        answers(&bytes)
    }

    async fn read_answer(&mut self) -> i32 {
        read_answer(&mut self.client).await
    }
}

async fn read_answer(client: &mut MemoryStream) -> i32 {
    let len = client.read_u32().await.unwrap();
    let mut frame = vec![0; len as usize];
    client.read_exact(&mut frame).await.unwrap();
    i32::from_be_bytes(frame[..4].try_into().unwrap())
}

/// Correlation ids of whole answers, each filled with its id. Anything else fails.
fn answers(mut bytes: &[u8]) -> Vec<i32> {
    let mut ids = Vec::new();
    while !bytes.is_empty() {
        let len = bytes.get_u32() as usize;
        let mut frame = bytes.split_to_slice(len);
        let id = frame.get_i32();
        assert!(frame.iter().all(|byte| *byte == id as u8), "the answer of {id} holds foreign bytes");
        ids.push(id);
    }
    ids
}

trait SplitTo {
    fn split_to_slice(&mut self, len: usize) -> Self;
}

impl SplitTo for &[u8] {
    fn split_to_slice(&mut self, len: usize) -> Self {
        let (front, rest) = self.split_at(len);
        *self = rest;
        front
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap()
}

fn script_strategy() -> impl Strategy<Value = (i16, Kind, u16, u16, u32)> {
    let kind = prop_oneof![6 => Just(Kind::Answer), 1 => Just(Kind::AnswerAtOnce), 1 => Just(Kind::Silence)];
    (0..2_i16, kind, 0..3_u16, 0..20_u16, prop_oneof![4 => 0..64_u32, 1 => 0..200_000_u32])
}

/// What ran alone really did: nothing else was between its beginning and its outcome.
fn assert_alone_means_alone(events: &[Event], scripts: &[Script]) {
    let mut open = Vec::new();
    for event in events {
        match event {
            Event::Began(id) => {
                let is_alone = |id: &i32| scripts[*id as usize].key == ALONE;
                assert!(!open.iter().any(is_alone), "{id} began beside one that runs alone: {open:?}");
                assert!(!is_alone(id) || open.is_empty(), "{id} runs alone, but {open:?} were not settled");
                open.push(*id);
            }
            Event::FirstStageEnded(_) => {}
            Event::Settled(id) => open.retain(|other| other != id),
        }
    }
    assert!(open.is_empty(), "never settled: {open:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// I-07: whatever is slow or fast, large or small, silent or not, answers come in the order of the requests, each once;
    /// the first stages of requests are never reordered; what runs alone runs alone.
    #[test]
    fn answers_come_in_the_order_of_the_requests(
        shapes in prop::collection::vec(script_strategy(), 1..60),
        writes in prop::collection::vec(1..700_usize, 1..20),
        pipe_bytes in 1..5_000_usize,
        in_flight in 1..8_usize,
    ) {
        let scripts: Vec<Script> = (0..).zip(&shapes).map(|(id, shape)| Script {
            kind: shape.1,
            first_ms: shape.2, second_ms: shape.3, answer_len: shape.4,
            ..Script::new(shape.0, id)
        }).collect();
        let expected: Vec<i32> =
            scripts.iter().filter(|s| s.kind != Kind::Silence).map(|s| s.correlation_id).collect();
        let limits = Limits { produces_in_flight_max: in_flight, ..Limits::default() };
        let (got, events) = runtime().block_on(async {
            let Fixture { client, events, task, .. } = fixture(limits, pipe_bytes);
            let (mut reading, mut writing) = tokio::io::split(client);
            let sent: Vec<u8> = scripts.iter().flat_map(|script| script.frame()).collect();
            let writer = async {
                let (mut rest, mut sizes) = (sent.as_slice(), writes.iter().cycle());
                while !rest.is_empty() {
                    let piece = rest.split_to_slice((*sizes.next().unwrap()).min(rest.len()));
                    writing.write_all(piece).await.unwrap();
                }
                writing.shutdown().await.unwrap();
            };
            let mut bytes = Vec::new();
            let reader = reading.read_to_end(&mut bytes);
            let ((), read) = tokio::join!(writer, reader);
            read.unwrap();
            assert!(matches!(task.await.unwrap(), Close::PeerClosed));
            (answers(&bytes), events.lock().unwrap().clone())
        });
        prop_assert_eq!(got, expected);
        let begun: Vec<i32> = events.iter().filter_map(|e| match e { Event::Began(id) => Some(*id), _ => None }).collect();
        prop_assert!(begun.is_sorted() && begun.len() == scripts.len());
        assert_alone_means_alone(&events, &scripts);
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_overlap_are_waited_for_together() {
    let mut fixture = fixture(Limits::default(), 1 << 16);
    let start = tokio::time::Instant::now();
    for id in 0..5 {
        let script = Script { second_ms: 1000, ..Script::new(OVERLAPPING, id) };
        fixture.client.write_all(&script.frame()).await.unwrap();
    }
    for id in 0..5 {
        assert_eq!(fixture.read_answer().await, id);
    }
    assert!(start.elapsed() < Duration::from_millis(1500), "they took {:?}", start.elapsed());
}

/// I-14: the bound on requests in flight holds, and those beyond it are still answered.
#[tokio::test(start_paused = true)]
async fn no_more_are_in_flight_than_the_bound() {
    let limits = Limits { produces_in_flight_max: 3, ..Limits::default() };
    let mut fixture = fixture(limits, 1 << 16);
    for id in 0..10 {
        let script = Script { second_ms: 100, ..Script::new(OVERLAPPING, id) };
        fixture.client.write_all(&script.frame()).await.unwrap();
    }
    for id in 0..10 {
        assert_eq!(fixture.read_answer().await, id);
    }
    let (mut open, mut most) = (0_usize, 0_usize);
    for event in fixture.events.lock().unwrap().iter() {
        match event {
            Event::Began(_) => open += 1,
            Event::Settled(_) => open -= 1,
            Event::FirstStageEnded(_) => {}
        }
        most = most.max(open);
    }
    assert_eq!(most, 3);
}

#[tokio::test(start_paused = true)]
async fn one_byte_at_a_time_is_as_good_as_all_at_once() {
    let mut fixture = fixture(Limits::default(), 1);
    for id in 0..3 {
        for byte in Script::new(ALONE, id).frame() {
            fixture.client.write_all(&[byte]).await.unwrap();
        }
        assert_eq!(fixture.read_answer().await, id);
    }
}

#[tokio::test(start_paused = true)]
async fn two_frames_in_one_write_get_two_answers() {
    let mut fixture = fixture(Limits::default(), 1 << 16);
    let both = [Script::new(ALONE, 1).frame(), Script::new(ALONE, 2).frame()].concat();
    fixture.client.write_all(&both).await.unwrap();
    assert_eq!((fixture.read_answer().await, fixture.read_answer().await), (1, 2));
}

/// Answers before the bad frame are sent; nothing after it is read; one reason is counted.
async fn assert_bad_frame_closes(bytes: &[u8], label: &str) {
    let mut fixture = fixture(Limits { frame_bytes_max: 1 << 20, ..Limits::default() }, 1 << 16);
    let good = Script { second_ms: 50, ..Script::new(OVERLAPPING, 7) };
    fixture.client.write_all(&[&good.frame(), bytes, &Script::new(ALONE, 8).frame()].concat()).await.unwrap();
    assert_eq!(fixture.read_to_end().await, [7], "{label}");
    let metrics = fixture.metrics();
    let close = fixture.task.await.unwrap();
    assert_eq!(close.label(), label, "{close}");
    let line = format!("sluice_connections_closed_total{{reason=\"{label}\"}} 1");
    assert!(metrics.contains(&line), "{metrics}");
}

/// I-09.
#[tokio::test(start_paused = true)]
async fn lengths_that_no_frame_has_close_the_connection() {
    assert_bad_frame_closes(&(-1_i32).to_be_bytes(), "bad_frame").await;
    assert_bad_frame_closes(&i32::MIN.to_be_bytes(), "bad_frame").await;
    assert_bad_frame_closes(&i32::MAX.to_be_bytes(), "bad_frame").await;
    assert_bad_frame_closes(&((1_i32 << 20) + 1).to_be_bytes(), "bad_frame").await;
    assert_bad_frame_closes(b"GET / HTTP/1.1\r\n\r\n", "bad_frame").await;
    assert_bad_frame_closes(&0_i32.to_be_bytes(), "unreadable").await;
    assert_bad_frame_closes(&[0, 0, 0, 1, 0], "unreadable").await;
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_and_a_close_disturb_nobody() {
    for cut in 1..21 {
        let mut fixture = fixture(Limits::default(), 1 << 16);
        let frame = Script::new(ALONE, 1).frame();
        fixture.client.write_all(&Script::new(ALONE, 0).frame()).await.unwrap();
        fixture.client.write_all(&frame[..cut]).await.unwrap();
        fixture.client.shutdown().await.unwrap();
        assert_eq!(fixture.read_to_end().await, [0]);
        assert!(matches!(fixture.task.await.unwrap(), Close::Truncated), "cut at {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_sends_nothing_is_no_event() {
    let fixture = fixture(Limits::default(), 1 << 16);
    drop(fixture.client);
    let close = fixture.task.await.unwrap();
    assert!(matches!(close, Close::PeerClosed | Close::Io(_)));
    assert!(!close.is_noteworthy());
}

/// Design section 10: a panic closes one connection and is counted; what was before it is answered.
#[tokio::test(start_paused = true)]
async fn a_panic_closes_its_connection_alone() {
    for (key, kind) in [
        (ALONE, Kind::PanicAtStart),
        (ALONE, Kind::PanicInStage),
        (ALONE, Kind::PanicLater),
        (OVERLAPPING, Kind::PanicAtStart),
        (OVERLAPPING, Kind::PanicInStage),
        (OVERLAPPING, Kind::PanicLater),
    ] {
        let mut fixture = fixture(Limits::default(), 1 << 16);
        let before = Script { second_ms: 20, ..Script::new(OVERLAPPING, 1) };
        let panics = Script { kind, ..Script::new(key, 2) };
        let after = Script::new(OVERLAPPING, 3);
        fixture.client.write_all(&[before.frame(), panics.frame(), after.frame()].concat()).await.unwrap();
        assert_eq!(fixture.read_to_end().await, [1], "{key} {kind:?}");
        assert!(fixture.metrics().contains("sluice_handler_panics_total 1"));
        assert!(matches!(fixture.task.await.unwrap(), Close::Panicked));
    }
}

#[tokio::test(start_paused = true)]
async fn silence_sends_no_byte_and_a_hangup_closes() {
    let mut fixture = fixture(Limits::default(), 1 << 16);
    let silent = Script { kind: Kind::Silence, ..Script::new(OVERLAPPING, 1) };
    fixture.client.write_all(&[silent.frame(), Script::new(OVERLAPPING, 2).frame()].concat()).await.unwrap();
    assert_eq!(fixture.read_answer().await, 2);
    let hangup = Script { kind: Kind::Hangup, ..Script::new(OVERLAPPING, 3) };
    fixture.client.write_all(&[hangup.frame(), Script::new(OVERLAPPING, 4).frame()].concat()).await.unwrap();
    assert_eq!(fixture.read_to_end().await, []);
    assert!(matches!(fixture.task.await.unwrap(), Close::Refused(Refusal::AcksZeroFailed(_))));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_closed_and_not_read_from() {
    let limits = Limits { write_timeout: Duration::from_secs(3), answer_bytes_ahead: 100, ..Limits::default() };
    let fixture = fixture(limits, 64);
    let (reading, mut writing) = tokio::io::split(fixture.client);
    let start = tokio::time::Instant::now();
    let flood = tokio::spawn(async move {
        for id in 0..10_000 {
            let script = Script { answer_len: 200, ..Script::new(ALONE, id) };
            if writing.write_all(&script.frame()).await.is_err() {
                return id;
            }
        }
        10_000
    });
    assert!(matches!(fixture.task.await.unwrap(), Close::SlowReader));
    assert!(start.elapsed() >= Duration::from_secs(3) && start.elapsed() < Duration::from_secs(4));
    let begun = fixture.events.lock().unwrap().iter().filter(|event| matches!(event, Event::Began(_))).count();
    assert!(begun <= 2, "{begun} requests were begun for a peer that reads nothing");
    assert!(flood.await.unwrap() < 100, "the flood was taken in");
    drop(reading);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed_and_a_working_one_is_not() {
    let limits = Limits { idle_timeout: Duration::from_secs(5), ..Limits::default() };
    let mut fixture = fixture(limits, 1 << 16);
    let start = tokio::time::Instant::now();
    let slow = Script { first_ms: 20_000, ..Script::new(ALONE, 1) };
    fixture.client.write_all(&slow.frame()).await.unwrap();
    assert_eq!(fixture.read_answer().await, 1);
    assert_eq!(start.elapsed().as_secs(), 20);
    assert_eq!(fixture.read_to_end().await, []);
    assert!(matches!(fixture.task.await.unwrap(), Close::Idle));
    assert_eq!(start.elapsed().as_secs(), 25);
}

/// Design section 10: everything that was read is answered, then FIN.
#[tokio::test(start_paused = true)]
async fn a_stop_answers_everything_that_was_read() {
    let mut fixture = fixture(Limits::default(), 1 << 16);
    let scripts = (0..8).map(|id| Script { second_ms: 500, ..Script::new(OVERLAPPING, id) });
    let alone = Script { first_ms: 300, ..Script::new(ALONE, 8) };
    let bytes: Vec<u8> = scripts.chain([alone]).flat_map(Script::frame).collect();
    fixture.client.write_all(&bytes).await.unwrap();
    while fixture.events.lock().unwrap().len() < 16 {
        tokio::task::yield_now().await;
    }
    fixture.shared.steps.stop.give();
    assert_eq!(fixture.read_to_end().await, (0..9).collect::<Vec<_>>());
    drop(fixture.client);
    assert!(matches!(fixture.task.await.unwrap(), Close::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_stop_ends_an_idle_connection_at_once() {
    let mut fixture = fixture(Limits::default(), 1 << 16);
    fixture.client.write_all(&Script::new(ALONE, 0).frame()).await.unwrap();
    assert_eq!(fixture.read_answer().await, 0);
    let start = tokio::time::Instant::now();
    fixture.shared.steps.stop.give();
    assert_eq!(fixture.read_to_end().await, []);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

// Holds: T7 (half-closed: the request is dropped, and what it was doing with it)
#[tokio::test(start_paused = true)]
async fn a_request_that_ends_with_its_peer_is_dropped_when_the_peer_is_gone() {
    for (key, is_answered) in [(ENDS_WITH_PEER, false), (ALONE, true)] {
        let mut fixture = fixture(Limits::default(), 1 << 16);
        let script = Script { first_ms: 5_000, ..Script::new(key, 1) };
        fixture.client.write_all(&script.frame()).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let began = tokio::time::Instant::now();
        fixture.client.shutdown().await.unwrap();
        assert_eq!(fixture.read_to_end().await.len(), usize::from(is_answered));
        assert_eq!(began.elapsed() >= Duration::from_secs(4), is_answered, "key {key}");
    }
}

// Holds: T7 (after a clock gap older connections are closed, their unread bytes unprocessed)
#[tokio::test(start_paused = true)]
async fn a_connection_older_than_a_clock_gap_is_closed_and_its_requests_are_not_begun() {
    let mut fixture = fixture(Limits::default(), 1 << 16);
    fixture.client.write_all(&Script::new(ALONE, 1).frame()).await.unwrap();
    assert_eq!(fixture.read_answer().await, 1);
    fixture.client.write_all(&Script::new(ALONE, 2).frame()).await.unwrap();
    // The process stands still with the request unread, then everything runs at once.
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(fixture.read_to_end().await, Vec::<i32>::new());
    assert!(matches!(fixture.task.await.unwrap(), Close::ClockGap));
}

mod gone;
mod memory;
mod slow;
mod turns;
