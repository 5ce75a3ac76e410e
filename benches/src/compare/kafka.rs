//! Apache Kafka from Maven Central, on the core of servers, through `scripts/kafka`.
//!
//! Promises: it is stopped, by its process id, and its files are removed, when its handle is dropped; should this process
//! be killed, it is stopped all the same.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::server::{Launcher, Server};

/// What the issue compares with: one broker with a heap of 1 GiB.
const JVM_FLAGS: &str = "-Xmx1g -Xms1g";
/// So that the files of a cell's topic are gone before the next one fills the disk.
const SETTINGS: [&str; 3] =
    ["log.segment.delete.delay.ms=1000", "log.retention.bytes=-1", "log.initial.task.delay.ms=1000"];

/// A broker that runs.
#[derive(Debug)]
pub(super) struct Kafka {
    script: PathBuf,
    folder: PathBuf,
    pub(super) server: Server,
    /// As `scripts/kafka` names it.
    pub(super) version: String,
}

impl Kafka {
    /// Starts a broker that keeps its files in a temporary folder of its own.
    pub(super) fn start(launcher: &Launcher, version: &str) -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/kafka");
        let folder = std::env::temp_dir().join(format!("sluice-bench-kafka-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let started = launcher
            .command(&script)
            .args(["start", "0"])
            .arg(&folder)
            .args(SETTINGS)
            .env("VERSION", version)
            .env("WITH_PID", std::process::id().to_string())
            .env("JVM_FLAGS", JVM_FLAGS)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .context("cannot run scripts/kafka")?;
        // Made before anything can fail, so that whatever was started is stopped.
        let address: SocketAddr = ([127, 0, 0, 1], 0).into();
        let mut kafka = Self { script, folder, server: Server::running(address, 0), version: version.to_owned() };
        ensure!(started.status.success(), "Apache Kafka {version} did not start");
        let pid =
            String::from_utf8_lossy(&started.stdout).trim().parse().context("scripts/kafka start prints a pid")?;
        let port = std::fs::read_to_string(kafka.folder.join("port")).context("the broker's port")?;
        let port: u16 = port.trim().parse().context("the broker's port")?;
        kafka.server = Server::running(([127, 0, 0, 1], port).into(), pid);
        Ok(kafka)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        let stopped = Command::new(&self.script).arg("stop").arg(&self.folder).stdin(Stdio::null()).status();
        match stopped {
            Ok(status) if status.success() => {
                // What stays behind is in the folder for temporary files.
                let _ = std::fs::remove_dir_all(&self.folder);
            }
            _ => eprintln!("could not stop the broker over {}", self.folder.display()),
        }
    }
}
