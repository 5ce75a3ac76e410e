//! Every bound and default of the gateway (design section 14, I-14): one file, so that tests can set each of them tiny.

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
    /// Bytes of records being read for Fetches, over all connections.
    pub fetch_bytes_max: usize,
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
    /// Most decompressed bytes looked at to find one timestamp.
    pub decompressed_bytes_max: usize,
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
            cache_bytes_max: 256 << 20,
            cache_block_bytes: 1 << 20,
            message_bytes_max: 1_048_588,
            queue_len: 1024,
            entry_commands_max: 64,
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
            decompressed_bytes_max: 64 << 20,
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
    /// What this gateway calls itself in its session record: its advertised address.
    pub name: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { auto_create_topics: true, default_partitions: 1, name: String::new() }
    }
}
