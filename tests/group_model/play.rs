//! Runs one script against gateways in virtual time.
//!
//! Promises: the same seed gives the same run; a request that waits stays where it is, others go to any gateway. Answers
//! must be Kafka's exactly, also on several gateways: before each step every gateway is asked something that takes a
//! barrier (T5), because a success may come from a State of a second ago and Kafka has only one. Never: real time.
//! Called by the suite.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context as Waking, Poll};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use fastrand::Rng;
use sluice_group_model::compare::{Comparison, Verdict};
use sluice_group_model::generate::generate;
use sluice_group_model::manner::Manner;
use sluice_group_model::model::World;
use sluice_group_model::request::{Answer, Body, Group, Id, Request, Ticket, Topic};
use sluice_group_model::script::{Ask, Step};
use sluice_group_model::wire::{Names, UNKNOWN_TOPIC_ID, created_id, creation};
use sluice_protocol::messages::CreateTopicsRequest;
use sluice_protocol::{Uuid, decode_response, encode_request};
use sluice_runtime::MemoryStream;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use crate::fleet::Fleet;

/// Longest wait for an answer that must come.
const DEADLINE: Duration = Duration::from_secs(15);
/// Longest wait for an answer that may come, where the order of requests is open.
const GRACE: Duration = Duration::from_millis(300);
/// What no world has does not come within this time. By then what waits is in the log too.
const PAUSE: Duration = Duration::from_millis(60);

/// What a run was made of.
#[derive(Debug, Clone, Copy, Default)]
pub struct Played {
    pub steps: u64,
    pub requests: u64,
}

/// Runs the script of a seed.
///
/// # Errors
/// The report of the first answer that the model does not have.
pub async fn play(seed: u64, steps: usize, gateways: usize) -> Result<Played> {
    // A log that answers at once, a quick one, and one like DynamoDB: each has other requests in flight together.
    let delay_max = Duration::from_millis([0, 1, 4][usize::try_from(seed % 3)?]);
    let fleet = Fleet::start(seed, gateways, delay_max).await?;
    let mut play = Play::new(seed, &fleet).await?;
    let played = play.run(seed, &generate(seed, steps)).await;
    fleet.end();
    played
}

/// One connection to one gateway.
struct Connection {
    stream: MemoryStream,
    at: usize,
    read: BytesMut,
}

impl Connection {
    /// The next frame, without its length.
    fn poll_frame(&mut self, waking: &mut Waking<'_>) -> Poll<Result<Bytes>> {
        loop {
            if let Some((head, rest)) = self.read.split_first_chunk::<4>() {
                let length = usize::try_from(i32::from_be_bytes(*head)).context("a negative length")?;
                if rest.len() >= length {
                    let mut frame = self.read.split_to(length + 4);
                    return Poll::Ready(Ok(frame.split_off(4).freeze()));
                }
            }
            let mut chunk = [0; 4 << 10];
            let mut buffer = ReadBuf::new(&mut chunk);
            match Pin::new(&mut self.stream).poll_read(waking, &mut buffer) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e.into())),
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    return Poll::Ready(Err(anyhow::anyhow!("the gateway closed the connection")));
                }
                Poll::Ready(Ok(())) => self.read.extend_from_slice(buffer.filled()),
            }
        }
    }

    async fn ask(&mut self, frame: &[u8]) -> Result<Bytes> {
        self.stream.write_all(frame).await?;
        timeout(DEADLINE, poll_fn(|waking| self.poll_frame(waking))).await.context("no answer")?
    }
}

struct Play<'a> {
    fleet: &'a Fleet,
    script: Comparison,
    idle: Vec<Vec<Connection>>,
    waiting: BTreeMap<Ticket, Connection>,
    rng: Rng,
    played: Played,
}

impl<'a> Play<'a> {
    async fn new(seed: u64, fleet: &'a Fleet) -> Result<Self> {
        let idle = fleet.connectors.iter().map(|_| Vec::new()).collect();
        let names = Names::new("s".to_owned(), BTreeMap::new());
        let (rng, script) = (Rng::with_seed(seed), Comparison::new(names, Manner::Sluice));
        let mut play = Self { fleet, script, idle, waiting: BTreeMap::new(), rng, played: Played::default() };
        let topics = play.create_topics().await?;
        play.script.names = Names::new("s".to_owned(), topics);
        Ok(play)
    }

    async fn create_topics(&mut self) -> Result<BTreeMap<Topic, (String, Uuid)>> {
        let mut topics = BTreeMap::new();
        topics.insert(Topic::Unknown, ("none".to_owned(), UNKNOWN_TOPIC_ID));
        for topic in [Topic::A, Topic::B] {
            let name = format!("t-{topic:?}");
            let frame = encode_request(0, Some("model"), 7, &creation(topic, &name))?.to_bytes();
            let mut connection = self.connection(0).await?;
            let answer = decode_response::<CreateTopicsRequest>(&connection.ask(&frame).await?, 7)?.1;
            self.park(connection);
            topics.insert(topic, (name, created_id(&answer)?));
        }
        Ok(topics)
    }

