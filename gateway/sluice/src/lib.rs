//! The `sluice` binary as a library: command line, configuration, and the composition root.
//!
//! Promises: this crate alone names concrete adapters; a gateway started here is the one the binary runs, so that tests
//! may start several over the same stores in one process ([`open_stores`], [`start_gateway`]). Every failure to start is
//! one line that says what to do. Never: holds Kafka semantics, or state of its own.
//! Called by `main` and by the tests.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

pub mod check;
pub mod cli;
pub mod config;
mod descriptors;
pub mod gateway;
pub mod listeners;
mod logging;
pub mod run;
mod signals;
pub mod stores;

pub use gateway::{Gateway, GatewayConfig, Listeners, start_gateway};
pub use stores::{AwsStore, StoreConfig, Stores, open_stores};
