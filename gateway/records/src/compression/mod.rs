//! Compression of record batches.
//!
//! Promises: decompression gives at most the bytes it is allowed to, and holds at most twice that plus a constant (lz4:
//! 16 MiB of block buffers; the others under 1 MiB) however the input lies (I-09). Reads what Kafka's clients write:
//! gzip with several members, snappy raw and in the framing of xerial's snappy-java, lz4 frames (linked blocks too),
//! zstd frames with any window. Never does: run on the ordinary path of a Produce or a Fetch. Called by: `record`, `build`,
//! `recompress`, and the conversions of message sets.

mod encode;
mod lz4;
mod snappy;

use std::io::Read;

use bytes::Bytes;

use crate::BatchError;

pub(crate) use encode::Encoder;
pub(crate) use lz4::decompress_any_header;

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
            Self::Snappy => snappy::decompress(input, max_bytes),
            Self::Lz4 => lz4::decompress(input, max_bytes),
            Self::Zstd => unzstd(input, max_bytes),
        };
        output.map(Bytes::from)
    }

    /// Compresses `input` as a Kafka client would. Errors: `InvalidRecord` if the codec refuses, which it never does
    /// for input that fits in memory.
    pub(crate) fn compress(self, input: &[u8]) -> Result<Vec<u8>, BatchError> {
        let mut encoder = Encoder::new(self, None, Vec::new());
        encoder.write(input)?;
        encoder.finish()
    }
}

/// What a topic wants its batches compressed with (`compression.type`, and the level of that codec).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TargetCompression {
    /// `producer`: as they are sent.
    #[default]
    Producer,
    /// `uncompressed`.
    Uncompressed,
    /// `gzip`, with `compression.gzip.level`: 1 to 9; −1 and `None` are the codec's default.
    Gzip(Option<i32>),
    /// `snappy`.
    Snappy,
    /// `lz4`. It has one level here.
    Lz4,
    /// `zstd`, with `compression.zstd.level`: up to 22; `None` is 3.
    Zstd(Option<i32>),
}

impl TargetCompression {
    /// The codec of a batch that is sent with `sent`.
    #[must_use]
    pub fn codec(self, sent: Compression) -> Compression {
        match self {
            Self::Producer => sent,
            Self::Uncompressed => Compression::None,
            Self::Gzip(_) => Compression::Gzip,
            Self::Snappy => Compression::Snappy,
            Self::Lz4 => Compression::Lz4,
            Self::Zstd(_) => Compression::Zstd,
        }
    }

    /// An encoder for a batch that is sent with `sent`, appending to `out`.
    pub(crate) fn encoder(self, sent: Compression, out: Vec<u8>) -> Encoder {
        let level = match self {
            Self::Gzip(level) => level.filter(|level| *level > 0),
            Self::Zstd(level) => level,
            _ => None,
        };
        Encoder::new(self.codec(sent), level, out)
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
    use super::snappy::XERIAL_BLOCK;
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
