//! Whole frames: a length, a header, a body.
//!
//! Frames are written with their four-byte length and read without it (whoever reads a socket has consumed it).
//! The server uses `decode_request` and `encode_response`; raw clients in tests and benchmarks use the other two.

use bytes::Bytes;

use crate::api_key::ApiKey;
use crate::error::{DecodeError, EncodeError};
use crate::header::RequestHeader;
use crate::kstring::KString;
use crate::message::{Message, Request};
use crate::reader::Reader;
use crate::rope::Rope;
use crate::writer::Writer;

/// Writes a response frame: length, header, body. Record chunks of 1 KiB and more are not copied.
/// The header is flexible when the body is, except for ApiVersions, whose header is always version 0
/// (a client that does not yet know our versions must be able to read it: KIP-511).
pub fn encode_response(
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    body: &impl Message,
) -> Result<Rope, EncodeError> {
    let mut w = Writer::start_frame();
    w.put_i32(correlation_id);
    if key.has_flexible_response_header(version) {
        w.put_uvarint(0);
    }
    body.encode(&mut w, version)?;
    w.finish_frame()
}

/// Reads a response frame (without its length): correlation id and body. Errors also if bytes are left over.
pub fn decode_response<R: Request>(frame: &Bytes, version: i16) -> Result<(i32, R::Response), DecodeError> {
    let mut r = Reader::new(frame.clone());
    let correlation_id = r.read_i32()?;
    if R::KEY.has_flexible_response_header(version) {
        r.skip_tagged_fields()?;
    }
    let body = R::Response::decode(&mut r, version)?;
    r.finish()?;
    Ok((correlation_id, body))
}

/// Writes a request frame: length, header, body.
pub fn encode_request<R: Request>(
    correlation_id: i32,
    client_id: Option<&str>,
    version: i16,
    body: &R,
) -> Result<Rope, EncodeError> {
    let header = RequestHeader {
        api_key: R::KEY.as_i16(),
        api_version: version,
        correlation_id,
        client_id: client_id.map(KString::from),
    };
    let mut w = Writer::start_frame();
    header.encode(&mut w, RequestHeader::is_flexible)?;
    body.encode(&mut w, version)?;
    w.finish_frame()
}

/// Reads a request frame (without its length) of a known API: header and body.
///
/// Bytes behind the body are ignored, as in Kafka: librdkafka writes the null list of a Metadata 9 or later in four bytes
/// where one is read.
pub fn decode_request<R: Request>(frame: &Bytes) -> Result<(RequestHeader, R), DecodeError> {
    let mut r = Reader::new(frame.clone());
    let header = RequestHeader::decode(&mut r, RequestHeader::is_flexible)?;
    if header.api_key != R::KEY.as_i16() {
        return Err(DecodeError::OtherApi { expected: R::KEY.as_i16(), found: header.api_key });
    }
    let body = R::decode(&mut r, header.api_version)?;
    Ok((header, body))
}
