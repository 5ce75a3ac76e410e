//! What an S3 request must look like, and what an answer that is missing means.

use std::sync::Arc;

use bytes::Bytes;
use sluice_runtime::SystemClock;
use sluice_s3::{S3Config, S3ObjectStore};
use sluice_store::{
    ByteChunks, ByteRange, ObjectKey, ObjectStore, PutOptions, RetryObjectStore, RetryPolicy, StoreClock,
    StoreErrorKind,
};
use sluice_tests::emulator;

use super::fixtures::{connect, entropy, s3_config};
use super::proxy::Proxy;

fn key(text: &str) -> ObjectKey {
    ObjectKey::new(text).unwrap()
}

fn rope() -> ByteChunks {
    ByteChunks::new(vec![Bytes::from(vec![1; 70_000]), Bytes::from(vec![2; 70_000])])
}

fn create_only(rope: &ByteChunks) -> PutOptions {
    PutOptions { create_only: true, crc32c: Some(rope.crc32c()) }
}

/// A store in a new bucket, behind a proxy.
async fn proxied() -> (Proxy, Arc<S3ObjectStore>) {
    let proxy = Proxy::before(emulator::s3_endpoint()).await;
    let config = S3Config { endpoint: Some(proxy.endpoint()), ..s3_config(&emulator::fresh_name()) };
    let store = connect(config).await;
    store.create_bucket().await.unwrap();
    proxy.take_requests();
    (proxy, store)
}

#[tokio::test]
async fn a_missing_bucket_is_invalid_and_the_message_says_what_to_do() {
    let bucket = emulator::fresh_name();
    let store = connect(s3_config(&bucket)).await;
    let checked = store.check_bucket().await.unwrap_err();
    let put = store.put(&key("k"), rope(), PutOptions::default()).await.unwrap_err();
    let got = store.get(&key("k"), ByteRange::Full).await.unwrap_err();
    for error in [checked, put, got] {
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
        let message = error.to_string();
        assert!(message.contains(&bucket) && message.contains("--create"), "{message}");
        assert!(!message.contains('\n'), "one line: {message}");
    }
    for _ in 0..2 {
        store.create_bucket().await.expect("creating can be repeated");
        store.check_bucket().await.unwrap();
    }
}

#[tokio::test]
async fn a_bucket_outside_us_east_1_is_made_in_its_region() {
    let config = S3Config { region: Some("eu-central-1".into()), ..s3_config(&emulator::fresh_name()) };
    let store = connect(config).await;
    if std::env::var("SLUICE_TEST_S3").is_ok() {
        return; // versitygw has one region, us-east-1, and refuses signatures for another.
    }
    store.create_bucket().await.unwrap();
    store.check_bucket().await.unwrap();
}

#[tokio::test]
async fn two_prefixes_of_a_bucket_do_not_see_each_other() {
    let bucket = emulator::fresh_name();
    let with = |prefix: &str| connect(S3Config { prefix: prefix.into(), ..s3_config(&bucket) });
    let (one, other, all) = (with("one").await, with("one-more").await, with("").await);
    one.create_bucket().await.unwrap();
    one.put(&key("a/b"), rope(), PutOptions::default()).await.unwrap();
    assert_eq!(other.head(&key("a/b")).await.unwrap_err().kind(), StoreErrorKind::NotFound);
    assert!(other.list("", None, 10).await.unwrap().is_empty());
    assert_eq!(one.list("", None, 10).await.unwrap()[0].key, key("a/b"));
    assert_eq!(all.list("", None, 10).await.unwrap()[0].key, key("one/a/b"), "without a prefix, the whole key");
}

