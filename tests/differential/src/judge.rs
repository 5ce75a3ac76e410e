//! Compares what two brokers answered, and says whether the differences are those that are written down.
//!
//! Promises: a difference that is not listed fails, and so does a listed one that no longer shows. Called by `main`.

use std::collections::{BTreeMap, BTreeSet};

use crate::dump::Line;
use crate::situation::{Difference, Situation};

/// What became of one situation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The same answers.
    Same,
    /// Different in the ways that these rows of docs/differences.md name.
    Differs(BTreeSet<&'static str>),
    /// Why it failed, a line each.
    Failed(Vec<String>),
}

/// The answers of one broker: a label and lines each, then why the script ended early, if it did.
pub(crate) type Transcript = (Vec<(String, Vec<Line>)>, Option<String>);

/// Something that the two said differently: where, and what each said.
#[derive(Debug)]
struct Disagreement {
    place: String,
    kafka: String,
    sluice: String,
}

/// Judges a situation.
pub(crate) fn judge(situation: &Situation, version: i16, kafka: &Transcript, sluice: &Transcript) -> Verdict {
    let found = disagreements(kafka, sluice);
    let listed: Vec<&Difference> = situation.differences.iter().filter(|d| d.is_in(version)).collect();
    let mut shown = BTreeSet::new();
    let mut wrong = Vec::new();
    for one in &found {
        match listed.iter().find(|d| one.place.contains(d.at)) {
            Some(difference) => {
                shown.insert((difference.id, difference.at));
            }
            None => wrong.push(format!("{}\n        Kafka:  {}\n        Sluice: {}", one.place, one.kafka, one.sluice)),
        }
    }
    for difference in listed {
        if !shown.contains(&(difference.id, difference.at)) {
            let place = if difference.at.is_empty() { "anywhere" } else { difference.at };
            wrong.push(format!("{} no longer shows ({place}): take it off", difference.id));
        }
    }
    if !wrong.is_empty() {
        return Verdict::Failed(wrong);
    }
    if shown.is_empty() { Verdict::Same } else { Verdict::Differs(shown.into_iter().map(|(id, _)| id).collect()) }
}

fn disagreements(kafka: &Transcript, sluice: &Transcript) -> Vec<Disagreement> {
    let mut found = Vec::new();
    let steps = kafka.0.len().max(sluice.0.len());
    for at in 0..steps {
        match (kafka.0.get(at), sluice.0.get(at)) {
            (Some(k), Some(s)) if k.0 == s.0 => compare(&k.0, &k.1, &s.1, &mut found),
            (k, s) => {
                let label = |side: Option<&(String, Vec<Line>)>, end: &Option<String>| match (side, end) {
                    (Some((label, _)), _) => label.clone(),
                    (None, Some(why)) => format!("(the script ended: {why})"),
                    (None, None) => "(nothing)".to_owned(),
                };
                let place = k.or(s).map_or_else(String::new, |x| x.0.clone());
                found.push(Disagreement { place, kafka: label(k, &kafka.1), sluice: label(s, &sluice.1) });
                return found;
            }
        }
    }
    if kafka.1 != sluice.1 {
        let text = |side: &Option<String>| side.clone().unwrap_or_else(|| "went on".to_owned());
        found.push(Disagreement { place: "the end".to_owned(), kafka: text(&kafka.1), sluice: text(&sluice.1) });
    }
    found
}

