//! The client matrix: every client library reads what every client library wrote, and the tools people type work.
//!
//! Promises: a line per cell; exits with 1 when one has failed, or when the README claims what did not pass. What a machine
//! lacks is named, and is a failure in CI. With `--bootstrap IP:PORT`, the same cells against the broker there.
//! Called by `make conformance`.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

mod admin;
mod connect;
mod exchange;
mod programs;
mod rdkafka;
mod tally;
mod tools;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Parser;
use sluice_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use sluice_protocol::messages::{ApiVersionsRequest, CreateTopicsRequest};
use sluice_protocol::{ErrorCode, KString};
use sluice_tests::fleet::{Fleet, Kind};
use sluice_tests::process::wait_until;
use sluice_tests::raw::RawClient;
use sluice_tests::skip::in_ci;

use crate::admin::{STEPS, Session};
use crate::connect::Ground;
use crate::exchange::{CODECS, Size};
use crate::programs::{PROGRAMS, Program};
use crate::tally::Tally;
use crate::tools::{TOOLS, Tool};

/// What stands for Connect among the tools.
const CONNECT: &str = "Connect, file source and sink";
/// The Java programs, which have the tools, and their versions.
const VERSIONS: [(&str, &str); 4] =
    [("java-2.1.1", "2.1.1"), ("java-2.8.2", "2.8.2"), ("java-3.9.1", "3.9.1"), ("java-4.3.1", "4.3.1")];

#[derive(Debug, Parser)]
#[command(about = "Every client reads what every client wrote, on one gateway and on three")]
struct Arguments {
    /// A broker outside instead of gateways.
    #[arg(long)]
    bootstrap: Option<SocketAddr>,
    /// Only places whose name contains this: "memory x1", "s3+dynamodb x3".
    #[arg(long, default_value = "")]
    place: String,
    /// Only these programs, by name, separated by commas.
    #[arg(long, value_delimiter = ',')]
    programs: Vec<String>,
    /// Records of each topic.
    #[arg(long, default_value_t = 200)]
    records: u64,
    /// Partitions of each topic whose writer can choose them.
    #[arg(long, default_value_t = 2)]
    partitions: u64,
    /// Only these parts, separated by commas: exchange, admin, tools, connect, rdkafka.
    #[arg(long, value_delimiter = ',')]
    parts: Vec<String>,
    /// Write the tables of what passed to this file.
    #[arg(long)]
    table: Option<PathBuf>,
    /// Fail when this document claims between its marks what did not pass.
    #[arg(long)]
    check: Option<PathBuf>,
    /// Put the tables between the marks of this document.
    #[arg(long)]
    bless: Option<PathBuf>,
}

/// Gateways, or a broker outside.
pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) bootstrap: String,
    /// In the names of topics: a broker outside has seen other runs.
    pub(crate) run: u32,
    pub(crate) gateways: Vec<SocketAddr>,
    /// The versions that it advertises, by API key.
    pub(crate) apis: BTreeMap<i16, (i16, i16)>,
    fleet: Option<Fleet>,
}

impl Place {
    fn outside(bootstrap: SocketAddr) -> Self {
        Self::new("outside".to_owned(), bootstrap, vec![bootstrap], None)
    }

    fn start(kind: Kind) -> Option<Self> {
        let fleet = Fleet::start(kind)?;
        Some(Self::new(kind.name(), fleet.bootstrap(), fleet.gateways().to_vec(), Some(fleet)))
    }

    fn new(name: String, bootstrap: SocketAddr, gateways: Vec<SocketAddr>, fleet: Option<Fleet>) -> Self {
        let answer = RawClient::connect(gateways[0]).request(0, &ApiVersionsRequest::default());
        let apis = answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect();
        let run = std::process::id();
        Self { name, run, bootstrap: bootstrap.to_string(), gateways, apis, fleet }
    }

    /// Creates topics. The records of the matrix are years old: retention must not be told of them.
    pub(crate) fn create(&self, topics: &[(&str, u64)]) -> anyhow::Result<()> {
        let forever = CreatableTopicConfig { name: KString::from("retention.ms"), value: Some(KString::from("-1")) };
        let mut request = CreateTopicsRequest { timeout_ms: 20_000, ..CreateTopicsRequest::default() };
        for (name, partitions) in topics {
            request.topics.push(CreatableTopic {
                name: KString::from(*name),
                num_partitions: i32::try_from(*partitions)?,
                replication_factor: 1,
                configs: vec![forever.clone()],
                ..CreatableTopic::default()
            });
        }
        let mut client = RawClient::connect(self.gateways[0]);
        for created in client.request(7, &request).topics {
            ensure!(created.error_code == ErrorCode::NONE, "create {}: {:?}", created.name, created.error_code);
        }
        // A broker outside tells of a topic before it serves it.
        for (topic, partitions) in topics {
            for partition in 0..i32::try_from(*partitions)? {
                let what = format!("{topic}-{partition} is served");
                wait_until(&what, Duration::from_secs(20), || client.list_offset(topic, partition, -1).is_ok());
            }
        }
        Ok(())
    }

