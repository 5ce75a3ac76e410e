//! Where a broker differs from Kafka on purpose.
//!
//! Promises: each difference that the model allows for has a name here and a line in docs/differences.md; everything else
//! must be as Kafka has it. Used by `model`, `offsets` and `compare`.

/// Whose answers are expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manner {
    /// Apache Kafka's.
    #[default]
    Kafka,
    /// Sluice's.
    Sluice,
}

impl Manner {
    /// A Join that is refused leaves nothing behind. In Kafka one without a member id creates the group all the same.
    #[must_use]
    pub fn refused_joins_make_no_group(self) -> bool {
        self == Self::Sluice
    }

    /// OffsetDelete judges by what the members subscribe to now. Kafka judges by what they did when the generation began.
    #[must_use]
    pub fn reads_subscriptions_of_now(self) -> bool {
        self == Self::Sluice
    }

    /// Of requests sent together, one that met another State twice is told to try again (15, T7), and nothing happens.
    #[must_use]
    pub fn may_be_told_to_try_again(self) -> bool {
        self == Self::Sluice
    }

    /// A rebalance that has no members left, but ids that were given out, may end at once. Kafka's ends by the timeout of the
    /// members that have gone.
    #[must_use]
    pub fn phases_without_members_may_end(self) -> bool {
        self == Self::Sluice
    }

    /// A Join or Sync that waits is answered from what its gateway sees when it looks: of requests sent together, the next
    /// ones may have been taken by then. Kafka answers it with what ended the wait.
    #[must_use]
    pub fn waiting_hear_the_present(self) -> bool {
        self == Self::Sluice
    }
}
