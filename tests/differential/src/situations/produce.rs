//! Produce: what is appended, what is refused, and how.

use crate::batches::{batch, with_bytes};
use crate::requests::{NO_SUCH_ID, To, fetch, metadata, produce, produce_to};
use crate::rows;
use crate::session::Session;
use crate::situation::{Situation, differs_at, family, situation};

/// A topic as this version of Produce or Fetch names it.
fn target(s: &mut Session, short: &str, by_id: bool) -> anyhow::Result<To> {
    let name = s.topic(short)?;
    Ok(if by_id { To::id(s.topic_id(&name)?) } else { To::name(&name) })
}

pub(super) const ALL: &[Situation] = &[
    family("a batch is appended, and read back as it was sent", "Produce", 3..=13, |s, v| {
        let to = target(s, "a", v >= 13)?;
        s.ask(v, &produce(&to, batch(&["one", "two"])));
        s.ask(v, &produce(&to, batch(&["three"])));
        let from = To::name(&s.name("a"));
        s.ask(12, &fetch(&from, 0));
        Ok(())
    }),
    family("a batch whose CRC is wrong is refused", rows::BAD_BATCH, 3..=13, |s, v| {
        let to = target(s, "a", v >= 13)?;
        let mut bad = batch(&["one"]).to_vec();
        bad[20] ^= 1;
        s.ask(v, &produce(&to, bad.into()));
        let from = To::name(&s.name("a"));
        s.ask(12, &fetch(&from, 0));
        Ok(())
    }),
];
