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
    /// Bounds of the wire side; the time of a graceful stop is not taken from here.
    pub wire: sluice_server::Limits,
}

impl Default for GatewayConfig {
    fn default() -> Self {
        Self {
            node_id: 1,
            advertise: None,
            drain_delay: Duration::ZERO,
            limits: Limits::default(),
            settings: Settings::default(),
            wire: sluice_server::Limits::default(),
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
    let advertised = config
        .advertise
        .or_else(|| bound.clone())
        .context("the listener has no address of its own: one must be advertised")?;
    let parts = EngineParts {
        objects: stores.objects.clone(),
        log: stores.log.clone(),
        offsets_view: stores.offsets.clone(),
        cache: MokaBlockCache::new(config.limits.cache_bytes_max),
        limits: config.limits,
        settings: broker_settings(config.settings, &config.wire, config.node_id, bound.as_ref(), &advertised),
        clock: stores.clock.clone(),
        entropy: stores.entropy.clone(),
        defects: Defects::default(),
    };
    let engine = Engine::start(parts, START_TIMEOUT).await.context("the gateway cannot start")?;
    let server_config = ServerConfig {
        node_id: config.node_id,
        drain_delay: config.drain_delay,
        limits: sluice_server::Limits { shutdown_max: SERVER_STOP, ..config.wire },
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

/// The settings with what is known only here, under Kafka's names.
fn broker_settings(
    settings: Settings,
    wire: &sluice_server::Limits,
    node_id: i32,
    bound: Option<&HostPort>,
    advertised: &HostPort,
) -> Settings {
    let on_port = |addr: &HostPort| format!("PLAINTEXT://{addr}");
    let mut statics = settings.statics;
    statics.insert("advertised.listeners", on_port(advertised));
    statics.insert("listeners", on_port(bound.unwrap_or(advertised)));
    statics.insert("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT".to_owned());
    statics.insert("connections.max.idle.ms", wire.idle_timeout.as_millis().to_string());
    statics.insert("socket.request.max.bytes", wire.frame_bytes_max.to_string());
    statics.insert("fetch.max.bytes", wire.fetch_bytes_max.to_string());
    Settings { name: advertised.to_string(), node_id, statics, ..settings }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sluice_protocol::messages::fetch::{FetchPartition, FetchTopic};
    use sluice_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
    use sluice_protocol::messages::{FetchRequest, ProduceRequest};
    use sluice_protocol::{Bytes, Request, decode_response, encode_request};
    use sluice_runtime::{OsEntropy, SystemClock};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::stores::{StoreConfig, open_stores};

    async fn call<R: Request>(gateway: &Gateway, version: i16, request: &R) -> R::Response {
        let mut stream = TcpStream::connect(gateway.kafka_addr().unwrap()).await.unwrap();
        stream.write_all(&encode_request(1, None, version, request).unwrap().to_bytes()).await.unwrap();
        let mut answer = vec![0; usize::try_from(stream.read_i32().await.unwrap()).unwrap()];
        stream.read_exact(&mut answer).await.unwrap();
        decode_response::<R>(&Bytes::from(answer), version).unwrap().1
    }

    async fn produce(gateway: &Gateway, value: &[u8]) -> i64 {
        let mut batch = sluice_records::BatchBuilder::new();
        batch.push(1, None, Some(value), &[]);
        let partition = PartitionProduceData { index: 0, records: Some(batch.build().unwrap()) };
        let topic = TopicProduceData { name: "t".into(), partition_data: vec![partition], ..Default::default() };
        let request = ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic], ..Default::default() };
        let partition = &call(gateway, 9, &request).await.responses[0].partition_responses[0];
        assert_eq!(i16::from(partition.error_code), 0);
        partition.base_offset
    }

    async fn fetch(gateway: &Gateway, offset: i64) -> Vec<u8> {
        let partition = FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..Default::default() };
        let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
        let request = FetchRequest { max_wait_ms: 10_000, min_bytes: 1, topics: vec![topic], ..Default::default() };
        let partition = &call(gateway, 12, &request).await.responses[0].partitions[0];
        assert_eq!(i16::from(partition.error_code), 0);
        partition.records.as_ref().map(|records| records.to_bytes().to_vec()).unwrap_or_default()
    }

    async fn two_over(store: &StoreConfig) -> [Gateway; 2] {
        let stores = open_stores(store, Arc::new(SystemClock), Arc::new(OsEntropy)).await.unwrap();
        let start = async || {
            let kafka = TcpAcceptor::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            start_gateway(&stores, GatewayConfig::default(), Listeners::tcp(kafka, None)).await.unwrap()
        };
        [start().await, start().await]
    }

    fn holds(found: &[u8], wanted: &[u8]) -> bool {
        found.windows(wanted.len()).any(|part| part == wanted)
    }

    /// Holds: I-06, I-02
    #[tokio::test]
    async fn any_gateway_of_a_process_serves_what_another_one_took() {
        let dir = tempfile::tempdir().unwrap();
        for store in [StoreConfig::Memory, StoreConfig::Disk { dir: dir.path().join("data"), create: true }] {
            let [a, b] = two_over(&store).await;
            assert_ne!(a.kafka_addr(), b.kafka_addr());
            assert_eq!(a.engine().cluster_id(), b.engine().cluster_id());
            assert_eq!(produce(&a, b"first").await, 0);
            assert_eq!(produce(&b, b"second").await, 1);
            for gateway in [&a, &b] {
                assert!(holds(&fetch(gateway, 0).await, b"first"), "{store:?}");
                assert!(holds(&fetch(gateway, 1).await, b"second"), "{store:?}");
            }
            // One leaves, in order or not; the other one goes on.
            drop(a);
            assert_eq!(produce(&b, b"third").await, 2);
            b.shutdown().await;
        }
    }

    #[tokio::test]
    async fn a_listener_without_an_address_needs_an_advertised_one() {
        let stores = open_stores(&StoreConfig::Memory, Arc::new(SystemClock), Arc::new(OsEntropy)).await.unwrap();
        let (listener, _connector) = sluice_runtime::memory_listener(1_024);
        let listeners = Listeners { kafka: Box::new(listener), http: None };
        let error = start_gateway(&stores, GatewayConfig::default(), listeners).await.err().unwrap();
        assert!(error.to_string().contains("advertised"), "{error}");
    }
}
