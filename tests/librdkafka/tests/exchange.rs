//! librdkafka and kafka-python, each reading what the other wrote, over every store, on one gateway and on two.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use sluice_tests::python::Python;
use sluice_tests::replicas::{Place, Store};
use sluice_tests::workload::expected_digest;
use sluice_tests_librdkafka::{Progress, Read, Write, create_topic, read, write};

const DEADLINE: Duration = Duration::from_secs(90);
const RECORDS: u64 = 1500;
const PARTITIONS: u64 = 3;

fn write_run(bootstrap: String, topic: &str, compression: &'static str) -> Write {
    Write {
        bootstrap,
        topic: topic.to_owned(),
        partitions: PARTITIONS,
        mine: 0..PARTITIONS,
        records: RECORDS,
        seed: 11,
        compression,
        idempotent: true,
        deadline: DEADLINE,
    }
}

fn read_run(bootstrap: String, topic: &str, seed: u64) -> Read {
    Read {
        bootstrap,
        topic: topic.to_owned(),
        partitions: PARTITIONS,
        mine: 0..PARTITIONS,
        records: RECORDS,
        seed,
        isolation: "read_committed",
        deadline: DEADLINE,
    }
}

/// Each client writes through the first gateway what both read through the last one.
fn exchange(store: Store, gateways: usize, compression: &'static str) {
    let Some(place) = Place::start(store, gateways) else { return };
    create_topic(&place.first(), "by-librdkafka", PARTITIONS).unwrap();
    let acked = write(&write_run(place.first(), "by-librdkafka", compression), &Progress::default()).unwrap();
    assert_eq!(acked, RECORDS);
    let own = (RECORDS, expected_digest(11, RECORDS, PARTITIONS));
    assert_eq!(read(&read_run(place.last(), "by-librdkafka", 11)).unwrap(), own);

    let Some(python) = Python::find() else { return };
    let (records, partitions) = (RECORDS.to_string(), PARTITIONS.to_string());
    let counts = ["--records", &records, "--partitions", &partitions];
    let bootstrap = place.last();
    let consume = [&["--bootstrap", &bootstrap, "--topic", "by-librdkafka"], &counts[..]].concat();
    assert_eq!(python.run("consume.py", &consume, DEADLINE), format!("read {} {}", own.0, own.1));

    let bootstrap = place.first();
    let topic = ["--bootstrap", &bootstrap, "--topic", "by-python", "--seed", "12", "--compression", compression];
    let produce = [&topic[..], &counts[..]].concat();
    assert_eq!(python.run("produce.py", &produce, DEADLINE), format!("acked {RECORDS}"));
    let theirs = (RECORDS, expected_digest(12, RECORDS, PARTITIONS));
    assert_eq!(read(&read_run(place.last(), "by-python", 12)).unwrap(), theirs);
}

#[test]
fn clients_read_each_other_over_memory_with_one_gateway() {
    exchange(Store::Memory, 1, "gzip");
}

#[test]
fn clients_read_each_other_over_memory_through_another_gateway() {
    // Holds: I-06
    exchange(Store::Memory, 2, "none");
}

#[test]
fn clients_read_each_other_over_disk_with_one_gateway() {
    exchange(Store::Disk, 1, "zstd");
}

#[test]
fn clients_read_each_other_over_disk_through_another_gateway() {
    exchange(Store::Disk, 2, "snappy");
}

#[test]
fn clients_read_each_other_over_s3_and_dynamodb_with_one_process() {
    exchange(Store::Ministack, 1, "none");
}

#[test]
fn clients_read_each_other_over_s3_and_dynamodb_through_another_process() {
    // Holds: I-06
    exchange(Store::Ministack, 2, "lz4");
}

#[test]
fn librdkafka_writes_without_idempotence_and_with_every_codec() {
    let place = Place::start(Store::Memory, 2).unwrap();
    for compression in ["none", "gzip", "snappy", "lz4", "zstd"] {
        create_topic(&place.first(), compression, PARTITIONS).unwrap();
        let run = Write { idempotent: false, ..write_run(place.first(), compression, compression) };
        assert_eq!(write(&run, &Progress::default()).unwrap(), RECORDS);
        let run = Read { isolation: "read_uncommitted", ..read_run(place.last(), compression, 11) };
        assert_eq!(read(&run).unwrap().0, RECORDS, "{compression}");
    }
}

#[test]
fn a_reader_that_expects_other_records_says_so() {
    let place = Place::start(Store::Memory, 1).unwrap();
    create_topic(&place.first(), "t", PARTITIONS).unwrap();
    write(&write_run(place.first(), "t", "none"), &Progress::default()).unwrap();
    let changed = read(&read_run(place.first(), "t", 99)).unwrap_err().to_string();
    assert!(changed.contains("is not record"), "{changed}");
    let missing = Read { records: RECORDS + 1, deadline: Duration::from_secs(3), ..read_run(place.first(), "t", 11) };
    let missing = read(&missing).unwrap_err().to_string();
    assert!(missing.contains("before the deadline"), "{missing}");
    let too_many = read(&Read { records: RECORDS - 1, ..read_run(place.first(), "t", 11) }).unwrap_err().to_string();
    assert!(too_many.contains("was written") || too_many.contains("is not record"), "{too_many}");
}
