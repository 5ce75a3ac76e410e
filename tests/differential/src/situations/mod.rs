//! The situations, by what they are about.
//!
//! Promises: each is a sentence that holds or fails by itself, in any order and beside any other (unless it says `alone`).

mod cluster;
mod configs;
mod creating_none;
mod fetch;
mod framing;
mod groups;
mod idempotence;
mod list_offsets;
mod members;
mod membership;
mod metadata;
mod offsets;
mod old_versions;
mod partitions;
mod produce;
mod sessions;
mod topics;

use anyhow::Result;

use crate::dump::Node;
use crate::requests::To;
use crate::rows;
use crate::session::Session;
use crate::situation::Situation;

/// All of them.
pub(crate) fn all() -> Vec<Situation> {
    [
        framing::ALL,
        metadata::ALL,
        produce::ALL,
        idempotence::ALL,
        fetch::ALL,
        list_offsets::ALL,
        topics::ALL,
        members::ALL,
        offsets::ALL,
        groups::ALL,
        partitions::ALL,
        cluster::ALL,
        configs::ALL,
        old_versions::ALL,
        creating_none::ALL,
        sessions::ALL,
    ]
    .concat()
}

/// Rows that no situation quotes.
pub(crate) fn unquoted_rows() -> Vec<String> {
    let all = all();
    let unquoted = rows::ALL.iter().filter(|row| !all.iter().any(|s| s.stands_for == **row));
    unquoted.map(|row| format!("no situation quotes the row: {row}")).collect()
}

/// A new topic as a version of Produce or Fetch names it.
fn target(s: &mut Session, short: &str, by_id: bool) -> Result<To> {
    let name = s.topic(short)?;
    Ok(if by_id { To::id(s.topic_id(&name)?) } else { To::name(&name) })
}

/// Topics and partitions in one order: Kafka's is that of a hash map.
fn responses_sorted(answer: &mut Node, _prefix: &str) {
    for list in ["partition_responses", "partitions", "responses", "topics"] {
        answer.sort(list);
    }
}
