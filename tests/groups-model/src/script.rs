//! Situation scripts: what clients do, without ids and generations, which they take from what they were told.
//!
//! Promises: every step can be taken in every situation, so a script means something whatever a broker answered before.
//! Never: sends anything (that is `drive`).

use std::collections::{BTreeMap, BTreeSet};

use crate::manner::Manner;
use crate::model::{FENCED_INSTANCE_ID, MEMBER_ID_REQUIRED, NONE, SESSION_MIN_MS, UNKNOWN_MEMBER_ID, World};
use crate::request::{Answer, Body, Commit, Group, Id, Protocol, Request, Slot, Ticket, Topic};

/// Whose member id is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// The client's own, or the empty one if it has none.
    Own,
    /// That of another client.
    Other(Slot),
    /// The one the client had before.
    Former,
    /// This one.
    Exactly(Id),
}

/// Which generation is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The one the client knows.
    Current,
    /// One before it.
    Older,
    /// One after it.
    Newer,
    /// −1.
    Outside,
}

/// What a Sync of version 5 says of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "says it")]
pub enum Names {
    Right,
    WrongKind,
    WrongProtocol,
    NoKind,
    NoProtocol,
}

/// What a Sync assigns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "says it")]
pub enum Assigning {
    ToAll,
    ToAllButOne,
    ToStrangersToo,
    ToNobody,
}

/// What one client asks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "Kafka's names for Kafka's fields")]
pub enum What {
    Join {
        who: Who,
        instance: Option<u8>,
        session_ms: i32,
        kind: &'static str,
        protocols: Vec<Protocol>,
    },
    Sync {
        who: Who,
        when: When,
        instance: Option<u8>,
        names: Names,
        assigning: Assigning,
    },
    Heartbeat {
        who: Who,
        when: When,
        instance: Option<u8>,
    },
    Leave {
        members: Vec<(Who, Option<u8>)>,
    },
    Commit {
        who: Who,
        when: When,
        instance: Option<u8>,
        commits: Vec<Commit>,
    },
    /// A request without ids or generations.
    Plain(Body),
}

/// One client's request.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "says it")]
pub struct Ask {
    pub slot: Slot,
    pub version: i16,
    pub group: Group,
    pub what: What,
}

/// A step of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Requests sent at the same time; one mostly.
    Ask(Vec<Ask>),
    /// Waits until the session of a client's member has run out. It joined with the shortest session and rests since.
    Expire(Group, Slot),
}

/// What a client knows of itself in a group.
#[derive(Debug, Clone)]
#[allow(missing_docs, reason = "says it")]
pub struct View {
    pub id: Id,
    pub former: Id,
    pub generation: i32,
    pub kind: &'static str,
    pub protocol: Option<String>,
    pub members: Vec<Id>,
}

impl Default for View {
    fn default() -> Self {
        Self { id: Id::Nobody, former: Id::Bogus, generation: 0, kind: "consumer", protocol: None, members: Vec::new() }
    }
}

/// A script under way: what may be the case, and what clients know.
#[derive(Debug)]
pub struct Session {
    /// What may be the case.
    pub worlds: Vec<World>,
    views: BTreeMap<(Slot, Group), View>,
    asked: BTreeMap<Ticket, Request>,
    /// Ids that clients were told: others cannot be sent.
    told: BTreeSet<Id>,
}

impl Default for Session {
    fn default() -> Self {
        Self::new(Manner::Kafka)
    }
}

const PROTOCOLS: [&str; 4] = ["range", "roundrobin", "sticky", "other"];

impl Session {
    /// A script that begins.
    #[must_use]
    pub fn new(manner: Manner) -> Self {
        let worlds = vec![World::new(manner)];
        Self { worlds, views: BTreeMap::new(), asked: BTreeMap::new(), told: BTreeSet::new() }
    }

    /// What a client knows of itself in a group.
    #[must_use]
    pub fn view(&self, slot: Slot, group: Group) -> View {
        self.views.get(&(slot, group)).cloned().unwrap_or_default()
    }

