//! One group while a command changes it: members come and go together with every index and count over them.

use std::sync::Arc;

use imbl::OrdMap;
use xxhash_rust::xxh3::xxh3_64;

use super::command::{GroupNumber, MemberNumber, Payload};
use super::group::{Group, GroupPhase, Member, Registered, Watch};
use super::index::{Hosted, Place};
use super::outcome::GroupOutcome;
use super::{GroupEffect, GroupRefusal, Groups, Scene, Usage};
use crate::defects::StateDefects;
use crate::{Position, SessionId, limits};

/// The group that a command changes, and what must change with it.
pub(super) struct Turn<'a> {
    pub(super) group: &'a mut Group,
    pub(super) effect: &'a mut GroupEffect,
    pub(super) position: Position,
    pub(super) session: SessionId,
    pub(super) stamp_ms: i64,
    pub(super) defects: StateDefects,
    hosted: &'a mut Hosted,
    usage: &'a mut Usage,
}

impl Groups {
    /// Begins to change a group. Nothing may be refused from here on (L11).
    pub(super) fn turn<'a>(
        &'a mut self,
        number: GroupNumber,
        scene: Scene<'_>,
        stamp_ms: i64,
        effect: &'a mut GroupEffect,
    ) -> Result<Turn<'a>, GroupOutcome> {
        let group = Arc::make_mut(self.by_number.get_mut(&number).ok_or(GroupOutcome::Mismatch)?);
        effect.touched.push(number);
        let (hosted, usage) = (&mut self.hosted, &mut self.usage);
        let Scene { position, session, defects, .. } = scene;
        Ok(Turn { group, effect, position, session, stamp_ms, defects, hosted, usage })
    }

    /// Refused when there are as many groups as there may be.
    pub(super) fn judge_create(&self) -> Result<(), GroupOutcome> {
        if self.by_number.len() >= limits::GROUPS || self.next_group == u64::MAX {
            return GroupRefusal::LimitReached.refuse();
        }
        Ok(())
    }

    /// Creates an empty group, judged by [`Self::judge_create`].
    pub(super) fn create(&mut self, id: &str, position: Position, stamp_ms: i64) -> GroupNumber {
        let number = GroupNumber(self.next_group);
        self.next_group = self.next_group.saturating_add(1);
        let id: Arc<str> = id.into();
        self.by_id.insert(Arc::clone(&id), number);
        self.by_number.insert(number, Arc::new(Group::new(number, id, position, stamp_ms)));
        number
    }
}

/// The virtual shard of a new group (L12).
pub(super) fn shard_of(id: &str) -> u8 {
    u8::try_from(xxh3_64(id.as_bytes()) % u64::from(limits::SHARDS)).unwrap_or(0)
}

impl Group {
    pub(super) fn new(number: GroupNumber, id: Arc<str>, position: Position, stamp_ms: i64) -> Self {
        Self {
            number,
            shard: shard_of(&id),
            id,
            phase: GroupPhase::Empty,
            is_initial: false,
            initial_delay_ms: 0,
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            members: OrdMap::new(),
            registered: OrdMap::new(),
            next_member: 0,
            joined: 0,
            phase_began: position,
            last_change: position,
            phase_began_ms: stamp_ms,
            offsets: OrdMap::new(),
            member_ids: OrdMap::new(),
            instances: OrdMap::new(),
            payload_bytes: 0,
            support: OrdMap::new(),
        }
    }

    /// Counts a member in `support` and `payload_bytes`.
    pub(super) fn count_protocols(&mut self, protocols: &[(Arc<str>, Payload)]) {
        for name in distinct_names(protocols) {
            *self.support.entry(Arc::clone(name)).or_insert(0) += 1;
        }
        self.payload_bytes = self.payload_bytes.saturating_add(metadata_bytes(protocols));
    }

