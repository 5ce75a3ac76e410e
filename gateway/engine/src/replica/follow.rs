//! Applying what the log holds, and settling what of it is our own.
//!
//! Promises: a tail is applied by position and never over a gap (L6); an identity is judged before its body is read (L4);
//! State is published before anybody hears of it (I-01); what is our own is settled by its first copy, by an accepted
//! higher sequence, or by the close of our session (L3).

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use sluice_metadata::{
    Applied, Command, Entry, Group, GroupNumber, GroupPhase, Identity, Judgement, Outcome, PartitionKey, Position,
    SessionId, SessionRefusal, State,
};
use sluice_store::{BodyRef, Element, MetadataLog, Payload, StoreErrorKind, Tail};

use super::draft::Draft;
use super::log_task::{Fatal, LogTask};
use super::news::{ViewNews, WatchNews};

/// What a tail did that somebody must hear of once State is published.
#[derive(Default)]
struct News {
    touched: Vec<PartitionKey>,
    groups: BTreeSet<GroupNumber>,
    /// Groups that became stable, as they were then, as far as somebody waits for them.
    stable: Vec<Arc<Group>>,
    settled: Vec<(Vec<Draft>, Vec<Outcome>)>,
    watch: WatchNews,
    view: ViewNews,
}

impl LogTask {
    /// Applies what of `tail` is new; returns how many waits it ended.
    pub(super) async fn apply_tail(&mut self, tail: Tail) -> Result<usize, Fatal> {
        if tail.first > self.known().next() {
            // It does not touch what is known: dropped (L6); a strong read tells what lies between.
            self.must_read = true;
            return Ok(0);
        }
        let skip = usize::try_from(self.known().next().0 - tail.first.0).unwrap_or(usize::MAX);
        let mut news = News::default();
        let mut elements = tail.elements.into_iter().skip(skip);
        loop {
            let window: Vec<_> = elements.by_ref().take(self.parts.limits.body_reads_max.max(1)).collect();
            if window.is_empty() {
                break;
            }
            let bodies = prefetch(self.parts.log.clone(), self.session.id(), &window).await;
            for (element, body) in window.into_iter().zip(bodies) {
                if let Err(fatal) = self.apply_element(element, body, &mut news).await {
                    // What was applied before it is right, and is told before the gateway stops.
                    self.publish(&mut news);
                    return Err(fatal);
                }
            }
        }
        Ok(self.publish(&mut news))
    }

    async fn apply_element(&mut self, element: Element, body: Option<Bytes>, news: &mut News) -> Result<(), Fatal> {
        let position = self.state.known().next();
        let identity = identity(&element);
        let own = identity.is_some_and(|id| Some(id.session) == self.session.id());
        let entry = match self.state.judge(identity) {
            Judgement::NoOp => None,
            Judgement::Accept if own => match self.own_entry(element.sequence) {
                Some(entry) => Some(entry),
                None => Some(self.decode(position, &element.payload, body).await?),
            },
            Judgement::Accept => Some(self.decode(position, &element.payload, body).await?),
        };
        if let Some(entry) = &entry {
            self.compare_hash(position, entry)?;
        }
        let applied = self.state.apply(position, identity, entry.as_deref());
        let applied = applied.map_err(|error| Fatal(format!("position {position}: {error}")))?;
        self.hashes.push(position, self.state.hash());
        self.metrics.log_applied.inc();
        self.note_news(identity, entry.as_deref(), &applied, news);
        if own && applied.accepted {
            self.settle_own(element.sequence, applied.outcomes, news);
        } else if let Some(entry) = entry {
            self.take_own_session(position, &entry, &applied)?;
        }
        news.touched.extend(applied.touched);
        let group = |number: &GroupNumber| self.state.group_by_number(*number).filter(|group| is_stable(group));
        let waited_for = applied.groups.iter().filter(|number| self.shared.wakers.waits_for(**number));
        news.stable.extend(waited_for.filter_map(group).cloned());
        news.groups.extend(applied.groups);
        self.notice_own_close();
        Ok(())
    }

    /// The entry as it was sealed here: its body need not be read back.
    fn own_entry(&self, sequence: u64) -> Option<Arc<Entry>> {
        self.sealed.iter().find(|sealed| sealed.sequence == sequence).map(|sealed| sealed.entry.clone())
    }

    /// Undecodable or unknown: stop before acting (L11).
    async fn decode(
        &mut self,
        position: Position,
        payload: &Payload,
        prefetched: Option<Bytes>,
    ) -> Result<Arc<Entry>, Fatal> {
        let bytes = match (payload, prefetched) {
            (Payload::Inline(bytes), _) => bytes.clone(),
            (Payload::Body(_), Some(bytes)) => bytes,
            (Payload::Body(body), None) => self.read_body(position, body).await?,
        };
        let entry = Entry::decode(&bytes)
            .map_err(|error| Fatal(format!("position {position}: {error}; a newer build may have written it")))?;
        Ok(Arc::new(entry))
    }

