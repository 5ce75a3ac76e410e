//! What apply answers to a command of the groups domain.

use super::command::{GroupNumber, MemberNumber};

/// The answer to a [`super::GroupCommand`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupOutcome {
    /// The member's Join took effect, or nothing needed to change.
    Joined {
        /// The group.
        group: GroupNumber,
        /// The member: a static one that came back has a new number.
        member: MemberNumber,
        /// What the client is to be told, and when.
        joined: JoinOutcome,
    },
    /// The Sync took effect: assignments are set, or the watch moved, or nothing needed to change.
    Synced,
    /// The watch moved here.
    TookOver,
    /// `answers[i]` answers `members[i]` of the Leave: false: no such member.
    Left(Vec<bool>),
    /// The member is gone.
    MemberExpired,
    /// The phase ended.
    PhaseCompleted,
    /// The offsets are committed, except those listed.
    Committed(Vec<CommitException>),
    /// So many offsets were deleted.
    OffsetsDeleted {
        /// How many.
        count: u64,
        /// The group went with them.
        group_deleted: bool,
    },
    /// The group is gone.
    GroupDeleted,
    /// Refused by Kafka's rules.
    Refused(GroupRefusal),
    /// State is not what the proposer saw (T7).
    Mismatch,
}

/// What became of a Join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinOutcome {
    /// Registered only: the client is to join again under this id (MEMBER_ID_REQUIRED).
    Registered,
    /// Joined to the phase that follows this generation: the client waits until it ends.
    Waiting {
        /// The generation before the phase ends.
        generation: i32,
    },
    /// Nothing changed for the others: the client is told the current generation at once.
    Current {
        /// A static member took its old place in a stable group (KIP-345, KIP-814): a leader need not assign.
        replaced: bool,
    },
}

/// One partition that a commit did not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitException {
    /// Index of the partition, counted over the topics of the command in order.
    pub index: u32,
    /// Why.
    pub reason: CommitRefusal,
}

/// Why a partition's offset was not committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitRefusal {
    /// Another commit came between (T7): re-propose once if that does not lower what is stored.
    Overtaken {
        /// The offset that is stored.
        stored: i64,
    },
    /// No such topic or partition.
    UnknownPartition,
    /// The group, or all groups, have as many offsets as they may.
    LimitReached,
}

/// Why a command of a group was refused. Each is one error of Kafka's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GroupRefusal {
    /// GROUP_ID_NOT_FOUND.
    #[error("there is no such group")]
    GroupNotFound,
    /// UNKNOWN_MEMBER_ID.
    #[error("the group has no such member")]
    UnknownMember,
    /// FENCED_INSTANCE_ID.
    #[error("another member has this group instance id")]
    FencedInstance,
    /// ILLEGAL_GENERATION.
    #[error("the group is in another generation")]
    IllegalGeneration,
    /// REBALANCE_IN_PROGRESS.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// INCONSISTENT_GROUP_PROTOCOL.
    #[error("no protocol is common to all members, or the protocol type differs")]
    InconsistentProtocol,
    /// GROUP_MAX_SIZE_REACHED: by `group.max.size`, or by a bound of State on the members' metadata.
    #[error("the group has as many members, or as much metadata, as it may")]
    GroupFull,
    /// NON_EMPTY_GROUP.
    #[error("the group has members")]
    NotEmpty,
    /// There are as many groups or members as there may be.
    #[error("there are as many groups or members as there may be")]
    LimitReached,
    /// The command is over a bound of form: a defect of its proposer.
    #[error("the command is over a bound")]
    Malformed,
}
