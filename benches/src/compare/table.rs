//! What was measured, side by side, and the floors that it is judged by.

use std::fmt::Write as _;
use std::time::Duration;

use super::cells::{Cell, Run, Unit};
use super::{RUNS_MAX, RUNS_MIN};
use crate::cores::Cores;

/// Version of the JSON's layout.
const FORMAT: u32 = 1;

/// The floors (design section 17): at most so much CPU per gigabyte…
const PRODUCE_CPU_S_PER_GB: f64 = 0.6;
const CONSUME_CPU_S_PER_GB: f64 = 0.5;
/// …and per small request…
const SMALL_CPU_US: f64 = 25.0;
/// …at least so many times Kafka's bytes per CPU second…
const TIMES_KAFKA: f64 = 1.3;
/// …at most so much memory for a connection that rests, in KiB…
const IDLE_KIB: f64 = 20.0;
/// …and with a thousand connections at least this share of what sixteen get done, by CPU time.
const SHARE_OF_SIXTEEN: f64 = 0.8;

/// A cell and its runs.
#[derive(Debug)]
struct Row {
    cell: Cell,
    kafka: Option<Run>,
    sluice: Run,
}

/// Results, printed as they come.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Row>,
    kafka_version: Option<String>,
    is_pinned: bool,
    divide: u64,
}

/// What became of the floors.
#[derive(Debug)]
pub(super) struct Verdicts {
    pub(super) text: String,
    pub(super) judged: usize,
    pub(super) missed: usize,
}

/// One floor: what it is called, the number, the bound, and whether it is kept.
struct Floor {
    what: String,
    value: f64,
    bound: String,
    kept: bool,
}

impl Table {
    pub(super) fn new(cores: &Cores, kafka_version: Option<String>, divide: u64) -> Self {
        let is_pinned = matches!(cores, Cores::Apart { .. });
        match cores {
            Cores::Apart { server, generator } => println!("servers on core {server}, generator on core {generator}"),
            Cores::Shared => println!("NOT PINNED (one core, or no taskset): these numbers are worse than the servers"),
        }
        if divide > 1 {
            println!("amounts divided by {divide}: for a first look only");
        }
        let kafka = kafka_version.as_deref().unwrap_or("(none)");
        println!(
            "Apache Kafka {kafka} with a heap of 1 GiB; sluice dev over memory; acks=all; GB and MB are decimal, of \
             record values; CPU time is that of the cheapest of {RUNS_MIN} to {RUNS_MAX} runs\n\n{:<36} {:>22} {:>22} {:>8}   MB/s or requests/s; RSS MB",
            "", "Kafka", "Sluice", "times"
        );
        Self { rows: Vec::new(), kafka_version, is_pinned, divide }
    }

    pub(super) fn add(&mut self, cell: Cell, kafka: Option<Run>, sluice: Run) {
        let row = Row { cell, kafka, sluice };
        let of = |run: Option<&Run>| run.map_or_else(|| "-".to_owned(), |run| shown(cell, run));
        let pace = |run: Option<&Run>| run.map_or_else(|| "-".to_owned(), |run| paced(cell, run));
        let memory = |run: Option<&Run>| {
            run.map_or_else(|| "-".to_owned(), |run| format!("{:.0}", to_f64(run.measured.resident_bytes) / 1e6))
        };
        println!(
            "{:<36} {:>22} {:>22} {:>8}   {} {}; {} {}",
            cell.name(),
            of(row.kafka.as_ref()),
            of(Some(&row.sluice)),
            row.times().map_or_else(String::new, |times| format!("{times:.1} x")),
            pace(row.kafka.as_ref()),
            pace(Some(&row.sluice)),
            memory(row.kafka.as_ref()),
            memory(Some(&row.sluice)),
        );
        self.rows.push(row);
    }

    /// Judges every floor whose cells were run.
    pub(super) fn judge(&self) -> Verdicts {
        let floors = self.floors();
        let mut text = String::from("\nfloors\n");
        for floor in &floors {
            let verdict = if floor.kept { "kept" } else { "MISSED" };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{verdict:<7} {}: {:.2} ({})", floor.what, floor.value, floor.bound);
        }
        let missed = floors.iter().filter(|floor| !floor.kept).count();
        Verdicts { text, judged: floors.len(), missed }
    }

