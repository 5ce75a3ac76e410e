//! Judges what the members of a group have said: who owned what when, and what was processed how often.
//!
//! Promises: finds each partition that two live members owned at a time, each record that nobody processed, and each
//! that was processed again although it was handed over cleanly or committed. A member that was killed or paused may
//! leave records to be processed again, from its last committed offset on; nothing else excuses any.
//! Never: waits or asks; it reads a finished [`Journal`](crate::members::Journal). Called by the suites over groups.

use std::collections::{BTreeMap, BTreeSet};

use crate::members::{Entry, Event};

/// What a group has shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Records that were processed, each counted once.
    pub records: i64,
    /// Records that were processed again after a kill or a pause.
    pub again: i64,
    /// Assignments that brought a member at least one partition.
    pub assignments: usize,
    /// Errors that members reported and survived.
    pub errors: usize,
}

#[derive(Debug, Default)]
struct Partition {
    owners: BTreeSet<String>,
    /// Where the owner goes on; `None` until it has processed something since it was assigned.
    position: Option<i64>,
    /// Where the next owner begins, if the last one has handed over cleanly.
    resume: i64,
    /// The last owner was killed, paused or surprised: the next may begin anywhere from the committed offset on.
    is_unclean: bool,
    /// Greatest offset processed, plus one.
    high: i64,
    /// Greatest offset committed.
    committed: i64,
    /// The same, when the partition was last assigned.
    committed_when_assigned: i64,
}

#[derive(Debug, Default)]
struct Judge {
    partitions: BTreeMap<i32, Partition>,
    /// Paused, or was so and has not yet learned what became of its partitions.
    disturbed: BTreeSet<String>,
    stopping: BTreeSet<String>,
    killed: BTreeSet<String>,
    over: BTreeSet<String>,
    report: Report,
    violations: Vec<String>,
}

/// Judges a group's entries, in the order in which they happened. `ends`: the end offset of each partition, when all of
/// it should have been processed.
///
/// # Errors
/// Each violation, a line each.
pub fn judge(entries: &[Entry], ends: &BTreeMap<i32, i64>) -> Result<Report, String> {
    let mut judge = Judge::default();
    // The end of a process that was killed may be seen before the kill is noted.
    let killed = entries.iter().filter(|e| e.event == Event::Killed).map(|e| e.member.clone());
    judge.killed = killed.collect();
    let start = entries.first().map_or(0, |e| e.at_us);
    for entry in entries {
        let before = judge.violations.len();
        judge.take(entry);
        for violation in &mut judge.violations[before..] {
            let at_ms = entry.at_us.saturating_sub(start) / 1000;
            *violation = format!("at {at_ms} ms: {violation}");
        }
    }
    for (partition, end) in ends {
        let high = judge.partitions.get(partition).map_or(0, |p| p.high);
        if high != *end {
            judge.violations.push(format!("partition {partition} was processed up to {high} and holds {end} records"));
        }
    }
    judge.report.records = judge.partitions.values().map(|p| p.high).sum();
    if judge.violations.is_empty() { Ok(judge.report) } else { Err(judge.violations.join("\n")) }
}

impl Judge {
    fn take(&mut self, entry: &Entry) {
        let member = &entry.member;
        match &entry.event {
            Event::Assigned(partitions) => {
                self.disturbed.remove(member);
                self.report.assignments += usize::from(!partitions.is_empty());
                partitions.iter().for_each(|p| self.assign(member, *p));
            }
            Event::Revoked(partitions) => {
                let clean = !self.disturbed.contains(member);
                partitions.iter().for_each(|p| self.release(member, *p, clean));
                self.disturbed.remove(member);
            }
            Event::Lost(partitions) => {
                partitions.iter().for_each(|p| self.release(member, *p, false));
                self.disturbed.remove(member);
            }
            Event::Records { partition, first, last } => self.process(member, *partition, *first, *last),
            Event::Committed(offsets) => {
                for (partition, offset) in offsets {
                    let partition = self.partitions.entry(*partition).or_default();
                    partition.committed = partition.committed.max(*offset);
                }
            }
            Event::Error { message, fatal: true } => self.violations.push(format!("{member}: {message}")),
            Event::Error { .. } => self.report.errors += 1,
            Event::Killed => {
                self.over.insert(member.clone());
                self.release_all(member, false);
            }
            Event::Paused => drop(self.disturbed.insert(member.clone())),
            Event::StopAsked => drop(self.stopping.insert(member.clone())),
            Event::Closed => {
                self.over.insert(member.clone());
                self.release_all(member, true);
            }
            Event::Ended if !self.killed.contains(member) && self.over.insert(member.clone()) => {
                self.violations.push(format!("{member} ended by itself"));
                self.release_all(member, false);
            }
            Event::Started | Event::Resumed | Event::Ended => {}
        }
    }

