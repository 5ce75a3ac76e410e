//! Faults, drawn from a seed: what networks and stores do to requests.
//!
//! Promises: with the same entropy, the same faults and the same order of calls, the same faults happen (I-13); switched
//! off, it draws nothing and changes nothing. An error says the truth about the effect, unless a defect is planted.
//! Never: damages bytes, reorders an append's elements, or makes an effect that nobody asked for.
//! Called by the simulation and by tests, around a memory store; never composed by `sluice`.

use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use sluice_runtime::SharedEntropy;

use crate::limits::LATE_EFFECTS_MAX;
use crate::{
    Appended, BodyRef, ByteChunks, ByteRange, Consistency, Incarnation, LogCapabilities, LogPosition, MetadataLog,
    ObjectInfo, ObjectKey, ObjectStore, PutOptions, Sealed, Staged, StoreCapabilities, StoreClock, StoreError,
    StoreErrorKind, StoreResult, TailRead,
};

/// What may befall the operations of one class. Each `_per_mille` is a probability in thousandths; at most one of the
/// faults befalls an operation (the sum should stay under 1,000), and delays come on top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OperationFaults {
    /// Throttled or Unavailable, before the effect.
    pub refused_per_mille: u32,
    /// The effect happens, then the answer is lost: Unknown for a write, Unavailable for a read.
    pub lost_answer_per_mille: u32,
    /// Unknown, and the effect never happens. Reads are only refused.
    pub lost_request_per_mille: u32,
    /// Unknown, and the effect happens after that answer, up to `delay_max` later: a packet that lingers (L1). Reads are
    /// not affected. It happens also if the caller is gone by then.
    pub late_effect_per_mille: u32,
    /// The effect happens, and the answer is `CommittedTailUnread`. Appends only.
    pub tail_unread_per_mille: u32,
    /// Waits before the effect, and again before the answer, each up to `delay_max`.
    pub delayed_per_mille: u32,
    /// The longest of these waits.
    pub delay_max: Duration,
}

/// What may befall a store, by class of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// put, delete.
    pub object_write: OperationFaults,
    /// get, head, list.
    pub object_read: OperationFaults,
    /// stage.
    pub stage: OperationFaults,
    /// append.
    pub append: OperationFaults,
    /// read, read_body.
    pub log_read: OperationFaults,
}

/// How many faults have happened, so that a simulation can tell that it met some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultCounts {
    /// Refused before the effect.
    pub refused: u64,
    /// Answers lost after the effect.
    pub lost_answers: u64,
    /// Requests lost before it.
    pub lost_requests: u64,
    /// Effects after their Unknown.
    pub late_effects: u64,
    /// Appends answered without a tail.
    pub tails_unread: u64,
    /// Operations that waited.
    pub delayed: u64,
}

/// Decides the faults of the stores that share it, and can be told to at any time.
pub struct FaultControl {
    entropy: SharedEntropy,
    enabled: AtomicBool,
    unknown_reads_as_unavailable: AtomicBool,
    late_effects: AtomicUsize,
    state: Mutex<ControlState>,
}

#[derive(Default)]
struct ControlState {
    faults: Faults,
    counts: FaultCounts,
}

/// What befalls one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pass,
    Refused(StoreErrorKind),
    LostAnswer,
    LostRequest,
    LateEffect(Duration),
    TailUnread,
}

/// The fate of an operation, and the waits around its effect.
struct Plan {
    fate: Fate,
    wait_before: Duration,
    wait_after: Duration,
}

impl FaultControl {
    /// A control that is switched on, with these faults.
    #[must_use]
    pub fn new(faults: Faults, entropy: SharedEntropy) -> Arc<Self> {
        Arc::new(Self {
            entropy,
            enabled: AtomicBool::new(true),
            unknown_reads_as_unavailable: AtomicBool::new(false),
            late_effects: AtomicUsize::new(0),
            state: Mutex::new(ControlState { faults, counts: FaultCounts::default() }),
        })
    }

