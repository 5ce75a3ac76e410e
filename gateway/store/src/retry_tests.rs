//! Tests of the retries, over a scripted store and paused time.

use sluice_runtime::SeededEntropy;
use tokio::time::Instant;

use super::*;
use crate::StoreErrorKind::{AlreadyExists, Denied, NotFound, Throttled, Unavailable, Unknown};
use crate::scripted::{Scripted, Step, body_ref, key, staged, text};

const CREATE: PutOptions = PutOptions { create_only: true, crc32c: None };

fn objects(store: &Arc<Scripted>) -> RetryObjectStore {
    let inner = Arc::clone(store) as Arc<dyn ObjectStore>;
    RetryObjectStore::new(inner, RetryPolicy::default(), Arc::new(SeededEntropy::new(1)))
}

fn log(store: &Arc<Scripted>) -> RetryLog {
    let inner = Arc::clone(store) as Arc<dyn MetadataLog>;
    RetryLog::new(inner, RetryPolicy::default(), Arc::new(SeededEntropy::new(1)))
}

fn fails(kinds: &[StoreErrorKind]) -> Arc<Scripted> {
    Scripted::new(kinds.iter().map(|kind| Step::Fail(*kind)))
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_is_retried_until_it_works() {
    let store = fails(&[Unavailable, Throttled, Unavailable]);
    objects(&store).put(&key("k"), text("v"), CREATE).await.unwrap();
    assert_eq!(store.calls(), ["put k"; 4], "the same key each time");
}

#[tokio::test(start_paused = true)]
async fn what_may_not_succeed_is_not_retried() {
    let store = fails(&[Denied]);
    let error = objects(&store).put(&key("k"), text("v"), CREATE).await.unwrap_err();
    assert_eq!((error.kind(), store.calls().len()), (Denied, 1));
    let store = fails(&[]);
    let error = objects(&store).get(&key("k"), ByteRange::Full).await.unwrap_err();
    assert_eq!((error.kind(), store.calls().len()), (NotFound, 1));
}

/// I-14: retries have a bound, and each class its own.
#[tokio::test(start_paused = true)]
async fn retries_are_bounded_by_class() {
    let budget = RetryPolicy::default();
    let store = fails(&[Unavailable; 100]);
    let error = objects(&store).head(&key("k")).await.unwrap_err();
    assert_eq!(error.kind(), Unavailable);
    assert_eq!(store.calls().len() as u32, 1 + budget.failed.retries_max);
    let store = fails(&[Throttled; 100]);
    assert_eq!(objects(&store).head(&key("k")).await.unwrap_err().kind(), Throttled);
    assert_eq!(store.calls().len() as u32, 1 + budget.throttled.retries_max);
    let all_of_both = [vec![Unavailable; budget.failed.retries_max as usize], vec![Throttled; 8]].concat();
    objects(&fails(&all_of_both)).list("", None, 1).await.unwrap();
}

/// I-11: whatever came after an Unknown, the write may have happened.
#[tokio::test(start_paused = true)]
async fn one_unknown_makes_a_write_unknown() {
    for last in [Unavailable, Throttled, Denied] {
        let store = fails(&[vec![Unavailable, Unknown], vec![last; 20]].concat());
        let error = objects(&store).put(&key("k"), text("v"), CREATE).await.unwrap_err();
        assert_eq!(error.kind(), Unknown, "after Unknown, {last}");
        let store = fails(&[vec![Unknown], vec![last; 20]].concat());
        let results = objects(&store).delete(&[key("k")]).await;
        assert_eq!(results[0].as_ref().unwrap_err().kind(), Unknown, "delete after Unknown, {last}");
    }
    let error = objects(&fails(&[Unavailable; 20])).put(&key("k"), text("v"), CREATE).await.unwrap_err();
    assert_eq!(error.kind(), Unavailable, "without an Unknown it certainly did not happen");
}

/// Design section 5, "segment PUT": AlreadyExists with the same checksum after an Unknown is our own earlier attempt.
#[tokio::test(start_paused = true)]
async fn a_create_that_meets_its_own_earlier_attempt_has_happened() {
    for keeps_crc in [true, false] {
        let store = Scripted::keeping_crc([Step::FailAfter(Unknown)], keeps_crc);
        objects(&store).put(&key("k"), text("v"), CREATE).await.unwrap();
        assert_eq!(store.calls()[..3], ["put k", "put k", "head k"], "keeps a CRC32C: {keeps_crc}");
    }
}

/// I-03: the object that is there is another's, so ours never was.
#[tokio::test(start_paused = true)]
async fn a_create_that_meets_another_object_after_an_unknown_has_lost() {
    for (keeps_crc, other) in [(true, "other"), (true, "w"), (false, "w")] {
        let store = Scripted::keeping_crc([Step::Fail(Unknown)], keeps_crc);
        store.objects.lock().unwrap().insert(key("k"), text(other));
        let error = objects(&store).put(&key("k"), text("v"), CREATE).await.unwrap_err();
        assert_eq!(error.kind(), AlreadyExists, "{other:?} is there, keeps a CRC32C: {keeps_crc}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_create_is_unknown_when_what_took_its_key_cannot_be_read() {
    let fail_head = [Step::FailAfter(Unknown), Step::Fail(AlreadyExists), Step::Fail(Denied)];
    let error = objects(&Scripted::new(fail_head)).put(&key("k"), text("v"), CREATE).await.unwrap_err();
    assert_eq!(error.kind(), Unknown, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_was_taken_before_any_unknown_is_taken() {
    let store = fails(&[Unavailable]);
    store.objects.lock().unwrap().insert(key("k"), text("v"));
    let error = objects(&store).put(&key("k"), text("v"), CREATE).await.unwrap_err();
    assert_eq!(error.kind(), AlreadyExists, "also with the same bytes: no attempt of ours can have put them");
    assert!(!store.calls().contains(&"head k".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn only_the_failed_keys_are_deleted_again() {
    let store = Scripted::new([Step::FailAfter(Unknown), Step::Fail(Denied), Step::Fail(Unavailable)]);
    let results = objects(&store).delete(&["a", "b", "c"].map(key)).await;
    assert_eq!(store.calls(), ["delete a", "delete b", "delete c", "delete a", "delete c"]);
    let kinds: Vec<_> = results.iter().map(|result| result.as_ref().err().map(StoreError::kind)).collect();
    assert_eq!(kinds, [None, Some(Denied), None]);
}

/// L1: the engine owns the retry of an append.
#[tokio::test(start_paused = true)]
async fn an_append_is_never_sent_twice() {
    for kind in [Unknown, Unavailable, Throttled] {
        let store = fails(&[kind]);
        let error = log(&store).append(&[staged(1)], LogPosition::ZERO).await.unwrap_err();
        assert_eq!((error.kind(), store.calls().len()), (kind, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn everything_else_of_a_log_is_retried() {
    let entry = Sealed { session: 1, sequence: 1, bytes: Bytes::new() };
    for kind in [Unknown, Unavailable, Throttled] {
        let store = fails(&[kind]);
        log(&store).stage(&entry).await.unwrap();
        let store = fails(&[kind]);
        log(&store).read(LogPosition::ZERO, Consistency::Strong).await.unwrap();
        let store = fails(&[kind]);
        log(&store).read_body(&body_ref()).await.unwrap();
    }
}

/// Full jitter: waits differ, stay under the doubled bound, and are the seed's (I-13).
#[tokio::test(start_paused = true)]
async fn waits_are_jittered_bounded_and_the_seeds() {
    let time = async |seed| {
        let (inner, begin) = (fails(&[Unavailable; 4]) as Arc<dyn ObjectStore>, Instant::now());
        let store = RetryObjectStore::new(inner, RetryPolicy::default(), Arc::new(SeededEntropy::new(seed)));
        store.put(&key("k"), text("v"), CREATE).await.unwrap();
        begin.elapsed()
    };
    let bound: Duration = (0..4).map(|n| RETRY_WAIT_BASE * 2u32.pow(n)).sum();
    let mut distinct = std::collections::BTreeSet::new();
    for seed in 0..20 {
        let waited = time(seed).await;
        assert!(waited <= bound + Duration::from_millis(4), "{waited:?} is over {bound:?}");
        assert_eq!(waited, time(seed).await, "the same seed waits as long");
        distinct.insert(waited);
    }
    assert!(distinct.len() > 10, "waits are spread: {distinct:?}");
}
