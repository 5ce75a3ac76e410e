//! Bytes written by Apache Kafka's own Java serialiser, every message in every version: by kafka-clients 4.3.1, and the
//! versions that Kafka 4 dropped by kafka-clients 2.8.2. Three questions, a Java program each in `golden/`:
//!
//! * `Filled.java`: does Java have the same fields? It fills each message by reflection, each field with a value that follows
//!   from the field's name and place, and no byte of ours goes in. [`sample::Fill`](sluice_protocol::sample::Fill) is the same
//!   rule in Rust. So a field that we lack, have in a version too many, call by another name, put in another place, give another
//!   type, default or tag, or hold for nullable where it is not, gives other bytes or another value.
//! * `Golden.java`: does Java write the same values as the same bytes? It reads arbitrary messages that we wrote (edge values,
//!   long strings, empty arrays), must know every tagged field in them, and writes them again.
//! * `Refused.java`: which values does Java refuse in which versions: those that a version cannot carry and may not drop?
//!
//! `tests/conformance/golden` makes the files anew and compares; run with SLUICE_PRINT_SAMPLES=1, a test prints its input.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;

use sluice_protocol::consumer_protocol::{self, ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use sluice_protocol::sample::{Fill, Sample, Source, Visitor, visit_all};
use sluice_protocol::{Bytes, Message, Reader, Request, Writer};

const WRITTEN_BY_KAFKA_4_3: &str = include_str!("golden/kafka-clients-4.3.1.txt");
const REFUSED_BY_KAFKA_4_3: &str = include_str!("golden/kafka-clients-4.3.1-refused.txt");
const REFUSED_BY_KAFKA_2_8: &str = include_str!("golden/kafka-clients-2.8.2-refused.txt");
const WRITTEN_BY_KAFKA_2_8: &str = include_str!("golden/kafka-clients-2.8.2.txt");
const FILLED_BY_KAFKA_4_3: &str = include_str!("golden/kafka-clients-4.3.1-filled.txt");
const FILLED_BY_KAFKA_2_8: &str = include_str!("golden/kafka-clients-2.8.2-filled.txt");

/// Fills, and what the files call them.
const FILLS: [(&str, Fill); 7] = [
    ("values", Fill::Values),
    ("null-leaves", Fill::NullLeaves),
    ("null-containers", Fill::NullContainers),
    ("defaults-0", Fill::Defaults(0)),
    ("defaults-1", Fill::Defaults(1)),
    ("defaults-2", Fill::Defaults(2)),
    ("defaults-3", Fill::Defaults(3)),
];

fn encode(message: &impl Message, version: i16) -> Bytes {
    let mut w = Writer::new();
    message.encode(&mut w, version).unwrap();
    w.finish().to_bytes()
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

fn from_hex(hex: &str) -> Bytes {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// The samples: rich ones, and one of defaults, per message and version. Fixed, or the file must be made anew.
fn samples<M: Message + Sample>(version: i16) -> Vec<M> {
    const SEEDS: [u32; 2] = [0x5eed, 0xcafe];
    let rich = SEEDS.map(|seed| {
        let mut state = seed;
        let entropy: Vec<u8> = (0..160)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Records stay short: a blob of 1 KiB is made of a byte that is 1 or 2 modulo 16.
                let [high, ..] = state.to_be_bytes();
                if high % 16 == 1 || high % 16 == 2 { high | 4 } else { high }
            })
            .collect();
        M::sample(&mut Source::new(&entropy), version, false)
    });
    rich.into_iter().chain([M::default()]).collect()
}

/// Something done with every message, those of the consumer protocol included.
trait Each {
    fn each<M: Message + Sample>(&mut self, version: i16);
}

struct AllRequests<'a, E>(&'a mut E);

impl<E: Each> Visitor for AllRequests<'_, E> {
    fn visit<R>(&mut self)
    where
        R: Request<Response: Sample> + Sample,
    {
        for version in R::MIN_VERSION..=R::MAX_VERSION {
            self.0.each::<R>(version);
            self.0.each::<R::Response>(version);
        }
    }
}

fn for_each_message(each: &mut impl Each) {
    visit_all(&mut AllRequests(each));
    for version in 0..=consumer_protocol::MAX_VERSION {
        each.each::<ConsumerProtocolSubscription>(version);
        each.each::<ConsumerProtocolAssignment>(version);
    }
}

struct Printer;

impl Each for Printer {
    fn each<M: Message + Sample>(&mut self, version: i16) {
        for sample in samples::<M>(version) {
            println!("sample {} {version} {}", M::NAME, to_hex(&encode(&sample, version)));
        }
    }
}

