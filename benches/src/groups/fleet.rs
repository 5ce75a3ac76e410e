//! Gateways under test, as the generator sees them: addresses, counters, CPU time, and a way to restart all of them.
//!
//! Promises: whatever was started ends with its handle. Never: waits for a process without leaving the generator's tasks
//! running, among which may be the proxy that the process talks through.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
#[cfg(test)]
use clap::Parser;
#[cfg(test)]
use sluice_bench_host::{HostArgs, host};
#[cfg(test)]
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

use super::counters::{Counts, read_counts};
use super::delay::delay_requests;
use crate::process::cpu_time;
use crate::server::{Launcher, Started};

/// Longest that a start or a restart takes before the run is given up.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// The program that hosts gateways, beside this one.
const HOST: &str = "sluice-bench-host";
/// What stands before the addresses in what it says.
const ANNOUNCEMENT: &str = "fleet:";
/// What asks it for a restart.
const RESTART: &str = "restart";
/// Credentials that the emulator takes.
const CREDENTIALS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")];

/// How many gateways over which store.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) gateways: usize,
    /// Added to every request to the store.
    pub(crate) store_latency: Duration,
    /// Kafka's `group.initial.rebalance.delay.ms`.
    pub(crate) initial_delay: Duration,
    /// How long a gateway that hosts members may say nothing before the others take it for dead, where that is not the
    /// default.
    pub(crate) session_lease: Option<Duration>,
}

impl Default for Shape {
    fn default() -> Self {
        Self { gateways: 1, store_latency: Duration::ZERO, initial_delay: Duration::from_secs(1), session_lease: None }
    }
}

impl Shape {
    /// As the host takes it.
    fn arguments(self) -> Vec<String> {
        let mut arguments = vec![
            format!("--gateways={}", self.gateways),
            format!("--store-latency-ms={}", self.store_latency.as_millis()),
            format!("--initial-delay-ms={}", self.initial_delay.as_millis()),
        ];
        arguments.extend(self.session_lease.map(|lease| format!("--session-lease-ms={}", lease.as_millis())));
        arguments
    }
}

/// Where a gateway listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Endpoint {
    kafka: SocketAddr,
    http: SocketAddr,
}

/// Several gateways over one store.
pub(crate) struct Fleet {
    endpoints: Vec<Endpoint>,
    pids: Vec<u32>,
    kind: Kind,
}

enum Kind {
    /// All in one process, over memory.
    Hosted { stdin: ChildStdin, lines: Receiver<String>, host: Started },
    /// In a thread of this process.
    #[cfg(test)]
    Thread { restarts: Sender<()>, announced: Receiver<String> },
    /// A process each, over the emulator.
    Processes { gateways: Vec<Started>, shape: Shape, store: EmulatedStore },
}

/// A bucket and tables of an emulator behind a slow line.
struct EmulatedStore {
    /// Of the proxy.
    endpoint: String,
    /// Stops when its standard input closes.
    _emulator: Emulator,
}

struct Emulator(Started, Option<ChildStdin>);

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.1.take());
        // The script ends its own child first, which a kill would not let it do.
        drop(self.0.0.wait());
    }
}

impl Fleet {
    /// Gateways in one process on the core of servers.
    pub(crate) async fn hosted(launcher: &Launcher, shape: Shape) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot tell where this program is")?.with_file_name(HOST);
        ensure!(program.is_file(), "there is no {}: build it with `cargo build --release`", program.display());
        let mut command = launcher.command(&program);
        command.args(shape.arguments());
        let (mut host, stdin, mut lines) = start(command)?;
        let line = next_line(&mut lines, &mut host.0).await?;
        let endpoints = parse_announcement(&line)?;
        Ok(Self { endpoints, pids: vec![host.0.id()], kind: Kind::Hosted { stdin, lines, host } })
    }

    /// Gateways in a thread of this process, whose CPU time is then not theirs alone.
    #[cfg(test)]
    pub(crate) async fn in_thread(shape: Shape) -> anyhow::Result<Self> {
        let args = HostArgs::try_parse_from(std::iter::once(HOST.to_owned()).chain(shape.arguments()))?;
        let (restarts, asked) = channel(1);
        let (announce, mut announced) = channel(1);
        std::thread::spawn(move || {
            if let Err(error) = host(&args, asked, |line| Ok(announce.try_send(line)?)) {
                eprintln!("the gateways ended: {error:#}");
            }
        });
        let line = timeout(START_DEADLINE, announced.recv()).await?.context("the gateways did not start")?;
        let endpoints = parse_announcement(&line)?;
        Ok(Self { endpoints, pids: Vec::new(), kind: Kind::Thread { restarts, announced } })
    }

    /// A process per gateway on the core of servers, over a MiniStack on the generator's; `None` where it is not installed.
    pub(crate) async fn over_ministack(launcher: &Launcher, shape: Shape) -> anyhow::Result<Option<Self>> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../localstack/emulator");
        let installed = Command::new(&script).args(["ministack", "install"]).status();
        if !installed.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        let mut command = Command::new(script);
        command.args(["ministack", "run"]);
        let (mut emulator, stdin, mut lines) = start(command)?;
        let line = next_line(&mut lines, &mut emulator.0).await?;
        let emulator = Emulator(emulator, Some(stdin));
        let upstream = line.trim().strip_prefix("http://").unwrap_or_default().parse();
        let upstream: SocketAddr = upstream.map_err(|_| anyhow!("the emulator did not start: it said {line:?}"))?;
        let endpoint = format!("http://{}", delay_requests(upstream, shape.store_latency).await?);
        let store = EmulatedStore { endpoint, _emulator: emulator };
        let (gateways, endpoints) = start_processes(launcher, shape, &store).await?;
        let pids = gateways.iter().map(|gateway| gateway.0.id()).collect();
        Ok(Some(Self { endpoints, pids, kind: Kind::Processes { gateways, shape, store } }))
    }

    /// Ends all gateways as a crash would, and starts as many over the same store, at other addresses.
    pub(crate) async fn restart(&mut self, launcher: Option<&Launcher>) -> anyhow::Result<()> {
        match &mut self.kind {
            Kind::Hosted { stdin, lines, host } => {
                writeln!(stdin, "{RESTART}").context("ask the host for a restart")?;
                self.endpoints = parse_announcement(&next_line(lines, &mut host.0).await?)?;
            }
            #[cfg(test)]
            Kind::Thread { restarts, announced } => {
                restarts.send(()).await.context("ask for a restart")?;
                let line = timeout(START_DEADLINE, announced.recv()).await?;
                self.endpoints = parse_announcement(&line.context("the gateways did not start again")?)?;
            }
            Kind::Processes { gateways, shape, store } => {
                let launcher = launcher.context("processes are restarted by who started them")?;
                gateways.clear();
                (*gateways, self.endpoints) = start_processes(launcher, *shape, store).await?;
                self.pids = gateways.iter().map(|gateway| gateway.0.id()).collect();
            }
        }
        Ok(())
    }

    /// Where the gateways speak Kafka.
    pub(crate) fn kafka(&self) -> Vec<SocketAddr> {
        self.endpoints.iter().map(|endpoint| endpoint.kafka).collect()
    }

    /// The counters of every gateway.
    pub(crate) async fn counts(&self) -> anyhow::Result<Vec<Counts>> {
        let mut counts = Vec::with_capacity(self.endpoints.len());
        for endpoint in &self.endpoints {
            counts.push(read_counts(endpoint.http).await?);
        }
        Ok(counts)
    }

    /// CPU time of all gateways since they started; zero for those in a thread.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        self.pids.iter().map(|pid| Ok(cpu_time(*pid)?.total)).sum()
    }
}

