//! What the engine is asked and what it answers: Kafka's operations without Kafka's wire.
//!
//! Promises: `answers[i]` answers `asks[i]`, everywhere. No API version reaches this crate: a handler passes what a
//! version allows as a named capability. Never: a Kafka error code (those are in `server/errors.rs`, I-15).
//! Called by `server/handlers`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_records::MessageFormat;
use uuid::Uuid;

use crate::configs::DescribedConfig;
use crate::error::{EngineError, EngineResult};

/// A topic as a request names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TopicRef {
    /// By name.
    Name(String),
    /// By id (Fetch ≥ 13, Produce 13, Metadata ≥ 12).
    Id(Uuid),
}

/// Which topics a Metadata request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TopicSelection {
    /// All of them.
    All,
    /// These.
    Some(Vec<TopicRef>),
}

/// A topic as Metadata shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: Arc<str>,
    /// Its id, never nil.
    pub id: Uuid,
    /// Number of its partitions: they are `0..partitions`.
    pub partitions: u32,
}

/// A topic to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    /// Its name, not yet checked.
    pub name: String,
    /// Number of partitions; `None` takes the gateway's default (`num.partitions`).
    pub partitions: Option<i32>,
    /// Replication factor as asked; `None` takes the default. 1 to 3 are accepted and reported as one replica.
    pub replication_factor: Option<i16>,
    /// Topic configs under Kafka's names.
    pub configs: Vec<(String, Option<String>)>,
}

/// A topic that was (or with validate_only would have been) created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its id; nil with validate_only.
    pub id: Uuid,
    /// Number of its partitions.
    pub partitions: u32,
    /// Its configs, the defaults included, in name order.
    pub configs: Vec<DescribedConfig>,
}

/// What a Produce request's version allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceCapabilities {
    /// Zstandard batches (Produce ≥ 7).
    pub zstd: bool,
    /// Message sets of the formats before record batches (Produce ≤ 2); batches are taken as well.
    pub message_sets: bool,
}

/// One partition's records in a Produce.
#[derive(Debug, Clone)]
pub struct ProduceAsk {
    /// The topic.
    pub topic: TopicRef,
    /// The partition, not yet checked.
    pub partition: i32,
    /// The record batch, or message set, as received: a slice of the frame; `None` when the request has none.
    pub records: Option<Bytes>,
}

/// Records that are durable and have their place in the log (I-01).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Produced {
    /// Offset of the first record; for a duplicate, the one it got the first time.
    pub base_offset: i64,
    /// The time stamped on it in milliseconds, where the topic has LogAppendTime; for a duplicate, the greatest timestamp of
    /// the batch that it repeats; else −1.
    pub log_append_time_ms: i64,
}

/// One partition's answer to a Produce.
#[derive(Debug, Clone)]
pub struct ProduceAnswer {
    /// What became of its records.
    pub outcome: EngineResult<Produced>,
    /// First offset of the partition. −1 where Kafka does not tell it either: it is told by the log, and of a refusal only if
    /// the log looked at the batch ([`sluice_records::BatchError::is_of_log`]) or at its producer.
    pub log_start_offset: i64,
}

/// How much of the log a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset.
    ReadCommitted,
}

/// A Fetch.
#[derive(Debug, Clone)]
pub struct FetchCall {
    /// The partitions, in the order in which they share the budget.
    pub partitions: Vec<FetchAsk>,
    /// Answer as soon as so many bytes of records are there …
    pub min_bytes: usize,
    /// … or this much time has passed.
    pub max_wait: Duration,
    /// Budget of the whole answer in bytes of records. The first batch of the first partition that has one is sent whole.
    pub max_bytes: usize,
    /// What may be seen.
    pub isolation: Isolation,
    /// The format before record batches that the reader wants (Fetch ≤ 3); `None` for batches as they are stored. Such a
    /// reader asks for its partitions in the same order each time, and cannot go on past a batch that never comes: the
    /// first batch of each partition is sent whole while the budget of the answer lasts.
    pub message_sets: Option<MessageFormat>,
}

/// One partition of a Fetch.
#[derive(Debug, Clone)]
pub struct FetchAsk {
    /// The topic.
    pub topic: TopicRef,
    /// The partition, not yet checked.
    pub partition: i32,
    /// Offset of the first wanted record.
    pub offset: i64,
    /// Budget of this partition in bytes of records.
    pub max_bytes: usize,
    /// The leader epoch the client knows; `None` when it names none.
    pub leader_epoch: Option<i32>,
    /// The leader epoch of the last record that the client read; `None` when it names none.
    pub last_fetched_epoch: Option<i32>,
}