struct Comparer {
    golden: BTreeMap<(&'static str, i16), Vec<Bytes>>,
    lacking: Vec<String>,
}

impl Each for Comparer {
    fn each<M: Message + Sample>(&mut self, version: i16) {
        let Some(written_by_java) = self.golden.remove(&(M::NAME, version)) else {
            return self.lacking.push(format!("{} {version}", M::NAME));
        };
        let samples = samples::<M>(version);
        assert_eq!(written_by_java.len(), samples.len());
        for (bytes, sample) in written_by_java.iter().zip(samples) {
            assert_eq!(to_hex(&encode(&sample, version)), to_hex(bytes), "{} v{version}", M::NAME);
            let mut r = Reader::new(bytes.clone());
            assert_eq!(M::decode(&mut r, version).as_ref(), Ok(&sample), "{} v{version}", M::NAME);
            r.finish().unwrap();
        }
    }
}

/// The lines of a golden file, and which messages in which versions they are.
fn read_golden(file: &'static str) -> BTreeMap<(&'static str, i16), Vec<Bytes>> {
    let mut golden: BTreeMap<_, Vec<Bytes>> = BTreeMap::new();
    for line in file.lines() {
        let mut parts = line.split(' ');
        let (name, version) = (parts.next().unwrap(), parts.next().unwrap().parse().unwrap());
        golden.entry((name, version)).or_default().push(from_hex(parts.next().unwrap_or_default()));
    }
    golden
}

/// What `kafka-clients-2.8.2.txt` is for: requests, each with its response.
const DROPPED_BY_KAFKA_4: &str = "CreateTopics 0 1, DeleteTopics 0, DescribeConfigs 0, DescribeLogDirs 0, Fetch 0 1 2 3, \
                                  ListOffsets 0, OffsetCommit 0 1, OffsetFetch 0, OffsetForLeaderEpoch 0 1, Produce 0 1 2";

/// The APIs and their versions; of each, the request and the response must be there.
fn versions_by_message<'a>(keys: impl Iterator<Item = &'a (&'static str, i16)>) -> String {
    let mut versions: BTreeMap<&str, Vec<i16>> = BTreeMap::new();
    for (name, version) in keys {
        versions.entry(name).or_default().push(*version);
    }
    let apis = versions.iter().filter_map(|(name, of_request)| {
        let api = name.strip_suffix("Request")?;
        assert_eq!(versions.get(&*format!("{api}Response")), Some(of_request), "{api}");
        let of_request: Vec<String> = of_request.iter().map(i16::to_string).collect();
        Some(format!("{api} {}", of_request.join(" ")))
    });
    apis.collect::<Vec<_>>().join(", ")
}

#[test]
fn every_version_agrees_with_the_java_serialiser_of_kafka() {
    if std::env::var_os("SLUICE_PRINT_SAMPLES").is_some() {
        for_each_message(&mut Printer);
    }
    let mut golden = read_golden(WRITTEN_BY_KAFKA_4_3);
    let dropped = read_golden(WRITTEN_BY_KAFKA_2_8);
    assert_eq!(versions_by_message(dropped.keys()), DROPPED_BY_KAFKA_4);
    for (key, lines) in dropped {
        assert!(golden.insert(key, lines).is_none(), "{key:?} is in both files");
    }
    let mut comparer = Comparer { golden, lacking: Vec::new() };
    for_each_message(&mut comparer);
    assert!(comparer.golden.is_empty(), "messages nobody compared: {:?}", comparer.golden.keys());
    // Not println!, which is kept back from the output of a test that passes.
    let lacking = if comparer.lacking.is_empty() { "none".to_owned() } else { comparer.lacking.join(", ") };
    writeln!(std::io::stdout(), "versions without an outside source: {lacking}").unwrap();
    assert!(comparer.lacking.is_empty(), "{:?}", comparer.lacking);
}

struct RefusalComparer {
    /// Versions of each message in which encoding is compared.
    versions: BTreeMap<&'static str, Vec<i16>>,
    /// By message, version and number of a sample of that version: the versions that refuse it.
    refused: BTreeMap<(&'static str, i16, usize), Vec<i16>>,
    compared: usize,
}

impl Each for RefusalComparer {
    fn each<M: Message + Sample>(&mut self, version: i16) {
        for (number, sample) in samples::<M>(version).into_iter().enumerate() {
            // A version of the sample that this Kafka does not have.
            let Some(theirs) = self.refused.remove(&(M::NAME, version, number)) else { continue };
            let Some(versions) = self.versions.get(M::NAME) else { continue };
            let theirs: Vec<i16> = theirs.into_iter().filter(|version| versions.contains(version)).collect();
            let refuses = |version: &i16| sample.encode(&mut Writer::new(), *version).is_err();
            let ours: Vec<i16> = versions.iter().copied().filter(refuses).collect();
            assert_eq!(ours, theirs, "versions that refuse sample {number} of {} v{version}: {sample:?}", M::NAME);
            self.compared += versions.len();
        }
    }
}

/// Compares in the versions that the file `written` has; returns how many encodings were compared.
fn compare_refusals(refused: &'static str, written: &'static str) -> usize {
    let mut versions: BTreeMap<_, Vec<i16>> = BTreeMap::new();
    for (name, version) in read_golden(written).into_keys() {
        versions.entry(name).or_default().push(version);
    }
    let refused = refused.lines().map(|line| {
        let mut parts = line.split(' ');
        let name = parts.next().unwrap();
        let (version, number) = (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap());
        ((name, version, number), parts.map(|version| version.parse().unwrap()).collect())
    });
    let mut comparer = RefusalComparer { versions, refused: refused.collect(), compared: 0 };
    for_each_message(&mut comparer);
    assert!(comparer.refused.is_empty(), "samples nobody compared: {:?}", comparer.refused);
    comparer.compared
}

#[test]
fn every_version_refuses_what_the_java_serialiser_of_kafka_refuses() {
    let compared = compare_refusals(REFUSED_BY_KAFKA_4_3, WRITTEN_BY_KAFKA_4_3);
    assert!(compared > 7_000, "only {compared} encodings were compared with Kafka 4.3");
    let compared = compare_refusals(REFUSED_BY_KAFKA_2_8, WRITTEN_BY_KAFKA_2_8);
    assert!(compared > 500, "only {compared} encodings were compared with Kafka 2.8");
}

/// By message and version, what Java made of each fill, in the order of `FILLS`. Fills that give what an earlier one gave
/// are left out.
type FilledByJava = BTreeMap<(&'static str, i16), Vec<(&'static str, Bytes)>>;

struct FilledComparer {
    golden: FilledByJava,
    lacking: Vec<String>,
    compared: usize,
}

impl Each for FilledComparer {
    fn each<M: Message + Sample>(&mut self, version: i16) {
        let Some(filled_by_java) = self.golden.remove(&(M::NAME, version)) else {
            return self.lacking.push(format!("{} {version}", M::NAME));
        };
        let mut seen = BTreeSet::new();
        let mut filled_by_us = Vec::new();
        for (how, fill) in FILLS {
            let message = M::sample(&mut Source::filling(M::NAME, fill), version, false);
            let bytes = encode(&message, version);
            let mut r = Reader::new(bytes.clone());
            assert_eq!(M::decode(&mut r, version).as_ref(), Ok(&message), "{} v{version}", M::NAME);
            if seen.insert(bytes.clone()) {
                filled_by_us.push((how, bytes, message));
            }
        }
        for (how, bytes) in &filled_by_java {
            let mut r = Reader::new(bytes.clone());
            let decoded =
                M::decode(&mut r, version).unwrap_or_else(|error| panic!("{} v{version} {how}: {error}", M::NAME));
            let ours = filled_by_us.iter().find(|(ours, ..)| ours == how).map(|(_, _, message)| message);
            assert_eq!(Some(&decoded), ours, "{} v{version} {how}", M::NAME);
            assert_eq!(to_hex(&encode(&decoded, version)), to_hex(bytes), "{} v{version} {how}", M::NAME);
        }
        assert_eq!(filled_by_java.len(), filled_by_us.len(), "{} v{version}", M::NAME);
        self.compared += filled_by_java.len();
    }
}

fn read_filled(file: &'static str) -> FilledByJava {
    let mut filled: FilledByJava = BTreeMap::new();
    for line in file.lines() {
        let mut parts = line.split(' ');
        let (name, version) = (parts.next().unwrap(), parts.next().unwrap().parse().unwrap());
        let how = parts.next().unwrap();
        filled.entry((name, version)).or_default().push((how, from_hex(parts.next().unwrap_or_default())));
    }
    filled
}

#[test]
fn every_field_is_the_one_that_kafka_has_under_its_name() {
    let mut golden = read_filled(FILLED_BY_KAFKA_4_3);
    for (key, filled) in read_filled(FILLED_BY_KAFKA_2_8) {
        assert!(golden.insert(key, filled).is_none(), "{key:?} is in both files");
    }
    let mut comparer = FilledComparer { golden, lacking: Vec::new(), compared: 0 };
    for_each_message(&mut comparer);
    assert!(comparer.lacking.is_empty(), "versions that Java did not fill: {:?}", comparer.lacking);
    // The one version that Kafka has and we have not: it is not stable in 4.3.
    let rest: Vec<_> = comparer.golden.keys().collect();
    assert_eq!(rest, [&("InitProducerIdRequest", 6), &("InitProducerIdResponse", 6)]);
    assert!(comparer.compared > 1_500, "only {} messages were compared", comparer.compared);
}
