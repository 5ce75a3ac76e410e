//! The model of one gateway: its side of L1 (identity, one request in flight), L2 (nonces) and L3 (settling).

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::Defect;
use crate::{Applied, Command, Entry, Identity, Outcome, Position, SessionId, State};

/// A sealed entry: its bytes are fixed (L1).
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) entry: Entry,
    pub(super) bytes: Bytes,
}

/// One element, on its way or in the log.
#[derive(Debug, Clone)]
pub(super) struct Element {
    pub(super) identity: Option<Identity>,
    pub(super) sealed: Arc<Sealed>,
    /// The flush it carries; `None` for sessions opened and closed.
    pub(super) flush: Option<usize>,
}

/// One append request.
pub(super) type Packet = Vec<Element>;

/// A sealed entry that is not settled yet.
#[derive(Debug)]
struct Staged {
    element: Element,
    /// Attempts that may have happened, or may yet.
    uncertain: u32,
}

/// What the gateway learnt of one of its entries.
#[derive(Debug)]
pub(super) enum Settled {
    /// The first copy took effect.
    Happened { element: Element, position: Position, outcomes: Vec<Outcome> },
    /// No copy took effect, and none ever will.
    DidNotHappen { element: Element },
    /// Nobody will ever tell: the verdict lay in what a snapshot jumped over.
    Unknown { element: Element },
}

/// A session that a gateway took for its own (L2).
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) session: SessionId,
    /// Every nonce it had sent since it lost the session before.
    pub(super) nonces: Vec<u128>,
    /// It found the session in a snapshot: an earlier one may have been opened and closed in what was jumped over.
    pub(super) jumped: bool,
}

pub(super) struct Gateway {
    pub(super) state: State,
    pub(super) in_flight: Option<Packet>,
    /// The session it speaks in, and every nonce it sent since it lost the one before.
    session: Option<SessionId>,
    nonces: Vec<u128>,
    next_nonce: u128,
    next_sequence: u64,
    queue: VecDeque<Staged>,
    /// Position and hash after every element it applied (L9).
    pub(super) hashes: Vec<(Position, u128)>,
    /// The sessions it took, in order (L2).
    pub(super) taken: Vec<Taken>,
    defect: Defect,
}

impl Gateway {
    pub(super) fn new(state: State, first_nonce: u128, defect: Defect) -> Self {
        Self {
            state,
            in_flight: None,
            session: None,
            nonces: Vec::new(),
            next_nonce: first_nonce,
            next_sequence: 1,
            queue: VecDeque::new(),
            hashes: Vec::new(),
            taken: Vec::new(),
            defect,
        }
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        self.session
    }

    pub(super) fn unsettled(&self) -> usize {
        self.queue.len()
    }

    fn seal(&self, commands: Vec<Command>) -> Arc<Sealed> {
        let entry = Entry { known: self.state.known(), hash_at_known: self.state.hash(), commands };
        let bytes = entry.encode();
        Arc::new(Sealed { entry, bytes })
    }

    /// Seals an entry under the next sequence of the session; `None` without one.
    pub(super) fn stage(&mut self, commands: Vec<Command>, flush: Option<usize>) -> Option<Identity> {
        let identity = Identity { session: self.session?, sequence: self.next_sequence };
        self.next_sequence += 1;
        let element = Element { identity: Some(identity), sealed: self.seal(commands), flush };
        self.queue.push_back(Staged { element, uncertain: 0 });
        Some(identity)
    }

    /// L1: one request in flight, carrying a prefix of what is unsettled, ascending from the lowest. Without a session
    /// it carries an OpenSession with a fresh nonce (L2).
    pub(super) fn send(&mut self, elements_max: usize) {
        if self.in_flight.is_some() {
            return;
        }
        if self.session.is_none() {
            self.next_nonce += 1;
            self.nonces.push(self.next_nonce);
            let open = Command::OpenSession {
                nonce: self.next_nonce,
                feature_level: 1,
                opened_at_ms: 0,
                name: "gateway:9092".to_owned(),
            };
            self.in_flight = Some(vec![Element { identity: None, sealed: self.seal(vec![open]), flush: None }]);
        } else if !self.queue.is_empty() {
            let prefix = self.queue.iter_mut().take(elements_max.max(1));
            let packet = prefix.map(|staged| {
                staged.uncertain += 1;
                staged.element.clone()
            });
            self.in_flight = Some(packet.collect());
        }
    }

