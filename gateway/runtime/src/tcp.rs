//! TCP, as a gateway wants it.
//!
//! Promises: a peer that vanishes without a word is noticed by the kernel within two minutes, whether it owes an
//! acknowledgement or nothing was sent at all; the end of a peer's bytes is seen also behind bytes that nobody has read
//! (T7). Called by the binary's composition root, through [`Listener`].

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use crate::net::{Accepted, Duplex, Listener, PeerAddr};

/// When the kernel takes a peer for vanished.
#[derive(Debug, Clone, Copy)]
struct Watch {
    /// Silence after which the kernel asks whether the peer is still there …
    silence: Duration,
    /// … how often it asks …
    interval: Duration,
    /// … and how many questions may stay unanswered.
    questions: u32,
    /// Longest that sent bytes, or questions, may stay unacknowledged; by default Linux gives up on bytes after a quarter
    /// of an hour.
    #[cfg(target_os = "linux")]
    unacknowledged: Duration,
}

/// As operations.md says.
const WATCH: Watch = Watch {
    silence: Duration::from_secs(60),
    interval: Duration::from_secs(15),
    questions: 4,
    #[cfg(target_os = "linux")]
    unacknowledged: Duration::from_secs(120),
};

/// A TCP listener with the options a gateway wants on each connection: no delay, keepalive after a minute, and an end to
/// peers that do not acknowledge.
#[derive(Debug)]
pub struct TcpAcceptor {
    listener: TcpListener,
    watch: Watch,
}

impl TcpAcceptor {
    /// Listens at `addr`.
    ///
    /// # Errors
    /// As `bind` gives them: the address is taken, not ours, or not permitted.
    pub async fn bind(addr: SocketAddr) -> io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(addr).await?, watch: WATCH })
    }
}

#[async_trait]
impl Listener for TcpAcceptor {
    async fn accept(&mut self) -> io::Result<Accepted> {
        let (stream, peer) = self.listener.accept().await?;
        set_options(&stream, self.watch)?;
        Ok(Accepted { stream: Box::new(TcpDuplex { stream, end: None }), peer: PeerAddr::Tcp(peer) })
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.listener.local_addr().ok()
    }
}

fn set_options(stream: &TcpStream, watch: Watch) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let keepalive =
        TcpKeepalive::new().with_time(watch.silence).with_interval(watch.interval).with_retries(watch.questions);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(watch.unacknowledged))?;
    Ok(())
}

/// An accepted connection.
#[derive(Debug)]
struct TcpDuplex {
    stream: TcpStream,
    /// Watches for the end of the peer's bytes while bytes before it are unread. It has a readiness of its own: that of
    /// `stream` must stay as it is, or the unread bytes would never be read.
    end: Option<TcpStream>,
}

impl TcpDuplex {
    fn poll_end_behind_bytes(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.end.is_none() {
            self.end = second(&self.stream).ok();
        }
        // Without a descriptor to spare the end is seen once the bytes before it are read.
        let Some(end) = &self.end else { return Poll::Pending };
        loop {
            if ready!(end.poll_read_ready(cx)).is_err() {
                return Poll::Ready(());
            }
            match end.ready(Interest::READABLE).now_or_never() {
                Some(Ok(ready)) if !ready.is_read_closed() => forget_readable(end),
                None => {}
                Some(_) => return Poll::Ready(()),
            }
        }
    }
}

/// The same connection with a readiness of its own.
fn second(stream: &TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(std::net::TcpStream::from(stream.as_fd().try_clone_to_owned()?))
}

/// From now on only what comes next makes it readable; an end stays one.
fn forget_readable(stream: &TcpStream) {
    // The error is what says "not readable".
    let _ = stream.try_io(Interest::READABLE, || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into()));
}

impl Duplex for TcpDuplex {
    fn poll_peer_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut byte = [0_u8; 1];
        match self.stream.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(0) | Err(_)) => Poll::Ready(()),
            Poll::Ready(Ok(_)) => self.poll_end_behind_bytes(cx),
        }
    }
}

impl AsyncRead for TcpDuplex {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        // Who reads finds the end by itself.
        self.end = None;
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for TcpDuplex {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
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
        watched_pair(WATCH).await
    }

    async fn watched_pair(watch: Watch) -> (Box<dyn Duplex>, TcpStream) {
        let acceptor = TcpAcceptor::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let mut acceptor = TcpAcceptor { watch, ..acceptor };
        let client = TcpStream::connect(acceptor.local_addr().unwrap()).await.unwrap();
        (acceptor.accept().await.unwrap().stream, client)
    }

