//! What the situations quote: the rows of the project's list of what each situation must answer.
//!
//! Promises: each row that [`ALL`] has is quoted by a situation; `situations::unquoted_rows` says which is not.

macro_rules! rows {
    ($($name:ident = $text:literal;)*) => {
        $(pub(crate) const $name: &str = $text;)*
        /// Every row.
        pub(crate) const ALL: &[&str] = &[$($name,)*];
    };
}

rows! {
    // Produce, Fetch, Metadata.
    UNKNOWN_TOPIC = "unknown topic/partition, auto-create off";
    UNKNOWN_ID = "unknown topic id (Fetch>=13, Produce 13, Metadata>=12 by id)";
    ILLEGAL_NAME = "illegal topic name (space, >249, \"..\")";
    AUTO_CREATE = "Metadata allow_auto_topic_creation=false";
    TOO_LARGE = "record batch > max.message.bytes";
    FRAME_TOO_LARGE = "request frame > socket.request.max.bytes";
    ACKS = "acks not in {-1,0,1}";
    ACKS_0 = "acks=0";
    BAD_BATCH = "CRC bad / magic wrong / >1 batch in v3+ / bad offsets or null key on compacted topic";
    BAD_TIMESTAMP = "timestamp outside before/after.max.ms";
    ZSTD = "zstd with Produce<7 or Fetch<10";
    APPEND_TIME = "CreateTime vs LogAppendTime";
    FETCH_RANGE = "fetch past end or before log start";
    LONG_POLL = "min_bytes/max_wait long poll; one oversize batch";
    SESSIONS = "fetch sessions";
    EPOCHS = "leader epoch";
    COMMITTED = "isolation read_committed";
    LIST_OFFSETS = "ListOffsets -1,-2, timestamp, -3 max ts (v7), -4 local (v8), -5 tiered (v9), -6 (v11)";
    RACK = "consumer lag/stats, client rack";
    // Idempotence, where it needs no transaction.
    DUPLICATE = "duplicate of one of last 5 batches per producer/partition";
    OLD_DUPLICATE = "duplicate older than the 5 cached batches";
    GAP = "gap";
    NO_STATE = "no producer state for this partition";
    STALE_EPOCH = "stale epoch on Produce";
    // Groups.
    EMPTY_MEMBER = "JoinGroup v4+ empty member id";
    WRONG_GENERATION = "wrong generation / unknown member / during rebalance";
    NO_COMMON = "no common protocol";
    INSTANCE = "duplicate group.instance.id";
    SIMPLE_COMMIT = "commit by \"simple\" consumer to empty group with generation -1";
    LONG_METADATA = "offset metadata > 4096";
    DELETE_GROUPS = "DeleteGroups";
    OFFSET_DELETE = "OffsetDelete of subscribed topic";
    ALTER_OFFSETS = "AlterConsumerGroupOffsets with live members";
    DESCRIBE_UNKNOWN = "DescribeGroups unknown";
    COORDINATOR = "coordinator move";
    // Admin.
    CREATE_TOPICS = "CreateTopics";
    DELETE_TOPICS = "DeleteTopics";
    CREATE_PARTITIONS = "CreatePartitions to <= current INVALID_PARTITIONS 37";
    DELETE_RECORDS = "DeleteRecords beyond HW OFFSET_OUT_OF_RANGE 1, `-1` = HW, response low_watermark";
    DESCRIBE_CONFIGS = "DescribeConfigs: unknown topic 3, bad broker id INVALID_REQUEST 42, group resources when >= 4.0";
    ALTER_CONFIGS = "IncrementalAlterConfigs: unknown topic 3, wrong op INVALID_REQUEST/INVALID_CONFIG";
    ELECT_LEADERS = "ElectLeaders ELECTION_NOT_NEEDED 84, NO_REASSIGNMENT_IN_PROGRESS 85";
    DESCRIBE_CLUSTER = "DescribeCluster cluster id non-null string and controller id = a listed broker";
    // Framing.
    CORRELATION = "correlation ids echo in order per connection";
    NULL_EMPTY = "null vs empty arrays in Metadata (v0: empty = all; v1+: null = all, empty = none)";
    TAGGED = "unknown tagged fields ignored";
    UNADVERTISED = "request of unadvertised version -> ApiVersions: v0+35, others: Kafka closes the connection";
    HALF_FRAMES = "half-read frames, connection dropped when first bytes are not a Kafka frame";
}
