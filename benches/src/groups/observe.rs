//! What gateways did while something went on.

use std::time::Duration;

use tokio::time::Instant;

use super::counters::Counts;
use super::fleet::Fleet;
use super::verdict::per_second;

/// A stretch of time, gateway by gateway.
#[derive(Debug, Clone)]
pub(crate) struct Observed {
    pub(crate) wall: Duration,
    /// CPU time of all gateways.
    pub(crate) cpu: Duration,
    by_gateway: Vec<Counts>,
}

impl Observed {
    /// Counters of all gateways.
    pub(crate) fn sum(&self) -> Counts {
        self.by_gateway.iter().copied().sum()
    }

    /// The largest of a number per second, over the gateways.
    pub(crate) fn most_per_second(&self, number: impl Fn(&Counts) -> u64) -> f64 {
        per_second(self.by_gateway.iter().map(number).max().unwrap_or_default(), self.wall)
    }
}

/// Runs `work`; counters are read around the time that is measured, not in it.
pub(crate) async fn observe<T>(
    fleet: &Fleet,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(Observed, T)> {
    let before = fleet.counts().await?;
    let (cpu, start) = (fleet.cpu()?, Instant::now());
    let result = work.await?;
    let (cpu, wall) = (fleet.cpu()?.saturating_sub(cpu), start.elapsed());
    let after = fleet.counts().await?;
    let by_gateway = after.into_iter().zip(before).map(|(after, before)| after.since(before)).collect();
    Ok((Observed { wall, cpu, by_gateway }, result))
}
