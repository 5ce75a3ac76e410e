//! Drawing from a seed: numbers, choices, and what stores do to requests.
//!
//! Promises: nothing but the entropy decides. Called by the simulations, of the log and of groups.

use std::time::Duration;

use sluice_runtime::{Entropy, SeededEntropy};
use sluice_store::{Faults, OperationFaults};

/// A number in `range`, both ends included.
pub fn between(entropy: &dyn Entropy, from: u64, to: u64) -> u64 {
    from + entropy.next_below(to - from + 1)
}

/// A time in the range, in milliseconds.
pub fn ms_between(entropy: &dyn Entropy, from: u64, to: u64) -> Duration {
    Duration::from_millis(between(entropy, from, to))
}

/// One of these.
pub fn one_of<T: Copy>(entropy: &dyn Entropy, choices: &[T]) -> T {
    choices[usize::try_from(entropy.next_below(choices.len() as u64)).unwrap()]
}

/// True in so many cases of a hundred.
pub fn percent(entropy: &dyn Entropy, of_hundred: u64) -> bool {
    entropy.next_below(100) < of_hundred
}

/// One thing fails nearly always: nobody reaches a store, or nobody hears its answers, or everything takes seconds.
pub fn draw_outage(e: &dyn Entropy) -> Faults {
    let refused = OperationFaults { refused_per_mille: 950, ..OperationFaults::default() };
    let unheard =
        OperationFaults { lost_answer_per_mille: 500, lost_request_per_mille: 450, ..OperationFaults::default() };
    let late = OperationFaults {
        late_effect_per_mille: 800,
        lost_request_per_mille: 100,
        delay_max: Duration::from_millis(1_500),
        ..OperationFaults::default()
    };
    let slow =
        OperationFaults { delayed_per_mille: 900, delay_max: Duration::from_secs(6), ..OperationFaults::default() };
    let what = one_of(e, &[refused, unheard, late, slow]);
    let none = Faults::default();
    match between(e, 0, 8) {
        0..4 => Faults { append: what, ..none },
        4 => Faults { stage: what, ..none },
        5 => Faults { object_write: what, ..none },
        6 => Faults { log_read: what, ..none },
        7 => Faults { object_read: what, object_write: what, ..none },
        _ => Faults { append: what, stage: what, log_read: what, ..none },
    }
}

/// Faults of each class up to about `per_mille` in a thousand of each kind.
pub fn draw_faults(e: &SeededEntropy, per_mille: u64) -> Faults {
    let rate = |most: u64| u32::try_from(e.next_below(most + 1)).unwrap();
    let delay_max = ms_between(e, 1, 250);
    let write = |most: u64| OperationFaults {
        refused_per_mille: rate(most),
        lost_answer_per_mille: rate(most),
        lost_request_per_mille: rate(most),
        late_effect_per_mille: rate(most),
        tail_unread_per_mille: 0,
        delayed_per_mille: rate(most * 3),
        delay_max,
    };
    let read = |most: u64| OperationFaults {
        refused_per_mille: rate(most),
        lost_answer_per_mille: rate(most / 2),
        delayed_per_mille: rate(most * 3),
        delay_max,
        ..OperationFaults::default()
    };
    Faults {
        object_write: write(per_mille / 2),
        object_read: read(per_mille / 2),
        stage: write(per_mille / 2),
        append: OperationFaults { tail_unread_per_mille: rate(per_mille), ..write(per_mille) },
        log_read: read(per_mille),
    }
}
