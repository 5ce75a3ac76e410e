//! What members cost that are just there: store requests of a fleet under heartbeats, with and without somebody who waits.

use std::time::Duration;

use anyhow::{Context, ensure};
use sluice_protocol::messages::FetchRequest;
use sluice_protocol::messages::fetch::{FetchPartition, FetchTopic};
use sluice_protocol::{ErrorCode, KString};
use tokio::time::{Instant, sleep, sleep_until};

use super::client::Peer;
use super::counters::Counts;
use super::fleet::Fleet;
use super::member::{Forming, Member, Patience, form, join_all};
use super::observe::observe;
use super::topics::create_topic;
use super::verdict::{Verdicts, per_second, to_f64};

/// By id in an answer of this version, by name up to it.
const FETCH_VERSION: i16 = 12;
/// Tail polls per second and gateway while somebody waits (T4).
const POLLS_TARGET: f64 = 4.0;
/// Entries that keep a session alive: one in 5 s (T1), and one more at either end of what is measured.
const KEEP_ALIVES_TARGET: f64 = 0.4;
/// What a gateway that hosts members asks of the store in a second, whether they heartbeat or not.
const LOOKS_AND_ENTRIES: f64 = 1.2;
const PATIENCE: Patience =
    Patience { session_timeout: Duration::from_secs(45), rebalance_timeout: Duration::from_secs(60) };

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeartbeatPlan {
    pub(crate) groups: usize,
    pub(crate) members_each: usize,
    /// Time between two heartbeats of a member.
    pub(crate) interval: Duration,
    /// Each member commits with every so many of its heartbeats, where somebody commits.
    pub(crate) beats_per_commit: u64,
    /// Time for each measurement.
    pub(crate) window: Duration,
}

/// Where and how often commits go.
#[derive(Debug, Clone)]
struct Commits {
    topic: KString,
    every: u64,
    /// One for each member of a group: a partition has one owner.
    partitions: i32,
}

/// What a round of heartbeats came to.
#[derive(Debug, Default, Clone, Copy)]
struct Served {
    heartbeats: u64,
    commits: u64,
}

/// The same fleet with silent members, with members that heartbeat, and with those while somebody waits.
pub(crate) async fn run(fleet: &Fleet, plan: HeartbeatPlan, verdicts: &mut Verdicts) -> anyhow::Result<()> {
    let gateways = fleet.kafka();
    let first = *gateways.first().context("a gateway")?;
    let partitions = i32::try_from(plan.members_each)?;
    let topic = create_topic(&mut Peer::open(first).await?, "bench-heartbeats", partitions).await?;
    let forming = Forming { prefix: "beat", groups: plan.groups, members_each: plan.members_each, patience: PATIENCE };
    let members = form(forming, &gateways).await?;
    // The first request of a connection is behind a barrier (T5), and the members have all had one.
    let (still, ()) = observe(fleet, async {
        sleep(plan.window).await;
        Ok(())
    })
    .await?;
    let (beating, (members, served)) = observe(fleet, beat_all(members, plan, None)).await?;
    verdicts.tell("heartbeats per second", per_second(served.heartbeats, beating.wall));
    // T4: a look a second; T1: an entry every five seconds; and what falls on either side of a window's ends.
    let explained = to_f64(u64::try_from(gateways.len())?) * (LOOKS_AND_ENTRIES * plan.window.as_secs_f64() + 2.0);
    verdicts.judge("store requests of the fleet, silent members", to_f64(still.sum().log_requests()), explained);
    verdicts.judge("store requests of the fleet, with heartbeats", to_f64(beating.sum().log_requests()), explained);
    verdicts.judge(
        "without waiters: reads/s of a gateway",
        beating.most_per_second(|counts| counts.reads),
        POLLS_TARGET,
    );

    measure_with_waiters(fleet, plan, members, &topic, verdicts).await
}

