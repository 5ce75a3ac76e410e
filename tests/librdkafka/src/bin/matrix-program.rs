//! The program of the client matrix for librdkafka, through the crate rdkafka.
//!
//! `tests/clients/matrix/README.md` says what it promises. Called by `client_matrix`.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::io::BufRead;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use sluice_tests::matrix_records::Fields;
use sluice_tests::workload::Record;
use sluice_tests_librdkafka::{Progress, Write, write};

/// Longest that a write may take.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() {
    let (_, version) = rdkafka::util::get_rdkafka_version();
    println!("client\tlibrdkafka\t{version}");
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { return };
        if let Err(failed) = run(&line.split('\t').collect::<Vec<_>>()) {
            println!("error\t{}", format!("{failed:#}").replace(['\t', '\n'], " "));
        }
        println!("done");
    }
}

fn run(job: &[&str]) -> anyhow::Result<()> {
    match job {
        ["write", _, bootstrap, topic, seed, records, partitions, codec] => {
            let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
            let compression = codecs.into_iter().find(|c| c == codec).with_context(|| format!("no codec {codec}"))?;
            let (partitions, records) = (partitions.parse()?, records.parse()?);
            let run = Write {
                bootstrap: (*bootstrap).to_owned(),
                topic: (*topic).to_owned(),
                partitions,
                mine: 0..partitions,
                records,
                seed: seed.parse()?,
                compression,
                idempotent: true,
                deadline: PATIENCE,
            };
            println!("wrote\t{}", write(&run, &Progress::default())?);
        }
        ["read", _, bootstrap, patience_ms, wanted] => {
            let mut topics = parse(wanted)?;
            let outcome = read(bootstrap, Duration::from_millis(patience_ms.parse()?), &mut topics);
            for (name, topic) in topics.iter().filter(|(_, topic)| topic.is_complete()) {
                let digests = topic.fields.digests();
                let words: Vec<String> = digests.iter().map(|(kind, digest)| format!("{kind}={digest}")).collect();
                println!("read\t{name}\t{}\t{}", topic.fields.count, words.join("\t"));
            }
            outcome?;
        }
        _ => bail!("unknown job: {job:?}"),
    }
    Ok(())
}

struct Topic {
    partitions: i32,
    records: u64,
    fields: Fields,
}

impl Topic {
    fn is_complete(&self) -> bool {
        self.fields.count >= self.records
    }
}

fn parse(wanted: &str) -> anyhow::Result<BTreeMap<String, Topic>> {
    let mut topics = BTreeMap::new();
    for each in wanted.split(',') {
        let words: Vec<&str> = each.split(':').collect();
        let [name, partitions, records] = words[..] else { bail!("not a topic: {each}") };
        let topic = Topic { partitions: partitions.parse()?, records: records.parse()?, fields: Fields::default() };
        topics.insert(name.to_owned(), topic);
    }
    Ok(topics)
}

fn read(bootstrap: &str, patience: Duration, topics: &mut BTreeMap<String, Topic>) -> anyhow::Result<()> {
    let until = Instant::now() + patience;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        // It assigns partitions itself; librdkafka wants the name of a group all the same.
        .set("group.id", "none")
        .set("enable.auto.commit", "false")
        .set("check.crcs", "true")
        .create()?;
    let mut assignment = TopicPartitionList::new();
    for (name, topic) in &*topics {
        for partition in 0..topic.partitions {
            assignment.add_partition_offset(name, partition, Offset::Beginning)?;
        }
    }
    consumer.assign(&assignment)?;
    while topics.values().any(|topic| !topic.is_complete()) {
        let missing = || {
            let missing = topics.iter().filter(|(_, topic)| !topic.is_complete());
            missing.map(|(name, t)| format!(" {name}: {} of {}", t.fields.count, t.records)).collect::<String>()
        };
        ensure!(Instant::now() < until, "after {patience:?}:{}", missing());
        let Some(message) = consumer.poll(Duration::from_millis(200)) else { continue };
        let message = message?;
        let topic = topics.get_mut(message.topic()).context("a record of a topic that was not asked for")?;
        topic.fields.add(message.partition(), message.offset(), &record(&message)?);
    }
    Ok(())
}

fn record(message: &BorrowedMessage<'_>) -> anyhow::Result<Record> {
    Ok(Record {
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: message.headers().map_or_else(Vec::new, |headers| {
            headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect()
        }),
        timestamp: message.timestamp().to_millis().context("a record without a timestamp")?,
    })
}
