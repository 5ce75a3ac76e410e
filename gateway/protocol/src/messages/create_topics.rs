//! CreateTopics (key 19), versions 0–7.
//!
//! Version notes: 1 checks only, error messages (KIP-4) · 2 throttle time (Kafka 4 begins here; the layouts of 0 and 1
//! are those of Kafka 2.8) · 4 partitions and replication factor may be −1 (KIP-464) · 5 flexible; the answer tells the
//! configuration (KIP-525) · 6 THROTTLING_QUOTA_EXCEEDED (KIP-599) · 7 the answer tells the topic id (KIP-516).

use uuid::Uuid;

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Creates topics.
    request CreateTopicsRequest -> CreateTopicsResponse (CreateTopics, 0..=7, flexible 5) {
        /// The topics.
        topics: Vec<CreatableTopic> => since(0);
        /// How long the answer may take, in milliseconds.
        timeout_ms: i32 = 60_000 => since(0);
        /// Check only, create nothing.
        validate_only: bool => since(1);
    }
}

message! {
    /// A topic to create.
    struct CreatableTopic {
        /// Its name.
        name: KString => since(0);
        /// Number of partitions; −1 for the default or with assignments.
        num_partitions: i32 => since(0);
        /// Number of replicas; −1 for the default or with assignments.
        replication_factor: i16 => since(0);
        /// Replicas by hand, or empty.
        assignments: Vec<CreatableReplicaAssignment> => since(0);
        /// Configuration of the topic.
        configs: Vec<CreatableTopicConfig> => since(0);
    }
}

message! {
    /// The replicas of one partition.
    struct CreatableReplicaAssignment {
        /// The partition.
        partition_index: i32 => since(0);
        /// Node ids of its replicas.
        broker_ids: Vec<i32> => since(0);
    }
}

message! {
    /// A configuration entry to set.
    struct CreatableTopicConfig {
        /// Its name.
        name: KString => since(0);
        /// Its value, or null.
        value: Option<KString> = Some(KString::new()) => since(0).nullable(0);
    }
}

message! {
    /// What became of the topics.
    struct CreateTopicsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(2).ignorable();
        /// The topics.
        topics: Vec<CreatableTopicResult> => since(0);
    }
}

message! {
    /// What became of one topic.
    struct CreatableTopicResult {
        /// Its name.
        name: KString => since(0);
        /// Its id.
        topic_id: Uuid => since(7).ignorable();
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Why, or null. Set it to null on success: the default is the empty string.
        error_message: Option<KString> = Some(KString::new()) => since(1).nullable(0).ignorable();
        /// Why the configuration is not in the answer.
        topic_config_error_code: ErrorCode => since(5).tag(0).ignorable();
        /// Number of partitions, or −1.
        num_partitions: i32 = -1 => since(5).ignorable();
        /// Number of replicas, or −1.
        replication_factor: i16 = -1 => since(5).ignorable();
        /// Configuration of the topic, or null.
        configs: Option<Vec<CreatableTopicConfigs>> = Some(Vec::new()) => since(5).nullable(5).ignorable();
    }
}

message! {
    /// A configuration entry of the created topic.
    struct CreatableTopicConfigs {
        /// Its name.
        name: KString => since(5);
        /// Its value, or null.
        value: Option<KString> = Some(KString::new()) => since(5).nullable(5);
        /// Whether it cannot be changed.
        read_only: bool => since(5);
        /// Where the value comes from, as in DescribeConfigs.
        config_source: i8 = -1 => since(5).ignorable();
        /// Whether the value is a secret.
        is_sensitive: bool => since(5);
    }
}
