//! Members of groups, as a client library would be one, without a thread or a fetch.
//!
//! Promises: the leader gives every member an assignment of its own, so that one that changed or went to another member is
//! noticed; what a client answers by asking again is asked again, and everything else fails the cell.

use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{bail, ensure};
use bytes::Bytes;
use sluice_protocol::messages::join_group::{JoinGroupRequestProtocol, JoinGroupResponse};
use sluice_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use sluice_protocol::messages::sync_group::{SyncGroupRequestAssignment, SyncGroupResponse};
use sluice_protocol::messages::{HeartbeatRequest, JoinGroupRequest, OffsetCommitRequest, SyncGroupRequest};
use sluice_protocol::{ErrorCode, KString};
use tokio::time::{Instant, sleep};

use super::client::Peer;

/// The newest versions, which clients of today use.
pub(crate) const HEARTBEAT_VERSION: i16 = 4;
const JOIN_VERSION: i16 = 9;
const SYNC_VERSION: i16 = 5;
const COMMIT_VERSION: i16 = 9;
const PROTOCOL_TYPE: KString = KString::from_static("consumer");
const PROTOCOL: KString = KString::from_static("range");
/// As a subscription to a topic or two is long.
const METADATA_BYTES: usize = 60;
/// As the assignment of a few partitions is long.
const ASSIGNMENT_BYTES: usize = 60;
/// Pause before the same is asked again; a client library takes 100 ms.
const RETRY_BACKOFF: Duration = Duration::from_millis(100);
/// Joins of one member before it is given up.
const JOINS_MAX: usize = 50;

/// How long a member may be silent, and a rebalance last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    pub(crate) session_timeout: Duration,
    pub(crate) rebalance_timeout: Duration,
}

/// A member, with its connection.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) peer: Peer,
    pub(crate) group: KString,
    pub(crate) id: KString,
    pub(crate) generation: i32,
    pub(crate) assignment: Bytes,
    patience: Patience,
    /// Part of the metadata: a follower that joins with another one starts a rebalance.
    pub(crate) revision: u8,
}

/// When a member took its steps into a generation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Steps {
    /// Its last JoinGroup was on its way.
    pub(crate) join_sent: Instant,
    /// The answer to it was there.
    pub(crate) joined: Instant,
    /// The answer to its SyncGroup was there.
    pub(crate) synced: Instant,
}

impl Member {
    pub(crate) async fn connect(addr: SocketAddr, group: &str, patience: Patience) -> anyhow::Result<Self> {
        Ok(Self {
            peer: Peer::open(addr).await?,
            group: KString::from(group),
            id: KString::new(),
            generation: -1,
            assignment: Bytes::new(),
            patience,
            revision: 0,
        })
    }

    /// Goes on through another connection, as after the loss of the first.
    pub(crate) async fn reconnect(&mut self, addr: SocketAddr) -> anyhow::Result<()> {
        self.peer = Peer::open(addr).await?;
        Ok(())
    }

    /// Gets a member id, without which a join starts nothing (KIP-394).
    pub(crate) async fn register(&mut self) -> anyhow::Result<()> {
        let request = self.join_request();
        for _ in 0..JOINS_MAX {
            let answer = self.peer.call(JOIN_VERSION, &request).await?;
            match answer.error_code {
                ErrorCode::MEMBER_ID_REQUIRED => {
                    self.id = answer.member_id.detach();
                    return Ok(());
                }
                ErrorCode::COORDINATOR_NOT_AVAILABLE => sleep(RETRY_BACKOFF).await,
                code => bail!("the first JoinGroup of {}: {code}", self.group.as_str()),
            }
        }
        bail!("{} takes no member", self.group.as_str())
    }

    /// Joins until the member has an assignment.
    pub(crate) async fn settle(&mut self) -> anyhow::Result<Steps> {
        for _ in 0..JOINS_MAX {
            if self.id.as_str().is_empty() {
                self.register().await?;
            }
            let request = self.join_request();
            let correlation_id = self.peer.send(JOIN_VERSION, &request).await?;
            let join_sent = Instant::now();
            let answer = self.peer.receive::<JoinGroupRequest>(correlation_id, JOIN_VERSION).await?;
            let joined = Instant::now();
            match answer.error_code {
                ErrorCode::NONE => {}
                ErrorCode::COORDINATOR_NOT_AVAILABLE | ErrorCode::REBALANCE_IN_PROGRESS => {
                    sleep(RETRY_BACKOFF).await;
                    continue;
                }
                code => bail!("JoinGroup of {}: {code}", self.group.as_str()),
            }
            self.generation = answer.generation_id;
            let answer = self.sync(&answer).await?;
            match answer.error_code {
                ErrorCode::NONE => {
                    self.assignment = Bytes::copy_from_slice(&answer.assignment);
                    ensure!(!self.assignment.is_empty(), "a member of {} got no assignment", self.group.as_str());
                    return Ok(Steps { join_sent, joined, synced: Instant::now() });
                }
                ErrorCode::COORDINATOR_NOT_AVAILABLE => sleep(RETRY_BACKOFF).await,
                ErrorCode::REBALANCE_IN_PROGRESS => {}
                code => bail!("SyncGroup of {}: {code}", self.group.as_str()),
            }
        }
        bail!("a member of {} joined {JOINS_MAX} times and has no assignment", self.group.as_str())
    }

