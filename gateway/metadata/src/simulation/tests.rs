//! The properties, and the proof that they can fail.

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestCaseError, TestError, TestRunner};

use super::truth::Truth;
use super::world::{Step, World};
use super::{Defect, config};

/// Every case has at least so many elements in its log.
const ELEMENTS_MIN: usize = 200;

type Tally = BTreeMap<&'static str, usize>;

fn play(steps: &[Step], cut: usize, defect: Defect) -> Result<Tally, String> {
    let mut world = World::new(defect);
    for step in steps {
        world.play(*step);
    }
    world.finish(ELEMENTS_MIN);
    if world.log.len() < ELEMENTS_MIN {
        return Err(format!("the log has {} elements only", world.log.len()));
    }
    let truth = Truth::of(&world, defect)?;
    truth.check(&world, cut)?;
    Ok(truth.tally(&world))
}

/// Plays `cases` schedules; answers how often what happened in all of them.
fn run(cases: u32, seed: u64, defect: Defect) -> Result<Tally, TestError<(Vec<Step>, u16)>> {
    let mut config = config(cases);
    config.rng_seed = RngSeed::Fixed(seed);
    if defect != Defect::None {
        // The violation is what is looked for, not its smallest form.
        config.max_shrink_iters = 0;
    }
    let total = RefCell::new(Tally::new());
    let schedule = (vec(any::<Step>(), 500..700), any::<u16>());
    TestRunner::new(config).run(&schedule, |(steps, cut)| {
        let tally = play(&steps, usize::from(cut), defect).map_err(TestCaseError::fail)?;
        for (what, count) in tally {
            *total.borrow_mut().entry(what).or_default() += count;
        }
        Ok(())
    })?;
    Ok(total.into_inner())
}

/// Everything that L1 to L3 speak of happens often, or the property proves little.
fn check_coverage(cases: u32, tally: &Tally) {
    println!("{cases} cases: {tally:?}");
    let seldom: Vec<_> = tally.iter().filter(|(_, count)| **count < usize::try_from(cases).unwrap() / 4).collect();
    assert_eq!(tally.len(), 21, "{tally:?}");
    assert!(seldom.is_empty(), "too seldom: {seldom:?}");
}

// Holds: L1, L2, L3, L9, L10, I-02, I-05, I-11, I-12. Two tests, so that both cores work.
#[test]
fn every_entry_takes_effect_once_in_order_and_is_settled_truly() {
    check_coverage(1_200, &run(1_200, 1, Defect::None).unwrap());
}

// Holds: L1, L2, L3, L9, L10, I-02, I-05, I-11, I-12.
#[test]
fn every_entry_takes_effect_once_in_order_and_is_settled_truly_on_other_schedules() {
    check_coverage(1_200, &run(1_200, 2, Defect::None).unwrap());
}

/// The violation that a planted defect leads to.
fn reason(defect: Defect) -> String {
    match run(60, 3, defect) {
        Err(TestError::Fail(reason, _)) => reason.message().to_owned(),
        other => panic!("{defect:?} was not found: {other:?}"),
    }
}

// Holds: L1 (the test above fails without it)
#[test]
fn a_state_that_forgets_sequences_is_found_out() {
    assert!(reason(Defect::ForgetSequences).contains("L1"));
}

// Holds: L1 (the test above fails without it)
#[test]
fn a_state_that_accepts_zombies_of_closed_sessions_is_found_out() {
    let reason = reason(Defect::ForgetCloses);
    assert!(reason.contains("L1") || reason.contains("L3"), "{reason}");
}

// Holds: L3, I-11 (the test above fails without it)
#[test]
fn a_gateway_that_takes_absence_for_a_verdict_is_found_out() {
    // What was given up also leaves gaps that nobody dropped, which L1 forbids.
    let reason = reason(Defect::TrustAbsence);
    assert!(reason.contains("L1") || reason.contains("L3"), "{reason}");
}

// Holds: L2 (the test above fails without it)
#[test]
fn a_gateway_that_takes_a_later_session_is_found_out() {
    let reason = reason(Defect::TakeLaterSessions);
    // Sequences that start again under a second session are confused with those of the first.
    assert!(reason.contains("L2") || reason.contains("L3"), "{reason}");
}
