//! DeleteRecords (key 21), versions 0–2 (KIP-107).
//!
//! Version notes: 1 as 0 · 2 flexible.

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Moves the starts of logs forward.
    request DeleteRecordsRequest -> DeleteRecordsResponse (DeleteRecords, 0..=2, flexible 2) {
        /// The topics.
        topics: Vec<DeleteRecordsTopic> => since(0);
        /// How long the answer may take, in milliseconds.
        timeout_ms: i32 => since(0);
    }
}

message! {
    /// A topic to delete records of.
    struct DeleteRecordsTopic {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partitions: Vec<DeleteRecordsPartition> => since(0);
    }
}

message! {
    /// A partition to delete records of.
    struct DeleteRecordsPartition {
        /// The partition.
        partition_index: i32 => since(0);
        /// The first offset to keep; −1 for the high watermark.
        offset: i64 => since(0);
    }
}

message! {
    /// What became of the records.
    struct DeleteRecordsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0);
        /// The topics.
        topics: Vec<DeleteRecordsTopicResult> => since(0);
    }
}

message! {
    /// What became of the records of one topic.
    struct DeleteRecordsTopicResult {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partitions: Vec<DeleteRecordsPartitionResult> => since(0);
    }
}

message! {
    /// What became of the records of one partition.
    struct DeleteRecordsPartitionResult {
        /// The partition.
        partition_index: i32 => since(0);
        /// The start of the log now; −1 under an error.
        low_watermark: i64 => since(0);
        /// The error, if any.
        error_code: ErrorCode => since(0);
    }
}
