//! OffsetFetch: what groups have committed.
//!
//! Promises: always answered after a barrier (T5): a committed offset is an upper bound of what was processed, and a
//! consumer that starts on another gateway must see what was committed on the first.

use sluice_metadata::{CommittedOffset, Group, State};

use super::api::{FetchedOffset, OffsetFetchAsk, OffsetFetched};
use crate::api::TopicRef;
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};
use crate::produce::find_topic;

impl Engine {
    /// The committed offsets of groups; `answers[i]` answers `asks[i]`, and its partitions are those asked for, in their
    /// order. A group that is not there has none, which is no error; nor need a topic asked for by name be there.
    pub async fn fetch_offsets(&self, asks: Vec<OffsetFetchAsk>) -> Vec<EngineResult<Vec<OffsetFetched>>> {
        if let Err(error) = self.barrier().await {
            return asks.iter().map(|_| Err(error.clone())).collect();
        }
        let view = self.inner.replica.view();
        asks.into_iter().map(|ask| Ok(fetch(&view, ask))).collect()
    }
}

fn fetch(view: &State, ask: OffsetFetchAsk) -> Vec<OffsetFetched> {
    let group = view.group(&ask.group_id);
    match ask.partitions {
        Some(asked) => {
            asked.into_iter().map(|(topic, partition)| fetch_one(view, group.map(|g| &**g), topic, partition)).collect()
        }
        None => group.map_or_else(Vec::new, |group| fetch_all(view, group)),
    }
}

fn fetch_one(view: &State, group: Option<&Group>, asked: TopicRef, partition: i32) -> OffsetFetched {
    let topic = find_topic(view, &asked).ok();
    let topic_id = topic.map(|topic| topic.id);
    let stored = group.zip(topic_id).and_then(|(group, id)| group.offsets.get(&(id, partition)));
    let offset = match &asked {
        TopicRef::Id(_) if topic.is_none() => Err(EngineError::UnknownTopicId),
        TopicRef::Id(_) | TopicRef::Name(_) => Ok(stored.map(fetched)),
    };
    OffsetFetched { topic_name: topic.map(|topic| topic.name.clone()), topic: asked, topic_id, partition, offset }
}

fn fetch_all(view: &State, group: &Group) -> Vec<OffsetFetched> {
    let known = |((topic_id, partition), stored): (&(uuid::Uuid, i32), &CommittedOffset)| {
        // Offsets go with their topic, in the same entry.
        let topic = view.topic_by_id(*topic_id)?;
        Some(OffsetFetched {
            topic: TopicRef::Name(topic.name.to_string()),
            topic_name: Some(topic.name.clone()),
            topic_id: Some(topic.id),
            partition: *partition,
            offset: Ok(Some(fetched(stored))),
        })
    };
    group.offsets.iter().filter_map(known).collect()
}

fn fetched(stored: &CommittedOffset) -> FetchedOffset {
    FetchedOffset { offset: stored.offset, leader_epoch: stored.leader_epoch, metadata: stored.metadata.clone() }
}
