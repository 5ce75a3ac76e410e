//! The composition root: one gateway, made of an engine and a server, over stores that are already open.
//!
//! Promises: several gateways in one process over the same [`Stores`] are as independent as several processes: each has
//! its own State, session, cache and listeners. Never: opens a store or a socket. Called by [`crate::run`] and by tests.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use sluice_engine::{Defects, Engine, EngineParts, Limits, MokaBlockCache, Settings};
use sluice_runtime::{Listener, TcpAcceptor};
use sluice_server::{KafkaListener, Server, ServerConfig, ServerHandle};

use crate::config::HostPort;
use crate::stores::Stores;

/// Longest that replaying the log and opening a session takes. The store was reached just before, so that this bounds a
/// long log, not a missing store.
const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest that connections and the flush take to end, drain delay included …
const SERVER_STOP: Duration = Duration::from_secs(22);
/// … and the close of the session after them: together under the 25 s of a graceful stop.
const SESSION_CLOSE: Duration = Duration::from_secs(2);

/// What a gateway is told.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayConfig {
    /// The one broker id that clients see.
    pub node_id: i32,
    /// The address that clients are told; `None` takes the listener's own.
    pub advertise: Option<HostPort>,
    /// How long a stopping gateway goes on serving after it reported itself not ready.
    pub drain_delay: Duration,
    /// Bounds of the engine.
    pub limits: Limits,
    /// Settings of the engine; its name becomes the advertised address.
    pub settings: Settings,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            node_id: 1,
            advertise: None,
            drain_delay: Duration::ZERO,
            limits: Limits::default(),
            settings: Settings::default(),
        }
    }
}

/// The sockets of a gateway, already bound.
pub struct Listeners {
    /// Where Kafka clients connect.
    pub kafka: Box<dyn Listener>,
    /// Where HTTP is served, if anywhere.
    pub http: Option<Box<dyn Listener>>,
}

impl Listeners {
    /// Over TCP.
    #[must_use]
    pub fn tcp(kafka: TcpAcceptor, http: Option<TcpAcceptor>) -> Self {
        Self { kafka: Box::new(kafka), http: http.map(|listener| Box::new(listener) as Box<dyn Listener>) }
    }
}

/// A running gateway. Dropped, it ends as by a crash: nothing is flushed, and its session stays open until it expires.
pub struct Gateway {
    engine: Engine,
    /// Taken by `shutdown`.
    server: Option<ServerHandle>,
    kafka_addr: Option<SocketAddr>,
    http_addr: Option<SocketAddr>,
    advertised: HostPort,
}

/// Starts a gateway: replays the log, opens a session, serves the listeners.
///
/// # Errors
/// One line: what in the store this build cannot go on with, or that it did not answer in time.
pub async fn start_gateway(stores: &Stores, config: GatewayConfig, listeners: Listeners) -> anyhow::Result<Gateway> {
    let bound = listeners.kafka.local_addr().map(HostPort::from);
    let advertised =
        config.advertise.or(bound).context("the listener has no address of its own: one must be advertised")?;
    let parts = EngineParts {
        objects: stores.objects.clone(),
        log: stores.log.clone(),
        cache: MokaBlockCache::new(config.limits.cache_bytes_max),
        limits: config.limits,
        settings: Settings { name: advertised.to_string(), ..config.settings },
        clock: stores.clock.clone(),
        entropy: stores.entropy.clone(),
        defects: Defects::default(),
    };
    let engine = Engine::start(parts, START_TIMEOUT).await.context("the gateway cannot start")?;
    let server_config = ServerConfig {
        node_id: config.node_id,
        drain_delay: config.drain_delay,
        limits: sluice_server::Limits { shutdown_max: SERVER_STOP, ..sluice_server::Limits::default() },
    };
    let told = sluice_server::HostPort { host: advertised.host.clone(), port: advertised.port };
    let listeners = sluice_server::Listeners {
        kafka: vec![KafkaListener { listener: listeners.kafka, advertised: Some(told) }],
        http: listeners.http,
    };
    let server = Server::start(engine.clone(), stores.clock.clone(), server_config, listeners);
    let server = server.inspect_err(|_| engine.abort())?;
    let kafka_addr = server.local_addrs().first().copied().flatten();
    Ok(Gateway { kafka_addr, http_addr: server.http_addr(), advertised, server: Some(server), engine })
}

impl Gateway {
    /// Where Kafka clients connect; `None` for a listener that is no socket.
    #[must_use]
    pub fn kafka_addr(&self) -> Option<SocketAddr> {
        self.kafka_addr
    }

    /// Where HTTP is served.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.http_addr
    }

    /// The address that clients are told.
    #[must_use]
    pub fn advertised(&self) -> &HostPort {
        &self.advertised
    }

    /// The engine, for tests that look behind the wire.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Resolves when the gateway met what it must not go on after (L9, L11, I-12); says what. The caller ends it.
    pub async fn failed(&self) -> String {
        self.engine.failed().await
    }

    /// Stops gracefully: serves on for the drain delay, answers everything read, makes everything accepted durable,
    /// closes the session. Takes at most 25 s.
    pub async fn shutdown(mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown().await;
        }
        self.engine.close(SESSION_CLOSE).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Harmless after a shutdown, which has ended the engine's tasks already.
        self.engine.abort();
    }
}
