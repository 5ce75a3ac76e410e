//! Members of consumer groups: one process each, of any client library, and what they say, in the order it happened.
//!
//! Promises: a process is gone when its handle is; each line that a member prints is in the [`Journal`] with the
//! microsecond in which it happened; what is done to a member (stop, kill, pause) stands there too.
//! Never: judges what it reads; `ownership.rs` does. Called by the suites over consumer groups.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::{sluice_binary, wait_until};
use crate::skip::skip;

/// A client library, in the versions that the suites run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Library {
    /// Kafka's own client, 2.8.2.
    Java28,
    /// Kafka's own client, 4.3.1, with the classic protocol.
    Java43,
    /// librdkafka.
    Librdkafka,
    /// kafka-python.
    KafkaPython,
    /// franz-go.
    FranzGo,
}

impl Library {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Java28, Self::Java43, Self::Librdkafka, Self::KafkaPython, Self::FranzGo];

    /// A short name for members and cells.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Java28 => "java-2.8",
            Self::Java43 => "java-4.3",
            Self::Librdkafka => "librdkafka",
            Self::KafkaPython => "kafka-python",
            Self::FranzGo => "franz-go",
        }
    }

    /// The assignors that it brings; `range` is first.
    #[must_use]
    pub fn assignors(self) -> &'static [&'static str] {
        match self {
            Self::Librdkafka => &["range", "roundrobin", "cooperative-sticky"],
            Self::KafkaPython | Self::Java28 | Self::Java43 | Self::FranzGo => {
                &["range", "roundrobin", "sticky", "cooperative-sticky"]
            }
        }
    }

    /// The words that start its member program, or `None` (and a skip on record) where it is not to be had.
    #[must_use]
    pub fn command(self) -> Option<Vec<String>> {
        static FOUND: Mutex<BTreeMap<Library, Option<Vec<String>>>> = Mutex::new(BTreeMap::new());
        let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
        let command = found.entry(self).or_insert_with(|| self.find()).clone();
        if command.is_none() {
            skip(&format!("the member program of {} is not to be had (make setup)", self.name()));
        }
        command
    }

    fn find(self) -> Option<Vec<String>> {
        let setup = |arguments: &[&str]| {
            let asked = Command::new(crate::root().join("scripts/setup")).args(arguments).stdin(Stdio::null()).output();
            let words = String::from_utf8_lossy(&asked.ok().filter(|o| o.status.success())?.stdout).into_owned();
            let words: Vec<String> = words.split_whitespace().map(ToOwned::to_owned).collect();
            Path::new(words.first()?).is_file().then_some(words)
        };
        match self {
            Self::Java28 => setup(&["member-java", "2.8.2"]),
            Self::Java43 => setup(&["member-java", "4.3.1"]),
            Self::FranzGo => setup(&["member-go"]),
            Self::KafkaPython => setup(&["python"]).map(|mut words| {
                words.push(crate::root().join("tests/clients/member.py").to_str().unwrap().to_owned());
                words
            }),
            Self::Librdkafka => {
                let program = sluice_binary().with_file_name("group-member");
                program.is_file().then(|| vec![program.to_str().unwrap().to_owned()])
            }
        }
    }
}

/// What a member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// It owns these partitions too from now on.
    Assigned(Vec<i32>),
    /// It has committed and given up these.
    Revoked(Vec<i32>),
    /// It learned too late that these are no longer its own.
    Lost(Vec<i32>),
    /// It has processed the records from `first` to `last`.
    Records {
        /// Partition.
        partition: i32,
        /// Offset of the first record.
        first: i64,
        /// Offset of the last one.
        last: i64,
    },
    /// These offsets were accepted.
    Committed(BTreeMap<i32, i64>),
    /// Something failed; it goes on unless it is fatal.
    Error {
        /// What.
        message: String,
        /// It cannot go on.
        fatal: bool,
    },
    /// It has left, or at least closed.
    Closed,
    /// It was started.
    Started,
    /// It was asked to stop.
    StopAsked,
    /// SIGKILL was sent.
    Killed,
    /// SIGSTOP was sent.
    Paused,
    /// SIGCONT was sent.
    Resumed,
    /// Its output ended.
    Ended,
}

/// An event with its time and member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When it happened, in microseconds since the epoch of Unix, by the one clock of this machine.
    pub at_us: u64,
    /// Whose it is.
    pub member: String,
    /// What happened.
    pub event: Event,
}

