//! The admin calls of the client libraries: a topic's life, step by step.
//!
//! Promises: the same answers from every library, which are Apache Kafka's; each library has a topic of its own. Called by
//! `client_matrix`.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use sluice_protocol::ErrorCode;
use sluice_tests::batches::batch;
use sluice_tests::process::wait_until;
use sluice_tests::raw::RawClient;

use crate::Place;
use crate::programs::Program;

/// Longest that one step may take.
const DEADLINE: Duration = Duration::from_secs(40);
/// A broker outside tells of a change before all of it can be seen.
const SOON: Duration = Duration::from_secs(10);

/// The libraries with admin calls, and the names of steps as the README's table has them.
pub(crate) const CLIENTS: [&str; 7] =
    ["kafka-python", "aiokafka", "confluent-kafka", "franz-go", "sarama", "kafka-go", "kafkajs"];
pub(crate) static STEPS: [Step; 8] = [
    Step { name: "create", check: create },
    Step { name: "describe", check: describe },
    Step { name: "list", check: list },
    Step { name: "configs", check: configs },
    Step { name: "alter", check: alter },
    Step { name: "grow", check: grow },
    Step { name: "trim", check: trim },
    Step { name: "delete", check: delete },
];

type Check = fn(&mut Session<'_>) -> anyhow::Result<bool>;

/// One step: whether the library did it is what its check returns.
pub(crate) struct Step {
    pub(crate) name: &'static str,
    check: Check,
}

impl Step {
    pub(crate) fn run(&self, session: &mut Session<'_>) -> anyhow::Result<bool> {
        (self.check)(session)
    }
}

/// A library and its topic.
pub(crate) struct Session<'a> {
    program: &'a mut Program,
    place: &'a Place,
    client: &'a str,
    topic: String,
}

impl<'a> Session<'a> {
    pub(crate) fn new(program: &'a mut Program, place: &'a Place, client: &'a str) -> Self {
        let topic = format!("admin-{}-{client}", place.run);
        Self { program, place, client, topic }
    }

    fn ask(&mut self, step: &str, arguments: &[&str]) -> anyhow::Result<Vec<String>> {
        let bootstrap = self.place.bootstrap.clone();
        let job = [&["admin", self.client, &bootstrap, step, &self.topic], arguments].concat();
        let answer = self.program.job(&job, DEADLINE);
        if let Some(error) = answer.error {
            anyhow::bail!("{step}: {error}\n{}", answer.stderr);
        }
        Ok(answer.lines.into_iter().map(|line| line[1..].join(" ")).collect())
    }

    /// Does a step, which the library may lack.
    fn does(&mut self, step: &str, arguments: &[&str], wanted: &str) -> anyhow::Result<bool> {
        let said = self.ask(step, arguments)?;
        ensure!(said == ["lacks"] || said == [wanted], "{step} {arguments:?}: {said:?}, not {wanted:?}");
        Ok(said == [wanted])
    }

    /// Looks until it sees this.
    fn sees(&mut self, step: &str, arguments: &[&str], wanted: &[&str]) -> anyhow::Result<bool> {
        let until = Instant::now() + SOON;
        loop {
            let said = self.ask(step, arguments)?;
            if said == wanted {
                return Ok(true);
            }
            ensure!(Instant::now() < until, "{step}: {said:?}, not {wanted:?}");
        }
    }

    fn sees_partitions(&mut self, count: usize) -> anyhow::Result<bool> {
        let lines: Vec<String> = (0..count).map(|p| format!("{p} leader 1 replicas 1")).collect();
        self.sees("describe", &[], &lines.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn create(session: &mut Session<'_>) -> anyhow::Result<bool> {
    session.does("create", &[], "done")?;
    session.sees_partitions(2)?;
    session.does("create", &[], "error 36")
}

fn describe(session: &mut Session<'_>) -> anyhow::Result<bool> {
    session.sees_partitions(2)
}

fn list(session: &mut Session<'_>) -> anyhow::Result<bool> {
    session.sees("list", &[], &["listed"])
}

fn configs(session: &mut Session<'_>) -> anyhow::Result<bool> {
    let wanted = ["cleanup.policy=delete default", "max.message.bytes=1048588 default", "retention.ms=-1 topic"];
    session.sees("configs", &[], &wanted)
}

fn alter(session: &mut Session<'_>) -> anyhow::Result<bool> {
    let did = session.does("alter", &[], "done")?;
    let wanted = ["cleanup.policy=delete default", "max.message.bytes=2000000 topic", "retention.ms=-1 topic"];
    Ok(did && session.sees("configs", &[], &wanted)?)
}

fn grow(session: &mut Session<'_>) -> anyhow::Result<bool> {
    let did = session.does("grow", &["3"], "done")?;
    Ok(did && session.sees_partitions(3)? && session.does("grow", &["2"], "error 37")?)
}

fn trim(session: &mut Session<'_>) -> anyhow::Result<bool> {
    let mut client = RawClient::connect(*session.place.gateways.last().context("a gateway")?);
    let code = client.produce(&session.topic, 0, &batch(&[b"1", b"2", b"3", b"4", b"5"])).error_code;
    ensure!(code == ErrorCode::NONE, "fill {}: {code:?}", session.topic);
    let did = session.does("trim", &["0", "2"], "done")?;
    Ok(did && session.sees("start", &["0"], &["2"])? && session.does("trim", &["0", "9"], "error 1")?)
}

fn delete(session: &mut Session<'_>) -> anyhow::Result<bool> {
    let did = session.does("delete", &[], "done")?;
    // Not by its own describe: one of the libraries has Metadata create what it asks for.
    let mut client = RawClient::connect(*session.place.gateways.last().context("a gateway")?);
    let is_gone = || client.list_offset(&session.topic, 0, -1) == Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    wait_until("a deleted topic is gone", SOON, is_gone);
    Ok(did && session.does("delete", &[], "error 3")?)
}
