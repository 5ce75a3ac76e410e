//! JoinGroup (key 11), versions 0–9.
//!
//! Version notes: 1 rebalance timeout apart from the session timeout (KIP-62) · 2 throttle time · 4 MEMBER_ID_REQUIRED
//! (KIP-394) · 5 static members (KIP-345) · 6 flexible · 7 the answer tells the protocol type, and its protocol name may be
//! null (KIP-559) · 8 reason (KIP-800) · 9 the leader may be told to skip the assignment (KIP-814).

use bytes::Bytes;

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Joins a group, or joins it again.
    request JoinGroupRequest -> JoinGroupResponse (JoinGroup, 0..=9, flexible 6) {
        /// The group.
        group_id: KString => since(0);
        /// After this long without a sign of life the member is removed, in milliseconds.
        session_timeout_ms: i32 => since(0);
        /// How long a rebalance waits for the member, in milliseconds. Where the version lacks it, and so as −1, the
        /// session timeout stands for it.
        rebalance_timeout_ms: i32 = -1 => since(1).ignorable();
        /// The member, or empty when it has no id yet.
        member_id: KString => since(0);
        /// Name of a static member, or null.
        group_instance_id: Option<KString> = None => since(5).nullable(5);
        /// What the group is for: `consumer`, `connect`, …
        protocol_type: KString => since(0);
        /// The protocols (assignors) the member supports, the preferred first.
        protocols: Vec<JoinGroupRequestProtocol> => since(0);
        /// Why the member joins, or null. For logs only.
        reason: Option<KString> = None => since(8).nullable(8).ignorable();
    }
}

message! {
    /// A protocol the member supports.
    struct JoinGroupRequestProtocol {
        /// Its name.
        name: KString => since(0);
        /// What the member tells the leader: opaque to the coordinator. A slice of the frame.
        metadata: Bytes => since(0);
    }
}

message! {
    /// How the member joined.
    struct JoinGroupResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(2).ignorable();
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// The generation, or −1.
        generation_id: i32 = -1 => since(0);
        /// What the group is for, or null.
        protocol_type: Option<KString> = None => since(7).nullable(7).ignorable();
        /// The protocol chosen. Null only from version 7 on, empty before; the default is the empty string.
        protocol_name: Option<KString> = Some(KString::new()) => since(0).nullable(7);
        /// The member that assigns.
        leader: KString => since(0);
        /// The leader must not assign anew, but sync without assignments.
        skip_assignment: bool => since(9);
        /// The member that asked; with MEMBER_ID_REQUIRED the id it is to join with.
        member_id: KString => since(0);
        /// All members, for the leader; empty for the others.
        members: Vec<JoinGroupResponseMember> => since(0);
    }
}

message! {
    /// A member, as its leader sees it.
    struct JoinGroupResponseMember {
        /// Its id.
        member_id: KString => since(0);
        /// Name of a static member, or null.
        group_instance_id: Option<KString> = None => since(5).nullable(5).ignorable();
        /// What it told of itself for the protocol chosen.
        metadata: Bytes => since(0);
    }
}
