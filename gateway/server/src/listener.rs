//! Accepts connections of one Kafka listener.
//!
//! Promises: connections over all listeners stay within their bound; an accept that fails costs a pause, never the
//! listener. When its task is dropped its connections are closed with it. Called by `server`.

use std::sync::Arc;

use sluice_runtime::{Accepted, Listener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::advertised::Advertised;
use crate::connection::{Connection, Shared};
use crate::request::Caller;

/// Serves `listener` until the stop has come and its connections have ended.
pub(crate) async fn serve_listener(
    mut listener: Box<dyn Listener>,
    advertised: Arc<Advertised>,
    shared: Arc<Shared>,
    permits: Arc<Semaphore>,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = shared.steps.drain.wait() => break,
            Some(_) = connections.join_next() => {}
            accepted = accept(&mut *listener, &shared, &permits) => {
                // A pattern in the branch would switch it off after a failure, and nothing would be accepted any more.
                let Some((accepted, permit)) = accepted else { continue };
                let caller = Arc::new(Caller::new(Arc::clone(&advertised), &accepted.peer));
                connections.spawn(serve(accepted, Arc::clone(&shared), caller, permit));
            }
        }
    }
    // New connections are refused from here on, so that clients go elsewhere at once.
    drop(listener);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is room for it; `None` after an attempt that failed.
async fn accept(
    listener: &mut dyn Listener,
    shared: &Shared,
    permits: &Arc<Semaphore>,
) -> Option<(Accepted, OwnedSemaphorePermit)> {
    let permit = match Arc::clone(permits).try_acquire_owned() {
        Ok(permit) => permit,
        Err(_) => {
            if let Some(left_out) = shared.log_gate.admit(shared.clock.now()) {
                let max = shared.limits.connections_max;
                tracing::warn!(max, left_out, "all connections are taken; new ones wait until one closes");
            }
            Arc::clone(permits).acquire_owned().await.ok()?
        }
    };
    match listener.accept().await {
        Ok(accepted) => Some((accepted, permit)),
        Err(error) => {
            if let Some(left_out) = shared.log_gate.admit(shared.clock.now()) {
                tracing::warn!(%error, left_out, "a connection could not be accepted");
            }
            tokio::time::sleep(shared.limits.accept_pause).await;
            None
        }
    }
}

async fn serve(accepted: Accepted, shared: Arc<Shared>, caller: Arc<Caller>, _permit: OwnedSemaphorePermit) {
    let Accepted { stream, peer } = accepted;
    let metrics = &shared.metrics;
    metrics.connections_accepted.inc();
    metrics.connections.inc();
    let close = Connection::new(stream, Arc::clone(&shared), caller).run(&peer).await;
    metrics.connections.dec();
    tracing::debug!(%peer, reason = %close, "connection ended");
}