async fn start_processes(
    launcher: &Launcher,
    shape: Shape,
    store: &EmulatedStore,
) -> anyhow::Result<(Vec<Started>, Vec<Endpoint>)> {
    let (mut gateways, mut endpoints) = (Vec::new(), Vec::new());
    for _ in 0..shape.gateways {
        let mut command = launcher.gateway();
        command.args(["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--log-level", "error"]);
        command.args(["--store", "aws", "--aws-endpoint", &store.endpoint, "--create"]);
        command.args(["--bucket", "sluice-bench", "--tables", "sluice-bench"]);
        command.args(["--group-initial-rebalance-delay-ms", &shape.initial_delay.as_millis().to_string()]);
        command.envs(CREDENTIALS);
        let (mut gateway, _stdin, mut lines) = start(command)?;
        let line = next_line(&mut lines, &mut gateway.0).await?;
        let find = |name: &str| line.split(' ').find_map(|word| word.trim().strip_prefix(name)?.parse().ok());
        let found = find("kafka=").zip(find("http="));
        let (kafka, http) = found.with_context(|| format!("the gateway did not start: it said {line:?}"))?;
        gateways.push(gateway);
        endpoints.push(Endpoint { kafka, http });
    }
    Ok((gateways, endpoints))
}

/// A child with its standard input, and what it says line by line.
fn start(mut command: Command) -> anyhow::Result<(Started, ChildStdin, Receiver<String>)> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = Started(command.spawn().with_context(|| format!("cannot start {command:?}"))?);
    let stdin = child.0.stdin.take().context("the child has no standard input")?;
    let stdout = child.0.stdout.take().context("the child has no standard output")?;
    let (sender, lines) = channel(1);
    std::thread::spawn(move || {
        // Lines that nobody waits for are read as well, or the child would wait when it says them.
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.blocking_send(line);
        }
    });
    Ok((child, stdin, lines))
}

async fn next_line(lines: &mut Receiver<String>, child: &mut Child) -> anyhow::Result<String> {
    let line = timeout(START_DEADLINE, lines.recv()).await.context("the gateways are not ready in time")?;
    line.ok_or_else(|| anyhow!("the gateways ended ({:?}); what they said is above", child.try_wait()))
}

/// The line in which a host says where its gateways are.
fn parse_announcement(line: &str) -> anyhow::Result<Vec<Endpoint>> {
    let words = line.strip_prefix(ANNOUNCEMENT).with_context(|| format!("the gateways did not start: {line:?}"))?;
    let endpoint = |word: &str| {
        let (kafka, http) = word.split_once('/')?;
        Some(Endpoint { kafka: kafka.parse().ok()?, http: http.parse().ok()? })
    };
    let endpoints: Option<Vec<Endpoint>> = words.split_whitespace().map(endpoint).collect();
    let endpoints = endpoints.with_context(|| format!("no addresses: {line:?}"))?;
    ensure!(!endpoints.is_empty(), "no gateway: {line:?}");
    Ok(endpoints)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_announcement_is_read() {
        let endpoint = |port| Endpoint {
            kafka: SocketAddr::from(([127, 0, 0, 1], port)),
            http: SocketAddr::from(([127, 0, 0, 1], port + 1)),
        };
        let line = "fleet: 127.0.0.1:1000/127.0.0.1:1001 127.0.0.1:2000/127.0.0.1:2001";
        assert_eq!(parse_announcement(line).unwrap(), [endpoint(1000), endpoint(2000)]);
        for wrong in ["", "fleet:", "fleet: 127.0.0.1:1", "error: no"] {
            assert!(parse_announcement(wrong).is_err(), "{wrong:?}");
        }
    }
}
