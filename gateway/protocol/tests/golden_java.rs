//! Bytes written by Apache Kafka's own Java serialiser (kafka-clients 4.3.1), every message in every version it has.
//!
//! `golden/Golden.java` says how the file is made; run with SLUICE_PRINT_SAMPLES=1, the test prints its input first.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;

use sluice_protocol::sample::{Sample, Source, Visitor, visit_all};
use sluice_protocol::{Bytes, Message, Reader, Request, Writer};

const WRITTEN_BY_JAVA: &str = include_str!("golden/kafka-clients-4.3.1.txt");

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

struct Printer;

impl Visitor for Printer {
    fn visit<R>(&mut self)
    where
        R: Request<Response: Sample> + Sample,
    {
        for version in R::MIN_VERSION..=R::MAX_VERSION {
            for sample in samples::<R>(version) {
                println!("sample {} {version} {}", R::NAME, to_hex(&encode(&sample, version)));
            }
            for sample in samples::<R::Response>(version) {
                println!("sample {} {version} {}", R::Response::NAME, to_hex(&encode(&sample, version)));
            }
        }
    }
}

struct Comparer {
    golden: BTreeMap<(&'static str, i16), Vec<Bytes>>,
    lacking: Vec<String>,
}

impl Comparer {
    fn compare<M: Message + Sample>(&mut self, version: i16) {
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

impl Visitor for Comparer {
    fn visit<R>(&mut self)
    where
        R: Request<Response: Sample> + Sample,
    {
        for version in R::MIN_VERSION..=R::MAX_VERSION {
            self.compare::<R>(version);
            self.compare::<R::Response>(version);
        }
    }
}

#[test]
fn every_version_that_kafka_4_has_agrees_with_its_java_serialiser() {
    if std::env::var_os("SLUICE_PRINT_SAMPLES").is_some() {
        visit_all(&mut Printer);
    }
    let mut golden: BTreeMap<_, Vec<Bytes>> = BTreeMap::new();
    for line in WRITTEN_BY_JAVA.lines() {
        let mut parts = line.split(' ');
        let (name, version) = (parts.next().unwrap(), parts.next().unwrap().parse().unwrap());
        golden.entry((name, version)).or_default().push(from_hex(parts.next().unwrap_or_default()));
    }
    let mut comparer = Comparer { golden, lacking: Vec::new() };
    visit_all(&mut comparer);
    assert!(comparer.golden.is_empty(), "messages nobody compared: {:?}", comparer.golden.keys());
    // Not println!, which is kept back from the output of a test that passes.
    writeln!(std::io::stdout(), "versions that kafka-clients 4.3.1 lacks: {}", comparer.lacking.join(", ")).unwrap();
    // Kafka 4 has no layout for Produce 0–2; `round_trip` pins ours.
    assert_eq!(
        comparer.lacking,
        [
            "ProduceRequest 0",
            "ProduceResponse 0",
            "ProduceRequest 1",
            "ProduceResponse 1",
            "ProduceRequest 2",
            "ProduceResponse 2"
        ]
    );
}
