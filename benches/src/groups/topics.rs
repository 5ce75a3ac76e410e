//! Topics that offsets are committed for, and the offsets that a gateway shows.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use sluice_protocol::messages::create_topics::CreatableTopic;
use sluice_protocol::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use sluice_protocol::messages::{CreateTopicsRequest, OffsetFetchRequest};
use sluice_protocol::{ErrorCode, KString};

use super::client::Peer;

const CREATE_TOPICS_VERSION: i16 = 7;
/// Several groups at once.
const OFFSET_FETCH_VERSION: i16 = 8;
/// Groups in one question.
const GROUPS_PER_REQUEST: usize = 100;

/// Makes a topic.
pub(crate) async fn create_topic(peer: &mut Peer, name: &str, partitions: i32) -> anyhow::Result<KString> {
    let name = KString::from(name);
    let topic = CreatableTopic {
        name: name.clone(),
        num_partitions: partitions,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, validate_only: false };
    let answer = peer.call(CREATE_TOPICS_VERSION, &request).await?;
    let code = answer.topics.first().context("CreateTopics answers for no topic")?.error_code;
    ensure!(code == ErrorCode::NONE, "CreateTopics: {code}");
    Ok(name)
}

/// The committed offsets of the first `partitions` partitions of a topic, by group.
pub(crate) async fn fetch_offsets(
    peer: &mut Peer,
    groups: &[KString],
    topic: &KString,
    partitions: i32,
) -> anyhow::Result<BTreeMap<String, Vec<i64>>> {
    let mut offsets = BTreeMap::new();
    let topics = OffsetFetchRequestTopics {
        name: topic.clone(),
        partition_indexes: (0..partitions).collect(),
        ..OffsetFetchRequestTopics::default()
    };
    for groups in groups.chunks(GROUPS_PER_REQUEST) {
        let ask = |group: &KString| OffsetFetchRequestGroup {
            group_id: group.clone(),
            topics: Some(vec![topics.clone()]),
            ..OffsetFetchRequestGroup::default()
        };
        let request = OffsetFetchRequest { groups: groups.iter().map(ask).collect(), ..OffsetFetchRequest::default() };
        for group in peer.call(OFFSET_FETCH_VERSION, &request).await?.groups {
            ensure!(group.error_code == ErrorCode::NONE, "OffsetFetch: {}", group.error_code);
            let found = group.topics.iter().flat_map(|topic| &topic.partitions);
            let found = found.map(|partition| partition.committed_offset).collect();
            offsets.insert(group.group_id.as_str().to_owned(), found);
        }
    }
    Ok(offsets)
}
