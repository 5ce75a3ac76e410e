//! What survives a loss of power, of all that was not synced.
//!
//! Promises: any subset of the writes, in any order, torn anywhere between sectors; any length the file has had; any
//! subset of the names. One survival has one temper, from "nothing" to "nearly everything": a store must bear them all.
//! Called by [`crate::machine`].

use std::collections::BTreeMap;

use crate::machine::{Change, apply_change};

/// What a disk writes in one step.
pub const SECTOR_BYTES: usize = 512;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Temper {
    /// Nothing that was not synced.
    Nothing,
    /// Everything: as after kill −9.
    Everything,
    /// The writes up to one, which is torn.
    Prefix,
    /// Each write as a whole with this chance.
    Writes(f64),
    /// Each sector of each write with this chance.
    Sectors(f64),
}

/// Decides what survives.
#[derive(Debug)]
pub struct Survival {
    rng: fastrand::Rng,
    temper: Temper,
    /// The chance of a name.
    names: f64,
}

impl Survival {
    /// A survival drawn from a seed.
    #[must_use]
    pub fn drawn(seed: u64) -> Self {
        let mut rng = mixed(seed);
        let chance = [0.1, 0.5, 0.9][rng.usize(..3)];
        let temper = match rng.u8(..8) {
            0 => Temper::Nothing,
            1 => Temper::Everything,
            2 | 3 => Temper::Prefix,
            4 | 5 => Temper::Writes(chance),
            _ => Temper::Sectors(chance),
        };
        let names = [0.0, 0.2, 0.5, 0.8, 1.0][rng.usize(..5)];
        Self { rng, temper, names }
    }

    /// Nothing that was not synced.
    #[must_use]
    pub fn nothing() -> Self {
        Self { rng: fastrand::Rng::with_seed(0), temper: Temper::Nothing, names: 0.0 }
    }

    /// Everything but names, each of which is there or not.
    #[must_use]
    pub fn some_names(seed: u64) -> Self {
        Self { rng: mixed(seed), temper: Temper::Everything, names: 0.5 }
    }

    /// Names without bytes: what was not synced of files is gone, of folders there.
    #[must_use]
    pub fn names_only() -> Self {
        Self { names: 1.0, ..Self::nothing() }
    }

    pub(crate) fn keeps_name(&mut self) -> bool {
        self.rng.f64() < self.names
    }

    /// What a file has of its certain bytes and the changes since.
    pub(crate) fn contents(&mut self, durable: &[u8], pending: &[(u64, Change)]) -> Vec<u8> {
        let mut bytes = durable.to_vec();
        if pending.is_empty() || self.temper == Temper::Nothing {
            return bytes;
        }
        // How many of the changes of length are there: they are journalled, in order.
        let lengths = if self.temper == Temper::Everything { pending.len() } else { self.rng.usize(..=pending.len()) };
        for (_, change) in &pending[..lengths] {
            let len = match change {
                Change::SetLen(len) => to_usize(*len),
                Change::Write(at, written) => bytes.len().max(to_usize(*at) + written.len()),
            };
            bytes.resize(len, 0);
        }
        let len = bytes.len();
        let (whole, last) = (self.whole_writes(pending.len()), self.rng.usize(..=pending.len()));
        for pieces in pieces_by_sector(pending, lengths).into_values() {
            let mut surviving: Vec<_> = pieces
                .into_iter()
                .filter(|(write, _)| match self.temper {
                    Temper::Nothing => false,
                    Temper::Everything => true,
                    Temper::Prefix => *write < last || (*write == last && self.rng.bool()),
                    Temper::Writes(_) => whole[*write],
                    Temper::Sectors(chance) => self.rng.f64() < chance,
                })
                .collect();
            if matches!(self.temper, Temper::Writes(_) | Temper::Sectors(_)) && self.rng.u8(..4) == 0 {
                self.rng.shuffle(&mut surviving);
            }
            surviving.iter().for_each(|(_, piece)| apply_change(&mut bytes, piece));
        }
        bytes.truncate(len);
        bytes
    }

    fn whole_writes(&mut self, count: usize) -> Vec<bool> {
        let Temper::Writes(chance) = self.temper else { return Vec::new() };
        (0..count).map(|_| self.rng.f64() < chance).collect()
    }
}

/// Neighbouring seeds draw nothing alike.
fn mixed(seed: u64) -> fastrand::Rng {
    let mut rng = fastrand::Rng::with_seed(seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    rng.fork()
}

/// The writes cut at the borders of sectors, with the place of each in `pending`. What a later cut of the file, one of the
/// first `lengths` changes, has removed is left out: a file that grows again shows zeros there.
fn pieces_by_sector(pending: &[(u64, Change)], lengths: usize) -> BTreeMap<usize, Vec<(usize, Change)>> {
    let mut pieces: BTreeMap<usize, Vec<(usize, Change)>> = BTreeMap::new();
    for (index, (_, change)) in pending.iter().enumerate() {
        let Change::Write(at, bytes) = change else { continue };
        let cuts = pending[..lengths].iter().skip(index).filter_map(|(_, change)| match change {
            Change::SetLen(len) => Some(to_usize(*len)),
            Change::Write(..) => None,
        });
        let from = to_usize(*at);
        let to = (from + bytes.len()).min(cuts.min().unwrap_or(usize::MAX));
        let mut start = from;
        while start < to {
            let end = ((start / SECTOR_BYTES + 1) * SECTOR_BYTES).min(to);
            let piece = Change::Write(start as u64, bytes.slice(start - from..end - from));
            pieces.entry(start / SECTOR_BYTES).or_default().push((index, piece));
            start = end;
        }
    }
    pieces
}

fn to_usize(len: u64) -> usize {
    usize::try_from(len).expect("a file that fits into memory")
}
