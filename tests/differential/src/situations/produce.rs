//! Produce: what is appended, what is refused, and how.

use anyhow::Result;
use bytes::Bytes;
use sluice_protocol::KString;
use sluice_protocol::messages::produce::TopicProduceData;
use sluice_protocol::messages::{ProduceRequest, ProduceResponse};
use sluice_records::{BatchBuilder, Compression, TimestampType};
use uuid::Uuid;

use super::{responses_sorted, target};
use crate::batches::{TIMESTAMP_MS, batch, build, compressed, with_byte, with_bytes};
use crate::requests::{NO_SUCH_ID, To, fetch, list_offset, metadata, produce, produce_to};
use crate::rows;
use crate::session::Session;
use crate::situation::{Situation, differs, differs_at, family, situation};

/// Sends these bytes to a new topic in version 9, then reads what is there.
fn send(s: &mut Session, records: Bytes) -> Result<()> {
    let to = To::name(&s.topic("a")?);
    s.ask(9, &produce(&to, records));
    s.ask(12, &fetch(&to, 0));
    Ok(())
}

/// As [`send`], to a topic with this config.
fn send_configured(s: &mut Session, config: (&str, &str), records: Bytes) -> Result<Option<ProduceResponse>> {
    let to = To::name(&s.topic_with("a", 1, &[config])?);
    let answer = s.ask(9, &produce(&to, records));
    s.ask(12, &fetch(&to, 0));
    Ok(answer)
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(0))
}

fn at_time(timestamp_ms: i64) -> Bytes {
    let mut builder = BatchBuilder::new();
    builder.push(timestamp_ms, None, Some(b"x"), &[]);
    builder.build().unwrap()
}

