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
/// Configs set on one topic.
pub const CONFIGS_PER_TOPIC: usize = 64;
/// Bytes of a config's name.
pub const CONFIG_NAME_BYTES: usize = 128;
/// Bytes of a config's value.
pub const CONFIG_VALUE_BYTES: usize = 4_096;

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
/// Records of one batch: its last offset delta is an int32.
pub const RECORDS_PER_BATCH: u32 = 0x7fff_ffff;
/// Bytes of the smallest batch: the header of record batch v2.
pub const BATCH_BYTES_MIN: u32 = 61;

/// Virtual shards (L12): each partition gets one at birth.
pub const SHARDS: u8 = 64;