    /// Faults from now on, or none.
    pub fn set_enabled(&self, enabled: bool) {
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    /// Other faults from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// Plants a defect: an answer lost *after* the effect is reported as Unavailable ("did not happen"), which is a lie.
    /// The simulation proves with it that it would catch an adapter that classifies so (I-11).
    pub fn plant_unknown_reads_as_unavailable(&self, planted: bool) {
        self.unknown_reads_as_unavailable.store(planted, Ordering::Relaxed);
    }

    /// The faults that have happened.
    #[must_use]
    pub fn counts(&self) -> FaultCounts {
        self.lock().counts
    }

    fn lock(&self) -> MutexGuard<'_, ControlState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Draws the plan of the next operation. Always draws equally often, so that one rate does not shift other draws.
    fn plan(&self, class: impl FnOnce(&Faults) -> OperationFaults) -> Plan {
        if !self.enabled.load(Ordering::Relaxed) {
            return Plan { fate: Fate::Pass, wait_before: Duration::ZERO, wait_after: Duration::ZERO };
        }
        let mut state = self.lock();
        let faults = class(&state.faults);
        let (fate_draw, detail) = (self.entropy.next_below(1_000), self.entropy.next_below(2));
        let is_delayed = self.entropy.next_below(1_000) < u64::from(faults.delayed_per_mille);
        let waits = [(); 3].map(|()| self.entropy.jitter(faults.delay_max));
        let [wait_before, wait_after] = [waits[0], waits[1]].map(|wait| if is_delayed { wait } else { Duration::ZERO });
        let refused = if detail == 0 { StoreErrorKind::Throttled } else { StoreErrorKind::Unavailable };
        let fates = [
            (faults.refused_per_mille, Fate::Refused(refused)),
            (faults.lost_answer_per_mille, Fate::LostAnswer),
            (faults.lost_request_per_mille, Fate::LostRequest),
            (faults.late_effect_per_mille, Fate::LateEffect(waits[2])),
            (faults.tail_unread_per_mille, Fate::TailUnread),
        ];
        let mut below = 0;
        let drawn = fates.into_iter().find(|(per_mille, _)| {
            below += u64::from(*per_mille);
            fate_draw < below
        });
        let mut fate = drawn.map_or(Fate::Pass, |(_, fate)| fate);
        if matches!(fate, Fate::LateEffect(_)) && self.late_effects.load(Ordering::Relaxed) >= LATE_EFFECTS_MAX {
            fate = Fate::LostAnswer;
        }
        state.counts.add(fate, is_delayed);
        Plan { fate, wait_before, wait_after }
    }

    /// The error of an answer lost after the effect.
    fn lost_answer(&self, what: &str) -> StoreError {
        let lie = self.unknown_reads_as_unavailable.load(Ordering::Relaxed);
        let kind = if lie { StoreErrorKind::Unavailable } else { StoreErrorKind::Unknown };
        StoreError::new(kind, format!("{what} (injected: the answer was lost)"))
    }

    /// Runs a read under its plan.
    async fn read<T>(&self, what: &str, plan: Plan, read: impl Future<Output = StoreResult<T>>) -> StoreResult<T> {
        wait(plan.wait_before).await;
        let kind = match plan.fate {
            Fate::Pass => {
                let answer = read.await;
                wait(plan.wait_after).await;
                return answer;
            }
            Fate::Refused(kind) => kind,
            // Nothing a read does can be unknown: it changes nothing.
            _ => StoreErrorKind::Unavailable,
        };
        wait(plan.wait_after).await;
        Err(StoreError::new(kind, format!("{what} (injected)")))
    }

    /// Runs a write under its plan. `write` owns what it needs, so that it can happen after its caller is gone.
    async fn write<T: Send + 'static>(
        self: &Arc<Self>,
        what: &str,
        plan: Plan,
        write: impl Future<Output = StoreResult<T>> + Send + 'static,
    ) -> StoreResult<T> {
        wait(plan.wait_before).await;
        let outcome = match plan.fate {
            Fate::Pass | Fate::TailUnread => write.await,
            Fate::Refused(kind) => Err(StoreError::new(kind, format!("{what} (injected: refused)"))),
            Fate::LostAnswer => match write.await {
                Ok(_) => Err(self.lost_answer(what)),
                // What the store answered is lost as well.
                Err(error) => Err(error.with_kind(StoreErrorKind::Unknown)),
            },
            Fate::LostRequest => Err(unknown(what)),
            Fate::LateEffect(later) => {
                self.late_effects.fetch_add(1, Ordering::Relaxed);
                let control = Arc::clone(self);
                // The packet is on its way: neither its sender's end nor this answer holds it back.
                drop(tokio::spawn(async move {
                    wait(later).await;
                    drop(write.await);
                    control.late_effects.fetch_sub(1, Ordering::Relaxed);
                }));
                Err(unknown(what))
            }
        };
        wait(plan.wait_after).await;
        outcome
    }
}

