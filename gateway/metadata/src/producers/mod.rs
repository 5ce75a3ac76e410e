//! Idempotent producers: duplicates, gaps, epochs, and the blocks of producer ids.
//!
//! Promises: each batch of an idempotent producer gets offsets once per partition, in sequence order (design §8).
//! Never: forgets a producer; expiry will be a command.

mod commands;
mod ids;
mod producer;
mod section;
mod sequence;
#[cfg(test)]
mod tests;

pub(crate) use commands::{read_allocate, write_allocate};
pub(crate) use ids::ProducerIds;
pub use producer::{Producer, ProducerBatch};
pub(crate) use section::{read_producer, write_producer};
pub(crate) use sequence::add_sequence;
