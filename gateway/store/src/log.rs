//! The metadata log: one short, totally ordered list of entries that every gateway appends to and replays.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

use crate::StoreResult;

/// A position in one metadata log. The first element of a log has a position above 0, so that 0 means "nothing known".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct LogPosition(pub u64);

impl LogPosition {
    /// Before the first element.
    pub const ZERO: Self = Self(0);

    /// The position after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The identity of one life of a store, minted by `--create` (L8). In every key of the log and of the objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u128);

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// An entry that is ready to be staged: its identity and its bytes are fixed (L1).
///
/// A SessionOpened has no identity yet: `session` and `sequence` are 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The gateway session: the position of its SessionOpened.
    pub session: u64,
    /// Ascending within the session, from 1.
    pub sequence: u64,
    /// The encoded entry. The log carries it and never reads it.
    pub bytes: Bytes,
}

/// Where a body lies: what a pointer element repeats of it (L4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BodyRef {
    /// Session of the entry, part of the body's key.
    pub session: u64,
    /// Sequence of the entry, part of the body's key.
    pub sequence: u64,
    /// Spreads bodies over partitions of the table; part of the body's key.
    pub salt: u32,
    /// How many parts there are.
    pub parts: u32,
    /// XXH3-64 of the body's bytes, to tell a damaged or foreign body.
    pub hash: u64,
    /// Length of the body in bytes.
    pub len: u64,
}

/// An entry's bytes in the log: in the element itself, or in a body of their own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// A small entry.
    Inline(Bytes),
    /// A pointer to the body of a large one.
    Body(BodyRef),
}

/// One element of the log. Its identity can be judged before its body is read (L4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// As in [`Sealed`].
    pub session: u64,
    /// As in [`Sealed`].
    pub sequence: u64,
    /// The entry, or where it lies.
    pub payload: Payload,
}

/// A staged entry: its body, if it has one, is written and acknowledged in all its parts (L4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// The element that an append adds.
    pub element: Element,
}

/// Elements at contiguous positions (L6): `elements[i]` is at `first + i`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// Position of the first element; when there is none, the position the next element will have.
    pub first: LogPosition,
    /// The elements.
    pub elements: Vec<Element>,
}

impl Tail {
    /// Position of the element after the last one.
    #[must_use]
    pub fn end(&self) -> LogPosition {
        LogPosition(self.first.0.saturating_add(self.elements.len() as u64))
    }
}

/// The answer of an append that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// Everything from `known + 1` (or from an earlier position) to the end of the log as the append left it, the
    /// appended elements included.
    Tail(Tail),
    /// The elements are in the log, but what came before them could not be read. Says nothing of any verdict (L3).
    CommittedTailUnread,
}

/// The answer of a read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailRead {
    /// Everything from `known + 1` (or an earlier position) to the end of the log.
    Tail(Tail),
    /// `known` is older than the log: load the snapshot in the head and go on from there (L6).
    Trimmed,
}

/// How fresh a read must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// Sees every append that was answered before the read started: barriers, replay, and everything but the poll.
    Strong,
    /// May lag: for the poll only (L6).
    Eventual,
}

/// What a log can do and costs.
#[derive(Debug, Clone, PartialEq)]
pub struct LogCapabilities {
    /// For logs and metrics: "memory", "disk", "dynamodb".
    pub name: &'static str,
    /// Appends per second that all gateways together may send, where there is a limit (L7).
    pub append_rate: Option<f64>,
    /// Entries of more bytes than this get a body of their own.
    pub inline_bytes_max: usize,
    /// Largest entry in bytes: a larger one is `TooLarge` in `stage`.
    pub entry_bytes_max: usize,
    /// Most elements in one append.
    pub append_elements_max: usize,
}

/// The metadata log.
///
/// Contract: appends never conflict with each other; an append's elements are added together, in their order, at
/// contiguous positions; positions are never reused; what one append was told is what every later read says.
#[async_trait]
pub trait MetadataLog: Send + Sync + fmt::Debug + 'static {
    /// The incarnation of this log (L8): fixed when the log was opened, and a condition of every append.
    fn incarnation(&self) -> Incarnation;

    /// Writes the body of a large entry, in parts, and returns when every part was acknowledged; does nothing for a
    /// small one. Staging the same entry again is harmless.
    ///
    /// # Errors
    /// `TooLarge` over `entry_bytes_max`. Any other error: nothing is in the log, whatever is left of the body.
    async fn stage(&self, entry: &Sealed) -> StoreResult<Staged>;

    /// Appends elements in one request. `known` is the last position the caller has applied.
    ///
    /// # Errors
    /// `Unknown` when they may be in the log; `Invalid` when the log has another incarnation or format, or is not
    /// there; else they certainly are not in the log.
    async fn append(&self, entries: &[Staged], known: LogPosition) -> StoreResult<Appended>;

    /// Everything after `known`.
    ///
    /// # Errors
    /// `Corrupt` for a gap that no snapshot explains, or a rollback (L6); `Invalid` as for `append`; those of any read.
    async fn read(&self, known: LogPosition, consistency: Consistency) -> StoreResult<TailRead>;

    /// The bytes of a body, read strongly and checked against the pointer.
    ///
    /// # Errors
    /// `NotFound` when a part is missing (judged like a gap, L6); `Corrupt` when the bytes do not fit the pointer.
    async fn read_body(&self, body: &BodyRef) -> StoreResult<Bytes>;

    /// What it can do.
    fn capabilities(&self) -> LogCapabilities;
}
