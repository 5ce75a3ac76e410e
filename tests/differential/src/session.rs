//! A conversation with one broker, and the record of it.
//!
//! Promises: a situation sees the same session whichever broker is behind it; each answer it asks for is recorded, with
//! "closed" and "silence" counted as answers; preparations are not recorded, and fail the situation when they fail. Every
//! read ends by a deadline. Used by `situations`; `judge` compares the records.

use std::any::Any;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use sluice_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::{
    CreateTopicsRequest, CreateTopicsResponse, FetchResponse, InitProducerIdResponse, JoinGroupResponse,
    ListOffsetsRequest, MetadataResponse,
};
use sluice_protocol::{ErrorCode, KString, Request, decode_response, encode_request, encode_response};
use uuid::Uuid;

use crate::batches;
use crate::dump::{Aliases, Line, Node};
use crate::requests;

/// Longest wait for an answer.
const DEADLINE: Duration = Duration::from_secs(60);
/// How often something is asked for again that comes by itself.
const POLL: Duration = Duration::from_millis(5);
/// The client id of every request.
pub(crate) const CLIENT_ID: &str = "differential";

/// What one request, or one wait, was answered with.
#[derive(Debug)]
struct Step {
    label: String,
    answer: Node,
}

/// What a request was answered with, shaped for comparison: sorted, filtered.
pub(crate) type Shape = fn(&mut Node, &str);

/// Every answer as it is.
pub(crate) fn as_it_is(_answer: &mut Node, _prefix: &str) {}

#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    correlation_id: i32,
}

/// The bytes that came, or why none did.
enum Received {
    Frame(Bytes),
    Closed,
    Silence,
}

/// A conversation with one broker.
#[derive(Debug)]
pub(crate) struct Session {
    addr: SocketAddr,
    prefix: String,
    connections: Vec<Option<Connection>>,
    at: usize,
    steps: Vec<Step>,
    aliases: Aliases,
    patience: Duration,
}

impl Session {
    /// Names made in this session begin with `prefix`.
    pub(crate) fn new(addr: SocketAddr, prefix: &str) -> Self {
        let aliases = Aliases::new(addr.port(), prefix);
        Self {
            addr,
            prefix: prefix.to_owned(),
            connections: Vec::new(),
            at: 0,
            steps: Vec::new(),
            aliases,
            patience: DEADLINE,
        }
    }

    /// What was recorded: a label and the lines of each answer.
    pub(crate) fn transcript(&self) -> Vec<(String, Vec<Line>)> {
        self.steps.iter().map(|step| (step.label.clone(), step.answer.lines(&self.aliases))).collect()
    }

    /// A name of this session's own, for a topic or a group.
    pub(crate) fn name(&self, short: &str) -> KString {
        KString::from(format!("{}-{short}", self.prefix))
    }

    // ---- connections -------------------------------------------------------------------------------------------

    /// Speaks over connection `at` from now on.
    pub(crate) fn over(&mut self, at: usize) -> &mut Self {
        self.at = at;
        self
    }

    /// Ends the current connection; the next request opens another.
    pub(crate) fn hang_up(&mut self) {
        if let Some(slot) = self.connections.get_mut(self.at) {
            *slot = None;
        }
    }

    /// Waits this long for answers from now on: for a situation in which silence is one.
    pub(crate) fn wait_at_most(&mut self, wait_ms: u64) {
        self.patience = Duration::from_millis(wait_ms);
    }

    fn connection(&mut self) -> Result<&mut Connection> {
        while self.connections.len() <= self.at {
            self.connections.push(None);
        }
        let slot = &mut self.connections[self.at];
        if slot.is_none() {
            let stream = TcpStream::connect_timeout(&self.addr, DEADLINE).context("connect")?;
            stream.set_nodelay(true)?;
            stream.set_write_timeout(Some(DEADLINE))?;
            *slot = Some(Connection { stream, correlation_id: 100 });
        }
        slot.as_mut().context("a connection")
    }

    // ---- recorded ----------------------------------------------------------------------------------------------

    /// Sends a request and records its answer; `None` where the broker closed instead, or said nothing.
    pub(crate) fn ask<R: Request>(&mut self, version: i16, body: &R) -> Option<R::Response>
    where
        R::Response: Any,
    {
        self.ask_shaped(version, body, as_it_is)
    }

