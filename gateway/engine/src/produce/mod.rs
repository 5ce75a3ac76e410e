//! The produce path: admission, the buffer, the upload, the commit (design section 6).
//!
//! `admit.rs` checks and queues (`batch.rs` says what a topic makes of records), `buffer.rs` gathers batches into flushes and decides when one closes (`bucket.rs` says how
//! often), `upload.rs` writes a flush's segment, `order.rs` says when it may be committed; `replica/` commits it.
//!
//! Promises: nothing is acknowledged before its bytes are durable and its entry is applied, for any acks (I-01). Offsets
//! come from apply alone (I-02).
//! Never: decompresses or re-encodes a batch unless its topic or the age of its producer wants it (I-10); keeps anything after its clients are answered.

mod admit;
mod batch;
mod bucket;
mod buffer;
mod order;
mod upload;

pub use admit::PendingProduce;
pub(crate) use admit::{find_topic, partition_key};
pub(crate) use buffer::Buffer;
