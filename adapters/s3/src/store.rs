//! The object store: each operation as the request S3 wants.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::create_bucket::CreateBucketError;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{
    BucketLocationConstraint, ChecksumMode, CreateBucketConfiguration, Delete, Object, ObjectIdentifier,
};
use bytes::Bytes;
use sluice_runtime::SharedClock;
use sluice_store::{
    ByteChunks, ByteRange, ObjectInfo, ObjectKey, ObjectStore, PutOptions, StoreCapabilities, StoreClock, StoreError,
    StoreErrorKind, StoreResult,
};
use tokio::time::timeout;

use crate::classify::{Effect, classify, classify_code, is_missing_bucket};
use crate::config::{self, S3Config};
use crate::dates::DateRecorder;
use crate::rope;

/// Most keys in one listing page and in one DeleteObjects: S3's own limit.
const KEYS_PER_REQUEST: usize = 1_000;

/// Limit for asking whether the bucket is there: a start must fail soon, also when the store accepts and never answers.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// Objects in one bucket, under one prefix.
pub struct S3ObjectStore {
    client: Client,
    region: Option<String>,
    endpoint: Option<String>,
    bucket: String,
    /// Empty, or ends in a slash.
    prefix: String,
    frame_timeout: Duration,
    dates: DateRecorder,
}

impl fmt::Debug for S3ObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, prefix, region, .. } = self;
        write!(f, "S3ObjectStore(s3://{bucket}/{prefix}, region {region:?})")
    }
}

impl S3ObjectStore {
    /// A store with this configuration. Sends no request to S3: [`check_bucket`](Self::check_bucket) does.
    ///
    /// # Errors
    /// `Invalid` for a prefix that could not be part of a key, and for an endpoint that is no URL.
    pub async fn connect(config: S3Config, clock: SharedClock) -> StoreResult<Arc<Self>> {
        let prefix = config.key_prefix()?;
        let dates = DateRecorder::new(clock);
        let (client, region) = config::client(&config, dates.clone()).await?;
        let S3Config { bucket, endpoint, frame_timeout, .. } = config;
        Ok(Arc::new(Self { client, region, endpoint, bucket, prefix, frame_timeout, dates }))
    }

    /// Checks that the bucket is there and may be used.
    ///
    /// # Errors
    /// `Invalid` when it is missing (the message names `--create`) or in another region; `Unavailable` also when there is
    /// no answer within 5 s; `Denied`; those of any read.
    pub async fn check_bucket(&self) -> StoreResult<()> {
        let place = self.endpoint.as_deref().unwrap_or("Amazon's endpoint");
        let what = || format!("reach bucket `{}` at {place}", self.bucket);
        let request = self.client.head_bucket().bucket(&self.bucket).send();
        let error = match timeout(CHECK_TIMEOUT, request).await {
            Ok(Ok(_)) => return Ok(()),
            Ok(Err(error)) => error,
            Err(late) => return Err(StoreError::new(StoreErrorKind::Unavailable, what()).with_source(late)),
        };
        // An answer to HEAD has no body, and so no code.
        match error.raw_response().map(|answer| answer.status().as_u16()) {
            Some(404) => Err(self.missing_bucket()),
            Some(301) => {
                let message = format!("bucket `{}` is in another region than {:?}", self.bucket, self.region);
                Err(StoreError::new(StoreErrorKind::Invalid, message))
            }
            _ => Err(classify(error, Effect::Read, what())),
        }
    }

