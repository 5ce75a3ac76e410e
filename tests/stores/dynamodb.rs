//! The rules of the log that only its DynamoDB adapter can break: L1, L4, L5, L6, L8.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use sluice_dynamodb::{DynamoDbConfig, DynamoDbLog, RollLimits};
use sluice_store::{
    Appended, Consistency, LogPosition, MetadataLog, Payload, Staged, StoreError, StoreErrorKind, TailRead,
};
use sluice_tests::emulator;
use tokio::task::JoinSet;

use super::damage::{Items, list, number, string, weight};
use super::fixtures::{NO_ROLLS, TINY_ROLLS, Table, append, dynamodb_config, entropy, sealed, sequences, small};
use super::proxy::Proxy;

fn assert_names_create(error: &StoreError) {
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    assert!(error.to_string().contains("--create"), "{error}");
}

/// Appends `count` elements one by one, as a gateway that follows the log.
async fn fill(log: &DynamoDbLog, count: u64) {
    for sequence in 1..=count {
        append(log, &[small(1, sequence, 40)], sequence - 1).await;
    }
}

/// Waits until the roll that the last append may have started has cut the head.
async fn settle(items: &Items, elements: usize) {
    let settled = async {
        while list(&items.head().await, "t").len() >= elements {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), settled).await.expect("the head is cut");
}

#[tokio::test]
async fn a_missing_table_or_head_is_invalid_and_the_message_says_what_to_do() {
    let config = dynamodb_config(&emulator::fresh_name());
    let missing = DynamoDbLog::open(config.clone(), entropy()).await.unwrap_err();
    assert_names_create(&missing);
    assert!(missing.to_string().contains(&config.metadata_table()), "{missing}");
    let log = DynamoDbLog::create(config.clone(), entropy()).await.unwrap();
    let items = Items::of(&Table(config.clone())).await;
    items.delete(&items.head().await).await;
    assert_names_create(&log.append(&[small(1, 1, 1)], LogPosition::ZERO).await.unwrap_err());
    assert_names_create(&log.read(LogPosition::ZERO, Consistency::Strong).await.unwrap_err());
    assert_names_create(&DynamoDbLog::open(config, entropy()).await.unwrap_err());
}

#[tokio::test]
async fn l8_creating_again_keeps_the_log_and_its_incarnation() {
    let table = Table::create(RollLimits::default()).await;
    let log = table.open().await;
    fill(&log, 3).await;
    let again = DynamoDbLog::create(table.0.clone(), entropy()).await.unwrap();
    assert_eq!(again.incarnation(), log.incarnation());
    assert_eq!(sequences(&again, 0).await, [1, 2, 3]);
}

#[tokio::test]
async fn l8_an_append_to_another_incarnation_is_refused_and_adds_nothing() {
    let table = Table::create(RollLimits::default()).await;
    let log = table.open().await;
    fill(&log, 2).await;
    let items = Items::of(&table).await;
    items.change_head("incarnation", AttributeValue::S(format!("{:032x}", 77))).await;
    for error in [
        log.append(&[small(1, 3, 1)], LogPosition(2)).await.unwrap_err(),
        log.read(LogPosition(2), Consistency::Strong).await.unwrap_err(),
        log.read(LogPosition(2), Consistency::Eventual).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("incarnation"), "{error}");
    }
    assert_eq!(list(&items.head().await, "t").len(), 2, "nothing was added");
    let newcomer = table.open().await;
    assert_eq!(newcomer.incarnation().0, 77, "who opens it now belongs to it");
}

