//! Admission: permits, validation, topics; then the wait for the verdict.
//!
//! Promises: records are admitted against a byte budget over all connections, before anything of them is kept; a client
//! hears exactly one answer per partition: the verdict of apply, a refusal, or, when its time is up, "did not happen" if
//! its batch could still be taken back and "unknown" if not (I-11).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sluice_metadata::{BatchVerdict, PartitionKey, State, Topic};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::batch::Admitted;
use super::buffer::BufferedBatch;
use crate::api::{ProduceAnswer, ProduceAsk, ProduceCapabilities, Produced, TopicRef};
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
    Answered(ProduceAnswer),
    Waiting { key: PartitionKey, log_append_time_ms: Option<i64>, pending: Pending<EngineResult<BatchVerdict>> },
}

/// No offset of a log that was not asked.
const NO_OFFSET: i64 = -1;
/// The producer's timestamps were kept.
const NO_TIMESTAMP: i64 = -1;

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
        let Some(mut permit) = inner.admit(&asks, deadline).await else {
            let error = EngineError::DidNotHappen("no room for more records in time".into());
            return PendingProduce::refused(inner, asks.len(), &error, deadline);
        };
        if inner.stopping.load(Ordering::Acquire) {
            let error = EngineError::DidNotHappen("the gateway is stopping".into());
            return PendingProduce::refused(inner, asks.len(), &error, deadline);
        }
        let keys = self.resolve_for_produce(&asks, deadline).await;
        let mut admitted = Vec::with_capacity(asks.len());
        for (ask, key) in asks.into_iter().zip(keys) {
            let one = inner.admit_ask(key, &ask, capabilities).await;
            // At once: a request may hold many batches that grow a thousandfold.
            admitted.push(one.and_then(|(key, one)| inner.extend(&mut permit, one.growth()).map(|()| (key, one))));
        }
        inner.queue(admitted, permit, deadline).await
    }

    /// What is wrong with naming each of these partitions, without making any. An absence is judged after a barrier (T5).
    pub async fn check_partitions(&self, asks: &[ProduceAsk], timeout: Duration) -> Vec<EngineResult<()>> {
        let deadline = self.inner.parts.clock.now() + answer_within(timeout);
        let keys = self.look_up(asks, deadline).await;
        keys.into_iter().map(|key| key.map(|_| ())).collect()
    }

    /// The partition of each ask, topics made where that is allowed.
    async fn resolve_for_produce(&self, asks: &[ProduceAsk], deadline: Instant) -> Vec<EngineResult<PartitionKey>> {
        let keys = self.look_up(asks, deadline).await;
        let is_absent = |key: &EngineResult<_>| matches!(key, Err(EngineError::UnknownTopic));
        if !self.inner.parts.settings.auto_create_topics || !keys.iter().any(is_absent) {
            return keys;
        }
        self.create_missing(asks, deadline).await;
        let view = self.inner.replica.view();
        asks.iter().map(|ask| writable_key(&view, ask)).collect()
    }

    /// The partition of each ask. An absence is judged after a barrier (T5).
    async fn look_up(&self, asks: &[ProduceAsk], deadline: Instant) -> Vec<EngineResult<PartitionKey>> {
        let view = self.inner.replica.view();
        let keys: Vec<_> = asks.iter().map(|ask| writable_key(&view, ask)).collect();
        if keys.iter().all(Result::is_ok) {
            return keys;
        }
        // A barrier has a time of its own, which may be longer than what this client has left.
        let in_time = tokio::time::timeout_at(deadline, self.barrier()).await;
        if let Err(error) = in_time.unwrap_or_else(|_| Err(EngineError::NotFresh("no answer in time".into()))) {
            let refused = EngineError::DidNotHappen(error.to_string());
            return keys.into_iter().map(|key| key.map_err(|_| refused.clone())).collect();
        }
        let view = self.inner.replica.view();
        asks.iter().map(|ask| writable_key(&view, ask)).collect()
    }

    /// Makes the topics that are asked for by name and are not there. Failures show as unknown topics afterwards.
    async fn create_missing(&self, asks: &[ProduceAsk], deadline: Instant) {
        let names: BTreeSet<String> = {
            let view = self.inner.replica.view();
            let missing = |name: &str| view.topic_by_name(name).is_none() && !is_kafkas_own(name);
            let named = asks.iter().filter_map(|ask| match &ask.topic {
                TopicRef::Name(name) if missing(name) => Some(name.clone()),
                _ => None,
            });
            named.collect()
        };
        let create = |name: String| async move {
            if let Err(error) = self.auto_create(&name, deadline).await {
                tracing::debug!(topic = name, %error, "a topic could not be created for a produce");
            }
        };
        self.together(names.into_iter().map(create)).await;
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

    /// Takes the records of one partition. Other tasks get their turn in between: a topic may want them decompressed.
    async fn admit_ask(
        &self,
        key: EngineResult<PartitionKey>,
        ask: &ProduceAsk,
        capabilities: ProduceCapabilities,
    ) -> Result<(PartitionKey, Admitted), ProduceAnswer> {
        let key = key.map_err(ProduceAnswer::not_of_log)?;
        let outcome = {
            let view = self.replica.view();
            let topic = view.topic_by_id(key.topic_id).ok_or(EngineError::UnknownTopic);
            topic.and_then(|topic| self.admit_records(&view, topic, ask.records.as_ref(), capabilities))
        };
        if outcome.as_ref().is_ok_and(|admitted| admitted.was_opened) {
            tokio::task::yield_now().await;
        }
        outcome.map(|admitted| (key, admitted)).map_err(|error| match &error {
            EngineError::Batch(batch) if batch.is_of_log() => {
                let log_start_offset = log_start_offset(&self.replica.view(), key);
                ProduceAnswer { outcome: Err(error), log_start_offset }
            }
            _ => ProduceAnswer::not_of_log(error),
        })
    }

    /// Adds room to a permit for a batch that became larger than it was sent. Refused when there is none now: waiting for it
    /// while others wait for what this request holds might take for ever.
    fn extend(&self, permit: &mut OwnedSemaphorePermit, growth: usize) -> Result<(), ProduceAnswer> {
        if growth == 0 {
            return Ok(());
        }
        let extra = u32::try_from(growth).ok();
        let extra = extra.and_then(|extra| self.produce_permits.clone().try_acquire_many_owned(extra).ok());
        let no_room = || EngineError::DidNotHappen("no room for records that grew".into());
        permit.merge(extra.ok_or_else(|| ProduceAnswer::not_of_log(no_room()))?);
        Ok(())
    }

    /// Queues what was admitted.
    async fn queue(
        self: Arc<Self>,
        admitted: Vec<Result<(PartitionKey, Admitted), ProduceAnswer>>,
        permit: OwnedSemaphorePermit,
        deadline: Instant,
    ) -> PendingProduce {
        let permit = Arc::new(permit);
        let mut slots = Vec::with_capacity(admitted.len());
        let mut batches = Vec::with_capacity(admitted.len());
        for admitted in admitted {
            let (key, Admitted { batch, log_append_time_ms, .. }) = match admitted {
                Ok(admitted) => admitted,
                Err(answer) => {
                    slots.push(Slot::Answered(answer));
                    continue;
                }
            };
            self.metrics.produce_batches.inc();
            self.metrics.produce_bytes.inc_by(batch.byte_len() as u64);
            let (waiter, pending) = waiter();
            batches.push(BufferedBatch { key, batch, waiter, permit: permit.clone() });
            slots.push(Slot::Waiting { key, log_append_time_ms, pending });
        }
        if !batches.is_empty() {
            self.buffer.add(batches, deadline).await;
        }
        PendingProduce { inner: self, slots, deadline }
    }
}

