//! How the bucket is reached, and the SDK client made of that.

use std::fmt;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableRegionProvider;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::ProfileFileRegionProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryPartition;
use aws_sdk_s3::config::{RequestChecksumCalculation, ResponseChecksumValidation};
use aws_smithy_http_client::tls;
use hyper::Uri;
use sluice_store::{ObjectKey, StoreError, StoreErrorKind, StoreResult};

use crate::dates::DateRecorder;

/// The region assumed when an endpoint is given and no region is: emulators do not care.
const ENDPOINT_REGION: &str = "us-east-1";

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

/// Which bucket, and how it is reached.
#[derive(Debug, Clone)]
pub struct S3Config {
    /// The bucket.
    pub bucket: String,
    /// What every key begins with, followed by a slash; empty for none. Of the form of an [`ObjectKey`].
    pub prefix: String,
    /// Where S3 is, when it is not Amazon's ("http://127.0.0.1:4566").
    pub endpoint: Option<String>,
    /// The region; without it, as the SDK finds it, or us-east-1 when there is an endpoint.
    pub region: Option<String>,
    /// The bucket goes in the path, not in the host name. Without it: when there is an endpoint.
    pub force_path_style: Option<bool>,
    /// Without it: as the SDK finds them (environment, profile, web identity, container, instance).
    pub credentials: Option<Credentials>,
    /// Limit for making a connection, TLS included.
    pub connect_timeout: Duration,
    /// Limit for a request from its first byte to its answer's headers: the upload of a segment fits in it.
    pub request_timeout: Duration,
    /// Limit for the wait between two pieces of an answer's body.
    pub frame_timeout: Duration,
}

impl S3Config {
    /// The configuration for a bucket of Amazon's, with the default limits: 3 s to connect, 30 s for a request, 10 s
    /// between two pieces of a body.
    #[must_use]
    pub fn new(bucket: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: String::new(),
            endpoint: None,
            region: None,
            force_path_style: None,
            credentials: None,
            connect_timeout: Duration::from_secs(3),
            request_timeout: Duration::from_secs(30),
            frame_timeout: Duration::from_secs(10),
        }
    }

    /// What is put before every key: empty, or the prefix and a slash.
    ///
    /// # Errors
    /// `Invalid` when the prefix could not be part of a key.
    pub(crate) fn key_prefix(&self) -> StoreResult<String> {
        let prefix = self.prefix.trim_end_matches('/');
        if prefix.is_empty() {
            return Ok(String::new());
        }
        ObjectKey::new(prefix).map(|key| format!("{key}/"))
    }
}

/// A client, and the region it signs for. Sends nothing to S3; may ask the instance for its region when none is set.
///
/// # Errors
/// `Invalid` for an endpoint that is no URL, and when there is no region anywhere.
pub(crate) async fn client(config: &S3Config, dates: DateRecorder) -> StoreResult<(Client, Option<String>)> {
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
        .retry_config(RetryConfig::disabled())
        // Its throughput floor would fail slow links that our own limits allow, and it wraps every body once more.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
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
    let s3 = aws_sdk_s3::config::Builder::from(&shared)
        .force_path_style(config.force_path_style.unwrap_or(config.endpoint.is_some()))
        // The caller knows the CRC32C of what it puts, and checks the CRC of each batch it gets: the SDK's own
        // checksums would cost more than the rest of the request.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .retry_partition(RetryPartition::new("sluice-objects"))
        .interceptor(dates)
        .build();
    Ok((Client::from_conf(s3), shared.region().map(ToString::to_string)))
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
    fn prefix_ends_in_one_slash_or_is_empty() {
        let with = |prefix: &str| S3Config { prefix: prefix.into(), ..S3Config::new("b") }.key_prefix();
        assert_eq!(with("").unwrap(), "");
        assert_eq!(with("/").unwrap(), "");
        assert_eq!(with("a/b").unwrap(), "a/b/");
        assert_eq!(with("a/b/").unwrap(), "a/b/");
        assert!(with("a//b").is_err());
        assert!(with("/a").is_err());
        assert!(with("a b").is_err());
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
        let shown = format!("{:?}", S3Config { credentials: Some(keys), ..S3Config::new("b") });
        assert!(shown.contains("AKIA1") && !shown.contains("hidden"), "{shown}");
    }
}
