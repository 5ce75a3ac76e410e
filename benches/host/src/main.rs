//! `sluice-bench-host`: gateways in a process of their own, for `sluice-bench groups`.
//!
//! Promises: says on standard output where they are, restarts all of them for each line `restart` on standard input, and
//! ends when standard input does, which is when the benchmark ends.

use std::io::{BufRead, Write};
use std::process::ExitCode;

use clap::Parser;
use sluice_bench_host::{HostArgs, host};

/// That of the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What asks for a restart.
const RESTART: &str = "restart";

fn main() -> ExitCode {
    let (asks, asked) = tokio::sync::mpsc::channel(1);
    let args = HostArgs::parse();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        // Nobody hosts any more when this fails.
        let _ = lines.filter(|line| line == RESTART).try_for_each(|_| asks.blocking_send(()));
    });
    let done = host(&args, asked, |line| {
        let mut stdout = std::io::stdout();
        writeln!(stdout, "{line}")?;
        Ok(stdout.flush()?)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
