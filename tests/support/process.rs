//! Real processes of the `sluice` binary.
//!
//! Promises: a process is ready when its start returns; it is gone when its handle is, also after a panic, which prints
//! the end of its log. Signals go to its process id alone.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Longest that a start takes before it counts as failed.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// How often a condition that nothing announces is looked at.
const POLL: Duration = Duration::from_millis(10);

/// The binary that belongs to this test executable: `target/<profile>/sluice`.
///
/// # Panics
/// When it is not there: `cargo test --workspace` builds it, `cargo test -p` of one suite does not.
#[must_use]
pub fn sluice_binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SLUICE_BINARY") {
        return PathBuf::from(path);
    }
    let executable = std::env::current_exe().unwrap();
    let folder = executable.parent().unwrap();
    let profile = if folder.ends_with("deps") { folder.parent().unwrap() } else { folder };
    let binary = profile.join(format!("sluice{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.is_file(), "{} is not built: cargo build -p sluice", binary.display());
    binary
}

/// A running `sluice serve`.
#[derive(Debug)]
pub struct Sluice {
    child: Child,
    /// Where it speaks Kafka.
    pub kafka: SocketAddr,
    /// Where it speaks HTTP.
    pub http: SocketAddr,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    log: PathBuf,
    folder: Option<TempDir>,
}

/// Credentials that every emulator takes.
pub const EMULATOR_ENVIRONMENT: &[(&str, &str)] =
    &[("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")];

impl Sluice {
    /// Starts `sluice serve` with these arguments, on free ports unless they name some.
    ///
    /// # Panics
    /// When it is not ready in time; with its log.
    #[must_use]
    pub fn serve(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        let mut all = vec!["serve".to_owned()];
        for (flag, default) in [("--listen", "127.0.0.1:0"), ("--http", "127.0.0.1:0")] {
            if !arguments.contains(&flag) {
                all.extend([flag.to_owned(), default.to_owned()]);
            }
        }
        all.extend(arguments.iter().map(|a| (*a).to_owned()));
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let log = folder.path().join("log");
        Self::start(all, environment, log, Some(folder))
    }

    fn start(
        arguments: Vec<String>,
        environment: Vec<(String, String)>,
        log: PathBuf,
        folder: Option<TempDir>,
    ) -> Self {
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new(sluice_binary());
        // What the developer has set for the gateway is not what the test asks for.
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SLUICE_") || name.starts_with("AWS_")) {
            command.env_remove(name);
        }
        command.args(&arguments).envs(environment.iter().map(|(k, v)| (k, v)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().expect("start sluice");
        let (kafka, http) = match read_ready_line(&mut child, START_DEADLINE) {
            Ok(addresses) => addresses,
            Err(reason) => {
                let _ = child.kill();
                let _ = child.wait();
                panic!("sluice {arguments:?}: {reason}\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
        };
        Self { child, kafka, http, arguments, environment, log, folder }
    }

    /// Ends it at once, as a power failure would (SIGKILL), and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again after a kill: same arguments, same ports.
    pub fn restart(&mut self) {
        self.kill();
        let mut arguments = self.arguments.clone();
        for (flag, addr) in [("--listen", self.kafka), ("--http", self.http)] {
            let at = arguments.iter().position(|a| a == flag).unwrap();
            arguments[at + 1] = addr.to_string();
        }
        let folder = self.folder.take();
        // The old handle's drop finds a process that is gone already.
        *self = Self::start(arguments, self.environment.clone(), self.log.clone(), folder);
    }

    /// Asks it to stop (SIGTERM) and waits for it.
    ///
    /// # Panics
    /// When it is still there after the deadline.
    pub fn terminate(&mut self, deadline: Duration) -> ExitStatus {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "SIGTERM could not be sent");
        let until = Instant::now() + deadline;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < until, "sluice did not stop within {deadline:?}\n{}", self.log());
            pause();
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// CPU time of all its threads since it started.
    ///
    /// # Panics
    /// When the system does not tell.
    #[must_use]
    pub fn cpu_time(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).expect("the threads of a process");
        let of_thread = |thread: PathBuf| {
            let told = fs::read_to_string(thread.join("schedstat")).unwrap_or_default();
            told.split_whitespace()
                .next()
                .and_then(|nanos| nanos.parse().ok())
                .map_or(Duration::ZERO, Duration::from_nanos)
        };
        threads.filter_map(Result::ok).map(|thread| of_thread(thread.path())).sum()
    }

    /// The value of a line of `/metrics`, named with its labels.
    ///
    /// # Panics
    /// When there is no such line.
    #[must_use]
    pub fn metric(&self, name: &str) -> i64 {
        let mut stream = std::net::TcpStream::connect(self.http).expect("connect to HTTP");
        stream.set_read_timeout(Some(START_DEADLINE)).unwrap();
        std::io::Write::write_all(&mut stream, b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let value = answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{name} is not in\n{answer}")).parse().unwrap()
    }

    /// Resident memory in bytes, where the system tells.
    #[must_use]
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = fs::read_to_string(Path::new("/proc").join(self.pid().to_string()).join("status")).ok()?;
        let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
    }
}

impl Drop for Sluice {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(40).collect();
            eprintln!("the end of sluice's log:");
            for line in tail.iter().rev() {
                eprintln!("  {line}");
            }
        }
    }
}

