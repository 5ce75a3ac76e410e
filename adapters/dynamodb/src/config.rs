//! How the table is reached, when it rolls, and the SDK client made of that.

use std::fmt;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryPartition;
use aws_smithy_http_client::tls;
use hyper::Uri;
use sluice_store::{StoreError, StoreErrorKind, StoreResult};

/// The region assumed when an endpoint is given and no region is: emulators do not care.
const ENDPOINT_REGION: &str = "us-east-1";

/// Most elements in one append. With the longest inline elements such a request has 18 KB, far below the 400 KB of an item.
pub(crate) const APPEND_ELEMENTS_MAX: usize = 64;
/// Most bytes of elements in one append.
pub(crate) const APPEND_BYTES_MAX: usize = 300_000;
/// Most bytes of elements in one chunk, unless its one element is larger: an item is at most 400 KB.
pub(crate) const CHUNK_BYTES_MAX: usize = 300_000;
/// Entries over this get a body (L4).
pub(crate) const INLINE_BYTES_MAX: usize = 256;
/// Bytes of a body in one item: below DynamoDB's 400 KB, keys included.
pub(crate) const BODY_PART_BYTES: usize = 300_000;
/// Most parts of a body.
pub(crate) const BODY_PARTS_MAX: usize = 14;
/// Largest entry.
pub(crate) const ENTRY_BYTES_MAX: usize = BODY_PART_BYTES * BODY_PARTS_MAX;
/// Parts of one body that are written, or read, at the same time.
pub(crate) const BODY_PARTS_AT_ONCE: usize = 4;
/// Appends per second that all gateways together may send (L7): a third of what DynamoDB gives one partition key.
pub(crate) const APPENDS_PER_S: f64 = 300.0;
/// Items of one call that are put into the offsets view at the same time.
pub(crate) const OFFSETS_PUTS_AT_ONCE: usize = 16;
/// How long a new table may take to become active.
pub(crate) const CREATE_TIMEOUT: Duration = Duration::from_secs(60);

/// Keys given by hand instead of found by the SDK's chain: for emulators and tests. Its `Debug` shows no secret.
#[derive(Clone)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("access_key_id", &self.access_key_id).finish_non_exhaustive()
    }
}

/// When elements move from the head into chunks (L5). Sizes are the head item's as DynamoDB counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RollLimits {
    /// The appender that crosses this many bytes rolls; any other that sees twice as many does.
    pub head_bytes: usize,
    /// From this many bytes on everybody rolls before appending.
    pub head_bytes_hard: usize,
    /// Most elements in one chunk, and the number at which an appender rolls whatever they weigh. 1 to 256: positions
    /// are looked up on the promise that no chunk is longer.
    pub elements: usize,
}

impl RollLimits {
    /// The longest chunk there may be.
    pub(crate) const ELEMENTS_MAX: usize = 256;

    /// These limits, with `elements` inside its bounds.
    pub(crate) fn bounded(self) -> Self {
        Self { elements: self.elements.clamp(1, Self::ELEMENTS_MAX), ..self }
    }
}

impl Default for RollLimits {
    fn default() -> Self {
        Self { head_bytes: 1_024, head_bytes_hard: 8_192, elements: Self::ELEMENTS_MAX }
    }
}

/// Which table, and how it is reached.
#[derive(Debug, Clone)]
pub struct DynamoDbConfig {
    /// What the tables' names begin with: the log is in `<tables>-metadata`, the offsets view in `<tables>-offsets`.
    pub tables: String,
    /// Where DynamoDB is, when it is not Amazon's ("http://127.0.0.1:4566").
    pub endpoint: Option<String>,
    /// The region; without it, as the SDK finds it, or us-east-1 when there is an endpoint.
    pub region: Option<String>,
    /// Without it: as the SDK finds them (environment, profile, web identity, container, instance).
    pub credentials: Option<Credentials>,
    /// Limit for making a connection, TLS included.
    pub connect_timeout: Duration,
    /// Limit for a request and its answer.
    pub request_timeout: Duration,
    /// When the head rolls.
    pub roll: RollLimits,
}

