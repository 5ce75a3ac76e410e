//! The crate rdkafka's own tests, built from its package, against a gateway.
//!
//! Promises: every test of the package runs, but those that the first list below names with a reason; and passes at once, but those
//! of the second. Called by `client_matrix`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use sluice_tests::process::{Sluice, wait_with_deadline};

/// Longest that the tests of one file may take.
const DEADLINE: Duration = Duration::from_secs(180);

/// Files, or tests in them, that are not run, and why.
const LEFT_OUT: &[(&str, &str)] = &[
    // Transactions come with their own issue.
    ("test_transactions", ""),
    // It wants its broker to have number 0, which some clients take for "no broker".
    ("test_admin", "test_configs"),
    // It wants its broker to have number 0 and port 9092.
    ("test_metadata", "test_metadata"),
    // It wants the first record of a new topic to be not yet acknowledged after 100 ms.
    ("test_low_producers", "test_base_producer_timeout"),
];

/// Tests that lose a race inside the client now and then, with any broker: they have to pass once in so many tries.
const RACES: &[(&str, &str, usize)] = &[
    // It wants its callback not to be called before there is a record. librdkafka calls it for a barrier of its own
    // (rd_kafka_toppar_op_version_bump) when its thread starts to fetch after the test has set the callback: on a busy
    // machine 9 of 64 runs with Apache Kafka 4.3.1, 6 of 64 with a gateway.
    ("test_low_consumers", "test_produce_consume_message_queue_nonempty_callback", 5),
];

/// The programs of the tests, or nothing where they are not installed.
pub(crate) fn find() -> Option<Vec<PathBuf>> {
    let script = sluice_tests::root().join("scripts/setup");
    let asked = Command::new(script).arg("program-rdkafka-tests").stdin(Stdio::null()).output().ok()?;
    let folder = PathBuf::from(String::from_utf8(asked.stdout).ok()?.trim());
    let mut tests: Vec<PathBuf> = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    tests.sort();
    let is_left_out = |test: &PathBuf| LEFT_OUT.iter().any(|(file, name)| test.ends_with(file) && name.is_empty());
    tests.retain(|test| !is_left_out(test));
    Some(tests)
}

/// A gateway as they want their broker: three partitions for a topic that is made by the way.
pub(crate) fn gateway() -> Sluice {
    Sluice::serve(&["--store", "memory", "--num-partitions", "3", "--group-initial-rebalance-delay-ms", "0"], &[])
}

/// Runs the tests of one file; what the test harness counted.
pub(crate) fn run(test: &Path, broker: SocketAddr) -> anyhow::Result<String> {
    let races: Vec<_> = RACES.iter().filter(|(file, ..)| test.ends_with(file)).collect();
    let left_out = LEFT_OUT.iter().filter(|(file, name)| test.ends_with(file) && !name.is_empty());
    let not_now = left_out.map(|(_, name)| *name).chain(races.iter().map(|(_, name, _)| *name));
    let mut counted = run_with(test, broker, &not_now.flat_map(|name| ["--skip", name]).collect::<Vec<_>>())?;
    for (_, name, tries) in races {
        let mut tried = 1;
        while let Err(error) = run_with(test, broker, &["--exact", name]) {
            ensure!(tried < *tries, "{name}, {tries} times: {error:#}");
            tried += 1;
        }
        counted += &format!("; {name} at try {tried} of {tries}");
    }
    Ok(counted)
}

fn run_with(test: &Path, broker: SocketAddr, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(test);
    command.args(arguments).env("KAFKA_HOST", broker.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output =
        wait_with_deadline(command.spawn()?, DEADLINE).with_context(|| format!("not done after {DEADLINE:?}"))?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{}\n{out}\n{err}", output.status);
    let counted = out.lines().rfind(|line| line.starts_with("test result:")).context("no result")?;
    ensure!(!counted.contains(" 0 passed"), "no test ran: {out}");
    Ok(counted.trim_start_matches("test result: ok. ").to_owned())
}
