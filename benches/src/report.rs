//! The table for people and the JSON for machines.

use std::fmt::Write as _;

use crate::cells::{Cell, RUNS, Starts};
use crate::cores::Cores;
use crate::measure::Measured;

/// Issue targets of a start.
const START_MS_TARGET: f64 = 100.0;
const IDLE_MB_TARGET: f64 = 30.0;
/// What stands above the columns; the widths are those of a row.
const HEADING: &str =
    "cell                         CPU-s/GB target          MB/s requests  µs/req system server client RSS MB  runs";
/// Version of the JSON's layout.
const FORMAT: u32 = 1;

/// A number, and what it should be at most.
#[derive(Debug, Clone, PartialEq)]
struct Judged {
    value: f64,
    target: Option<f64>,
}

impl Judged {
    fn verdict(&self) -> &'static str {
        match self.target {
            Some(target) if self.value <= target => "PASS",
            Some(_) => "ABOVE",
            None => "",
        }
    }
}

/// A result with its numbers in the units that are printed.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    name: String,
    /// CPU seconds per 1e9 bytes of values; `None` where bytes are not the point.
    cpu_s_per_gb: Option<Judged>,
    /// CPU time of every run, in the same unit as the cell's own number, ascending.
    runs: Vec<f64>,
    mb_per_s: f64,
    requests: f64,
    cpu_us_per_request: f64,
    /// Share of the server's time that was spent in the kernel, in percent.
    system_percent: f64,
    /// CPU time over wall time, in percent.
    server_busy_percent: f64,
    generator_busy_percent: f64,
    resident_mb: f64,
}

/// Results, printed as they come.
#[derive(Debug)]
pub(crate) struct Report {
    rows: Vec<Row>,
    start: Option<(Judged, f64, Judged)>,
    divide: u32,
    is_pinned: bool,
}

impl Report {
    /// Prints what stands above the table.
    pub(crate) fn new(cores: &Cores, divide: u32) -> Self {
        let is_pinned = match cores {
            Cores::Apart { server, generator } => {
                println!(
                    "server on core {server}, generator on core {generator}; GB and MB are decimal, of record values"
                );
                true
            }
            Cores::Shared => {
                println!("NOT PINNED (one core, or no taskset): these numbers are worse than the server is");
                false
            }
        };
        if divide > 1 {
            println!("amounts divided by {divide}: for a first look only");
        }
        println!(
            "each cell is the median of {RUNS} runs by CPU time, each on a fresh server; at the right all of them"
        );
        Self { rows: Vec::new(), start: None, divide, is_pinned }
    }

    /// Prints the heading of the table, below a word on the run that warmed the machine up, if there was one.
    pub(crate) fn begin(&self, warm_up: Option<&Measured>) {
        if let Some(run) = warm_up {
            let cost = ratio(run.cpu.total.as_secs_f64(), to_f64(run.tally.value_bytes) / 1e9);
            println!("a produce before all others, not counted, took {cost:.2} CPU-s/GB");
        }
        println!("\n{HEADING}");
    }

    /// Takes the runs of a cell and prints its line.
    pub(crate) fn add(&mut self, cell: Cell, runs: Vec<Measured>) {
        let Some(row) = Row::new(cell, runs) else { return };
        println!("{row}");
        self.rows.push(row);
    }

    /// Takes the times of starts.
    pub(crate) fn add_start(&mut self, starts: &Starts) {
        let median = Judged { value: starts.median.as_secs_f64() * 1e3, target: Some(START_MS_TARGET) };
        let idle = Judged { value: to_f64(starts.idle_bytes) / 1e6, target: Some(IDLE_MB_TARGET) };
        self.start = Some((median, starts.slowest.as_secs_f64() * 1e3, idle));
    }

    /// What stands below the table.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::new();
        if let Some((median, slowest, idle)) = &self.start {
            let _ = writeln!(
                text,
                "\nstart to the answer of ApiVersions: median {:.1} ms, slowest {slowest:.1} ms (target {START_MS_TARGET} ms) {}",
                median.value,
                median.verdict()
            );
            let _ = writeln!(text, "idle RSS: {:.1} MB (target {IDLE_MB_TARGET} MB) {}", idle.value, idle.verdict());
        }
        text
    }

    /// The results as JSON.
    pub(crate) fn to_json(&self) -> String {
        let cells: Vec<String> = self.rows.iter().map(Row::to_json).collect();
        let start = self.start.as_ref().map_or_else(
            || "null".to_owned(),
            |(median, slowest, idle)| {
                format!(
                    "{{\"median_ms\": {:.3}, \"slowest_ms\": {slowest:.3}, \"idle_rss_mb\": {:.3}}}",
                    median.value, idle.value
                )
            },
        );
        format!(
            "{{\n  \"format\": {FORMAT},\n  \"pinned\": {},\n  \"divide\": {},\n  \"start\": {start},\n  \"cells\": [\n    {}\n  ]\n}}\n",
            self.is_pinned,
            self.divide,
            cells.join(",\n    ")
        )
    }
}

