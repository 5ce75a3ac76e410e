//! The order of commits: those of one group are enqueued in the order in which they were read on this gateway (T7).
//!
//! Promises: whatever a commit waits for between its reading and its proposal, none that was read after it on this gateway
//! gets before it; one whose request is dropped leaves the order at once. Bounded (I-14).
//! Never: holds a lock across an await. Called by `commit.rs`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The tickets of one group, in the order in which they were taken: the first one's turn it is.
type Queue = VecDeque<(u64, Arc<Notify>)>;

/// The commits of one gateway that were read and not enqueued yet.
#[derive(Debug)]
pub(crate) struct CommitOrder {
    waiting: Mutex<Tickets>,
    tickets_max: usize,
}

#[derive(Debug, Default)]
struct Tickets {
    groups: BTreeMap<Arc<str>, Queue>,
    count: usize,
    next: u64,
}

/// A place in the order: given back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    order: Arc<CommitOrder>,
    group: Arc<str>,
    number: u64,
    called: Arc<Notify>,
}

impl CommitOrder {
    /// An order of at most `tickets_max` commits.
    pub(crate) fn new(tickets_max: usize) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::new(Tickets::default()), tickets_max })
    }

    /// The next place among the commits of `group_id`; `None` when as many commits wait as may.
    pub(crate) fn take(self: &Arc<Self>, group_id: &str) -> Option<Ticket> {
        let mut tickets = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if tickets.count >= self.tickets_max {
            return None;
        }
        tickets.count += 1;
        let number = tickets.next;
        tickets.next += 1;
        let group = tickets.groups.get_key_value(group_id).map_or_else(|| group_id.into(), |(id, _)| id.clone());
        let called = Arc::new(Notify::new());
        tickets.groups.entry(Arc::clone(&group)).or_default().push_back((number, called.clone()));
        Some(Ticket { order: self.clone(), group, number, called })
    }

    fn is_first(&self, ticket: &Ticket) -> bool {
        let tickets = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let first = tickets.groups.get(&ticket.group).and_then(VecDeque::front);
        first.is_none_or(|(number, _)| *number == ticket.number)
    }
}

impl Ticket {
    /// Waits until everybody who was read before has enqueued, or is gone.
    pub(crate) async fn turn(&self) {
        while !self.order.is_first(self) {
            // Keeps one permit: a call between the look and here is not lost.
            self.called.notified().await;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut tickets = self.order.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.count = tickets.count.saturating_sub(1);
        let Some(queue) = tickets.groups.get_mut(&self.group) else { return };
        queue.retain(|(number, _)| *number != self.number);
        match queue.front() {
            Some((_, next)) => next.notify_one(),
            None => drop(tickets.groups.remove(&self.group)),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    // Holds: T7
    #[tokio::test]
    async fn turns_come_in_the_order_of_the_tickets_and_the_dropped_are_passed_over() {
        let order = CommitOrder::new(8);
        let [first, second, third] = [(); 3].map(|()| order.take("g").unwrap());
        let other = order.take("h").unwrap();
        assert!(first.turn().now_or_never().is_some());
        assert!(other.turn().now_or_never().is_some(), "another group's");
        assert!(second.turn().now_or_never().is_none());
        drop(second);
        assert!(third.turn().now_or_never().is_none(), "the first has not enqueued");
        let waits = tokio::spawn(async move { third.turn().await });
        tokio::task::yield_now().await;
        drop(first);
        waits.await.unwrap();
    }

    // Holds: I-14
    #[test]
    fn the_order_is_bounded_and_forgets_groups() {
        let order = CommitOrder::new(2);
        let held = [order.take("g"), order.take("g")];
        assert!(order.take("h").is_none());
        drop(held);
        let tickets = order.waiting.lock().unwrap();
        assert!(tickets.groups.is_empty() && tickets.count == 0);
    }
}
