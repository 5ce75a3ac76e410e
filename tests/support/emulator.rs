//! Emulators of S3 and DynamoDB for the suites, started by `localstack/emulator`.
//!
//! Promises: one process per kind and test binary; a fresh, empty one; it ends when this process ends, however that
//! does: the script stops it when the pipe to its standard input closes.
//! Never: leaves a process behind, uses a fixed port, or lets a suite pass because its emulator was missing.
//! Called by `tests/stores.rs` and the suites over real processes.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use anyhow::{Context, bail};

use crate::skip::skip;

/// The access key that every emulator takes.
pub const ACCESS_KEY_ID: &str = "test";
/// The secret that goes with it.
pub const SECRET_ACCESS_KEY: &str = "test";

/// A running emulator. Stops when dropped, and when this process ends.
#[derive(Debug)]
pub struct Emulator {
    endpoint: String,
    stdin: Option<ChildStdin>,
    script: Child,
}

impl Emulator {
    /// Starts one: "ministack", "dynamodb-local" or "versitygw". Installs it first where it is missing.
    ///
    /// # Errors
    /// What the script says when it does not start.
    pub fn start(backend: &str) -> anyhow::Result<Self> {
        let script = crate::root().join("localstack/emulator");
        let mut script = Command::new(&script)
            .args([backend, "run"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("run {}", script.display()))?;
        let stdin = script.stdin.take();
        let stdout = script.stdout.take().context("the script has an output")?;
        let mut endpoint = String::new();
        BufReader::new(stdout).read_line(&mut endpoint)?;
        let endpoint = endpoint.trim().to_owned();
        if !endpoint.starts_with("http://127.0.0.1:") {
            bail!("emulator {backend} did not start ({}); its messages are above", script.wait()?);
        }
        Ok(Self { endpoint, stdin, script })
    }

    /// Where it listens: "http://127.0.0.1:PORT".
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        drop(self.stdin.take());
        drop(self.script.wait());
    }
}

/// The endpoint for S3: `ministack`, or what `SLUICE_TEST_S3` names. Never returns when emulators are to be skipped.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn s3_endpoint() -> &'static str {
    shared_endpoint("SLUICE_TEST_S3")
}

/// The endpoint for DynamoDB: `ministack`, or what `SLUICE_TEST_DYNAMODB` names. Never returns when emulators are to be
/// skipped.
///
/// # Panics
/// When it does not start.
#[must_use]
pub fn dynamodb_endpoint() -> &'static str {
    shared_endpoint("SLUICE_TEST_DYNAMODB")
}

/// A name that no other test uses: for a bucket, or the prefix of tables.
#[must_use]
pub fn fresh_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    // The process id too: somebody may look at an emulator that outlives a run.
    format!("sluice-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn shared_endpoint(variable: &str) -> &'static str {
    /// Never dropped: the pipes close when the process ends.
    static RUNNING: OnceLock<Mutex<BTreeMap<String, Emulator>>> = OnceLock::new();
    skip_if_told();
    let backend = std::env::var(variable).unwrap_or_else(|_| "ministack".into());
    let mut running = RUNNING.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let endpoint = match running.get(&backend) {
        Some(emulator) => emulator.endpoint.clone(),
        None => {
            let emulator = Emulator::start(&backend).unwrap_or_else(|e| panic!("emulator {backend}: {e:#}"));
            running.entry(backend).or_insert(emulator).endpoint.clone()
        }
    };
    // One short string per test.
    endpoint.leak()
}

/// `SLUICE_SKIP_EMULATOR=1`, for machines without Python: the rest of this test binary does not run, which counts as a
/// skip, and in CI as a failure.
fn skip_if_told() {
    if std::env::var("SLUICE_SKIP_EMULATOR").as_deref() != Ok("1") {
        return;
    }
    let executable = std::env::args().next().unwrap_or_default();
    let suite = Path::new(&executable).file_stem().and_then(|stem| stem.to_str()).unwrap_or("a suite");
    skip(&format!("{suite}: everything that needs an emulator (SLUICE_SKIP_EMULATOR=1)"));
    std::process::exit(0);
}
