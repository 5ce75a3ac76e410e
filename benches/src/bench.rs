//! A topic of one cell with the batches that go into it, and the check that the server ends up with exactly those.
//!
//! Called by the cells of `quick` and of `compare`.

use std::sync::Arc;

use anyhow::ensure;

use crate::batches::Batches;
use crate::client::Connection;
use crate::consume::Consumer;
use crate::measure::{Load, Measured, measure};
use crate::produce::{ProduceShape, Producer};
use crate::server::Server;
use crate::topic::Topic;

pub(crate) const PARTITIONS: i32 = 12;
const CONSUMERS: i32 = 4;

/// A topic with the batches that go into it.
pub(crate) struct Bench<'a> {
    pub(crate) server: &'a Server,
    control: Connection,
    pub(crate) topic: Topic,
    pub(crate) batches: Arc<Batches>,
    /// Batches produced so far, by partition.
    produced: Vec<u64>,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(server: &'a Server, batch_bytes: usize, value_bytes: usize) -> anyhow::Result<Self> {
        let mut control = Connection::open(server.addr)?;
        let name = unique_name();
        let topic = Topic::create(&mut control, &name, PARTITIONS)?;
        let batches = Arc::new(Batches::new(PARTITIONS, batch_bytes, value_bytes)?);
        Ok(Self { server, control, topic, batches, produced: vec![0; usize::try_from(PARTITIONS)?] })
    }

    /// Producers of so many batches, which are counted as produced.
    pub(crate) fn producers(&mut self, shape: ProduceShape, count: u64) -> anyhow::Result<Vec<Producer>> {
        let producers = shape.producers(self.server, &self.topic, &self.batches, count)?;
        for producer in &producers {
            for (sum, batches) in self.produced.iter_mut().zip(producer.batches_per_partition(PARTITIONS)) {
                *sum += batches;
            }
        }
        Ok(producers)
    }

    /// Producers of so many bytes, run to their end.
    pub(crate) fn produce(&mut self, shape: ProduceShape, value_bytes: u64) -> anyhow::Result<Measured> {
        let mut producers = self.producers(shape, self.batches.count_for(value_bytes))?;
        measure(self.server, loads_of(&mut producers))
    }

    pub(crate) fn consumers(&self) -> anyhow::Result<Vec<Consumer>> {
        Consumer::group(self.server, &self.topic, &self.batches, CONSUMERS)
    }

    /// One past the last offset of each partition, as they must be.
    pub(crate) fn ends(&self) -> anyhow::Result<Vec<i64>> {
        let records = i64::from(self.batches.records());
        self.produced.iter().map(|batches| Ok(i64::try_from(*batches)? * records)).collect()
    }

    /// Takes the topic away, once nothing more is asked of it.
    pub(crate) fn delete(mut self) -> anyhow::Result<()> {
        self.topic.delete(&mut self.control)
    }

    /// The server must have exactly what was produced.
    pub(crate) fn check_ends(&mut self) -> anyhow::Result<()> {
        let (expected, found) = (self.ends()?, self.topic.end_offsets(&mut self.control)?);
        ensure!(expected == found, "produced up to {expected:?}, the server has {found:?}");
        Ok(())
    }

    /// What was consumed in all must be what was produced in all.
    pub(crate) fn check_consumed(&self, value_bytes: u64) -> anyhow::Result<()> {
        let expected = self.produced.iter().sum::<u64>() * self.batches.value_bytes();
        ensure!(expected == value_bytes, "produced {expected} bytes of values, consumed {value_bytes}");
        Ok(())
    }
}

/// Part of a topic's name, so that cells on one broker do not meet.
fn unique_name() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}", now.as_nanos())
}

pub(crate) fn loads_of(producers: &mut [Producer]) -> Vec<Load<'_>> {
    producers.iter_mut().map(|producer| Box::new(|| producer.run()) as Load<'_>).collect()
}

pub(crate) fn readers_of<'a>(consumers: &'a mut [Consumer], ends: &'a [i64]) -> Vec<Load<'a>> {
    consumers.iter_mut().map(|consumer| Box::new(|| consumer.read_until(ends)) as Load<'_>).collect()
}
