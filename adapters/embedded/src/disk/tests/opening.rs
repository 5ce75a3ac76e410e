//! Opening: what survives, and what each refusal says.

use std::fs;
use std::sync::atomic::Ordering;

use super::layer::{Trial, TrialFiles};
use super::*;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// I-01, L8: a directory that is opened again has its objects, its elements and its incarnation.
#[tokio::test]
async fn what_was_written_is_there_when_it_is_opened_again() {
    let dir = dir();
    let stores = make(dir.path()).unwrap();
    let incarnation = stores.log.incarnation();
    put(&stores, "a/b/1", "bytes").await.unwrap();
    for sequence in 1..=3 {
        append(&stores.log, sequence).await.unwrap();
    }
    drop(stores);
    for create in [false, true] {
        let stores = open_disk(DiskConfig::new(dir.path(), create), clock(), entropy()).unwrap();
        assert_eq!(stores.log.incarnation(), incarnation, "the same life, also with --create");
        assert_eq!(get(&stores, "a/b/1").await.unwrap(), "bytes");
        assert_eq!(sequences(&stores.log).await, [1, 2, 3]);
    }
    let stores = open(dir.path()).unwrap();
    let tail = append(&stores.log, 4).await.unwrap();
    assert_eq!((tail.first, tail.end()), (LogPosition(1), LogPosition(5)), "an append from the beginning on");
}

/// L8: two directories are two lives.
#[tokio::test]
async fn every_making_mints_an_incarnation() {
    let (one, two, shared) = (dir(), dir(), entropy());
    let open = |dir: &Path| open_disk(DiskConfig::new(dir, true), clock(), Arc::clone(&shared)).unwrap();
    assert_ne!(open(one.path()).log.incarnation(), open(two.path()).log.incarnation());
}

#[tokio::test]
async fn a_second_opening_is_denied_and_told_where() {
    let dir = dir();
    let stores = make(dir.path()).unwrap();
    let error = open(dir.path()).unwrap_err();
    let holder = format!("another sluice process (pid {}) holds it; stop that one", std::process::id());
    assert_says(&error, StoreErrorKind::Denied, &holder);
    assert_says(&error, StoreErrorKind::Denied, &format!("`{}`", dir.path().display()));
    // Each store's own handle keeps the directory as well.
    let DiskStores { objects, log, offsets } = stores;
    drop(objects);
    open(dir.path()).unwrap_err();
    drop(log);
    open(dir.path()).unwrap_err();
    drop(offsets);
    open(dir.path()).unwrap();
}

/// The line in LOCK is for people: whatever stands there, the lock is the kernel's.
#[tokio::test]
async fn what_is_left_in_the_lock_file_keeps_nobody_out() {
    let dir = dir();
    drop(make(dir.path()).unwrap());
    let lock = dir.path().join(LOCK);
    let own = format!("pid {}\n", std::process::id());
    assert_eq!(fs::read_to_string(&lock).unwrap(), own, "of the last holder");
    for left in ["pid 4294967295 and a much longer line than ours\npid 1\n", "", "nobody"] {
        fs::write(&lock, left).unwrap();
        let stores = open(dir.path()).unwrap();
        assert_eq!(fs::read_to_string(&lock).unwrap(), own);
        fs::write(&lock, left).unwrap();
        assert_says(&open(dir.path()).unwrap_err(), StoreErrorKind::Denied, "another sluice process holds it");
        drop(stores);
    }
}

#[tokio::test]
async fn a_directory_that_is_not_there_wants_create() {
    let dir = dir();
    for path in [dir.path().to_owned(), dir.path().join("not/there")] {
        assert_says(&open(&path).unwrap_err(), StoreErrorKind::NotFound, "--create");
    }
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none(), "a refusal leaves nothing behind");
    make(&dir.path().join("not/there")).unwrap();
    open(&dir.path().join("not/there")).unwrap();
}

#[tokio::test]
async fn a_folder_of_something_else_is_left_alone() {
    let dir = dir();
    fs::write(dir.path().join("thesis.txt"), "words").unwrap();
    assert_says(&make(dir.path()).unwrap_err(), StoreErrorKind::Invalid, "`thesis.txt`");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was added");
}

