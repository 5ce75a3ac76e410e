//! LeaveGroup (key 13), versions 0–5.
//!
//! Behaviour: as Kafka's. Done even if its client is gone by then: the one coordination request of which that is so (T7).
//! Version notes: 3 several members, by member id or by group instance id alone (KIP-345); 5 a reason, which is not read.
//! Errors: of the whole, 24 and 15 (what could not be decided now); per member (before version 3, of the whole) 25, 82.

use futures_util::future::BoxFuture;
use sluice_engine::{EngineResult, LeaveAsk};
use sluice_protocol::messages::leave_group::{MemberIdentity, MemberResponse};
use sluice_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};
use sluice_protocol::{DecodeError, ErrorCode};

use super::optional_string;
use crate::dispatch::{Call, run_alone};
use crate::errors::group_code;
use crate::request::{Outcome, Stage};

/// Several members come from this version on.
const MEMBERS_SINCE: i16 = 3;

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: LeaveGroupRequest) -> Outcome {
    let members = match call.version {
        MEMBERS_SINCE.. => request.members,
        _ => vec![MemberIdentity { member_id: request.member_id, ..MemberIdentity::default() }],
    };
    let ask = |member: &MemberIdentity| LeaveAsk {
        member_id: member.member_id.as_str().to_owned(),
        instance_id: optional_string(member.group_instance_id.clone()),
    };
    let asks: Vec<_> = members.iter().map(ask).collect();
    let left = leave(&call, request.group_id.as_str(), &asks).await;
    call.answer(&tell(call.version, members, left))
}

async fn leave(call: &Call, group_id: &str, asks: &[LeaveAsk]) -> EngineResult<Vec<EngineResult<()>>> {
    let origin = call.origin();
    call.freshen().await?;
    call.service.engine.leave_group(&origin, group_id, asks).await
}

fn tell(version: i16, members: Vec<MemberIdentity>, left: EngineResult<Vec<EngineResult<()>>>) -> LeaveGroupResponse {
    let left = match left {
        Ok(left) => left,
        Err(error) => return LeaveGroupResponse { error_code: group_code(&error), ..LeaveGroupResponse::default() },
    };
    let code = |left: EngineResult<()>| left.map_or_else(|error| group_code(&error), |()| ErrorCode::NONE);
    let mut codes = left.into_iter().map(code);
    if version < MEMBERS_SINCE {
        let error_code = codes.next().unwrap_or(ErrorCode::UNKNOWN_MEMBER_ID);
        return LeaveGroupResponse { error_code, ..LeaveGroupResponse::default() };
    }
    let member = |(member, error_code): (MemberIdentity, ErrorCode)| MemberResponse {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error_code,
    };
    let members = members.into_iter().zip(codes).map(member).collect();
    LeaveGroupResponse { members, ..LeaveGroupResponse::default() }
}
