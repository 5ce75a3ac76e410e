//! Support for the suites of this folder.