#[tokio::test]
async fn a_file_is_no_directory() {
    let dir = dir();
    let file = dir.path().join("file");
    fs::write(&file, "words").unwrap();
    for path in [file.clone(), file.join("below")] {
        for create in [false, true] {
            let error = open_disk(DiskConfig::new(&path, create), clock(), entropy()).unwrap_err();
            assert_says(&error, StoreErrorKind::Invalid, "lies in, a file");
        }
    }
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_denied() {
    let dir = dir();
    let trial = Trial::new(dir.path());
    trial.denies_creation.store(true, Ordering::Relaxed);
    let config = DiskConfig::new(dir.path().join("new"), true);
    let error = open_disk_over(config, clock(), entropy(), Arc::new(TrialFiles(trial))).unwrap_err();
    assert_says(&error, StoreErrorKind::Denied, "it cannot be made");
}

#[tokio::test]
async fn another_version_is_refused_and_left_as_it_is() {
    let dir = dir();
    drop(make(dir.path()).unwrap());
    let format = dir.path().join(FORMAT);
    let text = fs::read_to_string(&format).unwrap().replace("version 1", "version 9");
    fs::write(&format, &text).unwrap();
    assert_says(&open(dir.path()).unwrap_err(), StoreErrorKind::Invalid, "format version 9");
    assert_says(&make(dir.path()).unwrap_err(), StoreErrorKind::Invalid, "use the build of sluice that wrote it");
    assert_eq!(fs::read_to_string(&format).unwrap(), text);
}

#[tokio::test]
async fn damage_is_told_apart() {
    let dir = dir();
    drop(make(dir.path()).unwrap());
    let (format, log) = (dir.path().join(FORMAT), dir.path().join(LOG));
    let (good_format, good_log) = (fs::read(&format).unwrap(), fs::read(&log).unwrap());
    for bytes in [vec![], vec![0xFF; 1 << 20], good_format[..30].to_vec()] {
        fs::write(&format, bytes).unwrap();
        assert_says(&open(dir.path()).unwrap_err(), StoreErrorKind::Corrupt, "its FORMAT file is damaged");
    }
    fs::write(&format, &good_format).unwrap();
    for bytes in [b"not a database, but quite a bit longer than nothing".to_vec(), vec![0; 8_192]] {
        fs::write(&log, bytes).unwrap();
        let error = open(dir.path()).unwrap_err();
        assert!(error.to_string().contains("log.redb"), "{error}");
    }
    fs::remove_file(&log).unwrap();
    assert_says(&open(dir.path()).unwrap_err(), StoreErrorKind::Corrupt, "its log.redb is missing");
    fs::write(&log, good_log).unwrap();
    open(dir.path()).unwrap();
}

/// L8: the log of one life does not go with the FORMAT of another.
#[tokio::test]
async fn the_log_of_another_directory_is_refused() {
    let (one, two, shared) = (dir(), dir(), entropy());
    for dir in [&one, &two] {
        drop(open_disk(DiskConfig::new(dir.path(), true), clock(), Arc::clone(&shared)).unwrap());
    }
    fs::copy(one.path().join(LOG), two.path().join(LOG)).unwrap();
    assert_says(&open(two.path()).unwrap_err(), StoreErrorKind::Invalid, "belongs to another data directory");
}

/// A making that ended between any two changes to the disk is made again.
#[tokio::test]
async fn a_making_that_ended_anywhere_is_made_again() {
    let mut failures = 0;
    for changes in 0..1_000 {
        let dir = dir();
        let trial = Trial::new(dir.path());
        trial.steps.end_after(changes);
        let config = DiskConfig::new(dir.path().join("data"), true);
        let made = open_disk_over(config.clone(), clock(), entropy(), Arc::new(TrialFiles(trial)));
        let is_whole = made.is_ok();
        drop(made);
        let stores = open_disk(config, clock(), entropy());
        let stores =
            stores.unwrap_or_else(|e| panic!("after {changes} changes, of which all succeeded: {is_whole}: {e}"));
        append(&stores.log, 1).await.unwrap();
        put(&stores, "a", "bytes").await.unwrap();
        if is_whole {
            break;
        }
        failures += 1;
    }
    assert!((10..1_000).contains(&failures), "{failures} changes make a directory");
}

/// Data without its FORMAT is not overwritten.
#[tokio::test]
async fn a_new_directory_is_not_made_over_data() {
    let dir = dir();
    let stores = make(dir.path()).unwrap();
    drop(stores);
    fs::remove_file(dir.path().join(FORMAT)).unwrap();
    fs::write(dir.path().join(TMP).join("left"), "over").unwrap();
    assert_says(&open(dir.path()).unwrap_err(), StoreErrorKind::NotFound, "--create");
    let stores = make(dir.path()).unwrap();
    append(&stores.log, 1).await.unwrap();
    drop(stores);
    fs::remove_file(dir.path().join(FORMAT)).unwrap();
    assert_says(&make(dir.path()).unwrap_err(), StoreErrorKind::Corrupt, "it holds data and no FORMAT file");
    fs::remove_file(dir.path().join(LOG)).unwrap();
    fs::create_dir(dir.path().join(OBJECTS).join("session")).unwrap();
    assert_says(&make(dir.path()).unwrap_err(), StoreErrorKind::Corrupt, "it holds data and no FORMAT file");
}

/// What a killed process left of its puts is no object, and is removed.
#[tokio::test]
async fn unfinished_objects_are_removed() {
    let dir = dir();
    drop(make(dir.path()).unwrap());
    fs::write(dir.path().join(TMP).join("17"), "half an obj").unwrap();
    let stores = open(dir.path()).unwrap();
    assert_eq!(fs::read_dir(dir.path().join(TMP)).unwrap().count(), 0);
    assert!(stores.objects.list("", None, 10).await.unwrap().is_empty());
    put(&stores, "a", "whole").await.unwrap();
}

type Elements<'a> = redb::Table<'a, u64, &'static [u8]>;

/// An element that is not what was written stops its reader (L6).
#[tokio::test]
async fn a_damaged_or_missing_element_is_corrupt() {
    let dir = dir();
    let stores = make(dir.path()).unwrap();
    for sequence in 1..=4 {
        append(&stores.log, sequence).await.unwrap();
    }
    drop(stores);
    let change = |change: &dyn Fn(&mut Elements<'_>)| {
        let database = redb::Database::open(dir.path().join(LOG)).unwrap();
        let transaction = database.begin_write().unwrap();
        change(&mut transaction.open_table(element::ELEMENTS).unwrap());
        transaction.commit().unwrap();
    };
    let read = async || open(dir.path()).unwrap().log.read(LogPosition::ZERO, Consistency::Strong).await;
    let kept = std::cell::RefCell::new(Vec::new());
    change(&|table| {
        *kept.borrow_mut() = table.remove(2).unwrap().unwrap().value().to_vec();
    });
    assert_says(&read().await.unwrap_err(), StoreErrorKind::Corrupt, "the element at 2 is missing or damaged");
    change(&|table| drop(table.insert(2, &kept.borrow()[1..]).unwrap()));
    assert_says(&read().await.unwrap_err(), StoreErrorKind::Corrupt, "the element at 2 is missing or damaged");
    change(&|table| drop(table.insert(2, kept.borrow().as_slice()).unwrap()));
    read().await.unwrap();
}
