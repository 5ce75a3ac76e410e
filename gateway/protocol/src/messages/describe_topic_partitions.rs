//! DescribeTopicPartitions (key 75), version 0 (KIP-966). Flexible from the start.

use uuid::Uuid;

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

/// Authorized operations were not asked for.
const NOT_ASKED: i32 = i32::MIN;

message! {
    /// Asks for partitions, as many at a time as fit.
    request DescribeTopicPartitionsRequest -> DescribeTopicPartitionsResponse
        (DescribeTopicPartitions, 0..=0, flexible 0) {
        /// The topics; empty for all.
        topics: Vec<TopicRequest> => since(0);
        /// How many partitions the answer may have at most.
        response_partition_limit: i32 = 2000 => since(0);
        /// Where to go on, or null to begin.
        cursor: Option<Cursor> = None => since(0).nullable(0);
    }
}

message! {
    /// A topic asked for.
    struct TopicRequest {
        /// The topic.
        name: KString => since(0);
    }
}

message! {
    /// The first partition that was not told yet.
    struct Cursor {
        /// Its topic.
        topic_name: KString => since(0);
        /// The partition.
        partition_index: i32 => since(0);
    }
}

message! {
    /// Partitions.
    struct DescribeTopicPartitionsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0).ignorable();
        /// The topics.
        topics: Vec<DescribeTopicPartitionsResponseTopic> => since(0);
        /// Where to go on, or null if this is all.
        next_cursor: Option<Cursor> = None => since(0).nullable(0);
    }
}

message! {
    /// A topic.
    struct DescribeTopicPartitionsResponseTopic {
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Name, or null.
        name: Option<KString> = Some(KString::new()) => since(0).nullable(0);
        /// Id; zero for an unknown topic.
        topic_id: Uuid => since(0).ignorable();
        /// Whether the topic is internal.
        is_internal: bool => since(0).ignorable();
        /// The partitions.
        partitions: Vec<DescribeTopicPartitionsResponsePartition> => since(0);
        /// What the client may do to the topic, as bits; the least i32 if not told.
        topic_authorized_operations: i32 = NOT_ASKED => since(0);
    }
}

message! {
    /// A partition.
    struct DescribeTopicPartitionsResponsePartition {
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// The partition.
        partition_index: i32 => since(0);
        /// Node id of the leader; −1 if none.
        leader_id: i32 => since(0);
        /// Epoch of the leader.
        leader_epoch: i32 = -1 => since(0).ignorable();
        /// Node ids of all replicas.
        replica_nodes: Vec<i32> => since(0);
        /// Node ids of the in-sync replicas.
        isr_nodes: Vec<i32> => since(0);
        /// Node ids of replicas that could lead though they are not in sync, or null.
        eligible_leader_replicas: Option<Vec<i32>> = None => since(0).nullable(0);
        /// Those that last could, or null.
        last_known_elr: Option<Vec<i32>> = None => since(0).nullable(0);
        /// Node ids of the offline replicas.
        offline_replicas: Vec<i32> => since(0).ignorable();
    }
}
