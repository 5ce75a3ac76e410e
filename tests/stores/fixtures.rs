//! Stores on an emulator, each with a bucket or a table of its own.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_dynamodb::{DynamoDbConfig, DynamoDbLog, RollLimits};
use sluice_runtime::{OsEntropy, SharedEntropy, SystemClock};
use sluice_s3::{S3Config, S3ObjectStore};
use sluice_store::contract::{LogFixture, ObjectFixture};
use sluice_store::{
    Appended, Consistency, Element, LogPosition, MetadataLog, ObjectStore, Payload, Sealed, Staged, Tail, TailRead,
};
use sluice_tests::emulator;

/// Limits under which an element or two make a roll, and a handful make everybody roll first.
pub const TINY_ROLLS: RollLimits = RollLimits { head_bytes: 200, head_bytes_hard: 900, elements: 5 };
/// Limits under which a few appends make a roll: as often as a test of a few hundred elements can afford.
const SMALL_ROLLS: RollLimits = RollLimits { head_bytes: 400, head_bytes_hard: 2_400, elements: 20 };
/// Limits under which nothing ever rolls.
pub const NO_ROLLS: RollLimits =
    RollLimits { head_bytes: usize::MAX / 4, head_bytes_hard: usize::MAX / 4, elements: 256 };

pub fn entropy() -> SharedEntropy {
    Arc::new(OsEntropy)
}

pub fn s3_config(bucket: &str) -> S3Config {
    S3Config {
        endpoint: Some(emulator::s3_endpoint().into()),
        region: Some("us-east-1".into()),
        credentials: Some(sluice_s3::Credentials {
            access_key_id: emulator::ACCESS_KEY_ID.into(),
            secret_access_key: emulator::SECRET_ACCESS_KEY.into(),
        }),
        ..S3Config::new(bucket)
    }
}

pub async fn connect(config: S3Config) -> Arc<S3ObjectStore> {
    S3ObjectStore::connect(config, Arc::new(SystemClock)).await.unwrap()
}

pub fn dynamodb_config(tables: &str) -> DynamoDbConfig {
    DynamoDbConfig {
        endpoint: Some(emulator::dynamodb_endpoint().into()),
        region: Some("us-east-1".into()),
        credentials: Some(sluice_dynamodb::Credentials {
            access_key_id: emulator::ACCESS_KEY_ID.into(),
            secret_access_key: emulator::SECRET_ACCESS_KEY.into(),
        }),
        ..DynamoDbConfig::new(tables)
    }
}

/// A bucket that every handle connects to anew.
pub struct Bucket(S3Config);

pub async fn object_store() -> Bucket {
    let config = S3Config { prefix: "contract".into(), ..s3_config(&emulator::fresh_name()) };
    connect(config.clone()).await.create_bucket().await.unwrap();
    Bucket(config)
}

#[async_trait]
impl ObjectFixture for Bucket {
    async fn handle(&self) -> Arc<dyn ObjectStore> {
        connect(self.0.clone()).await
    }
}

/// A table that every handle opens anew, as another gateway would.
pub struct Table(pub DynamoDbConfig);

impl Table {
    pub async fn create(roll: RollLimits) -> Self {
        let config = DynamoDbConfig { roll, ..dynamodb_config(&emulator::fresh_name()) };
        DynamoDbLog::create(config.clone(), entropy()).await.unwrap();
        Self(config)
    }

    pub async fn open(&self) -> Arc<DynamoDbLog> {
        DynamoDbLog::open(self.0.clone(), entropy()).await.unwrap()
    }

    /// The same table under other limits.
    pub async fn open_with(&self, roll: RollLimits) -> Arc<DynamoDbLog> {
        DynamoDbLog::open(DynamoDbConfig { roll, ..self.0.clone() }, entropy()).await.unwrap()
    }
}

pub async fn metadata_log() -> Table {
    Table::create(RollLimits::default()).await
}

pub async fn rolling_metadata_log() -> Table {
    Table::create(SMALL_ROLLS).await
}

#[async_trait]
impl LogFixture for Table {
    async fn handle(&self) -> Arc<dyn MetadataLog> {
        self.open().await
    }
}

/// A small element without a body.
pub fn small(session: u64, sequence: u64, len: usize) -> Staged {
    let payload = Payload::Inline(Bytes::from(vec![0x5A; len]));
    Staged { element: Element { session, sequence, payload } }
}

pub fn sealed(session: u64, sequence: u64, len: usize) -> Sealed {
    Sealed { session, sequence, bytes: Bytes::from(vec![0xA5; len]) }
}

/// The tail of an append that must succeed.
pub async fn append(log: &DynamoDbLog, entries: &[Staged], known: u64) -> Tail {
    match log.append(entries, LogPosition(known)).await.unwrap() {
        Appended::Tail(tail) => tail,
        Appended::CommittedTailUnread => panic!("the tail after {known} was not read"),
    }
}

/// The sequences after `known`, which must be readable.
pub async fn sequences(log: &DynamoDbLog, known: u64) -> Vec<u64> {
    match log.read(LogPosition(known), Consistency::Strong).await.unwrap() {
        TailRead::Tail(tail) => {
            assert_eq!(tail.first, LogPosition(known + 1), "a read after {known}");
            tail.elements.iter().map(|element| element.sequence).collect()
        }
        TailRead::Trimmed => panic!("the log after {known} was trimmed"),
    }
}
