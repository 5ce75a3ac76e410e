//! What was measured beside what it should be at most: a table for people, JSON for machines.

use std::time::Duration;

/// Version of the JSON's layout.
const FORMAT: u32 = 1;

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Verdict {
    pub(crate) cell: String,
    pub(crate) what: String,
    pub(crate) measured: f64,
    /// The most it may be; `None` where it only says how things are.
    pub(crate) target: Option<f64>,
}

impl Verdict {
    pub(crate) fn is_missed(&self) -> bool {
        // A number that is none is no proof either.
        self.target.is_some_and(|target| self.measured.is_nan() || self.measured > target)
    }

    fn word(&self) -> &'static str {
        match self.target {
            None => "",
            Some(_) if self.is_missed() => "MISSED",
            Some(_) => "ok",
        }
    }

    fn to_json(&self) -> String {
        let target = self.target.map_or_else(|| "null".to_owned(), |target| target.to_string());
        format!(
            "{{\"cell\": \"{}\", \"what\": \"{}\", \"measured\": {:.4}, \"target\": {target}, \"missed\": {}}}",
            self.cell,
            self.what,
            self.measured,
            self.is_missed()
        )
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let target = self.target.map_or_else(String::new, |target| format!("{target}"));
        write!(f, "{:<44} {:<52} {:>10.3} {:>8} {:>6}", self.cell, self.what, self.measured, target, self.word())
    }
}

/// Verdicts of one cell, printed as they come.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    cell: String,
    all: Vec<Verdict>,
}

impl Verdicts {
    pub(crate) fn print_heading() {
        println!("{:<44} {:<52} {:>10} {:>8}", "cell", "what", "measured", "at most");
    }

    /// What is said from here on is about this cell.
    pub(crate) fn begin(&mut self, cell: impl Into<String>) {
        self.cell = cell.into();
    }

    /// A number that should be at most `target`.
    pub(crate) fn judge(&mut self, what: &str, measured: f64, target: f64) {
        self.add(what, measured, Some(target));
    }

    /// A number that is only told.
    pub(crate) fn tell(&mut self, what: &str, measured: f64) {
        self.add(what, measured, None);
    }

    fn add(&mut self, what: &str, measured: f64, target: Option<f64>) {
        let verdict = Verdict { cell: self.cell.clone(), what: what.to_owned(), measured, target };
        println!("{verdict}");
        self.all.push(verdict);
    }

    /// How many numbers are above what they should be.
    pub(crate) fn missed(&self) -> Vec<&Verdict> {
        self.all.iter().filter(|verdict| verdict.is_missed()).collect()
    }

    /// The number of the current cell with this name, for tests.
    #[cfg(test)]
    pub(crate) fn number(&self, what: &str) -> Option<f64> {
        self.all.iter().rev().find(|verdict| verdict.what == what).map(|verdict| verdict.measured)
    }

    pub(crate) fn to_json(&self) -> String {
        let lines: Vec<String> = self.all.iter().map(Verdict::to_json).collect();
        format!("{{\n  \"format\": {FORMAT},\n  \"verdicts\": [\n    {}\n  ]\n}}\n", lines.join(",\n    "))
    }
}

/// For printing: numbers here are far below where this is inexact.
pub(crate) fn to_f64(number: u64) -> f64 {
    number as f64
}

/// So many in so long, per second.
pub(crate) fn per_second(count: u64, wall: Duration) -> f64 {
    to_f64(count) / wall.as_secs_f64().max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_missed_above_its_target_and_never_without_one() {
        let mut verdicts = Verdicts::default();
        verdicts.begin("cell");
        verdicts.judge("at the target", 4.0, 4.0);
        verdicts.tell("no target", 1e9);
        assert!(verdicts.missed().is_empty());
        verdicts.judge("above", 4.1, 4.0);
        verdicts.judge("no number", f64::NAN, 4.0);
        assert_eq!(verdicts.missed().iter().map(|v| v.what.as_str()).collect::<Vec<_>>(), ["above", "no number"]);
        assert_eq!(verdicts.number("above"), Some(4.1));
        let json = verdicts.to_json();
        assert!(json.contains("\"measured\": 4.1000, \"target\": 4, \"missed\": true"), "{json}");
        assert!(json.contains("\"target\": null, \"missed\": false"), "{json}");
    }
}
