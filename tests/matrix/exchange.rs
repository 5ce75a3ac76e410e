//! Every client reads what every client wrote, with every codec.
//!
//! Promises: topics are written whole before they are read; a reader is judged by the digest of every field that it can
//! show, against what was written, or, for a time that a writer took from its clock, against what most readers saw.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use sluice_tests::fleet::ends;
use sluice_tests::matrix_records::{KINDS, Shape};

use crate::Place;
use crate::programs::{Answer, Program};
use crate::tally::Tally;

pub(crate) const CODECS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];
/// Longest that a client may take for writing one topic, and for reading all of them.
const WRITE: Duration = Duration::from_secs(60);
const READ: Duration = Duration::from_secs(90);
/// What a reader is given for one topic that it did not read together with the others.
const READ_ONE: Duration = Duration::from_secs(5);
/// So many topics are tried again one by one.
const ALONE_MAX: usize = 10;
/// What a program needs beyond its patience: console consumers are started once per partition.
const SLACK: Duration = Duration::from_secs(60);

/// How large it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) records: u64,
    pub(crate) partitions: u64,
}

/// A topic: who writes it, and what.
#[derive(Debug, Clone)]
struct Topic {
    name: String,
    writer: String,
    codec: &'static str,
    seed: u64,
    shape: Shape,
    size: Size,
}

impl Topic {
    fn expected(&self) -> BTreeMap<char, String> {
        self.shape.expected(self.seed, self.size.records, self.size.partitions)
    }

    fn wanted(&self) -> String {
        format!("{}:{}:{}", self.name, self.size.partitions, self.size.records)
    }
}

/// What this client can write: see `tests/clients/matrix/README.md`.
fn shape(client: &str) -> Shape {
    match client {
        "kcat" => Shape::Text { headers: true },
        // Headers came to the console producer with 3.2.
        _ if client.starts_with("console-2.") => Shape::Text { headers: false },
        _ if client.starts_with("console-") => Shape::Text { headers: true },
        _ => Shape::Full,
    }
}

fn topics(place: &Place, programs: &[Program], size: Size) -> Vec<Topic> {
    let mut topics = Vec::new();
    for (writer, _) in programs.iter().flat_map(|program| &program.clients) {
        // The console producers choose no partition.
        let partitions = if writer.starts_with("console-") { 1 } else { size.partitions };
        for codec in CODECS {
            let seed = 1000 + u64::try_from(topics.len()).unwrap_or(0);
            let size = Size { partitions, ..size };
            let name = format!("matrix-{}-{writer}-{codec}", place.run);
            topics.push(Topic { name, writer: writer.clone(), codec, seed, shape: shape(writer), size });
        }
    }
    topics
}

type Written = BTreeMap<String, anyhow::Result<()>>;

fn write_all(place: &Place, programs: &mut [Program], topics: &[Topic]) -> Written {
    let written = Mutex::new(Written::new());
    std::thread::scope(|threads| {
        for program in programs {
            let written = &written;
            threads.spawn(move || {
                let mine = |t: &&Topic| program.clients.iter().any(|(client, _)| *client == t.writer);
                for topic in topics.iter().filter(mine).cloned().collect::<Vec<_>>() {
                    let outcome = write(place, program, &topic);
                    written.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.name.clone(), outcome);
                }
            });
        }
    });
    written.into_inner().unwrap_or_else(PoisonError::into_inner)
}

fn write(place: &Place, program: &mut Program, topic: &Topic) -> anyhow::Result<()> {
    let Size { records, partitions } = topic.size;
    let numbers = [topic.seed, records, partitions].map(|n| n.to_string());
    let [seed, records_text, partitions_text] = numbers.each_ref().map(String::as_str);
    let job = ["write", &topic.writer, &place.bootstrap, &topic.name, seed, records_text, partitions_text, topic.codec];
    let answer = program.job(&job, WRITE);
    if let Some(error) = answer.error {
        bail!("{error}\n{}", answer.stderr);
    }
    let last = place.gateways.last().context("a gateway")?;
    let count = i32::try_from(partitions)?;
    let found = ends(*last, &topic.name, count)?;
    let wanted: BTreeMap<i32, i64> = (0..count)
        .map(|p| Ok((p, i64::try_from((records + partitions - 1 - u64::try_from(p)?) / partitions)?)))
        .collect::<anyhow::Result<_>>()?;
    ensure!(found == wanted, "its partitions end at {found:?}, not at {wanted:?}");
    Ok(())
}

