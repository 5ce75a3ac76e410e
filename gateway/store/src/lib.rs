//! The storage seams: an [`ObjectStore`] for bytes, a [`MetadataLog`] for order, an [`OffsetsView`] for people to look at.
//!
//! Promises: semantics exist once, above these seams; an adapter translates and classifies, and passes the contract suite
//! in [`contract`]. Every error says what may be done about it ([`StoreErrorKind`]).
//! Never: knows a topic, a batch or a Kafka error; decides what an entry means.
//! Called by `engine`; implemented by `adapters/*`; wrapped by the decorators here (one file each).
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod clock;
pub mod contract;
mod error;
mod faulty;
pub mod limits;
mod log;
mod object;
mod offsets_view;
mod retry;
#[cfg(test)]
mod scripted;
mod timeout;

pub use clock::{ClockReading, StoreClock};
pub use error::{StoreError, StoreErrorKind, StoreResult};
pub use faulty::{FaultControl, FaultCounts, Faults, FaultyLog, FaultyObjectStore, OperationFaults};
pub use log::{
    Appended, BodyRef, Consistency, Element, Incarnation, LogCapabilities, LogPosition, MetadataLog, Payload, Sealed,
    Staged, Tail, TailRead,
};
pub use object::{ByteChunks, ByteRange, ObjectInfo, ObjectKey, ObjectStore, PutOptions, StoreCapabilities};
pub use offsets_view::{OffsetsEntry, OffsetsItem, OffsetsView, PARTITIONS_PER_SLICE};
pub use retry::{RetryBudget, RetryLog, RetryObjectStore, RetryPolicy};
pub use timeout::{TimeoutLog, TimeoutObjectStore, Timeouts};
