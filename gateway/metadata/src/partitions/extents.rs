//! The extents of one partition: found by offset and by timestamp without looking at each.
//!
//! Promises: offsets ascend; a clone is O(1) and never changes (L10). Beside each extent stands the greatest timestamp so
//! far, of it and of all that came before it in this list's life, those that were forgotten too. It never falls from one
//! extent to the next, so the first that reaches a timestamp is found by halving, and no extent before that one can have
//! it.
//!
//! What was forgotten can only make that search begin too early, never too late: then the first extent of all is found
//! though its own timestamps are lower, and the search goes on one by one. That happens where a timestamp far ahead of its
//! time was deleted, until later ones pass it; a list that is restored from a snapshot does not know of it any more. It
//! tells how fast an answer comes and not which, and so is no part of what makes two lists equal.

use imbl::Vector;

use crate::Extent;

/// An extent in its list.
#[derive(Debug, Clone, Copy)]
struct Listed {
    extent: Extent,
    max_timestamp_so_far: i64,
}

/// Extents in offset order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Extents {
    list: Vector<Listed>,
}

impl Extents {
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn first(&self) -> Option<&Extent> {
        self.list.front().map(|listed| &listed.extent)
    }

    pub(crate) fn last(&self) -> Option<&Extent> {
        self.list.back().map(|listed| &listed.extent)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Extent> {
        self.list.iter().map(|listed| &listed.extent)
    }

    /// Adds an extent that begins where the last one ends.
    pub(crate) fn push(&mut self, extent: Extent) {
        let before = self.list.back().map_or(i64::MIN, |listed| listed.max_timestamp_so_far);
        self.list.push_back(Listed { extent, max_timestamp_so_far: before.max(extent.max_timestamp) });
    }

    /// Puts the last extent, grown, in its own place.
    pub(crate) fn grow_last(&mut self, grown: Extent) {
        if let Some(last) = self.list.back_mut() {
            let max_timestamp_so_far = last.max_timestamp_so_far.max(grown.max_timestamp);
            *last = Listed { extent: grown, max_timestamp_so_far };
        }
    }

    /// Forgets the extents that end at or before `offset`; answers how many.
    pub(crate) fn forget_below(&mut self, offset: i64) -> usize {
        let forgotten = self.first_ending_after(offset);
        self.list = self.list.split_off(forgotten);
        forgotten
    }

    /// The extents from the first that ends past `offset`. O(log n) to the first.
    pub(crate) fn ending_after(&self, offset: i64) -> impl Iterator<Item = &Extent> {
        self.list.focus().narrow(self.first_ending_after(offset)..).into_iter().map(|listed| &listed.extent)
    }

    /// The extents whose greatest timestamp is at least this.
    pub(crate) fn since(&self, timestamp: i64) -> impl Iterator<Item = &Extent> {
        let first = self.first_index(|listed| listed.max_timestamp_so_far >= timestamp);
        let from = self.list.focus().narrow(first..).into_iter().map(|listed| &listed.extent);
        from.filter(move |extent| extent.max_timestamp >= timestamp)
    }

    /// The greatest timestamp of all.
    pub(crate) fn max_timestamp(&self) -> Option<i64> {
        let so_far = self.list.back()?.max_timestamp_so_far;
        let is_there = self.since(so_far).next().is_some();
        if is_there { Some(so_far) } else { self.iter().map(|extent| extent.max_timestamp).max() }
    }

    /// Index of the first extent whose end is past `offset`; the number of extents when there is none.
    fn first_ending_after(&self, offset: i64) -> usize {
        self.first_index(|listed| listed.extent.end_offset() > offset)
    }

    /// Index of the first of which `is_there` is true, as it is of all that follow it.
    fn first_index(&self, is_there: impl Fn(&Listed) -> bool) -> usize {
        let order = |listed: &Listed| {
            if is_there(listed) { std::cmp::Ordering::Greater } else { std::cmp::Ordering::Less }
        };
        self.list.binary_search_by(order).unwrap_or_else(|index| index)
    }

    /// Whether the timestamps so far are what the module promises.
    pub(crate) fn is_searchable(&self) -> bool {
        let mut before = None;
        self.list.iter().all(|listed| {
            let own = listed.extent.max_timestamp;
            let so_far = listed.max_timestamp_so_far;
            let is_true = before.map_or(so_far >= own, |before: i64| so_far == before.max(own));
            before = Some(so_far);
            is_true
        })
    }
}

impl PartialEq for Extents {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Extents {}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    // A million extents are a normal State: their size is its memory (I-14).
    #[test]
    fn a_listed_extent_is_at_most_56_bytes() {
        assert!(size_of::<Listed>() <= 56, "{}", size_of::<Listed>());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Push(u32, i64),
        Grow(i64),
        Forget(i64),
        Restore,
    }

