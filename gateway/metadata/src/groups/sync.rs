//! Syncs and take-overs: the leader's assignments, and who watches a member (T2, T7).

use imbl::OrdMap;

use super::command::{MemberNumber, Payload, SyncGroup, TakeOver};
use super::group::{Group, GroupPhase, Watch};
use super::outcome::{GroupOutcome, GroupRefusal};
use super::{GroupEffect, Groups, Scene};
use crate::limits;

impl Groups {
    pub(super) fn sync(
        &mut self,
        scene: Scene<'_>,
        sync: &SyncGroup,
        effect: &mut GroupEffect,
    ) -> Result<GroupOutcome, GroupOutcome> {
        if !is_well_formed(sync) {
            return GroupRefusal::Malformed.refuse();
        }
        let group = self.seen(sync.group)?;
        let number = sync.member.member;
        let member = group.members.get(&number).filter(|member| member.watch.epoch == sync.member.watch_epoch);
        let member = member.ok_or(GroupOutcome::Mismatch)?;
        let watch = member.watch;
        if sync.generation != group.generation {
            return GroupRefusal::IllegalGeneration.refuse();
        }
        if group.phase == GroupPhase::PreparingRebalance {
            return GroupRefusal::RebalanceInProgress.refuse();
        }
        let is_awaited = group.phase == GroupPhase::CompletingRebalance && group.leader == Some(number);
        let given = match &sync.assignments {
            Some(assignments) if is_awaited => Some(judge_assignments(group, assignments)?),
            _ => None,
        };
        let mut turn = self.turn(sync.group, scene, sync.stamp_ms, effect)?;
        let watch = turn.moved_watch(watch);
        turn.change_member(number, |member| member.watch = watch);
        if let Some(given) = given {
            turn.assign(given);
            turn.enter(GroupPhase::Stable);
        }
        Ok(GroupOutcome::Synced)
    }

    /// The session that appended this watches the member from now on. The Join of the member stays where it is.
    pub(super) fn take_over(
        &mut self,
        scene: Scene<'_>,
        take_over: &TakeOver,
        effect: &mut GroupEffect,
    ) -> Result<GroupOutcome, GroupOutcome> {
        let number = take_over.member.member;
        let group = self.seen(take_over.group)?;
        let watch = *group.watch_of(number).ok_or(GroupOutcome::Mismatch)?;
        if watch.epoch != take_over.member.watch_epoch {
            return Err(GroupOutcome::Mismatch);
        }
        let stamp_ms = group.phase_began_ms;
        let mut turn = self.turn(take_over.group, scene, stamp_ms, effect)?;
        let epoch = watch.epoch.saturating_add(1);
        let mut moved = Watch { session: scene.session, epoch, last_activity: scene.position };
        if scene.defects.takeover_keeps_epoch {
            moved = Watch { session: scene.session, ..watch };
        }
        turn.change_member(number, |member| member.watch = moved);
        turn.change_registered(number, |registered| registered.watch = moved);
        Ok(GroupOutcome::TookOver)
    }
}

fn is_well_formed(sync: &SyncGroup) -> bool {
    let Some(assignments) = &sync.assignments else { return true };
    let is_small = |assignment: &Payload| match assignment {
        Payload::Inline(bytes) => bytes.len() <= limits::PAYLOAD_INLINE_BYTES,
        Payload::Object { .. } => true,
    };
    // As many as a group may have; strangers among them are passed over.
    assignments.len() <= limits::MEMBERS_PER_GROUP && assignments.iter().all(|(_, assignment)| is_small(assignment))
}

/// The assignments of members, the last one of those given twice. Refused over the bound on a group's payloads (I-14).
fn judge_assignments(
    group: &Group,
    assignments: &[(MemberNumber, Payload)],
) -> Result<OrdMap<MemberNumber, Payload>, GroupOutcome> {
    let of_members = assignments.iter().filter(|(member, _)| group.members.contains_key(member)).cloned();
    let given: OrdMap<MemberNumber, Payload> = of_members.collect();
    let before = group.members.values().filter_map(|member| member.assignment.as_ref());
    let before = before.fold(0, |bytes: u64, assignment| bytes.saturating_add(assignment.bytes()));
    let after = given.values().fold(0, |bytes: u64, assignment| bytes.saturating_add(assignment.bytes()));
    let others = group.payload_bytes.saturating_sub(before);
    if after > before && others.saturating_add(after) > limits::PAYLOAD_BYTES_PER_GROUP {
        return GroupRefusal::GroupFull.refuse();
    }
    Ok(given)
}
