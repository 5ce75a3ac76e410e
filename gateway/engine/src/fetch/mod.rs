//! The fetch path: plan from State, read through the cache, patch (design section 7).
//!
//! `plan.rs` decides from an immutable State which extents a call gets, `read.rs` reads and patches them, and converts them
//! for readers of message sets; this file waits.
//!
//! Promises: nothing past the high watermark (or, for readers of committed records, the last stable offset) is served; an
//! offset is called out of range, and a topic unknown, only after a barrier (T5); damaged bytes are never served (I-10).
//! Never: copies record bytes, but for readers of message sets; holds a lock while it reads.

mod plan;
mod read;

pub(crate) use read::unreadable;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::api::{FetchCall, Fetched};
use crate::engine::Engine;
use crate::error::EngineError;
use plan::Plan;

impl Engine {
    /// Serves a Fetch: at once when `min_bytes` are there or something is wrong, else when they are or time is up.
    pub async fn fetch(&self, call: FetchCall) -> Vec<Fetched> {
        let wait = call.max_wait.min(self.inner.parts.limits.fetch_wait_max);
        let deadline = self.inner.parts.clock.now() + wait;
        let plan = match self.plan_when_due(&call, deadline).await {
            Ok(plan) => plan,
            Err(error) => return call.partitions.iter().map(|_| failed(&error)).collect(),
        };
        self.read_plan(&call, plan).await
    }

    async fn plan_when_due(&self, call: &FetchCall, deadline: Instant) -> Result<Plan, EngineError> {
        let mut was_refreshed = false;
        loop {
            let view = self.inner.replica.view();
            let plan = Plan::of(&view, call);
            if plan.has_absence && !was_refreshed {
                // Another gateway may have made the topic, or written the offset, before this request was sent.
                self.barrier().await?;
                was_refreshed = true;
                continue;
            }
            let wakers = self.inner.replica.wakers();
            let is_full = plan.available_bytes >= call.min_bytes || call.partitions.is_empty();
            let due = is_full || plan.has_error || wakers.is_interrupted();
            if due || self.inner.parts.clock.now() >= deadline {
                return Ok(plan);
            }
            let guard = wakers.register(plan.keys());
            self.inner.replica.note_interest();
            // What was applied between the plan and the registration woke nobody.
            if !Arc::ptr_eq(&view, &self.inner.replica.view()) || wakers.is_interrupted() {
                continue;
            }
            drop(view);
            tokio::select! {
                biased;
                () = guard.woken() => {}
                () = tokio::time::sleep_until(deadline) => {}
            }
        }
    }

    /// Reads what was planned. A segment that is gone was replaced meanwhile: the plan is made anew, once.
    async fn read_plan(&self, call: &FetchCall, plan: Plan) -> Vec<Fetched> {
        let (answers, is_stale) = self.read_in_room(call, plan).await;
        if !is_stale {
            return answers;
        }
        match self.barrier().await {
            Ok(()) => {
                let plan = Plan::of(&self.inner.replica.view(), call);
                self.read_in_room(call, plan).await.0
            }
            Err(error) => call.partitions.iter().map(|_| failed(&error)).collect(),
        }
    }

    /// Reads what was planned once there is room for it. Readers that are slow to take their answers hold room; while
    /// there is too little, everybody gets little, and nobody waits for much.
    async fn read_in_room(&self, call: &FetchCall, plan: Plan) -> (Vec<Fetched>, bool) {
        let wanted = self.fetch_permits(plan.read_bytes);
        if let Ok(room) = Arc::clone(&self.inner.fetch_permits).try_acquire_many_owned(wanted) {
            return self.read(call, plan, room).await;
        }
        let little =
            FetchCall { max_bytes: call.max_bytes.min(self.inner.parts.limits.fetch_bytes_scarce), ..call.clone() };
        let plan = Plan::of(&self.inner.replica.view(), &little);
        let wanted = self.fetch_permits(plan.read_bytes);
        let acquired = Arc::clone(&self.inner.fetch_permits).acquire_many_owned(wanted);
        match tokio::time::timeout(FETCH_PERMIT_WAIT, acquired).await {
            Ok(Ok(room)) => self.read(&little, plan, room).await,
            _ => {
                let error = EngineError::StorageUnavailable("no room for more records in time".into());
                (plan.partitions.iter().map(|p| read::answer(p, Some(error.clone()), Vec::new())).collect(), false)
            }
        }
    }

    /// Permits for so many bytes; never more than there are, or who asks would wait for ever.
    fn fetch_permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.min(self.inner.parts.limits.fetch_bytes_max)).unwrap_or(u32::MAX)
    }
}

/// Longest a Fetch waits for room in memory before it answers that it could not read.
const FETCH_PERMIT_WAIT: Duration = Duration::from_secs(10);

fn failed(error: &EngineError) -> Fetched {
    Fetched {
        error: Some(error.clone()),
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        records: Vec::new(),
    }
}
