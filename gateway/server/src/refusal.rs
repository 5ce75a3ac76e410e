//! Why connections are closed: one list for the log, the metrics and the tests.

use std::{fmt, io};

use crate::frame::FrameError;

/// A request that gets a closed connection in place of an answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// The API is not in the table.
    #[error("API key {0} is not served")]
    UnknownApi(i16),
    /// The version is not in the table.
    #[error("{api} version {version} is not served")]
    UnsupportedVersion {
        /// Name of the API.
        api: &'static str,
        /// The version.
        version: i16,
    },
    /// The frame is not the request it claims to be.
    #[error("the request cannot be read: {0}")]
    Unreadable(String),
    /// A response that cannot be encoded: a defect of ours.
    #[error("the answer cannot be written: {0}")]
    AnswerFailed(String),
    /// A Produce with acks=0 failed: closing is the only way to tell (as in Kafka).
    #[error("a Produce with acks=0 failed: {0}")]
    AcksZeroFailed(String),
    /// No error code would be understood rightly (design section 5).
    #[error("no safe answer: {0}")]
    NoSafeAnswer(String),
}

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum Close {
    /// The peer is done.
    PeerClosed,
    /// The peer went away within a frame.
    Truncated,
    /// The gateway is stopping, and everything read was answered.
    Stopped,
    /// Nothing was asked for too long.
    Idle,
    /// Nothing of an answer was taken for too long.
    SlowReader,
    /// A request took too long to come.
    SlowSender,
    /// The gateway did not run for a while: what was asked before that is not what the client wants now (T7).
    ClockGap,
    /// A length that no frame has; what the bytes look like instead.
    BadFrame(FrameError, Option<&'static str>),
    /// A request was refused.
    Refused(Refusal),
    /// A handler panicked.
    Panicked,
    /// The transport failed.
    Io(io::ErrorKind),
}

impl Close {
    /// Every label, so that each is in the metrics from the start.
    pub(crate) const LABELS: [&'static str; 16] = [
        "peer_closed",
        "truncated",
        "stopped",
        "idle",
        "slow_reader",
        "slow_sender",
        "clock_gap",
        "bad_frame",
        "unknown_api",
        "unsupported_version",
        "unreadable",
        "answer_failed",
        "acks_zero_failed",
        "no_safe_answer",
        "panicked",
        "io",
    ];

    /// Its label in the metrics.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::PeerClosed => "peer_closed",
            Self::Truncated => "truncated",
            Self::Stopped => "stopped",
            Self::Idle => "idle",
            Self::SlowReader => "slow_reader",
            Self::SlowSender => "slow_sender",
            Self::ClockGap => "clock_gap",
            Self::BadFrame(..) => "bad_frame",
            Self::Refused(Refusal::UnknownApi(_)) => "unknown_api",
            Self::Refused(Refusal::UnsupportedVersion { .. }) => "unsupported_version",
            Self::Refused(Refusal::Unreadable(_)) => "unreadable",
            Self::Refused(Refusal::AnswerFailed(_)) => "answer_failed",
            Self::Refused(Refusal::AcksZeroFailed(_)) => "acks_zero_failed",
            Self::Refused(Refusal::NoSafeAnswer(_)) => "no_safe_answer",
            Self::Panicked => "panicked",
            Self::Io(_) => "io",
        }
    }

    /// Whether it deserves a line in the log. Ordinary ends of connections have none: load balancers probe every few
    /// seconds.
    pub(crate) fn is_noteworthy(&self) -> bool {
        matches!(self, Self::SlowReader | Self::SlowSender | Self::BadFrame(..) | Self::Refused(_) | Self::Panicked)
    }

    /// Whether frames that were received but not started are to be dropped.
    pub(crate) fn drops_unread(&self) -> bool {
        !matches!(self, Self::PeerClosed | Self::Truncated | Self::Stopped)
    }
}

impl fmt::Display for Close {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("the peer closed it"),
            Self::Truncated => f.write_str("the peer closed it within a frame"),
            Self::Stopped => f.write_str("the gateway is stopping"),
            Self::Idle => f.write_str("nothing was asked for too long"),
            Self::SlowReader => f.write_str("the peer does not read its answers, or too slowly"),
            Self::SlowSender => f.write_str("a request took too long to come"),
            Self::ClockGap => f.write_str("the gateway did not run for a while"),
            Self::BadFrame(error, Some(guess)) => write!(f, "{error}: {guess}"),
            Self::BadFrame(error, None) => write!(f, "{error}"),
            Self::Refused(refusal) => write!(f, "{refusal}"),
            Self::Panicked => f.write_str("a handler panicked; this is a defect"),
            Self::Io(kind) => write!(f, "the transport failed: {kind}"),
        }
    }
}
