//! The gateways of a run: started over faulty stores, connected to in memory, killed, stopped, started again.
//!
//! Promises: a gateway is composed as `sluice serve` composes one, with seeded entropy, the deterministic cache and
//! in-memory listeners (I-13); a kill is a kill −9: nothing is flushed, answered or closed, and packets already on their
//! way arrive. Never: shares anything between two gateways but the stores.
//! Called by `chaos`, which decides their fate, and by the clients, which connect.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sluice_embedded::{MemoryLog, MemoryObjectStore, MemoryOffsetsView};
use sluice_engine::{Engine, EngineParts, LruBlockCache, Readiness, Settings, StartError};
use sluice_runtime::{Connector, Entropy, SeededEntropy, SharedClock, SharedEntropy, TokioClock, memory_listener};
use sluice_server::{HostPort, KafkaListener, Listeners, Server, ServerConfig, ServerHandle};
use sluice_store::{
    FaultControl, FaultCounts, Faults, FaultyLog, FaultyObjectStore, Incarnation, MetadataLog, ObjectStore, RetryLog,
    RetryObjectStore, RetryPolicy, TimeoutLog, TimeoutObjectStore, Timeouts,
};

use crate::connection::Connection;
use crate::journal::Journal;
use crate::noted::{NotedLog, NotedObjects, Pen};
use crate::plan::{Options, Plan};

/// Partitions of a topic that is made on first use.
pub const PARTITIONS: i32 = 2;
/// How many gateways there are at most at once.
pub const SLOTS: usize = 2;
/// Longest that a gateway may take to start, faults included.
const START_MAX: Duration = Duration::from_secs(30);

/// What the journal calls the faults of the log …
const LOG_FAULTS: [&str; 6] = [
    "log: refused",
    "log: lost answers",
    "log: lost requests",
    "log: late effects",
    "log: tails unread",
    "log: delayed",
];
/// … and of the object store, which has no tails.
const OBJECT_FAULTS: [&str; 6] = [
    "objects: refused",
    "objects: lost answers",
    "objects: lost requests",
    "objects: late effects",
    "objects: tails unread",
    "objects: delayed",
];

/// The gateways and what they share.
pub struct Fleet {
    pub journal: Arc<Journal>,
    pub log: Arc<MemoryLog>,
    pub clock: SharedClock,
    objects: Arc<MemoryObjectStore>,
    plan: Plan,
    options: Options,
    entropy: SeededEntropy,
    slots: Mutex<Vec<Slot>>,
}

/// A place for one gateway after another.
#[derive(Default)]
struct Slot {
    /// How many gateways have had this place.
    generation: u64,
    running: Option<Running>,
    /// What has become of requests to the stores, over all of them.
    faults: Faults,
}

struct Running {
    engine: Engine,
    server: ServerHandle,
    connector: Connector,
    controls: [Arc<FaultControl>; 2],
}

impl Fleet {
    pub fn new(journal: &Arc<Journal>, plan: &Plan, options: Options, entropy: SeededEntropy) -> Arc<Self> {
        let clock: SharedClock = Arc::new(TokioClock::starting_at(1_700_000_000_000));
        Arc::new(Self {
            journal: journal.clone(),
            // Bodies of their own for entries over 256 bytes, as on DynamoDB.
            log: MemoryLog::with_bodies_over(Incarnation(entropy.next_u128()), 256),
            objects: MemoryObjectStore::new(clock.clone()),
            clock,
            plan: plan.clone(),
            options,
            entropy,
            slots: Mutex::new((0..SLOTS).map(|_| Slot::default()).collect()),
        })
    }

    fn slots(&self) -> MutexGuard<'_, Vec<Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The gateways that run.
    pub fn running(&self) -> Vec<usize> {
        self.slots().iter().enumerate().filter(|(_, slot)| slot.running.is_some()).map(|(index, _)| index).collect()
    }

    /// True while the gateway that had this place then still runs.
    pub fn is_running(&self, slot: usize, generation: u64) -> bool {
        let slots = self.slots();
        slots[slot].generation == generation && slots[slot].running.is_some()
    }

    /// The faults that a gateway's stores meet from now on, also after a restart.
    pub fn set_faults(&self, slot: usize, faults: Faults) {
        let mut slots = self.slots();
        slots[slot].faults = faults;
        for control in slots[slot].running.iter().flat_map(|running| &running.controls) {
            control.set_faults(faults);
        }
    }

    /// Starts a gateway in a place that is free.
    pub async fn start(&self, slot: usize) {
        let (name, faults) = {
            let mut slots = self.slots();
            slots[slot].generation += 1;
            (format!("g{slot}.{}", slots[slot].generation), slots[slot].faults)
        };
        let controls = ["log", "objects"].map(|_| self.fault_control(faults));
        let parts = self.compose(&name, &controls);
        self.journal.note(&name, "starts");
        match Engine::start(parts, START_MAX).await {
            Ok(engine) => {
                let (listener, connector) = memory_listener(self.plan.pipe_bytes);
                let server = self.serve(engine.clone(), listener);
                self.journal.note(&name, "serves");
                // Whatever changed while it was starting.
                controls.iter().for_each(|control| control.set_faults(self.slots()[slot].faults));
                self.slots()[slot].running = Some(Running { engine, server, connector, controls });
            }
            Err(StartError::Failed(why)) => self.journal.violation(&name, format_args!("did not start: {why}")),
            Err(StartError::TimedOut(why)) => {
                self.journal.note(&name, format_args!("did not start in time: {why}"));
                self.count_faults(&controls);
            }
        }
    }