    // Holds: T7
    #[tokio::test]
    async fn a_peer_that_closes_its_end_wakes_who_waits_for_it() {
        let (mut server, mut client) = tcp_pair().await;
        assert!(!is_gone(&mut *server).await);
        let gone = poll_fn(|cx| server.poll_peer_gone(cx));
        let (_, ended) = tokio::join!(gone, client.shutdown());
        ended.unwrap();
        assert!(is_gone(&mut *server).await);
    }

    // Holds: T7 (half-closed behind unread bytes: nothing but the end itself wakes who waits)
    #[tokio::test]
    async fn an_end_behind_unread_bytes_wakes_who_waits_for_it_and_the_bytes_stay() {
        let (mut server, mut client) = tcp_pair().await;
        for round in 0..3_usize {
            client.write_all(b"abc").await.unwrap();
            // Looked at with the bytes there, and more of them coming while it is watched.
            for _ in 0..50 {
                assert!(!is_gone(&mut *server).await, "unread bytes are no end");
                tokio::task::yield_now().await;
            }
            if round == 1 {
                let mut read = [0; 6];
                server.read_exact(&mut read).await.unwrap();
            }
        }
        let waiting = tokio::spawn(async move {
            poll_fn(|cx| server.poll_peer_gone(cx)).await;
            server
        });
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        client.shutdown().await.unwrap();
        let mut server = tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it wakes").unwrap();
        let mut read = Vec::new();
        server.read_to_end(&mut read).await.unwrap();
        assert_eq!(read, b"abc");
    }

    // Holds: T7
    #[tokio::test]
    async fn a_peer_that_resets_behind_unread_bytes_wakes_who_waits_for_it() {
        let (mut server, mut client) = tcp_pair().await;
        client.write_all(b"abc").await.unwrap();
        let waiting = tokio::spawn(async move { poll_fn(|cx| server.poll_peer_gone(cx)).await });
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
        SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        tokio::time::timeout(Duration::from_secs(10), waiting).await.expect("it wakes").unwrap();
    }

    /// Half-open peers: what the kernel is asked to do about those that vanish.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn every_accepted_connection_is_watched_by_the_kernel() {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let _client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        set_options(&stream, WATCH).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap() && stream.nodelay().unwrap());
        let told = (socket.tcp_keepalive_time().unwrap(), socket.tcp_keepalive_interval().unwrap());
        assert_eq!(told, (Duration::from_secs(60), Duration::from_secs(15)));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 4);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(120)));
        let silent = told.0 + told.1 * 4;
        assert!(silent <= Duration::from_secs(120), "a peer that vanished is noticed after {silent:?}");
    }

    /// With times as short as the kernel takes them.
    #[cfg(target_os = "linux")]
    const CLOSE_WATCH: Watch = Watch {
        silence: Duration::from_secs(1),
        interval: Duration::from_secs(1),
        questions: 2,
        unacknowledged: Duration::from_secs(3),
    };

    /// From now on nothing reaches the peer, so that it acknowledges and answers nothing: as if its machine had lost power,
    /// or a firewall its table.
    #[cfg(target_os = "linux")]
    fn vanish(peer: &TcpStream) {
        // Berkeley Packet Filter: "return 0", of each packet keep nothing.
        const KEEP_NOTHING: socket2::SockFilter = socket2::SockFilter::new(0x06, 0, 0, 0);
        SockRef::from(peer).attach_filter(&[KEEP_NOTHING]).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_idle_connection_whose_peer_vanished_ends() {
        let (mut server, client) = watched_pair(CLOSE_WATCH).await;
        let (mut beside, _alive) = watched_pair(CLOSE_WATCH).await;
        vanish(&client);
        let mut byte = [0];
        let read = tokio::time::timeout(Duration::from_secs(20), server.read(&mut byte)).await;
        assert_eq!(read.expect("it ends").unwrap_err().kind(), io::ErrorKind::TimedOut);
        let read = tokio::time::timeout(Duration::from_secs(3), beside.read(&mut byte)).await;
        assert!(read.is_err(), "a peer that is there and silent is left alone: {read:?}");
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn an_answer_that_a_vanished_peer_never_acknowledges_ends_the_connection() {
        let (mut server, client) = watched_pair(CLOSE_WATCH).await;
        vanish(&client);
        server.write_all(b"an answer").await.unwrap();
        let gone = tokio::time::timeout(Duration::from_secs(20), poll_fn(|cx| server.poll_peer_gone(cx))).await;
        gone.expect("who waits for the end wakes");
        let read = server.read(&mut [0]).await;
        assert!(matches!(&read, Ok(0) | Err(_)), "{read:?}");
    }
}
