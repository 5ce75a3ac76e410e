//! A Kafka client that says exactly the bytes it is told to.
//!
//! Promises: nothing is retried, reordered or checked; every read and write ends by [`DEADLINE`]. The named requests at
//! the end are the ones that several suites send.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use sluice_protocol::messages::create_topics::CreatableTopic;
use sluice_protocol::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::produce::{PartitionProduceData, PartitionProduceResponse, TopicProduceData};
use sluice_protocol::messages::{CreateTopicsRequest, FetchRequest, ListOffsetsRequest, ProduceRequest};
use sluice_protocol::{ErrorCode, KString, Request, decode_response, encode_request};

/// Longest that one read or write takes.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A connection.
#[derive(Debug)]
pub struct RawClient {
    stream: TcpStream,
    correlation_id: i32,
}

impl RawClient {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    #[must_use]
    pub fn connect(addr: SocketAddr) -> Self {
        Self::try_connect(addr).expect("connect")
    }

    /// Connects, where somebody may not listen.
    ///
    /// # Errors
    /// When nobody does.
    pub fn try_connect(addr: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, DEADLINE)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, correlation_id: 100 })
    }

    /// Writes bytes as they are.
    ///
    /// # Errors
    /// When the other side has closed.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be written.
    pub fn finish_writing(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads one frame, without its length; `None` when the other side has closed instead.
    ///
    /// # Panics
    /// When nothing comes before the deadline: neither an answer nor an end.
    pub fn read_frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        if !self.read_exact(&mut length) {
            return None;
        }
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).expect("a length that is not negative")];
        self.read_exact(&mut frame).then(|| frame.into())
    }

    fn read_exact(&mut self, bytes: &mut [u8]) -> bool {
        match self.stream.read_exact(bytes) {
            Ok(()) => true,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                panic!("neither an answer nor an end within {DEADLINE:?}")
            }
            Err(_) => false,
        }
    }

    /// True when the other side closes without another byte.
    pub fn is_closed(&mut self) -> bool {
        self.read_frame().is_none()
    }

    /// Sends a request and returns its correlation id.
    pub fn send<R: Request>(&mut self, version: i16, body: &R) -> i32 {
        self.correlation_id += 1;
        self.write(&frame(self.correlation_id, version, body)).expect("write a request");
        self.correlation_id
    }

    /// Reads the answer to a request of this kind and version: correlation id and body.
    pub fn receive<R: Request>(&mut self, version: i16) -> (i32, R::Response) {
        let frame = self.read_frame().expect("an answer, not the end of the connection");
        decode_response::<R>(&frame, version).expect("an answer that can be read")
    }

    /// Sends a request and reads its answer.
    ///
    /// # Panics
    /// When there is none, or it answers something else.
    pub fn request<R: Request>(&mut self, version: i16, body: &R) -> R::Response {
        let sent = self.send(version, body);
        let (received, response) = self.receive::<R>(version);
        assert_eq!(sent, received, "the answer to another request");
        response
    }

    /// Sends a request and reads its answer; `None` when the other side has closed instead.
    ///
    /// # Panics
    /// When the answer is to something else, or cannot be read.
    pub fn try_request<R: Request>(&mut self, version: i16, body: &R) -> Option<R::Response> {
        self.correlation_id += 1;
        self.write(&frame(self.correlation_id, version, body)).ok()?;
        let (received, response) = decode_response::<R>(&self.read_frame()?, version).expect("a readable answer");
        assert_eq!(self.correlation_id, received, "the answer to another request");
        Some(response)
    }

    /// Creates a topic; returns the error code.
    pub fn create_topic(&mut self, name: &str, partitions: i32) -> ErrorCode {
        let topic = CreatableTopic {
            name: KString::from(name),
            num_partitions: partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, validate_only: false };
        self.request(7, &request).topics[0].error_code
    }

    /// Sends one batch to one partition, acks all; returns that partition's block.
    pub fn produce(&mut self, topic: &str, partition: i32, batch: &Bytes) -> PartitionProduceResponse {
        let response = self.request(9, &produce_request(topic, partition, batch.clone()));
        response.responses[0].partition_responses[0].clone()
    }

    /// Reads one partition from an offset, waiting up to `max_wait_ms` for a first byte; returns its block.
    pub fn fetch(&mut self, topic: &str, partition: i32, offset: i64, max_wait_ms: i32) -> PartitionData {
        let response = self.request(12, &fetch_request(topic, partition, offset, max_wait_ms));
        response.responses[0].partitions[0].clone()
    }

    /// The offset that ListOffsets gives for a timestamp (−1: the end, −2: the start).
    pub fn list_offset(&mut self, topic: &str, partition: i32, timestamp: i64) -> Result<i64, ErrorCode> {
        let asked = ListOffsetsPartition { partition_index: partition, timestamp, ..ListOffsetsPartition::default() };
        let topic = ListOffsetsTopic { name: KString::from(topic), partitions: vec![asked] };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
        let answer = self.request(6, &request).topics[0].partitions[0].clone();
        if answer.error_code == ErrorCode::NONE { Ok(answer.offset) } else { Err(answer.error_code) }
    }
}

/// The bytes of a request with its length, header and body.
pub fn frame<R: Request>(correlation_id: i32, version: i16, body: &R) -> Vec<u8> {
    encode_request(correlation_id, Some("raw"), version, body)
        .expect("a request that can be written")
        .to_bytes()
        .to_vec()
}

/// A Produce of one batch to one partition, acks all.
#[must_use]
pub fn produce_request(topic: &str, partition: i32, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData { index: partition, records: Some(batch) };
    let topic =
        TopicProduceData { name: KString::from(topic), partition_data: vec![data], ..TopicProduceData::default() };
    ProduceRequest { acks: -1, timeout_ms: 20_000, topic_data: vec![topic], ..ProduceRequest::default() }
}

/// A Fetch of one partition.
#[must_use]
pub fn fetch_request(topic: &str, partition: i32, offset: i64, max_wait_ms: i32) -> FetchRequest {
    let asked =
        FetchPartition { partition, fetch_offset: offset, partition_max_bytes: 16 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic: KString::from(topic), partitions: vec![asked], ..FetchTopic::default() };
    FetchRequest { max_wait_ms, min_bytes: 1, max_bytes: 64 << 20, topics: vec![topic], ..FetchRequest::default() }
}
