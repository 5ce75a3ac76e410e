//! DescribeGroups (key 15), versions 0–6.
//!
//! Behaviour: as Kafka's, the empty group id included. Metadata is told of stable groups only. Operations are told to
//! nobody: nothing is authorized yet.
//! Version notes: 3 authorized operations; 4 static members (KIP-345); 6 an unknown group is an error, before it is Dead.
//! Errors, per group: 69 unknown (from version 6); 15 what could not be decided now: Java's admin client asks again.

use futures_util::future::BoxFuture;
use sluice_engine::{EngineError, EngineResult, GroupDescription, MemberDescription};
use sluice_protocol::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use sluice_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};
use sluice_protocol::{DecodeError, KString};

use super::{GROUP_OPERATIONS, tell_optional};
use crate::dispatch::{Call, run_alone};
use crate::errors::group_code;
use crate::request::{Outcome, Stage};

/// An unknown group is an error from this version on.
const UNKNOWN_IS_ERROR_SINCE: i16 = 6;
/// The state of a group that is not there.
const DEAD: &str = "Dead";

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: DescribeGroupsRequest) -> Outcome {
    let asked = request.groups.iter().map(|id| id.as_str().to_owned()).collect();
    let described = call.service.engine.describe_groups(asked).await;
    let groups = request.groups.into_iter().zip(described);
    let groups = groups.map(|(group_id, described)| tell(call.version, group_id, described));
    let tell_operations = |group: DescribedGroup| match request.include_authorized_operations {
        true if group.error_code.is_none() => DescribedGroup { authorized_operations: GROUP_OPERATIONS, ..group },
        _ => group,
    };
    let groups = groups.map(tell_operations).collect();
    call.answer(&DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() })
}

fn tell(version: i16, group_id: KString, described: EngineResult<GroupDescription>) -> DescribedGroup {
    match described {
        Ok(group) => DescribedGroup {
            group_id,
            group_state: KString::from_static(group.state),
            protocol_type: KString::from(&*group.protocol_type),
            protocol_data: KString::from(&*group.protocol),
            members: group.members.into_iter().map(tell_member).collect(),
            ..DescribedGroup::default()
        },
        Err(EngineError::GroupIdNotFound) if version < UNKNOWN_IS_ERROR_SINCE => {
            DescribedGroup { group_id, group_state: KString::from_static(DEAD), ..DescribedGroup::default() }
        }
        Err(error) => DescribedGroup {
            error_code: group_code(&error),
            error_message: (version >= UNKNOWN_IS_ERROR_SINCE).then(|| message(&error, &group_id)),
            group_state: match error {
                EngineError::GroupIdNotFound => KString::from_static(DEAD),
                _ => KString::new(),
            },
            group_id,
            ..DescribedGroup::default()
        },
    }
}

/// `kafka-consumer-groups` prints it as it is: Kafka's own words where people meet them.
fn message(error: &EngineError, group_id: &KString) -> KString {
    match error {
        EngineError::GroupIdNotFound => KString::from(format!("Group {} not found.", group_id.as_str())),
        _ => KString::from(error.to_string()),
    }
}

fn tell_member(member: MemberDescription) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: KString::from(&*member.member_id),
        group_instance_id: tell_optional(member.instance_id.as_deref()),
        client_id: KString::from(&*member.client_id),
        client_host: KString::from(&*member.client_host),
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    }
}
