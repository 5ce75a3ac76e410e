//! SyncGroup (key 14), versions 0–5.
//!
//! Version notes: 1 throttle time · 3 static members (KIP-345) · 4 flexible · 5 protocol type and name, which the
//! coordinator compares with its own (KIP-559).

use bytes::Bytes;

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks for the member's assignment; the leader's brings everybody's.
    request SyncGroupRequest -> SyncGroupResponse (SyncGroup, 0..=5, flexible 4) {
        /// The group.
        group_id: KString => since(0);
        /// The generation the member joined.
        generation_id: i32 => since(0);
        /// The member.
        member_id: KString => since(0);
        /// Name of a static member, or null.
        group_instance_id: Option<KString> = None => since(3).nullable(3);
        /// What the member takes the group to be for, or null.
        protocol_type: Option<KString> = None => since(5).nullable(5).ignorable();
        /// The protocol the member takes to be chosen, or null.
        protocol_name: Option<KString> = None => since(5).nullable(5).ignorable();
        /// The assignments, from the leader; empty from the others.
        assignments: Vec<SyncGroupRequestAssignment> => since(0);
    }
}

message! {
    /// The assignment of one member.
    struct SyncGroupRequestAssignment {
        /// The member.
        member_id: KString => since(0);
        /// What is assigned to it: opaque to the coordinator. A slice of the frame.
        assignment: Bytes => since(0);
    }
}

message! {
    /// The member's assignment.
    struct SyncGroupResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(1).ignorable();
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// What the group is for, or null.
        protocol_type: Option<KString> = None => since(5).nullable(5).ignorable();
        /// The protocol chosen, or null.
        protocol_name: Option<KString> = None => since(5).nullable(5).ignorable();
        /// What is assigned to the member; empty on errors.
        assignment: Bytes => since(0);
    }
}