#[tokio::test]
async fn an_append_to_a_foreign_format_is_refused_and_adds_nothing() {
    let table = Table::create(RollLimits::default()).await;
    let log = table.open().await;
    let items = Items::of(&table).await;
    items.change_head("format", AttributeValue::N("2".into())).await;
    let refused = log.append(&[small(1, 1, 1)], LogPosition::ZERO).await.unwrap_err();
    assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused}");
    assert!(refused.to_string().contains("format 2"), "{refused}");
    assert!(list(&items.head().await, "t").is_empty(), "nothing was added");
    let opened = DynamoDbLog::open(table.0.clone(), entropy()).await.unwrap_err();
    assert_eq!(opened.kind(), StoreErrorKind::Invalid, "{opened}");
}

/// L5: whoever rolls, and however many at once, nothing is lost and nothing is told twice.
#[tokio::test]
async fn l5_rollers_that_race_lose_nothing() {
    const GATEWAYS: u64 = 8;
    const APPENDS: u64 = 60;
    let table = Arc::new(Table::create(TINY_ROLLS).await);
    let mut gateways = JoinSet::new();
    for session in 1..=GATEWAYS {
        let table = Arc::clone(&table);
        gateways.spawn(async move {
            // A handle each: the rule "one roll at a time" holds only within a process.
            let log = table.open().await;
            let mut known = 0;
            for sequence in 1..=APPENDS {
                let tail = append(&log, &[small(session, sequence, 20)], known).await;
                known = tail.end().0 - 1;
            }
        });
    }
    gateways.join_all().await;
    let log = table.open().await;
    let TailRead::Tail(tail) = log.read(LogPosition::ZERO, Consistency::Strong).await.unwrap() else {
        panic!("nothing was trimmed");
    };
    assert_eq!(tail.elements.len() as u64, GATEWAYS * APPENDS);
    let mut last = BTreeMap::new();
    for element in &tail.elements {
        let before = last.insert(element.session, element.sequence).unwrap_or(0);
        assert_eq!(element.sequence, before + 1, "session {}", element.session);
    }
    assert_chunks_agree(&Items::of(&table).await.with_pk("#log0#").await);
}

/// L5: a roller whose chunk arrives late, after a longer one with the same beginning, replaces nothing and cuts nothing.
#[tokio::test]
async fn l5_a_late_roller_replaces_no_longer_chunk() {
    let table = Table::create(NO_ROLLS).await;
    let items = Items::of(&table).await;
    let proxy = Proxy::before(emulator::dynamodb_endpoint()).await;
    let always = RollLimits { head_bytes: 1, ..RollLimits::default() };
    let (late, careless) = (proxied(&proxy, &table.0, always).await, table.open().await);
    proxy.hold_next("putitem");
    append(&late, &[small(1, 1, 40), small(1, 2, 40)], 0).await;
    proxy.wait_until_held().await;
    append(&careless, &[small(2, 3, 40), small(2, 4, 40)], 2).await;
    append(&*table.open_with(always).await, &[small(3, 5, 40)], 4).await;
    settle(&items, 1).await;
    append(&careless, &[small(2, 6, 40)], 5).await;

    proxy.take_requests();
    proxy.release();
    // It cuts the head only after its chunk was answered.
    let cut = async {
        while !proxy.take_requests().contains_key("updateitem") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), cut).await.expect("the late roller goes on");
    append(&late, &[small(1, 7, 40)], 6).await;
    let chunks = items.with_pk("#log0#").await;
    assert_eq!(number(&chunks[0], "n"), 5, "the longer chunk stays");
    assert_eq!(sequences(&careless, 0).await, (1..=7).collect::<Vec<_>>());
}

