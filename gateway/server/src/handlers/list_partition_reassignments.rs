//! ListPartitionReassignments (key 46), version 0.
//!
//! Behaviour: no partition is ever being reassigned, so the list is empty, whatever is asked for. Kafka leaves out topics
//! that it does not have or that are not being moved, and answers without an error.

use futures_util::future::BoxFuture;
use sluice_protocol::DecodeError;
use sluice_protocol::messages::{ListPartitionReassignmentsRequest, ListPartitionReassignmentsResponse};

use crate::dispatch::{Call, run_alone};
use crate::request::{Outcome, Stage};

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, _: ListPartitionReassignmentsRequest) -> Outcome {
    call.answer(&ListPartitionReassignmentsResponse {
        error_message: None,
        ..ListPartitionReassignmentsResponse::default()
    })
}
