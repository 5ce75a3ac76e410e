//! Frames out of bytes, however they are cut.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]

use std::future::poll_fn;
use std::task::Waker;

use bytes::{BufMut, BytesMut};
use proptest::prelude::*;
use tokio::io::AsyncWriteExt;

use super::*;

fn limits() -> Limits {
    Limits { frame_bytes_max: 1 << 20, frame_bytes_at_once: 64 << 10, read_buffer_bytes: 16 << 10, ..Limits::default() }
}

fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_i32(body.len() as i32);
    frame.put_slice(body);
    frame.to_vec()
}

/// Reads frames until the end of the stream.
async fn read_frames(bytes: &[u8], pipe_bytes: usize, limits: &Limits) -> (Vec<Bytes>, FrameReader) {
    let (mut client, mut served) = tokio::io::duplex(pipe_bytes);
    let pool = BufferPool::new(limits);
    let mut reader = FrameReader::default();
    let mut frames = Vec::new();
    let write = async {
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
    };
    let read = async {
        loop {
            while let Some(coming) = reader.coming(limits).unwrap().filter(|coming| coming.whole) {
                frames.push(reader.take(coming, limits));
            }
            if poll_fn(|cx| reader.poll_read(cx, &mut served, &pool, limits)).await.unwrap() == 0 {
                return;
            }
        }
    };
    tokio::join!(write, read);
    (frames, reader)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_come_out_as_they_went_in(
        sizes in prop::collection::vec(prop_oneof![6 => 0..300_usize, 2 => 0..30_000_usize, 1 => 0..400_000_usize], 0..30),
        pipe_bytes in prop_oneof![1..50_usize, 50..100_000_usize],
    ) {
        // One byte at a time through hundreds of kilobytes only takes long.
        let pipe_bytes = pipe_bytes.max(sizes.iter().sum::<usize>() / 2000);
        let bodies: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, len)| vec![i as u8; *len]).collect();
        let bytes: Vec<u8> = bodies.iter().flat_map(|body| framed(body)).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (frames, reader) = runtime.block_on(read_frames(&bytes, pipe_bytes, &limits()));
        prop_assert_eq!(frames, bodies);
        prop_assert!(reader.unread().is_empty());
    }
}

/// I-09: a length alone takes no more than what is given at once, and the rest comes only with the bytes.
#[tokio::test]
async fn memory_grows_as_bytes_arrive() {
    let limits = limits();
    let pool = BufferPool::new(&limits);
    let (mut client, mut served) = tokio::io::duplex(1 << 20);
    let mut reader = FrameReader::default();
    let total = 1_000_000_usize;
    client.write_all(&(total as i32).to_be_bytes()).await.unwrap();
    let mut received = 4;
    let mut left = total;
    loop {
        let read = poll_fn(|cx| {
            let polled = reader.poll_read(cx, &mut served, &pool, &limits);
            if polled.is_pending() { Poll::Ready(Ok(0)) } else { polled }
        })
        .await
        .unwrap();
        let allowed = (2 * reader.unread().len()).max(limits.frame_bytes_at_once);
        assert!(reader.buffer.capacity() <= allowed, "{} for {received}", reader.buffer.capacity());
        if read == 0 && left == 0 {
            break;
        }
        let now = left.min(10_000);
        client.write_all(&vec![1; now]).await.unwrap();
        received += now;
        left -= now;
    }
    let coming = reader.coming(&limits).unwrap().unwrap();
    assert!(coming.whole && coming.len == total);
    assert_eq!(reader.take(coming, &limits).len(), total);
}

#[tokio::test]
async fn a_frame_up_to_what_is_given_at_once_is_moved_once_at_most() {
    let limits = limits();
    let pool = BufferPool::new(&limits);
    let mut reader = FrameReader::default();
    let mut cx = Context::from_waker(Waker::noop());
    let frame = framed(&vec![7; 60_000]);
    // The second frame of such a size has a buffer of its own from the start.
    for round in 0..3 {
        let mut source = frame.as_slice();
        let mut moved = 0;
        let mut address = None;
        while !reader.coming(&limits).unwrap().is_some_and(|coming| coming.whole) {
            assert!(reader.poll_read(&mut cx, &mut source, &pool, &limits).is_ready());
            let now = reader.unread().as_ptr();
            moved += usize::from(address.is_some_and(|before| before != now));
            address = Some(now);
        }
        assert_eq!(moved, usize::from(round == 0), "round {round}");
        let coming = reader.coming(&limits).unwrap().unwrap();
        let taken = reader.take(coming, &limits);
        assert_eq!(taken.as_ptr().wrapping_sub(4), address.unwrap(), "the frame is where it was read to");
    }
}

