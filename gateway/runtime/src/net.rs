//! Sockets: TCP in production, in-memory pipes in the simulation (I-13).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use futures_util::task::AtomicWaker;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A connection's bytes, both ways. Its `poll_write_vectored` is real wherever the transport has one.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Ready when the peer is known to have closed its end, or to have reset the connection. Reads nothing (T7: a
    /// coordination request is dropped when its client is gone).
    ///
    /// Wakes for it as long as nothing is unread; behind unread bytes it is seen when it is asked again.
    fn poll_peer_gone(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

impl Duplex for TcpStream {
    fn poll_peer_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0_u8; 1];
        match self.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            // Unread bytes: whether an end follows them, the readiness of the socket tells (EPOLLRDHUP).
            Poll::Ready(Ok(_)) => match self.ready(Interest::READABLE).now_or_never() {
                Some(Ok(ready)) if !ready.is_read_closed() => Poll::Pending,
                None => Poll::Pending,
                Some(_) => Poll::Ready(()),
            },
        }
    }
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

/// A TCP listener with the options a gateway wants on each connection: no delay, and keepalive after a minute.
#[derive(Debug)]
pub struct TcpAcceptor(TcpListener);

impl TcpAcceptor {
    /// Listens at `addr`.
    ///
    /// # Errors
    /// As `bind` gives them: the address is taken, not ours, or not permitted.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self(TcpListener::bind(addr).await?))
    }
}

#[async_trait]
impl Listener for TcpAcceptor {
    async fn accept(&mut self) -> io::Result<Accepted> {
        let (stream, peer) = self.0.accept().await?;
        set_options(&stream)?;
        Ok(Accepted { stream: Box::new(stream), peer: PeerAddr::Tcp(peer) })
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.0.local_addr().ok()
    }
}

fn set_options(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(60)).with_interval(Duration::from_secs(15));
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
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

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn is_gone(stream: &mut dyn Duplex) -> bool {
        poll_fn(|cx| Poll::Ready(stream.poll_peer_gone(cx).is_ready())).await
    }

    async fn tcp_pair() -> (Box<dyn Duplex>, TcpStream) {
        let mut acceptor = TcpAcceptor::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let client = TcpStream::connect(acceptor.local_addr().unwrap()).await.unwrap();
        (acceptor.accept().await.unwrap().stream, client)
    }

    // Holds: T7
    #[tokio::test]
    async fn a_tcp_peer_that_closes_its_end_wakes_who_waits_for_it() {
        let (mut server, mut client) = tcp_pair().await;
        assert!(!is_gone(&mut *server).await);
        let gone = poll_fn(|cx| server.poll_peer_gone(cx));
        let (_, ended) = tokio::join!(gone, client.shutdown());
        ended.unwrap();
        assert!(is_gone(&mut *server).await);
    }

    // Holds: T7 (half-closed behind unread bytes)
    #[tokio::test]
    async fn a_tcp_end_behind_unread_bytes_is_seen_and_the_bytes_stay() {
        let (mut server, mut client) = tcp_pair().await;
        client.write_all(b"abc").await.unwrap();
        client.shutdown().await.unwrap();
        while !is_gone(&mut *server).await {
            tokio::task::yield_now().await;
        }
        let mut read = Vec::new();
        server.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"abc");
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