    /// What the gateways have complained about.
    fn tell_logs(&self) {
        for process in self.fleet.iter().flat_map(|fleet| &fleet.processes) {
            let log = process.log();
            let complaints: Vec<&str> = log.lines().filter(|line| !line.contains("INFO")).collect();
            println!("         {} complained {} times, last:", process.kafka, complaints.len());
            complaints.iter().rev().take(20).rev().for_each(|line| println!("           {line}"));
        }
    }
}

/// Runs every tool in every version, the versions side by side.
fn run_tools(place: &Place, programs: &mut [Program], tally: &mut Tally) {
    let outcomes: Vec<_> = std::thread::scope(|threads| {
        let mut running = Vec::new();
        for program in programs {
            let Some((_, version)) = VERSIONS.into_iter().find(|(name, _)| *name == program.name) else { continue };
            running.push(threads.spawn(move || {
                let run = |tool: &'static Tool| (tool.name, version, tool.run(program, place, version));
                TOOLS.iter().filter(|tool| tool.is_tried(version)).map(run).collect::<Vec<_>>()
            }));
        }
        running.into_iter().flat_map(|thread| thread.join().expect("the tools of a version")).collect()
    });
    for (tool, version, outcome) in outcomes {
        tally.claim(tool, &format!("of {version}"), outcome.is_ok());
        tally.outcome(&format!("{}: {tool} of {version}", place.name), outcome.map(|()| "as Kafka's".to_owned()));
    }
}

/// Runs the admin calls of every library that has some, the libraries side by side.
fn run_admin(place: &Place, programs: &mut [Program], tally: &mut Tally) {
    let outcomes: Vec<_> = std::thread::scope(|threads| {
        let mut running = Vec::new();
        for program in programs {
            running.push(threads.spawn(move || {
                let mut outcomes = Vec::new();
                let clients = program.clients.clone().into_iter().map(|(client, _)| client);
                for client in clients.filter(|client| admin::CLIENTS.contains(&client.as_str())) {
                    let mut session = Session::new(program, place, &client);
                    outcomes.extend(STEPS.iter().map(|step| (client.clone(), step.name, step.run(&mut session))));
                }
                outcomes
            }));
        }
        running.into_iter().flat_map(|thread| thread.join().expect("the admin calls of a library")).collect()
    });
    for (client, step, outcome) in outcomes {
        let name = format!("{}: {client} administers: {step}", place.name);
        if outcome.as_ref().is_ok_and(|did| !did) {
            println!("         {name}: the library cannot");
            continue;
        }
        tally.claim(&client, &format!("administers {step}"), outcome.is_ok());
        tally.outcome(&name, outcome.map(|_| "as Kafka's".to_owned()));
    }
}

/// Runs Connect on gateways of its own, which it kills, or against the broker outside.
fn run_connect(outside: Option<SocketAddr>, tally: &mut Tally) {
    let Some(mut ground) = outside.map(Ground::Outside).or_else(Ground::gateways) else {
        tally.skip("Connect", "s3+dynamodb x2 is not to be had");
        return;
    };
    let install =
        Command::new(sluice_tests::root().join("scripts/kafka")).args(["install", "4.3.1", "connect"]).output();
    if !install.is_ok_and(|ran| ran.status.success()) {
        tally.skip("Connect", "its jars are not to be had (Java 17 and Maven)");
        return;
    }
    let outcome = connect::run(&mut ground);
    tally.claim(CONNECT, "of 4.3.1", outcome.is_ok());
    tally.outcome(&format!("{}: {CONNECT}", ground.name()), outcome);
}

