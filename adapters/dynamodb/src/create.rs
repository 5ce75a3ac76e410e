//! `--create`: makes the tables and the head, and mints the incarnation (L8).

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::BuildError;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableStatus,
};
use sluice_store::{Incarnation, StoreError, StoreErrorKind, StoreResult};
use tokio::time::{Duration, Instant, sleep};

use crate::classify::Effect;
use crate::config::CREATE_TIMEOUT;
use crate::head::Head;
use crate::layout;
use crate::table::classify_on;

/// How often a new table is asked whether it is active.
const POLL_INTERVAL: Duration = Duration::from_millis(200);

/// Makes the table unless it is there, with a partition and a sort key of text, and waits until it is active.
pub(crate) async fn ensure_table(client: &Client, table: &str, [pk, sk]: [&str; 2]) -> StoreResult<()> {
    let what = format!("create table `{table}`");
    let invalid = |e: BuildError| StoreError::new(StoreErrorKind::Invalid, &*what).with_source(e);
    let mut request = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for (name, key_type) in [(pk, KeyType::Hash), (sk, KeyType::Range)] {
        let attribute = AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name(name).key_type(key_type);
        request = request.attribute_definitions(attribute.build().map_err(invalid)?);
        request = request.key_schema(key.build().map_err(invalid)?);
    }
    match request.send().await {
        Ok(_) => {}
        Err(e) if matches!(e.as_service_error(), Some(CreateTableError::ResourceInUseException(_))) => {}
        Err(e) => return Err(classify_on(table, e, Effect::Write, "create the table")),
    }
    wait_active(client, table).await
}

async fn wait_active(client: &Client, table: &str) -> StoreResult<()> {
    let deadline = Instant::now() + CREATE_TIMEOUT;
    loop {
        let answer = client.describe_table().table_name(table).send().await;
        // A table that was just made may not be known everywhere yet: not found is "not active" here.
        let missing = answer
            .as_ref()
            .err()
            .is_some_and(|e| e.as_service_error().is_some_and(|e| e.is_resource_not_found_exception()));
        if !missing {
            let answer = answer.map_err(|e| classify_on(table, e, Effect::Read, "describe the table"))?;
            let status = answer.table.and_then(|described| described.table_status);
            if status == Some(TableStatus::Active) || status == Some(TableStatus::Updating) {
                return Ok(());
            }
        }
        if Instant::now() >= deadline {
            let message = format!("table `{table}` did not become active within {} s", CREATE_TIMEOUT.as_secs());
            return Err(StoreError::new(StoreErrorKind::Unavailable, message));
        }
        sleep(POLL_INTERVAL).await;
    }
}

/// Puts an empty log's head, unless there is one: then that one's incarnation stays.
pub(crate) async fn ensure_head(client: &Client, table: &str, incarnation: Incarnation) -> StoreResult<()> {
    let request = client
        .put_item()
        .table_name(table)
        .set_item(Some(Head::new_item(incarnation)))
        .condition_expression("attribute_not_exists(#pk)")
        .expression_attribute_names("#pk", layout::PK);
    match request.send().await {
        Ok(_) => Ok(()),
        Err(e) if matches!(e.as_service_error(), Some(PutItemError::ConditionalCheckFailedException(_))) => Ok(()),
        Err(e) => Err(classify_on(table, e, Effect::Write, "create the log's head")),
    }
}
