//! DescribeConfigs (key 32), versions 0–4.
//!
//! Behaviour: as Kafka's, entries in name order; one resource of a type that Kafka does not have fails them all. The broker
//! tells the configs that mean something here, and no loggers. Documentation is our own, a sentence each.
//! Version notes: 0 tells whether a value is the default in place of where it comes from, and is not advertised, as in Kafka
//! 4; 1 sources and synonyms (KIP-226); 3 types and documentation (KIP-569).
//! Errors, per resource: 3 unknown topic (without a message, as in Kafka); 17 illegal topic name; 42 another broker, or no
//! name where there must be one; 44 more than one answer may hold; 7 what could not be decided now.

use futures_util::future::BoxFuture;
use sluice_engine::{
    ConfigResourceKind, ConfigSource, ConfigSynonym, ConfigType, DescribeConfigsAsk, DescribedConfig, EngineError,
    EngineResult,
};
use sluice_protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use sluice_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use sluice_protocol::{DecodeError, KString};

use super::{config_kind, config_resource, tell_name, tell_source};
use crate::dispatch::{Call, run_alone};
use crate::errors::admin_code;
use crate::request::{Outcome, Stage};

/// What is told of each config besides its value.
#[derive(Clone, Copy)]
struct Wanted {
    synonyms: bool,
    documentation: bool,
    /// Whether it is the default: in version 0 alone.
    is_default: bool,
}

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: DescribeConfigsRequest) -> Outcome {
    let DescribeConfigsRequest { mut resources, include_synonyms, include_documentation, .. } = request;
    let wanted =
        Wanted { synonyms: include_synonyms, documentation: include_documentation, is_default: call.version == 0 };
    let is_foreign =
        |asked: &DescribeConfigsResource| matches!(config_kind(asked.resource_type), ConfigResourceKind::Other(_));
    let described = if resources.iter().any(is_foreign) {
        let refusal = EngineError::InvalidRequest("a resource has a type that is not known".to_owned());
        resources.iter().map(|_| Err(refusal.clone())).collect()
    } else {
        call.service.engine.describe_configs(resources.iter_mut().map(ask).collect()).await
    };
    let results = resources.into_iter().zip(described);
    let results = results.map(|(asked, described)| tell(asked, described, wanted)).collect();
    call.answer(&DescribeConfigsResponse { results, ..DescribeConfigsResponse::default() })
}

fn ask(asked: &mut DescribeConfigsResource) -> DescribeConfigsAsk<KString> {
    let names = asked.configuration_keys.take().unwrap_or_default();
    DescribeConfigsAsk { resource: config_resource(asked.resource_type, &asked.resource_name), names }
}

fn tell(
    asked: DescribeConfigsResource,
    described: EngineResult<Vec<DescribedConfig>>,
    wanted: Wanted,
) -> DescribeConfigsResult {
    let result = DescribeConfigsResult {
        resource_type: asked.resource_type,
        resource_name: asked.resource_name,
        // Not null: so says Kafka.
        error_message: Some(KString::new()),
        ..DescribeConfigsResult::default()
    };
    match described {
        Ok(configs) => {
            let configs = configs.into_iter().map(|config| tell_config(config, wanted)).collect();
            DescribeConfigsResult { configs, ..result }
        }
        Err(EngineError::UnknownTopic) => {
            DescribeConfigsResult { error_code: admin_code(&EngineError::UnknownTopic), ..result }
        }
        Err(error) => DescribeConfigsResult {
            error_code: admin_code(&error),
            error_message: Some(KString::from(error.to_string())),
            ..result
        },
    }
}

fn tell_config(config: DescribedConfig, wanted: Wanted) -> DescribeConfigsResourceResult {
    let documentation = wanted.documentation.then(|| KString::from_static(config.about));
    let synonyms = if wanted.synonyms { config.synonyms } else { Vec::new() };
    DescribeConfigsResourceResult {
        name: tell_name(config.name),
        value: config.value.map(KString::from),
        read_only: config.is_read_only,
        is_default: wanted.is_default && config.source == ConfigSource::Default,
        config_source: tell_source(config.source),
        is_sensitive: config.is_sensitive,
        synonyms: synonyms.into_iter().map(tell_synonym).collect(),
        config_type: tell_type(config.kind),
        documentation,
    }
}

fn tell_synonym(synonym: ConfigSynonym) -> DescribeConfigsSynonym {
    DescribeConfigsSynonym {
        name: tell_name(synonym.name),
        value: synonym.value.map(KString::from),
        source: tell_source(synonym.source),
    }
}

/// Kafka's numbers (`DescribeConfigsResponse.ConfigType`).
fn tell_type(kind: ConfigType) -> i8 {
    match kind {
        ConfigType::Unknown => 0,
        ConfigType::Boolean => 1,
        ConfigType::String => 2,
        ConfigType::Int => 3,
        ConfigType::Long => 5,
        ConfigType::Double => 6,
        ConfigType::List => 7,
    }
}
