//! What groups count, and their lag.
//!
//! Promises: no label has an unbounded number of values; lag is computed from State when it is asked for, without a request
//! to a store, over a bounded number of offsets.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use sluice_metadata::{
    Applied, Command, Entry, Group, GroupCommand, GroupOutcome, GroupPhase, Outcome, PartitionKey, State,
};

use crate::replica::Shared;

/// Which kind of command or proposal.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct KindLabel {
    kind: &'static str,
}

/// Counters of groups.
#[derive(Debug, Default)]
pub(crate) struct GroupMetrics {
    /// Commands of this gateway that were applied.
    commands: Family<KindLabel, Counter>,
    /// Commands that timers of this gateway proposed.
    proposals: Family<KindLabel, Counter>,
    members_expired: Counter,
    rebalances: Counter,
    commits: Counter,
    commit_entries: Counter,
    /// Slices written to the offsets view.
    pub(crate) view_writes: Counter,
    /// Writes to the offsets view that failed, and are repeated.
    pub(crate) view_failures: Counter,
    /// Slices that the offsets view will show only with their next commit.
    pub(crate) view_omitted: Counter,
    /// Committed offsets that expired on the proposal of this gateway.
    pub(crate) offsets_expired: Counter,
}

impl GroupMetrics {
    /// Registers everything.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let families = [
            ("sluice_group_commands", "Commands of groups that this gateway had applied", &self.commands),
            ("sluice_group_proposals", "Commands that this gateway's timers proposed", &self.proposals),
        ];
        for (name, help, family) in families {
            registry.register(name, help, family.clone());
        }
        let counters = [
            ("sluice_group_members_expired", "Members that this gateway expired", &self.members_expired),
            ("sluice_group_rebalances", "Generations that an entry of this gateway began", &self.rebalances),
            ("sluice_offset_commits", "OffsetCommits of this gateway that were applied", &self.commits),
            ("sluice_offset_commit_entries", "Log entries that carried them", &self.commit_entries),
            ("sluice_offsets_view_writes", "Items written to the offsets view", &self.view_writes),
            ("sluice_offsets_view_failures", "Writes to the offsets view that failed", &self.view_failures),
            ("sluice_offsets_view_omitted", "Items left for their next commit", &self.view_omitted),
            ("sluice_offsets_expired", "Committed offsets that this gateway expired", &self.offsets_expired),
        ];
        for (name, help, counter) in counters {
            registry.register(name, help, counter.clone());
        }
    }

    /// Counts what an entry of this gateway did.
    pub(crate) fn count_own(&self, state: &State, entry: &Entry, applied: &Applied) {
        let mut commits = 0;
        for (command, outcome) in entry.commands.iter().zip(&applied.outcomes) {
            let Command::Group(command) = command else { continue };
            self.commands.get_or_create(&KindLabel { kind: kind(command) }).inc();
            match outcome {
                Outcome::Group(GroupOutcome::MemberExpired) => drop(self.members_expired.inc()),
                Outcome::Group(GroupOutcome::Committed(_)) => commits += 1,
                _ => {}
            }
        }
        self.commits.inc_by(commits);
        self.commit_entries.inc_by(commits.min(1));
        let began = |group: &&Arc<Group>| {
            group.phase == GroupPhase::CompletingRebalance && group.phase_began == applied.position
        };
        let began = applied.groups.iter().filter_map(|number| state.group_by_number(*number)).filter(began).count();
        self.rebalances.inc_by(u64::try_from(began).unwrap_or(0));
    }

    /// Counts a proposal of the watch.
    pub(crate) fn count_proposal(&self, command: &Command) {
        let kind = match command {
            Command::Group(command) => kind(command),
            Command::CloseSession { .. } => "close_session",
            _ => "other",
        };
        self.proposals.get_or_create(&KindLabel { kind }).inc();
    }
}

