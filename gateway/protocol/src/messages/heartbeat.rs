//! Heartbeat (key 12), versions 0–4.
//!
//! Version notes: 1 throttle time · 3 static members (KIP-345) · 4 flexible.

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// A member's sign of life.
    request HeartbeatRequest -> HeartbeatResponse (Heartbeat, 0..=4, flexible 4) {
        /// The group.
        group_id: KString => since(0);
        /// The generation the member is in.
        generation_id: i32 => since(0);
        /// The member.
        member_id: KString => since(0);
        /// Name of a static member, or null.
        group_instance_id: Option<KString> = None => since(3).nullable(3);
    }
}

message! {
    /// Whether the member is still in, and whether it must join again.
    struct HeartbeatResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(1).ignorable();
        /// The error, if any.
        error_code: ErrorCode => since(0);
    }
}
