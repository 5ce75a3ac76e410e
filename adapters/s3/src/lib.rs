//! The object store on Amazon S3 and what speaks its API.
//!
//! Promises: each call of [`ObjectStore`](sluice_store::ObjectStore) is one S3 request (a listing or a deletion of more
//! than 1,000 keys: one per 1,000); every request has a time limit; every failure is classified in one table, `classify`.
//! Never: retries (the `retry` decorator does), joins or copies the bytes it is given, computes a checksum, or knows what
//! an object holds.
//! Called by `sluice`, which composes it, and by the tests.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod classify;
mod config;
mod dates;
mod rope;
mod store;

pub use config::{Credentials, S3Config};
pub use store::S3ObjectStore;
