//! The metadata log and the offsets view on Amazon DynamoDB and what speaks its API.
//!
//! Promises: an append is one request that never conflicts with another append and answers with the whole tail; rules L4
//! to L6 and L8 of the log hold; every request has a time limit; every failure is classified in one table, `classify`.
//! Never: retries (the `retry` decorator does, and L1 forbids it for appends), reads an entry's bytes, or deletes a body.
//! Called by `sluice`, which composes it, and by the tests.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod bodies;
mod chunks;
mod classify;
mod config;
mod create;
mod head;
mod layout;
mod log;
mod offsets_item;
mod offsets_view;
mod roll;
mod table;

pub use config::{Credentials, DynamoDbConfig, RollLimits};
pub use log::DynamoDbLog;
pub use offsets_view::DynamoDbOffsetsView;
