//! Frames out of a byte stream: a signed four-byte length, then so many bytes.
//!
//! Promises: a frame is a slice of the buffer it was read into, never copied once it is whole; several frames that
//! arrive together come out of one read; a length is checked before any memory is given for it, and memory grows only
//! as bytes arrive (I-09); a reader with nothing half-read holds no buffer, and one that waits for the rest of a frame of
//! which little has come holds little. Never: looks into a frame, beyond the key that stands first in it. Called by
//! `connection`.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits::Limits;

/// Bytes of the length before each frame.
const PREFIX_LEN: usize = 4;
/// A pooled buffer with less room than this is not worth a read.
const ROOM_MIN: usize = 4 << 10;
/// So little of a frame does not keep a pooled buffer while its peer is waited for: it moves to a buffer of its own …
const HALF_READ_BYTES_MOVED: usize = 8 << 10;
/// … with room for this many times what has come, and at least for so many bytes.
const HALF_READ_GROWTH: usize = 8;
/// See `HALF_READ_GROWTH`.
const HALF_READ_ROOM_MIN: usize = 256;

/// A length that no frame may have. The connection cannot be read any further: nobody knows where the next frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    /// Less than zero.
    #[error("a frame length of {0} is negative")]
    Negative(i32),
    /// More than the limit.
    #[error("a frame length of {len} is more than {max}")]
    TooLong {
        /// The length.
        len: usize,
        /// The largest accepted.
        max: usize,
    },
}

/// Read buffers, lent to whichever connection has bytes to read.
///
/// A buffer goes on being filled by the next borrower where the last one stopped: frames that are still held keep the
/// memory in front alive, and it is used again from its start once they are gone.
#[derive(Debug)]
pub(crate) struct BufferPool {
    buffer_bytes: usize,
    kept_max: usize,
    kept: Mutex<Vec<BytesMut>>,
    large_kept_max: usize,
    large_kept: Mutex<Vec<BytesMut>>,
}

impl BufferPool {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            buffer_bytes: limits.read_buffer_bytes.max(PREFIX_LEN),
            kept_max: limits.read_buffers_kept,
            kept: Mutex::new(Vec::new()),
            large_kept_max: limits.large_buffers_kept,
            large_kept: Mutex::new(Vec::new()),
        }
    }

    fn room_min(&self) -> usize {
        ROOM_MIN.min(self.buffer_bytes)
    }

    /// An empty buffer with room for at least a small frame.
    fn borrow(&self) -> BytesMut {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match kept {
            Some(buffer) => buffer,
            None => BytesMut::with_capacity(self.buffer_bytes),
        }
    }

    /// Takes back an empty buffer, unless it is full of frames that are still held.
    fn give_back(&self, mut buffer: BytesMut) {
        if buffer.capacity() < self.room_min() && !buffer.try_reclaim(self.buffer_bytes) {
            return;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < self.kept_max {
            kept.push(buffer);
        }
    }
}

impl BufferPool {
    /// An empty buffer for a large frame, with at least `capacity` bytes. A connection that reads large frames asks for one at
    /// each look at its socket; mostly nothing is there, and it comes back unused.
    fn borrow_large(&self, capacity: usize) -> BytesMut {
        let mut kept = self.large_kept.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.iter().position(|buffer| buffer.capacity() >= capacity) {
            Some(fitting) => kept.swap_remove(fitting),
            None => BytesMut::with_capacity(capacity),
        }
    }

    fn give_back_large(&self, buffer: BytesMut) {
        let mut kept = self.large_kept.lock().unwrap_or_else(PoisonError::into_inner);
        // What little is left behind a frame is no use.
        if kept.len() < self.large_kept_max && buffer.capacity() > self.buffer_bytes {
            kept.push(buffer);
        }
    }
}

/// What is known of the frame that is being received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Coming {
    /// Its length, without the prefix.
    pub(crate) len: usize,
    /// The API key it starts with, once those bytes are there.
    pub(crate) key: Option<i16>,
    /// Whether all of it is there.
    pub(crate) whole: bool,
}

