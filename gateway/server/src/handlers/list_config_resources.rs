//! ListConfigResources (key 74), versions 0–1.
//!
//! Behaviour: as Kafka's: topics, the broker, its loggers; groups and client metrics that have configs, of which there are
//! none.
//! Version notes: 0 asks for client metrics alone (ListClientMetricsResources); 1 names types (KIP-1142), none for all.
//! Errors: 35 a type that Kafka does not have; 7 what could not be decided now.

use futures_util::future::BoxFuture;
use sluice_engine::{ConfigResourceKind, ConfigResourceRef};
use sluice_protocol::messages::list_config_resources::ConfigResource;
use sluice_protocol::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString};

use super::{config_kind, tell_config_kind};
use crate::dispatch::{Call, run_alone};
use crate::errors::admin_code;
use crate::request::{Outcome, Stage};

/// In the order in which Kafka tells them.
const ALL: [ConfigResourceKind; 5] = [
    ConfigResourceKind::Group,
    ConfigResourceKind::ClientMetrics,
    ConfigResourceKind::BrokerLogger,
    ConfigResourceKind::Broker,
    ConfigResourceKind::Topic,
];

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: ListConfigResourcesRequest) -> Outcome {
    let asked: Vec<_> = request.resource_types.iter().map(|kind| config_kind(*kind)).collect();
    let kinds: Vec<_> = match (call.version, asked.is_empty()) {
        (0, _) => vec![ConfigResourceKind::ClientMetrics],
        (_, true) => ALL.to_vec(),
        _ => ALL.into_iter().filter(|kind| asked.contains(kind)).collect(),
    };
    if asked.iter().any(|kind| matches!(kind, ConfigResourceKind::Other(_))) {
        return answer(&call, ErrorCode::UNSUPPORTED_VERSION, Vec::new());
    }
    match call.service.engine.config_resources(&kinds).await {
        Ok(resources) => answer(&call, ErrorCode::NONE, resources.into_iter().map(tell).collect()),
        Err(error) => answer(&call, admin_code(&error), Vec::new()),
    }
}

fn answer(call: &Call, error_code: ErrorCode, config_resources: Vec<ConfigResource>) -> Outcome {
    let response =
        ListConfigResourcesResponse { error_code, config_resources, ..ListConfigResourcesResponse::default() };
    call.answer(&response)
}

fn tell(resource: ConfigResourceRef) -> ConfigResource {
    ConfigResource { resource_name: KString::from(resource.name), resource_type: tell_config_kind(resource.kind) }
}
