//! How the log lies in its table: the one place that knows keys, attributes and bytes.
//!
//! # Table `<tables>-metadata`
//!
//! On-demand capacity, key (`pk` string, `sk` string). No index, stream, TTL or transaction. Three kinds of item:
//!
//! | item | pk | sk | attributes | how many | changes |
//! |-|-|-|-|-|-|
//! | head | `H` | `0` (the log's number, L12) | below | one per log | by every append and roll |
//! | chunk | `<incarnation>#log0#<bucket>` | `<start>` | `n` (N): number of elements; `e` (L of B): the elements | one per 256 elements or 1 KB rolled | only grows: replaced by a longer one with the same beginning (L5); deleted by trim |
//! | body part | `<incarnation>#<session>#<salt>` | `<sequence>#<part>` | `d` (B): up to 300,000 bytes of an entry | one to 14 per entry over 256 B | never; deleted by sweep (L4) |
//!
//! `incarnation` is 32 hexadecimal digits (L8). `bucket` is start / 65,536 in 10 decimal digits; `start` (the position of
//! the chunk's first element) and `sequence` have 20, `part` (from 0) has 5, so that their order as text is their order
//! as numbers. `session` is decimal, `salt` 8 hexadecimal digits.
//!
//! The chunk that holds position p is the one with the greatest start ≤ p (L6). It is found by one descending query in
//! p's bucket or, for the first 255 positions of a bucket, possibly in the bucket before: a chunk has at most 256 elements.
//! Buckets keep the chunks of a long log from being one item collection, and away from the head, which takes every write.
//!
//! Head attributes: `b` (N) position of the first element in `t`; `t` (L of B) the elements after the last roll;
//! `incarnation` (S); `format` (N), 1 today; `snap` (M), absent until a first snapshot, with `p` (N) its position.
//! The first element of a log has position 1.
//!
//! # An element
//!
//! One byte for its kind, then session and sequence as unsigned LEB128, then by kind
//! * 0, inline: the entry, to the end;
//! * 1, body: salt (4 bytes, big endian), XXH3-64 of the entry (8 bytes, big endian), number of parts and length of the
//!   entry in bytes (unsigned LEB128), and nothing more.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use sluice_store::{BodyRef, Element, Incarnation, LogPosition, Payload, StoreError, StoreErrorKind, StoreResult};

/// The attributes of an item.
pub(crate) type Item = HashMap<String, AttributeValue>;

/// The format this build reads and writes; another is refused.
pub(crate) const FORMAT: u64 = 1;
/// The position of a log's first element: above 0, which means "nothing known".
pub(crate) const FIRST_POSITION: LogPosition = LogPosition(1);

pub(crate) const PK: &str = "pk";
pub(crate) const SK: &str = "sk";
/// Head: position of the first element.
pub(crate) const FIRST: &str = "b";
/// Head: the elements.
pub(crate) const TAIL: &str = "t";
/// Head: the newest snapshot.
pub(crate) const SNAPSHOT: &str = "snap";
/// Head, inside of `snap`: its position.
pub(crate) const SNAPSHOT_POSITION: &str = "p";
/// Head: the incarnation.
pub(crate) const INCARNATION: &str = "incarnation";
/// Head: the format.
pub(crate) const FORMAT_NUMBER: &str = "format";
/// Chunk: number of elements.
pub(crate) const COUNT: &str = "n";
/// Chunk: the elements.
pub(crate) const ELEMENTS: &str = "e";
/// Body part: the bytes.
pub(crate) const DATA: &str = "d";

/// Positions of one bucket of chunks.
const BUCKET_POSITIONS: u64 = 65_536;

const KIND_INLINE: u8 = 0;
const KIND_BODY: u8 = 1;

/// The key of an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) pk: String,
    pub(crate) sk: String,
}

impl Key {
    /// The key as attributes.
    pub(crate) fn into_item(self) -> Item {
        Item::from([(PK.into(), AttributeValue::S(self.pk)), (SK.into(), AttributeValue::S(self.sk))])
    }
}

/// The head's key.
pub(crate) fn head_key() -> Key {
    Key { pk: "H".into(), sk: "0".into() }
}

/// The bucket of a chunk that starts here.
pub(crate) fn bucket(start: LogPosition) -> u64 {
    start.0 / BUCKET_POSITIONS
}

