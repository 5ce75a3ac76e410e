//! Why bytes could not be decoded, or a message not encoded. Neither carries bytes of the peer.

use thiserror::Error;

/// Why a frame is not the message it claims to be. The answer to any of these is a closed connection
/// (as in Apache Kafka), except [`DecodeError::UnsupportedVersion`], which the server answers from its table.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// A value needs more bytes than the frame, or the tagged field around it, has left.
    #[error("{needed} bytes are needed but {remaining} are left")]
    UnexpectedEnd {
        /// Bytes the value needs.
        needed: usize,
        /// Bytes left.
        remaining: usize,
    },
    /// A length below −1; −1 alone means null.
    #[error("a length of {0} is negative")]
    NegativeLength(i32),
    /// A string longer than 32,767 bytes, which no Kafka peer writes.
    #[error("a string of {0} bytes is longer than 32767")]
    StringTooLong(usize),
    /// An array claims more elements than the bytes left could hold.
    #[error("an array of {count} elements does not fit: the bytes left hold at most {max}")]
    ArrayTooLong {
        /// Elements claimed.
        count: usize,
        /// Bytes left divided by the smallest size of an element.
        max: usize,
    },
    /// The decoded message would take more than 16 × frame + 64 KiB of memory.
    #[error("decoding would take more memory than 16 times the frame plus 64 KiB")]
    Budget,
    /// A variable-length integer that does not fit in 32 bits.
    #[error("a variable-length integer does not fit in 32 bits")]
    VarintTooLong,
    /// A string that is not UTF-8.
    #[error("a string is not UTF-8")]
    InvalidUtf8,
    /// Null where this version of the message does not allow it.
    #[error("null in a field that cannot be null in this version")]
    UnexpectedNull,
    /// A known tagged field is shorter than the size written before it.
    #[error("tagged field {tag} is {left} bytes shorter than its size says")]
    TaggedFieldSize {
        /// The tag.
        tag: u32,
        /// Bytes of the field that its value does not use.
        left: usize,
    },
    /// Bytes are left after the last field of the message.
    #[error("{0} bytes are left after the message")]
    TrailingBytes(usize),
    /// An API key that is not in Kafka's protocol as this crate knows it.
    #[error("unknown API key {0}")]
    UnknownApiKey(i16),
    /// The message has no such version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// Name of the message, as in Kafka's schemas.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// The frame belongs to another API than the one it was to be decoded as.
    #[error("the frame has API key {found}, not {expected}")]
    OtherApi {
        /// Key of the request type.
        expected: i16,
        /// Key in the frame.
        found: i16,
    },
}

/// Why a message has no bytes in a version. Always a defect of the caller, never of the peer.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The message has no such version.
    #[error("{message} has no version {version}")]
    UnsupportedVersion {
        /// Name of the message, as in Kafka's schemas.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field that is not ignorable is set, but does not exist in this version (Kafka's schemas: `ignorable`).
    #[error("field {field} of {message} is set but version {version} does not have it")]
    UnsupportedField {
        /// Name of the struct.
        message: &'static str,
        /// Name of the field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field is null, but cannot be in this version.
    #[error("field {field} of {message} is null but version {version} does not allow it")]
    UnexpectedNull {
        /// Name of the struct.
        message: &'static str,
        /// Name of the field.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A string, an array or a frame is longer than its length field can say.
    #[error("a length of {len} is more than {max}")]
    TooLong {
        /// The length.
        len: usize,
        /// The largest length that can be written.
        max: usize,
    },
}
