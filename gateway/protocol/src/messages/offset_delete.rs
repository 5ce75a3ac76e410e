//! OffsetDelete (key 47), version 0 (KIP-496). It has no flexible version: its headers are the old ones too.

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Deletes committed offsets of a group.
    request OffsetDeleteRequest -> OffsetDeleteResponse (OffsetDelete, 0..=0, flexible i16::MAX) {
        /// The group.
        group_id: KString => since(0);
        /// The topics.
        topics: Vec<OffsetDeleteRequestTopic> => since(0);
    }
}

message! {
    /// A topic to delete offsets of.
    struct OffsetDeleteRequestTopic {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partitions: Vec<OffsetDeleteRequestPartition> => since(0);
    }
}

message! {
    /// A partition to delete the offset of.
    struct OffsetDeleteRequestPartition {
        /// The partition.
        partition_index: i32 => since(0);
    }
}

message! {
    /// What became of the offsets. The error comes before the throttle time, unlike everywhere else.
    struct OffsetDeleteResponse {
        /// Error of the whole request.
        error_code: ErrorCode => since(0);
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0).ignorable();
        /// The topics; empty if the whole request failed.
        topics: Vec<OffsetDeleteResponseTopic> => since(0);
    }
}

message! {
    /// What became of the offsets of one topic.
    struct OffsetDeleteResponseTopic {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partitions: Vec<OffsetDeleteResponsePartition> => since(0);
    }
}

message! {
    /// What became of the offset of one partition.
    struct OffsetDeleteResponsePartition {
        /// The partition.
        partition_index: i32 => since(0);
        /// The error, if any.
        error_code: ErrorCode => since(0);
    }
}
