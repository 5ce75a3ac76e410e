//! OffsetCommit: from the request to the verdict of apply on each partition.
//!
//! Promises: a commit is fenced by member and generation in apply, and never moves an offset back over what came between
//! (T7): it says what State was known when it was read, and is proposed a second time only where that lowers nothing.
//! Commits of one group are enqueued in the order in which they were read here (`commit_order.rs`). What may have happened
//! is never told as what did not (I-11).
//! Never: takes a member over. It counts as activity where the member is watched here, in the phases in which Kafka counts it.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;

use sluice_metadata::{
    CommitException, CommitGroup, CommitOffset, CommitOffsets, CommitRefusal, Committer, GroupCommand, GroupOutcome,
    GroupPhase, PartitionKey, Position, State, limits,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::api::{CommitAsk, CommitOffsetAsk, Origin};
use super::commit_order::Ticket;
use super::judge::{Judged, not_now, unexpected};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};
use crate::produce::partition_key;
use crate::replica::{Patience, PendingGroup};

/// A partition as State names it.
type Key = (Uuid, i32);

/// The offsets to be committed, each partition once.
type Wanted<'a> = BTreeMap<Key, &'a CommitOffsetAsk>;

/// What apply is asked about the group.
#[derive(Debug, Clone)]
struct Claimed {
    group: CommitGroup,
    committer: Committer,
}

/// A commit on its way.
struct Commit<'a> {
    engine: &'a Engine,
    origin: &'a Origin,
    ask: &'a CommitAsk,
    /// What State was known when it was read.
    known: Position,
    deadline: Instant,
}

impl Engine {
    /// Commits offsets; `answers[i]` answers `ask.offsets[i]`.
    ///
    /// Takes the commit's place in the order of its group, and what State was known, when it is called, not when it is
    /// first polled: call it as soon as the request is read. Whatever State learns while the request waits counts as what
    /// came between (T7).
    pub fn commit_offsets(
        &self,
        origin: &Origin,
        ask: CommitAsk,
    ) -> impl Future<Output = Vec<EngineResult<()>>> + Send + use<> {
        let known = self.inner.replica.view().known();
        self.commit_knowing(Some(known), origin, ask)
    }

    /// As [`Engine::commit_offsets`], of the first request of a connection: what State was known is taken at the first
    /// poll, which is to come after a barrier, because the client has seen what it did through other gateways before (T7).
    pub fn commit_first_offsets(
        &self,
        origin: &Origin,
        ask: CommitAsk,
    ) -> impl Future<Output = Vec<EngineResult<()>>> + Send + use<> {
        self.commit_knowing(None, origin, ask)
    }

    fn commit_knowing(
        &self,
        known: Option<Position>,
        origin: &Origin,
        ask: CommitAsk,
    ) -> impl Future<Output = Vec<EngineResult<()>>> + Send + use<> {
        let ticket = self.inner.commits.take(&ask.group_id);
        let (engine, origin) = (self.clone(), origin.clone());
        async move {
            let known = known.unwrap_or_else(|| engine.inner.replica.view().known());
            let deadline = engine.inner.parts.clock.now() + engine.inner.parts.limits.request_timeout;
            let commit = Commit { engine: &engine, origin: &origin, ask: &ask, known, deadline };
            let answers = match ticket {
                Some(ticket) => commit.run(ticket).await,
                None => Err(EngineError::DidNotHappen("too many commits wait".into())),
            };
            answers.unwrap_or_else(|error| ask.offsets.iter().map(|_| Err(error.clone())).collect())
        }
    }
}

