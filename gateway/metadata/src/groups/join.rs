//! Joins: new members, registered ones, members that join again, static members that come back.
//!
//! Promises: everything is judged before anything changes (L11): first the form, then what the proposer saw (T7), then
//! Kafka's rules in Kafka's order, then the bounds (I-14).

use std::sync::Arc;

use super::command::{JoinGroup, Joiner, MemberNumber, Payload, SeenMember};
use super::group::{Group, GroupPhase, Member, Registered};
use super::outcome::{GroupOutcome, GroupRefusal, JoinOutcome};
use super::phase::select_protocol;
use super::turn::{Turn, metadata_bytes};
use super::{GroupEffect, Groups, Scene};
use crate::limits;

/// What the joiner is to the group.
#[derive(Clone, Copy)]
enum Role {
    /// Nobody yet; to be registered only.
    Stranger,
    /// Nobody yet.
    Newcomer,
    /// A static member of this number under a new member id.
    Returning(MemberNumber),
    Registered(MemberNumber),
    Member(MemberNumber),
}

impl Groups {
    pub(super) fn join(
        &mut self,
        scene: Scene<'_>,
        join: &JoinGroup,
        effect: &mut GroupEffect,
    ) -> Result<GroupOutcome, GroupOutcome> {
        if !is_well_formed(join) {
            return GroupRefusal::Malformed.refuse();
        }
        let group = self.by_id(&join.group_id);
        // T7: the group and generation that were seen, or that there was none.
        if group.map(|group| (group.number, group.generation)) != join.seen {
            return Err(GroupOutcome::Mismatch);
        }
        let (number, role) = if let Some(group) = group {
            let role = role_of(group, join)?;
            judge(group, join, role)?;
            self.judge_bounds(Some(group), join, role)?;
            (group.number, role)
        } else {
            let role = role_in_new_group(join)?;
            self.judge_bounds(None, join, role)?;
            self.judge_create()?;
            (self.create(&join.group_id, scene.position, join.stamp_ms), role)
        };
        let mut turn = self.turn(number, scene, join.stamp_ms, effect)?;
        let (member, joined) = turn.join(join, role)?;
        Ok(GroupOutcome::Joined { group: number, member, joined })
    }

    /// I-14: what a Join may add to the group and to all groups.
    fn judge_bounds(&self, group: Option<&Arc<Group>>, join: &JoinGroup, role: Role) -> Result<(), GroupOutcome> {
        let (members, registered) = group.map_or((0, 0), |group| (group.members.len(), group.registered.len()));
        let is_full = match role {
            Role::Stranger => registered >= limits::REGISTERED_PER_GROUP,
            Role::Newcomer | Role::Registered(_) => members >= limits::MEMBERS_PER_GROUP,
            Role::Returning(_) | Role::Member(_) => false,
        };
        if is_full || exceeds_payload_bytes(group, join, role) {
            return GroupRefusal::GroupFull.refuse();
        }
        let is_another = matches!(role, Role::Stranger | Role::Newcomer);
        let has_number = group.is_none_or(|group| group.next_member < u64::MAX);
        if !has_number || is_another && self.usage.members >= limits::MEMBERS {
            return GroupRefusal::LimitReached.refuse();
        }
        Ok(())
    }
}

fn is_well_formed(join: &JoinGroup) -> bool {
    let is_text = |text: &str| text.len() <= limits::MEMBER_TEXT_BYTES;
    let joiner = match &join.joiner {
        // Only dynamic members are registered (KIP-394).
        Joiner::New { register_only: true, .. } if join.instance_id.is_some() => false,
        Joiner::New { member_id, .. } => !member_id.is_empty() && is_text(member_id),
        Joiner::Known(_) => true,
    };
    let is_small = |metadata: &Payload| match metadata {
        Payload::Inline(bytes) => bytes.len() <= limits::PAYLOAD_INLINE_BYTES,
        Payload::Object { .. } => true,
    };
    joiner
        && !join.group_id.is_empty()
        && join.group_id.len() <= limits::GROUP_ID_BYTES
        && join.instance_id.as_deref().is_none_or(is_text)
        && is_text(&join.client_id)
        && is_text(&join.client_host)
        && is_text(&join.protocol_type)
        && join.protocols.len() <= limits::PROTOCOLS_PER_MEMBER
        && join.protocols.iter().all(|(name, metadata)| is_text(name) && is_small(metadata))
}

