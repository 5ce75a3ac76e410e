//! One group, its members and its committed offsets.

use std::sync::Arc;

use imbl::OrdMap;
use uuid::Uuid;

use super::command::{Committer, GroupNumber, MemberNumber, Payload};
use super::outcome::GroupRefusal;
use crate::{Position, SessionId};

/// Where a classic group is in its life. Kafka's Dead is not a phase: a dead group is not in State.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GroupPhase {
    /// No members. Offsets may be there.
    Empty,
    /// Members are joining the next generation.
    PreparingRebalance,
    /// The generation has its members and waits for the leader's assignments.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
}

/// A group as of one position of the log. Immutable to its readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// Its number.
    pub number: GroupNumber,
    /// Its id.
    pub id: Arc<str>,
    /// Its virtual shard, 0 to 63, given at birth (L12).
    pub shard: u8,
    /// Where it is in its life.
    pub phase: GroupPhase,
    /// The phase was entered from Empty: while it has members, it ends by time alone (Kafka's initial rebalance).
    pub is_initial: bool,
    /// `group.initial.rebalance.delay.ms` of the join that began the phase, when `is_initial`.
    pub initial_delay_ms: u32,
    /// The generation; 0 before the first.
    pub generation: i32,
    /// For instance "consumer"; `None` for a group that never had a member.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol that the members voted for, while there is a generation.
    pub protocol: Option<Arc<str>>,
    /// The leader.
    pub leader: Option<MemberNumber>,
    /// The members, in the order in which they came.
    pub members: OrdMap<MemberNumber, Arc<Member>>,
    /// Those who were told a member id and have not joined with it yet (KIP-394). They hold back the end of a phase.
    pub registered: OrdMap<MemberNumber, Arc<Registered>>,
    /// Number of the next member.
    pub next_member: u64,
    /// How many members have joined the running phase.
    pub joined: usize,
    /// Where the phase began.
    pub phase_began: Position,
    /// The last membership change: join, leave, expiry, completion (T7).
    pub last_change: Position,
    /// Stamp of the last change of phase, milliseconds since 1970 (T3): since when an empty group is empty.
    pub phase_began_ms: i64,
    /// Committed offsets.
    pub offsets: OrdMap<(Uuid, i32), CommittedOffset>,
    pub(crate) member_ids: OrdMap<Arc<str>, MemberNumber>,
    pub(crate) instances: OrdMap<Arc<str>, MemberNumber>,
    /// Bytes of all members' metadata and assignments, for the bound on them.
    pub(crate) payload_bytes: u64,
    /// How many members support each protocol: only one that all support can be chosen.
    pub(crate) support: OrdMap<Arc<str>, usize>,
}

impl Group {
    /// The member of that id.
    #[must_use]
    pub fn member_by_id(&self, member_id: &str) -> Option<&Arc<Member>> {
        self.members.get(self.member_ids.get(member_id)?)
    }

    /// The registered one of that id.
    #[must_use]
    pub fn registered_by_id(&self, member_id: &str) -> Option<&Arc<Registered>> {
        self.registered.get(self.member_ids.get(member_id)?)
    }

    /// The static member of that instance id.
    #[must_use]
    pub fn member_by_instance(&self, instance_id: &str) -> Option<&Arc<Member>> {
        self.members.get(self.instances.get(instance_id)?)
    }

    /// The longest rebalance timeout of a member, in milliseconds; 0 without members. O(members).
    #[must_use]
    pub fn rebalance_timeout_ms(&self) -> i32 {
        self.members.values().map(|member| member.rebalance_timeout_ms).max().unwrap_or(0).max(0)
    }

    /// Every member has joined the running phase and nobody is registered: it may end. True of a group without either.
    #[must_use]
    pub fn has_all_joined(&self) -> bool {
        self.joined == self.members.len() && self.registered.is_empty()
    }

