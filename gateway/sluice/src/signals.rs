//! SIGTERM and SIGINT: the first one stops gracefully, the second one at once.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that ask the process to stop.
#[derive(Debug)]
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// From now on neither signal ends the process by itself.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for one; its number, and its name for the log.
    pub(crate) async fn next(&mut self) -> (i32, &'static str) {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => (15, "SIGTERM"),
            _ = self.interrupt.recv() => (2, "SIGINT"),
        }
    }

    /// Lets the next one end the process at once, with the exit code a shell shows for that signal.
    pub(crate) fn exit_at_the_next(mut self) {
        tokio::spawn(async move {
            let (number, name) = self.next().await;
            tracing::warn!(signal = name, "second signal: stopping at once");
            std::process::exit(128 + number);
        });
    }
}
