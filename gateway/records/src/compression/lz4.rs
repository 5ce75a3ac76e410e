//! lz4 frames, and the wrong checksum in front of old ones.
//!
//! The last byte of a frame's header is a checksum of the header (HC). Clients before 0.10 computed it over the frame
//! magic too, and their peers expect it so: messages of magic 0 keep that mistake for ever (KAFKA-3160), readers of magic 0
//! ignore the byte, and readers of later formats insist on the right one.

use std::io::{Read, Write};

use lz4_flex::frame::{BlockSize, FrameDecoder, FrameEncoder, FrameInfo};
use twox_hash::XxHash32;

use super::{Compression, malformed, read_bounded};
use crate::BatchError;

/// Magic of an lz4 frame; Kafka reads neither legacy nor skippable frames.
pub(super) const FRAME_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];

/// Where the header's flags are, and the flag that says that 8 bytes of content size follow the block descriptor.
const FLAGS_AT: usize = 4;
const CONTENT_SIZE_FLAG: u8 = 0x08;

/// Magic, flags and block descriptor: what a checksum without content size follows.
const SHORT_HEADER: usize = 6;

/// A frame with the right header checksum.
pub(super) fn decompress(input: &[u8], max_bytes: usize) -> Result<Vec<u8>, BatchError> {
    check_magic(input)?;
    read_bounded(FrameDecoder::new(input), Compression::Lz4, max_bytes)
}

/// A frame whose header checksum is not looked at: as messages of magic 0 have it. Errors as of [`Compression::decompress`].
pub(crate) fn decompress_any_header(input: &[u8], max_bytes: usize) -> Result<Vec<u8>, BatchError> {
    check_magic(input)?;
    let cut = || malformed(Compression::Lz4, "the frame header is cut");
    let flags = input.get(FLAGS_AT).ok_or_else(cut)?;
    let described = if flags & CONTENT_SIZE_FLAG == 0 { SHORT_HEADER } else { SHORT_HEADER + 8 };
    let (descriptor, rest) = input.split_at_checked(described).ok_or_else(cut)?;
    let (_, blocks) = rest.split_first().ok_or_else(cut)?;
    let mut header = descriptor.to_vec();
    header.push(header_checksum(descriptor.get(FLAGS_AT..).unwrap_or_default()));
    let mended = header.as_slice().chain(blocks);
    read_bounded(FrameDecoder::new(mended), Compression::Lz4, max_bytes)
}

/// A frame as Kafka's producer writes it (independent blocks of 64 KiB, no content size), into `out`.
pub(super) fn encoder(out: Vec<u8>) -> FrameEncoder<Vec<u8>> {
    FrameEncoder::with_frame_info(FrameInfo::new().block_size(BlockSize::Max64KB), out)
}

/// The bytes of the frame that `encoder` wrote from `start` on.
pub(super) fn finish(
    mut encoder: FrameEncoder<Vec<u8>>,
    start: usize,
    old_header: bool,
) -> Result<Vec<u8>, BatchError> {
    // A frame without content still has a header.
    encoder.write_all(&[]).map_err(|error| malformed(Compression::Lz4, error))?;
    let mut out = encoder.finish().map_err(|error| malformed(Compression::Lz4, error))?;
    if old_header {
        spoil_header(&mut out, start).ok_or_else(|| malformed(Compression::Lz4, "the frame has no header"))?;
    }
    Ok(out)
}

/// Writes the checksum that clients of magic 0 expect.
fn spoil_header(out: &mut [u8], start: usize) -> Option<()> {
    let frame = out.get_mut(start..)?;
    let (covered, rest) = frame.split_at_mut_checked(SHORT_HEADER)?;
    *rest.first_mut()? = header_checksum(covered);
    Some(())
}

fn header_checksum(covered: &[u8]) -> u8 {
    let [_, _, second, _] = XxHash32::oneshot(0, covered).to_be_bytes();
    second
}

fn check_magic(input: &[u8]) -> Result<(), BatchError> {
    input.starts_with(&FRAME_MAGIC).then_some(()).ok_or_else(|| malformed(Compression::Lz4, "no frame magic"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, missing_docs)]
    use super::*;

    fn frame(data: &[u8], old_header: bool) -> Vec<u8> {
        let mut writer = encoder(b"before".to_vec());
        writer.write_all(data).unwrap();
        finish(writer, 6, old_header).unwrap()[6..].to_vec()
    }

    #[test]
    fn the_old_header_checksum_is_refused_where_the_right_one_is_due() {
        let data = b"some data, some data, some data";
        let (right, old) = (frame(data, false), frame(data, true));
        assert_eq!(right[7..], old[7..], "only the checksum differs");
        assert_ne!(right[6], old[6]);
        assert_eq!(decompress(&right, 100).unwrap(), data);
        assert!(decompress(&old, 100).is_err());
        for either in [right, old] {
            assert_eq!(decompress_any_header(&either, 100).unwrap(), data);
        }
    }

    /// The bytes that lz4-java's writer gives for these headers, as Kafka 2.8.2 calls it.
    #[test]
    fn the_header_is_the_one_that_kafka_writes() {
        assert_eq!(frame(b"x", false)[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
        assert_eq!(frame(b"x", true)[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x1a]);
    }

    #[test]
    fn a_content_size_and_cut_headers_are_understood() {
        let info = FrameInfo::new().content_size(Some(4));
        let mut writer = FrameEncoder::with_frame_info(info, Vec::new());
        writer.write_all(b"four").unwrap();
        let mut sized = writer.finish().unwrap();
        sized[14] ^= 0xff;
        assert!(decompress(&sized, 100).is_err());
        assert_eq!(decompress_any_header(&sized, 100).unwrap(), b"four");
        for len in 0..15 {
            assert!(decompress_any_header(&sized[..len], 100).is_err(), "{len}");
        }
    }
}
