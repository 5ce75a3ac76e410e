//! CPU time and memory of a process, from `/proc`.

use std::time::Duration;

use anyhow::{Context, anyhow};

/// Linux counts process times for user space in hundredths of a second, whatever the kernel's own clock.
const TICK: Duration = Duration::from_millis(10);

/// CPU time that a process has used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CpuTime {
    /// Everything, in nanoseconds where the kernel tells them.
    pub(crate) total: Duration,
    /// The part in user mode, to a hundredth of a second.
    pub(crate) user: Duration,
    /// The part in the kernel, to a hundredth of a second.
    pub(crate) system: Duration,
}

impl CpuTime {
    /// What was used since `earlier`.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            total: self.total.saturating_sub(earlier.total),
            user: self.user.saturating_sub(earlier.user),
            system: self.system.saturating_sub(earlier.system),
        }
    }

    /// Adds up parts of a cell.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { total: self.total + other.total, user: self.user + other.user, system: self.system + other.system }
    }
}

/// CPU time of all threads of a process, since it started.
pub(crate) fn cpu_time(pid: u32) -> anyhow::Result<CpuTime> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("process {pid}"))?;
    let (user, system) = parse_stat(&stat).ok_or_else(|| anyhow!("/proc/{pid}/stat cannot be read"))?;
    // Threads that ended are missing from the exact sum; they are in the other one, which is exact to a tick.
    let exact = exact_time(pid).filter(|exact| *exact + TICK + TICK >= user + system);
    Ok(CpuTime { total: exact.unwrap_or(user + system), user, system })
}

/// The sum over the threads that are alive; `None` where the kernel does not tell.
fn exact_time(pid: u32) -> Option<Duration> {
    let mut total = Duration::ZERO;
    for thread in std::fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let schedstat = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        total += Duration::from_nanos(schedstat.split_whitespace().next()?.parse().ok()?);
    }
    Some(total)
}

/// User and system time of a line of `/proc/PID/stat`: fields 14 and 15, the name in field 2 may contain anything.
fn parse_stat(stat: &str) -> Option<(Duration, Duration)> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut next = || Some(TICK * fields.next()?.parse::<u32>().ok()?);
    Some((next()?, next()?))
}

/// Resident memory now, in bytes.
pub(crate) fn resident_bytes(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).with_context(|| format!("process {pid}"))?;
    parse_resident(&status).ok_or_else(|| anyhow!("/proc/{pid}/status has no VmRSS"))
}

fn parse_resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_found_behind_a_hostile_name() {
        let stat = "42 (a) b) (c) S 1 42 42 0 -1 4194304 100 0 0 0 150 25 0 0 20 0 2 0 99 1 1";
        assert_eq!(parse_stat(stat), Some((Duration::from_millis(1500), Duration::from_millis(250))));
        assert_eq!(parse_stat("42 (a) S 1"), None);
    }

    #[test]
    fn resident_memory_is_in_kibibytes() {
        assert_eq!(parse_resident("VmHWM:\t  9 kB\nVmRSS:\t    12 kB\n"), Some(12 * 1024));
        assert_eq!(parse_resident("VmSize:\t 1 kB\n"), None);
    }

    #[test]
    fn work_of_a_process_shows_in_its_time() {
        let pid = std::process::id();
        let before = cpu_time(pid).unwrap();
        let mut sum = 0_u64;
        // Until the clock moved: the test waits for nothing else.
        while cpu_time(pid).unwrap().since(before).total < TICK {
            sum = (0..100_000_u64).fold(sum, |sum, i| sum.wrapping_mul(31).wrapping_add(i));
        }
        assert!(std::hint::black_box(sum) != 1 && resident_bytes(pid).unwrap() > 0);
    }
}
