//! Bytes written by Apache Kafka's own Java serialiser, every message in every version: by kafka-clients 4.3.1, and the
//! versions that Kafka 4 dropped by kafka-clients 2.8.2.
//!
//! And which values Kafka's serialiser refuses in which versions: those that a version cannot carry and may not drop.
//!
//! `golden/Golden.java` and `golden/Refused.java` say how the files are made; run with SLUICE_PRINT_SAMPLES=1, the test
//! prints their input first.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use sluice_protocol::consumer_protocol::{self, ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use sluice_protocol::sample::{Sample, Source, Visitor, visit_all};
use sluice_protocol::{Bytes, Message, Reader, Request, Writer};

const WRITTEN_BY_KAFKA_4_3: &str = include_str!("golden/kafka-clients-4.3.1.txt");
const REFUSED_BY_KAFKA_4_3: &str = include_str!("golden/kafka-clients-4.3.1-refused.txt");
const WRITTEN_BY_KAFKA_2_8: &str = include_str!("golden/kafka-clients-2.8.2.txt");

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

#[test]
fn every_version_agrees_with_the_java_serialiser_of_kafka() {
    if std::env::var_os("SLUICE_PRINT_SAMPLES").is_some() {
        for_each_message(&mut Printer);
    }
    let mut golden = read_golden(WRITTEN_BY_KAFKA_4_3);
    let dropped = read_golden(WRITTEN_BY_KAFKA_2_8);
    let names: Vec<String> = dropped.keys().map(|(name, version)| format!("{name} {version}")).collect();
    assert_eq!(
        names,
        [
            "DeleteTopicsRequest 0",
            "DeleteTopicsResponse 0",
            "OffsetCommitRequest 0",
            "OffsetCommitRequest 1",
            "OffsetCommitResponse 0",
            "OffsetCommitResponse 1",
            "OffsetFetchRequest 0",
            "OffsetFetchResponse 0",
            "ProduceRequest 0",
            "ProduceRequest 1",
            "ProduceRequest 2",
            "ProduceResponse 0",
            "ProduceResponse 1",
            "ProduceResponse 2",
        ]
    );
    for (key, lines) in dropped {
        assert!(golden.insert(key, lines).is_none(), "{key:?} is in both files");
    }
    let mut comparer = Comparer { golden, lacking: Vec::new() };
    for_each_message(&mut comparer);
    assert!(comparer.golden.is_empty(), "messages nobody compared: {:?}", comparer.golden.keys());
    // Not println!, which is kept back from the output of a test that passes.
    writeln!(std::io::stdout(), "versions without bytes written by Java: {:?}", comparer.lacking).unwrap();
    assert!(comparer.lacking.is_empty(), "{:?}", comparer.lacking);
}

struct RefusalComparer {
    /// Versions that Kafka 4.3 has of each message.
    versions: BTreeMap<&'static str, Vec<i16>>,
    /// By message, version and number of a sample of that version: the versions that refuse it.
    refused: BTreeMap<(&'static str, i16, usize), Vec<i16>>,
    compared: usize,
}

impl Each for RefusalComparer {
    fn each<M: Message + Sample>(&mut self, version: i16) {
        let versions = &self.versions[M::NAME];
        if !versions.contains(&version) {
            return;
        }
        for (number, sample) in samples::<M>(version).into_iter().enumerate() {
            let refuses = |version: &i16| sample.encode(&mut Writer::new(), *version).is_err();
            let ours: Vec<i16> = versions.iter().copied().filter(refuses).collect();
            let theirs = self.refused.remove(&(M::NAME, version, number)).unwrap_or_default();
            assert_eq!(ours, theirs, "versions that refuse sample {number} of {} v{version}: {sample:?}", M::NAME);
            self.compared += versions.len();
        }
    }
}

#[test]
fn every_version_refuses_what_the_java_serialiser_of_kafka_refuses() {
    let mut versions: BTreeMap<_, Vec<i16>> = BTreeMap::new();
    for (name, version) in read_golden(WRITTEN_BY_KAFKA_4_3).into_keys() {
        versions.entry(name).or_default().push(version);
    }
    let refused = REFUSED_BY_KAFKA_4_3.lines().map(|line| {
        let mut parts = line.split(' ');
        let name = parts.next().unwrap();
        let (version, number) = (parts.next().unwrap().parse().unwrap(), parts.next().unwrap().parse().unwrap());
        // A version that is not yet stable in Kafka 4.3, and that we do not have.
        let known = |version: &i16| versions[name].contains(version);
        let refusing = parts.map(|version| version.parse().unwrap()).filter(known).collect();
        ((name, version, number), refusing)
    });
    let refused = refused.collect();
    let mut comparer = RefusalComparer { versions, refused, compared: 0 };
    for_each_message(&mut comparer);
    assert!(comparer.refused.is_empty(), "samples nobody compared: {:?}", comparer.refused);
    assert!(comparer.compared > 7_000, "only {} encodings were compared", comparer.compared);
}
