//! Metadata (key 3), versions 0–13.
//!
//! Version notes: 0 an empty list asks for all topics · 1 null asks for all, an empty list for none; racks, controller id,
//! internal topics · 2 cluster id · 3 throttle time · 4 auto-creation can be declined · 5 offline replicas · 7 leader epochs ·
//! 8 authorized operations (KIP-430; the cluster's only until 10) · 9 flexible · 10 topic ids in answers · 12 topics by id
//! (KIP-516) · 13 an error of the whole request (KIP-1102).

use uuid::Uuid;

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

/// Authorized operations were not asked for.
const NOT_ASKED: i32 = i32::MIN;

message! {
    /// Asks for brokers and topics.
    request MetadataRequest -> MetadataResponse (Metadata, 0..=13, flexible 9) {
        /// The topics; null for all (version 0: empty for all).
        topics: Option<Vec<MetadataRequestTopic>> = Some(Vec::new()) => since(0).nullable(1);
        /// Whether topics that do not exist may be created.
        allow_auto_topic_creation: bool = true => since(4);
        /// Whether to tell what the client may do to the cluster.
        include_cluster_authorized_operations: bool => since(8).until(10);
        /// Whether to tell what the client may do to each topic.
        include_topic_authorized_operations: bool => since(8);
    }
}

message! {
    /// A topic asked for.
    struct MetadataRequestTopic {
        /// Its id, if asked for by id.
        topic_id: Uuid => since(10).ignorable();
        /// Its name, or null if asked for by id.
        name: Option<KString> = Some(KString::new()) => since(0).nullable(10);
    }
}

message! {
    /// Brokers and topics.
    struct MetadataResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(3).ignorable();
        /// The brokers.
        brokers: Vec<MetadataResponseBroker> => since(0);
        /// Id of the cluster, or null.
        cluster_id: Option<KString> => since(2).nullable(2).ignorable();
        /// Node id of the controller; −1 if unknown.
        controller_id: i32 = -1 => since(1).ignorable();
        /// The topics.
        topics: Vec<MetadataResponseTopic> => since(0);
        /// What the client may do to the cluster, as bits; the least i32 if not asked for.
        cluster_authorized_operations: i32 = NOT_ASKED => since(8).until(10);
        /// Error of the whole request.
        error_code: ErrorCode => since(13).ignorable();
    }
}

message! {
    /// A broker.
    struct MetadataResponseBroker {
        /// Node id.
        node_id: i32 => since(0);
        /// Host name.
        host: KString => since(0);
        /// Port.
        port: i32 => since(0);
        /// Rack, or null.
        rack: Option<KString> => since(1).nullable(1).ignorable();
    }
}

message! {
    /// A topic.
    struct MetadataResponseTopic {
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Name; null only for an unknown id.
        name: Option<KString> = Some(KString::new()) => since(0).nullable(12);
        /// Id; zero only for an unknown name.
        topic_id: Uuid => since(10).ignorable();
        /// Whether the topic is internal.
        is_internal: bool => since(1).ignorable();
        /// The partitions.
        partitions: Vec<MetadataResponsePartition> => since(0);
        /// What the client may do to the topic, as bits; the least i32 if not asked for.
        topic_authorized_operations: i32 = NOT_ASKED => since(8);
    }
}

message! {
    /// A partition.
    struct MetadataResponsePartition {
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// The partition.
        partition_index: i32 => since(0);
        /// Node id of the leader; −1 if none.
        leader_id: i32 => since(0);
        /// Epoch of the leader.
        leader_epoch: i32 = -1 => since(7).ignorable();
        /// Node ids of all replicas.
        replica_nodes: Vec<i32> => since(0);
        /// Node ids of the in-sync replicas.
        isr_nodes: Vec<i32> => since(0);
        /// Node ids of the offline replicas.
        offline_replicas: Vec<i32> => since(5).ignorable();
    }
}
