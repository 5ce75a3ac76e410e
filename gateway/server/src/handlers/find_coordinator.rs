//! FindCoordinator (key 10), versions 0–6.
//!
//! Behaviour: there are no groups, transactions or share groups yet, so that no key has a coordinator; clients ask again
//! after a while. It is here because librdkafka derives features from its presence. State is not asked.
//! Version notes: 1 key types; 4 several keys at once (KIP-699); 6 share groups (KIP-932).
//! Errors, per key: 15; 42 a key type that the version does not have.

use futures_util::future::{BoxFuture, ready};
use sluice_protocol::messages::find_coordinator::Coordinator;
use sluice_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use crate::dispatch::{Call, run_alone};
use crate::request::{Outcome, Stage};

/// Several keys come from this version on.
const KEYS_SINCE: i16 = 4;
/// Share groups are known from this version on.
const SHARE_SINCE: i16 = 6;

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, |call, request| ready(handle(&call, request)))
}

fn handle(call: &Call, request: FindCoordinatorRequest) -> Outcome {
    let (error_code, reason) = verdict(request.key_type, call.version);
    let error_message = Some(KString::from_static(reason));
    let nobody = (-1, KString::new(), -1);
    let (node_id, host, port) = nobody;
    if call.version < KEYS_SINCE {
        return call.answer(&FindCoordinatorResponse {
            error_code,
            error_message,
            node_id,
            host,
            port,
            ..FindCoordinatorResponse::default()
        });
    }
    let tell = |key: KString| Coordinator {
        key,
        node_id,
        host: host.clone(),
        port,
        error_code,
        error_message: error_message.clone(),
    };
    let coordinators = request.coordinator_keys.into_iter().map(tell).collect();
    call.answer(&FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() })
}

fn verdict(key_type: i8, version: i16) -> (ErrorCode, &'static str) {
    match key_type {
        0 | 1 => (ErrorCode::COORDINATOR_NOT_AVAILABLE, "groups and transactions are not served yet"),
        2 if version >= SHARE_SINCE => (ErrorCode::COORDINATOR_NOT_AVAILABLE, "share groups are not served yet"),
        _ => (ErrorCode::INVALID_REQUEST, "there is no such key type in this version"),
    }
}
