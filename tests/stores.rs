//! The stores on AWS's APIs: the contract suite on both adapters, and the rules that only an adapter can break.
//!
//! Runs on MiniStack, or on what `SLUICE_TEST_S3` and `SLUICE_TEST_DYNAMODB` name (see `localstack/README.md`). Every
//! test has a bucket or a table of its own. Below it: one file per subject.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

#[path = "stores/damage.rs"]
mod damage;
#[path = "stores/dynamodb.rs"]
mod dynamodb;
#[path = "stores/emulators.rs"]
mod emulators;
#[path = "stores/fixtures.rs"]
mod fixtures;
#[path = "stores/offsets.rs"]
mod offsets;
#[path = "stores/proxy.rs"]
mod proxy;
#[path = "stores/s3.rs"]
mod s3;

mod s3_contract {
    sluice_store::object_store_contract!(super::fixtures::object_store);
}

mod dynamodb_contract {
    sluice_store::metadata_log_contract!(super::fixtures::metadata_log);
}

/// The same with limits so small that every few appends roll: every promise over chunks (L5, L6).
mod dynamodb_contract_with_constant_rolling {
    sluice_store::metadata_log_contract!(super::fixtures::rolling_metadata_log);
}
