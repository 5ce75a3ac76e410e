//! A test per row: the answers by hand, the transport by a server that breaks in each way.

use std::io;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ErrorMetadata;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use sluice_store::StoreErrorKind::{self, Denied, Invalid, Throttled, TooLarge, Unavailable, Unknown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::{Credentials, DynamoDbConfig, config};

fn answered(code: Option<&str>, message: &str, status: u16) -> SdkError<UpdateItemError, HttpResponse> {
    let mut meta = ErrorMetadata::builder().message(message);
    if let Some(code) = code {
        meta = meta.code(code);
    }
    let raw = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
    SdkError::service_error(UpdateItemError::generic(meta.build()), raw)
}

fn kind_of_answer(code: Option<&str>, status: u16, effect: Effect) -> StoreErrorKind {
    classify(answered(code, "a message", status), effect, "test").kind()
}

#[test]
fn each_code_has_its_kind() {
    let rows = [
        ("ItemCollectionSizeLimitExceededException", TooLarge),
        ("ProvisionedThroughputExceededException", Throttled),
        ("ThrottlingException", Throttled),
        ("RequestLimitExceeded", Throttled),
        ("LimitExceededException", Throttled),
        ("Throttling", Throttled),
        ("TransactionConflictException", Unavailable),
        ("ReplicatedWriteConflictException", Unavailable),
        ("ResourceInUseException", Unavailable),
        ("ExpiredTokenException", Unavailable),
        ("ExpiredToken", Unavailable),
        ("AccessDeniedException", Denied),
        ("IncompleteSignatureException", Denied),
        ("InvalidSignatureException", Denied),
        ("MissingAuthenticationTokenException", Denied),
        ("MissingAuthenticationToken", Denied),
        ("OptInRequired", Denied),
        ("UnrecognizedClientException", Denied),
        ("InvalidClientTokenId", Denied),
        ("ResourceNotFoundException", Invalid),
        ("ConditionalCheckFailedException", Invalid),
        ("ValidationException", Invalid),
        ("SerializationException", Invalid),
    ];
    for (code, kind) in rows {
        for effect in [Effect::Read, Effect::Write] {
            assert_eq!(kind_of_answer(Some(code), 400, effect), kind, "{code}");
        }
    }
}

#[test]
fn l5_an_item_that_is_too_large_is_told_from_other_validation_errors() {
    for message in ["Item size has exceeded the maximum allowed size", "Item size to update has exceeded the maximum"] {
        let error = answered(Some("ValidationException"), message, 400);
        assert_eq!(classify(error, Effect::Write, "test").kind(), TooLarge, "{message}");
    }
}

#[test]
fn an_answer_without_a_known_code_is_judged_by_its_status() {
    for (status, kind) in [(400, Invalid), (401, Denied), (403, Denied), (413, TooLarge), (429, Throttled)] {
        for code in [None, Some("SomethingNew")] {
            assert_eq!(kind_of_answer(code, status, Effect::Write), kind, "{status}");
        }
    }
}

// I-11: "a write that got a 5xx may have succeeded", says the developer guide; of a read, nothing can stand.
#[test]
fn i_11_a_server_error_leaves_a_write_in_doubt_and_a_read_not() {
    for (code, status) in [
        (Some("InternalServerError"), 500),
        (Some("ServiceUnavailable"), 503),
        (None, 500),
        (None, 502),
        (None, 503),
        (None, 504),
    ] {
        assert_eq!(kind_of_answer(code, status, Effect::Write), Unknown, "{code:?} {status}");
        assert_eq!(kind_of_answer(code, status, Effect::Read), Unavailable, "{code:?} {status}");
    }
}

#[test]
fn a_request_that_was_not_built_or_signed_did_not_happen() {
    type Failure = SdkError<UpdateItemError, HttpResponse>;
    let built: Failure = SdkError::construction_failure("no key");
    assert_eq!(classify(built, Effect::Write, "test").kind(), Invalid);
    let rows = [
        (CredentialsError::not_loaded("none anywhere"), Denied),
        (CredentialsError::invalid_configuration("half a profile"), Denied),
        (CredentialsError::provider_timed_out(Duration::from_secs(1)), Unavailable),
        (CredentialsError::provider_error("the container does not answer"), Unavailable),
    ];
    for (cause, kind) in rows {
        let shown = cause.to_string();
        let unsigned: Failure = SdkError::dispatch_failure(ConnectorError::other(cause.into(), None));
        assert_eq!(classify(unsigned, Effect::Write, "test").kind(), kind, "{shown}");
    }
}

#[test]
fn a_request_that_ran_out_of_time_is_in_doubt() {
    let late = || SdkError::<UpdateItemError, HttpResponse>::timeout_error("5 s");
    assert_eq!(classify(late(), Effect::Write, "test").kind(), Unknown);
    assert_eq!(classify(late(), Effect::Read, "test").kind(), Unavailable);
}

/// What the server does with a connection.
#[derive(Debug, Clone, Copy)]
enum Behaviour {
    ResetAfterRequest,
    CloseAfterRequest,
    /// The second request of a connection is answered with its end: a pooled connection that has gone stale.
    CloseAfterSecondRequest,
    AnswerHalf,
    NeverAnswer,
}

async fn serve(behaviour: Behaviour) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(behave(stream, behaviour));
        }
    });
    endpoint
}

