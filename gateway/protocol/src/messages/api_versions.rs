//! ApiVersions (key 18), versions 0–4.
//!
//! Version notes: 1 throttle time · 3 flexible, client software, features (KIP-511, KIP-584) · 4 supported features may
//! start at 0 (KIP-1022). The response header is version 0 in every version (KIP-511). A request of a version we
//! do not have is answered with a response of version 0 and error 35.

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks for the APIs and versions of the broker.
    request ApiVersionsRequest -> ApiVersionsResponse (ApiVersions, 0..=4, flexible 3) {
        /// Name of the client library.
        client_software_name: KString => since(3).ignorable();
        /// Version of the client library.
        client_software_version: KString => since(3).ignorable();
    }
}

message! {
    /// The APIs and versions of the broker.
    struct ApiVersionsResponse {
        /// Error of the whole request.
        error_code: ErrorCode => since(0);
        /// The APIs.
        api_keys: Vec<ApiVersion> => since(0);
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(1).ignorable();
        /// Features the broker supports. Before version 4, those with a minimum of 0 must be left out.
        supported_features: Vec<SupportedFeatureKey> => since(3).tag(0).ignorable();
        /// Moves forward when finalized features change; −1 if unknown.
        finalized_features_epoch: i64 = -1 => since(3).tag(1).ignorable();
        /// Features in force in the cluster; valid if the epoch is not −1.
        finalized_features: Vec<FinalizedFeatureKey> => since(3).tag(2).ignorable();
        /// Only ever set by controllers that migrated from ZooKeeper.
        zk_migration_ready: bool => since(3).tag(3).ignorable();
    }
}

message! {
    /// The versions of one API.
    struct ApiVersion {
        /// The API.
        api_key: i16 => since(0);
        /// Lowest version, inclusive.
        min_version: i16 => since(0);
        /// Highest version, inclusive.
        max_version: i16 => since(0);
    }
}

message! {
    /// A feature the broker supports.
    struct SupportedFeatureKey {
        /// Name of the feature.
        name: KString => since(3);
        /// Lowest level, inclusive.
        min_version: i16 => since(3);
        /// Highest level, inclusive.
        max_version: i16 => since(3);
    }
}

message! {
    /// A feature in force.
    struct FinalizedFeatureKey {
        /// Name of the feature.
        name: KString => since(3);
        /// Highest level in force, inclusive.
        max_version_level: i16 => since(3);
        /// Lowest level in force, inclusive.
        min_version_level: i16 => since(3);
    }
}
