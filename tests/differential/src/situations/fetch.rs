//! Fetch: offsets, waiting, sizes, sessions.

use crate::requests::{To, fetch};
use crate::rows;
use crate::situation::{Situation, family};

pub(super) const ALL: &[Situation] =
    &[family("a Fetch past the end is out of range", rows::FETCH_RANGE, 4..=18, |s, v| {
        let name = s.topic("a")?;
        let from = if v >= 13 { To::id(s.topic_id(&name)?) } else { To::name(&name) };
        s.ask(v, &fetch(&from, 1));
        Ok(())
    })];
