//! DescribeLogDirs (key 35), versions 0–5 (KIP-113).
//!
//! Version notes: 1 as 0 · 2 flexible · 3 an error of the whole request · 4 sizes of the volume (KIP-827) · 5 cordoned
//! directories (KIP-1066). Kafka 4 begins at version 1.

use crate::ErrorCode;
use crate::kstring::KString;
use crate::message::message;
use crate::wire::since;

message! {
    /// Asks for the directories that logs lie in.
    request DescribeLogDirsRequest -> DescribeLogDirsResponse (DescribeLogDirs, 0..=5, flexible 2) {
        /// The topics; null for all.
        topics: Option<Vec<DescribableLogDirTopic>> = Some(Vec::new()) => since(0).nullable(0);
    }
}

message! {
    /// A topic asked for.
    struct DescribableLogDirTopic {
        /// The topic.
        topic: KString => since(0);
        /// The partitions.
        partitions: Vec<i32> => since(0);
    }
}

message! {
    /// The directories that logs lie in.
    struct DescribeLogDirsResponse {
        /// How long the request was throttled, in milliseconds.
        throttle_time_ms: i32 => since(0);
        /// Error of the whole request.
        error_code: ErrorCode => since(3).ignorable();
        /// The directories.
        results: Vec<DescribeLogDirsResult> => since(0);
    }
}

message! {
    /// A directory.
    struct DescribeLogDirsResult {
        /// The error, if any.
        error_code: ErrorCode => since(0);
        /// Its absolute path.
        log_dir: KString => since(0);
        /// The topics.
        topics: Vec<DescribeLogDirsTopic> => since(0);
        /// Size of the volume, in bytes, or −1.
        total_bytes: i64 = -1 => since(4).ignorable();
        /// What is left of it, in bytes, or −1.
        usable_bytes: i64 = -1 => since(4).ignorable();
        /// Whether no new partition is put there.
        is_cordoned: bool => since(5).ignorable();
    }
}

message! {
    /// A topic in a directory.
    struct DescribeLogDirsTopic {
        /// The topic.
        name: KString => since(0);
        /// The partitions.
        partitions: Vec<DescribeLogDirsPartition> => since(0);
    }
}

message! {
    /// A partition in a directory.
    struct DescribeLogDirsPartition {
        /// The partition.
        partition_index: i32 => since(0);
        /// Size of the log, in bytes.
        partition_size: i64 => since(0);
        /// How many records it is behind the high watermark, or behind the current log if it is a future one.
        offset_lag: i64 => since(0);
        /// Whether it is to replace the current log of the partition.
        is_future_key: bool => since(0);
    }
}
