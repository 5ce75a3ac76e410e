//! The gateway under test: started, asked for its address, and stopped, whatever happens.
//!
//! Promises: a process started here is killed and reaped when the last handle to it is dropped; should this process be
//! killed, the kernel kills it (`setpriv`, where there is one).

use std::ffi::OsString;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::cores::Cores;

/// Longest that a start may take before the run is given up.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// How gateways are started.
#[derive(Debug)]
pub(crate) struct Launcher {
    binary: PathBuf,
    /// The core of the server.
    core: Option<usize>,
    dies_with_us: bool,
}

impl Launcher {
    pub(crate) fn new(binary: PathBuf, cores: &Cores) -> Self {
        let core = match cores {
            Cores::Apart { server, .. } => Some(*server),
            Cores::Shared => None,
        };
        let version = Command::new("setpriv").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        Self { binary, core, dies_with_us: version.is_ok_and(|status| status.success()) }
    }

    /// A fresh gateway over the memory store, pinned to its core.
    pub(crate) fn launch(&self) -> anyhow::Result<Server> {
        start(self.command(&self.binary))
    }

    /// A gateway's binary, to be started with what else it needs to be told.
    pub(crate) fn gateway(&self) -> Command {
        self.command(&self.binary)
    }

    /// A program that runs on the core of servers, and ends when this process does. Its process id is the child's.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut line: Vec<OsString> = Vec::new();
        if self.dies_with_us {
            line.extend(["setpriv", "--pdeathsig", "KILL"].map(OsString::from));
        }
        if let Some(core) = self.core {
            line.extend(["taskset".into(), "-c".into(), core.to_string().into()]);
        }
        line.push(program.into());
        let mut words = line.into_iter();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    }

    /// The same without the programs around it, which would count in the time of a start. Not pinned.
    pub(crate) fn launch_bare(&self) -> anyhow::Result<Server> {
        start(Command::new(&self.binary))
    }
}

fn start(mut command: Command) -> anyhow::Result<Server> {
    command.args(["dev", "--port", "0"]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = Started(command.spawn().with_context(|| format!("cannot start {command:?}"))?);
    let stdout = child.0.stdout.take().ok_or_else(|| anyhow!("the server has no stdout"))?;
    let (addr, stdout) = read_address(stdout)?;
    let pid = child.0.id();
    Ok(Server { addr, pid, _started: Some(Arc::new((child, stdout))) })
}

/// The address of the line `bootstrap: ADDRESS`, and the pipe, which has to stay open.
pub(crate) fn read_address(stdout: ChildStdout) -> anyhow::Result<(SocketAddr, BufReader<ChildStdout>)> {
    let (sender, receiver) = sync_channel(1);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        let read = reader.read_line(&mut line).map(|_| (line, reader));
        // Nobody listens any more when the deadline has passed.
        let _ = sender.send(read);
    });
    let (line, reader) =
        receiver.recv_timeout(START_DEADLINE).context("the server does not say that it is ready")??;
    let addr = line.strip_prefix("bootstrap:").map(str::trim).unwrap_or_default();
    let addr = addr.parse().map_err(|_| anyhow!("the server did not start: it said {line:?} on stdout"))?;
    Ok((addr, reader))
}

/// A child that does not outlive its handle.
#[derive(Debug)]
pub(crate) struct Started(pub(crate) Child);

impl Drop for Started {
    fn drop(&mut self) {
        // Fails only when it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that runs.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) pid: u32,
    _started: Option<Arc<(Started, BufReader<ChildStdout>)>>,
}

impl Server {
    /// One that somebody else started, and will stop.
    pub(crate) fn running(addr: SocketAddr, pid: u32) -> Self {
        Self { addr, pid, _started: None }
    }
}
