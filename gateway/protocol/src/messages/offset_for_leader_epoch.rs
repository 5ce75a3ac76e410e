//! OffsetForLeaderEpoch (key 23), versions 0–4.
//!
//! Version notes: 1 the answer tells the epoch found · 2 the leader epoch the client knows (KIP-320), throttle time ·
//! 3 replica id · 4 flexible. Kafka 4 begins at version 2; the layouts of 0 and 1 are those of Kafka 2.8.

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks where leader epochs ended.
    request OffsetForLeaderEpochRequest -> OffsetForLeaderEpochResponse (OffsetForLeaderEpoch, 0..=4, flexible 4) {
        /// Node id of a follower, −1 for a consumer, −2 for a tool.
        replica_id: i32 = -2 => since(3).ignorable();
        /// The topics.
        topics: Vec<OffsetForLeaderTopic> => since(0);
    }
}

message! {
    /// A topic asked for.
    struct OffsetForLeaderTopic {
        /// The topic.
        topic: KString => since(0);
        /// The partitions.
        partitions: Vec<OffsetForLeaderPartition> => since(0);
    }
}

message! {
    /// A partition asked for.
    struct OffsetForLeaderPartition {
        /// The partition.
        partition: i32 => since(0);
        /// The leader epoch the client knows, or −1.
        current_leader_epoch: i32 = -1 => since(2).ignorable();
        /// The epoch whose end is asked for.
        leader_epoch: i32 => since(0);
    }
}

message! {
    /// Where leader epochs ended.
    struct OffsetForLeaderEpochResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(2).ignorable();
        /// The topics.
        topics: Vec<OffsetForLeaderTopicResult> => since(0);
    }
}

message! {
    /// The ends of the epochs of one topic.
    struct OffsetForLeaderTopicResult {
        /// The topic.
        topic: KString => since(0);
        /// The partitions.
        partitions: Vec<EpochEndOffset> => since(0);
    }
}

message! {
    /// The end of an epoch of one partition. The error comes before the partition, unlike elsewhere.
    struct EpochEndOffset {
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// The partition.
        partition: i32 => since(0);
        /// The largest epoch that is not above the one asked for, or −1.
        leader_epoch: i32 = -1 => since(1).ignorable();
        /// One past its last offset, or −1.
        end_offset: i64 = -1 => since(0);
    }
}
