//! Fetch: offsets, waiting, sizes, sessions.

use anyhow::Result;
use sluice_protocol::KString;
use sluice_protocol::messages::fetch::{FetchPartition, ForgottenTopic, ReplicaState};
use sluice_protocol::messages::{FetchRequest, ProduceRequest};
use sluice_records::Compression;
use uuid::Uuid;

use super::{responses_sorted, target};
use crate::batches::{batch, compressed};
use crate::requests::{NO_SUCH_ID, To, fetch, fetch_of, produce};
use crate::rows;
use crate::session::Session;
use crate::situation::{Situation, differs, differs_at, family, situation};

/// A topic with batches of one, two and three records.
fn filled(s: &mut Session, by_id: bool) -> Result<To> {
    let to = target(s, "a", by_id)?;
    let name = To::name(&s.name("a"));
    for values in [&["a"][..], &["b", "c"], &["d", "e", "f"]] {
        s.prepare(9, &produce(&name, batch(values)))?;
    }
    Ok(to)
}

/// A Fetch with its only partition changed.
fn changed(mut request: FetchRequest, change: fn(&mut FetchPartition)) -> FetchRequest {
    request.topics.iter_mut().flat_map(|t| &mut t.partitions).for_each(change);
    request
}

pub(super) const ALL: &[Situation] = &[
    family("a Fetch from the start, the middle of a batch and the end", "Fetch", 4..=18, |s, v| {
        let from = filled(s, v >= 13)?;
        for offset in [0, 2, 5, 6] {
            s.ask(v, &fetch(&from, offset));
        }
        Ok(())
    }),
    family("a Fetch past the end, and before the start, is out of range", rows::FETCH_RANGE, 4..=18, |s, v| {
        let from = filled(s, v >= 13)?;
        for offset in [7, i64::MAX, -1] {
            s.ask(v, &fetch(&from, offset));
        }
        Ok(())
    }),
    family("a Fetch of an empty partition", rows::FETCH_RANGE, 4..=18, |s, v| {
        let from = target(s, "a", v >= 13)?;
        s.ask(v, &fetch(&from, 0));
        s.ask(v, &fetch(&from, 1));
        Ok(())
    }),
    family("a Fetch of a topic or partition that is not there", rows::UNKNOWN_TOPIC, 4..=12, |s, v| {
        let there = target(s, "a", false)?;
        let none = s.name("none");
        s.ask(v, &fetch_of(&there, &[(1, 0)]));
        s.ask(v, &fetch_of(&there, &[(-1, 0)]));
        s.ask(v, &fetch(&To::name(&none), 0));
        s.ask(v, &fetch(&To::name(&KString::from("a b")), 0));
        Ok(())
    }),
    family("a Fetch by an id that no topic has", rows::UNKNOWN_ID, 13..=18, |s, v| {
        let there = target(s, "a", true)?;
        s.ask(v, &fetch(&To::id(NO_SUCH_ID), 0));
        s.ask(v, &fetch(&To::id(Uuid::nil()), 0));
        s.ask(v, &fetch_of(&there, &[(1, 0)]));
        Ok(())
    }),
    family("a Fetch of no topics, and of no partitions", "Fetch", 4..=18, |s, v| {
        let there = target(s, "a", v >= 13)?;
        s.ask(v, &FetchRequest { max_wait_ms: 0, ..FetchRequest::default() });
        s.ask(v, &fetch_of(&there, &[]));
        Ok(())
    }),
    situation("a good partition is not hurt by a bad one beside it in a Fetch", "Fetch", |s, _| {
        let from = filled(s, false)?;
        s.ask_shaped(12, &fetch_of(&from, &[(0, 0), (1, 0)]), responses_sorted);
        s.ask_shaped(12, &fetch_of(&from, &[(1, 0), (0, 99)]), responses_sorted);
        Ok(())
    }),
    situation("a partition named twice in one Fetch", "Fetch", |s, _| {
        let from = filled(s, false)?;
        s.ask(12, &fetch_of(&from, &[(0, 0), (0, 3)]));
        Ok(())
    }),
    situation("a topic named twice in one Fetch", "Fetch", |s, _| {
        let name = s.topic_with("a", 2, &[])?;
        let mut request = fetch_of(&To::name(&name), &[(0, 0)]);
        request.topics.extend(fetch_of(&To::name(&name), &[(1, 0)]).topics);
        s.ask_shaped(12, &request, responses_sorted);
        Ok(())
    }),
    situation("partitions are answered in the order in which they are asked for", "Fetch", |s, _| {
        let name = s.topic_with("a", 6, &[])?;
        s.ask(12, &fetch_of(&To::name(&name), &[(3, 0), (0, 0), (5, 0), (1, 0)]));
        Ok(())
    }),
    situation("topics are answered in the order in which they are asked for", "Fetch", |s, _| {
        let names = [s.topic("c")?, s.topic("a")?, s.topic("b")?];
        let mut request = fetch(&To::name(&names[0]), 0);
        names[1..].iter().for_each(|name| request.topics.extend(fetch(&To::name(name), 0).topics));
        s.ask(12, &request);
        Ok(())
    }),
    // ---- waiting -------------------------------------------------------------------------------------------------
    situation("a Fetch at the end is answered when its time is up", rows::LONG_POLL, |s, _| {
        let from = filled(s, false)?;
        let begun = std::time::Instant::now();
        s.ask(12, &FetchRequest { max_wait_ms: 400, min_bytes: 1, ..fetch(&from, 6) });
        s.note("it took its time", begun.elapsed().as_millis() >= 390);
        Ok(())
    }),
    situation("a Fetch at the end is answered when a record comes", rows::LONG_POLL, |s, _| {
        let from = filled(s, false)?;
        s.send(12, &FetchRequest { max_wait_ms: 15_000, min_bytes: 1, ..fetch(&from, 6) })?;
        s.over(1).prepare(9, &produce(&from, batch(&["g"])))?;
        let begun = std::time::Instant::now();
        s.over(0).receive::<FetchRequest>(12);
        s.note("it came at once", begun.elapsed().as_millis() < 9_000);
        Ok(())
    }),
    situation("a Fetch waits for min_bytes over all its partitions", rows::LONG_POLL, |s, _| {
        let from = filled(s, false)?;
        let begun = std::time::Instant::now();
        s.ask(12, &FetchRequest { max_wait_ms: 300, min_bytes: 1_000_000, ..fetch(&from, 0) });
        s.note("it took its time", begun.elapsed().as_millis() >= 290);
        Ok(())
    }),
    situation("a Fetch with an error does not wait", rows::LONG_POLL, |s, _| {
        let from = filled(s, false)?;
        let begun = std::time::Instant::now();
        s.ask(12, &FetchRequest { max_wait_ms: 10_000, min_bytes: 1, ..fetch(&from, 99) });
        s.ask(12, &FetchRequest { max_wait_ms: 10_000, min_bytes: 1, ..fetch_of(&from, &[(4, 0)]) });
        s.note("it came at once", begun.elapsed().as_millis() < 9_000);
        Ok(())
    }),
    situation("a Fetch of nothing does not wait", rows::LONG_POLL, |s, _| {
        let begun = std::time::Instant::now();
        s.ask(12, &FetchRequest { max_wait_ms: 10_000, min_bytes: 1, ..FetchRequest::default() });
        s.note("it came at once", begun.elapsed().as_millis() < 9_000);
        Ok(())
    }),
    situation("negative waits and sizes in a Fetch", rows::LONG_POLL, |s, _| {
        let from = filled(s, false)?;
        s.ask(12, &FetchRequest { max_wait_ms: -1, min_bytes: -1, ..fetch(&from, 6) });
        s.ask(12, &FetchRequest { max_bytes: -1, ..fetch(&from, 0) });
        s.ask(12, &changed(fetch(&from, 0), |p| p.partition_max_bytes = -1));
        Ok(())
    })
    .but(const { &[differs_at("D-41", "2. Fetch"), differs_at("D-41", "3. Fetch")] }),
    // ---- sizes ---------------------------------------------------------------------------------------------------
    family("the first batch comes whole however small the bound", rows::LONG_POLL, 4..=18, |s, v| {
        let from = filled(s, v >= 13)?;
        s.ask(v, &FetchRequest { max_bytes: 1, ..fetch(&from, 0) });
        s.ask(v, &changed(fetch(&from, 0), |p| p.partition_max_bytes = 1));
        s.ask(v, &changed(fetch(&from, 1), |p| p.partition_max_bytes = 0));
        Ok(())
    }),
    situation("a bound that cuts the second batch", rows::LONG_POLL, |s, _| {
        let from = filled(s, false)?;
        s.ask(12, &changed(fetch(&from, 0), |p| p.partition_max_bytes = 100));
        s.ask(12, &changed(fetch(&from, 0), |p| p.partition_max_bytes = 150));
        s.ask(12, &FetchRequest { max_bytes: 100, ..fetch(&from, 0) });
        Ok(())
    })
    .but(const { &[differs_at("D-44", "records")] }),
    situation("max_bytes over several partitions", rows::LONG_POLL, |s, _| {
        let name = s.topic_with("a", 3, &[])?;
        for partition in 0..3 {
            let records = Some(batch(&["some value"]));
            s.prepare(9, &crate::requests::produce_to(&To::name(&name), &[(partition, records)]))?;
        }
        s.ask(12, &FetchRequest { max_bytes: 80, ..fetch_of(&To::name(&name), &[(0, 0), (1, 0), (2, 0)]) });
        Ok(())
    }),
    situation("max_bytes of 0", rows::LONG_POLL, |s, _| {
        let from = filled(s, false)?;
        s.ask(12, &FetchRequest { max_bytes: 0, ..fetch(&from, 0) });
        Ok(())
    }),
    // ---- sessions ------------------------------------------------------------------------------------------------
    family("a Fetch that wants no session gets none", rows::SESSIONS, 7..=18, |s, v| {
        let from = filled(s, v >= 13)?;
        s.ask(v, &FetchRequest { session_id: 0, session_epoch: -1, ..fetch(&from, 0) });
        Ok(())
    }),
    family("a Fetch of a session that there is not", rows::SESSIONS, 7..=18, |s, v| {
        let from = filled(s, v >= 13)?;
        s.ask(v, &FetchRequest { session_id: 1_234_567, session_epoch: 1, ..fetch(&from, 0) });
        Ok(())
    }),
    situation("a Fetch that wants a session", rows::SESSIONS, |s, _| {
        let from = filled(s, false)?;
        s.ask_shaped(12, &FetchRequest { session_id: 0, session_epoch: 0, ..fetch(&from, 0) }, |answer, _| {
            if let Some(crate::dump::Node::Leaf(id)) = answer.field_mut("session_id") {
                *id = if id == "0" { "none".to_owned() } else { "‹some›".to_owned() };
            }
        });
        Ok(())
    })
    .but(const { &[differs_at("D-10", "session_id")] }),
    situation("the end of a session that there is not", rows::SESSIONS, |s, _| {
        let from = filled(s, false)?;
        s.ask(12, &FetchRequest { session_id: 1_234_567, session_epoch: -1, ..fetch(&from, 0) });
        Ok(())
    }),
    situation("a session epoch without a session", rows::SESSIONS, |s, _| {
        let from = filled(s, false)?;
        s.ask(12, &FetchRequest { session_id: 0, session_epoch: 5, ..fetch(&from, 0) });
        Ok(())
    }),
    situation("forgotten topics without a session", rows::SESSIONS, |s, _| {
        let from = filled(s, false)?;
        let forgotten = ForgottenTopic { topic: from.name.clone(), partitions: vec![0], ..ForgottenTopic::default() };
        s.ask(12, &FetchRequest { forgotten_topics_data: vec![forgotten], ..fetch(&from, 0) });
        Ok(())
    }),
    // ---- epochs, isolation, racks --------------------------------------------------------------------------------
    family("a Fetch with the leader's epoch, and with one of the future", rows::EPOCHS, 9..=18, |s, v| {
        let from = filled(s, v >= 13)?;
        s.ask(v, &changed(fetch(&from, 0), |p| p.current_leader_epoch = 0));
        s.ask(v, &changed(fetch(&from, 0), |p| p.current_leader_epoch = 7));
        s.ask(v, &changed(fetch(&from, 0), |p| p.current_leader_epoch = -1));
        s.ask(v, &changed(fetch(&from, 0), |p| p.current_leader_epoch = -2));
        Ok(())
    }),
    family("a Fetch that says the epoch of its last record", rows::EPOCHS, 12..=18, |s, v| {
        let from = filled(s, v >= 13)?;
        s.ask(v, &changed(fetch(&from, 1), |p| p.last_fetched_epoch = 0));
        s.ask(v, &changed(fetch(&from, 1), |p| p.last_fetched_epoch = 5));
        Ok(())
    }),
    family("a Fetch of committed records only", rows::COMMITTED, 4..=18, |s, v| {
        let from = filled(s, v >= 13)?;
        s.ask(v, &FetchRequest { isolation_level: 1, ..fetch(&from, 0) });
        s.ask(v, &FetchRequest { isolation_level: 1, ..fetch(&from, 6) });
        Ok(())
    }),
    situation("an isolation level that there is not", rows::COMMITTED, |s, _| {
        let from = filled(s, false)?;
        s.ask(12, &FetchRequest { isolation_level: 7, ..fetch(&from, 0) });
        Ok(())
    })
    .but(const { &[differs("D-41")] }),
    family("a Fetch that says its rack", rows::RACK, 11..=18, |s, v| {
        let from = filled(s, v >= 13)?;
        s.ask(v, &FetchRequest { rack_id: "rack-1".into(), ..fetch(&from, 0) });
        Ok(())
    }),
    family("zstd before Fetch 10 is an unsupported compression", rows::ZSTD, 4..=12, |s, v| {
        let to = target(s, "a", false)?;
        s.prepare(9, &produce(&to, compressed(Compression::Zstd, &["one", "two"])))?;
        s.ask(v, &fetch(&to, 0));
        Ok(())
    }),
    situation("a Fetch of a follower", "Fetch", |s, _| {
        let from = filled(s, false)?;
        s.ask(12, &FetchRequest { replica_id: 7, ..fetch(&from, 0) });
        s.hang_up();
        s.ask(12, &FetchRequest { replica_id: -2, ..fetch(&from, 0) });
        Ok(())
    })
    .but(const { &[differs_at("D-46", "1. Fetch")] }),
    situation("a Fetch of a follower by id", "Fetch", |s, _| {
        let from = filled(s, true)?;
        s.ask(17, &FetchRequest { replica_state: ReplicaState { replica_id: 7, replica_epoch: 1 }, ..fetch(&from, 0) });
        Ok(())
    })
    .but(const { &[differs("D-46")] }),
    situation("a Fetch for another cluster", "Fetch", |s, _| {
        let from = filled(s, false)?;
        s.ask(12, &FetchRequest { cluster_id: Some("another".into()), ..fetch(&from, 0) });
        Ok(())
    }),
    situation("a log start offset that a client claims", "Fetch", |s, _| {
        let from = filled(s, false)?;
        s.ask(12, &changed(fetch(&from, 0), |p| p.log_start_offset = 5));
        Ok(())
    }),
    situation("many small batches come in one answer", "Fetch", |s, _| {
        let to = target(s, "a", false)?;
        for n in 0..40 {
            s.prepare(9, &ProduceRequest { acks: -1, ..produce(&to, batch(&[&format!("value {n}")])) })?;
        }
        s.ask(12, &fetch(&to, 0));
        s.ask(12, &fetch(&to, 17));
        Ok(())
    }),
];
