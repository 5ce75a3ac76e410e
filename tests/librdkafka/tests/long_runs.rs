//! The long runs in their short form; `make conformance` does them with a million records.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use sluice_tests::replicas::start_over_ministack;
use sluice_tests_librdkafka::long_run::{Size, over_disk, over_two};

const DEADLINE: Duration = Duration::from_secs(120);

#[test]
fn twenty_thousand_records_over_disk_are_read_once_in_order_and_unchanged() {
    // Holds: I-02
    let folder = tempfile::tempdir().unwrap();
    let size = Size { records: 20_000, partitions: 6, deadline: DEADLINE };
    let report = over_disk(folder.path(), size, 0).unwrap();
    assert_eq!(report.records, size.records);
}

#[test]
fn fifty_thousand_records_survive_two_kills_without_loss_or_duplicate() {
    // Holds: I-01, I-11
    let folder = tempfile::tempdir().unwrap();
    let size = Size { records: 50_000, partitions: 6, deadline: DEADLINE };
    let report = over_disk(folder.path(), size, 2).unwrap();
    assert_eq!((report.records, report.kills), (size.records, 2));
}

#[test]
fn twenty_thousand_records_over_s3_and_dynamodb_cross_between_two_processes() {
    // Holds: I-02, I-06
    let size = Size { records: 20_000, partitions: 6, deadline: DEADLINE };
    let Some(gateways) = start_over_ministack(2) else { return };
    let report = over_two(&gateways, size).unwrap();
    assert_eq!(report.records, size.records);
}
