//! The requests of a member: how they look, through which connections they go, and what every answer must keep.
//!
//! Promises: a request that was given up has its connection closed, as clients do, before the next one is sent; every
//! answer goes to the oracle. Never: decides what a member does next.
//! Called by `member`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_protocol::messages::join_group::JoinGroupRequestProtocol;
use sluice_protocol::messages::leave_group::MemberIdentity;
use sluice_protocol::messages::offset_commit::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use sluice_protocol::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use sluice_protocol::messages::sync_group::SyncGroupRequestAssignment;
use sluice_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, OffsetCommitRequest,
    OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, SyncGroupRequest, SyncGroupResponse,
};
use sluice_protocol::{ErrorCode, KString, Request};
use sluice_runtime::SeededEntropy;
use tokio::time::Instant;

use crate::connection::{Connection, Lost};
use crate::gate::BytesRead;
use crate::ledger::{Commit, Place};
use crate::oracle::Claim;
use crate::plan::{Spec, ms_between, one_of, percent};
use crate::world::{World, group_name, places, topic_name, topic_number};

/// The only protocol.
const PROTOCOL: &str = "range";
const PROTOCOL_TYPE: &str = "consumer";

/// A connection and how much of it was read at the other end.
pub struct Line {
    pub connection: Connection,
    pub read: BytesRead,
}

/// What a connection is used for: clients have several, and a balancer sends each somewhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    Membership,
    Heartbeats,
    Offsets,
}

/// One process's side of the protocol.
pub struct Caller {
    pub world: Arc<World>,
    pub who: String,
    pub spec: Spec,
    pub entropy: SeededEntropy,
    pub member_id: String,
    pub generation: i32,
    /// Where each lane leads now.
    heading: BTreeMap<Lane, usize>,
    /// Connections that are open: those of a lane that went elsewhere are kept for when it comes back.
    lines: BTreeMap<(Lane, usize), Line>,
    commits: u64,
}

impl Caller {
    pub fn new(world: &Arc<World>, who: String, spec: Spec, entropy: SeededEntropy) -> Self {
        let (member_id, generation) = (String::new(), -1);
        let (heading, lines, commits) = Default::default();
        Self { world: world.clone(), who, spec, entropy, member_id, generation, heading, lines, commits }
    }

    fn group_id(&self) -> KString {
        KString::from(group_name(self.spec.group))
    }

    fn instance(&self) -> Option<KString> {
        self.spec.instance.clone().map(KString::from)
    }

    pub fn claim(&self) -> Claim {
        Claim { group: self.spec.group, member_id: self.member_id.clone(), generation: self.generation }
    }

    pub fn note(&self, what: impl std::fmt::Display) {
        self.world.journal.note(&self.who, what);
    }

    pub fn violation(&self, what: impl std::fmt::Display) {
        self.world.journal.violation(&self.who, what);
    }

    // ---- connections --------------------------------------------------------------------------------------------

    /// The next request on this lane goes elsewhere.
    pub fn hop(&mut self, lane: Lane) {
        self.heading.remove(&lane);
    }

    /// Sends a request on a lane and waits for its answer, at most `patience`. Whatever goes wrong ends the connection.
    pub async fn call<R: Request>(
        &mut self,
        lane: Lane,
        version: i16,
        body: &R,
        patience: Duration,
    ) -> Option<R::Response> {
        let mut line = self.take_line(lane).await;
        self.note(format_args!("asks {} ({lane:?}, {:?})", line.connection.gateway(), R::KEY));
        let (is_rough, entropy) = (!self.world.is_over(), &self.entropy);
        let (closes_early, stalls) = (is_rough && percent(entropy, 1), is_rough && percent(entropy, 1));
        let answer = match line.connection.send(version, body).await {
            Ok(()) => {
                if closes_early {
                    self.world.journal.count("connections half closed with a request in flight");
                    line.connection.half_close().await;
                } else if stalls {
                    // The gateway has begun it.
                    tokio::time::sleep(ms_between(&self.entropy, 1, 20)).await;
                    stall_for(&self.world, line.connection.slot, ms_between(&self.entropy, 1_000, 15_000));
                }
                line.connection.receive::<R>(version, patience).await
            }
            Err(lost) => Err(lost),
        };
        match answer {
            Ok(_) if !closes_early => self.keep(lane, line),
            Ok(_) => {}
            Err(lost) => {
                self.note_lost(&line, lost);
                self.hop(lane);
            }
        }
        answer.ok()
    }