    fn assign(&mut self, member: &str, number: i32) {
        let partition = self.partitions.entry(number).or_default();
        let others: Vec<String> = partition.owners.iter().filter(|o| *o != member).cloned().collect();
        for other in others {
            let disturbed = self.disturbed.contains(&other);
            // One that is leaving may have left before it says so; if it goes on, its records show it.
            if !disturbed && !self.stopping.contains(&other) {
                self.violations.push(format!("partition {number} is assigned to {member} while {other} has it"));
            }
            self.release(&other, number, !disturbed);
        }
        let partition = self.partitions.entry(number).or_default();
        partition.owners.insert(member.to_owned());
        partition.position = None;
        partition.committed_when_assigned = partition.committed;
    }

    fn release(&mut self, member: &str, number: i32, clean: bool) {
        let partition = self.partitions.entry(number).or_default();
        if !partition.owners.remove(member) {
            return;
        }
        partition.is_unclean |= !clean;
        if let Some(position) = partition.position.take() {
            partition.resume = position;
        }
    }

    fn release_all(&mut self, member: &str, clean: bool) {
        let clean = clean && !self.disturbed.contains(member);
        let numbers: Vec<i32> = self.partitions.keys().copied().collect();
        numbers.into_iter().for_each(|number| self.release(member, number, clean));
    }

