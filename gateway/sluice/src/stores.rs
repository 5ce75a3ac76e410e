//! Which stores there are and how each is opened: the only module that names an adapter.
//!
//! Promises: what comes out speaks only the seams, with the decorators its adapter needs around it; opening ends within
//! [`OPEN_TIMEOUT`] (with `create`, within [`CREATE_TIMEOUT`]), and its error is one line that says what to do.
//! Never: interprets what is in a store. Called by [`crate::run`], [`crate::check`] and tests.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use sluice_dynamodb::{DynamoDbConfig, DynamoDbLog, DynamoDbOffsetsView};
use sluice_embedded::{DiskConfig, DiskStores, MemoryLog, MemoryObjectStore, MemoryOffsetsView, open_disk};
use sluice_runtime::{SharedClock, SharedEntropy};
use sluice_s3::{S3Config, S3ObjectStore};
use sluice_store::{
    Incarnation, MetadataLog, ObjectStore, OffsetsView, RetryLog, RetryObjectStore, RetryPolicy, StoreError,
    StoreErrorKind, StoreResult, TimeoutLog, TimeoutObjectStore, Timeouts,
};

/// Longest that opening a store takes: with what follows, a start that fails has failed within 10 s.
pub const OPEN_TIMEOUT: Duration = Duration::from_secs(8);
/// Attempts at each request of the opening: a store that is just coming up gets a moment, a wrong endpoint a quick answer.
const OPEN_ATTEMPTS: u32 = 3;
/// Pause between them.
const OPEN_PAUSE: Duration = Duration::from_millis(200);
/// Longest that creating a bucket and a table takes: a DynamoDB table needs some seconds to become active.
pub const CREATE_TIMEOUT: Duration = Duration::from_secs(60);

/// Where records and metadata are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// In this process, gone with it.
    Memory,
    /// In files of this machine.
    Disk {
        /// The directory.
        dir: PathBuf,
        /// Makes the directory when it is missing.
        create: bool,
    },
    /// In S3 and DynamoDB.
    Aws(AwsStore),
}

/// Which bucket and tables, and how they are reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsStore {
    /// The bucket.
    pub bucket: String,
    /// Prefix of object keys, without slashes at its ends; empty for none.
    pub prefix: String,
    /// First part of the tables' names.
    pub tables: String,
    /// Where S3 is, when it is not where the SDK finds it.
    pub s3_endpoint: Option<String>,
    /// Where DynamoDB is, when it is not where the SDK finds it.
    pub dynamodb_endpoint: Option<String>,
    /// The region, when it is not the one the SDK finds.
    pub region: Option<String>,
    /// Creates what is missing.
    pub create: bool,
}

impl AwsStore {
    /// The S3 adapter's view.
    #[must_use]
    pub fn s3(&self) -> S3Config {
        S3Config {
            prefix: self.prefix.clone(),
            endpoint: self.s3_endpoint.clone(),
            region: self.region.clone(),
            ..S3Config::new(&self.bucket)
        }
    }

    /// The DynamoDB adapter's view.
    #[must_use]
    pub fn dynamodb(&self) -> DynamoDbConfig {
        DynamoDbConfig {
            endpoint: self.dynamodb_endpoint.clone(),
            region: self.region.clone(),
            ..DynamoDbConfig::new(&self.tables)
        }
    }
}

/// Opened stores. Every replica of a process works over clones of the same ones.
#[derive(Clone)]
pub struct Stores {
    /// Bytes.
    pub objects: Arc<dyn ObjectStore>,
    /// Order.
    pub log: Arc<dyn MetadataLog>,
    /// Committed offsets, for people to look at.
    pub offsets: Arc<dyn OffsetsView>,
    /// Time, the same for all replicas.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
}

