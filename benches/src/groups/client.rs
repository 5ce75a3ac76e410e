//! One connection of a group's member: asynchronous, for there are thousands of them and most of them wait.
//!
//! Promises: answers are matched to requests by correlation id; every wait ends by [`DEADLINE`].

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use bytes::Bytes;
use sluice_protocol::{Request, decode_response, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest that an answer may take: more than any rebalance here is given.
const DEADLINE: Duration = Duration::from_secs(90);
/// No answer of a group is larger.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// A connection.
#[derive(Debug)]
pub(crate) struct Peer {
    stream: BufReader<TcpStream>,
    correlation_id: i32,
}

impl Peer {
    pub(crate) async fn open(addr: SocketAddr) -> anyhow::Result<Self> {
        let stream =
            timeout(DEADLINE, TcpStream::connect(addr)).await?.with_context(|| format!("connect to {addr}"))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(1 << 10, stream), correlation_id: 0 })
    }

    /// Sends a request; its answer is the next but those of the requests sent before it.
    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: &R) -> anyhow::Result<i32> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = encode_request(self.correlation_id, Some("sluice-bench"), version, request)?.to_bytes();
        timeout(DEADLINE, self.stream.get_mut().write_all(&frame)).await?.context("cannot send a request")?;
        Ok(self.correlation_id)
    }

    /// Receives the answer to the request of this id.
    pub(crate) async fn receive<R: Request>(
        &mut self,
        correlation_id: i32,
        version: i16,
    ) -> anyhow::Result<R::Response> {
        let frame = timeout(DEADLINE, self.read_frame()).await.context("no answer in time")?.context("no answer")?;
        let (found, body) = decode_response::<R>(&frame, version).context("an answer that cannot be read")?;
        ensure!(found == correlation_id, "expected the answer to {correlation_id}, got that to {found}");
        Ok(body)
    }

    /// Sends a request and returns its answer.
    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: &R) -> anyhow::Result<R::Response> {
        let correlation_id = self.send(version, request).await?;
        self.receive::<R>(correlation_id, version).await
    }

    async fn read_frame(&mut self) -> anyhow::Result<Bytes> {
        let length = usize::try_from(self.stream.read_i32().await?).unwrap_or(usize::MAX);
        ensure!(length <= FRAME_BYTES_MAX, "an answer of {length} bytes");
        let mut frame = vec![0; length];
        self.stream.read_exact(&mut frame).await?;
        Ok(frame.into())
    }
}
