//! Compression of record batches.
//!
//! Promises: decompression gives at most the bytes it is allowed to, and holds at most twice that plus a constant (lz4:
//! 16 MiB of block buffers; the others under 1 MiB) however the input lies (I-09). Reads what Kafka's clients write:
//! gzip with several members, snappy raw and in the framing of xerial's snappy-java, lz4 frames (linked blocks too),
//! zstd frames with any window. Never does: run while a Produce is admitted or a Fetch is served. Called by:
//! `record`, `build`.

use std::io::{Read, Write};

use bytes::Bytes;

use crate::BatchError;

/// How the records of a batch are compressed: bits 0–2 of its attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None = 0,
    /// gzip (RFC 1952).
    Gzip = 1,
    /// snappy; Kafka's clients wrap it in snappy-java's framing.
    Snappy = 2,
    /// lz4 frames (KIP-57).
    Lz4 = 3,
    /// zstd (KIP-110, RFC 8878).
    Zstd = 4,
}

/// First bytes of snappy-java's framing; 4 bytes of version and 4 of compatible version follow.
const XERIAL_MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];

/// Bytes of uncompressed data per block, as snappy-java has it.
const XERIAL_BLOCK: usize = 32 * 1024;

/// No snappy element gives more than 64 bytes for 3 of input; a length that claims more is a lie.
const SNAPPY_MAX_RATIO: usize = 22;

/// Magic of an lz4 frame; Kafka reads neither legacy nor skippable frames.
const LZ4_FRAME_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// What zstd calls it when more comes out than there is room for; its Rust binding gives only the text.
const ZSTD_TOO_SMALL: &str = "Destination buffer is too small";

/// First guess at the decompressed size of a zstd frame that does not tell.
const ZSTD_FIRST_GUESS: usize = 64 * 1024;

impl Compression {
    /// The codec with this number; None for 5, 6, 7 and anything outside three bits.
    pub(crate) fn from_code(code: i16) -> Option<Self> {
        match code {
            0 => Some(Self::None),
            1 => Some(Self::Gzip),
            2 => Some(Self::Snappy),
            3 => Some(Self::Lz4),
            4 => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its number on the wire.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Gzip => 1,
            Self::Snappy => 2,
            Self::Lz4 => 3,
            Self::Zstd => 4,
        }
    }

    /// Decompresses `input` to at most `max_bytes`. Without compression it is `input` itself, not copied, whatever
    /// its size.
    ///
    /// Errors: `TooLarge` if more than `max_bytes` come out; `InvalidRecord` if it is not the codec's format.
    pub(crate) fn decompress(self, input: &Bytes, max_bytes: usize) -> Result<Bytes, BatchError> {
        let output = match self {
            Self::None => return Ok(input.clone()),
            Self::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(input.as_ref()), self, max_bytes),
            Self::Snappy => unsnap(input, max_bytes),
            Self::Lz4 if !input.starts_with(&LZ4_FRAME_MAGIC) => Err(malformed(self, "no frame magic")),
            Self::Lz4 => read_bounded(lz4_flex::frame::FrameDecoder::new(input.as_ref()), self, max_bytes),
            Self::Zstd => unzstd(input, max_bytes),
        };
        output.map(Bytes::from)
    }

    /// Compresses `input` as a Kafka client would. Errors: `InvalidRecord` if the codec refuses, which it never does
    /// for input that fits in memory.
    pub(crate) fn compress(self, input: &[u8]) -> Result<Vec<u8>, BatchError> {
        match self {
            Self::None => Ok(input.to_vec()),
            Self::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                encoder.write_all(input).and_then(|()| encoder.finish()).map_err(|error| malformed(self, error))
            }
            Self::Snappy => snap_xerial(input),
            Self::Lz4 => {
                let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
                encoder.write_all(input).map_err(|error| malformed(self, error))?;
                encoder.finish().map_err(|error| malformed(self, error))
            }
            Self::Zstd => zstd::bulk::compress(input, 3).map_err(|error| malformed(self, error)),
        }
    }
}

fn malformed(codec: Compression, why: impl std::fmt::Display) -> BatchError {
    BatchError::invalid_record(format!("the records are not {codec:?} data: {why}"))
}

fn too_much(max_bytes: usize) -> BatchError {
    BatchError::too_large(format!("the records decompress to more than the {max_bytes} bytes allowed"))
}

fn read_bounded(decoder: impl Read, codec: Compression, max_bytes: usize) -> Result<Vec<u8>, BatchError> {
    // One byte more than allowed tells "exactly the bound" from "over it".
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX).saturating_add(1);
    let mut output = Vec::new();
    decoder.take(limit).read_to_end(&mut output).map_err(|error| malformed(codec, error))?;
    if output.len() > max_bytes { Err(too_much(max_bytes)) } else { Ok(output) }
}

/// The whole input is raw snappy, unless it starts like snappy-java's stream.
fn unsnap(input: &[u8], max_bytes: usize) -> Result<Vec<u8>, BatchError> {
    let mut output = Vec::new();
    if !input.starts_with(&XERIAL_MAGIC) {
        unsnap_block(input, max_bytes, &mut output)?;
        return Ok(output);
    }
    let mut rest = input;
    while !rest.is_empty() {
        // Streams may be joined: a header can stand wherever a block can.
        if let Some(behind_magic) = rest.strip_prefix(&XERIAL_MAGIC) {
            rest = behind_magic.get(8..).ok_or_else(|| malformed(Compression::Snappy, "the stream header is cut"))?;
            continue;
        }
        let (block, behind) = split_xerial_block(rest)
            .ok_or_else(|| malformed(Compression::Snappy, "a block is longer than what is left"))?;
        unsnap_block(block, max_bytes, &mut output)?;
        rest = behind;
    }
    Ok(output)
}

