//! The programs of `tests/clients/matrix`, as processes that do one job at a time.
//!
//! Promises: a job ends by its deadline; a program that does not answer is killed and started again; what it wrote to
//! standard error during a job comes with the answer. Programs end with their handles.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use sluice_tests::process::sluice_binary;
use tempfile::TempDir;

/// Longest until a program is ready: a JVM on a busy machine takes a while.
const START: Duration = Duration::from_secs(60);

/// A kind of program: how it is found.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Python(&'static str),
    Java(&'static str),
    Go,
    Node,
    Librdkafka,
}

/// Every program, and how it is called in notes.
pub(crate) const PROGRAMS: [(&str, Kind); 11] = [
    ("kcat", Kind::Python("kcat")),
    ("kafka-python", Kind::Python("kafka-python")),
    ("aiokafka", Kind::Python("aiokafka")),
    ("confluent-kafka", Kind::Python("confluent-kafka")),
    ("librdkafka", Kind::Librdkafka),
    ("go", Kind::Go),
    ("kafkajs", Kind::Node),
    ("java-2.1.1", Kind::Java("2.1.1")),
    ("java-2.8.2", Kind::Java("2.8.2")),
    ("java-3.9.1", Kind::Java("3.9.1")),
    ("java-4.3.1", Kind::Java("4.3.1")),
];

impl Kind {
    /// The words that start it, or what is missing.
    fn command(self) -> anyhow::Result<Vec<String>> {
        let words = match self {
            Self::Python(client) => {
                let script = sluice_tests::root().join("tests/clients/matrix/python/program.py");
                vec![setup(&["python"])?, script.to_string_lossy().into_owned(), client.to_owned()]
            }
            Self::Java(version) => vec![setup(&["program-java", version])?],
            Self::Go => vec![setup(&["program-go"])?],
            Self::Node => vec![setup(&["program-node"])?],
            Self::Librdkafka => vec![sluice_binary().with_file_name("matrix-program").to_string_lossy().into_owned()],
        };
        let program = words.first().context("a program")?;
        if !fs::exists(program)? {
            bail!("{program} is not installed (scripts/setup matrix)");
        }
        Ok(words)
    }
}

fn setup(arguments: &[&str]) -> anyhow::Result<String> {
    let script = sluice_tests::root().join("scripts/setup");
    let asked = Command::new(script).args(arguments).stdin(Stdio::null()).output().context("run scripts/setup")?;
    Ok(String::from_utf8(asked.stdout)?.trim().to_owned())
}

/// What came of a job.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// The lines before `done`, in words, without the one that tells of an error.
    pub(crate) lines: Vec<Vec<String>>,
    pub(crate) error: Option<String>,
    /// The end of what the program wrote to standard error meanwhile.
    pub(crate) stderr: String,
}

/// A running program.
#[derive(Debug)]
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// The clients in it: name and version.
    pub(crate) clients: Vec<(String, String)>,
    command: Vec<String>,
    process: Process,
}

#[derive(Debug)]
struct Process {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
    folder: TempDir,
}

impl Program {
    pub(crate) fn start(name: &'static str, kind: Kind) -> anyhow::Result<Self> {
        let command = kind.command()?;
        let (process, clients) = Process::start(&command)?;
        Ok(Self { name, clients, command, process })
    }

    /// Does a job.
    pub(crate) fn job(&mut self, words: &[&str], deadline: Duration) -> Answer {
        let before = self.process.stderr().len();
        let mut answer = self.process.job(words, deadline);
        let stderr = self.process.stderr();
        answer.stderr = tail(stderr.get(before..).unwrap_or_default());
        if let Err(error) = self.process.is_gone_or_late(&answer, deadline) {
            answer.error = Some(error.to_string());
            match Process::start(&self.command) {
                Ok((process, _)) => self.process = process,
                Err(again) => answer.error = Some(format!("{error}; and it does not start again: {again:#}")),
            }
        }
        answer
    }
}

/// The last lines, which is where a program says why.
fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

const LATE: &str = "<late>";
const GONE: &str = "<gone>";

impl Process {
    fn start(command: &[String]) -> anyhow::Result<(Self, Vec<(String, String)>)> {
        let folder = TempDir::new()?;
        let (program, arguments) = command.split_first().context("a program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("stderr"))?)
            .spawn()
            .with_context(|| format!("start {program}"))?;
        let (stdin, stdout) = (child.stdin.take().context("an input")?, child.stdout.take().context("an output")?);
        let (send, lines) = sync_channel(4096);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { return };
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        let mut process = Self { child, stdin, lines, folder };
        let answer = process.answer(&["ready"], START);
        if let Some(error) = answer.error {
            bail!("{program} did not get ready: {error}\n{}", tail(&process.stderr()));
        }
        let clients = answer.lines.into_iter().filter_map(|line| match &line[..] {
            [verb, name, version] if verb == "client" => Some((name.clone(), version.clone())),
            _ => None,
        });
        let clients = clients.collect();
        Ok((process, clients))
    }

    fn job(&mut self, words: &[&str], deadline: Duration) -> Answer {
        if writeln!(self.stdin, "{}", words.join("\t")).is_err() {
            return Answer { error: Some(GONE.to_owned()), ..Answer::default() };
        }
        self.answer(&["done"], deadline)
    }

    /// The lines up to this one.
    fn answer(&mut self, last: &[&str], deadline: Duration) -> Answer {
        let until = Instant::now() + deadline;
        let mut answer = Answer::default();
        loop {
            match self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let words: Vec<String> = line.split('\t').map(ToOwned::to_owned).collect();
                    match words.first().map(String::as_str) {
                        _ if words == last => return answer,
                        Some("error") => answer.error = Some(words[1..].join(" ")),
                        _ => answer.lines.push(words),
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    answer.error = Some(LATE.to_owned());
                    return answer;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    answer.error = Some(GONE.to_owned());
                    return answer;
                }
            }
        }
    }

    fn is_gone_or_late(&self, answer: &Answer, deadline: Duration) -> anyhow::Result<()> {
        match answer.error.as_deref() {
            Some(LATE) => bail!("no answer within {deadline:?}"),
            Some(GONE) => bail!("the program has ended"),
            _ => Ok(()),
        }
    }

    fn stderr(&self) -> String {
        let bytes = fs::read(self.folder.path().join("stderr")).unwrap_or_default();
        // One character per byte, so that a place in it stays one.
        bytes.into_iter().map(|byte| if byte.is_ascii() { char::from(byte) } else { '?' }).collect()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
