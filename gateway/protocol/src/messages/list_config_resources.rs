//! ListConfigResources (key 74), versions 0–1. Flexible from the start.
//!
//! Version notes: 0 client metrics only, under the name ListClientMetricsResources (KIP-1000) · 1 resources of any type
//! (KIP-1142).

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

/// What every resource of version 0 is.
const CLIENT_METRICS: i8 = 16;

message! {
    /// Asks for the resources that have a configuration.
    request ListConfigResourcesRequest -> ListConfigResourcesResponse (ListConfigResources, 0..=1, flexible 0) {
        /// Types, as in DescribeConfigs; empty for all.
        resource_types: Vec<i8> => since(1);
    }
}

message! {
    /// The resources that have a configuration.
    struct ListConfigResourcesResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0);
        /// Error of the whole request.
        error_code: ErrorCode => since(0);
        /// The resources.
        config_resources: Vec<ConfigResource> => since(0);
    }
}

message! {
    /// A resource.
    struct ConfigResource {
        /// Its name.
        resource_name: KString => since(0);
        /// Its type, as in DescribeConfigs.
        resource_type: i8 = CLIENT_METRICS => since(1).ignorable();
    }
}
