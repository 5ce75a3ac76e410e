//! The offsets view: what this gateway committed, written where people can read it (design section 4).
//!
//! Promises: a slice of committed offsets is shown a few seconds after its commit, at the latest when the gateway stops;
//! what is shown never goes back (an item carries the position of the State it was taken from). What a dead gateway may not
//! have shown, the one that closed its session shows.
//! Never: stands in the way of a commit; reads the view; keeps more than `view_slices_max` slices in mind (I-14).

mod aged;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sluice_metadata::{Group, OffsetSlice, SessionId, State};
use sluice_store::{LogPosition, OffsetsEntry, OffsetsItem, PARTITIONS_PER_SLICE, StoreErrorKind};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use self::aged::Aged;
use crate::engine::EngineParts;
use crate::metrics::Metrics;
use crate::replica::{Replica, ViewNews};

/// The way to the task.
#[derive(Debug, Clone)]
pub(crate) struct ViewHandle(mpsc::Sender<oneshot::Sender<()>>);

impl ViewHandle {
    /// Writes what is not shown yet, once; returns when that was tried.
    pub(crate) async fn flush(&self) {
        let (sender, receiver) = oneshot::channel();
        if self.0.send(sender).await.is_ok() {
            let _ = receiver.await;
        }
    }
}

/// Starts the task. It ends when it is aborted, or when every handle is gone.
pub(crate) fn start_view(
    parts: &Arc<EngineParts>,
    replica: &Replica,
    metrics: &Arc<Metrics>,
) -> (ViewHandle, JoinHandle<()>) {
    let (sender, flushes) = mpsc::channel(FLUSHES_MAX);
    let task = ViewTask {
        parts: parts.clone(),
        replica: replica.clone(),
        metrics: metrics.clone(),
        flushes,
        unshown: Aged::default(),
        recent: Aged::default(),
        not_before: None,
        backoff: BACKOFF_MIN,
    };
    (ViewHandle(sender), tokio::spawn(task.run()))
}

struct ViewTask {
    parts: Arc<EngineParts>,
    replica: Replica,
    metrics: Arc<Metrics>,
    flushes: mpsc::Receiver<oneshot::Sender<()>>,
    /// Slices to write, and when.
    unshown: Aged<OffsetSlice>,
    /// What other sessions changed lately, and when: inherited if they die.
    recent: Aged<(SessionId, OffsetSlice)>,
    not_before: Option<Instant>,
    backoff: Duration,
}

const FLUSHES_MAX: usize = 16;
const BACKOFF_MIN: Duration = Duration::from_millis(250);
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// A put that takes longer is repeated; it may always be (contract of the view).
const PUT_TIMEOUT: Duration = Duration::from_secs(10);

impl ViewTask {
    async fn run(mut self) {
        let shared = self.replica.shared().clone();
        loop {
            let due = self.next_write();
            tokio::select! {
                biased;
                flush = self.flushes.recv() => {
                    let Some(flush) = flush else { return };
                    self.take_news();
                    self.write_all().await;
                    let _ = flush.send(());
                }
                () = shared.view_news.told() => self.take_news(),
                () = until(due) => {
                    self.take_news();
                    self.write_batch(Some(self.parts.clock.now())).await;
                }
            }
        }
    }

    fn take_news(&mut self) {
        let ViewNews { own, others, closed_here, omitted } = self.replica.shared().view_news.take();
        let now = self.parts.clock.now();
        let most = self.parts.limits.view_slices_max;
        self.metrics.groups.view_omitted.inc_by(omitted);
        for slice in own {
            self.show(slice, now);
        }
        if let Some(oldest) = now.checked_sub(self.parts.limits.view_inherit) {
            self.recent.forget_before(oldest);
        }
        for key in others {
            if self.recent.len() < most || self.recent.contains(&key) {
                self.recent.renew(key, now);
            }
        }
        for session in closed_here {
            let of_session: Vec<_> = self.recent.keys().filter(|(author, _)| *author == session).cloned().collect();
            for key in of_session {
                self.recent.remove(&key);
                self.show(key.1, now);
            }
        }
    }

