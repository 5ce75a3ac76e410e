//! What a connection and the handlers of its requests tell each other.
//!
//! The connection knows frames and order, nothing of Kafka's APIs; whoever implements [`Dispatch`] knows the APIs,
//! nothing of sockets. The gateway's is in `dispatch`; tests of the connection have scripted ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use sluice_engine::Liveness;
use sluice_protocol::{DecodeError, EncodeError, Rope};
use sluice_runtime::PeerAddr;

use crate::advertised::Advertised;
use crate::refusal::Refusal;

/// How a request ends.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// With this response frame, its length included.
    Answer(Rope),
    /// With no bytes at all (acks=0).
    Silence,
    /// With a closed connection: there is no answer that a client would read rightly.
    Hangup(Refusal),
}

impl From<Result<Rope, EncodeError>> for Outcome {
    fn from(encoded: Result<Rope, EncodeError>) -> Self {
        match encoded {
            Ok(frame) => Self::Answer(frame),
            Err(error) => Self::Hangup(Refusal::AnswerFailed(error.to_string())),
        }
    }
}

/// The end of a request's first stage: until then no later request of the connection starts.
pub(crate) enum Stage {
    /// There is no second one.
    Settled(Outcome),
    /// The outcome comes later. Later requests that overlap may start; answers keep their order all the same (I-07).
    Overlapping(BoxFuture<'static, Outcome>),
}

/// A request that has been read, its API and version known.
pub(crate) struct Started {
    /// Index of the API in the metrics.
    pub(crate) api: usize,
    /// Its version.
    pub(crate) version: i16,
    /// It is dropped when its client is gone before it is answered (T7).
    pub(crate) ends_with_peer: bool,
    /// The work.
    pub(crate) stage: BoxFuture<'static, Stage>,
}

/// Begins requests.
pub(crate) trait Dispatch: Send + Sync + 'static {
    /// Whether requests of this key may start while earlier ones that overlap are not answered yet.
    fn overlaps(&self, key: i16) -> bool;

    /// Memory that a frame of this length and the request in it may take, in bytes; `None` before the key is known.
    fn memory_estimate(&self, key: Option<i16>, frame_bytes: usize) -> usize;

    /// Begins the request in `frame` (without its length). May panic: the caller's connection is closed for it.
    fn start(&self, frame: Bytes, caller: &Arc<Caller>) -> Result<Started, Refusal>;
}

/// What handlers know of the connection a request came from.
#[derive(Debug)]
pub(crate) struct Caller {
    /// The address of the listener, as clients are to use it.
    pub(crate) advertised: Arc<Advertised>,
    /// The peer's address as Kafka shows it to administrators: "/127.0.0.1".
    pub(crate) host: String,
    /// Whether a barrier was passed for this connection (T5).
    has_barrier: AtomicBool,
    /// Whether the peer is known to be gone (T7).
    is_gone: AtomicBool,
}

impl Caller {
    pub(crate) fn new(advertised: Arc<Advertised>, peer: &PeerAddr) -> Self {
        let host = match peer {
            PeerAddr::Tcp(addr) => format!("/{}", addr.ip().to_canonical()),
            PeerAddr::Memory(_) => "/127.0.0.1".to_owned(),
        };
        Self { advertised, host, has_barrier: AtomicBool::new(false), is_gone: AtomicBool::new(false) }
    }

    /// Notes that the peer closed its end or reset the connection.
    pub(crate) fn note_gone(&self) {
        self.is_gone.store(true, Ordering::Release);
    }

    /// Whether the first barrier of this connection was passed (T5).
    pub(crate) fn has_barrier(&self) -> bool {
        self.has_barrier.load(Ordering::Acquire)
    }

    /// Notes that it was.
    pub(crate) fn note_barrier(&self) {
        self.has_barrier.store(true, Ordering::Release);
    }
}

impl Liveness for Caller {
    fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::Unreadable(error.to_string())
    }
}
