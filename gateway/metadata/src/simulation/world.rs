//! The log, the network, and the schedule that is played.

use std::collections::{BTreeMap, VecDeque};

use super::Defect;
use super::clients::{Clients, Flush};
use super::gateway::{Element, Gateway, Packet, Settled};
use crate::{Command, Identity, Incarnation, Outcome, Position, SessionId, State};

/// What the clients of a flush were told.
#[derive(Debug, Clone)]
pub(super) enum Told {
    Success { position: Position, outcomes: Vec<Outcome> },
    DidNotHappen,
    Unknown,
}

pub(super) struct World {
    pub(super) log: Vec<Element>,
    pub(super) gateways: [Gateway; 2],
    pub(super) clients: Clients,
    pub(super) flushes: Vec<Flush>,
    pub(super) told: BTreeMap<usize, Told>,
    /// Every identity that was sealed; true when it was dropped (L1) or left behind by a kill.
    pub(super) sealed: BTreeMap<Identity, bool>,
    /// Identities of which a gateway concluded that they did not happen (L3).
    pub(super) denied: Vec<Identity>,
    pub(super) broken: Vec<String>,
    /// How often something happened, to prove that the schedules get there.
    pub(super) tally: BTreeMap<&'static str, usize>,
    /// Flushes that wait for a session, per gateway.
    waiting: [VecDeque<usize>; 2],
    /// Copies of requests that may arrive at any time, for ever.
    zombies: Vec<Packet>,
    pub(super) incarnation: Incarnation,
    defect: Defect,
}

/// One step: what to do, and a number that decides the details.
pub(super) type Step = (u8, u16);

impl World {
    pub(super) fn new(defect: Defect) -> Self {
        let incarnation = Incarnation(0xabc);
        let mut state = State::new(incarnation);
        state.defect = defect;
        Self {
            log: Vec::new(),
            gateways: [Gateway::new(state.clone(), 1 << 64, defect), Gateway::new(state, 2 << 64, defect)],
            clients: Clients::default(),
            flushes: Vec::new(),
            told: BTreeMap::new(),
            sealed: BTreeMap::new(),
            denied: Vec::new(),
            broken: Vec::new(),
            tally: BTreeMap::new(),
            waiting: [VecDeque::new(), VecDeque::new()],
            zombies: Vec::new(),
            incarnation,
            defect,
        }
    }

    pub(super) fn play(&mut self, (what, detail): Step) {
        let gateway = usize::from(detail & 1);
        let choice = usize::from(detail >> 1);
        match what % 32 {
            0..=6 => self.flush(gateway, choice),
            7..=8 => self.gateways[gateway].send(choice % 4 + 1),
            9..=13 => self.deliver(gateway, choice, Answer::Tail),
            14..=15 => self.deliver(gateway, choice, Answer::Lost),
            16 => self.deliver(gateway, choice, Answer::Delayed),
            17 => self.deliver(gateway, choice, Answer::Twice),
            18 => self.deliver(gateway, choice, Answer::Refused),
            19..=21 => self.read(gateway, choice % 12),
            22..=24 => self.raise_zombie(choice),
            25 => self.drop_refused(gateway, choice),
            26 if choice.is_multiple_of(3) => self.close_other(gateway),
            27 if choice.is_multiple_of(3) => self.close_own(gateway),
            28 if choice.is_multiple_of(4) => self.kill(gateway, choice),
            29 if choice.is_multiple_of(2) => self.jump(gateway),
            30 => self.close_stray(gateway, choice),
            _ => self.deliver(gateway, choice, Answer::Tail),
        }
    }

    /// Ends the game: everything unsettled is settled, every zombie arrives, and the log is at least `elements` long.
    pub(super) fn finish(&mut self, elements: usize) {
        for round in 0..10 * elements {
            let busy = self.gateways.iter().any(|g| g.unsettled() > 0 || g.in_flight.is_some())
                || self.waiting.iter().any(|waiting| !waiting.is_empty());
            if !busy && self.log.len() >= elements && self.zombies.is_empty() {
                break;
            }
            if !busy {
                self.flush(round % 2, round);
            }
            self.deliver(round % 2, 3, Answer::Tail);
            self.raise_zombie(2 * round + 1);
        }
        self.read(0, usize::MAX);
        self.read(1, usize::MAX);
    }

    fn flush(&mut self, gateway: usize, choice: usize) {
        let flush = self.clients.next_flush(&self.gateways[gateway].state, choice);
        self.flushes.push(flush);
        self.waiting[gateway].push_back(self.flushes.len() - 1);
        self.seal_waiting(gateway);
    }

