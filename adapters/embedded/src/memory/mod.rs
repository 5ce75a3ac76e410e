//! The memory stores: for `sluice dev`, tests and the simulation.
//!
//! Promises: the contract of `store`, with no copy of any byte and no task or thread of their own, so that a seeded
//! simulation over them is deterministic. Everything is gone with the last `Arc`.
//! Never: await, sleep, or draw a random number.

mod log;
mod objects;
mod offsets_view;

pub use log::MemoryLog;
pub use objects::MemoryObjectStore;
pub use offsets_view::{MemoryOffsetsView, OffsetsKey};
