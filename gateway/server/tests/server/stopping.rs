//! The graceful stop (design section 10).

use std::time::Duration;

use sluice_engine::Settings;
use sluice_protocol::messages::{ApiVersionsRequest, FetchRequest, ProduceRequest};
use sluice_runtime::{SystemClock, TcpAcceptor};
use sluice_server::{KafkaListener, Listeners, Server, ServerConfig, StartError};
use tokio::time::Instant;

use crate::support::{Cluster, Topic, batch, fetch_request, gateway, http_get, log_is_down, produce_request, values};

/// Long polls, records on their way, requests just sent: all are answered; then FIN, and nobody new gets in.
#[tokio::test(start_paused = true)]
async fn everything_read_is_answered_before_the_end() {
    let gateway = gateway().await;
    let mut poller = gateway.client().await;
    let mut writer = gateway.client().await;
    let mut idle = gateway.client().await;
    let topic = Topic::new(&mut writer, "t").await;
    let empty = Topic::new(&mut writer, "empty").await;
    idle.call(0, &ApiVersionsRequest::default()).await;
    let waiting = FetchRequest { max_wait_ms: 50_000, ..fetch_request(12, &empty, 0, 0) };
    poller.send(12, &waiting).await;
    let mut sent = Vec::new();
    for _ in 0..5 {
        sent.push(writer.send(9, &produce_request(9, &topic, 0, Some(batch(&["a"])))).await);
    }
    // All were read, none is settled.
    while !gateway.metrics().await.contains("sluice_requests_total{api=\"Produce\",version=\"9\"} 5") {
        tokio::task::yield_now().await;
    }
    let start = Instant::now();
    let engine = gateway.engine.clone();
    gateway.server.shutdown().await;
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());

    let (_, polled) = poller.receive::<FetchRequest>(12).await;
    assert!(polled.responses[0].partitions[0].error_code.is_none());
    assert!(poller.rest().await.is_empty());
    for (offset, id) in (0..).zip(sent) {
        let (received, response) = writer.receive::<ProduceRequest>(9).await;
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!((received, partition.error_code.as_i16(), partition.base_offset), (id, 0, offset));
    }
    assert!(writer.rest().await.is_empty());
    assert!(idle.rest().await.is_empty());
    assert!(gateway.kafka.connect().await.is_err(), "the listener is gone");
    engine.close(Duration::from_secs(5)).await;
}

/// During the drain delay it says "not ready", and serves.
#[tokio::test(start_paused = true)]
async fn a_stopping_gateway_is_not_ready_but_serves() {
    let config = ServerConfig { drain_delay: Duration::from_secs(5), ..ServerConfig::default() };
    let gateway = Cluster::new().gateway_with(Settings::default(), config).await;
    assert_eq!(http_get(&gateway.http, "/readyz").await.0, 200);
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let start = Instant::now();
    let (http, kafka) = (gateway.http.clone(), gateway.kafka.clone());
    let stopping = tokio::spawn(gateway.server.shutdown());
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (status, body) = http_get(&http, "/readyz").await;
    assert_eq!((status, body.trim()), (503, "stopping"));
    assert_eq!(http_get(&http, "/livez").await.0, 200);
    assert_eq!(client.produce(9, &topic, batch(&["a"])).await.base_offset, 0);
    assert_eq!(values(&client.fetch(12, &topic, 0).await).len(), 1);
    assert!(kafka.connect().await.is_ok(), "new connections are served, too");
    stopping.await.unwrap();
    assert!((5.0..8.0).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
}

/// A store that does not answer does not hold the stop beyond its bound, and records in doubt are not told as settled.
#[tokio::test(start_paused = true)]
async fn a_store_that_is_down_does_not_hold_the_stop() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    client.produce(9, &topic, batch(&["a"])).await;
    gateway.faults.set_faults(log_is_down());
    client.send(9, &produce_request(9, &topic, 0, Some(batch(&["b"])))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut late = gateway.client().await;
    late.call(0, &ApiVersionsRequest::default()).await;
    let start = Instant::now();
    let stopping = tokio::spawn(gateway.server.shutdown());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let refused = late.produce(9, &topic, batch(&["c"])).await;
    assert_eq!(refused.error_code.as_i16(), 19, "what comes while the engine drains did not happen");
    stopping.await.unwrap();
    assert!(start.elapsed() <= Duration::from_secs(25), "it took {:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_listener_on_every_address_needs_an_advertised_one() {
    let engine = gateway().await.engine;
    let acceptor = TcpAcceptor::bind("0.0.0.0:0".parse().unwrap()).await.unwrap();
    let listeners =
        Listeners { kafka: vec![KafkaListener { listener: Box::new(acceptor), advertised: None }], http: None };
    let clock = std::sync::Arc::new(SystemClock);
    let started = Server::start(engine, clock, ServerConfig::default(), listeners);
    assert!(matches!(started.err(), Some(StartError::NoAdvertisedAddress(_))));
}

#[tokio::test]
async fn the_bound_address_is_advertised_by_default_over_tcp() {
    let engine = gateway().await.engine;
    let acceptor = TcpAcceptor::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let listeners =
        Listeners { kafka: vec![KafkaListener { listener: Box::new(acceptor), advertised: None }], http: None };
    let clock = std::sync::Arc::new(SystemClock);
    let server = Server::start(engine, clock, ServerConfig::default(), listeners).unwrap();
    let addr = server.local_addrs()[0].unwrap();
    let answer = tcp_metadata(addr).await;
    assert_eq!((&*answer.brokers[0].host, answer.brokers[0].port), ("127.0.0.1", i32::from(addr.port())));
    server.shutdown().await;
    assert!(tokio::net::TcpStream::connect(addr).await.is_err(), "the port is free again");
}

async fn tcp_metadata(addr: std::net::SocketAddr) -> sluice_protocol::messages::MetadataResponse {
    use sluice_protocol::messages::MetadataRequest;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(addr).await.unwrap();
    let request = sluice_protocol::encode_request(5, None, 12, &MetadataRequest::default()).unwrap();
    stream.write_all(&request.to_bytes()).await.unwrap();
    let len = stream.read_u32().await.unwrap();
    let mut frame = vec![0; len as usize];
    stream.read_exact(&mut frame).await.unwrap();
    sluice_protocol::decode_response::<MetadataRequest>(&frame.into(), 12).unwrap().1
}