type Digests = BTreeMap<char, String>;
/// By reader and topic.
type Found = BTreeMap<(String, String), Result<Digests, String>>;

fn read_all(place: &Place, programs: &mut [Program], topics: &[Topic]) -> Found {
    let found = Mutex::new(Found::new());
    std::thread::scope(|threads| {
        for program in programs {
            let found = &found;
            threads.spawn(move || {
                for (reader, _) in program.clients.clone() {
                    let since = Instant::now();
                    let of_reader = read(place, program, &reader, topics);
                    println!("         {}: {reader} is done after {:.1} s", place.name, since.elapsed().as_secs_f64());
                    let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
                    found.extend(of_reader.into_iter().map(|(topic, digests)| ((reader.clone(), topic), digests)));
                }
            });
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// All topics together; those that are missing then, one by one, which tells the reason of each.
fn read(
    place: &Place,
    program: &mut Program,
    reader: &str,
    topics: &[Topic],
) -> BTreeMap<String, Result<Digests, String>> {
    let mut found = BTreeMap::new();
    let together = ask(place, program, reader, topics, READ);
    take(&together, &mut found);
    let why = |answer: &Answer| {
        let error = answer.error.clone().unwrap_or_else(|| "it said nothing of this topic".to_owned());
        format!("{error}\n{}", answer.stderr)
    };
    let missing: Vec<Topic> = topics.iter().filter(|t| !found.contains_key(&t.name)).cloned().collect();
    for (n, topic) in missing.iter().enumerate() {
        if n < ALONE_MAX {
            let alone = ask(place, program, reader, std::slice::from_ref(topic), READ_ONE);
            take(&alone, &mut found);
            if !found.contains_key(&topic.name) {
                found.insert(topic.name.clone(), Err(why(&alone)));
            }
        } else {
            found.insert(topic.name.clone(), Err(why(&together)));
        }
    }
    found
}

fn ask(place: &Place, program: &mut Program, reader: &str, topics: &[Topic], patience: Duration) -> Answer {
    let wanted: Vec<String> = topics.iter().map(Topic::wanted).collect();
    let job = ["read", reader, &place.bootstrap, &patience.as_millis().to_string(), &wanted.join(",")];
    program.job(&job, patience + SLACK)
}

fn take(answer: &Answer, into: &mut BTreeMap<String, Result<Digests, String>>) {
    for line in &answer.lines {
        let [verb, topic, _, digests @ ..] = &line[..] else { continue };
        if verb == "read" {
            let digests = digests.iter().filter_map(|word| word.split_once('='));
            let shown = digests.filter(|(_, digest)| *digest != "-");
            let digests = shown.filter_map(|(kind, digest)| Some((kind.chars().next()?, digest.to_owned())));
            into.insert(topic.clone(), Ok(digests.collect()));
        }
    }
}

/// The time of a topic's records as most readers saw it.
fn time_seen(topic: &Topic, found: &Found) -> Option<String> {
    let mut seen: BTreeMap<&String, usize> = BTreeMap::new();
    for ((_, name), digests) in found {
        if let (true, Ok(Some(time))) = (*name == topic.name, digests.as_ref().map(|d| d.get(&'t'))) {
            *seen.entry(time).or_default() += 1;
        }
    }
    seen.into_iter().max_by_key(|(_, count)| *count).map(|(time, _)| time.clone())
}

/// What each topic must be read as: as written; the time as most readers saw it, where the writer took it from its clock.
fn references(topics: &[Topic], found: &Found) -> BTreeMap<String, Digests> {
    let reference = |topic: &Topic| {
        let seen = time_seen(topic, found).map(|time| ('t', time));
        // What was written comes last, and so counts where it is known.
        let digests = seen.into_iter().chain(topic.expected()).collect();
        (topic.name.clone(), digests)
    };
    topics.iter().map(reference).collect()
}

fn differences(found: &Digests, wanted: &Digests) -> String {
    let names = BTreeMap::from([
        ('k', "key"),
        ('e', "key"),
        ('v', "value"),
        ('w', "value"),
        ('h', "headers"),
        ('t', "timestamp"),
    ]);
    let differ = KINDS.into_iter().filter(|k| found.get(k).is_some_and(|f| wanted.get(k) != Some(f)));
    differ.map(|k| format!("{} {} is not {}; ", names[&k], found[&k], wanted.get(&k).map_or("-", |w| w))).collect()
}

/// Runs it all in one place.
pub(crate) fn run(place: &Place, programs: &mut [Program], size: Size, tally: &mut Tally) -> anyhow::Result<()> {
    let topics = topics(place, programs, size);
    let sizes: Vec<(&str, u64)> = topics.iter().map(|t| (t.name.as_str(), t.size.partitions)).collect();
    place.create(&sizes)?;
    let since = Instant::now();
    let written = write_all(place, programs, &topics);
    println!("         {}: {} topics written in {:.1} s", place.name, topics.len(), since.elapsed().as_secs_f64());
    let is_written = |topic: &Topic| written.get(&topic.name).is_some_and(Result::is_ok);
    let there: Vec<Topic> = topics.iter().filter(|t| is_written(t)).cloned().collect();
    let since = Instant::now();
    let found = read_all(place, programs, &there);
    println!("         {}: read by all in {:.1} s", place.name, since.elapsed().as_secs_f64());
    let references = references(&there, &found);

    let clients: Vec<String> = programs.iter().flat_map(|p| &p.clients).map(|(name, _)| name.clone()).collect();
    for writer in &clients {
        let mine: Vec<&Topic> = topics.iter().filter(|t| t.writer == *writer).collect();
        let failures = mine.iter().filter_map(|t| {
            let error = written.get(&t.name)?.as_ref().err()?;
            Some(format!("{}: {error:#}", t.codec))
        });
        let failures: Vec<String> = failures.collect();
        for topic in &mine {
            tally.claim(writer, &format!("writes {}", topic.codec), is_written(topic));
        }
        tally.cell(&format!("{}: {writer} writes", place.name), &codecs(&mine), &failures);
        for reader in &clients {
            let of_writer: Vec<&Topic> = there.iter().filter(|t| t.writer == *writer).collect();
            let failures = judge(reader, &of_writer, &found, &references, tally);
            tally.cell(&format!("{}: {reader} reads what {writer} wrote", place.name), &codecs(&of_writer), &failures);
        }
    }
    Ok(())
}

fn codecs(topics: &[&Topic]) -> String {
    topics.iter().map(|t| t.codec).collect::<Vec<_>>().join(" ")
}

fn judge(
    reader: &str,
    topics: &[&Topic],
    found: &Found,
    references: &BTreeMap<String, Digests>,
    tally: &mut Tally,
) -> Vec<String> {
    let mut failures = Vec::new();
    for topic in topics {
        let wanted = &references[&topic.name];
        let problem = match found.get(&(reader.to_owned(), topic.name.clone())) {
            None => Some("nothing".to_owned()),
            Some(Err(error)) => Some(error.clone()),
            Some(Ok(digests)) => Some(differences(digests, wanted)).filter(|d| !d.is_empty()),
        };
        tally.claim(reader, &format!("reads {}", topic.codec), problem.is_none());
        failures.extend(problem.map(|problem| format!("{}: {problem}", topic.codec)));
    }
    failures
}
