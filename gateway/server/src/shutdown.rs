//! The steps of a graceful stop, as signals.
//!
//! Promises: a signal once given stays given, and reaches who asks later as well as who waits. Called by `server`, which
//! gives them, and by everything that listens.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// Something that happens once.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    is_given: AtomicBool,
    notify: Arc<Notify>,
}

impl Signal {
    /// Gives the signal.
    pub(crate) fn give(&self) {
        self.is_given.store(true, Ordering::SeqCst);
        self.notify.notify_waiters();
    }

    pub(crate) fn is_given(&self) -> bool {
        self.is_given.load(Ordering::SeqCst)
    }

    /// Waits for it.
    pub(crate) async fn wait(&self) {
        if let Some(coming) = self.listen() {
            coming.await;
        }
    }

    /// A future that is ready when the signal is given; `None` if it was.
    pub(crate) fn listen(&self) -> Option<Pin<Box<OwnedNotified>>> {
        let mut coming = Box::pin(Arc::clone(&self.notify).notified_owned());
        // Enlisted before the look at the flag, so that a signal given in between is not missed.
        coming.as_mut().enable();
        (!self.is_given()).then_some(coming)
    }
}

/// The steps, in the order in which they are given (design section 10).
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// Not ready any more: load balancers are to look elsewhere.
    pub(crate) not_ready: Signal,
    /// Nothing more is accepted, no Fetch waits.
    pub(crate) drain: Signal,
    /// Nothing more is read: what was read is answered, then connections close.
    pub(crate) stop: Signal,
}
