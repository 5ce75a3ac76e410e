//! Many raw connections at once, and what they cost a process of the binary.
//!
//! Promises: nothing is retried; every wait ends by [`DEADLINE`] with a panic that says what was waited for. Never: judges
//! a number.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::process::Sluice;

/// Longest that anything here is waited for.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// Connections opened at the same time; more would overflow the listener's queue.
const OPENED_TOGETHER: usize = 100;
/// Descriptors that a test process needs besides its connections.
const OTHER_DESCRIPTORS: u64 = 200;

/// How many connections this process may open, up to `wanted`: its limit of open files is raised as far as it goes.
#[must_use]
pub fn room_for(wanted: usize) -> usize {
    let maximum = getrlimit(Resource::Nofile).maximum;
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).saturating_sub(OTHER_DESCRIPTORS);
    usize::try_from(limit).unwrap_or(usize::MAX).min(wanted)
}

/// A runtime of one thread: what it does is the generator's part, and takes one core at most.
///
/// # Panics
/// When the system gives no thread.
#[must_use]
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A connection that says exactly the bytes it is told to.
#[derive(Debug)]
pub struct Peer {
    /// Its socket.
    pub stream: TcpStream,
}

impl Peer {
    /// Connects.
    ///
    /// # Panics
    /// When nobody listens.
    pub async fn connect(addr: SocketAddr) -> Self {
        let connecting = timeout(DEADLINE, TcpStream::connect(addr)).await;
        let stream = connecting.expect("a connection in time").expect("connect");
        stream.set_nodelay(true).unwrap();
        Self { stream }
    }

    /// Writes all of it.
    ///
    /// # Errors
    /// When the other side has closed.
    ///
    /// # Panics
    /// When it is not taken in time.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        timeout(DEADLINE, self.stream.write_all(bytes)).await.expect("bytes are taken in time")
    }

    /// Says that nothing more will be written.
    pub async fn finish_writing(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// The next answer without its length; `None` when the other side closes instead.
    ///
    /// # Panics
    /// When neither comes in time.
    pub async fn answer(&mut self) -> Option<Bytes> {
        let reading = async {
            let length = self.stream.read_u32().await.ok()?;
            let mut frame = vec![0; usize::try_from(length).ok()?];
            self.stream.read_exact(&mut frame).await.ok()?;
            Some(Bytes::from(frame))
        };
        timeout(DEADLINE, reading).await.expect("an answer or an end in time")
    }

    /// Writes a request and returns its answer.
    ///
    /// # Panics
    /// When there is none.
    pub async fn ask(&mut self, request: &[u8]) -> Bytes {
        self.write(request).await.expect("write a request");
        self.answer().await.expect("an answer, not the end of the connection")
    }
}

/// Opens so many connections and has each ask for something; `requests` are whole requests, all of which are answered.
///
/// # Panics
/// When one is not.
pub async fn crowd(addr: SocketAddr, count: usize, requests: &[Vec<u8>]) -> Vec<Peer> {
    let mut peers = Vec::with_capacity(count);
    while peers.len() < count {
        let together: Vec<Peer> = {
            let mut connecting = Vec::new();
            for _ in 0..OPENED_TOGETHER.min(count - peers.len()) {
                connecting.push(Peer::connect(addr).await);
            }
            connecting
        };
        peers.extend(each(together, requests).await);
    }
    peers
}

/// Has each of them ask for something, all at the same time.
///
/// # Panics
/// When one is not answered.
pub async fn each(peers: Vec<Peer>, requests: &[Vec<u8>]) -> Vec<Peer> {
    let requests: Arc<[Vec<u8>]> = requests.into();
    let mut asking = JoinSet::new();
    for mut peer in peers {
        let requests = Arc::clone(&requests);
        asking.spawn(async move {
            peer.write(&requests.concat()).await.expect("write requests");
            for _ in requests.iter() {
                peer.answer().await.expect("an answer, not the end of the connection");
            }
            peer
        });
    }
    asking.join_all().await
}

/// CPU time of the process per request, when these connections together send `requests` of them, each one after the other.
/// `request` is asked for the n-th request of a connection.
///
/// # Panics
/// When one is not answered.
pub async fn cpu_per_request(
    sluice: &Sluice,
    peers: &mut Vec<Peer>,
    requests: usize,
    request: impl Fn(usize) -> Vec<u8>,
) -> Duration {
    let each = requests.div_ceil(peers.len());
    let mut asking = JoinSet::new();
    let before = sluice.cpu_time();
    for (n, mut peer) in peers.drain(..).enumerate() {
        let request = request(n);
        asking.spawn(async move {
            for _ in 0..each {
                peer.ask(&request).await;
            }
            peer
        });
    }
    let count = asking.len() * each;
    peers.extend(asking.join_all().await);
    (sluice.cpu_time() - before) / u32::try_from(count).expect("a number of requests")
}
