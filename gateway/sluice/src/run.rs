//! The life of a process: from its arguments to its exit code.
//!
//! Promises: on ready exactly one line on stdout; a failure to start is one line `error: …` on stderr and an exit code that
//! is not 0; SIGTERM and SIGINT end in 0 within 25 s with everything accepted durable; a gateway that must not go on ends
//! the process with 3. Never: logs to stdout. Called by `main`.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sluice_runtime::{OsEntropy, SystemClock};
use tokio::runtime::Runtime;

use crate::cli::{Invocation, Refusal, parse};
use crate::config::{Config, Environment};
use crate::descriptors::make_room_for;
use crate::gateway::{Gateway, Listeners, start_gateway};
use crate::listeners::{bind, resolve, resolve_listen};
use crate::logging::start_logging;
use crate::signals::StopSignals;
use crate::stores::{StoreConfig, open_stores};

/// A setting or the world is not as it must be.
const EXIT_FAILED: u8 = 1;
/// The command line is not one.
const EXIT_USAGE: u8 = 2;
/// The gateway met what it must not go on after.
const EXIT_MUST_NOT_GO_ON: u8 = 3;
/// Longest that threads of the runtime are waited for once everything is closed: they hold nothing then.
const RUNTIME_STOP: Duration = Duration::from_millis(500);

/// How a gateway came to its end.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// Stopped by a signal, everything done.
    Stopped,
    /// Failed for this reason.
    MustNotGoOn(String),
}

/// Does what the arguments ask for.
pub fn run<I>(arguments: I, environment: Environment<'_>) -> ExitCode
where
    I: IntoIterator<Item: Into<std::ffi::OsString> + Clone>,
{
    match parse(arguments, environment) {
        Ok(Invocation::Print(text)) => {
            say(text.trim_end()).map_or_else(|error| fail(EXIT_FAILED, &error), |()| ExitCode::SUCCESS)
        }
        Ok(Invocation::Serve(config)) => serve(&config, ready_line),
        Ok(Invocation::Dev(config)) => serve(&config, bootstrap_line),
        Ok(Invocation::Check(config)) => check(&config),
        Err(Refusal::Usage(line)) => fail(EXIT_USAGE, &line),
        Err(Refusal::Setting(error)) => fail(EXIT_FAILED, &format!("{error:#}")),
    }
}

fn ready_line(gateway: &Gateway) -> String {
    let mut line = String::from("ready:");
    let addresses = [("kafka", gateway.kafka_addr()), ("http", gateway.http_addr())];
    for (name, addr) in addresses.into_iter().filter_map(|(name, addr)| Some((name, addr?))) {
        line.push_str(&format!(" {name}={addr}"));
    }
    line
}

fn bootstrap_line(gateway: &Gateway) -> String {
    let mut line = String::from("bootstrap:");
    if let Some(addr) = gateway.kafka_addr() {
        line.push_str(&format!(" {addr}"));
    }
    if let Some(addr) = gateway.http_addr() {
        line.push_str(&format!("\nhttp: {addr}"));
    }
    line
}

fn serve(config: &Config, announcement: fn(&Gateway) -> String) -> ExitCode {
    let ended = start_logging(config.log_format, &config.log_level)
        .and_then(|()| start_runtime(config.worker_threads))
        .and_then(|runtime| {
            make_room_for(config.gateway.wire.connections_max);
            let ended = runtime.block_on(async {
                let opening = open_gateway(config);
                serve_until_stopped(opening, |gateway| {
                    log_ready(config, gateway);
                    say(&announcement(gateway))
                })
                .await
            });
            runtime.shutdown_timeout(RUNTIME_STOP);
            ended
        });
    exit_code(ended)
}

fn exit_code(ended: anyhow::Result<Ended>) -> ExitCode {
    match ended {
        Ok(Ended::Stopped) => ExitCode::SUCCESS,
        Ok(Ended::MustNotGoOn(reason)) => fail(EXIT_MUST_NOT_GO_ON, &reason),
        Err(error) => fail(EXIT_FAILED, &format!("{error:#}")),
    }
}

fn check(config: &Config) -> ExitCode {
    let passed = start_runtime(1).map(|runtime| {
        let passed = runtime.block_on(crate::check::check(config, &mut |line| drop(say(line))));
        runtime.shutdown_timeout(RUNTIME_STOP);
        passed
    });
    match passed {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_FAILED),
        Err(error) => fail(EXIT_FAILED, &format!("{error:#}")),
    }
}

