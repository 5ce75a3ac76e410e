//! Writing the workload with librdkafka.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use sluice_tests::workload;

use crate::{client, millis};

/// What to write, and where.
#[derive(Debug, Clone)]
pub struct Write {
    /// The gateways, `host:port` separated by commas.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// Its number of partitions.
    pub partitions: u64,
    /// The partitions that this run writes: all others are left to another run.
    pub mine: std::ops::Range<u64>,
    /// The number of records of the whole workload.
    pub records: u64,
    /// The workload.
    pub seed: u64,
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    pub compression: &'static str,
    /// With or without idempotence.
    pub idempotent: bool,
    /// When to give up.
    pub deadline: Duration,
}

/// How far a run is: shared with whoever disturbs it.
#[derive(Debug, Clone, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Records acknowledged so far.
    #[must_use]
    pub fn acked(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Keeps what the acknowledgements say.
struct Ledger {
    partitions: u64,
    progress: Progress,
    wrong: Mutex<Vec<String>>,
}

impl ClientContext for Ledger {}

impl ProducerContext for Ledger {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, index: usize) {
        let wanted = i64::try_from(index as u64 / self.partitions).unwrap_or(-1);
        let problem = match result {
            Ok(message) if message.offset() == wanted => None,
            Ok(message) => Some(format!("record {index} got offset {} and not {wanted}", message.offset())),
            Err((error, _)) => Some(format!("record {index}: {error}")),
        };
        if let Some(problem) = problem {
            self.wrong.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
        }
        self.progress.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Creates a topic with librdkafka's admin client.
///
/// # Errors
/// What the gateway refused, or that there was no answer in time.
pub fn create_topic(bootstrap: &str, topic: &str, partitions: u64) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = client(bootstrap).create()?;
    let topic = NewTopic::new(topic, i32::try_from(partitions)?, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let results = runtime.block_on(admin.create_topics([&topic], &options))?;
    for result in results {
        result.map_err(|(name, code)| anyhow::anyhow!("create {name}: {code}"))?;
    }
    Ok(())
}

/// Writes the workload and waits for every acknowledgement; returns their number.
///
/// # Errors
/// A refused record, one acknowledged at another offset than it must have, or the deadline.
pub fn write(run: &Write, progress: &Progress) -> anyhow::Result<u64> {
    let until = Instant::now() + run.deadline;
    let ledger = Ledger { partitions: run.partitions, progress: progress.clone(), wrong: Mutex::new(Vec::new()) };
    let producer: BaseProducer<Ledger> = client(&run.bootstrap)
        .set("enable.idempotence", if run.idempotent { "true" } else { "false" })
        // Without idempotence a retry may pass its successor, and offsets would not be known beforehand.
        .set("max.in.flight", if run.idempotent { "5" } else { "1" })
        .set("compression.type", run.compression)
        .set("linger.ms", "20")
        .set("retry.backoff.ms", "50")
        .set("request.timeout.ms", "10000")
        .set("message.timeout.ms", millis(run.deadline))
        .create_with_context(ledger)?;
    let mut sent = 0u64;
    for index in (0..run.records).filter(|i| run.mine.contains(&(i % run.partitions))) {
        send(&producer, run, index, until)?;
        sent += 1;
        if sent.is_multiple_of(64) {
            producer.poll(Duration::ZERO);
            check(&producer)?;
        }
    }
    let left = until.saturating_duration_since(Instant::now());
    producer.flush(left).with_context(|| format!("{} of {sent} acknowledged", progress.acked()))?;
    check(&producer)?;
    Ok(sent)
}

/// Hands one record to librdkafka, waiting while its queue is full.
fn send(producer: &BaseProducer<Ledger>, run: &Write, index: u64, until: Instant) -> anyhow::Result<()> {
    let record = workload::record(run.seed, index);
    let mut headers = OwnedHeaders::new();
    for (name, value) in &record.headers {
        headers = headers.insert(Header { key: name, value: Some(value) });
    }
    let mut message: BaseRecord<'_, [u8], [u8], usize> =
        BaseRecord::with_opaque_to(&run.topic, usize::try_from(index)?)
            .partition(i32::try_from(index % run.partitions)?)
            .timestamp(record.timestamp)
            .headers(headers);
    if let Some(key) = &record.key {
        message = message.key(key.as_slice());
    }
    if let Some(value) = &record.value {
        message = message.payload(value.as_slice());
    }
    loop {
        match producer.send(message) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                ensure!(Instant::now() < until, "the queue stayed full until the deadline");
                producer.poll(Duration::from_millis(20));
                message = back;
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

fn check(producer: &BaseProducer<Ledger>) -> anyhow::Result<()> {
    if let Some((code, reason)) = producer.client().fatal_error() {
        bail!("librdkafka gave up: {code}: {reason}");
    }
    let wrong = producer.context().wrong.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(
        wrong.is_empty(),
        "{} acknowledgements were wrong: {}",
        wrong.len(),
        wrong[..wrong.len().min(10)].join("; ")
    );
    Ok(())
}
