//! A Kafka client of a few lines over `sluice-protocol`, and an HTTP client of fewer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use sluice_protocol::messages::fetch::{FetchPartition, FetchTopic};
use sluice_protocol::messages::metadata::MetadataRequestTopic;
use sluice_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use sluice_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, MetadataRequest, MetadataResponse, ProduceRequest,
};
use sluice_protocol::{Bytes, Request, decode_response, encode_request};
use sluice_records::BatchBuilder;

use crate::process::DEADLINE;

pub struct Client {
    stream: TcpStream,
    correlation_id: i32,
}

impl Client {
    pub fn connect(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&addr, DEADLINE).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, correlation_id: 0 }
    }

    /// One request and its answer.
    pub fn call<R: Request>(&mut self, version: i16, request: &R) -> R::Response {
        self.correlation_id += 1;
        let frame = encode_request(self.correlation_id, Some("cli-test"), version, request).unwrap().to_bytes();
        self.stream.write_all(&frame).unwrap();
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
        self.stream.read_exact(&mut answer).unwrap();
        let (correlation_id, response) = decode_response::<R>(&Bytes::from(answer), version).unwrap();
        assert_eq!(correlation_id, self.correlation_id);
        response
    }

    pub fn api_versions(&mut self) -> ApiVersionsResponse {
        let request =
            ApiVersionsRequest { client_software_name: "cli-test".into(), client_software_version: "1".into() };
        self.call(3, &request)
    }

    pub fn metadata(&mut self, topic: &str) -> MetadataResponse {
        let topic = MetadataRequestTopic { name: Some(topic.into()), ..MetadataRequestTopic::default() };
        self.call(9, &MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() })
    }

    /// Produces one record to partition 0 with acks=all; its offset.
    pub fn produce(&mut self, topic: &str, value: &[u8]) -> i64 {
        let mut batch = BatchBuilder::new();
        batch.push(1_700_000_000_000, Some(b"key"), Some(value), &[]);
        let partition = PartitionProduceData { index: 0, records: Some(batch.build().unwrap()) };
        let topic =
            TopicProduceData { name: topic.into(), partition_data: vec![partition], ..TopicProduceData::default() };
        let request =
            ProduceRequest { acks: -1, timeout_ms: 10_000, topic_data: vec![topic], ..ProduceRequest::default() };
        let response = self.call(9, &request);
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!(i16::from(partition.error_code), 0, "{:?}", partition.error_message);
        partition.base_offset
    }

    /// All record bytes of partition 0 from this offset.
    pub fn fetch(&mut self, topic: &str, offset: i64) -> Vec<u8> {
        let partition =
            FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..FetchPartition::default() };
        let topic = FetchTopic { topic: topic.into(), partitions: vec![partition], ..FetchTopic::default() };
        let request = FetchRequest { max_wait_ms: 5_000, min_bytes: 1, topics: vec![topic], ..FetchRequest::default() };
        let response = self.call(12, &request);
        let partition = &response.responses[0].partitions[0];
        assert_eq!(i16::from(partition.error_code), 0);
        partition.records.as_ref().map(|records| records.to_bytes().to_vec()).unwrap_or_default()
    }
}

/// The status and the body of a GET.
pub fn get(addr: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect_timeout(&addr, DEADLINE).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
    (status.unwrap_or_else(|| panic!("no status: {answer:?}")), body.unwrap_or_default())
}
