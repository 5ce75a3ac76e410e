//! Who waits for a command's outcome, and whether they may still take it back.
//!
//! Promises: a waiter hears once. A command that a client has given up is either cut before it is sent (`Claim::cancel`
//! succeeded: it did not happen and never will) or is on its way (`cancel` failed: the outcome is what the log says).
//! Never: says "did not happen" of a command that an append request may have carried (L1).

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::oneshot;

const FREE: u8 = 0;
const SENT: u8 = 1;
const CANCELLED: u8 = 2;

/// Decides between a client whose time is up and an append about to be sent.
#[derive(Debug, Default)]
pub(crate) struct Claim(AtomicU8);

impl Claim {
    /// Gives the command up. True: it will not be sent. False: it is part of an append request, or was.
    pub(crate) fn cancel(&self) -> bool {
        self.0.compare_exchange(FREE, CANCELLED, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// Takes the command into an append request. False: it was given up.
    pub(crate) fn send(&self) -> bool {
        match self.0.compare_exchange(FREE, SENT, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(now) => now == SENT,
        }
    }

    /// Takes it back out of a request that was definitely refused.
    pub(crate) fn recall(&self) {
        // A cancelled one stays cancelled, which is what a failed exchange leaves.
        let _ = self.0.compare_exchange(SENT, FREE, Ordering::AcqRel, Ordering::Acquire);
    }

    /// True when it was given up.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire) == CANCELLED
    }
}

/// The log task's end: tells the outcome.
#[derive(Debug)]
pub(crate) struct Waiter<T> {
    claim: Arc<Claim>,
    reply: oneshot::Sender<T>,
}

/// The client's end: hears the outcome, or gives the command up.
#[derive(Debug)]
pub(crate) struct Pending<T> {
    claim: Arc<Claim>,
    /// Resolves with the outcome; an error means that the gateway went away.
    pub(crate) reply: oneshot::Receiver<T>,
}

/// Both ends of one command's wait.
pub(crate) fn waiter<T>() -> (Waiter<T>, Pending<T>) {
    let claim = Arc::new(Claim::default());
    let (sender, receiver) = oneshot::channel();
    (Waiter { claim: claim.clone(), reply: sender }, Pending { claim, reply: receiver })
}

impl<T> Waiter<T> {
    /// The claim on the command.
    pub(crate) fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Tells the outcome; a client that is gone is no concern.
    pub(crate) fn resolve(self, outcome: T) {
        let _ = self.reply.send(outcome);
    }
}

impl<T> Pending<T> {
    /// Gives the command up. True: it did not happen and never will. False: its outcome is not known yet.
    pub(crate) fn cancel(&self) -> bool {
        self.claim.cancel()
    }

    /// True when it was given up, by whichever end.
    pub(crate) fn is_cancelled(&self) -> bool {
        self.claim.is_cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Holds: L1, I-11
    #[test]
    fn a_sent_command_cannot_be_given_up_until_it_is_recalled() {
        let claim = Claim::default();
        assert!(claim.send());
        assert!(!claim.cancel(), "it may be in the log");
        assert!(claim.send(), "sent again under the same identity");
        claim.recall();
        assert!(claim.cancel(), "the request was refused: it certainly is not in the log");
        assert!(!claim.send(), "given up for good");
        claim.recall();
        assert!(claim.is_cancelled());
    }
}