/// Small frames of one read share its buffer, and an idle reader has none.
#[tokio::test]
async fn buffers_are_borrowed_only_while_bytes_come() {
    let limits = limits();
    let pool = BufferPool::new(&limits);
    let mut reader = FrameReader::default();
    let (mut client, mut served) = tokio::io::duplex(1 << 16);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1000 {
        client.write_all(&[framed(&[1; 100]), framed(&[2; 100])].concat()).await.unwrap();
        assert!(reader.poll_read(&mut cx, &mut served, &pool, &limits).is_ready());
        for byte in [1, 2] {
            let coming = reader.coming(&limits).unwrap().unwrap();
            assert_eq!(reader.take(coming, &limits), vec![byte; 100]);
        }
        assert!(reader.poll_read(&mut cx, &mut served, &pool, &limits).is_pending());
        assert_eq!(reader.buffer.capacity(), 0, "an idle reader holds a buffer");
    }
    let kept = pool.kept.lock().unwrap();
    assert_eq!(kept.len(), 1, "one buffer was enough, and was used again and again");
    assert!(kept[0].capacity() <= limits.read_buffer_bytes);
}

/// A reader that waits for the rest of a small frame holds about what has come of it, whatever it read before.
#[tokio::test]
async fn half_a_small_frame_does_not_keep_a_buffer() {
    let limits = limits();
    let pool = BufferPool::new(&limits);
    let mut cx = Context::from_waker(Waker::noop());
    for before in [None, Some(100), Some(60_000)] {
        for (announced, part) in [(1_000, 1), (1_000, 3), (1_000, 4), (1_000, 9), (16_000, 500), (16_000, 1_900)] {
            let (mut client, mut served) = tokio::io::duplex(1 << 17);
            let mut reader = FrameReader::default();
            let first = before.map(|len| framed(&vec![7; len])).unwrap_or_default();
            let second = framed(&vec![8; announced]);
            client.write_all(&[&first[..], &second[..part]].concat()).await.unwrap();
            let mut frames = Vec::new();
            let mut read = |reader: &mut FrameReader| {
                while reader.poll_read(&mut cx, &mut served, &pool, &limits).is_ready() {
                    while let Some(coming) = reader.coming(&limits).unwrap().filter(|coming| coming.whole) {
                        frames.push(reader.take(coming, &limits).to_vec());
                    }
                }
                frames.len()
            };
            assert_eq!(read(&mut reader), usize::from(before.is_some()));
            let held = reader.buffer.capacity();
            let most = (2 * HALF_READ_GROWTH * part).max(2 * HALF_READ_ROOM_MIN);
            assert!(held <= most, "{held} bytes are held for {part} of {announced}, before that {before:?}");
            // And byte by byte to its end.
            for byte in &second[part..] {
                client.write_all(&[*byte]).await.unwrap();
                read(&mut reader);
            }
            assert_eq!(read(&mut reader), 1 + usize::from(before.is_some()));
            assert_eq!(frames.pop().unwrap(), &second[4..]);
            assert_eq!(reader.buffer.capacity(), 0);
        }
    }
}

/// A large frame's buffer is asked for at each look at the socket: mostly nothing is there, and it is not made anew.
#[tokio::test]
async fn unused_large_buffers_are_used_by_the_next_reader() {
    let limits = limits();
    let pool = BufferPool::new(&limits);
    let mut cx = Context::from_waker(Waker::noop());
    let (_client, mut served) = tokio::io::duplex(16);
    let address = |pool: &BufferPool| pool.large_kept.lock().unwrap().first().map(|buffer| buffer.as_ptr());
    let mut first = None;
    for _ in 0..3 {
        let mut reader = FrameReader::default();
        let frame = framed(&vec![7; 60_000]);
        let mut source = frame.as_slice();
        while !reader.coming(&limits).unwrap().is_some_and(|coming| coming.whole) {
            assert!(reader.poll_read(&mut cx, &mut source, &pool, &limits).is_ready());
        }
        let coming = reader.coming(&limits).unwrap().unwrap();
        reader.take(coming, &limits);
        for _ in 0..5 {
            assert!(reader.poll_read(&mut cx, &mut served, &pool, &limits).is_pending());
            assert_eq!(reader.buffer.capacity(), 0, "an idle reader holds a buffer");
        }
        first = first.or(address(&pool));
        assert!(first.is_some() && first == address(&pool));
    }
    assert_eq!(pool.large_kept.lock().unwrap().len(), 1);
}

#[test]
fn other_protocols_are_recognised() {
    assert!(guess_protocol(b"GET /metrics HTTP/1.1").unwrap().contains("HTTP"));
    assert!(guess_protocol(&[0x16, 0x03, 0x01, 0x02, 0x00]).unwrap().contains("TLS"));
    assert!(guess_protocol(b"PROXY TCP4").unwrap().contains("PROXY"));
    assert_eq!(guess_protocol(&[0, 0, 0, 20, 0, 18]), None);
    assert_eq!(guess_protocol(b""), None);
}
