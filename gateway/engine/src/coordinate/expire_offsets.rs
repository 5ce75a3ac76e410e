//! Expiry of committed offsets, by Kafka's rules (`OffsetMetadataManager.cleanupExpiredOffsets`).
//!
//! Promises: an offset is deleted only if the commit that was judged still is its last (its position is the guard), and
//! membership did not change since. Stamps are judged only by a wall clock that agrees with the store's (T3).
//! Never: runs on a gateway that serves nobody; holds up anything: it is one task that proposes one command at a time; asks
//! the store anything before an offset seems to be due.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use sluice_metadata::{CommittedOffset, DeleteOffsets, Group, GroupCommand, GroupOutcome, GroupPhase, Position, State};
use sluice_store::ObjectKey;
use tokio::sync::OnceCell;
use uuid::Uuid;

use super::subscription::{CONSUMER, subscribed_topics};
use crate::cache::SegmentReader;
use crate::engine::EngineParts;
use crate::metrics::Metrics;
use crate::replica::{Patience, Replica};

/// The object that is asked for when only the date of the answer matters. Nobody writes it.
const DATED_KEY: &str = "clock";
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
            let now_ms = OnceCell::new();
            let pass = Pass { parts: &parts, replica: &replica, reader: &reader, metrics: &metrics, now_ms };
            pass.run().await;
        }
    }
}

struct Pass<'a> {
    parts: &'a EngineParts,
    replica: &'a Replica,
    reader: &'a SegmentReader,
    metrics: &'a Metrics,
    /// The time that the pass judges by, once it was asked for; `None`: there is none to judge by.
    now_ms: OnceCell<Option<i64>>,
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
        // Kafka deletes groups without members and offsets whenever it looks.
        let is_dead = group.phase == GroupPhase::Empty && group.registered.is_empty() && group.offsets.is_empty();
        let local_ms = self.parts.clock.wall_ms();
        let is_due = group.offsets.values().any(|committed| condition.is_expired(committed, local_ms, retention_ms));
        if !is_dead && !is_due {
            return;
        }
        let now_ms = if is_dead { Some(local_ms) } else { self.now_ms().await };
        let Some(now_ms) = now_ms else { return };
        let judge = |committed: &CommittedOffset| condition.is_expired(committed, now_ms, retention_ms);
        // Only now: members' subscriptions may have to be read.
        let Ok(Some(subscribed)) = subscribed_topics(self.reader, group).await else { return };
        let expired = expired(state, group, &subscribed, judge, self.parts.limits.expired_offsets_max);
        if is_dead || !expired.is_empty() {
            self.delete(group, expired).await;
        }
    }

    /// The wall clock, if it agrees with the store's (T3). Asked for once in a pass: an earlier time expires less.
    async fn now_ms(&self) -> Option<i64> {
        let agreed_ms = || self.parts.objects.clock().agreed_ms(&*self.parts.clock);
        let ask = async || {
            if let Some(now_ms) = agreed_ms() {
                return Some(now_ms);
            }
            if let Ok(key) = ObjectKey::new(DATED_KEY) {
                // Whatever the answer is, it has a date; that of a failure is judged like any.
                let _ = self.parts.objects.head(&key).await;
            }
            let now_ms = agreed_ms();
            if now_ms.is_none() {
                let clock = self.parts.objects.clock();
                tracing::warn!(store = ?clock, "no offsets expire: this machine's clock does not agree with the store's");
            }
            now_ms
        };
        *self.now_ms.get_or_init(ask).await
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
