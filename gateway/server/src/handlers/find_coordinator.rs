//! FindCoordinator (key 10), versions 0–6.
//!
//! Behaviour: every gateway coordinates every group, so the answer is this gateway at the address its listener advertises,
//! whatever the key (I-06); State is not asked. Transactions and share groups are not served yet: their keys have no
//! coordinator, and clients ask again after a while.
//! Version notes: 1 key types; 4 several keys at once (KIP-699); 6 share groups (KIP-932).
//! Errors, per key: 15 a key type that is not served yet (transactions, share groups); 42 one that the version does not have.

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
    if call.version < KEYS_SINCE {
        let Coordinator { node_id, host, port, error_code, error_message, .. } =
            find(call, request.key_type, request.key);
        return call.answer(&FindCoordinatorResponse {
            error_code,
            // As Kafka, which tells the name of its code 0 here, and nothing from version 4 on.
            error_message: if error_code.is_none() { Some(KString::from_static("NONE")) } else { error_message },
            node_id,
            host,
            port,
            ..FindCoordinatorResponse::default()
        });
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| find(call, request.key_type, key)).collect();
    call.answer(&FindCoordinatorResponse { coordinators, ..FindCoordinatorResponse::default() })
}

/// The coordinator of one key.
fn find(call: &Call, key_type: i8, key: KString) -> Coordinator {
    match verdict(key_type, call.version, &key) {
        Ok(()) => {
            let (host, port) = call.caller.advertised.get();
            let (node_id, error_code, error_message) = (call.service.node_id, ErrorCode::NONE, Some(KString::new()));
            Coordinator { key, node_id, host, port, error_code, error_message }
        }
        Err((error_code, reason)) => Coordinator {
            key,
            node_id: -1,
            host: KString::new(),
            port: -1,
            error_code,
            // Kafka gives no reason where a share partition is asked for.
            error_message: Some(KString::from_static(if key_type == 2 { "" } else { reason })),
        },
    }
}

fn verdict(key_type: i8, version: i16, key: &KString) -> Result<(), (ErrorCode, &'static str)> {
    match key_type {
        0 => Ok(()),
        1 => Err((ErrorCode::COORDINATOR_NOT_AVAILABLE, "transactions are not served yet")),
        2 if version >= SHARE_SINCE && !is_share_key(key) => {
            Err((ErrorCode::INVALID_REQUEST, "a share partition is named by group, topic id and partition"))
        }
        2 if version >= SHARE_SINCE => Err((ErrorCode::COORDINATOR_NOT_AVAILABLE, "share groups are not served yet")),
        _ => Err((ErrorCode::INVALID_REQUEST, "there is no such key type in this version")),
    }
}

/// Whether a key has the form of a share partition's: `group:topic id:partition`.
fn is_share_key(key: &KString) -> bool {
    key.split(':').count() == 3
}
