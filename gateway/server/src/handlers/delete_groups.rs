//! DeleteGroups (key 42), versions 0–2.
//!
//! Behaviour: as Kafka's, the empty group id included: a group without members goes with its committed offsets.
//! Errors, per group: 69 unknown, 68 it has members, 15 what could not be decided now: Java's admin client asks again.

use futures_util::future::BoxFuture;
use sluice_protocol::messages::delete_groups::DeletableGroupResult;
use sluice_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};
use sluice_protocol::{DecodeError, ErrorCode};

use crate::dispatch::{Call, run_alone};
use crate::errors::group_code;
use crate::request::{Outcome, Stage};

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: DeleteGroupsRequest) -> Outcome {
    let origin = call.origin();
    let asked = request.groups_names.iter().map(|id| id.as_str().to_owned()).collect();
    let deleted = call.service.engine.delete_groups(&origin, asked).await;
    let results = request.groups_names.into_iter().zip(deleted).map(|(group_id, deleted)| DeletableGroupResult {
        group_id,
        error_code: deleted.map_or_else(|error| group_code(&error), |()| ErrorCode::NONE),
    });
    call.answer(&DeleteGroupsResponse { results: results.collect(), ..DeleteGroupsResponse::default() })
}
