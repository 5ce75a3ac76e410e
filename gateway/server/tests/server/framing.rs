//! The rows of "Framing" in Kafka's behaviour, each quoted, in bytes that no codec of ours has written. What Apache Kafka
//! 4.3.1 does with the same bytes was asked of a real one.

use bytes::BufMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Client, Gateway, Topic, batch, gateway};

/// A request with its length: header v1 up to the client id, then whatever follows.
fn frame(key: i16, version: i16, id: i32, behind: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_i16(key);
    body.put_i16(version);
    body.put_i32(id);
    body.put_i16(1);
    body.put_slice(b"c");
    body.put_slice(behind);
    let mut frame = Vec::new();
    frame.put_i32(i32::try_from(body.len()).unwrap());
    frame.put_slice(&body);
    frame
}

/// An answer as it came, without its length.
async fn answer(client: &mut Client) -> Vec<u8> {
    let mut frame = vec![0; usize::try_from(client.stream.read_i32().await.expect("an answer")).unwrap()];
    client.stream.read_exact(&mut frame).await.unwrap();
    frame
}

async fn ask(client: &mut Client, bytes: &[u8]) -> Vec<u8> {
    client.stream.write_all(bytes).await.unwrap();
    answer(client).await
}

async fn is_closed(gateway: &Gateway, bytes: &[u8]) -> bool {
    let mut client = gateway.client().await;
    // It may be closed before it has taken all of it.
    let _ = client.stream.write_all(bytes).await;
    client.rest().await.is_empty()
}

/// "correlation ids echo in order per connection (clients pipeline up to 5 produces and require in-order responses)"
// Holds: I-07
#[tokio::test(start_paused = true)]
async fn five_produces_are_answered_in_order_with_their_ids() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    Topic::new(&mut client, "t").await;
    let ids = [i32::MAX, -1, 0, i32::MIN, 7];
    let mut bytes = Vec::new();
    for (id, value) in ids.into_iter().zip(["a", "b", "c", "d", "e"]) {
        let records = batch(&[value]);
        // Produce 3: no transactional id, acks -1, 30 s, one topic, one partition.
        let mut body = vec![0xff, 0xff, 0xff, 0xff];
        body.put_i32(30_000);
        body.put_slice(&[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0]);
        body.put_i32(i32::try_from(records.len()).unwrap());
        body.put_slice(&records);
        bytes.extend(frame(0, 3, id, &body));
    }
    client.stream.write_all(&bytes).await.unwrap();
    for (offset, id) in (0_u8..).zip(ids) {
        let got = answer(&mut client).await;
        assert_eq!(got[..4], id.to_be_bytes(), "the answer in place {offset}");
        // One topic "t", one partition 0, no error, then the offset.
        let expected = [&[0, 0, 0, 1, 0, 1, b't', 0, 0, 0, 1, 0, 0, 0, 0, 0, 0][..], &[0, 0, 0, 0, 0, 0, 0, offset]];
        assert_eq!(got[4..29], expected.concat(), "the answer in place {offset}");
    }
}