    /// The opposite of [`Self::count_protocols`].
    pub(super) fn discount_protocols(&mut self, protocols: &[(Arc<str>, Payload)]) {
        for name in distinct_names(protocols) {
            match self.support.get_mut(name) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    self.support.remove(name);
                }
            }
        }
        self.payload_bytes = self.payload_bytes.saturating_sub(metadata_bytes(protocols));
    }

    /// The member's watch, or the registered one's.
    pub(super) fn watch_of(&self, number: MemberNumber) -> Option<&Watch> {
        let member = self.members.get(&number).map(|member| &member.watch);
        member.or_else(|| self.registered.get(&number).map(|registered| &registered.watch))
    }
}

/// The names of a member's protocols, each once: a name given twice is one protocol.
pub(super) fn distinct_names(protocols: &[(Arc<str>, Payload)]) -> impl Iterator<Item = &Arc<str>> {
    let is_first = |index: usize, name: &Arc<str>| !protocols.iter().take(index).any(|(earlier, _)| earlier == name);
    protocols.iter().enumerate().filter(move |(index, (name, _))| is_first(*index, name)).map(|(_, (name, _))| name)
}

pub(super) fn metadata_bytes(protocols: &[(Arc<str>, Payload)]) -> u64 {
    protocols.iter().fold(0, |bytes: u64, (_, metadata)| bytes.saturating_add(metadata.bytes()))
}

impl Payload {
    /// How many bytes it stands for.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Inline(bytes) => u64::try_from(bytes.len()).unwrap_or(u64::MAX),
            Self::Object { len, .. } => u64::from(*len),
        }
    }
}

impl Member {
    pub(super) fn place(&self) -> Place {
        Place::of(&self.watch, self.joined_by)
    }
}

impl Registered {
    pub(super) fn place(&self) -> Place {
        Place::of(&self.watch, None)
    }
}

