//! Clients from before Kafka 0.11: message sets in Produce 0–2 and Fetch 0–3, and the lists of ListOffsets 0.
//!
//! Message sets come from Kafka 2.8.2 (`records/tests/golden`) or are laid out by hand. Known issue 6.

use bytes::{Buf, Bytes};
use sluice_protocol::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::{FetchRequest, ListOffsetsRequest, ProduceRequest};
use sluice_protocol::{KString, Uuid};
use sluice_records::{
    BatchBuilder, BatchHeader, Compression, MessageSetRules, RecordWants, TargetCompression, convert_message_set,
    records,
};

use crate::support::{Client, Topic, batch, fetch_request, gateway, produce_request};

const WRITTEN_BY_KAFKA: &str = include_str!("../../../records/tests/golden/message-sets-2.8.2.txt");
const NOON: i64 = 1_700_000_000_000;
const CODECS: [(&str, Compression); 4] = [
    ("none", Compression::None),
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
];

fn golden(name: &str) -> Bytes {
    let hex =
        WRITTEN_BY_KAFKA.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')).expect("it is there");
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

type Row = (i64, Option<String>, Option<String>);

/// What the golden sets hold: timestamps, keys, values.
fn golden_rows(codec: &str, is_timeless: bool) -> Vec<Row> {
    let time = |time| if is_timeless { -1 } else { time };
    let text = |text: &str| Some(text.to_owned());
    let long = "x".repeat(if codec == "none" { 40 } else { 40_000 });
    vec![
        (time(NOON), text("key"), text("value")),
        (time(NOON + 100), None, text("only a value")),
        (time(NOON - 1), text("tombstone"), None),
        (time(NOON + 50), text("long"), Some(long)),
    ]
}

fn text(bytes: Option<Bytes>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

/// Offsets and rows of batches, and their codecs.
fn read_batches(partition: &PartitionData) -> (Vec<(i64, Row)>, Vec<Compression>) {
    let mut bytes = partition.records.as_ref().unwrap().to_bytes();
    let (mut rows, mut codecs) = (Vec::new(), Vec::new());
    while !bytes.is_empty() {
        let header = BatchHeader::parse(&bytes).unwrap();
        codecs.push(header.compression().unwrap());
        for record in records(&bytes.split_to(header.total_len()), 1 << 20).unwrap() {
            let record = record.unwrap();
            let row = (record.timestamp(&header), text(record.key.clone()), text(record.value.clone()));
            rows.push((header.base_offset + i64::from(record.offset_delta), row));
        }
    }
    (rows, codecs)
}

/// A message: offset, magic, attributes, and the whole of it.
fn messages(partition: &PartitionData) -> Vec<(i64, u8, u8, Bytes)> {
    let mut set = partition.records.as_ref().unwrap().to_bytes();
    let mut messages = Vec::new();
    while !set.is_empty() {
        let (offset, size) = ((&set[..8]).get_i64(), (&set[8..12]).get_i32());
        let message = set.split_to(12 + size as usize);
        messages.push((offset, message[16], message[17], message));
    }
    messages
}

/// Offsets of messages and wrappers, and the rows of all records in them, as an old consumer reads them.
fn read_set(partition: &PartitionData, magic: u8) -> (Vec<i64>, Vec<Row>, Vec<i16>) {
    let (mut offsets, mut rows, mut codecs) = (Vec::new(), Vec::new(), Vec::new());
    for (offset, found, attributes, message) in messages(partition) {
        assert_eq!(found, magic);
        offsets.push(offset);
        codecs.push(i16::from(attributes & 7));
        // What a producer might have sent can be read as such; it checks the CRCs too.
        let rules = MessageSetRules {
            max_batch_bytes: usize::MAX,
            max_decompressed: 1 << 20,
            wants: RecordWants::NOTHING,
            target: TargetCompression::Producer,
        };
        let batch = convert_message_set(&message, &rules).unwrap();
        for record in batch.records(1 << 20).unwrap() {
            let record = record.unwrap();
            rows.push((record.timestamp(&batch.header), text(record.key.clone()), text(record.value.clone())));
        }
    }
    (offsets, rows, codecs)
}

/// CRC32, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// A message of magic 1 by hand.
fn message(timestamp: i64, key: Option<&[u8]>, value: &[u8]) -> Bytes {
    let mut covered = vec![1, 0];
    covered.extend(timestamp.to_be_bytes());
    for field in [key, Some(value)] {
        covered.extend(field.map_or(-1, |field| field.len() as i32).to_be_bytes());
        covered.extend(field.unwrap_or_default());
    }
    let size = covered.len() as i32 + 4;
    [&[0; 8][..], &size.to_be_bytes(), &crc32(&covered).to_be_bytes(), &covered].concat().into()
}

/// Known issue 6: what a producer of any age and codec writes, consumers of every age read.
#[tokio::test(start_paused = true)]
async fn what_old_producers_write_everybody_reads() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for (name, codec) in CODECS {
        for (version, magic) in [(0, 0), (1, 0), (2, 0), (0, 1), (2, 1)] {
            let topic: &'static str = Box::leak(format!("{name}-{version}-{magic}").into_boxed_str());
            let topic = Topic::new(&mut client, topic).await;
            for base_offset in [0, 4] {
                let answer = client.produce(version, &topic, golden(&format!("set-{magic}-{name}"))).await;
                assert_eq!((answer.error_code.as_i16(), answer.base_offset), (0, base_offset), "{name} {version}");
                assert_eq!((answer.log_append_time_ms, answer.log_start_offset), (-1, -1));
            }
            let twice: Vec<Row> = [golden_rows(name, magic == 0), golden_rows(name, magic == 0)].concat();
            let (rows, codecs) = read_batches(&client.fetch(18, &topic, 0).await);
            assert_eq!(rows, Vec::from_iter((0..).zip(twice.clone())));
            assert_eq!(codecs, [codec; 2], "one batch per set, with its codec");
            for fetch_version in 0..=3 {
                let fetched = client.fetch(fetch_version, &topic, 0).await;
                assert_eq!((fetched.error_code.as_i16(), fetched.high_watermark), (0, 8));
                let read_magic = u8::from(fetch_version >= 2);
                let (offsets, rows, codecs) = read_set(&fetched, read_magic);
                let once = golden_rows(name, magic == 0 || read_magic == 0);
                let expected = [once.clone(), once].concat();
                assert_eq!(rows, expected, "{name} {version} {magic} read by {fetch_version}");
                let messages: &[i64] = if codec == Compression::None { &[0, 1, 2, 3, 4, 5, 6, 7] } else { &[3, 7] };
                assert_eq!((offsets, codecs), (messages.to_vec(), vec![codec.code(); messages.len()]));
            }
        }
    }
}

/// Known issue 6, the other way round; zstd has no place in a message set.
#[tokio::test(start_paused = true)]
async fn what_new_producers_write_old_consumers_read_but_for_zstd() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    for codec in [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd] {
        let mut builder = BatchBuilder::new().compression(codec);
        builder.push(NOON, Some(b"k"), Some(b"v"), &[(b"h", Some(b"dropped"))]);
        builder.push(NOON + 1, None, None, &[]);
        assert!(client.produce(9, &topic, builder.build().unwrap()).await.error_code.is_none());
    }
    let row = |time, key: Option<&str>, value: Option<&str>| (time, key.map(str::to_owned), value.map(str::to_owned));
    for version in 0..=3 {
        let fetched = client.fetch(version, &topic, 0).await;
        let (offsets, rows, codecs) = read_set(&fetched, u8::from(version >= 2));
        assert_eq!((offsets, codecs), (vec![0, 1, 3, 5, 7], vec![0, 0, 1, 2, 3]), "all before the batch of zstd");
        let time = |time| if version >= 2 { time } else { -1 };
        let once = [row(time(NOON), Some("k"), Some("v")), row(time(NOON + 1), None, None)];
        let expected: Vec<Row> = once.iter().cycle().take(8).cloned().collect();
        assert_eq!(rows, expected);
        let zstd = client.fetch(version, &topic, 8).await;
        assert_eq!((zstd.error_code.as_i16(), messages(&zstd).len(), zstd.high_watermark), (76, 0, 10));
        // Plain records before the offset are left out, as old clients expect; wrappers come whole.
        assert_eq!(read_set(&client.fetch(version, &topic, 1).await, u8::from(version >= 2)).0[..2], [1, 3]);
        assert_eq!(read_set(&client.fetch(version, &topic, 3).await, u8::from(version >= 2)).0[..2], [3, 5]);
    }
    assert!(client.fetch(9, &topic, 8).await.error_code.is_none(), "as Kafka 4.3, which tells zstd from Fetch 4 on");
}

