//! The same situations against Apache Kafka and against Sluice.
//!
//!     differential [--only TEXT] [--list] [--kafka HOST:PORT] [--sluice HOST:PORT] [--threads 6] [--verbose]
//!
//! Promises: each situation is played to both brokers with names of its own; the normalised answers are the same, or differ
//! in a way that a row of docs/differences.md names and the situation cites. Exit code 1 when one differs otherwise, when a
//! cited difference no longer shows, when a cited row is not in the document, or when a row of `rows` is quoted by nothing.
//! Starts both brokers unless told of running ones; those must have the settings in `brokers`. A second pair, which creates
//! no topic on demand, is always started here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    missing_docs,
    reason = "a test program: what is not as expected ends it with a message"
)]

mod batches;
mod brokers;
mod differences;
mod dump;
mod judge;
mod requests;
mod rows;
mod session;
mod situation;
mod situations;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use sluice_protocol::KString;
use sluice_protocol::messages::{FindCoordinatorRequest, HeartbeatRequest, InitProducerIdRequest};

use brokers::{Brokers, Creation};
use judge::{Transcript, Verdict, judge};
use session::Session;
use situation::Situation;

/// Compares Sluice with Apache Kafka.
#[derive(Debug, Parser)]
struct Arguments {
    /// Plays the situations whose name, or what they stand for, contains this.
    #[arg(long)]
    only: Option<String>,
    /// Lists the situations and what they stand for.
    #[arg(long)]
    list: bool,
    /// A Kafka broker that runs already.
    #[arg(long)]
    kafka: Option<String>,
    /// A gateway that runs already.
    #[arg(long)]
    sluice: Option<String>,
    /// Situations played at a time.
    #[arg(long, default_value_t = 6)]
    threads: usize,
    /// Prints the answers of both.
    #[arg(long)]
    verbose: bool,
}

/// A situation that takes longer is told of: somebody waits for something.
const SLOW: Duration = Duration::from_secs(15);

/// One version of one situation.
struct Case {
    name: String,
    version: i16,
    situation: Situation,
}

fn cases(only: Option<&str>) -> Vec<Case> {
    let mut cases = Vec::new();
    for situation in situations::all() {
        for (name, version) in situation.each() {
            let asked = only.is_none_or(|text| name.contains(text) || situation.stands_for.contains(text));
            if asked {
                cases.push(Case { name, version, situation });
            }
        }
    }
    cases
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("differential: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    let cases = cases(arguments.only.as_deref());
    ensure!(!cases.is_empty(), "no situation is called so");
    if arguments.list {
        for case in &cases {
            println!("{}\n    {}", case.name, case.situation.stands_for);
        }
        println!("{} situations", cases.len());
        return Ok(true);
    }
    let mut complaints = differences::complaints(&situations::all(), arguments.only.is_none())?;
    let started = Instant::now();
    let mut verdicts = BTreeMap::new();
    for creation in [Creation::OnDemand, Creation::WhenTold] {
        let of_these: Vec<usize> = (0..cases.len()).filter(|at| cases[*at].situation.creation == creation).collect();
        if of_these.is_empty() {
            continue;
        }
        let running = if creation == Creation::OnDemand { [&arguments.kafka, &arguments.sluice] } else { [&None; 2] };
        let [kafka, sluice] = running.map(Option::as_deref);
        let brokers = Brokers::start(creation, kafka, sluice)?;
        for addr in [brokers.kafka, brokers.sluice] {
            await_coordinator(addr).with_context(|| format!("{addr}"))?;
        }
        println!("Kafka at {}, Sluice at {}, after {:.1?}", brokers.kafka, brokers.sluice, started.elapsed());
        verdicts.extend(play_all(&cases, of_these, &brokers, arguments));
    }
    let good = report(&cases, &verdicts);
    complaints.extend(situations::unquoted_rows().into_iter().filter(|_| arguments.only.is_none()));
    for complaint in &complaints {
        println!("FAILED  {complaint}");
    }
    println!("{:.1?}", started.elapsed());
    Ok(good && complaints.is_empty())
}

/// A broker that has just begun makes the topic of the offsets when it is asked for a coordinator.
fn await_coordinator(addr: SocketAddr) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(60);
    let mut session = Session::new(addr, "warm-up");
    loop {
        let mut ready = true;
        for n in 0..4 {
            let group = KString::from(format!("warm-up-{n}"));
            let find = FindCoordinatorRequest { key: group.clone(), ..FindCoordinatorRequest::default() };
            ready &= session.prepare(3, &find)?.error_code.is_none();
            let beat = HeartbeatRequest { group_id: group, ..HeartbeatRequest::default() };
            ready &= i16::from(session.prepare(4, &beat)?.error_code) == 25;
        }
        let begin = InitProducerIdRequest { transactional_id: None, ..InitProducerIdRequest::default() };
        ready &= session.prepare(4, &begin)?.error_code.is_none();
        if ready {
            return Ok(());
        }
        ensure!(Instant::now() < until, "no group coordinator");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// Plays, of the cases with these numbers, what may run together over several threads, then what must run alone.
fn play_all(cases: &[Case], which: Vec<usize>, brokers: &Brokers, arguments: &Arguments) -> BTreeMap<usize, Verdict> {
    let run = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs() % 1_000_000);
    let verdicts = Mutex::new(BTreeMap::new());
    let (alone, together): (Vec<usize>, Vec<usize>) = which.into_iter().partition(|at| cases[*at].situation.alone);
    for (part, threads) in [(together, arguments.threads.max(1)), (alone, 1)] {
        let next = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some(at) = part.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let begun = Instant::now();
                        let verdict = play(&cases[*at], &format!("d{run}x{at:04}"), brokers, arguments.verbose);
                        if begun.elapsed() > SLOW {
                            println!("slow    {}: {:.1?}", cases[*at].name, begun.elapsed());
                        }
                        verdicts.lock().unwrap().insert(*at, verdict);
                    }
                });
            }
        });
    }
    verdicts.into_inner().unwrap()
}

