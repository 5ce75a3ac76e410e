//! Every bound and default of the gateway (design section 14, I-14): one file, so that tests can set each of them tiny.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Bounds of queues, caches, permits, retries and times.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Oldest a buffered batch gets before its flush closes whatever else is going on.
    pub linger: Duration,
    /// Segment PUTs per second and in a burst, where puts are metered.
    pub put_rate: f64,
    /// Tokens that gather while nothing is put; also the debt that a lingering flush may take on.
    pub put_burst: f64,
    /// A flush closes at this size.
    pub segment_bytes_max: usize,
    /// Flushes being uploaded or committed at once.
    pub flushes_in_flight_max: usize,
    /// Bytes of records admitted and not yet answered, over all connections.
    pub produce_bytes_max: usize,
    /// Bytes of records being read for Fetches, or read and not yet sent, over all connections.
    pub fetch_bytes_max: usize,
    /// Bytes of records that one Fetch gets while there is no room for all that it could get.
    pub fetch_bytes_scarce: usize,
    /// Bytes of segments kept in memory.
    pub cache_bytes_max: u64,
    /// Unit of caching and of reading from the store.
    pub cache_block_bytes: u64,
    /// Largest record batch accepted (`message.max.bytes`).
    pub message_bytes_max: usize,
    /// Queue of requests to the log task, of submissions to the produce buffer.
    pub queue_len: usize,
    /// Drafts put into one entry.
    pub entry_commands_max: usize,
    /// Changes of one administrator's request that are proposed at a time.
    pub changes_in_flight_max: usize,
    /// Entries being staged at once.
    pub staging_max: usize,
    /// State is refreshed at least this often while requests are served (T4).
    pub refresh: Duration,
    /// Nothing is answered from a State that could not be refreshed for so long (T6); also the longest wait for a barrier.
    pub stale_stop: Duration,
    /// Fastest and slowest poll while somebody waits (T4).
    pub poll_min: Duration,
    /// See `poll_min`.
    pub poll_max: Duration,
    /// Least time between the starts of two barrier reads (T5).
    pub barrier_spacing: Duration,
    /// First and longest pause between attempts at an append.
    pub append_backoff_min: Duration,
    /// See `append_backoff_min`.
    pub append_backoff_max: Duration,
    /// Bodies of other gateways' entries being read at once.
    pub body_reads_max: usize,
    /// Positions whose hash is kept for the comparison of L9.
    pub hashes_kept: usize,
    /// Longest a request waits for an entry of its own where it names no time of its own.
    pub request_timeout: Duration,
    /// Producer ids taken from the log at once.
    pub producer_id_block: u32,
    /// Longest a Fetch waits, whatever it asks for.
    pub fetch_wait_max: Duration,
    /// Most bytes that a batch may decompress to where its records are looked at.
    pub decompressed_bytes_max: usize,
    /// A session that hosts group members and was not heard of for so long is closed by others (T1).
    pub session_lease: Duration,
    /// A session that hosts group members appends at least this often (T1).
    pub session_keepalive: Duration,
    /// A session that hosts nobody and was not heard of for so long is closed by others (T1).
    pub session_idle: Duration,
    /// A session that was idle for so long is reopened before it appends (T1).
    pub session_reopen: Duration,
    /// Heartbeats and Syncs are answered from a State younger than this, and only while it is do timeouts run (T2, T6).
    pub fresh_for_heartbeat: Duration,
    /// A coordination command that was not sent for so long is dropped (T7).
    pub unsent_command: Duration,
    /// A coordination command that met another State is proposed once more within this time of its reading (T7).
    pub repropose_within: Duration,
    /// Commits wait until so long after the last append began, to share an entry.
    pub commit_linger: Duration,
    /// Gateways that would propose the same thing are so far apart, by the rank of their sessions (T2) …
    pub proposal_stagger: Duration,
    /// … for so many ranks.
    pub proposal_ranks_max: usize,
    /// Gateways that would complete the same phase are so far apart, by the rank of their sessions in the group.
    pub completion_stagger: Duration,
    /// Proposals of timers (expiry, completion, close) in flight at once.
    pub watch_proposals_max: usize,
    /// Changes of State that the watch has not looked at, before it looks at everything.
    pub watch_backlog_max: usize,
    /// Slices of committed offsets waiting to be written to the offsets view; more are left for the next commit.
    pub view_slices_max: usize,
    /// Oldest a change of committed offsets gets before it is written to the offsets view; the last third is chance.
    pub view_linger: Duration,
    /// Slices in one put to the offsets view.
    pub view_batch_max: usize,
    /// What a session committed within this time before it was closed by others, they write to the offsets view.
    pub view_inherit: Duration,
    /// Partitions in one command that expires committed offsets.
    pub expired_offsets_max: usize,
    /// Series of `sluice_group_lag…`, each of a group and a topic.
    pub lag_series_max: usize,
    /// Committed offsets looked at for one answer of `/metrics`.
    pub lag_offsets_max: usize,
    /// Commits that were read and not enqueued yet, over all groups.
    pub commits_waiting_max: usize,
    /// Bytes of one OffsetCommit as a command.
    pub commit_bytes_max: usize,
    /// Payloads of one Join's answer read from objects at once.
    pub payload_reads_max: usize,
    /// Topics whose configs are kept parsed.
    pub topic_settings_max: usize,
    /// Configs in one answer of DescribeConfigs: those of 9,000 topics.
    pub described_configs_max: usize,
    /// A change of configs that met another one is resolved anew, so many times in all.
    pub config_attempts_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            linger: Duration::from_millis(250),
            put_rate: 4.0,
            put_burst: 8.0,
            segment_bytes_max: 8 << 20,
            flushes_in_flight_max: 8,
            produce_bytes_max: 256 << 20,
            fetch_bytes_max: 256 << 20,
            fetch_bytes_scarce: 1 << 20,
            cache_bytes_max: 256 << 20,
            cache_block_bytes: 1 << 20,
            message_bytes_max: 1_048_588,
            queue_len: 1024,
            entry_commands_max: 64,
            changes_in_flight_max: 256,
            staging_max: 4,
            refresh: Duration::from_secs(1),
            stale_stop: Duration::from_secs(10),
            poll_min: Duration::from_millis(25),
            poll_max: Duration::from_millis(250),
            barrier_spacing: Duration::from_millis(5),
            append_backoff_min: Duration::from_millis(20),
            append_backoff_max: Duration::from_secs(1),
            body_reads_max: 32,
            hashes_kept: 65_536,
            request_timeout: Duration::from_secs(30),
            producer_id_block: 100,
            fetch_wait_max: Duration::from_secs(60),
            decompressed_bytes_max: sluice_records::limits::DECOMPRESSED_BYTES_MAX,
            session_lease: Duration::from_secs(15),
            session_keepalive: Duration::from_secs(5),
            session_idle: Duration::from_secs(3_600),
            session_reopen: Duration::from_secs(3_000),
            fresh_for_heartbeat: Duration::from_secs(2),
            unsent_command: Duration::from_secs(5),
            repropose_within: Duration::from_secs(1),
            commit_linger: Duration::from_millis(30),
            proposal_stagger: Duration::from_millis(250),
            proposal_ranks_max: 16,
            completion_stagger: Duration::from_millis(25),
            watch_proposals_max: 64,
            watch_backlog_max: 10_000,
            view_slices_max: 65_536,
            view_linger: Duration::from_millis(3_500),
            view_batch_max: 100,
            view_inherit: Duration::from_secs(60),
            expired_offsets_max: 1_000,
            lag_series_max: 1_000,
            lag_offsets_max: 100_000,
            commits_waiting_max: 65_536,
            commit_bytes_max: 8 << 20,
            payload_reads_max: 16,
            topic_settings_max: 4_096,
            described_configs_max: 300_000,
            config_attempts_max: 10,
        }
    }
}

