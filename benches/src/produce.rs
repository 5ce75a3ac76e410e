//! Producers: prebuilt requests, sent as fast as answers come.

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use sluice_protocol::ErrorCode;
use sluice_protocol::messages::ProduceRequest;
use sluice_protocol::messages::produce::{PartitionProduceData, ProduceResponse, TopicProduceData};

use crate::batches::Batches;
use crate::client::{Connection, Prepared};
use crate::measure::Tally;
use crate::server::Server;
use crate::topic::Topic;

/// Flexible, by name: what most clients speak.
const PRODUCE_VERSION: i16 = 9;
const ACKS_ALL: i16 = -1;
const TIMEOUT_MS: i32 = 30_000;

/// How producers send.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ProduceShape {
    pub(crate) connections: u64,
    /// Requests of a connection that are not answered yet.
    pub(crate) in_flight: u64,
    /// Batches in a request, each of another partition.
    pub(crate) batches_per_request: i32,
}

impl ProduceShape {
    /// Producers that send at least `batches` batches together, every partition about as often as any other.
    pub(crate) fn producers(
        self,
        server: &Server,
        topic: &Topic,
        batches: &Batches,
        count: u64,
    ) -> anyhow::Result<Vec<Producer>> {
        let per_request = u64::try_from(self.batches_per_request)?;
        let requests = count.div_ceil(per_request).div_ceil(self.connections);
        (0..self.connections)
            .map(|index| {
                Ok(Producer {
                    connection: Connection::open(server.addr)?,
                    ring: ring(topic, batches, self.batches_per_request, i32::try_from(index)?)?,
                    in_flight: self.in_flight,
                    requests,
                    value_bytes: batches.value_bytes() * per_request,
                })
            })
            .collect()
    }
}

/// A connection that produces.
#[derive(Debug)]
pub(crate) struct Producer {
    connection: Connection,
    /// Sent one after the other, over and over.
    ring: Vec<Slot>,
    in_flight: u64,
    requests: u64,
    /// Of one request.
    value_bytes: u64,
}

#[derive(Debug)]
struct Slot {
    request: Prepared,
    partitions: Vec<i32>,
}

/// As many requests as there are partitions, so that each partition stands in as many of them as any other.
fn ring(topic: &Topic, batches: &Batches, per_request: i32, first: i32) -> anyhow::Result<Vec<Slot>> {
    (0..topic.partitions)
        .map(|place| {
            let partition_of = |nth: i32| (first + place * per_request + nth) % topic.partitions;
            let partitions: Vec<i32> = (0..per_request).map(partition_of).collect();
            let data = |&index: &i32| Ok(PartitionProduceData { index, records: Some(batches.of(index)?.clone()) });
            let topic_data = TopicProduceData {
                name: topic.name.clone(),
                partition_data: partitions.iter().map(data).collect::<anyhow::Result<_>>()?,
                ..TopicProduceData::default()
            };
            let request = ProduceRequest {
                acks: ACKS_ALL,
                timeout_ms: TIMEOUT_MS,
                topic_data: vec![topic_data],
                ..ProduceRequest::default()
            };
            Ok(Slot { request: Prepared::new(place, PRODUCE_VERSION, &request)?, partitions })
        })
        .collect()
}

impl Producer {
    /// Batches that `run` sends to each of so many partitions.
    pub(crate) fn batches_per_partition(&self, partitions: i32) -> Vec<u64> {
        let slots = u64::try_from(self.ring.len()).unwrap_or(u64::MAX);
        let times = |place: u64| self.requests / slots + u64::from(place < self.requests % slots);
        let in_partition = |partition: i32| {
            let of_slot = |(place, slot): (u64, &Slot)| times(place) * u64::from(slot.partitions.contains(&partition));
            (0..).zip(&self.ring).map(of_slot).sum()
        };
        (0..partitions).map(in_partition).collect()
    }

