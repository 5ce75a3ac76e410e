//! The process: arguments and environment in, exit code out. Everything else is in the library.

use std::process::ExitCode;

/// A fifth of what a request to the store costs is memory given out and taken back: this one does it for less than the
/// system's (docs/adr/0009-the-allocator.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    sluice::run::run(std::env::args_os(), &|name| std::env::var(name).ok())
}
