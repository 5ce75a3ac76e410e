//! A reader as L6 describes it: the judge of what a log answers.

use bytes::Bytes;

use crate::{Appended, Consistency, Element, LogPosition, MetadataLog, Payload, Sealed, Staged, Tail, TailRead};

/// What one reader has replayed from a log's first position on: the element at index i has position i + 1.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Replay {
    pub(super) elements: Vec<Element>,
}

impl Replay {
    pub(super) fn known(&self) -> LogPosition {
        LogPosition(self.elements.len() as u64)
    }

    /// Takes a tail by position (L6). Panics when it does not touch `known + 1`, or tells a position differently than
    /// an earlier answer did.
    pub(super) fn take(&mut self, tail: Tail) {
        let known = self.known();
        assert!(tail.first > LogPosition::ZERO, "positions are above 0");
        assert!(tail.first <= known.next(), "a tail after {known} begins at {}: a gap (L6)", tail.first);
        let first = usize::try_from(tail.first.0).expect("a test's log is small");
        for (position, element) in (first..).zip(tail.elements) {
            match self.elements.get(position - 1) {
                None => self.elements.push(element),
                Some(told) => assert_eq!(&element, told, "position {position} was told differently before"),
            }
        }
    }

    /// Reads up to the end.
    pub(super) async fn read(&mut self, log: &dyn MetadataLog) {
        let known = self.known();
        self.take(read_tail(log, known, Consistency::Strong).await);
    }

    /// Appends and takes the answer. The suite runs over stores without faults: `CommittedTailUnread` is one.
    pub(super) async fn append(&mut self, log: &dyn MetadataLog, entries: &[Staged]) {
        let known = self.known();
        let tail = append(log, entries, known).await;
        assert!(tail.end() > known.next(), "the answer of an append holds at least the appended (known: {known})");
        self.take(tail);
        let own: Vec<_> = entries.iter().map(|staged| staged.element.clone()).collect();
        assert!(self.elements.ends_with(&own), "the appended elements come last in the answer");
    }
}

pub(super) async fn read_tail(log: &dyn MetadataLog, known: LogPosition, consistency: Consistency) -> Tail {
    match log.read(known, consistency).await {
        Ok(TailRead::Tail(tail)) => tail,
        Ok(TailRead::Trimmed) => panic!("read after {known}: Trimmed, but nothing was trimmed"),
        Err(error) => panic!("read after {known}: {error}"),
    }
}

pub(super) async fn append(log: &dyn MetadataLog, entries: &[Staged], known: LogPosition) -> Tail {
    match log.append(entries, known).await {
        Ok(Appended::Tail(tail)) => tail,
        Ok(Appended::CommittedTailUnread) => panic!("append with known {known}: the tail was not read"),
        Err(error) => panic!("append with known {known}: {error}"),
    }
}

/// An entry of `len` bytes that are unlike those of any other (session, sequence).
pub(super) fn sealed(session: u64, sequence: u64, len: usize) -> Sealed {
    let mix = session.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ sequence.wrapping_mul(0xC2B2_AE3D_27D4_EB4F);
    let bytes: Vec<u8> = (0..len as u64).map(|i| (mix ^ i ^ (i >> 8)).rotate_left(29).to_le_bytes()[0]).collect();
    Sealed { session, sequence, bytes: Bytes::from(bytes) }
}

pub(super) async fn stage(log: &dyn MetadataLog, session: u64, sequence: u64, len: usize) -> Staged {
    let entry = sealed(session, sequence, len);
    let staged = log.stage(&entry).await;
    let staged = staged.unwrap_or_else(|e| panic!("stage {session}/{sequence} of {len} bytes: {e}"));
    assert_eq!((staged.element.session, staged.element.sequence), (session, sequence), "staging keeps the identity");
    staged
}

/// The bytes of an element, from wherever they are.
pub(super) async fn bytes_of(log: &dyn MetadataLog, element: &Element) -> Bytes {
    match &element.payload {
        Payload::Inline(bytes) => bytes.clone(),
        Payload::Body(body) => {
            assert_eq!(
                (body.session, body.sequence),
                (element.session, element.sequence),
                "the pointer repeats it (L4)"
            );
            log.read_body(body).await.unwrap_or_else(|e| panic!("read the body of {element:?}: {e}"))
        }
    }
}