    /// The request of that number.
    #[must_use]
    pub fn request(&self, ticket: Ticket) -> Option<&Request> {
        self.asked.get(&ticket)
    }

    /// Puts what the client knows in the places of symbols, and numbers the request.
    pub fn resolve(&mut self, ask: &Ask) -> (Ticket, Request) {
        let ticket = Ticket::try_from(self.asked.len()).unwrap_or(Ticket::MAX);
        let view = self.view(ask.slot, ask.group);
        let id = |who: Who| match who {
            Who::Own => view.id,
            Who::Other(slot) => self.view(slot, ask.group).id,
            Who::Former => view.former,
            Who::Exactly(Id::Of(ticket)) if !self.told.contains(&Id::Of(ticket)) => Id::Bogus,
            Who::Exactly(id) => id,
        };
        let generation = |when: When| match when {
            When::Current => view.generation,
            When::Older => view.generation - 1,
            When::Newer => view.generation + 1,
            When::Outside => -1,
        };
        let group = ask.group;
        let from = |since: i16, instance: Option<u8>| instance.filter(|_| ask.version >= since);
        let body = match &ask.what {
            What::Join { who, instance, session_ms, kind, protocols } => Body::Join {
                group,
                id: id(*who),
                instance: from(5, *instance),
                session_ms: *session_ms,
                kind,
                protocols: protocols.clone(),
            },
            What::Sync { who, when, instance, names, assigning } => {
                let (kind, protocol) = names_of(*names, &view, ask.version);
                let (id, generation, instance) = (id(*who), generation(*when), from(3, *instance));
                let assignments = assignments(*assigning, &view, ticket);
                Body::Sync { group, generation, id, instance, kind, protocol, assignments }
            }
            What::Heartbeat { who, when, instance } => {
                Body::Heartbeat { group, generation: generation(*when), id: id(*who), instance: from(3, *instance) }
            }
            What::Leave { members } => {
                Body::Leave { group, members: members.iter().map(|(who, i)| (id(*who), from(3, *i))).collect() }
            }
            What::Commit { who, when, instance, commits } => Body::Commit {
                group,
                generation: generation(*when),
                id: id(*who),
                instance: from(7, *instance),
                commits: commits.clone(),
            },
            What::Plain(body) => body.clone(),
        };
        let request = Request { version: ask.version, slot: ask.slot, body };
        self.asked.insert(ticket, request.clone());
        (ticket, request)
    }

    /// Every world that requests sent together may lead to, each with its answers in it.
    #[must_use]
    pub fn predict(&self, requests: &[(Ticket, Request)]) -> Vec<World> {
        let mut reached = BTreeSet::new();
        let mut open: Vec<(World, Vec<usize>)> = Vec::new();
        for world in &self.worlds {
            open.extend(world.clone().drift().into_iter().map(|w| (w, (0..requests.len()).collect())));
        }
        let mut seen = BTreeSet::new();
        while let Some((world, left)) = open.pop() {
            if !seen.insert((world.clone(), left.clone())) {
                continue;
            }
            if left.is_empty() {
                reached.extend(world.settle());
                continue;
            }
            for (at, index) in left.iter().enumerate() {
                let Some((ticket, request)) = requests.get(*index) else { continue };
                let mut rest = left.clone();
                rest.remove(at);
                for next in world.clone().apply(*ticket, request) {
                    open.extend(next.drift().into_iter().map(|w| (w, rest.clone())));
                }
            }
        }
        reached.into_iter().collect()
    }

    /// Keeps the worlds that were found to be possible, and lets clients learn from the answers.
    pub fn observe(&mut self, worlds: Vec<World>, answers: &BTreeMap<Ticket, Answer>) {
        self.worlds = worlds;
        for world in &mut self.worlds {
            world.take_answers();
        }
        for (ticket, answer) in answers {
            let Some(request) = self.asked.get(ticket).cloned() else { continue };
            if let Answer::Join { id, .. } = answer {
                self.told.insert(*id);
            }
            self.learn(&request, answer);
        }
    }