/// Cuts the bytes of one connection into frames.
#[derive(Debug, Default)]
pub(crate) struct FrameReader {
    buffer: BytesMut,
    /// Whether the buffer is a pooled one.
    pooled: bool,
    /// Capacity for the next buffer of its own, if the last frame was too large for a pooled one.
    own_capacity: Option<usize>,
}

impl FrameReader {
    /// The frame at the front; `None` before its length is there. Errors: [`FrameError`], for ever.
    pub(crate) fn coming(&self, limits: &Limits) -> Result<Option<Coming>, FrameError> {
        let Some(prefix) = self.buffer.first_chunk::<PREFIX_LEN>() else {
            return Ok(None);
        };
        let signed = i32::from_be_bytes(*prefix);
        let len = usize::try_from(signed).map_err(|_| FrameError::Negative(signed))?;
        if len > limits.frame_bytes_max {
            return Err(FrameError::TooLong { len, max: limits.frame_bytes_max });
        }
        let received = self.buffer.len().saturating_sub(PREFIX_LEN);
        let key = match self.buffer.get(PREFIX_LEN..).and_then(|frame| frame.first_chunk::<2>()) {
            Some(key) if len >= 2 => Some(i16::from_be_bytes(*key)),
            _ => None,
        };
        Ok(Some(Coming { len, key, whole: received >= len }))
    }

    /// Takes the frame at the front, which `coming` has called whole, without its length.
    pub(crate) fn take(&mut self, coming: Coming, limits: &Limits) -> Bytes {
        let total = total_of(coming);
        let mut frame = self.buffer.split_to(total.min(self.buffer.len())).freeze();
        frame.advance(PREFIX_LEN.min(frame.len()));
        self.own_capacity = (total > limits.read_buffer_bytes / 2).then(|| {
            // Room for a somewhat longer one, so that frames of varying size are rarely cut by the end of a buffer.
            let with_slack = total.saturating_add(total / 8).next_multiple_of(4 << 10);
            with_slack.min(limits.frame_bytes_at_once.max(PREFIX_LEN))
        });
        frame
    }

    /// Bytes received that belong to no frame taken yet.
    pub(crate) fn unread(&self) -> &[u8] {
        &self.buffer
    }

    /// Drops what was received.
    pub(crate) fn clear(&mut self) {
        self.buffer = BytesMut::new();
    }

    /// The size of the buffer that the next read is going to have, if the frame is too large for a pooled one.
    pub(crate) fn large_bytes(&self, limits: &Limits) -> Option<usize> {
        if self.buffer.is_empty() {
            return self.own_capacity.filter(|capacity| *capacity > limits.frame_bytes_free);
        }
        let coming = self.coming(limits).ok()??;
        let capacity = self.buffer.capacity();
        let is_large = coming.len > limits.frame_bytes_free;
        is_large.then(|| self.wanted_capacity(capacity, limits).unwrap_or(capacity).min(total_of(coming)))
    }

    /// Whether nothing of a frame has come.
    pub(crate) fn is_between_frames(&self) -> bool {
        self.buffer.is_empty()
    }

    /// The next frame is expected to be small.
    pub(crate) fn expect_small(&mut self) {
        self.own_capacity = None;
    }

