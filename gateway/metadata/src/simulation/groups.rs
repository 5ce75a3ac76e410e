//! Groups: commands of three gateways, each proposed from a State that may be old by the time it is applied, against
//! properties that hold whatever the order.
//!
//! `propose` makes the commands, `play` applies them, and `judge` compares what was before an entry with what is after it.

mod judge;
mod play;
mod propose;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestRunner};

use super::config;

type Tally = BTreeMap<&'static str, usize>;

/// Plays `cases` schedules; answers how often what happened in all of them.
fn run(cases: u32, seed: u64) -> Tally {
    let mut config = config(cases);
    config.rng_seed = RngSeed::Fixed(seed);
    let total = RefCell::new(Tally::new());
    let schedule = (vec(any::<(u8, u32)>(), 60..160), any::<u16>());
    let played = TestRunner::new(config).run(&schedule, |(steps, cut)| {
        let mut world = play::World::new();
        for step in &steps {
            world.play(*step).map_err(TestCaseError::fail)?;
        }
        world.replays_agree(usize::from(cut)).map_err(TestCaseError::fail)?;
        for (what, count) in world.tally {
            *total.borrow_mut().entry(what).or_default() += count;
        }
        Ok(())
    });
    played.unwrap();
    total.into_inner()
}

/// Everything that the rules of groups speak of happens often, or the property proves little.
fn check_coverage(cases: u32, tally: &Tally) {
    println!("{cases} cases: {tally:?}");
    let seldom: Vec<_> = tally.iter().filter(|(_, count)| **count < usize::try_from(cases).unwrap() / 20).collect();
    assert_eq!(tally.len(), 34, "{tally:?}");
    assert!(seldom.is_empty(), "too seldom: {seldom:?}");
}

// Holds: T2, T7, L9, L10, L11, I-06, I-12, I-14. Two tests, so that both cores work.
#[test]
fn groups_keep_their_rules_under_commands_of_three_gateways() {
    check_coverage(700, &run(700, 11));
}

// Holds: T2, T7, L9, L10, L11, I-06, I-12, I-14.
#[test]
fn groups_keep_their_rules_under_commands_of_three_gateways_on_other_schedules() {
    check_coverage(700, &run(700, 12));
}