    /// The worlds after the session of a client's member has run out; `None` where it does not run, because the member is
    /// not there, waits for something, or has a long session.
    #[must_use]
    pub fn expired(&self, group: Group, slot: Slot) -> Option<Vec<World>> {
        let id = self.view(slot, group).id;
        let mut after = Vec::new();
        for world in &self.worlds {
            let member = world.state(group)?.members.get(&id)?;
            let is_silent = member.join.is_none() && member.sync.is_none() && member.session_ms == SESSION_MIN_MS;
            is_silent.then_some(())?;
            after.extend(world.clone().expire(group, id).into_iter().flat_map(World::settle));
        }
        Some(after)
    }

    fn learn(&mut self, request: &Request, answer: &Answer) {
        let (group, id) = match &request.body {
            Body::Join { group, id, .. } | Body::Sync { group, id, .. } | Body::Heartbeat { group, id, .. } => {
                (*group, *id)
            }
            Body::Leave { group, members } => (*group, members.first().map_or(Id::Nobody, |(id, _)| *id)),
            _ => return,
        };
        let view = self.views.entry((request.slot, group)).or_default();
        let is_own = id == view.id;
        let error = match answer {
            Answer::Join { error, .. } | Answer::Sync { error, .. } | Answer::Leave { error, .. } => *error,
            Answer::Heartbeat(error) => *error,
            _ => return,
        };
        match answer {
            Answer::Join { error: NONE, generation, protocol, id, members, .. } => {
                if let Body::Join { kind, .. } = &request.body {
                    view.kind = kind;
                }
                view.id = *id;
                view.generation = *generation;
                view.protocol.clone_from(protocol);
                view.members = members.iter().map(|(id, _, _)| *id).collect();
            }
            Answer::Join { error: MEMBER_ID_REQUIRED, id, .. } => view.id = *id,
            Answer::Leave { error: NONE, .. } if is_own => view.lose_id(),
            _ if is_own && (error == UNKNOWN_MEMBER_ID || error == FENCED_INSTANCE_ID) => view.lose_id(),
            _ => {}
        }
    }
}

impl View {
    fn lose_id(&mut self) {
        if self.id != Id::Nobody {
            self.former = self.id;
        }
        self.id = Id::Nobody;
    }
}

fn names_of(names: Names, view: &View, version: i16) -> (Option<&'static str>, Option<&'static str>) {
    if version < 5 {
        return (None, None);
    }
    let known = view.protocol.as_deref().and_then(|p| PROTOCOLS.iter().find(|known| **known == p)).copied();
    let protocol = known.unwrap_or("range");
    let other = if protocol == "range" { "other" } else { "range" };
    match names {
        Names::Right => (Some(view.kind), Some(protocol)),
        Names::WrongKind => (Some("another"), Some(protocol)),
        Names::WrongProtocol => (Some(view.kind), Some(other)),
        Names::NoKind => (None, Some(protocol)),
        Names::NoProtocol => (Some(view.kind), None),
    }
}

fn assignments(assigning: Assigning, view: &View, ticket: Ticket) -> Vec<(Id, Vec<u8>)> {
    // Who does not lead assigns to itself, which nobody should mind.
    let mut members = if view.members.is_empty() { vec![view.id] } else { view.members.clone() };
    match assigning {
        Assigning::ToAll => {}
        Assigning::ToAllButOne => drop(members.pop()),
        Assigning::ToStrangersToo => members.push(Id::Bogus),
        Assigning::ToNobody => members.clear(),
    }
    members.into_iter().enumerate().map(|(at, id)| (id, format!("{ticket}:{at}").into_bytes())).collect()
}

/// The topics that metadata subscribes to: letters for topics, then anything; `None` if it begins with `!`, which stands
/// for bytes that are no subscription.
#[must_use]
pub fn topics_of(metadata: &[u8]) -> Option<BTreeSet<Topic>> {
    if metadata.first() == Some(&b'!') {
        return None;
    }
    let topic = |byte: &u8| match byte {
        b'A' => Some(Topic::A),
        b'B' => Some(Topic::B),
        _ => None,
    };
    Some(metadata.iter().filter_map(topic).collect())
}
