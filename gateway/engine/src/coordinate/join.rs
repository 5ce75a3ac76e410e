//! JoinGroup: a member joins, joins again, or is told its id; and waits for the phase to end.
//!
//! Promises: what is refused is refused by Kafka's rules, judged after a barrier (T5); the command carries the group and
//! generation that were seen when the request was read, and is proposed a second time at most (T7). A Join waits on this
//! gateway until the log shows that its phase ended, that its member is gone, or that the session which holds it is
//! closed: there is no other bound on the wait than the phase's own.
//! Never: decides when a phase ends (that is apply, or a proposal of `watch`).

use std::sync::Arc;

use bytes::Bytes;
use sluice_metadata::limits::MEMBER_TEXT_BYTES;
use sluice_metadata::{
    Group, GroupCommand, GroupNumber, GroupOutcome, GroupPhase, GroupRefusal, JoinGroup, JoinOutcome, Joiner, Member,
    MemberNumber, Payload, SeenMember, SessionId, State,
};

use super::api::{JoinAsk, Joined, JoinedMember, Origin};
use super::judge::{Judged, check_group_id, not_now, unexpected};
use super::payload::preview_payloads;
use crate::engine::Engine;
use crate::error::{EngineError, EngineResult};
use crate::replica::SessionHold;

/// A Join as it is to be proposed.
struct Intent {
    /// The command, with payloads that are not written yet.
    command: JoinGroup,
    /// Who led the group when it was seen.
    leader: Arc<str>,
    /// The member's, whether the request names it or not.
    instance_id: Option<String>,
}

/// A Join that apply took.
struct Accepted<'a> {
    group: GroupNumber,
    member: MemberNumber,
    joined: JoinOutcome,
    /// Who led the group when it was seen.
    leader: Arc<str>,
    /// The member's id.
    member_id: Arc<str>,
    /// The member's, whether the request named it or not.
    instance_id: Option<String>,
    /// Until its wait is over.
    held: SessionHold<'a>,
}

/// What a waiting Join needs to know itself again.
struct Waiting {
    group: GroupNumber,
    member: MemberNumber,
    /// The generation that the phase follows.
    generation: i32,
    instance_id: Option<String>,
    /// The id that it has got.
    member_id: Arc<str>,
}

impl Engine {
    /// Joins a group and waits for its next generation.
    ///
    /// # Errors
    /// `InvalidGroupId`, `InvalidSessionTimeout`, `UnknownMember`, `FencedInstanceId`, `InconsistentGroupProtocol`,
    /// `FencedWhileWaiting`, `RemovedWhileWaiting`, `GroupMaxSizeReached`, `LimitReached` and `Unexpected` by Kafka's rules; `MemberIdRequired` with the id to join under
    /// (KIP-394); `NotFresh`, `NotCoordinatedNow` and those of a proposal when the client is to try again.
    pub async fn join_group(&self, origin: &Origin, ask: JoinAsk) -> EngineResult<Joined> {
        let skips_assignment = ask.supports_skipping_assignment;
        // What the request carried is gone when this returns: a waiting Join keeps nothing of its frame (I-14).
        let Accepted { group, member, joined, leader, member_id, instance_id, held } =
            self.propose_join(origin, ask).await?;
        match joined {
            // Told as an error by the proposal already.
            JoinOutcome::Registered => Err(not_now("the member is registered only")),
            JoinOutcome::Waiting { generation } => {
                let waiting = Waiting { group, member, generation, instance_id, member_id };
                self.wait_for_phase(origin, waiting, held).await
            }
            JoinOutcome::Current { replaced } => {
                drop(held);
                let leader = (replaced && !skips_assignment).then_some(leader);
                self.tell_current(group, member, leader, replaced).await
            }
        }
    }

