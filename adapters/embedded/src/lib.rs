//! The embedded stores: memory, and one machine's disk.
