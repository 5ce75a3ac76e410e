//! Consumer groups: the classic protocol and committed offsets, as part of State (design section 8).
//!
//! Promises: the same members, generation, leader, protocol and offsets on every gateway; nothing here depends on which
//! gateway a request came through (I-06). A phase ends in the entry that makes all known members joined, except from Empty.
//! A command that is refused changes nothing (L11).
//! Never: judges time; who was silent too long, and that a delay is over, are proposals of gateways that watched (T2).

mod checks;
mod codec;
mod command;
mod commit;
mod delete;
mod group;
mod index;
mod join;
mod leave;
mod outcome;
mod outcome_codec;
mod phase;
mod section;
mod sync;
#[cfg(test)]
mod tests;
mod turn;

use std::sync::Arc;

use imbl::OrdMap;
use uuid::Uuid;

use crate::defects::StateDefects;
use crate::gateways::Gateways;
use crate::topics::Topics;
use crate::{Position, SessionId};

pub(crate) use checks::{check_all, check_group};
pub(crate) use codec::{read_command, write_command};
pub use command::{
    CommitGroup, CommitOffset, CommitOffsets, Committer, CompletePhase, DeleteGroup, DeleteOffsets, ExpireMember,
    GroupCommand, GroupNumber, JoinGroup, Joiner, LeaveGroup, MemberNumber, OffsetDeletion, Payload, SeenMember,
    SyncGroup, TakeOver,
};
pub use group::{CommittedOffset, Group, GroupPhase, Member, Registered, Watch};
pub(crate) use index::Hosted;
pub use outcome::{CommitException, CommitRefusal, GroupOutcome, GroupRefusal, JoinOutcome};
#[cfg(test)]
pub(crate) use tests::any_group_command;

/// Partitions whose committed offsets make one slice: one item of the view of committed offsets.
const PARTITIONS_PER_SLICE: u32 = 100;

/// A slice of the committed offsets of one group: a hundred partitions of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OffsetSlice {
    /// The group's id.
    pub group_id: Arc<str>,
    /// The topic.
    pub topic_id: Uuid,
    /// Its name; of a deleted topic, the name it had.
    pub topic: Arc<str>,
    /// Partitions `100 × slice` to `100 × slice + 99`.
    pub slice: u32,
}

impl OffsetSlice {
    fn of(group_id: &Arc<str>, topic_id: Uuid, topic: &Arc<str>, partition: i32) -> Self {
        let slice = u32::try_from(partition).unwrap_or(0) / PARTITIONS_PER_SLICE;
        Self { group_id: Arc::clone(group_id), topic_id, topic: Arc::clone(topic), slice }
    }
}

/// All groups, and the indexes and counts over them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    pub(crate) by_number: OrdMap<GroupNumber, Arc<Group>>,
    pub(crate) by_id: OrdMap<Arc<str>, GroupNumber>,
    pub(crate) hosted: Hosted,
    pub(crate) usage: Usage,
    /// Number of the next group: ascends for ever.
    pub(crate) next_group: u64,
}

/// How much of State's bounds all groups use together (I-14).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    /// Members and registered ones.
    pub(crate) members: u64,
    pub(crate) offsets: u64,
}

/// What a command is applied against, besides the groups themselves.
#[derive(Clone, Copy)]
pub(crate) struct Scene<'a> {
    pub(crate) position: Position,
    /// The session that sealed the entry.
    pub(crate) session: SessionId,
    pub(crate) gateways: &'a Gateways,
    pub(crate) topics: &'a Topics,
    pub(crate) defects: StateDefects,
}

/// What commands did to groups, for [`crate::Applied`] and for the checks of invariants.
#[derive(Debug, Default)]
pub(crate) struct GroupEffect {
    /// Groups that a waiting Join or Sync must look at again.
    pub(crate) announced: Vec<GroupNumber>,
    /// Groups that changed in any way.
    pub(crate) touched: Vec<GroupNumber>,
    pub(crate) slices: Vec<OffsetSlice>,
}

impl GroupEffect {
    fn slice(&mut self, slice: OffsetSlice) {
        if self.slices.last() != Some(&slice) {
            self.slices.push(slice);
        }
    }
}

impl Groups {
    /// Applies one command: judges it first, and changes something only when it is not refused (L11).
    pub(crate) fn apply(&mut self, scene: Scene<'_>, command: &GroupCommand, effect: &mut GroupEffect) -> GroupOutcome {
        let answer = match command {
            GroupCommand::Join(join) => self.join(scene, join, effect),
            GroupCommand::Sync(sync) => self.sync(scene, sync, effect),
            GroupCommand::TakeOver(take_over) => self.take_over(scene, take_over, effect),
            GroupCommand::Leave(leave) => self.leave(scene, leave, effect),
            GroupCommand::ExpireMember(expire) => self.expire_member(scene, expire, effect),
            GroupCommand::CompletePhase(complete) => self.complete_phase(scene, complete, effect),
            GroupCommand::CommitOffsets(commit) => self.commit_offsets(scene, commit, effect),
            GroupCommand::DeleteOffsets(delete) => self.delete_offsets(scene, delete, effect),
            GroupCommand::DeleteGroup(delete) => self.delete_group(scene, delete, effect),
        };
        answer.unwrap_or_else(|refused| refused)
    }

    pub(crate) fn by_id(&self, id: &str) -> Option<&Arc<Group>> {
        self.by_number.get(self.by_id.get(id)?)
    }

    /// The group of that number, or the answer that it is not there any more (T7).
    fn seen(&self, number: GroupNumber) -> Result<&Group, GroupOutcome> {
        self.by_number.get(&number).map(|group| &**group).ok_or(GroupOutcome::Mismatch)
    }
}

impl GroupRefusal {
    /// The refusal as the answer to the whole command.
    const fn refuse<T>(self) -> Result<T, GroupOutcome> {
        Err(GroupOutcome::Refused(self))
    }
}
