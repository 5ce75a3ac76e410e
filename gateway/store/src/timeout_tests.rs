//! Tests of the deadlines, over a scripted store and paused time.

use super::*;
use crate::StoreErrorKind::{Unavailable, Unknown};
use crate::scripted::{Scripted, Step, body_ref, key, staged, text};

const LIMIT: Duration = Duration::from_secs(1);
const TIMEOUTS: Timeouts = Timeouts { read: LIMIT, write: LIMIT };

fn slow(time: Duration) -> Arc<Scripted> {
    Scripted::new([Step::Slow(time); 10])
}

fn objects(store: &Arc<Scripted>) -> TimeoutObjectStore {
    TimeoutObjectStore::new(Arc::clone(store) as Arc<dyn ObjectStore>, TIMEOUTS)
}

fn log(store: &Arc<Scripted>) -> TimeoutLog {
    TimeoutLog::new(Arc::clone(store) as Arc<dyn MetadataLog>, TIMEOUTS)
}

fn kind<T>(result: StoreResult<T>) -> StoreErrorKind {
    result.err().expect("a late answer is an error").kind()
}

/// I-11: nobody knows what became of a write that did not answer.
#[tokio::test(start_paused = true)]
async fn a_late_write_is_unknown() {
    let late = LIMIT * 2;
    let entry = Sealed { session: 1, sequence: 1, bytes: Bytes::new() };
    assert_eq!(kind(objects(&slow(late)).put(&key("k"), text("v"), PutOptions::default()).await), Unknown);
    assert_eq!(kind(log(&slow(late)).append(&[staged(1)], LogPosition::ZERO).await), Unknown);
    assert_eq!(kind(log(&slow(late)).stage(&entry).await), Unknown);
    let results = objects(&slow(late)).delete(&["a", "b"].map(key)).await;
    assert_eq!(results.len(), 2, "an answer for each key");
    assert!(results.into_iter().all(|result| kind(result) == Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_late_read_is_unavailable() {
    let late = LIMIT * 2;
    assert_eq!(kind(objects(&slow(late)).get(&key("k"), ByteRange::Full).await), Unavailable);
    assert_eq!(kind(objects(&slow(late)).head(&key("k")).await), Unavailable);
    assert_eq!(kind(objects(&slow(late)).list("", None, 1).await), Unavailable);
    assert_eq!(kind(log(&slow(late)).read(LogPosition::ZERO, Consistency::Strong).await), Unavailable);
    assert_eq!(kind(log(&slow(late)).read_body(&body_ref()).await), Unavailable);
}

#[tokio::test(start_paused = true)]
async fn an_answer_in_time_is_passed_on() {
    let store = slow(LIMIT / 2);
    objects(&store).put(&key("k"), text("v"), PutOptions::default()).await.unwrap();
    assert_eq!(objects(&store).get(&key("k"), ByteRange::Full).await.unwrap(), text("v"));
    log(&store).append(&[staged(1)], LogPosition::ZERO).await.unwrap();
    let missing = kind(objects(&store).head(&key("other")).await);
    assert_eq!(missing, StoreErrorKind::NotFound, "errors in time as well");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_names_its_operation_and_subject() {
    let error = objects(&slow(LIMIT * 2)).get(&key("a/b"), ByteRange::Full).await.unwrap_err();
    assert_eq!(error.to_string(), "get object `a/b`: no answer within 1000 ms: unavailable");
}
