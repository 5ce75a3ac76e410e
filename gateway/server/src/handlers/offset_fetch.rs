//! OffsetFetch (key 9), versions 0–10.
//!
//! Behaviour: as Kafka's, the empty group id included: a group or a partition that has no offset answers −1 and no error.
//! Always from a State that is newer than the request (T5). "Stable" offsets are all there are: no transaction can be pending yet.
//! Version notes: 2 null asks for all that have an offset, and tells an error of the group; 5 leader epochs; 7
//! `require_stable` (KIP-447); 8 several groups (KIP-709); 9 member and epoch (KIP-848), which classic groups do not look
//! at; 10 topic ids in place of names.
//! Errors: per group (before version 2 per partition) 14 what could not be decided now; per partition 100 an unknown topic
//! id.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use sluice_engine::{EngineError, EngineResult, FetchedOffset, OffsetFetchAsk, OffsetFetched, TopicRef};
use sluice_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics, OffsetFetchResponseGroup,
    OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use sluice_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
use sluice_protocol::{DecodeError, ErrorCode, KString, Uuid};

use super::topic_ref;
use crate::dispatch::{Call, run_alone};
use crate::errors::offset_fetch_code;
use crate::request::{Outcome, Stage};

/// An error of the whole group is told from this version on.
const GROUP_ERROR_SINCE: i16 = 2;
/// Several groups come from this version on.
const GROUPS_SINCE: i16 = 8;
/// Topics have ids, not names, from this version on.
const TOPIC_IDS_SINCE: i16 = 10;
/// No offset, no leader epoch.
const NONE: i32 = -1;

/// What one group is asked for: topics with their partitions, or null for all.
type Asked = Option<Vec<(TopicRef, Vec<i32>)>>;

/// A topic of an answer.
struct Told {
    name: KString,
    topic_id: Uuid,
    partitions: Vec<OffsetFetchResponsePartitions>,
}

pub(crate) fn start(call: Call) -> Result<BoxFuture<'static, Stage>, DecodeError> {
    run_alone(call, handle)
}

async fn handle(call: Call, request: OffsetFetchRequest) -> Outcome {
    if call.version >= GROUPS_SINCE {
        let by_id = call.version >= TOPIC_IDS_SINCE;
        let asked: Vec<(KString, Asked)> =
            request.groups.into_iter().map(|group| (group.group_id.clone(), asked_of_group(group, by_id))).collect();
        let fetched = fetch(&call, &asked).await;
        let groups =
            asked.into_iter().zip(fetched).map(|((group_id, asked), fetched)| tell_group(group_id, asked, fetched));
        return call.answer(&OffsetFetchResponse { groups: groups.collect(), ..OffsetFetchResponse::default() });
    }
    let by_name = |topic: OffsetFetchRequestTopic| (TopicRef::Name(String::from(topic.name)), topic.partition_indexes);
    let asked: Asked = request.topics.map(|topics| topics.into_iter().map(by_name).collect());
    let one = [(request.group_id, asked)];
    let fetched = fetch(&call, &one).await.into_iter().next();
    let [(_, asked)] = one;
    call.answer(&tell_alone(call.version, asked, fetched.unwrap_or_else(|| Err(unanswered()))))
}

fn asked_of_group(group: OffsetFetchRequestGroup, by_id: bool) -> Asked {
    let asked =
        |topic: OffsetFetchRequestTopics| (topic_ref(by_id, &topic.name, topic.topic_id), topic.partition_indexes);
    group.topics.map(|topics| topics.into_iter().map(asked).collect())
}

async fn fetch(call: &Call, asked: &[(KString, Asked)]) -> Vec<EngineResult<Vec<OffsetFetched>>> {
    let ask = |(group_id, asked): &(KString, Asked)| OffsetFetchAsk {
        group_id: group_id.as_str().to_owned(),
        partitions: asked.as_ref().map(|topics| {
            topics
                .iter()
                .flat_map(|(topic, partitions)| partitions.iter().map(|index| (topic.clone(), *index)))
                .collect()
        }),
    };
    call.service.engine.fetch_offsets(asked.iter().map(ask).collect()).await
}

fn unanswered() -> EngineError {
    EngineError::NotFresh("the group was not answered".to_owned())
}

