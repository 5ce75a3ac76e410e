//! Apache Kafka and a gateway, side by side, or those that run already.
//!
//! Promises: both have settings that mean the same; both are gone when the handle is, by the process ids that were started.
//! Called by `main`.

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

/// Most members that a group has in either: small, so that the bound is met.
pub(crate) const GROUP_MAX_SIZE: usize = 6;

/// When topics come to be: `auto.create.topics.enable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Creation {
    /// When they are first asked for, too.
    OnDemand,
    /// By CreateTopics alone.
    WhenTold,
}

impl Creation {
    fn is_on_demand(self) -> bool {
        self == Self::OnDemand
    }
}

/// Where the two listen.
#[derive(Debug)]
pub(crate) struct Brokers {
    pub(crate) kafka: SocketAddr,
    pub(crate) sluice: SocketAddr,
    _started: Vec<Started>,
}

#[derive(Debug)]
enum Started {
    Kafka(TempDir),
    Sluice(Child),
}

impl Drop for Started {
    fn drop(&mut self) {
        match self {
            Self::Kafka(folder) => {
                let _ = Command::new(kafka_script()).arg("stop").arg(folder.path()).status();
            }
            Self::Sluice(child) => {
                let _ = child.kill();
                let _ = child.wait();
            }
        }
    }
}

/// What a broker of either kind is told beside its defaults.
fn kafka_settings(creation: Creation) -> Vec<String> {
    vec![
        format!("auto.create.topics.enable={}", creation.is_on_demand()),
        "group.initial.rebalance.delay.ms=0".to_owned(),
        format!("group.max.size={GROUP_MAX_SIZE}"),
        // Retention is judged by neither while this runs.
        "log.retention.check.interval.ms=3600000".to_owned(),
        "log.retention.bytes".to_owned(),
        "offsets.topic.num.partitions=2".to_owned(),
        "transaction.state.log.num.partitions=2".to_owned(),
    ]
}

fn sluice_arguments(creation: Creation) -> Vec<String> {
    let size = GROUP_MAX_SIZE.to_string();
    let creates = creation.is_on_demand().to_string();
    let settings = [
        ("--listen", "127.0.0.1:0"),
        ("--http", "127.0.0.1:0"),
        ("--store", "memory"),
        ("--linger-ms", "0"),
        ("--log-level", "error"),
        ("--group-initial-rebalance-delay-ms", "0"),
        ("--group-max-size", &size),
        ("--auto-create-topics", &creates),
        ("--num-partitions", "1"),
    ];
    let flags = settings.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]);
    std::iter::once("serve".to_owned()).chain(flags).collect()
}

impl Brokers {
    /// Starts what is not given.
    ///
    /// # Errors
    /// When one does not start; with what it said.
    pub(crate) fn start(creation: Creation, kafka: Option<&str>, sluice: Option<&str>) -> Result<Self> {
        let mut started = Vec::new();
        let sluice = match sluice {
            Some(addr) => resolve(addr)?,
            None => start_sluice(creation, &mut started)?,
        };
        let kafka = match kafka {
            Some(addr) => resolve(addr)?,
            None => start_kafka(creation, &mut started)?,
        };
        Ok(Self { kafka, sluice, _started: started })
    }
}

fn resolve(addr: &str) -> Result<SocketAddr> {
    addr.to_socket_addrs().with_context(|| addr.to_owned())?.next().with_context(|| format!("{addr}: no address"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn kafka_script() -> PathBuf {
    root().join("scripts/kafka")
}

/// Somebody else may take the ports between their choice and their use: then others are tried.
fn start_kafka(creation: Creation, started: &mut Vec<Started>) -> Result<SocketAddr> {
    const ATTEMPTS: usize = 3;
    let mut last = Ok(());
    for _ in 0..ATTEMPTS {
        match try_start_kafka(creation, started) {
            Ok(addr) => return Ok(addr),
            Err(error) => last = Err(error),
        }
    }
    last.and_then(|()| bail!("Apache Kafka was not started"))
}

fn try_start_kafka(creation: Creation, started: &mut Vec<Started>) -> Result<SocketAddr> {
    let folder = TempDir::with_prefix("differential-kafka-")?;
    let mut command = Command::new(kafka_script());
    command.args(["start", "0"]).arg(folder.path()).args(kafka_settings(creation)).stdout(Stdio::null());
    let path = folder.path().to_owned();
    started.push(Started::Kafka(folder));
    ensure!(command.status().context("scripts/kafka")?.success(), "Apache Kafka did not start");
    let port = std::fs::read_to_string(path.join("port"))?;
    resolve(&format!("127.0.0.1:{}", port.trim()))
}

/// The binary that was built beside this one, unless SLUICE_BINARY names another.
fn sluice_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SLUICE_BINARY") {
        return Ok(path.into());
    }
    let path = std::env::current_exe()?.with_file_name(format!("sluice{}", std::env::consts::EXE_SUFFIX));
    ensure!(path.is_file(), "{} is not built: cargo build -p sluice", path.display());
    Ok(path)
}

fn start_sluice(creation: Creation, started: &mut Vec<Started>) -> Result<SocketAddr> {
    let mut command = Command::new(sluice_binary()?);
    // What the developer has set for a gateway is not meant here.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SLUICE_") || name.starts_with("AWS_")) {
        command.env_remove(name);
    }
    let mut child = command.args(sluice_arguments(creation)).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let stdout = child.stdout.take().context("a pipe")?;
    started.push(Started::Sluice(child));
    let mut lines = BufReader::new(stdout);
    let mut line = String::new();
    loop {
        line.clear();
        ensure!(lines.read_line(&mut line)? > 0, "the gateway stopped before it was ready");
        if let Some(ready) = line.trim().strip_prefix("ready: ") {
            let addr = ready.split_whitespace().find_map(|part| part.strip_prefix("kafka="));
            // It never blocks on a full pipe.
            std::thread::spawn(move || std::io::copy(&mut lines.by_ref(), &mut std::io::sink()));
            return match addr {
                Some(addr) => resolve(addr),
                None => bail!("no address in {ready}"),
            };
        }
    }
}
