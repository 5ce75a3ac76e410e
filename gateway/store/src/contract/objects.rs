//! The promises of an [`ObjectStore`].

use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::ObjectFixture;
use crate::{ByteChunks, ByteRange, ObjectKey, ObjectStore, PutOptions, StoreClock, StoreErrorKind};

/// More than one page of an S3 listing, and more keys than one S3 DeleteObjects takes (1,000 each).
const MANY_OBJECTS: usize = 1_050;
/// How many of them are put at the same time.
const PUTS_AT_ONCE: usize = 32;
/// The default `segment_bytes_max` (design section 14).
const LARGE_OBJECT_BYTES: usize = 8 * 1024 * 1024;

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).expect("the suite's keys are legal")
}

fn text(bytes: &'static str) -> ByteChunks {
    Bytes::from_static(bytes.as_bytes()).into()
}

fn create_only() -> PutOptions {
    PutOptions { create_only: true, crc32c: None }
}

/// Bytes that differ from one position to the next and from one block to the next.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)).to_le_bytes()[0]).collect()
}

async fn put(store: &dyn ObjectStore, name: &str, bytes: ByteChunks) {
    store.put(&key(name), bytes, PutOptions::default()).await.unwrap_or_else(|e| panic!("put `{name}`: {e}"));
}

async fn get(store: &dyn ObjectStore, name: &str, range: ByteRange) -> Bytes {
    let got = store.get(&key(name), range).await;
    got.unwrap_or_else(|e| panic!("get {range:?} of `{name}`: {e}")).to_bytes()
}

async fn assert_refused(store: &dyn ObjectStore, name: &str, range: ByteRange, kind: StoreErrorKind) {
    match store.get(&key(name), range).await {
        Ok(got) => panic!("get {range:?} of `{name}` must be {kind}, but gave {} bytes", got.len()),
        Err(error) => assert_eq!(error.kind(), kind, "get {range:?} of `{name}`: {error}"),
    }
}

async fn assert_absent(store: &dyn ObjectStore, name: &str) {
    assert_refused(store, name, ByteRange::Full, StoreErrorKind::NotFound).await;
    let head = store.head(&key(name)).await.expect_err("head of an object that is not there");
    assert_eq!(head.kind(), StoreErrorKind::NotFound, "head of `{name}`: {head}");
    let listed = names(store, name, None, 10).await;
    assert!(listed.is_empty(), "`{name}` is not there, but listed: {listed:?}");
}

async fn names(store: &dyn ObjectStore, prefix: &str, start_after: Option<&str>, limit: usize) -> Vec<String> {
    let start_after = start_after.map(key);
    let listed = store.list(prefix, start_after.as_ref(), limit).await;
    let listed = listed.unwrap_or_else(|e| panic!("list `{prefix}` after {start_after:?}: {e}"));
    listed.into_iter().map(|info| info.key.as_str().to_owned()).collect()
}

/// A put of several chunks is one object: their bytes in order.
pub async fn a_rope_comes_back_as_the_same_bytes(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    let bytes = Bytes::from(pattern(10_000));
    let cuts = [0, 1, 61, 61, 4_096, 9_999, 10_000];
    let rope = ByteChunks::new(cuts.windows(2).map(|cut| bytes.slice(cut[0]..cut[1])).collect());
    let options = PutOptions { create_only: true, crc32c: Some(rope.crc32c()) };
    store.put(&key("rope/a/b-1"), rope, options).await.expect("put a rope with its right CRC32C");
    assert_eq!(get(&*store, "rope/a/b-1", ByteRange::Full).await, bytes, "the rope's bytes in order");
    let part = ByteRange::Bounded { start: 50, end: 9_000 };
    assert_eq!(get(&*store, "rope/a/b-1", part).await, bytes.slice(50..9_000), "a range over chunk borders");
}

