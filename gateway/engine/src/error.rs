//! What can stand in the way of an operation, in the engine's words.

use std::sync::Arc;

use sluice_records::BatchError;

/// Why an operation, or one partition of it, was not done. Mapped to Kafka's codes per API in `server/errors.rs` (I-15).
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// No topic of this name.
    #[error("unknown topic")]
    UnknownTopic,
    /// No topic of this id.
    #[error("unknown topic id")]
    UnknownTopicId,
    /// The topic has no such partition.
    #[error("unknown partition")]
    UnknownPartition,
    /// The name breaks Kafka's rules, or collides with another (`.` and `_`).
    #[error("invalid topic name: {0}")]
    InvalidTopicName(String),
    /// There is a topic of this name.
    #[error("the topic exists")]
    TopicExists,
    /// Not a number of partitions that a topic can have.
    #[error("invalid number of partitions: {0}")]
    InvalidPartitions(String),
    /// Replicas were assigned by hand in a way that does not fit.
    #[error("invalid replica assignment: {0}")]
    InvalidReplicaAssignment(String),
    /// What was asked for contradicts a setting of the topic.
    #[error("{0}")]
    PolicyViolation(String),
    /// Not a replication factor that is accepted.
    #[error("invalid replication factor: {0}")]
    InvalidReplicationFactor(String),
    /// A config that is unknown, or has a value it cannot have.
    #[error("{0}")]
    InvalidConfig(String),
    /// A limit of the gateway (number of topics, producers, …) is reached.
    #[error("limit reached: {0}")]
    LimitReached(String),
    /// The request contradicts itself.
    #[error("{0}")]
    InvalidRequest(String),
    /// The offset is outside the log.
    #[error("offset out of range")]
    OffsetOutOfRange,
    /// The client's leader epoch is newer than ours (which is 0).
    #[error("unknown leader epoch")]
    UnknownLeaderEpoch,
    /// The batch is not acceptable.
    #[error("{0}")]
    Batch(Arc<BatchError>),
    /// The batch's sequence does not follow.
    #[error("out of order sequence: expected {expected}")]
    OutOfOrderSequence {
        /// The sequence that would have followed.
        expected: i32,
    },
    /// The batch's producer epoch is older than the one known.
    #[error("stale producer epoch")]
    StaleProducerEpoch,
    /// Transactions are not served yet.
    #[error("transactions are not supported")]
    TransactionsUnsupported,
    /// The group has no such member, or no such group is there where only members ask.
    #[error("unknown member")]
    UnknownMember,
    /// The group is in another generation than the request names.
    #[error("illegal generation")]
    IllegalGeneration,
    /// The group is rebalancing: the member is to join again, or to wait.
    #[error("a rebalance is in progress")]
    RebalanceInProgress,
    /// No protocol is common to all members, or the protocol or its type is not the group's.
    #[error("inconsistent group protocol")]
    InconsistentGroupProtocol,
    /// The group's id is empty or too long.
    #[error("invalid group id")]
    InvalidGroupId,
    /// The session timeout is outside `group.min.session.timeout.ms` and `group.max.session.timeout.ms`.
    #[error("invalid session timeout")]
    InvalidSessionTimeout,
    /// The group has as many members, or as much of their metadata, as it may.
    #[error("the group is full")]
    GroupMaxSizeReached,
    /// Another member has taken this `group.instance.id` (KIP-345).
    #[error("fenced: another member has this group instance id")]
    FencedInstanceId,
    /// A waiting Join's member was replaced by another one with its `group.instance.id`; with the id that it had got.
    #[error("fenced while it waited: another member has this group instance id")]
    FencedWhileWaiting(Arc<str>),
    /// A waiting Join's member was removed: it is to join as a new one.
    #[error("removed while it waited")]
    RemovedWhileWaiting,
    /// The text committed with an offset is longer than `offset.metadata.max.bytes`.
    #[error("the metadata of the offset is too large")]
    OffsetMetadataTooLarge,
    /// The commit is larger than one may be.
    #[error("the commit has too many offsets or bytes")]
    InvalidCommitOffsetSize,
    /// No group of this id.
    #[error("unknown group")]
    GroupIdNotFound,
    /// The group has members, which the request does not allow.
    #[error("the group is not empty")]
    NonEmptyGroup,
    /// A member of the group is subscribed to the topic.
    #[error("the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    /// A new member is to join again under this id (KIP-394).
    #[error("join again as {0}")]
    MemberIdRequired(Arc<str>),
    /// A contradiction that Kafka meets with an internal error (UNKNOWN_SERVER_ERROR): there is no better code for it.
    #[error("unexpected request: {0}")]
    Unexpected(String),
    /// T6, T7 or a lost session stands in the way: certainly not this request's fault, and trying again helps.
    #[error("cannot coordinate now: {0}")]
    NotCoordinatedNow(String),
    /// Certainly had no effect; may be retried (design section 5).
    #[error("did not happen: {0}")]
    DidNotHappen(String),
    /// May have had its effect (I-11); the client must be told nothing that says otherwise.
    #[error("the outcome is unknown: {0}")]
    OutcomeUnknown(String),
    /// State could not be refreshed, so nothing that depends on its freshness can be answered (T5, T6).
    #[error("state could not be refreshed: {0}")]
    NotFresh(String),
    /// The bytes could not be read now.
    #[error("the records could not be read: {0}")]
    StorageUnavailable(String),
    /// The bytes in the store are not those that were written.
    #[error("the records are damaged: {0}")]
    StorageCorrupt(String),
}

/// A result of the engine.
pub type EngineResult<T> = Result<T, EngineError>;

impl From<BatchError> for EngineError {
    fn from(error: BatchError) -> Self {
        Self::Batch(Arc::new(error))
    }
}
