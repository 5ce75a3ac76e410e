//! AlterConfigs (key 33), versions 0–2: the configuration of a resource is replaced as a whole.
//!
//! Version notes: 1 as 0 · 2 flexible. IncrementalAlterConfigs replaced it (KIP-339).

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Replaces configurations.
    request AlterConfigsRequest -> AlterConfigsResponse (AlterConfigs, 0..=2, flexible 2) {
        /// The resources.
        resources: Vec<AlterConfigsResource> => since(0);
        /// Check only, change nothing.
        validate_only: bool => since(0);
    }
}

message! {
    /// A resource to change.
    struct AlterConfigsResource {
        /// Its type, as in DescribeConfigs.
        resource_type: i8 => since(0);
        /// Its name.
        resource_name: KString => since(0);
        /// Its new configuration; entries that are not here are reset.
        configs: Vec<AlterableConfig> => since(0);
    }
}

message! {
    /// A configuration entry to set.
    struct AlterableConfig {
        /// Its name.
        name: KString => since(0);
        /// Its value, or null.
        value: Option<KString> = Some(KString::new()) => since(0).nullable(0);
    }
}

message! {
    /// What became of the configurations.
    struct AlterConfigsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0);
        /// The resources.
        responses: Vec<AlterConfigsResourceResponse> => since(0);
    }
}

message! {
    /// What became of the configuration of one resource.
    struct AlterConfigsResourceResponse {
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Why, or null. Set it to null on success: the default is the empty string.
        error_message: Option<KString> = Some(KString::new()) => since(0).nullable(0);
        /// Type of the resource.
        resource_type: i8 => since(0);
        /// Name of the resource.
        resource_name: KString => since(0);
    }
}