    fn show(&mut self, slice: OffsetSlice, now: Instant) {
        if self.unshown.len() < self.parts.limits.view_slices_max || self.unshown.contains(&slice) {
            // Groups that began together would be written together ever after: some of the time is chance.
            let linger = self.parts.limits.view_linger;
            let due = now + linger * 2 / 3 + self.parts.entropy.jitter(linger / 3);
            self.unshown.add(slice, due);
        } else {
            self.metrics.groups.view_omitted.inc();
        }
    }

    fn next_write(&self) -> Option<Instant> {
        // However many slices wait: each is written once for all commits of that time.
        let due = self.unshown.oldest()?;
        Some(self.not_before.map_or(due, |held| due.max(held)))
    }

    /// Everything, each slice tried once.
    async fn write_all(&mut self) {
        let batches = self.unshown.len().div_ceil(self.parts.limits.view_batch_max.max(1));
        for _ in 0..batches {
            if !self.write_batch(None).await {
                return;
            }
        }
    }

    /// Writes slices that are due at this time, or any; false when the view does not take them now.
    async fn write_batch(&mut self, due_at: Option<Instant>) -> bool {
        let slices = self.unshown.take_oldest(due_at, self.parts.limits.view_batch_max.max(1));
        let state = self.replica.view();
        let (incarnation, now_ms) = (self.parts.log.incarnation(), self.parts.clock.wall_ms());
        let item = |slice: &OffsetSlice| OffsetsItem { incarnation, updated_at_ms: now_ms, ..item_of(&state, slice) };
        let items: Vec<_> = slices.iter().map(|(_, slice)| item(slice)).collect();
        let answers = tokio::time::timeout(PUT_TIMEOUT, self.parts.offsets_view.put(items)).await;
        let mut answers = answers.unwrap_or_default().into_iter();
        let mut is_well = true;
        for (due, slice) in slices {
            match answers.next() {
                Some(Ok(())) => drop(self.metrics.groups.view_writes.inc()),
                Some(Err(error)) if error.kind() == StoreErrorKind::Invalid => {
                    tracing::debug!(group = %slice.group_id, %error, "the offsets view cannot show this group");
                }
                answer => {
                    self.metrics.groups.view_failures.inc();
                    tracing::warn!(group = %slice.group_id, ?answer, "the offsets view did not take an item");
                    self.unshown.add(slice, due);
                    is_well = false;
                }
            }
        }
        self.pause_after(is_well);
        is_well
    }

    fn pause_after(&mut self, is_well: bool) {
        if is_well {
            (self.not_before, self.backoff) = (None, BACKOFF_MIN);
            return;
        }
        let pause = self.backoff / 2 + self.parts.entropy.jitter(self.backoff / 2);
        self.not_before = Some(self.parts.clock.now() + pause);
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }
}

/// What State shows of a slice. The position is that of State itself: an item of a later State is newer, whoever wrote it.
fn item_of(state: &State, slice: &OffsetSlice) -> OffsetsItem {
    // Of a topic that was made anew under its name, the present one is shown.
    let topic_id = state.topic_by_name(&slice.topic).map_or(slice.topic_id, |topic| topic.id);
    let group = state.group(&slice.group_id);
    OffsetsItem {
        incarnation: sluice_store::Incarnation(state.incarnation().0),
        group: slice.group_id.to_string(),
        topic: slice.topic.to_string(),
        topic_id,
        slice: slice.slice,
        position: LogPosition(state.known().index()),
        updated_at_ms: 0,
        offsets: group.map(|group| entries_of(group, topic_id, slice.slice)).unwrap_or_default(),
    }
}

fn entries_of(group: &Group, topic_id: uuid::Uuid, slice: u32) -> BTreeMap<i32, OffsetsEntry> {
    let bound = |slice: u32| i32::try_from(u64::from(slice) * u64::from(PARTITIONS_PER_SLICE)).unwrap_or(i32::MAX);
    let (first, end) = (bound(slice), bound(slice.saturating_add(1)));
    let entry = |committed: &sluice_metadata::CommittedOffset| OffsetsEntry {
        offset: committed.offset,
        leader_epoch: committed.leader_epoch,
        metadata: committed.metadata.to_string(),
        committed_at_ms: committed.committed_at_ms,
    };
    let range = group.offsets.range((topic_id, first)..(topic_id, end));
    range.map(|((_, partition), committed)| (*partition, entry(committed))).collect()
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
