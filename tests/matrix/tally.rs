//! What came of the cells, and the table of it that stands in the README.
//!
//! Promises: a line per cell as it ends; a claim (a client, and what it does) holds when it held wherever it was tried. The
//! table says nothing else.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};

/// The lines of the README between which the tables stand.
const BEGIN: &str = "<!-- client_matrix: begin -->";
const END: &str = "<!-- client_matrix: end -->";

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) passed: usize,
    pub(crate) failed: Vec<String>,
    pub(crate) skipped: usize,
    claims: BTreeMap<(String, String), bool>,
}

impl Tally {
    /// A cell has ended.
    pub(crate) fn cell(&mut self, name: &str, line: &str, failures: &[String]) {
        if failures.is_empty() {
            self.passed += 1;
            println!("ok       {name}: {line}");
        } else {
            println!("FAILED   {name}: {}", failures.join("\n         "));
            self.failed.push(name.to_owned());
        }
    }

    pub(crate) fn skip(&mut self, name: &str, why: &str) {
        self.skipped += 1;
        println!("skipped  {name}: {why}");
    }

    /// A cell has ended well, with this to say, or badly.
    pub(crate) fn outcome(&mut self, name: &str, outcome: anyhow::Result<String>) {
        match outcome {
            Ok(line) => self.cell(name, &line, &[]),
            Err(error) => self.cell(name, "", &[format!("{error:#}")]),
        }
    }

    /// Whether `who` did this here.
    pub(crate) fn claim(&mut self, who: &str, what: &str, did: bool) {
        let held = self.claims.entry((who.to_owned(), what.to_owned())).or_insert(true);
        *held &= did;
    }

    fn holds(&self, who: &str, what: &str) -> bool {
        self.claims.get(&(who.to_owned(), what.to_owned())).copied().unwrap_or(false)
    }

    /// The claims of one client that begin with this word, without it, in this order.
    fn held(&self, who: &str, verb: &str, order: &[&str]) -> String {
        let held: Vec<&str> = order.iter().copied().filter(|each| self.holds(who, &format!("{verb} {each}"))).collect();
        if held.is_empty() { "–".to_owned() } else { held.join(", ") }
    }

    /// The table of clients: name, version, what it writes, reads, and administers.
    pub(crate) fn clients(&self, clients: &[(String, String)], codecs: &[&str], steps: &[&str]) -> String {
        let mut table = "| client | version | writes | reads | administers |\n|-|-|-|-|-|\n".to_owned();
        for (name, version) in clients {
            let (writes, reads) = (self.held(name, "writes", codecs), self.held(name, "reads", codecs));
            let administers = self.held(name, "administers", steps);
            table.push_str(&format!("| {name} | {version} | {writes} | {reads} | {administers} |\n"));
        }
        table
    }

    /// The table of tools: name, and the versions of Kafka whose tool passed.
    pub(crate) fn tools(&self, tools: &[&str], versions: &[&str]) -> String {
        let mut table = "| tool | of Kafka |\n|-|-|\n".to_owned();
        for tool in tools {
            table.push_str(&format!("| {tool} | {} |\n", self.held(tool, "of", versions)));
        }
        table
    }
}

/// The rows of a table's text: the first cell, and for each further one the words in it.
fn rows(text: &str) -> BTreeMap<String, Vec<BTreeSet<String>>> {
    let rows = text.lines().filter(|line| line.starts_with("| ")).map(|line| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        let words = |cell: &&str| cell.split(", ").filter(|w| *w != "–").map(ToOwned::to_owned).collect();
        (cells.first().copied().unwrap_or_default().to_owned(), cells.iter().skip(1).map(words).collect())
    });
    rows.collect()
}

