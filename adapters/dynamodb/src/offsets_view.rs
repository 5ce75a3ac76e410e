//! The offsets view in one DynamoDB table: a conditional put per item.
//!
//! Promises: of two puts of an item the one of the higher position stays, for DynamoDB compares; every request has a time
//! limit. Never: reads an item, retries, or batches (batches of DynamoDB's take no conditions).
//! Called by `engine` through `OffsetsView`.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::StreamExt as _;
use sluice_store::{OffsetsItem, OffsetsView, StoreError, StoreErrorKind, StoreResult};

use crate::classify::Effect;
use crate::config::{self, DynamoDbConfig, OFFSETS_PUTS_AT_ONCE};
use crate::create;
use crate::layout::{INCARNATION, number};
use crate::offsets_item::{GROUP, POSITION, TOPIC_SLICE, encode};
use crate::table::classify_on;

/// The offsets view in the table `<tables>-offsets`.
pub struct DynamoDbOffsetsView {
    client: Client,
    table: String,
}

impl fmt::Debug for DynamoDbOffsetsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DynamoDbOffsetsView(table `{}`)", self.table)
    }
}

impl DynamoDbOffsetsView {
    /// Opens the view: the table is there, has the right key, and may be written. Writes nothing.
    ///
    /// # Errors
    /// `Invalid` when the table is missing (the message names `--create`) or has another key; those of any put.
    pub async fn open(config: DynamoDbConfig) -> StoreResult<Arc<Self>> {
        let client = config::client(&config).await?;
        let view = Self { client, table: config.offsets_table() };
        let place = config.endpoint.as_deref().unwrap_or("Amazon's endpoint");
        view.probe(&format!("open the offsets view at {place}")).await?;
        Ok(Arc::new(view))
    }

    /// Makes the table if it is missing, and opens the view. Can be repeated.
    ///
    /// # Errors
    /// `Unavailable` when the table is not active within a minute; those of `open` and of any write.
    pub async fn create(config: DynamoDbConfig) -> StoreResult<Arc<Self>> {
        let client = config::client(&config).await?;
        create::ensure_table(&client, &config.offsets_table(), [GROUP, TOPIC_SLICE]).await?;
        Self::open(config).await
    }

    /// A put whose condition never holds: it needs the table, the key and the permission of a real one, and no other.
    async fn probe(&self, what: &str) -> StoreResult<()> {
        let key = [GROUP, TOPIC_SLICE].map(|name| (name.to_owned(), AttributeValue::S("probe".into())));
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(key.into()))
            .condition_expression("attribute_exists(#p) AND #p < :none")
            .expression_attribute_names("#p", POSITION)
            .expression_attribute_values(":none", number(0));
        self.judge(request.send().await.map(drop), what).map_err(|error| self.explain(error))
    }

    async fn put_one(&self, item: OffsetsItem) -> StoreResult<()> {
        item.check()?;
        let what = format!("put offsets of group {:?}, topic `{}`, slice {}", item.group, item.topic, item.slice);
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            // The rule of `OffsetsItem::replaces`.
            .condition_expression("attribute_not_exists(#p) OR #p < :p OR #i <> :i")
            .expression_attribute_names("#p", POSITION)
            .expression_attribute_names("#i", INCARNATION)
            .expression_attribute_values(":p", number(item.position.0))
            .expression_attribute_values(":i", AttributeValue::S(item.incarnation.to_string()))
            .set_item(Some(encode(item)));
        self.judge(request.send().await.map(drop), &what)
    }

    /// A refused condition is a success: what is there is as new.
    fn judge(&self, outcome: Result<(), SdkError<PutItemError, HttpResponse>>, what: &str) -> StoreResult<()> {
        let Err(error) = outcome else { return Ok(()) };
        if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) {
            return Ok(());
        }
        Err(classify_on(&self.table, error, Effect::Write, what))
    }

    /// What a valid probe finds invalid is the table's key; DynamoDB's words for that do not say what to do.
    fn explain(&self, error: StoreError) -> StoreError {
        if error.kind() != StoreErrorKind::Invalid || !error.to_string().contains("ValidationException") {
            return error;
        }
        let message = format!(
            "table `{}` has another key than ({GROUP}, {TOPIC_SLICE}), so that it is no offsets view: name other tables",
            self.table
        );
        StoreError::new(error.kind(), message).with_source(error)
    }
}

#[async_trait]
impl OffsetsView for DynamoDbOffsetsView {
    async fn put(&self, items: Vec<OffsetsItem>) -> Vec<StoreResult<()>> {
        let puts = items.into_iter().map(|item| self.put_one(item));
        futures_util::stream::iter(puts).buffered(OFFSETS_PUTS_AT_ONCE).collect().await
    }
}
