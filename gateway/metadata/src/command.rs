//! Commands: what an entry asks State to do.
//!
//! Layout: a tag (u8), then the fields, laid out in the `commands.rs`, `produce_command.rs` or `codec.rs` of the command's
//! domain (DeleteRecords: `partitions/delete.rs`); DeleteTopic is its topic id (16 bytes).
//! A tag is never reused. Cardinality: up to `limits::COMMANDS_PER_ENTRY` in an entry. Immutable once sealed (L1).

use uuid::Uuid;

use crate::wire::{DecodeError, Reader, Writer};
use crate::{
    CommittedRun, ConfigResource, DeleteRecordsRun, GroupCommand, ObjectId, Position, SessionId, configs, gateways,
    groups, partitions, producers, topics,
};

/// One command. Apply judges it by State and the command alone (L11) and answers it with an [`crate::Outcome`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Opens a gateway session. Alone in an entry without identity (L2); refused anywhere else.
    OpenSession {
        /// Random: by it the gateway finds its session. A retry uses a fresh one (L2).
        nonce: u128,
        /// The highest level the gateway's build speaks; refused below State's (I-12).
        feature_level: u16,
        /// Wall-clock stamp, milliseconds since 1970 (T3).
        opened_at_ms: i64,
        /// The advertised "host:port", at most [`crate::limits::SESSION_NAME_BYTES`].
        name: String,
    },
    /// Closes a session, if `last_append` still is its last append (T2, T7). A gateway closes its own at a stop.
    CloseSession {
        /// The session.
        session: SessionId,
        /// Its last append as the proposer knew it, not counting the entry that carries this command.
        last_append: Position,
    },
    /// Creates a topic.
    CreateTopic {
        /// Random, not nil, never used before.
        topic_id: Uuid,
        /// Its name, by Kafka's rules ([`crate::is_legal_topic_name`]).
        name: String,
        /// Partitions 0 to `partitions` − 1; at least 1, at most [`crate::limits::PARTITIONS_PER_TOPIC`].
        partitions: u32,
        /// Topic configs that differ from the defaults, each name once.
        configs: Vec<(String, String)>,
        /// Wall-clock stamp, milliseconds since 1970 (T3).
        created_at_ms: i64,
    },
    /// Commits the batches of one segment object: each gets its offsets or its verdict.
    Produce {
        /// The object, durable before this entry was sealed (L1, I-01).
        object: ObjectId,
        /// Its length in bytes.
        object_bytes: u64,
        /// Its runs. One partition may occur in several: batches that were cut leave holes.
        runs: Vec<CommittedRun>,
    },
    /// Takes a block of producer ids that nobody else gets.
    AllocateProducerIds {
        /// How many: at least 1, at most [`crate::limits::PRODUCER_IDS_PER_BLOCK`].
        count: u32,
    },
    /// A command of the groups domain: members, phases, committed offsets.
    Group(GroupCommand),
    /// Deletes a topic with its partitions, and its committed offsets in every group.
    DeleteTopic {
        /// The topic. Its id is never given again: it was random.
        topic_id: Uuid,
    },
    /// Replaces the whole set of configs of a resource, if it is the one that the proposer saw (T7).
    AlterConfigs {
        /// What they are set on.
        resource: ConfigResource,
        /// [`crate::State::configs_changed_at`] of the State against which the proposer resolved and validated them.
        seen: Position,
        /// The new set, each name once, within the bounds that CreateTopic has. Empty: nothing is set any more.
        configs: Vec<(String, String)>,
    },
    /// Gives a topic more partitions: it then has `count` of them.
    CreatePartitions {
        /// The topic.
        topic_id: Uuid,
        /// How many it is to have: more than it has, at most [`crate::limits::PARTITIONS_PER_TOPIC`].
        count: u32,
    },
    /// Moves log starts forward: what lies below them is gone for every reader.
    DeleteRecords {
        /// At most [`crate::limits::RUNS_PER_DELETE_RECORDS`], judged in order, each for itself.
        runs: Vec<DeleteRecordsRun>,
    },
}

const OPEN_SESSION: u8 = 1;
const CLOSE_SESSION: u8 = 2;
const CREATE_TOPIC: u8 = 3;
const PRODUCE: u8 = 4;
const ALLOCATE_PRODUCER_IDS: u8 = 5;
// 6 to 14: `groups/codec.rs`.
const DELETE_TOPIC: u8 = 15;
const ALTER_CONFIGS: u8 = 16;
const CREATE_PARTITIONS: u8 = 17;
const DELETE_RECORDS: u8 = 18;

/// The shortest command on the wire: a tag and one byte.
pub(crate) const COMMAND_BYTES_MIN: usize = 2;

impl Command {
    pub(crate) fn write(&self, writer: &mut Writer) {
        match self {
            Self::OpenSession { nonce, feature_level, opened_at_ms, name } => {
                writer.u8(OPEN_SESSION);
                gateways::write_open(writer, *nonce, *feature_level, *opened_at_ms, name);
            }
            Self::CloseSession { session, last_append } => {
                writer.u8(CLOSE_SESSION);
                gateways::write_close(writer, *session, *last_append);
            }
            Self::CreateTopic { topic_id, name, partitions, configs, created_at_ms } => {
                writer.u8(CREATE_TOPIC);
                topics::write_create(writer, *topic_id, name, *partitions, configs, *created_at_ms);
            }
            Self::Produce { object, object_bytes, runs } => {
                writer.u8(PRODUCE);
                partitions::write_produce(writer, *object, *object_bytes, runs);
            }
            Self::AllocateProducerIds { count } => {
                writer.u8(ALLOCATE_PRODUCER_IDS);
                producers::write_allocate(writer, *count);
            }
            Self::Group(command) => groups::write_command(writer, command),
            Self::DeleteTopic { topic_id } => {
                writer.u8(DELETE_TOPIC);
                writer.uuid(*topic_id);
            }
            Self::AlterConfigs { resource, seen, configs } => {
                writer.u8(ALTER_CONFIGS);
                configs::write_alter(writer, *resource, *seen, configs);
            }
            Self::CreatePartitions { topic_id, count } => {
                writer.u8(CREATE_PARTITIONS);
                topics::write_create_partitions(writer, *topic_id, *count);
            }
            Self::DeleteRecords { runs } => {
                writer.u8(DELETE_RECORDS);
                partitions::write_delete(writer, runs);
            }
        }
    }

    /// L11: a tag this build does not know is an error, so that the caller stops before acting.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        match reader.u8()? {
            OPEN_SESSION => gateways::read_open(reader),
            CLOSE_SESSION => gateways::read_close(reader),
            CREATE_TOPIC => topics::read_create(reader),
            PRODUCE => partitions::read_produce(reader),
            ALLOCATE_PRODUCER_IDS => producers::read_allocate(reader),
            DELETE_TOPIC => Ok(Self::DeleteTopic { topic_id: reader.uuid()? }),
            ALTER_CONFIGS => configs::read_alter(reader),
            CREATE_PARTITIONS => topics::read_create_partitions(reader),
            DELETE_RECORDS => partitions::read_delete(reader),
            other => groups::read_command(other, reader).map(Self::Group),
        }
    }
}