/// An object may have no bytes.
pub async fn an_empty_object_is_an_object(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    put(&*store, "empty", ByteChunks::default()).await;
    assert!(get(&*store, "empty", ByteRange::Full).await.is_empty(), "an empty object has no bytes");
    assert_eq!(store.head(&key("empty")).await.expect("head of an empty object").size_bytes, 0);
    assert_eq!(names(&*store, "empty", None, 10).await, ["empty"]);
    assert_refused(&*store, "empty", ByteRange::Bounded { start: 0, end: 1 }, StoreErrorKind::Invalid).await;
}

/// A segment of the largest default size is one put and one get.
pub async fn eight_mebibytes_come_back_as_the_same_bytes(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    let bytes = Bytes::from(pattern(LARGE_OBJECT_BYTES));
    let rope = ByteChunks::new(vec![bytes.slice(..1_000_003), bytes.slice(1_000_003..)]);
    let options = PutOptions { create_only: true, crc32c: Some(rope.crc32c()) };
    store.put(&key("large"), rope, options).await.expect("put 8 MiB");
    assert!(get(&*store, "large", ByteRange::Full).await == bytes, "8 MiB come back as they were put");
    let (start, end) = (5_000_000, 5_000_100);
    assert_eq!(get(&*store, "large", ByteRange::Bounded { start, end }).await, bytes.slice(5_000_000..5_000_100));
}

/// All, a part, or the last n bytes.
pub async fn ranges_are_full_bounded_or_suffix(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    put(&*store, "range", text("0123456789")).await;
    let cases: [(ByteRange, &str); 7] = [
        (ByteRange::Full, "0123456789"),
        (ByteRange::Bounded { start: 0, end: 1 }, "0"),
        (ByteRange::Bounded { start: 2, end: 5 }, "234"),
        (ByteRange::Bounded { start: 0, end: 10 }, "0123456789"),
        (ByteRange::Suffix(3), "789"),
        (ByteRange::Suffix(10), "0123456789"),
        (ByteRange::Suffix(11), "0123456789"),
    ];
    for (range, expected) in cases {
        assert_eq!(get(&*store, "range", range).await, expected.as_bytes(), "{range:?}");
    }
}

/// A reader may ask for more than there is, but not for nothing that is there.
pub async fn a_bounded_range_is_cut_at_the_end_and_invalid_past_it(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    put(&*store, "cut", text("0123456789")).await;
    assert_eq!(get(&*store, "cut", ByteRange::Bounded { start: 8, end: 100 }).await, &b"89"[..]);
    for (start, end) in [(10, 11), (11, 20)] {
        assert_refused(&*store, "cut", ByteRange::Bounded { start, end }, StoreErrorKind::Invalid).await;
    }
}

/// I-03: a key that is taken stays what it is.
pub async fn create_only_leaves_the_object_there_as_it_is(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    store.put(&key("once"), text("first"), create_only()).await.expect("create");
    let second = store.put(&key("once"), text("second"), create_only()).await.expect_err("create a second time");
    assert_eq!(second.kind(), StoreErrorKind::AlreadyExists, "{second}");
    assert_eq!(get(&*store, "once", ByteRange::Full).await, &b"first"[..], "the first object stays (I-03)");
}

/// I-03: a race has one winner, and the object is the winner's.
pub async fn one_of_many_concurrent_creators_wins(fixture: &impl ObjectFixture) {
    let mut creators = JoinSet::new();
    for n in 0..16u8 {
        let store = fixture.handle().await;
        creators.spawn(async move {
            let bytes = ByteChunks::from(Bytes::from(vec![n; 1_000]));
            (n, store.put(&key("race"), bytes, create_only()).await)
        });
    }
    let mut winners = Vec::new();
    for (n, outcome) in creators.join_all().await {
        match outcome {
            Ok(()) => winners.push(n),
            Err(error) => assert_eq!(error.kind(), StoreErrorKind::AlreadyExists, "creator {n}: {error}"),
        }
    }
    assert_eq!(winners.len(), 1, "exactly one creator wins (I-03), but these were told so: {winners:?}");
    let object = get(&*fixture.handle().await, "race", ByteRange::Full).await;
    assert_eq!(object, vec![winners[0]; 1_000], "the object is the winner's");
}

