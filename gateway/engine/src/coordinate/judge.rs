//! Judging: from which State a request is answered, and whether there still is somebody to answer.
//!
//! Promises: nothing negative is answered from a State older than the request (T5); nothing is proposed for a client that
//! is gone, nor after a clock gap (T7).
//! Never: writes. Called by every file here that answers a request.

use std::time::Duration;

use sluice_metadata::{Group, GroupCommand, GroupOutcome, GroupRefusal, Member, SessionId, State};

use super::api::{MemberClaim, Origin};
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};
use crate::replica::{GroupGuard, Patience, SessionHold};

/// What was decided from one State.
pub(super) enum Judged<T> {
    /// Holds whatever has happened since.
    Certain(T),
    /// An error, or something that rests on an absence: holds only if State is newer than the request.
    IfFresh(EngineResult<T>),
}

impl<T> From<EngineResult<T>> for Judged<T> {
    fn from(result: EngineResult<T>) -> Self {
        match result {
            Ok(certain) => Self::Certain(certain),
            error => Self::IfFresh(error),
        }
    }
}

impl From<GroupRefusal> for EngineError {
    fn from(refusal: GroupRefusal) -> Self {
        match refusal {
            GroupRefusal::GroupNotFound => Self::GroupIdNotFound,
            GroupRefusal::UnknownMember => Self::UnknownMember,
            GroupRefusal::FencedInstance => Self::FencedInstanceId,
            GroupRefusal::IllegalGeneration => Self::IllegalGeneration,
            GroupRefusal::RebalanceInProgress => Self::RebalanceInProgress,
            GroupRefusal::InconsistentProtocol => Self::InconsistentGroupProtocol,
            GroupRefusal::GroupFull => Self::GroupMaxSizeReached,
            GroupRefusal::NotEmpty => Self::NonEmptyGroup,
            GroupRefusal::LimitReached => Self::LimitReached(refusal.to_string()),
            GroupRefusal::Malformed => Self::InvalidRequest(refusal.to_string()),
        }
    }
}

impl Engine {
    /// T7: called on reading a request, and after every wait.
    pub(super) fn check_asker(&self, origin: &Origin) -> EngineResult<()> {
        // The gap first: after one, what the connection looked like before says nothing.
        if self.gaps().count() != origin.gaps {
            return Err(not_now("the gateway did not run for a while after it had read the request"));
        }
        if origin.connection.is_gone() {
            return Err(not_now("the client is gone"));
        }
        Ok(())
    }

    /// Whether a waiting Join or Sync may go on waiting.
    pub(super) fn check_wait(&self, origin: &Origin, guard: &GroupGuard<'_>) -> EngineResult<()> {
        if self.inner.replica.wakers().is_interrupted() {
            return Err(not_now("the gateway is stopping"));
        }
        if guard.is_session_lost() {
            return Err(not_now("the gateway's session was lost"));
        }
        self.check_asker(origin)
    }

    /// T7: whether a refused command may be proposed once more, with what State shows now.
    pub(super) fn check_reproposal(&self, origin: &Origin) -> EngineResult<()> {
        self.check_asker(origin)?;
        let age = self.inner.parts.clock.now().saturating_duration_since(origin.read_at);
        if age >= self.inner.parts.limits.repropose_within {
            return Err(not_now("the group changed while the request was on its way"));
        }
        Ok(())
    }

    /// Decides from the published State; what does not hold for certain is decided again after a barrier (T5), unless State
    /// was refreshed since the request was read. `origin` is that of a request which is dropped when its client is gone
    /// (T7).
    pub(super) async fn decide<T>(
        &self,
        origin: Option<&Origin>,
        judge: impl Fn(&State) -> Judged<T> + Send + Sync,
    ) -> EngineResult<T> {
        // Looked at before State is: what was published by then is in it. A read that began in the same instant may have
        // begun before the request was read.
        let refreshed = self.inner.replica.shared().refreshed();
        let is_newer = origin.is_some_and(|origin| refreshed > origin.read_at);
        match judge(&self.inner.replica.view()) {
            Judged::Certain(decided) => return Ok(decided),
            Judged::IfFresh(decided) if is_newer => return decided,
            Judged::IfFresh(decided) if self.inner.parts.defects.errors_without_barrier => return decided,
            Judged::IfFresh(_) => {}
        }
        self.barrier().await?;
        if let Some(origin) = origin {
            self.check_asker(origin)?;
        }
        match judge(&self.inner.replica.view()) {
            Judged::Certain(decided) => Ok(decided),
            Judged::IfFresh(decided) => decided,
        }
    }

    /// Proposes a command and waits for apply.
    pub(super) async fn propose_group(&self, command: GroupCommand) -> EngineResult<GroupOutcome> {
        let deadline = self.inner.parts.clock.now() + self.inner.parts.limits.request_timeout;
        self.inner.replica.propose_group(command, Patience::Now, deadline).await?.outcome().await
    }

    /// As `propose_group`, of a Join or a Sync: never sent under another session than the one it holds to.
    pub(super) async fn propose_held(
        &self,
        command: GroupCommand,
        held: &SessionHold<'_>,
    ) -> EngineResult<GroupOutcome> {
        let deadline = self.inner.parts.clock.now() + self.inner.parts.limits.request_timeout;
        self.inner.replica.propose_held(command, held, deadline).await?.outcome().await
    }

    /// The own session, without which nobody can be watched from here.
    pub(super) fn hosting_session(&self) -> EngineResult<SessionId> {
        self.own_session().ok_or_else(|| not_now("the gateway's session is being opened"))
    }

    /// How old State may be for an answer that says "all is well" (T6).
    pub(super) fn fresh_for_member(&self) -> Duration {
        self.inner.parts.limits.fresh_for_heartbeat
    }
}

/// Something of design section 5 stands in the way: T6, T7 or a lost session.
pub(super) fn not_now(why: &str) -> EngineError {
    EngineError::NotCoordinatedNow(why.to_owned())
}

/// An outcome that the command cannot have: a defect, told as "try again".
pub(super) fn unexpected(outcome: &GroupOutcome) -> EngineError {
    tracing::error!(?outcome, "a command of a group has an outcome of another");
    not_now("the outcome was not one of this command")
}

/// Group ids as Kafka takes them where members ask: not empty, and no longer than a string may be.
pub(super) fn check_group_id(group_id: &str) -> EngineResult<()> {
    let is_legal = !group_id.is_empty() && group_id.len() <= sluice_metadata::limits::GROUP_ID_BYTES;
    if is_legal { Ok(()) } else { Err(EngineError::InvalidGroupId) }
}

/// A member in the generation it names, as Heartbeat and Sync ask for it: Kafka's validateMember, then the generation.
pub(super) fn judge_member(
    view: &State,
    group_id: &str,
    claim: &MemberClaim,
) -> EngineResult<(std::sync::Arc<Group>, std::sync::Arc<Member>)> {
    let group = view.group(group_id).ok_or(EngineError::UnknownMember)?;
    let member = group.check_member(&claim.member_id, claim.instance_id.as_deref())?;
    if claim.generation != group.generation {
        return Err(EngineError::IllegalGeneration);
    }
    Ok((group.clone(), member.clone()))
}
