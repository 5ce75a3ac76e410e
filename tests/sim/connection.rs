//! A client's connection: raw requests over an in-memory pipe.
//!
//! Promises: every request has its correlation id, and an answer that carries another one is told apart (I-07). Whatever
//! ends a connection ends it for good: its caller connects again.
//! Called by the clients of both simulations and their finales.

use std::time::Duration;

use bytes::Bytes;
use sluice_protocol::{Request, decode_response, encode_request};
use sluice_runtime::MemoryStream;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The gateway closed the connection, or is gone.
    Closed,
    /// Nothing came in time.
    TimedOut,
    /// What came answers another request, or cannot be read.
    Wrong,
}

/// One connection to one gateway.
pub struct Connection {
    stream: MemoryStream,
    /// What the client calls itself.
    client_id: String,
    pub slot: usize,
    pub generation: u64,
    sent: i32,
    received: i32,
}

/// A request larger than the pipe is taken within this time, or the gateway hangs.
const WRITE_MAX: Duration = Duration::from_secs(60);

impl Connection {
    pub fn new(stream: MemoryStream, client_id: &str, slot: usize, generation: u64) -> Self {
        Self { stream, client_id: client_id.to_owned(), slot, generation, sent: 0, received: 0 }
    }

    /// `g0.1`: the gateway at the other end.
    pub fn gateway(&self) -> String {
        format!("g{}.{}", self.slot, self.generation)
    }

    /// Sends a request.
    pub async fn send<R: Request>(&mut self, version: i16, body: &R) -> Result<(), Lost> {
        self.sent += 1;
        let frame =
            encode_request(self.sent, Some(&self.client_id), version, body).expect("a request that can be written");
        match timeout(WRITE_MAX, self.stream.write_all(&frame.to_bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Lost::Closed),
            Err(_) => Err(Lost::TimedOut),
        }
    }

    /// The answer to the oldest request not yet answered.
    pub async fn receive<R: Request>(&mut self, version: i16, within: Duration) -> Result<R::Response, Lost> {
        let frame = match timeout(within, self.read_frame()).await {
            Ok(frame) => frame.ok_or(Lost::Closed)?,
            Err(_) => return Err(Lost::TimedOut),
        };
        self.received += 1;
        match decode_response::<R>(&frame, version) {
            Ok((correlation_id, response)) if correlation_id == self.received => Ok(response),
            _ => Err(Lost::Wrong),
        }
    }

    /// Closes the client's end; what the gateway still sends can be read.
    #[allow(dead_code, reason = "only members of groups do so")]
    pub async fn half_close(&mut self) {
        // That it is closed already is as well.
        let _ = self.stream.shutdown().await;
    }

    /// Sends a request and waits for its answer.
    pub async fn request<R: Request>(&mut self, version: i16, body: &R, within: Duration) -> Result<R::Response, Lost> {
        self.send(version, body).await?;
        self.receive::<R>(version, within).await
    }

    async fn read_frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).await.ok()?;
        let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).ok()?];
        self.stream.read_exact(&mut frame).await.ok()?;
        Some(frame.into())
    }
}
