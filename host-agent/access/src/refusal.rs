//! Why somebody is refused, in words that go to them. No text repeats what they showed.

use rpc::Role;

/// Why a request, a login or a pairing is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It takes a token, and none was shown.
    #[error(
        "this needs a token with the role {needs}{}. Make one on the miner with `hashwright auth add NAME \
         --role {needs}`, or pair with the code that `hashwright auth pair` shows there; on the miner \
         itself, run the command as the agent's user",
        without(.has)
    )]
    NeedsToken {
        /// The role that would do.
        needs: Role,
        /// What they may do as it is.
        has: Option<Role>,
    },
    /// The token's role is too low.
    #[error(
        "the token `{name}` has the role {}, and this needs {needs}. Make another with `hashwright \
         auth add NAME --role {needs}` on the miner",
        .has.map_or_else(|| "none".to_owned(), |role| role.to_string())
    )]
    NeedsRole {
        /// The role that would do.
        needs: Role,
        /// The role that there is.
        has: Option<Role>,
        /// Name of the token.
        name: String,
    },
    /// An `Authorization` that is none of ours.
    #[error(
        "the Authorization header must be `Bearer hw_…` with a token of this miner; leave it out to \
         ask without one"
    )]
    Unreadable,
    /// Nobody has such a token.
    #[error(
        "this miner knows no such token. It may be of another miner, or its state directory is a \
         new one; `hashwright auth list` on the miner shows what there is"
    )]
    Unknown,
    /// The token was good once.
    #[error(
        "the token `{name}` has expired. Make a new one with `hashwright auth add` on the miner"
    )]
    Expired {
        /// Name of the token.
        name: String,
    },
    /// The token was taken back.
    #[error(
        "the token `{name}` was revoked. Make a new one with `hashwright auth add` on the miner"
    )]
    Revoked {
        /// Name of the token.
        name: String,
    },
    /// The owner's own token came from elsewhere.
    #[error(
        "this token opens the API only on the miner itself; make one with `hashwright auth add`"
    )]
    LocalOnly,
    /// The tokens cannot be checked.
    #[error("the miner cannot check tokens now: {reason}")]
    Unavailable {
        /// What is the matter.
        reason: String,
    },
    /// Too many wrong tokens or codes.
    #[error(
        "too many wrong tokens or codes from your address; wait {retry_after_s} seconds. On the \
         miner itself the API is open all the time"
    )]
    LockedOut {
        /// Seconds to wait.
        retry_after_s: u64,
    },
    /// Too many requests.
    #[error("too many requests from your address; wait {retry_after_s} seconds")]
    TooMany {
        /// Seconds to wait.
        retry_after_s: u64,
    },
    /// No code is valid now.
    #[error(
        "no pairing code is valid now: it was used, ran out after ten minutes, or was guessed wrong \
         too often. `hashwright auth pair` on the miner shows a new one"
    )]
    NoPairing,
    /// The code is another one.
    #[error("this is not the pairing code; {} left before it is void", tries(.left))]
    WrongCode {
        /// Wrong tries that it still stands.
        left: u32,
    },
    /// A token cannot be made.
    #[error("no token can be made: {reason}")]
    NoToken {
        /// Why.
        reason: String,
    },
}

impl Refusal {
    /// The JSON-RPC error code: -32001 for a missing token or role, -32002 for a lock-out, -32003 for too
    /// many requests.
    #[must_use]
    pub fn code(&self) -> i32 {
        match self {
            Self::LockedOut { .. } => -32002,
            Self::TooMany { .. } => -32003,
            _ => -32001,
        }
    }

    /// The HTTP status, where a whole request is refused.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::LockedOut { .. } | Self::TooMany { .. } => 429,
            Self::NeedsRole { .. } | Self::LocalOnly => 403,
            Self::Unavailable { .. } | Self::NoToken { .. } => 503,
            _ => 401,
        }
    }

    /// Seconds after which it is worth to try again.
    #[must_use]
    pub fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::LockedOut { retry_after_s } | Self::TooMany { retry_after_s } => {
                Some(*retry_after_s)
            }
            _ => None,
        }
    }

    /// The role that would do, where that is the reason.
    #[must_use]
    pub fn needs(&self) -> Option<Role> {
        match self {
            Self::NeedsToken { needs, .. } | Self::NeedsRole { needs, .. } => Some(*needs),
            _ => None,
        }
    }
}

fn without(role: &Option<Role>) -> String {
    match role {
        Some(role) => format!(", and without one you have {role}"),
        None => String::new(),
    }
}

fn tries(left: &u32) -> String {
    match left {
        1 => "one try is".to_owned(),
        n => format!("{n} tries are"),
    }
}
