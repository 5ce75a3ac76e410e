//! The replicated state machine: what a gateway knows is the replay of the metadata log.
//!
//! Promises: [`State::apply`] is a pure, total function of State and one log element (L11), so that every gateway that
//! replays the same log holds the same State and the same hash on every build of one feature level (I-12). A clone of
//! State is O(1) and never changes (L10): readers plan on it without locks.
//!
//! Never: does IO, reads a clock or randomness, iterates in hash order, or consults a local setting.
//!
//! Called by `engine` (the replica, the produce and fetch paths) and by the tools that inspect a log.

mod apply;
mod command;
mod configs;
mod defects;
mod entry;
#[cfg(test)]
mod fixture;
mod gateways;
mod groups;
mod hash;
mod identity;
pub mod invariants;
pub mod limits;
mod object_id;
mod outcome;
mod partitions;
mod position;
mod producers;
#[cfg(test)]
mod simulation;
mod snapshot;
mod state;
mod topics;
mod wire;

pub use apply::{Applied, ApplyError};
pub use command::Command;
pub use configs::{ConfigResource, ConfigSet};
pub use defects::StateDefects;
pub use entry::Entry;
pub use gateways::Session;
pub use groups::{
    CommitException, CommitGroup, CommitOffset, CommitOffsets, CommitRefusal, CommittedOffset, Committer,
    CompletePhase, DeleteGroup, DeleteOffsets, ExpireMember, Group, GroupCommand, GroupNumber, GroupOutcome,
    GroupPhase, GroupRefusal, JoinGroup, JoinOutcome, Joiner, LeaveGroup, Member, MemberNumber, OffsetDeletion,
    OffsetSlice, Payload, Registered, SeenMember, SyncGroup, TakeOver, Watch,
};
pub use identity::{Identity, Incarnation, Judgement, SessionId};
pub use object_id::ObjectId;
pub use outcome::{
    BatchVerdict, ConfigRefusal, DeletedRecords, InvalidBatch, Malformation, Outcome, PartitionsRefusal,
    SessionRefusal, TopicRefusal,
};
pub use partitions::{BatchProducer, BatchRef, CommittedRun, DeleteRecordsRun, Extent, Partition, PartitionKey};
pub use position::Position;
pub use producers::{Producer, ProducerBatch};
pub use snapshot::{Manifest, PartRef, Snapshot, SnapshotError};
pub use state::State;
pub use topics::{Topic, is_legal_topic_name};
pub use wire::DecodeError;
