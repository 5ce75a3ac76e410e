//! Kafka Connect: a group of two distributed workers carries the lines of a file through a topic into another file, while
//! gateways are killed.
//!
//! Promises: every line arrives, and in order: a line follows its predecessor, or a jump back that delivers some again,
//! which is what Connect promises. Workers end with their handles. Called by `client_matrix`.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use sluice_tests::fleet::{Fleet, Kind, committed, ends};
use tempfile::TempDir;

/// Version of Kafka that the workers are of.
const VERSION: &str = "4.3.1";
const LINES: usize = 2000;
/// Lines that are written to the source file at a time, and the pause after them.
const LINES_AT_A_TIME: usize = 20;
const PAUSE: Duration = Duration::from_millis(80);
/// Longest until a worker answers, until a connector runs, until the next lines have come out.
const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// Where it runs: on gateways that may be killed, or against a broker outside, which is left alone.
pub(crate) enum Ground {
    Gateways(Box<Fleet>),
    Outside(SocketAddr),
}

impl Ground {
    /// Two gateways over S3 and DynamoDB; `None` where they are not to be had.
    pub(crate) fn gateways() -> Option<Self> {
        Fleet::start(Kind::Processes(2)).map(Box::new).map(Self::Gateways)
    }

    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Gateways(_) => "s3+dynamodb x2",
            Self::Outside(_) => "outside",
        }
    }

    pub(crate) fn bootstrap(&self) -> SocketAddr {
        match self {
            Self::Gateways(fleet) => fleet.bootstrap(),
            Self::Outside(bootstrap) => *bootstrap,
        }
    }

    fn kill(&mut self, n: usize) {
        if let Self::Gateways(fleet) = self {
            fleet.processes[n].kill();
        }
    }

    fn restart(&mut self, n: usize) {
        if let Self::Gateways(fleet) = self {
            fleet.processes[n].restart();
        }
    }
}

/// Waits for something that nothing announces; says what is there instead when it does not come.
fn wait_for(what: &str, mut look: impl FnMut() -> anyhow::Result<Result<(), String>>) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        match look()? {
            Ok(()) => return Ok(()),
            Err(instead) if Instant::now() > until => bail!("{what}: not after {PATIENCE:?}: {instead}"),
            Err(_) => pause(POLL),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "files and other processes tell nobody when they change")]
fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

// ---- workers ----------------------------------------------------------------------------------------------------------

/// A worker process.
struct Worker {
    child: Child,
    rest: SocketAddr,
    log: PathBuf,
}