/// L5: an answer may show a head that a roll of this process has cut since.
#[tokio::test]
async fn l5_a_head_that_was_cut_meanwhile_is_not_rolled_again() {
    let table = Table::create(NO_ROLLS).await;
    let items = Items::of(&table).await;
    let proxy = Proxy::before(emulator::dynamodb_endpoint()).await;
    let always = RollLimits { head_bytes: 1, ..RollLimits::default() };
    let log = proxied(&proxy, &table.0, always).await;
    proxy.take_requests();
    proxy.hold_next("putitem");
    append(&log, &[small(1, 1, 40)], 0).await;
    proxy.wait_until_held().await;
    proxy.hold_next_answer();
    let late = {
        let log = log.clone();
        tokio::spawn(async move { append(&log, &[small(1, 2, 40)], 1).await })
    };
    proxy.wait_until_held().await;
    proxy.release();
    settle(&items, 2).await;
    // A round trip, in which the roll hears that its cut was made.
    log.read(LogPosition(1), Consistency::Strong).await.unwrap();
    proxy.release_answer();
    late.await.unwrap();
    assert_eq!(sequences(&log, 0).await, [1, 2]);
    append(&log, &[small(1, 3, 40)], 2).await;
    settle(&items, 1).await;
    assert_eq!(sequences(&log, 0).await, [1, 2, 3]);
    let requests = proxy.take_requests();
    assert_eq!((requests["putitem"], requests["updateitem"]), (2, 3 + 2), "three appends, and two rolls: {requests:?}");
}

/// Overlapping chunks say the same of the positions they share, and there is no gap between them.
fn assert_chunks_agree(chunks: &[super::damage::Item]) {
    assert!(chunks.len() > 20, "the log has rolled often: {}", chunks.len());
    let mut told: BTreeMap<u64, &AttributeValue> = BTreeMap::new();
    let mut next = 1;
    for chunk in chunks {
        let start: u64 = string(chunk, "sk").parse().unwrap();
        let elements = list(chunk, "e");
        assert_eq!(number(chunk, "n"), elements.len() as u64);
        assert!(start <= next, "a gap before chunk {start}");
        for (position, element) in (start..).zip(elements) {
            assert_eq!(*told.entry(position).or_insert(element), element, "position {position}");
        }
        next = next.max(start + elements.len() as u64);
    }
}

/// L5: at 8 KB everybody rolls before appending, also a gateway that has only just come.
#[tokio::test]
async fn l5_a_heavy_head_is_rolled_before_the_append() {
    let table = Table::create(NO_ROLLS).await;
    let careless = table.open().await;
    for request in 0..4 {
        let entries: Vec<Staged> = (1..=60).map(|n| small(1, request * 60 + n, 40)).collect();
        append(&careless, &entries, request * 60).await;
    }
    let items = Items::of(&table).await;
    let heavy = items.head().await;
    assert!(weight(&heavy) > 8_192 && number(&heavy, "b") == 1, "nobody has rolled");
    let log = table.open_with(RollLimits::default()).await;
    let tail = append(&log, &[small(2, 1, 40)], 240).await;
    assert_eq!((tail.first, tail.elements.len()), (LogPosition(241), 1), "the head held nothing else by then");
    assert_eq!(number(&items.head().await, "b"), 241);
    assert_eq!(sequences(&log, 0).await.len(), 241);
}

/// L5: with the default limits the head stays near 1 KB, so that an append costs one write unit.
#[tokio::test]
async fn l5_the_head_stays_light() {
    let table = Table::create(RollLimits::default()).await;
    let log = table.open().await;
    let items = Items::of(&table).await;
    let mut heaviest = 0;
    for sequence in 1..=120 {
        append(&log, &[small(1, sequence, 90)], sequence - 1).await;
        heaviest = heaviest.max(weight(&items.head().await));
    }
    assert!(heaviest < 2_048 + 200, "the head had {heaviest} bytes");
    assert!(!items.with_pk("#log0#").await.is_empty(), "it has rolled");
}

