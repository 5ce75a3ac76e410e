//! CPU time of one request of a group, alone and when they come together.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::{Context, ensure};
use sluice_protocol::messages::HeartbeatRequest;
use sluice_protocol::{ErrorCode, KString};

use super::client::Peer;
use super::fleet::Fleet;
use super::member::{Forming, HEARTBEAT_VERSION, Member, Patience, form, join_all};
use super::observe::{Observed, observe};
use super::topics::create_topic;
use super::verdict::{Verdicts, per_second, to_f64};

const PATIENCE: Patience =
    Patience { session_timeout: Duration::from_secs(60), rebalance_timeout: Duration::from_secs(60) };
const PARTITIONS: i32 = 12;
/// Requests on their way on one connection.
const IN_FLIGHT: usize = 20;
const CONNECTIONS: usize = 16;
const COMMITTERS: usize = 200;

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CostPlan {
    /// Heartbeats of each measurement.
    pub(crate) heartbeats: u64,
    /// Commits of each member.
    pub(crate) commits_each: i64,
}

/// Heartbeats alone and pipelined, commits alone and from many members at once, on one gateway.
pub(crate) async fn run(fleet: &Fleet, plan: CostPlan, verdicts: &mut Verdicts) -> anyhow::Result<()> {
    let gateways = fleet.kafka();
    let topic =
        create_topic(&mut Peer::open(*gateways.first().context("a gateway")?).await?, "bench-cost", PARTITIONS).await?;
    let forming = Forming { prefix: "beat", groups: CONNECTIONS, members_each: 1, patience: PATIENCE };
    let mut members = form(forming, &gateways).await?;
    let single = members.pop().context("a member")?;

    let (observed, single) = observe(fleet, beat(single, plan.heartbeats / 4, 1)).await?;
    tell(verdicts, "heartbeat, one at a time", &observed, plan.heartbeats / 4);
    members.push(single);
    let each = plan.heartbeats / u64::try_from(members.len())?;
    let count = each * u64::try_from(members.len())?;
    let tasks = members.into_iter().map(|member| beat(member, each, IN_FLIGHT)).collect();
    let (observed, mut members) = observe(fleet, join_all(tasks)).await?;
    tell(verdicts, "heartbeat, 16 x 20 in flight", &observed, count);

    let single = members.pop().context("a member")?;
    let (observed, _) = observe(fleet, commit(single, topic.clone(), plan.commits_each)).await?;
    tell(verdicts, "commit of 12, one at a time", &observed, u64::try_from(plan.commits_each)?);
    let forming = Forming { prefix: "commit", groups: COMMITTERS, members_each: 1, patience: PATIENCE };
    let members = form(forming, &gateways).await?;
    let count = u64::try_from(members.len())? * u64::try_from(plan.commits_each)?;
    let tasks = members.into_iter().map(|member| commit(member, topic.clone(), plan.commits_each)).collect();
    let (observed, _) = observe(fleet, join_all(tasks)).await?;
    tell(verdicts, "commit of 12, 200 x 1", &observed, count);
    verdicts.tell("commit of 12, 200 x 1: appends/s", per_second(observed.sum().appends, observed.wall));
    Ok(())
}

fn tell(verdicts: &mut Verdicts, what: &str, observed: &Observed, count: u64) {
    verdicts.tell(&format!("{what}: CPU-µs each"), observed.cpu.as_secs_f64() * 1e6 / to_f64(count).max(1.0));
    verdicts.tell(&format!("{what}: per second"), per_second(count, observed.wall));
}

async fn beat(mut member: Member, count: u64, in_flight: usize) -> anyhow::Result<Member> {
    let request = member.heartbeat_request();
    let mut sent = VecDeque::with_capacity(in_flight);
    for _ in 0..count {
        if sent.len() >= in_flight {
            receive(&mut member, &mut sent).await?;
        }
        sent.push_back(member.peer.send(HEARTBEAT_VERSION, &request).await?);
    }
    while !sent.is_empty() {
        receive(&mut member, &mut sent).await?;
    }
    Ok(member)
}

async fn receive(member: &mut Member, sent: &mut VecDeque<i32>) -> anyhow::Result<()> {
    let correlation_id = sent.pop_front().context("a request")?;
    let answer = member.peer.receive::<HeartbeatRequest>(correlation_id, HEARTBEAT_VERSION).await?;
    ensure!(answer.error_code == ErrorCode::NONE, "a heartbeat: {}", answer.error_code);
    Ok(())
}

async fn commit(mut member: Member, topic: KString, count: i64) -> anyhow::Result<Member> {
    for offset in 1..=count {
        let code = member.commit(&topic, 0..PARTITIONS, offset).await?;
        ensure!(code == ErrorCode::NONE, "a commit: {code}");
    }
    Ok(member)
}
