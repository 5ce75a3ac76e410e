//! Position → rolling hash, for the comparison that finds a replica gone astray (L9).

use std::collections::VecDeque;

use sluice_metadata::Position;

/// The hashes of the last positions applied.
#[derive(Debug)]
pub(crate) struct Hashes {
    /// Hash at `last - (len - 1) ..= last`.
    kept: VecDeque<u128>,
    last: Position,
    capacity: usize,
}

impl Hashes {
    /// Knows the hash at `position` and keeps `capacity` of them from there on.
    pub(crate) fn starting_at(position: Position, hash: u128, capacity: usize) -> Self {
        Self { kept: VecDeque::from([hash]), last: position, capacity: capacity.max(1) }
    }

    /// The next position's hash.
    pub(crate) fn push(&mut self, position: Position, hash: u128) {
        debug_assert_eq!(position, self.last.next(), "hashes are kept position by position");
        if self.kept.len() == self.capacity {
            self.kept.pop_front();
        }
        self.kept.push_back(hash);
        self.last = position;
    }

    /// The hash at `position`, if it is still kept.
    pub(crate) fn at(&self, position: Position) -> Option<u128> {
        let back = self.last.raw().checked_sub(position.raw())?;
        let index = (self.kept.len() - 1).checked_sub(usize::try_from(back).ok()?)?;
        self.kept.get(index).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Holds: L9
    #[test]
    fn keeps_the_last_hashes_and_no_others() {
        let at = |index| Position::new(0, index);
        let mut hashes = Hashes::starting_at(at(0), 100, 3);
        for index in 1..=5 {
            hashes.push(at(index), 100 + u128::from(index));
        }
        assert_eq!(hashes.at(at(5)), Some(105));
        assert_eq!(hashes.at(at(3)), Some(103));
        assert_eq!(hashes.at(at(2)), None);
        assert_eq!(hashes.at(at(6)), None);
    }
}
