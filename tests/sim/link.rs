//! A producer's connection: Produce requests in flight and their answers.
//!
//! Promises: whatever becomes of a sending is written into the ledger, once; an answer that is late is a violation.
//! Called by the producers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use sluice_protocol::messages::ProduceRequest;
use sluice_protocol::messages::produce::PartitionProduceResponse;
use sluice_protocol::{ErrorCode, KString, Uuid};
use sluice_runtime::Entropy;
use tokio::time::Instant;

use crate::connection::{Connection, Lost};
use crate::ledger::{Outcome, Place};
use crate::plan::{between, one_of, percent};
use crate::world::{World, topic_name};

/// How much later than its own timeout a Produce may be answered: scheduling, the way back.
const MARGIN: Duration = Duration::from_millis(1_000);
/// Produce by topic id.
const BY_ID: i16 = 13;

/// A batch as a producer keeps it.
#[derive(Clone)]
pub struct Outgoing {
    pub batch: usize,
    pub place: Place,
    pub bytes: Bytes,
    /// Sendings so far.
    pub sent: u32,
}

/// What a gateway said of one batch.
pub struct Told {
    pub outgoing: Outgoing,
    pub code: ErrorCode,
}

/// One batch of a request in flight.
struct Sending {
    outgoing: Outgoing,
    attempt: usize,
    /// Its topic was known to exist when the request was sent.
    is_known: bool,
}

struct InFlight {
    batches: Vec<Sending>,
    sent: Instant,
    timeout: Duration,
}

/// A connection with what is in flight on it.
pub struct Link {
    world: Arc<World>,
    who: String,
    pub connection: Connection,
    number: u64,
    version: i16,
    in_flight: VecDeque<InFlight>,
    last_answer: Instant,
}

