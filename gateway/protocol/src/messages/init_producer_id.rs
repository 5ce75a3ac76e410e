//! InitProducerId (key 22), versions 0–5. Version 6 (two-phase commit, KIP-939) is unstable in Kafka 4.3 and not here.
//!
//! Version notes: 2 flexible · 3 the producer may name its id and epoch (KIP-360) · 4 PRODUCER_FENCED ·
//! 5 TRANSACTION_ABORTABLE (KIP-890).

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks for a producer id, or for a new epoch of one.
    request InitProducerIdRequest -> InitProducerIdResponse (InitProducerId, 0..=5, flexible 2) {
        /// The transactional id; null for a producer that is only idempotent.
        transactional_id: Option<KString> = Some(KString::new()) => since(0).nullable(0);
        /// How long a transaction may idle before it is aborted, in milliseconds.
        transaction_timeout_ms: i32 => since(0);
        /// The producer id the client has, or −1.
        producer_id: i64 = -1 => since(3);
        /// The epoch the client has, or −1.
        producer_epoch: i16 = -1 => since(3);
    }
}

message! {
    /// A producer id and its epoch.
    struct InitProducerIdResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0).ignorable();
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// The producer id, or −1.
        producer_id: i64 = -1 => since(0);
        /// Its epoch.
        producer_epoch: i16 => since(0);
    }
}
