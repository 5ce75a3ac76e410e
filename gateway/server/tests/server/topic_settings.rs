//! What topics want of the records they are sent, and where their timestamps are found. Every answer is one that a broker of
//! Kafka 4.3.1 gave, unless it says otherwise.

use bytes::Bytes;
use sluice_protocol::KString;
use sluice_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use sluice_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use sluice_protocol::messages::produce::PartitionProduceResponse;
use sluice_protocol::messages::{DeleteRecordsRequest, ListOffsetsRequest};
use sluice_records::{BatchBuilder, BatchHeader, Compression, TimestampType, patch_extent, records};

use crate::support::{Client, Topic, batch, gateway};

/// What the gateway's clock says at first.
const NOW: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn built(builder: BatchBuilder, timestamps: &[i64]) -> Bytes {
    let mut builder = builder;
    for timestamp in timestamps {
        builder.push(*timestamp, Some(b"k"), Some(b"v"), &[(b"h", None)]);
    }
    builder.build().unwrap()
}

fn of_times(timestamps: &[i64]) -> Bytes {
    built(BatchBuilder::new(), timestamps)
}

/// The CRC holds.
fn assert_intact(batch: &Bytes) {
    let header = BatchHeader::parse(batch).unwrap();
    patch_extent(
        std::slice::from_ref(batch),
        header.base_offset,
        u64::from(header.dense_record_count().unwrap()),
        0,
        true,
    )
    .unwrap();
}

fn indexes(answer: &PartitionProduceResponse) -> Vec<i32> {
    let errors = &answer.record_errors;
    assert!(errors.iter().all(|error| error.batch_index_error_message.is_some()));
    assert_eq!(answer.error_message.is_some(), !errors.is_empty());
    errors.iter().map(|error| error.batch_index).collect()
}

#[tokio::test(start_paused = true)]
async fn records_at_fault_are_named_from_version_8_on() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let plain = Topic::new(&mut client, "plain").await;
    let compacted = Topic::with(&mut client, "compacted", &[("cleanup.policy", "compact")]).await;
    let late = of_times(&[NOW, NOW + 2 * HOUR, NOW - HOUR]);
    let mut builder = BatchBuilder::new();
    for key in [Some(&b"k"[..]), None, None] {
        builder.push(NOW, key, None, &[]);
    }
    let keyless = builder.build().unwrap();
    for version in 3..=13 {
        for (topic, records, code, at_fault) in [(&plain, &late, 32, vec![1]), (&compacted, &keyless, 87, vec![1, 2])] {
            let answer = client.produce(version, topic, records.clone()).await;
            assert_eq!((answer.error_code.as_i16(), answer.base_offset), (code, -1), "{version}");
            let start = if version >= 5 { 0 } else { -1 };
            assert_eq!((answer.log_append_time_ms, answer.log_start_offset), (-1, start), "{version}");
            assert_eq!(indexes(&answer), if version >= 8 { at_fault } else { vec![] }, "{version}");
        }
    }
    assert!(client.produce(9, &compacted, of_times(&[NOW])).await.error_code.is_none());
    for topic in [plain, compacted] {
        assert!(client.fetch(12, &topic, 0).await.high_watermark <= 1, "nothing refused is kept");
    }
}

/// The log start comes with what the log itself refuses, and not with what never reaches it.
#[tokio::test(start_paused = true)]
async fn a_refusal_tells_where_the_log_starts_if_a_log_was_asked() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    client.produce(9, &topic, batch(&["a", "b", "c"])).await;
    delete(&mut client, "t", 2).await;
    let control = built(BatchBuilder::new().control(), &[NOW]);
    let good = of_times(&[NOW]);
    let mut damaged = good.to_vec();
    *damaged.last_mut().unwrap() ^= 1;
    let cases = [
        (control, 87, 2),
        (built(BatchBuilder::new().base_offset(5), &[NOW]), 87, 2),
        (of_times(&[NOW + 2 * HOUR]), 32, 2),
        (Bytes::new(), 87, -1),
        (Bytes::from([good.clone(), good.clone()].concat()), 87, -1),
        (Bytes::from(damaged), 2, -1),
        (of_times(&vec![NOW; 200_000]), 10, -1),
        (built(BatchBuilder::new().producer(4711, 1, 5), &[NOW]), 45, 2),
    ];
    for (records, code, start) in cases {
        let answer = client.produce(9, &topic, records).await;
        assert_eq!((answer.error_code.as_i16(), answer.log_start_offset), (code, start), "{answer:?}");
    }
}

