//! The Python clients, in the environment that `scripts/setup clients` installs.
//!
//! Promises: a script that does not end by its deadline is killed; its whole output is in the panic of a failure.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::process::wait_with_deadline;
use crate::skip::skip;

/// The interpreter with the pinned clients.
#[derive(Debug, Clone)]
pub struct Python {
    interpreter: PathBuf,
}

impl Python {
    /// The interpreter, or `None` (and a skip on record) where it is not installed.
    #[must_use]
    pub fn find() -> Option<Self> {
        let asked = Command::new(crate::root().join("scripts/setup")).arg("python").output();
        let printed = asked.ok().map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
        let interpreter = printed.map(PathBuf::from).filter(|path| path.is_file());
        if interpreter.is_none() {
            skip("the Python clients are not installed (make setup)");
        }
        Some(Self { interpreter: interpreter? })
    }

    /// Runs a script of `tests/clients` and returns its last line of output.
    ///
    /// # Panics
    /// When it fails, or is not done by the deadline.
    #[must_use]
    pub fn run(&self, script: &str, arguments: &[&str], deadline: Duration) -> String {
        let mut command = Command::new(&self.interpreter);
        command.arg(crate::root().join("tests/clients").join(script)).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().expect("start python");
        let Some(output) = wait_with_deadline(child, deadline) else {
            panic!("{script} {arguments:?} was not done after {deadline:?}");
        };
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{script} {arguments:?}: {}\n{out}\n{err}", output.status);
        out.lines().last().unwrap_or_default().to_owned()
    }
}
