//! The sluice binary: command line, configuration, composition root.
