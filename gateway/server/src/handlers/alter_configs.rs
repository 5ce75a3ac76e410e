//! AlterConfigs (key 33), versions 0–2.
//!
//! Behaviour: as Kafka's: what is not named is as if it had never been set. A resource that is named twice is refused at each
//! mention (Kafka 4.3 never answers such a request).
//! Version notes: none that a handler sees.
//! Errors, per resource: as in IncrementalAlterConfigs; 42 also for broker loggers, which are changed one by one.

use futures_util::future::BoxFuture;
use sluice_engine::{AlterConfigs, ConfigChange, ConfigOp};
use sluice_protocol::messages::alter_configs::{AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig};
use sluice_protocol::messages::{AlterConfigsRequest, AlterConfigsResponse};
use sluice_protocol::{DecodeError, ErrorCode};

use super::{config_resource, optional_string, tell_config_error};
use crate::dispatch::{Call, run_alone};
use crate::errors::admin_code;
use crate::request::{Outcome, Stage};

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: AlterConfigsRequest) -> Outcome {
    let mut named = Vec::with_capacity(request.resources.len());
    let mut asks = Vec::with_capacity(request.resources.len());
    for AlterConfigsResource { resource_type, resource_name, configs } in request.resources {
        asks.push((config_resource(resource_type, &resource_name), AlterConfigs::Replace(changes(configs))));
        named.push((resource_type, resource_name));
    }
    let altered = call.service.engine.alter_configs(asks, request.validate_only).await;
    let responses = named.into_iter().zip(altered).map(|((resource_type, resource_name), altered)| {
        let (error_code, error_message) = match &altered {
            Ok(()) => (ErrorCode::NONE, None),
            Err(error) => (admin_code(error), tell_config_error(error, &resource_name)),
        };
        AlterConfigsResourceResponse { error_code, error_message, resource_type, resource_name }
    });
    call.answer(&AlterConfigsResponse { responses: responses.collect(), ..AlterConfigsResponse::default() })
}

fn changes(configs: Vec<AlterableConfig>) -> Vec<ConfigChange> {
    let change = |AlterableConfig { name, value }: AlterableConfig| ConfigChange {
        name: String::from(name),
        op: ConfigOp::Set,
        value: optional_string(value),
    };
    configs.into_iter().map(change).collect()
}
