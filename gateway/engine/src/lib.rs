//! Where Kafka semantics meet IO: the replica of State, the produce path, the fetch path.
//!
//! Promises: what it acknowledges is durable and applied (I-01); any engine over the same stores serves any request
//! (I-06); an outcome that is not known is never told as one that is (I-11).
//! Never: sees an API version or a wire format (that is `server`); names a concrete store (that is `sluice`).
//! Called by `server/handlers`, composed by `sluice`.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod api;
mod cache;
mod configs;
mod coordinate;
mod defects;
mod engine;
mod error;
mod fetch;
mod limits;
mod metrics;
mod offsets;
mod partitions;
mod produce;
mod producer_ids;
mod replica;
mod topics;

pub use api::{
    ActiveProducer, CreatedTopic, DeleteRecordsAsk, EndOfEpoch, EpochAsk, FetchAsk, FetchCall, Fetched, Isolation,
    NewPartitions, NewTopic, OffsetAsk, OffsetFound, OffsetSpec, OldOffsetAsk, OldTimestamp, PartitionName,
    PartitionSize, ProduceAnswer, ProduceAsk, ProduceCapabilities, Produced, ProducerIdentity, Readiness,
    TopicDescription, TopicRef, TopicSelection,
};
pub use cache::{BlockCache, BlockKey, BlockLoad, LoadedBlock, LruBlockCache, MokaBlockCache};
pub use configs::{
    AlterConfigs, ConfigChange, ConfigOp, ConfigResourceKind, ConfigResourceRef, ConfigSource, ConfigSynonym,
    ConfigType, DescribeConfigsAsk, DescribedConfig, kafka_configs_markdown,
};
pub use coordinate::{
    ClientInfo, CommitAsk, CommitOffsetAsk, FetchedOffset, GroupDescription, JoinAsk, Joined, JoinedMember, LeaveAsk,
    ListedGroup, Liveness, MemberClaim, MemberDescription, OffsetFetchAsk, OffsetFetched, Origin, SyncAsk, Synced,
};
pub use defects::Defects;
pub use engine::{Engine, EngineParts, StartError};
pub use error::{EngineError, EngineResult};
pub use limits::{Limits, Settings};
pub use metrics::Metrics;
pub use produce::PendingProduce;
pub use sluice_records::{BatchError, MessageFormat, RecordError};
