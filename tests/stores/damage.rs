//! A table changed by hand: what no adapter does, but an operator, a restore or a fault may.

use std::collections::HashMap;

use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
};
use aws_smithy_http_client::tls;
use sluice_tests::emulator;

use super::fixtures::Table;

pub type Item = HashMap<String, AttributeValue>;

/// The items of one table.
pub struct Items {
    client: Client,
    table: String,
}

impl Items {
    pub async fn of(table: &Table) -> Self {
        Self::in_table(table.0.metadata_table()).await
    }

    pub async fn in_table(table: String) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
            .build_https();
        let keys = Credentials::new(emulator::ACCESS_KEY_ID, emulator::SECRET_ACCESS_KEY, None, None, "test");
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(keys))
            .endpoint_url(emulator::dynamodb_endpoint())
            .load()
            .await;
        Self { client: Client::new(&config), table }
    }

    pub async fn all(&self) -> Vec<Item> {
        let mut items = Vec::new();
        let mut next = None;
        loop {
            let scan = self.client.scan().table_name(&self.table).consistent_read(true);
            let page = scan.set_exclusive_start_key(next).send().await.unwrap();
            items.extend(page.items.unwrap_or_default());
            next = page.last_evaluated_key;
            if next.is_none() {
                return items;
            }
        }
    }

    pub async fn get(&self, key: Item) -> Option<Item> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        get.set_key(Some(key)).send().await.unwrap().item
    }

    /// Makes the table with a partition key that no adapter uses.
    pub async fn make_table(&self) {
        let attribute = AttributeDefinition::builder().attribute_name("other").attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name("other").key_type(KeyType::Hash);
        let request = self.client.create_table().table_name(&self.table).billing_mode(BillingMode::PayPerRequest);
        let request = request.attribute_definitions(attribute.build().unwrap()).key_schema(key.build().unwrap());
        request.send().await.unwrap();
    }

    pub async fn drop_table(&self) {
        self.client.delete_table().table_name(&self.table).send().await.unwrap();
    }

    /// The items whose partition key contains this text, by key.
    pub async fn with_pk(&self, text: &str) -> Vec<Item> {
        let mut found = self.all().await;
        found.retain(|item| string(item, "pk").contains(text));
        found.sort_by_key(|item| (string(item, "pk").to_owned(), string(item, "sk").to_owned()));
        found
    }

    pub async fn head(&self) -> Item {
        self.all().await.into_iter().find(|item| string(item, "pk") == "H").expect("the head")
    }

    pub async fn put(&self, item: Item) {
        self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await.unwrap();
    }

    /// The head with one attribute changed.
    pub async fn change_head(&self, name: &str, value: AttributeValue) {
        let mut head = self.head().await;
        head.insert(name.into(), value);
        self.put(head).await;
    }

    pub async fn delete(&self, item: &Item) {
        let key = HashMap::from([("pk".into(), item["pk"].clone()), ("sk".into(), item["sk"].clone())]);
        self.client.delete_item().table_name(&self.table).set_key(Some(key)).send().await.unwrap();
    }
}

pub fn string<'a>(item: &'a Item, name: &str) -> &'a str {
    item[name].as_s().unwrap()
}

pub fn number(item: &Item, name: &str) -> u64 {
    item[name].as_n().unwrap().parse().unwrap()
}

pub fn list<'a>(item: &'a Item, name: &str) -> &'a [AttributeValue] {
    item[name].as_l().unwrap()
}

/// Bytes of an item as DynamoDB counts them.
pub fn weight(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + value_weight(value)).sum()
}

fn value_weight(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + value_weight(value)).sum::<usize>(),
        other => panic!("no such value is in the table: {other:?}"),
    }
}
