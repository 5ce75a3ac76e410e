//! The gateways of a run: started over one log, connected to in memory, killed, stopped, stalled, started again.
//!
//! Promises: a gateway is composed as `sluice serve` composes one, with seeded entropy and in-memory connections (I-13); a
//! kill is a kill −9; a stalled gateway loses nothing and hears nothing. Nobody fetches records here: what a gateway learns
//! it learns by its own refresh (T4).
//! Called by `chaos`, which decides their fate, and by the clients, which connect.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sluice_embedded::{MemoryLog, MemoryObjectStore, MemoryOffsetsView};
use sluice_engine::{Engine, EngineParts, LruBlockCache, Readiness, Settings, StartError};
use sluice_runtime::{Entropy, SeededEntropy, SharedClock, SharedEntropy, TokioClock};
use sluice_server::{HostPort, KafkaListener, Listeners, Server, ServerConfig, ServerHandle};
use sluice_store::{FaultControl, FaultCounts, Faults, FaultyLog, Incarnation, MetadataLog, RetryLog, RetryPolicy};
use sluice_store::{TimeoutLog, Timeouts};

use crate::connection::Connection;
use crate::gate::{BytesRead, Door, Gate, GatedLog, JumpyClock, gated_listener};
use crate::journal::Journal;
use crate::noted::{NotedLog, Pen};
use crate::oracle::{Oracle, WatchedLog};
use crate::plan::{Options, Plan};
use crate::world::PARTITIONS;

/// How many gateways there are at most at once.
pub const SLOTS: usize = 3;
/// Longest that a gateway may take to start, faults included.
const START_MAX: Duration = Duration::from_secs(30);
/// What the journal calls the faults of the log.
const FAULTS: [&str; 6] = [
    "log: refused",
    "log: lost answers",
    "log: lost requests",
    "log: late effects",
    "log: tails unread",
    "log: delayed",
];

/// The gateways and what they share.
pub struct Fleet {
    pub journal: Arc<Journal>,
    oracle: Arc<Oracle>,
    log: Arc<MemoryLog>,
    clock: SharedClock,
    objects: Arc<MemoryObjectStore>,
    plan: Plan,
    options: Options,
    entropy: SeededEntropy,
    slots: Mutex<Vec<Slot>>,
}

/// A place for one gateway after another.
#[derive(Default)]
struct Slot {
    generation: u64,
    running: Option<Running>,
    faults: Faults,
    is_busy: bool,
}

struct Running {
    engine: Engine,
    server: ServerHandle,
    door: Door,
    control: Arc<FaultControl>,
    gate: Arc<Gate>,
    clock: Arc<JumpyClock>,
}

/// A gateway that stands still, until [`Stall::end`].
pub struct Stall {
    gate: Arc<Gate>,
    clock: Arc<JumpyClock>,
    who: String,
}

impl Stall {
    /// It goes on. `slept`: its wall clock shows that it was asleep for so long.
    pub fn end(self, journal: &Journal, slept: Option<Duration>) {
        if let Some(slept) = slept {
            journal.count("clock gaps");
            self.clock.jumped_ms.fetch_add(u64::try_from(slept.as_millis()).unwrap_or(0), Ordering::Relaxed);
        }
        journal.note(&self.who, format_args!("goes on; slept {slept:?}"));
        self.gate.open();
    }
}

