//! Body items: the bytes of large entries, in parts (L4).

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use sluice_store::{BodyRef, Sealed, StoreError, StoreErrorKind, StoreResult};
use xxhash_rust::xxh3::xxh3_64;

use crate::classify::Effect;
use crate::config::{BODY_PART_BYTES, BODY_PARTS_AT_ONCE, BODY_PARTS_MAX, ENTRY_BYTES_MAX};
use crate::layout;
use crate::table::LogTable;

/// The pointer to the body of this entry.
///
/// # Errors
/// `TooLarge` over [`ENTRY_BYTES_MAX`].
pub(crate) fn pointer(entry: &Sealed, salt: u32) -> StoreResult<BodyRef> {
    let len = entry.bytes.len();
    let parts = u32::try_from(len.div_ceil(BODY_PART_BYTES)).ok().filter(|_| len <= ENTRY_BYTES_MAX);
    let Some(parts) = parts else {
        let message = format!("an entry of {len} bytes, over the {ENTRY_BYTES_MAX} that the log takes");
        return Err(StoreError::new(StoreErrorKind::TooLarge, message));
    };
    let Sealed { session, sequence, ref bytes } = *entry;
    Ok(BodyRef { session, sequence, salt, parts, hash: xxh3_64(bytes), len: len as u64 })
}

impl LogTable {
    /// Writes all parts of a body; `Ok` when each was acknowledged (L4). The same parts again are harmless.
    ///
    /// # Errors
    /// Never `Unknown`: whatever is left of a body means nothing before a pointer to it is in the log.
    pub(crate) async fn write_body(&self, body: &BodyRef, bytes: &Bytes) -> StoreResult<()> {
        let parts = (0..body.parts).zip(bytes.chunks(BODY_PART_BYTES));
        let writes: Vec<_> = parts.map(|(part, data)| self.write_part(body, part, bytes.slice_ref(data))).collect();
        stream::iter(writes).buffer_unordered(BODY_PARTS_AT_ONCE).try_collect().await
    }

    async fn write_part(&self, body: &BodyRef, part: u32, data: Bytes) -> StoreResult<()> {
        let mut item = layout::body_key(self.incarnation, body, part).into_item();
        item.insert(layout::DATA.into(), layout::binary(data));
        let answer = self.client.put_item().table_name(&self.name).set_item(Some(item)).send().await;
        // Effect::Read: to the log nothing happened, however the request ended.
        answer.map(|_| ()).map_err(|e| self.classify(e, Effect::Read, "write a part of a body"))
    }

    /// Reads a body strongly and checks it against its pointer (L4).
    ///
    /// # Errors
    /// `NotFound` for a missing part; `Corrupt` when the bytes are not those the pointer tells; those of any read.
    pub(crate) async fn read_whole_body(&self, body: &BodyRef) -> StoreResult<Bytes> {
        // A pointer is bytes from outside: it must not make us read or keep without a bound (I-09).
        if body.parts as usize > BODY_PARTS_MAX || body.len > ENTRY_BYTES_MAX as u64 {
            return Err(layout::corrupt(format!("{}: over the limits", describe(body))));
        }
        let reads: Vec<_> = (0..body.parts).map(|part| self.read_part(body, part)).collect();
        let parts: Vec<Bytes> = stream::iter(reads).buffered(BODY_PARTS_AT_ONCE).try_collect().await?;
        let bytes = join(parts);
        if bytes.len() as u64 != body.len || xxh3_64(&bytes) != body.hash {
            return Err(layout::corrupt(format!("{}: not the bytes of its pointer", describe(body))));
        }
        Ok(bytes)
    }

    async fn read_part(&self, body: &BodyRef, part: u32) -> StoreResult<Bytes> {
        let key = layout::body_key(self.incarnation, body, part).into_item();
        let request = self.client.get_item().table_name(&self.name).set_key(Some(key)).consistent_read(true);
        let answer = request.send().await.map_err(|e| self.classify(e, Effect::Read, "read a part of a body"))?;
        match answer.item {
            Some(mut item) => layout::take_bytes(&mut item, layout::DATA),
            None => {
                let message = format!("part {part} of {}", describe(body));
                Err(StoreError::new(StoreErrorKind::NotFound, message))
            }
        }
    }
}

fn describe(body: &BodyRef) -> String {
    format!("the body of entry {}/{}, salt {:08x}", body.session, body.sequence, body.salt)
}

fn join(parts: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(parts) {
        Ok([one]) => one,
        Err(many) => {
            let mut bytes = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
            many.iter().for_each(|part| bytes.extend_from_slice(part));
            bytes.freeze()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(len: usize) -> Sealed {
        Sealed { session: 3, sequence: 4, bytes: vec![7; len].into() }
    }

    #[test]
    fn l4_pointer_repeats_identity_parts_and_hash() {
        for (len, parts) in [(257, 1), (300_000, 1), (300_001, 2), (ENTRY_BYTES_MAX, 14)] {
            let entry = entry(len);
            let body = pointer(&entry, 9).unwrap();
            assert_eq!((body.session, body.sequence, body.salt), (3, 4, 9));
            assert_eq!((body.parts, body.len, body.hash), (parts, len as u64, xxh3_64(&entry.bytes)));
        }
    }

    #[test]
    fn an_entry_over_the_limit_is_too_large() {
        let error = pointer(&entry(ENTRY_BYTES_MAX + 1), 9).unwrap_err();
        assert_eq!(error.kind(), StoreErrorKind::TooLarge);
    }

    #[test]
    fn parts_join_in_order() {
        assert!(join(vec![]).is_empty());
        assert_eq!(join(vec![Bytes::from_static(b"ab")]), "ab");
        assert_eq!(join(vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")]), "abc");
    }
}