#[tokio::test(start_paused = true)]
async fn an_old_consumer_gets_the_first_batch_of_each_partition_whole() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    for partition in 0..2 {
        for _ in 0..3 {
            let request = produce_request(9, &topic, partition, Some(batch(&["a value", "and another"])));
            client.call(9, &request).await;
        }
    }
    for version in 0..=3 {
        for (partition_max_bytes, batches) in [(0, 1), (60, 1), (1 << 20, 3)] {
            let ask = |partition| FetchPartition { partition, partition_max_bytes, ..FetchPartition::default() };
            let asked =
                FetchTopic { topic: KString::from("t"), topic_id: Uuid::nil(), partitions: vec![ask(0), ask(1)] };
            let request = FetchRequest { topics: vec![asked], ..fetch_request(version, &topic, 0, 0) };
            let response = client.call(version, &request).await;
            let found: Vec<_> = response.responses[0].partitions.iter().map(|p| messages(p).len()).collect();
            assert_eq!(found, [2 * batches; 2], "version {version}, {partition_max_bytes} bytes");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_consumer_waits_and_is_refused_like_any() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    client.produce(9, &topic, batch(&["a"])).await;
    for version in 0..=3 {
        let end = client.fetch(version, &topic, 1).await;
        assert_eq!((end.error_code.as_i16(), messages(&end).len(), end.high_watermark), (0, 0, 1));
        assert_eq!(client.fetch(version, &topic, 2).await.error_code.as_i16(), 1);
        let absent = Topic { name: "absent", id: Uuid::nil() };
        assert_eq!(client.fetch(version, &absent, 0).await.error_code.as_i16(), 3);
        // Waits for records, which come through another connection.
        let waiting = FetchRequest { max_wait_ms: 60_000, ..fetch_request(version, &topic, 1, 0) };
        let waiting = FetchRequest { min_bytes: 1, ..waiting };
        let mut reader = gateway.client().await;
        let high_watermark = i64::from(version);
        let offset = FetchPartition { fetch_offset: high_watermark, ..waiting.topics[0].partitions[0].clone() };
        let asked = FetchTopic { partitions: vec![offset], ..waiting.topics[0].clone() };
        let id = reader.send(version, &FetchRequest { topics: vec![asked], ..waiting }).await;
        client.call(9, &produce_request(9, &topic, 1, Some(batch(&["b"])))).await;
        let (answered, response) = reader.receive::<FetchRequest>(version).await;
        assert_eq!((answered, messages(&response.responses[0].partitions[0]).len()), (id, 1));
    }
}

/// The codes are those of Kafka 2.8.2; `records` has the table of what earns them.
#[tokio::test(start_paused = true)]
async fn a_set_that_is_wrong_has_its_code_and_leaves_nothing() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let good = message(NOON, Some(b"k"), b"v");
    let mut damaged = good.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let future = message(NOON * 2, None, b"v");
    let large = message(NOON, None, &vec![0; 1_100_000]);
    let cases = [
        (2, Bytes::from(damaged)),
        (87, Bytes::new()),
        (87, good.slice(..good.len() - 1)),
        (87, Bytes::from([good.clone(), golden("set-0-none")].concat())),
        (87, Bytes::from([golden("set-1-gzip"), good.clone()].concat())),
        (32, golden("stamped-1-lz4")),
        (32, future),
        (10, large),
        (87, Bytes::from([batch(&["a"]), batch(&["b"])].concat())),
    ];
    for version in 0..=2 {
        for (code, set) in &cases {
            let answer = client.produce(version, &topic, set.clone()).await;
            assert_eq!((answer.error_code.as_i16(), answer.base_offset), (*code, -1), "{version}: {set:?}");
        }
        let null = client.call(version, &produce_request(version, &topic, 0, None)).await;
        assert_eq!(null.responses[0].partition_responses[0].error_code.as_i16(), 87);
    }
    // From version 3 on a message set is no batch.
    for version in 3..=13 {
        assert_eq!(client.produce(version, &topic, good.clone()).await.error_code.as_i16(), 87, "{version}");
    }
    assert_eq!(client.fetch(18, &topic, 0).await.high_watermark, 0, "something was stored");
}

