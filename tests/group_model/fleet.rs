//! Gateways over one log, for one script, in virtual time.
//!
//! Promises: composed as `sluice serve` composes them, with the settings that the model has; requests to the log may be
//! slow, and none fails. Never: shares anything with the gateways of another script.
//! Called by `play`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use sluice_embedded::{MemoryLog, MemoryObjectStore, MemoryOffsetsView};
use sluice_engine::{Defects, Engine, EngineParts, Limits, LruBlockCache, Settings};
use sluice_group_model::model::{METADATA_MAX, SESSION_MAX_MS, SESSION_MIN_MS};
use sluice_runtime::{Connector, SeededEntropy, SharedClock, TokioClock, memory_listener};
use sluice_server::{HostPort, KafkaListener, Listeners, Server, ServerConfig, ServerHandle};
use sluice_store::{FaultControl, Faults, FaultyLog, Incarnation, OperationFaults};

/// Longest that a gateway may take to start.
const START_MAX: Duration = Duration::from_secs(10);
/// Bytes that a connection holds each way.
const PIPE_BYTES: usize = 64 << 10;

/// The gateways of one script.
pub struct Fleet {
    running: Vec<(Engine, ServerHandle)>,
    pub connectors: Vec<Connector>,
}

impl Fleet {
    /// Starts so many gateways. Each request to the log takes up to twice `delay_max`, half of them no time.
    pub async fn start(seed: u64, gateways: usize, delay_max: Duration) -> Result<Self> {
        let clock: SharedClock = Arc::new(TokioClock::starting_at(1_700_000_000_000));
        let log = MemoryLog::with_bodies_over(Incarnation(u128::from(seed)), 256);
        let objects = MemoryObjectStore::new(clock.clone());
        let slow = OperationFaults { delayed_per_mille: 500, delay_max, ..OperationFaults::default() };
        let faults = Faults { stage: slow, append: slow, log_read: slow, ..Faults::default() };
        let mut fleet = Self { running: Vec::new(), connectors: Vec::new() };
        for at in 0..u64::try_from(gateways)? {
            let entropy = |salt: u64| Arc::new(SeededEntropy::new(seed.wrapping_mul(64) + salt * 8 + at));
            let limits = Limits::default();
            let parts = EngineParts {
                objects: objects.clone(),
                log: Arc::new(FaultyLog::new(log.clone(), FaultControl::new(faults, entropy(1)))),
                offsets_view: MemoryOffsetsView::new(),
                cache: LruBlockCache::new(limits.cache_bytes_max),
                limits,
                settings: settings(format!("g{at}")),
                clock: clock.clone(),
                entropy: entropy(2),
                defects: Defects::default(),
            };
            let engine = Engine::start(parts, START_MAX).await.map_err(|e| anyhow::anyhow!("{e:?}"))?;
            let (listener, connector) = memory_listener(PIPE_BYTES);
            let advertised = Some(HostPort { host: "model".to_owned(), port: 9092 });
            let kafka = vec![KafkaListener { listener: Box::new(listener), advertised }];
            let listeners = Listeners { kafka, http: None };
            let server = Server::start(engine.clone(), clock.clone(), ServerConfig::default(), listeners);
            fleet.running.push((engine, server.context("an advertised address")?));
            fleet.connectors.push(connector);
        }
        Ok(fleet)
    }

    /// Puts every gateway to its end.
    pub fn end(self) {
        for (engine, server) in self.running {
            drop(server);
            engine.abort();
        }
    }
}

/// What the model takes for granted, see `tests/groups-model/against-kafka`.
fn settings(name: String) -> Settings {
    Settings {
        group_min_session_timeout_ms: SESSION_MIN_MS,
        group_max_session_timeout_ms: SESSION_MAX_MS,
        group_initial_rebalance_delay_ms: 0,
        offset_metadata_max_bytes: METADATA_MAX,
        auto_create_topics: false,
        name,
        ..Settings::default()
    }
}
