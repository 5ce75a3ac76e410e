//! ElectLeaders (key 43), versions 0–2.
//!
//! Version notes: 0 preferred leaders only (KIP-183) · 1 unclean elections, an error of the whole request (KIP-460) ·
//! 2 flexible.

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Elects leaders of partitions.
    request ElectLeadersRequest -> ElectLeadersResponse (ElectLeaders, 0..=2, flexible 2) {
        /// 0: the preferred replica; 1: any replica, if no other is in sync.
        election_type: i8 => since(1);
        /// The topics; null for all partitions.
        topic_partitions: Option<Vec<TopicPartitions>> = Some(Vec::new()) => since(0).nullable(0);
        /// How long the answer may take, in milliseconds.
        timeout_ms: i32 = 60_000 => since(0);
    }
}

message! {
    /// Partitions of one topic to elect leaders of.
    struct TopicPartitions {
        /// The topic.
        topic: KString => since(0);
        /// The partitions.
        partitions: Vec<i32> => since(0);
    }
}

message! {
    /// What became of the elections.
    struct ElectLeadersResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0);
        /// Error of the whole request.
        error_code: ErrorCode => since(1);
        /// The topics.
        replica_election_results: Vec<ReplicaElectionResult> => since(0);
    }
}

message! {
    /// The elections of one topic.
    struct ReplicaElectionResult {
        /// The topic.
        topic: KString => since(0);
        /// The partitions.
        partition_result: Vec<PartitionResult> => since(0);
    }
}

message! {
    /// The election of one partition.
    struct PartitionResult {
        /// The partition.
        partition_id: i32 => since(0);
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Why, or null. Set it to null on success: the default is the empty string.
        error_message: Option<KString> = Some(KString::new()) => since(0).nullable(0);
    }
}
