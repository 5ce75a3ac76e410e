//! Writing: the order in which things reach the disk, groups, and what follows a failed sync.

use std::sync::atomic::Ordering;

use super::layer::{Trial, TrialFiles};
use super::*;

struct Rig {
    trial: Arc<Trial>,
    stores: DiskStores,
    dir: tempfile::TempDir,
}

fn rig() -> Rig {
    let dir = tempfile::tempdir().unwrap();
    let trial = Trial::new(dir.path());
    let config = DiskConfig::new(dir.path(), true);
    let stores = open_disk_over(config, clock(), entropy(), Arc::new(TrialFiles(Arc::clone(&trial)))).unwrap();
    trial.take_trace();
    Rig { trial, stores, dir }
}

/// I-01: bytes are durable before they have a name, and the name before anyone is told.
#[tokio::test]
async fn an_object_is_synced_before_it_is_named_and_its_folders_after() {
    let Rig { trial, stores, dir: _dir } = rig();
    put(&stores, "a/b/1", "bytes").await.unwrap();
    let expected = [
        "create tmp/0",
        "write tmp/0",
        "sync tmp/0",
        "create folder objects/a",
        "sync folder objects",
        "create folder objects/a/b",
        "sync folder objects/a",
        "rename to objects/a/b/1",
        "sync folder objects/a/b",
    ];
    assert_eq!(trial.take_trace(), expected);
    put(&stores, "a/b/2", "bytes").await.unwrap();
    let known = ["create tmp/1", "write tmp/1", "sync tmp/1", "rename to objects/a/b/2", "sync folder objects/a/b"];
    assert_eq!(trial.take_trace(), known, "folders that are durable are left alone");
}

/// A folder that a killed process made may not be durable: it is synced again by whoever opens the directory next.
#[tokio::test]
async fn folders_of_an_earlier_process_are_synced_again() {
    let Rig { trial, stores, dir } = rig();
    put(&stores, "a/1", "bytes").await.unwrap();
    drop(stores);
    let files = Arc::new(TrialFiles(Arc::clone(&trial)));
    let stores = open_disk_over(DiskConfig::new(dir.path(), false), clock(), entropy(), files).unwrap();
    trial.take_trace();
    put(&stores, "a/2", "bytes").await.unwrap();
    let trace = trial.take_trace();
    assert_eq!(trace[3..], ["sync folder objects", "rename to objects/a/2", "sync folder objects/a"]);
}

/// I-11: AlreadyExists tells a retrying caller that its object is there, so it must be there for good.
#[tokio::test]
async fn a_taken_key_is_made_durable_before_it_is_told() {
    let Rig { trial, stores, dir: _dir } = rig();
    put(&stores, "a/1", "bytes").await.unwrap();
    trial.take_trace();
    assert_eq!(put(&stores, "a/1", "other").await, Err(StoreErrorKind::AlreadyExists));
    let trace = trial.take_trace();
    assert_eq!(trace[3..], ["sync folder objects/a", "remove tmp/1"], "{trace:?}");
}

#[tokio::test]
async fn a_deletion_is_durable_and_leaves_no_empty_folder() {
    let Rig { trial, stores, dir } = rig();
    for name in ["a/b/1", "a/b/2", "a/c/1"] {
        put(&stores, name, "bytes").await.unwrap();
    }
    trial.take_trace();
    stores.objects.delete(&[key("a/b/1")]).await.remove(0).unwrap();
    assert_eq!(trial.take_trace(), ["remove objects/a/b/1", "sync folder objects/a/b"]);
    stores.objects.delete(&[key("a/b/2")]).await.remove(0).unwrap();
    let expected = ["remove objects/a/b/2", "sync folder objects/a/b", "remove folder objects/a/b"];
    assert_eq!(trial.take_trace(), expected, "its parent still holds another");
    assert!(!dir.path().join("objects/a/b").exists());
    put(&stores, "a/b/3", "bytes").await.unwrap();
    let trace = trial.take_trace();
    assert!(trace.contains(&"create folder objects/a/b".to_owned()), "a removed folder is made again: {trace:?}");
}

/// Found by seed 678 of the power-cut runs: a deletion that emptied a folder removed it under another one that was about to
/// sync it, whose failed sync then closed the directory for all writes.
#[tokio::test]
async fn a_folder_is_not_removed_under_another_deletion() {
    let Rig { trial, stores, dir: _dir } = rig();
    put(&stores, "a/1", "bytes").await.unwrap();
    put(&stores, "a/2", "bytes").await.unwrap();
    let delete = |name: &'static str| {
        let objects = Arc::clone(&stores.objects);
        tokio::spawn(async move { objects.delete(&[key(name)]).await.remove(0) })
    };
    trial.folder_gate.close();
    let first = delete("a/1");
    until(|| trial.folder_gate.holds_someone()).await;
    trial.take_trace();
    let second = delete("a/2");
    until(|| trial.trace.lock().unwrap().contains(&"sync folder objects/a".to_owned())).await;
    // The folder is empty now, and the time has come to remove it, if anything lets the second do that.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    trial.folder_gate.open();
    first.await.unwrap().unwrap();
    second.await.unwrap().unwrap();
    put(&stores, "a/3", "bytes").await.expect("writes go on");
}

