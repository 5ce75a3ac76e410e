//! All gateways end at once, and others take their place: members that come back in time keep what they had.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use sluice_protocol::messages::DescribeGroupsRequest;
use sluice_protocol::{ErrorCode, KString};
use tokio::time::{Instant, sleep, sleep_until};

use super::client::Peer;
use super::fleet::Fleet;
use super::member::{Forming, Member, Patience, form, join_all};
use super::observe::observe;
use super::verdict::{Verdicts, to_f64};
use crate::server::Launcher;

const DESCRIBE_VERSION: i16 = 5;
/// Groups in one question.
const GROUPS_PER_REQUEST: usize = 100;
/// Pause before a member asks again.
const RETRY_BACKOFF: Duration = Duration::from_millis(100);

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RestartPlan {
    pub(crate) groups: usize,
    pub(crate) members_each: usize,
    pub(crate) session_timeout: Duration,
    /// Members come back within this time of the restart, spread evenly.
    pub(crate) back_within: Duration,
    /// Time between two heartbeats of a member.
    pub(crate) interval: Duration,
    /// How long they are watched after the restart: longer than the lease of the sessions that were lost, or it shows
    /// nothing.
    pub(crate) watched: Duration,
}

/// What became of a member.
#[derive(Debug)]
struct Fate {
    member: Member,
    /// Its first answer after the restart, after the restart.
    back_after: Duration,
    /// Answers that told it to ask again.
    asked_again: u64,
    /// The first answer that told it that it lost its place.
    lost: Option<ErrorCode>,
    /// It was given another assignment than it had.
    is_reassigned: bool,
}

/// Forms the groups, restarts the fleet under them, and looks at every member.
pub(crate) async fn run(
    fleet: &mut Fleet,
    launcher: Option<&Launcher>,
    plan: RestartPlan,
    verdicts: &mut Verdicts,
) -> anyhow::Result<()> {
    let patience = Patience { session_timeout: plan.session_timeout, rebalance_timeout: Duration::from_secs(60) };
    let forming = Forming { prefix: "kept", groups: plan.groups, members_each: plan.members_each, patience };
    let start = Instant::now();
    let members = form(forming, &fleet.kafka()).await?;
    verdicts.tell("members", to_f64(u64::try_from(members.len())?));
    verdicts.tell("forming the groups, s", start.elapsed().as_secs_f64());
    let killed = Instant::now();
    fleet.restart(launcher).await?;
    verdicts.tell("restart of the fleet, s", killed.elapsed().as_secs_f64());
    let gateways = fleet.kafka();
    let count = u32::try_from(members.len())?.max(1);
    let mut tasks = Vec::with_capacity(members.len());
    for (index, member) in (0..).zip(members) {
        // Another gateway than a client's own order would give: a balancer knows no order.
        let to = usize::try_from(index * 7 / 3)? % gateways.len();
        let addr = *gateways.get(to).context("a gateway")?;
        tasks.push(come_back(member, addr, killed, killed + plan.back_within * index / count, plan));
    }
    let (observed, fates) = observe(fleet, join_all(tasks)).await?;
    let unstable = count_unstable(&gateways, plan).await?;
    let count = |of: &dyn Fn(&Fate) -> bool| to_f64(fates.iter().map(|fate| u64::from(of(fate))).sum());
    let back = fates.iter().map(|fate| fate.back_after).max().unwrap_or_default();
    verdicts.judge("members that lost their place", count(&|fate| fate.lost.is_some()), 0.0);
    verdicts.judge("members with another assignment", count(&|fate| fate.is_reassigned), 0.0);
    verdicts.judge("groups that are not stable and complete", to_f64(unstable), 0.0);
    verdicts.judge("last member is back after, s", back.as_secs_f64(), plan.session_timeout.as_secs_f64());
    verdicts.tell("answers that said to ask again", to_f64(fates.iter().map(|fate| fate.asked_again).sum()));
    verdicts.tell("append requests of the fleet since", to_f64(observed.sum().appends));
    verdicts.tell("CPU-s of the gateways since", observed.cpu.as_secs_f64());
    Ok(())
}

/// Connects when it is time, and heartbeats in the generation it had; asks for its assignment at the end.
async fn come_back(
    mut member: Member,
    addr: SocketAddr,
    killed: Instant,
    at: Instant,
    plan: RestartPlan,
) -> anyhow::Result<Fate> {
    sleep_until(at).await;
    member.reconnect(addr).await?;
    let mut fate = Fate { member, back_after: Duration::ZERO, asked_again: 0, lost: None, is_reassigned: false };
    let end = killed + plan.watched;
    while Instant::now() < end && fate.lost.is_none() {
        match fate.member.heartbeat().await? {
            ErrorCode::NONE => {
                if fate.back_after.is_zero() {
                    fate.back_after = killed.elapsed();
                }
                sleep_until((Instant::now() + plan.interval).min(end)).await;
            }
            ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                fate.asked_again += 1;
                sleep(RETRY_BACKOFF).await;
            }
            code => fate.lost = Some(code),
        }
    }
    while fate.lost.is_none() {
        let answer = fate.member.ask_assignment().await?;
        match answer.error_code {
            ErrorCode::NONE => {
                fate.is_reassigned = fate.member.assignment != Bytes::copy_from_slice(&answer.assignment);
                break;
            }
            ErrorCode::COORDINATOR_NOT_AVAILABLE => {
                fate.asked_again += 1;
                sleep(RETRY_BACKOFF).await;
            }
            code => fate.lost = Some(code),
        }
    }
    Ok(fate)
}

/// Groups that a gateway does not show as Stable with all their members.
async fn count_unstable(gateways: &[SocketAddr], plan: RestartPlan) -> anyhow::Result<u64> {
    let mut peer = Peer::open(*gateways.first().context("a gateway")?).await?;
    let names: Vec<KString> = (0..plan.groups).map(|group| KString::from(format!("kept-{group}").as_str())).collect();
    let mut unstable = 0;
    for groups in names.chunks(GROUPS_PER_REQUEST) {
        let request = DescribeGroupsRequest { groups: groups.to_vec(), ..DescribeGroupsRequest::default() };
        for group in peer.call(DESCRIBE_VERSION, &request).await?.groups {
            let is_whole = group.group_state.as_str() == "Stable" && group.members.len() == plan.members_each;
            unstable += u64::from(group.error_code != ErrorCode::NONE || !is_whole);
        }
    }
    Ok(unstable)
}
