//! A gateway with its server, and a client that speaks any version of any API.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_embedded::{MemoryLog, MemoryObjectStore, MemoryOffsetsView};
use sluice_engine::{BlockCache, Defects, Engine, EngineParts, LruBlockCache, Settings};
use sluice_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use sluice_protocol::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use sluice_protocol::messages::metadata::{MetadataRequestTopic, MetadataResponseTopic};
use sluice_protocol::messages::produce::{PartitionProduceData, PartitionProduceResponse, TopicProduceData};
use sluice_protocol::messages::{CreateTopicsRequest, FetchRequest, MetadataRequest, MetadataResponse, ProduceRequest};
use sluice_protocol::{KString, Request, Uuid, decode_response, encode_request};
use sluice_records::{BatchBuilder, BatchHeader, records};
use sluice_runtime::{Connector, MemoryStream, SeededEntropy, SharedClock, TokioClock, memory_listener};
use sluice_server::{HostPort, KafkaListener, Limits, Listeners, Server, ServerConfig, ServerHandle};
use sluice_store::{
    FaultControl, Faults, FaultyLog, FaultyObjectStore, Incarnation, MetadataLog, ObjectStore, OperationFaults,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// One store that several gateways share.
pub(crate) struct Cluster {
    log: Arc<MemoryLog>,
    objects: Arc<MemoryObjectStore>,
    clock: SharedClock,
    seeds: u64,
}

pub(crate) struct Gateway {
    pub(crate) engine: Engine,
    pub(crate) server: ServerHandle,
    pub(crate) kafka: Connector,
    pub(crate) http: Connector,
    pub(crate) faults: Arc<FaultControl>,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let clock: SharedClock = Arc::new(TokioClock::starting_at(1_700_000_000_000));
        let objects = MemoryObjectStore::new(clock.clone());
        Self { log: MemoryLog::with_bodies_over(Incarnation(7), 256), objects, clock, seeds: 0 }
    }

    pub(crate) async fn gateway(&mut self) -> Gateway {
        self.gateway_with(Settings::default(), ServerConfig::default()).await
    }

    pub(crate) async fn gateway_with(&mut self, settings: Settings, config: ServerConfig) -> Gateway {
        self.seeds += 1;
        let faults = FaultControl::new(Faults::default(), Arc::new(SeededEntropy::new(1000 + self.seeds)));
        let limits = sluice_engine::Limits::default();
        let objects: Arc<dyn ObjectStore> = self.objects.clone();
        let log: Arc<dyn MetadataLog> = self.log.clone();
        let cache: Arc<dyn BlockCache> = LruBlockCache::new(limits.cache_bytes_max);
        let parts = EngineParts {
            objects: Arc::new(FaultyObjectStore::new(objects, faults.clone())),
            log: Arc::new(FaultyLog::new(log, faults.clone())),
            offsets_view: MemoryOffsetsView::new(),
            cache,
            limits,
            settings,
            clock: self.clock.clone(),
            entropy: Arc::new(SeededEntropy::new(self.seeds)),
            defects: Defects::default(),
        };
        let engine = Engine::start(parts, Duration::from_secs(10)).await.expect("the engine starts");
        let (kafka_listener, kafka) = memory_listener(64 << 10);
        let (http_listener, http) = memory_listener(64 << 10);
        let advertised = Some(HostPort { host: "broker.example".to_owned(), port: 19092 });
        let listeners = Listeners {
            kafka: vec![KafkaListener { listener: Box::new(kafka_listener), advertised }],
            http: Some(Box::new(http_listener)),
        };
        let server = Server::start(engine.clone(), self.clock.clone(), config, listeners).expect("the server starts");
        Gateway { engine, server, kafka, http, faults }
    }
}

/// Every request to the log is refused from now on.
pub(crate) fn log_is_down() -> Faults {
    let refused = OperationFaults { refused_per_mille: 1000, ..OperationFaults::default() };
    Faults { log_read: refused, append: refused, stage: refused, ..Faults::default() }
}

pub(crate) fn limited(limits: Limits) -> ServerConfig {
    ServerConfig { limits, ..ServerConfig::default() }
}

pub(crate) async fn gateway() -> Gateway {
    Cluster::new().gateway().await
}

impl Gateway {
    pub(crate) async fn client(&self) -> Client {
        Client::new(self.kafka.connect().await.unwrap())
    }

    /// The body of an HTTP answer with status 200.
    pub(crate) async fn metrics(&self) -> String {
        let (status, body) = http_get(&self.http, "/metrics").await;
        assert_eq!(status, 200);
        body
    }
}