/// Clients that send a batch in an old version were served by every Kafka that knew both.
#[tokio::test(start_paused = true)]
async fn a_batch_in_an_old_version_is_a_batch() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    for version in 0..=2 {
        assert!(client.produce(version, &topic, batch(&["a"])).await.error_code.is_none());
    }
    assert_eq!(read_batches(&client.fetch(18, &topic, 0).await).0.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn old_producers_that_want_no_answer_get_none_and_hear_of_errors_by_the_closed_connection() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let good = message(NOON, Some(b"k"), b"v");
    for version in 0..=2 {
        let ask = |records: Bytes| ProduceRequest { acks: 0, ..produce_request(version, &topic, 0, Some(records)) };
        let mut silent = gateway.client().await;
        silent.send(version, &ask(good.clone())).await;
        // The next answer is that of the next request.
        assert!(silent.produce(version, &topic, good.clone()).await.error_code.is_none());
        silent.send(version, &ask(good.slice(..20))).await;
        assert!(silent.rest().await.is_empty());
    }
    assert_eq!(client.fetch(18, &topic, 0).await.high_watermark, 6);
}

async fn old_offsets(client: &mut Client, name: &str, timestamp: i64, max_num_offsets: i32) -> (i16, Vec<i64>) {
    let partitions = vec![ListOffsetsPartition { timestamp, max_num_offsets, ..ListOffsetsPartition::default() }];
    let topics = vec![ListOffsetsTopic { name: KString::from(name), partitions }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
    let response = client.call(0, &request).await;
    let found = &response.topics[0].partitions[0];
    (found.error_code.as_i16(), found.old_style_offsets.clone())
}

/// As Kafka 2.8.2 answers of a partition of one file.
#[tokio::test(start_paused = true)]
async fn the_oldest_list_offsets_tells_the_end_and_the_start() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let (latest, earliest, now) = (-1, -2, NOON + 3_600_000);
    for timestamp in [latest, earliest, now] {
        assert_eq!(old_offsets(&mut client, "t", timestamp, 10).await, (0, vec![0]), "an empty one");
    }
    for records in [message(NOON - 50, None, b"a"), message(NOON - 100, None, b"b")] {
        client.produce(2, &topic, records).await;
    }
    for (timestamp, max, offsets) in [
        (latest, 1, vec![2]),
        (latest, 2, vec![2, 0]),
        (latest, 10, vec![2, 0]),
        (latest, 0, vec![]),
        (latest, -1, vec![]),
        (earliest, 10, vec![0]),
        (now, 10, vec![2, 0]),
        (NOON - 50, 10, vec![0]),
        (NOON - 51, 10, vec![]),
        (0, 10, vec![]),
        (-3, 10, vec![]),
    ] {
        assert_eq!(old_offsets(&mut client, "t", timestamp, max).await, (0, offsets), "{timestamp} {max}");
    }
    assert_eq!(old_offsets(&mut client, "absent", latest, 1).await, (3, vec![]));
}

/// KIP-32, and what an old consumer sees of it.
#[tokio::test(start_paused = true)]
async fn old_clients_of_a_topic_with_the_brokers_time() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::with(&mut client, "t", &[("message.timestamp.type", "LogAppendTime")]).await;
    let answer = client.produce(2, &topic, message(5, Some(b"k"), b"v")).await;
    let time = answer.log_append_time_ms;
    assert!(time >= NOON, "{answer:?}");
    assert!(client.produce(0, &topic, golden("set-0-gzip")).await.error_code.is_none());
    let (rows, _) = read_batches(&client.fetch(18, &topic, 0).await);
    assert_eq!(rows[0], (0, (time, Some("k".to_owned()), Some("v".to_owned()))));
    assert!(rows.iter().all(|(_, row)| row.0 >= time));
    let fetched = client.fetch(2, &topic, 0).await;
    let found = messages(&fetched);
    assert_eq!(found.iter().map(|m| (m.0, m.1, m.2)).collect::<Vec<_>>(), [(0, 1, 8), (4, 1, 9)]);
    assert_eq!((&found[0].3[18..26]).get_i64(), time);
    assert_eq!(read_set(&client.fetch(0, &topic, 0).await, 0).0, [0, 4]);
}
