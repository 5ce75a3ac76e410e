//! Heartbeat: a member is there, and hears whether its group rebalances.
//!
//! Promises: answers from a State less than 2 s old (T6), so a rebalance is heard of in time; costs no store request while
//! the member keeps coming to the same gateway. A member that comes to another one is taken over (T2).
//! Never: stores a heartbeat.

use std::sync::Arc;

use sluice_metadata::{Group, GroupCommand, GroupOutcome, GroupPhase, Member, SeenMember, State, TakeOver};

use super::api::{MemberClaim, Origin};
use super::judge::{check_group_id, judge_member, not_now, unexpected};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};

/// A take-over and its second proposal (T7), and the look after each.
const LOOKS_MAX: usize = 3;

impl Engine {
    /// Notes that the member is there.
    ///
    /// # Errors
    /// `UnknownMember`, `FencedInstanceId`, `IllegalGeneration`, `RebalanceInProgress` as Kafka tells them; `InvalidGroupId`
    /// for an empty id; `NotFresh`, `NotCoordinatedNow` and those of a proposal when nothing can be said now.
    pub async fn heartbeat(&self, origin: &Origin, group_id: &str, claim: &MemberClaim) -> EngineResult<()> {
        check_group_id(group_id)?;
        self.check_asker(origin)?;
        for _ in 0..LOOKS_MAX {
            self.ensure_fresh_within(self.fresh_for_member()).await?;
            self.check_asker(origin)?;
            let judge = |view: &State| judge_member(view, group_id, claim).into();
            let (group, member) = self.decide(Some(origin), judge).await?;
            if member.watch.session != self.hosting_session()? {
                self.take_over(origin, &group, &member).await?;
                continue;
            }
            self.inner.watch.note_activity(group.number, member.number);
            if group.phase != GroupPhase::PreparingRebalance {
                return Ok(());
            }
            return self.decide(Some(origin), |view| judge_calm(view, group_id, claim).into()).await;
        }
        Err(not_now("another gateway takes the member over again and again"))
    }

    /// Takes the watch of a member over. A mismatch is left to the next look, while there may be one (T7).
    async fn take_over(&self, origin: &Origin, group: &Arc<Group>, member: &Arc<Member>) -> EngineResult<()> {
        let seen = SeenMember { member: member.number, watch_epoch: member.watch.epoch };
        match self.propose_group(GroupCommand::TakeOver(TakeOver { group: group.number, member: seen })).await? {
            GroupOutcome::TookOver => Ok(()),
            GroupOutcome::Mismatch => self.check_reproposal(origin),
            GroupOutcome::Refused(refusal) => Err(refusal.into()),
            other => Err(unexpected(&other)),
        }
    }
}

fn judge_calm(view: &State, group_id: &str, claim: &MemberClaim) -> EngineResult<()> {
    match judge_member(view, group_id, claim)?.0.phase {
        GroupPhase::PreparingRebalance => Err(EngineError::RebalanceInProgress),
        GroupPhase::Empty | GroupPhase::CompletingRebalance | GroupPhase::Stable => Ok(()),
    }
}
