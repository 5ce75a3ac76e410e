//! The disk stores: one data directory on one machine, for one process.
//!
//! Promises: what was acknowledged survives kill −9 and a loss of power (I-01). A directory that is in use, of another
//! version, damaged, or not there is told apart in one line that says what to do.
//! Never: lets two processes into a directory; writes on after a failed sync ([`gate`]); blocks an async worker, but to
//! open, and to drop the log.
//! Called by `sluice`, which opens the directory once and shares the stores with every replica of the process.
//!
//! Layout: `LOCK` (held while open), `FORMAT` ([`format`]), `log.redb` ([`element`], [`offsets_item`]), `objects/<key>` ([`objects`]),
//! `tmp/` (unfinished objects; emptied when opened), `UNSYNCED` (after a failed sync, [`database`]).

mod blocking;
mod commit;
mod database;
mod directory;
mod element;
pub(crate) mod files;
mod format;
mod gate;
mod listing;
mod log;
mod objects;
mod offsets_item;
mod offsets_view;
mod recent;
mod shadow;

pub use directory::{DiskConfig, DiskStores, open_disk, open_disk_over};
pub use log::DiskLog;
pub use objects::DiskObjectStore;
pub use offsets_view::DiskOffsetsView;

/// The lock of the directory, as everything holds it that uses the directory's files.
type SharedLock = std::sync::Arc<dyn Send + Sync>;

/// The folder of the objects.
const OBJECTS: &str = "objects";
/// The folder of objects that are not whole yet.
const TMP: &str = "tmp";
/// The file whose lock keeps other processes out.
const LOCK: &str = "LOCK";
/// The file that says which version and incarnation the directory has.
const FORMAT: &str = "FORMAT";
/// The log's database.
const LOG: &str = "log.redb";
/// There while a sync of the database has failed and it was not written again ([`database`]).
const UNSYNCED: &str = "UNSYNCED";

#[cfg(test)]
mod tests;
