//! Frames and headers that are not what they should be, and what is outside the table.

use proptest::prelude::*;
use sluice_protocol::messages::{ApiVersionsRequest, MetadataRequest};
use sluice_protocol::{ApiKey, decode_response, encode_request};
use sluice_server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Cluster, Gateway, batch, gateway, limited, produce_request};

/// What is served, written down once more: the test must not read the table it tests.
const SERVED: [(i16, i16, i16); 33] = [
    (0, 0, 13),
    (1, 0, 18),
    (2, 0, 11),
    (3, 0, 13),
    (8, 0, 10),
    (9, 0, 10),
    (10, 0, 6),
    (11, 0, 9),
    (12, 0, 4),
    (13, 0, 5),
    (14, 0, 5),
    (15, 0, 6),
    (16, 0, 5),
    (18, 0, 4),
    (19, 0, 7),
    (20, 0, 6),
    (21, 0, 2),
    (22, 0, 5),
    (23, 0, 4),
    (32, 0, 4),
    (33, 0, 2),
    (35, 0, 5),
    (37, 0, 3),
    (42, 0, 2),
    (43, 0, 2),
    (44, 0, 1),
    (45, 0, 1),
    (46, 0, 0),
    (47, 0, 0),
    (60, 0, 2),
    (61, 0, 0),
    (74, 0, 1),
    (75, 0, 0),
];

fn header(key: i16, version: i16, id: i32) -> Vec<u8> {
    [&key.to_be_bytes()[..], &version.to_be_bytes(), &id.to_be_bytes(), &(-1_i16).to_be_bytes()].concat()
}

async fn count_of(gateway: &Gateway, reason: &str) -> usize {
    let metrics = gateway.metrics().await;
    let start = format!("sluice_connections_closed_total{{reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&start)).expect("the counter is there");
    line.parse().unwrap()
}

/// I-08: outside the table nothing reaches a handler, for any key and version; each is counted by its reason.
#[tokio::test(start_paused = true)]
async fn what_is_outside_the_table_closes_the_connection() {
    let gateway = gateway().await;
    let (mut unknown, mut unsupported, mut unreadable) = (0, 0, 0);
    for key in -2..=100 {
        for version in [-1_i16, 0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 18, 19, 127, i16::MAX, i16::MIN] {
            // ApiVersions is answered in any version, and before version 3 a ListGroups has no body that could be missing.
            if key == 18 || (key == 16 && (0..3).contains(&version)) {
                continue;
            }
            let mut client = gateway.client().await;
            // The body is missing, so that a handler that was reached could not read it.
            client.send_raw(&header(key, version, 1)).await;
            assert!(client.rest().await.is_empty(), "key {key} version {version} was answered");
            match SERVED.iter().find(|row| row.0 == key) {
                None => unknown += 1,
                Some((_, min, max)) if !(*min..=*max).contains(&version) => unsupported += 1,
                Some(_) => unreadable += 1,
            }
        }
    }
    assert_eq!(count_of(&gateway, "unknown_api").await, unknown);
    assert_eq!(count_of(&gateway, "unsupported_version").await, unsupported);
    assert_eq!(count_of(&gateway, "unreadable").await, unreadable);
}

/// KIP-511: a client that is too new is told, in a layout that every client reads, what to come back with.
#[tokio::test(start_paused = true)]
async fn an_unknown_version_of_api_versions_is_answered_in_version_0() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in [5, 127, i16::MAX, -1] {
        client.send_raw(&[&header(18, version, 4711)[..], &[0xff; 40]].concat()).await;
        let (id, response) = client.receive::<ApiVersionsRequest>(0).await;
        assert_eq!((id, response.error_code.as_i16()), (4711, 35));
        let only = &response.api_keys[..];
        assert_eq!(only.len(), 1);
        assert_eq!((only[0].api_key, only[0].min_version, only[0].max_version), (18, 0, 4));
    }
    assert!(client.call(0, &ApiVersionsRequest::default()).await.error_code.is_none(), "the connection goes on");
}

/// I-09: a frame cut anywhere, its length right, closes its connection; another one does not notice.
#[tokio::test(start_paused = true)]
async fn truncated_requests_close_their_connection_alone() {
    let gateway = gateway().await;
    let mut neighbour = gateway.client().await;
    let topic = crate::support::Topic::new(&mut neighbour, "t").await;
    let request = encode_request(1, Some("c"), 9, &produce_request(9, &topic, 0, Some(batch(&["a"])))).unwrap();
    let frame = request.to_bytes();
    for len in 0..frame.len() - 4 {
        let mut client = gateway.client().await;
        client.send_raw(&frame[4..4 + len]).await;
        assert!(client.rest().await.is_empty(), "cut at {len}");
    }
    assert_eq!(count_of(&gateway, "unreadable").await, frame.len() - 4);
    assert_eq!(neighbour.produce(9, &topic, batch(&["b"])).await.base_offset, 0, "something was stored");
}

#[test]
fn garbage_never_hangs_or_panics() {
    let config = ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() };
    let strategy = (0..48_i16, 0..19_i16, prop::collection::vec(any::<u8>(), 0..300));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let gateway = runtime.block_on(gateway());
    proptest!(config, |((key, version, body) in strategy)| {
        runtime.block_on(async {
            let mut client = gateway.client().await;
            client.send_raw(&[&header(key, version, 7)[..], &body].concat()).await;
            client.stream.shutdown().await.unwrap();
            // An answer or none: the end comes either way.
            client.rest().await;
        });
    });
    runtime.block_on(async {
        assert_eq!(count_of(&gateway, "panicked").await, 0);
        assert_eq!(count_of(&gateway, "answer_failed").await, 0, "an answer that could not be encoded");
    });
}