    fn floors(&self) -> Vec<Floor> {
        let mut floors = Vec::new();
        for row in &self.rows {
            let value = own_number(row.cell, &row.sluice);
            let name = row.cell.name();
            let mut at_most = |bound: f64, unit: &str| {
                let (what, bound_text) = (name.clone(), format!("at most {bound} {unit}"));
                floors.push(Floor { what, value, bound: bound_text, kept: value <= bound });
            };
            match row.cell {
                Cell::Produce { value_bytes: 1024 } => {
                    at_most(PRODUCE_CPU_S_PER_GB, "CPU-s/GB");
                    if let Some(times) = row.times() {
                        floors.push(Floor {
                            what: format!("{name}, bytes per CPU second"),
                            value: times,
                            bound: format!("at least {TIMES_KAFKA} x Kafka's"),
                            kept: times >= TIMES_KAFKA,
                        });
                    }
                }
                Cell::Consume { value_bytes: 1024 } => at_most(CONSUME_CPU_S_PER_GB, "CPU-s/GB"),
                Cell::Small { connections: 16 } | Cell::EmptyFetch { connections: 16 } => {
                    at_most(SMALL_CPU_US, "CPU-µs per request");
                }
                Cell::Idle => at_most(IDLE_KIB, "KiB per connection"),
                Cell::Small { connections: 1_000 } | Cell::EmptyFetch { connections: 1_000 } => {
                    floors.extend(self.share_of_sixteen(row));
                }
                _ => {}
            }
        }
        floors
    }

    /// How much more a request costs with a thousand connections than with sixteen.
    fn share_of_sixteen(&self, row: &Row) -> Option<Floor> {
        let sixteen = match row.cell {
            Cell::Small { .. } => Cell::Small { connections: 16 },
            _ => Cell::EmptyFetch { connections: 16 },
        };
        let few = self.rows.iter().find(|row| row.cell == sixteen)?;
        let share = ratio(own_number(sixteen, &few.sluice), own_number(row.cell, &row.sluice));
        Some(Floor {
            what: format!("{}, requests per CPU second", row.cell.name()),
            value: share,
            bound: format!("at least {SHARE_OF_SIXTEEN} of those of 16 connections"),
            kept: share >= SHARE_OF_SIXTEEN,
        })
    }

    pub(super) fn to_markdown(&self) -> String {
        let kafka = self.kafka_version.as_deref().unwrap_or("-");
        let mut text = format!(
            "| | Apache Kafka {kafka} | Sluice | times | Kafka's pace | Sluice's pace | RSS MB, Kafka | RSS MB, Sluice |\n|-|-|-|-|-|-|-|-|\n"
        );
        for row in &self.rows {
            let of = |run: Option<&Run>, show: fn(Cell, &Run) -> String| {
                run.map_or_else(|| "–".to_owned(), |run| show(row.cell, run))
            };
            let memory: fn(Cell, &Run) -> String = |_, run| format!("{:.0}", to_f64(run.measured.resident_bytes) / 1e6);
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {} | {} |",
                row.cell.name(),
                of(row.kafka.as_ref(), shown),
                of(Some(&row.sluice), shown),
                row.times().map_or_else(|| "–".to_owned(), |times| format!("{times:.1}")),
                of(row.kafka.as_ref(), paced),
                of(Some(&row.sluice), paced),
                of(row.kafka.as_ref(), memory),
                of(Some(&row.sluice), memory),
            );
        }
        text
    }

    pub(super) fn to_json(&self, verdicts: &Verdicts) -> String {
        let cells: Vec<String> = self.rows.iter().map(Row::to_json).collect();
        format!(
            "{{\n  \"format\": {FORMAT},\n  \"kafka\": {},\n  \"pinned\": {},\n  \"divide\": {},\n  \"floors_judged\": {},\n  \"floors_missed\": {},\n  \"cells\": [\n    {}\n  ]\n}}\n",
            self.kafka_version.as_ref().map_or_else(|| "null".to_owned(), |version| format!("\"{version}\"")),
            self.is_pinned,
            self.divide,
            verdicts.judged,
            verdicts.missed,
            cells.join(",\n    ")
        )
    }
}

impl Row {
    /// How many times what Kafka needs the gateway does not need: over 1, the gateway is cheaper.
    fn times(&self) -> Option<f64> {
        let kafka = self.kafka.as_ref()?;
        Some(ratio(own_number(self.cell, kafka), own_number(self.cell, &self.sluice)))
    }

    fn to_json(&self) -> String {
        let of = |run: &Run| {
            let measured = &run.measured;
            let (p50, p99) = run.latency.unwrap_or_default();
            format!(
                "{{\"cpu_s\": {:.4}, \"user_s\": {:.2}, \"system_s\": {:.2}, \"wall_s\": {:.4}, \"value_bytes\": {}, \
                 \"requests\": {}, \"rss_mb\": {:.1}, \"p50_ms\": {:.3}, \"p99_ms\": {:.3}, \"kib_per_connection\": {:.2}}}",
                measured.cpu.total.as_secs_f64(),
                measured.cpu.user.as_secs_f64(),
                measured.cpu.system.as_secs_f64(),
                measured.wall.as_secs_f64(),
                measured.tally.value_bytes,
                measured.tally.requests,
                to_f64(measured.resident_bytes) / 1e6,
                p50.as_secs_f64() * 1e3,
                p99.as_secs_f64() * 1e3,
                run.bytes_per_connection.unwrap_or_default() / 1024.0,
            )
        };
        let kafka = self.kafka.as_ref().map_or_else(|| "null".to_owned(), of);
        format!("{{\"cell\": \"{}\", \"kafka\": {kafka}, \"sluice\": {}}}", self.cell.name(), of(&self.sluice))
    }
}

