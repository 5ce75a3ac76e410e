//! DescribeGroups (key 15), versions 0–6.
//!
//! Version notes: 1 throttle time · 3 authorized operations (KIP-430) · 4 static members (KIP-345) · 5 flexible · 6 error
//! message, and GROUP_ID_NOT_FOUND for a group there is not (KIP-1043).

use bytes::Bytes;

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks for the state and the members of groups.
    request DescribeGroupsRequest -> DescribeGroupsResponse (DescribeGroups, 0..=6, flexible 5) {
        /// The groups.
        groups: Vec<KString> => since(0);
        /// Tell what the client may do with them.
        include_authorized_operations: bool => since(3);
    }
}

message! {
    /// The groups.
    struct DescribeGroupsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(1).ignorable();
        /// The groups.
        groups: Vec<DescribedGroup> => since(0);
    }
}

message! {
    /// A group.
    struct DescribedGroup {
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Why, or null. Null in versions before 6.
        error_message: Option<KString> = None => since(6).nullable(6);
        /// Its id.
        group_id: KString => since(0);
        /// Its state, by Kafka's name, or empty.
        group_state: KString => since(0);
        /// What it is for, or empty.
        protocol_type: KString => since(0);
        /// The protocol chosen, in state Stable only, or empty.
        protocol_data: KString => since(0);
        /// Its members.
        members: Vec<DescribedGroupMember> => since(0);
        /// What the client may do with it, as a set of bits; the least i32 if it did not ask. Not in versions before 3.
        authorized_operations: i32 = i32::MIN => since(3);
    }
}

message! {
    /// A member.
    struct DescribedGroupMember {
        /// Its id.
        member_id: KString => since(0);
        /// Name of a static member, or null.
        group_instance_id: Option<KString> = None => since(4).nullable(4).ignorable();
        /// Client id of its last JoinGroup.
        client_id: KString => since(0);
        /// Where that came from.
        client_host: KString => since(0);
        /// What it told of itself for the protocol chosen, in state Stable only.
        member_metadata: Bytes => since(0);
        /// What is assigned to it, in state Stable only.
        member_assignment: Bytes => since(0);
    }
}
