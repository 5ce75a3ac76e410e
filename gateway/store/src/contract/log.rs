//! The promises of a [`MetadataLog`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;

use super::LogFixture;
use super::replay::{Replay, append, bytes_of, read_tail, sealed, stage};
use crate::{
    BodyRef, Consistency, Element, LogPosition, MetadataLog, Payload, Sealed, Staged, StoreErrorKind, TailRead,
};

/// Bytes of an ordinary entry: below the 256 B over which DynamoDB's log makes bodies (L4).
const SMALL_BYTES: usize = 100;
/// Elements of a log that has rolled several times (a roll holds at most 256 elements, and 8 KB, L5).
const ROLLED_ELEMENTS: u64 = 640;
/// How many of them go into one append.
const ELEMENTS_PER_APPEND: u64 = 8;

/// Appends one small entry of (session, sequence) as a gateway that follows the log.
async fn append_one(log: &dyn MetadataLog, replay: &mut Replay, session: u64, sequence: u64) {
    let staged = stage(log, session, sequence, SMALL_BYTES).await;
    replay.append(log, &[staged]).await;
}

/// The entries `sequences` of a session, staged.
async fn stage_all(log: &dyn MetadataLog, session: u64, sequences: std::ops::Range<u64>) -> Vec<Staged> {
    let mut staged = Vec::new();
    for sequence in sequences {
        staged.push(stage(log, session, sequence, SMALL_BYTES).await);
    }
    staged
}

/// A log that has rolled several times, where it rolls, and what was appended to it.
async fn fill(log: &dyn MetadataLog) -> Replay {
    let mut replay = Replay::default();
    let mut next = 1;
    while next <= ROLLED_ELEMENTS {
        let staged = stage_all(log, 1, next..next + ELEMENTS_PER_APPEND).await;
        replay.append(log, &staged).await;
        next += ELEMENTS_PER_APPEND;
    }
    replay
}

fn identities(elements: &[Element]) -> Vec<(u64, u64)> {
    elements.iter().map(|element| (element.session, element.sequence)).collect()
}

/// L6: nothing is known of an empty log but where it begins.
pub async fn an_empty_log_reads_as_an_empty_tail(fixture: &impl LogFixture) {
    let log = fixture.handle().await;
    for consistency in [Consistency::Strong, Consistency::Eventual] {
        let tail = read_tail(&*log, LogPosition::ZERO, consistency).await;
        assert!(tail.elements.is_empty(), "an empty log has no elements: {tail:?}");
        assert_eq!(tail.first, LogPosition(1), "the first element's position, above 0");
    }
}

/// L1, L6: one round trip commits, tells the positions and brings everyone's appends.
pub async fn an_append_is_answered_with_all_after_known_its_own_elements_last(fixture: &impl LogFixture) {
    let (one, other) = (fixture.handle().await, fixture.handle().await);
    let (mut at_one, mut at_other) = (Replay::default(), Replay::default());
    append_one(&*one, &mut at_one, 1, 1).await;
    append_one(&*one, &mut at_one, 1, 2).await;
    append_one(&*other, &mut at_other, 2, 1).await;
    assert_eq!(identities(&at_other.elements), [(1, 1), (1, 2), (2, 1)], "everyone's appends, its own last");
    append_one(&*one, &mut at_one, 1, 3).await;
    assert_eq!(identities(&at_one.elements), [(1, 1), (1, 2), (2, 1), (1, 3)]);
}

/// L6: positions have no gaps and begin above 0.
pub async fn positions_are_contiguous_from_above_zero(fixture: &impl LogFixture) {
    let log = fixture.handle().await;
    for sequence in 1..=5 {
        let staged = stage(&*log, 1, sequence, SMALL_BYTES).await;
        let tail = append(&*log, &[staged], LogPosition(sequence - 1)).await;
        assert_eq!(tail.end(), LogPosition(sequence + 1), "element {sequence} is at position {sequence}");
    }
}

