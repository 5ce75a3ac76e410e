//! Expiry of committed offsets, by Kafka's rules (`OffsetMetadataManager.cleanupExpiredOffsets`).
//!
//! Promises: an offset is deleted only if the commit that was judged still is its last (its position is the guard), and
//! membership did not change since. Stamps are wall clocks (T3): nothing waits on them.
//! Never: runs on a gateway that serves nobody; holds up anything: it is one task that proposes one command at a time.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sluice_metadata::{CommittedOffset, DeleteOffsets, Group, GroupCommand, GroupOutcome, GroupPhase, Position, State};
use uuid::Uuid;

use super::subscription::{CONSUMER, subscribed_topics};
use crate::cache::SegmentReader;
use crate::engine::EngineParts;
use crate::metrics::Metrics;
use crate::replica::{Patience, Replica};

/// Groups looked at before others get their turn.
const GROUPS_PER_TURN: usize = 256;

/// Runs for ever: looks at all groups every `offsets.retention.check.interval.ms`, give or take a tenth.
pub(crate) async fn expire_offsets(
    parts: Arc<EngineParts>,
    replica: Replica,
    reader: SegmentReader,
    metrics: Arc<Metrics>,
) {
    let interval = Duration::from_millis(parts.settings.offsets_retention_check_interval_ms.max(1));
    loop {
        tokio::time::sleep(interval - interval / 10 + parts.entropy.jitter(interval / 5)).await;
        let is_awake = replica.age() <= parts.limits.fresh_for_heartbeat;
        if is_awake && replica.barrier().await.is_ok() {
            let pass = Pass { parts: &parts, replica: &replica, reader: &reader, metrics: &metrics };
            pass.run().await;
        }
    }
}

struct Pass<'a> {
    parts: &'a EngineParts,
    replica: &'a Replica,
    reader: &'a SegmentReader,
    metrics: &'a Metrics,
}

/// The partitions to delete by topic, each with the position of the commit that expired.
type Expired = BTreeMap<Uuid, Vec<(i32, Option<Position>)>>;

impl Pass<'_> {
    async fn run(&self) {
        let state = self.replica.view();
        let retention = i64::from(self.parts.settings.offsets_retention_minutes).saturating_mul(60_000);
        for (index, group) in state.groups().enumerate() {
            if index % GROUPS_PER_TURN == GROUPS_PER_TURN - 1 {
                tokio::task::yield_now().await;
            }
            self.look_at(&state, group, retention).await;
        }
    }

    async fn look_at(&self, state: &State, group: &Group, retention_ms: i64) {
        let Some(condition) = Condition::of(group) else { return };
        let now_ms = self.parts.clock.wall_ms();
        let judge = |committed: &CommittedOffset| condition.is_expired(committed, now_ms, retention_ms);
        // Kafka deletes groups without members and offsets whenever it looks.
        let is_dead = group.phase == GroupPhase::Empty && group.registered.is_empty() && group.offsets.is_empty();
        if !is_dead && !group.offsets.values().any(judge) {
            return;
        }
        // Only now: members' subscriptions may have to be read.
        let Ok(Some(subscribed)) = subscribed_topics(self.reader, group).await else { return };
        let expired = expired(state, group, &subscribed, judge, self.parts.limits.expired_offsets_max);
        if is_dead || !expired.is_empty() {
            self.delete(group, expired).await;
        }
    }

    async fn delete(&self, group: &Group, expired: Expired) {
        let command = GroupCommand::DeleteOffsets(DeleteOffsets {
            group: group.number,
            last_change: group.last_change,
            topics: expired.into_iter().collect(),
            delete_empty_group: true,
        });
        let deadline = self.parts.clock.now() + self.parts.limits.request_timeout;
        let outcome = match self.replica.propose_group(command, Patience::Now, deadline).await {
            Ok(pending) => pending.outcome().await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(GroupOutcome::OffsetsDeleted { count, group_deleted }) => {
                self.metrics.groups.offsets_expired.inc_by(count);
                tracing::info!(group = %group.id, offsets = count, group_deleted, "committed offsets expired");
            }
            // Something came between: the next pass looks again.
            Ok(_) => {}
            Err(error) => tracing::debug!(group = %group.id, %error, "committed offsets were not expired"),
        }
    }
}

/// Since when an offset is kept.
enum Condition {
    /// Since the group became empty.
    EmptySince(i64),
    /// Since its last commit.
    Committed,
}

impl Condition {
    /// `None`: nothing of the group expires now (a rebalance runs, or its subscriptions mean nothing to us).
    fn of(group: &Group) -> Option<Self> {
        match (group.protocol_type.as_deref(), group.phase) {
            (None, _) => Some(Self::Committed),
            (Some(_), GroupPhase::Empty) => Some(Self::EmptySince(group.phase_began_ms)),
            (Some(CONSUMER), GroupPhase::Stable) => Some(Self::Committed),
            (Some(_), _) => None,
        }
    }

    fn is_expired(&self, committed: &CommittedOffset, now_ms: i64, retention_ms: i64) -> bool {
        if let Some(expires_at_ms) = committed.expires_at_ms {
            return now_ms >= expires_at_ms;
        }
        let since_ms = match self {
            Self::EmptySince(began_ms) => *began_ms,
            Self::Committed => committed.committed_at_ms,
        };
        now_ms.saturating_sub(since_ms) >= retention_ms
    }
}

fn expired(
    state: &State,
    group: &Group,
    subscribed: &BTreeSet<String>,
    judge: impl Fn(&CommittedOffset) -> bool,
    most: usize,
) -> Expired {
    let is_subscribed = |topic: Uuid| state.topic_by_id(topic).is_some_and(|topic| subscribed.contains(&*topic.name));
    let due = group.offsets.iter().filter(|((topic, _), committed)| judge(committed) && !is_subscribed(*topic));
    let mut expired = Expired::new();
    for ((topic, partition), committed) in due.take(most) {
        expired.entry(*topic).or_default().push((*partition, Some(committed.position)));
    }
    expired
}
