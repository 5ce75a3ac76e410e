//! Deletions: of committed offsets, of groups, and of a deleted topic's offsets.

use std::sync::Arc;

use uuid::Uuid;

use super::command::{DeleteGroup, DeleteOffsets, GroupNumber};
use super::group::{Group, GroupPhase};
use super::outcome::{GroupOutcome, GroupRefusal};
use super::{GroupEffect, Groups, OffsetSlice, Scene};
use crate::limits;
use crate::topics::Topics;

impl Groups {
    /// T7: refused when the members changed since: what they are subscribed to may have changed with them.
    pub(super) fn delete_offsets(
        &mut self,
        scene: Scene<'_>,
        delete: &DeleteOffsets,
        effect: &mut GroupEffect,
    ) -> Result<GroupOutcome, GroupOutcome> {
        let count = delete.topics.iter().fold(0_usize, |count, (_, list)| count.saturating_add(list.len()));
        if count > limits::OFFSETS_PER_COMMIT || delete.topics.len() > limits::OFFSETS_PER_COMMIT {
            return GroupRefusal::Malformed.refuse();
        }
        if self.seen(delete.group)?.last_change != delete.last_change {
            return Err(GroupOutcome::Mismatch);
        }
        let group = Arc::make_mut(self.by_number.get_mut(&delete.group).ok_or(GroupOutcome::Mismatch)?);
        effect.touched.push(delete.group);
        let mut count = 0;
        for (topic_id, partitions) in &delete.topics {
            for (partition, expired) in partitions {
                let key = (*topic_id, *partition);
                let stored = group.offsets.get(&key);
                // With a position, only that very commit: what was committed since has not expired.
                let is_meant = stored.is_some_and(|stored| expired.is_none_or(|expired| stored.position == expired));
                if is_meant {
                    group.offsets.remove(&key);
                    count += 1;
                    push_slice(effect, &group.id, scene.topics, key);
                }
            }
        }
        self.usage.offsets = self.usage.offsets.saturating_sub(count);
        let is_dead = group.phase == GroupPhase::Empty && group.offsets.is_empty();
        let group_deleted = delete.delete_empty_group && is_dead;
        if group_deleted {
            self.remove_group(delete.group, scene.topics, effect);
        }
        Ok(GroupOutcome::OffsetsDeleted { count, group_deleted })
    }

    /// Registered ones do not keep a group, as in Kafka: their next Join hears that they are unknown.
    pub(super) fn delete_group(
        &mut self,
        scene: Scene<'_>,
        delete: &DeleteGroup,
        effect: &mut GroupEffect,
    ) -> Result<GroupOutcome, GroupOutcome> {
        let Some(group) = self.by_number.get(&delete.group) else {
            return GroupRefusal::GroupNotFound.refuse();
        };
        if group.phase != GroupPhase::Empty {
            return GroupRefusal::NotEmpty.refuse();
        }
        self.remove_group(delete.group, scene.topics, effect);
        Ok(GroupOutcome::GroupDeleted)
    }

    /// Removes a group without members, with everything of it.
    fn remove_group(&mut self, number: GroupNumber, topics: &Topics, effect: &mut GroupEffect) {
        let Some(group) = self.by_number.remove(&number) else { return };
        self.by_id.remove(&group.id);
        for registered in group.registered.values() {
            self.hosted.remove(number, registered.number, registered.place());
        }
        for key in group.offsets.keys() {
            push_slice(effect, &group.id, topics, *key);
        }
        let used = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        self.usage.members = self.usage.members.saturating_sub(used(group.registered.len()));
        self.usage.offsets = self.usage.offsets.saturating_sub(used(group.offsets.len()));
        effect.announced.push(number);
        effect.touched.push(number);
    }

    /// A topic went, and the offsets of it in every group with it: a topic that is created again starts without any. O(groups).
    pub(crate) fn topic_deleted(&mut self, topic_id: Uuid, topic: &Arc<str>, effect: &mut GroupEffect) {
        let holding = |group: &Arc<Group>| (group.number, partitions_of(group, topic_id));
        let holders: Vec<_> = self.by_number.values().map(holding).filter(|(_, held)| !held.is_empty()).collect();
        for (number, partitions) in holders {
            let Some(group) = self.by_number.get_mut(&number).map(Arc::make_mut) else { continue };
            for partition in partitions {
                group.offsets.remove(&(topic_id, partition));
                self.usage.offsets = self.usage.offsets.saturating_sub(1);
                effect.slice(OffsetSlice::of(&group.id, topic_id, topic, partition));
            }
            effect.touched.push(number);
        }
    }
}

/// The partitions of a topic that a group has offsets of.
fn partitions_of(group: &Group, topic_id: Uuid) -> Vec<i32> {
    let range = (topic_id, i32::MIN)..=(topic_id, i32::MAX);
    group.offsets.range(range).map(|((_, partition), _)| *partition).collect()
}

fn push_slice(effect: &mut GroupEffect, group_id: &Arc<str>, topics: &Topics, (topic_id, partition): (Uuid, i32)) {
    // Offsets go with their topic, so it is there.
    if let Some(topic) = topics.by_id.get(&topic_id) {
        effect.slice(OffsetSlice::of(group_id, topic_id, &topic.name, partition));
    }
}
