//! Frames, headers, the order of answers; and ApiVersions, which is how a client finds out about the rest.

use anyhow::{Context, Result};
use sluice_protocol::messages::{ApiVersionsRequest, FetchRequest, MetadataRequest, ProduceRequest};

use crate::batches::batch;
use crate::dump::Node;
use crate::requests::{To, fetch, metadata, produce};
use crate::rows;
use crate::session::{CLIENT_ID, Session};
use crate::situation::{Situation, differs, family, situation};

/// Long enough for a broker to close, short enough to wait for silence.
const WAIT_MS: u64 = 700;

/// A frame of this API and version whose body is `body`; a flexible header gets an empty tag section.
fn raw_frame(key: i16, version: i16, flexible: bool, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(7_i32.to_be_bytes());
    frame.extend(i16::try_from(CLIENT_ID.len()).unwrap_or(0).to_be_bytes());
    frame.extend(CLIENT_ID.as_bytes());
    if flexible {
        frame.push(0);
    }
    frame.extend(body);
    framed(&frame)
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let length = i32::try_from(payload.len()).unwrap_or(i32::MAX);
    [length.to_be_bytes().as_slice(), payload].concat()
}

/// Sends bytes, records what comes, and whether the connection is still there for an ApiVersions.
fn send_and_look(s: &mut Session, label: &str, bytes: &[u8]) -> Result<()> {
    s.ask_bytes(label, bytes, WAIT_MS);
    Ok(())
}

/// Keeps what both have of the ranges, so that one difference is listed and not sixty.
pub(super) fn without_ranges(answer: &mut Node, _prefix: &str) {
    if let Node::Fields(fields) = answer {
        fields.retain(|(name, _)| name != "api_keys" && !name.contains("features") && name != "encoding");
    }
}

fn asked(version: i16) -> ApiVersionsRequest {
    let mut request = ApiVersionsRequest::default();
    if version >= 3 {
        request.client_software_name = "differential".into();
        request.client_software_version = "1.0".into();
    }
    request
}

