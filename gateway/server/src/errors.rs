//! The one place where the engine's errors become Kafka's codes (I-15).
//!
//! What a request asked for wrongly has one code in every API. What stood in its way (a store, freshness) has one per API,
//! because clients retry on some codes and give up on others (design section 5): which codes those are is the point of
//! this file, and each mapping is pinned by a test. Called by `handlers`.

use sluice_engine::{BatchError, EngineError};
use sluice_protocol::ErrorCode;

/// The code of `error` in a Produce. Only NOT_ENOUGH_REPLICAS says "did not happen" (I-11).
pub(crate) fn produce_code(error: &EngineError) -> ErrorCode {
    match error {
        EngineError::OutcomeUnknown(_) => ErrorCode::REQUEST_TIMED_OUT,
        // The only contradiction that a partition of a Produce can hold: no records.
        EngineError::InvalidRequest(_) => ErrorCode::INVALID_RECORD,
        _ => request_code(error).unwrap_or(ErrorCode::NOT_ENOUGH_REPLICAS),
    }
}

/// The code of `error` in a Fetch.
pub(crate) fn fetch_code(error: &EngineError) -> ErrorCode {
    request_code(error).unwrap_or(ErrorCode::KAFKA_STORAGE_ERROR)
}

/// The code of `error` in a ListOffsets.
pub(crate) fn list_offsets_code(error: &EngineError) -> ErrorCode {
    request_code(error).unwrap_or(ErrorCode::KAFKA_STORAGE_ERROR)
}

/// The code of `error` for one topic in a Metadata. When all topics were asked for there is no code: an empty list would
/// be read as "there are none", so the connection is closed.
pub(crate) fn metadata_code(error: &EngineError) -> ErrorCode {
    request_code(error).unwrap_or(ErrorCode::LEADER_NOT_AVAILABLE)
}

/// The code of `error` in an InitProducerId.
pub(crate) fn init_producer_id_code(error: &EngineError) -> ErrorCode {
    match error {
        // Identities expire: the client is to try again.
        EngineError::LimitReached(_) => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        _ => request_code(error).unwrap_or(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS),
    }
}

/// The code of `error` in JoinGroup, SyncGroup, Heartbeat and LeaveGroup, and where administrators look at or delete
/// groups: clients find the coordinator again on COORDINATOR_NOT_AVAILABLE and go on, and give up on most others. Also of
/// what may have happened: each of these requests is repeated without harm.
pub(crate) fn group_code(error: &EngineError) -> ErrorCode {
    match error {
        // As many groups, or members of all, as there may be.
        EngineError::LimitReached(_) => ErrorCode::GROUP_MAX_SIZE_REACHED,
        _ => request_code(error).unwrap_or(ErrorCode::COORDINATOR_NOT_AVAILABLE),
    }
}

/// The code of `error` in an OffsetCommit. What may have happened is not told as what did not (I-11).
pub(crate) fn offset_commit_code(error: &EngineError) -> ErrorCode {
    match error {
        EngineError::OutcomeUnknown(_) => ErrorCode::REQUEST_TIMED_OUT,
        EngineError::LimitReached(_) => ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
        _ => request_code(error).unwrap_or(ErrorCode::COORDINATOR_NOT_AVAILABLE),
    }
}

/// The code of `error` in an OffsetFetch: the one that every client repeats with the same coordinator.
pub(crate) fn offset_fetch_code(error: &EngineError) -> ErrorCode {
    request_code(error).unwrap_or(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS)
}

/// The code of `error` in an administrative request.
pub(crate) fn admin_code(error: &EngineError) -> ErrorCode {
    request_code(error).unwrap_or(ErrorCode::REQUEST_TIMED_OUT)
}

