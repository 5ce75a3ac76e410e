//! DescribeCluster (key 60), versions 0–2 (KIP-700). Flexible from the start.
//!
//! Version notes: 1 brokers or controllers (KIP-919) · 2 fenced brokers (KIP-1073).

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

/// Authorized operations were not asked for.
const NOT_ASKED: i32 = i32::MIN;

/// Brokers, not controllers.
const BROKERS: i8 = 1;

message! {
    /// Asks for the nodes of the cluster.
    request DescribeClusterRequest -> DescribeClusterResponse (DescribeCluster, 0..=2, flexible 0) {
        /// Whether to tell what the client may do to the cluster.
        include_cluster_authorized_operations: bool => since(0);
        /// 1: brokers; 2: controllers.
        endpoint_type: i8 = BROKERS => since(1);
        /// Whether to tell brokers that are fenced, too.
        include_fenced_brokers: bool => since(2);
    }
}

message! {
    /// The nodes of the cluster.
    struct DescribeClusterResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0);
        /// Error of the whole request.
        error_code: ErrorCode => since(0);
        /// Why, or null.
        error_message: Option<KString> = None => since(0).nullable(0);
        /// 1: brokers; 2: controllers.
        endpoint_type: i8 = BROKERS => since(1);
        /// Id of the cluster.
        cluster_id: KString => since(0);
        /// Node id of the controller, or −1.
        controller_id: i32 = -1 => since(0);
        /// The nodes.
        brokers: Vec<DescribeClusterBroker> => since(0);
        /// What the client may do to the cluster, as bits; the least i32 if not asked for.
        cluster_authorized_operations: i32 = NOT_ASKED => since(0);
    }
}

message! {
    /// A node.
    struct DescribeClusterBroker {
        /// Node id.
        broker_id: i32 => since(0);
        /// Host name.
        host: KString => since(0);
        /// Port.
        port: i32 => since(0);
        /// Rack, or null.
        rack: Option<KString> = None => since(0).nullable(0);
        /// Whether it is fenced.
        is_fenced: bool => since(2);
    }
}