    async fn take_line(&mut self, lane: Lane) -> Line {
        if percent(&self.entropy, self.spec.hops) {
            self.heading.remove(&lane);
        }
        loop {
            let running = self.world.fleet.running();
            if running.is_empty() {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            let slot = self.heading.get(&lane).copied().filter(|slot| running.contains(slot));
            let slot = slot.unwrap_or_else(|| one_of(&self.entropy, &running));
            self.heading.insert(lane, slot);
            if let Some(line) = self.lines.remove(&(lane, slot)) {
                return line;
            }
            if let Some((connection, read)) = self.world.fleet.connect(slot, &self.who).await {
                return Line { connection, read };
            }
            self.heading.remove(&lane);
        }
    }

    fn keep(&mut self, lane: Lane, line: Line) {
        self.lines.insert((lane, line.connection.slot), line);
    }

    fn note_lost(&self, line: &Line, lost: Lost) {
        self.note(format_args!("lost {}: {lost:?}", line.connection.gateway()));
        match lost {
            Lost::Closed => self.world.journal.count("connections lost"),
            Lost::TimedOut => self.world.journal.count("requests given up"),
            Lost::Wrong => self.violation("an answer to another request"),
        }
    }

    fn patience(&self) -> Duration {
        // Short: whoever is impatient asks another gateway before its session is over.
        Duration::from_millis(one_of(&self.entropy, &[400, 800, 1_500, 1_500, 3_000]))
    }

    // ---- membership ---------------------------------------------------------------------------------------------

    pub async fn join(&mut self, metadata: u64) -> Option<JoinGroupResponse> {
        let version =
            one_of(&self.entropy, if self.spec.instance.is_some() { &[5, 6, 7, 8, 9] } else { &[4, 5, 7, 9] });
        let metadata = Bytes::from(format!("{} {metadata}", self.who));
        let request = JoinGroupRequest {
            group_id: self.group_id(),
            session_timeout_ms: i32::try_from(self.spec.session.as_millis()).unwrap(),
            rebalance_timeout_ms: i32::try_from(self.spec.rebalance.as_millis()).unwrap(),
            member_id: KString::from(self.member_id.as_str()),
            group_instance_id: self.instance(),
            protocol_type: KString::from(PROTOCOL_TYPE),
            protocols: vec![JoinGroupRequestProtocol { name: KString::from(PROTOCOL), metadata }],
            reason: None,
        };
        // As the Java client: the longest that the others may be waited for, and a little.
        let longest = self.world.plan.rebalance(self.spec.group) + Duration::from_secs(5);
        let patience = if percent(&self.entropy, 10) { self.patience() } else { longest };
        let sent = Instant::now();
        let answer = self.call(Lane::Membership, version, &request, patience).await?;
        self.note(format_args!("join v{version}: {} generation {}", answer.error_code, answer.generation_id));
        self.check(answer.error_code, "Join", &[15, 25, 79, 82], sent);
        Some(answer)
    }

    pub async fn sync(&mut self, assignments: Vec<(KString, Vec<Place>)>) -> Option<SyncGroupResponse> {
        let version = one_of(&self.entropy, &[3, 4, 5]);
        let bytes = |places: Vec<Place>| places.into_iter().map(place_byte).collect::<Vec<u8>>();
        let assignment =
            |(member_id, places)| SyncGroupRequestAssignment { member_id, assignment: bytes(places).into() };
        let request = SyncGroupRequest {
            group_id: self.group_id(),
            generation_id: self.generation,
            member_id: KString::from(self.member_id.as_str()),
            group_instance_id: self.instance(),
            protocol_type: Some(KString::from(PROTOCOL_TYPE)),
            protocol_name: Some(KString::from(PROTOCOL)),
            assignments: assignments.into_iter().map(assignment).collect(),
        };
        let longest = self.world.plan.rebalance(self.spec.group) + Duration::from_secs(5);
        let patience = if percent(&self.entropy, 10) { self.patience() } else { longest };
        let sent = Instant::now();
        let answer = self.call(Lane::Membership, version, &request, patience).await?;
        self.note(format_args!("sync v{version}: {}", answer.error_code));
        self.check(answer.error_code, "Sync", &[15, 22, 25, 27, 82], sent);
        if answer.error_code.is_none() {
            self.note_proof(Lane::Membership, sent);
        }
        Some(answer)
    }

    /// The answer to a Heartbeat.
    pub async fn heartbeat(&mut self) -> Option<ErrorCode> {
        let request = HeartbeatRequest {
            group_id: self.group_id(),
            generation_id: self.generation,
            member_id: KString::from(self.member_id.as_str()),
            group_instance_id: self.instance(),
        };
        let (version, patience) = (one_of(&self.entropy, &[3, 4]), self.patience());
        let sent = Instant::now();
        let code = self.call(Lane::Heartbeats, version, &request, patience).await?.error_code;
        self.world.journal.count("heartbeats answered");
        self.note(format_args!("heartbeat: {code}"));
        self.check(code, "Heartbeat", &[15, 22, 25, 27, 82], sent);
        if matches!(code.as_i16(), 0 | 27) {
            self.note_proof(Lane::Heartbeats, sent);
        }
        if code.is_none() {
            self.world.oracle.judge_calm(&self.who, "Heartbeat", &self.claim(), sent);
        }
        Some(code)
    }

    pub async fn leave(&mut self) -> Option<ErrorCode> {
        let member = MemberIdentity {
            member_id: KString::from(self.member_id.as_str()),
            group_instance_id: self.instance(),
            reason: None,
        };
        let request =
            LeaveGroupRequest { group_id: self.group_id(), members: vec![member], ..LeaveGroupRequest::default() };
        let (version, patience) = (one_of(&self.entropy, &[3, 4, 5]), self.patience());
        let sent = Instant::now();
        let answer = self.call(Lane::Membership, version, &request, patience).await?;
        let code = answer.members.first().map_or(answer.error_code, |member| member.error_code);
        self.note(format_args!("leave: {code}"));
        // 25 as well: an earlier one may have done it.
        self.check(code, "Leave", &[15, 25, 82], sent);
        Some(code)
    }

    /// A gateway heard of it, between `sent` and now. It counts even where the member is not watched any more: a gateway
    /// whose State is up to 2 s old (T6) does not know that the watch has moved, and who watches now allows for that.
    fn note_proof(&self, lane: Lane, sent: Instant) {
        let at = self.heading.get(&lane).and_then(|slot| self.lines.get(&(lane, *slot)));
        let Some(gateway) = at.map(|line| line.connection.gateway()) else { return };
        if self.world.oracle.watcher(&self.claim()) != Some(gateway) {
            self.world.journal.count("signs of life where the member is not watched any more");
        }
        let generation_since = self.world.oracle.history(self.spec.group).map(|history| history.generation_since);
        let (now, session) = (Instant::now(), self.spec.session);
        self.world.ledger.change(&self.who, |process| {
            let last = process.proof.max(generation_since);
            if last.is_some_and(|last| now - last >= session) {
                process.late = Some(now);
            }
            process.proof = process.proof.max(Some(sent));
        });
    }

    /// The error table: whatever stands in the way, no client is told anything else than what makes it go on.
    fn check(&self, code: ErrorCode, what: &str, allowed: &[i16], sent: Instant) {
        if code.is_none() {
            return;
        }
        if !allowed.contains(&code.as_i16()) {
            self.violation(format_args!("{what} is answered with {code}"));
        }
        self.world.oracle.judge_error(&self.who, what, code.as_i16(), &self.claim(), sent);
    }

    // ---- offsets ------------------------------------------------------------------------------------------------

    /// An OffsetCommit of these offsets, its id and its version.
    fn commit_request(&mut self, offsets: &BTreeMap<Place, i64>) -> (OffsetCommitRequest, String, i16) {
        self.commits += 1;
        let id = format!("{}#{}", self.who, self.commits);
        let partition = |(place, offset): (&Place, &i64)| OffsetCommitRequestPartition {
            partition_index: place.1,
            committed_offset: *offset,
            committed_metadata: Some(KString::from(id.as_str())),
            ..OffsetCommitRequestPartition::default()
        };
        let topic = |entry: (&Place, &i64)| OffsetCommitRequestTopic {
            name: topic_name(entry.0.0),
            topic_id: self.world.topic_ids[&entry.0.0],
            partitions: vec![partition(entry)],
        };
        let request = OffsetCommitRequest {
            group_id: self.group_id(),
            generation_id_or_member_epoch: self.generation,
            member_id: KString::from(self.member_id.as_str()),
            group_instance_id: self.instance(),
            topics: offsets.iter().map(topic).collect(),
            ..OffsetCommitRequest::default()
        };
        let commit = Commit {
            member_id: self.member_id.clone(),
            owner: self.owner(),
            group: self.spec.group,
            generation: self.generation,
            places: offsets.clone(),
        };
        self.world.ledger.begin_commit(&id, commit);
        (request, id, one_of(&self.entropy, &[7, 8, 9, 10]))
    }

    /// Under whom the ledger keeps what is assigned to it.
    pub fn owner(&self) -> String {
        self.spec.instance.clone().unwrap_or_else(|| self.member_id.clone())
    }

    /// Commits; the answer's code. `pause`: so long after it was sent the process does nothing.
    pub async fn commit(&mut self, offsets: &BTreeMap<Place, i64>, pause: Duration) -> Option<ErrorCode> {
        let (request, id, version) = self.commit_request(offsets);
        let (claim, sent) = (self.claim(), Instant::now());
        let answer = if pause.is_zero() {
            let patience = self.patience();
            self.call(Lane::Offsets, version, &request, patience).await
        } else {
            let mut line = self.take_line(Lane::Offsets).await;
            line.connection.send(version, &request).await.ok()?;
            if percent(&self.entropy, 60) {
                // The commit arrives late, through a gateway that stands still.
                tokio::time::sleep(ms_between(&self.entropy, 1, 20)).await;
                stall_for(&self.world, line.connection.slot, pause);
            }
            self.world.pause(pause + Duration::from_millis(500)).await;
            self.world.journal.count("commits whose sender paused");
            line.connection.receive::<OffsetCommitRequest>(version, Duration::from_secs(1)).await.ok()
        };
        Some(self.hear_commit(&answer?, &id, offsets, &claim, sent))
    }

    /// Two commits at once, through two connections to one gateway: the second is sent when the first was read, and the
    /// gateway keeps their order (T7). The code of the second.
    pub async fn commit_twice(
        &mut self,
        first: &BTreeMap<Place, i64>,
        second: &BTreeMap<Place, i64>,
    ) -> Option<ErrorCode> {
        let slot = *self.heading.get(&Lane::Heartbeats)?;
        let mut used = self.lines.remove(&(Lane::Heartbeats, slot))?;
        let (connection, read) = self.world.fleet.connect(used.connection.slot, &self.who).await?;
        let mut fresh = Line { connection, read };
        let (claim, sent) = (self.claim(), Instant::now());
        let (request, first_id, first_version) = self.commit_request(first);
        fresh.connection.send(first_version, &request).await.ok()?;
        tokio::time::sleep(Duration::from_millis(1)).await;
        if fresh.read.load(std::sync::atomic::Ordering::Relaxed) == 0 {
            return None;
        }
        self.world.journal.count("commits in pairs");
        let (request, second_id, second_version) = self.commit_request(second);
        let patience = self.patience();
        let answers = tokio::join!(
            fresh.connection.receive::<OffsetCommitRequest>(first_version, patience),
            used.connection.request(second_version, &request, patience)
        );
        if let Ok(answer) = &answers.0 {
            self.hear_commit(answer, &first_id, first, &claim, sent);
        }
        let code = self.hear_commit(&answers.1.ok()?, &second_id, second, &claim, sent);
        self.keep(Lane::Heartbeats, used);
        Some(code)
    }

    fn hear_commit(
        &self,
        answer: &OffsetCommitResponse,
        id: &str,
        offsets: &BTreeMap<Place, i64>,
        claim: &Claim,
        sent: Instant,
    ) -> ErrorCode {
        let blocks = answer.topics.iter().flat_map(|topic| &topic.partitions);
        let mut worst = ErrorCode::NONE;
        let mut count = 0;
        for ((place, offset), block) in offsets.iter().zip(blocks) {
            count += 1;
            let code = block.error_code;
            if code.is_none() {
                self.world.ledger.note_acked(self.spec.group, *place, *offset);
                if !self.world.oracle.was_applied(id, *place) {
                    self.violation(format_args!("I-01: {id} of {place:?} is acknowledged, and did not happen"));
                }
                continue;
            }
            if worst != code {
                self.note(format_args!("commit {id}: {code}"));
                worst = code;
                if !matches!(code.as_i16(), 7 | 15 | 22 | 25 | 27 | 82) {
                    self.violation(format_args!("Commit is answered with {code}"));
                }
                self.world.oracle.judge_error(&self.who, "Commit", code.as_i16(), claim, sent);
            }
        }
        if count != offsets.len() {
            self.violation("a partition of a commit was not answered");
        }
        worst
    }

    /// The committed offsets of these places; 0 where there is none.
    pub async fn fetch(&mut self, asked: &[Place]) -> Option<BTreeMap<Place, i64>> {
        if asked.is_empty() {
            return Some(BTreeMap::new());
        }
        let patience = self.patience();
        let before: Vec<i64> = asked.iter().map(|place| self.world.oracle.stored(self.spec.group, *place)).collect();
        let topic = |place: &Place| OffsetFetchRequestTopics {
            name: topic_name(place.0),
            topic_id: self.world.topic_ids[&place.0],
            partition_indexes: vec![place.1],
        };
        let group = OffsetFetchRequestGroup {
            group_id: self.group_id(),
            topics: Some(asked.iter().map(topic).collect()),
            ..OffsetFetchRequestGroup::default()
        };
        let request = OffsetFetchRequest { groups: vec![group], ..OffsetFetchRequest::default() };
        let answer = self.call(Lane::Offsets, one_of(&self.entropy, &[8, 9]), &request, patience).await?;
        self.hear_fetch(&answer, &before)
    }

    fn hear_fetch(&self, answer: &OffsetFetchResponse, before: &[i64]) -> Option<BTreeMap<Place, i64>> {
        let group = answer.groups.first()?;
        let blocks =
            group.topics.iter().flat_map(|topic| topic.partitions.iter().map(move |block| (&topic.name, block)));
        let mut offsets = BTreeMap::new();
        for (block, before) in blocks.zip(before) {
            let (name, block) = block;
            let code = if group.error_code.is_none() { block.error_code } else { group.error_code };
            match code.as_i16() {
                0 => {}
                14 => return None,
                _ => self.violation(format_args!("OffsetFetch is answered with {code}")),
            }
            let place = (topic_number(name.as_str())?, block.partition_index);
            if block.committed_offset < *before {
                let told = block.committed_offset;
                self.violation(format_args!(
                    "T5: {place:?} is told to be at {told}, and {before} was committed before"
                ));
            }
            offsets.insert(place, block.committed_offset.max(0));
        }
        (offsets.len() == before.len()).then_some(offsets)
    }
}

/// The gateway stands still, unless something befalls it already.
fn stall_for(world: &Arc<World>, slot: usize, length: Duration) {
    if !world.fleet.take(slot) {
        return;
    }
    let Some(stalled) = world.fleet.stall(slot) else { return world.fleet.give_back(slot) };
    let world = world.clone();
    drop(tokio::spawn(async move {
        world.journal.count("stalls with a request in flight");
        world.pause(length).await;
        stalled.end(&world.journal, None);
        world.fleet.give_back(slot);
    }));
}

fn place_byte((topic, partition): Place) -> u8 {
    u8::try_from(topic * 16).unwrap() + u8::try_from(partition).unwrap()
}

/// The places in an assignment.
pub fn read_assignment(bytes: &[u8]) -> Vec<Place> {
    bytes.iter().map(|byte| (usize::from(byte / 16), i32::from(byte % 16))).collect()
}

/// The leader's assignments: a range of the places for each member, in the order of their ids.
pub fn assign(members: impl Iterator<Item = KString>) -> Vec<(KString, Vec<Place>)> {
    let mut members: Vec<KString> = members.collect();
    members.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    let all: Vec<Place> = places().collect();
    let count = members.len();
    let range = |index: usize| all[index * all.len() / count..(index + 1) * all.len() / count].to_vec();
    members.into_iter().enumerate().map(|(index, member)| (member, range(index))).collect()
}
