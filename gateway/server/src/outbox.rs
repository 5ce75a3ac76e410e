//! Answers on their way out.
//!
//! Promises: bytes leave in the order in which they were pushed; several answers leave in one `writev`; nothing is
//! copied. Never: waits for anything but the peer. Called by `connection`.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use sluice_protocol::Rope;
use tokio::io::AsyncWrite;

/// Slices handed to one `writev`.
const SLICES_MAX: usize = 128;
/// Room for chunks that an empty outbox keeps.
const CHUNKS_KEPT: usize = 16;

/// Bytes to be written, in order.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// None is empty.
    chunks: VecDeque<Bytes>,
    len: usize,
}

impl Outbox {
    /// Appends an answer.
    pub(crate) fn push(&mut self, answer: Rope) {
        self.len = self.len.saturating_add(answer.len());
        self.chunks.extend(answer.into_chunks());
    }

    /// Bytes not yet written.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Writes once, as much as the peer takes. Errors also when it takes nothing.
    pub(crate) fn poll_write<S: AsyncWrite + Unpin + ?Sized>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut count = 0_usize;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
            count = count.saturating_add(1);
        }
        let filled = slices.get(..count).unwrap_or_default();
        let written = ready!(Pin::new(stream).poll_write_vectored(cx, filled))?;
        if written == 0 {
            return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
        }
        self.consume(written);
        Poll::Ready(Ok(written))
    }

    fn consume(&mut self, written: usize) {
        self.len = self.len.saturating_sub(written);
        let mut left = written;
        while left > 0
            && let Some(chunk) = self.chunks.front_mut()
        {
            if chunk.len() > left {
                chunk.advance(left);
                return;
            }
            left = left.saturating_sub(chunk.len());
            self.chunks.pop_front();
        }
        if self.chunks.is_empty() {
            self.chunks.shrink_to(CHUNKS_KEPT);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::task::Waker;

    use proptest::prelude::*;

    use super::*;

    /// A peer that takes so many bytes at each write, from as many slices as it likes.
    struct Peer {
        taken: Vec<u8>,
        appetite: Vec<usize>,
    }

    impl AsyncWrite for Peer {
        fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            let most = self.appetite.pop().unwrap_or(usize::MAX).max(1);
            let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).take(most).collect();
            self.taken.extend_from_slice(&bytes);
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn bytes_leave_in_order_whatever_the_peer_takes(
            answers in prop::collection::vec(prop::collection::vec(0..40_usize, 0..200), 0..6),
            appetite in prop::collection::vec(1..500_usize, 0..40),
        ) {
            let mut outbox = Outbox::default();
            let mut expected = Vec::new();
            let mut fill = 0_u8;
            for answer in &answers {
                let chunks = answer.iter().map(|len| {
                    fill = fill.wrapping_add(1);
                    Bytes::from(vec![fill; *len])
                });
                let chunks: Vec<_> = chunks.collect();
                expected.extend(chunks.concat());
                outbox.push(chunks.into_iter().collect());
            }
            let mut peer = Peer { taken: Vec::new(), appetite };
            let mut cx = Context::from_waker(Waker::noop());
            while !outbox.is_empty() {
                let before = outbox.len();
                let Poll::Ready(Ok(written)) = outbox.poll_write(&mut cx, &mut peer) else { panic!("refused") };
                prop_assert_eq!(outbox.len(), before - written);
            }
            prop_assert_eq!(peer.taken, expected);
        }
    }
}
