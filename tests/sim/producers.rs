//! Producers: idempotent ones, which send again until they are told that it happened, and plain ones, which send again
//! only what they are ready to see twice, or were told did not happen.
//!
//! Promises: they keep the rules that real clients keep (at most five requests in flight, sequences in order, nothing new
//! before what was sent before it is settled), so that whatever the ledger finds wrong is the gateways'.
//! Called by `run`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use sluice_protocol::ErrorCode;
use sluice_protocol::messages::InitProducerIdRequest;
use sluice_records::BatchBuilder;
use sluice_runtime::SeededEntropy;

use crate::connection::Lost;
use crate::ledger::Place;
use crate::link::{Link, Outgoing, Told, draw_timeout};
use crate::plan::{between, one_of, percent};
use crate::world::{PATIENCE, World, build_batch, pause, places};

/// Requests in flight of an idempotent producer (`max.in.flight.requests.per.connection`).
const IN_FLIGHT_MAX: usize = 5;

/// What both kinds have.
struct Writer {
    world: Arc<World>,
    who: String,
    entropy: SeededEntropy,
    /// Batches made so far, and how many will be.
    made: u64,
    wanted: u64,
    /// Longest pause before a new batch, so that they spread over the bad times.
    think_ms: u64,
}

impl Writer {
    /// The values of a new batch: 1 to 3 that nobody else writes.
    fn draw_values(&mut self) -> Vec<String> {
        self.made += 1;
        let padding = "x".repeat(usize::try_from(between(&self.entropy, 0, 60)).unwrap());
        (0..between(&self.entropy, 1, 3)).map(|index| format!("{}-{}-{index}{padding}", self.who, self.made)).collect()
    }

    fn draw_place(&self) -> Place {
        one_of(&self.entropy, &places().collect::<Vec<_>>())
    }

    async fn open_link(&self) -> Link {
        loop {
            if let Some(link) = Link::open(&self.world, &self.who, &self.entropy).await {
                return link;
            }
            pause(&self.entropy, 100).await;
        }
    }

    /// True when the client is to lose its connection now.
    fn drops_connection(&self) -> bool {
        let drops = self.world.is_rough && !self.world.is_over() && percent(&self.entropy, 3);
        if drops {
            self.world.journal.count("connections that a client dropped");
        }
        drops
    }

    fn refuse(&self, told: &Told) {
        let (batch, code) = (told.outgoing.batch, told.code);
        self.world.journal.violation(&self.who, format_args!("batch {batch} was answered with {code}"));
    }
}

/// Codes that say "did not happen", and that trying again may help.
fn did_not_happen_now(code: ErrorCode) -> bool {
    [ErrorCode::NOT_ENOUGH_REPLICAS, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION].contains(&code)
}

/// An idempotent producer.
pub struct Idempotent {
    writer: Writer,
    identity: Option<Identity>,
    /// Sent and not settled, in the order of their sequences.
    unsettled: VecDeque<Outgoing>,
}

struct Identity {
    id: i64,
    epoch: i16,
    number: u64,
    next_sequences: BTreeMap<Place, i32>,
}

impl Idempotent {
    pub fn new(world: &Arc<World>, who: String, entropy: SeededEntropy, wanted: u64, think_ms: u64) -> Self {
        let writer = Writer { world: world.clone(), who, entropy, made: 0, wanted, think_ms };
        Self { writer, identity: None, unsettled: VecDeque::new() }
    }

    /// Writes all its batches, however long it takes.
    pub async fn run(mut self) {
        while self.writer.made < self.writer.wanted || !self.unsettled.is_empty() {
            let mut link = self.writer.open_link().await;
            // Either way it goes on elsewhere; what was told is in the ledger.
            let _ = self.use_link(&mut link).await;
            link.abandon();
            pause(&self.writer.entropy, 100).await;
        }
        self.writer.world.journal.note(&self.writer.who, "is done");
    }

