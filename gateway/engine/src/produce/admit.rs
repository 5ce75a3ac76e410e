//! Admission: permits, validation, topics; then the wait for the verdict.
//!
//! Promises: records are admitted against a byte budget over all connections, before anything of them is kept; a client
//! hears exactly one answer per partition: the verdict of apply, a refusal, or, when its time is up, "did not happen" if
//! its batch could still be taken back and "unknown" if not (I-11).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sluice_metadata::{BatchVerdict, PartitionKey, State, Topic};
use sluice_records::{ProduceRules, ValidBatch, validate_produce};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::buffer::BufferedBatch;
use crate::api::{ProduceAsk, ProduceCapabilities, Produced, TopicRef};
use crate::engine::{Engine, Inner};
use crate::error::{EngineError, EngineResult};
use crate::replica::{Pending, give_up, waiter};

/// A Produce whose batches are on their way.
#[derive(Debug)]
pub struct PendingProduce {
    inner: Arc<Inner>,
    slots: Vec<Slot>,
    deadline: Instant,
}

#[derive(Debug)]
enum Slot {
    Answered(EngineResult<Produced>),
    Waiting { key: PartitionKey, pending: Pending<EngineResult<BatchVerdict>> },
}

impl Engine {
    /// Admits a Produce: waits for room, checks the batches, makes topics where that is allowed, and queues what is good.
    /// `timeout` is the client's; the last 2 s of it (at most half) are left for the answer's way back.
    pub async fn submit_produce(
        &self,
        asks: Vec<ProduceAsk>,
        capabilities: ProduceCapabilities,
        timeout: Duration,
    ) -> PendingProduce {
        let inner = self.inner.clone();
        let deadline = inner.parts.clock.now() + answer_within(timeout);
        let Some(permit) = inner.admit(&asks, deadline).await else {
            let error = EngineError::DidNotHappen("no room for more records in time".into());
            return PendingProduce::refused(inner, asks.len(), &error, deadline);
        };
        if inner.stopping.load(Ordering::Acquire) {
            let error = EngineError::DidNotHappen("the gateway is stopping".into());
            return PendingProduce::refused(inner, asks.len(), &error, deadline);
        }
        let permit = Arc::new(permit);
        let keys = self.resolve_for_produce(&asks, deadline).await;
        let view = inner.replica.view();
        let mut slots = Vec::with_capacity(asks.len());
        let mut batches = Vec::with_capacity(asks.len());
        for (ask, key) in asks.into_iter().zip(keys) {
            let checked = key.and_then(|key| Ok((key, inner.validate(&view, key, &ask, capabilities)?)));
            slots.push(match checked {
                Ok((key, batch)) => {
                    inner.metrics.produce_batches.inc();
                    inner.metrics.produce_bytes.inc_by(batch.byte_len() as u64);
                    let (waiter, pending) = waiter();
                    batches.push(BufferedBatch { key, batch, waiter, permit: permit.clone() });
                    Slot::Waiting { key, pending }
                }
                Err(error) => Slot::Answered(Err(error)),
            });
        }
        if !batches.is_empty() {
            inner.buffer.add(batches, deadline).await;
        }
        PendingProduce { inner, slots, deadline }
    }

    /// The partition of each ask, topics made where that is allowed. An absence is judged after a barrier (T5).
    async fn resolve_for_produce(&self, asks: &[ProduceAsk], deadline: Instant) -> Vec<EngineResult<PartitionKey>> {
        let view = self.inner.replica.view();
        let keys: Vec<_> = asks.iter().map(|ask| partition_key(&view, &ask.topic, ask.partition)).collect();
        if keys.iter().all(Result::is_ok) {
            return keys;
        }
        // A barrier has a time of its own, which may be longer than what this client has left.
        let in_time = tokio::time::timeout_at(deadline, self.barrier()).await;
        if let Err(error) = in_time.unwrap_or_else(|_| Err(EngineError::NotFresh("no answer in time".into()))) {
            let refused = EngineError::DidNotHappen(error.to_string());
            return keys.into_iter().map(|key| key.map_err(|_| refused.clone())).collect();
        }
        if self.inner.parts.settings.auto_create_topics {
            self.create_missing(asks, deadline).await;
        }
        let view = self.inner.replica.view();
        asks.iter().map(|ask| partition_key(&view, &ask.topic, ask.partition)).collect()
    }

    /// Makes the topics that are asked for by name and are not there. Failures show as unknown topics afterwards.
    async fn create_missing(&self, asks: &[ProduceAsk], deadline: Instant) {
        let view = self.inner.replica.view();
        let mut names: Vec<&str> = asks
            .iter()
            .filter_map(|ask| match &ask.topic {
                TopicRef::Name(name) if view.topic_by_name(name).is_none() => Some(name.as_str()),
                _ => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            if let Err(error) = self.auto_create(name, deadline).await {
                tracing::debug!(topic = name, %error, "a topic could not be created for a produce");
            }
        }
    }
}

impl Inner {
    /// A permit for the bytes of all asks; `None` when there is no room in time.
    async fn admit(&self, asks: &[ProduceAsk], deadline: Instant) -> Option<OwnedSemaphorePermit> {
        let bytes: usize = asks.iter().filter_map(|ask| ask.records.as_ref()).map(bytes::Bytes::len).sum();
        // A request larger than the whole budget takes all of it.
        let permits = u32::try_from(bytes.min(self.parts.limits.produce_bytes_max)).ok()?;
        let semaphore = self.produce_permits.clone();
        if let Ok(permit) = semaphore.clone().try_acquire_many_owned(permits) {
            return Some(permit);
        }
        tokio::time::timeout_at(deadline, semaphore.acquire_many_owned(permits)).await.ok()?.ok()
    }