    async fn connection(&mut self, at: usize) -> Result<Connection> {
        if let Some(connection) = self.idle[at].pop() {
            return Ok(connection);
        }
        let stream = self.fleet.connectors[at].connect().await?;
        Ok(Connection { stream, at, read: BytesMut::new() })
    }

    fn park(&mut self, connection: Connection) {
        self.idle[connection.at].push(connection);
    }

    fn any_gateway(&mut self) -> usize {
        self.rng.usize(..self.idle.len())
    }

    async fn run(&mut self, seed: u64, steps: &[Step]) -> Result<Played> {
        for (at, step) in steps.iter().enumerate() {
            self.script.tell(format_args!("step {at}"));
            self.played.steps += 1;
            let taken = match step {
                Step::Ask(asks) => self.take(asks).await,
                Step::Expire(group, slot) => match self.script.session.expired(*group, *slot) {
                    Some(after) => self.expire(*group, self.script.session.view(*slot, *group).id, after).await,
                    // Its session is short, so nothing that comes after is certain.
                    None => break,
                },
            };
            if let Err(error) = taken {
                let now = self.describe(&[Group::Live(0), Group::Live(1)]).await;
                let told = self.script.told();
                bail!("seed {seed}, step {at}: {error:#}\nthe groups now: {now:?}\nthe script so far:\n{told}");
            }
        }
        Ok(self.played)
    }

    async fn take(&mut self, asks: &[Ask]) -> Result<()> {
        self.catch_up().await?;
        for (ticket, request) in self.script.ask(asks) {
            let at = self.any_gateway();
            let mut connection = self.connection(at).await?;
            self.script.tell(format_args!("  {ticket} -> [{at}] {request:?}"));
            let frame = self.script.names.encode(i32::try_from(ticket)?, &request)?;
            connection.stream.write_all(&frame).await?;
            self.waiting.insert(ticket, connection);
            self.played.requests += 1;
            if asks.len() > 1 && self.rng.bool() {
                // What is sent together may also overlap in another way.
                tokio::time::sleep(Duration::from_micros(self.rng.u64(..4_000))).await;
            }
        }
        self.collect().await
    }

    /// Lets every gateway know what has happened so far.
    async fn catch_up(&mut self) -> Result<()> {
        if self.idle.len() == 1 {
            return Ok(());
        }
        let body = Body::Fetch { groups: vec![(Group::Missing, Some(Vec::new()))], stable: true };
        let frame = self.script.names.encode(-1, &Request { version: 8, slot: 0, body })?;
        for at in 0..self.idle.len() {
            let mut connection = self.connection(at).await?;
            connection.ask(&frame).await?;
            self.park(connection);
        }
        Ok(())
    }

    /// Reads answers until they are exactly those of a world, and no other world that fits so far has more to come.
    async fn collect(&mut self) -> Result<()> {
        loop {
            let Verdict { done, awaited } = self.script.judge()?;
            let wait = match awaited {
                Some(_) if done.is_empty() => DEADLINE,
                Some(_) => GRACE,
                None => PAUSE,
            };
            match timeout(wait, self.next_frame()).await {
                Ok(next) => {
                    let (ticket, frame) = next?;
                    if let Some(connection) = self.waiting.remove(&ticket) {
                        self.park(connection);
                    }
                    self.script.take(ticket, frame)?;
                }
                Err(_) if done.is_empty() => {
                    bail!(self.script.report(&format!("no answer to {awaited:?} within {DEADLINE:?}")));
                }
                Err(_) => {
                    self.script.settle(done);
                    return Ok(());
                }
            }
        }
    }

    /// The next answer to anything in flight.
    async fn next_frame(&mut self) -> Result<(Ticket, Bytes)> {
        poll_fn(|waking| {
            for (ticket, connection) in &mut self.waiting {
                if let Poll::Ready(frame) = connection.poll_frame(waking) {
                    return Poll::Ready(frame.map(|f| (*ticket, f)).with_context(|| format!("while {ticket} waited")));
                }
            }
            Poll::Pending
        })
        .await
    }

    /// A description of groups that is no part of the script.
    async fn describe(&mut self, groups: &[Group]) -> Result<Answer> {
        let request = Request { version: 5, slot: 0, body: Body::Describe { groups: groups.to_vec() } };
        let at = self.any_gateway();
        let mut connection = self.connection(at).await?;
        let frame = connection.ask(&self.script.names.encode(-1, &request)?).await?;
        self.park(connection);
        self.script.names.decode(&request, &frame)
    }

    /// Waits until a member's session has run out.
    async fn expire(&mut self, group: Group, id: Id, after: Vec<World>) -> Result<()> {
        let is_in = |told: &Answer| match told {
            Answer::Describe(groups) => groups.iter().any(|g| g.members.iter().any(|m| m.id == id)),
            _ => true,
        };
        let began = tokio::time::Instant::now();
        loop {
            let told = self.describe(&[group]).await?;
            if !is_in(&told) {
                break;
            }
            ensure!(began.elapsed() < DEADLINE, "{id:?} has not expired: {told:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.script.tell(format_args!("  {id:?} has expired"));
        self.script.begin(after);
        self.collect().await
    }
}