    /// Makes the bucket unless it is there. Can be repeated.
    ///
    /// # Errors
    /// `Denied` when the name belongs to somebody else, or making buckets is not permitted; those of any write.
    pub async fn create_bucket(&self) -> StoreResult<()> {
        let mut request = self.client.create_bucket().bucket(&self.bucket);
        // us-east-1 is the one region that must not be named.
        if let Some(region) = self.region.as_deref().filter(|region| *region != "us-east-1") {
            let location = BucketLocationConstraint::from(region);
            let place = CreateBucketConfiguration::builder().location_constraint(location).build();
            request = request.create_bucket_configuration(place);
        }
        let what = || format!("create bucket `{}`", self.bucket);
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => match error.as_service_error() {
                Some(CreateBucketError::BucketAlreadyOwnedByYou(_)) => Ok(()),
                Some(CreateBucketError::BucketAlreadyExists(_)) => {
                    Err(StoreError::new(StoreErrorKind::Denied, what())
                        .with_source("the name belongs to somebody else"))
                }
                _ => Err(classify(error, Effect::Write, what())),
            },
        }
    }

    fn full_key(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.prefix)
    }

    fn missing_bucket(&self) -> StoreError {
        let message = format!("bucket `{}` does not exist: name another, or make it with --create", self.bucket);
        StoreError::new(StoreErrorKind::Invalid, message)
    }

    fn classify<E>(&self, error: SdkError<E, HttpResponse>, effect: Effect, what: String) -> StoreError
    where
        E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    {
        if is_missing_bucket(&error) { self.missing_bucket() } else { classify(error, effect, what) }
    }

    /// The pieces of an answer's body as they came.
    async fn collect(&self, key: &ObjectKey, output: GetObjectOutput) -> StoreResult<ByteChunks> {
        let mut body = output.body;
        let mut chunks: Vec<Bytes> = Vec::new();
        let broken = |cause: Box<dyn Error + Send + Sync>| {
            StoreError::new(StoreErrorKind::Unavailable, format!("get object `{key}`")).with_source(cause)
        };
        loop {
            match timeout(self.frame_timeout, body.next()).await {
                Ok(Some(Ok(chunk))) => chunks.push(chunk),
                Ok(Some(Err(error))) => return Err(broken(error.into())),
                Ok(None) => return Ok(ByteChunks::new(chunks)),
                Err(_) => return Err(broken("the answer stopped coming".into())),
            }
        }
    }

    async fn get_range(&self, key: &ObjectKey, range: Option<String>) -> StoreResult<ByteChunks> {
        let request = self.client.get_object().bucket(&self.bucket).key(self.full_key(key)).set_range(range);
        let answer = request.send().await;
        let output = answer.map_err(|e| self.classify(e, Effect::Read, format!("get object `{key}`")))?;
        self.collect(key, output).await
    }

    /// The last `n` bytes. An empty object has no last byte, and S3 refuses to name it: that answer is an empty rope.
    async fn get_suffix(&self, key: &ObjectKey, n: u64) -> StoreResult<ByteChunks> {
        if n == 0 {
            return self.head(key).await.map(|_| ByteChunks::default());
        }
        let refused = match self.get_range(key, Some(format!("bytes=-{n}"))).await {
            Err(error) if error.kind() == StoreErrorKind::Invalid => error,
            answer => return answer,
        };
        if self.head(key).await?.size_bytes == 0 { Ok(ByteChunks::default()) } else { Err(refused) }
    }

    async fn list_page(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        continuation: Option<String>,
        limit: usize,
    ) -> StoreResult<ListObjectsV2Output> {
        let max_keys = i32::try_from(limit.min(KEYS_PER_REQUEST)).unwrap_or(i32::MAX);
        self.client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .set_start_after(start_after.map(ToOwned::to_owned))
            .set_continuation_token(continuation)
            .max_keys(max_keys)
            .send()
            .await
            .map_err(|e| self.classify(e, Effect::Read, format!("list objects `{prefix}`")))
    }

    /// One object of a listing; `None` for a key that is none of ours.
    fn listed(&self, object: &Object) -> Option<ObjectInfo> {
        let key = ObjectKey::new(object.key()?.strip_prefix(&self.prefix)?).ok()?;
        Some(ObjectInfo {
            key,
            size_bytes: u64::try_from(object.size()?).ok()?,
            last_modified_ms: object.last_modified()?.to_millis().ok()?,
            crc32c: None,
        })
    }

    /// Deletes at most 1,000 keys; the errors by full key, or the one error of the whole request.
    async fn delete_page(&self, keys: &[ObjectKey]) -> StoreResult<BTreeMap<String, StoreError>> {
        let what = || format!("delete {} objects", keys.len());
        let identifiers = keys.iter().map(|key| ObjectIdentifier::builder().key(self.full_key(key)).build());
        let identifiers: Result<Vec<_>, _> = identifiers.collect();
        let delete = identifiers.and_then(|objects| Delete::builder().quiet(true).set_objects(Some(objects)).build());
        let delete = delete.map_err(|e| StoreError::new(StoreErrorKind::Invalid, what()).with_source(e))?;
        let request = self.client.delete_objects().bucket(&self.bucket).delete(delete);
        let output = request.send().await.map_err(|e| self.classify(e, Effect::Write, what()))?;
        let refused = output.errors().iter().filter_map(|error| {
            let key = error.key()?;
            let message = format!("delete object `{key}` ({})", error.message().unwrap_or("no message"));
            Some((key.to_owned(), classify_code(error.code(), message)))
        });
        Ok(refused.filter(|(_, error)| error.kind() != StoreErrorKind::NotFound).collect())
    }
}

/// The header form of a range.
///
/// # Errors
/// `Invalid` for an empty one, which HTTP cannot name.
fn range_header(start: u64, end: u64) -> StoreResult<String> {
    match end.checked_sub(1) {
        Some(last) if start <= last => Ok(format!("bytes={start}-{last}")),
        _ => Err(StoreError::new(StoreErrorKind::Invalid, format!("byte range {start}..{end} is empty"))),
    }
}

