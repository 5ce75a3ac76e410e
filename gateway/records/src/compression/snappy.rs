//! snappy: raw, and in the framing of xerial's snappy-java, which is what Kafka's clients write.

use super::{Compression, malformed, too_much};
use crate::BatchError;

/// First bytes of snappy-java's framing; 4 bytes of version and 4 of compatible version follow.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];

/// Bytes of uncompressed data per block, as snappy-java has it.
pub(super) const XERIAL_BLOCK: usize = 32 * 1024;

/// No snappy element gives more than 64 bytes for 3 of input; a length that claims more is a lie.
const SNAPPY_MAX_RATIO: usize = 22;

/// The whole input is raw snappy, unless it starts like snappy-java's stream.
pub(super) fn decompress(input: &[u8], max_bytes: usize) -> Result<Vec<u8>, BatchError> {
    let mut output = Vec::new();
    if !input.starts_with(&XERIAL_MAGIC) {
        decompress_block(input, max_bytes, &mut output)?;
        return Ok(output);
    }
    let mut rest = input;
    while !rest.is_empty() {
        // Streams may be joined: a header can stand wherever a block can.
        if let Some(behind_magic) = rest.strip_prefix(&XERIAL_MAGIC) {
            rest = behind_magic.get(8..).ok_or_else(|| malformed(Compression::Snappy, "the stream header is cut"))?;
            continue;
        }
        let (block, behind) =
            split_block(rest).ok_or_else(|| malformed(Compression::Snappy, "a block is longer than what is left"))?;
        decompress_block(block, max_bytes, &mut output)?;
        rest = behind;
    }
    Ok(output)
}

fn split_block(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, behind) = rest.split_first_chunk()?;
    behind.split_at_checked(usize::try_from(i32::from_be_bytes(*len)).ok()?)
}

fn decompress_block(block: &[u8], max_bytes: usize, output: &mut Vec<u8>) -> Result<(), BatchError> {
    let bad = |error: snap::Error| malformed(Compression::Snappy, error);
    let claimed = snap::raw::decompress_len(block).map_err(bad)?;
    if claimed > block.len().saturating_mul(SNAPPY_MAX_RATIO) {
        return Err(malformed(Compression::Snappy, "a block claims more bytes than it can hold"));
    }
    let start = output.len();
    let end = start.checked_add(claimed).filter(|end| *end <= max_bytes).ok_or_else(|| too_much(max_bytes))?;
    output.resize(end, 0);
    let room = output.get_mut(start..).unwrap_or_default();
    let written = snap::raw::Decoder::new().decompress(block, room).map_err(bad)?;
    output.truncate(start.saturating_add(written));
    Ok(())
}

/// Writes snappy-java's framing. Holds one block.
pub(super) struct XerialEncoder {
    out: Vec<u8>,
    block: Vec<u8>,
}

impl XerialEncoder {
    pub(super) fn new(mut out: Vec<u8>) -> Self {
        out.extend_from_slice(&XERIAL_MAGIC);
        out.extend_from_slice(&1_i32.to_be_bytes());
        out.extend_from_slice(&1_i32.to_be_bytes());
        Self { out, block: Vec::new() }
    }

    pub(super) fn write(&mut self, mut data: &[u8]) -> Result<(), BatchError> {
        while !data.is_empty() {
            let room = XERIAL_BLOCK.saturating_sub(self.block.len());
            let (now, later) = data.split_at_checked(room).unwrap_or((data, &[]));
            self.block.extend_from_slice(now);
            data = later;
            if self.block.len() >= XERIAL_BLOCK {
                self.write_block()?;
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<Vec<u8>, BatchError> {
        if !self.block.is_empty() {
            self.write_block()?;
        }
        Ok(self.out)
    }

    fn write_block(&mut self) -> Result<(), BatchError> {
        let packed = snap::raw::Encoder::new()
            .compress_vec(&self.block)
            .map_err(|error| malformed(Compression::Snappy, error))?;
        // 32 KiB of input never compress to more than an i32 counts.
        self.out.extend_from_slice(&i32::try_from(packed.len()).unwrap_or(i32::MAX).to_be_bytes());
        self.out.extend_from_slice(&packed);
        self.block.clear();
        Ok(())
    }
}
