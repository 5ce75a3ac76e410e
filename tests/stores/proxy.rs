//! A TCP proxy before an emulator that counts requests, shows their headers, holds one or its answer back, and loses answers.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

/// Forwards to one emulator for as long as the test's runtime lives.
#[derive(Clone)]
pub struct Proxy {
    addr: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// How many requests of each operation went through.
    requests: Mutex<BTreeMap<String, u64>>,
    /// The head of the last request, as it was sent.
    last_head: Mutex<String>,
    lose_next_answer: AtomicBool,
    /// The operation whose next request waits before it is forwarded.
    held: Mutex<Option<String>>,
    hold_next_answer: AtomicBool,
    answer_released: Notify,
    arrived: Notify,
    released: Notify,
}

impl Proxy {
    pub async fn before(endpoint: &str) -> Self {
        let upstream: SocketAddr = endpoint.strip_prefix("http://").unwrap().parse().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Self { addr: listener.local_addr().unwrap(), state: Arc::default() };
        let state = Arc::clone(&proxy.state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, upstream, Arc::clone(&state)));
            }
        });
        proxy
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The next request reaches the emulator and takes effect; its answer is lost, and its connection closed.
    pub fn lose_next_answer(&self) {
        self.state.lose_next_answer.store(true, Ordering::SeqCst);
    }

    /// The next request of this operation waits in the proxy until [`release`](Self::release).
    pub fn hold_next(&self, operation: &str) {
        *self.state.held.lock().unwrap() = Some(operation.to_owned());
    }

    /// The next answer, of whichever request, waits in the proxy until [`release_answer`](Self::release_answer).
    pub fn hold_next_answer(&self) {
        self.state.hold_next_answer.store(true, Ordering::SeqCst);
    }

    /// Lets the answer that is held go on.
    pub fn release_answer(&self) {
        self.state.answer_released.notify_one();
    }

    /// Waits until the request or answer that is to be held has come.
    pub async fn wait_until_held(&self) {
        self.state.arrived.notified().await;
    }

    /// Forwards the request that is held.
    pub fn release(&self) {
        self.state.released.notify_one();
    }

    /// Requests since the last call, by DynamoDB operation or HTTP method.
    pub fn take_requests(&self) -> BTreeMap<String, u64> {
        std::mem::take(&mut self.state.requests.lock().unwrap())
    }

    /// The last request's line and headers, in lower case.
    pub fn last_head(&self) -> String {
        self.state.last_head.lock().unwrap().clone()
    }
}

/// The SDK sends one request after the other on a connection, and a request's head in one piece.
async fn forward(mut client: TcpStream, upstream: SocketAddr, state: Arc<State>) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream).await?;
    let (mut from_client, mut from_server) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => {
                let n = read?;
                if n == 0 {
                    return Ok(());
                }
                if state.note(&from_client[..n]) {
                    state.arrived.notify_one();
                    state.released.notified().await;
                }
                server.write_all(&from_client[..n]).await?;
            }
            read = server.read(&mut from_server) => {
                let n = read?;
                if n == 0 || state.lose_next_answer.swap(false, Ordering::SeqCst) {
                    return Ok(());
                }
                if state.hold_next_answer.swap(false, Ordering::SeqCst) {
                    state.arrived.notify_one();
                    state.answer_released.notified().await;
                }
                client.write_all(&from_server[..n]).await?;
            }
        }
    }
}

impl State {
    /// Counts the request that begins here, if one does (body bytes have no head); true when it is to be held.
    fn note(&self, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
        if !head.lines().next().is_some_and(|line| line.ends_with("HTTP/1.1")) {
            return false;
        }
        let head = head.to_lowercase();
        let target = head.lines().find_map(|line| line.strip_prefix("x-amz-target: dynamodb_20120810."));
        let operation = target.or_else(|| head.split(' ').next()).unwrap_or_default().to_owned();
        *self.last_head.lock().unwrap() = head;
        let is_held = self.held.lock().unwrap().take_if(|held| *held == operation).is_some();
        *self.requests.lock().unwrap().entry(operation).or_default() += 1;
        is_held
    }
}
