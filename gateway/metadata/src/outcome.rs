//! Outcomes: what apply answers to each command, and their encoding under the rolling hash (L9).
//!
//! The encoding is written into the hash only, never stored: a tag (u8) and the fields. It is part of the feature level,
//! because two builds of one level must hash alike (I-12): a tag is never reused, a field never dropped.

use uuid::Uuid;

use crate::wire::Writer;
use crate::{GroupOutcome, Position, SessionId};

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The session is open; its id is this entry's position (L2).
    SessionOpened {
        /// The new session.
        session: SessionId,
    },
    /// No session was opened.
    SessionRefused(SessionRefusal),
    /// The session is closed: nothing it sealed takes effect any more (L1).
    SessionClosed {
        /// The session that was closed.
        session: SessionId,
    },
    /// The session is not open, or has appended since (T2, T7).
    SessionCloseRefused,
    /// The topic exists now.
    TopicCreated {
        /// Its id.
        topic_id: Uuid,
        /// Its number of partitions.
        partitions: u32,
    },
    /// A topic of that name existed before.
    TopicExists {
        /// The id of the existing topic.
        topic_id: Uuid,
    },
    /// The topic was not created.
    TopicRefused(TopicRefusal),
    /// `verdicts[run][batch]` answers `runs[run].batches[batch]`.
    Produced(Vec<Vec<BatchVerdict>>),
    /// A block of producer ids: `first` to `first + count − 1`.
    ProducerIds {
        /// The first id.
        first: i64,
        /// How many.
        count: u32,
    },
    /// The count was 0 or too large, or the ids are used up.
    ProducerIdsRefused,
    /// The command broke a bound or a rule of form and changed nothing.
    Malformed(Malformation),
    /// The answer to a command of the groups domain.
    Group(GroupOutcome),
    /// The topic is gone, with its partitions and its committed offsets.
    TopicDeleted {
        /// The id it had.
        topic_id: Uuid,
    },
    /// There is no topic of that id.
    TopicNotFound,
    /// The configs of the resource are those of the command.
    ConfigsAltered,
    /// The configs are no longer those that the proposer saw (T7): it looks again, and resolves its change anew.
    ConfigsMoved {
        /// The position of their last change.
        at: Position,
    },
    /// The configs are as before.
    ConfigsRefused(ConfigRefusal),
    /// The topic has so many partitions now.
    PartitionsCreated {
        /// How many, the old ones counted.
        count: u32,
    },
    /// The topic has as many partitions as before.
    PartitionsRefused(PartitionsRefusal),
    /// `answers[i]` answers `runs[i]` of the DeleteRecords.
    RecordsDeleted(Vec<DeletedRecords>),
}

/// Why no session was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionRefusal {
    /// The command was not alone in an entry without identity (L2).
    #[error("a session is opened by an entry of its own")]
    NotAlone,
    /// The gateway's build speaks a lower feature level than State has (I-12).
    #[error("the gateway's feature level is below {required}")]
    FeatureLevel {
        /// State's level.
        required: u16,
    },
    /// The name is too long.
    #[error("the gateway's name is too long")]
    BadName,
    /// As many sessions are open as may be.
    #[error("too many gateway sessions are open")]
    TooManySessions,
}

/// Why a topic was not created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicRefusal {
    /// The name is not legal in Kafka: INVALID_TOPIC_EXCEPTION.
    #[error("the topic name is not legal")]
    InvalidName,
    /// The name differs from an existing one only in '.' and '_': INVALID_TOPIC_EXCEPTION.
    #[error("the topic name collides with one that differs only in '.' and '_'")]
    Collides,
    /// No partitions, or more than a topic may have: INVALID_PARTITIONS.
    #[error("the number of partitions is 0 or too large")]
    InvalidPartitions,
    /// Too many configs, one too long, or one named twice: INVALID_CONFIG.
    #[error("a topic config is too long or named twice, or there are too many")]
    InvalidConfig,
    /// The id is nil or belongs to another topic: try again with a fresh one.
    #[error("the topic id is nil or in use")]
    InvalidId,
    /// There are as many topics, or partitions of all topics, as there may be: POLICY_VIOLATION.
    #[error("the store has as many topics or partitions as it may have")]
    LimitReached,
}

/// Why a set of configs was not replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigRefusal {
    /// There is no topic of that id: UNKNOWN_TOPIC_OR_PARTITION.
    #[error("there is no such topic")]
    UnknownTopic,
    /// Too many configs, one too long, one named twice, or a negative broker id: INVALID_CONFIG.
    #[error("a config is too long or named twice, there are too many, or the broker id is negative")]
    Invalid,
    /// As many brokers have configs as may: POLICY_VIOLATION.
    #[error("as many brokers have configs as may have")]
    LimitReached,
}

