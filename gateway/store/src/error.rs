//! What went wrong, as what may be done about it.

use std::error::Error as StdError;
use std::fmt;

/// What a caller may do about a failed operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StoreErrorKind {
    /// The object, item, bucket or table is not there.
    NotFound,
    /// A create-only write met something that is there already.
    AlreadyExists,
    /// Refused for its rate; did not happen; retry later.
    Throttled,
    /// Did not happen; retry.
    Unavailable,
    /// May have happened (I-11): settle it (L3), or retry under the same identity.
    Unknown,
    /// Not permitted, or the credentials are not valid.
    Denied,
    /// The request or the store's state makes no sense (foreign format, other incarnation, wrong argument): do not retry.
    Invalid,
    /// Over a size limit of the store; did not happen.
    TooLarge,
    /// What was read is not what was written.
    Corrupt,
}

impl StoreErrorKind {
    /// True when the operation certainly had no effect.
    #[must_use]
    pub fn did_not_happen(self) -> bool {
        self != Self::Unknown
    }

    /// True when the same request may succeed later.
    #[must_use]
    pub fn is_retriable(self) -> bool {
        matches!(self, Self::Throttled | Self::Unavailable | Self::Unknown)
    }

    /// The outcome of an operation of which this attempt came after `earlier` ones: one Unknown makes all Unknown.
    #[must_use]
    pub fn joined(self, earlier: Option<Self>) -> Self {
        if earlier == Some(Self::Unknown) { Self::Unknown } else { self }
    }
}

impl fmt::Display for StoreErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "not found",
            Self::AlreadyExists => "already exists",
            Self::Throttled => "throttled",
            Self::Unavailable => "unavailable",
            Self::Unknown => "outcome unknown",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::TooLarge => "too large",
            Self::Corrupt => "corrupt",
        })
    }
}

/// A failed store operation: what may be done, on what, and why.
#[derive(Debug)]
pub struct StoreError {
    kind: StoreErrorKind,
    message: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

/// The result of a store operation.
pub type StoreResult<T> = Result<T, StoreError>;

impl StoreError {
    /// An error of this kind; `message` names the operation and its subject ("put object `k`").
    #[must_use]
    pub fn new(kind: StoreErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// The same with its cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same error as another kind: used where attempts are joined.
    #[must_use]
    pub fn with_kind(mut self, kind: StoreErrorKind) -> Self {
        self.kind = kind;
        self
    }

    /// What may be done.
    #[must_use]
    pub fn kind(&self) -> StoreErrorKind {
        self.kind
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.message, self.kind)?;
        // The SDK's own Display stops at "service error": the causes say what happened.
        let mut cause = self.source.as_deref().map(|source| source as &dyn StdError);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl StdError for StoreError {}
