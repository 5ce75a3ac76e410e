//! Fetch (key 1), versions 0–18.
//!
//! Version notes: 0–3 message sets v0/v1 (Kafka 4 begins at version 4; the layouts are those of Kafka 2.8) · 1 throttle
//! time · 2 message sets v1 (KIP-32) · 3 bytes of the whole answer (KIP-74) · 4 isolation level, record batches v2 · 5
//! log start offset · 7 fetch sessions (KIP-227) · 9 leader epochs (KIP-320) · 10 zstd (KIP-110) · 11 rack, preferred
//! replica (KIP-392) · 12 flexible, divergence (KIP-595) · 13 topic ids in place of names (KIP-516) · 14
//! OFFSET_MOVED_TO_TIERED_STORAGE (KIP-405) · 15 replica state (KIP-903) · 16 leader discovery (KIP-951) · 17 directory
//! ids (KIP-853) · 18 the follower's high watermark (KIP-1166).

use uuid::Uuid;

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::rope::Rope;
use crate::wire::since;

message! {
    /// Reads batches from partitions.
    request FetchRequest -> FetchResponse (Fetch, 0..=18, flexible 12) {
        /// Id of the cluster if known, or null. Sent by replicas.
        cluster_id: Option<KString> => since(12).nullable(12).tag(0).ignorable();
        /// −1 for a consumer.
        replica_id: i32 = -1 => since(0).until(14);
        /// The follower, from version 15 on; the default for a consumer.
        replica_state: ReplicaState => since(15).tag(1);
        /// How long to wait for `min_bytes`, in milliseconds.
        max_wait_ms: i32 => since(0);
        /// Bytes to wait for.
        min_bytes: i32 => since(0);
        /// Bytes to return at most; the first batch comes whole in any case (KIP-74).
        max_bytes: i32 = 0x7fff_ffff => since(3).ignorable();
        /// 0: read uncommitted; 1: read committed.
        isolation_level: i8 => since(4).ignorable();
        /// Fetch session, or 0.
        session_id: i32 => since(7).ignorable();
        /// Epoch of the fetch session; −1 for none.
        session_epoch: i32 = -1 => since(7).ignorable();
        /// The topics.
        topics: Vec<FetchTopic> => since(0);
        /// Partitions to remove from the fetch session.
        forgotten_topics_data: Vec<ForgottenTopic> => since(7);
        /// Rack of the consumer.
        rack_id: KString => since(11).ignorable();
    }
}

message! {
    /// A follower.
    struct ReplicaState {
        /// Node id of the follower; −1 for a consumer.
        replica_id: i32 = -1 => since(15);
        /// Epoch of the follower, or −1.
        replica_epoch: i64 = -1 => since(15);
    }
}

message! {
    /// A topic to read.
    struct FetchTopic {
        /// The topic, up to version 12.
        topic: KString => since(0).until(12).ignorable();
        /// The topic, from version 13 on.
        topic_id: Uuid => since(13).ignorable();
        /// The partitions.
        partitions: Vec<FetchPartition> => since(0);
    }
}

message! {
    /// A partition to read.
    struct FetchPartition {
        /// The partition.
        partition: i32 => since(0);
        /// The leader epoch the client knows, or −1.
        current_leader_epoch: i32 = -1 => since(9).ignorable();
        /// Where to start.
        fetch_offset: i64 => since(0);
        /// Epoch of the last record read, or −1.
        last_fetched_epoch: i32 = -1 => since(12);
        /// Log start of a follower, or −1.
        log_start_offset: i64 = -1 => since(5).ignorable();
        /// Bytes to return at most from this partition.
        partition_max_bytes: i32 => since(0);
        /// Directory of a follower.
        replica_directory_id: Uuid => since(17).tag(0).ignorable();
        /// High watermark a follower knows; −1 if unknown, the greatest i64 if it does not tell.
        high_watermark: i64 = i64::MAX => since(18).tag(1).ignorable();
    }
}

message! {
    /// Partitions to remove from the fetch session.
    struct ForgottenTopic {
        /// The topic, up to version 12.
        topic: KString => since(7).until(12).ignorable();
        /// The topic, from version 13 on.
        topic_id: Uuid => since(13).ignorable();
        /// The partitions.
        partitions: Vec<i32> => since(7);
    }
}

message! {
    /// Batches of partitions.
    struct FetchResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(1).ignorable();
        /// Error of the whole request.
        error_code: ErrorCode => since(7).ignorable();
        /// Fetch session, or 0.
        session_id: i32 => since(7);
        /// The topics.
        responses: Vec<FetchableTopicResponse> => since(0);
        /// Endpoints of the leaders named under NOT_LEADER_OR_FOLLOWER and FENCED_LEADER_EPOCH.
        node_endpoints: Vec<NodeEndpoint> => since(16).tag(0);
    }
}

message! {
    /// Batches of one topic.
    struct FetchableTopicResponse {
        /// The topic, up to version 12.
        topic: KString => since(0).until(12).ignorable();
        /// The topic, from version 13 on.
        topic_id: Uuid => since(13).ignorable();
        /// The partitions.
        partitions: Vec<PartitionData> => since(0);
    }
}

message! {
    /// Batches of one partition.
    struct PartitionData {
        /// The partition.
        partition_index: i32 => since(0);
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// High watermark.
        high_watermark: i64 => since(0);
        /// Last stable offset, or −1.
        last_stable_offset: i64 = -1 => since(4).ignorable();
        /// First offset of the log, or −1.
        log_start_offset: i64 = -1 => since(5).ignorable();
        /// Where the follower's log left the leader's.
        diverging_epoch: EpochEndOffset => since(12).tag(0);
        /// The leader, if this broker is not it.
        current_leader: LeaderIdAndEpoch => since(12).tag(1);
        /// The snapshot to read instead. Only among controllers.
        snapshot_id: SnapshotId => since(12).tag(2);
        /// Aborted transactions in the batches, or null (read uncommitted). The default is the empty list.
        aborted_transactions: Option<Vec<AbortedTransaction>> = Some(Vec::new()) => since(4).nullable(4).ignorable();
        /// The replica to read from next, or −1.
        preferred_read_replica: i32 = -1 => since(11);
        /// Record batches (message sets before version 4). Encoded without copying; decoded as one chunk.
        records: Option<Rope> => since(0).nullable(0);
    }
}

message! {
    /// An epoch and where it ended.
    struct EpochEndOffset {
        /// The epoch, or −1.
        epoch: i32 = -1 => since(12);
        /// One past its last offset, or −1.
        end_offset: i64 = -1 => since(12);
    }
}

message! {
    /// A leader and its epoch, −1 where unknown.
    struct LeaderIdAndEpoch {
        /// Node id of the leader.
        leader_id: i32 = -1 => since(12);
        /// Epoch of the leader.
        leader_epoch: i32 = -1 => since(12);
    }
}

message! {
    /// A snapshot of a controller.
    struct SnapshotId {
        /// One past its last offset, or −1.
        end_offset: i64 = -1 => since(0);
        /// Its epoch, or −1.
        epoch: i32 = -1 => since(0);
    }
}

message! {
    /// An aborted transaction.
    struct AbortedTransaction {
        /// Its producer.
        producer_id: i64 => since(4);
        /// Its first offset.
        first_offset: i64 => since(4);
    }
}

message! {
    /// Where a node listens.
    struct NodeEndpoint {
        /// Node id.
        node_id: i32 => since(16);
        /// Host name.
        host: KString => since(16);
        /// Port.
        port: i32 => since(16);
        /// Rack, or null.
        rack: Option<KString> => since(16).nullable(16);
    }
}
