//! The requests that many situations send, with the fields that matter as arguments.

use bytes::Bytes;
use sluice_protocol::KString;
use sluice_protocol::messages::create_topics::CreatableTopic;
use sluice_protocol::messages::fetch::{FetchPartition, FetchTopic};
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::metadata::MetadataRequestTopic;
use sluice_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use sluice_protocol::messages::{
    CreateTopicsRequest, FetchRequest, ListOffsetsRequest, MetadataRequest, ProduceRequest,
};
use uuid::Uuid;

/// An id that no topic has.
pub(crate) const NO_SUCH_ID: Uuid = Uuid::from_u128(0x5eed_0000_0000_4000_8000_0000_0000_0001);

/// Metadata of topics by name, creating none.
pub(crate) fn metadata(names: &[&KString]) -> MetadataRequest {
    let topic =
        |name: &&KString| MetadataRequestTopic { name: Some((*name).clone()), ..MetadataRequestTopic::default() };
    MetadataRequest {
        topics: Some(names.iter().map(topic).collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    }
}

/// Metadata of topics by id, creating none.
pub(crate) fn metadata_by_id(ids: &[Uuid]) -> MetadataRequest {
    let topic = |id: &Uuid| MetadataRequestTopic { topic_id: *id, name: None };
    MetadataRequest {
        topics: Some(ids.iter().map(topic).collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    }
}

/// A topic to create.
pub(crate) fn new_topic(name: &KString, partitions: i32, replicas: i16) -> CreatableTopic {
    CreatableTopic {
        name: name.clone(),
        num_partitions: partitions,
        replication_factor: replicas,
        ..CreatableTopic::default()
    }
}

/// A CreateTopics.
pub(crate) fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest { topics, timeout_ms: 20_000, validate_only: false }
}

/// Where records go: a topic as the version names it.
#[derive(Debug, Clone)]
pub(crate) struct To {
    pub(crate) name: KString,
    pub(crate) id: Uuid,
}

impl To {
    /// By name alone.
    pub(crate) fn name(name: &KString) -> Self {
        Self { name: name.clone(), id: Uuid::nil() }
    }

    /// By id alone.
    pub(crate) fn id(id: Uuid) -> Self {
        Self { name: KString::new(), id }
    }
}

/// A Produce of these bytes to partition 0, acks all.
pub(crate) fn produce(to: &To, records: Bytes) -> ProduceRequest {
    produce_to(to, &[(0, Some(records))])
}

/// A Produce to several partitions, acks all.
pub(crate) fn produce_to(to: &To, partitions: &[(i32, Option<Bytes>)]) -> ProduceRequest {
    let data =
        |(index, records): &(i32, Option<Bytes>)| PartitionProduceData { index: *index, records: records.clone() };
    let topic = TopicProduceData {
        name: to.name.clone(),
        topic_id: to.id,
        partition_data: partitions.iter().map(data).collect(),
    };
    ProduceRequest { acks: -1, timeout_ms: 20_000, topic_data: vec![topic], ..ProduceRequest::default() }
}

/// A Fetch of partition 0 from an offset, which waits for nothing.
pub(crate) fn fetch(from: &To, offset: i64) -> FetchRequest {
    fetch_of(from, &[(0, offset)])
}

/// A Fetch of several partitions, which waits for nothing.
pub(crate) fn fetch_of(from: &To, partitions: &[(i32, i64)]) -> FetchRequest {
    let asked = |(partition, offset): &(i32, i64)| FetchPartition {
        partition: *partition,
        fetch_offset: *offset,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let topic =
        FetchTopic { topic: from.name.clone(), topic_id: from.id, partitions: partitions.iter().map(asked).collect() };
    FetchRequest { max_wait_ms: 0, min_bytes: 0, max_bytes: 16 << 20, topics: vec![topic], ..FetchRequest::default() }
}

/// A ListOffsets of one partition.
pub(crate) fn list_offset(name: &KString, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    let asked = ListOffsetsPartition { partition_index: partition, timestamp, ..ListOffsetsPartition::default() };
    let topic = ListOffsetsTopic { name: name.clone(), partitions: vec![asked] };
    ListOffsetsRequest { replica_id: -1, topics: vec![topic], timeout_ms: 10_000, ..ListOffsetsRequest::default() }
}
