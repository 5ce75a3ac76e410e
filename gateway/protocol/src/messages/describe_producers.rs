//! DescribeProducers (key 61), version 0 (KIP-664). Flexible from the start.

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks for the producers that partitions know.
    request DescribeProducersRequest -> DescribeProducersResponse (DescribeProducers, 0..=0, flexible 0) {
        /// The topics.
        topics: Vec<TopicRequest> => since(0);
    }
}

message! {
    /// A topic asked for.
    struct TopicRequest {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partition_indexes: Vec<i32> => since(0);
    }
}

message! {
    /// The producers that partitions know.
    struct DescribeProducersResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0);
        /// The topics.
        topics: Vec<TopicResponse> => since(0);
    }
}

message! {
    /// The producers of one topic.
    struct TopicResponse {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partitions: Vec<PartitionResponse> => since(0);
    }
}

message! {
    /// The producers of one partition.
    struct PartitionResponse {
        /// The partition.
        partition_index: i32 => since(0);
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Why, or null.
        error_message: Option<KString> = None => since(0).nullable(0);
        /// The producers.
        active_producers: Vec<ProducerState> => since(0);
    }
}

message! {
    /// What a partition knows of a producer.
    struct ProducerState {
        /// Id of the producer.
        producer_id: i64 => since(0);
        /// Its epoch.
        producer_epoch: i32 => since(0);
        /// Sequence of its last record, or −1.
        last_sequence: i32 = -1 => since(0);
        /// Timestamp of its last batch, in milliseconds, or −1.
        last_timestamp: i64 = -1 => since(0);
        /// Epoch of its transaction coordinator.
        coordinator_epoch: i32 => since(0);
        /// First offset of its open transaction, or −1.
        current_txn_start_offset: i64 = -1 => since(0);
    }
}