/// What the members of one group have said, and what was done to them.
#[derive(Debug, Default)]
pub struct Journal {
    entries: Mutex<Vec<Entry>>,
    changed: Condvar,
}

impl Journal {
    /// Notes that something happened just now.
    pub fn note(&self, member: &str, event: Event) {
        self.add(Entry { at_us: now_us(), member: member.to_owned(), event });
    }

    fn add(&self, entry: Entry) {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        self.changed.notify_all();
    }

    /// Everything so far in the order in which it happened; at the same time, what ends an ownership comes first.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone();
        entries.sort_by_key(|e| (e.at_us, matches!(e.event, Event::Assigned(_))));
        entries
    }

    /// Waits until this holds of the entries so far; false when it does not by the deadline.
    pub fn wait(&self, deadline: Duration, mut holds: impl FnMut(&[Entry]) -> bool) -> bool {
        let until = Instant::now() + deadline;
        loop {
            let seen = self.entries();
            if holds(&seen) {
                return true;
            }
            let Some(left) = until.checked_duration_since(Instant::now()) else { return false };
            let guard = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
            if guard.len() == seen.len() {
                drop(self.changed.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner));
            }
        }
    }
}

/// The clock of this machine, as entries have it.
pub(crate) fn now_us() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// Reads a line of a member.
///
/// # Errors
/// What is wrong with it.
pub fn parse(member: &str, line: &str) -> Result<Entry, String> {
    let value: Value = serde_json::from_str(line).map_err(|e| format!("{line:?}: {e}"))?;
    let number = |name: &str| value[name].as_i64().ok_or_else(|| format!("{line:?} has no {name}"));
    let partition = |v: &Value| v.as_i64().and_then(|p| i32::try_from(p).ok());
    let partitions = || -> Result<Vec<i32>, String> {
        let list = value["partitions"].as_array().ok_or_else(|| format!("{line:?} has no partitions"))?;
        list.iter().map(|v| partition(v).ok_or_else(|| format!("{line:?}: not a partition"))).collect()
    };
    let event = match value["event"].as_str().unwrap_or_default() {
        "assigned" => Event::Assigned(partitions()?),
        "revoked" => Event::Revoked(partitions()?),
        "lost" => Event::Lost(partitions()?),
        "records" => {
            let (first, last) = (number("first")?, number("last")?);
            if number("count")? != last - first + 1 {
                return Err(format!("{line:?}: the count is not that of the range"));
            }
            let partition = partition(&value["partition"]).ok_or_else(|| format!("{line:?}: not a partition"))?;
            Event::Records { partition, first, last }
        }
        "committed" => {
            let offsets = value["offsets"].as_object().ok_or_else(|| format!("{line:?} has no offsets"))?;
            let pair = |(p, o): (&String, &Value)| Some((p.parse().ok()?, o.as_i64()?));
            let offsets: Option<BTreeMap<i32, i64>> = offsets.iter().map(pair).collect();
            Event::Committed(offsets.ok_or_else(|| format!("{line:?}: not offsets"))?)
        }
        "error" => Event::Error {
            message: value["message"].as_str().unwrap_or_default().to_owned(),
            fatal: value["fatal"].as_bool().unwrap_or(false),
        },
        "closed" => Event::Closed,
        _ => return Err(format!("{line:?} is no event")),
    };
    // Without a stamp: when it arrived, which is a little later.
    let at_us = value["at_us"].as_u64().unwrap_or_else(now_us);
    Ok(Entry { at_us, member: member.to_owned(), event })
}

/// What the members of a group have in common.
#[derive(Debug, Clone)]
pub struct Membership {
    /// `host:port`, several separated by commas.
    pub bootstrap: String,
    /// The group.
    pub group: String,
    /// The topic.
    pub topic: String,
    /// The assignor, by the name in the contract of the member programs.
    pub assignor: String,
    /// The session timeout.
    pub session_ms: u64,
    /// How often a member commits.
    pub commit_ms: u64,
}

/// A running member. Killed when dropped.
#[derive(Debug)]
pub struct Member {
    /// Its name in the journal; its client id begins with it.
    pub name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    journal: Arc<Journal>,
    stderr: PathBuf,
    _folder: TempDir,
}

