//! Members that are yet to sync, and whose Sync Kafka would have seen before the next rebalance began.
//!
//! Kafka answers the Joins of a generation together, so that each member has synced before whoever is faster joins again. A
//! gateway that reads the log behind the others may tell its member of the generation when the next rebalance runs already.
//! The member must not miss the generation for that: clients may take what such a member still owns (KAFKA-14639).
//!
//! Promises: a member is owed its assignment from before its Join is answered until it syncs, joins again or its generation is
//! over; or, if it was told in time, until this gateway has shown its group stable. One small entry per member.
//! Never: says what the assignment is: State does, which keeps those of a generation until the next one begins.
//! Called by `coordinate/` when it answers, by the log task when it publishes.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sluice_metadata::{GroupNumber, GroupPhase, MemberNumber, State};

/// The members of this gateway that are yet to sync.
#[derive(Debug, Default)]
pub(crate) struct Owed(Mutex<BTreeMap<GroupNumber, BTreeMap<MemberNumber, Debt>>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Debt {
    generation: i32,
    /// The generation had its assignments already when the Join was answered: no Sync could have come before them.
    is_late: bool,
}

impl Owed {
    /// The member's Join is about to be answered with the generation. The caller looks at State after this, and says it
    /// again with `is_late` if the generation does not wait for its assignments any more.
    pub(crate) fn note(&self, group: GroupNumber, member: MemberNumber, generation: i32, is_late: bool) {
        self.lock().entry(group).or_default().insert(member, Debt { generation, is_late });
    }

    /// Whether a Sync of the member is one that Kafka would have seen before the rebalance that has begun since.
    pub(crate) fn is_owed(&self, group: GroupNumber, member: MemberNumber, generation: i32) -> bool {
        let owed = self.lock();
        let debt = owed.get(&group).and_then(|members| members.get(&member));
        debt.is_some_and(|debt| debt.generation == generation)
    }

    /// The member has synced, or joins again.
    pub(crate) fn settle(&self, group: GroupNumber, member: MemberNumber) {
        if let Entry::Occupied(mut members) = self.lock().entry(group) {
            members.get_mut().remove(&member);
            if members.get().is_empty() {
                members.remove();
            }
        }
    }

    /// State was published, with changes to these groups.
    pub(crate) fn look(&self, state: &State, groups: &[GroupNumber]) {
        if groups.is_empty() {
            return;
        }
        let mut owed = self.lock();
        for number in groups {
            let Entry::Occupied(mut members) = owed.entry(*number) else { continue };
            let now = state.group_by_number(*number).map(|group| (group.generation, group.phase));
            members.get_mut().retain(|_, debt| now.is_some_and(|now| debt.outlives(now)));
            if members.get().is_empty() {
                members.remove();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<GroupNumber, BTreeMap<MemberNumber, Debt>>> {
        // Every holder leaves the map whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debt {
    fn outlives(self, (generation, phase): (i32, GroupPhase)) -> bool {
        self.generation == generation && (self.is_late || phase != GroupPhase::Stable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: GroupNumber = GroupNumber(1);
    const MEMBER: MemberNumber = MemberNumber(2);

    #[test]
    fn a_debt_lasts_until_the_generation_is_over_or_was_shown_stable_in_time() {
        let in_time = Debt { generation: 3, is_late: false };
        let late = Debt { generation: 3, is_late: true };
        for phase in [GroupPhase::CompletingRebalance, GroupPhase::PreparingRebalance] {
            assert!(in_time.outlives((3, phase)) && late.outlives((3, phase)), "{phase:?}");
        }
        assert!(!in_time.outlives((3, GroupPhase::Stable)) && late.outlives((3, GroupPhase::Stable)));
        assert!(!in_time.outlives((4, GroupPhase::CompletingRebalance)));
        assert!(!late.outlives((4, GroupPhase::CompletingRebalance)));
    }

    #[test]
    fn what_is_settled_or_belongs_to_a_group_that_is_gone_is_forgotten() {
        let owed = Owed::default();
        owed.note(GROUP, MEMBER, 3, false);
        assert!(owed.is_owed(GROUP, MEMBER, 3) && !owed.is_owed(GROUP, MEMBER, 4));
        owed.settle(GROUP, MEMBER);
        assert!(owed.lock().is_empty());
        owed.note(GROUP, MEMBER, 3, true);
        owed.look(&State::new(sluice_metadata::Incarnation(1)), &[GroupNumber(9)]);
        assert!(owed.is_owed(GROUP, MEMBER, 3), "another group changed");
        owed.look(&State::new(sluice_metadata::Incarnation(1)), &[GROUP]);
        assert!(owed.lock().is_empty());
    }
}
