//! SyncGroup (key 14), versions 0–5.
//!
//! Behaviour: as Kafka's. A follower waits until the leader's assignments are there or the group rebalances again, through
//! whichever gateway the leader came; it is dropped when its client is gone (T7).
//! Version notes: 3 static members (KIP-345); 5 names the protocol and its type (KIP-559), and must.
//! Errors: 23, 24, 25, 22, 27, 82 by Kafka's rules; 15 what could not be decided now.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluice_engine::{EngineError, EngineResult, Origin, SyncAsk, Synced};
use sluice_protocol::DecodeError;
use sluice_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::{optional_string, tell_optional};
use crate::dispatch::{Call, run_alone};
use crate::errors::group_code;
use crate::request::{Outcome, Stage};

/// The protocol and its type must be named from this version on.
const PROTOCOL_REQUIRED_SINCE: i16 = 5;

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: SyncGroupRequest) -> Outcome {
    let origin = call.origin();
    match sync(&call, &origin, request).await {
        Ok(synced) => call.answer(&SyncGroupResponse {
            protocol_type: tell_optional(synced.protocol_type.as_deref()),
            protocol_name: tell_optional(synced.protocol.as_deref()),
            assignment: synced.assignment,
            ..SyncGroupResponse::default()
        }),
        Err(error) => call.answer(&SyncGroupResponse {
            error_code: group_code(&error),
            assignment: Bytes::new(),
            ..SyncGroupResponse::default()
        }),
    }
}

async fn sync(call: &Call, origin: &Origin, request: SyncGroupRequest) -> EngineResult<Synced> {
    let is_named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if call.version >= PROTOCOL_REQUIRED_SINCE && !is_named {
        return Err(EngineError::InconsistentGroupProtocol);
    }
    call.freshen().await?;
    let assignments = request.assignments.into_iter();
    let ask = SyncAsk {
        group_id: String::from(request.group_id),
        generation: request.generation_id,
        member_id: String::from(request.member_id),
        instance_id: optional_string(request.group_instance_id),
        protocol_type: optional_string(request.protocol_type),
        protocol: optional_string(request.protocol_name),
        assignments: assignments.map(|given| (String::from(given.member_id), given.assignment)).collect(),
    };
    call.service.engine.sync_group(origin, ask).await
}
