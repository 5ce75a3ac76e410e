//! Tests of the faults, over a scripted store and paused time.

use sluice_runtime::SeededEntropy;
use tokio::time::{Instant, sleep};

use super::*;
use crate::StoreErrorKind::{Throttled, Unavailable, Unknown};
use crate::scripted::{Scripted, body_ref, key, staged, text};

/// A probability of one.
const ALWAYS: u32 = 1_000;

fn everywhere(faults: OperationFaults) -> Faults {
    Faults { object_write: faults, object_read: faults, stage: faults, append: faults, log_read: faults }
}

fn faulty(seed: u64, faults: OperationFaults) -> (Arc<Scripted>, Arc<FaultControl>, FaultyObjectStore, FaultyLog) {
    let store = Scripted::new([]);
    let control = FaultControl::new(everywhere(faults), Arc::new(SeededEntropy::new(seed)));
    let objects = FaultyObjectStore::new(Arc::clone(&store) as Arc<dyn ObjectStore>, Arc::clone(&control));
    let log = FaultyLog::new(Arc::clone(&store) as Arc<dyn MetadataLog>, Arc::clone(&control));
    (store, control, objects, log)
}

async fn append(log: &FaultyLog) -> Result<Appended, StoreErrorKind> {
    log.append(&[staged(1)], LogPosition::ZERO).await.map_err(|error| error.kind())
}

async fn put(objects: &FaultyObjectStore) -> Result<(), StoreErrorKind> {
    objects.put(&key("k"), text("v"), PutOptions::default()).await.map_err(|error| error.kind())
}

#[tokio::test(start_paused = true)]
async fn a_refused_operation_has_no_effect_and_says_so() {
    let (store, control, objects, log) = faulty(1, OperationFaults { refused_per_mille: ALWAYS, ..Default::default() });
    let mut kinds = std::collections::BTreeSet::new();
    for _ in 0..50 {
        kinds.insert(put(&objects).await.unwrap_err());
        kinds.insert(append(&log).await.unwrap_err());
        kinds.insert(objects.head(&key("k")).await.unwrap_err().kind());
    }
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), [Throttled, Unavailable]);
    assert!(store.calls().is_empty(), "nothing reached the store");
    assert_eq!(control.counts().refused, 150);
}

/// I-11: the effect is there, and the answer says that nobody knows.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_unknown_and_the_effect_happened() {
    let (store, _, objects, log) = faulty(1, OperationFaults { lost_answer_per_mille: ALWAYS, ..Default::default() });
    assert_eq!(put(&objects).await, Err(Unknown));
    assert_eq!(append(&log).await, Err(Unknown));
    assert_eq!((store.objects.lock().unwrap().len(), store.elements.lock().unwrap().len()), (1, 1));
    let results = objects.delete(&["k", "l"].map(key)).await;
    assert_eq!(results.into_iter().map(|result| result.unwrap_err().kind()).collect::<Vec<_>>(), [Unknown; 2]);
    assert!(store.objects.lock().unwrap().is_empty(), "the delete happened");
    assert_eq!(objects.get(&key("k"), ByteRange::Full).await.unwrap_err().kind(), Unavailable, "a read is no write");
    assert_eq!(log.read_body(&body_ref()).await.unwrap_err().kind(), Unavailable);
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_is_unknown_and_never_happens() {
    let (store, _, objects, log) = faulty(1, OperationFaults { lost_request_per_mille: ALWAYS, ..Default::default() });
    assert_eq!(put(&objects).await, Err(Unknown));
    assert_eq!(append(&log).await, Err(Unknown));
    sleep(Duration::from_secs(60)).await;
    assert!(store.calls().is_empty(), "nothing reached the store");
}

/// L1: a packet that lingers takes effect after its sender has given it up.
#[tokio::test(start_paused = true)]
async fn a_late_effect_happens_after_its_unknown() {
    let delay_max = Duration::from_secs(5);
    let faults = OperationFaults { late_effect_per_mille: ALWAYS, delay_max, ..Default::default() };
    let (store, control, objects, log) = faulty(1, faults);
    assert_eq!((put(&objects).await, append(&log).await), (Err(Unknown), Err(Unknown)));
    assert!(store.calls().is_empty(), "not yet");
    drop((objects, log));
    sleep(delay_max + Duration::from_millis(1)).await;
    assert_eq!((store.objects.lock().unwrap().len(), store.elements.lock().unwrap().len()), (1, 1));
    assert_eq!(control.counts().late_effects, 2);
}

