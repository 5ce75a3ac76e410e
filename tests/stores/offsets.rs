//! The offsets view in DynamoDB: the contract suite, read as people read it, and what only this adapter can break.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::types::AttributeValue;
use sluice_dynamodb::{DynamoDbConfig, DynamoDbLog, DynamoDbOffsetsView};
use sluice_store::contract::OffsetsViewFixture;
use sluice_store::{
    Incarnation, LogPosition, OffsetsEntry, OffsetsItem, OffsetsView, StoreErrorKind, offsets_view_contract,
};
use sluice_tests::emulator;
use uuid::Uuid;

use super::damage::{Item, Items, number, string};
use super::fixtures::{dynamodb_config, entropy};

/// A table that every handle opens anew, as another gateway would.
struct View(DynamoDbConfig);

async fn offsets() -> View {
    let config = dynamodb_config(&emulator::fresh_name());
    DynamoDbOffsetsView::create(config.clone()).await.unwrap();
    View(config)
}

impl View {
    async fn open(&self) -> Arc<DynamoDbOffsetsView> {
        DynamoDbOffsetsView::open(self.0.clone()).await.unwrap()
    }

    async fn items(&self) -> Items {
        Items::in_table(self.0.offsets_table()).await
    }
}

#[async_trait]
impl OffsetsViewFixture for View {
    async fn handle(&self) -> Arc<dyn OffsetsView> {
        self.open().await
    }

    /// From the attributes that `docs/data-layout.md` names.
    async fn read(&self, group: &str, topic: &str, slice: u32) -> Option<OffsetsItem> {
        let key = [("group", group.to_owned()), ("topic_slice", format!("{topic}/{slice:03}"))];
        let key = key.map(|(name, text)| (name.to_owned(), AttributeValue::S(text)));
        self.items().await.get(key.into()).await.map(|item| decode(&item))
    }
}

fn map<'a>(item: &'a Item, name: &str) -> Option<&'a HashMap<String, AttributeValue>> {
    item.get(name).map(|map| map.as_m().unwrap())
}

fn integer<T: std::str::FromStr<Err: std::fmt::Debug>>(value: &AttributeValue) -> T {
    value.as_n().unwrap().parse().unwrap()
}

fn decode(item: &Item) -> OffsetsItem {
    let topic = string(item, "topic").to_owned();
    let slice = string(item, "topic_slice").strip_prefix(&format!("{topic}/")).unwrap().parse().unwrap();
    let entry = |(partition, offset): (&String, &AttributeValue)| {
        let of = |name| map(item, name).and_then(|map| map.get(partition));
        let entry = OffsetsEntry {
            offset: integer(offset),
            leader_epoch: of("leader_epochs").map_or(-1, integer),
            metadata: of("metadata").map_or_else(String::new, |text| text.as_s().unwrap().clone()),
            committed_at_ms: integer(of("committed_at_ms").unwrap()),
        };
        (partition.parse().unwrap(), entry)
    };
    assert_eq!(number(item, "format"), 1);
    OffsetsItem {
        incarnation: Incarnation(u128::from_str_radix(string(item, "incarnation"), 16).unwrap()),
        group: string(item, "group").to_owned(),
        topic,
        topic_id: Uuid::from_bytes(from_base64_url(string(item, "topic_id"))),
        slice,
        position: LogPosition(number(item, "position")),
        updated_at_ms: date_ms(string(item, "updated_at")),
        offsets: map(item, "offsets").unwrap().iter().map(entry).collect(),
    }
}

/// By the SDK's own reading of a date.
fn date_ms(text: &str) -> i64 {
    use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
    DateTime::from_str(text, DateTimeFormat::DateTime).unwrap().to_millis().unwrap()
}

