//! Members that go: by their own wish, by silence, and what the close of a session means for those it hosts.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::command::{ExpireMember, GroupNumber, LeaveGroup, MemberNumber};
use super::outcome::{GroupOutcome, GroupRefusal};
use super::turn::Turn;
use super::{GroupEffect, Groups, Scene};
use crate::{Position, SessionId, limits};

impl Groups {
    /// Those who are not there any more, or whose group is not, are answered false.
    pub(super) fn leave(
        &mut self,
        scene: Scene<'_>,
        leave: &LeaveGroup,
        effect: &mut GroupEffect,
    ) -> Result<GroupOutcome, GroupOutcome> {
        if leave.members.len() > limits::MEMBERS_PER_GROUP.saturating_add(limits::REGISTERED_PER_GROUP) {
            return GroupRefusal::Malformed.refuse();
        }
        let is_there = |number: &MemberNumber| {
            self.by_number.get(&leave.group).is_some_and(|group| group.watch_of(*number).is_some())
        };
        if !leave.members.iter().any(is_there) {
            return Ok(GroupOutcome::Left(vec![false; leave.members.len()]));
        }
        let mut turn = self.turn(leave.group, scene, leave.stamp_ms, effect)?;
        let removed = leave.members.iter().map(|number| turn.remove(*number)).collect();
        // Kafka rebalances a stable group also when only a registered one left.
        turn.rebalance_or_complete_after_removal();
        Ok(GroupOutcome::Left(removed))
    }

    /// A member was silent. T2, T7: nothing was heard of it since, and it does not wait for the end of a phase under a
    /// session that is open: then it cannot send anything, and its gateway knows whether it is there.
    pub(super) fn expire_member(
        &mut self,
        scene: Scene<'_>,
        expire: &ExpireMember,
        effect: &mut GroupEffect,
    ) -> Result<GroupOutcome, GroupOutcome> {
        let group = self.seen(expire.group)?;
        let number = expire.member.member;
        let watch = group.watch_of(number).ok_or(GroupOutcome::Mismatch)?;
        if (watch.epoch, watch.last_activity) != (expire.member.watch_epoch, expire.last_activity) {
            return Err(GroupOutcome::Mismatch);
        }
        let member = group.members.get(&number);
        let holder = member.and_then(|member| member.joined_by);
        let is_waiting = holder.is_some_and(|session| scene.gateways.get(session).is_some());
        if is_waiting && !scene.defects.expire_waiting {
            return Err(GroupOutcome::Mismatch);
        }
        let is_member = member.is_some();
        let mut turn = self.turn(expire.group, scene, expire.stamp_ms, effect)?;
        turn.remove(number);
        if is_member {
            turn.rebalance_or_complete_after_removal();
        } else if !turn.defects.complete_after_joins_only {
            turn.complete_if_all_joined();
        }
        Ok(GroupOutcome::MemberExpired)
    }

    /// T2: those whom the session watched or whose Join it held are judged from here on by anybody, after their full
    /// session timeout. A member that had joined still counts as joined.
    pub(crate) fn session_closed(&mut self, position: Position, session: SessionId, effect: &mut GroupEffect) {
        let mut hosted: BTreeMap<GroupNumber, Vec<MemberNumber>> = BTreeMap::new();
        for (group, member) in self.hosted.of(session) {
            hosted.entry(group).or_default().push(member);
        }
        for (number, members) in hosted {
            self.record_activity(number, &members, position);
            effect.touched.push(number);
        }
    }

    fn record_activity(&mut self, number: GroupNumber, members: &[MemberNumber], position: Position) {
        let Some(group) = self.by_number.get_mut(&number) else { return };
        let group = Arc::make_mut(group);
        for number in members {
            if let Some(member) = group.members.get_mut(number) {
                Arc::make_mut(member).watch.last_activity = position;
            } else if let Some(registered) = group.registered.get_mut(number) {
                Arc::make_mut(registered).watch.last_activity = position;
            }
        }
    }
}

impl Turn<'_> {
    /// Removes a member or a registered one; false when it is neither.
    fn remove(&mut self, number: MemberNumber) -> bool {
        self.remove_member(number) || self.remove_registered(number).is_some()
    }
}
