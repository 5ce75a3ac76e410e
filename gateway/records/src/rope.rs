//! A cursor over a rope: bytes in several chunks whose borders mean nothing.
//!
//! Promises: reading a header copies at most its own size; walking and slicing copy nothing; a request past the end
//! is None and moves nothing. Called by: `patch`.

use std::ops::Range;

use bytes::Bytes;

/// A position in a rope. Copying it is cheap and keeps the place.
#[derive(Clone, Copy)]
pub(crate) struct RopeCursor<'a> {
    /// The chunk being read and those after it.
    chunks: &'a [Bytes],
    /// How much of the first chunk is behind the cursor.
    within: usize,
    /// Bytes ahead, over all chunks.
    remaining: usize,
}

impl<'a> RopeCursor<'a> {
    /// Starts at the first byte. None: the lengths add up to more than a usize holds.
    pub(crate) fn new(chunks: &'a [Bytes]) -> Option<Self> {
        let remaining = chunks.iter().try_fold(0_usize, |sum, chunk| sum.checked_add(chunk.len()))?;
        Some(Self { chunks, within: 0, remaining })
    }

    /// Bytes ahead of the cursor.
    pub(crate) fn remaining(&self) -> usize {
        self.remaining
    }

    /// Copies the next `N` bytes without moving.
    pub(crate) fn peek<const N: usize>(&self) -> Option<[u8; N]> {
        let mut copied = [0; N];
        let mut unfilled: &mut [u8] = &mut copied;
        let mut ahead = *self;
        ahead.advance(N, |chunk, range| {
            if let Some(piece) = chunk.get(range)
                && let Some((now, later)) = std::mem::take(&mut unfilled).split_at_mut_checked(piece.len())
            {
                now.copy_from_slice(piece);
                unfilled = later;
            }
        })?;
        Some(copied)
    }

    /// Moves `len` bytes on, calling `visit` with each chunk and the range of it that was passed, in order. None, and
    /// no call: fewer than `len` bytes are ahead.
    pub(crate) fn advance(&mut self, len: usize, mut visit: impl FnMut(&'a Bytes, Range<usize>)) -> Option<()> {
        self.remaining = self.remaining.checked_sub(len)?;
        let mut wanted = len;
        while wanted > 0 {
            // `remaining` counted every chunk, so the chunks cannot run out first.
            let (chunk, later) = self.chunks.split_first()?;
            let in_chunk = chunk.len().saturating_sub(self.within);
            let passed = in_chunk.min(wanted);
            if passed > 0 {
                visit(chunk, self.within..self.within.saturating_add(passed));
            }
            wanted = wanted.saturating_sub(passed);
            if passed == in_chunk {
                self.chunks = later;
                self.within = 0;
            } else {
                self.within = self.within.saturating_add(passed);
            }
        }
        Some(())
    }
}
