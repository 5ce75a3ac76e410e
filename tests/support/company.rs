//! A consumer group at work: members that come, leave, are killed and paused, over a topic that grows meanwhile.
//!
//! Promises: a step returns when its effect is there (everything owned once, by those who should own something), or says
//! what was there instead by the deadline; the end compares what was processed and committed with what is in the topic.
//! Never: decides what to do to the group; the cells in `group_cells.rs` do. Called by them and by `chaos.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

use crate::feed::Feed;
use crate::fleet::{self, Fleet};
use crate::members::{Entry, Event, Journal, Library, Member, Membership, owners};
use crate::ownership::{Report, judge};

/// Longest that a rebalance may take, with clients that start on a busy machine.
const SETTLED: Duration = Duration::from_secs(60);
/// Longest that a member may take to leave.
const LEFT: Duration = Duration::from_secs(40);
/// Pause between two rounds of the producer.
const PACE: Duration = Duration::from_millis(25);

/// How a group differs from others.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// What its names begin with.
    pub name: &'a str,
    /// The assignor.
    pub assignor: &'a str,
    /// Partitions of its topic.
    pub partitions: i32,
    /// The session timeout of its members.
    pub session_ms: u64,
}

/// A group, its members and its topic.
pub struct Company<'a> {
    fleet: &'a Fleet,
    /// What its members are told.
    pub membership: Membership,
    /// What they said.
    pub journal: Arc<Journal>,
    partitions: i32,
    members: BTreeMap<String, Member>,
    feed: Option<Feed>,
    next: u32,
}

