//! What a situation is: a sentence, what it stands for, what is said, and which differences are known.
//!
//! Used by `situations` (tables of them) and `judge`.

use std::ops::RangeInclusive;

use anyhow::Result;

use crate::brokers::Creation;
use crate::session::Session;

/// What is said to a broker. The version is that of the family, else 0.
pub(crate) type Script = fn(&mut Session, i16) -> Result<()>;

/// A line of docs/differences.md that shows in a situation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Difference {
    /// The row's id: `D-07`.
    pub(crate) id: &'static str,
    /// In which answers: part of `label / path`; empty for any.
    pub(crate) at: &'static str,
    /// In which versions of a family.
    pub(crate) from: i16,
    pub(crate) to: i16,
}

impl Difference {
    /// True when it shows in this version.
    pub(crate) fn is_in(&self, version: i16) -> bool {
        self.from <= version && version <= self.to
    }
}

/// The difference `id` shows somewhere.
pub(crate) const fn differs(id: &'static str) -> Difference {
    differs_at(id, "")
}

/// The difference `id` shows in lines that contain `at`.
pub(crate) const fn differs_at(id: &'static str, at: &'static str) -> Difference {
    Difference { id, at, from: 0, to: i16::MAX }
}

impl Difference {
    /// Shows in these versions only.
    pub(crate) const fn within(mut self, from: i16, to: i16) -> Self {
        self.from = from;
        self.to = to;
        self
    }
}

/// One situation, or a family of them: the same one in several versions of an API.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Situation {
    /// A sentence.
    pub(crate) name: &'static str,
    /// The row of `rows` that it quotes, or the API.
    pub(crate) stands_for: &'static str,
    /// The versions of a family.
    pub(crate) versions: Option<(i16, i16)>,
    pub(crate) script: Script,
    pub(crate) differences: &'static [Difference],
    /// What each member of a family is called, where its number is no version.
    pub(crate) labels: &'static [&'static str],
    /// Nothing else may run meanwhile.
    pub(crate) alone: bool,
    /// Which brokers it is played to.
    pub(crate) creation: Creation,
}

/// A situation.
pub(crate) const fn situation(name: &'static str, stands_for: &'static str, script: Script) -> Situation {
    Situation {
        name,
        stands_for,
        versions: None,
        script,
        differences: &[],
        labels: &[],
        alone: false,
        creation: Creation::OnDemand,
    }
}

/// A situation for each of these, whose number the script is given.
pub(crate) const fn each_of(
    name: &'static str,
    stands_for: &'static str,
    labels: &'static [&'static str],
    script: Script,
) -> Situation {
    Situation { labels, ..situation(name, stands_for, script) }
}

/// A situation for each version from `from` to `to`.
pub(crate) const fn family(
    name: &'static str,
    stands_for: &'static str,
    versions: RangeInclusive<i16>,
    script: Script,
) -> Situation {
    let versions = Some((*versions.start(), *versions.end()));
    Situation { versions, ..situation(name, stands_for, script) }
}

impl Situation {
    /// With these known differences.
    pub(crate) const fn but(mut self, differences: &'static [Difference]) -> Self {
        self.differences = differences;
        self
    }

    /// Nothing else may run meanwhile: it looks at, or changes, what belongs to the broker.
    pub(crate) const fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// Played to brokers that create no topic unless they are told to.
    pub(crate) const fn where_none_is_created(mut self) -> Self {
        self.creation = Creation::WhenTold;
        self
    }

    /// Each version of it: what it is called, and the version.
    pub(crate) fn each(&self) -> Vec<(String, i16)> {
        match self.versions {
            None if !self.labels.is_empty() => {
                let label = |(at, label): (i16, &&str)| (format!("{}: {label}", self.name), at);
                (0..).zip(self.labels).map(label).collect()
            }
            None => vec![(self.name.to_owned(), 0)],
            Some((from, to)) => (from..=to).map(|version| (format!("{}, v{version}", self.name), version)).collect(),
        }
    }
}