    /// Reads once. `Ok(0)` is the end of the stream. Pending leaves no memory behind unless a frame is half-read.
    pub(crate) fn poll_read<S: AsyncRead + Unpin + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
        pool: &BufferPool,
        limits: &Limits,
    ) -> Poll<io::Result<usize>> {
        self.make_room(pool, limits);
        let read = {
            let mut stream = Pin::new(stream);
            let reading = pin!(stream.read_buf(&mut self.buffer));
            Future::poll(reading, cx)
        };
        if read.is_pending() {
            self.make_small(pool, limits);
        }
        read
    }

    /// Holds no more than what has come deserves while the peer is waited for.
    fn make_small(&mut self, pool: &BufferPool, limits: &Limits) {
        let received = self.buffer.len();
        if received == 0 {
            return self.release(pool);
        }
        let room = self.room_for_half_read(limits);
        let is_much = received > HALF_READ_BYTES_MOVED || self.buffer.capacity() / 2 <= room;
        if is_much || self.large_bytes(limits).is_some() {
            return;
        }
        let mut small = BytesMut::with_capacity(room);
        small.extend_from_slice(&self.buffer);
        self.buffer.clear();
        self.release(pool);
        self.buffer = small;
        self.pooled = false;
    }

    /// Gives the buffer away when nothing is half-read.
    pub(crate) fn release(&mut self, pool: &BufferPool) {
        if self.buffer.is_empty() {
            let buffer = std::mem::take(&mut self.buffer);
            if self.pooled {
                pool.give_back(buffer);
            } else {
                pool.give_back_large(buffer);
            }
        }
    }

    /// Makes sure that a read has room, and that the frame being received will be in one piece.
    fn make_room(&mut self, pool: &BufferPool, limits: &Limits) {
        if self.buffer.is_empty() {
            if self.buffer.capacity() < pool.room_min() || self.own_capacity.is_some() {
                self.release(pool);
                self.pooled = self.own_capacity.is_none();
                self.buffer = match self.own_capacity {
                    Some(capacity) => pool.borrow_large(capacity),
                    None => pool.borrow(),
                };
            }
            return;
        }
        let capacity = self.buffer.capacity();
        let Some(wanted) = self.wanted_capacity(capacity, limits) else {
            return;
        };
        let mut larger = BytesMut::with_capacity(wanted);
        larger.extend_from_slice(&self.buffer);
        self.buffer = larger;
        self.pooled = false;
    }

    /// The capacity the half-read frame needs now; `None` if what it has will do.
    fn wanted_capacity(&self, capacity: usize, limits: &Limits) -> Option<usize> {
        let received = self.buffer.len();
        let is_full = received >= capacity;
        let total = match self.coming(limits) {
            Ok(Some(coming)) => total_of(coming),
            // Not even the length is there, or it is refused by the next look at it.
            _ => return is_full.then_some(limits.read_buffer_bytes.max(PREFIX_LEN)),
        };
        if capacity >= total && !is_full {
            return None;
        }
        if self.pooled && total <= limits.read_buffer_bytes {
            return Some(total);
        }
        let room = self.room_for_half_read(limits);
        // Each time twice as much at least, or every byte would be moved again and again.
        (self.pooled || is_full || room / 2 >= capacity).then_some(room)
    }

    /// Room for a half-read frame by what has come of it: several times as much, up to what is given at once; beyond that
    /// as much again.
    fn room_for_half_read(&self, limits: &Limits) -> usize {
        let received = self.buffer.len();
        let at_once = limits.frame_bytes_at_once.max(PREFIX_LEN);
        let deserved = received.saturating_mul(HALF_READ_GROWTH).max(HALF_READ_ROOM_MIN).min(at_once);
        let room = deserved.max(received.saturating_mul(2));
        match self.coming(limits) {
            Ok(Some(coming)) => room.min(total_of(coming)),
            _ => room,
        }
    }
}

/// Bytes of a frame with its length.
fn total_of(coming: Coming) -> usize {
    PREFIX_LEN.saturating_add(coming.len)
}

/// What else the first bytes of a connection look like, in words for the log; `None` when they could be anything.
pub(crate) fn guess_protocol(first: &[u8]) -> Option<&'static str> {
    const HTTP: [&[u8]; 6] = [b"GET ", b"POST", b"PUT ", b"HEAD", b"OPTI", b"PRI "];
    if HTTP.iter().any(|method| first.starts_with(method)) {
        return Some("this looks like HTTP; this port speaks the Kafka protocol, and --http names the HTTP port");
    }
    if first.starts_with(&[0x16, 0x03]) {
        return Some("this looks like a TLS handshake; this listener is plaintext (security.protocol=PLAINTEXT)");
    }
    if first.starts_with(b"SSH-") {
        return Some("this looks like SSH");
    }
    if first.starts_with(b"PROX") || first.starts_with(&[0x0d, 0x0a, 0x0d, 0x0a]) {
        return Some("this looks like a PROXY protocol header, which this listener does not take");
    }
    None
}

#[cfg(test)]
mod tests;
