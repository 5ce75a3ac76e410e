//! State's rolling hash (L9): XXH3-128 over every element ever replayed and what became of it.
//!
//! Two replicas with the same hash at a position have judged everything up to it alike. No-ops roll it too, so that a
//! replica that skipped one is found out.

use xxhash_rust::xxh3::xxh3_128;

use crate::wire::Writer;
use crate::{Identity, Incarnation, Outcome, Position};

/// The hash of a State that has replayed nothing.
pub(crate) fn initial_hash(incarnation: Incarnation) -> u128 {
    let mut writer = Writer::with_capacity(32);
    writer.bytes(b"sluice-state");
    writer.u128(incarnation.0);
    xxh3_128(writer.as_slice())
}

/// The hash after one element, from the hash before it.
pub(crate) fn roll_hash(
    before: u128,
    position: Position,
    identity: Option<Identity>,
    accepted: bool,
    outcomes: &[Outcome],
) -> u128 {
    let mut writer = Writer::with_capacity(160);
    writer.u128(before);
    writer.u64(position.raw());
    match identity {
        None => writer.u8(0),
        Some(identity) => {
            writer.u8(1);
            writer.u64(identity.session.0.raw());
            writer.u64(identity.sequence);
        }
    }
    writer.u8(u8::from(accepted));
    writer.count(outcomes.len());
    for outcome in outcomes {
        outcome.write(&mut writer);
    }
    xxh3_128(writer.as_slice())
}
