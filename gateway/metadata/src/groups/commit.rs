//! Commits of offsets.
//!
//! Promises: a commit is fenced by generation and member here, in apply, and never moves back what somebody else
//! committed after its proposer looked (T7). A commit is no sign of life: it changes neither watch nor membership.

use std::sync::Arc;

use uuid::Uuid;

use super::command::{CommitGroup, CommitOffset, CommitOffsets, Committer, GroupNumber};
use super::group::{CommittedOffset, Group, GroupPhase};
use super::outcome::{CommitException, CommitRefusal, GroupOutcome, GroupRefusal};
use super::{GroupEffect, Groups, OffsetSlice, Scene, Usage};
use crate::{Topic, limits};

impl Groups {
    pub(super) fn commit_offsets(
        &mut self,
        scene: Scene<'_>,
        commit: &CommitOffsets,
        effect: &mut GroupEffect,
    ) -> Result<GroupOutcome, GroupOutcome> {
        if !is_well_formed(commit) {
            return GroupRefusal::Malformed.refuse();
        }
        let Some(number) = self.judge_commit(scene, commit)? else {
            return Ok(GroupOutcome::Committed(all_unknown(commit)));
        };
        let group = self.by_number.get_mut(&number).ok_or(GroupOutcome::Mismatch)?;
        effect.touched.push(number);
        let group = Arc::make_mut(group);
        let usage = &mut self.usage;
        let mut desk = Desk { scene, commit, group, usage, effect, index: 0, exceptions: Vec::new(), metadata: None };
        for (topic_id, offsets) in &commit.topics {
            let topic = scene.topics.by_id.get(topic_id);
            for offset in offsets {
                desk.commit(topic, *topic_id, offset);
            }
        }
        Ok(GroupOutcome::Committed(desk.exceptions))
    }

    /// The group to commit to, created if need be; `None` when nothing could be committed to a new one.
    fn judge_commit(&mut self, scene: Scene<'_>, commit: &CommitOffsets) -> Result<Option<GroupNumber>, GroupOutcome> {
        match &commit.group {
            CommitGroup::Known(number) => {
                let group = self.seen(*number)?;
                if !scene.defects.commit_unfenced {
                    fence(group, commit.committer).map_err(GroupOutcome::Refused)?;
                }
                Ok(Some(*number))
            }
            CommitGroup::New(id) => {
                if self.by_id.contains_key(id.as_str()) {
                    return Err(GroupOutcome::Mismatch);
                }
                if commit.committer != Committer::Simple && !scene.defects.commit_unfenced {
                    return GroupRefusal::UnknownMember.refuse();
                }
                if !has_known_partition(scene, commit) {
                    return Ok(None);
                }
                self.judge_create()?;
                if self.usage.offsets >= limits::OFFSETS {
                    return GroupRefusal::LimitReached.refuse();
                }
                Ok(Some(self.create(id, scene.position, commit.committed_at_ms)))
            }
        }
    }
}

fn is_well_formed(commit: &CommitOffsets) -> bool {
    let count = commit.topics.iter().fold(0_usize, |count, (_, offsets)| count.saturating_add(offsets.len()));
    let is_named = match &commit.group {
        CommitGroup::Known(_) => true,
        CommitGroup::New(id) => id.len() <= limits::GROUP_ID_BYTES,
    };
    let mut offsets = commit.topics.iter().flat_map(|(_, offsets)| offsets);
    is_named
        && count <= limits::OFFSETS_PER_COMMIT
        && commit.topics.len() <= limits::OFFSETS_PER_COMMIT
        && offsets.all(|offset| offset.metadata.len() <= limits::OFFSET_METADATA_BYTES)
}

/// Kafka's validateOffsetCommit, by the number of the member.
fn fence(group: &Group, committer: Committer) -> Result<(), GroupRefusal> {
    match committer {
        Committer::Simple if group.phase == GroupPhase::Empty => Ok(()),
        Committer::Simple => Err(GroupRefusal::UnknownMember),
        Committer::Member { member, .. } if !group.members.contains_key(&member) => Err(GroupRefusal::UnknownMember),
        Committer::Member { generation, .. } => group.check_generation(generation),
    }
}