/// L1: a request carries several elements, and nothing comes between them.
pub async fn the_elements_of_an_append_stay_together_in_their_order(fixture: &impl LogFixture) {
    let mut gateways = JoinSet::new();
    for session in 1..=6 {
        let log = fixture.handle().await;
        gateways.spawn(async move {
            let mut replay = Replay::default();
            for request in 0..5 {
                let staged = stage_all(&*log, session, request * 4 + 1..request * 4 + 5).await;
                replay.append(&*log, &staged).await;
            }
        });
    }
    gateways.join_all().await;
    let mut replay = Replay::default();
    replay.read(&*fixture.handle().await).await;
    assert_eq!(replay.elements.len(), 6 * 5 * 4, "everything appended is there once");
    for together in replay.elements.chunks(4) {
        let (session, first) = (together[0].session, together[0].sequence);
        assert_eq!(first % 4, 1, "an append begins where another ends: {:?}", identities(together));
        let expected: Vec<_> = (first..first + 4).map(|sequence| (session, sequence)).collect();
        assert_eq!(identities(together), expected, "the elements of one append, together, in their order");
    }
}

/// L1: the staged prefix of the sealed entries goes in one request, up to `append_elements_max`.
pub async fn as_many_elements_as_allowed_are_one_append(fixture: &impl LogFixture) {
    let log = fixture.handle().await;
    let max = log.capabilities().append_elements_max;
    assert!(max >= 1, "an append carries at least one element");
    let mut staged = Vec::new();
    for sequence in 1..=max as u64 {
        staged.push(stage(&*log, 1, sequence, 8).await);
    }
    let mut replay = Replay::default();
    replay.append(&*log, &staged).await;
    assert_eq!(replay.elements.len(), max, "all of them");
}

/// A request over the bound is refused whole.
pub async fn more_elements_than_allowed_are_refused(fixture: &impl LogFixture) {
    let log = fixture.handle().await;
    let staged = stage(&*log, 1, 1, 8).await;
    let too_many = vec![staged; log.capabilities().append_elements_max + 1];
    let refused = log.append(&too_many, LogPosition::ZERO).await.expect_err("an append over the bound");
    assert_eq!(refused.kind(), StoreErrorKind::Invalid, "{refused}");
    assert!(read_tail(&*log, LogPosition::ZERO, Consistency::Strong).await.elements.is_empty(), "nothing was added");
}

/// L6, and the reason for this kind of log: appends of many gateways at once all succeed, each position holds one
/// element, and what one append was told is what everybody reads.
pub async fn concurrent_appends_never_conflict_and_all_see_one_order(fixture: &impl LogFixture) {
    const GATEWAYS: u64 = 16;
    const APPENDS: u64 = 20;
    let handles = [fixture.handle().await, fixture.handle().await];
    let mut gateways = JoinSet::new();
    for session in 1..=GATEWAYS {
        let log = Arc::clone(&handles[usize::from(session % 2 == 0)]);
        gateways.spawn(async move {
            let mut replay = Replay::default();
            for sequence in 1..=APPENDS {
                append_one(&*log, &mut replay, session, sequence).await;
            }
            replay
        });
    }
    let told = gateways.join_all().await;
    let mut orders = Vec::new();
    for log in &handles {
        let mut replay = Replay::default();
        replay.read(&**log).await;
        orders.push(replay.elements);
    }
    assert_eq!(orders[0], orders[1], "both handles see one order");
    assert_eq!(orders[0].len() as u64, GATEWAYS * APPENDS, "every append is there once");
    let mut last = BTreeMap::new();
    for element in &orders[0] {
        let before = last.insert(element.session, element.sequence).unwrap_or(0);
        assert_eq!(element.sequence, before + 1, "session {} in the order it appended", element.session);
    }
    for replay in told {
        assert!(orders[0].starts_with(&replay.elements), "what an append was told is what everybody reads");
    }
}

/// T5 stands on this: a strong read that starts after an append was answered sees it, through any handle.
pub async fn a_strong_read_sees_every_answered_append(fixture: &impl LogFixture) {
    let (writer, reader) = (fixture.handle().await, fixture.handle().await);
    let (mut written, mut read) = (Replay::default(), Replay::default());
    for sequence in 1..=30 {
        append_one(&*writer, &mut written, 1, sequence).await;
        read.read(&*reader).await;
        assert_eq!(read, written, "after append {sequence}");
    }
}