/// A runtime with as many threads as may run at once. With one core that is this very thread: a second one would only
/// take turns with it, at the price of a wake-up each time.
fn start_runtime(worker_threads: usize) -> anyhow::Result<Runtime> {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let mut builder = match if worker_threads == 0 { available } else { worker_threads } {
        1 => tokio::runtime::Builder::new_current_thread(),
        several => {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(several);
            builder
        }
    };
    builder.enable_all().build().context("cannot start threads")
}

async fn serve_until_stopped(
    opening: impl Future<Output = anyhow::Result<Gateway>>,
    announce: impl FnOnce(&Gateway) -> std::io::Result<()>,
) -> anyhow::Result<Ended> {
    let mut signals = StopSignals::listen().context("cannot listen to signals")?;
    let gateway = tokio::select! {
        biased;
        (_, name) = signals.next() => {
            tracing::info!(signal = name, "stopped before it was ready");
            return Ok(Ended::Stopped);
        }
        gateway = opening => gateway?,
    };
    // Whoever waits for this line and cannot get it would wait for ever.
    announce(&gateway).context("cannot say on stdout that the gateway is ready")?;
    let ended = tokio::select! {
        biased;
        reason = gateway.failed() => Ended::MustNotGoOn(reason),
        (_, name) = signals.next() => {
            tracing::info!(signal = name, "stopping");
            Ended::Stopped
        }
    };
    signals.exit_at_the_next();
    match &ended {
        Ended::Stopped => gateway.shutdown().await,
        // Nothing may be acknowledged any more (L9), so that there is nothing to wait for.
        Ended::MustNotGoOn(reason) => {
            tracing::error!(reason, "the gateway must not go on: stopping");
            drop(gateway);
        }
    }
    Ok(ended)
}

async fn open_gateway(config: &Config) -> anyhow::Result<Gateway> {
    let kafka = bind("listen", resolve_listen(config).await?).await?;
    let http = match &config.http {
        Some(addr) => Some(bind("http", resolve("http", addr).await?).await?),
        None => None,
    };
    let stores = open_stores(&config.store, Arc::new(SystemClock), Arc::new(OsEntropy)).await?;
    start_gateway(&stores, config.gateway.clone(), Listeners::tcp(kafka, http)).await
}

/// For whoever reads the log later: what this process was.
fn log_ready(config: &Config, gateway: &Gateway) {
    let store = match &config.store {
        StoreConfig::Memory => "memory".to_owned(),
        StoreConfig::Disk { dir, .. } => dir.display().to_string(),
        StoreConfig::Aws(aws) => format!("s3://{}/{} and {}", aws.bucket, aws.prefix, aws.dynamodb().metadata_table()),
    };
    let (version, cluster_id) = (env!("CARGO_PKG_VERSION"), gateway.engine().cluster_id());
    let (kafka, http) =
        (gateway.kafka_addr().map(tracing::field::display), gateway.http_addr().map(tracing::field::display));
    let advertised = gateway.advertised();
    tracing::info!(version, store, cluster_id, kafka, http, %advertised, node_id = config.gateway.node_id, "serving");
}

/// A line on stdout, at once.
fn say(line: &str) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}")?;
    stdout.flush()
}

