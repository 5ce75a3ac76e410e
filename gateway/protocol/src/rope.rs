//! Bytes in several chunks, as they are sent: one `writev`, no copy.
//!
//! Promises: chunks are never empty, `len` is their sum, equality is by content however it is cut.
//! Never copies, except in [`Rope::to_bytes`]. Used for records, and for whole frames by the server.

use std::fmt;
use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// A sequence of byte chunks that reads as one string of bytes.
#[derive(Clone, Default)]
pub struct Rope {
    chunks: Vec<Bytes>,
    len: usize,
}

impl Rope {
    /// An empty rope. Does not allocate.
    pub const fn new() -> Self {
        Self { chunks: Vec::new(), len: 0 }
    }

    /// An empty rope with room for `chunks` chunks.
    pub fn with_capacity(chunks: usize) -> Self {
        Self { chunks: Vec::with_capacity(chunks), len: 0 }
    }

    /// Appends a chunk without copying it. Empty chunks are dropped.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.len = self.len.saturating_add(chunk.len());
            self.chunks.push(chunk);
        }
    }

    /// Appends the chunks of another rope without copying them.
    pub fn append(&mut self, other: Rope) {
        self.len = self.len.saturating_add(other.len);
        self.chunks.extend(other.chunks);
    }

    /// Length in bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The chunks in order, none empty.
    pub fn chunks(&self) -> &[Bytes] {
        &self.chunks
    }

    /// Iterates over the chunks in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Bytes> {
        self.chunks.iter()
    }

    /// The chunks, for a writer that consumes them.
    pub fn into_chunks(self) -> Vec<Bytes> {
        self.chunks
    }

    /// The bytes in one piece. Copies if there is more than one chunk: for tests and small ropes.
    pub fn to_bytes(&self) -> Bytes {
        if let [only] = self.chunks.as_slice() {
            return only.clone();
        }
        let mut joined = BytesMut::with_capacity(self.len);
        for chunk in &self.chunks {
            joined.extend_from_slice(chunk);
        }
        joined.freeze()
    }

    /// The bytes of `range`, sharing memory with this rope. A range beyond the end is clipped to it.
    pub fn slice(&self, range: Range<usize>) -> Rope {
        let mut out = Rope::new();
        let mut chunk_start = 0_usize;
        for chunk in &self.chunks {
            let chunk_end = chunk_start.saturating_add(chunk.len());
            let from = range.start.clamp(chunk_start, chunk_end);
            let to = range.end.clamp(chunk_start, chunk_end);
            if from < to {
                out.push(chunk.slice(from.saturating_sub(chunk_start)..to.saturating_sub(chunk_start)));
            }
            chunk_start = chunk_end;
        }
        out
    }

    fn bytes(&self) -> impl Iterator<Item = &u8> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

impl PartialEq for Rope {
    fn eq(&self, other: &Self) -> bool {
        self.len == other.len && self.bytes().eq(other.bytes())
    }
}

impl Eq for Rope {}

impl fmt::Debug for Rope {
    /// Sizes only: a rope can hold megabytes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rope").field("len", &self.len).field("chunks", &self.chunks.len()).finish()
    }
}

impl From<Bytes> for Rope {
    fn from(chunk: Bytes) -> Self {
        if chunk.is_empty() {
            return Self::new();
        }
        let len = chunk.len();
        Self { chunks: vec![chunk], len }
    }
}

impl FromIterator<Bytes> for Rope {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        let mut rope = Self::new();
        chunks.into_iter().for_each(|chunk| rope.push(chunk));
        rope
    }
}

impl<'a> IntoIterator for &'a Rope {
    type Item = &'a Bytes;
    type IntoIter = std::slice::Iter<'a, Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}