impl Member {
    /// Starts one; `None` (and a skip on record) where its library is not to be had.
    ///
    /// # Panics
    /// When the process cannot be started.
    #[must_use]
    pub fn start(
        library: Library,
        group: &Membership,
        name: &str,
        instance: Option<&str>,
        journal: &Arc<Journal>,
    ) -> Option<Self> {
        let words = library.command()?;
        let folder = TempDir::new().unwrap();
        let stderr = folder.path().join("stderr");
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        let (session, commit) = (group.session_ms.to_string(), group.commit_ms.to_string());
        command.args(["--bootstrap", &group.bootstrap, "--group", &group.group, "--topic", &group.topic]);
        command.args(["--assignor", &group.assignor, "--client-id", name, "--session-ms", &session]);
        command.args(["--commit-ms", &commit, "--auto-offset-reset", "earliest"]);
        if let Some(instance) = instance {
            command.args(["--instance-id", instance]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&stderr).unwrap());
        journal.note(name, Event::Started);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("start {words:?}: {e}"));
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().unwrap());
        let (to, member) = (journal.clone(), name.to_owned());
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                match parse(&member, &line) {
                    Ok(entry) => to.add(entry),
                    Err(message) => to.note(&member, Event::Error { message, fatal: true }),
                }
            }
            to.note(&member, Event::Ended);
        });
        Some(Self { name: name.to_owned(), child, stdin, journal: journal.clone(), stderr, _folder: folder })
    }

    /// Asks it to leave cleanly; returns at once.
    pub fn ask_to_stop(&mut self) {
        self.journal.note(&self.name, Event::StopAsked);
        if let Some(mut stdin) = self.stdin.take() {
            // It may have ended by itself, which the journal shows.
            let _ = writeln!(stdin, "stop");
        }
    }

    /// Waits until a member that was asked to stop has ended.
    ///
    /// # Errors
    /// When it has not by the deadline, or not well; with the end of what it said on standard error.
    pub fn wait_for_end(&mut self, deadline: Duration) -> anyhow::Result<()> {
        let name = self.name.clone();
        let ended = |entries: &[Entry]| entries.iter().any(|e| e.member == name && e.event == Event::Ended);
        if !self.journal.wait(deadline, ended) {
            anyhow::bail!("{} had not ended {deadline:?} after it was asked to\n{}", self.name, self.stderr());
        }
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "{} ended with {status}\n{}", self.name, self.stderr());
        Ok(())
    }

    /// Asks it to leave cleanly, and waits for that.
    ///
    /// # Errors
    /// As [`Self::wait_for_end`].
    pub fn stop(&mut self, deadline: Duration) -> anyhow::Result<()> {
        self.ask_to_stop();
        self.wait_for_end(deadline)
    }

    /// SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.journal.note(&self.name, Event::Killed);
    }

    /// SIGSTOP: it does nothing at all any more.
    ///
    /// # Panics
    /// When it is gone already.
    pub fn pause(&mut self) {
        self.journal.note(&self.name, Event::Paused);
        self.signal("-STOP");
        let stat = Path::new("/proc").join(self.child.id().to_string()).join("stat");
        let is_stopped =
            || fs::read_to_string(&stat).is_ok_and(|s| s.rsplit(')').next().is_some_and(|r| r.trim().starts_with('T')));
        wait_until("the process is stopped", Duration::from_secs(5), is_stopped);
    }

    /// SIGCONT.
    ///
    /// # Panics
    /// When it is gone already.
    pub fn resume(&mut self) {
        self.journal.note(&self.name, Event::Resumed);
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "{signal} could not be sent to {}", self.name);
    }

    /// The end of what it said on standard error.
    #[must_use]
    pub fn stderr(&self) -> String {
        let text = fs::read(&self.stderr).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Who owns which partition, by what the members have said: one that was killed, or has ended, owns nothing.
#[must_use]
pub fn owners(entries: &[Entry]) -> BTreeMap<i32, BTreeSet<String>> {
    let mut owned: BTreeMap<&str, BTreeSet<i32>> = BTreeMap::new();
    for entry in entries {
        let mine = owned.entry(&entry.member).or_default();
        match &entry.event {
            Event::Assigned(partitions) => mine.extend(partitions),
            Event::Revoked(partitions) | Event::Lost(partitions) => {
                mine.retain(|p| !partitions.contains(p));
            }
            Event::Killed | Event::Paused | Event::Ended | Event::Closed => mine.clear(),
            _ => {}
        }
    }
    let mut owners: BTreeMap<i32, BTreeSet<String>> = BTreeMap::new();
    for (member, partitions) in owned {
        for partition in partitions {
            owners.entry(partition).or_default().insert(member.to_owned());
        }
    }
    owners
}
