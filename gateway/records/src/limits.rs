//! The bounds of this crate (I-14) that callers share; those of a single format stand beside its code.

/// Most bytes that the records of one batch may decompress to where somebody has to look at them: conversions of message
/// sets, checks of single records, lookups by timestamp. Kafka has no such bound; a batch of 1 MiB decompresses to 64 MiB
/// only when it is made to.
pub const DECOMPRESSED_BYTES_MAX: usize = 64 << 20;

/// Most refused records of a batch that are named one by one (KIP-467); the sentence for people counts all of them.
pub const RECORD_ERRORS_MAX: usize = 1000;
