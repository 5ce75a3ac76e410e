//! Command-line tools that consume in groups, typed as people type them: console and perf consumers of two versions of
//! Kafka, and kcat.
//!
//! Promises: what one run of a tool leaves of a topic, the next run with the same group reads, and nothing else.
//! Called by the program `group_matrix`.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use sluice_protocol::ErrorCode;

use crate::batches::batch;
use crate::company::unique;
use crate::fleet::{self, Fleet};
use crate::process::wait_with_deadline;
use crate::raw::RawClient;
use crate::skip::skip;

const PARTITIONS: i32 = 3;
const RECORDS: usize = 300;
/// Longest that a tool may run.
const DEADLINE: Duration = Duration::from_secs(90);

/// Runs a tool and returns its standard output.
pub(crate) fn run(program: &str, version: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("VERSION", version)
        .env("JVM_FLAGS", "-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().with_context(|| format!("start {program}"))?;
    let Some(output) = wait_with_deadline(child, DEADLINE) else {
        bail!("{program} {arguments:?} was not done after {DEADLINE:?}");
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{program} {arguments:?} ({version}): {}\n{out}\n{err}", output.status);
    Ok(out.into_owned())
}

/// One of Kafka's tools, by its usual name.
pub(crate) fn kafka(version: &str, name: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let script = crate::root().join("scripts/kafka");
    run(script.to_str().context("a path that can be read")?, version, &[&["tool", name], arguments].concat())
}

/// Whether Java and Kafka's tools of both versions are there; installs them where it can.
///
/// # Errors
/// What is missing, which is on record as a skip.
pub fn have_kafka() -> anyhow::Result<()> {
    for version in ["2.8.2", "4.3.1"] {
        let script = crate::root().join("scripts/kafka");
        let install = Command::new(script).args(["install", version]).stdout(Stdio::null()).status();
        if !install.is_ok_and(|status| status.success()) {
            skip("Kafka's command-line tools are not to be had (Java 17 and Maven)");
            bail!("Kafka {version} is not to be had");
        }
    }
    Ok(())
}

/// Whether kcat is there.
///
/// # Errors
/// That it is not, which is on record as a skip.
pub fn have_kcat() -> anyhow::Result<()> {
    let asked = Command::new("kcat").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !asked.is_ok_and(|status| status.success()) {
        skip("kcat is not installed (Debian: apt-get install kcat)");
        bail!("kcat is not to be had");
    }
    Ok(())
}

/// Fills a topic with records that tell themselves apart.
fn fill(fleet: &Fleet, topic: &str) -> anyhow::Result<BTreeSet<String>> {
    fleet::create_topic(fleet.gateways()[0], topic, PARTITIONS)?;
    let mut client = RawClient::connect(fleet.bootstrap());
    let values: Vec<String> = (0..RECORDS).map(|n| format!("value {n}")).collect();
    for (partition, part) in (0..).zip(values.chunks(RECORDS / 3)) {
        let batch = batch(&part.iter().map(String::as_bytes).collect::<Vec<_>>());
        let code = client.produce(topic, partition, &batch).error_code;
        ensure!(code == ErrorCode::NONE, "fill {topic}: {code:?}");
    }
    Ok(values.into_iter().collect())
}

/// What a tool printed, which must be so many different records of the topic.
fn read(out: &str, wanted: &BTreeSet<String>, count: usize, what: &str) -> anyhow::Result<BTreeSet<String>> {
    let lines: Vec<&str> = out.lines().collect();
    let found: BTreeSet<String> = lines.iter().map(|line| (*line).to_owned()).collect();
    ensure!(found.len() == lines.len() && lines.len() == count, "{what}: {} lines, not {count}:\n{out}", lines.len());
    ensure!(found.is_subset(wanted), "{what} printed what is not in the topic:\n{out}");
    Ok(found)
}

pub(crate) fn is_committed_to_the_end(fleet: &Fleet, group: &str, topic: &str) -> anyhow::Result<()> {
    let ends = fleet::ends(fleet.gateways()[0], topic, PARTITIONS)?;
    for gateway in fleet.gateways() {
        let found = fleet::committed(*gateway, group, topic, PARTITIONS)?;
        ensure!(found == ends, "{group}: {gateway} shows {found:?} where {ends:?} was read and committed");
    }
    Ok(())
}

/// `kafka-console-consumer` of 2.8.2 and 4.3.1, with and without a group.
///
/// # Errors
/// What they did not do.
pub fn console_consumers(fleet: &Fleet) -> anyhow::Result<String> {
    let since = Instant::now();
    let (topic, group, bootstrap) = (unique("console"), unique("console-group"), fleet.bootstrap().to_string());
    let wanted = fill(fleet, &topic)?;
    let named = ["--bootstrap-server", &bootstrap, "--topic", &topic, "--group", &group];
    let mut seen = BTreeSet::new();
    for (version, count) in [("2.8.2", "110"), ("4.3.1", "90"), ("2.8.2", "100")] {
        let arguments = [&named[..], &["--from-beginning", "--max-messages", count]].concat();
        let out = kafka(version, "kafka-console-consumer", &arguments)?;
        let found = read(&out, &wanted, count.parse()?, &format!("kafka-console-consumer {version}"))?;
        ensure!(seen.is_disjoint(&found), "kafka-console-consumer {version} printed what its group had read before");
        seen.extend(found);
    }
    is_committed_to_the_end(fleet, &group, &topic)?;
    for version in ["2.8.2", "4.3.1"] {
        let plain = ["--bootstrap-server", &bootstrap, "--topic", &topic, "--from-beginning", "--max-messages", "300"];
        read(&kafka(version, "kafka-console-consumer", &plain)?, &wanted, RECORDS, version)?;
    }
    Ok(format!("3 runs of 2 versions shared {RECORDS} records, {:.1} s", since.elapsed().as_secs_f64()))
}

/// `kafka-consumer-perf-test` of 2.8.2 and 4.3.1.
///
/// # Errors
/// What they did not do.
pub fn perf_consumers(fleet: &Fleet) -> anyhow::Result<String> {
    let since = Instant::now();
    let (topic, bootstrap) = (unique("perf"), fleet.bootstrap().to_string());
    fill(fleet, &topic)?;
    for version in ["2.8.2", "4.3.1"] {
        let arguments = ["--bootstrap-server", &bootstrap, "--topic", &topic, "--messages", "300"];
        let out = kafka(version, "kafka-consumer-perf-test", &arguments)?;
        // start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, …
        let line = out.lines().rfind(|l| l.starts_with("20")).with_context(|| format!("{version} says:\n{out}"))?;
        let read = line.split(',').nth(4).map(str::trim);
        ensure!(read == Some("300"), "kafka-consumer-perf-test {version} read {read:?} of {RECORDS} records:\n{out}");
    }
    Ok(format!("2 versions read {RECORDS} records each, {:.1} s", since.elapsed().as_secs_f64()))
}

/// `kcat -G`, and again.
///
/// # Errors
/// What it did not do.
pub fn kcat(fleet: &Fleet) -> anyhow::Result<String> {
    let since = Instant::now();
    let (topic, group, bootstrap) = (unique("kcat"), unique("kcat-group"), fleet.bootstrap().to_string());
    let wanted = fill(fleet, &topic)?;
    let arguments = ["-b", &bootstrap, "-G", &group, "-X", "auto.offset.reset=earliest", "-e", "-q", &topic];
    read(&run("kcat", "", &arguments)?, &wanted, RECORDS, "kcat -G")?;
    is_committed_to_the_end(fleet, &group, &topic)?;
    read(&run("kcat", "", &arguments)?, &wanted, 0, "kcat -G, again")?;
    Ok(format!("{RECORDS} records, and none the second time, {:.1} s", since.elapsed().as_secs_f64()))
}
