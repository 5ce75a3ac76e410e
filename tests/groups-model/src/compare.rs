//! A script under way, compared answer by answer with the worlds of the model.
//!
//! Promises: an answer that no world has, and one that every world has and that does not come, end the script with a report
//! of all of it. Never: sockets, clocks; whoever drives the script sends and reads, and says when waiting is over.
//! Called by `drive`, and by the suite that runs scripts in virtual time.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;

use crate::manner::Manner;
use crate::members::{Phase, State};
use crate::model::{
    COORDINATOR_NOT_AVAILABLE, FENCED_INSTANCE_ID, NONE, REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID, World,
};
use crate::request::{Answer, Body, Id, Request, Ticket};
use crate::script::{Ask, Session};
use crate::wire::Names;

/// Characters of a line of the report: metadata may be longer than anybody reads.
const LINE_MAX: usize = 1_000;

/// What was observed within a step.
pub type Answers = BTreeMap<Ticket, Answer>;

/// A member as the leader is told of it.
type Listed = (Id, Option<String>, Vec<u8>);

/// How far the answers of a step have come.
#[derive(Debug)]
pub struct Verdict {
    /// The worlds that have exactly these answers.
    pub done: Vec<World>,
    /// An answer that another world, which fits so far, has too. Where nothing is done it must come.
    pub awaited: Option<Ticket>,
}

/// What was settled, so that it can be looked at again when one of its requests turns out not to have been taken.
#[derive(Debug, Default)]
struct Past {
    base: Vec<World>,
    steps: Vec<(Vec<(Ticket, Request)>, Answers)>,
}

/// A script under way.
#[derive(Debug)]
pub struct Comparison {
    /// What may be the case, and what clients know.
    pub session: Session,
    /// What symbols are called in this script.
    pub names: Names,
    manner: Manner,
    /// What this step sent together.
    requests: Vec<(Ticket, Request)>,
    past: Past,
    predicted: Vec<World>,
    /// What this step has read.
    frames: BTreeMap<Ticket, Bytes>,
    answers: Answers,
    told: String,
}

impl Comparison {
    /// A script that begins, in which nothing has the names of another one.
    #[must_use]
    pub fn new(names: Names, manner: Manner) -> Self {
        Self {
            session: Session::new(manner),
            names,
            manner,
            requests: Vec::new(),
            past: Past { base: vec![World::new(manner)], steps: Vec::new() },
            predicted: Vec::new(),
            frames: BTreeMap::new(),
            answers: Answers::new(),
            told: String::new(),
        }
    }

    /// The script so far, for the report.
    #[must_use]
    pub fn told(&self) -> &str {
        &self.told
    }

    /// A line of the report.
    pub fn tell(&mut self, line: impl Display) {
        let line = line.to_string();
        self.told.extend(line.chars().take(LINE_MAX));
        if line.chars().nth(LINE_MAX).is_some() {
            self.told.push('…');
        }
        self.told.push('\n');
    }

    /// Begins a step of requests sent together.
    pub fn ask(&mut self, asks: &[Ask]) -> Vec<(Ticket, Request)> {
        let requests: Vec<_> = asks.iter().map(|ask| self.session.resolve(ask)).collect();
        self.begin(self.session.predict(&requests));
        self.requests.clone_from(&requests);
        requests
    }

    /// Begins a step that leads to one of these worlds.
    pub fn begin(&mut self, predicted: Vec<World>) {
        self.predicted = predicted;
        self.requests.clear();
        self.frames.clear();
        self.answers.clear();
    }

    /// Takes an answer of this step.
    ///
    /// # Errors
    /// When it cannot be read, or belongs to another request.
    pub fn take(&mut self, ticket: Ticket, frame: Bytes) -> Result<()> {
        let Some(request) = self.session.request(ticket).cloned() else { bail!("{ticket} was never asked") };
        ensure!(frame.get(..4) == Some(&i32::try_from(ticket)?.to_be_bytes()), "{ticket} got another's answer");
        self.names.bind(ticket, &request, &frame)?;
        if self.predicted.iter().all(|w| w.has_forgotten(ticket)) {
            return Ok(());
        }
        self.frames.insert(ticket, frame);
        // What came before may speak of an id that is known only now.
        for (ticket, frame) in &self.frames {
            let Some(request) = self.session.request(*ticket) else { continue };
            let answer = self.names.decode(request, frame).with_context(|| format!("answer to {ticket}"))?;
            self.answers.insert(*ticket, answer);
        }
        if self.manner.may_be_told_to_try_again() && self.answers.get(&ticket).is_some_and(says_try_again) {
            if self.requests.iter().any(|(t, _)| *t == ticket) {
                self.leave_out();
            } else if !self.predicted.iter().any(|world| world.has_forgotten(ticket)) {
                // One that is forgotten was taken: its member has come again since, and somebody has seen it now.
                self.leave_out_of_past(ticket);
            }
        }
        Ok(())
    }

