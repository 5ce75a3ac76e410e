//! InitProducerId (key 22), versions 0–5.
//!
//! Behaviour: a producer without a transactional id gets a new id with epoch 0, also when it names the one it had, as in
//! Kafka: only transactions keep an id. The transaction timeout is not read.
//! Version notes: 2 flexible; 3 names an id and an epoch (KIP-360).
//! Errors: 42 an empty transactional id, or an id without an epoch or the reverse; 35 a transactional id, until there are
//! transactions; 14 what could not be done now.

use futures_util::future::BoxFuture;
use sluice_engine::{EngineError, EngineResult, ProducerIdentity};
use sluice_protocol::DecodeError;
use sluice_protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};

use crate::dispatch::{Call, run_alone};
use crate::errors::init_producer_id_code;
use crate::request::{Outcome, Stage};

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: InitProducerIdRequest) -> Outcome {
    let response = match allocate(&call, &request).await {
        Ok(ProducerIdentity { id, epoch }) => {
            InitProducerIdResponse { producer_id: id, producer_epoch: epoch, ..InitProducerIdResponse::default() }
        }
        Err(error) => InitProducerIdResponse {
            error_code: init_producer_id_code(&error),
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        },
    };
    call.answer(&response)
}

async fn allocate(call: &Call, request: &InitProducerIdRequest) -> EngineResult<ProducerIdentity> {
    let invalid = |reason: &str| Err(EngineError::InvalidRequest(reason.to_owned()));
    match &request.transactional_id {
        Some(id) if id.is_empty() => return invalid("the transactional id is empty"),
        Some(_) => return Err(EngineError::TransactionsUnsupported),
        None => {}
    }
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return invalid("a producer id and its epoch come together");
    }
    call.freshen().await?;
    call.service.engine.allocate_producer_id().await
}
