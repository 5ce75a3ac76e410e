//! IncrementalAlterConfigs (key 44), versions 0–1 (KIP-339): single entries of a configuration are changed.
//!
//! Version notes: 1 flexible.

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Changes entries of configurations.
    request IncrementalAlterConfigsRequest -> IncrementalAlterConfigsResponse
        (IncrementalAlterConfigs, 0..=1, flexible 1) {
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
        /// The entries to change.
        configs: Vec<AlterableConfig> => since(0);
    }
}

message! {
    /// A configuration entry to change.
    struct AlterableConfig {
        /// Its name.
        name: KString => since(0);
        /// How: 0 set, 1 delete, 2 append to the list, 3 subtract from the list.
        config_operation: i8 => since(0);
        /// The value, or null.
        value: Option<KString> = Some(KString::new()) => since(0).nullable(0);
    }
}

message! {
    /// What became of the configurations.
    struct IncrementalAlterConfigsResponse {
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
