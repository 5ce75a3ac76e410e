//! A producer that goes on until it is told to stop: a small batch to every partition at a time, at a steady rate.
//!
//! Promises: it outlives gateways that are killed (it connects again and repeats what had no answer, so that a batch may
//! be there twice), and ends with its handle. Never: fails a suite; who reads the topic sees what is there.

use std::net::SocketAddr;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use sluice_protocol::ErrorCode;
use sluice_protocol::messages::ProduceRequest;
use sluice_protocol::messages::produce::PartitionProduceData;

use crate::batches::batch;
use crate::raw::{RawClient, produce_request};

/// Records of a batch.
const RECORDS: usize = 2;

/// A running producer.
#[derive(Debug)]
pub struct Feed {
    stop: Option<SyncSender<()>>,
    thread: Option<JoinHandle<u64>>,
}

impl Feed {
    /// Writes two records to every partition, pauses, and again.
    #[must_use]
    pub fn start(addr: SocketAddr, topic: &str, partitions: i32, pause: Duration) -> Self {
        let (stop, told) = sync_channel(1);
        let topic = topic.to_owned();
        let thread = std::thread::spawn(move || {
            let values: Vec<Vec<u8>> = (0..RECORDS).map(|n| format!("record {n} of a batch").into_bytes()).collect();
            let batch = batch(&values.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let request = request(&topic, partitions, &batch);
            let (mut client, mut acknowledged) = (None, 0);
            while told.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                acknowledged += RECORDS as u64 * write(&mut client, addr, &request);
            }
            acknowledged
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }

    /// Stops it; returns how many records were acknowledged. More may be in the topic.
    ///
    /// # Panics
    /// When the producer did.
    pub fn stop(&mut self) -> u64 {
        drop(self.stop.take());
        self.thread.take().map_or(0, |thread| thread.join().expect("the producer"))
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A Produce of the same batch to every partition.
fn request(topic: &str, partitions: i32, batch: &Bytes) -> ProduceRequest {
    let mut request = produce_request(topic, 0, batch.clone());
    let data = &mut request.topic_data[0].partition_data;
    let first = data[0].clone();
    *data = (0..partitions).map(|index| PartitionProduceData { index, ..first.clone() }).collect();
    request
}

/// Writes the batches; returns how many were acknowledged. After any failure the connection is given up.
fn write(client: &mut Option<RawClient>, addr: SocketAddr, request: &ProduceRequest) -> u64 {
    if client.is_none() {
        *client = RawClient::try_connect(addr).ok();
    }
    let answer = client.as_mut().and_then(|open| open.try_request(9, request));
    let partitions = answer.iter().flat_map(|a| &a.responses).flat_map(|topic| &topic.partition_responses);
    let (fine, failed): (Vec<_>, Vec<_>) = partitions.partition(|p| p.error_code == ErrorCode::NONE);
    if answer.is_none() || !failed.is_empty() {
        *client = None;
    }
    fine.len() as u64
}