/// Why a topic was given no more partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PartitionsRefusal {
    /// There is no topic of that id: UNKNOWN_TOPIC_OR_PARTITION.
    #[error("there is no such topic")]
    UnknownTopic,
    /// The count is not above what the topic has: INVALID_PARTITIONS.
    #[error("the topic has {current} partitions already")]
    NotMore {
        /// What it has.
        current: u32,
    },
    /// More than one topic, or all topics together, may have: POLICY_VIOLATION.
    #[error("the topic or the store has as many partitions as it may have")]
    LimitReached,
}

/// The answer to one run of a DeleteRecords command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeletedRecords {
    /// No record below the offset is left; success also when there was none before.
    Deleted {
        /// The log start offset now.
        log_start_offset: i64,
    },
    /// The offset is negative or past the high watermark: OFFSET_OUT_OF_RANGE. Nothing changed.
    OutOfRange {
        /// The log start offset.
        log_start_offset: i64,
        /// The high watermark.
        high_watermark: i64,
    },
    /// No such topic or partition.
    UnknownPartition,
}

/// The answer to one batch of a Produce command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchVerdict {
    /// The batch has its offsets.
    Accepted {
        /// Offset of its first record.
        base_offset: i64,
    },
    /// One of the last five batches of its producer: success, nothing changed.
    Duplicate {
        /// Offset of the first record of the original.
        base_offset: i64,
        /// Greatest timestamp of the original.
        timestamp: i64,
    },
    /// A gap in the producer's sequence: OUT_OF_ORDER_SEQUENCE_NUMBER.
    OutOfOrderSequence {
        /// The sequence that would have been accepted.
        expected: i32,
    },
    /// The producer's epoch is older than one seen here: INVALID_PRODUCER_EPOCH.
    StaleEpoch,
    /// No such topic or partition.
    UnknownPartition,
    /// No batch a validated segment holds: a defect of the gateway that sealed it.
    Invalid(InvalidBatch),
    /// The partition's offsets, extents or producers are at their bound.
    LimitReached,
}

/// Why a batch is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBatch {
    /// No records, or more than an int32 counts.
    #[error("the number of records is 0 or too large")]
    Records,
    /// Fewer bytes than a batch header has.
    #[error("the batch is shorter than a batch header")]
    Bytes,
    /// It ends outside the object.
    #[error("the batch lies outside its object")]
    OutsideObject,
    /// A negative producer id, epoch or sequence.
    #[error("the producer id, epoch or sequence is negative")]
    Producer,
}

/// Why a command changed nothing at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformation {
    /// The entry has no identity and is not exactly one OpenSession (L1, L2).
    #[error("an entry without identity may only open a session")]
    NoIdentity,
    /// The entry has more commands than [`crate::limits::COMMANDS_PER_ENTRY`].
    #[error("the entry has too many commands")]
    TooManyCommands,
    /// The command has more runs than [`crate::limits::RUNS_PER_PRODUCE`] or [`crate::limits::RUNS_PER_DELETE_RECORDS`].
    #[error("the command has too many runs")]
    TooManyRuns,
    /// The command has more batches than [`crate::limits::BATCHES_PER_PRODUCE`].
    #[error("the Produce command has too many batches")]
    TooManyBatches,
}

impl Outcome {
    pub(crate) fn write(&self, writer: &mut Writer) {
        match self {
            Self::SessionOpened { session } => write_session(writer, 1, *session),
            Self::SessionRefused(refusal) => {
                writer.u8(2);
                refusal.write(writer);
            }
            Self::SessionClosed { session } => write_session(writer, 3, *session),
            Self::SessionCloseRefused => writer.u8(4),
            Self::TopicCreated { topic_id, partitions } => {
                writer.u8(5);
                writer.uuid(*topic_id);
                writer.varint(u64::from(*partitions));
            }
            Self::TopicExists { topic_id } => write_topic_id(writer, 6, *topic_id),
            Self::TopicRefused(refusal) => {
                writer.u8(7);
                writer.u8(refusal.tag());
            }
            Self::Produced(runs) => {
                writer.u8(8);
                write_verdicts(writer, runs);
            }
            Self::ProducerIds { first, count } => {
                writer.u8(9);
                writer.zigzag(*first);
                writer.varint(u64::from(*count));
            }
            Self::ProducerIdsRefused => writer.u8(10),
            Self::Malformed(malformation) => {
                writer.u8(11);
                writer.u8(malformation.tag());
            }
            Self::Group(outcome) => {
                writer.u8(12);
                outcome.write(writer);
            }
            Self::TopicDeleted { topic_id } => write_topic_id(writer, 13, *topic_id),
            Self::TopicNotFound => writer.u8(14),
            Self::ConfigsAltered => writer.u8(15),
            Self::ConfigsMoved { at } => {
                writer.u8(16);
                writer.position(*at);
            }
            Self::ConfigsRefused(refusal) => {
                writer.u8(17);
                writer.u8(refusal.tag());
            }
            Self::PartitionsCreated { count } => {
                writer.u8(18);
                writer.varint(u64::from(*count));
            }
            Self::PartitionsRefused(refusal) => {
                writer.u8(19);
                refusal.write(writer);
            }
            Self::RecordsDeleted(answers) => {
                writer.u8(20);
                writer.count(answers.len());
                for answer in answers {
                    answer.write(writer);
                }
            }
        }
    }
}

