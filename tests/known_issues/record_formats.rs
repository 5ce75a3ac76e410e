//! Known issue 6: clients of every age, whatever the format and the codec of their records, through whichever gateway.
//!
//! The message sets are Kafka 2.8.2's (`gateway/records/tests/golden`).

use bytes::{Buf, Bytes};
use sluice_protocol::ErrorCode;
use sluice_records::{BatchHeader, MessageSetRules, RecordWants, TargetCompression, convert_message_set, records};
use sluice_tests::raw::{RawClient, fetch_request, produce_request};
use sluice_tests::replicas::Replicas;

const WRITTEN_BY_KAFKA: &str = include_str!("../../gateway/records/tests/golden/message-sets-2.8.2.txt");

fn golden(name: &str) -> Bytes {
    let hex = WRITTEN_BY_KAFKA.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).unwrap();
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

type Row = (i64, Option<Bytes>, Option<Bytes>);

/// Timestamps, keys and values of batches.
fn rows_of_batches(mut bytes: Bytes) -> Vec<Row> {
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        let header = BatchHeader::parse(&bytes).unwrap();
        for record in records(&bytes.split_to(header.total_len()), 1 << 20).unwrap() {
            let record = record.unwrap();
            rows.push((record.timestamp(&header), record.key, record.value));
        }
    }
    rows
}

/// The same of message sets, whose magic must be this one.
fn rows_of_sets(mut bytes: Bytes, magic: u8) -> Vec<Row> {
    let rules = MessageSetRules {
        max_batch_bytes: usize::MAX,
        max_decompressed: 1 << 20,
        wants: RecordWants::NOTHING,
        target: TargetCompression::Producer,
    };
    let mut rows = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes[16], magic);
        let size = usize::try_from((&bytes[8..12]).get_i32()).unwrap();
        let batch = convert_message_set(&bytes.split_to(12 + size), &rules).unwrap();
        rows.extend(rows_of_batches(batch.to_bytes()));
    }
    rows
}

#[test]
fn issue_6_record_formats_0_and_1_are_written_and_read_by_clients_of_every_age() {
    // Holds: I-06
    let replicas = Replicas::over_memory(2);
    let (mut one, mut other) = (RawClient::connect(replicas.kafka(0)), RawClient::connect(replicas.kafka(1)));
    for codec in ["none", "gzip", "snappy", "lz4"] {
        for (version, magic) in [(0, 0), (1, 0), (2, 0), (2, 1)] {
            let (topic, set) = (format!("{codec}-{version}-{magic}"), golden(&format!("set-{magic}-{codec}")));
            assert_eq!(one.create_topic(&topic, 1), ErrorCode::NONE);
            let produced = one.request(version, &produce_request(&topic, 0, set.clone()));
            let produced = &produced.responses[0].partition_responses[0];
            assert_eq!((produced.error_code, produced.base_offset), (ErrorCode::NONE, 0), "{topic}");
            let fetched = other.fetch(&topic, 0, 0, 5000).records.unwrap().to_bytes();
            let expected = rows_of_sets(set, magic);
            assert_eq!(rows_of_batches(fetched), expected, "{topic}");
            for (fetch_version, read_magic) in [(0, 0), (1, 0), (2, 1), (3, 1)] {
                let response = other.request(fetch_version, &fetch_request(&topic, 0, 0, 5000));
                let block = &response.responses[0].partitions[0];
                assert_eq!(block.error_code, ErrorCode::NONE);
                let mut expected = expected.clone();
                if read_magic == 0 {
                    expected.iter_mut().for_each(|row| row.0 = -1);
                }
                let read = rows_of_sets(block.records.clone().unwrap().to_bytes(), read_magic);
                assert_eq!(read, expected, "{topic} read by {fetch_version}");
            }
        }
    }
}
