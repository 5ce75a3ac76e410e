//! Refuses writes once the disk has failed to keep one.
//!
//! Promises: after a failed sync, no write of either store is accepted until the directory is opened again: the kernel
//! may have dropped the pages it could not write, and a second sync would succeed without them.
//! Never: stands in the way of a read.
//! Called by the objects and the log of one directory, which share it.

use std::sync::OnceLock;

use sluice_store::{StoreError, StoreErrorKind, StoreResult};

/// Open until the first failure.
#[derive(Debug, Default)]
pub(super) struct WriteGate(OnceLock<String>);

impl WriteGate {
    /// Refuses every write from now on; the first reason stays.
    pub(super) fn close(&self, reason: impl Into<String>) {
        let reason = reason.into();
        if self.0.set(reason.clone()).is_ok() {
            tracing::error!(%reason, "the disk store refuses all writes until it is restarted");
        }
    }

    /// `Unavailable` when writes are refused.
    pub(super) fn check(&self, operation: impl FnOnce() -> String) -> StoreResult<()> {
        let Some(reason) = self.0.get() else { return Ok(()) };
        let message = format!("{}: writes are refused since {reason}; check the disk and restart sluice", operation());
        Err(StoreError::new(StoreErrorKind::Unavailable, message))
    }
}
