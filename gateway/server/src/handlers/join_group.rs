//! JoinGroup (key 11), versions 0–9.
//!
//! Behaviour: as Kafka's. The request waits until the phase it joined is over; through which gateway is all the same. It is
//! dropped when its client is gone (T7), and keeps nothing of its frame while it waits (I-14).
//! Version notes: 0 has no rebalance timeout and takes the session timeout; 4 gives new dynamic members their id first
//! (KIP-394); 5 static members (KIP-345); 7 tells the protocol type, and null for "no protocol"; 9 lets a leader skip the
//! assignment (KIP-814).
//! Errors: 24, 26, 25, 81, 23, 79, 82 by Kafka's rules; −1 a registered member that comes with an instance id, as in Kafka;
//! 81 also where a gateway has as many groups and members as it may; 15 what could not be decided now.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sluice_engine::{ClientInfo, EngineError, JoinAsk, Joined, JoinedMember, Origin};
use sluice_protocol::messages::join_group::JoinGroupResponseMember;
use sluice_protocol::messages::{JoinGroupRequest, JoinGroupResponse};
use sluice_protocol::{DecodeError, KString};

use super::{optional_string, tell_optional};
use crate::dispatch::Call;
use crate::errors::group_code;
use crate::request::{Outcome, Stage};

/// New dynamic members are told their id first from this version on.
const MEMBER_ID_REQUIRED_SINCE: i16 = 4;
/// "No protocol" is null from this version on.
const NULL_PROTOCOL_SINCE: i16 = 7;
/// A leader may skip its assignment from this version on.
const SKIP_ASSIGNMENT_SINCE: i16 = 9;

pub(crate) fn start(mut call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    let (client, request) = call.decode_with_client::<JoinGroupRequest>()?;
    let (origin, ask) = (call.origin(), translate(call.version, client, request));
    Ok(Box::pin(join(call, origin, ask).map(Stage::Settled)))
}

async fn join(call: Call, origin: Origin, ask: JoinAsk) -> Outcome {
    let asked_as = ask.member_id.clone();
    let joined = match call.freshen().await {
        Ok(()) => call.service.engine.join_group(&origin, ask).await,
        Err(error) => Err(error),
    };
    match joined {
        Ok(joined) => call.answer(&tell(call.version, joined)),
        Err(error) => call.answer(&refused(call.version, asked_as, &error)),
    }
}

fn translate(version: i16, client: ClientInfo, request: JoinGroupRequest) -> JoinAsk {
    let rebalance_timeout_ms = match version {
        0 => request.session_timeout_ms,
        _ => request.rebalance_timeout_ms,
    };
    let protocols = request.protocols.into_iter();
    JoinAsk {
        group_id: String::from(request.group_id),
        member_id: String::from(request.member_id),
        instance_id: optional_string(request.group_instance_id),
        client,
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms,
        protocol_type: String::from(request.protocol_type),
        protocols: protocols.map(|protocol| (String::from(protocol.name), protocol.metadata)).collect(),
        requires_known_member_id: version >= MEMBER_ID_REQUIRED_SINCE,
        supports_skipping_assignment: version >= SKIP_ASSIGNMENT_SINCE,
    }
}

fn tell(version: i16, joined: Joined) -> JoinGroupResponse {
    let member = |member: JoinedMember| JoinGroupResponseMember {
        member_id: KString::from(&*member.member_id),
        group_instance_id: tell_optional(member.instance_id.as_deref()),
        metadata: member.metadata,
    };
    JoinGroupResponse {
        generation_id: joined.generation,
        protocol_type: tell_optional(joined.protocol_type.as_deref()),
        protocol_name: tell_optional(joined.protocol.as_deref()).or_else(|| no_protocol(version)),
        leader: KString::from(&*joined.leader),
        skip_assignment: joined.skip_assignment && version >= SKIP_ASSIGNMENT_SINCE,
        member_id: KString::from(&*joined.member_id),
        members: joined.members.into_iter().map(member).collect(),
        ..JoinGroupResponse::default()
    }
}

/// A refusal names the member as it asked, or the id it is to join with.
fn refused(version: i16, asked_as: String, error: &EngineError) -> JoinGroupResponse {
    let member_id = match error {
        EngineError::MemberIdRequired(id) | EngineError::FencedWhileWaiting(id) => KString::from(&**id),
        EngineError::GroupMaxSizeReached | EngineError::RemovedWhileWaiting | EngineError::Unexpected(_) => {
            KString::new()
        }
        _ => KString::from(asked_as),
    };
    JoinGroupResponse {
        error_code: group_code(error),
        protocol_name: no_protocol(version),
        member_id,
        ..JoinGroupResponse::default()
    }
}

fn no_protocol(version: i16) -> Option<KString> {
    (version < NULL_PROTOCOL_SINCE).then(KString::new)
}
