//! The facade: what a gateway's engine is made of, how it starts and how it stops.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sluice_metadata::SessionId;
use sluice_runtime::{GapWatch, SharedClock, SharedEntropy};
use sluice_store::{MetadataLog, ObjectStore, OffsetsView};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinHandle};

use crate::api::Readiness;
use crate::cache::{BlockCache, SegmentReader};
use crate::configs::SettingsCache;
use crate::coordinate::{self, CommitOrder, GroupLag, ViewHandle, Watch};
use crate::defects::Defects;
use crate::error::EngineResult;
use crate::limits::{Limits, Settings};
use crate::metrics::Metrics;
use crate::produce::Buffer;
use crate::producer_ids::ProducerIds;
use crate::replica::{self, Replica, Shared};

/// Everything an engine is given (I-13).
#[derive(Debug, Clone)]
pub struct EngineParts {
    /// Where segments are kept.
    pub objects: Arc<dyn ObjectStore>,
    /// The metadata log.
    pub log: Arc<dyn MetadataLog>,
    /// Where committed offsets are shown to people.
    pub offsets_view: Arc<dyn OffsetsView>,
    /// Blocks of segments in memory.
    pub cache: Arc<dyn BlockCache>,
    /// Bounds.
    pub limits: Limits,
    /// What a person sets.
    pub settings: Settings,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub entropy: SharedEntropy,
    /// Planted defects: none, outside tests.
    pub defects: Defects,
}

impl EngineParts {
    /// A stamp for what is proposed now: the wall clock as the store's last answer corrects it (T3). A gateway whose clock is
    /// wrong must not make others think that what it did is old.
    pub(crate) fn stamp_ms(&self) -> i64 {
        self.objects.clock().stamp_ms(&*self.clock)
    }
}

/// Why an engine did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It met what it must not go on after.
    #[error("{0}")]
    Failed(String),
    /// The store did not let it replay the log and open its session in time.
    #[error("the store did not answer in time: {0}")]
    TimedOut(String),
}

/// One gateway's engine. Clones are handles to the same one.
#[derive(Debug, Clone)]
pub struct Engine {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) parts: Arc<EngineParts>,
    pub(crate) replica: Replica,
    pub(crate) buffer: Buffer,
    pub(crate) reader: SegmentReader,
    pub(crate) topic_settings: SettingsCache,
    pub(crate) producer_ids: ProducerIds,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) gaps: Arc<GapWatch>,
    pub(crate) watch: Watch,
    pub(crate) commits: Arc<CommitOrder>,
    view: ViewHandle,
    /// Bytes of records admitted and not yet answered.
    pub(crate) produce_permits: Arc<Semaphore>,
    /// Bytes of records being read, or read and not yet sent.
    pub(crate) fetch_permits: Arc<Semaphore>,
    pub(crate) stopping: AtomicBool,
    tasks: Vec<AbortHandle>,
    /// Those that would outlive the last handle, because they hold to the replica.
    background: Background,
}

/// Tasks that end with the engine.
#[derive(Debug)]
struct Background(Vec<AbortHandle>);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

