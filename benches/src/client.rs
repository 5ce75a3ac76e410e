//! One blocking connection to a broker.
//!
//! Promises: answers are matched to requests by correlation id, every read and write ends by [`DEADLINE`], large frames
//! are sent without a copy and received into memory that is used again.

use std::io::{BufReader, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bytes::{Bytes, BytesMut};
use sluice_protocol::{Request, Rope, decode_response, encode_request};

/// Longest that one read or write may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// Small answers that arrived together are read together.
const READ_BUFFER_BYTES: usize = 64 << 10;
/// No answer of a benchmark is larger.
const FRAME_BYTES_MAX: usize = 128 << 20;

/// A request, encoded once and sent often.
#[derive(Debug, Clone)]
pub(crate) struct Prepared {
    correlation_id: i32,
    frame: Rope,
}

impl Prepared {
    pub(crate) fn new<R: Request>(correlation_id: i32, version: i16, request: &R) -> anyhow::Result<Self> {
        let frame = encode_request(correlation_id, Some("sluice-bench"), version, request)?;
        Ok(Self { correlation_id, frame })
    }

    pub(crate) fn correlation_id(&self) -> i32 {
        self.correlation_id
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: BufReader<TcpStream>,
    /// Memory of the last answer; its length is what was initialised once.
    memory: BytesMut,
    next_correlation_id: i32,
}

impl Connection {
    pub(crate) fn open(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream =
            TcpStream::connect_timeout(&addr, DEADLINE).with_context(|| format!("cannot connect to {addr}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self {
            stream: BufReader::with_capacity(READ_BUFFER_BYTES, stream),
            memory: BytesMut::new(),
            next_correlation_id: 1_000_000,
        })
    }

    /// Sends a prepared request.
    pub(crate) fn send(&mut self, request: &Prepared) -> anyhow::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = request.frame.iter().map(|chunk| IoSlice::new(chunk)).collect();
        let mut rest = slices.as_mut_slice();
        while !rest.is_empty() {
            match self.stream.get_mut().write_vectored(rest).context("cannot send a request")? {
                0 => bail!("the server takes no more bytes"),
                written => IoSlice::advance_slices(&mut rest, written),
            }
        }
        Ok(())
    }

    /// Receives the answer to the request of this id and hands its body to `read`. The memory of the frame is used again
    /// if nothing of it is kept.
    pub(crate) fn receive<R: Request, T>(
        &mut self,
        correlation_id: i32,
        version: i16,
        read: impl FnOnce(R::Response) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).context("no answer")?;
        let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
        ensure!(length <= FRAME_BYTES_MAX, "an answer of {length} bytes");
        let mut memory = std::mem::take(&mut self.memory);
        if memory.len() < length {
            memory.resize(length, 0);
        }
        let target = memory.get_mut(..length).unwrap_or_default();
        self.stream.read_exact(target).context("half an answer")?;
        let memory = memory.freeze();
        let result = read_body::<R, T>(&memory.slice(..length), correlation_id, version, read);
        self.memory = memory.try_into_mut().unwrap_or_default();
        result
    }

    /// Sends a request and returns its answer.
    pub(crate) fn call<R: Request>(&mut self, version: i16, request: &R) -> anyhow::Result<R::Response> {
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1);
        let prepared = Prepared::new(self.next_correlation_id, version, request)?;
        self.send(&prepared)?;
        self.receive::<R, _>(prepared.correlation_id, version, Ok)
    }
}

fn read_body<R: Request, T>(
    frame: &Bytes,
    expected: i32,
    version: i16,
    read: impl FnOnce(R::Response) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let (correlation_id, body) = decode_response::<R>(frame, version).context("an answer that cannot be read")?;
    ensure!(correlation_id == expected, "expected the answer to {expected}, got that to {correlation_id}");
    read(body)
}
