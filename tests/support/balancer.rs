//! A small TCP balancer: clients know one address, and each of their connections goes to the next gateway.
//!
//! Promises: new connections go round the backends in turn; one that refuses is passed over; bytes, half closes and
//! resets pass through unchanged; everything ends with the handle. Never: looks into a connection or moves it.
//! Called by the suites in which members of one group meet at several gateways.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::AbortHandle;

/// A running balancer, on a free port of 127.0.0.1.
pub struct Balancer {
    addr: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Shared {
    backends: Vec<SocketAddr>,
    next: usize,
    next_connection: u64,
    open: BTreeMap<u64, (SocketAddr, AbortHandle)>,
    accepted: BTreeMap<SocketAddr, u64>,
}

impl Shared {
    /// The backends in the order in which the next connection tries them.
    fn turn(&mut self) -> Vec<SocketAddr> {
        if self.backends.is_empty() {
            return Vec::new();
        }
        let first = self.next % self.backends.len();
        self.next = first + 1;
        let mut order = self.backends.clone();
        order.rotate_left(first);
        order
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Balancer {
    /// Listens, with no backend yet: gateways must know its address before they start.
    ///
    /// # Panics
    /// When there is no free port.
    #[must_use]
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).expect("a free port");
        let addr = listener.local_addr().unwrap();
        let shared = Arc::new(Mutex::new(Shared::default()));
        runtime.spawn(accept(listener, shared.clone()));
        Self { addr, shared, runtime: Some(runtime) }
    }

    /// Where clients connect.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Sends new connections to this backend too.
    pub fn add(&self, backend: SocketAddr) {
        let mut shared = lock(&self.shared);
        if !shared.backends.contains(&backend) {
            shared.backends.push(backend);
        }
    }

    /// Sends no new connections to this backend; those it has stay.
    pub fn withdraw(&self, backend: SocketAddr) {
        lock(&self.shared).backends.retain(|b| *b != backend);
    }

    /// Ends the connections to this backend at once.
    pub fn cut(&self, backend: SocketAddr) {
        let shared = lock(&self.shared);
        shared.open.values().filter(|(to, _)| *to == backend).for_each(|(_, task)| task.abort());
    }

    /// How many connections are open to this backend.
    #[must_use]
    pub fn connections(&self, backend: SocketAddr) -> usize {
        lock(&self.shared).open.values().filter(|(to, task)| *to == backend && !task.is_finished()).count()
    }

    /// How many connections this backend has been given, open or not.
    #[must_use]
    pub fn accepted(&self, backend: SocketAddr) -> u64 {
        lock(&self.shared).accepted.get(&backend).copied().unwrap_or(0)
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    loop {
        // Out of file descriptors, say: the client tries again, and so do we with the next one.
        let Ok((client, _)) = listener.accept().await else { continue };
        let task_shared = shared.clone();
        let id = {
            let mut shared = lock(&shared);
            shared.next_connection += 1;
            shared.next_connection
        };
        let task = tokio::spawn(async move {
            let _ = serve(client, &task_shared, id).await;
            lock(&task_shared).open.remove(&id);
        });
        drop(task);
    }
}

/// Carries one connection until both sides have closed.
async fn serve(mut client: TcpStream, shared: &Mutex<Shared>, id: u64) -> io::Result<()> {
    let order = lock(shared).turn();
    for backend in order {
        let Ok(mut upstream) = TcpStream::connect(backend).await else { continue };
        client.set_nodelay(true)?;
        upstream.set_nodelay(true)?;
        let carrying = tokio::spawn(async move {
            let result = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
            if result.is_err() {
                // What one side reset, the other must not take for an orderly end.
                let _ = socket2::SockRef::from(&client).set_linger(Some(std::time::Duration::ZERO));
                let _ = socket2::SockRef::from(&upstream).set_linger(Some(std::time::Duration::ZERO));
            }
        });
        {
            let mut shared = lock(shared);
            *shared.accepted.entry(backend).or_default() += 1;
            shared.open.insert(id, (backend, carrying.abort_handle()));
        }
        let _ = carrying.await;
        return Ok(());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Shutdown, TcpListener, TcpStream};

    use super::*;
    use crate::process::wait_until;

    const DEADLINE: std::time::Duration = std::time::Duration::from_secs(10);

    /// Answers every connection with this byte, then echoes until its end.
    fn backend(name: u8) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let addr = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                std::thread::spawn(move || {
                    stream.write_all(&[name]).unwrap();
                    let mut read = stream.try_clone().unwrap();
                    let _ = std::io::copy(&mut read, &mut stream);
                    let _ = stream.shutdown(Shutdown::Write);
                });
            }
        });
        addr
    }

    fn ask(balancer: &Balancer) -> (TcpStream, u8) {
        let mut stream = TcpStream::connect(balancer.addr()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut name = [0];
        stream.read_exact(&mut name).unwrap();
        (stream, name[0])
    }

    #[test]
    fn connections_go_round_and_pass_over_a_backend_that_refuses() {
        let (a, b) = (backend(b'a'), backend(b'b'));
        let gone = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
        let balancer = Balancer::start();
        for backend in [a, gone, b] {
            balancer.add(backend);
        }
        let names: Vec<u8> = (0..6).map(|_| ask(&balancer).1).collect();
        assert_eq!(names, b"abbabb", "the backend that is gone has its turn, which the next one takes");
        balancer.withdraw(b);
        assert_eq!(ask(&balancer).1, b'a');
        assert_eq!((balancer.accepted(a), balancer.accepted(gone), balancer.accepted(b)), (3, 0, 4));
    }

    #[test]
    fn half_closes_pass_and_a_cut_ends_the_connections_of_one_backend() {
        let (a, b) = (backend(b'a'), backend(b'b'));
        let balancer = Balancer::start();
        balancer.add(a);
        balancer.add(b);
        let (mut to_a, _) = ask(&balancer);
        let (mut to_b, _) = ask(&balancer);
        balancer.cut(a);
        let mut rest = Vec::new();
        let _ = to_a.read_to_end(&mut rest);
        assert!(rest.is_empty());
        wait_until("the cut connection is forgotten", DEADLINE, || balancer.connections(a) == 0);
        to_b.write_all(b"hello").unwrap();
        to_b.shutdown(Shutdown::Write).unwrap();
        to_b.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"hello");
        wait_until("the ended connection is forgotten", DEADLINE, || balancer.connections(b) == 0);
    }
}