    /// The store said that the request certainly did not happen.
    pub(super) fn hear_refusal(&mut self) {
        for element in self.in_flight.take().into_iter().flatten() {
            let same = |staged: &&mut Staged| staged.element.identity == element.identity;
            if let Some(staged) = self.queue.iter_mut().find(same) {
                staged.uncertain -= 1;
            }
        }
    }

    /// L1: drops an entry of which every attempt was definitely refused; its sequence becomes a gap.
    pub(super) fn drop_refused(&mut self, choice: usize) -> Option<Element> {
        let index = choice.checked_rem(self.queue.len())?;
        if self.queue[index].uncertain > 0 {
            return None;
        }
        self.queue.remove(index).map(|staged| staged.element)
    }

    /// Applies the next element of the log and says what that settles (L3).
    pub(super) fn apply(&mut self, position: Position, element: &Element) -> Vec<Settled> {
        let applied = self.state.apply(position, element.identity, Some(&element.sealed.entry)).unwrap();
        self.hashes.push((position, self.state.hash()));
        self.find_session(element, &applied);
        let mut settled = Vec::new();
        let mine = element.identity.filter(|i| applied.accepted && Some(i.session) == self.session);
        if let Some(identity) = mine {
            // Ascending: what lies below an accepted sequence did not happen, whatever copies of it turn up.
            while let Some(staged) = self.queue.pop_front_if(|s| s.element.identity <= Some(identity)) {
                settled.push(if staged.element.identity == Some(identity) {
                    let (element, outcomes) = (staged.element, applied.outcomes.clone());
                    Settled::Happened { element, position, outcomes }
                } else {
                    Settled::DidNotHappen { element: staged.element }
                });
            }
        }
        if self.session.is_some_and(|session| self.state.session(session).is_none()) {
            self.lose_session();
            settled.extend(self.queue.drain(..).map(|s| Settled::DidNotHappen { element: s.element }));
        }
        settled
    }

    /// The planted defect: after reading the whole log, what is not there "did not happen".
    pub(super) fn trust_absence(&mut self) -> Vec<Settled> {
        if self.defect != Defect::TrustAbsence || self.in_flight.is_some() {
            return Vec::new();
        }
        self.queue.drain(..).map(|s| Settled::DidNotHappen { element: s.element }).collect()
    }

    /// L2: the first position with a nonce of its own, never a second.
    fn find_session(&mut self, element: &Element, applied: &Applied) {
        let [Command::OpenSession { nonce, .. }] = element.sealed.entry.commands.as_slice() else {
            return;
        };
        if let [Outcome::SessionOpened { session }] = applied.outcomes.as_slice()
            && self.nonces.contains(nonce)
        {
            self.take_session(*session, false);
        }
    }

    fn take_session(&mut self, session: SessionId, jumped: bool) {
        self.session = Some(session);
        self.taken.push(Taken { session, nonces: self.nonces.clone(), jumped });
        self.next_sequence = 1;
        if self.defect != Defect::TakeLaterSessions {
            self.nonces.clear();
        }
    }

    fn lose_session(&mut self) {
        self.session = None;
        self.nonces.clear();
    }

    /// L3 after a jump over a snapshot: still unsettled while the session is open and below the sequence, else Unknown.
    pub(super) fn jump(&mut self, state: State) -> Vec<Settled> {
        self.state = state;
        self.hashes.push((self.state.known(), self.state.hash()));
        let last = self.session.and_then(|id| self.state.session(id)).map(|session| session.last_sequence);
        let mut unknown = Vec::new();
        for staged in std::mem::take(&mut self.queue) {
            let sequence = staged.element.identity.unwrap().sequence;
            if last.is_some_and(|last| last < sequence) {
                self.queue.push_back(staged);
            } else {
                unknown.push(Settled::Unknown { element: staged.element });
            }
        }
        if self.session.is_some() && last.is_none() {
            self.lose_session();
        } else if self.session.is_none() {
            let mine = self.state.sessions().find(|session| self.nonces.contains(&session.nonce));
            if let Some(session) = mine.map(|session| session.id) {
                self.take_session(session, true);
            }
        }
        unknown
    }

    /// Killed and started again with `state`: nothing is remembered, and nobody hears of what was unsettled.
    pub(super) fn restart(&mut self, state: State) -> (Vec<Settled>, Option<Packet>) {
        self.state = state;
        self.hashes.push((self.state.known(), self.state.hash()));
        self.lose_session();
        // Nonces are random: those of a former life are never minted again.
        self.next_nonce += 1_000;
        let unknown = self.queue.drain(..).map(|s| Settled::Unknown { element: s.element }).collect();
        (unknown, self.in_flight.take())
    }
}