impl Fleet {
    pub fn new(oracle: &Arc<Oracle>, plan: &Plan, options: Options, entropy: SeededEntropy) -> Arc<Self> {
        let clock: SharedClock = Arc::new(TokioClock::starting_at(1_700_000_000_000));
        Arc::new(Self {
            journal: oracle.journal.clone(),
            oracle: oracle.clone(),
            log: oracle.log.clone(),
            objects: MemoryObjectStore::new(clock.clone()),
            clock,
            plan: plan.clone(),
            options,
            entropy,
            slots: Mutex::new((0..SLOTS).map(|_| Slot { faults: plan.weathers[2], ..Slot::default() }).collect()),
        })
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn running(&self) -> Vec<usize> {
        self.slots().iter().enumerate().filter(|(_, slot)| slot.running.is_some()).map(|(index, _)| index).collect()
    }

    /// Takes a place for something that befalls it; false when something does already.
    pub fn take(&self, slot: usize) -> bool {
        !std::mem::replace(&mut self.slots()[slot].is_busy, true)
    }

    /// What befell the place is over.
    pub fn give_back(&self, slot: usize) {
        self.slots()[slot].is_busy = false;
    }

    /// How many places nothing befalls.
    pub fn undisturbed(&self) -> usize {
        self.slots().iter().filter(|slot| !slot.is_busy && slot.running.is_some()).count()
    }

    /// The faults that a gateway's log meets from now on, also after a restart.
    pub fn set_faults(&self, slot: usize, faults: Faults) {
        let mut slots = self.slots();
        slots[slot].faults = faults;
        slots[slot].running.iter().for_each(|running| running.control.set_faults(faults));
    }

    /// Starts a gateway in a place that is free. False when it did not start in time.
    pub async fn start(&self, slot: usize) -> bool {
        let (name, faults) = {
            let mut slots = self.slots();
            slots[slot].generation += 1;
            (format!("g{slot}.{}", slots[slot].generation), slots[slot].faults)
        };
        let control = FaultControl::new(faults, self.next_entropy());
        let gate = Arc::new(Gate::default());
        let clock = Arc::new(JumpyClock { inner: self.clock.clone(), jumped_ms: AtomicU64::new(0) });
        self.journal.note(&name, "starts");
        match Engine::start(self.compose(&name, &control, &gate, clock.clone()), START_MAX).await {
            Ok(engine) => {
                let (listener, door) = gated_listener(self.plan.pipe_bytes, &gate);
                let advertised = Some(HostPort { host: "sim".to_owned(), port: 9092 });
                let kafka = vec![KafkaListener { listener: Box::new(listener), advertised }];
                let listeners = Listeners { kafka, http: None };
                let server = Server::start(engine.clone(), clock.clone(), ServerConfig::default(), listeners);
                let server = server.expect("an advertised address");
                self.journal.note(&name, "serves");
                control.set_faults(self.slots()[slot].faults);
                self.slots()[slot].running = Some(Running { engine, server, door, control, gate, clock });
                true
            }
            Err(StartError::Failed(why)) => {
                self.journal.violation(&name, format_args!("did not start: {why}"));
                true
            }
            Err(StartError::TimedOut(why)) => {
                self.journal.note(&name, format_args!("did not start in time: {why}"));
                self.count_faults(&control);
                false
            }
        }
    }

    fn next_entropy(&self) -> SharedEntropy {
        Arc::new(SeededEntropy::new(self.entropy.next_u64()))
    }

    fn compose(&self, name: &str, control: &Arc<FaultControl>, gate: &Arc<Gate>, clock: SharedClock) -> EngineParts {
        let pen = |side| Pen { journal: self.journal.clone(), gateway: name.to_owned(), side };
        let noted = |inner, side| Arc::new(NotedLog { inner, pen: pen(side) });
        let mut log: Arc<dyn MetadataLog> =
            Arc::new(WatchedLog { inner: self.log.clone(), oracle: self.oracle.clone() });
        log = noted(log, "effect");
        log = Arc::new(FaultyLog::new(log, control.clone()));
        log = noted(Arc::new(GatedLog { inner: log, gate: gate.clone() }), "answer");
        if self.plan.has_decorators {
            let timeouts = Timeouts { read: self.plan.attempt_timeout, write: self.plan.attempt_timeout };
            log = Arc::new(TimeoutLog::new(log, timeouts));
            log = Arc::new(RetryLog::new(log, RetryPolicy::default(), self.next_entropy()));
        }
        EngineParts {
            objects: self.objects.clone(),
            log,
            offsets_view: MemoryOffsetsView::new(),
            cache: LruBlockCache::new(self.plan.limits.cache_bytes_max),
            limits: self.plan.limits.clone(),
            settings: Settings {
                default_partitions: u32::try_from(PARTITIONS).unwrap(),
                group_initial_rebalance_delay_ms: self.plan.initial_delay_ms,
                name: name.to_owned(),
                ..Settings::default()
            },
            clock,
            entropy: self.next_entropy(),
            defects: self.options.defects,
        }
    }

    /// Connects to a gateway; `None` when it does not run.
    pub async fn connect(&self, slot: usize, who: &str) -> Option<(Connection, BytesRead)> {
        let (door, generation) = {
            let slots = self.slots();
            (slots[slot].running.as_ref()?.door.clone(), slots[slot].generation)
        };
        let (stream, read) = door.connect().await?;
        self.journal.count("connections");
        Some((Connection::new(stream, who, slot, generation), read))
    }

    /// kill −9.
    pub fn kill(&self, slot: usize) {
        let Some(running) = self.remove(slot, "is killed") else { return };
        drop(running.server);
        running.engine.abort();
        self.journal.count("kills");
        self.oracle.note_kill();
    }

    /// SIGTERM.
    pub async fn stop(&self, slot: usize) {
        let Some(running) = self.remove(slot, "stops") else { return };
        running.server.shutdown().await;
        running.engine.close(Duration::from_secs(2)).await;
        self.journal.note(&format!("g{slot}"), "has stopped");
        self.journal.count("graceful stops");
    }

    /// It stands still from now on.
    pub fn stall(&self, slot: usize) -> Option<Stall> {
        let slots = self.slots();
        let running = slots[slot].running.as_ref()?;
        let who = format!("g{slot}.{}", slots[slot].generation);
        self.journal.note(&who, "stalls");
        self.journal.count("stalls");
        running.gate.close();
        Some(Stall { gate: running.gate.clone(), clock: running.clock.clone(), who })
    }

    fn remove(&self, slot: usize, fate: &str) -> Option<Running> {
        let (running, generation) = {
            let mut slots = self.slots();
            (slots[slot].running.take()?, slots[slot].generation)
        };
        let name = format!("g{slot}.{generation}");
        self.journal.note(&name, fate);
        // A gateway stops by itself only when the log or the build is wrong (L9, L11), and neither is.
        if let Readiness::Failed(why) = running.engine.readiness() {
            self.journal.violation(&name, format_args!("failed: {why}"));
        }
        self.count_faults(&running.control);
        Some(running)
    }

    fn count_faults(&self, control: &FaultControl) {
        let FaultCounts { refused, lost_answers, lost_requests, late_effects, tails_unread, delayed } =
            control.counts();
        let each = [refused, lost_answers, lost_requests, late_effects, tails_unread, delayed];
        FAULTS.into_iter().zip(each).for_each(|(name, more)| self.journal.count_many(name, more));
    }

    /// Puts every gateway to its end.
    pub fn end(&self) {
        (0..SLOTS).filter_map(|slot| self.remove(slot, "ends")).for_each(|running| running.engine.abort());
    }
}

/// The log of a run.
pub fn new_log(entropy: &SeededEntropy) -> Arc<MemoryLog> {
    // Bodies of their own for entries over 256 bytes, as on DynamoDB.
    MemoryLog::with_bodies_over(Incarnation(entropy.next_u128()), 256)
}
