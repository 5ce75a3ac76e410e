//! Partitions as administrators meet them: adding them, deleting records, their sizes, producers and epochs.
//!
//! Promises: nothing is called unknown, and no offset too high, before a barrier (T5); a change is answered when it is
//! applied. Never: looks at records. Called by the handlers of the APIs that are named at each function.

use std::time::Duration;

use sluice_metadata::{
    Command, DeleteRecordsRun, DeletedRecords, Outcome, Partition, PartitionKey, PartitionsRefusal, Topic,
    is_legal_topic_name,
};
use tokio::time::Instant;

use crate::api::{
    ActiveProducer, DeleteRecordsAsk, EndOfEpoch, EpochAsk, NewPartitions, PartitionName, PartitionSize, TopicRef,
};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};
use crate::produce::{find_topic, partition_key};
use crate::topics::illegal_name;

/// The one leader epoch there is: there are no elections.
const LEADER_EPOCH: i32 = 0;
/// "There is no such epoch" (Kafka's `UNDEFINED_EPOCH` and `UNDEFINED_EPOCH_OFFSET`).
const UNDEFINED: EndOfEpoch = EndOfEpoch { leader_epoch: -1, end_offset: -1 };

impl Engine {
    /// Adds partitions to topics (CreatePartitions), or with `validate_only` says what would become of it; `answers[i]`
    /// answers `topics[i]`.
    pub async fn create_partitions(
        &self,
        topics: Vec<NewPartitions>,
        validate_only: bool,
        timeout: Duration,
    ) -> Vec<EngineResult<()>> {
        if let Err(error) = self.barrier().await {
            return topics.iter().map(|_| Err(error.clone())).collect();
        }
        let deadline = self.deadline_in(timeout);
        self.together(topics.into_iter().map(|topic| self.create_partitions_of(topic, validate_only, deadline))).await
    }

    async fn create_partitions_of(
        &self,
        asked: NewPartitions,
        validate_only: bool,
        deadline: Instant,
    ) -> EngineResult<()> {
        let (topic_id, current) = {
            let view = self.inner.replica.view();
            let topic = view.topic_by_name(&asked.name).ok_or(EngineError::UnknownTopic)?;
            (topic.id, topic.partitions)
        };
        let count = more_partitions(&asked, current)?;
        if validate_only {
            return Ok(());
        }
        let command = Command::CreatePartitions { topic_id, count };
        match self.inner.replica.propose(command, deadline).await? {
            Outcome::PartitionsCreated { .. } => Ok(()),
            Outcome::PartitionsRefused(PartitionsRefusal::UnknownTopic) => Err(EngineError::UnknownTopic),
            Outcome::PartitionsRefused(refusal @ PartitionsRefusal::NotMore { .. }) => {
                Err(EngineError::InvalidPartitions(refusal.to_string()))
            }
            other => Err(EngineError::LimitReached(format!("{other:?}"))),
        }
    }

    /// Moves the log starts of partitions forward (DeleteRecords); `answers[i]` answers `asks[i]` with the log start
    /// offset.
    ///
    /// Errors: `UnknownTopic`, `UnknownPartition`, `OffsetOutOfRange`, `PolicyViolation` where the topic is only compacted,
    /// or what stood in the way.
    pub async fn delete_records(&self, asks: Vec<DeleteRecordsAsk>, timeout: Duration) -> Vec<EngineResult<i64>> {
        if let Err(error) = self.barrier().await {
            return asks.iter().map(|_| Err(error.clone())).collect();
        }
        let deadline = self.deadline_in(timeout);
        let runs: Vec<EngineResult<DeleteRecordsRun>> = {
            let view = self.inner.replica.view();
            asks.iter().map(|ask| self.deletable(&view, ask)).collect()
        };
        let good: Vec<DeleteRecordsRun> = runs.iter().filter_map(|run| run.as_ref().ok()).copied().collect();
        let mut deleted = Vec::with_capacity(good.len());
        for runs in good.chunks(sluice_metadata::limits::RUNS_PER_DELETE_RECORDS) {
            let command = Command::DeleteRecords { runs: runs.to_vec() };
            match self.inner.replica.propose(command, deadline).await {
                Ok(Outcome::RecordsDeleted(outcomes)) => deleted.extend(outcomes.into_iter().map(low_watermark)),
                Ok(other) => deleted.extend(runs.iter().map(|_| Err(EngineError::Unexpected(format!("{other:?}"))))),
                Err(error) => deleted.extend(runs.iter().map(|_| Err(error.clone()))),
            }
        }
        let mut deleted = deleted.into_iter();
        let lost = || Err(EngineError::OutcomeUnknown("the partition was not answered".to_owned()));
        runs.into_iter().map(|run| run.and_then(|_| deleted.next().unwrap_or_else(lost))).collect()
    }