/// The partition key of a bucket.
pub(crate) fn bucket_pk(incarnation: Incarnation, bucket: u64) -> String {
    format!("{incarnation}#log0#{bucket:010}")
}

/// The sort key of a chunk.
pub(crate) fn chunk_sk(start: LogPosition) -> String {
    format!("{:020}", start.0)
}

/// The key of the chunk that starts here.
pub(crate) fn chunk_key(incarnation: Incarnation, start: LogPosition) -> Key {
    Key { pk: bucket_pk(incarnation, bucket(start)), sk: chunk_sk(start) }
}

/// The key of a part of a body (L4).
pub(crate) fn body_key(incarnation: Incarnation, body: &BodyRef, part: u32) -> Key {
    Key {
        pk: format!("{incarnation}#{}#{:08x}", body.session, body.salt),
        sk: format!("{:020}#{part:05}", body.sequence),
    }
}

/// A number as DynamoDB wants it.
pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Bytes as DynamoDB wants them.
pub(crate) fn binary(bytes: impl Into<Vec<u8>>) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

/// What is in the table is not what this build writes.
pub(crate) fn corrupt(what: impl Into<String>) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, what)
}

/// Takes an attribute that must be there and be a whole number.
pub(crate) fn take_number(item: &mut Item, name: &str) -> StoreResult<u64> {
    let value = item.remove(name);
    let digits = value.as_ref().and_then(|value| value.as_n().ok());
    digits.and_then(|n| n.parse().ok()).ok_or_else(|| corrupt(format!("attribute `{name}` is not a number")))
}

/// Takes an attribute that must be there and be text.
pub(crate) fn take_string(item: &mut Item, name: &str) -> StoreResult<String> {
    match item.remove(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(corrupt(format!("attribute `{name}` is not text"))),
    }
}

/// Takes an attribute that must be there and be bytes.
pub(crate) fn take_bytes(item: &mut Item, name: &str) -> StoreResult<Bytes> {
    match item.remove(name) {
        Some(AttributeValue::B(blob)) => Ok(Bytes::from(blob.into_inner())),
        _ => Err(corrupt(format!("attribute `{name}` is not bytes"))),
    }
}

/// Takes an attribute that must be there and be a list of bytes.
pub(crate) fn take_elements(item: &mut Item, name: &str) -> StoreResult<Vec<Bytes>> {
    let Some(AttributeValue::L(list)) = item.remove(name) else {
        return Err(corrupt(format!("attribute `{name}` is not a list")));
    };
    let blobs = list.into_iter().map(|value| match value {
        AttributeValue::B(blob) => Ok(Bytes::from(blob.into_inner())),
        _ => Err(corrupt(format!("attribute `{name}` holds something else than bytes"))),
    });
    blobs.collect()
}

/// An element as bytes.
pub(crate) fn encode_element(element: &Element) -> Vec<u8> {
    let inline_len = if let Payload::Inline(bytes) = &element.payload { bytes.len() } else { 0 };
    let mut out = Vec::with_capacity(32 + inline_len);
    out.push(if matches!(element.payload, Payload::Inline(_)) { KIND_INLINE } else { KIND_BODY });
    put_varint(&mut out, element.session);
    put_varint(&mut out, element.sequence);
    match &element.payload {
        Payload::Inline(bytes) => out.extend_from_slice(bytes),
        Payload::Body(body) => {
            out.extend_from_slice(&body.salt.to_be_bytes());
            out.extend_from_slice(&body.hash.to_be_bytes());
            put_varint(&mut out, body.parts.into());
            put_varint(&mut out, body.len);
        }
    }
    out
}

/// The element of these bytes; an inline entry shares them.
///
/// # Errors
/// `Corrupt` for anything that [`encode_element`] does not make.
pub(crate) fn decode_element(bytes: &Bytes) -> StoreResult<Element> {
    decode(bytes).ok_or_else(|| corrupt(format!("an element of {} bytes", bytes.len())))
}

