//! Sockets: TCP in production, in-memory pipes in the simulation (I-13).

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A connection's bytes, both ways. Its `poll_write_vectored` is real wherever the transport has one.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send + 'static> Duplex for T {}

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

/// Accepts what its [`Connector`]s connect.
#[derive(Debug)]
pub struct MemoryListener {
    incoming: mpsc::Receiver<DuplexStream>,
    accepted: u64,
}

/// Opens connections to a [`MemoryListener`].
#[derive(Debug, Clone)]
pub struct Connector {
    outgoing: mpsc::Sender<DuplexStream>,
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
    pub async fn connect(&self) -> io::Result<DuplexStream> {
        let (ours, theirs) = tokio::io::duplex(self.pipe_bytes);
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