/// A head that is as large as an item can be says so; the append is sent again after a roll, and is there once.
#[tokio::test]
async fn l5_a_full_head_is_rolled_and_the_append_sent_again() {
    const APPENDS: u64 = 15;
    let table = Table::create(NO_ROLLS).await;
    let log = table.open().await;
    // Longer than any inline entry, so that 400 KB are full before 256 elements call for a roll.
    for sequence in 1..=APPENDS {
        append(&log, &[small(1, sequence, 35_000)], sequence - 1).await;
    }
    assert_eq!(sequences(&log, 0).await, (1..=APPENDS).collect::<Vec<_>>(), "each is there once");
    let chunks = Items::of(&table).await.with_pk("#log0#").await;
    assert_eq!(chunks.len(), 1, "one roll, when the item was full");
    assert!(weight(&chunks[0]) < 400_000 && number(&chunks[0], "n") >= 8, "of as much as a chunk may hold");
}

/// L6: chunks are found by position also where a bucket ends (positions 65,536 and so on).
#[tokio::test]
async fn l6_chunks_are_found_across_bucket_borders() {
    let table = Table::create(TINY_ROLLS).await;
    let items = Items::of(&table).await;
    let first = 2 * 65_536 - 13;
    items.change_head("b", AttributeValue::N(first.to_string())).await;
    let log = table.open().await;
    for n in 0..40 {
        append(&log, &[small(1, first + n, 40)], first + n - 1).await;
    }
    let buckets: std::collections::BTreeSet<String> =
        items.with_pk("#log0#").await.iter().map(|chunk| string(chunk, "pk").to_owned()).collect();
    assert_eq!(buckets.len(), 2, "{buckets:?}");
    for known in first - 1..first + 39 {
        assert_eq!(sequences(&log, known).await, (known + 1..first + 40).collect::<Vec<_>>(), "after {known}");
    }
}

/// L6: a gap that no snapshot explains is corruption; one below the newest snapshot is a trimmed log.
#[tokio::test]
async fn l6_a_missing_chunk_is_corrupt_unless_a_snapshot_covers_it() {
    let table = Table::create(TINY_ROLLS).await;
    let log = table.open().await;
    fill(&log, 40).await;
    let items = Items::of(&table).await;
    let chunks = items.with_pk("#log0#").await;
    assert!(chunks.len() >= 5, "{} chunks", chunks.len());
    let lost = &chunks[2];
    let position: u64 = string(lost, "sk").parse().unwrap();
    items.delete(lost).await;
    for known in [0, position - 1, position] {
        for consistency in [Consistency::Strong, Consistency::Eventual] {
            let error = log.read(LogPosition(known), consistency).await.unwrap_err();
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "after {known}: {error}");
        }
    }
    let after: u64 = string(&chunks[3], "sk").parse().unwrap();
    assert_eq!(sequences(&log, after - 1).await.len() as u64, 41 - after, "what comes after it is readable");
    // An append far behind is committed all the same, and says that it could not read (L3).
    let appended = log.append(&[small(1, 41, 1)], LogPosition::ZERO).await.unwrap();
    assert_eq!(appended, Appended::CommittedTailUnread);
    assert_eq!(sequences(&log, 40).await, [41]);
    let snapshot = |position: u64| {
        AttributeValue::M([("p".to_owned(), AttributeValue::N(position.to_string()))].into_iter().collect())
    };
    items.change_head("snap", snapshot(30)).await;
    assert_eq!(log.read(LogPosition::ZERO, Consistency::Strong).await.unwrap(), TailRead::Trimmed);
    items.change_head("snap", snapshot(position - 1)).await;
    let error = log.read(LogPosition(position - 1), Consistency::Strong).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "a snapshot at known itself explains nothing: {error}");
}

/// L6: an older head is a rollback when read strongly, and nothing at all when read eventually.
#[tokio::test]
async fn l6_an_older_head_is_a_rollback() {
    let table = Table::create(RollLimits::default()).await;
    let log = table.open().await;
    let items = Items::of(&table).await;
    fill(&log, 3).await;
    let old = items.head().await;
    append(&log, &[small(1, 4, 40), small(1, 5, 40)], 3).await;
    items.put(old).await;
    let error = log.read(LogPosition(5), Consistency::Strong).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}");
    let TailRead::Tail(tail) = log.read(LogPosition(5), Consistency::Eventual).await.unwrap() else {
        panic!("nothing was trimmed");
    };
    assert_eq!((tail.first, tail.elements.len()), (LogPosition(6), 0), "ignored");
    let appended = log.append(&[small(1, 6, 1)], LogPosition(5)).await.unwrap();
    assert_eq!(appended, Appended::CommittedTailUnread, "committed somewhere, but not after what is known");
}