fn tell_group(group_id: KString, asked: Asked, fetched: EngineResult<Vec<OffsetFetched>>) -> OffsetFetchResponseGroup {
    match fetched {
        Ok(fetched) => {
            let topics = tell_topics(asked, fetched).into_iter().map(|topic| OffsetFetchResponseTopics {
                name: topic.name,
                topic_id: topic.topic_id,
                partitions: topic.partitions,
            });
            OffsetFetchResponseGroup { group_id, topics: topics.collect(), ..OffsetFetchResponseGroup::default() }
        }
        Err(error) => OffsetFetchResponseGroup {
            group_id,
            error_code: offset_fetch_code(&error),
            ..OffsetFetchResponseGroup::default()
        },
    }
}

/// The layout for one group.
fn tell_alone(version: i16, asked: Asked, fetched: EngineResult<Vec<OffsetFetched>>) -> OffsetFetchResponse {
    let (topics, error_code) = match fetched {
        Ok(fetched) => (tell_topics(asked, fetched), ErrorCode::NONE),
        Err(error) if version >= GROUP_ERROR_SINCE => (Vec::new(), offset_fetch_code(&error)),
        // Nowhere else to tell it.
        Err(error) => {
            let missing = OffsetFetchResponsePartitions { error_code: offset_fetch_code(&error), ..no_offset(0) };
            let at = |index: i32| OffsetFetchResponsePartitions { partition_index: index, ..missing.clone() };
            let told = |(topic, partitions): (TopicRef, Vec<i32>)| {
                let (name, topic_id) = name_of(&topic, None);
                Told { name, topic_id, partitions: partitions.into_iter().map(at).collect() }
            };
            (asked.unwrap_or_default().into_iter().map(told).collect(), ErrorCode::NONE)
        }
    };
    let partition = |told: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: told.partition_index,
        committed_offset: told.committed_offset,
        committed_leader_epoch: told.committed_leader_epoch,
        metadata: told.metadata,
        error_code: told.error_code,
    };
    let topics = topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    });
    OffsetFetchResponse { topics: topics.collect(), error_code, ..OffsetFetchResponse::default() }
}

/// The partitions of one group by topic: those asked for in their order, each with a block; or all that have an offset.
fn tell_topics(asked: Asked, fetched: Vec<OffsetFetched>) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    match asked {
        Some(asked) => {
            let mut fetched = fetched.into_iter();
            for (topic, partitions) in asked {
                let answers: Vec<_> = fetched.by_ref().take(partitions.len()).collect();
                let known = answers.iter().find_map(|answer| answer.topic_name.clone());
                let (name, topic_id) = name_of(&topic, known);
                told.push(Told { name, topic_id, partitions: answers.into_iter().map(tell_partition).collect() });
            }
        }
        None => {
            for answer in fetched {
                let (name, _) = name_of(&answer.topic, answer.topic_name.clone());
                let topic_id = answer.topic_id.unwrap_or_default();
                match told.last_mut().filter(|last| last.topic_id == topic_id && last.name == name) {
                    Some(last) => last.partitions.push(tell_partition(answer)),
                    None => told.push(Told { name, topic_id, partitions: vec![tell_partition(answer)] }),
                }
            }
        }
    }
    told
}

fn name_of(topic: &TopicRef, known: Option<Arc<str>>) -> (KString, Uuid) {
    match topic {
        TopicRef::Name(name) => (KString::from(name.as_str()), Uuid::nil()),
        TopicRef::Id(id) => (known.map_or_else(KString::new, |name| KString::from(&*name)), *id),
    }
}

fn no_offset(partition_index: i32) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: NONE.into(),
        committed_leader_epoch: NONE,
        ..OffsetFetchResponsePartitions::default()
    }
}

fn tell_partition(fetched: OffsetFetched) -> OffsetFetchResponsePartitions {
    let none = no_offset(fetched.partition);
    match fetched.offset {
        Ok(None) => none,
        Ok(Some(FetchedOffset { offset, leader_epoch, metadata })) => OffsetFetchResponsePartitions {
            committed_offset: offset,
            committed_leader_epoch: leader_epoch,
            metadata: Some(KString::from(&*metadata)),
            ..none
        },
        Err(error) => OffsetFetchResponsePartitions { error_code: offset_fetch_code(&error), ..none },
    }
}