impl Link {
    /// Connects somewhere, and learns the topics where the version needs it.
    pub async fn open(world: &Arc<World>, who: &str, entropy: &dyn Entropy) -> Option<Self> {
        let mut connection = world.fleet.connect_anywhere(entropy).await;
        let mut version = i16::try_from(between(entropy, 3, 13)).unwrap();
        let asks_first = version == BY_ID || percent(entropy, 30);
        if asks_first {
            let metadata_version = one_of(entropy, &[4, 9, 12, 13]);
            match world.learn_topic_ids(who, &mut connection, metadata_version).await {
                Ok(true) => {}
                Ok(false) => version = version.min(BY_ID - 1),
                Err(lost) => {
                    world.note_lost(who, &connection, lost);
                    return None;
                }
            }
        }
        let (number, last_answer) = (world.ledger.next_number(), Instant::now());
        world.journal.note(who, format_args!("connection {number} to {}, v{version}", connection.gateway()));
        let (world, who, in_flight) = (world.clone(), who.to_owned(), VecDeque::new());
        Some(Self { world, who, connection, number, version, in_flight, last_answer })
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Sends batches in one request.
    pub async fn send(&mut self, batches: Vec<Outgoing>, timeout: Duration) -> Result<(), Lost> {
        let parts: Vec<_> = batches.iter().map(|one| (one.place, one.bytes.clone())).collect();
        let acks = if self.number.is_multiple_of(3) { 1 } else { -1 };
        let request = self.world.produce_request(&parts, timeout, acks);
        let begin = |mut one: Outgoing| {
            one.sent += 1;
            let attempt = self.world.ledger.begin(one.batch, self.number);
            self.world.journal.note(&self.who, format_args!("sends batch {} to {:?}", one.batch, one.place));
            let is_known = self.world.is_known(one.place.0);
            Sending { outgoing: one, attempt, is_known }
        };
        let batches = batches.into_iter().map(begin).collect();
        self.in_flight.push_back(InFlight { batches, sent: Instant::now(), timeout });
        self.connection.send(self.version, &request).await.inspect_err(|lost| self.note_lost(*lost))
    }

    fn note_lost(&self, lost: Lost) {
        self.world.note_lost(&self.who, &self.connection, lost);
    }

    /// The answer to the oldest request in flight.
    pub async fn receive(&mut self) -> Result<Vec<Told>, Lost> {
        let Some(oldest) = self.in_flight.front() else { return Ok(Vec::new()) };
        // A gateway begins the requests of a connection one after the other.
        let due = oldest.sent.max(self.last_answer) + oldest.timeout + MARGIN;
        // An answer that lies in the pipe since long is taken in, in as many pieces as it takes.
        let within = due.saturating_duration_since(Instant::now()).max(Duration::from_millis(50));
        let answer = self.connection.receive::<ProduceRequest>(self.version, within).await;
        let answer = answer.inspect_err(|lost| self.note_lost(*lost))?;
        self.last_answer = Instant::now();
        let Some(request) = self.in_flight.pop_front() else { return Ok(Vec::new()) };
        // As a client: by topic and partition. Entries of one topic are answered together, as Kafka answers them, and
        // batches of one partition in the order in which they were sent.
        let mut blocks: Vec<_> = answer
            .responses
            .iter()
            .flat_map(|topic| topic.partition_responses.iter().map(move |block| (&topic.name, topic.topic_id, block)))
            .collect();
        if blocks.len() != request.batches.len() {
            self.world.journal.violation(&self.who, "a partition was not answered, or one was answered twice");
        }
        let mut told = Vec::new();
        for sending in request.batches {
            let (topic, partition) = sending.outgoing.place;
            let (name, topic_id) = (topic_name(topic), self.world.topic_id(topic));
            let is_its = |(named, id, block): &(&KString, Uuid, &PartitionProduceResponse)| {
                let is_topic = if self.version == BY_ID { *id == topic_id } else { **named == name };
                is_topic && block.index == partition
            };
            let Some(place) = blocks.iter().position(is_its) else {
                self.world.journal.violation(&self.who, format_args!("no answer for {:?}", sending.outgoing.place));
                continue;
            };
            let (_, _, block) = blocks.remove(place);
            let (code, offset) = (block.error_code, block.base_offset);
            self.settle(&sending, code, offset);
            told.push(Told { outgoing: sending.outgoing, code });
        }
        Ok(told)
    }

    fn settle(&self, sending: &Sending, code: ErrorCode, offset: i64) {
        let Sending { outgoing, attempt, is_known } = sending;
        let outcome = match code {
            ErrorCode::NONE => Outcome::Acked(offset),
            ErrorCode::REQUEST_TIMED_OUT => Outcome::Unknown,
            _ => Outcome::DidNotHappen,
        };
        self.world.journal.count(match outcome {
            Outcome::Acked(_) => "batches acknowledged",
            Outcome::Unknown => "batches of unknown outcome (7)",
            Outcome::DidNotHappen => "batches that did not happen",
        });
        self.world.journal.note(&self.who, format_args!("batch {}: {code}, {outcome:?}", outgoing.batch));
        // T5: a topic that somebody knows of is unknown to nobody.
        let is_absent = code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION && *is_known;
        if is_absent || code == ErrorCode::UNKNOWN_TOPIC_ID {
            self.world.journal.violation(&self.who, format_args!("{code} for topic {}", outgoing.place.0));
        }
        self.world.ledger.settle(outgoing.batch, *attempt, outcome);
    }

    /// Everything still in flight, whose outcome nobody will tell any more.
    pub fn abandon(self) -> Vec<Outgoing> {
        self.world.journal.note(&self.who, format_args!("leaves connection {}", self.number));
        let batches = self.in_flight.into_iter().flat_map(|request| request.batches);
        let batches: Vec<_> = batches.map(|sending| sending.outgoing).collect();
        self.world.journal.count_many("batches never answered", batches.len() as u64);
        batches
    }
}

/// A timeout for a Produce: short ones are given up by the gateway, long ones outlive a storm.
pub fn draw_timeout(entropy: &dyn Entropy) -> Duration {
    Duration::from_millis(one_of(entropy, &[200, 600, 2_000, 10_000]))
}
