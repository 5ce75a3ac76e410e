//! Runs blocking file work beside the async workers, a bounded amount at a time.

use std::sync::Arc;

use sluice_store::{StoreError, StoreErrorKind};
use tokio::sync::Semaphore;

/// A bounded way to the runtime's blocking threads.
#[derive(Debug, Clone)]
pub(super) struct BlockingIo {
    permits: Arc<Semaphore>,
}

impl BlockingIo {
    pub(super) fn new(threads_max: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(threads_max.max(1))) }
    }

    /// Runs `work` and waits for it. When the caller gives up waiting, work that has started goes on to its end.
    ///
    /// # Errors
    /// `lost`, when the work panicked or the runtime is shutting down.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        lost: StoreErrorKind,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let stopped = |reason: String| StoreError::new(lost, format!("file operation: {reason}"));
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|error| stopped(error.to_string()))?;
        let run = move || {
            let done = work();
            // Held to the end of the work, also when nobody waits for it any more.
            drop(permit);
            done
        };
        #[allow(clippy::disallowed_methods, reason = "an adapter over real files, which no simulation runs")]
        let task = tokio::task::spawn_blocking(run);
        task.await.map_err(|error| stopped(error.to_string()))
    }
}