/// What a person sets and every gateway of a fleet may set differently: nothing here changes a verdict of apply (L11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `num.partitions`: for topics created without a number.
    pub default_partitions: u32,
    /// `group.min.session.timeout.ms`.
    pub group_min_session_timeout_ms: i32,
    /// `group.max.session.timeout.ms`.
    pub group_max_session_timeout_ms: i32,
    /// `group.initial.rebalance.delay.ms`: how long a group that was empty waits for more members.
    pub group_initial_rebalance_delay_ms: u32,
    /// `group.max.size`: members of one group.
    pub group_max_size: u32,
    /// `offset.metadata.max.bytes`: longest text committed with an offset, in characters as Kafka counts them (UTF-16).
    pub offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention_minutes: u32,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: u64,
    /// What this gateway calls itself in its session record: its advertised address.
    pub name: String,
    /// `node.id`: the broker id that clients see.
    pub node_id: i32,
    /// What else it was started with, under Kafka's names: for DescribeConfigs.
    pub statics: BTreeMap<&'static str, String>,
    /// Kafka's names of what somebody gave, though it may be the default.
    pub given: BTreeSet<&'static str>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            auto_create_topics: true,
            default_partitions: 1,
            group_min_session_timeout_ms: 6_000,
            group_max_session_timeout_ms: 1_800_000,
            group_initial_rebalance_delay_ms: 3_000,
            group_max_size: i32::MAX.unsigned_abs(),
            offset_metadata_max_bytes: 4_096,
            offsets_retention_minutes: 10_080,
            offsets_retention_check_interval_ms: 600_000,
            name: String::new(),
            node_id: 1,
            statics: BTreeMap::new(),
            given: BTreeSet::new(),
        }
    }
}
