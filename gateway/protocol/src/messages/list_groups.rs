//! ListGroups (key 16), versions 0–5.
//!
//! Version notes: 1 throttle time · 3 flexible · 4 states and a filter by them (KIP-518) · 5 types and a filter by them
//! (KIP-848).

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks for the groups.
    request ListGroupsRequest -> ListGroupsResponse (ListGroups, 0..=5, flexible 3) {
        /// Only groups in one of these states; empty for all.
        states_filter: Vec<KString> => since(4);
        /// Only groups of one of these types; empty for all.
        types_filter: Vec<KString> => since(5);
    }
}

message! {
    /// The groups.
    struct ListGroupsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(1).ignorable();
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// The groups.
        groups: Vec<ListedGroup> => since(0);
    }
}

message! {
    /// A group.
    struct ListedGroup {
        /// Its id.
        group_id: KString => since(0);
        /// What it is for: `consumer`, `connect`, …; empty if nobody ever joined.
        protocol_type: KString => since(0);
        /// Its state, by Kafka's name.
        group_state: KString => since(4).ignorable();
        /// Its type: `classic`, `consumer`, …
        group_type: KString => since(5).ignorable();
    }
}