    fn validate(
        &self,
        view: &State,
        key: PartitionKey,
        ask: &ProduceAsk,
        capabilities: ProduceCapabilities,
    ) -> EngineResult<ValidBatch> {
        let max = view
            .topic_by_id(key.topic_id)
            .map_or(self.parts.limits.message_bytes_max, |topic| self.topic_settings(view, topic).max_message_bytes);
        let rules = ProduceRules { max_batch_bytes: max, allow_zstd: capabilities.zstd, exactly_one: true };
        let records = ask.records.as_ref().filter(|records| !records.is_empty());
        let records = records.ok_or_else(|| EngineError::InvalidRequest("the partition has no records".into()))?;
        let batch = validate_produce(records, &rules)?;
        if batch.header.is_transactional() {
            return Err(EngineError::TransactionsUnsupported);
        }
        Ok(batch)
    }
}

/// The partition that a request names.
pub(crate) fn partition_key(view: &State, topic: &TopicRef, partition: i32) -> EngineResult<PartitionKey> {
    let topic = find_topic(view, topic)?;
    let in_range = u32::try_from(partition).is_ok_and(|index| index < topic.partitions);
    in_range.then_some(PartitionKey { topic_id: topic.id, partition }).ok_or(EngineError::UnknownPartition)
}

/// The topic that a request names.
pub(crate) fn find_topic<'a>(view: &'a State, topic: &TopicRef) -> EngineResult<&'a Arc<Topic>> {
    match topic {
        TopicRef::Name(name) => view.topic_by_name(name).ok_or(EngineError::UnknownTopic),
        TopicRef::Id(id) => view.topic_by_id(*id).ok_or(EngineError::UnknownTopicId),
    }
}

/// How much of the client's time the gateway takes (design section 5): all but min(2 s, half).
fn answer_within(timeout: Duration) -> Duration {
    timeout - (timeout / 2).min(Duration::from_secs(2))
}

impl PendingProduce {
    fn refused(inner: Arc<Inner>, count: usize, error: &EngineError, deadline: Instant) -> Self {
        let slots = (0..count).map(|_| Slot::Answered(Err(error.clone()))).collect();
        Self { inner, slots, deadline }
    }

    /// The answers: `answers[i]` answers `asks[i]`.
    pub async fn wait(self) -> Vec<EngineResult<Produced>> {
        let time_is_up = tokio::time::sleep_until(self.deadline);
        tokio::pin!(time_is_up);
        let mut answers = Vec::with_capacity(self.slots.len());
        for slot in self.slots {
            answers.push(match slot {
                Slot::Answered(answer) => answer,
                Slot::Waiting { key, mut pending } => {
                    let verdict = tokio::select! {
                        biased;
                        verdict = &mut pending.reply => verdict.unwrap_or_else(|_| Err(lost())),
                        () = &mut time_is_up => Err(give_up(&pending)),
                    };
                    verdict.and_then(|verdict| produced(&self.inner.replica.view(), key, verdict))
                }
            });
        }
        answers
    }
}

/// The gateway went away between taking the batch and telling of it.
fn lost() -> EngineError {
    EngineError::OutcomeUnknown("the gateway stopped".into())
}

/// What a verdict of apply means to the client.
fn produced(view: &State, key: PartitionKey, verdict: BatchVerdict) -> EngineResult<Produced> {
    let log_start_offset = view.partition(&key).map_or(0, |partition| partition.log_start_offset());
    match verdict {
        BatchVerdict::Accepted { base_offset } | BatchVerdict::Duplicate { base_offset, .. } => {
            Ok(Produced { base_offset, log_start_offset })
        }
        BatchVerdict::OutOfOrderSequence { expected } => Err(EngineError::OutOfOrderSequence { expected }),
        BatchVerdict::StaleEpoch => Err(EngineError::StaleProducerEpoch),
        BatchVerdict::UnknownPartition => Err(EngineError::UnknownPartition),
        BatchVerdict::Invalid(reason) => Err(EngineError::InvalidRequest(format!("{reason:?}"))),
        BatchVerdict::LimitReached => Err(EngineError::LimitReached("of the partition".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_leaves_in_time() {
        let ms = Duration::from_millis;
        assert_eq!(answer_within(ms(30_000)), ms(28_000));
        assert_eq!(answer_within(ms(1_000)), ms(500));
        assert_eq!(answer_within(ms(0)), ms(0));
    }
}
