//! What is written: flushes of plain and of idempotent batches, topics, producer ids, and nonsense between them.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    BatchProducer, BatchRef, BatchVerdict, Command, CommittedRun, ObjectId, Outcome, Position, SessionId, State,
};

pub(super) const TOPIC: &str = "orders";
pub(super) const PARTITIONS: u32 = 3;
const BATCH_BYTES: u32 = 100;
const PRODUCERS: usize = 3;
const IN_FLIGHT: usize = 5;

/// An idempotent batch and where it lies in its flush.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    pub(super) producer: usize,
    pub(super) index: usize,
    run: usize,
    batch: usize,
}

/// One flush: its commands, and which of its batches belong to idempotent clients.
#[derive(Debug, Clone)]
pub(super) struct Flush {
    pub(super) commands: Vec<Command>,
    pub(super) sent: Vec<Sent>,
}

/// An idempotent client, bound to one partition. Batch `index` has `index % 3 + 1` records, in every attempt.
#[derive(Debug, Default)]
struct Client {
    next_index: usize,
    next_sequence: i32,
    unacknowledged: VecDeque<(usize, BatchRef)>,
    acknowledged: BTreeMap<usize, i64>,
}

#[derive(Debug, Default)]
pub(super) struct Clients {
    clients: [Client; PRODUCERS],
    objects: u64,
}

impl Clients {
    /// The next flush of a gateway that knows `state`.
    pub(super) fn next_flush(&mut self, state: &State, choice: usize) -> Flush {
        self.objects += 1;
        let Some(topic) = state.topic_by_name(TOPIC) else {
            return Flush { commands: vec![self.create_topic()], sent: Vec::new() };
        };
        let mut runs = vec![run(topic.id, choice % 3, 0, vec![plain()])];
        let mut sent = Vec::new();
        let producer = (choice / 3) % PRODUCERS;
        let batches = self.clients[producer].take(producer, choice.is_multiple_of(2));
        for (batch, (index, _)) in batches.iter().enumerate() {
            sent.push(Sent { producer, index: *index, run: 1, batch });
        }
        let batches: Vec<_> = batches.into_iter().map(|(_, batch)| batch).collect();
        runs.push(run(topic.id, producer, u64::from(BATCH_BYTES), batches));
        if choice.is_multiple_of(5) {
            // Refused batches between accepted ones: nothing may come of them (L11).
            let refused = BatchRef { records: 0, ..plain() };
            runs.push(run(topic.id, choice % 3, 900, vec![plain(), refused, plain()]));
            runs.push(run(topic.id, 99, 0, vec![plain()]));
            runs.push(run(topic.id, 0, 99_950, vec![plain()]));
        }
        let object = ObjectId { session: SessionId(Position::ZERO), nonce: self.objects };
        let mut commands = vec![Command::Produce { object, object_bytes: 100_000, runs }];
        if choice.is_multiple_of(7) {
            commands.push(Command::AllocateProducerIds { count: u32::try_from(choice % 50).unwrap() });
            commands.push(self.create_topic());
        }
        Flush { commands, sent }
    }

    /// What the clients hear when a flush took effect. An acknowledged batch has one offset for ever.
    pub(super) fn hear(&mut self, flush: &Flush, outcomes: &[Outcome]) -> Result<(), String> {
        let Some(Outcome::Produced(verdicts)) = outcomes.first() else {
            return Ok(());
        };
        for sent in &flush.sent {
            let base_offset = match verdicts[sent.run][sent.batch] {
                BatchVerdict::Accepted { base_offset } | BatchVerdict::Duplicate { base_offset, .. } => base_offset,
                _ => continue,
            };
            let client = &mut self.clients[sent.producer];
            client.unacknowledged.retain(|(index, _)| *index != sent.index);
            let before = client.acknowledged.insert(sent.index, base_offset);
            if before.is_some_and(|before| before != base_offset) {
                return Err(format!("batch {sent:?} was acknowledged at {before:?} and at {base_offset}"));
            }
        }
        Ok(())
    }

    pub(super) fn acknowledged(&self, producer: usize) -> &BTreeMap<usize, i64> {
        &self.clients[producer].acknowledged
    }

    fn create_topic(&self) -> Command {
        let topic_id = uuid::Uuid::from_u128(u128::from(self.objects));
        let (name, configs) = (TOPIC.to_owned(), Vec::new());
        Command::CreateTopic { topic_id, name, partitions: PARTITIONS, configs, created_at_ms: 0 }
    }
}

impl Client {
    /// A new batch, or again all that are not acknowledged, in order, as clients do after an error.
    fn take(&mut self, producer: usize, fresh: bool) -> Vec<(usize, BatchRef)> {
        if !fresh || self.unacknowledged.len() >= IN_FLIGHT {
            return self.unacknowledged.iter().copied().collect();
        }
        let index = self.next_index;
        let records = records_of(index);
        let id = i64::try_from(producer).unwrap();
        let batch_producer = BatchProducer { id, epoch: 0, base_sequence: self.next_sequence };
        let batch = BatchRef { records, producer: Some(batch_producer), ..plain() };
        self.next_index += 1;
        self.next_sequence += i32::try_from(records).unwrap();
        self.unacknowledged.push_back((index, batch));
        vec![(index, batch)]
    }
}

pub(super) fn records_of(index: usize) -> u32 {
    u32::try_from(index % 3 + 1).unwrap()
}

fn plain() -> BatchRef {
    BatchRef { records: 2, bytes: BATCH_BYTES, producer: None, max_timestamp: 0 }
}

fn run(topic_id: uuid::Uuid, partition: usize, start: u64, batches: Vec<BatchRef>) -> CommittedRun {
    CommittedRun { topic_id, partition: i32::try_from(partition).unwrap(), start, batches }
}
