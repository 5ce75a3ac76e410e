//! The Kafka wire format: messages, headers and frames.
//!
//! Promises: decoding takes any bytes without a panic, an endless loop or more memory than
//! 16 × frame + 64 KiB (I-09); strings and records are slices of the frame, never copies; encoding
//! never copies a large records chunk; both directions agree with Apache Kafka 4.3's message schemas.
//!
//! Never: IO, clocks, randomness, tasks. It does not know which versions the gateway accepts or
//! advertises (that is the server's table), nor what record bytes contain (that is `records`).
//!
//! Called by the server (requests in, responses out) and by raw clients in tests and benchmarks.
//!
//! ```
//! use sluice_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
//! use sluice_protocol::{ApiKey, HeaderStart, Message, Reader, RequestHeader, encode_response};
//!
//! // A frame as it comes from a socket, its four-byte length already taken off.
//! let frame = sluice_protocol::Bytes::from_static(b"\0\x12\0\0\0\0\0\x05\0\x03cli");
//! let start = HeaderStart::peek(&frame)?;
//! assert_eq!(ApiKey::try_from(start.api_key)?, ApiKey::ApiVersions);
//!
//! let mut reader = Reader::new(frame);
//! let header = RequestHeader::decode(&mut reader, RequestHeader::is_flexible)?;
//! let _request = ApiVersionsRequest::decode(&mut reader, header.api_version)?;
//! reader.finish()?;
//!
//! let body = ApiVersionsResponse::default();
//! let answer = encode_response(header.correlation_id, ApiKey::ApiVersions, header.api_version, &body)?;
//! assert_eq!(answer.len(), 14);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod api_key;
pub mod consumer_protocol;
mod error;
mod error_code;
mod frame;
mod header;
mod kstring;
mod message;
pub mod messages;
mod reader;
mod rope;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
mod wire;
mod writer;

pub use api_key::{ApiKey, UnknownApiKey};
pub use error::{DecodeError, EncodeError};
pub use error_code::ErrorCode;
pub use frame::{decode_request, decode_response, encode_request, encode_response};
pub use header::{HeaderStart, RequestHeader};
pub use kstring::KString;
pub use message::{Message, Request};
pub use reader::Reader;
pub use rope::Rope;
pub use writer::Writer;

/// Re-exported so that callers name the same types as the message fields.
pub use bytes::Bytes;
pub use uuid::Uuid;
