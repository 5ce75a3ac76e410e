//! What the outside of a store was promised, and what it had asked for: the measure of every restart.

/// Something said, in its place among the operations on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The data directory was opened: from now on it opens without being made.
    Opened,
    /// A record was acknowledged, or read after a restart: it is there for good.
    Record {
        /// Its partition.
        partition: i32,
        /// Its offset.
        offset: i64,
        /// Which record.
        id: u64,
    },
    /// A producer was told that its record did not happen: it never shows.
    Refused {
        /// Which record.
        id: u64,
    },
    /// A committed offset was acknowledged, or read after a restart: no lower one is ever read.
    Committed {
        /// The group.
        group: u8,
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
    },
    /// An element of the log was acknowledged, or read after a restart.
    Element {
        /// Its position.
        position: u64,
        /// Which entry.
        sequence: u64,
    },
    /// An entry is about to be appended.
    Appending {
        /// Which entry.
        sequence: u64,
    },
    /// An object, or its absence, may come to be at this key from now on.
    Changing {
        /// The key.
        key: String,
        /// Which bytes; none for a deletion.
        to: Option<u64>,
    },
    /// The object at this key is this one, and no other, until it is changed.
    Settled {
        /// The key.
        key: String,
        /// Which bytes; none for none.
        is: Option<u64>,
    },
    /// A put was told that the key is taken: it is, and not by that put's bytes.
    Taken {
        /// The key.
        key: String,
        /// Which bytes were refused.
        not: u64,
    },
    /// An item of the offsets view was acknowledged at this position.
    Shown {
        /// The item's group.
        group: u8,
        /// Its position.
        position: u64,
    },
}