/// "response header v0/v1 by API flexibility (ApiVersions exception)"
#[tokio::test(start_paused = true)]
async fn answers_have_the_header_of_their_version_and_api_versions_always_the_first() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    // Heartbeat of nobody: throttle time 0, error 25 (UNKNOWN_MEMBER_ID); from version 4 on with tags, none, twice.
    let old = ask(&mut client, &frame(12, 3, 1, &[0, 1, b'g', 0, 0, 0, 0, 0, 1, b'm', 0xff, 0xff])).await;
    assert_eq!(old, [0, 0, 0, 1, 0, 0, 0, 0, 0, 25]);
    let flexible = ask(&mut client, &frame(12, 4, 2, &[0, 2, b'g', 0, 0, 0, 0, 2, b'm', 0, 0])).await;
    assert_eq!(flexible, [0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 25, 0]);
    // ListGroups: throttle time, error, no groups.
    let old = ask(&mut client, &frame(16, 2, 3, &[])).await;
    assert_eq!(old, [0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let flexible = ask(&mut client, &frame(16, 3, 4, &[0, 0])).await;
    assert_eq!(flexible, [0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1, 0]);
    // ApiVersions 3 is flexible, its request has the flexible header, its answer has not: the error stands right behind the id.
    let answer = ask(&mut client, &frame(18, 3, 5, &[0, 2, b'n', 2, b'v', 0])).await;
    let count = answer[6];
    assert_eq!(answer[..6], [0, 0, 0, 5, 0, 0]);
    // A compact array: one more than there are; each has three numbers and no tags, the first is Produce 0 to 13.
    assert!(count >= 20 && answer.len() > 7 * usize::from(count - 1), "{answer:?}");
    assert_eq!(answer[7..14], [0, 0, 0, 0, 0, 13, 0]);
}

fn topics_in(metadata: &[u8], marker: &[u8]) -> usize {
    metadata.windows(marker.len()).filter(|part| *part == marker).count()
}

/// "null vs empty arrays in Metadata (v0: empty = all; v1+: null = all, empty = none)"
#[tokio::test(start_paused = true)]
async fn metadata_of_all_topics_and_of_none_differ_by_version() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    Topic::new(&mut client, "one-topic").await;
    Topic::new(&mut client, "two-topic").await;
    let all_and_none: [(i16, &[u8], usize); 7] = [
        (0, &[0, 0, 0, 0], 2),
        (1, &[0xff, 0xff, 0xff, 0xff], 2),
        (1, &[0, 0, 0, 0], 0),
        (8, &[0xff, 0xff, 0xff, 0xff, 0, 0, 0], 2),
        (8, &[0, 0, 0, 0, 0, 0, 0], 0),
        // Flexible: the header's tags, then the compact array (0 is null, 1 is empty), two flags, tags.
        (12, &[0, 0, 0, 0, 0], 2),
        (12, &[0, 1, 0, 0, 0], 0),
    ];
    for (version, body, expected) in all_and_none {
        let answer = ask(&mut client, &frame(3, version, 9, body)).await;
        assert_eq!(topics_in(&answer, b"-topic"), expected, "version {version}, {body:?}");
    }
    // Null in version 0, which has none: Kafka 4.3.1 closes the connection.
    assert!(is_closed(&gateway, &frame(3, 0, 9, &[0xff, 0xff, 0xff, 0xff])).await);
}

/// "unknown tagged fields ignored"
#[tokio::test(start_paused = true)]
async fn tagged_fields_that_nobody_knows_change_nothing() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    Topic::new(&mut client, "t").await;
    // Metadata 12 of topic t: header tags; one topic of no id and name t, its tags; two flags; tags.
    let request = |header: &[u8], topic: &[u8], body: &[u8]| {
        frame(3, 12, 9, &[header, &[2], &[0; 16], &[2, b't'], topic, &[0, 0], body].concat())
    };
    let expected = ask(&mut client, &request(&[0], &[0], &[0])).await;
    assert_eq!(topics_in(&expected, &[2, b't']), 1);
    // One field, number 99, three bytes; two fields, the second one numbered 16,384, which takes three bytes, and empty.
    let (one, two): (&[u8], &[u8]) = (&[1, 99, 3, 1, 2, 3], &[2, 5, 1, 0xff, 0x80, 0x80, 1, 0]);
    for (header, topic, body) in [(one, &[0][..], &[0][..]), (&[0], one, &[0]), (&[0], &[0], two), (two, two, one)] {
        let answer = ask(&mut client, &request(header, topic, body)).await;
        assert_eq!(answer, expected, "{header:?} {topic:?} {body:?}");
    }
    // A field longer than its frame is no field.
    assert!(is_closed(&gateway, &request(&[0], &[0], &[1, 99, 120, 1])).await);
}