#[tokio::test(start_paused = true)]
async fn one_byte_at_a_time_is_answered() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in [0, 9, 13] {
        let topics = Some(Vec::new());
        let request = MetadataRequest { topics, ..MetadataRequest::default() };
        for byte in encode_request(version.into(), Some("slow"), version, &request).unwrap().to_bytes() {
            client.stream.write_all(&[byte]).await.unwrap();
            tokio::task::yield_now().await;
        }
        let (id, _) = client.receive::<MetadataRequest>(version).await;
        assert_eq!(id, i32::from(version));
    }
}

#[tokio::test(start_paused = true)]
async fn many_requests_in_one_write_are_all_answered() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let requests: Vec<u8> = (0..1000)
        .flat_map(|id| encode_request(id, None, 0, &ApiVersionsRequest::default()).unwrap().to_bytes())
        .collect();
    let (mut reading, mut writing) = tokio::io::split(client.stream);
    let write = writing.write_all(&requests);
    let read = async {
        for id in 0..1000 {
            let len = reading.read_u32().await.unwrap();
            let mut frame = vec![0; len as usize];
            reading.read_exact(&mut frame).await.unwrap();
            assert_eq!(decode_response::<ApiVersionsRequest>(&frame.into(), 0).unwrap().0, id);
        }
    };
    let (written, ()) = tokio::join!(write, read);
    written.unwrap();
    client = gateway.client().await;
    assert!(client.call(0, &ApiVersionsRequest::default()).await.error_code.is_none());
}

/// I-14: the bound on connections holds, and who waits is served when one closes.
#[tokio::test(start_paused = true)]
async fn no_more_connections_are_served_than_the_bound() {
    let limits = Limits { connections_max: 2, ..Limits::default() };
    let gateway = Cluster::new().gateway_with(sluice_engine::Settings::default(), limited(limits)).await;
    let mut first = gateway.client().await;
    let mut second = gateway.client().await;
    let mut third = gateway.client().await;
    let request = ApiVersionsRequest::default();
    first.call(0, &request).await;
    second.call(0, &request).await;
    third.send(0, &request).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert!(gateway.metrics().await.contains("sluice_connections 2\n"));
    drop(first);
    let (_, response) = third.receive::<ApiVersionsRequest>(0).await;
    assert!(response.error_code.is_none());
}

/// A listener out of file descriptors, for a while.
struct Failing {
    failures: usize,
    inner: sluice_runtime::MemoryListener,
}

#[async_trait::async_trait]
impl sluice_runtime::Listener for Failing {
    async fn accept(&mut self) -> std::io::Result<sluice_runtime::Accepted> {
        match self.failures.checked_sub(1) {
            Some(left) => {
                self.failures = left;
                Err(std::io::Error::other("too many open files"))
            }
            None => self.inner.accept().await,
        }
    }

    fn local_addr(&self) -> Option<std::net::SocketAddr> {
        Some("127.0.0.1:9".parse().unwrap())
    }
}

#[tokio::test(start_paused = true)]
async fn accepts_that_fail_do_not_end_the_listeners() {
    let Gateway { engine, .. } = gateway().await;
    let failing = |failures| {
        let (inner, connector) = sluice_runtime::memory_listener(1 << 16);
        (Box::new(Failing { failures, inner }), connector)
    };
    let ((kafka_listener, kafka), (http_listener, http)) = (failing(20), failing(20));
    let listeners = sluice_server::Listeners {
        kafka: vec![sluice_server::KafkaListener { listener: kafka_listener, advertised: None }],
        http: Some(http_listener),
    };
    let clock = std::sync::Arc::new(sluice_runtime::SystemClock);
    let server =
        sluice_server::Server::start(engine, clock, sluice_server::ServerConfig::default(), listeners).unwrap();
    assert_eq!(crate::support::http_get(&http, "/livez").await.0, 200);
    let mut client = crate::support::Client::new(kafka.connect().await.unwrap());
    assert!(client.call(0, &ApiVersionsRequest::default()).await.error_code.is_none());
    server.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_happened_is_counted() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.call(0, &ApiVersionsRequest::default()).await;
    client.call(1, &ApiVersionsRequest::default()).await;
    client.call(1, &ApiVersionsRequest::default()).await;
    client.send_raw(&header(18, 99, 1)).await;
    client.receive::<ApiVersionsRequest>(0).await;
    let metrics = gateway.metrics().await;
    let name = ApiKey::ApiVersions;
    for line in [
        format!("sluice_requests_total{{api=\"{name}\",version=\"0\"}} 1"),
        format!("sluice_requests_total{{api=\"{name}\",version=\"1\"}} 2"),
        format!("sluice_request_seconds_count{{api=\"{name}\"}} 4"),
        "sluice_connections 1".to_owned(),
        "sluice_connections_accepted_total 1".to_owned(),
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line} is not in\n{metrics}");
    }
    assert!(!metrics.contains("sluice_bytes_sent_total 0\n") && !metrics.contains("sluice_bytes_received_total 0\n"));
}
