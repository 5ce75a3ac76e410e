//! Members of groups, as a server would speak for them: each with a connection that may go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sluice_engine::{
    ClientInfo, CommitAsk, CommitOffsetAsk, EngineError, EngineResult, GroupDescription, JoinAsk, Joined, LeaveAsk,
    Limits, Liveness, MemberClaim, OffsetFetchAsk, Origin, Settings, SyncAsk, Synced,
};
use sluice_metadata::{Entry, Group, Identity, Incarnation, Position, SessionId, State};
use sluice_store::{Consistency, LogPosition, MetadataLog, Payload, TailRead};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::support::{Cluster, Gateway, topic};

/// A connection.
#[derive(Debug, Default)]
pub struct Link(AtomicBool);

impl Link {
    pub fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Liveness for Link {
    fn is_gone(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Groups that do not wait for more members to come.
pub fn hasty() -> Settings {
    Settings { group_initial_rebalance_delay_ms: 0, ..Settings::default() }
}

impl Cluster {
    /// Two gateways whose groups begin at once.
    pub async fn two(&mut self) -> (Gateway, Gateway) {
        let a = self.gateway_with(Limits::default(), hasty()).await;
        let b = self.gateway_with(Limits::default(), hasty()).await;
        // Both know of both.
        a.engine.barrier().await.unwrap();
        (a, b)
    }

    /// The State that the log as a whole comes to.
    pub async fn replay(&self) -> State {
        let mut state = State::new(Incarnation(7));
        let TailRead::Tail(tail) = self.log.read(LogPosition::ZERO, Consistency::Strong).await.unwrap() else {
            panic!("a tail")
        };
        for (index, element) in tail.elements.into_iter().enumerate() {
            let identity = (element.session != 0).then(|| Identity {
                session: SessionId(Position::from_raw(element.session)),
                sequence: element.sequence,
            });
            let bytes = match &element.payload {
                Payload::Inline(bytes) => bytes.clone(),
                Payload::Body(body) => self.log.read_body(body).await.unwrap(),
            };
            let entry = Entry::decode(&bytes).unwrap();
            state.apply(Position::new(0, index as u64 + 1), identity, Some(&entry)).unwrap();
        }
        state
    }

    /// A group as the log has it.
    pub async fn group(&self, group_id: &str) -> Arc<Group> {
        self.replay().await.group(group_id).expect("the group is there").clone()
    }
}

pub fn join_ask(group_id: &str, member_id: &str) -> JoinAsk {
    JoinAsk {
        group_id: group_id.into(),
        member_id: member_id.into(),
        instance_id: None,
        client: ClientInfo { client_id: "client".into(), host: "/127.0.0.1".into() },
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"metadata"))],
        requires_known_member_id: false,
        supports_skipping_assignment: true,
    }
}

/// As JoinGroup 4 and newer ask.
pub fn with_known_id(ask: JoinAsk) -> JoinAsk {
    JoinAsk { requires_known_member_id: true, ..ask }
}

pub fn static_ask(group_id: &str, instance_id: &str) -> JoinAsk {
    JoinAsk { instance_id: Some(instance_id.into()), ..join_ask(group_id, "") }
}

pub fn sync_ask(group_id: &str, joined: &Joined, assignments: &[(&str, &[u8])]) -> SyncAsk {
    SyncAsk {
        group_id: group_id.into(),
        generation: joined.generation,
        member_id: joined.member_id.to_string(),
        instance_id: None,
        protocol_type: None,
        protocol: None,
        assignments: assignments.iter().map(|(id, bytes)| ((*id).into(), Bytes::copy_from_slice(bytes))).collect(),
    }
}

pub fn claim(joined: &Joined) -> MemberClaim {
    MemberClaim { member_id: joined.member_id.to_string(), instance_id: None, generation: joined.generation }
}

/// Of a client that is no member.
pub fn nobody() -> MemberClaim {
    MemberClaim { member_id: String::new(), instance_id: None, generation: -1 }
}

pub fn offset(name: &str, partition: i32, offset: i64) -> CommitOffsetAsk {
    CommitOffsetAsk {
        topic: topic(name),
        partition,
        offset,
        leader_epoch: -1,
        metadata: String::new(),
        committed_at_ms: None,
    }
}

pub fn commit_ask(group_id: &str, claim: MemberClaim, offsets: Vec<CommitOffsetAsk>) -> CommitAsk {
    CommitAsk { group_id: group_id.into(), claim, tells_unknown_group: true, retention: None, offsets }
}