/// "request of unadvertised version -> ApiVersions: v0+35, others: Kafka closes the connection"
#[tokio::test(start_paused = true)]
async fn versions_that_are_not_advertised_close_the_connection_except_that_of_api_versions() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    for version in [5_i16, 127, i16::MAX, -1] {
        let answer = ask(&mut client, &frame(18, version, 3, &[0xff; 9])).await;
        // Error 35 and, so that the client can come back at once, what ApiVersions itself is served in.
        assert_eq!(answer, [0, 0, 0, 3, 0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 4], "version {version}");
    }
    let good = frame(3, 1, 1, &[0, 0, 0, 0]);
    for (key, version) in [(3_i16, 14_i16), (3, -1), (0, 14), (1, 19), (10, 7), (99, 0), (-1, 0), (i16::MAX, i16::MAX)]
    {
        let mut client = gateway.client().await;
        let bytes = [&good[..], &frame(key, version, 2, &[0; 40]), &good].concat();
        assert_eq!(ask(&mut client, &bytes).await[..4], [0, 0, 0, 1], "what was before is answered");
        assert!(client.rest().await.is_empty(), "{key} {version}: something behind it was answered");
    }
}

/// "half-read frames"
#[tokio::test(start_paused = true)]
async fn half_a_frame_waits_for_its_other_half_and_ends_with_its_sender() {
    let gateway = gateway().await;
    let whole = frame(3, 1, 77, &[0, 0, 0, 0]);
    for cut in 1..whole.len() {
        let mut client = gateway.client().await;
        // Behind a whole one, whose answer it does not hold up.
        let first = ask(&mut client, &[&whole, &whole[..cut]].concat()).await;
        let second = ask(&mut client, &whole[cut..]).await;
        assert_eq!((&first[..4], &second), (&77_i32.to_be_bytes()[..], &first), "cut at {cut}");
        client.stream.write_all(&whole[..cut]).await.unwrap();
        client.stream.shutdown().await.unwrap();
        assert!(client.rest().await.is_empty(), "cut at {cut}");
    }
    assert!(gateway.metrics().await.contains(&format!("{{reason=\"truncated\"}} {}\n", whole.len() - 1)));
}

/// "connection dropped when first bytes are not a Kafka frame"
#[tokio::test(start_paused = true)]
async fn what_is_no_kafka_frame_is_closed_at_its_first_bytes() {
    let gateway = gateway().await;
    let strangers: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
        b"POST /topics HTTP/1.1\r\n",
        // A TLS client hello, of which not even all has come.
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
        b"\x0d\x0a\x0d\x0a\x00\x0d\x0a\x51\x55\x49\x54\x0a\x21\x11",
        // A length of 100 MiB and one byte, and nothing else.
        &[0x06, 0x40, 0x00, 0x01],
    ];
    let start = tokio::time::Instant::now();
    for bytes in strangers {
        assert!(is_closed(&gateway, bytes).await, "{bytes:?} was answered");
    }
    assert_eq!(start.elapsed().as_secs(), 0, "nothing more of it was waited for");
    assert!(gateway.metrics().await.contains("{reason=\"bad_frame\"} 7\n"));
}

/// librdkafka writes the null list of a Metadata 9 or later in four bytes where one is read: three are left behind the body.
#[tokio::test(start_paused = true)]
async fn bytes_behind_the_body_of_a_request_are_ignored() {
    let gateway = gateway().await;
    let mut client = gateway.client().await;
    client.create("t", 1).await;
    // Key 3, version 9, correlation id 7, client id "k", no tags; four zeros for no list, then two booleans and no tags.
    client.send_raw(&[0, 3, 0, 9, 0, 0, 0, 7, 0, 1, b'k', 0, 0, 0, 0, 0, 1, 0, 0, 0]).await;
    let (id, all) = client.receive::<sluice_protocol::messages::MetadataRequest>(9).await;
    assert_eq!((id, all.topics.len()), (7, 1));
    assert_eq!(client.topic(9, "t").await.error_code.as_i16(), 0, "and the connection goes on");
}