impl Turn<'_> {
    /// Whoever waits for this group must look again.
    pub(super) fn announce(&mut self) {
        self.effect.announced.push(self.group.number);
    }

    /// Members or registered ones changed (T7).
    pub(super) fn membership_changed(&mut self) {
        self.group.last_change = self.position;
    }

    /// A number that no member of this group had or will have. The bound on it is judged before.
    pub(super) fn take_number(&mut self) -> MemberNumber {
        let number = MemberNumber(self.group.next_member);
        self.group.next_member = self.group.next_member.saturating_add(1);
        number
    }

    /// The watch as it is once this session has heard of the member: moved here, with another epoch if it was elsewhere.
    pub(super) fn moved_watch(&self, watch: Watch) -> Watch {
        let elsewhere = watch.session != self.session && !self.defects.takeover_keeps_epoch;
        let epoch = watch.epoch.saturating_add(u64::from(elsewhere));
        Watch { session: self.session, epoch, last_activity: self.position }
    }

    /// The watch of somebody new.
    pub(super) fn fresh_watch(&self) -> Watch {
        Watch { session: self.session, epoch: 0, last_activity: self.position }
    }

    pub(super) fn add_member(&mut self, member: Member) {
        let number = member.number;
        self.group.member_ids.insert(Arc::clone(&member.id), number);
        if let Some(instance_id) = &member.instance_id {
            self.group.instances.insert(Arc::clone(instance_id), number);
        }
        self.group.joined += usize::from(member.joined_by.is_some());
        self.group.count_protocols(&member.protocols);
        let assigned = member.assignment.as_ref().map_or(0, Payload::bytes);
        self.group.payload_bytes = self.group.payload_bytes.saturating_add(assigned);
        self.group.leader.get_or_insert(number);
        self.hosted.add(self.group.number, number, member.place());
        self.usage.members = self.usage.members.saturating_add(1);
        self.group.members.insert(number, Arc::new(member));
        self.membership_changed();
    }

    /// Removes a member from everything but the leadership.
    fn take_member(&mut self, number: MemberNumber) -> Option<Arc<Member>> {
        let member = self.group.members.remove(&number)?;
        self.group.member_ids.remove(&member.id);
        if let Some(instance_id) = &member.instance_id {
            self.group.instances.remove(instance_id);
        }
        self.group.joined = self.group.joined.saturating_sub(usize::from(member.joined_by.is_some()));
        self.group.discount_protocols(&member.protocols);
        let assigned = member.assignment.as_ref().map_or(0, Payload::bytes);
        self.group.payload_bytes = self.group.payload_bytes.saturating_sub(assigned);
        self.hosted.remove(self.group.number, number, member.place());
        self.usage.members = self.usage.members.saturating_sub(1);
        self.membership_changed();
        self.announce();
        Some(member)
    }

    /// Removes a member; false when it is not there. A leader's place falls to the member that came first.
    pub(super) fn remove_member(&mut self, number: MemberNumber) -> bool {
        let removed = self.take_member(number).is_some();
        if removed && self.group.leader == Some(number) {
            self.group.leader = self.group.members.keys().next().copied();
        }
        removed
    }

    /// A static member comes back: `renew` makes the new member of the old one and the new number (KIP-345).
    pub(super) fn replace_member(
        &mut self,
        old: MemberNumber,
        renew: impl FnOnce(&Member, MemberNumber) -> Member,
    ) -> Option<MemberNumber> {
        let old_member = self.take_member(old)?;
        let number = self.take_number();
        if self.group.leader == Some(old) {
            self.group.leader = Some(number);
        }
        self.add_member(renew(&old_member, number));
        Some(number)
    }

    /// Changes a member; the places under which sessions find it follow. What `change` does to protocols and
    /// assignments is counted by the caller.
    pub(super) fn change_member(&mut self, number: MemberNumber, change: impl FnOnce(&mut Member)) {
        let Some(member) = self.group.members.get_mut(&number) else { return };
        let member = Arc::make_mut(member);
        let (before, joined) = (member.place(), member.joined_by.is_some());
        change(member);
        self.hosted.replace(self.group.number, number, before, member.place());
        match (joined, member.joined_by.is_some()) {
            (false, true) => self.group.joined += 1,
            (true, false) => self.group.joined = self.group.joined.saturating_sub(1),
            _ => {}
        }
    }

    pub(super) fn add_registered(&mut self, registered: Registered) {
        let number = registered.number;
        self.group.member_ids.insert(Arc::clone(&registered.id), number);
        self.hosted.add(self.group.number, number, registered.place());
        self.usage.members = self.usage.members.saturating_add(1);
        self.group.registered.insert(number, Arc::new(registered));
        self.membership_changed();
    }

    pub(super) fn change_registered(&mut self, number: MemberNumber, change: impl FnOnce(&mut Registered)) {
        let Some(registered) = self.group.registered.get_mut(&number) else { return };
        let registered = Arc::make_mut(registered);
        let before = registered.place();
        change(registered);
        self.hosted.replace(self.group.number, number, before, registered.place());
    }

    /// Removes a registered one and gives it back; `None` when it is not there.
    pub(super) fn remove_registered(&mut self, number: MemberNumber) -> Option<Arc<Registered>> {
        let registered = self.group.registered.remove(&number)?;
        self.group.member_ids.remove(&registered.id);
        self.hosted.remove(self.group.number, number, registered.place());
        self.usage.members = self.usage.members.saturating_sub(1);
        self.membership_changed();
        Some(registered)
    }

    /// Replaces the assignments of all members: those that are not given have none. O(members).
    pub(super) fn assign(&mut self, mut given: OrdMap<MemberNumber, Payload>) {
        let numbers: Vec<_> = self.group.members.keys().copied().collect();
        for number in numbers {
            let assignment = given.remove(&number);
            let Some(member) = self.group.members.get_mut(&number) else { continue };
            if member.assignment == assignment {
                continue;
            }
            let before = member.assignment.as_ref().map_or(0, Payload::bytes);
            let after = assignment.as_ref().map_or(0, Payload::bytes);
            Arc::make_mut(member).assignment = assignment;
            self.group.payload_bytes = self.group.payload_bytes.saturating_sub(before).saturating_add(after);
        }
    }
}
