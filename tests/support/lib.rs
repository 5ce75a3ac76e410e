//! Support for the suites of this folder: processes, replicas, clients, records.
//!
//! Promises: whatever a test starts here ends with it, also when it panics; nothing listens anywhere but on 127.0.0.1;
//! what a machine lacks is a failure in CI and a counted skip elsewhere. Never: asserts anything about the gateway.
//! Called by the suites of `tests/` and by `tests/librdkafka`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

pub mod admin_tools;
pub mod balancer;
pub mod batches;
pub mod chaos;
pub mod company;
pub mod crowd;
pub mod emulator;
pub mod feed;
pub mod fleet;
pub mod group_cells;
pub mod group_lag;
pub mod group_tools;
pub mod matrix_records;
pub mod members;
pub mod ownership;
pub mod process;
pub mod python;
pub mod raw;
pub mod replicas;
pub mod skip;
pub mod workload;

use std::path::{Path, PathBuf};

/// The root of the repository.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}