/// One partition of a Fetch's answer.
#[derive(Debug, Default)]
pub struct Fetched {
    /// What stood in the way. The offsets are filled in only if records could not be read that are there, as in Kafka.
    pub error: Option<EngineError>,
    /// One past the last readable offset; −1 when not known.
    pub high_watermark: i64,
    /// First offset that a reader of committed records cannot pass; −1 when not known.
    pub last_stable_offset: i64,
    /// First offset; −1 when not known.
    pub log_start_offset: i64,
    /// The record batches as a rope: headers patched, record bytes shared with the cache. Or a message set.
    pub records: Vec<Bytes>,
}

/// Which offset a ListOffsets asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// −1: the end of what the isolation level may see.
    Latest,
    /// −2: the first offset.
    Earliest,
    /// −3 (KIP-734): the record with the greatest timestamp.
    MaxTimestamp,
    /// −4 (KIP-405): the first offset that is kept locally: the first offset.
    EarliestLocal,
    /// −5 (KIP-1005): the last tiered offset: there is no tier, so none.
    LatestTiered,
    /// −6 (KIP-1023): the first offset waiting for upload: none.
    EarliestPendingUpload,
    /// The first record with this timestamp (milliseconds) or a later one.
    Timestamp(i64),
}

/// One partition of a ListOffsets.
#[derive(Debug, Clone)]
pub struct OffsetAsk {
    /// The topic.
    pub topic: TopicRef,
    /// The partition, not yet checked.
    pub partition: i32,
    /// Which offset.
    pub spec: OffsetSpec,
    /// The leader epoch the client knows; `None` when it names none.
    pub leader_epoch: Option<i32>,
}

/// What a ListOffsets of before Kafka 0.10.1 asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldTimestamp {
    /// −1: the end, and whatever is before it.
    Latest,
    /// −2: the first offset.
    Earliest,
    /// What was written until this time, in milliseconds.
    At(i64),
}

/// One partition of such a ListOffsets.
#[derive(Debug, Clone)]
pub struct OldOffsetAsk {
    /// The topic.
    pub topic: TopicRef,
    /// The partition, not yet checked.
    pub partition: i32,
    /// Which offsets.
    pub timestamp: OldTimestamp,
    /// How many of them at most.
    pub max_offsets: usize,
}

/// An offset found; both −1 when there is none (not an error).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetFound {
    /// The offset.
    pub offset: i64,
    /// The record's timestamp, where the question was about one; else −1.
    pub timestamp: i64,
}

/// A producer's identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerIdentity {
    /// Producer id.
    pub id: i64,
    /// Producer epoch.
    pub epoch: i16,
}

/// Why a gateway does not (or no longer) serve, for `/readyz` and the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readiness {
    /// It serves.
    Ready,
    /// It is stopping.
    Stopping,
    /// It cannot reach its store, or its session is being opened.
    Unavailable(String),
    /// It met what it must not go on after (L9, L11, I-12); only a restart, or a person, helps.
    Failed(String),
}

/// A topic that is to have more partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPartitions {
    /// Its name.
    pub name: String,
    /// How many it is to have in all, not yet checked.
    pub count: i32,
    /// To how many of the new ones replicas were assigned by hand; `None` where that is left to the gateway.
    pub assigned: Option<usize>,
}

/// A partition as most admin requests name it. Nothing says that it is there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionName {
    /// Its topic.
    pub topic: String,
    /// Its index.
    pub partition: i32,
}

/// Records to be deleted from the start of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteRecordsAsk {
    /// Of this partition …
    pub at: PartitionName,
    /// … those below this offset; for `None`, all there are.
    pub before_offset: Option<i64>,
}

/// What a partition takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionSize {
    /// The partition.
    pub at: PartitionName,
    /// Bytes of record batches in segments.
    pub bytes: u64,
}

/// A producer that a partition remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActiveProducer {
    /// Its id.
    pub producer_id: i64,
    /// Its epoch there.
    pub epoch: i16,
    /// Sequence of its last record; −1 when it has written none at this epoch.
    pub last_sequence: i32,
    /// The greatest timestamp of its last batch, milliseconds; −1 likewise.
    pub last_timestamp: i64,
}

/// A leader epoch of a partition whose end is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochAsk {
    /// The partition.
    pub at: PartitionName,
    /// The epoch that the asker believes to be the present one.
    pub current_leader_epoch: Option<i32>,
    /// The epoch whose end is asked for.
    pub leader_epoch: i32,
}

/// The greatest epoch that is not above the one asked for, and one past its last offset; −1 and −1 when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndOfEpoch {
    /// The epoch.
    pub leader_epoch: i32,
    /// One past its last offset.
    pub end_offset: i64,
}
