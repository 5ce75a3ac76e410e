//! Consumers: they read through one gateway after another, go on where they were, and sometimes start over.
//!
//! Promises: end soon after the run is over. What they check is in `reading`.
//! Called by `run`.

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_runtime::SeededEntropy;

use crate::connection::Lost;
use crate::ledger::Place;
use crate::plan::{between, ms_between, one_of, percent};
use crate::reading::{Appetite, Reader};
use crate::world::{World, pause, places};

/// A consumer.
pub struct Consumer {
    world: Arc<World>,
    who: String,
    entropy: SeededEntropy,
    positions: BTreeMap<Place, i64>,
}

impl Consumer {
    pub fn new(world: &Arc<World>, who: String, entropy: SeededEntropy) -> Self {
        Self { world: world.clone(), who, entropy, positions: places().map(|place| (place, 0)).collect() }
    }

    /// Reads until the bad times are over.
    pub async fn run(mut self) {
        while !self.world.is_over() {
            // A lost connection is in the journal already.
            let _ = self.read_through_one().await;
            pause(&self.entropy, 200).await;
        }
        self.world.journal.note(&self.who, "is done");
    }

    async fn read_through_one(&mut self) -> Result<(), Lost> {
        let Self { world, who, entropy, positions } = self;
        let connection = world.fleet.connect_anywhere(entropy).await;
        let version = i16::try_from(between(entropy, 4, 18)).unwrap();
        let mut reader = Reader::open(world, who, connection, version).await?;
        for _ in 0..between(entropy, 1, 6) {
            if percent(entropy, 15) {
                // A reader without a committed offset starts over.
                positions.values_mut().for_each(|position| *position = 0);
            }
            if percent(entropy, 20) {
                reader.latest(one_of(entropy, &places().collect::<Vec<_>>())).await?;
            }
            let appetite = Appetite {
                max_wait: ms_between(entropy, 0, 500),
                max_bytes: one_of(entropy, &[1, 500, 1 << 20]),
                partition_max_bytes: one_of(entropy, &[1, 200, 1 << 20]),
            };
            for (place, got) in reader.fetch(positions, appetite).await? {
                if let Some(position) = positions.get_mut(&place) {
                    *position += i64::try_from(got.values.len()).unwrap();
                }
            }
            world.journal.note(who, format_args!("is at {positions:?}"));
            if world.is_over() {
                return Ok(());
            }
            pause(entropy, 100).await;
        }
        Ok(())
    }
}
