//! Every bound of the embedded stores, in one place (I-14).

/// Largest entry either log takes, in bytes; the disk log keeps all of them inline.
pub const ENTRY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Most elements in one append, as in the DynamoDB log (L5).
pub const APPEND_ELEMENTS_MAX: usize = 256;

/// Most bytes that a database which is only read may seem to have written, in bytes: a repair writes some pages.
pub const SHADOW_BYTES_MAX: usize = 16 * 1024 * 1024;

/// What the disk stores may use. Tests set it tiny.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskLimits {
    /// Bytes of recent elements kept in memory, from which tails are answered without reading the disk.
    pub recent_bytes_max: usize,
    /// Appends that wait for the commit thread; one more waits outside.
    pub queued_appends_max: usize,
    /// Appends in one group, and so in one fsync.
    pub group_appends_max: usize,
    /// Bytes after which a group takes no further append.
    pub group_bytes_max: usize,
    /// Bytes of the log's page cache.
    pub log_cache_bytes: usize,
    /// Object operations on the disk at the same time; one more waits.
    pub io_threads_max: usize,
    /// Folders remembered as durably made; beyond that they are forgotten and synced again when next used.
    pub known_folders_max: usize,
}

impl Default for DiskLimits {
    fn default() -> Self {
        Self {
            recent_bytes_max: 8 * 1024 * 1024,
            queued_appends_max: 1_024,
            group_appends_max: 512,
            group_bytes_max: 16 * 1024 * 1024,
            log_cache_bytes: 16 * 1024 * 1024,
            io_threads_max: 16,
            known_folders_max: 65_536,
        }
    }
}