#[tokio::test(start_paused = true)]
async fn last_modified_is_the_injected_clocks() {
    let Rig { stores, dir: _dir, .. } = rig();
    put(&stores, "k", "bytes").await.unwrap();
    let info = stores.objects.head(&key("k")).await.unwrap();
    assert!((1_700_000_000_000..1_700_000_060_000).contains(&info.last_modified_ms), "{info:?}");
}

/// Keys the seam forbids side by side are told apart, not mixed up.
#[tokio::test]
async fn a_key_below_another_key_is_invalid() {
    let Rig { stores, dir: _dir, .. } = rig();
    put(&stores, "a", "bytes").await.unwrap();
    assert_eq!(put(&stores, "a/b", "bytes").await, Err(StoreErrorKind::Invalid));
    put(&stores, "c/d", "bytes").await.unwrap();
    assert_eq!(put(&stores, "c", "bytes").await, Err(StoreErrorKind::Invalid));
    stores.objects.delete(&[key("c")]).await.remove(0).unwrap();
    assert_eq!((get(&stores, "a").await, get(&stores, "c/d").await), (Ok("bytes".into()), Ok("bytes".into())));
}

/// The prefix is compared with names and is never a path.
#[tokio::test]
async fn a_listing_never_leaves_the_objects() {
    let Rig { stores, dir, .. } = rig();
    std::fs::create_dir(dir.path().join("objects/a")).unwrap();
    std::fs::write(dir.path().join("objects/a/not a key!"), "x").unwrap();
    for prefix in ["..", "../", "/", "../tmp", "a/../", "./"] {
        assert!(stores.objects.list(prefix, None, 10).await.unwrap().is_empty(), "{prefix:?}");
    }
    assert!(stores.objects.list("", None, 10).await.unwrap().is_empty(), "what is no key is no object");
}

/// Lets other tasks and threads go on until `condition` holds.
async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::task::yield_now().await;
    }
}

async fn assert_writes_are_refused(stores: &DiskStores) {
    let put = stores.objects.put(&key("later"), text("bytes"), CREATE).await.unwrap_err();
    assert_says(&put, StoreErrorKind::Unavailable, "restart sluice");
    let append = append(&stores.log, 99).await.unwrap_err();
    assert_says(&append, StoreErrorKind::Unavailable, "restart sluice");
    let delete = stores.objects.delete(&[key("before")]).await.remove(0).unwrap_err();
    assert_says(&delete, StoreErrorKind::Unavailable, "restart sluice");
    assert_eq!(get(stores, "before").await, Ok("bytes".into()), "reads go on");
    assert_eq!(sequences(&stores.log).await, [1], "reads go on");
}

async fn rig_with_data() -> Rig {
    let rig = rig();
    put(&rig.stores, "before", "bytes").await.unwrap();
    append(&rig.stores.log, 1).await.unwrap();
    rig
}

/// Design section 10: after an fsync error the store refuses writes until it is restarted. The object has no name yet,
/// so that this put certainly did not happen.
#[tokio::test]
async fn after_a_failed_file_sync_writes_are_refused() {
    let Rig { trial, stores, dir } = rig_with_data().await;
    trial.fails_file_syncs.store(true, Ordering::Relaxed);
    assert_eq!(put(&stores, "k", "bytes").await, Err(StoreErrorKind::Unavailable));
    trial.fails_file_syncs.store(false, Ordering::Relaxed);
    assert_writes_are_refused(&stores).await;
    assert_eq!(get(&stores, "k").await, Err(StoreErrorKind::NotFound));
    drop(stores);
    let stores = open(dir.path()).unwrap();
    put(&stores, "k", "bytes").await.unwrap();
}

/// The same for a folder; the object has its name by then, so that nobody knows (I-11).
#[tokio::test]
async fn after_a_failed_folder_sync_writes_are_refused() {
    let Rig { trial, stores, dir } = rig_with_data().await;
    trial.fails_folder_syncs.store(true, Ordering::Relaxed);
    assert_eq!(put(&stores, "k", "bytes").await, Err(StoreErrorKind::Unknown));
    trial.fails_folder_syncs.store(false, Ordering::Relaxed);
    assert_writes_are_refused(&stores).await;
    drop(stores);
    open(dir.path()).unwrap();
}

/// The same for the log: the group may be on the disk.
#[tokio::test]
async fn after_a_failed_commit_writes_are_refused() {
    let Rig { trial, stores, dir } = rig_with_data().await;
    trial.fails_database_syncs.store(true, Ordering::Relaxed);
    assert_eq!(append(&stores.log, 2).await.unwrap_err().kind(), StoreErrorKind::Unknown);
    trial.fails_database_syncs.store(false, Ordering::Relaxed);
    assert_writes_are_refused(&stores).await;
    drop(stores);
    let stores = open(dir.path()).unwrap();
    let before = sequences(&stores.log).await;
    assert!(before == [1] || before == [1, 2], "the Unknown append is there or not: {before:?}");
    append(&stores.log, 3).await.unwrap();
}

