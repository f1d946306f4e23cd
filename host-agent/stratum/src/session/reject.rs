//! Why pools do not take shares, normalised over protocols.

use std::fmt;

/// Why a pool did not take a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectKind {
    /// The job is unknown or out of date (code 21).
    Stale,
    /// The pool has the share already (code 22).
    Duplicate,
    /// The hash does not meet the share target (code 23).
    LowDifficulty,
    /// The worker is not the one that was authorised (code 24).
    Unauthorized,
    /// The pool does not know this connection's subscription (code 25).
    NotSubscribed,
    /// The block time is outside of what the pool takes (code 20 with such a text).
    TimeOutOfRange,
    /// The version bits are not allowed (code 20 with such a text).
    VersionBits,
    /// Any other reason that the pool gave.
    Other,
    /// The pool gave no reason, as hydrapool does for every reject.
    Unexplained,
}

impl RejectKind {
    /// All kinds, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Stale,
        Self::Duplicate,
        Self::LowDifficulty,
        Self::Unauthorized,
        Self::NotSubscribed,
        Self::TimeOutOfRange,
        Self::VersionBits,
        Self::Other,
        Self::Unexplained,
    ];

    /// A short name for people and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stale => "stale",
            Self::Duplicate => "duplicate",
            Self::LowDifficulty => "low difficulty",
            Self::Unauthorized => "unauthorised worker",
            Self::NotSubscribed => "not subscribed",
            Self::TimeOutOfRange => "time out of range",
            Self::VersionBits => "version bits",
            Self::Other => "other",
            Self::Unexplained => "no reason given",
        }
    }
}

impl fmt::Display for RejectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