/// The one line on stderr that says what to do.
fn fail(code: u8, reason: &dyn Display) -> ExitCode {
    let reason = reason.to_string();
    let line = reason.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    // Nothing can be done about a closed stderr; the exit code still speaks.
    let _ = writeln!(std::io::stderr(), "error: {line}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use async_trait::async_trait;
    use bytes::Bytes;
    use sluice_runtime::memory_listener;
    use sluice_store::{
        Appended, BodyRef, Consistency, Incarnation, LogCapabilities, LogPosition, MetadataLog, Sealed, Staged,
        StoreError, StoreErrorKind, StoreResult, TailRead,
    };

    use super::*;
    use crate::gateway::GatewayConfig;
    use crate::stores::Stores;

    /// A log that is damaged from some moment on.
    #[derive(Debug)]
    struct DamagedLater {
        inner: Arc<dyn MetadataLog>,
        damaged: Arc<AtomicBool>,
    }

    #[async_trait]
    impl MetadataLog for DamagedLater {
        fn incarnation(&self) -> Incarnation {
            self.inner.incarnation()
        }

        async fn stage(&self, entry: &Sealed) -> StoreResult<Staged> {
            self.inner.stage(entry).await
        }

        async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended> {
            self.inner.append(entries, known).await
        }

        async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead> {
            if self.damaged.load(Ordering::SeqCst) {
                return Err(StoreError::new(StoreErrorKind::Corrupt, "read log: a gap"));
            }
            self.inner.read(known, consistency).await
        }

        async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
            self.inner.read_body(body).await
        }

        fn capabilities(&self) -> LogCapabilities {
            self.inner.capabilities()
        }
    }

    /// Holds: L6 (a gap that no snapshot explains: stop)
    #[tokio::test]
    async fn a_gateway_that_must_not_go_on_ends_the_process_with_three() {
        let opened = open_stores(&StoreConfig::Memory, Arc::new(SystemClock), Arc::new(OsEntropy)).await.unwrap();
        let damaged = Arc::new(AtomicBool::new(false));
        let log = Arc::new(DamagedLater { inner: opened.log.clone(), damaged: damaged.clone() });
        let stores = Stores { log, ..opened };
        let (listener, connector) = memory_listener(1 << 16);
        let opening = async {
            let config = GatewayConfig { advertise: Some("h:1".parse().unwrap()), ..GatewayConfig::default() };
            start_gateway(&stores, config, Listeners { kafka: Box::new(listener), http: None }).await
        };
        let announce = |gateway: &Gateway| {
            damaged.store(true, Ordering::SeqCst);
            // Makes the gateway read its log.
            let engine = gateway.engine().clone();
            tokio::spawn(async move { engine.barrier().await });
            Ok(())
        };
        let ended = serve_until_stopped(opening, announce).await.unwrap();
        assert!(matches!(&ended, Ended::MustNotGoOn(reason) if reason.contains("a gap")), "{ended:?}");
        assert_eq!(exit_code(Ok(ended)), ExitCode::from(3));
        // It no longer serves: whoever still gets through meets the end of the stream.
        if let Ok(mut stream) = connector.connect().await {
            assert_eq!(tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await.unwrap_or(0), 0);
        }
    }

    #[tokio::test]
    async fn nobody_to_tell_is_a_failure_not_a_silent_gateway() {
        let stores = open_stores(&StoreConfig::Memory, Arc::new(SystemClock), Arc::new(OsEntropy)).await.unwrap();
        let opening = async {
            let kafka = bind("listen", "127.0.0.1:0".parse().unwrap()).await?;
            start_gateway(&stores, GatewayConfig::default(), Listeners::tcp(kafka, None)).await
        };
        let closed = |_: &Gateway| Err(std::io::ErrorKind::BrokenPipe.into());
        let error = serve_until_stopped(opening, closed).await.unwrap_err();
        assert!(error.to_string().contains("stdout"), "{error}");
    }
}
