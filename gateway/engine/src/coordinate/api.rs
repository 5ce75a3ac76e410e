//! What the engine is asked about groups and what it answers: Kafka's coordinator without Kafka's wire.
//!
//! Promises: as `crate::api`. Whichever gateway is asked, the answer is the group's (I-06): none says "not coordinator".

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::api::TopicRef;
use crate::error::EngineResult;

/// Whether the client that sent a request is still there (T7).
pub trait Liveness: Send + Sync {
    /// True once the connection is known to be half-closed or reset: what it asked for and was not sent is dropped.
    fn is_gone(&self) -> bool;
}

/// Where a coordination request came from (T7).
#[derive(Clone)]
pub struct Origin {
    /// Its connection.
    pub connection: Arc<dyn Liveness>,
    /// When the request was read.
    pub read_at: Instant,
    /// How many clock gaps there had been when it was read ([`sluice_runtime::GapWatch::count`]).
    pub gaps: u64,
}

/// A client as its connection shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientInfo {
    /// `client.id`; empty when it has none.
    pub client_id: String,
    /// As Kafka shows it: "/127.0.0.1".
    pub host: String,
}

/// A JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinAsk {
    /// The group's id.
    pub group_id: String,
    /// The member's id; empty for a new one.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Who asks.
    pub client: ClientInfo,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// Milliseconds; version 0 has none and takes the session timeout.
    pub rebalance_timeout_ms: i32,
    /// For instance "consumer".
    pub protocol_type: String,
    /// Protocols with metadata, in order of preference: slices of the frame.
    pub protocols: Vec<(String, Bytes)>,
    /// New dynamic members are told their id first (JoinGroup ≥ 4, KIP-394).
    pub requires_known_member_id: bool,
    /// A leader may be told to skip its assignment (JoinGroup ≥ 9, KIP-814).
    pub supports_skipping_assignment: bool,
}

/// The answer to a JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The generation.
    pub generation: i32,
    /// Its protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// The protocol chosen.
    pub protocol: Option<Arc<str>>,
    /// The leader's member id; empty when there is none.
    pub leader: Arc<str>,
    /// The leader need not assign (KIP-814).
    pub skip_assignment: bool,
    /// The member's own id.
    pub member_id: Arc<str>,
    /// For the leader: all members with their metadata for the protocol chosen.
    pub members: Vec<JoinedMember>,
}

/// A member as its leader is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedMember {
    /// Its id.
    pub member_id: Arc<str>,
    /// `group.instance.id`.
    pub instance_id: Option<Arc<str>>,
    /// Its metadata for the protocol chosen.
    pub metadata: Bytes,
}

/// A SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncAsk {
    /// The group's id.
    pub group_id: String,
    /// The generation it was told.
    pub generation: i32,
    /// Its member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Compared with the group's where given (SyncGroup ≥ 5).
    pub protocol_type: Option<String>,
    /// Compared with the group's where given (SyncGroup ≥ 5).
    pub protocol: Option<String>,
    /// The assignments by member id; empty for a follower.
    pub assignments: Vec<(String, Bytes)>,
}

/// The answer to a SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The group's protocol type.
    pub protocol_type: Option<Arc<str>>,
    /// The group's protocol.
    pub protocol: Option<Arc<str>>,
    /// The member's assignment.
    pub assignment: Bytes,
}

/// Who speaks for a member in a generation: Heartbeat, OffsetCommit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberClaim {
    /// Its member id; empty when it has none.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// Its generation; −1 for none.
    pub generation: i32,
}

/// One member of a LeaveGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaveAsk {
    /// Its member id; empty when only the instance id is known (administrators).
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
}

/// An OffsetCommit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitAsk {
    /// The group's id.
    pub group_id: String,
    /// Who commits; a "simple" consumer has no member id and generation −1.
    pub claim: MemberClaim,
    /// An unknown group is told as such (OffsetCommit ≥ 9), not as a wrong generation.
    pub tells_unknown_group: bool,
    /// How long the offsets are kept, where the request says so (OffsetCommit 2–4).
    pub retention: Option<Duration>,
    /// The offsets.
    pub offsets: Vec<CommitOffsetAsk>,
}

/// One partition of an OffsetCommit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitOffsetAsk {
    /// The topic.
    pub topic: TopicRef,
    /// The partition, not yet checked.
    pub partition: i32,
    /// The offset, not yet checked.
    pub offset: i64,
    /// Leader epoch of the last record read; −1 when not told.
    pub leader_epoch: i32,
    /// The client's text; absent is empty.
    pub metadata: String,
    /// When it was committed, where the request says so (OffsetCommit 1), milliseconds since 1970.
    pub committed_at_ms: Option<i64>,
}

/// Which offsets of a group are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetFetchAsk {
    /// The group's id.
    pub group_id: String,
    /// The partitions; `None`: all that have an offset.
    pub partitions: Option<Vec<(TopicRef, i32)>>,
}

/// One partition of an OffsetFetch's answer.
#[derive(Debug, Clone)]
pub struct OffsetFetched {
    /// The topic as it was asked for; by name when all were asked for.
    pub topic: TopicRef,
    /// Its name, where it is known.
    pub topic_name: Option<Arc<str>>,
    /// Its id, where it is known.
    pub topic_id: Option<uuid::Uuid>,
    /// The partition.
    pub partition: i32,
    /// The offset; `Ok(None)`: none is committed (−1, not an error).
    pub offset: EngineResult<Option<FetchedOffset>>,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedOffset {
    /// The offset.
    pub offset: i64,
    /// Leader epoch; −1 when not told.
    pub leader_epoch: i32,
    /// The client's text.
    pub metadata: Arc<str>,
}

/// A group in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedGroup {
    /// Its id.
    pub group_id: Arc<str>,
    /// Its protocol type; empty for one that never had a member.
    pub protocol_type: Arc<str>,
    /// Its state under Kafka's name.
    pub state: &'static str,
}

/// A group as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its state under Kafka's name.
    pub state: &'static str,
    /// Its protocol type; empty for one that never had a member.
    pub protocol_type: Arc<str>,
    /// Its protocol; empty unless it is stable, as in Kafka.
    pub protocol: Arc<str>,
    /// Its generation (not on the wire; metrics and tests use it).
    pub generation: i32,
    /// Its members.
    pub members: Vec<MemberDescription>,
}

/// A member as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberDescription {
    /// Its id.
    pub member_id: Arc<str>,
    /// `group.instance.id`.
    pub instance_id: Option<Arc<str>>,
    /// As its connection said.
    pub client_id: Arc<str>,
    /// As Kafka shows it.
    pub client_host: Arc<str>,
    /// Its metadata for the protocol; empty unless the group is stable, as in Kafka.
    pub metadata: Bytes,
    /// Its assignment as it is stored, in every phase, as in Kafka.
    pub assignment: Bytes,
}
