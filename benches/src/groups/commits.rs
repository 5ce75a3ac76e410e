//! Commits of offsets at a given rate: how many append requests, how long each takes, what they cost.

use std::time::Duration;

use anyhow::{Context, ensure};
use sluice_protocol::{ErrorCode, KString};
use tokio::time::{Instant, sleep_until};

use super::client::Peer;
use super::fleet::Fleet;
use super::member::{Forming, Member, Patience, form, join_all};
use super::observe::observe;
use super::topics::{create_topic, fetch_offsets};
use super::verdict::{Verdicts, per_second, to_f64};

const APPENDS_TARGET: f64 = 200.0;
const P99_MS_TARGET: f64 = 100.0;
/// CPU seconds of all gateways together per 1,000 commits.
const CPU_TARGET: f64 = 0.2;
const PATIENCE: Patience =
    Patience { session_timeout: Duration::from_secs(60), rebalance_timeout: Duration::from_secs(60) };
/// Less than this share of the commits that were due says that something else than the gateways was slow.
const DONE_SHARE_MIN: f64 = 0.95;

/// How much is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommitPlan {
    /// Members, each alone in its group.
    pub(crate) members: u32,
    /// Commits per second, of all members together.
    pub(crate) per_second: u32,
    pub(crate) partitions: i32,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// The schedule of one member: commits are due whether or not those before were answered in time.
#[derive(Debug, Clone)]
struct Schedule {
    first: Instant,
    period: Duration,
    /// Commits that are due from here on are counted …
    from: Instant,
    /// … up to here.
    to: Instant,
    topic: KString,
    partitions: i32,
}

/// What became of one member's commits.
#[derive(Debug)]
struct Committed {
    group: KString,
    /// From when it was due to its answer.
    latencies: Vec<Duration>,
    /// How late the generator itself was: its share of those.
    late: Vec<Duration>,
    errors: u64,
    /// The last one that was answered without an error.
    last: i64,
}

/// Commits at the rate of the plan, through all gateways.
pub(crate) async fn run(fleet: &Fleet, plan: CommitPlan, verdicts: &mut Verdicts) -> anyhow::Result<()> {
    let gateways = fleet.kafka();
    let mut control = Peer::open(*gateways.last().context("a gateway")?).await?;
    let topic = create_topic(&mut control, "bench-commits", plan.partitions).await?;
    let groups = usize::try_from(plan.members)?;
    let members = form(Forming { prefix: "commit", groups, members_each: 1, patience: PATIENCE }, &gateways).await?;
    let start = Instant::now();
    let (from, to) = (start + plan.warm_up, start + plan.warm_up + plan.window);
    let rate = plan.per_second.max(1);
    let mut tasks = Vec::with_capacity(members.len());
    for (index, member) in (0..).zip(members) {
        let first = start + Duration::from_secs(1) * index / rate;
        let period = Duration::from_secs(1) * plan.members / rate;
        let schedule = Schedule { first, period, from, to, topic: topic.clone(), partitions: plan.partitions };
        tasks.push(commit_by(member, schedule));
    }
    let tasks = tokio::spawn(join_all(tasks));
    sleep_until(from).await;
    let (observed, ()) = observe(fleet, async {
        sleep_until(to).await;
        Ok(())
    })
    .await?;
    let committed = tasks.await??;
    let groups: Vec<KString> = committed.iter().map(|committed| committed.group.clone()).collect();
    let found = fetch_offsets(&mut control, &groups, &topic, plan.partitions).await?;
    for committed in &committed {
        let offsets = found.get(committed.group.as_str()).map(Vec::as_slice).unwrap_or_default();
        let is_last = !offsets.is_empty() && offsets.iter().all(|offset| *offset == committed.last);
        ensure!(is_last, "{} committed {}, a gateway has {offsets:?}", committed.group.as_str(), committed.last);
    }
    let mut latencies: Vec<Duration> =
        committed.iter().flat_map(|committed| committed.latencies.iter().copied()).collect();
    latencies.sort_unstable();
    let mut late: Vec<Duration> = committed.iter().flat_map(|committed| committed.late.iter().copied()).collect();
    late.sort_unstable();
    let count = u64::try_from(latencies.len())?;
    let due = f64::from(rate) * plan.window.as_secs_f64();
    ensure!(to_f64(count) >= DONE_SHARE_MIN * due, "{count} commits were done of {due} that were due");
    let sum = observed.sum();
    verdicts.tell("commits per second", per_second(count, plan.window));
    verdicts.judge("commits refused", to_f64(committed.iter().map(|committed| committed.errors).sum()), 0.0);
    verdicts.judge("appends/s of the fleet", per_second(sum.appends, observed.wall), APPENDS_TARGET);
    verdicts.tell("commit p50, ms", as_ms(percentile(&latencies, 50)));
    verdicts.judge("commit p99, ms", as_ms(percentile(&latencies, 99)), P99_MS_TARGET);
    verdicts.tell("commit max, ms", as_ms(percentile(&latencies, 100)));
    verdicts.tell("of that the generator was late, p99, ms", as_ms(percentile(&late, 99)));
    verdicts.tell("reads/s of the fleet", per_second(sum.reads, observed.wall));
    verdicts.tell("offsets view items/s of the fleet", per_second(sum.view_writes, observed.wall));
    if !observed.cpu.is_zero() {
        let cpu = observed.cpu.as_secs_f64() / (to_f64(count) / 1_000.0);
        verdicts.judge("CPU-s of all gateways per 1000 commits", cpu, CPU_TARGET);
        verdicts.tell("gateways' core busy, %", 100.0 * observed.cpu.as_secs_f64() / observed.wall.as_secs_f64());
    }
    Ok(())
}

async fn commit_by(mut member: Member, schedule: Schedule) -> anyhow::Result<Committed> {
    let mut committed =
        Committed { group: member.group.clone(), latencies: Vec::new(), late: Vec::new(), errors: 0, last: -1 };
    let (mut due, mut offset) = (schedule.first, 0);
    while due < schedule.to {
        // A member that still waits for its last answer is not the generator's fault.
        let is_free = Instant::now() < due;
        sleep_until(due).await;
        if is_free && due >= schedule.from {
            committed.late.push(due.elapsed());
        }
        offset += 1;
        match member.commit(&schedule.topic, 0..schedule.partitions, offset).await? {
            ErrorCode::NONE => committed.last = offset,
            _ => committed.errors += 1,
        }
        if due >= schedule.from {
            committed.latencies.push(due.elapsed());
        }
        due += schedule.period;
    }
    Ok(committed)
}

/// The value that so many percent of a sorted list do not exceed.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(rank).copied().unwrap_or_default()
}

fn as_ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_value_of_its_rank() {
        let sorted: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        assert_eq!(percentile(&sorted, 50), Duration::from_millis(100));
        assert_eq!(percentile(&sorted, 99), Duration::from_millis(198));
        assert_eq!(percentile(&sorted[..1], 99), Duration::from_millis(1));
        assert_eq!(percentile(&[], 99), Duration::ZERO);
    }
}