fn decode(bytes: &Bytes) -> Option<Element> {
    let (&kind, mut rest) = bytes.split_first()?;
    let session = take_varint(&mut rest)?;
    let sequence = take_varint(&mut rest)?;
    let payload = match kind {
        KIND_INLINE => Payload::Inline(bytes.slice_ref(rest)),
        KIND_BODY => {
            let salt = u32::from_be_bytes(take_array(&mut rest)?);
            let hash = u64::from_be_bytes(take_array(&mut rest)?);
            let parts = u32::try_from(take_varint(&mut rest)?).ok()?;
            let len = take_varint(&mut rest)?;
            if !rest.is_empty() {
                return None;
            }
            Payload::Body(BodyRef { session, sequence, salt, parts, hash, len })
        }
        _ => return None,
    };
    Some(Element { session, sequence, payload })
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        let [low, ..] = value.to_le_bytes();
        out.push(low | 0x80);
        value >>= 7;
    }
    let [low, ..] = value.to_le_bytes();
    out.push(low);
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let low = u64::from(byte & 0x7f);
        let shifted = low << shift;
        if shifted >> shift != low {
            return None;
        }
        value |= shifted;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take_array<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (array, rest) = bytes.split_first_chunk::<N>()?;
    *bytes = rest;
    Some(*array)
}

#[cfg(test)]
mod tests {
    use super::*;

    const INCARNATION: Incarnation = Incarnation(0xAB);

    fn body() -> BodyRef {
        BodyRef { session: 300, sequence: 7, salt: 0xDEAD_BEEF, parts: 2, hash: u64::MAX, len: 300_001 }
    }

    fn elements() -> Vec<Element> {
        let inline = |session, sequence, bytes: &[u8]| Element {
            session,
            sequence,
            payload: Payload::Inline(Bytes::copy_from_slice(bytes)),
        };
        vec![
            inline(0, 0, b""),
            inline(127, 128, b"entry"),
            inline(u64::MAX, u64::MAX, &[0xFF; 256]),
            Element { session: 300, sequence: 7, payload: Payload::Body(body()) },
        ]
    }

    #[test]
    fn elements_round_trip() {
        for element in elements() {
            let bytes = Bytes::from(encode_element(&element));
            assert_eq!(decode_element(&bytes).unwrap(), element);
        }
    }

    // The bytes are on disk in somebody's table: a change of this test is a change of the format.
    #[test]
    fn elements_have_these_bytes() {
        let encoded: Vec<_> = elements().iter().map(encode_element).collect();
        assert_eq!(encoded[0], [0, 0, 0]);
        assert_eq!(encoded[1], *b"\x00\x7f\x80\x01entry");
        let pointer = b"\x01\xac\x02\x07\xde\xad\xbe\xef\xff\xff\xff\xff\xff\xff\xff\xff\x02\xe1\xa7\x12";
        assert_eq!(encoded[3], *pointer);
    }

    #[test]
    fn bytes_that_are_no_element_are_corrupt() {
        let pointer = encode_element(&elements()[3]);
        let mut bad: Vec<Vec<u8>> = (0..pointer.len()).map(|cut| pointer[..cut].to_vec()).collect();
        bad.push([&pointer[..], &[0]].concat());
        bad.push(vec![2, 0, 0]);
        bad.push([&[0][..], &[0x80; 11]].concat());
        bad.push([&[0][..], &[0xFF; 9], &[0x02]].concat());
        for bytes in bad {
            let shown = format!("{bytes:?}");
            let error = decode_element(&Bytes::from(bytes)).expect_err(&shown);
            assert_eq!(error.kind(), StoreErrorKind::Corrupt, "{shown}");
        }
    }

    // L8: every key but the head's names the incarnation. L4, L5: the shapes.
    #[test]
    fn l8_keys_have_these_shapes() {
        let incarnation = "000000000000000000000000000000ab";
        let chunk = chunk_key(INCARNATION, LogPosition(65_536 + 9));
        assert_eq!(chunk.pk, format!("{incarnation}#log0#0000000001"));
        assert_eq!(chunk.sk, "00000000000000065545");
        let part = body_key(INCARNATION, &body(), 1);
        assert_eq!(part.pk, format!("{incarnation}#300#deadbeef"));
        assert_eq!(part.sk, "00000000000000000007#00001");
        assert_eq!(head_key(), Key { pk: "H".into(), sk: "0".into() });
    }

    // L6 looks chunks up by the order of their sort keys.
    #[test]
    fn l6_sort_keys_are_in_the_order_of_positions() {
        let positions = [0, 1, 9, 10, 99, 65_535, 65_536, u64::MAX];
        let keys: Vec<_> = positions.iter().map(|p| chunk_sk(LogPosition(*p))).collect();
        assert!(keys.is_sorted());
    }
}