    fn deletable(&self, view: &sluice_metadata::State, ask: &DeleteRecordsAsk) -> EngineResult<DeleteRecordsRun> {
        let key = key_of(view, &ask.at)?;
        let topic = view.topic_by_id(key.topic_id).ok_or(EngineError::UnknownTopic)?;
        if !deletes_records(topic) {
            return Err(EngineError::PolicyViolation(
                "records cannot be deleted from a topic whose cleanup.policy is compact alone".to_owned(),
            ));
        }
        let PartitionKey { topic_id, partition } = key;
        Ok(DeleteRecordsRun { topic_id, partition, before_offset: ask.before_offset })
    }

    /// How many bytes of records partitions hold (DescribeLogDirs): all partitions for `None`; those that are not there
    /// are left out, as in Kafka. Ascending by topic name and partition.
    ///
    /// # Errors
    /// `NotFresh` when State could not be refreshed.
    pub async fn partition_sizes(&self, asked: Option<Vec<PartitionName>>) -> EngineResult<Vec<PartitionSize>> {
        self.barrier().await?;
        let view = self.inner.replica.view();
        let mut named: Vec<PartitionName> = match asked {
            Some(asked) => asked,
            None => view.topics().flat_map(|topic| names_of(&topic.name, topic.partitions)).collect(),
        };
        named.sort_unstable();
        named.dedup();
        let mut sizes = Vec::new();
        for at in named {
            let Ok(key) = key_of(&view, &at) else { continue };
            let Some(partition) = view.partition(&key) else { continue };
            sizes.push(PartitionSize { at, bytes: bytes_of(partition) });
        }
        Ok(sizes)
    }

    /// The producers that partitions remember (DescribeProducers); `answers[i]` answers `asks[i]`, ascending by producer id.
    pub async fn describe_producers(&self, asks: Vec<PartitionName>) -> Vec<EngineResult<Vec<ActiveProducer>>> {
        if let Err(error) = self.barrier().await {
            return asks.iter().map(|_| Err(error.clone())).collect();
        }
        let view = self.inner.replica.view();
        let describe = |at: &PartitionName| {
            if !is_legal_topic_name(&at.topic) {
                return Err(EngineError::InvalidTopicName(illegal_name(&at.topic)));
            }
            let partition = view.partition(&key_of(&view, at)?).ok_or(EngineError::UnknownPartition)?;
            Ok(partition.producers().map(active_producer).collect())
        };
        asks.iter().map(describe).collect()
    }

    /// Where leader epochs ended (OffsetForLeaderEpoch, KIP-320); `answers[i]` answers `asks[i]`.
    pub async fn ends_of_epochs(&self, asks: Vec<EpochAsk>) -> Vec<EngineResult<EndOfEpoch>> {
        if let Err(error) = self.barrier().await {
            return asks.iter().map(|_| Err(error.clone())).collect();
        }
        let view = self.inner.replica.view();
        let find = |ask: &EpochAsk| {
            let partition = view.partition(&key_of(&view, &ask.at)?).ok_or(EngineError::UnknownPartition)?;
            if ask.current_leader_epoch.is_some_and(|epoch| epoch > LEADER_EPOCH) {
                return Err(EngineError::UnknownLeaderEpoch);
            }
            Ok(match ask.leader_epoch {
                LEADER_EPOCH => EndOfEpoch { leader_epoch: LEADER_EPOCH, end_offset: partition.high_watermark() },
                // Later than any there was.
                _ => UNDEFINED,
            })
        };
        asks.iter().map(find).collect()
    }

    fn deadline_in(&self, timeout: Duration) -> Instant {
        self.inner.parts.clock.now() + timeout.min(self.inner.parts.limits.request_timeout)
    }
}

