//! Compression piece by piece, behind bytes that are already there.
//!
//! Promises: what comes out is what a Kafka client would write; memory is the output, and for zstd the input. Called by:
//! whatever makes batches or message sets.

use std::io::Write;

use flate2::write::GzEncoder;
use lz4_flex::frame::FrameEncoder;
use zstd::zstd_safe::CParameter;

use super::snappy::XerialEncoder;
use super::{Compression, lz4, malformed};
use crate::BatchError;

/// Level of zstd where none is asked for: Kafka's.
const ZSTD_LEVEL: i32 = 3;

/// zstd's window is no larger than 2 to this, whatever the level: the tables of high levels take 80 times as much.
const ZSTD_WINDOW_LOG_MAX: u32 = 22;

/// A compressor that appends to a buffer.
pub(crate) struct Encoder {
    kind: Kind,
    /// Where in the buffer the compressed bytes start.
    start: usize,
    old_lz4_header: bool,
}

enum Kind {
    None(Vec<u8>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Snappy(XerialEncoder),
    Lz4(Box<FrameEncoder<Vec<u8>>>),
    Zstd { out: Vec<u8>, input: Vec<u8>, level: i32 },
}

impl Encoder {
    /// Appends to `out`. Levels: gzip 1 to 9, zstd up to 22, others have none; a level that the codec does not have becomes
    /// the nearest that it has, `None` is the codec's own default.
    pub(crate) fn new(codec: Compression, level: Option<i32>, out: Vec<u8>) -> Self {
        let start = out.len();
        let kind = match codec {
            Compression::None => Kind::None(out),
            Compression::Gzip => {
                let level = level.map_or_else(flate2::Compression::default, |level| {
                    flate2::Compression::new(u32::try_from(level.clamp(1, 9)).unwrap_or(1))
                });
                Kind::Gzip(Box::new(GzEncoder::new(out, level)))
            }
            Compression::Snappy => Kind::Snappy(XerialEncoder::new(out)),
            Compression::Lz4 => Kind::Lz4(Box::new(lz4::encoder(out))),
            Compression::Zstd => Kind::Zstd { out, input: Vec::new(), level: level.unwrap_or(ZSTD_LEVEL) },
        };
        Self { kind, start, old_lz4_header: false }
    }

    /// Writes lz4 as messages of magic 0 have it (KAFKA-3160).
    pub(crate) fn with_old_lz4_header(self) -> Self {
        Self { old_lz4_header: true, ..self }
    }

    /// Appends `data`. Errors: `InvalidRecord` if the codec refuses, which none does for input that fits in memory.
    pub(crate) fn write(&mut self, data: &[u8]) -> Result<(), BatchError> {
        match &mut self.kind {
            Kind::None(out) => out.extend_from_slice(data),
            Kind::Gzip(encoder) => encoder.write_all(data).map_err(|error| malformed(Compression::Gzip, error))?,
            Kind::Snappy(encoder) => encoder.write(data)?,
            Kind::Lz4(encoder) => encoder.write_all(data).map_err(|error| malformed(Compression::Lz4, error))?,
            Kind::Zstd { input, .. } => input.extend_from_slice(data),
        }
        Ok(())
    }

    /// The buffer, with everything in it. Errors as of [`Encoder::write`].
    pub(crate) fn finish(self) -> Result<Vec<u8>, BatchError> {
        match self.kind {
            Kind::None(out) => Ok(out),
            Kind::Gzip(encoder) => encoder.finish().map_err(|error| malformed(Compression::Gzip, error)),
            Kind::Snappy(encoder) => encoder.finish(),
            Kind::Lz4(encoder) => lz4::finish(*encoder, self.start, self.old_lz4_header),
            Kind::Zstd { mut out, input, level } => {
                let packed = compress_zstd(&input, level).map_err(|error| malformed(Compression::Zstd, error))?;
                out.extend_from_slice(&packed);
                Ok(out)
            }
        }
    }
}

fn compress_zstd(input: &[u8], level: i32) -> std::io::Result<Vec<u8>> {
    let mut compressor = zstd::bulk::Compressor::new(level.min(22))?;
    let input_log = usize::BITS.saturating_sub(input.len().leading_zeros());
    if input_log > ZSTD_WINDOW_LOG_MAX {
        compressor.set_parameter(CParameter::WindowLog(ZSTD_WINDOW_LOG_MAX))?;
    }
    compressor.compress(input)
}
