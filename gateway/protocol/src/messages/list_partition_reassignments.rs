//! ListPartitionReassignments (key 46), version 0 (KIP-455). Flexible from the start.

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks for the reassignments under way.
    request ListPartitionReassignmentsRequest -> ListPartitionReassignmentsResponse
        (ListPartitionReassignments, 0..=0, flexible 0) {
        /// How long the answer may take, in milliseconds.
        timeout_ms: i32 = 60_000 => since(0);
        /// The topics; null for all.
        topics: Option<Vec<ListPartitionReassignmentsTopics>> = None => since(0).nullable(0);
    }
}

message! {
    /// A topic asked for.
    struct ListPartitionReassignmentsTopics {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partition_indexes: Vec<i32> => since(0);
    }
}

message! {
    /// The reassignments under way.
    struct ListPartitionReassignmentsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0);
        /// Error of the whole request.
        error_code: ErrorCode => since(0);
        /// Why, or null. Set it to null on success: the default is the empty string.
        error_message: Option<KString> = Some(KString::new()) => since(0).nullable(0);
        /// The topics.
        topics: Vec<OngoingTopicReassignment> => since(0);
    }
}

message! {
    /// The reassignments of one topic.
    struct OngoingTopicReassignment {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partitions: Vec<OngoingPartitionReassignment> => since(0);
    }
}

message! {
    /// The reassignment of one partition.
    struct OngoingPartitionReassignment {
        /// The partition.
        partition_index: i32 => since(0);
        /// Node ids of all its replicas.
        replicas: Vec<i32> => since(0);
        /// Those being added.
        adding_replicas: Vec<i32> => since(0);
        /// Those being removed.
        removing_replicas: Vec<i32> => since(0);
    }
}