pub(super) const ALL: &[Situation] = &[
    family("ApiVersions is answered without an error", "ApiVersions", 0..=4, |s, v| {
        s.ask_shaped(v, &asked(v), without_ranges);
        Ok(())
    }),
    family(
        "ApiVersions of a version that there is not tells its own range in the layout of 0",
        rows::UNADVERTISED,
        5..=6,
        |s, v| {
            s.ask_bytes("ApiVersions", &raw_frame(18, v, true, &[2, b'a', 2, b'1', 0]), 5_000);
            s.ask_shaped(3, &asked(3), without_ranges);
            Ok(())
        },
    ),
    situation("an ApiVersions of version 32767 is told the range", rows::UNADVERTISED, |s, _| {
        s.ask_bytes("ApiVersions", &raw_frame(18, i16::MAX, true, &[1, 2, 3]), 5_000);
        Ok(())
    }),
    situation("a client name with a space in ApiVersions 3 is an invalid request", "ApiVersions", |s, _| {
        let request = ApiVersionsRequest { client_software_name: "a b".into(), client_software_version: "1".into() };
        s.ask_shaped(3, &request, without_ranges);
        Ok(())
    }),
    situation("an empty client name in ApiVersions 3 is an invalid request", "ApiVersions", |s, _| {
        s.ask_shaped(3, &ApiVersionsRequest::default(), without_ranges);
        Ok(())
    }),
    situation("an API key that there is not closes the connection", rows::UNADVERTISED, |s, _| {
        send_and_look(s, "key 999", &raw_frame(999, 0, false, &[0; 4]))
    }),
    situation("a negative API key closes the connection", rows::UNADVERTISED, |s, _| {
        send_and_look(s, "key -1", &raw_frame(-1, 0, false, &[0; 4]))
    }),
    situation("a controller's API on a client's listener closes the connection", rows::UNADVERTISED, |s, _| {
        send_and_look(s, "key 52", &raw_frame(52, 0, false, &[0; 4]))
    }),
    situation("a Metadata of version 14 closes the connection", rows::UNADVERTISED, |s, _| {
        send_and_look(s, "Metadata v14", &raw_frame(3, 14, true, &[0, 0, 0, 0]))
    }),
    situation("a Metadata of version -1 closes the connection", rows::UNADVERTISED, |s, _| {
        send_and_look(s, "Metadata v-1", &raw_frame(3, -1, false, &[0, 0, 0, 0]))
    }),
    situation("a LeaderAndIsr, which is gone, closes the connection", rows::UNADVERTISED, |s, _| {
        send_and_look(s, "key 4", &raw_frame(4, 0, false, &[0; 4]))
    }),
    situation("bytes of HTTP close the connection", rows::HALF_FRAMES, |s, _| {
        send_and_look(s, "GET", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    }),
    situation("a TLS hello closes the connection", rows::HALF_FRAMES, |s, _| {
        send_and_look(s, "hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03aaaaaaaa")
    }),
    situation("a frame of negative length closes the connection", rows::HALF_FRAMES, |s, _| {
        send_and_look(s, "length -1", &[0xff, 0xff, 0xff, 0xff])
    }),
    situation("a frame without bytes closes the connection", rows::HALF_FRAMES, |s, _| {
        send_and_look(s, "length 0", &[0, 0, 0, 0])
    }),
    situation("a frame shorter than a header closes the connection", rows::HALF_FRAMES, |s, _| {
        send_and_look(s, "three bytes", &framed(&[0, 18, 0]))
    }),
    situation("a frame longer than socket.request.max.bytes closes the connection", rows::FRAME_TOO_LARGE, |s, _| {
        send_and_look(s, "length 104857601", &104_857_601_i32.to_be_bytes())
    }),
    situation("a frame of socket.request.max.bytes is waited for", rows::FRAME_TOO_LARGE, |s, _| {
        send_and_look(s, "length 104857600", &104_857_600_i32.to_be_bytes())
    }),
    situation("half a frame is waited for, and answered when the rest comes", rows::HALF_FRAMES, |s, _| {
        let frame = raw_frame(3, 1, false, &[0, 0, 0, 0]);
        let (first, rest) = frame.split_at(frame.len() / 2);
        s.ask_bytes("half", first, 300);
        s.write(rest)?;
        s.receive::<MetadataRequest>(1);
        Ok(())
    }),
    situation("a client that ends in half a frame is closed", rows::HALF_FRAMES, |s, _| {
        s.write(&raw_frame(3, 1, false, &[0, 0, 0, 0])[..9])?;
        s.finish_writing()?;
        s.await_bytes("the end", 5_000);
        Ok(())
    }),
    situation(
        "a client that ends after a request may get no answer or its answer, then the end",
        rows::HALF_FRAMES,
        |s, _| {
            s.send(1, &metadata(&[]))?;
            s.receive::<MetadataRequest>(1);
            s.finish_writing()?;
            s.await_bytes("the end", 5_000);
            Ok(())
        },
    ),
    situation("bytes after the body of a request are ignored", rows::HALF_FRAMES, |s, _| {
        s.write(&raw_frame(3, 1, false, &[0, 0, 0, 0, 9, 9, 9]))?;
        let answered = s.peek_correlation_id().is_some();
        s.note("answered", answered);
        Ok(())
    }),
    situation("a body that ends too early closes the connection", rows::HALF_FRAMES, |s, _| {
        send_and_look(s, "Metadata v1", &raw_frame(3, 1, false, &[0, 0, 0, 2, 0, 1, b'a']))
    }),
    situation("an array longer than the frame closes the connection", rows::HALF_FRAMES, |s, _| {
        send_and_look(s, "Metadata v1", &raw_frame(3, 1, false, &i32::MAX.to_be_bytes()))
    }),
    situation("a string that is not UTF-8 in a client id", rows::HALF_FRAMES, |s, _| {
        let mut frame = raw_frame(18, 0, false, &[]);
        frame[14] = 0xff;
        s.write(&frame)?;
        let answered = s.peek_correlation_id().is_some();
        s.note("answered", answered);
        Ok(())
    })
    .but(const { &[differs("D-43")] }),
    situation("a null client id is accepted", rows::HALF_FRAMES, |s, _| {
        s.write(&framed(&[0, 3, 0, 1, 0, 0, 0, 101, 0xff, 0xff, 0, 0, 0, 0]))?;
        s.receive::<MetadataRequest>(1);
        Ok(())
    }),
    situation("unknown tagged fields in header and body are ignored", rows::TAGGED, |s, _| {
        let mut frame = Vec::new();
        frame.extend([0, 3, 0, 9, 0, 0, 0, 100, 0, 1, b'x']);
        frame.extend([1, 0x8f, 0x4e, 3, 1, 2, 3]);
        frame.extend([1, 0, 0, 0, 2, 100, 1, 7, 101, 0]);
        s.write(&framed(&frame))?;
        s.receive::<MetadataRequest>(9);
        Ok(())
    }),
    situation("answers to pipelined requests come in their order", rows::CORRELATION, |s, _| {
        let name = s.topic("a")?;
        for n in 0..5 {
            s.send(9, &produce(&To::name(&name), batch(&[&format!("value {n}")])))?;
            s.send(9, &metadata(&[&name]))?;
        }
        s.send(12, &fetch(&To::name(&name), 0))?;
        for _ in 0..5 {
            s.receive::<ProduceRequest>(9);
            s.receive::<MetadataRequest>(9);
        }
        s.receive::<FetchRequest>(12);
        Ok(())
    }),
    situation("a request behind one that waits is answered after it", rows::CORRELATION, |s, _| {
        let name = s.topic("a")?;
        let waits = FetchRequest { max_wait_ms: 400, min_bytes: 1, ..fetch(&To::name(&name), 0) };
        s.send(12, &waits)?;
        s.send(9, &metadata(&[&name]))?;
        s.receive::<FetchRequest>(12);
        s.receive::<MetadataRequest>(9);
        Ok(())
    }),
    situation("a correlation id comes back as it was, whatever it is", rows::CORRELATION, |s, _| {
        for id in [0, -1, i32::MIN, i32::MAX] {
            let mut frame = raw_frame(3, 0, false, &[0, 0, 0, 1, 0, 3, b'.', b'.', b'.']);
            frame[8..12].copy_from_slice(&id.to_be_bytes());
            s.write(&frame)?;
            let answered = s.peek_correlation_id().context("an answer")?;
            s.note("correlation id", answered);
        }
        Ok(())
    }),
];