    fn seal_waiting(&mut self, gateway: usize) {
        while let (Some(_), Some(flush)) = (self.gateways[gateway].session(), self.waiting[gateway].front()) {
            let flush = *flush;
            self.waiting[gateway].pop_front();
            let identity = self.gateways[gateway].stage(self.flushes[flush].commands.clone(), Some(flush));
            self.sealed.insert(identity.unwrap(), false);
        }
    }

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_default() += 1;
    }

    fn append(&mut self, packet: &[Element]) {
        self.log.extend_from_slice(packet);
    }

    /// The request in flight (or a new one) meets its fate.
    fn deliver(&mut self, gateway: usize, choice: usize, answer: Answer) {
        self.gateways[gateway].send(choice % 4 + 1);
        if answer == Answer::Refused {
            self.gateways[gateway].hear_refusal();
            self.count("requests refused");
            return;
        }
        let Some(packet) = self.gateways[gateway].in_flight.take() else {
            return;
        };
        if matches!(answer, Answer::Lost | Answer::Delayed) {
            self.count("requests unknown");
        }
        if answer != Answer::Delayed {
            self.append(&packet);
        }
        if matches!(answer, Answer::Delayed | Answer::Twice) {
            self.zombies.push(packet);
        }
        if matches!(answer, Answer::Tail | Answer::Twice) {
            self.read(gateway, usize::MAX);
        }
    }

    /// Applies up to `elements` more elements; what that settles is told or sealed again.
    fn read(&mut self, gateway: usize, elements: usize) {
        let known = usize::try_from(self.gateways[gateway].state.known().index()).unwrap();
        let end = known.saturating_add(elements).min(self.log.len());
        for index in known..end {
            let position = position_of(index);
            let element = self.log[index].clone();
            let settled = self.gateways[gateway].apply(position, &element);
            self.settle(gateway, settled);
        }
        if end == self.log.len() {
            let settled = self.gateways[gateway].trust_absence();
            self.settle(gateway, settled);
        }
        self.seal_waiting(gateway);
    }

    fn settle(&mut self, gateway: usize, settled: Vec<Settled>) {
        let mut again = VecDeque::new();
        for settled in settled {
            match settled {
                Settled::Happened { element, position, outcomes } => {
                    let Some(flush) = element.flush else { continue };
                    let heard = self.clients.hear(&self.flushes[flush], &outcomes);
                    self.broken.extend(heard.err());
                    self.told.insert(flush, Told::Success { position, outcomes });
                }
                Settled::DidNotHappen { element } => {
                    self.denied.push(element.identity.unwrap());
                    let Some(flush) = element.flush else { continue };
                    // Some clients have gone by now; for the others it is sealed again.
                    if flush.is_multiple_of(4) {
                        self.told.insert(flush, Told::DidNotHappen);
                    } else {
                        again.push_back(flush);
                        self.count("flushes sealed again");
                    }
                }
                Settled::Unknown { element } => {
                    self.sealed.insert(element.identity.unwrap(), true);
                    self.told.extend(element.flush.map(|flush| (flush, Told::Unknown)));
                }
            }
        }
        // L3: in its old order, before anything newer.
        again.append(&mut self.waiting[gateway]);
        self.waiting[gateway] = again;
    }

    /// A copy of an old request arrives. An odd choice leaves no other copy behind.
    fn raise_zombie(&mut self, choice: usize) {
        let Some(index) = (choice / 2).checked_rem(self.zombies.len()) else {
            return;
        };
        let packet = self.zombies[index].clone();
        if choice % 2 == 1 {
            self.zombies.swap_remove(index);
        }
        self.append(&packet);
        self.count("zombies");
    }

    fn drop_refused(&mut self, gateway: usize, choice: usize) {
        if let Some(element) = self.gateways[gateway].drop_refused(choice) {
            self.count("entries dropped");
            self.sealed.insert(element.identity.unwrap(), true);
            self.denied.push(element.identity.unwrap());
            self.told.extend(element.flush.map(|flush| (flush, Told::DidNotHappen)));
        }
    }

    fn close(&mut self, gateway: usize, session: SessionId) {
        if let Some(session) = self.gateways[gateway].state.session(session) {
            let close = Command::CloseSession { session: session.id, last_append: session.last_append };
            if let Some(identity) = self.gateways[gateway].stage(vec![close], None) {
                self.sealed.insert(identity, false);
            }
        }
    }

    fn close_other(&mut self, gateway: usize) {
        if let Some(session) = self.gateways[1 - gateway].session() {
            self.close(gateway, session);
        }
    }

    fn close_own(&mut self, gateway: usize) {
        let idle = self.gateways[gateway].unsettled() == 0 && self.gateways[gateway].in_flight.is_none();
        if let Some(session) = self.gateways[gateway].session().filter(|_| idle) {
            self.close(gateway, session);
        }
    }

    /// L2: extra sessions expire unused.
    fn close_stray(&mut self, gateway: usize, choice: usize) {
        let owned = [self.gateways[0].session(), self.gateways[1].session()];
        let state = &self.gateways[gateway].state;
        let strays: Vec<_> = state.sessions().map(|s| s.id).filter(|id| !owned.contains(&Some(*id))).collect();
        if let Some(index) = choice.checked_rem(strays.len()) {
            self.close(gateway, strays[index]);
        }
    }

    fn kill(&mut self, gateway: usize, choice: usize) {
        let mut state = State::new(self.incarnation);
        if choice.is_multiple_of(8) {
            state = self.gateways[1 - gateway].state.clone();
        }
        state.defect = self.defect;
        for flush in self.waiting[gateway].drain(..) {
            self.told.insert(flush, Told::Unknown);
        }
        self.count("kills");
        let (unknown, packet) = self.gateways[gateway].restart(state);
        self.settle(gateway, unknown);
        self.zombies.extend(packet);
    }

    fn jump(&mut self, gateway: usize) {
        let other = &self.gateways[1 - gateway].state;
        if other.known() <= self.gateways[gateway].state.known() {
            return;
        }
        let snapshot = other.snapshot(512);
        let mut state = State::restore(&snapshot.manifest, &snapshot.parts).unwrap();
        state.defect = self.defect;
        self.count("jumps");
        let unknown = self.gateways[gateway].jump(state);
        self.settle(gateway, unknown);
        self.seal_waiting(gateway);
    }
}

/// What becomes of a request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    /// Appended, and the answer carries the tail.
    Tail,
    /// Appended; the answer is lost, or came without the tail.
    Lost,
    /// Unknown, and it arrives later.
    Delayed,
    /// Appended and answered, and a copy arrives later.
    Twice,
    /// Definitely not appended.
    Refused,
}

/// The position of `log[index]`: the first element of a log is at 1.
pub(super) fn position_of(index: usize) -> Position {
    Position::new(0, u64::try_from(index).unwrap() + 1)
}
