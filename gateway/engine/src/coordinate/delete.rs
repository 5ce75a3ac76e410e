//! OffsetDelete and DeleteGroups.
//!
//! Promises: both judge after a barrier (T5). Offsets of a topic that a member is subscribed to stay: the command carries
//! the membership that was seen (T7).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream;
use sluice_metadata::{DeleteGroup, DeleteOffsets, Group, GroupCommand, GroupOutcome, GroupPhase, Position};
use uuid::Uuid;

use super::api::Origin;
use super::judge::{check_group_id, not_now, unexpected};
use super::subscription::{CONSUMER, subscribed_topics};
use crate::api::TopicRef;
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};
use crate::produce::{find_topic, partition_key};

/// Groups of one request deleted at once.
const DELETIONS_MAX: usize = 64;

impl Engine {
    /// Deletes committed offsets; `answers[i]` answers `partitions[i]`. One that was never committed is deleted as well.
    ///
    /// # Errors
    /// For the whole request: `InvalidGroupId` for an empty id, `GroupIdNotFound`, `NonEmptyGroup` for a group with members
    /// that is none of consumers; `NotFresh`, `NotCoordinatedNow` and those of a proposal when the client is to try again.
    /// For a partition: `UnknownTopic`, `UnknownPartition`, `GroupSubscribedToTopic`.
    pub async fn delete_offsets(
        &self,
        origin: &Origin,
        group_id: &str,
        partitions: Vec<(TopicRef, i32)>,
    ) -> EngineResult<Vec<EngineResult<()>>> {
        check_group_id(group_id)?;
        self.check_asker(origin)?;
        let mut is_second = false;
        loop {
            self.barrier().await?;
            let group = self.inner.replica.view().group(group_id).cloned().ok_or(EngineError::GroupIdNotFound)?;
            let is_consumers = group.protocol_type.as_deref() == Some(CONSUMER);
            if group.phase != GroupPhase::Empty && !is_consumers {
                return Err(EngineError::NonEmptyGroup);
            }
            let subscribed = match is_consumers {
                true => subscribed_topics(&self.inner.reader, &group).await?,
                false => Some(BTreeSet::new()),
            };
            let keys = self.judge_deletions(&partitions, subscribed.as_ref());
            self.check_asker(origin)?;
            match self.propose_deletion(&group, &keys).await? {
                GroupOutcome::OffsetsDeleted { .. } => {
                    return Ok(keys.into_iter().map(|key| key.map(|_| ())).collect());
                }
                GroupOutcome::Refused(refusal) => return Err(refusal.into()),
                GroupOutcome::Mismatch if !is_second => self.check_reproposal(origin)?,
                GroupOutcome::Mismatch => return Err(not_now("the group changed while its offsets were deleted")),
                other => return Err(unexpected(&other)),
            }
            is_second = true;
        }
    }

    /// Which offsets may go. `subscribed`: `None` stands for all topics.
    fn judge_deletions(
        &self,
        partitions: &[(TopicRef, i32)],
        subscribed: Option<&BTreeSet<String>>,
    ) -> Vec<EngineResult<(Uuid, i32)>> {
        let view = self.inner.replica.view();
        let judge = |(topic, partition): &(TopicRef, i32)| {
            let key = partition_key(&view, topic, *partition)?;
            let name = &find_topic(&view, topic)?.name;
            match subscribed {
                Some(topics) if !topics.contains(&**name) => Ok((key.topic_id, key.partition)),
                _ => Err(EngineError::GroupSubscribedToTopic),
            }
        };
        partitions.iter().map(judge).collect()
    }

    async fn propose_deletion(&self, group: &Group, keys: &[EngineResult<(Uuid, i32)>]) -> EngineResult<GroupOutcome> {
        let mut topics: BTreeMap<Uuid, Vec<(i32, Option<Position>)>> = BTreeMap::new();
        for (topic_id, partition) in keys.iter().flatten() {
            // What has no offset needs no command.
            if group.offsets.contains_key(&(*topic_id, *partition)) {
                topics.entry(*topic_id).or_default().push((*partition, None));
            }
        }
        if topics.is_empty() {
            return Ok(GroupOutcome::OffsetsDeleted { count: 0, group_deleted: false });
        }
        let command = DeleteOffsets {
            group: group.number,
            last_change: group.last_change,
            topics: topics.into_iter().collect(),
            delete_empty_group: false,
        };
        self.propose_group(GroupCommand::DeleteOffsets(command)).await
    }

    /// Deletes groups with their offsets; `answers[i]` answers `group_ids[i]`: `GroupIdNotFound`, `NonEmptyGroup`, or what
    /// stood in the way.
    pub async fn delete_groups(&self, origin: &Origin, group_ids: Vec<String>) -> Vec<EngineResult<()>> {
        let ready = async {
            self.check_asker(origin)?;
            self.barrier().await?;
            self.check_asker(origin)
        };
        if let Err(error) = ready.await {
            return group_ids.iter().map(|_| Err(error.clone())).collect();
        }
        // Collected: with the closure in it the future would not be `Send` for every lifetime.
        let deletions: Vec<_> = group_ids.iter().map(|group_id| self.delete_group(origin, group_id)).collect();
        stream::iter(deletions).buffered(DELETIONS_MAX).collect().await
    }

    async fn delete_group(&self, origin: &Origin, group_id: &str) -> EngineResult<()> {
        let mut is_second = false;
        loop {
            let group: Option<Arc<Group>> = self.inner.replica.view().group(group_id).cloned();
            let group = group.ok_or(EngineError::GroupIdNotFound)?;
            if group.phase != GroupPhase::Empty {
                return Err(EngineError::NonEmptyGroup);
            }
            match self.propose_group(GroupCommand::DeleteGroup(DeleteGroup { group: group.number })).await? {
                GroupOutcome::GroupDeleted => return Ok(()),
                GroupOutcome::Refused(refusal) => return Err(refusal.into()),
                GroupOutcome::Mismatch if !is_second => self.check_reproposal(origin)?,
                GroupOutcome::Mismatch => return Err(not_now("the group changed while it was deleted")),
                other => return Err(unexpected(&other)),
            }
            is_second = true;
        }
    }
}
