//! Every bound and default of the decorators, in one place (I-14).

use std::time::Duration;

/// Attempts after the first one, for an operation that is unavailable or whose outcome is unknown.
pub const RETRIES_MAX: u32 = 4;
/// Longest wait before the first retry.
pub const RETRY_WAIT_BASE: Duration = Duration::from_millis(50);
/// Longest wait before any retry.
pub const RETRY_WAIT_MAX: Duration = Duration::from_secs(2);

/// Attempts after the first one, for an operation that is throttled: more and slower, since a rate recovers in seconds.
pub const THROTTLE_RETRIES_MAX: u32 = 8;
/// Longest wait before the first retry of a throttled operation.
pub const THROTTLE_WAIT_BASE: Duration = Duration::from_millis(200);
/// Longest wait before any retry of a throttled operation.
pub const THROTTLE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Deadline of one attempt to read objects.
pub const OBJECT_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// Deadline of one attempt to write or delete objects; 8 MiB at 0.5 MB/s.
pub const OBJECT_WRITE_TIMEOUT: Duration = Duration::from_secs(20);
/// Deadline of one attempt to read from the log.
pub const LOG_READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Deadline of one attempt to stage or append.
pub const LOG_WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers of a store older than this say nothing of its clock any more (T3).
pub const CLOCK_READING_AGE_MAX: Duration = Duration::from_secs(60);
/// Most that a clock may differ from the store's for things to be destroyed by it (T3).
pub const CLOCK_DIFFERENCE_MAX: Duration = Duration::from_secs(5);

/// Most effects that a faulty store has outstanding after their answers (one more happens before its answer).
pub const LATE_EFFECTS_MAX: usize = 64;