    /// As [`ask`](Self::ask); the answer is shaped before it is recorded.
    pub(crate) fn ask_shaped<R: Request>(&mut self, version: i16, body: &R, shape: Shape) -> Option<R::Response>
    where
        R::Response: Any,
    {
        match self.send(version, body) {
            Ok(()) => self.receive_shaped::<R>(version, shape),
            Err(error) => {
                self.record(&label_of::<R>(version), Node::Leaf(format!("not sent: {error:#}")));
                None
            }
        }
    }

    /// Sends a request without waiting.
    pub(crate) fn send<R: Request>(&mut self, version: i16, body: &R) -> Result<()> {
        let connection = self.connection()?;
        connection.correlation_id += 1;
        let frame = encode_request(connection.correlation_id, Some(CLIENT_ID), version, body)?.to_bytes();
        // A peer that has closed is found out by the read that follows.
        let _ = connection.stream.write_all(&frame);
        Ok(())
    }

    /// Reads and records the answer to a request of this kind.
    pub(crate) fn receive<R: Request>(&mut self, version: i16) -> Option<R::Response>
    where
        R::Response: Any,
    {
        self.receive_shaped::<R>(version, as_it_is)
    }

    /// As [`receive`](Self::receive); the answer is shaped before it is recorded.
    pub(crate) fn receive_shaped<R: Request>(&mut self, version: i16, shape: Shape) -> Option<R::Response>
    where
        R::Response: Any,
    {
        let label = label_of::<R>(version);
        let frame = match self.read_frame(self.patience) {
            Received::Frame(frame) => frame,
            Received::Closed => {
                self.record(&label, Node::Leaf("closed".to_owned()));
                return None;
            }
            Received::Silence => {
                self.record(&label, Node::Leaf("silence".to_owned()));
                return None;
            }
        };
        let (correlation_id, response) = match decode_response::<R>(&frame, version) {
            Ok(decoded) => decoded,
            Err(error) => {
                let text = format!("cannot be read ({error}): {}", batches::short_hex(&frame));
                self.record(&label, Node::Leaf(text));
                return None;
            }
        };
        self.learn(&response);
        let mut node = describe::<R>(&response, &frame, version);
        shape(&mut node, &self.prefix);
        if let Node::Fields(fields) = &mut node {
            let first = self.connections.get(self.at).and_then(|c| c.as_ref()).map_or(0, |c| c.correlation_id);
            let ago = first.wrapping_sub(correlation_id);
            if ago != 0 {
                fields.push(("answers the request before".to_owned(), Node::Leaf(ago.to_string())));
            }
        }
        self.record(&label, node);
        Some(response)
    }

    /// Records something that the situation found out.
    pub(crate) fn note(&mut self, label: &str, value: impl ToString) {
        self.record(label, Node::Leaf(value.to_string()));
    }

    /// Sends bytes as they are, and records what comes within `wait_ms`: a frame, the end, or silence.
    pub(crate) fn ask_bytes(&mut self, label: &str, bytes: &[u8], wait_ms: u64) -> Option<Bytes> {
        if let Ok(connection) = self.connection() {
            let _ = connection.stream.write_all(bytes);
        }
        self.await_bytes(label, wait_ms)
    }

    /// Records what comes within `wait_ms`: a frame, the end, or silence.
    pub(crate) fn await_bytes(&mut self, label: &str, wait_ms: u64) -> Option<Bytes> {
        let (text, frame) = match self.read_frame(Duration::from_millis(wait_ms)) {
            Received::Frame(frame) => (batches::short_hex(&frame), Some(frame)),
            Received::Closed => ("closed".to_owned(), None),
            Received::Silence => ("silence".to_owned(), None),
        };
        self.record(label, Node::Leaf(text));
        frame
    }

    /// The correlation id of the next answer, which is not recorded; `None` where there is none.
    pub(crate) fn peek_correlation_id(&mut self) -> Option<i32> {
        match self.read_frame(DEADLINE) {
            Received::Frame(frame) => frame.first_chunk().map(|id| i32::from_be_bytes(*id)),
            Received::Closed | Received::Silence => None,
        }
    }

