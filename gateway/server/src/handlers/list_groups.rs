//! ListGroups (key 16), versions 0–5.
//!
//! Behaviour: all groups of the fleet, whichever gateway is asked (Kafka's brokers list their own). All are classic.
//! Version notes: 4 filters by state, compared without case and trimmed as Kafka does, and tells it (KIP-518); 5 filters
//! by type, and tells it (KIP-848).
//! Errors: 15 what could not be decided now: Java's admin client asks again.

use futures_util::future::BoxFuture;
use sluice_engine::ListedGroup;
use sluice_protocol::messages::list_groups::ListedGroup as TellGroup;
use sluice_protocol::messages::{ListGroupsRequest, ListGroupsResponse};
use sluice_protocol::{DecodeError, KString};

use crate::dispatch::{Call, run_alone};
use crate::errors::group_code;
use crate::request::{Outcome, Stage};

/// What Kafka calls groups of JoinGroup.
const TYPE: &str = "classic";

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: ListGroupsRequest) -> Outcome {
    match call.service.engine.list_groups().await {
        Ok(groups) => {
            let groups = groups.into_iter().filter(|group| is_wanted(&request, group)).map(tell).collect();
            call.answer(&ListGroupsResponse { groups, ..ListGroupsResponse::default() })
        }
        Err(error) => {
            call.answer(&ListGroupsResponse { error_code: group_code(&error), ..ListGroupsResponse::default() })
        }
    }
}

/// An empty filter takes everything; one that names nothing known takes nothing.
fn is_wanted(request: &ListGroupsRequest, group: &ListedGroup) -> bool {
    let passes = |filter: &[KString], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.as_str().trim().eq_ignore_ascii_case(value))
    };
    passes(&request.states_filter, group.state) && passes(&request.types_filter, TYPE)
}

fn tell(group: ListedGroup) -> TellGroup {
    TellGroup {
        group_id: KString::from(&*group.group_id),
        protocol_type: KString::from(&*group.protocol_type),
        group_state: KString::from_static(group.state),
        group_type: KString::from_static(TYPE),
    }
}