fn write_session(writer: &mut Writer, tag: u8, session: SessionId) {
    writer.u8(tag);
    writer.position(session.0);
}

fn write_topic_id(writer: &mut Writer, tag: u8, topic_id: Uuid) {
    writer.u8(tag);
    writer.uuid(topic_id);
}

fn write_verdicts(writer: &mut Writer, runs: &[Vec<BatchVerdict>]) {
    writer.count(runs.len());
    for verdicts in runs {
        writer.count(verdicts.len());
        for verdict in verdicts {
            verdict.write(writer);
        }
    }
}

impl BatchVerdict {
    fn write(self, writer: &mut Writer) {
        match self {
            Self::Accepted { base_offset } => {
                writer.u8(1);
                writer.zigzag(base_offset);
            }
            Self::Duplicate { base_offset, timestamp } => {
                writer.u8(2);
                writer.zigzag(base_offset);
                writer.zigzag(timestamp);
            }
            Self::OutOfOrderSequence { expected } => {
                writer.u8(3);
                writer.zigzag(i64::from(expected));
            }
            Self::StaleEpoch => writer.u8(4),
            Self::UnknownPartition => writer.u8(5),
            Self::Invalid(reason) => {
                writer.u8(6);
                writer.u8(reason.tag());
            }
            Self::LimitReached => writer.u8(7),
        }
    }
}

impl SessionRefusal {
    fn write(self, writer: &mut Writer) {
        match self {
            Self::NotAlone => writer.u8(1),
            Self::FeatureLevel { required } => {
                writer.u8(2);
                writer.u16(required);
            }
            Self::BadName => writer.u8(3),
            Self::TooManySessions => writer.u8(4),
        }
    }
}

impl TopicRefusal {
    fn tag(self) -> u8 {
        match self {
            Self::InvalidName => 1,
            Self::Collides => 2,
            Self::InvalidPartitions => 3,
            Self::InvalidConfig => 4,
            Self::InvalidId => 5,
            Self::LimitReached => 6,
        }
    }
}

impl ConfigRefusal {
    fn tag(self) -> u8 {
        match self {
            Self::UnknownTopic => 1,
            Self::Invalid => 2,
            Self::LimitReached => 3,
        }
    }
}

impl PartitionsRefusal {
    fn write(self, writer: &mut Writer) {
        match self {
            Self::UnknownTopic => writer.u8(1),
            Self::NotMore { current } => {
                writer.u8(2);
                writer.varint(u64::from(current));
            }
            Self::LimitReached => writer.u8(3),
        }
    }
}

impl DeletedRecords {
    fn write(self, writer: &mut Writer) {
        match self {
            Self::Deleted { log_start_offset } => {
                writer.u8(1);
                writer.zigzag(log_start_offset);
            }
            Self::OutOfRange { log_start_offset, high_watermark } => {
                writer.u8(2);
                writer.zigzag(log_start_offset);
                writer.zigzag(high_watermark);
            }
            Self::UnknownPartition => writer.u8(3),
        }
    }
}

impl InvalidBatch {
    fn tag(self) -> u8 {
        match self {
            Self::Records => 1,
            Self::Bytes => 2,
            Self::OutsideObject => 3,
            Self::Producer => 4,
        }
    }
}

impl Malformation {
    fn tag(self) -> u8 {
        match self {
            Self::NoIdentity => 1,
            Self::TooManyCommands => 2,
            Self::TooManyRuns => 3,
            Self::TooManyBatches => 4,
        }
    }
}