fn kind(command: &GroupCommand) -> &'static str {
    match command {
        GroupCommand::Join(_) => "join",
        GroupCommand::Sync(_) => "sync",
        GroupCommand::TakeOver(_) => "take_over",
        GroupCommand::Leave(_) => "leave",
        GroupCommand::ExpireMember(_) => "expire_member",
        GroupCommand::CompletePhase(_) => "complete_phase",
        GroupCommand::CommitOffsets(_) => "commit_offsets",
        GroupCommand::DeleteOffsets(_) => "delete_offsets",
        GroupCommand::DeleteGroup(_) => "delete_group",
    }
}

/// The lag of groups as `/metrics` shows it: by group and topic, the greatest and the sum over the partitions.
pub(crate) struct GroupLag {
    pub(crate) replica: Arc<Shared>,
    /// Most pairs of group and topic shown, in the order of their names.
    pub(crate) series_max: usize,
    /// Most committed offsets looked at.
    pub(crate) offsets_max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LagLabel {
    group: String,
    topic: String,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Lag {
    max: i64,
    sum: i64,
}

/// A name, its meaning, and which part of a lag it shows.
type Shown = (&'static str, &'static str, fn(Lag) -> i64);

/// Longest group id that is shown as a label: Kafka allows 32,767 bytes.
const LABEL_BYTES_MAX: usize = 256;

/// By group and topic; and whether there is more.
type Lags = (BTreeMap<(Arc<str>, Arc<str>), Lag>, bool);

impl GroupLag {
    fn compute(&self, state: &State) -> Lags {
        let (mut lags, mut is_truncated) = (BTreeMap::<_, Lag>::new(), false);
        let mut looked_at: usize = 0;
        for group in state.groups() {
            if group.id.len() > LABEL_BYTES_MAX {
                is_truncated = true;
                continue;
            }
            // In the order of topics: each is looked for once.
            let mut topic = None;
            for ((topic_id, partition), committed) in &group.offsets {
                looked_at += 1;
                if topic.as_ref().is_none_or(|(id, _)| id != topic_id) {
                    let Some(found) = state.topic_by_id(*topic_id) else { continue };
                    topic = Some((*topic_id, (group.id.clone(), found.name.clone())));
                    if lags.len() >= self.series_max {
                        return (lags, true);
                    }
                }
                if looked_at > self.offsets_max {
                    return (lags, true);
                }
                let Some((_, series)) = &topic else { continue };
                let key = PartitionKey { topic_id: *topic_id, partition: *partition };
                let end = state.partition(&key).map_or(0, |partition| partition.high_watermark());
                let lag = end.saturating_sub(committed.offset).max(0);
                let shown = lags.entry(series.clone()).or_default();
                *shown = Lag { max: shown.max.max(lag), sum: shown.sum.saturating_add(lag) };
            }
        }
        (lags, is_truncated)
    }
}

impl Collector for GroupLag {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (lags, is_truncated) = self.compute(&self.replica.view.load_full());
        let shown: [Shown; 2] = [
            ("sluice_group_lag_max", "Records behind the end, the partition of the topic that is farthest", |lag| {
                lag.max
            }),
            ("sluice_group_lag", "Records behind the end, over all partitions of the topic", |lag| lag.sum),
        ];
        for (name, help, value) in shown {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for ((group, topic), lag) in &lags {
                let label = LagLabel { group: group.to_string(), topic: topic.to_string() };
                ConstGauge::new(value(*lag)).encode(family.encode_family(&label)?)?;
            }
        }
        let truncated = Gauge::<i64, AtomicI64>::default();
        truncated.set(i64::from(is_truncated));
        let help = "1 when there are more groups and topics with a lag than are shown";
        let own = encoder.encode_descriptor("sluice_group_lag_truncated", help, None, MetricType::Gauge)?;
        truncated.encode(own)
    }
}

impl fmt::Debug for GroupLag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupLag").finish_non_exhaustive()
    }
}
