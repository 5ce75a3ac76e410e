//! Runs scripts against a broker, or several gateways, and compares every answer with the model.
//!
//! Promises: a request that waits stays on its own connection; others go to any of the addresses; nothing is retried. An
//! answer that no world has, or that all worlds have and that does not come, ends the script with a report of all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use fastrand::Rng;
use sluice_protocol::messages::FindCoordinatorRequest;
use sluice_protocol::{KString, Request as ApiRequest, decode_response, encode_request};
use uuid::Uuid;

use crate::compare::{Comparison, Verdict};
use crate::manner::Manner;
use crate::model::World;
use crate::request::{Answer, Body, Group, Id, Request, Ticket, Topic};
use crate::script::{Ask, Step};
use crate::wire::{Names, UNKNOWN_TOPIC_ID, created_id, creation};

/// Longest wait for an answer that must come.
const DEADLINE: Duration = Duration::from_secs(15);
/// Longest wait for an answer that may come, where the order of requests is open …
const GRACE: Duration = Duration::from_millis(150);
/// … and where several gateways meet in a store, and one may ask it more than once.
const GRACE_OF_SEVERAL: Duration = Duration::from_millis(300);
/// How long one look at one connection takes.
const LOOK: Duration = Duration::from_millis(2);

/// One connection to one address.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    at: usize,
    read: Vec<u8>,
}