/// L6: the poll may lag, but never tells anything else.
pub async fn an_eventual_read_is_a_part_of_the_same_log(fixture: &impl LogFixture) {
    let log = fixture.handle().await;
    let mut replay = Replay::default();
    for sequence in 1..=10 {
        append_one(&*log, &mut replay, 1, sequence).await;
        for known in 0..=sequence {
            let mut reader = Replay { elements: replay.elements[..known as usize].to_vec() };
            reader.take(read_tail(&*log, LogPosition(known), Consistency::Eventual).await);
            assert!(replay.elements.starts_with(&reader.elements), "an eventual read after {known}");
        }
    }
}

/// L6: from every position on, a read tells the same.
pub async fn a_read_from_anywhere_is_a_part_of_the_same_log(fixture: &impl LogFixture) {
    let log = fixture.handle().await;
    let mut whole = Replay::default();
    for sequence in 1..=40 {
        append_one(&*log, &mut whole, 1, sequence).await;
    }
    for known in 0..=40 {
        let mut reader = Replay { elements: whole.elements[..known].to_vec() };
        reader.read(&*log).await;
        assert_eq!(reader, whole, "a read after {known}");
    }
}

/// L5, L6: rolled or not, a log reads as one contiguous list, to every reader.
pub async fn a_reader_far_behind_gets_a_contiguous_tail(fixture: &impl LogFixture) {
    let whole = fill(&*fixture.handle().await).await;
    let log = fixture.handle().await;
    for known in [0, 1, 7, 8, 100, 255, 256, 257, 511, 512, 600, 639, 640] {
        let mut reader = Replay { elements: whole.elements[..known].to_vec() };
        reader.read(&*log).await;
        assert!(reader == whole, "a read after {known} must complete the same {ROLLED_ELEMENTS} elements");
    }
}

/// L5, L6: an append is answered from any `known`, also one that has left the head long ago.
pub async fn an_append_of_one_far_behind_brings_it_up_to_date(fixture: &impl LogFixture) {
    let mut whole = fill(&*fixture.handle().await).await;
    let log = fixture.handle().await;
    for (sequence, known) in [(1, 0), (2, 3), (3, 300), (4, 630)] {
        let mut behind = Replay { elements: whole.elements[..known].to_vec() };
        append_one(&*log, &mut behind, 2, sequence).await;
        whole.read(&*log).await;
        assert!(behind == whole, "an append with known {known} brings everything after it");
    }
}

/// L6: a log that ends before what was known has been rolled back, which must stop its reader.
pub async fn a_read_past_the_end_is_corrupt(fixture: &impl LogFixture) {
    let log = fixture.handle().await;
    let mut replay = Replay::default();
    append_one(&*log, &mut replay, 1, 1).await;
    match log.read(LogPosition(2), Consistency::Strong).await {
        Err(error) => assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{error}"),
        Ok(TailRead::Tail(tail)) => panic!("a strong read after 2 of a log that ends at 1 gave {tail:?}"),
        Ok(TailRead::Trimmed) => panic!("a strong read after 2 of a log that ends at 1 gave Trimmed"),
    }
}

/// L4: small or large, an entry's bytes are what was sealed; over `inline_bytes_max` they lie in a body.
pub async fn entries_of_every_size_come_back_as_the_same_bytes(fixture: &impl LogFixture) {
    let (log, other) = (fixture.handle().await, fixture.handle().await);
    let inline_max = log.capabilities().inline_bytes_max;
    let mut sizes = vec![0, 1, SMALL_BYTES, 5 * 1024, 1024 * 1024];
    if inline_max <= 64 * 1024 {
        sizes.extend([inline_max, inline_max + 1]);
    }
    let mut replay = Replay::default();
    for (size, sequence) in sizes.iter().zip(1..) {
        let staged = stage(&*log, 1, sequence, *size).await;
        let is_inline = matches!(staged.element.payload, Payload::Inline(_));
        assert_eq!(is_inline, *size <= inline_max, "{size} bytes inline, where at most {inline_max} are");
        replay.append(&*log, &[staged]).await;
    }
    let mut reader = Replay::default();
    reader.read(&*other).await;
    assert!(reader == replay, "another handle reads the same elements");
    for (element, size) in reader.elements.iter().zip(sizes) {
        let expected = sealed(1, element.sequence, size).bytes;
        assert!(bytes_of(&*other, element).await == expected, "the bytes of an entry of {size} bytes");
    }
}