    async fn propose_join(&self, origin: &Origin, ask: JoinAsk) -> EngineResult<Accepted<'_>> {
        self.check_join(&ask)?;
        self.check_asker(origin)?;
        let new_id = self.new_member_id(&ask);
        let blobs: Vec<&Bytes> = ask.protocols.iter().map(|(_, metadata)| metadata).collect();
        let mut payloads: Option<Vec<Payload>> = None;
        let mut is_second = false;
        loop {
            let session = self.hosting_session()?;
            let previewed = preview_payloads(&blobs, session);
            let judge = |view: &State| self.judge_join(view, session, &ask, &new_id, &previewed);
            let Intent { mut command, leader, instance_id } = self.decide(Some(origin), judge).await?;
            if payloads.is_none() {
                payloads = Some(self.store_payloads(&blobs).await?);
                self.check_asker(origin)?;
            }
            command.protocols = protocols_of(&ask, payloads.as_deref().unwrap_or_default());
            // From here on the member may be held by the own session: it is answered before another is opened.
            let held = self.inner.replica.wakers().hold_session();
            match self.propose_held(GroupCommand::Join(command), &held).await? {
                GroupOutcome::Joined { joined: JoinOutcome::Registered, .. } => {
                    return Err(EngineError::MemberIdRequired(new_id.into()));
                }
                GroupOutcome::Joined { group, member, joined } => {
                    self.inner.replica.owed().settle(group, member);
                    let member_id = if ask.member_id.is_empty() { new_id } else { ask.member_id };
                    let member_id = member_id.into();
                    return Ok(Accepted { group, member, joined, leader, member_id, instance_id, held });
                }
                GroupOutcome::Refused(refusal) => return Err(refusal.into()),
                GroupOutcome::Mismatch if !is_second => self.check_reproposal(origin)?,
                GroupOutcome::Mismatch => return Err(not_now("the group changed while the member joined")),
                other => return Err(unexpected(&other)),
            }
            is_second = true;
        }
    }

    fn check_join(&self, ask: &JoinAsk) -> EngineResult<()> {
        check_group_id(&ask.group_id)?;
        let settings = &self.inner.parts.settings;
        let bounds = settings.group_min_session_timeout_ms..=settings.group_max_session_timeout_ms;
        if bounds.contains(&ask.session_timeout_ms) { Ok(()) } else { Err(EngineError::InvalidSessionTimeout) }
    }

    /// `client.id` or, for a static member, its instance id; then a random UUID.
    fn new_member_id(&self, ask: &JoinAsk) -> String {
        let prefix = ask.instance_id.as_deref().unwrap_or(&ask.client.client_id);
        let suffix = format!("-{}", self.inner.parts.entropy.next_uuid());
        // The longest client ids leave no room for the rest.
        let (prefix, _) = prefix.split_at(prefix.floor_char_boundary(MEMBER_TEXT_BYTES.saturating_sub(suffix.len())));
        format!("{prefix}{suffix}")
    }

    /// Kafka's order: the group, its size, its protocols, and only then who asks. Apply knows the first three, so the
    /// command is previewed.
    fn judge_join(
        &self,
        view: &State,
        session: SessionId,
        ask: &JoinAsk,
        new_id: &str,
        payloads: &[Payload],
    ) -> Judged<Intent> {
        let group = view.group(&ask.group_id);
        let (joiner, stranger) = match joiner(group, ask, new_id) {
            Ok(found) => found,
            Err(error) => return Judged::IfFresh(Err(error)),
        };
        let command = self.join_command(group, ask, joiner, payloads);
        match (view.preview_group(session, &GroupCommand::Join(command.clone())), stranger) {
            // What is wrong with the joiner makes the command malformed.
            (GroupOutcome::Refused(GroupRefusal::Malformed), Some(error)) => return Judged::IfFresh(Err(error)),
            (GroupOutcome::Refused(refusal), _) => return Judged::IfFresh(Err(refusal.into())),
            (_, Some(error)) => return Judged::IfFresh(Err(error)),
            (_, None) => {}
        }
        let leader = group.map_or_else(|| "".into(), |group| leader_id(group));
        let known = group.and_then(|group| group.member_by_id(&ask.member_id));
        let instance_id = known.and_then(|known| known.instance_id.as_deref()).or(ask.instance_id.as_deref());
        let instance_id = instance_id.map(str::to_owned);
        let intent = Intent { command, leader, instance_id };
        // A group that seems not to be there: another gateway may just have made it.
        if group.is_none() { Judged::IfFresh(Ok(intent)) } else { Judged::Certain(intent) }
    }

    fn join_command(
        &self,
        group: Option<&Arc<Group>>,
        ask: &JoinAsk,
        joiner: Joiner,
        payloads: &[Payload],
    ) -> JoinGroup {
        JoinGroup {
            group_id: ask.group_id.clone(),
            seen: group.map(|group| (group.number, group.generation)),
            joiner,
            seen_instance: instance_holder(group, ask),
            instance_id: ask.instance_id.clone(),
            client_id: ask.client.client_id.clone(),
            client_host: ask.client.host.clone(),
            session_timeout_ms: ask.session_timeout_ms,
            rebalance_timeout_ms: ask.rebalance_timeout_ms,
            protocol_type: ask.protocol_type.clone(),
            protocols: protocols_of(ask, payloads),
            initial_delay_ms: self.inner.parts.settings.group_initial_rebalance_delay_ms,
            max_size: self.inner.parts.settings.group_max_size,
            stamp_ms: self.inner.parts.stamp_ms(),
        }
    }

    /// Waits until the phase that the member joined is over. What it holds to ends there, however long the answer takes.
    async fn wait_for_phase(&self, origin: &Origin, waiting: Waiting, held: SessionHold<'_>) -> EngineResult<Joined> {
        let guard = self.inner.replica.wakers().register_group(waiting.group, held);
        let waits = self.inner.watch.hold_join(waiting.group);
        self.inner.replica.note_interest();
        loop {
            // Looked at before everything else: what was applied before the registration woke nobody.
            let view = self.inner.replica.view();
            if let Some((group, member)) = self.phase_over(&view, &waiting)? {
                self.owe_assignment(&group, &member);
                drop((view, guard, waits));
                return self.tell(&group, &member, leader_id(&group), false).await;
            }
            drop(view);
            self.check_wait(origin, &guard)?;
            guard.woken().await;
        }
    }

    /// Its Sync may come when the next rebalance has begun, because this gateway heard late that the phase was over.
    fn owe_assignment(&self, group: &Group, member: &Member) {
        let owed = self.inner.replica.owed();
        owed.note(group.number, member.number, group.generation, false);
        // Looked at again: what was published before the note did not end it.
        let view = self.inner.replica.view();
        let now = view.group_by_number(group.number).filter(|now| now.generation == group.generation);
        match now.map(|now| now.phase) {
            Some(GroupPhase::CompletingRebalance) => {}
            Some(_) => owed.note(group.number, member.number, group.generation, true),
            None => owed.settle(group.number, member.number),
        }
    }

    /// The group and the member once the phase is over; `None` while it lasts.
    fn phase_over(&self, view: &State, waiting: &Waiting) -> EngineResult<Option<(Arc<Group>, Arc<Member>)>> {
        let found = find_member(view, waiting.group, waiting.member, waiting.instance_id.as_deref());
        let (group, member) = found.map_err(|error| match error {
            EngineError::FencedInstanceId => EngineError::FencedWhileWaiting(waiting.member_id.clone()),
            _ => EngineError::RemovedWhileWaiting,
        })?;
        if group.generation != waiting.generation {
            return Ok(Some((group.clone(), member.clone())));
        }
        match member.joined_by {
            // Closed, by whom and why ever: its members are judged by others from now on (design section 8).
            Some(session) if view.session(session).is_none() => {
                Err(not_now("the session that held the join is closed"))
            }
            Some(session) if self.own_session().is_none_or(|own| own == session) => Ok(None),
            // The client asked again elsewhere: nobody waits for this answer.
            _ => Err(not_now("the member has joined through another gateway")),
        }
    }

    /// The answer to a Join that changed nothing for the others. `leader`: to be told instead of the real one, so that a
    /// static leader that came back does not assign (before KIP-814).
    async fn tell_current(
        &self,
        group: GroupNumber,
        member: MemberNumber,
        leader: Option<Arc<str>>,
        replaced: bool,
    ) -> EngineResult<Joined> {
        let view = self.inner.replica.view();
        let (group, member) = find_member(&view, group, member, None)?;
        let (group, member) = (group.clone(), member.clone());
        drop(view);
        let skip_assignment = replaced && leader.is_none() && group.leader == Some(member.number);
        let leader = leader.unwrap_or_else(|| leader_id(&group));
        self.tell(&group, &member, leader, skip_assignment).await
    }

    async fn tell(
        &self,
        group: &Group,
        member: &Member,
        leader: Arc<str>,
        skip_assignment: bool,
    ) -> EngineResult<Joined> {
        let members = if leader == member.id { self.joined_members(group).await? } else { Vec::new() };
        Ok(Joined {
            generation: group.generation,
            protocol_type: group.protocol_type.clone(),
            protocol: group.protocol.clone(),
            leader,
            skip_assignment,
            member_id: member.id.clone(),
            members,
        })
    }

    /// The members of the generation with their metadata for the protocol chosen: who has joined the next phase already
    /// is none of them, and who has joined it again without that protocol is left out. Whoever assigns is told in answer
    /// to its Sync that the group rebalances; metadata that is not there might make it fail before.
    async fn joined_members(&self, group: &Group) -> EngineResult<Vec<JoinedMember>> {
        let of_generation = group.members.values().filter(|member| member.generation == group.generation);
        let told = of_generation.filter_map(|member| Some((member, Some(chosen_metadata(group, member)?))));
        let (members, metadata): (Vec<_>, Vec<_>) = told.unzip();
        let metadata = self.read_payloads(metadata).await?;
        let joined = |(member, metadata): (&Arc<Member>, Bytes)| JoinedMember {
            member_id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            metadata,
        };
        Ok(members.into_iter().zip(metadata).map(joined).collect())
    }
}

