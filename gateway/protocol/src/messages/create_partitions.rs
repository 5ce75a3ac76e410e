//! CreatePartitions (key 37), versions 0–3 (KIP-195).
//!
//! Version notes: 1 as 0 · 2 flexible · 3 THROTTLING_QUOTA_EXCEEDED (KIP-599).

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Adds partitions to topics.
    request CreatePartitionsRequest -> CreatePartitionsResponse (CreatePartitions, 0..=3, flexible 2) {
        /// The topics.
        topics: Vec<CreatePartitionsTopic> => since(0);
        /// How long the answer may take, in milliseconds.
        timeout_ms: i32 => since(0);
        /// Check only, create nothing.
        validate_only: bool => since(0);
    }
}

message! {
    /// A topic to add partitions to.
    struct CreatePartitionsTopic {
        /// The topic.
        name: KString => since(0);
        /// How many partitions it shall have in all.
        count: i32 => since(0);
        /// Replicas of the new partitions by hand, or null.
        assignments: Option<Vec<CreatePartitionsAssignment>> = Some(Vec::new()) => since(0).nullable(0);
    }
}

message! {
    /// The replicas of one new partition.
    struct CreatePartitionsAssignment {
        /// Node ids of its replicas.
        broker_ids: Vec<i32> => since(0);
    }
}

message! {
    /// What became of the topics.
    struct CreatePartitionsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0);
        /// The topics.
        results: Vec<CreatePartitionsTopicResult> => since(0);
    }
}

message! {
    /// What became of one topic.
    struct CreatePartitionsTopicResult {
        /// The topic.
        name: KString => since(0);
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Why, or null.
        error_message: Option<KString> = None => since(0).nullable(0);
    }
}