/// Opens the stores.
///
/// # Errors
/// One line: what is missing, held by another process, of another version, or out of reach, and what to do.
pub async fn open_stores(config: &StoreConfig, clock: SharedClock, entropy: SharedEntropy) -> anyhow::Result<Stores> {
    let (objects, log, offsets): (Arc<dyn ObjectStore>, Arc<dyn MetadataLog>, Arc<dyn OffsetsView>) = match config {
        // Memory does not fail and does not wait: decorators would only cost a timer per operation. It cannot damage
        // bytes either, so that it need not check their CRC again.
        StoreConfig::Memory => {
            let log = MemoryLog::new(Incarnation(entropy.next_u128()));
            let objects = MemoryObjectStore::trusting(Arc::clone(&clock));
            return Ok(Stores { objects, log, offsets: MemoryOffsetsView::new(), clock, entropy });
        }
        StoreConfig::Disk { dir, create } => {
            let opened = open_dir(dir, *create, &clock, &entropy).await?;
            (opened.objects, opened.log, opened.offsets)
        }
        StoreConfig::Aws(aws) => {
            // Together, so that both are judged within one bound.
            let (objects, log, offsets) =
                tokio::join!(open_bucket(aws, &clock), open_table(aws, &entropy), open_offsets_table(aws));
            (objects?, log?, offsets?)
        }
    };
    Ok(decorate(objects, log, offsets, clock, entropy))
}

/// The stores in `dir`. Opening blocks, after a crash for as long as reading the log takes: a thread of its own does it, so
/// that a signal is heard meanwhile.
pub(crate) async fn open_dir(
    dir: &Path,
    create: bool,
    clock: &SharedClock,
    entropy: &SharedEntropy,
) -> anyhow::Result<DiskStores> {
    let (config, clock, entropy) = (DiskConfig::new(dir, create), Arc::clone(clock), Arc::clone(entropy));
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // A receiver that is gone means that the process ends: what was opened is dropped, and with it closed.
    let open = move || drop(sender.send(open_disk(config, clock, entropy)));
    std::thread::Builder::new().name("open-data-dir".to_owned()).spawn(open)?;
    receiver.await?.map_err(|error| anyhow!(said(&error)))
}

/// Each attempt has its deadline, and the retries are around them; appends are never retried here (L1). The view has no
/// need of either: its puts have deadlines of their own, and whoever puts comes again with a newer item.
fn decorate(
    objects: Arc<dyn ObjectStore>,
    log: Arc<dyn MetadataLog>,
    offsets: Arc<dyn OffsetsView>,
    clock: SharedClock,
    entropy: SharedEntropy,
) -> Stores {
    let objects = Arc::new(TimeoutObjectStore::new(objects, Timeouts::OBJECTS));
    let log = Arc::new(TimeoutLog::new(log, Timeouts::LOG));
    Stores {
        objects: Arc::new(RetryObjectStore::new(objects, RetryPolicy::default(), Arc::clone(&entropy))),
        log: Arc::new(RetryLog::new(log, RetryPolicy::default(), Arc::clone(&entropy))),
        offsets,
        clock,
        entropy,
    }
}

/// The bucket of `aws`, which is there; made if it was missing and may be made.
pub(crate) async fn open_bucket(aws: &AwsStore, clock: &SharedClock) -> anyhow::Result<Arc<S3ObjectStore>> {
    let service = Service { name: "S3", endpoint: aws.s3_endpoint.as_deref() };
    let connect = async || S3ObjectStore::connect(aws.s3(), Arc::clone(clock)).await;
    let store = service.reach(OPEN_TIMEOUT, connect).await.map_err(|error| service.explain(&error))?;
    match service.reach(OPEN_TIMEOUT, async || store.check_bucket().await).await {
        Ok(()) => Ok(store),
        // Invalid: missing, or not what it should be; making it again then says which.
        Err(error) if aws.create && error.kind() == StoreErrorKind::Invalid => {
            let created = service.reach(CREATE_TIMEOUT, async || store.create_bucket().await).await;
            created.map_err(|error| service.explain(&error)).map(|()| store)
        }
        Err(error) => Err(service.explain(&error)),
    }
}

