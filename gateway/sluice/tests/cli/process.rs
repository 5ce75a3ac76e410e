//! A `sluice` process under test.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Longest any wait takes before the test fails; far above what is needed, since two cores may be busy.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A running process. It is killed, by its pid, when it is dropped.
pub struct Sluice {
    child: Child,
    stdout: Receiver<String>,
    stderr: Option<JoinHandle<String>>,
}

/// A process that has ended.
pub struct Ended {
    pub code: Option<i32>,
    /// The lines of stdout that nobody waited for.
    pub stdout: Vec<String>,
    pub stderr: String,
}

impl Ended {
    /// The one line of a failed start; panics when stderr holds anything else.
    pub fn error_line(&self) -> &str {
        let line = self.stderr.strip_suffix('\n').unwrap_or(&self.stderr);
        assert!(line.starts_with("error: ") && !line.contains('\n'), "not one line `error: …`: {:?}", self.stderr);
        line
    }
}

impl Sluice {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, &[])
    }

    /// With an environment of these variables only.
    pub fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluice"));
        command.args(arguments).env_clear().envs(environment.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = lines_of(child.stdout.take().unwrap());
        let stderr = text_of(child.stderr.take().unwrap());
        Self { child, stdout, stderr: Some(stderr) }
    }

    /// `serve` over this directory, on free ports.
    pub fn serve(data_dir: &Path) -> Self {
        let dir = data_dir.to_str().unwrap();
        Self::start(&["serve", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data-dir", dir])
    }

    /// The next line on stdout.
    pub fn line(&mut self) -> String {
        match self.stdout.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("no line on stdout within {DEADLINE:?}"),
            Err(RecvTimeoutError::Disconnected) => {
                let _ = self.child.wait();
                panic!("ended before it said anything: {}", self.stderr.take().unwrap().join().unwrap());
            }
        }
    }

    /// The addresses of the ready line: Kafka's and HTTP's.
    pub fn ready(&mut self) -> (SocketAddr, SocketAddr) {
        let line = self.line();
        let addresses = line.strip_prefix("ready: kafka=").and_then(|rest| rest.split_once(" http="));
        let (kafka, http) = addresses.unwrap_or_else(|| panic!("no ready line: {line:?}"));
        (kafka.parse().unwrap(), http.parse().unwrap())
    }

    /// The address of the bootstrap line of `dev`.
    pub fn bootstrap(&mut self) -> SocketAddr {
        let line = self.line();
        line.strip_prefix("bootstrap: ").unwrap_or_else(|| panic!("no bootstrap line: {line:?}")).parse().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by the shell's `kill`: std has only SIGKILL.
    pub fn signal(&self, name: &str) {
        let kill = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("/bin/sh").args(["-c", &kill]).status().unwrap().success());
    }

    /// kill −9, and gone when this returns.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end of the process.
    pub fn end(mut self) -> Ended {
        let mut stdout = Vec::new();
        loop {
            match self.stdout.recv_timeout(DEADLINE) {
                Ok(line) => stdout.push(line),
                // The process was the only one with the other end of the pipe: it is gone, or going.
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("did not end within {DEADLINE:?}"),
            }
        }
        let status: ExitStatus = self.child.wait().unwrap();
        let stderr = self.stderr.take().unwrap().join().unwrap();
        Ended { code: status.code(), stdout, stderr }
    }
}

impl Drop for Sluice {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1_024);
    thread::spawn(move || {
        for line in BufReader::new(stdout).lines() {
            let Ok(line) = line else { break };
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn text_of(mut stderr: ChildStderr) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        let _ = stderr.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}