/// Kafka says so in words, and of no other batch that is wrong as a whole.
#[tokio::test(start_paused = true)]
async fn bytes_that_are_no_batch_are_refused_with_a_text() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let good = of_times(&[NOW]);
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = good.to_vec();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        Bytes::from(changed)
    };
    let lengths = [-1_i32, 13, 48].map(|length| with(8, &length.to_be_bytes()));
    let magics = [3_u8, 0x80].map(|magic| with(16, &[magic]));
    for records in lengths.into_iter().chain(magics) {
        let answer = client.produce(9, &topic, records).await;
        assert_eq!((answer.error_code.as_i16(), answer.error_message.is_some()), (2, true), "{answer:?}");
    }
    for (records, code) in [(with(17, &[0; 4]), 2), (with(16, &[1]), 87), (good.slice(..40), 87)] {
        let answer = client.produce(9, &topic, records).await;
        assert_eq!((answer.error_code.as_i16(), answer.error_message.is_some()), (code, false), "{answer:?}");
    }
    let own = Topic { name: "__consumer_offsets", id: topic.id };
    assert_eq!(client.produce(9, &own, good).await.error_code.as_i16(), 17, "clients do not write there");
}

/// KIP-32.
#[tokio::test(start_paused = true)]
async fn a_topic_may_keep_the_brokers_time() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::with(&mut client, "t", &[("message.timestamp.type", "LogAppendTime")]).await;
    let mut times = Vec::new();
    for codec in CODECS {
        // Far from the gateway's time, which matters to nobody here.
        let sent = built(BatchBuilder::new().compression(codec), &[NOW + 9 * HOUR, 5, -1]);
        let answer = client.produce(9, &topic, sent).await;
        assert!(answer.error_code.is_none() && answer.log_append_time_ms >= NOW, "{answer:?}");
        times.push(answer.log_append_time_ms);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(times.is_sorted_by(|one, two| one < two));
    let mut bytes = client.fetch(12, &topic, 0).await.records.unwrap().to_bytes();
    for (codec, time) in CODECS.into_iter().zip(&times) {
        let header = BatchHeader::parse(&bytes).unwrap();
        assert_eq!((header.timestamp_type(), header.max_timestamp), (TimestampType::LogAppendTime, *time));
        assert_eq!((header.compression().unwrap(), header.base_timestamp), (codec, NOW + 9 * HOUR));
        let batch = bytes.split_to(header.total_len());
        assert_intact(&batch);
        assert_eq!(records(&batch, 1 << 20).unwrap().filter(Result::is_ok).count(), 3);
    }
    for (index, time) in (0..).zip(&times) {
        assert_eq!(offset_of(&mut client, "t", *time).await, (3 * index, *time));
    }
    assert_eq!(offset_of(&mut client, "t", -3).await, (12, times[4]), "the first record of the last batch");
    assert_eq!(offset_of(&mut client, "t", times[4] + 1).await, (-1, -1));
    let claims = built(BatchBuilder::new().timestamp_type(TimestampType::LogAppendTime), &[NOW, NOW]);
    let refused = client.produce(9, &topic, claims).await;
    assert_eq!((refused.error_code.as_i16(), indexes(&refused)), (32, vec![0, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_claim_of_the_brokers_time_is_cleared_where_producers_tell_it() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let topic = Topic::new(&mut client, "t").await;
    let claims = |times: &[i64]| built(BatchBuilder::new().timestamp_type(TimestampType::LogAppendTime), times);
    assert!(client.produce(9, &topic, claims(&[NOW, NOW])).await.error_code.is_none());
    let fetched = client.fetch(12, &topic, 0).await.records.unwrap().to_bytes();
    let header = BatchHeader::parse(&fetched).unwrap();
    assert_eq!((header.timestamp_type(), header.attributes), (TimestampType::CreateTime, 0));
    assert_intact(&fetched);
    let timeless = client.produce(9, &topic, claims(&[-1])).await;
    assert_eq!((timeless.error_code.as_i16(), indexes(&timeless)), (32, vec![0]));
}

#[tokio::test(start_paused = true)]
async fn timestamps_may_be_so_old_or_so_new() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let limits = [("message.timestamp.before.max.ms", "1000000"), ("message.timestamp.after.max.ms", "2000000")];
    let topic = Topic::with(&mut client, "t", &limits).await;
    let answer = client.produce(9, &topic, of_times(&[NOW - 2_000_000, NOW, -1, NOW + 3_000_000])).await;
    assert_eq!((answer.error_code.as_i16(), indexes(&answer)), (32, vec![0, 3]));
    assert!(client.produce(9, &topic, of_times(&[NOW - 900_000, -1, NOW + 1_900_000])).await.error_code.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_told_the_offset_and_the_time_of_what_it_repeats() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for (name, configs) in [("c", &[][..]), ("l", &[("message.timestamp.type", "LogAppendTime")])] {
        let topic = Topic::with(&mut client, name, configs).await;
        let sent = |sequence| built(BatchBuilder::new().producer(4711, 0, sequence), &[NOW - 77, NOW - 78]);
        let first = client.produce(9, &topic, sent(0)).await;
        client.produce(9, &topic, sent(2)).await;
        let again = client.produce(9, &topic, sent(0)).await;
        assert_eq!((again.error_code.as_i16(), again.base_offset), (0, 0));
        // Also where the producer's timestamps are kept, and the first answer did not tell it.
        let expected = if configs.is_empty() { NOW - 77 } else { first.log_append_time_ms };
        assert_eq!((first.log_append_time_ms == -1, again.log_append_time_ms), (configs.is_empty(), expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_topic_may_choose_its_codec() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let targets = [
        ("uncompressed", Compression::None),
        ("gzip", Compression::Gzip),
        ("snappy", Compression::Snappy),
        ("lz4", Compression::Lz4),
        ("zstd", Compression::Zstd),
    ];
    for (name, target) in targets {
        let topic = Topic::with(&mut client, name, &[("compression.type", name)]).await;
        for codec in CODECS {
            let sent = built(BatchBuilder::new().compression(codec), &[NOW, NOW + 1]);
            assert!(client.produce(9, &topic, sent).await.error_code.is_none());
        }
        let mut bytes = client.fetch(12, &topic, 0).await.records.unwrap().to_bytes();
        let mut found = 0;
        while !bytes.is_empty() {
            let header = BatchHeader::parse(&bytes).unwrap();
            assert_eq!(header.compression().unwrap(), target);
            let batch = bytes.split_to(header.total_len());
            assert_intact(&batch);
            let times = records(&batch, 1 << 20).unwrap().map(|record| record.unwrap().timestamp(&header));
            assert_eq!(times.collect::<Vec<_>>(), [NOW, NOW + 1]);
            found += 1;
        }
        assert_eq!(found, 5);
    }
}

async fn delete(client: &mut Client, name: &'static str, offset: i64) {
    let partitions = vec![DeleteRecordsPartition { partition_index: 0, offset }];
    let topics = vec![DeleteRecordsTopic { name: KString::from_static(name), partitions }];
    let request = DeleteRecordsRequest { topics, timeout_ms: 30_000 };
    let response = client.call(2, &request).await;
    assert_eq!(response.topics[0].partitions[0].low_watermark, offset);
}

/// Offset and timestamp.
async fn offset_of(client: &mut Client, name: &'static str, timestamp: i64) -> (i64, i64) {
    let partitions = vec![ListOffsetsPartition { timestamp, ..ListOffsetsPartition::default() }];
    let topics = vec![ListOffsetsTopic { name: KString::from_static(name), partitions }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
    let response = client.call(11, &request).await;
    let found = &response.topics[0].partitions[0];
    assert_eq!((found.error_code.as_i16(), found.leader_epoch), (0, if found.offset >= 0 { 0 } else { -1 }));
    (found.offset, found.timestamp)
}

/// To the exact record, whatever the codec, also when the log starts inside a batch.
#[tokio::test(start_paused = true)]
async fn offsets_are_found_by_timestamp_also_after_records_were_deleted() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let names = ["none", "gzip", "snappy", "lz4", "zstd"];
    for (codec, name) in CODECS.into_iter().zip(names) {
        let topic = Topic::new(&mut client, name).await;
        let none = (-1, -1);
        for timestamp in [-3, 0, NOW] {
            assert_eq!(offset_of(&mut client, name, timestamp).await, none, "an empty log");
        }
        let sent = |times: &[i64]| {
            let times: Vec<i64> = times.iter().map(|time| NOW + time).collect();
            built(BatchBuilder::new().compression(codec), &times)
        };
        client.produce(9, &topic, sent(&[1, 5, 3, 5])).await;
        client.produce(9, &topic, sent(&[4, 5])).await;
        let at = |offset, time| (offset, NOW + time);
        // Log start, and what is found: the greatest, then from 0, 2, 4, 5 and 6 on. The greatest of all (−3) is looked for
        // among the records that can be read; Kafka finds one that is deleted until its file is.
        let situations = [
            (0, [at(1, 5), at(0, 1), at(1, 5), at(1, 5), at(1, 5), none]),
            (2, [at(3, 5), at(2, 3), at(2, 3), at(3, 5), at(3, 5), none]),
            (4, [at(5, 5), at(4, 4), at(4, 4), at(4, 4), at(5, 5), none]),
            (6, [none; 6]),
        ];
        for (start, [greatest, from @ ..]) in situations {
            if start > 0 {
                delete(&mut client, name, start).await;
            }
            assert_eq!(offset_of(&mut client, name, -3).await, greatest, "{name} from {start}");
            for (timestamp, expected) in [0, 2, 4, 5, 6].into_iter().zip(from) {
                let found = offset_of(&mut client, name, NOW + timestamp).await;
                assert_eq!(found, expected, "{name} from {start}: {timestamp}");
            }
            assert_eq!(offset_of(&mut client, name, -2).await, (start, -1));
            assert_eq!(offset_of(&mut client, name, -4).await, (start, -1));
            assert_eq!(offset_of(&mut client, name, -1).await, (6, -1));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn records_without_timestamps_and_older_ones_after_newer_are_found_as_kafka_does() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    let timeless = Topic::new(&mut client, "timeless").await;
    client.produce(9, &timeless, of_times(&[-1, -1])).await;
    assert_eq!(offset_of(&mut client, "timeless", -3).await, (0, -1));
    assert_eq!(offset_of(&mut client, "timeless", 0).await, (-1, -1));
    let topic = Topic::new(&mut client, "t").await;
    client.produce(9, &topic, of_times(&[NOW - 5])).await;
    client.produce(9, &topic, of_times(&[NOW - 9])).await;
    for timestamp in [-3, NOW - 9, NOW - 7, NOW - 5, 0] {
        assert_eq!(offset_of(&mut client, "t", timestamp).await, (0, NOW - 5), "{timestamp}");
    }
    delete(&mut client, "t", 1).await;
    for (timestamp, found) in [(NOW - 9, (1, NOW - 9)), (NOW - 7, (-1, -1)), (0, (1, NOW - 9)), (-3, (1, NOW - 9))] {
        assert_eq!(offset_of(&mut client, "t", timestamp).await, found, "{timestamp}");
    }
}