fn from_base64_url(text: &str) -> [u8; 16] {
    let alphabet: Vec<char> = ('A'..='Z').chain('a'..='z').chain('0'..='9').chain(['-', '_']).collect();
    let digits = text.chars().map(|digit| alphabet.iter().position(|&known| known == digit).unwrap());
    let bits: String = digits.map(|six| format!("{six:06b}")).collect();
    assert_eq!(bits.len(), 132, "128 bits in 22 digits");
    std::array::from_fn(|byte| u8::from_str_radix(&bits[byte * 8..byte * 8 + 8], 2).unwrap())
}

mod contract {
    use super::*;

    offsets_view_contract!(offsets);
}

fn item(group: &str, position: u64) -> OffsetsItem {
    let entry = OffsetsEntry { offset: 7, leader_epoch: 0, metadata: "m".into(), committed_at_ms: 1 };
    OffsetsItem {
        incarnation: Incarnation(1),
        group: group.into(),
        topic: "t".into(),
        topic_id: Uuid::from_u128(2),
        slice: 0,
        position: LogPosition(position),
        updated_at_ms: 3,
        offsets: BTreeMap::from([(5, entry)]),
    }
}

#[tokio::test]
async fn a_missing_offsets_table_is_invalid_and_the_message_says_what_to_do() {
    let config = dynamodb_config(&emulator::fresh_name());
    // The log's table alone is what a store of the version before has.
    DynamoDbLog::create(config.clone(), entropy()).await.unwrap();
    let missing = DynamoDbOffsetsView::open(config.clone()).await.unwrap_err();
    assert_eq!(missing.kind(), StoreErrorKind::Invalid, "{missing}");
    assert!(missing.to_string().contains(&config.offsets_table()), "{missing}");
    assert!(missing.to_string().contains("--create"), "{missing}");
    DynamoDbOffsetsView::create(config.clone()).await.unwrap();
    DynamoDbOffsetsView::open(config).await.unwrap();
}

#[tokio::test]
async fn a_table_that_was_dropped_later_is_an_error_of_every_put() {
    let view = offsets().await;
    let open = view.open().await;
    view.items().await.drop_table().await;
    for result in open.put(vec![item("a", 1), item("b", 1)]).await {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains("--create"), "{error}");
    }
}

#[tokio::test]
async fn creating_again_keeps_the_offsets() {
    let view = offsets().await;
    view.open().await.put(vec![item("a", 4)]).await.pop().unwrap().unwrap();
    let again = DynamoDbOffsetsView::create(view.0.clone()).await.unwrap();
    again.put(vec![item("a", 3)]).await.pop().unwrap().unwrap();
    assert_eq!(view.read("a", "t", 0).await, Some(item("a", 4)));
}

/// Opening looks whether it may write, and leaves nothing behind that people would ask about.
#[tokio::test]
async fn opening_writes_nothing() {
    let view = offsets().await;
    view.open().await;
    assert!(view.items().await.all().await.is_empty());
}

#[tokio::test]
async fn a_table_with_another_key_is_invalid_and_the_message_names_it() {
    let config = dynamodb_config(&emulator::fresh_name());
    Items::in_table(config.offsets_table()).await.make_table().await;
    let error = DynamoDbOffsetsView::open(config.clone()).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::Invalid, "{error}");
    let said = error.to_string();
    assert!(said.contains(&config.offsets_table()) && said.contains("has another key than (group"), "{said}");
}

/// What does not fit into an item is not what people wait for.
#[tokio::test]
async fn an_item_that_would_be_too_large_says_that_metadata_is_missing() {
    let view = offsets().await;
    let heavy =
        |partition| (partition, OffsetsEntry { metadata: "m".repeat(4_096), ..item("a", 1).offsets[&5].clone() });
    let heavy = OffsetsItem { offsets: (0..100).map(heavy).collect(), ..item("a", 1) };
    view.open().await.put(vec![heavy]).await.pop().unwrap().unwrap();
    let shown = view.items().await.all().await.pop().unwrap();
    assert_eq!(shown["metadata_omitted"], AttributeValue::Bool(true));
    assert_eq!((map(&shown, "offsets").unwrap().len(), map(&shown, "metadata")), (100, None));
}
