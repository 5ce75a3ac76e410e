//! SyncGroup: the leader brings the assignments, everybody hears its own.
//!
//! Promises: an assignment is answered from a State less than 2 s old (T6), an error after a barrier (T5); the leader's
//! command carries its member and generation, and is proposed a second time at most (T7). A follower whose watch is here
//! costs no command: it waits until the log shows that the group was stable, or rebalances without having been. As Kafka
//! answers who waits before anything else happens: clients that miss a generation may take what others have not given up
//! (KAFKA-14639). For the same reason a Sync is answered while the next rebalance runs, if this gateway was late to tell
//! its member of the generation (`replica/owed.rs`).

use std::collections::BTreeMap;

use bytes::Bytes;
use sluice_metadata::{
    Group, GroupCommand, GroupNumber, GroupOutcome, GroupPhase, Member, MemberNumber, Payload, SeenMember, State,
    SyncGroup,
};

use super::api::{MemberClaim, Origin, SyncAsk, Synced};
use super::join::find_member;
use super::judge::{check_group_id, judge_member, not_now, unexpected};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};
use crate::replica::{GroupGuard, Owed, SessionHold};

/// A Sync that may wait for its assignment.
struct Accepted<'a> {
    group: GroupNumber,
    member: MemberNumber,
    /// The member's, whether the request named it or not.
    instance_id: Option<String>,
    /// It counts as one that came before the rebalance that runs (`replica/owed.rs`).
    is_owed: bool,
    /// From before it was accepted until its wait is over.
    guard: GroupGuard<'a>,
}

/// What a waiting Sync needs to know itself again.
struct Waiting {
    group: GroupNumber,
    member: MemberNumber,
    generation: i32,
    instance_id: Option<String>,
    is_owed: bool,
}

impl Engine {
    /// The member's assignment in the generation it names, once the leader has brought it.
    ///
    /// # Errors
    /// `InvalidGroupId`, `UnknownMember`, `FencedInstanceId`, `IllegalGeneration`, `InconsistentGroupProtocol`,
    /// `RebalanceInProgress` by Kafka's rules; `NotFresh`, `NotCoordinatedNow` and those of a proposal when the client is
    /// to try again.
    pub async fn sync_group(&self, origin: &Origin, ask: SyncAsk) -> EngineResult<Synced> {
        check_group_id(&ask.group_id)?;
        self.check_asker(origin)?;
        let generation = ask.generation;
        // What the request carried is gone when this returns: a waiting Sync keeps nothing of its frame (I-14).
        let Accepted { group, member, instance_id, is_owed, guard } = self.accept_sync(origin, ask).await?;
        self.inner.replica.owed().settle(group, member);
        let waiting = Waiting { group, member, generation, instance_id, is_owed };
        self.wait_for_assignment(origin, waiting, guard).await
    }

