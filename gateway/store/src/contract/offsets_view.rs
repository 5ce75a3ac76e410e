//! The promises of an [`OffsetsView`].

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::task::JoinSet;
use uuid::Uuid;

use super::OffsetsViewFixture;
use crate::{
    Incarnation, LogPosition, OffsetsEntry, OffsetsItem, OffsetsView, PARTITIONS_PER_SLICE, StoreErrorKind, StoreResult,
};

/// Longest metadata that Kafka takes beside an offset, in bytes.
const METADATA_BYTES_MAX: usize = 4_096;
/// More items than any store takes in one request.
const MANY_ITEMS: u32 = 250;

/// An item of the group "g" and the topic "t", slice 0, in which partition 0 is at offset `position` × 10.
fn item(position: u64) -> OffsetsItem {
    named("g", "t", 0, position)
}

fn named(group: &str, topic: &str, slice: u32, position: u64) -> OffsetsItem {
    let partition = i32::try_from(slice * PARTITIONS_PER_SLICE).unwrap();
    OffsetsItem {
        incarnation: Incarnation(0xA1),
        group: group.to_owned(),
        topic: topic.to_owned(),
        topic_id: Uuid::from_u128(0x0123_4567_89AB_CDEF_0123_4567_89AB_CDEF),
        slice,
        position: LogPosition(position),
        updated_at_ms: 1_732_000_000_120,
        offsets: BTreeMap::from([(partition, entry(i64::try_from(position).unwrap() * 10))]),
    }
}

fn entry(offset: i64) -> OffsetsEntry {
    OffsetsEntry { offset, leader_epoch: -1, metadata: String::new(), committed_at_ms: 1_731_999_999_000 }
}

/// Puts one item, which must succeed.
async fn put(view: &dyn OffsetsView, item: OffsetsItem) {
    put_all(view, vec![item]).await;
}

async fn put_all(view: &dyn OffsetsView, items: Vec<OffsetsItem>) {
    let count = items.len();
    let results = view.put(items).await;
    assert_eq!(results.len(), count, "an answer for each item");
    results.into_iter().for_each(|result| result.expect("the put succeeds"));
}

async fn assert_shows(fixture: &impl OffsetsViewFixture, expected: &OffsetsItem) {
    let OffsetsItem { group, topic, slice, .. } = expected;
    let shown = fixture.read(group, topic, *slice).await;
    assert_eq!(shown.as_ref(), Some(expected), "what the view shows of {group}, {topic}, slice {slice}");
}

/// Whoever looks sees what was put, every field of it.
pub async fn a_put_item_is_shown_as_it_was_put(fixture: &impl OffsetsViewFixture) {
    let view = fixture.handle().await;
    assert_eq!(fixture.read("g", "t", 0).await, None, "the view was empty");
    let with_all = OffsetsEntry { leader_epoch: 3, metadata: "naïve \"π\"".into(), ..entry(i64::MAX) };
    let offsets = BTreeMap::from([
        (0, entry(0)),
        (7, with_all),
        (9, OffsetsEntry { metadata: "m".into(), ..entry(1) }),
        (99, OffsetsEntry { leader_epoch: 0, committed_at_ms: 0, ..entry(2) }),
    ]);
    let item = OffsetsItem { offsets, ..item(1 << 40) };
    put(&*view, item.clone()).await;
    assert_shows(fixture, &item).await;
}

/// Only forward: a stalled gateway does not move the view back.
pub async fn an_older_put_succeeds_and_changes_nothing(fixture: &impl OffsetsViewFixture) {
    let view = fixture.handle().await;
    put(&*view, item(9)).await;
    // As text, 10 would be before 9.
    put(&*view, item(10)).await;
    put(&*view, item(9)).await;
    assert_shows(fixture, &item(10)).await;
}

/// A put of unknown outcome is repeated, and the first one may be late.
pub async fn a_put_of_the_same_position_changes_nothing(fixture: &impl OffsetsViewFixture) {
    let view = fixture.handle().await;
    put(&*view, item(5)).await;
    let other = OffsetsItem { updated_at_ms: 1, offsets: BTreeMap::new(), ..item(5) };
    put(&*view, other).await;
    assert_shows(fixture, &item(5)).await;
}

