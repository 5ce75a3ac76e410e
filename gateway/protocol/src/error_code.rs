//! Kafka's error codes, by Kafka's names.

use std::fmt;

/// An error code as the protocol carries it. Every 16-bit number is one, so that a client can read codes of newer brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ErrorCode(i16);

macro_rules! error_codes {
    ($($name:ident = $code:literal, $doc:literal;)*) => {
        impl ErrorCode {
            $(
                #[doc = concat!($doc, " Code ", stringify!($code), ".")]
                pub const $name: ErrorCode = ErrorCode($code);
            )*

            /// Every code that Kafka 4.3 has, ascending.
            pub const ALL: &'static [ErrorCode] = &[$(ErrorCode::$name,)*];

            /// Kafka's name; `None` for a code that Kafka 4.3 does not have.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($code => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

error_codes! {
    UNKNOWN_SERVER_ERROR = -1, "A failure without a code of its own.";
    NONE = 0, "No error.";
    OFFSET_OUT_OF_RANGE = 1, "The offset is outside what the partition holds.";
    CORRUPT_MESSAGE = 2, "A batch or message failed its checks.";
    UNKNOWN_TOPIC_OR_PARTITION = 3, "No such topic or partition here.";
    INVALID_FETCH_SIZE = 4, "The fetch size is not valid.";
    LEADER_NOT_AVAILABLE = 5, "The partition has no leader at the moment.";
    NOT_LEADER_OR_FOLLOWER = 6, "This broker neither leads nor follows the partition.";
    REQUEST_TIMED_OUT = 7, "No answer in time; the effect may have happened.";
    BROKER_NOT_AVAILABLE = 8, "The broker is not available.";
    REPLICA_NOT_AVAILABLE = 9, "The replica is not available.";
    MESSAGE_TOO_LARGE = 10, "A batch is larger than the topic or broker allows.";
    STALE_CONTROLLER_EPOCH = 11, "The controller has moved.";
    OFFSET_METADATA_TOO_LARGE = 12, "The metadata beside a committed offset is too long.";
    NETWORK_EXCEPTION = 13, "The connection was lost before the answer.";
    COORDINATOR_LOAD_IN_PROGRESS = 14, "The coordinator is still loading; retry.";
    COORDINATOR_NOT_AVAILABLE = 15, "There is no coordinator at the moment; retry.";
    NOT_COORDINATOR = 16, "This broker is not the coordinator.";
    INVALID_TOPIC_EXCEPTION = 17, "The topic name is not legal, or the topic cannot be used so.";
    RECORD_LIST_TOO_LARGE = 18, "The batches are larger than a segment.";
    NOT_ENOUGH_REPLICAS = 19, "Too few in-sync replicas: nothing was written.";
    NOT_ENOUGH_REPLICAS_AFTER_APPEND = 20, "Too few in-sync replicas, after the write.";
    INVALID_REQUIRED_ACKS = 21, "acks is none of -1, 0 and 1.";
    ILLEGAL_GENERATION = 22, "The generation is not the group's.";
    INCONSISTENT_GROUP_PROTOCOL = 23, "The member shares no protocol with the group.";
    INVALID_GROUP_ID = 24, "The group id is not valid.";
    UNKNOWN_MEMBER_ID = 25, "The group has no such member.";
    INVALID_SESSION_TIMEOUT = 26, "The session timeout is outside the allowed range.";
    REBALANCE_IN_PROGRESS = 27, "The group is rebalancing: join again.";
    INVALID_COMMIT_OFFSET_SIZE = 28, "The committed offsets are too large.";
    TOPIC_AUTHORIZATION_FAILED = 29, "Not authorized for the topic.";
    GROUP_AUTHORIZATION_FAILED = 30, "Not authorized for the group.";
    CLUSTER_AUTHORIZATION_FAILED = 31, "Not authorized for the cluster.";
    INVALID_TIMESTAMP = 32, "A record's timestamp is out of range.";
    UNSUPPORTED_SASL_MECHANISM = 33, "The SASL mechanism is not offered.";
    ILLEGAL_SASL_STATE = 34, "The request does not fit the state of the SASL exchange.";
    UNSUPPORTED_VERSION = 35, "The API has no such version here.";
    TOPIC_ALREADY_EXISTS = 36, "A topic of this name exists.";
    INVALID_PARTITIONS = 37, "The number of partitions is not valid.";
    INVALID_REPLICATION_FACTOR = 38, "The replication factor is not valid.";
    INVALID_REPLICA_ASSIGNMENT = 39, "The replica assignment is not valid.";
    INVALID_CONFIG = 40, "A configuration entry is not valid.";
    NOT_CONTROLLER = 41, "This broker is not the controller.";
    INVALID_REQUEST = 42, "The request contradicts itself or the protocol.";
    UNSUPPORTED_FOR_MESSAGE_FORMAT = 43, "The message format does not support the request.";
    POLICY_VIOLATION = 44, "A policy forbids it.";
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45, "A batch does not continue its producer's sequence.";
    DUPLICATE_SEQUENCE_NUMBER = 46, "A batch was already written.";
    INVALID_PRODUCER_EPOCH = 47, "The producer's epoch is old.";
    INVALID_TXN_STATE = 48, "The transaction is not in a state that allows this.";
    INVALID_PRODUCER_ID_MAPPING = 49, "The producer id does not belong to the transactional id.";
    INVALID_TRANSACTION_TIMEOUT = 50, "The transaction timeout is larger than allowed.";
    CONCURRENT_TRANSACTIONS = 51, "Another operation on the transaction is under way; retry.";
    TRANSACTION_COORDINATOR_FENCED = 52, "The transaction coordinator was replaced.";
    TRANSACTIONAL_ID_AUTHORIZATION_FAILED = 53, "Not authorized for the transactional id.";
    SECURITY_DISABLED = 54, "Security features are off.";
    OPERATION_NOT_ATTEMPTED = 55, "Not attempted, because an earlier part of the request failed.";
    KAFKA_STORAGE_ERROR = 56, "Storage failed while it served the request.";
    LOG_DIR_NOT_FOUND = 57, "No such log directory.";
    SASL_AUTHENTICATION_FAILED = 58, "The SASL authentication failed.";
    UNKNOWN_PRODUCER_ID = 59, "Nothing is known of the producer id.";
    REASSIGNMENT_IN_PROGRESS = 60, "The partition is being reassigned.";
    DELEGATION_TOKEN_AUTH_DISABLED = 61, "Delegation tokens are off.";
    DELEGATION_TOKEN_NOT_FOUND = 62, "No such delegation token.";
    DELEGATION_TOKEN_OWNER_MISMATCH = 63, "The delegation token belongs to somebody else.";
    DELEGATION_TOKEN_REQUEST_NOT_ALLOWED = 64, "Delegation tokens cannot be requested over this connection.";
    DELEGATION_TOKEN_AUTHORIZATION_FAILED = 65, "Not authorized for the delegation token.";
    DELEGATION_TOKEN_EXPIRED = 66, "The delegation token has expired.";
    INVALID_PRINCIPAL_TYPE = 67, "The principal type is not supported.";
    NON_EMPTY_GROUP = 68, "The group still has members.";
    GROUP_ID_NOT_FOUND = 69, "No such group.";
    FETCH_SESSION_ID_NOT_FOUND = 70, "No such fetch session.";
    INVALID_FETCH_SESSION_EPOCH = 71, "The epoch of the fetch session is not the expected one.";
    LISTENER_NOT_FOUND = 72, "No listener of that name on the leader.";
    TOPIC_DELETION_DISABLED = 73, "Topics cannot be deleted here.";
    FENCED_LEADER_EPOCH = 74, "The leader epoch of the request is older than ours.";
    UNKNOWN_LEADER_EPOCH = 75, "The leader epoch of the request is newer than ours.";
    UNSUPPORTED_COMPRESSION_TYPE = 76, "The client's version does not support the compression.";
    STALE_BROKER_EPOCH = 77, "The broker epoch has changed.";
    OFFSET_NOT_AVAILABLE = 78, "The offset cannot be told yet after an election.";
    MEMBER_ID_REQUIRED = 79, "The member must join again with the id it was given.";
    PREFERRED_LEADER_NOT_AVAILABLE = 80, "The preferred leader was not available.";
    GROUP_MAX_SIZE_REACHED = 81, "The group is full.";
    FENCED_INSTANCE_ID = 82, "Another member uses the same instance id.";
    ELIGIBLE_LEADERS_NOT_AVAILABLE = 83, "No eligible leader is available.";
    ELECTION_NOT_NEEDED = 84, "No election is needed.";
    NO_REASSIGNMENT_IN_PROGRESS = 85, "Nothing is being reassigned.";
    GROUP_SUBSCRIBED_TO_TOPIC = 86, "The group still subscribes to the topic.";
    INVALID_RECORD = 87, "A record was refused.";
    UNSTABLE_OFFSET_COMMIT = 88, "Offsets of an open transaction are pending; retry.";
    THROTTLING_QUOTA_EXCEEDED = 89, "A quota is exceeded; retry later.";
    PRODUCER_FENCED = 90, "A newer producer has the same transactional id.";
    RESOURCE_NOT_FOUND = 91, "The request names something that does not exist.";
    DUPLICATE_RESOURCE = 92, "The request names something twice.";
    UNACCEPTABLE_CREDENTIAL = 93, "The credential is not acceptable.";
    INCONSISTENT_VOTER_SET = 94, "Not a voter of the expected set.";
    INVALID_UPDATE_VERSION = 95, "The feature level is not valid.";
    FEATURE_UPDATE_FAILED = 96, "The feature level could not be changed.";
    PRINCIPAL_DESERIALIZATION_FAILURE = 97, "The forwarded principal could not be read.";
    SNAPSHOT_NOT_FOUND = 98, "No such snapshot.";
    POSITION_OUT_OF_RANGE = 99, "The position is outside the snapshot.";
    UNKNOWN_TOPIC_ID = 100, "No topic has this id.";
    DUPLICATE_BROKER_REGISTRATION = 101, "The broker id is in use.";
    BROKER_ID_NOT_REGISTERED = 102, "The broker id is not registered.";
    INCONSISTENT_TOPIC_ID = 103, "The topic id is not that of the log.";
    INCONSISTENT_CLUSTER_ID = 104, "The cluster id is another one.";
    TRANSACTIONAL_ID_NOT_FOUND = 105, "No such transactional id.";
    FETCH_SESSION_TOPIC_ID_ERROR = 106, "The topic ids of the fetch session do not agree.";
    INELIGIBLE_REPLICA = 107, "A replica is not eligible for the in-sync set.";
    NEW_LEADER_ELECTED = 108, "The change was made, but the leader has changed.";
    OFFSET_MOVED_TO_TIERED_STORAGE = 109, "The offset has moved to tiered storage.";
    FENCED_MEMBER_EPOCH = 110, "The member's epoch is fenced: it must join anew.";
    UNRELEASED_INSTANCE_ID = 111, "The instance id is still held by another member.";
    UNSUPPORTED_ASSIGNOR = 112, "The assignor is not supported.";
    STALE_MEMBER_EPOCH = 113, "The member's epoch is old.";
    MISMATCHED_ENDPOINT_TYPE = 114, "The endpoint is of the other type.";
    UNSUPPORTED_ENDPOINT_TYPE = 115, "The endpoint type is not supported.";
    UNKNOWN_CONTROLLER_ID = 116, "No such controller.";
    UNKNOWN_SUBSCRIPTION_ID = 117, "The telemetry subscription is not valid any more.";
    TELEMETRY_TOO_LARGE = 118, "The telemetry is too large.";
    INVALID_REGISTRATION = 119, "The registration is not valid.";
    TRANSACTION_ABORTABLE = 120, "The transaction failed in a way that lets the client abort it.";
    INVALID_RECORD_STATE = 121, "The record is not in a state that allows this acknowledgement.";
    SHARE_SESSION_NOT_FOUND = 122, "No such share session.";
    INVALID_SHARE_SESSION_EPOCH = 123, "The epoch of the share session is not the expected one.";
    FENCED_STATE_EPOCH = 124, "The state epoch of the share group does not match.";
    INVALID_VOTER_KEY = 125, "The voter's key does not match.";
    DUPLICATE_VOTER = 126, "Already a voter.";
    VOTER_NOT_FOUND = 127, "Not a voter.";
    INVALID_REGULAR_EXPRESSION = 128, "The regular expression is not valid.";
    REBOOTSTRAP_REQUIRED = 129, "The client's metadata is too old: it must bootstrap again.";
    STREAMS_INVALID_TOPOLOGY = 130, "The topology is not valid.";
    STREAMS_INVALID_TOPOLOGY_EPOCH = 131, "The topology epoch is not valid.";
    STREAMS_TOPOLOGY_FENCED = 132, "The topology epoch is old.";
    SHARE_SESSION_LIMIT_REACHED = 133, "No more share sessions.";
}

impl ErrorCode {
    /// The code of a number, known or not.
    pub const fn from_i16(code: i16) -> Self {
        Self(code)
    }

    /// The number on the wire.
    pub const fn as_i16(self) -> i16 {
        self.0
    }

    /// Whether this is [`ErrorCode::NONE`].
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.0),
            None => write!(f, "error {}", self.0),
        }
    }
}

impl From<ErrorCode> for i16 {
    fn from(code: ErrorCode) -> Self {
        code.0
    }
}

impl From<i16> for ErrorCode {
    fn from(code: i16) -> Self {
        Self(code)
    }
}
