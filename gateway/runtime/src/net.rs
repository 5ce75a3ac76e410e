//! Sockets as things one is given (I-13): the seam, and the in-memory pipes of the simulation. TCP is in `tcp`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::sync::mpsc;

/// A connection's bytes, both ways. Its `poll_write_vectored` is real wherever the transport has one.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Ready when the peer is known to have closed its end, or to have reset the connection. Reads nothing (T7: a
    /// coordination request is dropped when its client is gone).
    ///
    /// Wakes for it, also when there are unread bytes before the end.
    fn poll_peer_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// Who is at the other end, for logs and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerAddr {
    /// A TCP peer.
    Tcp(SocketAddr),
    /// The n-th connection of an in-memory listener.
    Memory(u64),
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => write!(f, "{addr}"),
            Self::Memory(n) => write!(f, "memory#{n}"),
        }
    }
}

/// An accepted connection.
pub struct Accepted {
    /// Its bytes.
    pub stream: Box<dyn Duplex>,
    /// Its peer.
    pub peer: PeerAddr,
}

/// Accepts connections.
#[async_trait]
pub trait Listener: Send + 'static {
    /// The next connection. Errors are of this one attempt (a peer that reset, no file descriptor left): the caller
    /// waits a moment and calls again.
    async fn accept(&mut self) -> io::Result<Accepted>;

    /// The address connections are made to, if it has one.
    fn local_addr(&self) -> Option<SocketAddr>;
}

/// One end of an in-memory connection.
#[derive(Debug)]
pub struct MemoryStream {
    inner: DuplexStream,
    /// Set when this end is closed.
    ours: Arc<End>,
    theirs: Arc<End>,
}

#[derive(Debug, Default)]
struct End {
    is_closed: AtomicBool,
    waker: AtomicWaker,
}

impl End {
    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        self.waker.wake();
    }
}

/// Both ends of an in-memory connection; each direction buffers `bytes`.
#[must_use]
pub fn memory_pipe(bytes: usize) -> (MemoryStream, MemoryStream) {
    let (one, other) = tokio::io::duplex(bytes);
    let (one_end, other_end) = (Arc::new(End::default()), Arc::new(End::default()));
    let first = MemoryStream { inner: one, ours: Arc::clone(&one_end), theirs: Arc::clone(&other_end) };
    (first, MemoryStream { inner: other, ours: other_end, theirs: one_end })
}

impl Drop for MemoryStream {
    fn drop(&mut self) {
        self.ours.close();
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ours.close();
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

impl Duplex for MemoryStream {
    fn poll_peer_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.theirs.waker.register(cx.waker());
        if self.theirs.is_closed.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// Accepts what its [`Connector`]s connect.
#[derive(Debug)]
pub struct MemoryListener {
    incoming: mpsc::Receiver<MemoryStream>,
    accepted: u64,
}

/// Opens connections to a [`MemoryListener`].
#[derive(Debug, Clone)]
pub struct Connector {
    outgoing: mpsc::Sender<MemoryStream>,
    pipe_bytes: usize,
}

/// A listener and its connector; each direction of a connection buffers `pipe_bytes`.
#[must_use]
pub fn memory_listener(pipe_bytes: usize) -> (MemoryListener, Connector) {
    let (outgoing, incoming) = mpsc::channel(128);
    (MemoryListener { incoming, accepted: 0 }, Connector { outgoing, pipe_bytes })
}

impl Connector {
    /// A new connection.
    ///
    /// # Errors
    /// `ConnectionRefused` when the listener is gone.
    pub async fn connect(&self) -> io::Result<MemoryStream> {
        let (ours, theirs) = memory_pipe(self.pipe_bytes);
        let refused = |_| io::Error::new(io::ErrorKind::ConnectionRefused, "the listener is gone");
        self.outgoing.send(theirs).await.map_err(refused)?;
        Ok(ours)
    }
}

#[async_trait]
impl Listener for MemoryListener {
    async fn accept(&mut self) -> io::Result<Accepted> {
        match self.incoming.recv().await {
            Some(stream) => {
                self.accepted += 1;
                Ok(Accepted { stream: Box::new(stream), peer: PeerAddr::Memory(self.accepted) })
            }
            // Nobody can connect any more, which is not an error of an attempt: there is nothing left to wait for.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::AsyncWriteExt;

    use super::*;

    async fn is_gone(stream: &mut dyn Duplex) -> bool {
        poll_fn(|cx| Poll::Ready(stream.poll_peer_gone(cx).is_ready())).await
    }

    // Holds: T7
    #[tokio::test]
    async fn a_memory_peer_that_closes_or_goes_away_is_gone() {
        let (mut server, mut client) = memory_pipe(16);
        client.write_all(b"abc").await.unwrap();
        assert!(!is_gone(&mut server).await, "unread bytes are no end");
        client.shutdown().await.unwrap();
        assert!(is_gone(&mut server).await);
        let (mut server, client) = memory_pipe(16);
        let (_, ()) = tokio::join!(poll_fn(|cx| server.poll_peer_gone(cx)), async { drop(client) });
    }
}