/// The number that a cell is about, in its unit.
fn own_number(cell: Cell, run: &Run) -> f64 {
    let cpu_s = run.measured.cpu.total.as_secs_f64();
    match cell.unit() {
        Unit::CpuPerGigabyte => ratio(cpu_s, to_f64(run.measured.tally.value_bytes) / 1e9),
        Unit::CpuPerRequest => ratio(cpu_s * 1e6, to_f64(run.measured.tally.requests)),
        Unit::Latency => run.latency.unwrap_or_default().1.as_secs_f64() * 1e3,
        Unit::Memory => run.bytes_per_connection.unwrap_or_default() / 1024.0,
    }
}

fn shown(cell: Cell, run: &Run) -> String {
    let number = own_number(cell, run);
    match cell.unit() {
        Unit::CpuPerGigabyte => format!("{number:.2} CPU-s/GB"),
        Unit::CpuPerRequest => format!("{number:.1} CPU-µs"),
        Unit::Latency => {
            let in_ms = |time: Duration| time.as_secs_f64() * 1e3;
            let (p50, p99) = run.latency.unwrap_or_default();
            format!("p50 {:.1}, p99 {:.1} ms", in_ms(p50), in_ms(p99))
        }
        Unit::Memory => format!("{number:.1} KiB each"),
    }
}

/// How fast it went, by the clock: a lower bound on a shared machine.
fn paced(cell: Cell, run: &Run) -> String {
    let wall = run.measured.wall.as_secs_f64();
    match cell.unit() {
        Unit::CpuPerGigabyte => format!("{:.0} MB/s", ratio(to_f64(run.measured.tally.value_bytes) / 1e6, wall)),
        Unit::CpuPerRequest => format!("{:.0}/s", ratio(to_f64(run.measured.tally.requests), wall)),
        Unit::Latency => format!("{:.1} MB/s", ratio(to_f64(run.measured.tally.value_bytes) / 1e6, wall)),
        Unit::Memory => "–".to_owned(),
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
    use super::*;
    use crate::measure::{Measured, Tally};
    use crate::process::CpuTime;

    fn run(cpu_ms: u64, value_bytes: u64, requests: u64) -> Run {
        let cpu = CpuTime { total: Duration::from_millis(cpu_ms), ..CpuTime::default() };
        Measured { tally: Tally { value_bytes, requests }, cpu, wall: Duration::from_secs(1), ..Measured::default() }
            .into()
    }

    fn table(rows: Vec<Row>) -> Table {
        Table { rows, kafka_version: Some("4.3.1".to_owned()), is_pinned: true, divide: 1 }
    }

    #[test]
    fn floors_are_kept_and_missed_by_their_bounds() {
        let produce = Cell::Produce { value_bytes: 1024 };
        let row = |kafka_ms, sluice_ms| Row {
            cell: produce,
            kafka: Some(run(kafka_ms, 1_000_000_000, 10)),
            sluice: run(sluice_ms, 1_000_000_000, 10),
        };
        let verdicts = table(vec![row(1_500, 600)]).judge();
        assert_eq!((verdicts.judged, verdicts.missed), (2, 0), "{}", verdicts.text);
        assert_eq!(table(vec![row(1_500, 601)]).judge().missed, 1);
        assert_eq!(table(vec![row(700, 600)]).judge().missed, 1, "1.17 times Kafka's");
    }

    #[test]
    fn a_thousand_connections_are_judged_by_sixteen() {
        let row = |connections, cpu_ms| Row {
            cell: Cell::Small { connections },
            kafka: None,
            sluice: run(cpu_ms, 0, 100_000),
        };
        let kept = table(vec![row(16, 800), row(1_000, 1_000)]).judge();
        assert_eq!((kept.judged, kept.missed), (2, 0), "{}", kept.text);
        let missed = table(vec![row(16, 800), row(1_000, 1_010)]).judge();
        assert_eq!((missed.judged, missed.missed), (2, 1), "{}", missed.text);
        assert_eq!(table(vec![row(1_000, 1_010)]).judge().judged, 0, "nothing to compare with");
    }

    #[test]
    fn the_files_have_a_line_per_cell() {
        let rows = vec![
            Row { cell: Cell::Paced, kafka: None, sluice: run(1, 10, 1) },
            Row { cell: Cell::Idle, kafka: Some(run(1, 0, 0)), sluice: run(1, 0, 0) },
        ];
        let table = table(rows);
        let json = table.to_json(&table.judge());
        assert_eq!(json.matches('{').count(), json.matches('}').count());
        assert!(json.contains("\"kafka\": null"), "{json}");
        assert_eq!(table.to_markdown().lines().count(), 4);
    }
}