/// Who has the instance id that the joiner names (T7).
fn instance_holder(group: Option<&Arc<Group>>, ask: &JoinAsk) -> Option<MemberNumber> {
    let holder = group?.member_by_instance(ask.instance_id.as_deref()?)?;
    Some(holder.number)
}

/// Who joins, as the command says it, and what is wrong with that where Kafka says so last.
fn joiner(group: Option<&Arc<Group>>, ask: &JoinAsk, new_id: &str) -> EngineResult<(Joiner, Option<EngineError>)> {
    if ask.member_id.is_empty() {
        let register_only = ask.requires_known_member_id && ask.instance_id.is_none();
        return Ok((Joiner::New { member_id: new_id.to_owned(), register_only }, None));
    }
    let group = group.ok_or(EngineError::UnknownMember)?;
    if let Some(registered) = group.registered_by_id(&ask.member_id) {
        let seen = SeenMember { member: registered.number, watch_epoch: registered.watch.epoch };
        let contradiction = "a registered member joins with a group instance id";
        let error = ask.instance_id.as_ref().map(|_| EngineError::Unexpected(contradiction.into()));
        return Ok((Joiner::Known(seen), error));
    }
    let error = group.check_member(&ask.member_id, ask.instance_id.as_deref()).err().map(EngineError::from);
    let joiner = match group.member_by_id(&ask.member_id) {
        Some(member) => Joiner::Known(SeenMember { member: member.number, watch_epoch: member.watch.epoch }),
        // Previewed as if it were new, for its protocols are judged before it is.
        None => Joiner::New { member_id: new_id.to_owned(), register_only: false },
    };
    Ok((joiner, error))
}