impl Engine {
    /// Replays the log, opens a session, and serves.
    ///
    /// # Errors
    /// `Failed` when the log cannot be replayed by this build, or is not what it was opened as; `TimedOut` when the
    /// store was not reachable for `timeout`.
    pub async fn start(parts: EngineParts, timeout: Duration) -> Result<Self, StartError> {
        let parts = Arc::new(parts);
        let metrics = Arc::new(Metrics::default());
        let (replica, log_task) = replica::start(&parts, &metrics);
        let reader = SegmentReader::new(parts.clone(), metrics.clone());
        let (buffer, buffer_task) = Buffer::start(&parts, &replica, &reader, &metrics);
        let gaps = Arc::new(GapWatch::new(parts.clock.clone()));
        let (watch, watch_task) = coordinate::start_watch(&parts, &replica, &gaps, &metrics);
        let (view, view_task) = coordinate::start_view(&parts, &replica, &metrics);
        let expiry = coordinate::expire_offsets(parts.clone(), replica.clone(), reader.clone(), metrics.clone());
        let shared = replica.shared();
        let background = [
            stop_on_panic("the watch", watch_task, shared),
            stop_on_panic("the offsets view", view_task, shared),
            stop_on_panic("the expiry of offsets", tokio::spawn(expiry), shared),
        ];
        let tasks = vec![
            stop_on_panic("the log task", log_task, shared),
            stop_on_panic("the produce buffer", buffer_task, shared),
        ];
        let _ = metrics.lag.set(Arc::new(GroupLag {
            replica: replica.shared().clone(),
            series_max: parts.limits.lag_series_max,
            offsets_max: parts.limits.lag_offsets_max,
        }));
        let engine = Self {
            inner: Arc::new(Inner {
                produce_permits: Arc::new(Semaphore::new(parts.limits.produce_bytes_max)),
                fetch_permits: Arc::new(Semaphore::new(parts.limits.fetch_bytes_max)),
                producer_ids: ProducerIds::default(),
                stopping: AtomicBool::new(false),
                tasks,
                background: Background(background.into()),
                gaps,
                watch,
                topic_settings: SettingsCache::new(parts.limits.topic_settings_max),
                commits: CommitOrder::new(parts.limits.commits_waiting_max),
                view,
                parts,
                replica,
                buffer,
                reader,
                metrics,
            }),
        };
        match tokio::time::timeout(timeout, engine.inner.replica.started()).await {
            Ok(Readiness::Failed(why)) => Err(StartError::Failed(why)),
            Ok(_) => Ok(engine),
            Err(_) => {
                engine.abort();
                Err(StartError::TimedOut(format!("{:?}", engine.readiness())))
            }
        }
    }

    /// Whether it serves, and why not.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        self.inner.replica.readiness()
    }

    /// Resolves when the engine met what it must not go on after; says what.
    pub async fn failed(&self) -> String {
        self.inner.replica.failed().await
    }

    /// The feature level of State: what ApiVersions may advertise (I-12).
    #[must_use]
    pub fn feature_level(&self) -> u16 {
        self.inner.replica.view().feature_level()
    }

    /// The cluster id: the incarnation as Kafka prints a UUID (22 characters of URL-safe base 64).
    #[must_use]
    pub fn cluster_id(&self) -> String {
        base64_url(self.inner.parts.log.incarnation().0.to_be_bytes())
    }

    /// Makes the changes of one request, so many at a time that the log takes them together; the answers are in their order.
    pub(crate) async fn together<T>(&self, changes: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
        stream::iter(changes).buffered(self.inner.parts.limits.changes_in_flight_max.max(1)).collect().await
    }

    /// Waits until State is at least as new as this call (T5).
    ///
    /// # Errors
    /// `NotFresh`.
    pub async fn barrier(&self) -> EngineResult<()> {
        self.inner.replica.barrier().await
    }

    /// Makes sure that State was refreshed lately: before every answer that comes from it (T4, T6).
    ///
    /// # Errors
    /// `NotFresh` when it could not be refreshed for `Limits::stale_stop`.
    pub async fn ensure_fresh(&self) -> EngineResult<()> {
        self.inner.replica.ensure_fresh().await
    }

    /// Makes sure that State is younger than `age`, by a barrier where it is not (T6: Heartbeat and Sync).
    ///
    /// # Errors
    /// `NotFresh`.
    pub async fn ensure_fresh_within(&self, age: Duration) -> EngineResult<()> {
        self.inner.replica.ensure_fresh_within(age).await
    }

    /// The clock gaps of this process (T2, T7). Looked at every [`sluice_runtime::BEAT`] as long as the engine runs.
    #[must_use]
    pub fn gaps(&self) -> &Arc<GapWatch> {
        &self.inner.gaps
    }

    /// The gateway session, while it is open.
    #[must_use]
    pub fn own_session(&self) -> Option<SessionId> {
        self.inner.replica.open_session()
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.inner.metrics
    }

    /// Its bounds.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.inner.parts.limits
    }

    /// Partitions of a topic that is created without a number (`num.partitions`).
    #[must_use]
    pub fn default_partitions(&self) -> u32 {
        self.inner.parts.settings.default_partitions.max(1)
    }

    /// Says that it is stopping: `/readyz` answers no from now on. Requests are still served.
    pub fn set_stopping(&self) {
        self.inner.replica.set_stopping();
    }

    /// Answers every long poll now, and every later one at once.
    pub fn interrupt_waits(&self) {
        self.inner.replica.wakers().interrupt();
    }

    /// Admits no more records, and waits until all admitted ones are settled.
    pub async fn drain(&self) {
        self.inner.stopping.store(true, Ordering::Release);
        self.inner.buffer.drain().await;
    }

    /// Closes the session, and ends. Bounded by `timeout`: a session that could not be closed expires.
    pub async fn close(&self, timeout: Duration) {
        let began = self.inner.parts.clock.now();
        let closed = tokio::time::timeout(timeout, self.inner.replica.close()).await;
        let left = timeout.saturating_sub(self.inner.parts.clock.now().saturating_duration_since(began));
        // After everything is settled; it works from State alone, so it is tried even when the log answers no more.
        if tokio::time::timeout(left.max(VIEW_FLUSH_MIN), self.inner.view.flush()).await.is_err() {
            tracing::warn!("not all committed offsets are shown in the offsets view");
        }
        if closed.is_err() {
            tracing::warn!("the gateway session could not be closed; it will expire");
        }
        self.abort();
    }

    /// Ends at once, as a crash would: nothing is flushed, nothing is closed.
    pub fn abort(&self) {
        self.inner.tasks.iter().chain(&self.inner.background.0).for_each(AbortHandle::abort);
    }
}