/// The log in the table of `aws`, which is there; made if it was missing and may be made.
pub(crate) async fn open_table(aws: &AwsStore, entropy: &SharedEntropy) -> anyhow::Result<Arc<DynamoDbLog>> {
    let service = Service { name: "DynamoDB", endpoint: aws.dynamodb_endpoint.as_deref() };
    let open = async || DynamoDbLog::open(aws.dynamodb(), Arc::clone(entropy)).await;
    match service.reach(OPEN_TIMEOUT, open).await {
        Err(error) if aws.create && error.kind() == StoreErrorKind::Invalid => {
            let create = async || DynamoDbLog::create(aws.dynamodb(), Arc::clone(entropy)).await;
            service.reach(CREATE_TIMEOUT, create).await
        }
        opened => opened,
    }
    .map_err(|error| service.explain(&error))
}

/// The offsets view in its table of `aws`, which is there; made if it was missing and may be made.
pub(crate) async fn open_offsets_table(aws: &AwsStore) -> anyhow::Result<Arc<DynamoDbOffsetsView>> {
    let service = Service { name: "DynamoDB", endpoint: aws.dynamodb_endpoint.as_deref() };
    let open = async || DynamoDbOffsetsView::open(aws.dynamodb()).await;
    match service.reach(OPEN_TIMEOUT, open).await {
        Err(error) if aws.create && error.kind() == StoreErrorKind::Invalid => {
            let create = async || DynamoDbOffsetsView::create(aws.dynamodb()).await;
            service.reach(CREATE_TIMEOUT, create).await
        }
        opened => opened,
    }
    .map_err(|error| service.explain(&error))
}

/// Which service an opening talks to, for its messages.
struct Service<'a> {
    name: &'static str,
    endpoint: Option<&'a str>,
}

impl Service<'_> {
    /// A few attempts, all of them within `limit`.
    async fn reach<T>(&self, limit: Duration, attempt: impl AsyncFn() -> StoreResult<T>) -> StoreResult<T> {
        let attempts = async {
            for _ in 1..OPEN_ATTEMPTS {
                match attempt().await {
                    Err(error) if error.kind().is_retriable() => tokio::time::sleep(OPEN_PAUSE).await,
                    done => return done,
                }
            }
            attempt().await
        };
        tokio::time::timeout(limit, attempts).await.unwrap_or_else(|_| {
            let place = self.endpoint.unwrap_or("its endpoint");
            let message = format!("no answer from {place} within {} s", limit.as_secs());
            Err(StoreError::new(StoreErrorKind::Unavailable, message))
        })
    }

    /// The error in one line, with what to do about its kind.
    fn explain(&self, error: &StoreError) -> anyhow::Error {
        let said = said(error);
        // No kind of its own, and not the endpoint's fault either: the SDK's providers ran before it was asked.
        let has_no_credentials =
            ["loading credentials", "credential provider"].iter().any(|words| said.contains(words));
        let advice = match (error.kind(), self.endpoint) {
            _ if has_no_credentials => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the machine a role"
            }
            (StoreErrorKind::Denied, _) => {
                "check the AWS credentials, and that they permit what docs/configuration.md lists"
            }
            (kind, Some(_)) if kind.is_retriable() => "check --aws-endpoint, and that this machine can reach it",
            (kind, None) if kind.is_retriable() => {
                "check the network, --aws-region, and --aws-endpoint if it is not Amazon's"
            }
            // The adapters' own messages say what to do.
            _ => return anyhow!("{}: {said}", self.name),
        };
        anyhow!("{}: {said}: {advice}", self.name)
    }
}

/// What an error says, without its kind where that comes last: a person has no use for ": invalid" after an advice.
fn said(error: &StoreError) -> String {
    let text = error.to_string();
    let kind = format!(": {}", error.kind());
    text.strip_suffix(&kind).map_or_else(|| text.clone(), str::to_owned)
}
