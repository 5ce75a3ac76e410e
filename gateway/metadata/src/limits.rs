//! Every bound of State and of one entry (I-14).
//!
//! They are part of the feature level, not settings: a bound changes verdicts, so every gateway must judge by the same
//! one (L11, I-12). Changing a number here needs a new feature level.

/// The feature level this build speaks, and the level of a new State. State of a higher level is not replayed (I-12).
pub const FEATURE_LEVEL: u16 = 1;

/// Open gateway sessions.
pub const SESSIONS: usize = 10_000;
/// Bytes of a gateway's advertised name, "host:port": 255 for a host name, a colon, five digits.
pub const SESSION_NAME_BYTES: usize = 261;

/// Topics.
pub const TOPICS: usize = 100_000;
/// Bytes of a topic name, Kafka's own bound.
pub const TOPIC_NAME_BYTES: usize = 249;
/// Partitions of one topic.
pub const PARTITIONS_PER_TOPIC: u32 = 10_000;
/// Partitions of all topics.
pub const PARTITIONS: usize = 200_000;
/// Configs set on one topic, on one broker, or as the defaults of all brokers.
pub const CONFIGS_PER_TOPIC: usize = 64;
/// Bytes of a config's name.
pub const CONFIG_NAME_BYTES: usize = 128;
/// Bytes of a config's value.
pub const CONFIG_VALUE_BYTES: usize = 4_096;
/// Brokers that have configs of their own.
pub const BROKERS_WITH_CONFIGS: usize = 1_000;

/// Extents of all partitions. A hard stop far above the engine's throttle of 1,000,000.
pub const EXTENTS: u64 = 16_777_216;
/// Producers remembered in one partition.
pub const PRODUCERS_PER_PARTITION: usize = 100_000;
/// Producers remembered in all partitions.
pub const PRODUCERS: u64 = 4_000_000;
/// Batches remembered per producer and partition: the most requests a client may have in flight (Kafka's bound).
pub const BATCHES_PER_PRODUCER: usize = 5;
/// Producer ids in one block.
pub const PRODUCER_IDS_PER_BLOCK: u32 = 100_000;

/// Commands of one entry.
pub const COMMANDS_PER_ENTRY: usize = 4_096;
/// Runs of one Produce command.
pub const RUNS_PER_PRODUCE: usize = 262_144;
/// Batches of one Produce command: more than an 8 MiB segment holds of the smallest batches.
pub const BATCHES_PER_PRODUCE: usize = 262_144;
/// Runs of one DeleteRecords command.
pub const RUNS_PER_DELETE_RECORDS: usize = 100_000;
/// Records of one batch: its last offset delta is an int32.
pub const RECORDS_PER_BATCH: u32 = 0x7fff_ffff;
/// Bytes of the smallest batch: the header of record batch v2.
pub const BATCH_BYTES_MIN: u32 = 61;

/// Groups.
pub const GROUPS: usize = 200_000;
/// Bytes of a group's id: the longest string of Kafka's older protocol versions.
pub const GROUP_ID_BYTES: usize = 32_767;
/// Members of one group, registered ones not counted.
pub const MEMBERS_PER_GROUP: usize = 10_000;
/// Registered ones of one group: those who were told a member id and have not joined with it (KIP-394).
pub const REGISTERED_PER_GROUP: usize = 10_000;
/// Members and registered ones of all groups.
pub const MEMBERS: u64 = 1_000_000;
/// Protocols of one member.
pub const PROTOCOLS_PER_MEMBER: usize = 64;
/// Bytes of a payload that stands in the command itself; larger ones are ranges of an object.
pub const PAYLOAD_INLINE_BYTES: usize = 65_536;
/// Bytes of all subscriptions and assignments of one group, those in objects included.
pub const PAYLOAD_BYTES_PER_GROUP: u64 = 64 * 1024 * 1024;
/// Bytes of a member's id, instance id, client id, host, protocol type or protocol name.
pub const MEMBER_TEXT_BYTES: usize = 32_767;
/// Offsets in one commit, or in one deletion of offsets.
pub const OFFSETS_PER_COMMIT: usize = 100_000;
/// Committed offsets of one group.
pub const OFFSETS_PER_GROUP: usize = 1_000_000;
/// Committed offsets of all groups.
pub const OFFSETS: u64 = 10_000_000;
/// Bytes of the text that a client commits with an offset; the gateways' own bound is lower.
pub const OFFSET_METADATA_BYTES: usize = 65_536;

/// Virtual shards (L12): each partition and each group gets one at birth.
pub const SHARDS: u8 = 64;
