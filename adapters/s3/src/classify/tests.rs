//! A test per row: the answers by hand, the transport by a server that breaks in each way.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::error::ErrorMetadata;
use aws_sdk_s3::operation::put_object::PutObjectError;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use sluice_runtime::SystemClock;
use sluice_store::StoreErrorKind::{
    self, AlreadyExists, Corrupt, Denied, Invalid, NotFound, Throttled, TooLarge, Unavailable, Unknown,
};
use sluice_store::{ByteChunks, ByteRange, ObjectKey, ObjectStore, PutOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::{Credentials, S3Config, S3ObjectStore};

fn answered(code: Option<&str>, status: u16) -> SdkError<PutObjectError, HttpResponse> {
    let mut meta = ErrorMetadata::builder();
    if let Some(code) = code {
        meta = meta.code(code);
    }
    let raw = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
    SdkError::service_error(PutObjectError::generic(meta.build()), raw)
}

fn kind_of_answer(code: Option<&str>, status: u16, effect: Effect) -> StoreErrorKind {
    classify(answered(code, status), effect, "test").kind()
}

#[test]
fn each_code_has_its_kind() {
    let rows = [
        ("NoSuchKey", 404, NotFound),
        ("NotFound", 404, NotFound),
        ("PreconditionFailed", 412, AlreadyExists),
        ("ConditionalRequestConflict", 409, Unavailable),
        ("OperationAborted", 409, Unavailable),
        ("IncompleteBody", 400, Unavailable),
        ("RequestTimeout", 400, Unavailable),
        ("ExpiredToken", 400, Unavailable),
        ("TokenRefreshRequired", 400, Unavailable),
        ("SlowDown", 503, Throttled),
        ("TooManyRequests", 429, Throttled),
        ("RequestLimitExceeded", 503, Throttled),
        ("Throttling", 400, Throttled),
        ("ThrottlingException", 400, Throttled),
        ("BadDigest", 400, Corrupt),
        ("XAmzContentChecksumMismatch", 400, Corrupt),
        ("XAmzContentSHA256Mismatch", 400, Corrupt),
        ("AccessDenied", 403, Denied),
        ("AllAccessDisabled", 403, Denied),
        ("AccountProblem", 403, Denied),
        ("InvalidAccessKeyId", 403, Denied),
        ("InvalidToken", 400, Denied),
        ("NotSignedUp", 403, Denied),
        ("RequestTimeTooSkewed", 403, Denied),
        ("SignatureDoesNotMatch", 403, Denied),
        ("EntityTooLarge", 400, TooLarge),
        ("MaxMessageLengthExceeded", 400, TooLarge),
        ("NoSuchBucket", 404, Invalid),
        ("InvalidRange", 416, Invalid),
        ("PermanentRedirect", 301, Invalid),
    ];
    for (code, status, kind) in rows {
        for effect in [Effect::Read, Effect::Write] {
            assert_eq!(kind_of_answer(Some(code), status, effect), kind, "{code}");
        }
    }
}

#[test]
fn an_answer_without_a_known_code_is_judged_by_its_status() {
    let rows = [
        (301, Invalid),
        (400, Invalid),
        (401, Denied),
        (403, Denied),
        (404, NotFound),
        (409, Unavailable),
        (412, AlreadyExists),
        (413, TooLarge),
        (416, Invalid),
        (429, Throttled),
    ];
    for (status, kind) in rows {
        for code in [None, Some("SomethingNew")] {
            assert_eq!(kind_of_answer(code, status, Effect::Write), kind, "{status}");
        }
    }
}

// I-11: an answer that does not say whether the write stands is Unknown; of a read, nothing can stand.
#[test]
fn i_11_a_server_error_leaves_a_write_in_doubt_and_a_read_not() {
    for (code, status) in [
        (Some("InternalError"), 500),
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
    type Failure = SdkError<PutObjectError, HttpResponse>;
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
    let late = || SdkError::<PutObjectError, HttpResponse>::timeout_error("30 s");
    assert_eq!(classify(late(), Effect::Write, "test").kind(), Unknown);
    assert_eq!(classify(late(), Effect::Read, "test").kind(), Unavailable);
}

#[test]
fn a_key_of_a_deletion_has_the_kind_of_its_code() {
    assert_eq!(classify_code(Some("AccessDenied"), "test").kind(), Denied);
    assert_eq!(classify_code(Some("InternalError"), "test").kind(), Unknown);
    assert_eq!(classify_code(None, "test").kind(), Unknown);
}

/// What the server does with a connection.
#[derive(Debug, Clone, Copy)]
enum Behaviour {
    ResetAfterRequest,
    CloseAfterRequest,
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
        Behaviour::AnswerHalf => stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nhalf").await,
        Behaviour::NeverAnswer => std::future::pending().await,
    }
}

async fn store_at(endpoint: String) -> Arc<S3ObjectStore> {
    let config = S3Config {
        endpoint: Some(endpoint),
        region: Some("us-east-1".into()),
        credentials: Some(Credentials { access_key_id: "k".into(), secret_access_key: "s".into() }),
        // Only "never answers" waits for it.
        request_timeout: Duration::from_millis(300),
        frame_timeout: Duration::from_millis(300),
        ..S3Config::new("bucket")
    };
    S3ObjectStore::connect(config, Arc::new(SystemClock)).await.unwrap()
}

/// The kinds of a failed put and a failed get.
async fn kinds_at(endpoint: String) -> (Option<StoreErrorKind>, Option<StoreErrorKind>) {
    let store = store_at(endpoint).await;
    let key = ObjectKey::new("k").unwrap();
    let put = store.put(&key, ByteChunks::from(Bytes::from_static(b"bytes")), PutOptions::default()).await;
    let get = store.get(&key, ByteRange::Full).await;
    (put.err().map(|e| e.kind()), get.err().map(|e| e.kind()))
}

#[tokio::test]
async fn a_refused_connection_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(kinds_at(endpoint).await, (Some(Unavailable), Some(Unavailable)));
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_unavailable() {
    let (put, get) = kinds_at("http://no-such-host.invalid".into()).await;
    assert_eq!(get, Some(Unavailable));
    // A resolver may take longer than the request's limit, and then nobody can tell.
    assert!(matches!(put, Some(Unavailable | Unknown)), "{put:?}");
}

#[tokio::test]
async fn i_11_a_connection_lost_after_the_request_leaves_a_write_in_doubt() {
    for behaviour in [Behaviour::ResetAfterRequest, Behaviour::CloseAfterRequest, Behaviour::NeverAnswer] {
        let kinds = kinds_at(serve(behaviour).await).await;
        assert_eq!(kinds, (Some(Unknown), Some(Unavailable)), "{behaviour:?}");
    }
}

#[tokio::test]
async fn half_an_answer_of_a_get_is_unavailable() {
    let (_, get) = kinds_at(serve(Behaviour::AnswerHalf).await).await;
    assert_eq!(get, Some(Unavailable), "the bytes that came are not the object");
}