fn is_partition_of(topic: &Topic, partition: i32) -> bool {
    u32::try_from(partition).is_ok_and(|partition| partition < topic.partitions)
}

fn has_known_partition(scene: Scene<'_>, commit: &CommitOffsets) -> bool {
    commit.topics.iter().any(|(topic_id, offsets)| {
        let topic = scene.topics.by_id.get(topic_id);
        topic.is_some_and(|topic| offsets.iter().any(|offset| is_partition_of(topic, offset.partition)))
    })
}

fn all_unknown(commit: &CommitOffsets) -> Vec<CommitException> {
    let count = commit.topics.iter().map(|(_, offsets)| offsets.len()).sum::<usize>();
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    (0..count).map(|index| CommitException { index, reason: CommitRefusal::UnknownPartition }).collect()
}

/// One commit on its way through its partitions.
struct Desk<'a> {
    scene: Scene<'a>,
    commit: &'a CommitOffsets,
    group: &'a mut Group,
    usage: &'a mut Usage,
    effect: &'a mut GroupEffect,
    index: u32,
    exceptions: Vec<CommitException>,
    /// The text of the partition before: clients give all the same.
    metadata: Option<Arc<str>>,
}

impl Desk<'_> {
    fn commit(&mut self, topic: Option<&Arc<Topic>>, topic_id: Uuid, offset: &CommitOffset) {
        if let Err(reason) = self.store(topic, topic_id, offset) {
            self.exceptions.push(CommitException { index: self.index, reason });
        }
        self.index = self.index.saturating_add(1);
    }

    fn store(
        &mut self,
        topic: Option<&Arc<Topic>>,
        topic_id: Uuid,
        offset: &CommitOffset,
    ) -> Result<(), CommitRefusal> {
        let topic = topic.filter(|topic| is_partition_of(topic, offset.partition));
        let topic = topic.ok_or(CommitRefusal::UnknownPartition)?;
        let key = (topic_id, offset.partition);
        let stored = self.group.offsets.get(&key);
        self.judge(stored)?;
        let is_new = stored.is_none();
        let stored_text = stored.map(|stored| Arc::clone(&stored.metadata));
        let metadata = self.intern(&offset.metadata, stored_text);
        let committed = CommittedOffset {
            offset: offset.offset,
            leader_epoch: offset.leader_epoch,
            metadata,
            committed_at_ms: self.commit.committed_at_ms,
            expires_at_ms: self.commit.expires_at_ms,
            position: self.scene.position,
            session: self.scene.session,
        };
        self.group.offsets.insert(key, committed);
        self.usage.offsets = self.usage.offsets.saturating_add(u64::from(is_new));
        self.effect.slice(OffsetSlice::of(&self.group.id, topic_id, &topic.name, offset.partition));
        Ok(())
    }

    fn judge(&self, stored: Option<&CommittedOffset>) -> Result<(), CommitRefusal> {
        if let Some(stored) = stored {
            // T7: a gateway knows the order of its own commits, unless it proposes one of them a second time.
            let is_foreign = stored.session != self.scene.session || self.commit.exclusive;
            if stored.position > self.commit.known && is_foreign {
                return Err(CommitRefusal::Overtaken { stored: stored.offset });
            }
            return Ok(());
        }
        if self.group.offsets.len() >= limits::OFFSETS_PER_GROUP || self.usage.offsets >= limits::OFFSETS {
            return Err(CommitRefusal::LimitReached);
        }
        Ok(())
    }

    /// The text, shared with the commit before or the partition before when it is the same.
    fn intern(&mut self, text: &str, stored: Option<Arc<str>>) -> Arc<str> {
        let known = [stored, self.metadata.take()].into_iter().flatten().find(|known| **known == *text);
        let known = known.unwrap_or_else(|| text.into());
        self.metadata = Some(Arc::clone(&known));
        known
    }
}