    /// Sends everything, and waits for every answer.
    pub(crate) fn run(&mut self) -> anyhow::Result<Tally> {
        let Self { connection, ring, in_flight, requests, value_bytes } = self;
        let mut to_send = ring.iter().cycle();
        let mut to_answer = ring.iter().cycle();
        for nth in 0..*requests + *in_flight {
            if nth >= *in_flight
                && let Some(slot) = to_answer.next()
            {
                let id = slot.request.correlation_id();
                connection.receive::<ProduceRequest, _>(id, PRODUCE_VERSION, |answer| check(&answer, slot))?;
            }
            if nth < *requests
                && let Some(slot) = to_send.next()
            {
                connection.send(&slot.request)?;
            }
        }
        Ok(Tally { value_bytes: *value_bytes * *requests, requests: *requests })
    }
}

/// Producers that share a thread: a request of each is sent, then the answer to each is taken, and so on. So a thousand
/// connections are busy without a thousand threads of load.
pub(crate) fn run_in_turn(producers: &mut [Producer]) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    let rounds = producers.iter().map(|producer| producer.requests).max().unwrap_or_default();
    for round in 0..rounds {
        let place = usize::try_from(round)?;
        for producer in producers.iter_mut() {
            let slot = producer.ring.get(place % producer.ring.len()).context("a producer with nothing to send")?;
            producer.connection.send(&slot.request)?;
        }
        for producer in producers.iter_mut() {
            let Producer { connection, ring, value_bytes, .. } = producer;
            let slot = ring.get(place % ring.len()).context("a producer with nothing to send")?;
            let id = slot.request.correlation_id();
            connection.receive::<ProduceRequest, _>(id, PRODUCE_VERSION, |answer| check(&answer, slot))?;
            tally.value_bytes += *value_bytes;
            tally.requests += 1;
        }
    }
    Ok(tally)
}

/// One request of a producer after the other, each begun a pause after the one before was begun, whatever its answer
/// took; how long each answer took.
pub(crate) fn run_paced(producer: &mut Producer, pause: Duration) -> anyhow::Result<Vec<Duration>> {
    let Producer { connection, ring, requests, .. } = producer;
    let mut took = Vec::with_capacity(usize::try_from(*requests)?);
    let begin = Instant::now();
    for (nth, slot) in (0..u32::try_from(*requests)?).zip(ring.iter().cycle()) {
        let due = begin + pause * nth;
        while Instant::now() < due {
            std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        }
        // From when it was due: a request that waits for its predecessor's answer waits on its client's account.
        connection.send(&slot.request)?;
        let id = slot.request.correlation_id();
        connection.receive::<ProduceRequest, _>(id, PRODUCE_VERSION, |answer| check(&answer, slot))?;
        took.push(due.elapsed());
    }
    Ok(took)
}

fn check(answer: &ProduceResponse, slot: &Slot) -> anyhow::Result<()> {
    let [topic] = answer.responses.as_slice() else {
        bail!("Produce answered for {} topics instead of one", answer.responses.len());
    };
    ensure!(topic.partition_responses.len() == slot.partitions.len(), "Produce did not answer for every partition");
    for partition in &topic.partition_responses {
        ensure!(
            partition.error_code == ErrorCode::NONE && partition.base_offset >= 0,
            "Produce to partition {}: {} {:?}",
            partition.index,
            partition.error_code,
            partition.error_message
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sluice_protocol::{KString, Uuid};

    use super::*;

    fn slots(per_request: i32, first: i32) -> Vec<Vec<i32>> {
        let topic = Topic { name: KString::from("t"), id: Uuid::nil(), partitions: 12 };
        let batches = Batches::new(12, 0, 10).unwrap();
        ring(&topic, &batches, per_request, first).unwrap().into_iter().map(|slot| slot.partitions).collect()
    }

    #[test]
    fn every_partition_stands_equally_often_in_the_ring() {
        for per_request in [1, 5, 7, 12] {
            let slots = slots(per_request, 3);
            for partition in 0..12 {
                let times = slots.iter().flatten().filter(|&&p| p == partition).count();
                assert_eq!(times, usize::try_from(per_request).unwrap(), "{per_request} per request");
            }
            for slot in &slots {
                assert!(slot.iter().all(|p| slot.iter().filter(|q| p == *q).count() == 1), "{slot:?}");
            }
        }
    }
}