fn protocols_of(ask: &JoinAsk, payloads: &[Payload]) -> Vec<(String, Payload)> {
    let names = ask.protocols.iter().map(|(name, _)| name.clone());
    names.zip(payloads.iter().cloned()).collect()
}

/// The member of a waiting request; an error when it is gone, as Kafka tells a waiting one.
pub(super) fn find_member<'a>(
    view: &'a State,
    group: GroupNumber,
    member: MemberNumber,
    instance_id: Option<&str>,
) -> EngineResult<(&'a Arc<Group>, &'a Arc<Member>)> {
    let group = view.group_by_number(group).ok_or(EngineError::UnknownMember)?;
    match group.members.get(&member) {
        Some(found) => Ok((group, found)),
        None if instance_id.is_some_and(|id| group.member_by_instance(id).is_some()) => {
            Err(GroupRefusal::FencedInstance.into())
        }
        None => Err(EngineError::UnknownMember),
    }
}

fn leader_id(group: &Group) -> Arc<str> {
    let leader = group.leader.and_then(|leader| group.members.get(&leader));
    leader.map_or_else(|| "".into(), |leader| leader.id.clone())
}

/// A member's metadata for the group's protocol.
pub(super) fn chosen_metadata(group: &Group, member: &Member) -> Option<Payload> {
    let protocol = group.protocol.as_ref()?;
    member.protocols.iter().find(|(name, _)| name == protocol).map(|(_, metadata)| metadata.clone())
}