/// Plays one situation to both brokers at the same time.
fn play(case: &Case, prefix: &str, brokers: &Brokers, verbose: bool) -> Verdict {
    let (kafka, sluice) = std::thread::scope(|scope| {
        let kafka = scope.spawn(|| play_to(case, prefix, brokers.kafka));
        let sluice = play_to(case, prefix, brokers.sluice);
        (kafka.join().unwrap(), sluice)
    });
    if verbose {
        let mut text = format!("{}\n", case.name);
        for (who, transcript) in [("Kafka", &kafka), ("Sluice", &sluice)] {
            text.push_str(&format!("  {who}\n"));
            for (label, lines) in &transcript.0 {
                text.push_str(&format!("    {label}\n"));
                lines.iter().for_each(|(path, value)| text.push_str(&format!("      {path} = {value}\n")));
            }
            transcript.1.iter().for_each(|end| text.push_str(&format!("    ended: {end}\n")));
        }
        print!("{text}");
    }
    judge(&case.situation, case.version, &kafka, &sluice)
}

fn play_to(case: &Case, prefix: &str, addr: SocketAddr) -> Transcript {
    let mut session = Session::new(addr, prefix);
    let script = case.situation.script;
    let end = match catch_unwind(AssertUnwindSafe(|| script(&mut session, case.version))) {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(_) => Some("the script panicked".to_owned()),
    };
    (session.transcript(), end)
}

fn report(cases: &[Case], verdicts: &BTreeMap<usize, Verdict>) -> bool {
    let (mut same, mut differ, mut failed) = (0, 0, 0);
    for (at, verdict) in verdicts {
        let name = &cases[*at].name;
        match verdict {
            Verdict::Same => {
                same += 1;
                println!("ok      {name}");
            }
            Verdict::Differs(rows) => {
                differ += 1;
                let rows: Vec<&str> = rows.iter().copied().collect();
                println!("differs {name}: as {}", rows.join(", "));
            }
            Verdict::Failed(why) => {
                failed += 1;
                println!("FAILED  {name} ({})", cases[*at].situation.stands_for);
                why.iter().take(60).for_each(|line| println!("      {line}"));
                if why.len() > 60 {
                    println!("      and {} more", why.len() - 60);
                }
            }
        }
    }
    println!("{} situations: {same} the same, {differ} differ as written down, {failed} FAILED", verdicts.len());
    failed == 0
}
