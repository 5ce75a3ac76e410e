//! The log of one schedule: what three gateways append, proposed from States of any age.

use std::collections::VecDeque;

use bytes::Bytes;

use super::Tally;
use super::judge::{judge, name_of};
use super::propose::{Dice, Proposer};
use crate::groups::check_all as check_groups;
use crate::{Command, Entry, Identity, Incarnation, Judgement, Outcome, Position, SessionId, State, invariants};

const GATEWAYS: usize = 3;
/// How many entries a gateway's State may be behind.
const LAG_MAX: usize = 4;

pub(super) struct World {
    state: State,
    log: Vec<(Option<Identity>, Bytes)>,
    /// The last States, the newest in front.
    recent: VecDeque<State>,
    sessions: [SessionId; GATEWAYS],
    proposer: Proposer,
    pub(super) tally: Tally,
}

impl World {
    pub(super) fn new() -> Self {
        let state = State::new(Incarnation(0xdef));
        let recent = VecDeque::from([state.clone()]);
        let sessions = [SessionId(Position::ZERO); GATEWAYS];
        let proposer = Proposer::default();
        let mut world = Self { state, log: Vec::new(), recent, sessions, proposer, tally: Tally::new() };
        world.open_closed().unwrap();
        let topics = world.proposer.create_topics();
        world.append(0, topics).unwrap();
        world
    }

    pub(super) fn play(&mut self, (what, detail): (u8, u32)) -> Result<(), String> {
        let mut dice = Dice::new(what, detail);
        let gateway = dice.index(GATEWAYS);
        let lag = if dice.one_in(2) { 0 } else { dice.index(LAG_MAX) };
        let seen = self.recent[lag.min(self.recent.len() - 1)].clone();
        let session = self.sessions[gateway];
        let mut commands: Vec<_> = self.proposer.propose(&mut dice, &seen, session).into_iter().collect();
        while dice.one_in(6) {
            commands.extend(self.proposer.propose(&mut dice, &seen, session));
        }
        self.append(gateway, commands)?;
        // A gateway learns only later that its session was closed: until then what it appends is a no-op (L1).
        if dice.one_in(4) {
            self.open_closed()?;
        }
        Ok(())
    }

    fn open_closed(&mut self) -> Result<(), String> {
        for gateway in 0..GATEWAYS {
            if self.state.session(self.sessions[gateway]).is_none() {
                self.sessions[gateway] = SessionId(self.state.known().next());
                let open = self.proposer.open_session();
                self.apply(None, vec![open])?;
            }
        }
        Ok(())
    }

    fn append(&mut self, gateway: usize, commands: Vec<Command>) -> Result<(), String> {
        let session = self.sessions[gateway];
        let sequence = self.state.session(session).map_or(1, |session| session.last_sequence + 1);
        self.apply(Some(Identity { session, sequence }), commands)
    }

    /// Applies one entry to the end of the log and judges what it did.
    fn apply(&mut self, identity: Option<Identity>, commands: Vec<Command>) -> Result<(), String> {
        let entry = Entry { known: self.state.known(), hash_at_known: self.state.hash(), commands };
        let before = self.state.clone();
        let position = before.known().next();
        let applied = self.state.apply(position, identity, Some(&entry)).map_err(|error| error.to_string())?;
        self.log.push((identity, entry.encode()));
        check_groups(&self.state)?;
        for (command, outcome) in entry.commands.iter().zip(&applied.outcomes) {
            for name in name_of(command, outcome) {
                *self.tally.entry(name).or_default() += 1;
            }
        }
        if let Some(identity) = identity.filter(|_| applied.accepted) {
            judge(&before, &self.state, identity.session, &entry.commands, &applied)?;
        }
        self.recent.push_front(self.state.clone());
        self.recent.truncate(LAG_MAX);
        Ok(())
    }

    /// I-12, L9, L10: the entries' bytes, from the start or from a snapshot, lead to the same State.
    pub(super) fn replays_agree(&self, cut: usize) -> Result<(), String> {
        let cut = cut % (self.log.len() + 1);
        let mut state = State::new(Incarnation(0xdef));
        replay(&mut state, &self.log[..cut])?;
        let snapshot = state.snapshot(200);
        let restored = State::restore(&snapshot.manifest, &snapshot.parts).map_err(|error| error.to_string())?;
        if restored.groups != state.groups || restored.snapshot(200) != snapshot {
            return Err("L10: a restored State has other groups".to_owned());
        }
        invariants::check(&self.state)?;
        for mut from in [state, restored] {
            replay(&mut from, &self.log[cut..])?;
            if from.hash() != self.state.hash() || from.groups != self.state.groups {
                return Err("I-12: two replays of one log differ".to_owned());
            }
        }
        Ok(())
    }
}

fn replay(state: &mut State, log: &[(Option<Identity>, Bytes)]) -> Result<(), String> {
    for (identity, bytes) in log {
        let entry = match state.judge(*identity) {
            Judgement::NoOp => None,
            Judgement::Accept => Some(Entry::decode(bytes).map_err(|error| error.to_string())?),
        };
        let applied = state.apply(state.known().next(), *identity, entry.as_ref());
        let applied = applied.map_err(|error| error.to_string())?;
        if applied.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Malformed(_))) {
            return Err("an entry is malformed".to_owned());
        }
    }
    Ok(())
}
