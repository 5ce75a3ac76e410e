//! Reading the workload with librdkafka.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use sluice_tests::workload::{self, Digest, Record};

use crate::client;

/// What to read, and where.
#[derive(Debug, Clone)]
pub struct Read {
    /// The gateways, `host:port` separated by commas.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// Its number of partitions.
    pub partitions: u64,
    /// The partitions that this run reads.
    pub mine: std::ops::Range<u64>,
    /// The number of records of the whole workload.
    pub records: u64,
    /// The workload.
    pub seed: u64,
    /// `read_committed` (librdkafka's default) or `read_uncommitted`.
    pub isolation: &'static str,
    /// When to give up.
    pub deadline: Duration,
}

/// Reads every partition from its beginning to its end and compares each record with the one that belongs there; returns
/// the number of records and their digest.
///
/// # Errors
/// A record that is missing, there twice, out of order or changed; more records than were written; the deadline.
pub fn read(run: &Read) -> anyhow::Result<(u64, String)> {
    let until = Instant::now() + run.deadline;
    let consumer: BaseConsumer = client(&run.bootstrap)
        // It assigns partitions itself; librdkafka wants the name of a group all the same.
        .set("group.id", "none")
        .set("enable.auto.commit", "false")
        .set("isolation.level", run.isolation)
        .set("check.crcs", "true")
        // A connection answers in order, so that the questions at the end wait for the long poll before them.
        .set("fetch.wait.max.ms", "50")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    for partition in run.mine.clone() {
        assignment.add_partition_offset(&run.topic, i32::try_from(partition)?, Offset::Beginning)?;
    }
    consumer.assign(&assignment)?;

    let mut next: BTreeMap<i32, u64> = BTreeMap::new();
    let mut digest = Digest::default();
    let wanted: u64 = run.mine.clone().map(|p| records_of(run, p)).sum();
    let mut count = 0u64;
    while count < wanted {
        ensure!(Instant::now() < until, "read {count} of {wanted} records before the deadline: next offsets {next:?}");
        let Some(message) = consumer.poll(Duration::from_millis(200)) else { continue };
        let message = match message {
            Ok(message) => message,
            // A gateway that is away for a moment: librdkafka reconnects by itself.
            Err(_) => continue,
        };
        let place = next.entry(message.partition()).or_default();
        check(run, &message, *place, &mut digest)?;
        *place += 1;
        count += 1;
    }
    for partition in run.mine.clone() {
        let (start, end) = consumer
            .fetch_watermarks(&run.topic, i32::try_from(partition)?, Duration::from_secs(20))
            .with_context(|| format!("watermarks of partition {partition}"))?;
        let records = i64::try_from(records_of(run, partition))?;
        ensure!(
            (start, end) == (0, records),
            "partition {partition} is {start}..{end}, where 0..{records} was written"
        );
    }
    Ok((count, digest.hex()))
}

/// How many records of the workload belong in a partition.
fn records_of(run: &Read, partition: u64) -> u64 {
    (run.records + run.partitions - 1 - partition) / run.partitions
}

/// Compares a record with the one that belongs at `place` of its partition.
fn check(run: &Read, message: &BorrowedMessage<'_>, place: u64, digest: &mut Digest) -> anyhow::Result<()> {
    let (partition, offset) = (message.partition(), message.offset());
    ensure!(i64::try_from(place)? == offset, "partition {partition}: offset {offset} where {place} belongs");
    let index = place * run.partitions + u64::try_from(partition)?;
    let found = Record {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map_or_else(Vec::new, |headers| {
            headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect()
        }),
        timestamp: message.timestamp().to_millis().context("a record without a timestamp")?,
    };
    let wanted = workload::record(run.seed, index);
    ensure!(found == wanted, "partition {partition}, offset {offset} is not record {index} as written: {found:?}");
    digest.add(partition, offset, &found);
    Ok(())
}