    fn fault_control(&self, faults: Faults) -> Arc<FaultControl> {
        let control = FaultControl::new(faults, self.next_entropy());
        control.plant_unknown_reads_as_unavailable(self.options.unknown_reads_as_unavailable);
        control
    }

    fn next_entropy(&self) -> SharedEntropy {
        Arc::new(SeededEntropy::new(self.entropy.next_u64()))
    }

    fn compose(&self, name: &str, [log_faults, object_faults]: &[Arc<FaultControl>; 2]) -> EngineParts {
        let pen = |side| Pen { journal: self.journal.clone(), gateway: name.to_owned(), side };
        let noted = |inner, side| Arc::new(NotedLog { inner, pen: pen(side) });
        let mut log: Arc<dyn MetadataLog> = noted(self.log.clone(), "effect");
        log = noted(Arc::new(FaultyLog::new(log, log_faults.clone())), "answer");
        let noted = |inner, side| {
            Arc::new(NotedObjects { inner, pen: pen(side), puts_are_metered: self.plan.puts_are_metered })
        };
        let mut objects: Arc<dyn ObjectStore> = noted(self.objects.clone(), "effect");
        objects = noted(Arc::new(FaultyObjectStore::new(objects, object_faults.clone())), "answer");
        if self.plan.has_decorators {
            let timeouts = Timeouts { read: self.plan.attempt_timeout, write: self.plan.attempt_timeout };
            log = Arc::new(TimeoutLog::new(log, timeouts));
            log = Arc::new(RetryLog::new(log, RetryPolicy::default(), self.next_entropy()));
            objects = Arc::new(TimeoutObjectStore::new(objects, timeouts));
            objects = Arc::new(RetryObjectStore::new(objects, RetryPolicy::default(), self.next_entropy()));
        }
        let default_partitions = u32::try_from(PARTITIONS).unwrap();
        EngineParts {
            objects,
            log,
            offsets_view: MemoryOffsetsView::new(),
            cache: LruBlockCache::new(self.plan.limits.cache_bytes_max),
            limits: self.plan.limits.clone(),
            settings: Settings { default_partitions, name: name.to_owned(), ..Settings::default() },
            clock: self.clock.clone(),
            entropy: self.next_entropy(),
            defects: self.options.defects,
        }
    }

    fn serve(&self, engine: Engine, listener: sluice_runtime::MemoryListener) -> ServerHandle {
        let advertised = Some(HostPort { host: "sim".to_owned(), port: 9092 });
        let kafka = vec![KafkaListener { listener: Box::new(listener), advertised }];
        let listeners = Listeners { kafka, http: None };
        Server::start(engine, self.clock.clone(), ServerConfig::default(), listeners).expect("an advertised address")
    }

    /// Connects to a gateway; `None` when it does not run.
    pub async fn connect(&self, slot: usize) -> Option<Connection> {
        let (connector, generation) = {
            let slots = self.slots();
            (slots[slot].running.as_ref()?.connector.clone(), slots[slot].generation)
        };
        let stream = connector.connect().await.ok()?;
        self.journal.count("connections");
        Some(Connection::new(stream, "sim", slot, generation))
    }

    /// Connects to any gateway that runs; waits until one does.
    pub async fn connect_anywhere(&self, entropy: &dyn Entropy) -> Connection {
        loop {
            let running = self.running();
            if !running.is_empty()
                && let Some(connection) = self.connect(crate::plan::one_of(entropy, &running)).await
            {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// kill −9.
    pub fn kill(&self, slot: usize) {
        let Some(running) = self.take(slot, "is killed") else { return };
        drop(running.server);
        running.engine.abort();
        self.journal.count("kills");
    }

    /// SIGTERM.
    pub async fn stop(&self, slot: usize) {
        let Some(running) = self.take(slot, "stops") else { return };
        running.server.shutdown().await;
        running.engine.close(Duration::from_secs(2)).await;
        self.journal.note(&format!("g{slot}"), "has stopped");
        self.journal.count("graceful stops");
    }

    fn take(&self, slot: usize, fate: &str) -> Option<Running> {
        let (running, generation) = {
            let mut slots = self.slots();
            (slots[slot].running.take()?, slots[slot].generation)
        };
        let name = format!("g{slot}.{generation}");
        self.journal.note(&name, fate);
        self.judge(&name, &running);
        self.count_faults(&running.controls);
        Some(running)
    }

    /// A gateway stops by itself only when the log or the build is wrong (L9, L11), and neither is.
    fn judge(&self, name: &str, running: &Running) {
        if let Readiness::Failed(why) = running.engine.readiness() {
            self.journal.violation(name, format_args!("failed: {why}"));
        }
    }

    fn count_faults(&self, [log, objects]: &[Arc<FaultControl>; 2]) {
        for (names, counts) in [(LOG_FAULTS, log.counts()), (OBJECT_FAULTS, objects.counts())] {
            let FaultCounts { refused, lost_answers, lost_requests, late_effects, tails_unread, delayed } = counts;
            let each = [refused, lost_answers, lost_requests, late_effects, tails_unread, delayed];
            names.into_iter().zip(each).for_each(|(name, more)| self.journal.count_many(name, more));
        }
    }

    /// Puts every gateway to its end.
    pub fn end(&self) {
        (0..SLOTS).filter_map(|slot| self.take(slot, "ends")).for_each(|running| running.engine.abort());
    }
}
