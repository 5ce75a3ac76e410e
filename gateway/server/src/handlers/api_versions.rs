//! ApiVersions (key 18), versions 0–4.
//!
//! Behaviour: the ranges are those of the table at State's feature level, not of the build, so that a fleet that is being
//! upgraded answers alike (I-12). There are no features yet, so none is finalized; their epoch is the feature level, which
//! only moves forward. State need not be fresh for it.
//! Version notes: 3 names the client's software, and is flexible except for its response header (KIP-511); 4 may carry
//! features from 0 on (KIP-1022).
//! Errors: 35 for a version that is not in the table, in the layout of version 0 and with the range of ApiVersions alone
//! (the client asks again with that); 42 for a software name or version that Kafka would not take.

use futures_util::future::{BoxFuture, ready};
use sluice_protocol::messages::api_versions::ApiVersion;
use sluice_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use sluice_protocol::{DecodeError, ErrorCode};

use crate::dispatch::Call;
use crate::request::Stage;
use crate::table::{self, Row};

pub(crate) fn start(mut call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    let request = call.decode::<ApiVersionsRequest>()?;
    let names_software = call.version >= 3;
    let is_valid =
        is_software_text(&request.client_software_name) && is_software_text(&request.client_software_version);
    let response = if names_software && !is_valid {
        ApiVersionsResponse { error_code: ErrorCode::INVALID_REQUEST, ..ApiVersionsResponse::default() }
    } else {
        let level = call.service.engine.feature_level();
        ApiVersionsResponse {
            api_keys: table::rows_at(level).into_iter().map(range_of).collect(),
            finalized_features_epoch: i64::from(level),
            ..ApiVersionsResponse::default()
        }
    };
    Ok(settled(&call, call.version, &response))
}

/// The answer to a version that is not in the table.
pub(crate) fn answer_unknown_version(call: &Call) -> BoxFuture<'static, Stage> {
    let response = ApiVersionsResponse {
        error_code: ErrorCode::UNSUPPORTED_VERSION,
        api_keys: vec![range_of(call.row)],
        ..ApiVersionsResponse::default()
    };
    settled(call, 0, &response)
}

fn settled(call: &Call, version: i16, response: &ApiVersionsResponse) -> BoxFuture<'static, Stage> {
    Box::pin(ready(Stage::Settled(call.answer_in_version(version, response))))
}

fn range_of(row: &Row) -> ApiVersion {
    ApiVersion { api_key: row.key.as_i16(), min_version: row.advertised.min, max_version: row.advertised.max }
}

/// Kafka's rule: letters, digits, `-` and `.`, the first and the last a letter or a digit.
fn is_software_text(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_kafkas_rule() {
        for text in ["librdkafka", "a", "2.12.1", "apache-kafka-java", "1"] {
            assert!(is_software_text(text), "{text}");
        }
        for text in ["", "-a", "a-", ".", "a b", "kafka/1", "ä", "a\n"] {
            assert!(!is_software_text(text), "{text}");
        }
    }
}