    fn any_step() -> impl Strategy<Value = Step> {
        // Mostly rising, often equal, and now and then far ahead.
        let timestamp = || prop_oneof![8 => 0..40_i64, 1 => any::<i64>(), 1 => Just(i64::MIN)];
        prop_oneof![
            6 => (1..4_u32, timestamp()).prop_map(|(records, timestamp)| Step::Push(records, timestamp)),
            2 => timestamp().prop_map(Step::Grow),
            2 => (0..30_i64).prop_map(Step::Forget),
            1 => Just(Step::Restore),
        ]
    }

    fn extent(base_offset: i64, records: u32, max_timestamp: i64) -> Extent {
        Extent { base_offset, records, object: crate::fixture::object(1), start: 0, bytes: 61, max_timestamp }
    }

    /// Everything that is asked by timestamp, by looking at each.
    fn check(extents: &Extents, list: &[Extent]) -> Result<(), TestCaseError> {
        prop_assert!(extents.is_searchable());
        prop_assert_eq!(extents.iter().copied().collect::<Vec<_>>(), list);
        prop_assert_eq!(extents.max_timestamp(), list.iter().map(|extent| extent.max_timestamp).max());
        let asked = [i64::MIN, -1, 0, 5, 20, 39, 40, i64::MAX];
        for timestamp in asked.into_iter().chain(list.iter().map(|extent| extent.max_timestamp)) {
            let expected: Vec<_> = list.iter().filter(|extent| extent.max_timestamp >= timestamp).collect();
            prop_assert_eq!(extents.since(timestamp).collect::<Vec<_>>(), expected, "since {}", timestamp);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(crate::simulation::config(500))]

        #[test]
        fn timestamps_are_found_as_by_looking_at_each(steps in vec(any_step(), 1..80)) {
            let (mut extents, mut list) = (Extents::default(), Vec::<Extent>::new());
            let mut end = 0;
            for step in steps {
                let (view, seen) = (extents.clone(), list.clone());
                match step {
                    Step::Push(records, timestamp) => {
                        let extent = extent(end, records, timestamp);
                        end = extent.end_offset();
                        extents.push(extent);
                        list.push(extent);
                    }
                    Step::Grow(timestamp) => {
                        if let Some(grown) = extents.last().and_then(|last| last.grown(1, 61, timestamp)) {
                            end = grown.end_offset();
                            extents.grow_last(grown);
                            *list.last_mut().unwrap() = grown;
                        }
                    }
                    Step::Forget(ahead) => {
                        let offset = list.first().map_or(end, |first| (first.base_offset + ahead).min(end));
                        let before = list.len();
                        list.retain(|extent| extent.end_offset() > offset);
                        prop_assert_eq!(extents.forget_below(offset), before - list.len());
                    }
                    Step::Restore => {
                        let mut restored = Extents::default();
                        list.iter().for_each(|extent| restored.push(*extent));
                        prop_assert_eq!(&restored, &extents, "what was forgotten is no part of it");
                        extents = restored;
                    }
                }
                check(&extents, &list)?;
                // L10: who holds the list of before still has it.
                prop_assert_eq!(view.iter().copied().collect::<Vec<_>>(), seen);
            }
        }
    }
}
