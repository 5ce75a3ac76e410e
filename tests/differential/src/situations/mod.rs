//! The situations, by what they are about.
//!
//! Promises: each is a sentence that holds or fails by itself, in any order and beside any other (unless it says `alone`).

mod fetch;
mod framing;
mod metadata;
mod produce;

use crate::rows;
use crate::situation::Situation;

/// All of them.
pub(crate) fn all() -> Vec<Situation> {
    [framing::ALL, metadata::ALL, produce::ALL, fetch::ALL].concat()
}

/// Rows that no situation quotes.
pub(crate) fn unquoted_rows() -> Vec<String> {
    let all = all();
    let unquoted = rows::ALL.iter().filter(|row| !all.iter().any(|s| s.stands_for == **row));
    unquoted.map(|row| format!("no situation quotes the row: {row}")).collect()
}