    /// Writes bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.connection()?.stream.write_all(bytes).context("write")
    }

    /// Says that nothing more will be written on this connection.
    pub(crate) fn finish_writing(&mut self) -> Result<()> {
        self.connection()?.stream.shutdown(std::net::Shutdown::Write).context("shut down")
    }

    fn record(&mut self, label: &str, answer: Node) {
        let label = format!("{}. {label}", self.steps.len() + 1);
        self.steps.push(Step { label, answer });
    }

    fn read_frame(&mut self, wait: Duration) -> Received {
        let Ok(connection) = self.connection() else { return Received::Closed };
        let mut length = [0; 4];
        match read_exact(&mut connection.stream, &mut length, wait) {
            Ok(()) => {}
            Err(ErrorKind::WouldBlock | ErrorKind::TimedOut) => return Received::Silence,
            Err(_) => return Received::Closed,
        }
        let Ok(length) = usize::try_from(i32::from_be_bytes(length)) else { return Received::Closed };
        let mut frame = vec![0; length];
        match read_exact(&mut connection.stream, &mut frame, DEADLINE) {
            Ok(()) => Received::Frame(frame.into()),
            Err(_) => Received::Closed,
        }
    }

    fn learn(&mut self, response: &dyn Any) {
        if let Some(joined) = response.downcast_ref::<JoinGroupResponse>() {
            self.aliases.add_member(&joined.member_id);
        }
        if let Some(begun) = response.downcast_ref::<InitProducerIdResponse>() {
            self.aliases.add_producer(begun.producer_id);
        }
        let mut named = Vec::new();
        if let Some(created) = response.downcast_ref::<CreateTopicsResponse>() {
            named.extend(created.topics.iter().map(|t| (t.name.clone(), t.topic_id)));
        }
        if let Some(metadata) = response.downcast_ref::<MetadataResponse>() {
            named.extend(metadata.topics.iter().filter_map(|t| Some((t.name.clone()?, t.topic_id))));
        }
        let prefix = format!("{}-", self.prefix);
        for (name, id) in named.into_iter().filter(|(_, id)| !id.is_nil()) {
            if let Some(short) = name.strip_prefix(&prefix) {
                self.aliases.add(&id.to_string(), &format!("‹id of {short}›"));
            }
        }
    }

    // ---- preparations ------------------------------------------------------------------------------------------

    /// Sends a request whose answer is not recorded.
    pub(crate) fn prepare<R: Request>(&mut self, version: i16, body: &R) -> Result<R::Response>
    where
        R::Response: Any,
    {
        self.send(version, body)?;
        self.take::<R>(version)
    }

    /// Reads an answer that is not recorded.
    pub(crate) fn take<R: Request>(&mut self, version: i16) -> Result<R::Response>
    where
        R::Response: Any,
    {
        match self.read_frame(DEADLINE) {
            Received::Frame(frame) => {
                let (_, response) = decode_response::<R>(&frame, version)?;
                self.learn(&response);
                Ok(response)
            }
            Received::Closed => bail!("{} v{version}, a preparation, was answered by closing", R::NAME),
            Received::Silence => bail!("{} v{version}, a preparation, was not answered", R::NAME),
        }
    }

    /// Makes a topic of one partition.
    pub(crate) fn topic(&mut self, short: &str) -> Result<KString> {
        self.topic_with(short, 1, &[])
    }

    /// Makes a topic, and waits until it has leaders.
    pub(crate) fn topic_with(&mut self, short: &str, partitions: i32, configs: &[(&str, &str)]) -> Result<KString> {
        let name = self.name(short);
        let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
            name: KString::from(*name),
            value: Some(KString::from(*value)),
        };
        let topic = CreatableTopic {
            name: name.clone(),
            num_partitions: partitions,
            replication_factor: 1,
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 20_000, validate_only: false };
        let answer = self.prepare(7, &request)?;
        let made = answer.topics.first().context("a topic in the answer")?;
        ensure!(
            made.error_code.is_none(),
            "topic {short} was not made: {:?} {:?}",
            made.error_code,
            made.error_message
        );
        self.await_topic(&name)?;
        self.await_logs(&name, partitions)?;
        Ok(name)
    }

    /// Waits until the partitions have logs: Kafka makes them a little after it names their leader.
    fn await_logs(&mut self, name: &KString, partitions: i32) -> Result<()> {
        let until = Instant::now() + DEADLINE;
        let asked = (0..partitions).map(|partition_index| ListOffsetsPartition {
            partition_index,
            timestamp: -2,
            ..ListOffsetsPartition::default()
        });
        let topic = ListOffsetsTopic { name: name.clone(), partitions: asked.collect() };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() };
        loop {
            let answer = self.prepare(6, &request)?;
            if answer.topics.iter().flat_map(|t| &t.partitions).all(|p| p.error_code.is_none()) {
                return Ok(());
            }
            ensure!(Instant::now() < until, "topic {name} has no logs");
            std::thread::park_timeout(POLL);
        }
    }

    /// Waits until a topic has leaders: Kafka tells of a topic a little before its brokers lead it.
    pub(crate) fn await_topic(&mut self, name: &KString) -> Result<Uuid> {
        let until = Instant::now() + DEADLINE;
        let request = requests::metadata(&[name]);
        loop {
            let answer = self.prepare(12, &request)?;
            let topic = answer.topics.first().context("a topic in the answer")?;
            let led = !topic.partitions.is_empty() && topic.partitions.iter().all(|p| p.error_code.is_none());
            if topic.error_code.is_none() && led {
                return Ok(topic.topic_id);
            }
            ensure!(Instant::now() < until, "topic {name} has no leaders");
            std::thread::park_timeout(POLL);
        }
    }

    /// Waits until a topic has this many partitions, each with a leader and a log.
    pub(crate) fn await_partitions(&mut self, name: &KString, count: usize) -> Result<()> {
        let until = Instant::now() + DEADLINE;
        while self.prepare(12, &requests::metadata(&[name]))?.topics.first().map(|t| t.partitions.len()) != Some(count)
        {
            ensure!(Instant::now() < until, "topic {name} has not {count} partitions");
            std::thread::park_timeout(POLL);
        }
        self.await_topic(name)?;
        self.await_logs(name, i32::try_from(count)?)
    }

    /// Waits until a topic is gone.
    pub(crate) fn await_no_topic(&mut self, name: &KString) -> Result<()> {
        let until = Instant::now() + DEADLINE;
        let request = requests::metadata(&[name]);
        loop {
            let answer = self.prepare(12, &request)?;
            if answer.topics.iter().all(|t| t.error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) {
                return Ok(());
            }
            ensure!(Instant::now() < until, "topic {name} is still there");
            std::thread::park_timeout(POLL);
        }
    }

    /// The id of a topic that is there.
    pub(crate) fn topic_id(&mut self, name: &KString) -> Result<Uuid> {
        self.await_topic(name)
    }
}

