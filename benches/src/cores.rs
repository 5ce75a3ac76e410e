//! One core for the server, another for the generator, so that neither pays for the other.
//!
//! Called by `main`, before any thread is started.

use std::process::{Command, Stdio};

use anyhow::Context;

/// Which core runs what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cores {
    /// The server on one, this process and its threads on the other.
    Apart { server: usize, generator: usize },
    /// There is one core only, or no `taskset`: the numbers are then worse than the server is.
    Shared,
}

impl Cores {
    /// Pins this process, and thereby every thread it will start, to the last core it may use; the server gets the first.
    pub(crate) fn take() -> anyhow::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
        let allowed = allowed_cores(&status);
        let (Some(&server), Some(&generator)) = (allowed.first(), allowed.last()) else {
            return Ok(Self::Shared);
        };
        if server == generator {
            return Ok(Self::Shared);
        }
        let pinned = Command::new("taskset")
            .args(["-cp", &generator.to_string(), &std::process::id().to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        Ok(match pinned {
            Ok(status) if status.success() => Self::Apart { server, generator },
            _ => Self::Shared,
        })
    }
}

/// The cores that the kernel lets a process use, from its `/proc/PID/status`: `Cpus_allowed_list: 0-2,7`.
fn allowed_cores(status: &str) -> Vec<usize> {
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
    };
    list.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_read_with_ranges() {
        assert_eq!(allowed_cores("Name:\tx\nCpus_allowed_list:\t0-2,7\n"), [0, 1, 2, 7]);
        assert_eq!(allowed_cores("Cpus_allowed_list:\t3\n"), [3]);
        assert!(allowed_cores("nothing\n").is_empty());
    }
}