/// How many partitions a topic is to have in all, checked in Kafka's order and refused in its words, which kafka-topics
/// prints (`ReplicationControlManager.createPartitions`).
fn more_partitions(asked: &NewPartitions, current: u32) -> EngineResult<u32> {
    let NewPartitions { name, count, assigned } = asked;
    let wanted = u32::try_from(*count).unwrap_or_default();
    if wanted == current {
        return Err(EngineError::InvalidPartitions(format!("Topic already has {current} partition(s).")));
    }
    if wanted < current {
        return Err(EngineError::InvalidPartitions(format!(
            "The topic {name} currently has {current} partition(s); {count} would not be an increase."
        )));
    }
    let added = wanted - current;
    if let Some(assigned) = assigned.filter(|assigned| u32::try_from(*assigned) != Ok(added)) {
        return Err(EngineError::InvalidReplicaAssignment(format!(
            "{added} partitions are to be added, and replicas are assigned to {assigned}"
        )));
    }
    let most = sluice_metadata::limits::PARTITIONS_PER_TOPIC;
    if wanted > most {
        return Err(EngineError::InvalidPartitions(format!("{count} partitions; a topic has at most {most}")));
    }
    Ok(wanted)
}

fn low_watermark(deleted: DeletedRecords) -> EngineResult<i64> {
    match deleted {
        DeletedRecords::Deleted { log_start_offset } => Ok(log_start_offset),
        DeletedRecords::OutOfRange { .. } => Err(EngineError::OffsetOutOfRange),
        DeletedRecords::UnknownPartition => Err(EngineError::UnknownPartition),
    }
}

fn key_of(view: &sluice_metadata::State, at: &PartitionName) -> EngineResult<PartitionKey> {
    // Found by name first, so that an unknown topic is told from an unknown partition.
    let topic = TopicRef::Name(at.topic.clone());
    find_topic(view, &topic)?;
    partition_key(view, &topic, at.partition)
}

fn names_of(topic: &str, partitions: u32) -> impl Iterator<Item = PartitionName> {
    (0..).zip(0..partitions).map(|(partition, _)| PartitionName { topic: topic.to_owned(), partition })
}

/// Whether `cleanup.policy` lets records be deleted by their place.
fn deletes_records(topic: &Topic) -> bool {
    let policies = topic.configs.get("cleanup.policy");
    policies.is_none_or(|policies| policies.split(',').any(|policy| policy.trim() == "delete"))
}

/// What its readable extents take in segments; batches in part below the log start are counted whole.
fn bytes_of(partition: &Partition) -> u64 {
    let extents = partition.extents_from(partition.log_start_offset());
    extents.fold(0, |sum, extent| sum.saturating_add(u64::from(extent.bytes)))
}

fn active_producer((producer_id, producer): (i64, &sluice_metadata::Producer)) -> ActiveProducer {
    let last = producer.last_batch();
    ActiveProducer {
        producer_id,
        epoch: producer.epoch(),
        last_sequence: last.map_or(-1, |batch| batch.last_sequence),
        last_timestamp: last.map_or(-1, |batch| batch.timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(count: i32, assigned: Option<usize>) -> NewPartitions {
        NewPartitions { name: "t".to_owned(), count, assigned }
    }

    #[test]
    fn partitions_are_only_added() {
        assert_eq!(more_partitions(&ask(4, None), 3).ok(), Some(4));
        for count in [3, 2, 0, -1, i32::MIN] {
            let refused = more_partitions(&ask(count, None), 3);
            assert!(matches!(refused, Err(EngineError::InvalidPartitions(_))), "{count}");
        }
        assert!(matches!(more_partitions(&ask(i32::MAX, None), 3), Err(EngineError::InvalidPartitions(_))));
    }

    #[test]
    fn an_assignment_is_of_the_partitions_that_are_added() {
        assert_eq!(more_partitions(&ask(5, Some(2)), 3).ok(), Some(5));
        for assigned in [0, 1, 3, 5] {
            let refused = more_partitions(&ask(5, Some(assigned)), 3);
            assert!(matches!(refused, Err(EngineError::InvalidReplicaAssignment(_))), "{assigned}");
        }
    }
}