impl Gateway {
    /// A request that has just been read.
    pub fn origin(&self) -> Origin {
        self.origin_of(&Arc::new(Link::default()))
    }

    pub fn origin_of(&self, link: &Arc<Link>) -> Origin {
        Origin { connection: link.clone(), read_at: Instant::now(), gaps: self.engine.gaps().count() }
    }

    pub async fn join(&self, ask: JoinAsk) -> EngineResult<Joined> {
        self.engine.join_group(&self.origin(), ask).await
    }

    /// A Join that goes on by itself; it has been proposed, and may wait, when this returns.
    pub async fn joining(&self, ask: JoinAsk) -> JoinHandle<EngineResult<Joined>> {
        let (engine, origin) = (self.engine.clone(), self.origin());
        let join = tokio::spawn(async move { engine.join_group(&origin, ask).await });
        settle().await;
        join
    }

    pub async fn sync(&self, ask: SyncAsk) -> EngineResult<Synced> {
        self.engine.sync_group(&self.origin(), ask).await
    }

    pub async fn syncing(&self, ask: SyncAsk) -> JoinHandle<EngineResult<Synced>> {
        let (engine, origin) = (self.engine.clone(), self.origin());
        let sync = tokio::spawn(async move { engine.sync_group(&origin, ask).await });
        settle().await;
        sync
    }

    pub async fn beat(&self, group_id: &str, joined: &Joined) -> EngineResult<()> {
        self.engine.heartbeat(&self.origin(), group_id, &claim(joined)).await
    }

    pub async fn leave(&self, group_id: &str, member_id: &str) -> EngineResult<Vec<EngineResult<()>>> {
        let ask = LeaveAsk { member_id: member_id.into(), instance_id: None };
        self.engine.leave_group(&self.origin(), group_id, &[ask]).await
    }

    pub async fn commit(&self, group_id: &str, claim: MemberClaim, offsets: &[(&str, i32, i64)]) -> EngineResult<()> {
        let offsets = offsets.iter().map(|(name, partition, at)| offset(name, *partition, *at)).collect();
        let answers = self.engine.commit_offsets(&self.origin(), commit_ask(group_id, claim, offsets)).await;
        answers.into_iter().collect()
    }

    pub async fn committed(&self, group_id: &str, name: &str, partition: i32) -> Option<i64> {
        let ask = OffsetFetchAsk { group_id: group_id.into(), partitions: Some(vec![(topic(name), partition)]) };
        let fetched = self.engine.fetch_offsets(vec![ask]).await.remove(0).unwrap().remove(0);
        fetched.offset.unwrap().map(|found| found.offset)
    }

    pub async fn describe_one(&self, group_id: &str) -> EngineResult<GroupDescription> {
        self.engine.describe_groups(vec![group_id.into()]).await.remove(0)
    }

    pub async fn make_topic(&self, name: &str) {
        self.describe(name, true).await.unwrap();
    }

    /// A group that has no members yet, because somebody has committed in its name.
    pub async fn commit_made_group(&self, group_id: &str) {
        self.make_topic("t").await;
        self.commit(group_id, nobody(), &[("t", 0, 0)]).await.unwrap();
    }

    /// A group of one, stable: joined and synced here.
    pub async fn alone(&self, group_id: &str) -> Joined {
        let joined = self.join(join_ask(group_id, "")).await.unwrap();
        self.sync(sync_ask(group_id, &joined, &[(&joined.member_id, b"all")])).await.unwrap();
        joined
    }
}

/// A stable group of two: the leader came through the first gateway, the follower through the second.
pub async fn pair(a: &Gateway, b: &Gateway, group_id: &str) -> (Joined, Joined) {
    let first = a.join(join_ask(group_id, "")).await.unwrap();
    let second = b.joining(join_ask(group_id, "")).await;
    let first = a.join(join_ask(group_id, &first.member_id)).await.unwrap();
    let second = second.await.unwrap().unwrap();
    let assignments: [(&str, &[u8]); 2] = [(&first.member_id, b"one"), (&second.member_id, b"two")];
    a.sync(sync_ask(group_id, &first, &assignments)).await.unwrap();
    b.sync(sync_ask(group_id, &second, &[])).await.unwrap();
    (first, second)
}

/// Lets everything happen that happens at once, and polls: some of the paused clock's time passes.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(300)).await;
}

pub fn is_now_not(answer: &EngineError) -> bool {
    matches!(answer, EngineError::NotCoordinatedNow(_))
}