/// Many appends that wait for one sync share the next.
#[tokio::test]
async fn appends_that_wait_are_committed_as_one_group() {
    let Rig { trial, stores, dir: _dir } = rig();
    trial.database_gate.close();
    let log = Arc::clone(&stores.log);
    let first = tokio::spawn(async move { append(&log, 1).await });
    until(|| trial.database_gate.holds_someone()).await;
    // The commit thread is inside the sync of the first append's group: these wait in its queue, each polled once.
    let mut waiting = tokio::task::JoinSet::new();
    for sequence in 2..=21 {
        let log = Arc::clone(&stores.log);
        waiting.spawn(async move { append(&log, sequence).await });
    }
    until(|| stores.log.queued() == 20).await;
    let before = trial.database_syncs.load(Ordering::Relaxed);
    trial.database_gate.open();
    first.await.unwrap().unwrap();
    for tail in waiting.join_all().await {
        tail.unwrap();
    }
    let syncs = trial.database_syncs.load(Ordering::Relaxed) - before;
    assert!(syncs <= 4, "21 appends in two groups took {syncs} syncs");
    assert_eq!(sequences(&stores.log).await.len(), 21);
}

/// L3: a caller that goes away changes nothing of its append.
#[tokio::test]
async fn an_append_whose_caller_is_gone_is_still_committed() {
    let Rig { trial, stores, dir: _dir } = rig();
    trial.database_gate.close();
    let log = Arc::clone(&stores.log);
    let abandoned = tokio::spawn(async move { append(&log, 1).await });
    until(|| trial.database_gate.holds_someone()).await;
    abandoned.abort();
    assert!(abandoned.await.unwrap_err().is_cancelled());
    trial.database_gate.open();
    append(&stores.log, 2).await.unwrap();
    assert_eq!(sequences(&stores.log).await, [1, 2]);
}

/// Refused by the caller's task: in the commit thread it would fail its whole group.
#[tokio::test]
async fn an_element_with_a_body_is_refused_before_it_meets_others() {
    let Rig { stores, dir: _dir, .. } = rig();
    let body = sluice_store::BodyRef { session: 1, sequence: 1, salt: 0, parts: 1, hash: 0, len: 0 };
    let mut foreign = staged(&stores.log, 1).await;
    foreign.element.payload = sluice_store::Payload::Body(body);
    let error = stores.log.append(&[foreign], LogPosition::ZERO).await.unwrap_err();
    assert_says(&error, StoreErrorKind::Invalid, "this log has no bodies");
    append(&stores.log, 1).await.unwrap();
}

/// An append that knows more than the log holds has met another log (L6), and is not made.
#[tokio::test]
async fn an_append_from_beyond_the_end_is_corrupt_and_not_made() {
    let Rig { stores, dir: _dir, .. } = rig();
    append(&stores.log, 1).await.unwrap();
    let staged = staged(&stores.log, 2).await;
    let error = stores.log.append(&[staged], LogPosition(2)).await.unwrap_err();
    assert_says(&error, StoreErrorKind::Corrupt, "the log ends at 1");
    assert_eq!(sequences(&stores.log).await, [1]);
}

/// I-01, I-11: wherever the process ends, what was acknowledged is there, and the rest is there whole or not at all.
#[tokio::test]
async fn writes_that_ended_anywhere_are_whole_or_absent() {
    let mut failures = 0;
    for changes in 0..1_000 {
        let Rig { trial, stores, dir } = rig_with_data().await;
        trial.steps.end_after(changes);
        let (put, appended) = (put(&stores, "a/b", "bytes").await, append(&stores.log, 2).await);
        drop(stores);
        let stores = open(dir.path()).unwrap();
        let (object, elements) = (get(&stores, "a/b").await, sequences(&stores.log).await);
        assert_eq!(get(&stores, "before").await, Ok("bytes".into()), "after {changes} changes");
        match put {
            Ok(()) => assert_eq!(object, Ok("bytes".into()), "after {changes} changes"),
            Err(StoreErrorKind::Unknown) => assert!(object.is_err() || object == Ok("bytes".into())),
            Err(_) => assert_eq!(object, Err(StoreErrorKind::NotFound), "did not happen, after {changes} changes"),
        }
        match appended.as_ref().map_err(StoreError::kind) {
            Ok(_) => assert_eq!(elements, [1, 2], "after {changes} changes"),
            Err(StoreErrorKind::Unknown) => assert!(elements == [1] || elements == [1, 2], "{elements:?}"),
            Err(_) => assert_eq!(elements, [1], "did not happen, after {changes} changes"),
        }
        if put.is_ok() && appended.is_ok() {
            break;
        }
        failures += 1;
    }
    assert!((8..1_000).contains(&failures), "{failures} changes make a put and an append");
}
