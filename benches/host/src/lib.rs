//! Several gateways in one process, over one store in memory: each with its own State, session and ports.
//!
//! Promises: what is measured is the gateway as the binary composes it; a restart ends all gateways as a crash would, and
//! starts as many anew over the same stores. Called by `sluice-bench-host`, a process of its own so that its CPU time is
//! the gateways', and by tests of `sluice-bench groups`, in a thread. A package of its own, so that the release build of
//! `sluice-bench` does not optimise the whole gateway once more.

mod delay;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use sluice::listeners::bind;
use sluice::{Gateway, GatewayConfig, Listeners, StoreConfig, Stores, open_stores, start_gateway};
use sluice_runtime::{OsEntropy, SystemClock};
use tokio::sync::mpsc::Receiver;

use crate::delay::DelayedLog;

/// Longest that threads of the runtime are waited for at the end.
const RUNTIME_STOP: Duration = Duration::from_millis(500);

/// As by default: 5 s and 15 s (T1).
const KEEP_ALIVES_PER_LEASE: u32 = 3;

/// What stands before the addresses in the line that says where the gateways are.
const ANNOUNCEMENT: &str = "fleet:";

/// Gateways to be hosted. A duration is in milliseconds.
#[derive(Debug, Clone, Parser)]
#[command(name = "sluice-bench-host", about = "Gateways in one process, for sluice-bench groups")]
pub struct HostArgs {
    /// How many.
    #[arg(long, default_value_t = 1)]
    gateways: usize,
    /// Added to every request to the metadata log.
    #[arg(long, default_value_t = 0)]
    store_latency_ms: u64,
    /// Kafka's `group.initial.rebalance.delay.ms`.
    #[arg(long, default_value_t = 1_000)]
    initial_delay_ms: u32,
    /// How long a gateway that hosts members may say nothing before the others take it for dead; the gateway's default if
    /// it is not given.
    #[arg(long)]
    session_lease_ms: Option<u64>,
}

/// Hosts gateways until nobody can ask for another restart any more. Announces where they are at the start and after each
/// restart, in a line: `fleet:`, and for each gateway a space, the address where it speaks Kafka, a slash, and that of HTTP.
///
/// # Errors
/// What stood in the way of a start, or of an announcement.
pub fn host(
    args: &HostArgs,
    mut restarts: Receiver<()>,
    mut announce: impl FnMut(String) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let runtime = start_runtime()?;
    let done = runtime.block_on(async {
        let stores = open(args).await?;
        let mut gateways = start_gateways(&stores, args).await?;
        announce(announcement(&gateways))?;
        while restarts.recv().await.is_some() {
            gateways.clear();
            gateways = start_gateways(&stores, args).await?;
            announce(announcement(&gateways))?;
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

async fn open(args: &HostArgs) -> anyhow::Result<Stores> {
    let stores = open_stores(&StoreConfig::Memory, Arc::new(SystemClock), Arc::new(OsEntropy)).await?;
    if args.store_latency_ms == 0 {
        return Ok(stores);
    }
    // The log alone: no cell of `groups` writes an object.
    let log = DelayedLog::new(stores.log.clone(), Duration::from_millis(args.store_latency_ms));
    Ok(Stores { log: Arc::new(log), ..stores })
}

async fn start_gateways(stores: &Stores, args: &HostArgs) -> anyhow::Result<Vec<Gateway>> {
    let free = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = GatewayConfig::default();
    if let Some(lease_ms) = args.session_lease_ms {
        config.limits.session_lease = Duration::from_millis(lease_ms);
        config.limits.session_keepalive = config.limits.session_lease / KEEP_ALIVES_PER_LEASE;
    }
    config.settings.group_initial_rebalance_delay_ms = args.initial_delay_ms;
    let mut gateways = Vec::with_capacity(args.gateways);
    for _ in 0..args.gateways {
        let listeners = Listeners::tcp(bind("listen", free).await?, Some(bind("http", free).await?));
        gateways.push(start_gateway(stores, config.clone(), listeners).await?);
    }
    Ok(gateways)
}

fn announcement(gateways: &[Gateway]) -> String {
    let addresses = |gateway: &Gateway| Some(format!(" {}/{}", gateway.kafka_addr()?, gateway.http_addr()?));
    format!("{ANNOUNCEMENT}{}", gateways.iter().filter_map(addresses).collect::<String>())
}
