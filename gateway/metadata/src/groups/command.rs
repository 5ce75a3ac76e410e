//! What a group is asked to do, and what its proposer had seen (T7).
//!
//! Every command names its group and members by their numbers, except where they may not exist yet. What a command says
//! it saw is its guard: apply compares it with State and answers [`GroupOutcome::Mismatch`] when something came between.

use bytes::Bytes;
use uuid::Uuid;

use crate::{ObjectId, Position};

/// Number of a group: given once, when the group is created, and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct GroupNumber(pub u64);

/// Number of a member within its group: ascending in the order in which members came, never given again in that group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct MemberNumber(pub u64);

/// Opaque bytes of a client: a subscription or an assignment. Apply never looks into them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// The bytes themselves.
    Inline(Bytes),
    /// A range of an object that was durable before the command was sealed: large payloads (design section 8).
    Object {
        /// The object.
        object: ObjectId,
        /// Where in it the bytes start.
        start: u64,
        /// How many they are.
        len: u32,
    },
}

/// A command of the groups domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupCommand {
    /// A member joins, joins again, or is only registered (KIP-394).
    Join(JoinGroup),
    /// The leader brings the assignments; or a member's Sync moves its watch here.
    Sync(SyncGroup),
    /// The session that appends this watches the member from now on (T2, T7).
    TakeOver(TakeOver),
    /// Members leave.
    Leave(LeaveGroup),
    /// A member was silent for its session timeout, or did not sync in time (T2).
    ExpireMember(ExpireMember),
    /// The running phase ends by time: those who did not join, or the leader that did not sync, are removed.
    CompletePhase(CompletePhase),
    /// Offsets are committed.
    CommitOffsets(CommitOffsets),
    /// Committed offsets are deleted on request, or because they expired.
    DeleteOffsets(DeleteOffsets),
    /// An empty group is deleted with its offsets.
    DeleteGroup(DeleteGroup),
}

/// What the proposer saw of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenMember {
    /// The member (a registered one as well).
    pub member: MemberNumber,
    /// Its watch epoch.
    pub watch_epoch: u64,
}

/// Who joins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joiner {
    /// Somebody without a member id (or a static member that comes back under its instance id).
    New {
        /// The id it gets: made by the proposer, unique.
        member_id: String,
        /// True: a dynamic member of JoinGroup ≥ 4 is only registered and told its id (KIP-394: MEMBER_ID_REQUIRED).
        register_only: bool,
    },
    /// A member, or a registered one.
    Known(SeenMember),
}

/// JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinGroup {
    /// The group's id. Created when it is not there and the joiner is new.
    pub group_id: String,
    /// The group and its generation as seen; `None`: there was no such group.
    pub seen: Option<(GroupNumber, i32)>,
    /// Who joins.
    pub joiner: Joiner,
    /// The member that had `instance_id` as seen; `None`: nobody had. A new joiner that comes late replaces nobody who
    /// came meanwhile: that may be the same client, which asked again elsewhere.
    pub seen_instance: Option<MemberNumber>,
    /// `group.instance.id` of a static member (KIP-345).
    pub instance_id: Option<String>,
    /// As its connection says.
    pub client_id: String,
    /// As Kafka shows it: "/127.0.0.1".
    pub client_host: String,
    /// Milliseconds; checked against the gateway's bounds before.
    pub session_timeout_ms: i32,
    /// Milliseconds.
    pub rebalance_timeout_ms: i32,
    /// For instance "consumer".
    pub protocol_type: String,
    /// Protocols in the member's order of preference, with its metadata for each.
    pub protocols: Vec<(String, Payload)>,
    /// `group.initial.rebalance.delay.ms` of the proposer: kept by the group when this command starts a phase from Empty.
    pub initial_delay_ms: u32,
    /// `group.max.size` of the proposer: more members are refused.
    pub max_size: u32,
    /// Wall-clock stamp, milliseconds since 1970 (T3).
    pub stamp_ms: i64,
}

