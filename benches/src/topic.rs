//! Topics of a benchmark: made, and asked how far they go.

use std::time::{Duration, Instant};

use anyhow::ensure;
use sluice_protocol::messages::create_topics::CreatableTopic;
use sluice_protocol::messages::delete_topics::DeleteTopicState;
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest};
use sluice_protocol::{ErrorCode, KString, Uuid};

use crate::client::Connection;

/// Versions that answer with, and ask by, what is needed here; every broker since 2.8 has them.
const CREATE_TOPICS_VERSION: i16 = 7;
const DELETE_TOPICS_VERSION: i16 = 6;
const LIST_OFFSETS_VERSION: i16 = 7;
/// The timestamp that stands for the end of a partition.
const LATEST: i64 = -1;
const TIMEOUT_MS: i32 = 20_000;
const READY_WITHIN: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// A topic, by name and id.
#[derive(Debug, Clone)]
pub(crate) struct Topic {
    pub(crate) name: KString,
    pub(crate) id: Uuid,
    pub(crate) partitions: i32,
}

impl Topic {
    /// Makes a topic, under a name that no earlier run has used on this broker.
    pub(crate) fn create(connection: &mut Connection, name: &str, partitions: i32) -> anyhow::Result<Self> {
        let name = KString::from(format!("bench-{}-{name}", std::process::id()));
        let topic = CreatableTopic {
            name: name.clone(),
            num_partitions: partitions,
            replication_factor: 1,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, validate_only: false };
        let answer = connection.call(CREATE_TOPICS_VERSION, &request)?;
        let [created] = answer.topics.as_slice() else {
            anyhow::bail!("CreateTopics answered for {} topics instead of one", answer.topics.len());
        };
        ensure!(created.error_code == ErrorCode::NONE, "CreateTopics: {}", created.error_code);
        let topic = Self { name, id: created.topic_id, partitions };
        topic.wait_until_led(connection)?;
        Ok(topic)
    }

    /// A broker of Kafka's answers CreateTopics before it leads the partitions.
    fn wait_until_led(&self, connection: &mut Connection) -> anyhow::Result<()> {
        let until = Instant::now() + READY_WITHIN;
        while let Err(error) = self.end_offsets(connection) {
            if Instant::now() > until {
                return Err(error.context("the topic is not led"));
            }
            std::thread::park_timeout(POLL);
        }
        Ok(())
    }

    /// Deletes it, so that a broker that keeps files gets its disk back.
    pub(crate) fn delete(&self, connection: &mut Connection) -> anyhow::Result<()> {
        let topics = vec![DeleteTopicState { name: Some(self.name.clone()), ..DeleteTopicState::default() }];
        let request = DeleteTopicsRequest { topics, timeout_ms: TIMEOUT_MS, ..DeleteTopicsRequest::default() };
        let answer = connection.call(DELETE_TOPICS_VERSION, &request)?;
        let code = answer.responses.first().map(|deleted| deleted.error_code);
        ensure!(code == Some(ErrorCode::NONE), "DeleteTopics: {code:?}");
        Ok(())
    }

    /// One past the last offset of each partition, in order.
    pub(crate) fn end_offsets(&self, connection: &mut Connection) -> anyhow::Result<Vec<i64>> {
        let ask = |partition_index| ListOffsetsPartition {
            partition_index,
            timestamp: LATEST,
            ..ListOffsetsPartition::default()
        };
        let topic = ListOffsetsTopic { name: self.name.clone(), partitions: (0..self.partitions).map(ask).collect() };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
        let mut answer = connection.call(LIST_OFFSETS_VERSION, &request)?;
        let mut partitions = answer.topics.pop().map(|topic| topic.partitions).unwrap_or_default();
        partitions.sort_unstable_by_key(|partition| partition.partition_index);
        for partition in &partitions {
            ensure!(partition.error_code == ErrorCode::NONE, "ListOffsets: {}", partition.error_code);
        }
        Ok(partitions.into_iter().map(|partition| partition.offset).collect())
    }
}
