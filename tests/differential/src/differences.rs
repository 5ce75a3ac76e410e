//! The rows of docs/differences.md, by their ids.
//!
//! Promises: an id that is cited and not in the document is a complaint; so is a row whose id stands twice. Called by
//! `main`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use crate::situation::Situation;

/// What is wrong between the document and the situations; also lists the rows that no situation shows when `all` is asked.
pub(crate) fn complaints(situations: &[Situation], all: bool) -> Result<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/differences.md");
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let mut complaints = Vec::new();
    let mut rows = BTreeSet::new();
    for id in text.lines().filter_map(id_of) {
        if !rows.insert(id) {
            complaints.push(format!("docs/differences.md has {id} twice"));
        }
    }
    let mut cited = BTreeSet::new();
    for situation in situations {
        for difference in situation.differences {
            cited.insert(difference.id);
            if !rows.contains(difference.id) {
                complaints
                    .push(format!("{} cites {}, which is not in docs/differences.md", situation.name, difference.id));
            }
        }
    }
    if all {
        let unseen: Vec<&str> = rows.iter().copied().filter(|id| !cited.contains(id)).collect();
        println!("rows of docs/differences.md: {}, shown here: {}, not: {}", rows.len(), cited.len(), unseen.join(" "));
    }
    Ok(complaints)
}

/// The id in the first column of a row.
fn id_of(line: &str) -> Option<&str> {
    let first = line.strip_prefix("| ")?.split(" |").next()?;
    let number = first.strip_prefix("D-")?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_begins_with_its_id() {
        assert_eq!(id_of("| D-01 | Durability | x |"), Some("D-01"));
        assert_eq!(id_of("| id | where |"), None);
        assert_eq!(id_of("D-01"), None);
        assert_eq!(id_of("| D-x | y |"), None);
    }
}