/// L4, L6: a pointer whose body is not there is told as such, and never as empty bytes.
pub async fn a_pointer_to_no_body_is_an_error(fixture: &impl LogFixture) {
    let log = fixture.handle().await;
    let missing = BodyRef { session: 77, sequence: 1, salt: 0, parts: 1, hash: 0, len: 0 };
    let error = log.read_body(&missing).await.expect_err("the body of an entry that was never staged");
    assert_eq!(error.kind(), StoreErrorKind::NotFound, "{error}");
}

/// L4: bytes that do not fit their pointer are never given out.
pub async fn a_damaged_pointer_is_an_error(fixture: &impl LogFixture) {
    let log = fixture.handle().await;
    let staged = stage(&*log, 1, 1, 300 * 1024).await;
    // A log that keeps this entry inline has no pointers to damage.
    let Payload::Body(body) = staged.element.payload else { return };
    log.read_body(&body).await.unwrap_or_else(|e| panic!("the undamaged pointer: {e}"));
    let damaged = [
        BodyRef { hash: body.hash ^ 1, ..body.clone() },
        BodyRef { len: body.len - 1, ..body.clone() },
        BodyRef { len: body.len + 1, ..body.clone() },
        BodyRef { parts: body.parts + 1, ..body.clone() },
        BodyRef { sequence: body.sequence + 1, ..body.clone() },
        BodyRef { session: body.session + 1, ..body.clone() },
    ];
    for pointer in damaged {
        let Err(error) = log.read_body(&pointer).await else { panic!("{pointer:?} was read as {body:?}") };
        let told = matches!(error.kind(), StoreErrorKind::NotFound | StoreErrorKind::Corrupt);
        assert!(told, "{pointer:?} must be missing or corrupt: {error}");
    }
}

/// I-09: the largest entry has a bound, and one over it certainly is not in the log.
pub async fn an_entry_over_the_limit_is_too_large(fixture: &impl LogFixture) {
    let log = fixture.handle().await;
    let bytes = vec![7; log.capabilities().entry_bytes_max + 1].into();
    let refused = log.stage(&Sealed { session: 1, sequence: 1, bytes }).await.expect_err("an entry over the limit");
    assert_eq!(refused.kind(), StoreErrorKind::TooLarge, "{refused}");
}

/// L4: what is staged is in no log yet, and staging again (after an Unknown) changes nothing.
pub async fn staging_alone_adds_nothing_and_twice_is_harmless(fixture: &impl LogFixture) {
    let log = fixture.handle().await;
    let mut replay = Replay::default();
    for (size, sequence) in [SMALL_BYTES, 5 * 1024, 300 * 1024].into_iter().zip(1..) {
        let first = stage(&*log, 1, sequence, size).await;
        let second = stage(&*log, 1, sequence, size).await;
        let known = replay.known();
        replay.read(&*log).await;
        assert_eq!(replay.known(), known, "staging adds nothing to the log");
        // Each stage may have chosen another salt: both pointers lead to the bytes.
        for staged in [first, second] {
            let expected = sealed(1, sequence, size).bytes;
            assert!(bytes_of(&*log, &staged.element).await == expected, "both stages of {size} bytes hold");
            replay.append(&*log, &[staged]).await;
        }
    }
}

/// L1: a retry is a second element; only apply tells it from the first. A log that judged it would hide its position.
pub async fn the_same_element_appended_twice_is_there_twice(fixture: &impl LogFixture) {
    let log = fixture.handle().await;
    let staged = stage(&*log, 1, 1, SMALL_BYTES).await;
    let mut replay = Replay::default();
    replay.append(&*log, std::slice::from_ref(&staged)).await;
    replay.append(&*log, &[staged.clone(), staged]).await;
    assert_eq!(identities(&replay.elements), [(1, 1), (1, 1), (1, 1)], "every copy has its position");
    let mut reader = Replay::default();
    reader.read(&*fixture.handle().await).await;
    assert_eq!(reader, replay);
}

/// L8: an incarnation is the log's, not the handle's.
pub async fn all_handles_have_one_incarnation(fixture: &impl LogFixture) {
    let (one, other) = (fixture.handle().await, fixture.handle().await);
    assert_eq!(one.incarnation(), other.incarnation(), "handles on one log");
    append_one(&*one, &mut Replay::default(), 1, 1).await;
    assert_eq!(fixture.handle().await.incarnation(), one.incarnation(), "an append does not change it");
}
