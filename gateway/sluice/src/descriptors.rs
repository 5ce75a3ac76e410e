//! File descriptors: each connection takes one.
//!
//! Promises: the process may open as many as the system lets it, whatever the shell or the service manager set for it
//! (Kafka's JVM does the same); where that is less than the settings allow connections, the log says so. Called by
//! [`crate::run`], once.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for everything that is no Kafka connection: stores, HTTP, the runtime.
const OTHERS: u64 = 256;

/// Raises the soft limit of open files to the hard one. Returns what holds afterwards; `None` is no limit at all.
fn raise() -> Option<u64> {
    let there_is = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: there_is.maximum, maximum: there_is.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => there_is.maximum,
        // What was there before is no worse than without this attempt.
        Err(_) => there_is.current,
    }
}

/// Makes room for so many connections, as far as the system lets it.
pub(crate) fn make_room_for(connections: usize) {
    let Some(limit) = raise() else { return };
    let connections = u64::try_from(connections).unwrap_or(u64::MAX);
    if limit < connections.saturating_add(OTHERS) {
        tracing::warn!(
            limit,
            max_connections = connections,
            "fewer files may be open than connections are allowed: raise the limit (ulimit -Hn, LimitNOFILE), or lower \
             --max-connections"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let raised = raise();
        let now = getrlimit(Resource::Nofile);
        assert_eq!((raised, now.current), (now.maximum, now.maximum));
    }
}