fn split_xerial_block(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, behind) = rest.split_first_chunk()?;
    behind.split_at_checked(usize::try_from(i32::from_be_bytes(*len)).ok()?)
}

fn unsnap_block(block: &[u8], max_bytes: usize, output: &mut Vec<u8>) -> Result<(), BatchError> {
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

fn snap_xerial(input: &[u8]) -> Result<Vec<u8>, BatchError> {
    let mut output = XERIAL_MAGIC.to_vec();
    output.extend_from_slice(&1_i32.to_be_bytes());
    output.extend_from_slice(&1_i32.to_be_bytes());
    for block in input.chunks(XERIAL_BLOCK) {
        let packed =
            snap::raw::Encoder::new().compress_vec(block).map_err(|error| malformed(Compression::Snappy, error))?;
        // 32 KiB of input never compress to more than an i32 counts.
        output.extend_from_slice(&i32::try_from(packed.len()).unwrap_or(i32::MAX).to_be_bytes());
        output.extend_from_slice(&packed);
    }
    Ok(output)
}

/// Decompresses into one buffer rather than as a stream: a stream needs a window of the size the frame asks for, up
/// to 128 MiB for an input of a few bytes. Where frames do not tell their size the room grows eightfold per attempt,
/// so all attempts together cost at most 8/7 of the last one.
fn unzstd(input: &[u8], max_bytes: usize) -> Result<Vec<u8>, BatchError> {
    let mut room = input.len().saturating_mul(8).max(ZSTD_FIRST_GUESS).min(max_bytes);
    loop {
        match zstd::bulk::decompress(input, room) {
            Ok(output) => return Ok(output),
            Err(error) if !error.to_string().contains(ZSTD_TOO_SMALL) => {
                return Err(malformed(Compression::Zstd, error));
            }
            Err(_) if room >= max_bytes => return Err(too_much(max_bytes)),
            Err(_) => room = room.saturating_mul(8).min(max_bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]
    use super::*;

    const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    fn sample(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i * i / 7 % 253) as u8).collect()
    }

    #[test]
    fn what_is_compressed_comes_back() {
        for codec in CODECS {
            for len in [0, 1, 100, XERIAL_BLOCK, XERIAL_BLOCK + 1, 300_000] {
                let data = sample(len);
                let packed = Bytes::from(codec.compress(&data).unwrap());
                assert_eq!(codec.decompress(&packed, len).unwrap(), data, "{codec:?} {len}");
            }
        }
    }

    /// I-09: the bound holds, to the byte, whatever the ratio.
    #[test]
    fn decompression_bombs_stop_at_the_bound() {
        let zeros = vec![0; 8 << 20];
        for codec in CODECS {
            let packed = Bytes::from(codec.compress(&zeros).unwrap());
            for max_bytes in [0, 1, 1000, 1 << 20, zeros.len() - 1] {
                let refused = codec.decompress(&packed, max_bytes);
                assert!(matches!(refused, Err(BatchError::TooLarge(_))), "{codec:?} {max_bytes}: {refused:?}");
            }
            assert_eq!(codec.decompress(&packed, zeros.len()).unwrap().len(), zeros.len());
        }
    }

    #[test]
    fn a_zstd_frame_that_hides_its_size_is_read_and_bounded_too() {
        let zeros = vec![0; 3 << 20];
        let packed = Bytes::from(zstd::stream::encode_all(zeros.as_slice(), 19).unwrap());
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&packed).unwrap(), None);
        assert_eq!(Compression::Zstd.decompress(&packed, zeros.len()).unwrap(), zeros);
        let refused = Compression::Zstd.decompress(&packed, zeros.len() - 1);
        assert!(matches!(refused, Err(BatchError::TooLarge(_))), "{refused:?}");
    }

    #[test]
    fn a_snappy_length_that_cannot_be_true_is_refused_before_memory_is_taken() {
        // The block claims 2^32 - 1 bytes, and holds none.
        let forged = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f]);
        let refused = Compression::Snappy.decompress(&forged, usize::MAX);
        assert!(matches!(refused, Err(BatchError::InvalidRecord(_))), "{refused:?}");
    }

    #[test]
    fn raw_snappy_joined_snappy_streams_and_joined_gzip_members_are_read() {
        let data = sample(1000);
        let raw = Bytes::from(snap::raw::Encoder::new().compress_vec(&data).unwrap());
        assert_eq!(Compression::Snappy.decompress(&raw, 1000).unwrap(), data);
        for codec in [Compression::Snappy, Compression::Gzip] {
            let twice = Bytes::from(codec.compress(&data).unwrap().repeat(2));
            assert_eq!(codec.decompress(&twice, 2000).unwrap(), data.repeat(2), "{codec:?}");
        }
    }

    #[test]
    fn cut_and_foreign_input_is_refused() {
        for codec in CODECS {
            let packed = codec.compress(&sample(5000)).unwrap();
            for len in [1, 4, 7, packed.len() / 2] {
                let cut = Bytes::copy_from_slice(&packed[..len]);
                let result = codec.decompress(&cut, 5000);
                // lz4 takes the end of input between blocks for the end of the frame; the record count then
                // shows what is missing.
                assert!(result.is_err() || codec == Compression::Lz4, "{codec:?} cut to {len}: {result:?}");
            }
            let foreign = Bytes::from_static(b"no codec ever wrote this sentence");
            assert!(matches!(codec.decompress(&foreign, 5000), Err(BatchError::InvalidRecord(_))), "{codec:?}");
        }
    }
}