/// The code of what the request itself got wrong; `None` when something stood in its way.
fn request_code(error: &EngineError) -> Option<ErrorCode> {
    Some(match error {
        EngineError::UnknownTopic | EngineError::UnknownPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        EngineError::UnknownTopicId => ErrorCode::UNKNOWN_TOPIC_ID,
        EngineError::InvalidTopicName(_) => ErrorCode::INVALID_TOPIC_EXCEPTION,
        EngineError::TopicExists => ErrorCode::TOPIC_ALREADY_EXISTS,
        EngineError::InvalidPartitions(_) => ErrorCode::INVALID_PARTITIONS,
        EngineError::InvalidReplicationFactor(_) => ErrorCode::INVALID_REPLICATION_FACTOR,
        EngineError::InvalidReplicaAssignment(_) => ErrorCode::INVALID_REPLICA_ASSIGNMENT,
        EngineError::InvalidConfig(_) => ErrorCode::INVALID_CONFIG,
        EngineError::LimitReached(_) | EngineError::PolicyViolation(_) => ErrorCode::POLICY_VIOLATION,
        EngineError::InvalidRequest(_) => ErrorCode::INVALID_REQUEST,
        EngineError::OffsetOutOfRange => ErrorCode::OFFSET_OUT_OF_RANGE,
        EngineError::UnknownLeaderEpoch => ErrorCode::UNKNOWN_LEADER_EPOCH,
        EngineError::Batch(batch) => batch_code(batch),
        EngineError::OutOfOrderSequence { .. } => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        EngineError::StaleProducerEpoch => ErrorCode::INVALID_PRODUCER_EPOCH,
        EngineError::TransactionsUnsupported => ErrorCode::UNSUPPORTED_VERSION,
        EngineError::UnknownMember | EngineError::RemovedWhileWaiting => ErrorCode::UNKNOWN_MEMBER_ID,
        EngineError::IllegalGeneration => ErrorCode::ILLEGAL_GENERATION,
        EngineError::RebalanceInProgress => ErrorCode::REBALANCE_IN_PROGRESS,
        EngineError::InconsistentGroupProtocol => ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        EngineError::InvalidGroupId => ErrorCode::INVALID_GROUP_ID,
        EngineError::InvalidSessionTimeout => ErrorCode::INVALID_SESSION_TIMEOUT,
        EngineError::GroupMaxSizeReached => ErrorCode::GROUP_MAX_SIZE_REACHED,
        EngineError::FencedInstanceId | EngineError::FencedWhileWaiting(_) => ErrorCode::FENCED_INSTANCE_ID,
        EngineError::OffsetMetadataTooLarge => ErrorCode::OFFSET_METADATA_TOO_LARGE,
        EngineError::InvalidCommitOffsetSize => ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
        EngineError::GroupIdNotFound => ErrorCode::GROUP_ID_NOT_FOUND,
        EngineError::NonEmptyGroup => ErrorCode::NON_EMPTY_GROUP,
        EngineError::GroupSubscribedToTopic => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
        EngineError::MemberIdRequired(_) => ErrorCode::MEMBER_ID_REQUIRED,
        EngineError::Unexpected(_) => ErrorCode::UNKNOWN_SERVER_ERROR,
        // Trying again gives the same bytes: a client is to be told, not to loop.
        EngineError::StorageCorrupt(_) => ErrorCode::CORRUPT_MESSAGE,
        EngineError::DidNotHappen(_)
        | EngineError::OutcomeUnknown(_)
        | EngineError::NotFresh(_)
        | EngineError::NotCoordinatedNow(_)
        | EngineError::StorageUnavailable(_) => return None,
    })
}