fn role_of(group: &Group, join: &JoinGroup) -> Result<Role, GroupOutcome> {
    match &join.joiner {
        // Random ids do not collide: it is a second copy of somebody's proposal, who should look again.
        Joiner::New { member_id, .. } if group.member_ids.contains_key(member_id.as_str()) => {
            Err(GroupOutcome::Mismatch)
        }
        Joiner::New { register_only: true, .. } => Ok(Role::Stranger),
        Joiner::New { register_only: false, .. } => {
            let old = join.instance_id.as_deref().and_then(|instance_id| group.member_by_instance(instance_id));
            let old = old.map(|old| old.number);
            // T7: whoever has the instance id now may be the same client, by a Join that overtook this one.
            if old != join.seen_instance {
                return Err(GroupOutcome::Mismatch);
            }
            Ok(old.map_or(Role::Newcomer, Role::Returning))
        }
        Joiner::Known(SeenMember { member, watch_epoch }) => {
            // T7: the watch as it was seen.
            if group.watch_of(*member).is_none_or(|watch| watch.epoch != *watch_epoch) {
                return Err(GroupOutcome::Mismatch);
            }
            Ok(if group.members.contains_key(member) { Role::Member(*member) } else { Role::Registered(*member) })
        }
    }
}

/// A group is created by strangers and newcomers, with a protocol type and a protocol.
fn role_in_new_group(join: &JoinGroup) -> Result<Role, GroupOutcome> {
    let Joiner::New { register_only, .. } = join.joiner else {
        return Err(GroupOutcome::Mismatch);
    };
    if join.protocol_type.is_empty() || join.protocols.is_empty() {
        return GroupRefusal::InconsistentProtocol.refuse();
    }
    Ok(if register_only { Role::Stranger } else { Role::Newcomer })
}

/// Kafka's checks of a Join, in Kafka's order.
fn judge(group: &Group, join: &JoinGroup, role: Role) -> Result<(), GroupOutcome> {
    if !has_room(group, join.max_size, role) {
        return GroupRefusal::GroupFull.refuse();
    }
    let names = join.protocols.iter().map(|(name, _)| name.as_str());
    if !group.supports(&join.protocol_type, names) {
        return GroupRefusal::InconsistentProtocol.refuse();
    }
    match role {
        Role::Registered(_) if join.instance_id.is_some() => GroupRefusal::Malformed.refuse(),
        Role::Member(number) => {
            let member = group.members.get(&number).ok_or(GroupOutcome::Mismatch)?;
            group.check_member(&member.id, join.instance_id.as_deref()).map_err(GroupOutcome::Refused)?;
            Ok(())
        }
        Role::Stranger | Role::Newcomer | Role::Returning(_) | Role::Registered(_) => Ok(()),
    }
}

/// Kafka's acceptJoiningMember: while members join again, those who have joined count; otherwise the members do.
fn has_room(group: &Group, max_size: u32, role: Role) -> bool {
    let max_size = usize::try_from(max_size).unwrap_or(usize::MAX);
    let member = if let Role::Member(number) = role { group.members.get(&number) } else { None };
    match group.phase {
        GroupPhase::Empty => true,
        GroupPhase::PreparingRebalance => {
            member.is_some_and(|member| member.joined_by.is_some()) || group.joined < max_size
        }
        GroupPhase::CompletingRebalance | GroupPhase::Stable => member.is_some() || group.members.len() < max_size,
    }
}

fn exceeds_payload_bytes(group: Option<&Arc<Group>>, join: &JoinGroup, role: Role) -> bool {
    if matches!(role, Role::Stranger) {
        return false;
    }
    let after = join.protocols.iter().fold(0, |bytes: u64, (_, metadata)| bytes.saturating_add(metadata.bytes()));
    let before = match (role, group) {
        (Role::Returning(number) | Role::Member(number), Some(group)) => {
            group.members.get(&number).map_or(0, |member| metadata_bytes(&member.protocols))
        }
        _ => 0,
    };
    let others = group.map_or(0, |group| group.payload_bytes.saturating_sub(before));
    after > before && others.saturating_add(after) > limits::PAYLOAD_BYTES_PER_GROUP
}

