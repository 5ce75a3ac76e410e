//! DeleteGroups (key 42), versions 0–2.
//!
//! Version notes: 2 flexible.

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Deletes groups without members, and their offsets.
    request DeleteGroupsRequest -> DeleteGroupsResponse (DeleteGroups, 0..=2, flexible 2) {
        /// The groups.
        groups_names: Vec<KString> => since(0);
    }
}

message! {
    /// What became of the groups.
    struct DeleteGroupsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0);
        /// One answer per group.
        results: Vec<DeletableGroupResult> => since(0);
    }
}

message! {
    /// What became of one group.
    struct DeletableGroupResult {
        /// The group.
        group_id: KString => since(0);
        /// The error, if any.
        error_code: ErrorCode => since(0);
    }
}