/// I-11: a put that may have happened is sent again under the same key with the same bytes.
pub async fn putting_the_same_bytes_again_is_harmless(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    for _ in 0..2 {
        put(&*store, "again", text("same")).await;
    }
    assert_eq!(get(&*store, "again", ByteRange::Full).await, &b"same"[..]);
    assert_eq!(names(&*store, "again", None, 10).await, ["again"]);
}

/// Bytes that were damaged on their way do not become an object. (A store may say of itself that it trusts its caller.)
pub async fn a_wrong_checksum_is_corrupt_and_nothing_is_visible(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    let bytes = text("bytes");
    for create_only in [true, false] {
        let options = PutOptions { create_only, crc32c: Some(bytes.crc32c() ^ 1) };
        let refused = store.put(&key("damaged"), bytes.clone(), options).await.expect_err("put with a wrong CRC32C");
        assert_eq!(refused.kind(), StoreErrorKind::Corrupt, "{refused}");
        assert_absent(&*store, "damaged").await;
    }
    let options = PutOptions { create_only: true, crc32c: Some(bytes.crc32c()) };
    store.put(&key("damaged"), bytes, options).await.expect("the key is still free");
}

/// Size and time are known without the bytes; a CRC32C, where there is one, is that of the bytes.
pub async fn head_tells_size_and_checksum(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    let bytes = text("0123456789");
    let crc32c = bytes.crc32c();
    let options = PutOptions { create_only: true, crc32c: Some(crc32c) };
    store.put(&key("head/it"), bytes, options).await.expect("put");
    let info = store.head(&key("head/it")).await.expect("head");
    assert_eq!((info.key.as_str(), info.size_bytes), ("head/it", 10));
    assert!(info.crc32c.is_none_or(|kept| kept == crc32c), "the CRC32C kept is that of the bytes: {info:?}");
    let listed = store.list("head/", None, 10).await.expect("list");
    assert_eq!(listed.len(), 1);
    assert_eq!((&listed[0].key, listed[0].size_bytes), (&info.key, 10), "a listing tells the same");
    assert_eq!(listed[0].last_modified_ms / 1_000, info.last_modified_ms / 1_000, "to the second, as S3 does");
}

/// Absence has a kind of its own.
pub async fn what_is_not_there_is_not_found(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    assert_absent(&*store, "nothing/here").await;
    assert_refused(&*store, "nothing/here", ByteRange::Suffix(4), StoreErrorKind::NotFound).await;
    let part = ByteRange::Bounded { start: 0, end: 4 };
    assert_refused(&*store, "nothing/here", part, StoreErrorKind::NotFound).await;
    put(&*store, "nothing/here/but", text("x")).await;
    // The folder of an object is no object.
    assert_refused(&*store, "nothing", ByteRange::Full, StoreErrorKind::NotFound).await;
    assert!(store.head(&key("nothing")).await.is_err(), "the folder of an object is no object");
}

/// Keys come in the order of their bytes, in which '/' stands between '.' and '0'.
pub async fn a_listing_is_in_key_order(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    let ordered = ["o/A/x", "o/a-b/x", "o/a.b/x", "o/a/x", "o/a/y", "o/a0/x", "o/aa/x", "o/b_/x", "o/ba/x"];
    for name in ordered.iter().rev() {
        put(&*store, name, text("x")).await;
    }
    assert_eq!(names(&*store, "o/", None, 100).await, ordered);
    for (i, name) in ordered.iter().enumerate() {
        assert_eq!(names(&*store, "o/", Some(name), 100).await, ordered[i + 1..], "after `{name}`");
    }
}

