//! LeaveGroup: members leave, or an administrator removes static ones.
//!
//! Promises: what the client asked for is done even if it is gone by then (the one exception of T7); each member hears its
//! own answer.

use sluice_metadata::{GroupCommand, GroupNumber, GroupOutcome, LeaveGroup, MemberNumber, State};

use super::api::{LeaveAsk, Origin};
use super::judge::{Judged, check_group_id, not_now, unexpected};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};

/// Who leaves, where that is known; else why not.
struct Leaving {
    group: Option<GroupNumber>,
    members: Vec<EngineResult<MemberNumber>>,
}

impl Engine {
    /// Removes members; `answers[i]` answers `members[i]`: `UnknownMember` or `FencedInstanceId` where it was not removed.
    ///
    /// # Errors
    /// `InvalidGroupId` for an empty id; `NotFresh`, `NotCoordinatedNow` and those of a proposal when nothing can be said.
    pub async fn leave_group(
        &self,
        origin: &Origin,
        group_id: &str,
        members: &[LeaveAsk],
    ) -> EngineResult<Vec<EngineResult<()>>> {
        check_group_id(group_id)?;
        let mut leaving = self.decide(None, |view| judge_leave(view, group_id, members)).await?;
        let mut outcome = self.propose_leave(&leaving).await?;
        if outcome == GroupOutcome::Mismatch {
            self.check_leave_again(origin)?;
            leaving = self.decide(None, |view| judge_leave(view, group_id, members)).await?;
            outcome = self.propose_leave(&leaving).await?;
        }
        let left = match outcome {
            GroupOutcome::Left(left) => left,
            GroupOutcome::Refused(refusal) => return Err(refusal.into()),
            GroupOutcome::Mismatch => return Err(not_now("the group changed while members left")),
            other => return Err(unexpected(&other)),
        };
        let mut left = left.into_iter();
        let mut answer = |member: EngineResult<MemberNumber>| match member {
            // Named twice, or removed by somebody else just now.
            Ok(_) if !left.next().unwrap_or(false) => Err(EngineError::UnknownMember),
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        Ok(leaving.members.into_iter().map(&mut answer).collect())
    }

    async fn propose_leave(&self, leaving: &Leaving) -> EngineResult<GroupOutcome> {
        let members: Vec<_> = leaving.members.iter().filter_map(|member| member.as_ref().ok().copied()).collect();
        match leaving.group {
            Some(group) if !members.is_empty() => {
                let stamp_ms = self.inner.parts.clock.wall_ms();
                self.propose_group(GroupCommand::Leave(LeaveGroup { group, members, stamp_ms })).await
            }
            _ => Ok(GroupOutcome::Left(Vec::new())),
        }
    }

    /// As for other commands, except that nobody need be there any more (T7).
    fn check_leave_again(&self, origin: &Origin) -> EngineResult<()> {
        let age = self.inner.parts.clock.now().saturating_duration_since(origin.read_at);
        if self.gaps().count() != origin.gaps || age >= self.inner.parts.limits.repropose_within {
            return Err(not_now("the group changed while members left"));
        }
        Ok(())
    }
}

/// Kafka's order: by instance id alone, then registered ones, then validateMember.
fn judge_leave(view: &State, group_id: &str, asks: &[LeaveAsk]) -> Judged<Leaving> {
    let Some(group) = view.group(group_id) else {
        let members = asks.iter().map(|_| Err(EngineError::UnknownMember)).collect();
        return Judged::IfFresh(Ok(Leaving { group: None, members }));
    };
    let number = |ask: &LeaveAsk| {
        let instance_id = ask.instance_id.as_deref();
        if ask.member_id.is_empty() {
            let member = instance_id.and_then(|instance| group.member_by_instance(instance));
            return member.map(|member| member.number).ok_or(EngineError::UnknownMember);
        }
        if let Some(registered) = group.registered_by_id(&ask.member_id) {
            return Ok(registered.number);
        }
        Ok(group.check_member(&ask.member_id, instance_id)?.number)
    };
    let members: Vec<_> = asks.iter().map(number).collect();
    let is_certain = members.iter().all(Result::is_ok);
    let leaving = Leaving { group: Some(group.number), members };
    if is_certain { Judged::Certain(leaving) } else { Judged::IfFresh(Ok(leaving)) }
}