/// Reads `ready: kafka=ADDR http=ADDR` from the child's stdout, and keeps reading so that it never blocks.
fn read_ready_line(child: &mut Child, deadline: Duration) -> Result<(SocketAddr, SocketAddr), String> {
    let stdout = child.stdout.take().unwrap();
    let (send, lines) = sync_channel::<String>(16);
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stdout);
        let mut line = String::new();
        if reader.read_line(&mut line).is_ok() {
            let _ = send.send(line);
        }
        let _ = std::io::copy(&mut reader, &mut std::io::sink());
    });
    match lines.recv_timeout(deadline) {
        Ok(line) => parse_ready(&line).ok_or_else(|| format!("not a ready line: {line:?}")),
        Err(RecvTimeoutError::Timeout) => Err(format!("not ready after {deadline:?}")),
        Err(RecvTimeoutError::Disconnected) => Err("ended before it was ready".to_owned()),
    }
}

fn parse_ready(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let rest = line.trim().strip_prefix("ready: ")?;
    let find = |name: &str| rest.split_whitespace().find_map(|part| part.strip_prefix(name))?.parse().ok();
    Some((find("kafka=")?, find("http=")?))
}

/// Waits for a child and takes its output; kills it and returns `None` when the deadline passes.
#[must_use]
pub fn wait_with_deadline(mut child: Child, deadline: Duration) -> Option<Output> {
    // Both pipes are read while it runs: a full one would stop it.
    let read = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(mut stream) = stream {
                let _ = stream.read_to_end(&mut bytes);
            }
            bytes
        })
    };
    let stdout = read(child.stdout.take().map(|s| Box::new(s) as Box<dyn Read + Send>));
    let stderr = read(child.stderr.take().map(|s| Box::new(s) as Box<dyn Read + Send>));
    let until = Instant::now() + deadline;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            break None;
        }
        pause();
    };
    let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
    if status.is_none() {
        eprintln!("{}\n{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    }
    Some(Output { status: status?, stdout, stderr })
}

/// Waits until a condition holds that nothing announces.
///
/// # Panics
/// When it does not hold by the deadline.
pub fn wait_until(what: &str, deadline: Duration, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + deadline;
    while !holds() {
        assert!(Instant::now() < until, "{what}: not after {deadline:?}");
        pause();
    }
}

#[allow(clippy::disallowed_methods, reason = "the one place that polls what cannot be waited for")]
pub(crate) fn pause() {
    std::thread::sleep(POLL);
}