impl Worker {
    fn start(folder: &Path, n: usize, group: &str, bootstrap: SocketAddr) -> anyhow::Result<Self> {
        // Free when it was looked for; the other workers are told of it, so that 0 will not do.
        let rest = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let properties = folder.join(format!("worker-{n}.properties"));
        let internal = ["config", "offset", "status"]
            .map(|kind| format!("{kind}.storage.topic={group}-{kind}\n{kind}.storage.replication.factor=1\n"));
        let text = format!(
            "bootstrap.servers={bootstrap}\ngroup.id={group}\nlisteners=http://{rest}\n{}\
             offset.storage.partitions=2\nstatus.storage.partitions=2\noffset.flush.interval.ms=500\n\
             key.converter=org.apache.kafka.connect.storage.StringConverter\n\
             value.converter=org.apache.kafka.connect.storage.StringConverter\n\
             scheduled.rebalance.max.delay.ms=2000\n",
            internal.concat()
        );
        fs::write(&properties, text)?;
        let log = folder.join(format!("worker-{n}.log"));
        let child = Command::new(sluice_tests::root().join("scripts/kafka"))
            .arg("connect")
            .arg(&properties)
            .env("VERSION", VERSION)
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::options().append(true).open(&log)?)
            .spawn()
            .context("start a worker")?;
        Ok(Self { child, rest, log })
    }

    /// One request to its REST interface: status and body.
    fn ask(&self, method: &str, path: &str, body: &Value) -> anyhow::Result<(u16, Value)> {
        let mut stream = TcpStream::connect_timeout(&self.rest, Duration::from_secs(2))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", self.rest);
        write!(stream, "{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok()).context("a status")?;
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        wait_for("a worker answers", || {
            if let Some(status) = self.child.try_wait()? {
                bail!("a worker has ended with {status}\n{}", self.complaints());
            }
            Ok(match self.ask("GET", "/connectors", &Value::Null) {
                Ok((200, _)) => Ok(()),
                Ok((status, body)) => Err(format!("{status} {body}")),
                Err(error) => Err(format!("{error:#}")),
            })
        })
        .with_context(|| self.complaints())
    }

    fn is_running(&self, connector: &str) -> anyhow::Result<()> {
        wait_for(&format!("{connector} runs"), || {
            let (status, body) = match self.ask("GET", &format!("/connectors/{connector}/status"), &Value::Null) {
                Ok(answer) => answer,
                Err(error) => return Ok(Err(format!("{error:#}"))),
            };
            let tasks = body["tasks"].as_array();
            let states = tasks.map(|tasks| tasks.iter().map(|task| &task["state"]).collect::<Vec<_>>());
            let runs = body["connector"]["state"] == "RUNNING" && states.is_some_and(|states| states == ["RUNNING"]);
            Ok(if status == 200 && runs { Ok(()) } else { Err(format!("{status} {body}")) })
        })
        .with_context(|| self.complaints())
    }

    fn create(&self, connector: &str, config: &Value) -> anyhow::Result<()> {
        // The first one after a start meets a rebalance: 409.
        wait_for(&format!("{connector} is created"), || {
            Ok(match self.ask("PUT", &format!("/connectors/{connector}/config"), config) {
                Ok((200 | 201, _)) => Ok(()),
                Ok((status, body)) => Err(format!("{status} {body}")),
                Err(error) => Err(format!("{error:#}")),
            })
        })
        .with_context(|| self.complaints())
    }

    fn complaints(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().filter(|line| !line.starts_with("\tat ")).collect();
        format!("the end of a worker's log:\n{}", lines[lines.len().saturating_sub(25)..].join("\n"))
    }

    /// Asks it to stop and waits for it.
    fn stop(&mut self) -> anyhow::Result<()> {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        ensure!(sent.success(), "SIGTERM could not be sent");
        let child = &mut self.child;
        wait_for("a worker stops", || Ok(child.try_wait()?.map(|_| ()).ok_or_else(|| "it runs".to_owned())))
            .with_context(|| self.complaints())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// ---- lines ------------------------------------------------------------------------------------------------------------

fn line(n: usize) -> String {
    format!("line {n:05}")
}

/// Writes the lines of the source file little by little, until all are there or it is told to stop.
fn feed(source: &Path, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut file = File::options().append(true).create(true).open(source)?;
    for first in (0..LINES).step_by(LINES_AT_A_TIME) {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        let lines: String = (first..LINES.min(first + LINES_AT_A_TIME)).map(|n| line(n) + "\n").collect();
        file.write_all(lines.as_bytes())?;
        pause(PAUSE);
    }
    Ok(())
}

/// The number of the last whole line that has come out, plus one.
fn progress(sink: &Path) -> usize {
    let text = fs::read_to_string(sink).unwrap_or_default();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let numbers = whole.lines().filter_map(|line| line.strip_prefix("line ")?.parse::<usize>().ok());
    numbers.max().map_or(0, |n| n + 1)
}

fn wait_for_lines(sink: &Path, count: usize, workers: &[Worker]) -> anyhow::Result<()> {
    wait_for(&format!("{count} lines have come out"), || {
        let found = progress(sink);
        Ok(if found >= count { Ok(()) } else { Err(format!("{found}")) })
    })
    .with_context(|| workers.iter().map(Worker::complaints).collect::<Vec<_>>().join("\n"))
}

/// How many lines came again; an error when one is missing or out of order.
fn judge(text: &str) -> anyhow::Result<usize> {
    let mut next = 0;
    for (at, found) in text.lines().enumerate() {
        let n: usize = found.strip_prefix("line ").and_then(|n| n.parse().ok()).context(found.to_owned())?;
        ensure!(n <= next && found == line(n), "place {at}: {found:?} after {next} lines in order");
        next = n + 1;
    }
    ensure!(next == LINES, "the last line is {next}, not {LINES}");
    Ok(text.lines().count() - LINES)
}

// ---- the cell ---------------------------------------------------------------------------------------------------------

fn carry(ground: &mut Ground, workers: &[Worker], sink: &Path) -> anyhow::Result<()> {
    for (n, (at, until)) in [(LINES / 5, LINES * 2 / 5), (LINES * 3 / 5, LINES * 4 / 5)].into_iter().enumerate() {
        wait_for_lines(sink, at, workers)?;
        ground.kill(n);
        wait_for_lines(sink, until, workers)?;
        ground.restart(n);
    }
    wait_for_lines(sink, LINES, workers)
}

/// File → topic → file, with two workers; each gateway is killed and started again meanwhile.
pub(crate) fn run(ground: &mut Ground) -> anyhow::Result<String> {
    let since = Instant::now();
    let folder = TempDir::new()?;
    let (source, sink) = (folder.path().join("source.txt"), folder.path().join("sink.txt"));
    let (group, bootstrap) = (format!("connect-{}", std::process::id()), ground.bootstrap());
    let start = |n| Worker::start(folder.path(), n, &group, bootstrap);
    let mut workers = [start(0)?, start(1)?];
    workers.iter_mut().try_for_each(Worker::wait_until_ready)?;

    File::create(&source)?;
    let topic = format!("{group}-lines");
    let from = json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSourceConnector",
        "tasks.max": "1", "file": source, "topic": topic,
    });
    let to = json!({
        "connector.class": "org.apache.kafka.connect.file.FileStreamSinkConnector",
        "tasks.max": "1", "file": sink, "topics": topic,
    });
    workers[0].create("source", &from)?;
    workers[1].create("sink", &to)?;
    workers[0].is_running("source")?;
    workers[1].is_running("sink")?;

    let stop = AtomicBool::new(false);
    std::thread::scope(|threads| {
        let feeding = threads.spawn(|| feed(&source, &stop));
        let outcome = carry(ground, &workers, &sink);
        stop.store(true, Ordering::Relaxed);
        outcome.and(feeding.join().expect("the feeder"))
    })?;
    workers[0].is_running("source")?;
    workers[0].is_running("sink")?;
    // A worker that stops commits what its sink has written.
    workers.iter_mut().try_for_each(Worker::stop)?;
    let again = judge(&fs::read_to_string(&sink)?)?;
    let end = ends(bootstrap, &topic, 1)?;
    let read = committed(bootstrap, "connect-sink", &topic, 1)?;
    ensure!(read == end, "the sink's group has committed {read:?}, and the topic ends at {end:?}");
    let seconds = since.elapsed().as_secs_f64();
    Ok(format!("{LINES} lines through two workers, {again} of them again, {seconds:.1} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_may_come_again_and_neither_be_missing_nor_overtake() {
        let text = |numbers: &[usize]| numbers.iter().map(|n| line(*n) + "\n").collect::<String>();
        let all: Vec<usize> = (0..LINES).collect();
        assert_eq!(judge(&text(&all)).unwrap(), 0);
        let again = [&all[..10], &all[5..]].concat();
        assert_eq!(judge(&text(&again)).unwrap(), 5);
        assert!(judge(&text(&all[..LINES - 1])).is_err(), "the last one is missing");
        assert!(judge(&text(&[&all[..10], &all[11..]].concat())).is_err(), "one is missing");
        assert!(judge(&text(&[&all[..10], &[11, 10], &all[12..]].concat())).is_err(), "one has overtaken another");
        assert!(judge("line 0\n").is_err(), "another line");
    }
}
