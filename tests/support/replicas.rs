//! Several gateways over one store: in this process through the composition root, or as processes of the binary.
//!
//! Promises: every replica has its own State, session, cache and port; a [`Place`] is gone, with its files and processes,
//! when it is dropped.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, OnceLock};

use sluice::listeners::bind;
use sluice::{Gateway, GatewayConfig, Listeners, StoreConfig, open_stores, start_gateway};
use sluice_runtime::{OsEntropy, SystemClock};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::emulator::{fresh_name, s3_endpoint};
use crate::process::{EMULATOR_ENVIRONMENT, Sluice};
use crate::skip::skip;

/// Gateways in this process, each with its own State and listeners, over one store.
pub struct Replicas {
    gateways: Vec<Gateway>,
    runtime: Option<Runtime>,
    _folder: Option<TempDir>,
}

impl Replicas {
    /// Over memory.
    #[must_use]
    pub fn over_memory(count: usize) -> Self {
        Self::start(count, &StoreConfig::Memory, None, &GatewayConfig::default())
    }

    /// Over memory, with these settings.
    #[must_use]
    pub fn over_memory_with(count: usize, config: &GatewayConfig) -> Self {
        Self::start(count, &StoreConfig::Memory, None, config)
    }

    /// Over files in a folder of their own.
    #[must_use]
    pub fn over_disk(count: usize) -> Self {
        let folder = TempDir::new().unwrap();
        let store = StoreConfig::Disk { dir: folder.path().join("data"), create: true };
        Self::start(count, &store, Some(folder), &GatewayConfig::default())
    }

    fn start(count: usize, store: &StoreConfig, folder: Option<TempDir>, config: &GatewayConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let gateways = runtime.block_on(async {
            let stores = open_stores(store, Arc::new(SystemClock), Arc::new(OsEntropy)).await.expect("open the stores");
            let mut gateways = Vec::new();
            for _ in 0..count {
                let free = SocketAddr::from(([127, 0, 0, 1], 0));
                let listeners = Listeners::tcp(
                    bind("listen", free).await.expect("a free port"),
                    Some(bind("http", free).await.expect("a free port")),
                );
                gateways.push(start_gateway(&stores, config.clone(), listeners).await.expect("start a gateway"));
            }
            gateways
        });
        Self { gateways, runtime: Some(runtime), _folder: folder }
    }

    /// Where the n-th gateway speaks Kafka.
    #[must_use]
    pub fn kafka(&self, n: usize) -> SocketAddr {
        self.gateways[n].kafka_addr().expect("a socket")
    }

    /// Where the n-th gateway speaks HTTP.
    #[must_use]
    pub fn http(&self, n: usize) -> SocketAddr {
        self.gateways[n].http_addr().expect("a socket")
    }
}

impl Drop for Replicas {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // As by a crash: nothing here depends on a graceful end, and tests of that use processes.
            let _entered = runtime.enter();
            self.gateways.clear();
            runtime.shutdown_background();
        }
    }
}

/// Which store a cell of the client matrix is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// Memory, replicas in this process.
    Memory,
    /// Disk, replicas in this process.
    Disk,
    /// S3 and DynamoDB as MiniStack plays them, gateways as processes of the binary.
    Ministack,
}

/// Gateways for clients to use: whichever they write through and read through.
pub struct Place {
    addresses: Vec<SocketAddr>,
    _replicas: Option<Replicas>,
    _processes: Vec<Sluice>,
}

impl Place {
    /// Starts `count` gateways over a fresh store; `None` (and a skip on record) where its emulator is not to be had.
    #[must_use]
    pub fn start(store: Store, count: usize) -> Option<Self> {
        let replicas = match store {
            Store::Memory => Replicas::over_memory(count),
            Store::Disk => Replicas::over_disk(count),
            Store::Ministack => return start_over_ministack(count).map(Self::over_processes),
        };
        let addresses = (0..count).map(|n| replicas.kafka(n)).collect();
        Some(Self { addresses, _replicas: Some(replicas), _processes: Vec::new() })
    }

    fn over_processes(processes: Vec<Sluice>) -> Self {
        let addresses = processes.iter().map(|p| p.kafka).collect();
        Self { addresses, _replicas: None, _processes: processes }
    }

    /// `host:port` of the first gateway.
    #[must_use]
    pub fn first(&self) -> String {
        self.addresses[0].to_string()
    }

    /// `host:port` of the last gateway: another one than the first where there are two.
    #[must_use]
    pub fn last(&self) -> String {
        self.addresses[self.addresses.len() - 1].to_string()
    }
}

/// Starts `count` processes over a fresh bucket and table of the emulator; `None` (and a skip on record) where it is not to
/// be had.
#[must_use]
pub fn start_over_ministack(count: usize) -> Option<Vec<Sluice>> {
    emulator_is_there().then(|| start_over(s3_endpoint(), &fresh_name(), count))
}

/// Installs the emulator where it is missing; looks once per test binary.
pub(crate) fn emulator_is_there() -> bool {
    static IS_THERE: OnceLock<bool> = OnceLock::new();
    let is_there = *IS_THERE.get_or_init(|| {
        let declined = std::env::var("SLUICE_SKIP_EMULATOR").as_deref() == Ok("1");
        let script = crate::root().join("localstack/emulator");
        let install = || Command::new(script).args(["ministack", "install"]).status();
        !declined && install().is_ok_and(|status| status.success())
    });
    if !is_there {
        skip("the store emulator is not installed (make setup), or SLUICE_SKIP_EMULATOR is set");
    }
    is_there
}

/// Starts `count` processes over the bucket and tables of this name at an endpoint; the first creates them.
#[must_use]
pub fn start_over(endpoint: &str, name: &str, count: usize) -> Vec<Sluice> {
    let arguments = ["--store", "aws", "--aws-endpoint", endpoint, "--bucket", name, "--tables", name, "--create"];
    (0..count).map(|_| Sluice::serve(&arguments, EMULATOR_ENVIRONMENT)).collect()
}
