//! Tests of the offsets view's items: what is in people's tables and dashboards.

use std::collections::BTreeMap;

use sluice_store::{Incarnation, LogPosition};

use super::*;

fn entry(offset: i64) -> OffsetsEntry {
    OffsetsEntry { offset, leader_epoch: -1, metadata: String::new(), committed_at_ms: 1_769_860_800_000 }
}

fn item(offsets: impl IntoIterator<Item = (i32, OffsetsEntry)>) -> OffsetsItem {
    OffsetsItem {
        incarnation: Incarnation(0xAB),
        group: "billing".into(),
        topic: "orders".into(),
        topic_id: Uuid::from_u128(0x0123_4567_89AB_CDEF_0123_4567_89AB_CDEF),
        slice: 2,
        position: LogPosition(71),
        updated_at_ms: 1_769_860_800_250,
        offsets: BTreeMap::from_iter(offsets),
    }
}

fn map_of(pairs: &[(&str, &str)], value: fn(String) -> AttributeValue) -> AttributeValue {
    AttributeValue::M(pairs.iter().map(|(name, text)| ((*name).into(), value((*text).into()))).collect())
}

// People's queries and dashboards name these: a change of this test is a change of the format.
#[test]
fn an_item_has_these_attributes() {
    let with_all = OffsetsEntry { leader_epoch: 0, metadata: "note".into(), ..entry(9) };
    let encoded = encode(item([(200, entry(5)), (299, with_all)]));
    let expected = Item::from([
        ("group".into(), text("billing")),
        ("topic_slice".into(), text("orders/002")),
        ("topic".into(), text("orders")),
        ("topic_id".into(), text("ASNFZ4mrze8BI0VniavN7w")),
        ("offsets".into(), map_of(&[("200", "5"), ("299", "9")], AttributeValue::N)),
        ("leader_epochs".into(), map_of(&[("299", "0")], AttributeValue::N)),
        ("metadata".into(), map_of(&[("299", "note")], AttributeValue::S)),
        ("committed_at_ms".into(), map_of(&[("200", "1769860800000"), ("299", "1769860800000")], AttributeValue::N)),
        ("updated_at".into(), text("2026-01-31T12:00:00.250Z")),
        ("position".into(), AttributeValue::N("71".into())),
        ("incarnation".into(), text("000000000000000000000000000000ab")),
        ("format".into(), AttributeValue::N("1".into())),
    ]);
    assert_eq!(encoded, expected);
}

#[test]
fn what_no_partition_has_is_not_there() {
    let encoded = encode(item([(200, entry(5))]));
    for name in ["leader_epochs", "metadata", "metadata_omitted"] {
        assert!(!encoded.contains_key(name), "{name}");
    }
    assert_eq!(encode(item([]))["offsets"], AttributeValue::M(HashMap::new()), "none left: an empty map");
}

// I-09: DynamoDB refuses items over 400 KB, and the offsets must not be refused for what stands beside them.
#[test]
fn metadata_that_makes_an_item_too_large_is_left_out() {
    let full = |bytes: usize| {
        let entry = |offset| OffsetsEntry { metadata: "m".repeat(bytes), leader_epoch: i32::MAX, ..entry(offset) };
        encode(item((200..300).map(|partition| (partition, entry(i64::MAX)))))
    };
    let (kept, left_out) = (full(2_800), full(4_096));
    assert!(kept.contains_key("metadata") && !kept.contains_key("metadata_omitted"));
    assert!(!left_out.contains_key("metadata"), "409,600 bytes of metadata");
    assert_eq!(left_out["metadata_omitted"], AttributeValue::Bool(true));
    for encoded in [kept, left_out] {
        assert!(weight(&encoded) <= ITEM_BYTES_MAX + 100);
        assert!(matches!(&encoded["offsets"], AttributeValue::M(offsets) if offsets.len() == 100));
    }
}

#[test]
fn slices_are_in_their_order_as_text_up_to_a_hundred_thousand_partitions() {
    let keys: Vec<_> = [0, 1, 9, 10, 99, 100, 999].map(|slice| topic_slice("t", slice)).into();
    assert_eq!(keys[0], "t/000");
    assert!(keys.is_sorted(), "{keys:?}");
    assert_eq!(topic_slice("t", 21_474_836), "t/21474836", "and all there can be have a key");
}

#[test]
fn topic_ids_are_as_kafkas_tools_print_them() {
    assert_eq!(kafka_uuid(Uuid::from_u128(0)), "AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(kafka_uuid(Uuid::from_u128(1)), "AAAAAAAAAAAAAAAAAAAAAQ");
    assert_eq!(kafka_uuid(Uuid::from_u128(u128::MAX)), "_____________________w");
}

#[test]
fn times_are_as_the_calendar_has_them() {
    for (ms, shown) in [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (951_782_399_999, "2000-02-28T23:59:59.999Z"),
        (951_782_400_000, "2000-02-29T00:00:00.000Z"),
        (1_709_164_800_000, "2024-02-29T00:00:00.000Z"),
        (1_735_689_599_007, "2024-12-31T23:59:59.007Z"),
        (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        (i64::MAX, "9999-12-31T23:59:59.999Z"),
        (i64::MIN, "0000-01-01T00:00:00.000Z"),
    ] {
        assert_eq!(iso_8601(ms), shown);
    }
}