impl Connection {
    fn open(addr: SocketAddr, at: usize) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, DEADLINE).with_context(|| format!("connect to {addr}"))?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(DEADLINE))?;
        stream.set_read_timeout(Some(LOOK))?;
        Ok(Self { stream, at, read: Vec::new() })
    }

    /// A frame, if one is there within [`LOOK`].
    fn look(&mut self) -> Result<Option<Bytes>> {
        let mut chunk = [0; 16 << 10];
        loop {
            if let Some((head, rest)) = self.read.split_first_chunk::<4>() {
                let length = usize::try_from(i32::from_be_bytes(*head)).context("a negative length")?;
                if let Some(frame) = rest.get(..length) {
                    let frame = Bytes::copy_from_slice(frame);
                    self.read.drain(..length + 4);
                    return Ok(Some(frame));
                }
            }
            match self.stream.read(&mut chunk) {
                Ok(0) => bail!("the broker closed the connection"),
                Ok(read) => self.read.extend(chunk.iter().take(read)),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Ok(None),
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// The answer to a request of ours that is no part of a script.
    fn ask<R: ApiRequest>(&mut self, version: i16, body: &R) -> Result<R::Response> {
        self.stream.write_all(&encode_request(0, Some("group-model"), version, body)?.to_bytes())?;
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(frame) = self.look()? {
                return Ok(decode_response::<R>(&frame, version)?.1);
            }
            ensure!(Instant::now() < until, "no answer within {DEADLINE:?}");
        }
    }
}

/// A broker, or gateways of one store, made ready for scripts.
#[derive(Debug)]
pub struct Target {
    addrs: Vec<SocketAddr>,
    prefix: String,
    topics: BTreeMap<Topic, (String, Uuid)>,
    manner: Manner,
}

impl Target {
    /// Makes the two topics that all scripts of a run share. All names begin with `prefix`, which no earlier run had;
    /// its answers are those of `manner`.
    ///
    /// # Errors
    /// When nobody answers as Kafka does.
    pub fn prepare(addrs: Vec<SocketAddr>, prefix: &str, manner: Manner) -> Result<Self> {
        let first = *addrs.first().context("no address")?;
        let mut connection = Connection::open(first, 0)?;
        let mut topics = BTreeMap::new();
        for topic in [Topic::A, Topic::B] {
            let name = format!("{prefix}-{topic:?}");
            let id = created_id(&connection.ask(7, &creation(topic, &name))?)?;
            topics.insert(topic, (name, id));
        }
        topics.insert(Topic::Unknown, (format!("{prefix}-none"), UNKNOWN_TOPIC_ID));
        let target = Self { addrs, prefix: prefix.to_owned(), topics, manner };
        target.await_coordinator(&mut connection)?;
        Ok(target)
    }

    /// A broker that has just begun makes its internal topic when it is asked for a coordinator.
    fn await_coordinator(&self, connection: &mut Connection) -> Result<()> {
        let until = Instant::now() + DEADLINE;
        let names = Names::new(self.prefix.clone(), self.topics.clone());
        loop {
            let key = KString::from(names.group(Group::Missing));
            let find = FindCoordinatorRequest { key, ..FindCoordinatorRequest::default() };
            let found = connection.ask(3, &find)?;
            let mut ready = i16::from(found.error_code) == 0;
            for n in 0..8 {
                let group_id = KString::from(names.group(Group::Live(n)));
                let ask = sluice_protocol::messages::HeartbeatRequest { group_id, ..Default::default() };
                ready &= matches!(i16::from(connection.ask(4, &ask)?.error_code), 25 | 24);
            }
            if ready {
                return Ok(());
            }
            ensure!(Instant::now() < until, "no group coordinator within {DEADLINE:?}");
            std::thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// Runs a script. After a request that waits, the next step comes this much later, because requests on two
    /// connections are in no order. `attempt` makes the names of groups fresh.
    ///
    /// # Errors
    /// The report of the first answer that the model does not have.
    pub fn run(&self, seed: u64, steps: &[Step], pause: Duration, attempt: usize) -> Result<()> {
        let mut drive = Drive {
            target: self,
            pause,
            script: Comparison::new(
                Names::new(format!("{}-{seed}-{attempt}", self.prefix), self.topics.clone()),
                self.manner,
            ),
            idle: self.addrs.iter().map(|_| Vec::new()).collect(),
            waiting: BTreeMap::new(),
            rng: Rng::with_seed(seed),
        };
        for (at, step) in steps.iter().enumerate() {
            drive.script.tell(format_args!("step {at}"));
            let taken = match step {
                Step::Ask(asks) => drive.take(asks),
                Step::Expire(group, slot) => match drive.script.session.expired(*group, *slot) {
                    Some(after) => drive.expire(*group, drive.script.session.view(*slot, *group).id, after),
                    // Its session is short, so nothing that comes after is certain.
                    None => break,
                },
            };
            if let Err(error) = taken {
                let now = drive.describe(&[Group::Live(0), Group::Live(1)]);
                bail!(
                    "seed {seed}, step {at}: {error:#}\nthe groups now: {now:?}\nthe script so far:\n{}",
                    drive.script.told()
                );
            }
        }
        drive.clean_up()
    }
}

struct Drive<'a> {
    target: &'a Target,
    pause: Duration,
    script: Comparison,
    idle: Vec<Vec<Connection>>,
    waiting: BTreeMap<Ticket, Connection>,
    rng: Rng,
}

impl Drive<'_> {
    fn connection(&mut self) -> Result<Connection> {
        let at = self.rng.usize(..self.target.addrs.len());
        self.connection_to(at)
    }

    fn connection_to(&mut self, at: usize) -> Result<Connection> {
        if let Some(connection) = self.idle.get_mut(at).and_then(Vec::pop) {
            return Ok(connection);
        }
        let addr = self.target.addrs.get(at).context("an address")?;
        Connection::open(*addr, at)
    }

    fn park(&mut self, connection: Connection) {
        if let Some(idle) = self.idle.get_mut(connection.at) {
            idle.push(connection);
        }
    }

    fn take(&mut self, asks: &[Ask]) -> Result<()> {
        self.catch_up()?;
        let requests = self.script.ask(asks);
        let created = self.created(&requests);
        for (ticket, request) in &requests {
            let mut connection = self.connection()?;
            self.script.tell(format_args!("  {ticket} -> [{}] {request:?}", connection.at));
            let frame = self.script.names.encode(i32::try_from(*ticket)?, request)?;
            connection.stream.write_all(&frame)?;
            self.waiting.insert(*ticket, connection);
        }
        self.collect()?;
        for group in created {
            self.touch(group)?;
        }
        if requests.iter().any(|(ticket, _)| self.waiting.contains_key(ticket)) {
            // Nothing tells when a request that waits has been taken in, and the next one goes another way.
            std::thread::park_timeout(self.pause);
        }
        Ok(())
    }

    /// Several gateways of one store may answer from a State of a second ago, and the model has only one: each is asked
    /// something that has to know what has happened so far.
    fn catch_up(&mut self) -> Result<()> {
        if self.idle.len() < 2 {
            return Ok(());
        }
        let body = Body::Fetch { groups: vec![(Group::Missing, Some(Vec::new()))], stable: true };
        let frame = self.script.names.encode(-1, &Request { version: 8, slot: 0, body })?;
        let mut asked = Vec::new();
        for at in 0..self.idle.len() {
            let mut connection = self.connection_to(at)?;
            connection.stream.write_all(&frame)?;
            asked.push(connection);
        }
        for mut connection in asked {
            let until = Instant::now() + DEADLINE;
            while connection.look()?.is_none() {
                ensure!(Instant::now() < until, "a gateway does not catch up within {DEADLINE:?}");
            }
            self.park(connection);
        }
        Ok(())
    }

    /// Groups that a Join may just have created. Kafka answers before it has stored them, and reads do not see them before.
    fn created(&self, requests: &[(Ticket, Request)]) -> BTreeSet<Group> {
        let joined = requests.iter().filter_map(|(_, request)| match request.body {
            Body::Join { group, id: Id::Nobody, .. } => Some(group),
            _ => None,
        });
        joined.filter(|g| self.script.session.worlds.iter().any(|w| w.state(*g).is_none())).collect()
    }

    /// A read that waits for what is not stored yet.
    fn touch(&mut self, group: Group) -> Result<()> {
        let body = Body::Fetch { groups: vec![(group, Some(Vec::new()))], stable: true };
        self.aside(&Request { version: 8, slot: 0, body })
    }

    /// Sends something whose answer is of no interest.
    fn aside(&mut self, request: &Request) -> Result<()> {
        let mut connection = self.connection()?;
        connection.stream.write_all(&self.script.names.encode(-1, request)?)?;
        let until = Instant::now() + DEADLINE;
        while connection.look()?.is_none() {
            ensure!(Instant::now() < until, "no answer within {DEADLINE:?} to {request:?}");
        }
        self.park(connection);
        Ok(())
    }

    /// Reads answers until they are exactly those of a world, and no other world that fits so far has more to come.
    fn collect(&mut self) -> Result<()> {
        let (mut until, mut is_settled) = (Instant::now() + DEADLINE, false);
        // What nobody expects yet may be there too.
        self.sweep()?;
        loop {
            let Verdict { done, awaited } = self.script.judge()?;
            let Some(awaited) = awaited else {
                self.script.settle(done);
                return Ok(());
            };
            if !done.is_empty() && !is_settled {
                let grace = if self.idle.len() > 1 { GRACE_OF_SEVERAL } else { GRACE };
                (until, is_settled) = (Instant::now() + grace, true);
            }
            if Instant::now() > until {
                if done.is_empty() {
                    bail!(self.script.report(&format!("no answer to {awaited} within {DEADLINE:?}")));
                }
                self.script.settle(done);
                return Ok(());
            }
            if !self.look(awaited)? || is_settled {
                self.sweep()?;
            }
        }
    }

    /// Looks at one connection; true when the answer was there.
    fn look(&mut self, ticket: Ticket) -> Result<bool> {
        let Some(connection) = self.waiting.get_mut(&ticket) else { bail!("nothing is in flight for {ticket}") };
        let frame = connection.look().with_context(|| format!("while {ticket} waited"))?;
        let Some(frame) = frame else { return Ok(false) };
        if let Some(connection) = self.waiting.remove(&ticket) {
            self.park(connection);
        }
        self.script.take(ticket, frame)?;
        Ok(true)
    }

    /// Looks at every connection that waits, without waiting itself.
    fn sweep(&mut self) -> Result<()> {
        let tickets: Vec<Ticket> = self.waiting.keys().copied().collect();
        for ticket in tickets {
            let Some(connection) = self.waiting.get_mut(&ticket) else { continue };
            connection.stream.set_nonblocking(true)?;
            let mut byte = [0];
            let there = connection.stream.peek(&mut byte);
            connection.stream.set_nonblocking(false)?;
            if there.is_ok_and(|read| read > 0) {
                self.look(ticket)?;
            }
        }
        Ok(())
    }

    /// A description of groups that is no part of the script.
    fn describe(&mut self, groups: &[Group]) -> Result<Answer> {
        let request = Request { version: 5, slot: 0, body: Body::Describe { groups: groups.to_vec() } };
        let mut connection = self.connection()?;
        connection.stream.write_all(&self.script.names.encode(-1, &request)?)?;
        let until = Instant::now() + DEADLINE;
        loop {
            if let Some(frame) = connection.look()? {
                self.park(connection);
                return self.script.names.decode(&request, &frame);
            }
            ensure!(Instant::now() < until, "no answer to a description within {DEADLINE:?}");
        }
    }

    /// Waits until a member's session has run out.
    fn expire(&mut self, group: Group, id: Id, after: Vec<World>) -> Result<()> {
        let until = Instant::now() + DEADLINE;
        loop {
            let told = self.describe(&[group])?;
            if let Answer::Describe(groups) = &told
                && groups.iter().all(|g| g.members.iter().all(|m| m.id != id))
            {
                break;
            }
            ensure!(Instant::now() < until, "{id:?} has not expired: {told:?}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        self.script.tell(format_args!("  {id:?} has expired"));
        self.script.begin(after);
        self.collect()
    }

    /// Takes members out and groups away, so that thousands of scripts leave nothing behind.
    fn clean_up(&mut self) -> Result<()> {
        let Some(world) = self.script.session.worlds.first().cloned() else { return Ok(()) };
        let mut groups = Vec::new();
        for (group, state) in &world.groups {
            let ids = state.members.keys().chain(&state.pending);
            let members: Vec<(Id, Option<u8>)> = ids.map(|id| (*id, None)).collect();
            if !members.is_empty() {
                self.aside(&Request { version: 4, slot: 0, body: Body::Leave { group: *group, members } })?;
            }
            groups.push(*group);
        }
        self.aside(&Request { version: 2, slot: 0, body: Body::Delete { groups } })
    }
}