    /// True while more than one request of this step could come before another.
    fn is_among_others(&self) -> bool {
        self.requests.len() > 1
    }

    /// What is to be tried again has not happened: the step was without it.
    fn leave_out(&mut self) {
        if !self.is_among_others() {
            return;
        }
        let refused: Answers =
            self.answers.iter().filter(|(_, a)| says_try_again(a)).map(|(t, a)| (*t, a.clone())).collect();
        let taken: Vec<_> = self.requests.iter().filter(|(t, _)| !refused.contains_key(t)).cloned().collect();
        self.predicted = self.session.predict(&taken);
        for world in &mut self.predicted {
            world.answers.extend(refused.clone());
        }
    }

    /// The same for a request of an earlier step, which seemed to wait.
    fn leave_out_of_past(&mut self, ticket: Ticket) {
        let sent_with = |(requests, _): &&mut (Vec<(Ticket, Request)>, Answers)| {
            requests.len() > 1 && requests.iter().any(|(t, _)| *t == ticket)
        };
        let Some((requests, _)) = self.past.steps.iter_mut().find(sent_with) else { return };
        requests.retain(|(t, _)| *t != ticket);
        self.session.worlds.clone_from(&self.past.base);
        for (requests, answers) in &self.past.steps {
            let mut reached = self.session.predict(requests);
            let has_all = |w: &World| w.answers.keys().all(|t| answers.contains_key(t));
            reached.retain(|w| has_all(w) && self.fits(w, answers, true));
            reached.iter_mut().for_each(|w| drop(w.take_answers()));
            self.session.worlds = reached;
        }
        self.frames.remove(&ticket);
        self.answers.remove(&ticket);
        self.predicted = self.session.predict(&self.requests);
        self.leave_out();
    }

    /// What the answers so far say.
    ///
    /// # Errors
    /// The report, when they are those of no world.
    pub fn judge(&self) -> Result<Verdict> {
        let fits = self.fitting();
        if fits.is_empty() {
            bail!(self.report("no world has these answers"));
        }
        let (done, more): (Vec<&World>, Vec<&World>) = fits.into_iter().partition(|w| self.is_complete(w));
        let awaited = more.iter().flat_map(|w| w.answers.keys()).find(|t| !self.answers.contains_key(t)).copied();
        Ok(Verdict { done: done.into_iter().cloned().collect(), awaited })
    }

    /// Ends the step: goes on with these worlds.
    pub fn settle(&mut self, worlds: Vec<World>) {
        for (ticket, answer) in self.answers.clone() {
            self.tell(format_args!("  {ticket} <- {answer:?}"));
        }
        self.session.observe(worlds, &self.answers);
        if self.requests.is_empty() {
            self.past = Past { base: self.session.worlds.clone(), steps: Vec::new() };
        } else {
            let mut answers = self.answers.clone();
            answers.retain(|_, answer| !says_try_again(answer));
            let mut requests = std::mem::take(&mut self.requests);
            requests.retain(|(t, _)| answers.contains_key(t) || !self.answers.contains_key(t));
            self.past.steps.push((requests, answers));
        }
    }

    /// True when everything that a world has was answered.
    fn is_complete(&self, world: &World) -> bool {
        world.answers.keys().all(|ticket| self.answers.contains_key(ticket))
    }

    fn fitting(&self) -> Vec<&World> {
        self.predicted.iter().filter(|world| self.fits(world, &self.answers, self.is_among_others())).collect()
    }

    fn fits(&self, world: &World, answers: &Answers, is_among_others: bool) -> bool {
        // An id may be told to others before it is told to its member: then the rest is needed to judge.
        let is_partial = !world.answers.keys().all(|ticket| answers.contains_key(ticket));
        answers.iter().all(|(ticket, got)| {
            let expected = world.answers.get(ticket);
            world.has_forgotten(*ticket)
                || expected.is_some_and(|e| self.seen(e) == self.seen(got) || (is_partial && speaks_of_unseen(got)))
                || expected.is_some_and(|e| is_among_others && self.hears_the_present(world, *ticket, e, got))
        })
    }