/// Status and body.
pub(crate) async fn http_get(http: &Connector, path: &str) -> (u16, String) {
    let mut stream = http.connect().await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A Kafka client without any convenience.
pub(crate) struct Client {
    pub(crate) stream: MemoryStream,
    last_id: i32,
}

impl Client {
    pub(crate) fn new(stream: MemoryStream) -> Self {
        Self { stream, last_id: 100 }
    }

    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) -> i32 {
        // Ids that are not the obvious ones, so that an answer that makes them up is seen (known issue 2).
        self.last_id = self.last_id.wrapping_mul(31).wrapping_add(7);
        let frame = encode_request(self.last_id, Some("test"), version, request).unwrap();
        self.stream.write_all(&frame.to_bytes()).await.unwrap();
        self.last_id
    }

    pub(crate) async fn receive<R: Request>(&mut self, version: i16) -> (i32, R::Response) {
        let len = self.stream.read_u32().await.expect("an answer");
        let mut frame = vec![0; len as usize];
        self.stream.read_exact(&mut frame).await.unwrap();
        decode_response::<R>(&Bytes::from(frame), version).expect("an answer that can be read")
    }

    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        let sent = self.send(version, request).await;
        let (received, response) = self.receive::<R>(version).await;
        assert_eq!(received, sent, "known issue 2: the correlation id of {} {version}", R::KEY);
        response
    }

    pub(crate) async fn send_raw(&mut self, body: &[u8]) {
        let len = i32::try_from(body.len()).unwrap();
        self.stream.write_all(&[&len.to_be_bytes(), body].concat()).await.unwrap();
    }

    /// What comes until the server closes.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let read = timeout(Duration::from_secs(120), self.stream.read_to_end(&mut rest)).await;
        read.expect("the server closes the connection").unwrap();
        rest
    }

    pub(crate) async fn describe(&mut self, version: i16, names: &[&str]) -> MetadataResponse {
        let topics = names
            .iter()
            .map(|name| MetadataRequestTopic { name: Some(KString::from(*name)), ..MetadataRequestTopic::default() });
        let request = MetadataRequest { topics: Some(topics.collect()), ..MetadataRequest::default() };
        self.call(version, &request).await
    }

    /// Creates a topic with so many partitions; its id.
    pub(crate) async fn create(&mut self, name: &str, partitions: i32) -> Uuid {
        let topic = CreatableTopic {
            name: KString::from(name),
            num_partitions: partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        let response = self.call(7, &request).await;
        assert!(response.topics[0].error_code.is_none(), "{response:?}");
        response.topics[0].topic_id
    }

    pub(crate) async fn topic(&mut self, version: i16, name: &str) -> MetadataResponseTopic {
        self.describe(version, &[name]).await.topics.remove(0)
    }

    pub(crate) async fn produce(&mut self, version: i16, topic: &Topic, records: Bytes) -> PartitionProduceResponse {
        let mut response = self.call(version, &produce_request(version, topic, 0, Some(records))).await;
        response.responses.remove(0).partition_responses.remove(0)
    }

    pub(crate) async fn fetch(&mut self, version: i16, topic: &Topic, offset: i64) -> PartitionData {
        let mut response = self.call(version, &fetch_request(version, topic, 0, offset)).await;
        assert!(response.error_code.is_none());
        response.responses.remove(0).partitions.remove(0)
    }
}

/// A topic as requests name it: by name, or by id where the version does.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) name: &'static str,
    pub(crate) id: Uuid,
}

impl Topic {
    pub(crate) async fn new(client: &mut Client, name: &'static str) -> Self {
        Self { name, id: client.create(name, 2).await }
    }

    /// One of two partitions that sets these configs.
    pub(crate) async fn with(
        client: &mut Client,
        name: &'static str,
        configs: &[(&'static str, &'static str)],
    ) -> Self {
        let config = |(name, value): &(&'static str, &'static str)| CreatableTopicConfig {
            name: KString::from_static(name),
            value: Some(KString::from_static(value)),
        };
        let topic = CreatableTopic {
            name: KString::from_static(name),
            num_partitions: 2,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        let response = client.call(7, &request).await;
        assert!(response.topics[0].error_code.is_none(), "{response:?}");
        Self { name, id: response.topics[0].topic_id }
    }
}

pub(crate) fn produce_request(version: i16, topic: &Topic, partition: i32, records: Option<Bytes>) -> ProduceRequest {
    let by_id = version >= 13;
    let partition_data = vec![PartitionProduceData { index: partition, records }];
    let topic_data = TopicProduceData {
        name: if by_id { KString::new() } else { KString::from(topic.name) },
        topic_id: if by_id { topic.id } else { Uuid::nil() },
        partition_data,
    };
    ProduceRequest { acks: -1, timeout_ms: 30_000, topic_data: vec![topic_data], ..ProduceRequest::default() }
}

pub(crate) fn fetch_request(version: i16, topic: &Topic, partition: i32, offset: i64) -> FetchRequest {
    let by_id = version >= 13;
    let asked =
        FetchPartition { partition, fetch_offset: offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic = FetchTopic {
        topic: if by_id { KString::new() } else { KString::from(topic.name) },
        topic_id: if by_id { topic.id } else { Uuid::nil() },
        partitions: vec![asked],
    };
    FetchRequest { min_bytes: 1, topics: vec![topic], ..FetchRequest::default() }
}

/// A batch of records with these values and timestamps 1000, 1001, …
pub(crate) fn batch(values: &[&str]) -> Bytes {
    let mut builder = BatchBuilder::new();
    for (timestamp, value) in (1000..).zip(values) {
        builder.push(timestamp, None, Some(value.as_bytes()), &[]);
    }
    builder.build().unwrap()
}

/// Offsets and values, read from the bytes alone.
pub(crate) fn values(partition: &PartitionData) -> Vec<(i64, String)> {
    let mut bytes = partition.records.as_ref().expect("records are never null").to_bytes();
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let header = BatchHeader::parse(&bytes).unwrap();
        let one = bytes.split_to(header.total_len());
        for record in records(&one, 1 << 20).unwrap() {
            let record = record.unwrap();
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            values.push((header.base_offset + i64::from(record.offset_delta), value));
        }
    }
    values
}