/// The header form of a CRC32C: its four bytes, big endian, in base64.
fn encode_crc32c(crc32c: u32) -> String {
    aws_smithy_types::base64::encode(crc32c.to_be_bytes())
}

fn decode_crc32c(text: &str) -> Option<u32> {
    let bytes = aws_smithy_types::base64::decode(text).ok()?;
    bytes.try_into().ok().map(u32::from_be_bytes)
}

#[async_trait]
impl ObjectStore for S3ObjectStore {
    async fn put(&self, key: &ObjectKey, bytes: ByteChunks, options: PutOptions) -> StoreResult<()> {
        let mut request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(self.full_key(key))
            .body(ByteStream::new(rope::request_body(bytes)))
            .set_checksum_crc32_c(options.crc32c.map(encode_crc32c));
        if options.create_only {
            request = request.if_none_match("*");
        }
        // The CRC32C covers the bytes and TLS the way: hashing every byte once more for the signature buys nothing.
        match request.customize().disable_payload_signing().send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(self.classify(error, Effect::Write, format!("put object `{key}`"))),
        }
    }

    async fn get(&self, key: &ObjectKey, range: ByteRange) -> StoreResult<ByteChunks> {
        match range {
            ByteRange::Full => self.get_range(key, None).await,
            ByteRange::Bounded { start, end } => self.get_range(key, Some(range_header(start, end)?)).await,
            ByteRange::Suffix(n) => self.get_suffix(key, n).await,
        }
    }

    async fn head(&self, key: &ObjectKey) -> StoreResult<ObjectInfo> {
        let what = || format!("head object `{key}`");
        let request = self.client.head_object().bucket(&self.bucket).key(self.full_key(key));
        let answer = request.checksum_mode(ChecksumMode::Enabled).send().await;
        let output = answer.map_err(|e| self.classify(e, Effect::Read, what()))?;
        let size_bytes = output.content_length().and_then(|n| u64::try_from(n).ok());
        let last_modified_ms = output.last_modified().and_then(|date| date.to_millis().ok());
        let (Some(size_bytes), Some(last_modified_ms)) = (size_bytes, last_modified_ms) else {
            let incomplete = "the answer has no length or no date";
            return Err(StoreError::new(StoreErrorKind::Corrupt, what()).with_source(incomplete));
        };
        let crc32c = output.checksum_crc32_c().and_then(decode_crc32c);
        Ok(ObjectInfo { key: key.clone(), size_bytes, last_modified_ms, crc32c })
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectKey>, limit: usize) -> StoreResult<Vec<ObjectInfo>> {
        let prefix = format!("{}{prefix}", self.prefix);
        let start_after = start_after.map(|key| self.full_key(key));
        let mut listed = Vec::new();
        let mut continuation = None;
        while listed.len() < limit {
            let room = limit - listed.len();
            let page = self.list_page(&prefix, start_after.as_deref(), continuation, room).await?;
            listed.extend(page.contents().iter().filter_map(|object| self.listed(object)));
            continuation = page.next_continuation_token;
            if continuation.is_none() {
                break;
            }
        }
        listed.truncate(limit);
        Ok(listed)
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<StoreResult<()>> {
        let mut results = Vec::with_capacity(keys.len());
        for page in keys.chunks(KEYS_PER_REQUEST) {
            match self.delete_page(page).await {
                Ok(mut refused) => results.extend(page.iter().map(|key| match refused.remove(&self.full_key(key)) {
                    Some(error) => Err(error),
                    None => Ok(()),
                })),
                // One failure for all of them, and an error cannot be cloned: its text can.
                Err(error) => {
                    results.extend(page.iter().map(|_| Err(StoreError::new(error.kind(), error.to_string()))));
                }
            }
        }
        results
    }

    fn capabilities(&self) -> StoreCapabilities {
        StoreCapabilities { name: "s3", puts_are_metered: true, durable: true }
    }

    fn clock(&self) -> StoreClock {
        self.dates.last().map_or(StoreClock::Unmeasured, StoreClock::Measured)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_header_names_the_last_byte() {
        assert_eq!(range_header(0, 1).unwrap(), "bytes=0-0");
        assert_eq!(range_header(5, 10).unwrap(), "bytes=5-9");
        for (start, end) in [(0, 0), (5, 5), (6, 5)] {
            assert_eq!(range_header(start, end).unwrap_err().kind(), StoreErrorKind::Invalid);
        }
    }

    #[test]
    fn crc32c_header_round_trips() {
        // RFC 3720, B.4: the CRC32C of 32 zero bytes.
        assert_eq!(encode_crc32c(0x8A91_36AA), "ipE2qg==");
        assert_eq!(decode_crc32c("ipE2qg=="), Some(0x8A91_36AA));
        assert_eq!(decode_crc32c("ipE2"), None);
        assert_eq!(decode_crc32c("!"), None);
    }
}
