//! The process: arguments and environment in, exit code out. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sluice::run::run(std::env::args_os(), &|name| std::env::var(name).ok())
}
