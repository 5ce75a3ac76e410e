//! Producer ids, taken from the log in blocks.
//!
//! Promises: no id is given twice, on any gateway: a block is given by apply. What is left of a block at a stop is lost.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use sluice_metadata::{Command, Outcome};

use crate::api::ProducerIdentity;
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};

/// The ids this gateway may still give.
#[derive(Debug, Default)]
pub(crate) struct ProducerIds(Mutex<VecDeque<Range<i64>>>);

impl ProducerIds {
    fn take(&self) -> Option<i64> {
        let mut blocks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(id) = blocks.front_mut()?.next() {
                return Some(id);
            }
            blocks.pop_front();
        }
    }

    fn put(&self, block: Range<i64>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(block);
    }
}

impl Engine {
    /// A producer id that nobody else has, at epoch 0.
    ///
    /// # Errors
    /// `DidNotHappen` or `OutcomeUnknown` when the log could not give a block in time; asking again is harmless.
    pub async fn allocate_producer_id(&self) -> EngineResult<ProducerIdentity> {
        let deadline = self.inner.parts.clock.now() + self.inner.parts.limits.request_timeout;
        loop {
            if let Some(id) = self.inner.producer_ids.take() {
                return Ok(ProducerIdentity { id, epoch: 0 });
            }
            // Several at once may take a block each: ids are plenty.
            let count = self.inner.parts.limits.producer_id_block.max(1);
            match self.inner.replica.propose(Command::AllocateProducerIds { count }, deadline).await? {
                Outcome::ProducerIds { first, count } => {
                    self.inner.producer_ids.put(first..first.saturating_add(i64::from(count)));
                }
                other => return Err(EngineError::LimitReached(format!("producer ids: {other:?}"))),
            }
        }
    }
}