async fn behave(mut stream: TcpStream, behaviour: Behaviour) -> io::Result<()> {
    let mut request = vec![0; 64 * 1024];
    if stream.read(&mut request).await? == 0 {
        return Ok(());
    }
    match behaviour {
        // Closing with a linger of zero sends RST.
        Behaviour::ResetAfterRequest => stream.set_zero_linger(),
        Behaviour::CloseAfterRequest => stream.shutdown().await,
        Behaviour::CloseAfterSecondRequest => {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 2\r\n\r\n{}";
            stream.write_all(answer).await?;
            let _second = stream.read(&mut request).await?;
            stream.shutdown().await
        }
        Behaviour::AnswerHalf => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"Att").await,
        Behaviour::NeverAnswer => std::future::pending().await,
    }
}

async fn client_at(endpoint: String) -> Client {
    let config = DynamoDbConfig {
        endpoint: Some(endpoint),
        region: Some("us-east-1".into()),
        credentials: Some(Credentials { access_key_id: "k".into(), secret_access_key: "s".into() }),
        // Only "never answers" waits for it.
        request_timeout: Duration::from_millis(300),
        ..DynamoDbConfig::new("t")
    };
    config::client(&config).await.unwrap()
}

async fn update(client: &Client, effect: Effect) -> Option<StoreErrorKind> {
    let sent = client.update_item().table_name("t").key("pk", crate::layout::number(1)).send().await;
    sent.err().map(|error| classify(error, effect, "test").kind())
}

async fn kinds_at(endpoint: String) -> (Option<StoreErrorKind>, Option<StoreErrorKind>) {
    let client = client_at(endpoint).await;
    (update(&client, Effect::Write).await, update(&client, Effect::Read).await)
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(kinds_at(endpoint).await, (Some(Unavailable), Some(Unavailable)));
}

#[tokio::test]
async fn i_11_a_connection_lost_after_the_request_leaves_a_write_in_doubt() {
    for behaviour in
        [Behaviour::ResetAfterRequest, Behaviour::CloseAfterRequest, Behaviour::AnswerHalf, Behaviour::NeverAnswer]
    {
        let kinds = kinds_at(serve(behaviour).await).await;
        assert_eq!(kinds, (Some(Unknown), Some(Unavailable)), "{behaviour:?}");
    }
}

// L1: the HTTP client must not send it again by itself either.
#[tokio::test]
async fn l1_a_stale_pooled_connection_leaves_a_write_in_doubt() {
    let client = client_at(serve(Behaviour::CloseAfterSecondRequest).await).await;
    assert_eq!(update(&client, Effect::Write).await, None, "the first request is answered");
    assert_eq!(update(&client, Effect::Write).await, Some(Unknown));
}
