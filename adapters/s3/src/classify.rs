//! What each failure of an S3 request means: the one table, with a test per row.
//!
//! Sources: the S3 API reference's list of error codes, and measurements of what the SDK shows for each way in which a
//! connection fails. Where an answer leaves it open whether a write took effect, it may have: `Unknown`.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::ConnectorError;
use sluice_store::{StoreError, StoreErrorKind};

/// Whether a request can change anything: of one that cannot, an outcome is never in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Read,
    Write,
}

impl Effect {
    fn settle(self, kind: StoreErrorKind) -> StoreErrorKind {
        match (self, kind) {
            (Self::Read, StoreErrorKind::Unknown) => StoreErrorKind::Unavailable,
            (_, kind) => kind,
        }
    }
}

/// The error of a failed request; `what` names the operation and its subject ("put object `k`").
pub(crate) fn classify<E>(error: SdkError<E, HttpResponse>, effect: Effect, what: impl Into<String>) -> StoreError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let kind = effect.settle(kind_of(&error));
    StoreError::new(kind, what).with_source(error)
}

/// The same for a code that came inside of an answer, as for one key of a DeleteObjects.
pub(crate) fn classify_code(code: Option<&str>, what: impl Into<String>) -> StoreError {
    StoreError::new(kind_of_code(code).unwrap_or(StoreErrorKind::Unknown), what)
}

/// True when the failure is that the bucket is not there.
pub(crate) fn is_missing_bucket<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error.code() == Some("NoSuchBucket")
}

fn kind_of<E>(error: &SdkError<E, HttpResponse>) -> StoreErrorKind
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    match error {
        SdkError::ConstructionFailure(_) => credentials_kind(error).unwrap_or(StoreErrorKind::Invalid),
        SdkError::TimeoutError(_) => StoreErrorKind::Unknown,
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(connector) => kind_of_transport(connector),
            None => StoreErrorKind::Unknown,
        },
        // The SDK could not read the answer, be it half of a good one or somebody else's.
        SdkError::ResponseError(answer) => kind_of_status(answer.raw().status().as_u16()),
        SdkError::ServiceError(answer) => {
            let by_status = || kind_of_status(answer.raw().status().as_u16());
            kind_of_code(answer.err().code()).unwrap_or_else(by_status)
        }
        _ => StoreErrorKind::Unknown,
    }
}

/// A request that never had a connection did not happen; of any other nobody can tell.
fn kind_of_transport(error: &ConnectorError) -> StoreErrorKind {
    if let Some(kind) = credentials_kind(error) {
        return kind;
    }
    let connecting = find::<hyper_util::client::legacy::Error>(error).is_some_and(|e| e.is_connect());
    if connecting { StoreErrorKind::Unavailable } else { StoreErrorKind::Unknown }
}

/// Set when the request was never signed: nothing was sent.
fn credentials_kind(error: &(dyn StdError + 'static)) -> Option<StoreErrorKind> {
    find::<CredentialsError>(error).map(|cause| match cause {
        CredentialsError::CredentialsNotLoaded(_) | CredentialsError::InvalidConfiguration(_) => StoreErrorKind::Denied,
        _ => StoreErrorKind::Unavailable,
    })
}

fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn kind_of_code(code: Option<&str>) -> Option<StoreErrorKind> {
    Some(match code? {
        "NoSuchKey" | "NotFound" => StoreErrorKind::NotFound,
        "PreconditionFailed" => StoreErrorKind::AlreadyExists,
        // Two writers met on one key: S3 asks the loser to send its request again.
        "ConditionalRequestConflict" | "OperationAborted" => StoreErrorKind::Unavailable,
        // S3 did not get the whole body, so it kept nothing.
        "IncompleteBody" | "RequestTimeout" => StoreErrorKind::Unavailable,
        // The SDK gets new ones before the next request.
        "ExpiredToken" | "TokenRefreshRequired" => StoreErrorKind::Unavailable,
        "SlowDown" | "TooManyRequests" | "RequestLimitExceeded" | "Throttling" | "ThrottlingException" => {
            StoreErrorKind::Throttled
        }
        "BadDigest" | "XAmzContentChecksumMismatch" | "XAmzContentSHA256Mismatch" => StoreErrorKind::Corrupt,
        "AccessDenied"
        | "AllAccessDisabled"
        | "AccountProblem"
        | "InvalidAccessKeyId"
        | "InvalidToken"
        | "NotSignedUp"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch" => StoreErrorKind::Denied,
        "EntityTooLarge" | "MaxMessageLengthExceeded" => StoreErrorKind::TooLarge,
        "NoSuchBucket" | "InvalidRange" | "PermanentRedirect" => StoreErrorKind::Invalid,
        _ => return None,
    })
}

/// For answers without a code, as those to HEAD, and codes that are not in the table.
fn kind_of_status(status: u16) -> StoreErrorKind {
    match status {
        401 | 403 => StoreErrorKind::Denied,
        404 => StoreErrorKind::NotFound,
        409 => StoreErrorKind::Unavailable,
        412 => StoreErrorKind::AlreadyExists,
        413 => StoreErrorKind::TooLarge,
        429 => StoreErrorKind::Throttled,
        300..=499 => StoreErrorKind::Invalid,
        // 5xx, and a success that could not be read: the write may stand.
        _ => StoreErrorKind::Unknown,
    }
}

#[cfg(test)]
mod tests;
