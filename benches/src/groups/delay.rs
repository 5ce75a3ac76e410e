//! A TCP proxy before an emulator, which is then as far away as a real store.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

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
