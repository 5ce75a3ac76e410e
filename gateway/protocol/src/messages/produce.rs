//! Produce (key 0), versions 0–13.
//!
//! Version notes: 0–2 message sets v0/v1 (Kafka 4 has no layout for them; it is that of 3 without the transactional id) ·
//! 1 throttle time · 2 log append time · 3 transactional id, record batches v2 · 5 log start offset ·
//! 7 zstd (KIP-110) · 8 record errors (KIP-467) · 9 flexible · 10 leader discovery (KIP-951) · 11 TRANSACTION_ABORTABLE ·
//! 12 adds partitions to transactions implicitly (KIP-890) · 13 topic ids in place of names (KIP-516).

use bytes::Bytes;
use uuid::Uuid;

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Appends batches to partitions.
    request ProduceRequest -> ProduceResponse (Produce, 0..=13, flexible 9) {
        /// The transaction the batches belong to, or null.
        transactional_id: Option<KString> => since(3).nullable(3);
        /// 0: no answer is wanted; 1: the leader's acknowledgement; −1: that of all in-sync replicas.
        acks: i16 => since(0);
        /// How long the answer may take, in milliseconds.
        timeout_ms: i32 => since(0);
        /// The topics.
        topic_data: Vec<TopicProduceData> => since(0);
    }
}

message! {
    /// What to append to one topic.
    struct TopicProduceData {
        /// The topic, up to version 12.
        name: KString => since(0).until(12).ignorable();
        /// The topic, from version 13 on.
        topic_id: Uuid => since(13).ignorable();
        /// The partitions.
        partition_data: Vec<PartitionProduceData> => since(0);
    }
}

message! {
    /// What to append to one partition.
    struct PartitionProduceData {
        /// The partition.
        index: i32 => since(0);
        /// Record batches (message sets before version 3): a slice of the frame.
        records: Option<Bytes> => since(0).nullable(0);
    }
}

message! {
    /// What became of the batches.
    struct ProduceResponse {
        /// The topics.
        responses: Vec<TopicProduceResponse> => since(0);
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(1).ignorable();
        /// Endpoints of the leaders named under NOT_LEADER_OR_FOLLOWER.
        node_endpoints: Vec<NodeEndpoint> => since(10).tag(0);
    }
}

message! {
    /// What became of the batches of one topic.
    struct TopicProduceResponse {
        /// The topic, up to version 12.
        name: KString => since(0).until(12).ignorable();
        /// The topic, from version 13 on.
        topic_id: Uuid => since(13).ignorable();
        /// The partitions.
        partition_responses: Vec<PartitionProduceResponse> => since(0);
    }
}

message! {
    /// What became of the batches of one partition.
    struct PartitionProduceResponse {
        /// The partition.
        index: i32 => since(0);
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Offset of the first record.
        base_offset: i64 => since(0);
        /// Timestamp of the append if the topic uses LogAppendTime, in milliseconds; else −1.
        log_append_time_ms: i64 = -1 => since(2).ignorable();
        /// First offset of the partition's log.
        log_start_offset: i64 = -1 => since(5).ignorable();
        /// The records that made the batch be refused.
        record_errors: Vec<BatchIndexAndErrorMessage> => since(8).ignorable();
        /// Why the batch was refused, or null.
        error_message: Option<KString> => since(8).nullable(8).ignorable();
        /// The leader, if this broker is not it.
        current_leader: LeaderIdAndEpoch => since(10).tag(0);
    }
}

message! {
    /// A record that made its batch be refused.
    struct BatchIndexAndErrorMessage {
        /// Index of the record in the batch.
        batch_index: i32 => since(8);
        /// Why, or null.
        batch_index_error_message: Option<KString> => since(8).nullable(8);
    }
}

message! {
    /// A leader and its epoch, −1 where unknown.
    struct LeaderIdAndEpoch {
        /// Node id of the leader.
        leader_id: i32 = -1 => since(10);
        /// Epoch of the leader.
        leader_epoch: i32 = -1 => since(10);
    }
}

message! {
    /// Where a node listens.
    struct NodeEndpoint {
        /// Node id.
        node_id: i32 => since(10);
        /// Host name.
        host: KString => since(10);
        /// Port.
        port: i32 => since(10);
        /// Rack, or null.
        rack: Option<KString> => since(10).nullable(10);
    }
}
