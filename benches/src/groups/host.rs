//! Several gateways in one process, over one store in memory: each with its own State, session and ports.
//!
//! Promises: what is measured is the gateway as the binary composes it; a restart ends all gateways as a crash would, and
//! starts as many anew over the same stores. Called by `sluice-bench host`, a process of its own so that its CPU time is
//! the gateways', and by tests, in a thread.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sluice::listeners::bind;
use sluice::{Gateway, GatewayConfig, Listeners, StoreConfig, Stores, open_stores, start_gateway};
use sluice_runtime::{OsEntropy, SystemClock};
use tokio::sync::mpsc::Receiver;

use super::delay::DelayedLog;

/// Longest that threads of the runtime are waited for at the end.
const RUNTIME_STOP: Duration = Duration::from_millis(500);

/// As by default: 5 s and 15 s (T1).
const KEEP_ALIVES_PER_LEASE: u32 = 3;

/// Gateways to be hosted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) gateways: usize,
    /// Added to every request to the metadata log.
    pub(crate) store_latency: Duration,
    /// Kafka's `group.initial.rebalance.delay.ms`.
    pub(crate) initial_delay: Duration,
    /// How long a gateway that hosts members may say nothing before the others take it for dead.
    pub(crate) session_lease: Duration,
}

impl Default for Shape {
    fn default() -> Self {
        let session_lease = GatewayConfig::default().limits.session_lease;
        Self { gateways: 1, store_latency: Duration::ZERO, initial_delay: Duration::from_secs(1), session_lease }
    }
}

/// Where a gateway listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) kafka: SocketAddr,
    pub(crate) http: SocketAddr,
}

/// Hosts gateways until nobody can ask for another restart any more. Announces where they are at the start and after each
/// restart.
pub(crate) fn host(
    shape: Shape,
    mut restarts: Receiver<()>,
    mut announce: impl FnMut(&[Endpoint]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = start_runtime()?;
    let done = runtime.block_on(async {
        let stores = open(shape).await?;
        let mut gateways = start_gateways(&stores, shape).await?;
        announce(&endpoints(&gateways))?;
        while restarts.recv().await.is_some() {
            gateways.clear();
            gateways = start_gateways(&stores, shape).await?;
            announce(&endpoints(&gateways))?;
        }
        anyhow::Ok(())
    });
    runtime.shutdown_timeout(RUNTIME_STOP);
    done
}

/// As the binary does: one thread per core that this process may use.
fn start_runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    let mut builder = match std::thread::available_parallelism().map_or(1, usize::from) {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    builder.enable_all().build().context("cannot start threads")
}

async fn open(shape: Shape) -> anyhow::Result<Stores> {
    let stores = open_stores(&StoreConfig::Memory, Arc::new(SystemClock), Arc::new(OsEntropy)).await?;
    if shape.store_latency.is_zero() {
        return Ok(stores);
    }
    // The log alone: no cell here writes an object.
    Ok(Stores { log: Arc::new(DelayedLog::new(stores.log.clone(), shape.store_latency)), ..stores })
}

async fn start_gateways(stores: &Stores, shape: Shape) -> anyhow::Result<Vec<Gateway>> {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = GatewayConfig::default();
    config.limits.session_lease = shape.session_lease;
    config.limits.session_keepalive = shape.session_lease / KEEP_ALIVES_PER_LEASE;
    config.settings.group_initial_rebalance_delay_ms = u32::try_from(shape.initial_delay.as_millis())?;
    let mut gateways = Vec::with_capacity(shape.gateways);
    for _ in 0..shape.gateways {
        let listeners = Listeners::tcp(bind("listen", free).await?, Some(bind("http", free).await?));
        gateways.push(start_gateway(stores, config.clone(), listeners).await?);
    }
    Ok(gateways)
}

fn endpoints(gateways: &[Gateway]) -> Vec<Endpoint> {
    let endpoint = |gateway: &Gateway| Some(Endpoint { kafka: gateway.kafka_addr()?, http: gateway.http_addr()? });
    gateways.iter().filter_map(endpoint).collect()
}
