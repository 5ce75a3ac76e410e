//! Randomness: session nonces, object keys, topic ids, jitter (I-13).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use uuid::Uuid;

/// A source of random numbers.
pub trait Entropy: Send + Sync + std::fmt::Debug + 'static {
    /// A uniformly distributed number.
    fn next_u64(&self) -> u64;

    /// A uniformly distributed number of 128 bits.
    fn next_u128(&self) -> u128 {
        (u128::from(self.next_u64()) << 64) | u128::from(self.next_u64())
    }

    /// A random (version 4) UUID, never nil: Kafka reads the nil id as "no id".
    fn next_uuid(&self) -> Uuid {
        uuid::Builder::from_random_bytes(self.next_u128().to_be_bytes()).into_uuid()
    }

    /// A number in `0..bound`; 0 when `bound` is 0.
    fn next_below(&self, bound: u64) -> u64 {
        // The high half of the 128-bit product is uniform to within bound / 2^64.
        u64::try_from((u128::from(self.next_u64()) * u128::from(bound)) >> 64).unwrap_or(0)
    }

    /// Full jitter: a duration in `0..=upper`, in whole microseconds.
    fn jitter(&self, upper: Duration) -> Duration {
        let micros = u64::try_from(upper.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.next_below(micros.saturating_add(1)))
    }
}

/// Entropy shared by everything in one gateway.
pub type SharedEntropy = Arc<dyn Entropy>;

/// The operating system's generator.
#[derive(Debug, Default, Clone, Copy)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn next_u64(&self) -> u64 {
        // A process that cannot get random bytes must not go on: it would mint object keys that collide (I-03).
        #[allow(clippy::expect_used, reason = "there is no safe way to go on without entropy")]
        getrandom::u64().expect("the operating system gives random numbers")
    }
}

/// A generator that gives the same numbers for the same seed: for simulations and property tests.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<fastrand::Rng>);

impl SeededEntropy {
    /// The generator of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(fastrand::Rng::with_seed(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn next_u64(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).u64(..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_seed_gives_same_numbers() {
        let (a, b) = (SeededEntropy::new(7), SeededEntropy::new(7));
        let draw = |e: &SeededEntropy| (0..64).map(|_| e.next_u128()).collect::<Vec<_>>();
        assert_eq!(draw(&a), draw(&b));
        assert_ne!(draw(&a), draw(&SeededEntropy::new(8)));
    }

    #[test]
    fn next_below_stays_below() {
        let entropy = SeededEntropy::new(1);
        for bound in [1, 2, 3, 10, u64::MAX] {
            for _ in 0..100 {
                assert!(entropy.next_below(bound) < bound);
            }
        }
        assert_eq!(entropy.next_below(0), 0);
    }
}
