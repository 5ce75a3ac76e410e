//! Large payloads of groups: subscriptions and assignments over 64 KiB go to one object that the command refers to.
//!
//! Promises: an object is durable before the command that refers to it is proposed, under a key of its own, create-only
//! (I-03); each payload carries a CRC32C, which is checked when it is read back; no more than a named number of reads at
//! once (I-14). Never: looks into a payload.

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream;
use sluice_metadata::{ObjectId, Payload, SessionId};
use sluice_store::{ByteChunks, PutOptions};

use super::judge::not_now;
use crate::cache::SegmentReader;
use crate::engine::Engine;
use crate::error::EngineResult;

/// Payloads of one command are kept in it up to so many bytes together.
const INLINE_BYTES_MAX: usize = 64 << 10;
/// The CRC32C that follows each payload in an object.
const CRC_BYTES: usize = 4;

/// True when payloads of these lengths go to an object.
fn is_large(lens: impl Iterator<Item = usize>) -> bool {
    lens.fold(0usize, usize::saturating_add) > INLINE_BYTES_MAX
}

/// What `Engine::store_payloads` will make of `blobs`, as far as apply's judgement depends on it: to preview a command
/// before anything is written.
pub(super) fn preview_payloads(blobs: &[&Bytes], session: SessionId) -> Vec<Payload> {
    if !is_large(blobs.iter().map(|blob| blob.len())) {
        return blobs.iter().map(|blob| Payload::Inline((*blob).clone())).collect();
    }
    let object = ObjectId { session, nonce: 0 };
    let len = |blob: &Bytes| u32::try_from(blob.len().saturating_add(CRC_BYTES)).unwrap_or(u32::MAX);
    blobs.iter().map(|blob| Payload::Object { object, start: 0, len: len(blob) }).collect()
}

impl Engine {
    /// Makes payloads of `blobs`, in their order: inline, or in an object that is durable when this returns.
    ///
    /// # Errors
    /// `NotCoordinatedNow` when the object could not be written.
    pub(super) async fn store_payloads(&self, blobs: &[&Bytes]) -> EngineResult<Vec<Payload>> {
        if !is_large(blobs.iter().map(|blob| blob.len())) {
            // Copied: State keeps them, and a slice would keep the whole frame.
            return Ok(blobs.iter().map(|blob| Payload::Inline(Bytes::copy_from_slice(blob))).collect());
        }
        let object = ObjectId { session: self.hosting_session()?, nonce: self.inner.parts.entropy.next_u64() };
        let mut bytes = BytesMut::new();
        let mut payloads = Vec::with_capacity(blobs.len());
        for blob in blobs {
            let start = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            bytes.put_slice(blob);
            bytes.put_u32(crc32c::crc32c(blob));
            let len = blob.len().saturating_add(CRC_BYTES);
            let len = u32::try_from(len).map_err(|_| not_now("a payload has more than 4 GiB"))?;
            payloads.push(Payload::Object { object, start, len });
        }
        let bytes = ByteChunks::from(bytes.freeze());
        let written = async {
            let key = self.inner.reader.key(object)?;
            let options = PutOptions { create_only: true, crc32c: Some(bytes.crc32c()) };
            self.inner.parts.objects.put(&key, bytes.clone(), options).await
        };
        // Whether or not it is there: no command refers to it, and none ever will.
        written.await.map_err(|error| not_now(&format!("a payload could not be written: {error}")))?;
        self.inner.reader.insert(object, &bytes).await;
        Ok(payloads)
    }

    /// The bytes of payloads, in their order; empty where there is none.
    ///
    /// # Errors
    /// `NotCoordinatedNow` when one could not be read, or is not what was written.
    pub(super) async fn read_payloads(&self, payloads: Vec<Option<Payload>>) -> EngineResult<Vec<Bytes>> {
        let most = self.inner.parts.limits.payload_reads_max.max(1);
        let reads = payloads.into_iter().map(|payload| async {
            match payload {
                None => Ok(Bytes::new()),
                Some(payload) => read_payload(&self.inner.reader, payload).await,
            }
        });
        let read: Vec<EngineResult<Bytes>> = stream::iter(reads).buffered(most).collect().await;
        read.into_iter().collect()
    }
}

/// The bytes of one payload.
pub(super) async fn read_payload(reader: &SegmentReader, payload: Payload) -> EngineResult<Bytes> {
    let (object, start, len) = match payload {
        Payload::Inline(bytes) => return Ok(bytes),
        Payload::Object { object, start, len } => (object, start, len),
    };
    let end = start.saturating_add(u64::from(len));
    let read = reader.read(object, start..end).await;
    let read = read.map_err(|failure| not_now(&format!("a payload could not be read: {failure:?}")))?;
    let mut bytes: Bytes = match <[Bytes; 1]>::try_from(read.chunks) {
        Ok([whole]) => whole,
        Err(chunks) => chunks.concat().into(),
    };
    let damaged = || {
        tracing::error!(?object, start, len, "a payload of a group is not what was written");
        not_now("a payload is damaged")
    };
    let crc = bytes.split_off(bytes.len().checked_sub(CRC_BYTES).ok_or_else(damaged)?);
    if crc.as_ref() != crc32c::crc32c(&bytes).to_be_bytes() {
        return Err(damaged());
    }
    Ok(bytes)
}
