//! What a Produce costs in allocations: a few per request, none per partition or record.
//!
//! One test only: the counters are of the whole process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::alloc::System;

use sluice_protocol::messages::{FetchResponse, ProduceRequest, ProduceResponse, fetch, produce};
use sluice_protocol::{ApiKey, Bytes, Rope, Uuid, decode_request, encode_request, encode_response};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn count<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let region = Region::new(ALLOCATOR);
    let out = work();
    let change = region.change();
    (out, change.allocations + change.reallocations, change.bytes_allocated)
}

fn produce_request(partitions: i32, batch_len: usize) -> Bytes {
    let request = ProduceRequest {
        acks: -1,
        topic_data: vec![produce::TopicProduceData {
            topic_id: Uuid::from_u128(7),
            partition_data: (0..partitions)
                .map(|index| produce::PartitionProduceData { index, records: Some(Bytes::from(vec![1; batch_len])) })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    };
    encode_request(1, Some("producer"), 13, &request).unwrap().to_bytes().slice(4..)
}

fn produce_response(partitions: i32) -> ProduceResponse {
    ProduceResponse {
        responses: vec![produce::TopicProduceResponse {
            topic_id: Uuid::from_u128(7),
            partition_responses: (0..partitions)
                .map(|index| produce::PartitionProduceResponse { index, ..Default::default() })
                .collect(),
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn a_produce_allocates_per_request_not_per_partition() {
    for (partitions, batch_len) in [(12, 100), (12, 85_000), (500, 2_000)] {
        let frame = produce_request(partitions, batch_len);
        let ((_, request), allocations, bytes) = count(|| decode_request::<ProduceRequest>(&frame).unwrap());
        assert_eq!(request.topic_data[0].partition_data.len(), usize::try_from(partitions).unwrap());
        // The topics, the partitions, and what `Bytes` needs to share the frame.
        println!(
            "decode Produce, {partitions} partitions of {batch_len} bytes: {allocations} allocations, {bytes} bytes"
        );
        assert!(allocations <= 3, "{allocations} allocations");
    }
    let response = produce_response(12);
    let (rope, allocations, bytes) = count(|| encode_response(1, ApiKey::Produce, 13, &response).unwrap());
    assert_eq!(rope.chunks().len(), 1);
    println!("encode Produce response, 12 partitions: {allocations} allocations, {bytes} bytes");
    assert!(allocations <= 4, "{allocations} allocations");

    let records: Rope = [Bytes::from(vec![1; 61]), Bytes::from(vec![2; 50_000])].into_iter().collect();
    let partition = fetch::PartitionData { records: Some(records), ..Default::default() };
    let response = FetchResponse {
        responses: vec![fetch::FetchableTopicResponse { partitions: vec![partition; 12], ..Default::default() }],
        ..Default::default()
    };
    let (rope, allocations, bytes) = count(|| encode_response(1, ApiKey::Fetch, 13, &response).unwrap());
    println!("encode Fetch response, 12 × 50 KB: {allocations} allocations, {bytes} bytes for {}", rope.len());
    assert!(allocations <= 12, "{allocations} allocations");
    assert!(bytes < 16 * 1024, "{bytes} bytes: records were copied");
}