impl DynamoDbConfig {
    /// The configuration for tables of Amazon's, with the default limits: 3 s to connect, 5 s for a request.
    #[must_use]
    pub fn new(tables: impl Into<String>) -> Self {
        Self {
            tables: tables.into(),
            endpoint: None,
            region: None,
            credentials: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(5),
            roll: RollLimits::default(),
        }
    }

    /// The name of the log's table.
    #[must_use]
    pub fn metadata_table(&self) -> String {
        format!("{}-metadata", self.tables)
    }

    /// The name of the offsets view's table.
    #[must_use]
    pub fn offsets_table(&self) -> String {
        format!("{}-offsets", self.tables)
    }
}

/// A client. Sends nothing to DynamoDB; may ask the instance for its region when none is set.
///
/// # Errors
/// `Invalid` for an endpoint that is no URL, and when there is no region anywhere.
pub(crate) async fn client(config: &DynamoDbConfig) -> StoreResult<Client> {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(config.connect_timeout)
        .read_timeout(config.request_timeout)
        .operation_attempt_timeout(config.request_timeout)
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .timeout_config(timeouts)
        // L1: of an append that was sent twice nobody could say what each copy came to.
        .retry_config(RetryConfig::disabled());
    if let Some(region) = region(config.region.as_ref(), config.endpoint.as_ref()).await {
        loader = loader.region(region);
    }
    if let Some(endpoint) = &config.endpoint {
        check_endpoint(endpoint)?;
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(keys) = &config.credentials {
        let keys = aws_credential_types::Credentials::new(
            &keys.access_key_id,
            &keys.secret_access_key,
            None,
            None,
            "configuration",
        );
        loader = loader.credentials_provider(SharedCredentialsProvider::new(keys));
    }
    let shared = loader.load().await;
    if shared.region().is_none() {
        let message = "no AWS region is set: name one by flag, in AWS_REGION or in the AWS profile";
        return Err(StoreError::new(StoreErrorKind::Invalid, message));
    }
    let dynamodb = aws_sdk_dynamodb::config::Builder::from(&shared).retry_partition(RetryPartition::new("sluice-log"));
    Ok(Client::from_conf(dynamodb.build()))
}

/// The region that is not left to the SDK's chain: the configured one, or with an endpoint one that is found without
/// asking the network.
async fn region(configured: Option<&String>, endpoint: Option<&String>) -> Option<Region> {
    let configured = configured.cloned().map(Region::new);
    if configured.is_some() || endpoint.is_none() {
        return configured;
    }
    let local = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
        .or_else(ProfileFileRegionProvider::new())
        .or_else(Region::new(ENDPOINT_REGION));
    local.region().await
}

/// # Errors
/// `Invalid` when the endpoint is no URL: the SDK would say so only in the first request, and as if it had been sent.
fn check_endpoint(endpoint: &str) -> StoreResult<()> {
    let uri = endpoint.parse::<Uri>().ok();
    if uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()) {
        return Ok(());
    }
    let message = format!("endpoint `{endpoint}` is not of the form http://host:port or https://host");
    Err(StoreError::new(StoreErrorKind::Invalid, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_never_get_longer_than_lookups_promise() {
        let with = |elements| RollLimits { elements, ..RollLimits::default() }.bounded().elements;
        assert_eq!([with(0), with(7), with(256), with(10_000)], [1, 7, 256, 256]);
    }

    #[test]
    fn an_endpoint_is_a_url() {
        for good in ["http://127.0.0.1:4566", "https://s3.example.org", "http://[::1]:80/", "HTTP://localhost"] {
            assert!(check_endpoint(good).is_ok(), "{good}");
        }
        for bad in ["", "foo", "127.0.0.1:4566", "localhost:4566", "ftp://host", "http://", "http:// host"] {
            assert_eq!(check_endpoint(bad).unwrap_err().kind(), StoreErrorKind::Invalid, "{bad}");
        }
    }

    #[test]
    fn debug_output_has_no_secret() {
        let keys = Credentials { access_key_id: "AKIA1".into(), secret_access_key: "hidden".into() };
        let shown = format!("{:?}", DynamoDbConfig { credentials: Some(keys), ..DynamoDbConfig::new("t") });
        assert!(shown.contains("AKIA1") && !shown.contains("hidden"), "{shown}");
    }
}
