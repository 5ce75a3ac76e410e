//! A batch under another codec, for topics whose `compression.type` is not `producer`.
//!
//! Promises: the same records, byte for byte, behind the same header but for codec, length and CRC. What is not a batch of
//! records once it is decompressed is refused: it would get a CRC that holds. Never does: run where the topic does not ask
//! for it. Called by: `engine/produce`.

use crate::{BATCH_OVERHEAD, BatchError, BatchHeader, RecordIter, TargetCompression, ValidBatch, valid_batch};

/// Compression code bits of the attributes.
const COMPRESSION_MASK: i16 = 0x07;

/// `batch` as a topic with this target keeps it; the batch itself, untouched, if it has that codec already (whatever the
/// level, as in Kafka).
///
/// Errors: those of reading its records, with at most `max_decompressed` bytes decompressed; `TooLarge` if the outcome has
/// more than `max_batch_bytes`.
pub fn recompress(
    batch: ValidBatch,
    target: TargetCompression,
    max_batch_bytes: usize,
    max_decompressed: usize,
) -> Result<ValidBatch, BatchError> {
    let sent = batch.header.compression()?;
    let codec = target.codec(sent);
    if codec == sent {
        return Ok(batch);
    }
    let data = sent.decompress(&batch.payload(), max_decompressed)?;
    for record in RecordIter::new(data.clone(), batch.header.record_count) {
        record?;
    }
    let mut encoder = target.encoder(sent, vec![0; BATCH_OVERHEAD]);
    encoder.write(&data)?;
    let attributes = (batch.header.attributes & !COMPRESSION_MASK) | codec.code();
    let sealed = valid_batch::seal(BatchHeader { attributes, ..batch.header }, encoder.finish()?)?;
    check_size(sealed, max_batch_bytes)
}

/// Conversion may have made a batch larger than it was (Kafka's `UnifiedLog.append` looks again, too).
pub(crate) fn check_size(batch: ValidBatch, max_batch_bytes: usize) -> Result<ValidBatch, BatchError> {
    let total = batch.byte_len();
    if total > max_batch_bytes {
        return Err(BatchError::too_large(format!(
            "the batch has {total} bytes once it is converted; at most {max_batch_bytes} are accepted"
        )));
    }
    Ok(batch)
}