impl Commit<'_> {
    async fn run(&self, ticket: Ticket) -> EngineResult<Vec<EngineResult<()>>> {
        self.engine.check_asker(self.origin)?;
        self.check_size()?;
        let keys = self.resolve().await?;
        let mut answers: Vec<EngineResult<()>> = keys.iter().map(|key| key.clone().map(|_| ())).collect();
        if keys.iter().all(Result::is_err) {
            // As Kafka: what no partition is left of is not looked at.
            return Ok(answers);
        }
        // An unknown partition is told as such, whatever becomes of the others: Kafka looks for it first.
        if let Err(error) = self.commit_known(ticket, &keys, &mut answers).await {
            let rest = keys.iter().zip(&mut answers).filter(|(key, _)| key.is_ok());
            rest.for_each(|(_, answer)| *answer = Err(error.clone()));
        }
        Ok(answers)
    }

    /// Commits what is known of `keys`, and writes what becomes of it into `answers`. An error is of all of them.
    async fn commit_known(
        &self,
        ticket: Ticket,
        keys: &[EngineResult<Key>],
        answers: &mut [EngineResult<()>],
    ) -> EngineResult<()> {
        let claimed = self.claim().await?;
        let mut wanted = Wanted::new();
        for ((ask, key), answer) in self.ask.offsets.iter().zip(keys).zip(&mut *answers) {
            match key {
                Ok(_) if self.is_metadata_too_long(ask) => *answer = Err(EngineError::OffsetMetadataTooLarge),
                // Of several for one partition the last counts.
                Ok(key) => drop(wanted.insert(*key, ask)),
                Err(_) => {}
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let verdicts = self.commit(ticket, claimed, &wanted).await?;
        for (key, answer) in keys.iter().zip(answers).filter(|(_, answer)| answer.is_ok()) {
            if let Some(error) = key.as_ref().ok().and_then(|key| verdicts.get(key)) {
                *answer = Err(error.clone());
            }
        }
        Ok(())
    }

    /// What was refused, by partition.
    async fn commit(
        &self,
        ticket: Ticket,
        mut claimed: Claimed,
        wanted: &Wanted<'_>,
    ) -> EngineResult<BTreeMap<Key, EngineError>> {
        if !self.engine.inner.parts.defects.commits_unordered {
            self.wait_for_turn(&ticket).await?;
        }
        if matches!(claimed.group, CommitGroup::New(_)) {
            // One that was read before this one may have made the group.
            claimed = self.claim().await?;
        }
        self.engine.check_asker(self.origin)?;
        let makes_group = matches!(claimed.group, CommitGroup::New(_));
        let pending = self.propose(claimed, self.known, false, wanted).await?;
        // The group that this makes is what the next one has to name.
        let held = makes_group.then_some(ticket);
        let outcome = pending.outcome().await?;
        drop(held);
        match outcome {
            GroupOutcome::Committed(exceptions) => {
                let (overtaken, mut refused) = sort_out(&exceptions, wanted);
                refused.extend(self.commit_again(wanted, overtaken).await?);
                Ok(refused)
            }
            GroupOutcome::Mismatch => self.commit_again(wanted, wanted.keys().copied().collect()).await,
            GroupOutcome::Refused(refusal) => Err(refusal.into()),
            other => Err(unexpected(&other)),
        }
    }

    /// T7: proposes once more, with what State shows now and against everybody, what does not lower a stored offset.
    async fn commit_again(
        &self,
        wanted: &Wanted<'_>,
        overtaken: BTreeSet<Key>,
    ) -> EngineResult<BTreeMap<Key, EngineError>> {
        let late = || not_now("another commit of the partition came between");
        let mut refused: BTreeMap<Key, EngineError> = overtaken.iter().map(|key| (*key, late())).collect();
        if overtaken.is_empty() || self.engine.check_reproposal(self.origin).is_err() {
            return Ok(refused);
        }
        let claimed = self.claim().await?;
        self.engine.check_reproposal(self.origin)?;
        let view = self.engine.inner.replica.view();
        let stored = view.group(&self.ask.group_id).map(|group| &group.offsets);
        let lowers = |key: &Key, ask: &CommitOffsetAsk| {
            stored.and_then(|stored| stored.get(key)).is_some_and(|stored| ask.offset < stored.offset)
        };
        let again: Wanted<'_> = wanted
            .iter()
            .filter(|(key, ask)| overtaken.contains(*key) && !lowers(key, ask))
            .map(|(key, ask)| (*key, *ask))
            .collect();
        let known = view.known();
        drop(view);
        if again.is_empty() {
            return Ok(refused);
        }
        match self.propose(claimed, known, true, &again).await?.outcome().await? {
            GroupOutcome::Committed(exceptions) => {
                let (overtaken, errors) = sort_out(&exceptions, &again);
                refused.retain(|key, _| !again.contains_key(key) || overtaken.contains(key));
                refused.extend(errors);
                Ok(refused)
            }
            GroupOutcome::Refused(refusal) => {
                Ok(again.keys().map(|key| (*key, refusal.into())).chain(refused).collect())
            }
            _ => Ok(refused),
        }
    }

    fn check_size(&self) -> EngineResult<()> {
        let offsets = &self.ask.offsets;
        let bytes = offsets.iter().fold(0usize, |sum, ask| sum.saturating_add(ask.metadata.len()));
        let is_within = offsets.len() <= limits::OFFSETS_PER_COMMIT
            && bytes <= self.engine.inner.parts.limits.commit_bytes_max
            && self.ask.group_id.len() <= limits::GROUP_ID_BYTES;
        if is_within { Ok(()) } else { Err(EngineError::InvalidCommitOffsetSize) }
    }

    /// Kafka counts the characters of a Java string.
    fn is_metadata_too_long(&self, ask: &CommitOffsetAsk) -> bool {
        let most = self.engine.inner.parts.settings.offset_metadata_max_bytes;
        ask.metadata.len() > most && ask.metadata.encode_utf16().count() > most
    }

    /// The partition of each offset; one is called unknown only after a barrier (T5).
    async fn resolve(&self) -> EngineResult<Vec<EngineResult<Key>>> {
        let judge = |view: &State| {
            let key = |ask: &CommitOffsetAsk| {
                let PartitionKey { topic_id, partition } = partition_key(view, &ask.topic, ask.partition)?;
                Ok((topic_id, partition))
            };
            let keys: Vec<EngineResult<Key>> = self.ask.offsets.iter().map(key).collect();
            let is_certain = keys.iter().all(Result::is_ok);
            if is_certain { Judged::Certain(keys) } else { Judged::IfFresh(Ok(keys)) }
        };
        self.engine.decide(Some(self.origin), judge).await
    }

    /// Kafka's validateOffsetCommit on the State at hand; apply judges again. Counts as activity where the member is
    /// watched here.
    async fn claim(&self) -> EngineResult<Claimed> {
        let ask = self.ask;
        let judge = |view: &State| {
            let Some(group) = view.group(&ask.group_id) else { return Judged::IfFresh(claim_of_none(ask)) };
            let claim = &ask.claim;
            let checked = group.check_commit(&claim.member_id, claim.instance_id.as_deref(), claim.generation);
            let committer = match checked {
                Ok(committer) => committer,
                Err(refusal) => return Judged::IfFresh(Err(refusal.into())),
            };
            self.note_activity(group, committer);
            Judged::Certain(Claimed { group: CommitGroup::Known(group.number), committer })
        };
        self.engine.decide(Some(self.origin), judge).await
    }

    fn note_activity(&self, group: &sluice_metadata::Group, committer: Committer) {
        let Committer::Member { member, .. } = committer else { return };
        let counts = matches!(group.phase, GroupPhase::Stable | GroupPhase::PreparingRebalance);
        let watched_by = group.members.get(&member).map(|member| member.watch.session);
        if counts && watched_by.is_some() && watched_by == self.engine.own_session() {
            self.engine.inner.watch.note_activity(group.number, member);
        }
    }

    async fn wait_for_turn(&self, ticket: &Ticket) -> EngineResult<()> {
        let in_time = tokio::time::timeout_at(self.deadline, ticket.turn()).await;
        in_time.map_err(|_| EngineError::DidNotHappen("an earlier commit of the group was not enqueued in time".into()))
    }

    /// Enqueues the commit: when this returns, it is in the log's queue.
    async fn propose(
        &self,
        claimed: Claimed,
        known: Position,
        exclusive: bool,
        wanted: &Wanted<'_>,
    ) -> EngineResult<PendingGroup> {
        let mut topics: Vec<(Uuid, Vec<CommitOffset>)> = Vec::new();
        for ((topic_id, partition), ask) in wanted {
            let offset = CommitOffset {
                partition: *partition,
                offset: ask.offset,
                leader_epoch: ask.leader_epoch,
                metadata: ask.metadata.clone(),
            };
            match topics.last_mut().filter(|(last, _)| last == topic_id) {
                Some((_, offsets)) => offsets.push(offset),
                None => topics.push((*topic_id, vec![offset])),
            }
        }
        let now_ms = self.engine.inner.parts.stamp_ms();
        let expires_at =
            |kept: std::time::Duration| now_ms.saturating_add(i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
        let command = GroupCommand::CommitOffsets(CommitOffsets {
            group: claimed.group,
            committer: claimed.committer,
            known,
            exclusive,
            committed_at_ms: shared_stamp(wanted).unwrap_or(now_ms),
            expires_at_ms: self.ask.retention.map(expires_at),
            topics,
        });
        self.engine.inner.replica.propose_group(command, Patience::Coalesce, self.deadline).await
    }
}

/// A group that is not there: made by who names no generation, else as Kafka tells it by version.
fn claim_of_none(ask: &CommitAsk) -> EngineResult<Claimed> {
    if ask.claim.generation < 0 {
        return Ok(Claimed { group: CommitGroup::New(ask.group_id.clone()), committer: Committer::Simple });
    }
    Err(if ask.tells_unknown_group { EngineError::GroupIdNotFound } else { EngineError::IllegalGeneration })
}

/// The stamp that a request gives to all its offsets (OffsetCommit 1). Where they differ the clock is taken: a command
/// has one stamp.
fn shared_stamp(wanted: &Wanted<'_>) -> Option<i64> {
    let mut stamps = wanted.values().map(|ask| ask.committed_at_ms.filter(|stamp| *stamp >= 0));
    let first = stamps.next().flatten()?;
    stamps.all(|stamp| stamp == Some(first)).then_some(first)
}

/// The exceptions of a commit: which were overtaken, and what is wrong with the others. Apply counts partitions in the
/// order of `wanted`.
fn sort_out(exceptions: &[CommitException], wanted: &Wanted<'_>) -> (BTreeSet<Key>, BTreeMap<Key, EngineError>) {
    let keys: Vec<&Key> = wanted.keys().collect();
    let (mut overtaken, mut refused) = (BTreeSet::new(), BTreeMap::new());
    for exception in exceptions {
        let Some(key) = usize::try_from(exception.index).ok().and_then(|index| keys.get(index)) else { continue };
        match exception.reason {
            CommitRefusal::Overtaken { .. } => drop(overtaken.insert(**key)),
            CommitRefusal::UnknownPartition => drop(refused.insert(**key, EngineError::UnknownPartition)),
            CommitRefusal::LimitReached => {
                refused.insert(**key, EngineError::LimitReached("of committed offsets".into()));
            }
        }
    }
    (overtaken, refused)
}
