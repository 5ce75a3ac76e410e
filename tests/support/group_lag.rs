//! Lag as people see it: `scripts/lag` over the view of committed offsets, and `/metrics`.
//!
//! Promises: looks only from outside, as they do. Called by the cells in `admin_tools.rs`.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sluice_protocol::messages::delete_topics::DeleteTopicState;
use sluice_protocol::messages::{DeleteGroupsRequest, DeleteTopicsRequest};
use sluice_protocol::{ErrorCode, KString};

use crate::admin_tools::{commit, python, rows, same, words};
use crate::batches::batch;
use crate::company::unique;
use crate::emulator::{fresh_name, s3_endpoint};
use crate::fleet;
use crate::process::{EMULATOR_ENVIRONMENT, Sluice, wait_with_deadline};
use crate::raw::RawClient;
use crate::replicas::start_over;

const PARTITIONS: i32 = 3;
/// Longest that the script may run.
const DEADLINE: Duration = Duration::from_secs(60);
/// Longest until a commit is in the view (issue 4).
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// `scripts/lag` on the tables of some gateways.
struct Lag<'a> {
    tables: &'a str,
    group: &'a str,
}

impl Lag<'_> {
    fn run(&self, bootstrap: SocketAddr) -> anyhow::Result<Output> {
        let script = crate::root().join("scripts/lag");
        let mut command = Command::new(python()?);
        command.arg(script).args(["--endpoint", s3_endpoint(), "--tables", self.tables, "--group", self.group]);
        command.args(["--bootstrap", &bootstrap.to_string()]).envs(EMULATOR_ENVIRONMENT.iter().copied());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        wait_with_deadline(command.spawn()?, DEADLINE).context("scripts/lag was not done")
    }

    /// Topic, partition, committed offset, end and lag of every line; empty when it says that there are none.
    fn read(&self, bootstrap: SocketAddr) -> anyhow::Result<BTreeSet<[String; 5]>> {
        let output = self.run(bootstrap)?;
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.code() == Some(1) && err.contains("has no committed offsets") {
            return Ok(BTreeSet::new());
        }
        ensure!(output.status.success(), "scripts/lag: {}\n{out}\n{err}", output.status);
        let names = ["TOPIC", "PARTITION", "COMMITTED", "END", "LAG"];
        let mut total = 0;
        let mut found = BTreeSet::new();
        // The last line is the sum.
        for row in rows(&out).into_iter().filter(|r| r.get("TOPIC").is_some_and(|t| t != "group")) {
            total += row.get("LAG").and_then(|lag| lag.parse::<i64>().ok()).unwrap_or(0);
            found.insert(names.map(|name| row.get(name).cloned().unwrap_or_default()));
        }
        ensure!(out.contains(&format!("group {}: {total} behind", self.group)), "the sum is not {total}:\n{out}");
        Ok(found)
    }

    /// Shows this by itself at the latest 5 s after now: the last look begins then.
    fn comes(&self, what: &str, bootstrap: SocketAddr, wanted: &[[String; 5]]) -> anyhow::Result<Duration> {
        let (since, wanted) = (Instant::now(), wanted.iter().cloned().collect::<BTreeSet<_>>());
        loop {
            let begun = since.elapsed();
            let found = self.read(bootstrap)?;
            if found == wanted {
                return Ok(begun);
            }
            ensure!(begun < SHOWN_WITHIN, "{what}: scripts/lag begun after {begun:?} shows {found:?}, not {wanted:?}");
        }
    }
}

fn metrics(gateway: &Sluice) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(gateway.http)?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn delete_group(addr: SocketAddr, group: &str) -> anyhow::Result<()> {
    let request = DeleteGroupsRequest { groups_names: vec![KString::from(group)] };
    let code = RawClient::connect(addr).request(2, &request).results[0].error_code;
    ensure!(code == ErrorCode::NONE, "delete {group}: {code:?}");
    Ok(())
}

fn delete_topic(addr: SocketAddr, topic: &str) -> anyhow::Result<()> {
    let state = DeleteTopicState { name: Some(KString::from(topic)), ..DeleteTopicState::default() };
    let request = DeleteTopicsRequest { topics: vec![state], timeout_ms: 30_000, ..DeleteTopicsRequest::default() };
    let code = RawClient::connect(addr).request(6, &request).responses[0].error_code;
    ensure!(code == ErrorCode::NONE, "delete {topic}: {code:?}");
    Ok(())
}

/// What was committed through three gateways is in the table within 5 s, also what one of them took just before it was
/// asked to stop; what is deleted is gone from it. `/metrics` of each gateway says the same.
pub(crate) fn lag_for_people() -> anyhow::Result<String> {
    if fleet::outside().is_some() {
        return Ok("no view of a broker outside".to_owned());
    }
    let since = Instant::now();
    let tables = fresh_name();
    let mut gateways = start_over(s3_endpoint(), &tables, 3);
    let [a, b, c] = [gateways[0].kafka, gateways[1].kafka, gateways[2].kafka];
    let (topic, other, group) = (unique("shown"), unique("shown-other"), unique("shown-group"));
    for (topic, partitions) in [(&topic, PARTITIONS), (&other, 1)] {
        fleet::create_topic(a, topic, partitions)?;
        for partition in 0..partitions {
            let code = RawClient::connect(a).produce(topic, partition, &batch(&[&b"x"[..]; 10])).error_code;
            ensure!(code == ErrorCode::NONE, "produce: {code:?}");
        }
    }
    let lag = Lag { tables: &tables, group: &group };
    let row = |topic: &str, partition: &str, committed: i64| {
        words([topic, partition, &committed.to_string(), "10", &(10 - committed).to_string()])
    };
    for (gateway, topic, partition, offset) in
        [(a, &topic, 0, 4), (b, &topic, 1, 10), (c, &topic, 2, 0), (c, &other, 0, 3)]
    {
        commit(gateway, &group, topic, &[(partition, offset)])?;
    }
    let rest = [row(&topic, "1", 10), row(&topic, "2", 0)];
    let all = [&rest[..], &[row(&topic, "0", 4), row(&other, "0", 3)]].concat();
    let shown_after = lag.comes("after the commits", b, &all)?;
    for gateway in &gateways {
        // An idle gateway reads nothing; this makes it look.
        fleet::committed(gateway.kafka, &group, &topic, PARTITIONS)?;
        let text = metrics(gateway)?;
        for (topic, behind) in [(&topic, 16), (&other, 7)] {
            let line = format!("sluice_group_lag{{group=\"{group}\",topic=\"{topic}\"}} {behind}");
            ensure!(text.lines().any(|l| l == line), "/metrics has no {line:?}:\n{text}");
        }
    }

    delete_topic(c, &other)?;
    lag.comes("after the topic was deleted", a, &[&rest[..], &[row(&topic, "0", 4)]].concat())?;

    commit(b, &group, &topic, &[(0, 9)])?;
    let status = gateways[1].terminate(Duration::from_secs(20));
    ensure!(status.success(), "SIGTERM: {status}");
    let found = lag.read(a)?;
    same("after SIGTERM", &found, &[&rest[..], &[row(&topic, "0", 9)]].concat().into_iter().collect())?;

    delete_group(c, &group)?;
    lag.comes("after the group was deleted", c, &[])?;
    let text = metrics(&gateways[2])?;
    ensure!(!text.contains(&format!("group=\"{group}\"")), "/metrics shows a deleted group:\n{text}");
    Ok(format!("right {:.1} s after the commit, {:.1} s", shown_after.as_secs_f64(), since.elapsed().as_secs_f64()))
}