    /// Waits for the body as long as it takes: nothing after it can be applied. A missing or damaged one is corruption,
    /// for no snapshot explains it (L6).
    async fn read_body(&mut self, position: Position, body: &BodyRef) -> Result<Bytes, Fatal> {
        loop {
            match self.parts.log.read_body(body).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) if error.kind().is_retriable() || error.kind() == StoreErrorKind::Denied => {
                    tracing::warn!(%position, %error, "the body of an entry could not be read");
                    self.shared.set_readiness(crate::api::Readiness::Unavailable(error.to_string()));
                    let pause = self.parts.limits.append_backoff_min + self.parts.entropy.jitter(self.append_backoff);
                    tokio::time::sleep(pause).await;
                }
                Err(error) => return Err(Fatal(format!("position {position}: {error}"))),
            }
        }
    }

    /// L9: an entry says what its writer's State came to at a position; ours must have come to the same.
    fn compare_hash(&self, position: Position, entry: &Entry) -> Result<(), Fatal> {
        match self.hashes.at(entry.known) {
            Some(ours) if ours != entry.hash_at_known => Err(Fatal(format!(
                "position {position}: its writer's state at {} has hash {:032x}, this gateway's has {ours:032x}: \
                 one of the two builds applies the log wrongly",
                entry.known, entry.hash_at_known
            ))),
            _ => Ok(()),
        }
    }

    /// Our own entry was accepted: its waiters hear the outcome, once State is published.
    fn settle_own(&mut self, sequence: u64, outcomes: Vec<Outcome>, news: &mut News) {
        let index = self.sealed.iter().position(|sealed| sealed.sequence == sequence);
        if let Some(drafts) = index.and_then(|index| self.settle(index)) {
            news.settled.push((drafts, outcomes));
        }
    }

    /// L2: the first position at which a nonce of our own shows is our session. A refusal is final where only another
    /// build helps (I-12), and else waits for room.
    fn take_own_session(&mut self, position: Position, entry: &Entry, applied: &Applied) -> Result<(), Fatal> {
        let ([Command::OpenSession { nonce, .. }], [outcome]) =
            (entry.commands.as_slice(), applied.outcomes.as_slice())
        else {
            return Ok(());
        };
        match outcome {
            Outcome::SessionOpened { session } if self.session.take(*session, *nonce) => {
                tracing::info!(session = %session.0, "gateway session opened");
                self.shared.set_session(*session);
                self.last_append = Some(self.parts.clock.now());
            }
            Outcome::SessionRefused(refusal) if self.session.sent(*nonce) => match refusal {
                SessionRefusal::TooManySessions => self.hold_back(&refusal.to_string()),
                refusal => return Err(Fatal(format!("position {position}: no session for this gateway: {refusal}"))),
            },
            _ => {}
        }
        Ok(())
    }

    /// Our session was closed, by ourselves or by another gateway: whatever of it is not settled did not happen (L3).
    fn notice_own_close(&mut self) {
        let Some(own) = self.session.id() else { return };
        if self.state.session(own).is_none() {
            tracing::info!(session = %own.0, "gateway session closed");
            self.lose_session();
            self.recall_from(0);
        }
    }

    /// Publishes State, then wakes and answers those whom it concerns (I-01).
    fn publish(&mut self, news: &mut News) -> usize {
        let state: State = self.state.clone();
        let groups: Vec<_> = std::mem::take(&mut news.groups).into_iter().collect();
        self.shared.view.store(Arc::new(state));
        self.shared.owed.look(&self.state, &groups);
        news.touched.sort_unstable();
        news.touched.dedup();
        self.leave_news(news);
        news.stable.drain(..).for_each(|group| self.shared.wakers.tell_stable(&group));
        let woken = self.shared.wakers.wake(&news.touched, &groups);
        for (drafts, outcomes) in news.settled.drain(..) {
            for (draft, outcome) in drafts.into_iter().zip(outcomes) {
                draft.resolve(outcome);
            }
        }
        woken
    }

    /// Remembers what the watch and the offsets view must hear of.
    fn note_news(&self, identity: Option<Identity>, entry: Option<&Entry>, applied: &Applied, news: &mut News) {
        let Some(entry) = entry.filter(|_| applied.accepted) else { return };
        let own = self.session.id();
        let author = identity.map(|identity| identity.session);
        let is_own = author.is_some() && author == own;
        let mut named = WatchNews::default();
        named.note(&self.state, entry, applied, is_own);
        news.watch.extend(named, self.parts.limits.watch_backlog_max);
        // Before there is a session this is the replay: the view shows what was done then.
        if let Some(author) = author.filter(|_| own.is_some()) {
            let mut shown = ViewNews::default();
            shown.note(author, applied, is_own);
            news.view.extend(shown, self.parts.limits.view_slices_max);
        }
        if is_own {
            self.metrics.groups.count_own(&self.state, entry, applied);
        }
    }

    /// After State was published: whoever takes the news finds in State what they are about.
    fn leave_news(&self, news: &mut News) {
        let (watch, view) = (std::mem::take(&mut news.watch), std::mem::take(&mut news.view));
        let limits = &self.parts.limits;
        if !watch.is_empty() {
            self.shared.watch_news.add(|there| there.extend(watch, limits.watch_backlog_max));
        }
        if !view.is_empty() {
            self.shared.view_news.add(|there| there.extend(view, limits.view_slices_max));
        }
    }
}

fn is_stable(group: &Group) -> bool {
    group.phase == GroupPhase::Stable
}

/// Reads the bodies of a window together. Whose element turns out to be a no-op is not looked at (L4), and what could not
/// be read is read again when its turn comes. Our own entries are known without their bodies.
async fn prefetch(log: Arc<dyn MetadataLog>, own: Option<SessionId>, window: &[Element]) -> Vec<Option<Bytes>> {
    let reads = window.iter().map(|element| async {
        let is_own = own.is_some_and(|own| own.0.raw() == element.session);
        match &element.payload {
            Payload::Body(body) if !is_own => log.read_body(body).await.ok(),
            _ => None,
        }
    });
    join_all(reads).await
}

/// A SessionOpened has none (L2).
fn identity(element: &Element) -> Option<Identity> {
    (element.session != 0)
        .then(|| Identity { session: SessionId(Position::from_raw(element.session)), sequence: element.sequence })
}