    async fn sync(&mut self, joined: &JoinGroupResponse) -> anyhow::Result<SyncGroupResponse> {
        let members = joined.members.iter().map(|member| &member.member_id).enumerate();
        let assignments = members.map(|(index, id)| assign(id, joined.generation_id, index)).collect();
        self.peer.call(SYNC_VERSION, &self.sync_request(assignments)).await
    }

    /// Asks for the assignment again, as a member that lost it would.
    pub(crate) async fn ask_assignment(&mut self) -> anyhow::Result<SyncGroupResponse> {
        self.peer.call(SYNC_VERSION, &self.sync_request(Vec::new())).await
    }

    pub(crate) fn heartbeat_request(&self) -> HeartbeatRequest {
        HeartbeatRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            ..HeartbeatRequest::default()
        }
    }

    pub(crate) async fn heartbeat(&mut self) -> anyhow::Result<ErrorCode> {
        let request = self.heartbeat_request();
        Ok(self.peer.call(HEARTBEAT_VERSION, &request).await?.error_code)
    }

    /// Commits the same offset of some partitions of a topic; the first error of them, or none.
    pub(crate) async fn commit(
        &mut self,
        topic: &KString,
        partitions: Range<i32>,
        offset: i64,
    ) -> anyhow::Result<ErrorCode> {
        let partition = |partition_index| OffsetCommitRequestPartition {
            partition_index,
            committed_offset: offset,
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: topic.clone(),
            partitions: partitions.clone().map(partition).collect(),
            ..OffsetCommitRequestTopic::default()
        };
        let request = OffsetCommitRequest {
            group_id: self.group.clone(),
            generation_id_or_member_epoch: self.generation,
            member_id: self.id.clone(),
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        let answer = self.peer.call(COMMIT_VERSION, &request).await?;
        let codes: Vec<ErrorCode> =
            answer.topics.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code).collect();
        ensure!(codes.len() == partitions.len(), "a commit answers {} partitions", codes.len());
        Ok(codes.into_iter().find(|code| *code != ErrorCode::NONE).unwrap_or(ErrorCode::NONE))
    }

    fn join_request(&self) -> JoinGroupRequest {
        let mut metadata = vec![0; METADATA_BYTES];
        metadata.fill(self.revision);
        JoinGroupRequest {
            group_id: self.group.clone(),
            session_timeout_ms: as_ms(self.patience.session_timeout),
            rebalance_timeout_ms: as_ms(self.patience.rebalance_timeout),
            member_id: self.id.clone(),
            protocol_type: PROTOCOL_TYPE,
            protocols: vec![JoinGroupRequestProtocol { name: PROTOCOL, metadata: metadata.into() }],
            ..JoinGroupRequest::default()
        }
    }

    fn sync_request(&self, assignments: Vec<SyncGroupRequestAssignment>) -> SyncGroupRequest {
        SyncGroupRequest {
            group_id: self.group.clone(),
            generation_id: self.generation,
            member_id: self.id.clone(),
            protocol_type: Some(PROTOCOL_TYPE),
            protocol_name: Some(PROTOCOL),
            assignments,
            ..SyncGroupRequest::default()
        }
    }
}

/// Bytes that no other member of the generation gets.
fn assign(member_id: &KString, generation: i32, index: usize) -> SyncGroupRequestAssignment {
    let mut assignment = format!("{generation}/{index}/").into_bytes();
    assignment.resize(ASSIGNMENT_BYTES, b'.');
    SyncGroupRequestAssignment { member_id: member_id.clone(), assignment: assignment.into() }
}

fn as_ms(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// Which groups there are to be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Forming {
    /// Part of their names.
    pub(crate) prefix: &'static str,
    pub(crate) groups: usize,
    /// Members of each, one after the other on another gateway.
    pub(crate) members_each: usize,
    pub(crate) patience: Patience,
}

/// Makes groups; returns their members, group by group, when each of them has its place in a generation that stands.
pub(crate) async fn form(plan: Forming, gateways: &[SocketAddr]) -> anyhow::Result<Vec<Member>> {
    let total = plan.groups * plan.members_each;
    let settled = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::with_capacity(total);
    for (index, addr) in (0..total).zip(gateways.iter().cycle()) {
        let group = format!("{}-{}", plan.prefix, index / plan.members_each.max(1));
        let mut member = Member::connect(*addr, &group, plan.patience).await?;
        let settled = Arc::clone(&settled);
        tasks.push(async move {
            member.settle().await?;
            settled.fetch_add(1, Ordering::SeqCst);
            // A rebalance that somebody starts needs everybody: none leaves before all have their place.
            while settled.load(Ordering::SeqCst) < total {
                sleep(RETRY_BACKOFF).await;
                match member.heartbeat().await? {
                    ErrorCode::NONE | ErrorCode::COORDINATOR_NOT_AVAILABLE => {}
                    ErrorCode::REBALANCE_IN_PROGRESS => {
                        settled.fetch_sub(1, Ordering::SeqCst);
                        member.settle().await?;
                        settled.fetch_add(1, Ordering::SeqCst);
                    }
                    code => bail!("a heartbeat while {group} forms: {code}"),
                }
            }
            Ok(member)
        });
    }
    join_all(tasks).await
}

/// Runs everything at the same time; the results in order, or the first error in that order.
pub(crate) async fn join_all<T: Send + 'static>(
    tasks: Vec<impl Future<Output = anyhow::Result<T>> + Send + 'static>,
) -> anyhow::Result<Vec<T>> {
    let started: Vec<_> = tasks.into_iter().map(tokio::spawn).collect();
    let mut results = Vec::with_capacity(started.len());
    for task in started {
        results.push(task.await??);
    }
    Ok(results)
}