    /// Sees to it that the member is watched here, and that what a leader brought is in the log.
    async fn accept_sync(&self, origin: &Origin, ask: SyncAsk) -> EngineResult<Accepted<'_>> {
        let claim = MemberClaim {
            member_id: ask.member_id.clone(),
            instance_id: ask.instance_id.clone(),
            generation: ask.generation,
        };
        let mut stored: Option<Vec<Payload>> = None;
        let mut is_second = false;
        loop {
            self.ensure_fresh_within(self.fresh_for_member()).await?;
            self.check_asker(origin)?;
            let judge = |view: &State| judge_sync(view, &ask, &claim, self.inner.replica.owed());
            let number = self.decide(Some(origin), |view| judge(view).into()).await?.0.number;
            // Registered before the look that counts, so that nothing that comes after it is missed; and before the own session is
            // looked at: the member may be hosted by it, or may be from here on, and is answered before another is opened.
            let wakers = self.inner.replica.wakers();
            let mut guard = wakers.register_group(number, wakers.hold_session());
            let Ok((group, member)) = judge(&self.inner.replica.view()) else { continue };
            if group.number != number {
                continue;
            }
            let is_here = member.watch.session == self.hosting_session()?;
            let leads = group.phase == GroupPhase::CompletingRebalance && group.leader == Some(member.number);
            let instance_id = member.instance_id.as_deref().map(str::to_owned);
            let is_owed = group.phase == GroupPhase::PreparingRebalance;
            let accepted = |guard| Accepted { group: group.number, member: member.number, instance_id, is_owed, guard };
            if is_here {
                self.inner.watch.note_activity(group.number, member.number);
                self.inner.watch.note_synced(group.number, member.number, group.generation);
                if !leads {
                    return Ok(accepted(guard));
                }
            }
            if leads && stored.is_none() {
                // Nothing is proposed yet: however long the object takes, another session may be opened meanwhile.
                drop(guard);
                let blobs: Vec<&Bytes> = ask.assignments.iter().map(|(_, assignment)| assignment).collect();
                stored = Some(self.store_payloads(&blobs).await?);
                self.check_asker(origin)?;
                guard = wakers.register_group(number, wakers.hold_session());
            }
            let assignments = leads.then(|| numbered(&group, &ask, stored.as_deref().unwrap_or_default()));
            match self.propose_sync(&group, &member, assignments, guard.hold()).await? {
                GroupOutcome::Synced => {
                    self.inner.watch.note_synced(group.number, member.number, group.generation);
                    return Ok(accepted(guard));
                }
                GroupOutcome::Refused(refusal) => return Err(refusal.into()),
                GroupOutcome::Mismatch if !is_second => self.check_reproposal(origin)?,
                GroupOutcome::Mismatch => return Err(not_now("the group changed while the member synced")),
                other => return Err(unexpected(&other)),
            }
            is_second = true;
        }
    }

    async fn propose_sync(
        &self,
        group: &Group,
        member: &Member,
        assignments: Option<Vec<(MemberNumber, Payload)>>,
        held: &SessionHold<'_>,
    ) -> EngineResult<GroupOutcome> {
        let command = SyncGroup {
            group: group.number,
            member: SeenMember { member: member.number, watch_epoch: member.watch.epoch },
            generation: group.generation,
            assignments,
            stamp_ms: self.inner.parts.stamp_ms(),
        };
        self.propose_held(GroupCommand::Sync(command), held).await
    }

    /// Waits until the group is stable in the generation, or no longer in it. What it holds to ends there, however long
    /// the answer takes.
    async fn wait_for_assignment(
        &self,
        origin: &Origin,
        waiting: Waiting,
        guard: GroupGuard<'_>,
    ) -> EngineResult<Synced> {
        let waits = self.inner.watch.hold_sync(waiting.group, waiting.member);
        loop {
            let view = self.inner.replica.view();
            let was_stable = guard.stable().filter(|group| group.generation == waiting.generation);
            let was_assigned = was_stable.as_ref().and_then(|group| Some((group, group.members.get(&waiting.member)?)));
            let (found, member) = match was_assigned {
                Some(was_assigned) => was_assigned,
                None => find_member(&view, waiting.group, waiting.member, waiting.instance_id.as_deref())?,
            };
            let is_assigned = match found.phase {
                _ if found.generation != waiting.generation => return Err(EngineError::RebalanceInProgress),
                GroupPhase::Stable => true,
                GroupPhase::PreparingRebalance if waiting.is_owed && member.assignment.is_some() => true,
                GroupPhase::PreparingRebalance | GroupPhase::Empty => return Err(EngineError::RebalanceInProgress),
                GroupPhase::CompletingRebalance => false,
            };
            if is_assigned {
                let (protocol_type, protocol) = (found.protocol_type.clone(), found.protocol.clone());
                let assignment = member.assignment.clone();
                drop((view, guard, waits));
                let assignment = self.read_payloads(vec![assignment]).await?.pop().unwrap_or_default();
                return Ok(Synced { protocol_type, protocol, assignment });
            }
            drop(view);
            self.check_wait(origin, &guard)?;
            self.inner.replica.note_interest();
            guard.woken().await;
        }
    }
}

/// Kafka's order: the member, its generation, the protocol, the phase.
fn judge_sync(
    view: &State,
    ask: &SyncAsk,
    claim: &MemberClaim,
    owed: &Owed,
) -> EngineResult<(std::sync::Arc<Group>, std::sync::Arc<Member>)> {
    let (group, member) = judge_member(view, &ask.group_id, claim)?;
    let differs = |asked: &Option<String>, is: Option<&str>| asked.as_deref().is_some_and(|asked| Some(asked) != is);
    if differs(&ask.protocol_type, group.protocol_type.as_deref()) || differs(&ask.protocol, group.protocol.as_deref())
    {
        return Err(EngineError::InconsistentGroupProtocol);
    }
    // The assignments of the generation that ends are in State until the next one begins; of one that never had any, none.
    let is_answered = || member.assignment.is_some() && owed.is_owed(group.number, member.number, group.generation);
    if group.phase == GroupPhase::PreparingRebalance && !is_answered() {
        return Err(EngineError::RebalanceInProgress);
    }
    Ok((group, member))
}

/// The assignments by member; those of strangers are left out, and of several for one member the last counts.
fn numbered(group: &Group, ask: &SyncAsk, payloads: &[Payload]) -> Vec<(MemberNumber, Payload)> {
    let named = ask.assignments.iter().zip(payloads);
    let numbered = named.filter_map(|((id, _), payload)| Some((group.member_by_id(id)?.number, payload.clone())));
    numbered.collect::<BTreeMap<_, _>>().into_iter().collect()
}