/// A name that no other group or topic has, also on a broker outside.
#[must_use]
pub fn unique(prefix: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{prefix}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl<'a> Company<'a> {
    /// Makes the topic and lets it grow; nobody has joined yet.
    ///
    /// # Errors
    /// When the topic cannot be made.
    pub fn start(fleet: &'a Fleet, shape: &Shape<'_>) -> anyhow::Result<Self> {
        let topic = unique(&format!("{}-topic", shape.name));
        fleet::create_topic(fleet.gateways()[0], &topic, shape.partitions)?;
        let feed = Feed::start(fleet.bootstrap(), &topic, shape.partitions, PACE);
        Ok(Self { feed: Some(feed), ..Self::over(fleet, shape, &topic) })
    }

    /// Over a topic that somebody else fills.
    #[must_use]
    pub fn over(fleet: &'a Fleet, shape: &Shape<'_>, topic: &str) -> Self {
        let membership = Membership {
            bootstrap: fleet.bootstrap().to_string(),
            group: unique(shape.name),
            topic: topic.to_owned(),
            assignor: shape.assignor.to_owned(),
            session_ms: shape.session_ms,
            commit_ms: 200,
        };
        let partitions = shape.partitions;
        Self { fleet, membership, journal: Arc::default(), partitions, members: BTreeMap::new(), feed: None, next: 0 }
    }

    /// Starts a member; returns its name.
    ///
    /// # Errors
    /// When its library is not to be had, which is on record as a skip.
    pub fn join(&mut self, library: Library) -> anyhow::Result<String> {
        self.join_as(library, None)
    }

    /// Starts a member with an instance id.
    ///
    /// # Errors
    /// As [`Self::join`].
    pub fn join_as(&mut self, library: Library, instance: Option<&str>) -> anyhow::Result<String> {
        self.next += 1;
        let name = format!("{}-{}", library.name(), self.next);
        let member = Member::start(library, &self.membership, &name, instance, &self.journal);
        self.members.insert(name.clone(), member.with_context(|| format!("{} is not to be had", library.name()))?);
        Ok(name)
    }

    fn member(&mut self, name: &str) -> anyhow::Result<&mut Member> {
        self.members.get_mut(name).with_context(|| format!("there is no member {name}"))
    }

    /// Lets a member leave cleanly.
    ///
    /// # Errors
    /// When it does not end well in time.
    pub fn stop(&mut self, name: &str) -> anyhow::Result<()> {
        let mut member = self.members.remove(name).with_context(|| format!("there is no member {name}"))?;
        member.stop(LEFT)
    }

    /// Kills a member.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        self.members.remove(name).with_context(|| format!("there is no member {name}"))?.kill();
        Ok(())
    }

    /// Pauses a member until its partitions are with the others, and lets it go on.
    ///
    /// # Errors
    /// When the others do not get them, or it does not come back.
    pub fn pause_and_resume(&mut self, name: &str) -> anyhow::Result<()> {
        self.member(name)?.pause();
        let others = self.members.keys().filter(|m| *m != name).cloned().collect();
        self.settle_among("while one is paused", &others)?;
        self.member(name)?.resume();
        self.settle("after the pause")
    }

    /// Waits until each partition has one owner, each member owns one, and each has processed something since.
    ///
    /// # Errors
    /// What is there instead.
    pub fn settle(&self, when: &str) -> anyhow::Result<()> {
        self.settle_among(when, &self.members.keys().cloned().collect())
    }

    fn settle_among(&self, when: &str, members: &BTreeSet<String>) -> anyhow::Result<()> {
        let (partitions, wanted) = (self.partitions, members.len().min(usize::try_from(self.partitions)?));
        let mut settled_since = None;
        let is_settled = |entries: &[Entry]| {
            let settled = is_owned_once(entries, partitions, members, wanted);
            settled_since = settled.then(|| settled_since.unwrap_or_else(crate::members::now_us));
            let Some(since) = settled_since else { return false };
            let owning: BTreeSet<String> = owners(entries).into_values().flatten().collect();
            let working: BTreeSet<&str> = entries
                .iter()
                .filter(|e| e.at_us > since && matches!(e.event, Event::Records { .. }))
                .map(|e| e.member.as_str())
                .collect();
            owning.iter().all(|m| working.contains(m.as_str()))
        };
        if self.journal.wait(SETTLED, is_settled) {
            return Ok(());
        }
        bail!("{when}: not settled after {SETTLED:?}: {}\n{}", self.owners_now(), self.story())
    }

    fn owners_now(&self) -> String {
        let owners = owners(&self.journal.entries());
        (0..self.partitions).fold(String::new(), |mut text, p| {
            let names: Vec<&str> = owners.get(&p).into_iter().flatten().map(String::as_str).collect();
            let _ = write!(text, "{p}: {} ", names.join("+"));
            text
        })
    }

    /// Which member owns which partitions.
    #[must_use]
    pub fn assignment(&self) -> BTreeMap<String, BTreeSet<i32>> {
        let mut assignment: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
        for (partition, members) in owners(&self.journal.entries()) {
            for member in members {
                assignment.entry(member).or_default().insert(partition);
            }
        }
        assignment
    }

    /// Waits until every member has processed something after this moment, without asking who owns what.
    ///
    /// # Errors
    /// Who has not.
    pub fn progress(&self, when: &str, deadline: Duration) -> anyhow::Result<()> {
        let since = crate::members::now_us();
        let mut idle = BTreeSet::new();
        let all_work = |entries: &[Entry]| {
            idle = self.members.keys().cloned().collect();
            let is_work = |e: &&Entry| e.at_us > since && matches!(e.event, Event::Records { .. });
            entries.iter().filter(is_work).for_each(|e| idle.retain(|m| *m != e.member));
            idle.is_empty()
        };
        ensure!(
            self.journal.wait(deadline, all_work),
            "{when}: {idle:?} do nothing after {deadline:?}\n{}",
            self.story()
        );
        Ok(())
    }

    /// Ends the topic's growth, waits until all of it is processed, lets everybody leave, and judges.
    ///
    /// # Errors
    /// What is wrong: ownership, skipped or repeated records, committed offsets, a member that stays.
    pub fn finish(mut self, is_static: bool) -> anyhow::Result<Report> {
        if let Some(mut feed) = self.feed.take() {
            feed.stop();
        }
        let ends = fleet::ends(self.fleet.bootstrap(), &self.membership.topic, self.partitions)?;
        let is_done = |entries: &[Entry]| {
            let done = processed(entries);
            ends.iter().all(|(p, end)| *end == 0 || done.get(p) >= Some(end))
        };
        if !self.journal.wait(SETTLED, is_done) {
            bail!("not all was processed: {:?} of {ends:?}\n{}", processed(&self.journal.entries()), self.story());
        }
        self.members.values_mut().for_each(Member::ask_to_stop);
        for member in self.members.values_mut() {
            member.wait_for_end(LEFT)?;
        }
        let report =
            judge(&self.journal.entries(), &ends).map_err(|found| anyhow::anyhow!("{found}\n{}", self.story()))?;
        for gateway in self.fleet.gateways() {
            let found = fleet::committed(*gateway, &self.membership.group, &self.membership.topic, self.partitions)?;
            ensure!(
                found == ends,
                "{gateway} shows the committed offsets {found:?} where {ends:?} were\n{}",
                self.story()
            );
            let described = fleet::describe(*gateway, &self.membership.group)?;
            let (state, members) = (described.group_state.to_string(), described.members.len());
            ensure!(
                is_static || (state == "Empty" && members == 0),
                "everybody left, and {gateway} shows {state}, {members} members"
            );
        }
        Ok(report)
    }

    /// What happened, for people: everything but records and commits (those too with `SLUICE_WHOLE_STORY=1`), and the
    /// last errors.
    #[must_use]
    pub fn story(&self) -> String {
        let entries = self.journal.entries();
        let start = entries.first().map_or(0, |e| e.at_us);
        // All of it is thousands of lines: for those who look for a reason.
        let all = std::env::var_os("SLUICE_WHOLE_STORY").is_some();
        let told = entries.iter().filter(|e| all || !matches!(e.event, Event::Records { .. } | Event::Committed(_)));
        let mut lines: Vec<String> = told
            .map(|e| format!("  {:>6} ms {} {:?}", e.at_us.saturating_sub(start) / 1000, e.member, e.event))
            .collect();
        let cut = lines.len().saturating_sub(80);
        if !all {
            lines.drain(..cut);
        }
        for member in self.members.values() {
            let stderr = member.stderr();
            if !stderr.is_empty() {
                lines.push(format!("  {} on standard error:\n{stderr}", member.name));
            }
        }
        format!("group {} of topic {}\n{}", self.membership.group, self.membership.topic, lines.join("\n"))
    }
}

/// Greatest offset processed of each partition, plus one.
fn processed(entries: &[Entry]) -> BTreeMap<i32, i64> {
    let mut done = BTreeMap::new();
    for entry in entries {
        if let Event::Records { partition, last, .. } = entry.event {
            let high = done.entry(partition).or_insert(0);
            *high = (last + 1).max(*high);
        }
    }
    done
}

fn is_owned_once(entries: &[Entry], partitions: i32, members: &BTreeSet<String>, wanted: usize) -> bool {
    let owners = owners(entries);
    let mut owning = BTreeSet::new();
    for partition in 0..partitions {
        match owners.get(&partition).map(|names| (names.len(), names.first())) {
            Some((1, Some(name))) if members.contains(name) => drop(owning.insert(name)),
            _ => return false,
        }
    }
    owning.len() == wanted
}
