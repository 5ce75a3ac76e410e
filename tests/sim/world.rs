//! What all clients of a run share, and the requests they have in common.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sluice_protocol::messages::metadata::MetadataRequestTopic;
use sluice_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use sluice_protocol::messages::{MetadataRequest, ProduceRequest};
use sluice_protocol::{ErrorCode, KString, Uuid};
use sluice_records::BatchBuilder;
use sluice_runtime::Entropy;

use crate::connection::{Connection, Lost};
use crate::fleet::{Fleet, PARTITIONS};
use crate::journal::Journal;
use crate::ledger::{Ledger, Place};
use crate::plan::between;

/// How many topics there are; all are made on first use.
pub const TOPICS: usize = 2;
/// Longest that a request without a timeout of its own may take: a few barriers and proposals, each within
/// `Limits::request_timeout`.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The same for one that reads segments, with all the retries of the stores.
pub const PATIENCE_WITH_READS: Duration = Duration::from_secs(120);

/// A run's world.
pub struct World {
    pub journal: Arc<Journal>,
    pub fleet: Arc<Fleet>,
    pub ledger: Ledger,
    /// Clients drop connections now and then.
    pub is_rough: bool,
    is_over: AtomicBool,
}

/// All places.
pub fn places() -> impl Iterator<Item = Place> {
    (0..TOPICS).flat_map(|topic| (0..PARTITIONS).map(move |partition| (topic, partition)))
}

pub fn topic_name(topic: usize) -> KString {
    KString::from(format!("topic-{topic}"))
}

/// A batch of these values.
pub fn build_batch(builder: BatchBuilder, values: &[String]) -> Bytes {
    let mut builder = builder;
    for (index, value) in (0..).zip(values) {
        builder.push(1_700_000_000_000 + index, None, Some(value.as_bytes()), &[]);
    }
    builder.build().expect("a batch")
}

impl World {
    pub fn new(journal: Arc<Journal>, fleet: Arc<Fleet>, is_rough: bool) -> Arc<Self> {
        Arc::new(Self { journal, fleet, ledger: Ledger::default(), is_rough, is_over: AtomicBool::new(false) })
    }

    /// The bad times are over.
    pub fn end_chaos(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// A connection ended under a client, which may only happen when its gateway does.
    pub fn note_lost(&self, who: &str, connection: &Connection, lost: Lost) {
        let gateway = connection.gateway();
        self.journal.note(who, format_args!("lost {gateway}: {lost:?}"));
        let is_running = self.fleet.is_running(connection.slot, connection.generation);
        match lost {
            Lost::Closed if is_running => self.journal.violation(who, format_args!("{gateway} closed a connection")),
            Lost::Closed => self.journal.count("connections that a gateway took with it"),
            Lost::TimedOut => self.journal.violation(who, format_args!("{gateway} did not answer in time")),
            Lost::Wrong => self.journal.violation(who, format_args!("{gateway} sent an answer to another request")),
        }
    }

    /// Whether some client has already learnt that the topic exists, so that no gateway may call it unknown (T5).
    pub fn is_known(&self, topic: usize) -> bool {
        self.ledger.topic_id(topic).is_some() || self.ledger.acked_ends().keys().any(|(known, _)| *known == topic)
    }

    /// Asks for the ids of all topics, which makes those that are missing. True when all are known.
    pub async fn learn_topic_ids(&self, who: &str, connection: &mut Connection, version: i16) -> Result<bool, Lost> {
        let known: Vec<bool> = (0..TOPICS).map(|topic| self.is_known(topic)).collect();
        let topics = (0..TOPICS)
            .map(|topic| MetadataRequestTopic { name: Some(topic_name(topic)), ..MetadataRequestTopic::default() });
        let request = MetadataRequest { topics: Some(topics.collect()), ..MetadataRequest::default() };
        let answer = connection.request(version, &request, PATIENCE).await?;
        for (topic, told) in answer.topics.iter().enumerate() {
            self.journal.note(who, format_args!("topic {topic} on {}: {}", connection.gateway(), told.error_code));
            let absent = told.error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION && known[topic];
            if absent {
                self.journal.violation(who, format_args!("Metadata calls topic {topic} unknown, which exists"));
            }
            if told.error_code == ErrorCode::NONE
                && version >= 10
                && let Err(wrong) = self.ledger.learn_topic_id(topic, told.topic_id)
            {
                self.journal.violation(who, wrong);
            }
        }
        Ok((0..TOPICS).all(|topic| self.ledger.topic_id(topic).is_some()))
    }

    /// The id to use in requests that have no names; nil for a topic that is not known.
    pub fn topic_id(&self, topic: usize) -> Uuid {
        self.ledger.topic_id(topic).unwrap_or_default()
    }

    /// A Produce of these batches.
    pub fn produce_request(&self, batches: &[(Place, Bytes)], timeout: Duration, acks: i16) -> ProduceRequest {
        let topic_data = batches
            .iter()
            .map(|((topic, partition), batch)| TopicProduceData {
                name: topic_name(*topic),
                topic_id: self.topic_id(*topic),
                partition_data: vec![PartitionProduceData { index: *partition, records: Some(batch.clone()) }],
            })
            .collect();
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap();
        ProduceRequest { transactional_id: None, acks, timeout_ms, topic_data }
    }
}

/// Waits, up to `most_ms`.
pub async fn pause(entropy: &dyn Entropy, most_ms: u64) {
    tokio::time::sleep(Duration::from_millis(between(entropy, 0, most_ms))).await;
}
