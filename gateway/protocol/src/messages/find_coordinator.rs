//! FindCoordinator (key 10), versions 0–6.
//!
//! Version notes: 1 key type (0 group, 1 transaction, 2 share), throttle time · 3 flexible · 4 several keys at once, answers
//! in `coordinators` (KIP-699) · 5 TRANSACTION_ABORTABLE (KIP-890) · 6 share groups (KIP-932).

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks who coordinates a group or a transactional id.
    request FindCoordinatorRequest -> FindCoordinatorResponse (FindCoordinator, 0..=6, flexible 3) {
        /// The group or transactional id, up to version 3.
        key: KString => since(0).until(3);
        /// 0: group; 1: transaction; 2: share.
        key_type: i8 => since(1);
        /// The ids, from version 4 on.
        coordinator_keys: Vec<KString> => since(4);
    }
}

message! {
    /// Who coordinates. Versions 0–3 use the fields of the response itself, later ones `coordinators`.
    struct FindCoordinatorResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(1).ignorable();
        /// The error, if any.
        error_code: ErrorCode => since(0).until(3);
        /// Why, or null.
        error_message: Option<KString> = Some(KString::new()) => since(1).until(3).nullable(1).ignorable();
        /// Node id of the coordinator.
        node_id: i32 => since(0).until(3);
        /// Its host name.
        host: KString => since(0).until(3);
        /// Its port.
        port: i32 => since(0).until(3);
        /// One answer per key.
        coordinators: Vec<Coordinator> => since(4);
    }
}

message! {
    /// Who coordinates one key.
    struct Coordinator {
        /// The key.
        key: KString => since(4);
        /// Node id of the coordinator.
        node_id: i32 => since(4);
        /// Its host name.
        host: KString => since(4);
        /// Its port.
        port: i32 => since(4);
        /// The error, if any.
        error_code: ErrorCode => since(4);
        /// Why, or null. Set it to null on success: the default is the empty string.
        error_message: Option<KString> = Some(KString::new()) => since(4).nullable(4).ignorable();
    }
}