/// Lets time pass, where time is what a situation is about.
pub(crate) fn pass_ms(ms: u64) {
    let until = Instant::now() + Duration::from_millis(ms);
    while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        std::thread::park_timeout(left);
    }
}

fn label_of<R: Request>(version: i16) -> String {
    format!("{} v{version}", R::KEY.name())
}

/// The tree of an answer. What our codec does not carry shows as a line of its own.
fn describe<R: Request>(response: &R::Response, frame: &Bytes, version: i16) -> Node
where
    R::Response: Any,
{
    let mut node = Node::of(response);
    let any: &dyn Any = response;
    if let Some(fetched) = any.downcast_ref::<FetchResponse>() {
        describe_records(&mut node, fetched);
    }
    let correlation_id = frame.first_chunk().map_or(0, |id| i32::from_be_bytes(*id));
    let written = encode_response(correlation_id, R::KEY, version, response).map(|rope| rope.to_bytes().slice(4..));
    if let (Node::Fields(fields), false) = (&mut node, written.as_ref().is_ok_and(|written| written == frame)) {
        let understood = written.map_or(0, |written| written.len());
        let text = format!("{} bytes came, {understood} are understood", frame.len());
        fields.push(("encoding".to_owned(), Node::Leaf(text)));
    }
    node
}

fn describe_records(node: &mut Node, fetched: &FetchResponse) {
    let Some(Node::List(topics)) = node.field_mut("responses") else { return };
    for (topic, of) in topics.iter_mut().zip(&fetched.responses) {
        let Some(Node::List(partitions)) = topic.field_mut("partitions") else { continue };
        for (partition, of) in partitions.iter_mut().zip(&of.partitions) {
            if let (Some(node), Some(records)) = (partition.field_mut("records"), &of.records) {
                *node = batches::describe(&records.to_bytes());
            }
        }
    }
}

fn read_exact(stream: &mut TcpStream, into: &mut [u8], wait: Duration) -> Result<(), ErrorKind> {
    let until = Instant::now() + wait;
    let mut at = 0;
    while at < into.len() {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut);
        }
        stream.set_read_timeout(Some(left)).map_err(|e| e.kind())?;
        match stream.read(&mut into[at..]) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof),
            Ok(read) => at += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.kind()),
        }
    }
    Ok(())
}