fn compare(label: &str, kafka: &[Line], sluice: &[Line], found: &mut Vec<Disagreement>) {
    let whole = |lines: &[Line]| match lines {
        [(path, value)] if path.is_empty() => Some(value.clone()),
        _ => None,
    };
    // One closed and the other answered: one line, not as many as the answer has.
    if whole(kafka).is_some() != whole(sluice).is_some() {
        let text = |lines: &[Line]| whole(lines).unwrap_or_else(|| in_short(lines));
        found.push(Disagreement { place: label.to_owned(), kafka: text(kafka), sluice: text(sluice) });
        return;
    }
    let (of_kafka, of_sluice) = (by_path(kafka), by_path(sluice));
    let mut paths: Vec<&str> = kafka.iter().chain(sluice).map(|(path, _)| path.as_str()).collect();
    let mut seen = BTreeSet::new();
    paths.retain(|path| seen.insert(*path));
    let mut absent = BTreeSet::new();
    for path in paths {
        let (k, s) = (of_kafka.get(path), of_sluice.get(path));
        if k == s {
            continue;
        }
        let (of_other, only) = if k.is_none() { (&of_kafka, sluice) } else { (&of_sluice, kafka) };
        let mut place = path;
        let mut text = [k, s].map(|value| value.map_or("(absent)".to_owned(), |v| (*v).to_owned()));
        // An element that one of them has not is one difference, not as many as it has fields.
        if let (true, Some(element)) = (k.is_none() || s.is_none(), element_without_match(path, of_other)) {
            if !absent.insert(element) {
                continue;
            }
            place = element;
            let said: Vec<Line> = only.iter().filter(|(p, _)| p.starts_with(element)).cloned().collect();
            text[usize::from(k.is_none())] = said.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ");
        }
        let place = if place.is_empty() { label.to_owned() } else { format!("{label} / {place}") };
        let [kafka, sluice] = text;
        found.push(Disagreement { place, kafka, sluice });
    }
}

/// The outermost element around `path` of which `other` has no line.
fn element_without_match<'a>(path: &'a str, other: &BTreeMap<&str, &str>) -> Option<&'a str> {
    let ends = path.match_indices(']').map(|(at, _)| &path[..=at]);
    ends.into_iter().find(|element| !other.keys().any(|p| p.starts_with(element)))
}

fn by_path(lines: &[Line]) -> BTreeMap<&str, &str> {
    lines.iter().map(|(path, value)| (path.as_str(), value.as_str())).collect()
}

/// The telling lines of an answer.
fn in_short(lines: &[Line]) -> String {
    let errors: Vec<String> =
        lines.iter().filter(|(path, _)| path.contains("error_code")).map(|(p, v)| format!("{p}={v}")).collect();
    let text = format!("an answer of {} fields: {}", lines.len(), errors.join(", "));
    text.chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::situation::{differs, differs_at, situation};

    fn answer(lines: &[(&str, &str)]) -> Transcript {
        let lines = lines.iter().map(|(p, v)| ((*p).to_owned(), (*v).to_owned())).collect();
        (vec![("1. Fetch v4".to_owned(), lines)], None)
    }

    const PLAIN: Situation = situation("x", "y", |_, _| Ok(()));

    #[test]
    fn the_same_answers_pass_and_an_unlisted_difference_fails() {
        let one = answer(&[("error_code", "NONE"), ("count", "1")]);
        let two = answer(&[("error_code", "NONE"), ("count", "2")]);
        assert_eq!(judge(&PLAIN, 0, &one, &one), Verdict::Same);
        assert!(matches!(judge(&PLAIN, 0, &one, &two), Verdict::Failed(why) if why.len() == 1));
    }

    #[test]
    fn a_listed_difference_is_named_and_a_stale_one_fails() {
        let one = answer(&[("error_code", "NONE"), ("count", "1")]);
        let two = answer(&[("error_code", "NONE"), ("count", "2")]);
        let listed = PLAIN.but(const { &[differs_at("D-01", "count")] });
        assert_eq!(judge(&listed, 0, &one, &two), Verdict::Differs(BTreeSet::from(["D-01"])));
        assert!(matches!(judge(&listed, 0, &one, &one), Verdict::Failed(_)), "it no longer differs");
        let elsewhere = PLAIN.but(const { &[differs_at("D-01", "error_code")] });
        assert!(matches!(judge(&elsewhere, 0, &one, &two), Verdict::Failed(why) if why.len() == 2));
    }

    #[test]
    fn a_closed_connection_is_an_answer() {
        let closed = answer(&[("", "closed")]);
        let answered = answer(&[("error_code", "NONE"), ("count", "1")]);
        assert!(matches!(judge(&PLAIN, 0, &closed, &answered), Verdict::Failed(why) if why.len() == 1));
        let listed = PLAIN.but(const { &[differs("D-02").within(3, 4)] });
        assert_eq!(judge(&listed, 3, &closed, &answered), Verdict::Differs(BTreeSet::from(["D-02"])));
        assert!(matches!(judge(&listed, 5, &closed, &answered), Verdict::Failed(_)));
    }
}