pub(super) const ALL: &[Situation] = &[
    family("a batch is appended, and read back as it was sent", "Produce", 3..=13, |s, v| {
        let to = target(s, "a", v >= 13)?;
        s.ask(v, &produce(&to, batch(&["one", "two"])));
        s.ask(v, &produce(&to, batch(&["three"])));
        let from = To::name(&s.name("a"));
        s.ask(12, &fetch(&from, 0));
        Ok(())
    }),
    family("a batch whose CRC is wrong is refused", rows::BAD_BATCH, 3..=13, |s, v| {
        let to = target(s, "a", v >= 13)?;
        let mut bad = batch(&["one"]).to_vec();
        bad[20] ^= 1;
        s.ask(v, &produce(&to, bad.into()));
        let from = To::name(&s.name("a"));
        s.ask(12, &fetch(&from, 0));
        Ok(())
    }),
    family("Produce to a topic or partition that is not there", rows::UNKNOWN_TOPIC, 3..=12, |s, v| {
        let there = s.topic("a")?;
        let none = s.name("none");
        s.ask(v, &produce_to(&To::name(&there), &[(1, Some(batch(&["x"])))]));
        s.ask(v, &produce_to(&To::name(&there), &[(-1, Some(batch(&["x"])))]));
        s.ask(v, &produce_to(&To::name(&none), &[(7, Some(batch(&["x"])))]));
        Ok(())
    }),
    situation("Produce to a topic that is not there, by name", rows::UNKNOWN_TOPIC, |s, _| {
        let none = s.name("none");
        s.ask(9, &produce(&To::name(&none), batch(&["x"])));
        Ok(())
    })
    .but(const { &[differs("D-04")] }),
    family("Produce by an id that no topic has", rows::UNKNOWN_ID, 13..=13, |s, v| {
        let there = target(s, "a", true)?;
        s.ask(v, &produce(&To::id(NO_SUCH_ID), batch(&["x"])));
        s.ask(v, &produce(&To::id(Uuid::nil()), batch(&["x"])));
        s.ask(v, &produce_to(&there, &[(3, Some(batch(&["x"])))]));
        Ok(())
    }),
    situation("Produce to names that are not legal", rows::ILLEGAL_NAME, |s, _| {
        for name in ["a b", "..", "", "a\0"] {
            s.ask(9, &produce(&To::name(&KString::from(name)), batch(&["x"])));
        }
        s.ask(9, &produce(&To::name(&KString::from("x".repeat(250))), batch(&["x"])));
        Ok(())
    }),
    family("Produce of no topics, and of no partitions", "Produce", 3..=13, |s, v| {
        let to = target(s, "a", v >= 13)?;
        let nothing = ProduceRequest { acks: -1, timeout_ms: 1_000, ..ProduceRequest::default() };
        s.ask(v, &nothing);
        s.ask(v, &produce_to(&to, &[]));
        Ok(())
    }),
    family("Produce of null records, and of no bytes of records", rows::BAD_BATCH, 3..=13, |s, v| {
        let to = target(s, "a", v >= 13)?;
        s.wait_at_most(3_000);
        s.ask(v, &produce_to(&to, &[(0, None)]));
        s.hang_up();
        s.ask(v, &produce_to(&to, &[(0, Some(Bytes::new()))]));
        Ok(())
    })
    .but(const { &[differs_at("D-41", "1. Produce")] }),
    situation("a good partition is not hurt by a bad one beside it", "Produce", |s, _| {
        let name = s.topic_with("a", 3, &[])?;
        let mut bad = batch(&["bad"]).to_vec();
        bad[20] ^= 1;
        let parts =
            [(0, Some(batch(&["zero"]))), (1, Some(bad.into())), (2, Some(batch(&["two"]))), (3, Some(batch(&["x"])))];
        s.ask_shaped(9, &produce_to(&To::name(&name), &parts), responses_sorted);
        s.ask_shaped(12, &crate::requests::fetch_of(&To::name(&name), &[(0, 0), (1, 0), (2, 0)]), responses_sorted);
        Ok(())
    }),
    situation("several topics in one Produce", "Produce", |s, _| {
        let (a, b) = (s.topic("a")?, s.topic("b")?);
        let mut request = produce(&To::name(&a), batch(&["to a"]));
        request.topic_data.extend(produce(&To::name(&b), batch(&["to b"])).topic_data);
        s.ask_shaped(9, &request, responses_sorted);
        Ok(())
    }),
    situation("a topic named twice in one Produce", "Produce", |s, _| {
        let a = s.topic_with("a", 2, &[])?;
        let mut request = produce_to(&To::name(&a), &[(0, Some(batch(&["zero"])))]);
        request.topic_data.extend(produce_to(&To::name(&a), &[(1, Some(batch(&["one"])))]).topic_data);
        s.ask_shaped(9, &request, responses_sorted);
        Ok(())
    }),
    situation("a partition named twice in one Produce", "Produce", |s, _| {
        let a = s.topic("a")?;
        let twice = [(0, Some(batch(&["first"]))), (0, Some(batch(&["second"])))];
        s.ask(9, &produce_to(&To::name(&a), &twice));
        s.ask(12, &fetch(&To::name(&a), 0));
        Ok(())
    })
    .but(const { &[differs("D-05")] }),
    // ---- acks ----------------------------------------------------------------------------------------------------
    family("acks of 2 and of -2 are invalid", rows::ACKS, 3..=13, |s, v| {
        let to = target(s, "a", v >= 13)?;
        for acks in [2, -2, i16::MAX] {
            s.ask(v, &ProduceRequest { acks, ..produce(&to, batch(&["x"])) });
        }
        Ok(())
    }),
    situation("acks of 2 with a topic that is not there", rows::ACKS, |s, _| {
        let none = s.name("none");
        s.ask(9, &ProduceRequest { acks: 2, ..produce(&To::name(&none), batch(&["x"])) });
        Ok(())
    }),
    family("acks of 1 is answered", rows::ACKS, 3..=13, |s, v| {
        let to = target(s, "a", v >= 13)?;
        s.ask(v, &ProduceRequest { acks: 1, ..produce(&to, batch(&["x"])) });
        Ok(())
    }),
    family("acks of 0 gets no answer, and the connection goes on", rows::ACKS_0, 3..=13, |s, v| {
        let to = target(s, "a", v >= 13)?;
        s.send(v, &ProduceRequest { acks: 0, ..produce(&to, batch(&["x"])) })?;
        let name = s.name("a");
        s.ask(9, &metadata(&[&name]));
        s.ask(v, &produce(&to, batch(&["y"])));
        s.ask(12, &fetch(&To::name(&name), 0));
        Ok(())
    }),
    situation("acks of 0 with a bad batch closes the connection", rows::ACKS_0, |s, _| {
        let name = s.topic("a")?;
        let mut bad = batch(&["one"]).to_vec();
        bad[20] ^= 1;
        s.send(9, &ProduceRequest { acks: 0, ..produce(&To::name(&name), bad.into()) })?;
        s.await_bytes("after the bad batch", 5_000);
        Ok(())
    }),
    situation("acks of 0 to a partition that is not there closes the connection", rows::ACKS_0, |s, _| {
        let name = s.topic("a")?;
        s.send(9, &ProduceRequest { acks: 0, ..produce_to(&To::name(&name), &[(5, Some(batch(&["x"])))]) })?;
        s.await_bytes("after the batch", 5_000);
        Ok(())
    }),
    situation("acks of 0 without topics gets no answer", rows::ACKS_0, |s, _| {
        s.send(9, &ProduceRequest { acks: 0, timeout_ms: 1_000, ..ProduceRequest::default() })?;
        s.ask(9, &metadata(&[]));
        Ok(())
    }),
    situation("a timeout of 0 and a negative one are no obstacle to one replica", "Produce", |s, _| {
        let to = target(s, "a", false)?;
        for timeout_ms in [0, -1] {
            s.ask(9, &ProduceRequest { timeout_ms, acks: 1, ..produce(&to, batch(&["x"])) });
        }
        Ok(())
    }),
    // ---- batches -------------------------------------------------------------------------------------------------
    situation("a batch whose magic is 3", rows::BAD_BATCH, |s, _| {
        let mut bad = batch(&["x"]).to_vec();
        bad[16] = 3;
        send(s, bad.into())
    }),
    situation("a batch whose magic is negative", rows::BAD_BATCH, |s, _| {
        let mut bad = batch(&["x"]).to_vec();
        bad[16] = 0xff;
        send(s, bad.into())
    }),
    situation("a message set of magic 1 in a Produce that carries batches", rows::BAD_BATCH, |s, _| {
        send(s, message(1, b"value"))
    }),
    situation("a message set of magic 0 in a Produce that carries batches", rows::BAD_BATCH, |s, _| {
        send(s, message(0, b"value"))
    }),
    situation("two batches for one partition", rows::BAD_BATCH, |s, _| {
        send(s, [batch(&["one"]), batch(&["two"])].concat().into())
    }),
    situation("a batch that is cut off", rows::BAD_BATCH, |s, _| {
        let whole = batch(&["a value of some length"]);
        send(s, whole.slice(..whole.len() - 5))
    }),
    situation("the first bytes of a batch", rows::BAD_BATCH, |s, _| send(s, batch(&["x"]).slice(..11))),
    situation("a batch with bytes after it", rows::BAD_BATCH, |s, _| {
        send(s, [batch(&["one"]), Bytes::from_static(&[0; 7])].concat().into())
    })
    .but(const { &[differs("D-43")] }),
    situation("a batch whose length is less than its header", rows::BAD_BATCH, |s, _| {
        let mut bad = batch(&["one"]).to_vec();
        bad[8..12].copy_from_slice(&10_i32.to_be_bytes());
        send(s, bad.into())
    }),
    situation("a batch whose length is negative", rows::BAD_BATCH, |s, _| {
        let mut bad = batch(&["one"]).to_vec();
        bad[8..12].copy_from_slice(&(-1_i32).to_be_bytes());
        send(s, bad.into())
    }),
    situation("a batch of no records", rows::BAD_BATCH, |s, _| {
        let empty = BatchBuilder::new().build()?;
        send(s, empty)
    }),
    situation("a batch that counts more records than it has", rows::BAD_BATCH, |s, _| {
        send(s, with_bytes(&batch(&["one"]), 57, &2_i32.to_be_bytes()))
    }),
    situation("a batch that counts fewer records than it has", rows::BAD_BATCH, |s, _| {
        send(s, with_bytes(&batch(&["one", "two"]), 57, &1_i32.to_be_bytes()))
    }),
    situation("a batch that counts a negative number of records", rows::BAD_BATCH, |s, _| {
        send(s, with_bytes(&batch(&["one"]), 57, &(-1_i32).to_be_bytes()))
    }),
    situation("a batch whose last offset does not fit its count", rows::BAD_BATCH, |s, _| {
        send(s, with_bytes(&batch(&["one", "two"]), 23, &7_i32.to_be_bytes()))
    }),
    situation("a batch whose last offset is negative", rows::BAD_BATCH, |s, _| {
        send(s, with_bytes(&batch(&["one"]), 23, &(-1_i32).to_be_bytes()))
    }),
    situation("a batch with a base offset of its own gets another", "Produce", |s, _| {
        send(s, build(BatchBuilder::new().base_offset(77), &["x"]))
    }),
    situation("a batch with a leader epoch of its own gets the topic's", rows::EPOCHS, |s, _| {
        send(s, build(BatchBuilder::new().leader_epoch(77), &["x"]))
    }),
    situation("a control batch is refused", rows::BAD_BATCH, |s, _| {
        send(s, build(BatchBuilder::new().control(), &["x"]))
    }),
    situation("a control batch of a producer is refused", rows::BAD_BATCH, |s, _| {
        send(s, build(BatchBuilder::new().producer(5, 0, 0).control(), &["x"]))
    }),
    situation("attribute bits that mean nothing", rows::BAD_BATCH, |s, _| {
        send(s, with_bytes(&batch(&["one"]), 21, &0x0180_i16.to_be_bytes()))
    }),
    situation("a delete horizon from a client", rows::BAD_BATCH, |s, _| {
        send(s, with_bytes(&batch(&["one"]), 21, &0x0040_i16.to_be_bytes()))
    }),
    situation("a batch that claims LogAppendTime for a topic of CreateTime", rows::APPEND_TIME, |s, _| {
        send(s, build(BatchBuilder::new().timestamp_type(TimestampType::LogAppendTime), &["x"]))
    }),
    situation("a batch whose greatest timestamp is not that of its records", rows::BAD_TIMESTAMP, |s, _| {
        send(s, with_bytes(&batch(&["one"]), 35, &(TIMESTAMP_MS + 5).to_be_bytes()))
    })
    .but(const { &[differs_at("D-02", "max_timestamp")] }),
    situation("records in an order of time that falls", "Produce", |s, _| {
        let mut builder = BatchBuilder::new();
        for (at, value) in [(5_000, "five"), (1_000, "one"), (3_000, "three")] {
            builder.push(TIMESTAMP_MS + at, None, Some(value.as_bytes()), &[]);
        }
        send(s, builder.build()?)
    }),
    situation("keys, null values and headers come back", "Produce", |s, _| {
        let mut builder = BatchBuilder::new();
        builder.push(TIMESTAMP_MS, Some(b"key"), None, &[]);
        builder.push(TIMESTAMP_MS, Some(b""), Some(b""), &[]);
        builder.push(TIMESTAMP_MS, None, None, &[]);
        send(s, builder.build()?)
    }),
    situation("a record of no timestamp", rows::BAD_TIMESTAMP, |s, _| send(s, at_time(-1))),
    situation("a record of a negative timestamp", rows::BAD_TIMESTAMP, |s, _| send(s, at_time(-2))),
    situation("a record of the year 1970", rows::BAD_TIMESTAMP, |s, _| send(s, at_time(0))),
    situation("a record two hours ahead", rows::BAD_TIMESTAMP, |s, _| {
        let to = target(s, "a", false)?;
        for version in [3, 8, 9] {
            s.ask(version, &produce(&to, at_time(now_ms() + 7_200_000)));
        }
        s.ask(12, &fetch(&to, 0));
        Ok(())
    }),
    situation("a record of the largest timestamp", rows::BAD_TIMESTAMP, |s, _| send(s, at_time(i64::MAX))),
    situation("a record older than message.timestamp.before.max.ms", rows::BAD_TIMESTAMP, |s, _| {
        send_configured(s, ("message.timestamp.before.max.ms", "60000"), at_time(TIMESTAMP_MS)).map(|_| ())
    }),
    situation("LogAppendTime stamps a batch", rows::APPEND_TIME, |s, _| {
        let before = now_ms();
        let told = send_configured(s, ("message.timestamp.type", "LogAppendTime"), batch(&["one", "two"]))?;
        let stamp = told.map_or(-1, |told| told.responses[0].partition_responses[0].log_append_time_ms);
        s.note("it is the time of the append", (before - 5_000..=now_ms() + 5_000).contains(&stamp));
        Ok(())
    }),
    situation("LogAppendTime takes timestamps of the future", rows::APPEND_TIME, |s, _| {
        // The same to both brokers.
        let late = at_time(now_ms() / 3_600_000 * 3_600_000 + 86_400_000);
        send_configured(s, ("message.timestamp.type", "LogAppendTime"), late).map(|_| ())
    }),
    situation("a record without a key in a compacted topic", rows::BAD_BATCH, |s, _| {
        let to = To::name(&s.topic_with("a", 1, &[("cleanup.policy", "compact")])?);
        for version in [3, 7, 8, 9] {
            s.ask(version, &produce(&to, batch(&["no key"])));
        }
        let mut keyed = BatchBuilder::new();
        keyed.push(TIMESTAMP_MS, Some(b"k"), Some(b"v"), &[]);
        s.ask(9, &produce(&to, keyed.build()?));
        s.ask(12, &fetch(&to, 0));
        Ok(())
    }),
    // ---- sizes ---------------------------------------------------------------------------------------------------
    family("a batch over message.max.bytes is too large", rows::TOO_LARGE, 3..=13, |s, v| {
        let to = target(s, "a", v >= 13)?;
        let large = "x".repeat(1_048_588);
        s.ask(v, &produce(&to, batch(&[&large])));
        let from = To::name(&s.name("a"));
        s.ask(12, &fetch(&from, 0));
        Ok(())
    }),
    situation("a batch of exactly message.max.bytes is taken, one of a byte more is not", rows::TOO_LARGE, |s, _| {
        let to = target(s, "a", false)?;
        let overhead = batch(&[&"x".repeat(1_000_000)]).len() - 1_000_000;
        for more in [0, 1] {
            let sized = batch(&[&"x".repeat(1_048_588 - overhead + more)]);
            s.note("bytes", sized.len());
            s.ask(9, &produce(&to, sized));
        }
        s.ask(12, &fetch(&to, 0));
        Ok(())
    }),
    situation("max.message.bytes of a topic decides", rows::TOO_LARGE, |s, _| {
        let to = To::name(&s.topic_with("a", 1, &[("max.message.bytes", "100")])?);
        s.ask(9, &produce(&to, batch(&["short"])));
        s.ask(9, &produce(&to, batch(&[&"x".repeat(100)])));
        s.ask(12, &fetch(&to, 0));
        Ok(())
    }),
    situation("a large partition beside a small one in one request", rows::TOO_LARGE, |s, _| {
        let name = s.topic_with("a", 2, &[])?;
        let parts = [(0, Some(batch(&[&"x".repeat(1_100_000)]))), (1, Some(batch(&["small"])))];
        s.ask_shaped(9, &produce_to(&To::name(&name), &parts), responses_sorted);
        Ok(())
    }),
    // ---- compression ---------------------------------------------------------------------------------------------
    situation("gzip is taken, and comes back as it was sent", "Produce", |s, _| {
        send(s, compressed(Compression::Gzip, &["one", "two", "three"]))
    }),
    situation("snappy is taken, and comes back as it was sent", "Produce", |s, _| {
        send(s, compressed(Compression::Snappy, &["one", "two", "three"]))
    }),
    situation("lz4 is taken, and comes back as it was sent", "Produce", |s, _| {
        send(s, compressed(Compression::Lz4, &["one", "two", "three"]))
    }),
    situation("zstd is taken, and comes back as it was sent", "Produce", |s, _| {
        send(s, compressed(Compression::Zstd, &["one", "two", "three"]))
    }),
    family("zstd before Produce 7 is an unsupported compression", rows::ZSTD, 3..=7, |s, v| {
        let to = target(s, "a", false)?;
        s.ask(v, &produce(&to, compressed(Compression::Zstd, &["one"])));
        Ok(())
    }),
    situation("a codec that there is not", rows::BAD_BATCH, |s, _| send(s, with_byte(&batch(&["one"]), 22, 5)))
        .but(const { &[differs_at("D-41", "1. Produce")] }),
    situation("a batch that says gzip and is none", rows::BAD_BATCH, |s, _| {
        send(s, with_byte(&batch(&["one"]), 22, 1))
    })
    .but(const { &[differs("D-02")] }),
    situation("a topic whose compression.type is gzip", "Produce", |s, _| {
        let to = To::name(&s.topic_with("a", 1, &[("compression.type", "gzip")])?);
        s.ask(9, &produce(&to, batch(&["one"])));
        Ok(())
    }),
    // ---- transactions that are not there -------------------------------------------------------------------------
    situation("a transactional batch without a transactional id", "Produce", |s, _| {
        send(s, build(BatchBuilder::new().producer(5, 0, 0).transactional(), &["x"]))
    })
    .but(const { &[differs_at("D-36", "1. Produce")] }),
    situation("a transactional id without a transactional batch", "Produce", |s, _| {
        let to = target(s, "a", false)?;
        let transactional_id = Some(s.name("tx"));
        s.ask(9, &ProduceRequest { transactional_id, ..produce(&to, batch(&["x"])) });
        Ok(())
    })
    .but(const { &[differs_at("D-36", "1. Produce")] }),
    situation("the end of the log after each of three batches", "Produce", |s, _| {
        let to = target(s, "a", false)?;
        for values in [&["a"][..], &["b", "c"], &["d", "e", "f"]] {
            s.ask(9, &produce(&to, batch(values)));
            s.ask(6, &list_offset(&to.name, 0, -1));
        }
        Ok(())
    }),
    situation("a name and an id of different topics: the version decides which counts", rows::UNKNOWN_ID, |s, _| {
        let (a, b) = (s.topic("a")?, s.topic("b")?);
        let id = s.topic_id(&b)?;
        let both = TopicProduceData { topic_id: id, ..produce(&To::name(&a), batch(&["x"])).topic_data.remove(0) };
        for version in [12, 13] {
            s.ask(version, &ProduceRequest { topic_data: vec![both.clone()], ..produce(&To::name(&a), Bytes::new()) });
        }
        Ok(())
    }),
];

/// A message set of one message, of magic 0 or 1.
pub(super) fn message(magic: u8, value: &[u8]) -> Bytes {
    let mut body = vec![magic, 0];
    if magic == 1 {
        body.extend(TIMESTAMP_MS.to_be_bytes());
    }
    body.extend((-1_i32).to_be_bytes());
    body.extend(i32::try_from(value.len()).unwrap().to_be_bytes());
    body.extend(value);
    let crc = crc32_of(&body);
    let length = i32::try_from(body.len() + 4).unwrap();
    [&0_i64.to_be_bytes()[..], &length.to_be_bytes(), &crc.to_be_bytes(), &body].concat().into()
}

/// CRC-32 (that of zip), bit by bit: messages before batches have it.
fn crc32_of(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
