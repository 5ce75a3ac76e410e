//! The last elements of the log, in memory: what nearly every tail is answered from.

use std::collections::VecDeque;

use sluice_store::{Element, Payload};

/// What an element costs beside its entry's bytes.
const ELEMENT_OVERHEAD_BYTES: usize = size_of::<Element>();

/// A bounded run of elements that ends at the log's end.
#[derive(Debug)]
pub(super) struct Recent {
    /// The position the next element will have.
    end: u64,
    elements: VecDeque<Element>,
    bytes: usize,
    bytes_max: usize,
}

impl Recent {
    /// Nothing yet, of a log whose next element will be at `end`.
    pub(super) fn new(end: u64, bytes_max: usize) -> Self {
        Self { end, elements: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// The position the next element will have.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// The position of the oldest element here; the end when there is none.
    fn first(&self) -> u64 {
        self.end.saturating_sub(self.elements.len() as u64)
    }

    /// Adds the element at the end; lets the oldest go while there are too many bytes.
    pub(super) fn push(&mut self, element: Element) {
        self.bytes = self.bytes.saturating_add(cost(&element));
        self.elements.push_back(element);
        self.end = self.end.saturating_add(1);
        while self.bytes > self.bytes_max {
            let Some(oldest) = self.elements.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(cost(&oldest));
        }
    }

    /// The elements at `from..to` that are here, and the position of the first of them: what lies between `from` and
    /// there must be read from the disk.
    pub(super) fn range(&self, from: u64, to: u64) -> (u64, Vec<Element>) {
        let first = self.first();
        let (from, to) = (from.max(first).min(to), to.min(self.end));
        let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        let take = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
        (from, self.elements.iter().skip(skip).take(take).cloned().collect())
    }
}

/// The bytes an element is counted as.
pub(super) fn cost(element: &Element) -> usize {
    let bytes = match &element.payload {
        Payload::Inline(bytes) => bytes.len(),
        Payload::Body(_) => 0,
    };
    bytes.saturating_add(ELEMENT_OVERHEAD_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn element(sequence: u64) -> Element {
        Element { session: 1, sequence, payload: Payload::Inline(Bytes::from(vec![0; 100])) }
    }

    /// A log of `count` elements of which about `kept` are here; the element at position p has sequence p.
    fn recent(count: u64, kept: usize) -> Recent {
        let mut recent = Recent::new(1, kept * cost(&element(1)));
        (1..=count).for_each(|sequence| recent.push(element(sequence)));
        recent
    }

    fn range(recent: &Recent, from: u64, to: u64) -> (u64, Vec<u64>) {
        let (first, elements) = recent.range(from, to);
        (first, elements.iter().map(|element| element.sequence).collect())
    }

    /// I-14: bounded by bytes.
    #[test]
    fn only_the_last_elements_are_kept() {
        let recent = recent(10, 4);
        assert_eq!((recent.first(), recent.end(), recent.elements.len()), (7, 11, 4));
        assert!(recent.bytes <= recent.bytes_max);
    }

    #[test]
    fn a_range_is_what_is_here_of_it() {
        let recent = recent(10, 4);
        assert_eq!(range(&recent, 8, 11), (8, vec![8, 9, 10]));
        assert_eq!(range(&recent, 8, 10), (8, vec![8, 9]), "up to an earlier end");
        assert_eq!(range(&recent, 3, 11), (7, vec![7, 8, 9, 10]), "what is older is on the disk");
        assert_eq!(range(&recent, 11, 11), (11, vec![]));
        assert_eq!(range(&recent, 2, 5), (5, vec![]), "all of it is on the disk");
    }

    #[test]
    fn an_element_over_the_bound_is_not_kept() {
        let recent = recent(3, 0);
        assert_eq!(range(&recent, 1, 4), (4, vec![]));
        assert_eq!(range(&Recent::new(6, 100), 2, 6), (6, vec![]), "as after opening");
    }
}