impl ProduceAnswer {
    fn not_of_log(error: EngineError) -> Self {
        Self { outcome: Err(error), log_start_offset: NO_OFFSET }
    }
}

/// Whether Kafka keeps its own records in a topic of this name: clients must not write there.
fn is_kafkas_own(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

/// The partition that a Produce names. Names are looked at first: such a topic need not be there to be refused.
fn writable_key(view: &State, ask: &ProduceAsk) -> EngineResult<PartitionKey> {
    let found = find_topic(view, &ask.topic);
    let name = match (&ask.topic, &found) {
        (TopicRef::Name(name), _) => name,
        (TopicRef::Id(_), Ok(topic)) => &*topic.name,
        (TopicRef::Id(_), Err(_)) => "",
    };
    if is_kafkas_own(name) {
        return Err(EngineError::InvalidTopicName(format!("{name} is Kafka's own and takes no records of clients")));
    }
    partition_of(found?, ask.partition)
}

/// The partition that a request names.
pub(crate) fn partition_key(view: &State, topic: &TopicRef, partition: i32) -> EngineResult<PartitionKey> {
    partition_of(find_topic(view, topic)?, partition)
}

fn partition_of(topic: &Topic, partition: i32) -> EngineResult<PartitionKey> {
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
        let slots = (0..count).map(|_| Slot::Answered(ProduceAnswer::not_of_log(error.clone()))).collect();
        Self { inner, slots, deadline }
    }

    /// The answers: `answers[i]` answers `asks[i]`.
    pub async fn wait(self) -> Vec<ProduceAnswer> {
        let time_is_up = tokio::time::sleep_until(self.deadline);
        tokio::pin!(time_is_up);
        let mut answers = Vec::with_capacity(self.slots.len());
        for slot in self.slots {
            answers.push(match slot {
                Slot::Answered(answer) => answer,
                Slot::Waiting { key, log_append_time_ms, mut pending } => {
                    let verdict = tokio::select! {
                        biased;
                        verdict = &mut pending.reply => verdict.unwrap_or_else(|_| Err(lost())),
                        () = &mut time_is_up => Err(give_up(&pending)),
                    };
                    match verdict {
                        Ok(verdict) => answer(&self.inner.replica.view(), key, verdict, log_append_time_ms),
                        Err(error) => ProduceAnswer::not_of_log(error),
                    }
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

fn log_start_offset(view: &State, key: PartitionKey) -> i64 {
    view.partition(&key).map_or(NO_OFFSET, |partition| partition.log_start_offset())
}

/// What a verdict of apply means to the client.
fn answer(view: &State, key: PartitionKey, verdict: BatchVerdict, log_append_time_ms: Option<i64>) -> ProduceAnswer {
    let refused = |error| ProduceAnswer::not_of_log(error);
    let told = |outcome| ProduceAnswer { outcome, log_start_offset: log_start_offset(view, key) };
    let done = |base_offset, log_append_time_ms| told(Ok(Produced { base_offset, log_append_time_ms }));
    match verdict {
        BatchVerdict::Accepted { base_offset } => done(base_offset, log_append_time_ms.unwrap_or(NO_TIMESTAMP)),
        // As in Kafka, also where the topic has the producers' timestamps.
        BatchVerdict::Duplicate { base_offset, timestamp } => done(base_offset, timestamp),
        BatchVerdict::OutOfOrderSequence { expected } => told(Err(EngineError::OutOfOrderSequence { expected })),
        BatchVerdict::StaleEpoch => told(Err(EngineError::StaleProducerEpoch)),
        BatchVerdict::UnknownPartition => refused(EngineError::UnknownPartition),
        BatchVerdict::Invalid(reason) => refused(EngineError::InvalidRequest(format!("{reason:?}"))),
        BatchVerdict::LimitReached => refused(EngineError::LimitReached("of the partition".into())),
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
