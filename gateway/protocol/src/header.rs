//! Request headers.
//!
//! A server reads [`HeaderStart`] first: key, version and correlation id stand at fixed places in every version, so
//! they are known even when the rest cannot be read. Response headers are written and read in `frame`.

use bytes::Bytes;

use crate::api_key::ApiKey;
use crate::error::{DecodeError, EncodeError};
use crate::kstring::KString;
use crate::reader::Reader;
use crate::writer::Writer;

/// The fixed first 8 bytes of a request frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderStart {
    /// The API key, known to us or not.
    pub api_key: i16,
    /// The version of the request, known to us or not.
    pub api_version: i16,
    /// To be sent back with the response.
    pub correlation_id: i32,
}

impl HeaderStart {
    /// Reads the start of a frame (without its length prefix) and leaves the frame alone.
    /// Errors: [`DecodeError::UnexpectedEnd`] below 8 bytes.
    pub fn peek(frame: &Bytes) -> Result<Self, DecodeError> {
        Self::decode(&mut Reader::new(frame.clone()))
    }

    fn decode(r: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Self { api_key: r.read_i16()?, api_version: r.read_i16()?, correlation_id: r.read_i32()? })
    }
}

/// A request header, version 1 or 2 (with tagged fields) by the flexibility of the API's version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestHeader {
    /// The API key, known to us or not.
    pub api_key: i16,
    /// The version of the request, known to us or not.
    pub api_version: i16,
    /// To be sent back with the response.
    pub correlation_id: i32,
    /// How the client calls itself. Never compact, not even in a flexible header, so that old brokers could read it.
    pub client_id: Option<KString>,
}

impl RequestHeader {
    /// Reads a header; the reader is then at the body. `flexible(key, version)` says whether that version of that API is
    /// flexible: usually [`RequestHeader::is_flexible`].
    pub fn decode(r: &mut Reader, flexible: impl Fn(i16, i16) -> bool) -> Result<Self, DecodeError> {
        let HeaderStart { api_key, api_version, correlation_id } = HeaderStart::decode(r)?;
        let client_id = r.read_nullable_string(false)?;
        if flexible(api_key, api_version) {
            r.skip_tagged_fields()?;
        }
        Ok(Self { api_key, api_version, correlation_id, client_id })
    }

    /// Writes the header, with the same rule as [`RequestHeader::decode`].
    pub fn encode(&self, w: &mut Writer, flexible: impl Fn(i16, i16) -> bool) -> Result<(), EncodeError> {
        w.put_i16(self.api_key);
        w.put_i16(self.api_version);
        w.put_i32(self.correlation_id);
        w.put_nullable_string(self.client_id.as_deref(), false)?;
        if flexible(self.api_key, self.api_version) {
            w.put_uvarint(0);
        }
        Ok(())
    }

    /// Kafka's rule: the header is flexible when the body is. False for a key that Kafka does not have.
    pub fn is_flexible(api_key: i16, api_version: i16) -> bool {
        ApiKey::try_from(api_key).is_ok_and(|key| key.is_flexible(api_version))
    }
}