/// I-14: what is outstanding has a bound.
#[tokio::test(start_paused = true)]
async fn outstanding_late_effects_are_bounded() {
    let faults =
        OperationFaults { late_effect_per_mille: ALWAYS, delay_max: Duration::from_secs(60), ..Default::default() };
    let (store, control, _, log) = faulty(1, faults);
    for _ in 0..LATE_EFFECTS_MAX + 10 {
        assert_eq!(append(&log).await, Err(Unknown));
    }
    assert_eq!(store.elements.lock().unwrap().len(), 10, "those over the bound happened before their answers");
    assert_eq!(control.counts().late_effects as usize, LATE_EFFECTS_MAX);
}

/// L3: committed, and nothing is said of a verdict.
#[tokio::test(start_paused = true)]
async fn an_append_may_be_answered_without_its_tail() {
    let (store, _, objects, log) = faulty(1, OperationFaults { tail_unread_per_mille: ALWAYS, ..Default::default() });
    assert_eq!(append(&log).await, Ok(Appended::CommittedTailUnread));
    assert_eq!(store.elements.lock().unwrap().len(), 1);
    assert_eq!(put(&objects).await, Ok(()), "nothing else has a tail");
}

/// The planted defect lies about lost answers, and about nothing else.
#[tokio::test(start_paused = true)]
async fn the_planted_defect_reports_a_lost_answer_as_not_happened() {
    let (store, control, objects, log) =
        faulty(1, OperationFaults { lost_answer_per_mille: ALWAYS, ..Default::default() });
    control.plant_unknown_reads_as_unavailable(true);
    assert_eq!((put(&objects).await, append(&log).await), (Err(Unavailable), Err(Unavailable)));
    assert_eq!(store.elements.lock().unwrap().len(), 1, "it did happen");
    control.set_faults(everywhere(OperationFaults { lost_request_per_mille: ALWAYS, ..Default::default() }));
    assert_eq!(put(&objects).await, Err(Unknown));
    control.set_faults(everywhere(OperationFaults { lost_answer_per_mille: ALWAYS, ..Default::default() }));
    control.plant_unknown_reads_as_unavailable(false);
    assert_eq!(put(&objects).await, Err(Unknown));
}

#[tokio::test(start_paused = true)]
async fn delays_stay_within_their_bound_on_either_side() {
    let delay_max = Duration::from_millis(100);
    let (_, control, objects, _) =
        faulty(3, OperationFaults { delayed_per_mille: ALWAYS, delay_max, ..Default::default() });
    let mut longest = Duration::ZERO;
    for _ in 0..100 {
        let begin = Instant::now();
        put(&objects).await.unwrap();
        longest = longest.max(begin.elapsed());
    }
    // Each of the two waits is rounded up to the timer's millisecond.
    assert!(longest > delay_max && longest <= 2 * delay_max + Duration::from_millis(2), "{longest:?}");
    assert_eq!(control.counts().delayed, 100);
}

#[tokio::test(start_paused = true)]
async fn switched_off_it_changes_nothing() {
    let faults = OperationFaults { refused_per_mille: ALWAYS, delayed_per_mille: ALWAYS, ..Default::default() };
    let (_, control, objects, log) = faulty(1, faults);
    control.set_enabled(false);
    for _ in 0..20 {
        put(&objects).await.unwrap();
        append(&log).await.unwrap();
    }
    assert_eq!(control.counts(), FaultCounts::default());
    control.set_enabled(true);
    put(&objects).await.unwrap_err();
}

/// I-13: the same seed and calls meet the same faults; another seed meets others.
#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_faults() {
    let faults = OperationFaults {
        refused_per_mille: 200,
        lost_answer_per_mille: 200,
        lost_request_per_mille: 100,
        late_effect_per_mille: 100,
        tail_unread_per_mille: 100,
        delayed_per_mille: 500,
        delay_max: Duration::from_millis(50),
    };
    let run = async |seed| {
        let (store, control, objects, log) = faulty(seed, faults);
        let begin = Instant::now();
        let mut trace = Vec::new();
        for _ in 0..100 {
            let outcomes = (put(&objects).await, append(&log).await);
            trace.push(format!("{:?} {outcomes:?} {}", begin.elapsed(), store.calls().len()));
        }
        (trace, control.counts())
    };
    let first = run(7).await;
    assert_eq!(first, run(7).await);
    assert_ne!(first, run(8).await);
    let FaultCounts { refused, lost_answers, lost_requests, late_effects, tails_unread, delayed } = first.1;
    assert!([refused, lost_answers, lost_requests, late_effects, tails_unread, delayed].iter().all(|n| *n > 0));
}
