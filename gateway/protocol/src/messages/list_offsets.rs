//! ListOffsets (key 2), versions 0–11.
//!
//! Version notes: 0 a list of offsets per partition (Kafka 4 begins at version 1; the layout is that of Kafka 2.8) · 1
//! one offset and its timestamp (KIP-79) · 2 isolation level, throttle time · 4 leader epochs (KIP-320) · 6 flexible ·
//! 7 timestamp −3: largest timestamp (KIP-734) · 8 −4: local log start (KIP-405) · 9 −5: last tiered (KIP-1005) · 10
//! timeout (KIP-1075) · 11 −6: earliest pending upload (KIP-1023).

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks for offsets by timestamp.
    request ListOffsetsRequest -> ListOffsetsResponse (ListOffsets, 0..=11, flexible 6) {
        /// −1 for a consumer.
        replica_id: i32 => since(0);
        /// 0: read uncommitted; 1: read committed, so that the end is the last stable offset.
        isolation_level: i8 => since(2);
        /// The topics.
        topics: Vec<ListOffsetsTopic> => since(0);
        /// How long a remote look-up may take, in milliseconds.
        timeout_ms: i32 => since(10).ignorable();
    }
}

message! {
    /// A topic asked for.
    struct ListOffsetsTopic {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partitions: Vec<ListOffsetsPartition> => since(0);
    }
}

message! {
    /// A partition asked for.
    struct ListOffsetsPartition {
        /// The partition.
        partition_index: i32 => since(0);
        /// The leader epoch the client knows, or −1.
        current_leader_epoch: i32 = -1 => since(4).ignorable();
        /// In milliseconds; −1 for the end, −2 for the start, others as in the version notes.
        timestamp: i64 => since(0);
        /// How many offsets to tell at most, in version 0 only.
        max_num_offsets: i32 = 1 => since(0).until(0);
    }
}

message! {
    /// Offsets by timestamp.
    struct ListOffsetsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(2).ignorable();
        /// The topics.
        topics: Vec<ListOffsetsTopicResponse> => since(0);
    }
}

message! {
    /// The offsets of one topic.
    struct ListOffsetsTopicResponse {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partitions: Vec<ListOffsetsPartitionResponse> => since(0);
    }
}

message! {
    /// The offset of one partition.
    struct ListOffsetsPartitionResponse {
        /// The partition.
        partition_index: i32 => since(0);
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Starts of segments before the timestamp, the newest first, in version 0 only.
        old_style_offsets: Vec<i64> => since(0).until(0);
        /// Timestamp of the record found, in milliseconds, or −1.
        timestamp: i64 = -1 => since(1);
        /// The offset found, or −1.
        offset: i64 = -1 => since(1);
        /// Epoch of the leader that wrote the record, or −1.
        leader_epoch: i32 = -1 => since(4);
    }
}