/// An item is replaced, not merged: what it no longer has is gone.
pub async fn a_newer_put_replaces_the_whole_item(fixture: &impl OffsetsViewFixture) {
    let view = fixture.handle().await;
    let full = OffsetsEntry { leader_epoch: 3, metadata: "m".into(), ..entry(7) };
    put(&*view, OffsetsItem { offsets: BTreeMap::from([(1, full.clone()), (2, full)]), ..item(5) }).await;
    let topic_id = Uuid::from_u128(9);
    let newer = OffsetsItem { topic_id, updated_at_ms: 1, offsets: BTreeMap::from([(2, entry(3))]), ..item(6) };
    put(&*view, newer.clone()).await;
    assert_shows(fixture, &newer).await;
}

/// However puts of several gateways cross, the highest position stays.
pub async fn of_concurrent_puts_the_highest_position_stays(fixture: &impl OffsetsViewFixture) {
    const GATEWAYS: u64 = 4;
    const PUTS: u64 = 8;
    let mut gateways = JoinSet::new();
    for gateway in 0..GATEWAYS {
        let view = fixture.handle().await;
        gateways.spawn(async move {
            for put_number in 0..PUTS {
                // Half of them count down.
                let turn = if gateway % 2 == 0 { put_number } else { PUTS - 1 - put_number };
                put(&*view, item(1 + turn * GATEWAYS + gateway)).await;
            }
        });
    }
    gateways.join_all().await;
    assert_shows(fixture, &item(GATEWAYS * PUTS)).await;
}

/// A deleted group or topic leaves a mark, or a late put would bring its offsets back.
pub async fn an_item_without_offsets_keeps_its_position(fixture: &impl OffsetsViewFixture) {
    let view = fixture.handle().await;
    put(&*view, item(5)).await;
    let deleted = OffsetsItem { offsets: BTreeMap::new(), ..item(8) };
    put(&*view, deleted.clone()).await;
    assert_shows(fixture, &deleted).await;
    put(&*view, item(7)).await;
    assert_shows(fixture, &deleted).await;
    put(&*view, item(9)).await;
    assert_shows(fixture, &item(9)).await;
}

/// L8: in a restored or newly made store positions begin anew, and what was there before does not stand in their way.
pub async fn another_incarnation_replaces_whatever_its_position(fixture: &impl OffsetsViewFixture) {
    let view = fixture.handle().await;
    put(&*view, item(500)).await;
    let restored = OffsetsItem { incarnation: Incarnation(u128::MAX), ..item(3) };
    put(&*view, restored.clone()).await;
    assert_shows(fixture, &restored).await;
    put(&*view, OffsetsItem { incarnation: Incarnation(u128::MAX), ..item(2) }).await;
    assert_shows(fixture, &restored).await;
}

/// No two items share a place, however alike their names are.
pub async fn groups_topics_and_slices_are_apart(fixture: &impl OffsetsViewFixture) {
    let view = fixture.handle().await;
    let items = vec![
        named("a", "b", 0, 1),
        named("a", "b", 1, 2),
        named("a", "b", 10, 3),
        named("a", "b.000", 0, 4),
        named("a/b", "000", 0, 5),
        named("a/b", "c", 0, 6),
        named("a", "bc", 0, 7),
        named("ab", "c", 0, 8),
        named("A", "b", 0, 9),
        named("групп\u{0}а #1", "b", 0, 10),
    ];
    put_all(&*view, items.clone()).await;
    for item in &items {
        assert_shows(fixture, item).await;
    }
}