/// A gateway without one of its tasks would go on as if all were well: nobody would be expired, or nothing shown. It stops
/// instead. Gives what ends the task.
fn stop_on_panic(name: &'static str, task: JoinHandle<()>, shared: &Arc<Shared>) -> AbortHandle {
    let (abort, shared) = (task.abort_handle(), shared.clone());
    tokio::spawn(async move {
        if task.await.is_err_and(|error| error.is_panic()) {
            tracing::error!(task = name, "a task of the gateway has panicked: it must not go on");
            shared.set_readiness(Readiness::Failed(format!("{name} has panicked")));
            shared.wakers.interrupt();
        }
    });
    abort
}

/// What the offsets view gets of a stop whose time is up.
const VIEW_FLUSH_MIN: Duration = Duration::from_millis(500);

/// RFC 4648 section 5, without padding.
fn base64_url(bytes: [u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = u128::from_be_bytes(bytes);
    // 128 bits are 22 digits of 6 bits with 4 bits of padding at the end.
    let mut digits = [0u8; 22];
    let last = usize::try_from((bits & 0b11) << 4).unwrap_or(0);
    bits >>= 2;
    for (index, digit) in digits.iter_mut().enumerate().rev() {
        let value = if index == 21 { last } else { usize::try_from(bits & 63).unwrap_or(0) };
        if index != 21 {
            bits >>= 6;
        }
        *digit = ALPHABET.get(value).copied().unwrap_or(b'A');
    }
    digits.iter().copied().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cluster_ids_are_url_safe_base64_of_the_incarnation() {
        assert_eq!(base64_url([0; 16]), "AAAAAAAAAAAAAAAAAAAAAA");
        assert_eq!(base64_url([255; 16]), "_____________________w");
        // From the test vectors of RFC 4648 style encoders: bytes 0..16.
        assert_eq!(base64_url(std::array::from_fn(|i| u8::try_from(i).unwrap_or(0))), "AAECAwQFBgcICQoLDA0ODw");
    }
}