/// The same while a Fetch waits on every gateway: first without commits, then with them.
async fn measure_with_waiters(
    fleet: &Fleet,
    plan: HeartbeatPlan,
    members: Vec<Member>,
    topic: &KString,
    verdicts: &mut Verdicts,
) -> anyhow::Result<()> {
    let keep_alives = |counts: &Counts| counts.appends.saturating_sub(counts.commit_entries);
    let _waiting = wait_for_records(&fleet.kafka(), topic).await?;
    let (waited, (members, _)) = observe(fleet, beat_all(members, plan, None)).await?;
    verdicts.judge("waiters: reads/s of a gateway", waited.most_per_second(|counts| counts.reads), POLLS_TARGET);
    verdicts.judge("waiters: appends/s of a gateway", waited.most_per_second(keep_alives), KEEP_ALIVES_TARGET);

    let commits =
        Commits { topic: topic.clone(), every: plan.beats_per_commit, partitions: i32::try_from(plan.members_each)? };
    let (busy, (_members, served)) = observe(fleet, beat_all(members, plan, Some(commits))).await?;
    verdicts.tell("waiters and commits: commits per second", per_second(served.commits, busy.wall));
    let reads = busy.most_per_second(|counts| counts.reads);
    verdicts.judge("waiters and commits: reads/s of a gateway", reads, POLLS_TARGET);
    let others = busy.most_per_second(keep_alives);
    verdicts.judge("waiters and commits: other appends/s of a gateway", others, KEEP_ALIVES_TARGET);
    verdicts.tell("waiters and commits: appends/s of a gateway", busy.most_per_second(|counts| counts.appends));
    Ok(())
}

/// All members heartbeat, spread evenly over the interval, for the time of a window.
async fn beat_all(
    members: Vec<Member>,
    plan: HeartbeatPlan,
    commits: Option<Commits>,
) -> anyhow::Result<(Vec<Member>, Served)> {
    let (start, count) = (Instant::now(), u32::try_from(members.len())?.max(1));
    let mut tasks = Vec::with_capacity(members.len());
    for (index, member) in (0..).zip(members) {
        let first = start + plan.interval * index / count;
        tasks.push(beat(member, index.into(), first, start + plan.window, plan.interval, commits.clone()));
    }
    let mut sum = Served::default();
    let mut members = Vec::new();
    for (member, served) in join_all(tasks).await? {
        sum = Served { heartbeats: sum.heartbeats + served.heartbeats, commits: sum.commits + served.commits };
        members.push(member);
    }
    Ok((members, sum))
}

async fn beat(
    mut member: Member,
    index: u64,
    first: Instant,
    end: Instant,
    interval: Duration,
    commits: Option<Commits>,
) -> anyhow::Result<(Member, Served)> {
    let (mut due, mut served) = (first, Served::default());
    while due < end {
        sleep_until(due).await;
        let code = member.heartbeat().await?;
        ensure!(code == ErrorCode::NONE, "a heartbeat of {}: {code}", member.group.as_str());
        served.heartbeats += 1;
        if let Some(commits) =
            commits.as_ref().filter(|commits| (served.heartbeats + index).is_multiple_of(commits.every))
        {
            let partition = i32::try_from(index)? % commits.partitions.max(1);
            let code =
                member.commit(&commits.topic, partition..partition + 1, i64::try_from(served.heartbeats)?).await?;
            ensure!(code == ErrorCode::NONE, "a commit of {}: {code}", member.group.as_str());
            served.commits += 1;
        }
        due += interval;
    }
    sleep_until(end).await;
    Ok((member, served))
}

/// A Fetch on every gateway that finds nothing and waits, until what is returned is dropped.
async fn wait_for_records(gateways: &[std::net::SocketAddr], topic: &KString) -> anyhow::Result<Vec<Peer>> {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic: topic.clone(), partitions: vec![partition], ..FetchTopic::default() };
    let request = FetchRequest {
        max_wait_ms: 60_000,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    let mut peers = Vec::with_capacity(gateways.len());
    for addr in gateways {
        let mut peer = Peer::open(*addr).await?;
        peer.send(FETCH_VERSION, &request).await?;
        peers.push(peer);
    }
    Ok(peers)
}
