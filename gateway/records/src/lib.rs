//! Record batches, compression, and the segment format. Pure.
//!
//! Promises: every function here is a function of its arguments alone; no input panics, loops without end, or makes
//! it allocate past a bound that stands beside the function (I-09); the bytes under a batch's CRC are never changed
//! once it is admitted (I-10).
//!
//! Never does: IO, time, randomness, hash-ordered iteration. Knows no API version (callers pass named
//! capabilities in [`ProduceRules`]) and no Kafka error code (`server` maps [`BatchError`], I-15).
//!
//! Called by: `engine` (admission, segments, fetch), `metadata` (the facts of a run), tests and benches
//! ([`BatchBuilder`]).
//!
//! | module | holds |
//! |-|-|
//! | `header` | the 61 bytes in front of every batch of magic 2 |
//! | `validate`, `valid_batch` | what a produced batch must satisfy, and one that does; LogAppendTime |
//! | `check` | what some topics want of every record |
//! | `message` | one message of the formats before record batches |
//! | `message_set`, `down_convert` | message sets into batches, for Produce 0–2, and back, for Fetch 0–3 |
//! | `recompress` | a batch under another codec |
//! | `patch` | offsets and leader epochs written in front of stored batches, for Fetch |
//! | `record` | records out of a batch, lookup by timestamp |
//! | `compression` | bounded decompression, and compression |
//! | `build` | batches out of records |
//! | `segment`, `footer` | the segment object: builder, and reader |
//! | `crc` | CRC32C of concatenations without reading them again |

mod build;
mod check;
mod compression;
mod crc;
mod down_convert;
mod error;
mod footer;
mod header;
pub mod limits;
mod message;
mod message_set;
mod patch;
mod recompress;
mod record;
mod rope;
mod segment;
mod valid_batch;
mod validate;
mod varint;

pub use build::BatchBuilder;
pub use check::{RecordWants, check_records};
pub use compression::{Compression, TargetCompression};
pub use crc::{crc32c_combine, crc32c_of_parts};
pub use down_convert::{DownConverted, DownPlan, down_convert};
pub use error::{BatchError, RecordError, RecordErrors, SegmentError};
pub use footer::{SEGMENT_MAGIC, SEGMENT_VERSION, TRAILER_LEN, Trailer, read_footer, read_trailer};
pub use header::{BATCH_OVERHEAD, BatchHeader, MAGIC_V2, TimestampType};
pub use message::MessageFormat;
pub use message_set::{MessageSetRules, convert_message_set};
pub use patch::{PATCHED_LEN, PatchPlan, Taken, patch_extent, patched_prefix, take_batches};
pub use recompress::recompress;
pub use record::{Record, RecordHeader, RecordIter, find_greatest_timestamp, find_timestamp, records};
pub use segment::{BuiltSegment, Run, RunBatch, SegmentBuilder};
pub use valid_batch::ValidBatch;
pub use validate::{ProduceRules, validate_produce};