/// A listing begins after `start_after`, holds only the prefix, and is never longer than asked.
pub async fn a_listing_keeps_to_prefix_start_and_limit(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    let all = ["l/a/1", "l/a/2", "l/ab/1", "l/b/1", "m/a/1"];
    for name in all {
        put(&*store, name, text("x")).await;
    }
    assert_eq!(names(&*store, "", None, 100).await, all, "the empty prefix is everything");
    assert_eq!(names(&*store, "l/a", None, 100).await, all[..3], "a prefix may end inside a segment");
    assert_eq!(names(&*store, "l/a/", None, 100).await, all[..2]);
    assert_eq!(names(&*store, "l/", None, 2).await, all[..2], "at most `limit`");
    assert_eq!(names(&*store, "l/", Some("l/a/2"), 2).await, all[2..4], "the next page");
    assert_eq!(names(&*store, "l/", Some("l/a/15"), 1).await, ["l/a/2"], "`start_after` need not be there");
    assert_eq!(names(&*store, "m/", Some("a"), 9).await, ["m/a/1"], "`start_after` may come before the prefix");
    assert!(names(&*store, "m/", Some("n"), 9).await.is_empty(), "or after it");
    assert!(names(&*store, "l/c", None, 9).await.is_empty());
    assert!(names(&*store, "l/", None, 0).await.is_empty(), "a limit of none");
}

/// `results[i]` answers `keys[i]`; what is not there is deleted already.
pub async fn delete_answers_each_key_and_is_idempotent(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    for name in ["d/1", "d/2", "d/3"] {
        put(&*store, name, text("x")).await;
    }
    let keys = ["d/1", "d/never", "d/3"].map(key);
    for _ in 0..2 {
        let results = store.delete(&keys).await;
        assert_eq!(results.len(), keys.len(), "an answer for each key");
        for (key, result) in keys.iter().zip(results) {
            result.unwrap_or_else(|e| panic!("delete `{key}`: {e}"));
        }
    }
    assert_absent(&*store, "d/1").await;
    assert_eq!(names(&*store, "d/", None, 9).await, ["d/2"], "only what was named is gone");
    assert!(store.delete(&[]).await.is_empty(), "no key, no answer");
}

/// Pages and request limits of the store below are the adapter's business.
pub async fn more_than_a_thousand_objects_are_listed_and_deleted(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    let all: Vec<String> = (0..MANY_OBJECTS).map(|n| format!("many/{n:05}")).collect();
    for some in all.chunks(PUTS_AT_ONCE) {
        let mut puts = JoinSet::new();
        for name in some {
            let (store, name) = (Arc::clone(&store), name.clone());
            puts.spawn(async move { put(&*store, &name, text("x")).await });
        }
        puts.join_all().await;
    }
    assert_eq!(names(&*store, "many/", None, 10 * MANY_OBJECTS).await, all, "all in one listing");
    assert_eq!(names(&*store, "many/", Some(&all[2]), 1_030).await, all[3..1_033], "a limit past one page");
    let keys: Vec<ObjectKey> = all.iter().map(|name| key(name)).collect();
    let refused = store.delete(&keys).await.into_iter().filter(Result::is_err).count();
    assert_eq!(refused, 0, "deletes refused");
    assert!(names(&*store, "many/", None, 10).await.is_empty(), "all are deleted");
}

/// I-06: a put is visible to every reader when it returns.
pub async fn every_handle_sees_what_one_has_put(fixture: &impl ObjectFixture) {
    let (one, other) = (fixture.handle().await, fixture.handle().await);
    put(&*one, "seen/1", text("x")).await;
    assert_eq!(get(&*other, "seen/1", ByteRange::Full).await, &b"x"[..]);
    assert_eq!(names(&*other, "seen/", None, 9).await, ["seen/1"]);
    other.delete(&[key("seen/1")]).await.remove(0).expect("delete through the other handle");
    assert_absent(&*one, "seen/1").await;
}

/// T3: the clock is exempt, or was read off the last answer, be it that there is no such object.
pub async fn the_clock_is_exempt_or_read_off_the_last_answer(fixture: &impl ObjectFixture) {
    let store = fixture.handle().await;
    let asked_at = Instant::now();
    assert_absent(&*store, "clock").await;
    match store.clock() {
        StoreClock::Exempt => {}
        StoreClock::Measured(reading) => {
            assert!(reading.at >= asked_at && reading.at <= Instant::now(), "not of the last answer: {reading:?}");
        }
        StoreClock::Unmeasured => panic!("an answer came, and the store's time is not known"),
    }
}
