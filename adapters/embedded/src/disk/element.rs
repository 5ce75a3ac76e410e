//! One element in the log's table: position → element.
//!
//! Layout of the value: version (u8, 1), session (u64), sequence (u64), CRC32C (u32) of position, session, sequence and
//! bytes, then the entry's bytes; all big-endian. One per element, never changed.

use bytes::Bytes;
use redb::TableDefinition;
use sluice_store::{Element, Payload, StoreError, StoreErrorKind, StoreResult};

/// Position → element.
pub(super) const ELEMENTS: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("elements");

/// Name → value, for what is known of the log itself.
pub(super) const PROPERTIES: TableDefinition<'static, &'static str, u128> = TableDefinition::new("properties");

/// The property that holds the log's incarnation (L8).
pub(super) const INCARNATION: &str = "incarnation";

const VERSION: u8 = 1;

/// Writes the value of an element into `value`, which is cleared first.
///
/// # Errors
/// `Invalid` for an element with a body: this log makes none.
pub(super) fn encode(position: u64, element: &Element, value: &mut Vec<u8>) -> StoreResult<()> {
    let Payload::Inline(bytes) = &element.payload else {
        let message = format!("append entry {}/{}: this log has no bodies", element.session, element.sequence);
        return Err(StoreError::new(StoreErrorKind::Invalid, message));
    };
    value.clear();
    value.push(VERSION);
    value.extend_from_slice(&element.session.to_be_bytes());
    value.extend_from_slice(&element.sequence.to_be_bytes());
    value.extend_from_slice(&checksum(position, element.session, element.sequence, bytes).to_be_bytes());
    value.extend_from_slice(bytes);
    Ok(())
}

/// Reads the value of the element at `position`; `None` when it is damaged.
pub(super) fn decode(position: u64, value: &[u8]) -> Option<Element> {
    let (version, value) = value.split_first()?;
    let (session, value) = value.split_first_chunk()?;
    let (sequence, value) = value.split_first_chunk()?;
    let (crc, bytes) = value.split_first_chunk()?;
    let (session, sequence) = (u64::from_be_bytes(*session), u64::from_be_bytes(*sequence));
    let whole = *version == VERSION && u32::from_be_bytes(*crc) == checksum(position, session, sequence, bytes);
    whole.then(|| Element { session, sequence, payload: Payload::Inline(Bytes::copy_from_slice(bytes)) })
}

fn checksum(position: u64, session: u64, sequence: u64, bytes: &[u8]) -> u32 {
    let identity = [position, session, sequence].map(u64::to_be_bytes);
    crc32c::crc32c_append(crc32c::crc32c(identity.as_flattened()), bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(bytes: &'static [u8]) -> Element {
        Element { session: 7, sequence: 9, payload: Payload::Inline(Bytes::from_static(bytes)) }
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let mut value = vec![1, 2, 3];
        for bytes in [&b""[..], b"entry"] {
            encode(5, &element(bytes), &mut value).unwrap();
            assert_eq!(decode(5, &value), Some(element(bytes)));
        }
    }

    #[test]
    fn any_damage_is_told() {
        let mut value = Vec::new();
        encode(5, &element(b"entry"), &mut value).unwrap();
        assert_eq!(decode(6, &value), None, "an element at another position");
        for at in 0..value.len() {
            assert_eq!(decode(5, &value[..at]), None, "cut to {at} bytes");
            let mut damaged = value.clone();
            damaged[at] ^= 0x10;
            assert_eq!(decode(5, &damaged), None, "byte {at} changed");
        }
    }

    #[test]
    fn a_pointer_is_refused() {
        let body = sluice_store::BodyRef { session: 7, sequence: 9, salt: 0, parts: 1, hash: 0, len: 0 };
        let element = Element { payload: Payload::Body(body), ..element(b"") };
        assert_eq!(encode(5, &element, &mut Vec::new()).unwrap_err().kind(), StoreErrorKind::Invalid);
    }
}