/// What a README claims between the marks that the tables of this run do not; a line for each. Where everything must run, rows
/// that did not are counted, and so is what passed and is not claimed.
///
/// # Errors
/// No such marks, or nothing between them.
pub(crate) fn unproven(readme: &str, tables: &str, everything_ran: bool) -> anyhow::Result<Vec<String>> {
    let from = readme.find(BEGIN).with_context(|| format!("no line {BEGIN}"))?;
    let to = readme.find(END).with_context(|| format!("no line {END}"))?;
    let claimed = rows(readme.get(from..to).context("the marks are in order")?);
    ensure!(!claimed.is_empty(), "there is no table between the marks");
    let proven = rows(tables);
    let mut unproven = Vec::new();
    for (name, cells) in &claimed {
        match proven.get(name) {
            Some(found) => unproven.extend(beyond(cells, found).map(|word| format!("{name}: {word}"))),
            None => unproven.extend(everything_ran.then(|| format!("{name}: was not run"))),
        }
    }
    for (name, cells) in proven.iter().filter(|_| everything_ran) {
        let said = claimed.get(name).map_or(&[][..], Vec::as_slice);
        unproven.extend(beyond(cells, said).map(|word| format!("{name}: {word} passed and is not said (--bless)")));
    }
    Ok(unproven)
}

/// The words of these cells that are not in the same cells of the others.
fn beyond<'a>(cells: &'a [BTreeSet<String>], others: &'a [BTreeSet<String>]) -> impl Iterator<Item = &'a String> {
    let is_there = |at: usize, word: &String| others.get(at).is_some_and(|words| words.contains(word));
    cells.iter().enumerate().flat_map(move |(at, words)| words.iter().filter(move |word| !is_there(at, word)))
}

/// The README with these tables between the marks.
///
/// # Errors
/// No such marks.
pub(crate) fn with_tables(readme: &str, tables: &str) -> anyhow::Result<String> {
    let from = readme.find(BEGIN).with_context(|| format!("no line {BEGIN}"))? + BEGIN.len();
    let to = readme.find(END).with_context(|| format!("no line {END}"))?;
    let (before, after) = (readme.get(..from).context("a mark")?, readme.get(to..).context("a mark")?);
    Ok(format!("{before}\n\n{}\n\n{after}", tables.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(codecs_read: &[&str]) -> String {
        let mut tally = Tally::default();
        for codec in ["none", "zstd"] {
            tally.claim("kcat", &format!("writes {codec}"), true);
            tally.claim("kcat", &format!("reads {codec}"), true);
            // In another place it may not.
            tally.claim("kcat", &format!("reads {codec}"), codecs_read.contains(&codec));
        }
        tally.claim("kafka-topics", "of 4.3.1", true);
        let clients = tally.clients(&[("kcat".to_owned(), "1.7.1".to_owned())], &["none", "zstd"], &["create"]);
        format!("{clients}\n{}", tally.tools(&["kafka-topics"], &["2.8.2", "4.3.1"]))
    }

    #[test]
    fn a_document_may_claim_what_passed_everywhere_and_nothing_else() {
        let document =
            with_tables(&format!("# Title\n{BEGIN}\nold\n{END}\nrest\n"), &tables(&["none", "zstd"])).unwrap();
        assert!(document.contains("| kcat | 1.7.1 | none, zstd | none, zstd | – |"), "{document}");
        assert!(document.starts_with("# Title\n") && document.ends_with("\nrest\n") && !document.contains("old"));
        assert_eq!(unproven(&document, &tables(&["none", "zstd"]), true).unwrap(), Vec::<String>::new());
        assert_eq!(unproven(&document, &tables(&["none"]), true).unwrap(), ["kcat: zstd"]);
        let newer = document.replace("1.7.1", "1.8").replace("| 4.3.1 |", "| 2.8.2, 4.3.1 |");
        assert_eq!(unproven(&newer, &tables(&["none", "zstd"]), false).unwrap(), ["kafka-topics: 2.8.2", "kcat: 1.8"]);
        let modest = with_tables(&document, &tables(&["none"])).unwrap();
        assert_eq!(unproven(&modest, &tables(&["none", "zstd"]), false).unwrap(), Vec::<String>::new());
        let unsaid = unproven(&modest, &tables(&["none", "zstd"]), true).unwrap();
        assert_eq!(unsaid, ["kcat: zstd passed and is not said (--bless)"]);
        assert_eq!(unproven(&document, "", true).unwrap().len(), 4, "with the two lines of titles");
        assert_eq!(unproven(&document, "", false).unwrap().len(), 0);
        assert!(unproven("no marks", "", true).is_err());
    }
}