impl Row {
    /// The run in the middle by CPU time, which is what the cell is judged by; `None` without a run.
    fn new(cell: Cell, mut runs: Vec<Measured>) -> Option<Self> {
        runs.sort_unstable_by_key(|run| run.cpu.total);
        let measured = *runs.get(runs.len() / 2)?;
        let value_bytes = to_f64(measured.tally.value_bytes);
        let requests = to_f64(measured.tally.requests);
        let (cpu, wall) = (measured.cpu.total.as_secs_f64(), measured.wall.as_secs_f64());
        let is_about_bytes = cell.is_about_bytes();
        let cost_of = |run: &Measured| {
            let cpu = run.cpu.total.as_secs_f64();
            let (per_gb, per_request) = (to_f64(run.tally.value_bytes) / 1e9, to_f64(run.tally.requests) / 1e6);
            ratio(cpu, if is_about_bytes { per_gb } else { per_request })
        };
        Some(Self {
            name: cell.name(),
            runs: runs.iter().map(cost_of).collect(),
            cpu_s_per_gb: is_about_bytes
                .then(|| Judged { value: ratio(cpu, value_bytes / 1e9), target: cell.target() }),
            mb_per_s: ratio(value_bytes / 1e6, wall),
            requests,
            cpu_us_per_request: ratio(cpu * 1e6, requests),
            system_percent: 100.0
                * ratio(measured.cpu.system.as_secs_f64(), (measured.cpu.user + measured.cpu.system).as_secs_f64()),
            server_busy_percent: 100.0 * ratio(cpu, wall),
            generator_busy_percent: 100.0 * ratio(measured.generator.as_secs_f64(), wall),
            resident_mb: to_f64(measured.resident_bytes) / 1e6,
        })
    }

    fn runs_as_text(&self, separator: &str) -> String {
        let digits = if self.cpu_s_per_gb.is_some() { 2 } else { 1 };
        let texts: Vec<String> = self.runs.iter().map(|cost| format!("{cost:.digits$}")).collect();
        texts.join(separator)
    }

    fn to_json(&self) -> String {
        let number = |value: Option<f64>| value.map_or_else(|| "null".to_owned(), |value| format!("{value:.4}"));
        let judged = self.cpu_s_per_gb.as_ref();
        format!(
            "{{\"cell\": \"{}\", \"cpu_s_per_gb\": {}, \"target\": {}, \"mb_per_s\": {:.1}, \"requests\": {:.0}, \
             \"cpu_us_per_request\": {:.3}, \"system_percent\": {:.1}, \"server_busy_percent\": {:.1}, \
             \"client_busy_percent\": {:.1}, \"rss_mb\": {:.1}, \"runs\": [{}]}}",
            self.name,
            number(judged.map(|judged| judged.value)),
            number(judged.and_then(|judged| judged.target)),
            self.mb_per_s,
            self.requests,
            self.cpu_us_per_request,
            self.system_percent,
            self.server_busy_percent,
            self.generator_busy_percent,
            self.resident_mb,
            self.runs_as_text(", ")
        )
    }
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (value, target, verdict) = match &self.cpu_s_per_gb {
            Some(judged) => (
                format!("{:.3}", judged.value),
                judged.target.map_or_else(String::new, |target| format!("{target:.1}")),
                judged.verdict(),
            ),
            None => (String::new(), String::new(), ""),
        };
        write!(
            f,
            "{:<28} {value:>8} {target:>6} {verdict:>5} {:>7.0} {:>8.0} {:>7.1} {:>5.0}% {:>5.0}% {:>5.0}% {:>6.0}  {}",
            self.name,
            self.mb_per_s,
            self.requests,
            self.cpu_us_per_request,
            self.system_percent,
            self.server_busy_percent,
            self.generator_busy_percent,
            self.resident_mb,
            self.runs_as_text(" ")
        )
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// For printing: numbers here are far below where this is inexact.
fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::Tally;
    use crate::process::CpuTime;

    fn measured(cpu_ms: u64) -> Measured {
        Measured {
            tally: Tally { value_bytes: 2_000_000_000, requests: 1_000 },
            cpu: CpuTime { total: Duration::from_millis(cpu_ms), ..CpuTime::default() },
            wall: Duration::from_secs(4),
            ..Measured::default()
        }
    }

    #[test]
    fn cost_is_per_decimal_gigabyte_and_judged_by_the_target() {
        let runs = vec![measured(9_000), measured(2_000), measured(1_500)];
        let at = Row::new(Cell::ProduceSingle, runs).unwrap();
        assert_eq!(at.runs, [0.75, 1.0, 4.5]);
        let judged = at.cpu_s_per_gb.clone().unwrap();
        assert_eq!((judged.value, judged.verdict()), (1.0, "PASS"));
        assert_eq!((at.mb_per_s, at.cpu_us_per_request, at.server_busy_percent), (500.0, 2_000.0, 50.0));
        let above = Row::new(Cell::ConsumeTail, vec![measured(1_300)]).unwrap().cpu_s_per_gb.unwrap();
        assert_eq!((above.value, above.verdict()), (0.65, "ABOVE"));
        let empty = Row::new(Cell::EmptyFetch { connections: 1 }, vec![measured(1)]).unwrap();
        assert_eq!((empty.cpu_s_per_gb, empty.runs), (None, vec![1.0]));
        assert_eq!(Row::new(Cell::ConsumeTail, Vec::new()), None);
    }

    #[test]
    fn json_has_a_line_per_cell_and_null_where_there_is_no_number() {
        let mut report = Report { rows: Vec::new(), start: None, divide: 1, is_pinned: true };
        report.rows.push(Row::new(Cell::ProduceAndConsume, vec![measured(2_500)]).unwrap());
        report.rows.push(Row::new(Cell::EmptyFetch { connections: 16 }, vec![measured(10)]).unwrap());
        let json = report.to_json();
        assert!(json.contains("\"cpu_s_per_gb\": 1.2500, \"target\": null"), "{json}");
        assert!(json.contains("\"cell\": \"empty fetch, 16 x 1\", \"cpu_s_per_gb\": null"), "{json}");
        assert!(json.contains("\"start\": null"), "{json}");
        assert_eq!(json.matches('{').count(), json.matches('}').count());
    }
}
