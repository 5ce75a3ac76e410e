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
        let first = self.leave_once(None, group_id, members).await?;
        let mut answers = first.unwrap_or_else(|| vec![None; members.len()]);
        // Who was not there any more when this came to the log: named twice, removed by somebody else – or, under its
        // instance id, replaced by another member, which is to leave instead (T5, T7).
        let missed: Vec<_> = members.iter().zip(&answers).filter(|(_, answer)| answer.is_none()).collect();
        if missed.is_empty() {
            return Ok(answers.into_iter().flatten().collect());
        }
        let missed: Vec<LeaveAsk> = missed.into_iter().map(|(ask, _)| ask.clone()).collect();
        let again = match self.leave_once(Some(origin), group_id, &missed).await {
            Ok(Some(again)) => {
                again.into_iter().map(|answer| answer.unwrap_or(Err(EngineError::UnknownMember))).collect()
            }
            Ok(None) => vec![Err(not_now("the group changed while members left")); missed.len()],
            Err(error) => vec![Err(error); missed.len()],
        };
        answers.iter_mut().filter(|answer| answer.is_none()).zip(again).for_each(|(answer, told)| *answer = Some(told));
        Ok(answers.into_iter().flatten().collect())
    }

    /// Decides and proposes once. `None`: refused for what came between; `None` for one: it was not there any more.
    /// `again`: the second proposal of a request is made only in time (T7).
    async fn leave_once(
        &self,
        again: Option<&Origin>,
        group_id: &str,
        asks: &[LeaveAsk],
    ) -> EngineResult<Option<Vec<Option<EngineResult<()>>>>> {
        let leaving = self.decide(None, |view| judge_leave(view, group_id, asks)).await?;
        if let Some(origin) = again.filter(|_| leaving.members.iter().any(Result::is_ok)) {
            self.check_leave_again(origin)?;
        }
        let left = match self.propose_leave(&leaving).await? {
            GroupOutcome::Left(left) => left,
            GroupOutcome::Refused(refusal) => return Err(refusal.into()),
            GroupOutcome::Mismatch => return Ok(None),
            other => return Err(unexpected(&other)),
        };
        let mut left = left.into_iter();
        let answer = |member: EngineResult<MemberNumber>| match member {
            Ok(_) => left.next().unwrap_or(false).then_some(Ok(())),
            Err(error) => Some(Err(error)),
        };
        Ok(Some(leaving.members.into_iter().map(answer).collect()))
    }

    async fn propose_leave(&self, leaving: &Leaving) -> EngineResult<GroupOutcome> {
        let members: Vec<_> = leaving.members.iter().filter_map(|member| member.as_ref().ok().copied()).collect();
        match leaving.group {
            Some(group) if !members.is_empty() => {
                let stamp_ms = self.inner.parts.stamp_ms();
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