    /// See [`Manner::waiting_hear_the_present`]; for requests sent together with others.
    fn hears_the_present(&self, world: &World, ticket: Ticket, expected: &Answer, got: &Answer) -> bool {
        if !self.manner.waiting_hear_the_present() {
            return false;
        }
        let Some(request) = self.session.request(ticket) else { return false };
        let (Body::Join { group, .. } | Body::Sync { group, .. }) = &request.body else { return false };
        let Some(state) = world.state(*group) else { return false };
        match (&request.body, expected, got) {
            (Body::Join { .. }, Answer::Join { error: NONE, id, .. }, Answer::Join { error, .. }) => {
                let is_gone = !state.members.contains_key(id);
                is_gone && matches!(*error, UNKNOWN_MEMBER_ID | FENCED_INSTANCE_ID)
                    || self.is_told_as_of_now(state, expected, got)
            }
            (Body::Sync { generation, id, .. }, Answer::Sync { error, .. }, Answer::Sync { error: told, .. }) => {
                let is_over = state.generation != *generation || state.phase != Phase::Stable;
                match (*error, *told) {
                    (NONE | REBALANCE_IN_PROGRESS, UNKNOWN_MEMBER_ID | FENCED_INSTANCE_ID) => {
                        !state.members.contains_key(id)
                    }
                    (NONE, REBALANCE_IN_PROGRESS) => is_over,
                    _ => false,
                }
            }
            _ => false,
        }
    }

    /// The leader and the members may be told by the ids that took their places; who has joined again may be missing.
    fn is_told_as_of_now(&self, state: &State, expected: &Answer, got: &Answer) -> bool {
        let (mut expected, got) = (expected.clone(), self.seen(got));
        let (Answer::Join { leader, members, .. }, Answer::Join { leader: told_leader, members: told, .. }) =
            (&mut expected, &got)
        else {
            return false;
        };
        if self.names.seen(state.leader.id()) == *told_leader {
            *leader = *told_leader;
        }
        let has_come_back =
            |told: Id| state.members.iter().any(|(id, m)| m.instance.is_some() && self.names.seen(*id) == told);
        let is_there = |(id, _, _): &Listed| members.iter().any(|m| self.names.seen(m.0) == *id) || has_come_back(*id);
        let is_as_before = |m: &&Listed| state.members.get(&m.0).is_some_and(|member| member.join.is_none());
        let lists_the_rest = members.iter().filter(is_as_before).all(|m| told.contains(m));
        if told.iter().all(is_there) && lists_the_rest && members.is_empty() == told.is_empty() {
            members.clone_from(told);
        }
        self.seen(&expected) == got
    }

    /// An answer without what cannot be known yet.
    fn seen(&self, answer: &Answer) -> Answer {
        let mut answer = answer.clone();
        match &mut answer {
            Answer::Describe(groups) => {
                for group in groups {
                    for member in &mut group.members {
                        member.id = self.names.seen(member.id);
                    }
                    group.members.sort();
                }
            }
            Answer::Join { leader, members, .. } => {
                *leader = self.names.seen(*leader);
                for (id, _, _) in members.iter_mut() {
                    *id = self.names.seen(*id);
                }
                members.sort();
            }
            _ => {}
        }
        answer
    }

    /// Why a step is wrong: what came, and what each world has.
    #[must_use]
    pub fn report(&self, why: &str) -> String {
        let mut text = format!("{why}\n");
        for (ticket, got) in &self.answers {
            let _ = writeln!(text, "got      {ticket}: {got:?}");
        }
        for (at, world) in self.predicted.iter().enumerate().take(6) {
            for (ticket, expected) in &world.answers {
                let _ = writeln!(text, "expected {ticket}: {expected:?} (world {at})");
            }
            if world.answers.is_empty() {
                let _ = writeln!(text, "expected no answer (world {at})");
            }
        }
        text
    }
}

fn says_try_again(answer: &Answer) -> bool {
    match answer {
        Answer::Join { error, .. } | Answer::Sync { error, .. } | Answer::Heartbeat(error) => {
            *error == COORDINATOR_NOT_AVAILABLE
        }
        Answer::Leave { error, members } => {
            *error == COORDINATOR_NOT_AVAILABLE
                || !members.is_empty() && members.iter().all(|(_, _, e)| *e == COORDINATOR_NOT_AVAILABLE)
        }
        Answer::Commit(told) => told.iter().any(|(_, _, e)| *e == COORDINATOR_NOT_AVAILABLE),
        _ => false,
    }
}

fn speaks_of_unseen(answer: &Answer) -> bool {
    matches!(answer, Answer::Join { leader, members, .. }
        if *leader == Id::Unseen || members.iter().any(|(id, _, _)| *id == Id::Unseen))
}
