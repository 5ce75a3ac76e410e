//! What each failure of a DynamoDB request means: the one table, with a test per row.
//!
//! Sources: the "Error handling with DynamoDB" page of the developer guide, and measurements of what the SDK shows for
//! each way in which a connection fails. A write that was answered with 5xx may have happened, says that page: `Unknown`.

use std::error::Error as StdError;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::config::http::HttpResponse;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::result::ConnectorError;
use sluice_store::{StoreError, StoreErrorKind};

/// Whether a request can change the log: of one that cannot, an outcome is never in doubt.
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

/// The error of a failed request; `what` names the operation and its subject.
pub(crate) fn classify<E>(error: SdkError<E, HttpResponse>, effect: Effect, what: impl Into<String>) -> StoreError
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    let kind = effect.settle(kind_of(&error));
    StoreError::new(kind, what).with_source(error)
}

/// True when the failure is that the table is not there.
pub(crate) fn is_missing_table<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    error.code() == Some("ResourceNotFoundException")
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
            kind_of_code(answer.err().code(), answer.err().message()).unwrap_or_else(by_status)
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

fn kind_of_code(code: Option<&str>, message: Option<&str>) -> Option<StoreErrorKind> {
    Some(match code? {
        // "Item size has exceeded the maximum allowed size", "Item size to update has exceeded …": a head to be rolled.
        "ValidationException" if message.is_some_and(|text| text.contains("Item size")) => StoreErrorKind::TooLarge,
        "ItemCollectionSizeLimitExceededException" => StoreErrorKind::TooLarge,
        "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "LimitExceededException"
        | "Throttling" => StoreErrorKind::Throttled,
        "TransactionConflictException" | "ReplicatedWriteConflictException" | "ResourceInUseException" => {
            StoreErrorKind::Unavailable
        }
        // The SDK gets new ones before the next request.
        "ExpiredTokenException" | "ExpiredToken" => StoreErrorKind::Unavailable,
        "AccessDeniedException"
        | "IncompleteSignatureException"
        | "InvalidSignatureException"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken"
        | "OptInRequired"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId" => StoreErrorKind::Denied,
        "ResourceNotFoundException"
        | "ConditionalCheckFailedException"
        | "ValidationException"
        | "SerializationException" => StoreErrorKind::Invalid,
        _ => return None,
    })
}

/// For answers without a code, and codes that are not in the table.
fn kind_of_status(status: u16) -> StoreErrorKind {
    match status {
        401 | 403 => StoreErrorKind::Denied,
        413 => StoreErrorKind::TooLarge,
        429 => StoreErrorKind::Throttled,
        300..=499 => StoreErrorKind::Invalid,
        // 5xx, and a success that could not be read: the write may stand.
        _ => StoreErrorKind::Unknown,
    }
}

#[cfg(test)]
mod tests;
