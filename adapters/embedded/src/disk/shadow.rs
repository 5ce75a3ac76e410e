//! A file that seems to be written to.
//!
//! Promises: what is written is read again, and never reaches the file below; at most [`SHADOW_BYTES_MAX`] of it are kept
//! (I-14), beyond which writes fail.
//! Called by `database`: redb repairs what was not closed before it lets anyone read, and writes for that.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use crate::limits::SHADOW_BYTES_MAX;

/// Unit in which written bytes are kept.
const BLOCK_BYTES: u64 = 4_096;

/// A file below, and what would have been written to it.
#[derive(Debug)]
pub(super) struct Shadow {
    below: Box<dyn StorageBackend>,
    above: Mutex<Above>,
}

#[derive(Debug)]
struct Above {
    len: u64,
    /// As much of the file below as was never cut off.
    below_len: u64,
    /// Whole blocks by their number.
    blocks: BTreeMap<u64, Vec<u8>>,
}

impl Shadow {
    /// # Errors
    /// When the length of the file cannot be had.
    pub(super) fn of(below: Box<dyn StorageBackend>) -> io::Result<Self> {
        let len = below.len()?;
        Ok(Self { below, above: Mutex::new(Above { len, below_len: len, blocks: BTreeMap::new() }) })
    }

    fn above(&self) -> MutexGuard<'_, Above> {
        self.above.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A block as the file below has it, with zeros where that one has ended.
    fn block_below(&self, above: &Above, number: u64) -> io::Result<Vec<u8>> {
        let mut block = vec![0; to_usize(BLOCK_BYTES)?];
        let start = number * BLOCK_BYTES;
        let there = to_usize(above.below_len.saturating_sub(start).min(BLOCK_BYTES))?;
        if let Some(out) = block.get_mut(..there).filter(|out| !out.is_empty()) {
            self.below.read(start, out)?;
        }
        Ok(block)
    }
}

impl StorageBackend for Shadow {
    fn len(&self) -> io::Result<u64> {
        Ok(self.above().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let above = self.above();
        let end = offset.checked_add(out.len() as u64).filter(|end| *end <= above.len);
        end.ok_or(io::ErrorKind::UnexpectedEof)?;
        for (number, within, piece) in pieces(offset, out.len())? {
            let out = out.get_mut(piece).ok_or(io::ErrorKind::UnexpectedEof)?;
            let copied = match above.blocks.get(&number) {
                Some(block) => block.get(within).map(<[u8]>::to_vec),
                None => self.block_below(&above, number)?.get(within).map(<[u8]>::to_vec),
            };
            out.copy_from_slice(&copied.ok_or(io::ErrorKind::UnexpectedEof)?);
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut above = self.above();
        if len < above.len {
            // What grows again there is zeros.
            above.below_len = above.below_len.min(len);
            above.blocks.split_off(&len.div_ceil(BLOCK_BYTES));
            let last = len / BLOCK_BYTES;
            let kept = to_usize(len % BLOCK_BYTES)?;
            if let Some(cut) = above.blocks.get_mut(&last).and_then(|block| block.get_mut(kept..)) {
                cut.fill(0);
            }
        }
        above.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut above = self.above();
        for (number, within, piece) in pieces(offset, data.len())? {
            let mut block = match above.blocks.remove(&number) {
                Some(block) => block,
                None if above.blocks.len() >= SHADOW_BYTES_MAX / to_usize(BLOCK_BYTES)? => {
                    return Err(io::ErrorKind::OutOfMemory.into());
                }
                None => self.block_below(&above, number)?,
            };
            let from = data.get(piece).ok_or(io::ErrorKind::UnexpectedEof)?;
            block.get_mut(within).ok_or(io::ErrorKind::UnexpectedEof)?.copy_from_slice(from);
            above.blocks.insert(number, block);
        }
        above.len = above.len.max(offset.saturating_add(data.len() as u64));
        Ok(())
    }

    fn close(&self) -> io::Result<()> {
        self.below.close()
    }
}

type Range = std::ops::Range<usize>;

/// A range of the file cut at the borders of blocks: the block, the place within it, the place in what is read or written.
fn pieces(offset: u64, len: usize) -> io::Result<Vec<(u64, Range, Range)>> {
    let mut pieces = Vec::new();
    let mut done = 0;
    while done < len {
        let at = offset.checked_add(done as u64).ok_or(io::ErrorKind::InvalidInput)?;
        let within = to_usize(at % BLOCK_BYTES)?;
        let count = (to_usize(BLOCK_BYTES)? - within).min(len - done);
        pieces.push((at / BLOCK_BYTES, within..within + count, done..done + count));
        done += count;
    }
    Ok(pieces)
}

fn to_usize(bytes: u64) -> io::Result<usize> {
    usize::try_from(bytes).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use redb::backends::InMemoryBackend;

    use super::*;

    /// A file and a shadow of one just like it, changed in the same way, read alike; the file below the shadow stays.
    #[test]
    fn a_shadow_reads_as_the_file_would_and_leaves_it_as_it_is() {
        for seed in 0..200_u64 {
            let (file, below) = (InMemoryBackend::new(), InMemoryBackend::new());
            let first: Vec<u8> = (0..10_000_u32).map(|at| (at % 251) as u8).collect();
            for new in [&file, &below] {
                new.set_len(first.len() as u64).unwrap();
                new.write(0, &first).unwrap();
            }
            let shadow = Shadow::of(Box::new(below)).unwrap();
            let mut state = seed * 2_654_435_761 + 1;
            let mut draw = |below: u64| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 33) % below
            };
            for step in 0..20_u8 {
                let (offset, len) = (draw(14_000), draw(6_000));
                if draw(4) == 0 {
                    file.set_len(offset).unwrap();
                    shadow.set_len(offset).unwrap();
                } else {
                    let bytes = vec![step; usize::try_from(len).unwrap()];
                    let end = file.len().unwrap().max(offset + len);
                    file.set_len(end).unwrap();
                    file.write(offset, &bytes).unwrap();
                    shadow.set_len(end).unwrap();
                    shadow.write(offset, &bytes).unwrap();
                }
                let len = usize::try_from(file.len().unwrap()).unwrap();
                assert_eq!(shadow.len().unwrap(), len as u64, "seed {seed}, step {step}");
                let (mut wanted, mut found) = (vec![0; len], vec![0; len]);
                file.read(0, &mut wanted).unwrap();
                shadow.read(0, &mut found).unwrap();
                assert!(wanted == found, "seed {seed}, step {step}");
                assert!(shadow.read(1, &mut found).is_err() || len == 0, "beyond the end");
            }
            let mut untouched = vec![0; first.len()];
            shadow.below.read(0, &mut untouched).unwrap();
            assert!(untouched == first, "seed {seed}");
        }
    }

    #[test]
    fn a_shadow_keeps_a_bounded_number_of_bytes() {
        let shadow = Shadow::of(Box::new(InMemoryBackend::new())).unwrap();
        let block = vec![1; to_usize(BLOCK_BYTES).unwrap()];
        let most = (SHADOW_BYTES_MAX / block.len()) as u64;
        for number in 0..most {
            shadow.write(number * BLOCK_BYTES, &block).unwrap();
        }
        shadow.write(0, &block).unwrap();
        assert!(shadow.write(most * BLOCK_BYTES, &block).is_err());
    }
}