/// SyncGroup. Proposed for a leader that brings assignments, and for a member that another session watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncGroup {
    /// The group.
    pub group: GroupNumber,
    /// Who syncs.
    pub member: SeenMember,
    /// The generation it syncs; anything but the current one is refused.
    pub generation: i32,
    /// The assignments by member; `None` for a follower. Ignored unless the member leads and the group waits for it.
    /// Members that are not named get none; ids of strangers were left out.
    pub assignments: Option<Vec<(MemberNumber, Payload)>>,
    /// Wall-clock stamp, milliseconds since 1970 (T3).
    pub stamp_ms: i64,
}

/// Take-over of a member's watch by Heartbeat, Join or Sync; never by OffsetCommit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakeOver {
    /// The group.
    pub group: GroupNumber,
    /// The member, with the watch epoch as seen.
    pub member: SeenMember,
}

/// LeaveGroup: of one or several members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveGroup {
    /// The group.
    pub group: GroupNumber,
    /// Who leaves; registered ones as well.
    pub members: Vec<MemberNumber>,
    /// Wall-clock stamp, milliseconds since 1970 (T3).
    pub stamp_ms: i64,
}

/// Expiry of a member. Guard (T2, T7): watch epoch and position of its last activity, and never while it is joined to the
/// running phase under an open session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpireMember {
    /// The group.
    pub group: GroupNumber,
    /// The member with its watch epoch as watched.
    pub member: SeenMember,
    /// Its last activity as watched.
    pub last_activity: Position,
    /// Wall-clock stamp, milliseconds since 1970 (T3).
    pub stamp_ms: i64,
}

/// Completion of a phase by time. Guard (T7): generation, position of the last membership change, still that phase.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletePhase {
    /// The group.
    pub group: GroupNumber,
    /// The phase as seen: only `PreparingRebalance` and `CompletingRebalance` can be completed.
    pub phase: super::GroupPhase,
    /// Its generation as seen.
    pub generation: i32,
    /// Its last membership change (join, leave, expiry, completion) as seen.
    pub last_change: Position,
    /// Wall-clock stamp, milliseconds since 1970 (T3).
    pub stamp_ms: i64,
}

/// The group of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitGroup {
    /// A group that is there.
    Known(GroupNumber),
    /// None was there: a group without members is created ("simple" consumers).
    New(String),
}

/// Who commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committer {
    /// Nobody in particular (generation −1): accepted only while the group is empty.
    Simple,
    /// A member in a generation: fenced in apply.
    Member {
        /// The member.
        member: MemberNumber,
        /// The generation it says.
        generation: i32,
    },
}

/// One partition of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOffset {
    /// The partition.
    pub partition: i32,
    /// The offset to resume from.
    pub offset: i64,
    /// Leader epoch of the last record read; −1 when not told.
    pub leader_epoch: i32,
    /// The client's text.
    pub metadata: String,
}

/// OffsetCommit. Guard (T7): generation and member; and for each partition that no commit of it stands above `known`
/// from another session – or, with `exclusive`, from anybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOffsets {
    /// The group.
    pub group: CommitGroup,
    /// Who commits.
    pub committer: Committer,
    /// State as it was when the request was read.
    pub known: Position,
    /// A second proposal: commits of the own session above `known` count as well.
    pub exclusive: bool,
    /// Wall-clock stamp, milliseconds since 1970 (T3).
    pub committed_at_ms: i64,
    /// When it expires, where the request says so (OffsetCommit 2–4), milliseconds since 1970.
    pub expires_at_ms: Option<i64>,
    /// The offsets by topic, each topic once.
    pub topics: Vec<(Uuid, Vec<CommitOffset>)>,
}

/// A partition whose offset is deleted: whatever is there, or only what the entry at this position committed.
pub type OffsetDeletion = (i32, Option<Position>);

/// Deletion of committed offsets. With positions (expiry): only what was not committed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteOffsets {
    /// The group.
    pub group: GroupNumber,
    /// The group's last membership change as seen: what a client is subscribed to may have changed since.
    pub last_change: Position,
    /// The partitions by topic; with the position of the commit that expired, or `None` to delete whatever is there.
    pub topics: Vec<(Uuid, Vec<OffsetDeletion>)>,
    /// Deletes the group as well, if it is empty and has no offsets left (Kafka's clean-up of dead groups).
    pub delete_empty_group: bool,
}

/// DeleteGroups, one group: refused unless it is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeleteGroup {
    /// The group.
    pub group: GroupNumber,
}