/// Design section 17: S3 requests that cost nothing for what we know already.
#[tokio::test]
async fn a_put_has_a_length_and_a_checksum_and_is_not_hashed_once_more() {
    let (proxy, store) = proxied().await;
    let rope = rope();
    store.put(&key("k"), rope.clone(), create_only(&rope)).await.unwrap();
    let head = proxy.last_head();
    for line in [
        "put /",
        "content-length: 140000",
        "if-none-match: *",
        "x-amz-content-sha256: unsigned-payload",
        "x-amz-checksum-crc32c: ",
    ] {
        assert!(head.contains(line), "`{line}` in:\n{head}");
    }
    for line in ["transfer-encoding", "aws-chunked", "x-amz-trailer", "content-md5"] {
        assert!(!head.contains(line), "no `{line}` in:\n{head}");
    }
    assert_eq!(proxy.take_requests().into_iter().collect::<Vec<_>>(), [("put".into(), 1)], "one request");
    assert_eq!(store.head(&key("k")).await.unwrap().crc32c, Some(rope.crc32c()), "kept with the object");
}

/// I-11, design section 5's table: a segment PUT whose answer was lost is Unknown, and its retry finds it done.
#[tokio::test]
async fn i_11_a_lost_answer_of_a_put_is_unknown_and_the_object_is_there() {
    let (proxy, store) = proxied().await;
    let rope = rope();
    proxy.lose_next_answer();
    let lost = store.put(&key("k"), rope.clone(), create_only(&rope)).await.unwrap_err();
    assert_eq!(lost.kind(), StoreErrorKind::Unknown, "{lost}");
    let again = store.put(&key("k"), rope.clone(), create_only(&rope)).await.unwrap_err();
    assert_eq!(again.kind(), StoreErrorKind::AlreadyExists, "{again}");
    assert_eq!(store.head(&key("k")).await.unwrap().crc32c, Some(rope.crc32c()), "and it is ours");
}

/// The same through the decorator that a gateway puts around the adapter: the retry settles it as done.
#[tokio::test]
async fn i_11_a_retried_put_finds_its_own_object_and_succeeds() {
    let (proxy, store) = proxied().await;
    let retrying = RetryObjectStore::new(store, RetryPolicy::default(), entropy());
    let rope = rope();
    proxy.lose_next_answer();
    retrying.put(&key("k"), rope.clone(), create_only(&rope)).await.expect("it happened");
    let requests = proxy.take_requests();
    assert_eq!(requests, [("head".to_owned(), 1), ("put".to_owned(), 2)].into(), "two puts, and a look at the object");
    assert_eq!(retrying.get(&key("k"), ByteRange::Full).await.unwrap().to_bytes(), rope.to_bytes());
}

#[tokio::test]
async fn a_lost_answer_of_a_read_is_unavailable() {
    let (proxy, store) = proxied().await;
    store.put(&key("k"), rope(), PutOptions::default()).await.unwrap();
    proxy.lose_next_answer();
    let lost = store.get(&key("k"), ByteRange::Full).await.unwrap_err();
    assert_eq!(lost.kind(), StoreErrorKind::Unavailable, "{lost}");
}

#[tokio::test]
async fn t3_the_stores_clock_is_read_off_its_answers() {
    let (_, store) = proxied().await;
    let StoreClock::Measured(reading) = store.clock() else { panic!("no answer had a date: {:?}", store.clock()) };
    let offset_ms = reading.offset_ms();
    assert!(offset_ms.abs() <= 2_000, "the emulator has our clock, but is {offset_ms} ms ahead");
    assert!(store.clock().agreed_ms(&SystemClock).is_some());
}

#[tokio::test]
async fn the_suffix_of_an_empty_object_is_empty() {
    let (_, store) = proxied().await;
    store.put(&key("empty"), ByteChunks::default(), PutOptions::default()).await.unwrap();
    for n in [0, 1, 100] {
        assert!(store.get(&key("empty"), ByteRange::Suffix(n)).await.unwrap().is_empty());
    }
    let missing = store.get(&key("missing"), ByteRange::Suffix(0)).await.unwrap_err();
    assert_eq!(missing.kind(), StoreErrorKind::NotFound);
}
