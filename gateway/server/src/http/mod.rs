//! The HTTP port: whether the gateway lives, whether it is ready, what it counts.
//!
//! Promises: never changes anything; answers while the gateway stops, so that its load balancer sees it go; heads, times
//! and connections are bounded (I-14), bodies are not read. Called by `server`.

mod routes;

use std::sync::Arc;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use sluice_runtime::Listener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::limits::Limits;

pub(crate) use routes::Routes;

/// Serves `listener` until its task is dropped.
pub(crate) async fn serve_http(mut listener: Box<dyn Listener>, routes: Arc<Routes>, limits: Limits) {
    let permits = Arc::new(Semaphore::new(limits.http_connections_max.clamp(1, Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        let accept = async {
            let permit = Arc::clone(&permits).acquire_owned().await.ok()?;
            match listener.accept().await {
                Ok(accepted) => Some((accepted, permit)),
                Err(error) => {
                    tracing::debug!(%error, "an HTTP connection could not be accepted");
                    tokio::time::sleep(limits.accept_pause).await;
                    None
                }
            }
        };
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            accepted = accept => {
                let Some((accepted, permit)) = accepted else { continue };
                let routes = Arc::clone(&routes);
                let limits = limits.clone();
                connections.spawn(async move {
                    serve_one(accepted.stream, routes, &limits).await;
                    drop(permit);
                });
            }
        }
    }
}

async fn serve_one(stream: Box<dyn sluice_runtime::Duplex>, routes: Arc<Routes>, limits: &Limits) {
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let response = routes.answer(request.method(), request.uri().path());
        std::future::ready(Ok::<_, std::convert::Infallible>(response))
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.http_head_timeout)
        .max_buf_size(limits.http_head_bytes_max.max(8 << 10))
        .keep_alive(true)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}
