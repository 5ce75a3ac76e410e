//! Stores that are as far away as real ones: a log that answers late, and a TCP proxy before an emulator.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use sluice_store::{
    Appended, BodyRef, Consistency, Incarnation, LogCapabilities, LogPosition, MetadataLog, Sealed, Staged,
    StoreResult, TailRead,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// Above this, the entry of a log in DynamoDB is written apart from the list of entries, with a request of its own.
const BODY_OVER_BYTES: usize = 256;

/// A log with a round trip before every request.
#[derive(Debug)]
pub(crate) struct DelayedLog {
    inner: Arc<dyn MetadataLog>,
    round_trip: Duration,
}

impl DelayedLog {
    pub(crate) fn new(inner: Arc<dyn MetadataLog>, round_trip: Duration) -> Self {
        Self { inner, round_trip }
    }
}

#[async_trait]
impl MetadataLog for DelayedLog {
    fn incarnation(&self) -> Incarnation {
        self.inner.incarnation()
    }

    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
        if entry.bytes.len() > BODY_OVER_BYTES {
            sleep(self.round_trip).await;
        }
        self.inner.stage(entry).await
    }

    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
        sleep(self.round_trip).await;
        self.inner.append(entries, known).await
    }

    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
        sleep(self.round_trip).await;
        self.inner.read(known, consistency).await
    }

    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        sleep(self.round_trip).await;
        self.inner.read_body(body).await
    }

    fn capabilities(&self) -> LogCapabilities {
        self.inner.capabilities()
    }
}

/// Forwards to `upstream`, each request so much later; runs as long as the runtime. Requests of a connection follow each
/// other, and each but the largest comes in one piece.
pub(crate) async fn delay_requests(upstream: SocketAddr, round_trip: Duration) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("a port for the proxy")?;
    let addr = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                // The other side sees the end of a connection, and that is all there is to say about it.
                drop(forward(client, upstream, round_trip).await);
            });
        }
    });
    Ok(addr)
}

async fn forward(client: TcpStream, upstream: SocketAddr, round_trip: Duration) -> std::io::Result<()> {
    let server = TcpStream::connect(upstream).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let answers = tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
    let mut bytes = vec![0; 256 << 10];
    loop {
        let n = from_client.read(&mut bytes).await?;
        if n == 0 {
            break;
        }
        sleep(round_trip).await;
        to_server.write_all(bytes.get(..n).unwrap_or_default()).await?;
    }
    to_server.shutdown().await?;
    drop(answers.await);
    Ok(())
}
