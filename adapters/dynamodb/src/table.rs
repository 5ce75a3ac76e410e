//! The table a log lies in, as every request needs it.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use sluice_store::{Incarnation, StoreError, StoreErrorKind};

use crate::classify::{Effect, classify, is_missing_table};
use crate::config::RollLimits;

/// A log's table, and which log it is. The operations on each kind of item are in that kind's file.
#[derive(Debug, Clone)]
pub(crate) struct LogTable {
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) incarnation: Incarnation,
    pub(crate) limits: RollLimits,
}

impl LogTable {
    /// The error of a failed request on this table.
    pub(crate) fn classify<E>(&self, error: SdkError<E, HttpResponse>, effect: Effect, what: &str) -> StoreError
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        classify_on(&self.name, error, effect, what)
    }
}

/// The error of a failed request on a table.
pub(crate) fn classify_on<E>(table: &str, error: SdkError<E, HttpResponse>, effect: Effect, what: &str) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    if is_missing_table(&error) {
        let message = format!("table `{table}` does not exist: name other tables, or make them with --create");
        return StoreError::new(StoreErrorKind::Invalid, message);
    }
    classify(error, effect, format!("{what} (table `{table}`)"))
}

/// The error for a table without a head.
pub(crate) fn missing_head(table: &str) -> StoreError {
    let message = format!("table `{table}` holds no metadata log: name other tables, or make one with --create");
    StoreError::new(StoreErrorKind::Invalid, message)
}
