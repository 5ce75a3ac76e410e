//! Positions in a metadata log.

use std::fmt;

/// A position in a metadata log: the log's number in the top 8 bits (0 today), the index below.
///
/// L12: every persisted position names its log, so that State can be sharded over several logs later without a new
/// format. Ordered by log, then by index. Index 0 is "before the first element".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Position(u64);

const INDEX_BITS: u32 = 56;

impl Position {
    /// Before the first element of log 0: nothing is known.
    pub const ZERO: Self = Self(0);
    /// The greatest index of a log, 2^56 − 1.
    pub const MAX_INDEX: u64 = (1 << INDEX_BITS) - 1;

    /// The position at `index` of `log`. An index above [`Self::MAX_INDEX`] becomes that.
    #[must_use]
    pub fn new(log: u8, index: u64) -> Self {
        Self((u64::from(log) << INDEX_BITS) | index.min(Self::MAX_INDEX))
    }

    /// The number of the log.
    #[must_use]
    pub fn log(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// The index in its log.
    #[must_use]
    pub fn index(self) -> u64 {
        self.0 & Self::MAX_INDEX
    }

    /// The form in which it is persisted.
    #[must_use]
    pub fn raw(self) -> u64 {
        self.0
    }

    /// The position that was persisted as `raw`.
    #[must_use]
    pub fn from_raw(raw: u64) -> Self {
        Self(raw)
    }

    /// The position after this one in the same log; itself at the log's greatest index.
    #[must_use]
    pub fn next(self) -> Self {
        Self::new(self.log(), self.index().saturating_add(1))
    }
}

impl fmt::Display for Position {
    /// The index alone for log 0, `log:index` for others.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.log() {
            0 => write!(f, "{}", self.index()),
            log => write!(f, "{log}:{}", self.index()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Holds: L12
    #[test]
    fn a_position_names_its_log() {
        let position = Position::new(3, 41);
        assert_eq!((position.log(), position.index()), (3, 41));
        assert_eq!(position.raw(), (3 << 56) | 41);
        assert_eq!(Position::from_raw(position.raw()), position);
        assert_eq!(position.next(), Position::new(3, 42));
        assert_eq!(position.to_string(), "3:41");
        assert!(Position::new(0, u64::MAX) < Position::new(1, 0));
    }

    #[test]
    fn the_last_index_of_a_log_never_runs_into_the_next_log() {
        let last = Position::new(7, Position::MAX_INDEX);
        assert_eq!(last.next(), last);
        assert_eq!(Position::new(7, u64::MAX), last);
    }
}