/// L4: all parts are there before the pointer is given out; without one of them the body is not found.
#[tokio::test]
async fn l4_a_body_is_whole_or_not_found() {
    let table = Table::create(RollLimits::default()).await;
    let log = table.open().await;
    let items = Items::of(&table).await;
    let entry = sealed(3, 9, 700_000);
    let staged = log.stage(&entry).await.unwrap();
    let Payload::Body(body) = &staged.element.payload else { panic!("700,000 bytes are a body") };
    assert_eq!((body.session, body.sequence, body.parts, body.len), (3, 9, 3, 700_000));
    let parts = items.with_pk("#3#").await;
    assert_eq!(parts.len(), 3, "every part was acknowledged before the pointer was returned");
    assert!(parts.iter().all(|part| string(part, "pk").starts_with(&log.incarnation().to_string())), "L8");
    assert!(list(&items.head().await, "t").is_empty(), "staging adds nothing to the log");
    assert_eq!(log.read_body(body).await.unwrap(), entry.bytes);

    let mut damaged = parts[1].clone();
    let mut bytes = damaged["d"].as_b().unwrap().as_ref().to_vec();
    bytes[1_000] ^= 1;
    damaged.insert("d".into(), AttributeValue::B(Blob::new(bytes)));
    items.put(damaged).await;
    assert_eq!(log.read_body(body).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    items.delete(&parts[1]).await;
    assert_eq!(log.read_body(body).await.unwrap_err().kind(), StoreErrorKind::NotFound);
}

/// A pointer is bytes from outside (I-09): it cannot make the log read or keep without a bound.
#[tokio::test]
async fn i_09_a_lying_pointer_is_corrupt_before_anything_is_read() {
    let table = Table::create(RollLimits::default()).await;
    let proxy = Proxy::before(emulator::dynamodb_endpoint()).await;
    let log = proxied(&proxy, &table.0, RollLimits::default()).await;
    let Payload::Body(body) = log.stage(&sealed(1, 1, 1_000)).await.unwrap().element.payload else {
        panic!("1,000 bytes are a body");
    };
    proxy.take_requests();
    for lie in [
        sluice_store::BodyRef { parts: u32::MAX, ..body.clone() },
        sluice_store::BodyRef { len: u64::MAX, ..body.clone() },
    ] {
        assert_eq!(log.read_body(&lie).await.unwrap_err().kind(), StoreErrorKind::Corrupt);
    }
    assert!(proxy.take_requests().is_empty());
}

/// A log behind a proxy, on a table that is there.
async fn proxied(proxy: &Proxy, config: &DynamoDbConfig, roll: RollLimits) -> Arc<DynamoDbLog> {
    let config = DynamoDbConfig { endpoint: Some(proxy.endpoint()), roll, ..config.clone() };
    DynamoDbLog::open(config, entropy()).await.unwrap()
}

/// L1, I-11: an append whose answer was lost is Unknown, was sent once, and is in the log; its retry is a second copy.
#[tokio::test]
async fn l1_a_lost_answer_of_an_append_is_unknown_and_never_sent_twice() {
    let table = Table::create(RollLimits::default()).await;
    let proxy = Proxy::before(emulator::dynamodb_endpoint()).await;
    let log = proxied(&proxy, &table.0, RollLimits::default()).await;
    fill(&log, 2).await;
    proxy.take_requests();
    proxy.lose_next_answer();
    let lost = log.append(&[small(1, 3, 1)], LogPosition(2)).await.unwrap_err();
    assert_eq!(lost.kind(), StoreErrorKind::Unknown, "{lost}");
    assert_eq!(proxy.take_requests().into_iter().collect::<Vec<_>>(), [("updateitem".into(), 1)]);
    assert_eq!(sequences(&log, 0).await, [1, 2, 3], "it happened");
    append(&log, &[small(1, 3, 1)], 3).await;
    assert_eq!(sequences(&log, 0).await, [1, 2, 3, 3], "the log does not judge copies");
}

#[tokio::test]
async fn a_lost_answer_of_a_read_or_a_body_is_unavailable() {
    let table = Table::create(RollLimits::default()).await;
    let proxy = Proxy::before(emulator::dynamodb_endpoint()).await;
    let log = proxied(&proxy, &table.0, RollLimits::default()).await;
    proxy.lose_next_answer();
    let read = log.read(LogPosition::ZERO, Consistency::Strong).await.unwrap_err();
    assert_eq!(read.kind(), StoreErrorKind::Unavailable, "{read}");
    proxy.lose_next_answer();
    // Nothing that staging leaves behind is in the log: it cannot be in doubt.
    let staged = log.stage(&sealed(1, 1, 1_000)).await.unwrap_err();
    assert_eq!(staged.kind(), StoreErrorKind::Unavailable, "{staged}");
    assert!(log.stage(&sealed(1, 1, 1_000)).await.is_ok(), "staging again is harmless");
}

/// Design section 17: at most 2.2 write units per append. One request appends, two more roll about ten of them.
#[tokio::test]
async fn an_append_is_one_request_and_a_roll_is_two() {
    const APPENDS: u64 = 200;
    let table = Table::create(RollLimits::default()).await;
    let items = Items::of(&table).await;
    let proxy = Proxy::before(emulator::dynamodb_endpoint()).await;
    let log = proxied(&proxy, &table.0, RollLimits::default()).await;
    proxy.take_requests();
    let mut write_units = 0;
    for sequence in 1..=APPENDS {
        append(&log, &[small(1, sequence, 90)], sequence - 1).await;
        write_units += weight(&items.head().await).div_ceil(1_024) as u64;
    }
    // Ten such elements are 1 KB: with fewer in the head, no roll is under way.
    settle(&items, 10).await;
    let requests = proxy.take_requests();
    let chunks = items.with_pk("#log0#").await;
    let rolls = requests.get("putitem").copied().unwrap_or(0);
    println!("{APPENDS} appends of 90 bytes: {requests:?}, {} chunks", chunks.len());
    assert_eq!(rolls, chunks.len() as u64, "each chunk was put once");
    assert_eq!(requests["updateitem"], APPENDS + rolls, "one update per append, one per roll");
    assert_eq!(requests.len(), 2, "and nothing else: {requests:?}");
    write_units += chunks.iter().map(|chunk| weight(chunk).div_ceil(1_024) as u64 + 2).sum::<u64>();
    let per_append_hundredths = write_units * 100 / APPENDS;
    println!("about {}.{:02} write units per append", per_append_hundredths / 100, per_append_hundredths % 100);
    assert!(per_append_hundredths <= 220, "{per_append_hundredths} hundredths of a write unit per append");
}

/// Design section 17: nothing when idle, and a poll that finds nothing is one request.
#[tokio::test]
async fn a_read_that_finds_nothing_is_one_request() {
    let table = Table::create(RollLimits::default()).await;
    let proxy = Proxy::before(emulator::dynamodb_endpoint()).await;
    let log = proxied(&proxy, &table.0, RollLimits::default()).await;
    fill(&log, 3).await;
    for consistency in [Consistency::Strong, Consistency::Eventual] {
        proxy.take_requests();
        log.read(LogPosition(3), consistency).await.unwrap();
        assert_eq!(proxy.take_requests().into_iter().collect::<Vec<_>>(), [("getitem".into(), 1)]);
    }
}