fn batch_code(error: &BatchError) -> ErrorCode {
    match error {
        BatchError::TooLarge(_) => ErrorCode::MESSAGE_TOO_LARGE,
        BatchError::Corrupt(_) | BatchError::NotABatch(_) => ErrorCode::CORRUPT_MESSAGE,
        // Message sets in a Produce that carries batches: Kafka 4.3 answers 87 as well (43 is what 3.x said of old logs).
        BatchError::InvalidRecord(_)
        | BatchError::InvalidRecords(_)
        | BatchError::NotOneBatch(_)
        | BatchError::UnsupportedMagic(_) => ErrorCode::INVALID_RECORD,
        BatchError::UnsupportedCompression(_) => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
        BatchError::InvalidTimestamp(_) | BatchError::InvalidTimestamps(_) => ErrorCode::INVALID_TIMESTAMP,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        "why".to_owned()
    }

    type Mapping = fn(&EngineError) -> ErrorCode;
    const APIS: [(&str, Mapping); 9] = [
        ("Produce", produce_code),
        ("Fetch", fetch_code),
        ("ListOffsets", list_offsets_code),
        ("Metadata", metadata_code),
        ("InitProducerId", init_producer_id_code),
        ("admin", admin_code),
        ("groups", group_code),
        ("OffsetCommit", offset_commit_code),
        ("OffsetFetch", offset_fetch_code),
    ];

    /// Holds: T5, T6, T7 (the error table of design section 5): what stands in the way, per API in the order of `APIS`
    /// (I-15).
    #[test]
    fn what_stands_in_the_way_has_a_code_per_api() {
        let table = [
            (EngineError::DidNotHappen(text()), [19, 56, 56, 5, 14, 7, 15, 15, 14]),
            (EngineError::NotFresh(text()), [19, 56, 56, 5, 14, 7, 15, 15, 14]),
            (EngineError::NotCoordinatedNow(text()), [19, 56, 56, 5, 14, 7, 15, 15, 14]),
            (EngineError::StorageUnavailable(text()), [19, 56, 56, 5, 14, 7, 15, 15, 14]),
            (EngineError::OutcomeUnknown(text()), [7, 56, 56, 5, 14, 7, 15, 7, 14]),
            (EngineError::LimitReached(text()), [44, 44, 44, 44, 14, 44, 81, 28, 44]),
            (EngineError::InvalidRequest(text()), [87, 42, 42, 42, 42, 42, 42, 42, 42]),
        ];
        for (error, codes) in table {
            for ((api, code_of), code) in APIS.into_iter().zip(codes) {
                assert_eq!(code_of(&error).as_i16(), code, "{api}: {error:?}");
            }
        }
    }

    /// I-15: what the request got wrong has the same code everywhere.
    #[test]
    fn what_a_request_got_wrong_has_one_code() {
        let batch = |error: BatchError| EngineError::from(error);
        let table = [
            (EngineError::UnknownTopic, 3),
            (EngineError::UnknownPartition, 3),
            (EngineError::UnknownTopicId, 100),
            (EngineError::InvalidTopicName(text()), 17),
            (EngineError::TopicExists, 36),
            (EngineError::InvalidPartitions(text()), 37),
            (EngineError::InvalidReplicationFactor(text()), 38),
            (EngineError::InvalidReplicaAssignment(text()), 39),
            (EngineError::PolicyViolation(text()), 44),
            (EngineError::InvalidConfig(text()), 40),
            (EngineError::OffsetOutOfRange, 1),
            (EngineError::UnknownLeaderEpoch, 75),
            (EngineError::OutOfOrderSequence { expected: 1 }, 45),
            (EngineError::StaleProducerEpoch, 47),
            (EngineError::TransactionsUnsupported, 35),
            (EngineError::StorageCorrupt(text()), 2),
            (EngineError::UnknownMember, 25),
            (EngineError::IllegalGeneration, 22),
            (EngineError::RebalanceInProgress, 27),
            (EngineError::InconsistentGroupProtocol, 23),
            (EngineError::InvalidGroupId, 24),
            (EngineError::InvalidSessionTimeout, 26),
            (EngineError::GroupMaxSizeReached, 81),
            (EngineError::FencedInstanceId, 82),
            (EngineError::FencedWhileWaiting("m".into()), 82),
            (EngineError::RemovedWhileWaiting, 25),
            (EngineError::OffsetMetadataTooLarge, 12),
            (EngineError::InvalidCommitOffsetSize, 28),
            (EngineError::GroupIdNotFound, 69),
            (EngineError::NonEmptyGroup, 68),
            (EngineError::GroupSubscribedToTopic, 86),
            (EngineError::MemberIdRequired("m".into()), 79),
            (EngineError::Unexpected(text()), -1),
            (batch(BatchError::TooLarge("".into())), 10),
            (batch(BatchError::Corrupt("".into())), 2),
            (batch(BatchError::NotABatch("".into())), 2),
            (batch(BatchError::InvalidRecord("".into())), 87),
            (batch(BatchError::NotOneBatch("".into())), 87),
            (batch(BatchError::UnsupportedMagic("".into())), 87),
            (batch(BatchError::UnsupportedCompression("".into())), 76),
            (batch(BatchError::InvalidTimestamp("".into())), 32),
        ];
        for (error, code) in table {
            for (api, code_of) in APIS {
                assert_eq!(code_of(&error).as_i16(), code, "{api}: {error:?}");
            }
        }
    }

    /// I-11: an effect that is not known is never told with a code that says "did not happen".
    #[test]
    fn an_unknown_outcome_is_never_told_as_did_not_happen() {
        let says_did_not_happen =
            [ErrorCode::NOT_ENOUGH_REPLICAS, ErrorCode::NOT_LEADER_OR_FOLLOWER, ErrorCode::THROTTLING_QUOTA_EXCEEDED];
        for (api, code_of) in APIS {
            let code = code_of(&EngineError::OutcomeUnknown(text()));
            assert!(!says_did_not_happen.contains(&code) && !code.is_none(), "{api}");
        }
    }
}
