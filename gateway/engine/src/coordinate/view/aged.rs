//! A set in which each member has a time, such as since when it is there.
//!
//! Promises: the oldest are found without a look at the others. Never: reads a clock.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

/// Keys, each with a time.
#[derive(Debug)]
pub(super) struct Aged<K> {
    since: BTreeMap<K, Instant>,
    /// The same, by age.
    by_age: BTreeSet<(Instant, K)>,
}

impl<K> Default for Aged<K> {
    fn default() -> Self {
        Self { since: BTreeMap::new(), by_age: BTreeSet::new() }
    }
}

impl<K: Ord + Clone> Aged<K> {
    pub(super) fn len(&self) -> usize {
        self.since.len()
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.since.contains_key(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.since.keys()
    }

    /// The time of the oldest.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.by_age.first().map(|(since, _)| *since)
    }

    /// Adds a key; one that is there keeps its time.
    pub(super) fn add(&mut self, key: K, since: Instant) {
        if !self.since.contains_key(&key) {
            self.by_age.insert((since, key.clone()));
            self.since.insert(key, since);
        }
    }

    /// Adds a key, or gives it another time.
    pub(super) fn renew(&mut self, key: K, since: Instant) {
        self.remove(&key);
        self.add(key, since);
    }

    pub(super) fn remove(&mut self, key: &K) {
        if let Some((key, since)) = self.since.remove_entry(key) {
            self.by_age.remove(&(since, key));
        }
    }

    /// Takes the oldest, none younger than `latest`, at most so many, with their times.
    pub(super) fn take_oldest(&mut self, latest: Option<Instant>, most: usize) -> Vec<(Instant, K)> {
        let mut taken = Vec::new();
        while taken.len() < most && self.oldest().is_some_and(|oldest| latest.is_none_or(|latest| oldest <= latest)) {
            let Some((since, key)) = self.by_age.pop_first() else { break };
            self.since.remove(&key);
            taken.push((since, key));
        }
        taken
    }

    /// Removes what is older than this.
    pub(super) fn forget_before(&mut self, oldest: Instant) {
        while self.oldest().is_some_and(|since| since < oldest) {
            if let Some((_, key)) = self.by_age.pop_first() {
                self.since.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    // Holds: I-14
    #[test]
    fn the_oldest_come_first_and_both_orders_agree() {
        let origin = Instant::now();
        let at = |secs: u64| origin + Duration::from_secs(secs);
        let mut aged = Aged::default();
        for (key, secs) in [("c", 1), ("a", 2), ("b", 2), ("d", 3), ("e", 9)] {
            aged.add(key, at(secs));
        }
        aged.add("a", at(7));
        assert_eq!((aged.len(), aged.oldest()), (5, Some(at(1))));
        aged.renew("c", at(8));
        aged.remove(&"d");
        assert_eq!(aged.take_oldest(None, 2), [(at(2), "a"), (at(2), "b")]);
        aged.add("f", at(4));
        aged.forget_before(at(8));
        assert!(aged.contains(&"c") && !aged.contains(&"f"));
        assert_eq!(aged.keys().copied().collect::<Vec<_>>(), ["c", "e"]);
        assert_eq!(aged.take_oldest(Some(at(8)), 9), [(at(8), "c")]);
        assert_eq!(aged.take_oldest(None, 9), [(at(9), "e")]);
        assert!(aged.by_age.is_empty() && aged.since.is_empty());
    }
}