impl fmt::Debug for FaultControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultControl").field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl FaultCounts {
    fn add(&mut self, fate: Fate, is_delayed: bool) {
        match fate {
            Fate::Pass => {}
            Fate::Refused(_) => self.refused += 1,
            Fate::LostAnswer => self.lost_answers += 1,
            Fate::LostRequest => self.lost_requests += 1,
            Fate::LateEffect(_) => self.late_effects += 1,
            Fate::TailUnread => self.tails_unread += 1,
        }
        self.delayed += u64::from(is_delayed);
    }
}

fn unknown(what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Unknown, format!("{what} (injected: no answer)"))
}

async fn wait(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

/// An [`ObjectStore`] whose operations meet faults.
#[derive(Debug)]
pub struct FaultyObjectStore {
    inner: Arc<dyn ObjectStore>,
    control: Arc<FaultControl>,
}

impl FaultyObjectStore {
    /// Lets the operations of `inner` meet the faults of `control`.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, control: Arc<FaultControl>) -> Self {
        Self { inner, control }
    }
}

#[async_trait]
impl ObjectStore for FaultyObjectStore {
    async fn put(&self, key: &ObjectKey, bytes: ByteChunks, options: PutOptions) -> StoreResult<()> {
        let plan = self.control.plan(|faults| faults.object_write);
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        let what = format!("put object `{key}`");
        self.control.write(&what, plan, async move { inner.put(&key, bytes, options).await }).await
    }

    async fn get(&self, key: &ObjectKey, range: ByteRange) -> StoreResult<ByteChunks> {
        let plan = self.control.plan(|faults| faults.object_read);
        self.control.read("get an object", plan, self.inner.get(key, range)).await
    }

    async fn head(&self, key: &ObjectKey) -> StoreResult<ObjectInfo> {
        let plan = self.control.plan(|faults| faults.object_read);
        self.control.read("head of an object", plan, self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectKey>, limit: usize) -> StoreResult<Vec<ObjectInfo>> {
        let plan = self.control.plan(|faults| faults.object_read);
        self.control.read("list objects", plan, self.inner.list(prefix, start_after, limit)).await
    }

    async fn delete(&self, keys: &[ObjectKey]) -> Vec<StoreResult<()>> {
        let plan = self.control.plan(|faults| faults.object_write);
        let (inner, owned) = (Arc::clone(&self.inner), keys.to_vec());
        let delete = async move { Ok(inner.delete(&owned).await) };
        match self.control.write("delete objects", plan, delete).await {
            Ok(results) => results,
            Err(error) => {
                let each = |key| Err(StoreError::new(error.kind(), format!("delete object `{key}` (injected)")));
                keys.iter().map(each).collect()
            }
        }
    }

    fn capabilities(&self) -> StoreCapabilities {
        self.inner.capabilities()
    }

    fn clock(&self) -> StoreClock {
        self.inner.clock()
    }
}

/// A [`MetadataLog`] whose operations meet faults.
#[derive(Debug)]
pub struct FaultyLog {
    inner: Arc<dyn MetadataLog>,
    control: Arc<FaultControl>,
}

impl FaultyLog {
    /// Lets the operations of `inner` meet the faults of `control`.
    #[must_use]
    pub fn new(inner: Arc<dyn MetadataLog>, control: Arc<FaultControl>) -> Self {
        Self { inner, control }
    }
}

#[async_trait]
impl MetadataLog for FaultyLog {
    fn incarnation(&self) -> Incarnation {
        self.inner.incarnation()
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        let plan = self.control.plan(|faults| faults.stage);
        let (inner, entry) = (Arc::clone(&self.inner), entry.clone());
        self.control.write("stage an entry", plan, async move { inner.stage(&entry).await }).await
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        let plan = self.control.plan(|faults| faults.append);
        let is_unread = plan.fate == Fate::TailUnread;
        let (inner, entries) = (Arc::clone(&self.inner), entries.to_vec());
        let append = async move { inner.append(&entries, known).await };
        let appended = self.control.write("append to the log", plan, append).await?;
        Ok(if is_unread { Appended::CommittedTailUnread } else { appended })
    }

    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
        let plan = self.control.plan(|faults| faults.log_read);
        self.control.read("read the log", plan, self.inner.read(known, consistency)).await
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        let plan = self.control.plan(|faults| faults.log_read);
        self.control.read("read a body", plan, self.inner.read_body(body)).await
    }

    fn capabilities(&self) -> LogCapabilities {
        self.inner.capabilities()
    }
}

#[cfg(test)]
#[path = "faulty_tests.rs"]
mod tests;
