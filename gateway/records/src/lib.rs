//! Record batches, compression, and the segment format. Pure.
//!
//! Promises: every function here is a function of its arguments alone; no input panics, loops without end, or makes
//! it allocate past a bound that stands beside the function (I-09); the bytes under a batch's CRC are never changed
//! (I-10).
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
//! | `validate` | what a produced batch must satisfy |
//! | `patch` | offsets and leader epochs written in front of stored batches, for Fetch |
//! | `record` | records out of a batch, lookup by timestamp |
//! | `compression` | bounded decompression |
//! | `build` | batches out of records |
//! | `segment`, `footer` | the segment object: builder, and reader |
//! | `crc` | CRC32C of concatenations without reading them again |

mod build;
mod compression;
mod crc;
mod error;
mod footer;
mod header;
mod patch;
mod record;
mod rope;
mod segment;
mod validate;
mod varint;

pub use build::BatchBuilder;
pub use compression::Compression;
pub use crc::{crc32c_combine, crc32c_of_parts};
pub use error::{BatchError, SegmentError};
pub use footer::{SEGMENT_MAGIC, SEGMENT_VERSION, TRAILER_LEN, Trailer, read_footer, read_trailer};
pub use header::{BATCH_OVERHEAD, BatchHeader, MAGIC_V2, TimestampType};
pub use patch::{PATCHED_LEN, PatchPlan, Taken, patch_extent, patched_prefix, take_batches};
pub use record::{Record, RecordHeader, RecordIter, find_timestamp, records};
pub use segment::{BuiltSegment, Run, RunBatch, SegmentBuilder};
pub use validate::{ProduceRules, ValidBatch, validate_produce};
