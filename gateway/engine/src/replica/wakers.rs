//! Who waits for State to change: long polls for partitions to grow, Joins and Syncs for their group to go on.
//!
//! Promises: a waiter registered before the State it looked at was replaced is woken when what it waits for changes; what
//! waits under a session that was lost is woken, and counted until it is gone (design section 8: it answers before another
//! session is opened). Never: holds a lock across an await; keeps a waiter that is gone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sluice_metadata::{Group, GroupNumber, PartitionKey};
use tokio::sync::Notify;

type Waiting<K, W> = BTreeMap<K, Vec<(u64, Arc<W>)>>;

/// Where a waiting Join or Sync is told.
#[derive(Debug, Default)]
struct GroupWait {
    notify: Notify,
    /// The group when it last became stable while the request waited: it may rebalance again before anybody looks.
    stable: Mutex<Option<Arc<Group>>>,
}

/// The waits of one gateway.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    partitions: Mutex<Waiting<PartitionKey, Notify>>,
    groups: Mutex<Waiting<GroupNumber, GroupWait>>,
    /// How many requests hold to the session that was open when so many had been lost.
    holds: Mutex<BTreeMap<u64, usize>>,
    /// Own sessions lost so far.
    losses: AtomicU64,
    next_id: AtomicU64,
    count: AtomicUsize,
    interrupted: AtomicBool,
    /// Told when the last request that held to a lost session is gone.
    released: Notify,
}

/// A registration for partitions: ends when dropped.
#[derive(Debug)]
pub(crate) struct WakeGuard<'a> {
    wakers: &'a Wakers,
    id: u64,
    keys: Vec<PartitionKey>,
    notify: Arc<Notify>,
}

/// A registration for a group: ends when dropped. Holds to the own session.
#[derive(Debug)]
pub(crate) struct GroupGuard<'a> {
    hold: SessionHold<'a>,
    id: u64,
    group: GroupNumber,
    wait: Arc<GroupWait>,
}

/// A request that must be answered before another session is opened, if the own one is lost: a Join or a Sync, from before
/// its command is proposed until its wait is over.
#[derive(Debug)]
pub(crate) struct SessionHold<'a> {
    wakers: &'a Wakers,
    losses: u64,
}

impl Wakers {
    /// Registers a wait for any of `keys` to grow.
    pub(crate) fn register(&self, keys: Vec<PartitionKey>) -> WakeGuard<'_> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let notify = Arc::new(Notify::new());
        let mut waiting = lock(&self.partitions);
        for key in &keys {
            waiting.entry(*key).or_default().push((id, notify.clone()));
        }
        drop(waiting);
        self.count.fetch_add(1, Ordering::Relaxed);
        WakeGuard { wakers: self, id, keys, notify }
    }

    /// Registers a wait for `group` to go on, under the session that the request has held to since before its command was
    /// proposed: were it lost since, the wait is over at once. The caller looks at State again after this, before it
    /// waits, and notes its interest with the replica, so that the log is polled (T4).
    pub(crate) fn register_group<'a>(&'a self, group: GroupNumber, hold: SessionHold<'a>) -> GroupGuard<'a> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let wait = Arc::new(GroupWait::default());
        lock(&self.groups).entry(group).or_default().push((id, wait.clone()));
        self.count.fetch_add(1, Ordering::Relaxed);
        GroupGuard { hold, id, group, wait }
    }

    /// True when a Join or Sync of the group waits.
    pub(crate) fn waits_for(&self, group: GroupNumber) -> bool {
        self.count() > 0 && lock(&self.groups).contains_key(&group)
    }

    /// Tells who waits for the group how it was when it became stable. They are woken by `wake`.
    pub(crate) fn tell_stable(&self, group: &Arc<Group>) {
        for (_, wait) in lock(&self.groups).get(&group.number).into_iter().flatten() {
            *lock(&wait.stable) = Some(group.clone());
        }
    }

    /// Holds to the session that is open now, or that will be opened next when none is.
    pub(crate) fn hold_session(&self) -> SessionHold<'_> {
        let mut holds = lock(&self.holds);
        let losses = self.losses();
        *holds.entry(losses).or_default() += 1;
        SessionHold { wakers: self, losses }
    }

    /// Wakes who waits for any of `touched` and `groups`; how many they are.
    pub(crate) fn wake(&self, touched: &[PartitionKey], groups: &[GroupNumber]) -> usize {
        if self.count() == 0 {
            return 0;
        }
        let mut woken = 0;
        if !touched.is_empty() {
            woken += notify_all(touched, &lock(&self.partitions), |notify| notify);
        }
        if !groups.is_empty() {
            woken += notify_all(groups, &lock(&self.groups), |wait| &wait.notify);
        }
        woken
    }

    /// Wakes every Join and Sync: they look again (after a clock gap, T7).
    pub(crate) fn wake_groups(&self) {
        lock(&self.groups).values().flatten().for_each(|(_, wait)| wait.notify.notify_one());
    }

    /// The own session is lost: what holds to it is woken, and has to go before another is opened.
    pub(crate) fn lose_session(&self) {
        let holds = lock(&self.holds);
        self.losses.fetch_add(1, Ordering::AcqRel);
        drop(holds);
        self.wake_groups();
    }

    /// Own sessions lost so far.
    pub(crate) fn losses(&self) -> u64 {
        self.losses.load(Ordering::Acquire)
    }

    /// True while a request holds to a session that is lost.
    pub(crate) fn holds_lost_session(&self) -> bool {
        let holds = lock(&self.holds);
        holds.range(..self.losses()).next().is_some()
    }

    /// Resolves when the last request that held to a lost session has gone.
    pub(crate) async fn released(&self) {
        self.released.notified().await;
    }

    /// Wakes everybody, now and for good: the gateway is stopping.
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Release);
        lock(&self.partitions).values().flatten().for_each(|(_, notify)| notify.notify_one());
        self.wake_groups();
    }

    /// True once `interrupt` was called.
    pub(crate) fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Acquire)
    }

    /// How many wait, for partitions and for groups: while some do, the log is polled (T4).
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    fn release_hold(&self, losses: u64) {
        let mut holds = lock(&self.holds);
        if let Some(count) = holds.get_mut(&losses) {
            *count -= 1;
            if *count == 0 {
                holds.remove(&losses);
                self.released.notify_one();
            }
        }
    }
}