    fn process(&mut self, member: &str, number: i32, first: i64, last: i64) {
        let partition = self.partitions.entry(number).or_default();
        if !partition.owners.contains(member) {
            // What it had fetched before the pause: somebody else begins at what was committed, and so counts for nothing.
            if self.disturbed.contains(member) {
                self.report.again += last - first + 1;
            } else {
                self.violations
                    .push(format!("{member} processed {first} to {last} of partition {number}, not its own"));
            }
            return;
        }
        match partition.position {
            Some(position) if first == position => {}
            Some(position) => {
                self.violations.push(format!("{member} went from {position} to {first} of partition {number}"));
            }
            None => {
                let (from, to) = match partition.is_unclean {
                    true => (partition.committed_when_assigned, partition.high),
                    false => (partition.resume, partition.resume),
                };
                if first < from || first > to {
                    let what = if first > to { "skipped" } else { "processed again" };
                    self.violations.push(format!(
                        "{member} began partition {number} at {first} and not at {from} to {to}: records were {what}"
                    ));
                }
                partition.is_unclean = false;
            }
        }
        self.report.again += (partition.high.min(last + 1) - first).max(0);
        partition.position = Some(last + 1);
        partition.high = partition.high.max(last + 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Entries a microsecond apart.
    fn entries(events: &[(&str, Event)]) -> Vec<Entry> {
        let entry = |(at, (member, event)): (u64, &(&str, Event))| Entry {
            at_us: at,
            member: (*member).to_owned(),
            event: event.clone(),
        };
        (0..).zip(events).map(entry).collect()
    }

    fn assigned(partitions: &[i32]) -> Event {
        Event::Assigned(partitions.to_vec())
    }

    fn revoked(partitions: &[i32]) -> Event {
        Event::Revoked(partitions.to_vec())
    }

    fn read(first: i64, last: i64) -> Event {
        Event::Records { partition: 0, first, last }
    }

    fn committed(offset: i64) -> Event {
        Event::Committed(BTreeMap::from([(0, offset)]))
    }

    fn verdict(events: &[(&str, Event)], end: i64) -> Result<Report, String> {
        judge(&entries(events), &BTreeMap::from([(0, end)]))
    }

    fn complaint(events: &[(&str, Event)], end: i64) -> String {
        verdict(events, end).unwrap_err()
    }

    #[test]
    fn a_clean_hand_over_is_fine() {
        let events = [
            ("a", assigned(&[0])),
            ("a", read(0, 4)),
            ("a", committed(5)),
            ("a", revoked(&[0])),
            ("b", assigned(&[0])),
            ("b", read(5, 9)),
        ];
        assert_eq!(verdict(&events, 10), Ok(Report { records: 10, again: 0, assignments: 2, errors: 0 }));
    }

    #[test]
    fn two_owners_at_a_time_are_found() {
        let events = [("a", assigned(&[0])), ("b", assigned(&[0]))];
        assert!(complaint(&events, 0).contains("while a has it"));
        let events = [("a", assigned(&[0])), ("a", Event::StopAsked), ("b", assigned(&[0])), ("a", read(0, 0))];
        assert!(complaint(&events, 0).contains("not its own"));
    }

    #[test]
    fn a_skipped_record_is_found() {
        let events = [("a", assigned(&[0])), ("a", read(0, 4)), ("a", read(6, 9))];
        assert!(complaint(&events, 10).contains("went from 5 to 6"));
        let events =
            [("a", assigned(&[0])), ("a", read(0, 4)), ("a", Event::Killed), ("b", assigned(&[0])), ("b", read(6, 9))];
        assert!(complaint(&events, 10).contains("skipped"));
        assert!(complaint(&[("a", assigned(&[0])), ("a", read(0, 4))], 10).contains("up to 5"));
    }

    #[test]
    fn a_record_processed_again_is_found_unless_a_kill_explains_it() {
        let mut events = vec![
            ("a", assigned(&[0])),
            ("a", read(0, 4)),
            ("a", committed(3)),
            ("a", revoked(&[0])),
            ("b", assigned(&[0])),
            ("b", read(3, 9)),
        ];
        assert!(complaint(&events, 10).contains("processed again"));
        events[3] = ("a", Event::Killed);
        assert_eq!(verdict(&events, 10).unwrap().again, 2);
        events[5] = ("b", read(2, 9));
        assert!(complaint(&events, 10).contains("at 2 and not at 3 to 5"), "a committed record is never read again");
    }

    #[test]
    fn a_clean_hand_over_in_the_middle_of_what_is_read_again_is_fine() {
        let events = [
            ("a", assigned(&[0])),
            ("a", read(0, 9)),
            ("a", Event::Killed),
            ("b", assigned(&[0])),
            ("b", read(0, 4)),
            ("b", committed(5)),
            ("b", revoked(&[0])),
            ("c", assigned(&[0])),
            ("c", read(5, 11)),
        ];
        assert_eq!(verdict(&events, 12).unwrap().again, 10);
    }

    #[test]
    fn a_paused_member_may_lose_its_partitions_without_a_word() {
        let events = [
            ("a", assigned(&[0])),
            ("a", read(0, 4)),
            ("a", committed(4)),
            ("a", Event::Paused),
            ("b", assigned(&[0])),
            ("b", read(4, 9)),
            ("a", Event::Resumed),
            ("a", read(5, 6)),
            ("a", Event::Lost(vec![0])),
            ("b", read(10, 11)),
        ];
        assert_eq!(verdict(&events, 12).unwrap().again, 3);
    }

    #[test]
    fn a_member_that_ends_by_itself_is_found() {
        assert!(complaint(&[("a", assigned(&[0])), ("a", Event::Ended)], 0).contains("by itself"));
        assert!(verdict(&[("a", assigned(&[0])), ("a", Event::Closed), ("a", Event::Ended)], 0).is_ok());
    }
}
