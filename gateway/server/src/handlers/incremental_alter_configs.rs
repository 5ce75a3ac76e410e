//! IncrementalAlterConfigs (key 44), versions 0–1.
//!
//! Behaviour: as Kafka's, except that what cannot mean anything here is refused (`docs/configuration.md`).
//! Version notes: none that a handler sees.
//! Errors, per resource: 3 unknown topic; 17 illegal topic name; 40 an unknown topic config, a value it cannot have, a list's
//! operation on what is no list, what means nothing here; 42 a resource or a config named twice, a null value, another
//! broker, a broker's config that is fixed or has a value it cannot have; −1 an operation that Kafka does not have (so says
//! Kafka); 44 too many brokers with configs; 7 what could not be decided now, or may have happened.

use futures_util::future::BoxFuture;
use sluice_engine::{AlterConfigs, ConfigChange, ConfigOp};
use sluice_protocol::messages::incremental_alter_configs::{
    AlterConfigsResource, AlterConfigsResourceResponse, AlterableConfig,
};
use sluice_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};
use sluice_protocol::{DecodeError, ErrorCode};

use super::{config_resource, optional_string, tell_config_error};
use crate::dispatch::{Call, run_alone};
use crate::errors::admin_code;
use crate::request::{Outcome, Stage};

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: IncrementalAlterConfigsRequest) -> Outcome {
    let mut named = Vec::with_capacity(request.resources.len());
    let mut asks = Vec::with_capacity(request.resources.len());
    for AlterConfigsResource { resource_type, resource_name, configs } in request.resources {
        asks.push((config_resource(resource_type, &resource_name), AlterConfigs::Change(changes(configs))));
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
    let responses = responses.collect();
    call.answer(&IncrementalAlterConfigsResponse { responses, ..IncrementalAlterConfigsResponse::default() })
}

fn changes(configs: Vec<AlterableConfig>) -> Vec<ConfigChange> {
    let change = |AlterableConfig { name, config_operation, value }: AlterableConfig| ConfigChange {
        name: String::from(name),
        op: operation(config_operation),
        value: optional_string(value),
    };
    configs.into_iter().map(change).collect()
}

/// Kafka's numbers (`AlterConfigOp.OpType`).
fn operation(number: i8) -> ConfigOp {
    match number {
        0 => ConfigOp::Set,
        1 => ConfigOp::Delete,
        2 => ConfigOp::Append,
        3 => ConfigOp::Subtract,
        other => ConfigOp::Other(other),
    }
}
