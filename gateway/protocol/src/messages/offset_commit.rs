//! OffsetCommit (key 8), versions 0–10.
//!
//! Version notes: 1 generation and member, a commit time per partition · 2 a retention time in place of the commit time ·
//! 3 throttle time · 5 no retention time (KIP-211) · 6 leader epoch (KIP-320) · 7 static members (KIP-345) · 8 flexible ·
//! 9 groups of KIP-848, GROUP_ID_NOT_FOUND and STALE_MEMBER_EPOCH · 10 topic ids in place of names (KIP-848).
//! Kafka 4 begins at version 2; the layouts of 0 and 1 are those of Kafka 2.8.

use uuid::Uuid;

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Commits offsets of a group.
    request OffsetCommitRequest -> OffsetCommitResponse (OffsetCommit, 0..=10, flexible 8) {
        /// The group.
        group_id: KString => since(0);
        /// The generation, or the member epoch (KIP-848); −1 for a commit from outside the group, as in version 0.
        generation_id_or_member_epoch: i32 = -1 => since(1).ignorable();
        /// The member, or empty.
        member_id: KString => since(1).ignorable();
        /// Name of a static member, or null.
        group_instance_id: Option<KString> = None => since(7).nullable(7);
        /// How long to keep the offsets, in milliseconds; −1 for the broker's setting.
        retention_time_ms: i64 = -1 => since(2).until(4).ignorable();
        /// The topics.
        topics: Vec<OffsetCommitRequestTopic> => since(0);
    }
}

message! {
    /// A topic to commit offsets for.
    struct OffsetCommitRequestTopic {
        /// The topic, up to version 9.
        name: KString => since(0).until(9).ignorable();
        /// The topic, from version 10 on.
        topic_id: Uuid => since(10).ignorable();
        /// The partitions.
        partitions: Vec<OffsetCommitRequestPartition> => since(0);
    }
}

message! {
    /// A partition to commit an offset for.
    struct OffsetCommitRequestPartition {
        /// The partition.
        partition_index: i32 => since(0);
        /// The offset: that of the next record to read.
        committed_offset: i64 => since(0);
        /// Leader epoch of the last record read, or −1.
        committed_leader_epoch: i32 = -1 => since(6).ignorable();
        /// When the offset was committed, in milliseconds since 1970, in version 1 only; −1 for now.
        commit_timestamp: i64 = -1 => since(1).until(1);
        /// Anything the client wants to keep beside it, or null.
        committed_metadata: Option<KString> = Some(KString::new()) => since(0).nullable(0);
    }
}

message! {
    /// What became of the offsets.
    struct OffsetCommitResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(3).ignorable();
        /// The topics.
        topics: Vec<OffsetCommitResponseTopic> => since(0);
    }
}

message! {
    /// What became of the offsets of one topic.
    struct OffsetCommitResponseTopic {
        /// The topic, up to version 9.
        name: KString => since(0).until(9).ignorable();
        /// The topic, from version 10 on.
        topic_id: Uuid => since(10).ignorable();
        /// The partitions.
        partitions: Vec<OffsetCommitResponsePartition> => since(0);
    }
}

message! {
    /// What became of the offset of one partition.
    struct OffsetCommitResponsePartition {
        /// The partition.
        partition_index: i32 => since(0);
        /// The error, if any.
        error_code: ErrorCode => since(0);
    }
}
