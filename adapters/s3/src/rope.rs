//! A rope as a request's body: its chunks leave as they are, none is joined or copied.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use sluice_store::ByteChunks;

/// What is left of a rope that is being sent.
struct RopeBody {
    chunks: std::vec::IntoIter<Bytes>,
    remaining: u64,
}

impl RopeBody {
    fn new(rope: ByteChunks) -> Self {
        Self { remaining: rope.len(), chunks: rope.into_chunks().into_iter() }
    }
}

impl Body for RopeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(chunk) = self.chunks.next() else {
            return Poll::Ready(None);
        };
        self.remaining = self.remaining.saturating_sub(chunk.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    // Exact, so that the request has a content length and is not sent in HTTP chunks, which S3 refuses.
    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

/// The body of a PUT. Can be sent again: the SDK asks for that of a body whose checksum it did not compute.
pub(crate) fn request_body(rope: ByteChunks) -> SdkBody {
    SdkBody::retryable(move || SdkBody::from_body_1_x(RopeBody::new(rope.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_types::byte_stream::ByteStream;

    #[tokio::test]
    async fn chunks_leave_in_order_and_are_not_copied() {
        let chunks = vec![Bytes::from(vec![1; 10]), Bytes::from(vec![2; 3]), Bytes::from(vec![3; 7])];
        let body = request_body(ByteChunks::new(chunks.clone()));
        assert_eq!(body.content_length(), Some(20));
        let mut stream = ByteStream::new(body);
        for chunk in chunks {
            let sent = stream.next().await.unwrap().unwrap();
            assert_eq!(sent, chunk);
            assert_eq!(sent.as_ptr(), chunk.as_ptr());
        }
        assert!(stream.next().await.is_none());
    }

    #[test]
    fn empty_body_has_a_length() {
        assert_eq!(request_body(ByteChunks::default()).content_length(), Some(0));
    }
}
