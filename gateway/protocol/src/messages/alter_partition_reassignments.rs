//! AlterPartitionReassignments (key 45), versions 0–1 (KIP-455). Flexible from the start.
//!
//! Version notes: 1 a change of the number of replicas can be declined (KIP-860).

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Moves replicas of partitions, or calls a move off.
    request AlterPartitionReassignmentsRequest -> AlterPartitionReassignmentsResponse
        (AlterPartitionReassignments, 0..=1, flexible 0) {
        /// How long the answer may take, in milliseconds.
        timeout_ms: i32 = 60_000 => since(0);
        /// Whether the number of replicas may change.
        allow_replication_factor_change: bool = true => since(1);
        /// The topics.
        topics: Vec<ReassignableTopic> => since(0);
    }
}

message! {
    /// A topic to reassign.
    struct ReassignableTopic {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partitions: Vec<ReassignablePartition> => since(0);
    }
}

message! {
    /// A partition to reassign.
    struct ReassignablePartition {
        /// The partition.
        partition_index: i32 => since(0);
        /// Node ids of its new replicas; null calls its reassignment off.
        replicas: Option<Vec<i32>> = None => since(0).nullable(0);
    }
}

message! {
    /// What became of the reassignments.
    struct AlterPartitionReassignmentsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0);
        /// What the request said.
        allow_replication_factor_change: bool = true => since(1).ignorable();
        /// Error of the whole request.
        error_code: ErrorCode => since(0);
        /// Why, or null. Set it to null on success: the default is the empty string.
        error_message: Option<KString> = Some(KString::new()) => since(0).nullable(0);
        /// The topics.
        responses: Vec<ReassignableTopicResponse> => since(0);
    }
}

message! {
    /// What became of one topic.
    struct ReassignableTopicResponse {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partitions: Vec<ReassignablePartitionResponse> => since(0);
    }
}

message! {
    /// What became of one partition.
    struct ReassignablePartitionResponse {
        /// The partition.
        partition_index: i32 => since(0);
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Why, or null. Set it to null on success: the default is the empty string.
        error_message: Option<KString> = Some(KString::new()) => since(0).nullable(0);
    }
}
