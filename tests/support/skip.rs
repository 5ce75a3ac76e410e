//! Tests that a machine cannot run: counted, and told apart from those that passed.
//!
//! Promises: in CI (`SLUICE_CI` or `CI` is set) a skip is a failure; elsewhere it is one line on the terminal, also when
//! the test harness captures output, and one line in the file that `SLUICE_SKIPS` names, which `make test` counts.

use std::io::Write;

/// True where nothing may be missing.
#[must_use]
pub fn in_ci() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty() && v != "0" && v != "false");
    set("SLUICE_CI") || set("CI")
}

/// Records that something was not tested because `what` is missing.
///
/// # Panics
/// In CI.
pub fn skip(what: &str) {
    assert!(!in_ci(), "{what}: in CI that is a failure (`make setup` installs what the tests need)");
    // Not eprintln!, which the harness captures of a test that passes.
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
    if let Some(path) = std::env::var_os("SLUICE_SKIPS") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let _ = file.and_then(|mut file| writeln!(file, "{what}"));
    }
}