    /// The member that a request names, as Kafka checks it: the instance id first, then the member id.
    ///
    /// # Errors
    /// `UnknownMember` when the instance id or the member id is not there; `FencedInstance` when the instance id is
    /// another member's.
    pub fn check_member(&self, member_id: &str, instance_id: Option<&str>) -> Result<&Arc<Member>, GroupRefusal> {
        if let Some(instance_id) = instance_id {
            let owner = self.member_by_instance(instance_id).ok_or(GroupRefusal::UnknownMember)?;
            if &*owner.id != member_id {
                return Err(GroupRefusal::FencedInstance);
            }
        }
        self.member_by_id(member_id).ok_or(GroupRefusal::UnknownMember)
    }

    /// Who an OffsetCommit comes from, as Kafka checks it. Apply checks the same again by the number.
    ///
    /// # Errors
    /// `UnknownMember`, `FencedInstance`, `IllegalGeneration`, or `RebalanceInProgress` between the end of the joins and
    /// the leader's assignments.
    pub fn check_commit(
        &self,
        member_id: &str,
        instance_id: Option<&str>,
        generation: i32,
    ) -> Result<Committer, GroupRefusal> {
        if generation < 0 && self.phase == GroupPhase::Empty {
            return Ok(Committer::Simple);
        }
        if generation < 0 && member_id.is_empty() && instance_id.is_none() {
            return Err(GroupRefusal::UnknownMember);
        }
        let member = self.check_member(member_id, instance_id)?.number;
        self.check_generation(generation)?;
        Ok(Committer::Member { member, generation })
    }

    /// The generation is this one, and it has its assignments or is ending.
    pub(crate) fn check_generation(&self, generation: i32) -> Result<(), GroupRefusal> {
        if generation != self.generation {
            return Err(GroupRefusal::IllegalGeneration);
        }
        if self.phase == GroupPhase::CompletingRebalance {
            return Err(GroupRefusal::RebalanceInProgress);
        }
        Ok(())
    }
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number in the group.
    pub number: MemberNumber,
    /// Its id.
    pub id: Arc<str>,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<Arc<str>>,
    /// As its connection said when it joined.
    pub client_id: Arc<str>,
    /// As Kafka shows it: "/127.0.0.1".
    pub client_host: Arc<str>,
    /// Milliseconds of silence after which it is expired.
    pub session_timeout_ms: i32,
    /// Milliseconds that others wait for it to join again.
    pub rebalance_timeout_ms: i32,
    /// Its protocols in order of preference, with its metadata.
    pub protocols: Arc<[(Arc<str>, Payload)]>,
    /// Its assignment in the current generation; `None` before the leader's Sync, and when the leader gave it none.
    pub assignment: Option<Payload>,
    /// The last generation that it belonged to; 0 before its first. A leader assigns to those of its own generation,
    /// whoever has joined the next one already.
    pub generation: i32,
    /// It has joined the running phase through this session; `None`: it has not.
    pub joined_by: Option<SessionId>,
    /// Who watches it, and its last activity.
    pub watch: Watch,
}

/// A member id that was given and not used yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The number it will have as a member.
    pub number: MemberNumber,
    /// The id.
    pub id: Arc<str>,
    /// Milliseconds after which it is forgotten.
    pub session_timeout_ms: i32,
    /// Who watches it.
    pub watch: Watch,
}

/// Who watches a member's session timeout (T2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// The gateway session that hosts it. When that is closed, every gateway may expire the member.
    pub session: SessionId,
    /// Grows with every take-over.
    pub epoch: u64,
    /// The last thing the log shows of it: Join, Sync, take-over, begin of a generation it is in, close of the session that
    /// watches it or holds its Join.
    pub last_activity: Position,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// The offset to resume from.
    pub offset: i64,
    /// Leader epoch of the last record read; −1 when not told.
    pub leader_epoch: i32,
    /// The client's text.
    pub metadata: Arc<str>,
    /// Stamp, milliseconds since 1970 (T3).
    pub committed_at_ms: i64,
    /// When it expires, where the commit said so, milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
    /// The entry that committed it.
    pub position: Position,
    /// The session that committed it (T7).
    pub session: SessionId,
}
