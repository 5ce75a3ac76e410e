//! DeleteGroups (key 42), versions 0–2.
//!
//! Behaviour: as Kafka's, the empty group id included: a group without members goes with its committed offsets; one that is
//! named twice is answered once.
//! Errors, per group: 69 unknown, 68 it has members, 15 what could not be decided now: Java's admin client asks again.

use std::collections::BTreeSet;

use futures_util::future::BoxFuture;
use sluice_protocol::messages::delete_groups::DeletableGroupResult;
use sluice_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use crate::dispatch::{Call, run_alone};
use crate::errors::group_code;
use crate::request::{Outcome, Stage};

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: DeleteGroupsRequest) -> Outcome {
    let origin = call.origin();
    let named = distinct(request.groups_names);
    let asked = named.iter().map(|id| id.as_str().to_owned()).collect();
    let deleted = call.service.engine.delete_groups(&origin, asked).await;
    let results = named.into_iter().zip(deleted).map(|(group_id, deleted)| DeletableGroupResult {
        group_id,
        error_code: deleted.map_or_else(|error| group_code(&error), |()| ErrorCode::NONE),
    });
    call.answer(&DeleteGroupsResponse { results: results.collect(), ..DeleteGroupsResponse::default() })
}

/// Each name once, where it stood first.
fn distinct(mut names: Vec<KString>) -> Vec<KString> {
    let mut seen = BTreeSet::new();
    names.retain(|name| seen.insert(name.clone()));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_named_twice_is_deleted_and_answered_once() {
        let names = |names: &[&'static str]| names.iter().map(|name| KString::from(*name)).collect::<Vec<_>>();
        assert_eq!(distinct(names(&["b", "a", "b", "", "a", ""])), names(&["b", "a", ""]));
        assert_eq!(distinct(Vec::new()), names(&[]));
    }
}
