//! kafka-python against every store, on one gateway and on two.
//!
//! Promises: what it writes through one gateway it reads through the other, whole, in order and unchanged. What it
//! exchanges with librdkafka is in `tests/librdkafka`. Called by `cargo test`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use sluice_tests::python::Python;
use sluice_tests::replicas::{Place, Store};
use sluice_tests::workload::expected_digest;

const DEADLINE: Duration = Duration::from_secs(90);
const RECORDS: u64 = 1500;
const PARTITIONS: u64 = 3;

/// Writes through the first gateway and reads through the last one.
fn write_and_read(store: Store, gateways: usize, compression: &str, isolation: &str) {
    let Some(python) = Python::find() else { return };
    let Some(place) = Place::start(store, gateways) else { return };
    let (records, partitions) = (RECORDS.to_string(), PARTITIONS.to_string());
    let (first, last) = (place.first(), place.last());
    let shared = ["--topic", "python", "--records", &records, "--partitions", &partitions];
    let write = [&["--bootstrap", &first, "--seed", "7", "--compression", compression], &shared[..]].concat();
    assert_eq!(python.run("produce.py", &write, DEADLINE), format!("acked {RECORDS}"));
    let read = [&["--bootstrap", &last, "--isolation", isolation], &shared[..]].concat();
    let wanted = format!("read {RECORDS} {}", expected_digest(7, RECORDS, PARTITIONS));
    assert_eq!(python.run("consume.py", &read, DEADLINE), wanted);
}

#[test]
fn python_reads_what_it_wrote_over_memory_with_one_gateway() {
    write_and_read(Store::Memory, 1, "none", "read_uncommitted");
}

#[test]
fn python_reads_what_it_wrote_over_memory_through_another_gateway() {
    // Holds: I-06
    write_and_read(Store::Memory, 2, "zstd", "read_committed");
}

#[test]
fn python_reads_what_it_wrote_over_disk_with_one_gateway() {
    write_and_read(Store::Disk, 1, "lz4", "read_committed");
}

#[test]
fn python_reads_what_it_wrote_over_disk_through_another_gateway() {
    write_and_read(Store::Disk, 2, "gzip", "read_uncommitted");
}

#[test]
fn python_reads_what_it_wrote_over_s3_and_dynamodb_with_one_process() {
    write_and_read(Store::Ministack, 1, "snappy", "read_uncommitted");
}

#[test]
fn python_reads_what_it_wrote_over_s3_and_dynamodb_through_another_process() {
    // Holds: I-06
    write_and_read(Store::Ministack, 2, "none", "read_committed");
}
