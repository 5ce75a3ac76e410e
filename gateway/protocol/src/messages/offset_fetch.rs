//! OffsetFetch (key 9), versions 0–10.
//!
//! Version notes: 0 meant offsets kept in ZooKeeper, in the layout of 1 · 2 all topics of the group, error of the whole
//! answer (KIP-88) · 3 throttle time · 5 leader epoch (KIP-320) · 6 flexible · 7 only stable offsets on request (KIP-447) ·
//! 8 several groups at once, in `groups` (KIP-709) · 9 groups of KIP-848 · 10 topic ids in place of names (KIP-848).
//! Kafka 4 begins at version 1; the layout of 0 is that of Kafka 2.8.

use uuid::Uuid;

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks for the committed offsets of groups.
    request OffsetFetchRequest -> OffsetFetchResponse (OffsetFetch, 0..=10, flexible 6) {
        /// The group, up to version 7.
        group_id: KString => since(0).until(7);
        /// The topics, up to version 7, or null for all of the group (from version 2 on). The default is none.
        topics: Option<Vec<OffsetFetchRequestTopic>> = Some(Vec::new()) => since(0).until(7).nullable(2);
        /// The groups, from version 8 on.
        groups: Vec<OffsetFetchRequestGroup> => since(8);
        /// Ask to retry (UNSTABLE_OFFSET_COMMIT) where an open transaction has offsets pending.
        require_stable: bool => since(7);
    }
}

message! {
    /// A topic to tell offsets of, up to version 7.
    struct OffsetFetchRequestTopic {
        /// The topic.
        name: KString => since(0).until(7);
        /// The partitions.
        partition_indexes: Vec<i32> => since(0).until(7);
    }
}

message! {
    /// A group to tell offsets of.
    struct OffsetFetchRequestGroup {
        /// The group.
        group_id: KString => since(8);
        /// The member that asks (KIP-848), or null.
        member_id: Option<KString> = None => since(9).nullable(9).ignorable();
        /// Its epoch (KIP-848), or −1.
        member_epoch: i32 = -1 => since(9).ignorable();
        /// The topics, or null for all of the group. The default is none.
        topics: Option<Vec<OffsetFetchRequestTopics>> = Some(Vec::new()) => since(8).nullable(8);
    }
}

message! {
    /// A topic to tell offsets of, from version 8 on.
    struct OffsetFetchRequestTopics {
        /// The topic, up to version 9.
        name: KString => since(8).until(9).ignorable();
        /// The topic, from version 10 on.
        topic_id: Uuid => since(10).ignorable();
        /// The partitions.
        partition_indexes: Vec<i32> => since(8);
    }
}

message! {
    /// The committed offsets. Versions 0–7 use `topics` and `error_code`, later ones `groups`.
    struct OffsetFetchResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(3).ignorable();
        /// The topics, up to version 7.
        topics: Vec<OffsetFetchResponseTopic> => since(0).until(7);
        /// Error of the whole group, in versions 2–7.
        error_code: ErrorCode => since(2).until(7).ignorable();
        /// The groups, from version 8 on.
        groups: Vec<OffsetFetchResponseGroup> => since(8);
    }
}

message! {
    /// Offsets of one topic, up to version 7.
    struct OffsetFetchResponseTopic {
        /// The topic.
        name: KString => since(0).until(7);
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartition> => since(0).until(7);
    }
}

message! {
    /// The offset of one partition, up to version 7.
    struct OffsetFetchResponsePartition {
        /// The partition.
        partition_index: i32 => since(0).until(7);
        /// The offset, or −1 for none.
        committed_offset: i64 => since(0).until(7);
        /// Its leader epoch, or −1.
        committed_leader_epoch: i32 = -1 => since(5).until(7).ignorable();
        /// What the client kept beside it.
        metadata: Option<KString> = Some(KString::new()) => since(0).until(7).nullable(0);
        /// The error, if any.
        error_code: ErrorCode => since(0).until(7);
    }
}

message! {
    /// Offsets of one group.
    struct OffsetFetchResponseGroup {
        /// The group.
        group_id: KString => since(8);
        /// The topics.
        topics: Vec<OffsetFetchResponseTopics> => since(8);
        /// Error of the whole group.
        error_code: ErrorCode => since(8);
    }
}

message! {
    /// Offsets of one topic, from version 8 on.
    struct OffsetFetchResponseTopics {
        /// The topic, up to version 9.
        name: KString => since(8).until(9).ignorable();
        /// The topic, from version 10 on.
        topic_id: Uuid => since(10).ignorable();
        /// The partitions.
        partitions: Vec<OffsetFetchResponsePartitions> => since(8);
    }
}

message! {
    /// The offset of one partition, from version 8 on.
    struct OffsetFetchResponsePartitions {
        /// The partition.
        partition_index: i32 => since(8);
        /// The offset, or −1 for none.
        committed_offset: i64 => since(8);
        /// Its leader epoch, or −1.
        committed_leader_epoch: i32 = -1 => since(8).ignorable();
        /// What the client kept beside it.
        metadata: Option<KString> = Some(KString::new()) => since(8).nullable(8);
        /// The error, if any.
        error_code: ErrorCode => since(8);
    }
}
