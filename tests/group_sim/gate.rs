//! A gateway that stands still: whatever it asks the log for, and the bytes of its connections both ways, are held for a
//! while, and arrive then.
//!
//! Promises: a request that was sent when the gate closed takes effect when it opens, also if its sender is gone by then
//! (a packet that lingers); what a client wrote and that it closed its end are seen together. Never: loses anything.
//! Called by `fleet`.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use async_trait::async_trait;
use bytes::Bytes;
use sluice_runtime::{Accepted, Clock, Duplex, Listener, MemoryStream, PeerAddr, memory_pipe};
use sluice_store::{
    Appended, BodyRef, Consistency, Incarnation, LogCapabilities, LogPosition, MetadataLog, Sealed, Staged, StoreError,
    StoreErrorKind, StoreResult, TailRead,
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

/// Open or closed.
#[derive(Debug, Default)]
pub struct Gate(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    is_closed: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    pub fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
    }

    pub fn open(&self) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        held.is_closed = false;
        let waiting = std::mem::take(&mut held.waiting);
        drop(held);
        waiting.into_iter().for_each(Waker::wake);
    }

    fn poll_pass(&self, cx: &Context<'_>) -> Poll<()> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.is_closed {
            return Poll::Ready(());
        }
        if !held.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
            held.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    async fn pass(&self) {
        poll_fn(|cx| self.poll_pass(cx)).await;
    }

    /// A request through the gate, and its answer back.
    async fn through<T: Send + 'static>(
        self: &Arc<Self>,
        request: impl Future<Output = StoreResult<T>> + Send + 'static,
    ) -> StoreResult<T> {
        let gate = self.clone();
        // On its way already: the end of its sender does not hold it back.
        let sent = tokio::spawn(async move {
            gate.pass().await;
            request.await
        });
        let answer = sent.await.unwrap_or_else(|_| Err(StoreError::new(StoreErrorKind::Unknown, "the run is over")));
        self.pass().await;
        answer
    }
}

/// A [`MetadataLog`] behind a gate.
#[derive(Debug)]
pub struct GatedLog {
    pub inner: Arc<dyn MetadataLog>,
    pub gate: Arc<Gate>,
}

#[async_trait]
impl MetadataLog for GatedLog {
    fn incarnation(&self) -> Incarnation {
        self.inner.incarnation()
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        let (inner, entry) = (self.inner.clone(), entry.clone());
        self.gate.through(async move { inner.stage(&entry).await }).await
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        let (inner, entries) = (self.inner.clone(), entries.to_vec());
        self.gate.through(async move { inner.append(&entries, known).await }).await
    }

    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
        let inner = self.inner.clone();
        self.gate.through(async move { inner.read(known, consistency).await }).await
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        let (inner, body) = (self.inner.clone(), body.clone());
        self.gate.through(async move { inner.read_body(&body).await }).await
    }

    fn capabilities(&self) -> LogCapabilities {
        self.inner.capabilities()
    }
}

/// How many bytes a gateway has read from one connection.
pub type BytesRead = Arc<AtomicU64>;

/// Opens connections to a [`GatedListener`].
#[derive(Debug, Clone)]
pub struct Door {
    outgoing: mpsc::Sender<(MemoryStream, BytesRead)>,
    pipe_bytes: usize,
}

/// Accepts what comes through its door while its gate is open.
#[derive(Debug)]
pub struct GatedListener {
    incoming: mpsc::Receiver<(MemoryStream, BytesRead)>,
    gate: Arc<Gate>,
    accepted: u64,
}

pub fn gated_listener(pipe_bytes: usize, gate: &Arc<Gate>) -> (GatedListener, Door) {
    let (outgoing, incoming) = mpsc::channel(128);
    (GatedListener { incoming, gate: gate.clone(), accepted: 0 }, Door { outgoing, pipe_bytes })
}

impl Door {
    /// A connection, and how much of it the gateway has read; `None` when the gateway is gone.
    pub async fn connect(&self) -> Option<(MemoryStream, BytesRead)> {
        let (ours, theirs) = memory_pipe(self.pipe_bytes);
        let read = BytesRead::default();
        self.outgoing.send((theirs, read.clone())).await.ok()?;
        Some((ours, read))
    }
}

#[async_trait]
impl Listener for GatedListener {
    async fn accept(&mut self) -> io::Result<Accepted> {
        self.gate.pass().await;
        let Some((stream, read)) = self.incoming.recv().await else { return std::future::pending().await };
        self.accepted += 1;
        let stream = GatedStream { inner: stream, gate: self.gate.clone(), read };
        Ok(Accepted { stream: Box::new(stream), peer: PeerAddr::Memory(self.accepted) })
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

/// The gateway's end of a connection.
struct GatedStream {
    inner: MemoryStream,
    gate: Arc<Gate>,
    read: BytesRead,
}

impl AsyncRead for GatedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.gate.poll_pass(cx));
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.read.fetch_add((buf.filled().len() - before) as u64, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for GatedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.gate.poll_pass(cx));
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.gate.poll_pass(cx));
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Duplex for GatedStream {
    fn poll_peer_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        std::task::ready!(self.gate.poll_pass(cx));
        self.inner.poll_peer_gone(cx)
    }
}

/// A gateway's clock: the simulation's, whose wall may jump, as that of a machine that slept.
#[derive(Debug)]
pub struct JumpyClock {
    pub inner: Arc<dyn Clock>,
    pub jumped_ms: AtomicU64,
}

impl Clock for JumpyClock {
    fn now(&self) -> tokio::time::Instant {
        self.inner.now()
    }

    fn wall_ms(&self) -> i64 {
        let jumped = i64::try_from(self.jumped_ms.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        self.inner.wall_ms().saturating_add(jumped)
    }
}
