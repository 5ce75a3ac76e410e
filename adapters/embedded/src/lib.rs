//! The embedded stores: memory, and one machine's disk.
//!
//! Promises: both keep the whole contract of `store` and are full citizens: nothing above the seams can tell them from
//! the AWS adapters but by their capabilities. Several replicas in one process share them by `Arc`.
//! Never: interprets an entry or an object; lets a second process into a data directory; blocks an async worker on a disk.
//! Called by `sluice` (the composition root) and by tests, which construct them; by `engine` through the seams.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod disk;
pub mod limits;
mod memory;

pub use disk::files::{DirectoryLock, FileInfo, FileLayer, FolderEntry, NewFile, RealFiles, StoredFile};
pub use disk::{DiskConfig, DiskLog, DiskObjectStore, DiskOffsetsView, DiskStores, open_disk, open_disk_over};
pub use memory::{MemoryLog, MemoryObjectStore, MemoryOffsetsView, OffsetsKey};