impl Turn<'_> {
    fn join(&mut self, join: &JoinGroup, role: Role) -> Result<(MemberNumber, JoinOutcome), GroupOutcome> {
        let waiting = JoinOutcome::Waiting { generation: self.group.generation };
        match role {
            Role::Stranger => Ok((self.register(join), JoinOutcome::Registered)),
            Role::Newcomer => {
                let number = self.take_number();
                let watch = self.fresh_watch();
                self.admit(join, Registered { number, id: new_id(join), session_timeout_ms: 0, watch });
                Ok((number, waiting))
            }
            Role::Registered(number) => {
                let mut registered = self.remove_registered(number).ok_or(GroupOutcome::Mismatch)?;
                let watch = self.moved_watch(registered.watch);
                Arc::make_mut(&mut registered).watch = watch;
                self.admit(join, Arc::unwrap_or_clone(registered));
                Ok((number, waiting))
            }
            Role::Returning(old) => {
                let (number, replaced) = self.join_returning(join, old).ok_or(GroupOutcome::Mismatch)?;
                let current = JoinOutcome::Current { replaced: true };
                Ok((number, if replaced { current } else { waiting }))
            }
            Role::Member(number) if self.changes_nothing(join, number) => {
                let watch = self.group.members.get(&number).map(|member| self.moved_watch(member.watch));
                self.change_member(number, |member| member.watch = watch.unwrap_or(member.watch));
                Ok((number, JoinOutcome::Current { replaced: false }))
            }
            Role::Member(number) => {
                self.join_again(join, number);
                self.rebalance_or_complete(join.initial_delay_ms);
                Ok((number, waiting))
            }
        }
    }

    fn register(&mut self, join: &JoinGroup) -> MemberNumber {
        let number = self.take_number();
        let watch = self.fresh_watch();
        let session_timeout_ms = join.session_timeout_ms;
        self.add_registered(Registered { number, id: new_id(join), session_timeout_ms, watch });
        number
    }

    /// A new member, under the number, id and watch of `as_registered`.
    fn admit(&mut self, join: &JoinGroup, as_registered: Registered) {
        if self.group.members.is_empty() {
            self.group.protocol_type = Some(join.protocol_type.as_str().into());
        }
        let Registered { number, id, watch, .. } = as_registered;
        self.add_member(Member {
            number,
            id,
            instance_id: join.instance_id.as_deref().map(Into::into),
            client_id: join.client_id.as_str().into(),
            client_host: join.client_host.as_str().into(),
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols: self.intern(join),
            assignment: None,
            generation: 0,
            joined_by: Some(self.session),
            watch,
        });
        self.rebalance_or_complete(join.initial_delay_ms);
    }

    /// Kafka answers such a Join at once: nothing that others would have to know is new.
    fn changes_nothing(&self, join: &JoinGroup, number: MemberNumber) -> bool {
        let same = self.group.members.get(&number).is_some_and(|member| is_same(&member.protocols, join));
        match self.group.phase {
            GroupPhase::CompletingRebalance => same,
            // The leader's Join asks for new assignments: its topics may have changed.
            GroupPhase::Stable => same && self.group.leader != Some(number),
            GroupPhase::Empty | GroupPhase::PreparingRebalance => false,
        }
    }

    /// The member has joined the running phase, or the one that begins next, with these protocols and timeouts. Client id
    /// and host stay, as in Kafka.
    fn join_again(&mut self, join: &JoinGroup, number: MemberNumber) {
        let Some(member) = self.group.members.get(&number).map(Arc::clone) else { return };
        let protocols = if is_same(&member.protocols, join) {
            Arc::clone(&member.protocols)
        } else {
            let protocols = self.intern(join);
            self.group.discount_protocols(&member.protocols);
            self.group.count_protocols(&protocols);
            protocols
        };
        let (watch, session) = (self.moved_watch(member.watch), self.session);
        self.change_member(number, |member| {
            member.protocols = protocols;
            member.session_timeout_ms = join.session_timeout_ms;
            member.rebalance_timeout_ms = join.rebalance_timeout_ms;
            member.watch = watch;
            member.joined_by = Some(session);
        });
        self.membership_changed();
    }

    /// KIP-345: the member gets a new number and id, and keeps its assignment. True: the group stays as it is.
    fn join_returning(&mut self, join: &JoinGroup, old: MemberNumber) -> Option<(MemberNumber, bool)> {
        let (watch, protocols) = (self.fresh_watch(), self.intern(join));
        let number = self.replace_member(old, |old, number| Member {
            number,
            id: new_id(join),
            session_timeout_ms: join.session_timeout_ms,
            rebalance_timeout_ms: join.rebalance_timeout_ms,
            protocols,
            joined_by: None,
            watch,
            ..old.clone()
        })?;
        if self.group.phase == GroupPhase::Stable && select_protocol(self.group) == self.group.protocol {
            return Some((number, true));
        }
        let session = self.session;
        self.change_member(number, |member| member.joined_by = Some(session));
        self.rebalance_or_complete(join.initial_delay_ms);
        Some((number, false))
    }

    /// The protocols of a Join; names that the group knows are shared with it.
    fn intern(&self, join: &JoinGroup) -> Arc<[(Arc<str>, Payload)]> {
        let name_of = |name: &str| {
            let known = self.group.support.get_key_value(name);
            known.map_or_else(|| name.into(), |(known, _)| Arc::clone(known))
        };
        join.protocols.iter().map(|(name, metadata)| (name_of(name), metadata.clone())).collect()
    }
}

fn new_id(join: &JoinGroup) -> Arc<str> {
    match &join.joiner {
        Joiner::New { member_id, .. } => member_id.as_str().into(),
        Joiner::Known(_) => "".into(),
    }
}

/// The same protocols in the same order with the same metadata. Metadata in objects is the same when the reference is: a
/// difference only causes a rebalance.
fn is_same(protocols: &[(Arc<str>, Payload)], join: &JoinGroup) -> bool {
    let joining = join.protocols.iter().map(|(name, metadata)| (name.as_str(), metadata));
    protocols.iter().map(|(name, metadata)| (&**name, metadata)).eq(joining)
}