/// Runs the crate rdkafka's own tests on a gateway of their own.
fn run_rdkafka(tally: &mut Tally) {
    let Some(tests) = rdkafka::find() else {
        tally.skip("rdkafka's own tests", "are not installed (scripts/setup rdkafka-tests)");
        return;
    };
    let gateway = rdkafka::gateway();
    let outcomes: Vec<_> = std::thread::scope(|threads| {
        let running: Vec<_> = tests.iter().map(|test| threads.spawn(|| rdkafka::run(test, gateway.kafka))).collect();
        running.into_iter().map(|thread| thread.join().expect("a test")).collect()
    });
    for (test, outcome) in tests.iter().zip(outcomes) {
        tally.outcome(&format!("memory x1: rdkafka's own {}", test.file_name().unwrap_or_default().display()), outcome);
    }
}

/// Starts what is asked for; what cannot be had is on record.
fn start(arguments: &Arguments, tally: &mut Tally) -> Vec<Program> {
    let asked = |name: &str| arguments.programs.is_empty() || arguments.programs.iter().any(|each| each == name);
    let starting = PROGRAMS.into_iter().filter(|(name, _)| asked(name));
    let starting: Vec<_> =
        starting.map(|(name, kind)| (name, std::thread::spawn(move || Program::start(name, kind)))).collect();
    let mut programs = Vec::new();
    for (name, thread) in starting {
        match thread.join().expect("a program starts") {
            Ok(program) => programs.push(program),
            Err(error) => tally.skip(name, &format!("{error:#}")),
        }
    }
    programs
}

fn finish(arguments: &Arguments, clients: &[(String, String)], tally: &mut Tally) -> anyhow::Result<()> {
    let names = TOOLS.iter().map(|tool| tool.name).chain([CONNECT]);
    let names: Vec<&str> = names.collect();
    let tools = tally.tools(&names, &VERSIONS.map(|(_, version)| version));
    let tables = format!("{}\n{tools}", tally.clients(clients, &CODECS, &STEPS.each_ref().map(|step| step.name)));
    if let Some(path) = &arguments.table {
        fs::write(path, &tables)?;
    }
    if let Some(path) = &arguments.bless {
        fs::write(path, tally::with_tables(&fs::read_to_string(path)?, &tables)?)?;
    }
    if let Some(path) = &arguments.check {
        let unproven = tally::unproven(&fs::read_to_string(path)?, &tables, in_ci())?;
        tally.cell(&format!("{} claims what passed", path.display()), "nothing else", &unproven);
    }
    Ok(())
}

fn run(arguments: &Arguments, tally: &mut Tally) -> anyhow::Result<()> {
    let mut programs = start(arguments, tally);
    let clients: Vec<(String, String)> = programs.iter().flat_map(|p| p.clients.clone()).collect();
    let size = Size { records: arguments.records, partitions: arguments.partitions };
    let kinds = [Kind::Memory(1), Kind::Processes(3)];
    let places: Vec<Option<Kind>> = match arguments.bootstrap {
        Some(_) => vec![None],
        None => kinds.into_iter().filter(|k| k.name().contains(&arguments.place)).map(Some).collect(),
    };
    let asked = |part: &str| arguments.parts.is_empty() || arguments.parts.iter().any(|each| each == part);
    for kind in places {
        let place = match (kind, arguments.bootstrap) {
            (Some(kind), _) => Place::start(kind),
            (None, Some(bootstrap)) => Some(Place::outside(bootstrap)),
            (None, None) => None,
        };
        let Some(place) = place else {
            tally.skip(&kind.map(Kind::name).unwrap_or_default(), "is not to be had");
            continue;
        };
        let (since, failed_before) = (Instant::now(), tally.failed.len());
        if asked("exchange") {
            exchange::run(&place, &mut programs, size, tally)?;
        }
        if asked("admin") {
            run_admin(&place, &mut programs, tally);
        }
        if asked("tools") {
            run_tools(&place, &mut programs, tally);
        }
        println!("         {}: {} s", place.name, since.elapsed().as_secs());
        if tally.failed.len() > failed_before {
            place.tell_logs();
        }
    }
    if asked("connect") {
        run_connect(arguments.bootstrap, tally);
    }
    if asked("rdkafka") && arguments.bootstrap.is_none() {
        run_rdkafka(tally);
    }
    finish(arguments, &clients, tally)
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let since = Instant::now();
    let mut tally = Tally::default();
    if let Err(error) = run(&arguments, &mut tally) {
        tally.cell("the matrix itself", "", &[format!("{error:#}")]);
    }
    let Tally { passed, failed, skipped, .. } = &tally;
    let seconds = since.elapsed().as_secs();
    println!("clients: {passed} cells passed, {} failed, {skipped} skipped, {seconds} s", failed.len());
    failed.iter().for_each(|name| println!("failed: {name}"));
    if failed.is_empty() && (*skipped == 0 || !in_ci()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