/// Each list is whole at every step: a thread that panicked between two leaves nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn notify_all<K: Ord, W>(keys: &[K], waiting: &Waiting<K, W>, notify: impl Fn(&W) -> &Notify) -> usize {
    let notified = keys.iter().filter_map(|key| waiting.get(key)).flatten();
    notified.map(|(_, wait)| notify(wait).notify_one()).count()
}

fn forget<K: Ord, W>(waiting: &mut Waiting<K, W>, key: &K, id: u64) {
    if let Some(list) = waiting.get_mut(key) {
        list.retain(|(other, _)| *other != id);
        if list.is_empty() {
            waiting.remove(key);
        }
    }
}

impl WakeGuard<'_> {
    /// Resolves when one of the partitions has grown since the registration, or since the last call.
    pub(crate) async fn woken(&self) {
        self.notify.notified().await;
    }
}

impl Drop for WakeGuard<'_> {
    fn drop(&mut self) {
        let mut waiting = lock(&self.wakers.partitions);
        self.keys.iter().for_each(|key| forget(&mut waiting, key, self.id));
        drop(waiting);
        self.wakers.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl GroupGuard<'_> {
    /// Resolves when there is a reason to look again since the registration, or since the last call: the group changed,
    /// the own session was lost, the gateway stops, or there was a clock gap.
    pub(crate) async fn woken(&self) {
        self.wait.notify.notified().await;
    }

    /// The group as it was when it became stable last, if that was since the registration.
    pub(crate) fn stable(&self) -> Option<Arc<Group>> {
        lock(&self.wait.stable).clone()
    }

    /// What the request holds to.
    pub(crate) fn hold(&self) -> &SessionHold<'_> {
        &self.hold
    }

    /// True when the session that the request holds to is lost: it is answered 15 and lets go.
    pub(crate) fn is_session_lost(&self) -> bool {
        self.hold.is_lost()
    }
}

impl Drop for GroupGuard<'_> {
    fn drop(&mut self) {
        let wakers = self.hold.wakers;
        forget(&mut lock(&wakers.groups), &self.group, self.id);
        wakers.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl SessionHold<'_> {
    /// True when the session is lost: the request is answered 15 and lets go.
    pub(crate) fn is_lost(&self) -> bool {
        self.losses < self.wakers.losses()
    }

    /// How many own sessions had been lost when it was taken.
    pub(crate) fn losses(&self) -> u64 {
        self.losses
    }
}

impl Drop for SessionHold<'_> {
    fn drop(&mut self) {
        self.wakers.release_hold(self.losses);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use uuid::Uuid;

    fn key(partition: i32) -> PartitionKey {
        PartitionKey { topic_id: Uuid::from_u128(1), partition }
    }

    #[tokio::test]
    async fn wakes_those_who_wait_for_the_partition_and_forgets_them() {
        let wakers = Wakers::default();
        let one = wakers.register(vec![key(1), key(2)]);
        let other = wakers.register(vec![key(3)]);
        assert_eq!(wakers.wake(&[key(2)], &[]), 1);
        one.woken().await;
        assert!(other.woken().now_or_never().is_none());
        drop((one, other));
        assert_eq!(wakers.count(), 0);
        assert!(lock(&wakers.partitions).is_empty());
    }

    // Holds: T4
    #[tokio::test]
    async fn wakes_those_who_wait_for_the_group_and_counts_nobody_else() {
        let wakers = Wakers::default();
        let register = |group| wakers.register_group(GroupNumber(group), wakers.hold_session());
        let (one, other) = (register(1), register(2));
        assert_eq!(wakers.count(), 2);
        assert_eq!(wakers.wake(&[key(1)], &[GroupNumber(3)]), 0, "nobody waits for these");
        assert_eq!(wakers.wake(&[], &[GroupNumber(1)]), 1);
        one.woken().await;
        assert!(other.woken().now_or_never().is_none());
        wakers.interrupt();
        other.woken().await;
        drop((one, other));
        assert_eq!(wakers.count(), 0);
        assert!(lock(&wakers.groups).is_empty() && lock(&wakers.holds).is_empty());
    }

    // Holds: T1
    #[tokio::test]
    async fn what_holds_to_a_lost_session_is_woken_and_counted_until_it_is_gone() {
        let wakers = Wakers::default();
        let (waiting, hold) = (wakers.hold_session(), wakers.hold_session());
        let waiting = wakers.register_group(GroupNumber(1), waiting);
        assert!(!waiting.is_session_lost() && !wakers.holds_lost_session());
        wakers.lose_session();
        waiting.woken().await;
        let later = wakers.hold_session();
        assert!(waiting.is_session_lost() && hold.is_lost() && !later.is_lost());
        drop(waiting);
        let hold = wakers.register_group(GroupNumber(2), hold);
        assert!(hold.is_session_lost(), "a wait that begins after the loss is over at once");
        assert!(wakers.holds_lost_session(), "one has not answered yet");
        assert!(wakers.released().now_or_never().is_none());
        drop(hold);
        wakers.released().await;
        assert!(!wakers.holds_lost_session());
        drop(later);
        assert!(lock(&wakers.holds).is_empty());
    }
}
