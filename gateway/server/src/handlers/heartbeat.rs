//! Heartbeat (key 12), versions 0–4.
//!
//! Behaviour: as Kafka's: 27 tells a member to join again. No heartbeat is stored, and while a member keeps coming to the
//! same gateway none costs a store request (T2); one that comes to another gateway is taken over. Answers come from a State
//! that is less than 2 s old (T6). Dropped when its client is gone (T7).
//! Version notes: 3 static members (KIP-345).
//! Errors: 24, 25, 22, 27, 82 by Kafka's rules; 15 what could not be decided now.

use futures_util::future::BoxFuture;
use sluice_engine::MemberClaim;
use sluice_protocol::messages::{HeartbeatRequest, HeartbeatResponse};
use sluice_protocol::{DecodeError, ErrorCode};

use super::optional_string;
use crate::dispatch::{Call, run_alone};
use crate::errors::group_code;
use crate::request::{Outcome, Stage};

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: HeartbeatRequest) -> Outcome {
    let origin = call.origin();
    let claim = MemberClaim {
        member_id: String::from(request.member_id),
        instance_id: optional_string(request.group_instance_id),
        generation: request.generation_id,
    };
    let beaten = match call.freshen().await {
        Ok(()) => call.service.engine.heartbeat(&origin, request.group_id.as_str(), &claim).await,
        Err(error) => Err(error),
    };
    let error_code = beaten.map_or_else(|error| group_code(&error), |()| ErrorCode::NONE);
    call.answer(&HeartbeatResponse { error_code, ..HeartbeatResponse::default() })
}
