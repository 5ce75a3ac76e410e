//! What gateways count themselves, from their `/metrics`.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DEADLINE: Duration = Duration::from_secs(30);

/// Counters of one gateway, or of several.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Reads of the metadata log.
    pub(crate) reads: u64,
    /// Append requests.
    pub(crate) appends: u64,
    /// Entries that carried a commit.
    pub(crate) commit_entries: u64,
    /// Items written to the offsets view.
    pub(crate) view_writes: u64,
}

impl Counts {
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            reads: self.reads.saturating_sub(earlier.reads),
            appends: self.appends.saturating_sub(earlier.appends),
            commit_entries: self.commit_entries.saturating_sub(earlier.commit_entries),
            view_writes: self.view_writes.saturating_sub(earlier.view_writes),
        }
    }

    /// Requests to the metadata log.
    pub(crate) fn log_requests(self) -> u64 {
        self.reads + self.appends
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let find = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("_total "));
            let value = line.with_context(|| format!("/metrics has no {name}"))?;
            value.trim().parse::<u64>().with_context(|| format!("{name} is {value}"))
        };
        Ok(Self {
            reads: find("sluice_log_reads")?,
            appends: find("sluice_log_appends")?,
            commit_entries: find("sluice_offset_commit_entries")?,
            view_writes: find("sluice_offsets_view_writes")?,
        })
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, counts| Self {
            reads: sum.reads + counts.reads,
            appends: sum.appends + counts.appends,
            commit_entries: sum.commit_entries + counts.commit_entries,
            view_writes: sum.view_writes + counts.view_writes,
        })
    }
}

/// The counters of the gateway whose HTTP port is here.
pub(crate) async fn read_counts(http: SocketAddr) -> anyhow::Result<Counts> {
    let text = timeout(DEADLINE, get(http)).await.context("/metrics takes too long")??;
    ensure!(text.starts_with("HTTP/1.1 200"), "/metrics: {}", text.lines().next().unwrap_or_default());
    Counts::parse(&text)
}

async fn get(http: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(http).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_whole_name() {
        let text = "# HELP sluice_log_reads Reads.\nsluice_log_reads_total 7\nsluice_log_reads_total_x 8\n\
                    sluice_log_appends_total 5\nsluice_offset_commits_total 9\nsluice_offset_commit_entries_total 3\n\
                    sluice_offsets_view_writes_total 2\n# EOF\n";
        let counts = Counts { reads: 7, appends: 5, commit_entries: 3, view_writes: 2 };
        assert_eq!(Counts::parse(text).unwrap(), counts);
        assert_eq!(counts.since(Counts { reads: 5, ..Counts::default() }).log_requests(), 7);
        assert_eq!([counts, counts].into_iter().sum::<Counts>().reads, 14);
        assert!(Counts::parse("sluice_log_reads_total 7\n").unwrap_err().to_string().contains("sluice_log_appends"));
    }
}
