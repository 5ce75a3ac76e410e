//! LeaveGroup (key 13), versions 0–5.
//!
//! Version notes: 1 throttle time · 3 several members at once, by member id or by instance id (KIP-345) · 4 flexible ·
//! 5 reason (KIP-800).

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Takes members out of a group.
    request LeaveGroupRequest -> LeaveGroupResponse (LeaveGroup, 0..=5, flexible 4) {
        /// The group.
        group_id: KString => since(0);
        /// The member, up to version 2.
        member_id: KString => since(0).until(2);
        /// The members, from version 3 on.
        members: Vec<MemberIdentity> => since(3);
    }
}

message! {
    /// A member to take out.
    struct MemberIdentity {
        /// Its id; empty when the instance id alone names it.
        member_id: KString => since(3);
        /// Name of a static member, or null.
        group_instance_id: Option<KString> = None => since(3).nullable(3);
        /// Why it leaves, or null. For logs only.
        reason: Option<KString> = None => since(5).nullable(5).ignorable();
    }
}

message! {
    /// What became of the members.
    struct LeaveGroupResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(1).ignorable();
        /// Error of the whole request; up to version 2 that of the member.
        error_code: ErrorCode => since(0);
        /// One answer per member, from version 3 on.
        members: Vec<MemberResponse> => since(3);
    }
}

message! {
    /// What became of one member.
    struct MemberResponse {
        /// Its id, as asked.
        member_id: KString => since(3);
        /// Its instance id, as asked, or null. The default is the empty string.
        group_instance_id: Option<KString> = Some(KString::new()) => since(3).nullable(3);
        /// The error, if any.
        error_code: ErrorCode => since(3);
    }
}