/// The answers stand in the items' order, and a refused item takes no other with it.
pub async fn items_of_one_call_are_independent(fixture: &impl OffsetsViewFixture) {
    let view = fixture.handle().await;
    put(&*view, named("stale", "t", 0, 9)).await;
    let foreign_partition = OffsetsItem { slice: 3, ..named("foreign", "t", 0, 5) };
    let items = vec![
        named("one", "t", 0, 5),
        named("", "t", 0, 5),
        named("stale", "t", 0, 5),
        foreign_partition,
        named("two", "t", 0, 5),
    ];
    let kinds: Vec<_> = view.put(items).await.into_iter().map(|result| result.err().map(|e| e.kind())).collect();
    let invalid = Some(StoreErrorKind::Invalid);
    assert_eq!(kinds, [None, invalid, None, invalid, None]);
    for shown in [named("one", "t", 0, 5), named("two", "t", 0, 5), named("stale", "t", 0, 9)] {
        assert_shows(fixture, &shown).await;
    }
    assert_eq!(fixture.read("foreign", "t", 3).await, None, "what was refused is not shown");
}

/// The higher position stays also within one call, whichever comes first.
pub async fn an_item_twice_in_one_call_is_the_higher_one(fixture: &impl OffsetsViewFixture) {
    let view = fixture.handle().await;
    let ascending = [1, 2].map(|position| named("up", "t", 0, position));
    let descending = [2, 1].map(|position| named("down", "t", 0, position));
    put_all(&*view, [ascending, descending].concat()).await;
    assert_shows(fixture, &named("up", "t", 0, 2)).await;
    assert_shows(fixture, &named("down", "t", 0, 2)).await;
}

/// No call has too many items, and none at all is fine.
pub async fn a_call_has_as_many_items_as_it_likes(fixture: &impl OffsetsViewFixture) {
    let view = fixture.handle().await;
    assert!(view.put(Vec::new()).await.is_empty(), "nothing to put, nothing to answer");
    let items: Vec<_> = (0..MANY_ITEMS).map(|slice| named("g", "t", slice, 5)).collect();
    put_all(&*view, items.clone()).await;
    for item in [0, 24, 25, 99, 100, 249].map(|at| &items[at]) {
        assert_shows(fixture, item).await;
    }
}

/// Every offset of a slice is shown, however much its clients store beside: of that a view may leave out all.
pub async fn a_slice_full_of_metadata_shows_its_offsets(fixture: &impl OffsetsViewFixture) {
    let view = fixture.handle().await;
    let metadata = "m".repeat(METADATA_BYTES_MAX);
    let full = |partition| OffsetsEntry { leader_epoch: 1, metadata: metadata.clone(), ..entry(partition) };
    let offsets: BTreeMap<_, _> = (0..100).map(|partition| (partition, full(i64::from(partition)))).collect();
    let item = OffsetsItem { offsets, ..item(5) };
    put(&*view, item.clone()).await;
    let shown = fixture.read("g", "t", 0).await.expect("it is shown");
    let mut without = item.clone();
    without.offsets.values_mut().for_each(|entry| entry.metadata.clear());
    assert!(shown == item || shown == without, "all offsets, and all of the metadata or nothing: {shown:?}");
}

/// The bounds of [`OffsetsItem`] are met exactly.
pub async fn the_longest_names_are_taken(fixture: &impl OffsetsViewFixture) {
    let view = fixture.handle().await;
    let last_slice = OffsetsItem::slice_of(i32::MAX).unwrap();
    let (group, topic) = ("g".repeat(OffsetsItem::GROUP_BYTES_MAX), "t".repeat(OffsetsItem::TOPIC_BYTES_MAX));
    let longest = named(&group, &topic, last_slice, 5);
    put(&*view, longest.clone()).await;
    assert_shows(fixture, &longest).await;
    let longer = [named(&format!("{group}g"), "t", 0, 5), named("g", &format!("{topic}t"), 0, 5)];
    let refused: StoreResult<Vec<()>> = view.put(longer.to_vec()).await.into_iter().collect();
    assert_eq!(refused.expect_err("one byte more is too long").kind(), StoreErrorKind::Invalid);
}

/// I-06: any gateway may write any item; there is one view.
pub async fn all_handles_write_one_view(fixture: &impl OffsetsViewFixture) {
    let handles: [Arc<dyn OffsetsView>; 2] = [fixture.handle().await, fixture.handle().await];
    for (handle, position) in handles.iter().zip([5, 6]) {
        put(&**handle, item(position)).await;
        assert_shows(fixture, &item(position)).await;
    }
    put(&*handles[0], item(4)).await;
    assert_shows(fixture, &item(6)).await;
}
