//! Many members of one group: how long from the last JoinGroup to the last assignment.
//!
//! A group that was empty waits for more members by Kafka's rule: a window of the initial delay, and another one as long as
//! members came in the last. That time is prescribed and not counted; a rebalance of the whole group has no such time.

use std::time::Duration;

use anyhow::{Context, bail};
use sluice_protocol::ErrorCode;
use tokio::time::{Instant, sleep};

use super::fleet::Fleet;
use super::member::{Member, Patience, Steps, join_all};
use super::observe::observe;
use super::verdict::{Verdicts, to_f64};

const PATIENCE: Patience =
    Patience { session_timeout: Duration::from_secs(60), rebalance_timeout: Duration::from_secs(60) };
/// Time between two heartbeats of a member that is to notice the rebalance.
const INTERVAL: Duration = Duration::from_millis(1_000);

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JoinPlan {
    pub(crate) members: usize,
    /// What the gateways were told.
    pub(crate) initial_delay: Duration,
    /// From the last JoinGroup sent to the last SyncGroup answered, in seconds.
    pub(crate) target_s: f64,
}

/// A group comes to be, and is rebalanced when one of its members subscribes to something else.
pub(crate) async fn run(fleet: &Fleet, plan: JoinPlan, verdicts: &mut Verdicts) -> anyhow::Result<()> {
    let gateways = fleet.kafka();
    let mut members = Vec::with_capacity(plan.members);
    for (_, addr) in (0..plan.members).zip(gateways.iter().cycle()) {
        let mut member = Member::connect(*addr, "many", PATIENCE).await?;
        members.push(async move {
            member.register().await?;
            Ok(member)
        });
    }
    let members = join_all(members).await?;
    let settle = members.into_iter().map(|mut member| async move {
        let steps = member.settle().await?;
        Ok((member, steps))
    });
    let (observed, settled) = observe(fleet, join_all(settle.collect())).await?;
    let (members, steps): (Vec<Member>, Vec<Steps>) = settled.into_iter().unzip();
    let (first, last, synced) = extremes(&steps)?;
    let due = last.max(end_of_delay(first, last, plan.initial_delay));
    verdicts.tell("first generation: generations it took", f64::from(generation_of(&members)?));
    verdicts.tell("first generation: last Join sent to last Sync, s", (synced - last).as_secs_f64());
    verdicts.judge("the same without the initial delay, s", (synced - due).as_secs_f64(), plan.target_s);
    verdicts.tell("first generation: store requests", to_f64(observed.sum().log_requests()));
    verdicts.tell("first generation: CPU-s of the gateways", observed.cpu.as_secs_f64());

    let before = generation_of(&members)?;
    let rejoin = members.into_iter().zip(0..).map(|(member, index)| rejoin(member, index == 0));
    let (observed, settled) = observe(fleet, join_all(rejoin.collect())).await?;
    let (members, steps): (Vec<Member>, Vec<Steps>) = settled.into_iter().unzip();
    let (_, last, synced) = extremes(&steps)?;
    verdicts.tell("rebalance: generations it took", f64::from(generation_of(&members)? - before));
    verdicts.judge("rebalance: last Join sent to last Sync, s", (synced - last).as_secs_f64(), plan.target_s);
    let joined = steps.iter().map(|steps| steps.joined).max().context("a member")?;
    verdicts.tell("rebalance: of that until the last Join's answer, s", (joined - last).as_secs_f64());
    verdicts.tell("rebalance: store requests", to_f64(observed.sum().log_requests()));
    verdicts.tell("rebalance: CPU-s of the gateways", observed.cpu.as_secs_f64());
    Ok(())
}

/// The one that `starts` joins with another subscription; the others join when a heartbeat tells them to.
async fn rejoin(mut member: Member, starts: bool) -> anyhow::Result<(Member, Steps)> {
    if starts {
        member.revision += 1;
    } else {
        loop {
            match member.heartbeat().await? {
                ErrorCode::REBALANCE_IN_PROGRESS => break,
                ErrorCode::NONE | ErrorCode::COORDINATOR_NOT_AVAILABLE => sleep(INTERVAL).await,
                code => bail!("a heartbeat during the rebalance: {code}"),
            }
        }
    }
    let steps = member.settle().await?;
    Ok((member, steps))
}

/// First and last JoinGroup sent, last SyncGroup answered.
fn extremes(steps: &[Steps]) -> anyhow::Result<(Instant, Instant, Instant)> {
    let first = steps.iter().map(|steps| steps.join_sent).min().context("a member")?;
    let last = steps.iter().map(|steps| steps.join_sent).max().context("a member")?;
    let synced = steps.iter().map(|steps| steps.synced).max().context("a member")?;
    Ok((first, last, synced))
}

/// When Kafka's windows end: the one in which the last member came, and the one after it, in which nobody did.
fn end_of_delay(first: Instant, last: Instant, delay: Duration) -> Instant {
    if delay.is_zero() {
        return first;
    }
    let whole = last.duration_since(first).as_millis() / delay.as_millis().max(1);
    first + delay * (u32::try_from(whole).unwrap_or(u32::MAX).saturating_add(2))
}

/// The generation that all members are in.
fn generation_of(members: &[Member]) -> anyhow::Result<i32> {
    let generation = members.first().context("a member")?.generation;
    match members.iter().find(|member| member.generation != generation) {
        None => Ok(generation),
        Some(other) => bail!("members are in generations {generation} and {}", other.generation),
    }
}