    async fn use_link(&mut self, link: &mut Link) -> Result<(), Lost> {
        if self.identity.is_none() {
            self.take_identity(link).await?;
        }
        while self.identity.is_some() && (self.writer.made < self.writer.wanted || !self.unsettled.is_empty()) {
            let is_smooth = self.run_round(link).await?;
            if !is_smooth {
                pause(&self.writer.entropy, 100).await;
                if percent(&self.writer.entropy, 4) {
                    // As a client that closes its producer: nobody sends the rest again.
                    self.writer.world.journal.note(&self.writer.who, "gives its identity up");
                    self.unsettled.clear();
                    self.identity = None;
                }
                if percent(&self.writer.entropy, 30) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn take_identity(&mut self, link: &mut Link) -> Result<(), Lost> {
        let world = self.writer.world.clone();
        let request = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
        let version = i16::try_from(between(&self.writer.entropy, 0, 5)).unwrap();
        let answer = link.connection.request(version, &request, PATIENCE).await;
        let answer = answer.inspect_err(|lost| world.note_lost(&self.writer.who, &link.connection, *lost))?;
        match answer.error_code {
            ErrorCode::NONE => {
                let (id, epoch) = (answer.producer_id, answer.producer_epoch);
                let number = world.ledger.next_number();
                world.journal.note(&self.writer.who, format_args!("has producer id {id}"));
                self.identity = Some(Identity { id, epoch, number, next_sequences: BTreeMap::new() });
            }
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => pause(&self.writer.entropy, 100).await,
            code => world.journal.violation(&self.writer.who, format_args!("InitProducerId was answered with {code}")),
        }
        Ok(())
    }

    /// Sends again what is not settled, or new batches through a sliding window; then waits for all of it. True when
    /// everything went well.
    async fn run_round(&mut self, link: &mut Link) -> Result<bool, Lost> {
        let mut is_smooth = true;
        let is_new = self.unsettled.is_empty();
        for again in self.unsettled.clone() {
            self.writer.world.journal.count("batches sent again by idempotent producers");
            link.send(vec![again], draw_timeout(&self.writer.entropy)).await?;
        }
        loop {
            while is_new && is_smooth && link.in_flight() < IN_FLIGHT_MAX && self.writer.made < self.writer.wanted {
                if link.in_flight() > 0 && percent(&self.writer.entropy, 30) {
                    break;
                }
                pause(&self.writer.entropy, self.writer.think_ms).await;
                let Some(outgoing) = self.make_batch() else { break };
                self.unsettled.push_back(outgoing.clone());
                link.send(vec![outgoing], draw_timeout(&self.writer.entropy)).await?;
            }
            if self.writer.drops_connection() {
                return Err(Lost::Closed);
            }
            if link.in_flight() == 0 {
                return Ok(is_smooth);
            }
            for told in link.receive().await? {
                is_smooth &= self.hear(&told);
            }
        }
    }

    fn make_batch(&mut self) -> Option<Outgoing> {
        let place = self.writer.draw_place();
        let values = self.writer.draw_values();
        let identity = self.identity.as_mut()?;
        let sequence = identity.next_sequences.entry(place).or_default();
        let bytes = build_batch(BatchBuilder::new().producer(identity.id, identity.epoch, *sequence), &values);
        *sequence += i32::try_from(values.len()).unwrap();
        let batch = self.writer.world.ledger.add_batch(place, values, Some(identity.number));
        Some(Outgoing { batch, place, bytes, sent: 0 })
    }

    /// True when the batch is settled.
    fn hear(&mut self, told: &Told) -> bool {
        let batch = told.outgoing.batch;
        if told.code == ErrorCode::NONE {
            self.unsettled.retain(|one| one.batch != batch);
            return true;
        }
        let first = self.unsettled.iter().find(|one| one.place == told.outgoing.place);
        let is_first = first.is_none_or(|first| first.batch == batch);
        let is_out_of_order = told.code == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
        // What comes after a batch that failed is out of order; the oldest one never is.
        let may_be = told.code == ErrorCode::REQUEST_TIMED_OUT || did_not_happen_now(told.code);
        if !(may_be || is_out_of_order && !is_first) {
            self.writer.refuse(told);
        }
        false
    }
}

/// A producer without an identity.
pub struct Plain {
    writer: Writer,
    /// To be sent again.
    again: VecDeque<Outgoing>,
}

/// Sendings of one batch.
const SENDINGS_MAX: u32 = 4;

impl Plain {
    pub fn new(world: &Arc<World>, who: String, entropy: SeededEntropy, wanted: u64, think_ms: u64) -> Self {
        let writer = Writer { world: world.clone(), who, entropy, made: 0, wanted, think_ms };
        Self { writer, again: VecDeque::new() }
    }

    /// Writes all its batches, or gives them up.
    pub async fn run(mut self) {
        while self.writer.made < self.writer.wanted || !self.again.is_empty() {
            let mut link = self.writer.open_link().await;
            let _ = self.use_link(&mut link).await;
            for lost in link.abandon() {
                self.reconsider(lost, 30);
            }
            pause(&self.writer.entropy, 100).await;
        }
        self.writer.world.journal.note(&self.writer.who, "is done");
    }

    async fn use_link(&mut self, link: &mut Link) -> Result<(), Lost> {
        let window = usize::try_from(between(&self.writer.entropy, 1, 4)).unwrap();
        loop {
            let has_more = self.writer.made < self.writer.wanted || !self.again.is_empty();
            if has_more && link.in_flight() < window {
                pause(&self.writer.entropy, self.writer.think_ms).await;
                let batches = self.take_batches();
                link.send(batches, draw_timeout(&self.writer.entropy)).await?;
                if link.in_flight() < window && percent(&self.writer.entropy, 60) {
                    continue;
                }
            }
            if self.writer.drops_connection() {
                return Err(Lost::Closed);
            }
            if link.in_flight() == 0 {
                return Ok(());
            }
            for told in link.receive().await? {
                self.hear(told);
            }
        }
    }

    /// The batches of the next request, each for another place.
    fn take_batches(&mut self) -> Vec<Outgoing> {
        let mut batches: Vec<Outgoing> = Vec::new();
        for _ in 0..between(&self.writer.entropy, 1, 3) {
            let next = match self.again.pop_front() {
                Some(again) => again,
                None if self.writer.made < self.writer.wanted => self.make_batch(),
                None => break,
            };
            if batches.iter().any(|one| one.place == next.place) {
                self.again.push_front(next);
                break;
            }
            batches.push(next);
        }
        batches
    }

    fn make_batch(&mut self) -> Outgoing {
        let place = self.writer.draw_place();
        let values = self.writer.draw_values();
        let bytes = build_batch(BatchBuilder::new(), &values);
        let batch = self.writer.world.ledger.add_batch(place, values, None);
        Outgoing { batch, place, bytes, sent: 0 }
    }

    fn hear(&mut self, told: Told) {
        match told.code {
            ErrorCode::NONE => {}
            ErrorCode::REQUEST_TIMED_OUT => self.reconsider(told.outgoing, 30),
            code if did_not_happen_now(code) => self.reconsider(told.outgoing, 60),
            _ => self.writer.refuse(&told),
        }
    }

    /// Sends it again, or leaves it as it is.
    fn reconsider(&mut self, outgoing: Outgoing, percent_again: u64) {
        if outgoing.sent < SENDINGS_MAX && percent(&self.writer.entropy, percent_again) {
            self.writer.world.journal.count("batches sent again by plain producers");
            self.again.push_back(outgoing);
        }
    }
}
