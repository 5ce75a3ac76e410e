//! A few of the runs of `make powercut`, on every `make test`.

use sluice_powercut::machine::SyncKind;
use sluice_powercut::run::{Outcome, Plan, Skip, Work, run};

/// Seeds that `make powercut` does not use.
const SEEDS: std::ops::Range<u64> = 1_000_000..1_000_020;

/// Holds: I-01, I-02 (gateways over the stores), I-03, L6
#[test]
fn nothing_acknowledged_is_lost_with_the_power() {
    let mut sum = Outcome::default();
    for work in [Work::Records, Work::Stores] {
        for seed in SEEDS {
            match run(Plan { seed, work, skip: None }) {
                Ok(outcome) => sum.add(outcome),
                Err(failure) => panic!("seed {seed} ({}): {failure}", work.name()),
            }
        }
    }
    let checked = sum.checked;
    let found = [checked.records, checked.committed, checked.elements, checked.objects, checked.shown];
    assert!(found.iter().all(|found| *found > 10), "{sum:?}");
}

/// A judge that takes a lying disk for a sound one is no judge.
#[test]
fn most_runs_with_skipped_syncs_are_caught() {
    for kind in [None, Some(SyncKind::Folder), Some(SyncKind::File), Some(SyncKind::Database)] {
        let skip = Some(Skip { kind });
        let caught = SEEDS.filter(|&seed| run(Plan { seed, work: Work::Stores, skip }).is_err()).count();
        assert!(caught >= 10, "{caught} of 20 runs, {kind:?} syncs skipped");
    }
}
