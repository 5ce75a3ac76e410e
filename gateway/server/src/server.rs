//! Composition of the wire side: listeners, connections and the HTTP port over one engine.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use sluice_engine::{Engine, Readiness};
use sluice_runtime::{Listener, SharedClock};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout_at};

use crate::advertised::{Advertised, HostPort};
use crate::connection::Shared;
use crate::dispatch::ApiDispatch;
use crate::http::{Routes, serve_http};
use crate::limits::Limits;
use crate::listener::serve_listener;
use crate::metrics::Metrics;
use crate::table;

/// What a person sets about the wire side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// The one broker id that Metadata shows; not 0, which kafka-go takes for "no controller".
    pub node_id: i32,
    /// How long a stopping gateway goes on serving after it reported itself not ready.
    pub drain_delay: Duration,
    /// Bounds and defaults.
    pub limits: Limits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self { node_id: 1, drain_delay: Duration::ZERO, limits: Limits::default() }
    }
}

/// A Kafka listener and the address clients are told to use for it.
pub struct KafkaListener {
    /// Where connections come from.
    pub listener: Box<dyn Listener>,
    /// The address in Metadata; `None` takes the one that is bound.
    pub advertised: Option<HostPort>,
}

/// The sockets of a gateway, already bound.
#[derive(Default)]
pub struct Listeners {
    /// Kafka listeners.
    pub kafka: Vec<KafkaListener>,
    /// The HTTP port, if it is wanted.
    pub http: Option<Box<dyn Listener>>,
}

/// Why a server does not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The listener is bound to every address, which is none that a client could be told (design section 12).
    #[error("listener {0} is bound to every address: say with --advertise which one clients are to use")]
    NoAdvertisedAddress(SocketAddr),
    /// The listener has no address of its own, and none was given.
    #[error("listener number {0} has no address: it needs an advertised one")]
    NoAddress(usize),
}

/// The wire side of a gateway.
#[derive(Debug, Clone, Copy)]
pub struct Server;

impl Server {
    /// Begins to serve `listeners` from `engine`. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When a listener has no address to advertise.
    pub fn start(
        engine: Engine,
        clock: SharedClock,
        config: ServerConfig,
        listeners: Listeners,
    ) -> Result<ServerHandle, StartError> {
        let mut registry = Registry::default();
        engine.metrics().register(&mut registry);
        let metrics = Metrics::new(&mut registry, &table::counted());
        let limits = config.limits.clone();
        let dispatch = Arc::new(ApiDispatch::new(engine.clone(), config.node_id, limits.clone(), Arc::clone(&clock)));
        let shared = Arc::new(Shared::new(limits.clone(), clock, Arc::clone(engine.gaps()), metrics, dispatch));
        let permits = Arc::new(Semaphore::new(limits.connections_max.clamp(1, Semaphore::MAX_PERMITS)));

        let http_addr = listeners.http.as_ref().and_then(|listener| listener.local_addr());
        let mut local_addrs = Vec::new();
        let mut advertised = Vec::new();
        for (index, kafka) in listeners.kafka.iter().enumerate() {
            local_addrs.push(kafka.listener.local_addr());
            advertised.push(Arc::new(Advertised::new(&address_of(index, kafka)?)));
        }
        let mut accepting = JoinSet::new();
        for (kafka, advertised) in listeners.kafka.into_iter().zip(&advertised) {
            let (shared, permits) = (Arc::clone(&shared), Arc::clone(&permits));
            accepting.spawn(serve_listener(kafka.listener, Arc::clone(advertised), shared, permits));
        }
        let mut http = JoinSet::new();
        if let Some(listener) = listeners.http {
            let routes = Routes { registry, readiness: readiness_of(engine.clone(), Arc::clone(&shared)) };
            http.spawn(serve_http(listener, Arc::new(routes), limits));
        }
        let drain_delay = config.drain_delay;
        Ok(ServerHandle { engine, shared, drain_delay, local_addrs, http_addr, advertised, accepting, _http: http })
    }
}

fn address_of(index: usize, kafka: &KafkaListener) -> Result<HostPort, StartError> {
    if let Some(advertised) = &kafka.advertised {
        return Ok(advertised.clone());
    }
    let bound = kafka.listener.local_addr().ok_or(StartError::NoAddress(index))?;
    if bound.ip().is_unspecified() {
        return Err(StartError::NoAdvertisedAddress(bound));
    }
    Ok(bound.into())
}

fn readiness_of(engine: Engine, shared: Arc<Shared>) -> Box<dyn Fn() -> Readiness + Send + Sync> {
    Box::new(move || match engine.readiness() {
        Readiness::Ready if shared.steps.not_ready.is_given() => Readiness::Stopping,
        readiness => readiness,
    })
}

/// A running server. Dropping it closes everything at once, answered or not.
pub struct ServerHandle {
    engine: Engine,
    shared: Arc<Shared>,
    drain_delay: Duration,
    local_addrs: Vec<Option<SocketAddr>>,
    http_addr: Option<SocketAddr>,
    advertised: Vec<Arc<Advertised>>,
    accepting: JoinSet<()>,
    _http: JoinSet<()>,
}

impl ServerHandle {
    /// The bound address of each Kafka listener, in the order given; `None` for one that has none.
    #[must_use]
    pub fn local_addrs(&self) -> &[Option<SocketAddr>] {
        &self.local_addrs
    }

    /// The bound address of the HTTP port.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// Changes the address that clients of one listener are told, from the next Metadata on. False: no such listener.
    pub fn set_advertised(&self, listener: usize, address: &HostPort) -> bool {
        match self.advertised.get(listener) {
            Some(advertised) => {
                advertised.set(address);
                true
            }
            None => false,
        }
    }

    /// Stops gracefully (design section 10): not ready, serves on for the drain delay, accepts nothing more, answers
    /// long polls, has the engine flush and commit, stops reading, answers everything read, closes. Takes at most
    /// `Limits::shutdown_max`; what is not answered by then is cut off. The engine is drained, not closed.
    pub async fn shutdown(mut self) {
        let start = self.shared.clock.now();
        let limits = &self.shared.limits;
        let deadline = start + limits.shutdown_max;
        self.shared.steps.not_ready.give();
        self.engine.set_stopping();
        sleep(self.drain_delay.min(limits.shutdown_max / 2)).await;
        self.shared.steps.drain.give();
        self.engine.interrupt_waits();
        // A store that does not answer must not take the time in which clients still can be told so.
        let drained_by = start + limits.shutdown_max.mul_f64(0.8);
        if timeout_at(drained_by, self.engine.drain()).await.is_err() {
            tracing::warn!("the engine could not flush in time");
        }
        self.shared.steps.stop.give();
        let ended = async { while self.accepting.join_next().await.is_some() {} };
        if timeout_at(deadline, ended).await.is_err() {
            tracing::warn!("connections were cut off: their answers were not taken in time");
        }
    }
}
