//! Consumers: Fetch after Fetch over the partitions they were given, every batch checked.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use sluice_protocol::ErrorCode;
use sluice_protocol::messages::FetchRequest;
use sluice_protocol::messages::fetch::{FetchPartition, FetchResponse, FetchTopic, PartitionData};

use crate::batches::Batches;
use crate::client::{Connection, Prepared};
use crate::measure::Tally;
use crate::server::Server;
use crate::topic::Topic;

/// With topic ids; every broker since 3.5 has it.
const FETCH_VERSION: i16 = 15;
/// What Java consumers ask for.
const MAX_BYTES: i32 = 50 << 20;
const PARTITION_MAX_BYTES: i32 = 1 << 20;
const MAX_WAIT_MS: i32 = 500;
/// A Fetch that waited and brought nothing; after so many in a row the records are missing.
const EMPTY_FETCHES_MAX: u32 = 20;

/// How far a consumer is in a partition.
#[derive(Debug, Clone, Copy)]
struct Position {
    partition: i32,
    offset: i64,
}

/// A connection that consumes some of a topic's partitions, from their start.
#[derive(Debug)]
pub(crate) struct Consumer {
    connection: Connection,
    topic: Topic,
    batches: Arc<Batches>,
    positions: Vec<Position>,
}

impl Consumer {
    /// So many consumers that share out the partitions, as a group would.
    pub(crate) fn group(
        server: &Server,
        topic: &Topic,
        batches: &Arc<Batches>,
        members: i32,
    ) -> anyhow::Result<Vec<Self>> {
        (0..members)
            .map(|member| {
                let mine = (0..topic.partitions).filter(|partition| partition % members == member);
                Ok(Self {
                    connection: Connection::open(server.addr)?,
                    topic: topic.clone(),
                    batches: Arc::clone(batches),
                    positions: mine.map(|partition| Position { partition, offset: 0 }).collect(),
                })
            })
            .collect()
    }

    /// Reads on until each partition is at its end offset in `ends`, by partition.
    pub(crate) fn read_until(&mut self, ends: &[i64]) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        let mut empty = 0;
        while !self.is_at(ends)? {
            let value_bytes = self.fetch()?;
            tally.value_bytes += value_bytes;
            tally.requests += 1;
            empty = if value_bytes == 0 { empty + 1 } else { 0 };
            ensure!(empty < EMPTY_FETCHES_MAX, "records are missing: {:?} of {ends:?}", self.positions);
        }
        Ok(tally)
    }

    /// Sends so many Fetches that find nothing and do not wait.
    pub(crate) fn fetch_nothing(&mut self, times: u64) -> anyhow::Result<Tally> {
        let prepared = Prepared::new(1, FETCH_VERSION, &self.request(0))?;
        for _ in 0..times {
            self.connection.send(&prepared)?;
            let value_bytes = self.receive(&prepared)?;
            ensure!(value_bytes == 0, "a Fetch of an empty topic brought records");
        }
        Ok(Tally { value_bytes: 0, requests: times })
    }

    /// Consumers that share a thread: a Fetch of each is sent that finds nothing, then the answer to each is taken.
    pub(crate) fn fetch_nothing_in_turn(consumers: &mut [Self], times: u64) -> anyhow::Result<Tally> {
        let requests: Vec<_> = consumers
            .iter()
            .map(|consumer| Prepared::new(1, FETCH_VERSION, &consumer.request(0)))
            .collect::<anyhow::Result<_>>()?;
        let mut tally = Tally::default();
        for _ in 0..times {
            for (consumer, request) in consumers.iter_mut().zip(&requests) {
                consumer.connection.send(request)?;
            }
            for (consumer, request) in consumers.iter_mut().zip(&requests) {
                ensure!(consumer.receive(request)? == 0, "a Fetch of an empty topic brought records");
                tally.requests += 1;
            }
        }
        Ok(tally)
    }

    fn is_at(&self, ends: &[i64]) -> anyhow::Result<bool> {
        let mut is_at_all = true;
        for Position { partition, offset } in &self.positions {
            let end =
                usize::try_from(*partition).ok().and_then(|index| ends.get(index)).context("no such partition")?;
            ensure!(offset <= end, "partition {partition} has records past its end, {offset} of {end}");
            is_at_all &= offset == end;
        }
        Ok(is_at_all)
    }

    /// One Fetch; the bytes of record values that it brought.
    fn fetch(&mut self) -> anyhow::Result<u64> {
        let prepared = Prepared::new(1, FETCH_VERSION, &self.request(MAX_WAIT_MS))?;
        self.connection.send(&prepared)?;
        self.receive(&prepared)
    }

    fn receive(&mut self, sent: &Prepared) -> anyhow::Result<u64> {
        let Self { connection, batches, positions, .. } = self;
        connection.receive::<FetchRequest, _>(sent.correlation_id(), FETCH_VERSION, |answer| {
            take(&answer, batches, positions)
        })
    }

    fn request(&self, max_wait_ms: i32) -> FetchRequest {
        let ask = |position: &Position| FetchPartition {
            partition: position.partition,
            fetch_offset: position.offset,
            partition_max_bytes: PARTITION_MAX_BYTES,
            ..FetchPartition::default()
        };
        let topic = FetchTopic {
            topic_id: self.topic.id,
            partitions: self.positions.iter().map(ask).collect(),
            ..FetchTopic::default()
        };
        FetchRequest { max_wait_ms, min_bytes: 1, max_bytes: MAX_BYTES, topics: vec![topic], ..FetchRequest::default() }
    }
}

/// Checks what a Fetch brought and moves the positions; the bytes of record values.
fn take(answer: &FetchResponse, batches: &Batches, positions: &mut [Position]) -> anyhow::Result<u64> {
    ensure!(answer.error_code == ErrorCode::NONE, "Fetch: {}", answer.error_code);
    // Kafka leaves a topic out when it has nothing to say of it.
    let told: &[PartitionData] = match answer.responses.as_slice() {
        [] => &[],
        [topic] => &topic.partitions,
        topics => bail!("Fetch answered for {} topics instead of one", topics.len()),
    };
    let mut value_bytes = 0;
    for data in told {
        ensure!(data.error_code == ErrorCode::NONE, "Fetch of partition {}: {}", data.partition_index, data.error_code);
        let position = positions.iter_mut().find(|position| position.partition == data.partition_index);
        let position = position.context("Fetch answered for a partition that was not asked for")?;
        let records = data.records.as_ref().map(sluice_protocol::Rope::to_bytes).unwrap_or_default();
        let count = batches.check(position.partition, &records, position.offset)?;
        position.offset += i64::try_from(count)? * i64::from(batches.records());
        value_bytes += count * batches.value_bytes();
    }
    Ok(value_bytes)
}
