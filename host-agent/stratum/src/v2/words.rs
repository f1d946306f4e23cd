//! Words for people: what a server's refusals mean and what can be done.

use crate::session::{Reason, RejectKind};

use super::stream::Impostor;

/// Which kind of reject a server's code for a share is. The specification names no codes since
/// June 2026, so these are the ones in use.
pub(super) fn reject_kind(code: &str) -> RejectKind {
    match code {
        "" => RejectKind::Unexplained,
        "stale-share" | "invalid-job-id" => RejectKind::Stale,
        "duplicate-share" => RejectKind::Duplicate,
        "difficulty-too-low" => RejectKind::LowDifficulty,
        "invalid-non-rollable-version-bit" | "version-rolling-not-allowed" => {
            RejectKind::VersionBits
        }
        "invalid-channel-id" => RejectKind::NotSubscribed,
        _ => RejectKind::Other,
    }
}

/// Why a channel was not opened.
pub(super) fn channel_refused(code: &str) -> Reason {
    let advice = match code {
        "unknown-user" | "invalid-user-identity" => "check the pool's user setting",
        "channel-capacity-exhausted" => "the pool is full, another one may be better",
        "extended-channels-not-supported-for-standard-jobs"
        | "standard-channels-not-supported-for-custom-work" => {
            "try the other kind of channel in the pool's settings"
        }
        "invalid-nominal-hashrate" => "the pool does not take the hashrate that we told",
        "min-extranonce-size-too-large" | "unsupported-min-extranonce-size" => {
            "the pool leaves too little room to a miner; try a standard channel"
        }
        "" => return Reason::ChannelRefused("the pool gives no reason".to_owned()),
        _ => return Reason::ChannelRefused(code.to_owned()),
    };
    Reason::ChannelRefused(format!("{code}; {advice}"))
}

/// Why a connection was not set up.
pub(super) fn setup_refused(code: &str, flags: u32) -> Reason {
    let advice = match code {
        "protocol-version-mismatch" => {
            "it speaks another version of Stratum V2 than 2; use the pool's V1 port"
        }
        "unsupported-protocol" => {
            "this port is not for mining (perhaps for templates or job declaration); use the \
             pool's mining port"
        }
        "unsupported-feature-flags" => {
            return Reason::SetupRefused(format!(
                "{code}: it does not support flags {flags:#x}; try the other kind of channel in \
                 the pool's settings"
            ));
        }
        "" => return Reason::SetupRefused("the pool gives no reason".to_owned()),
        _ => return Reason::SetupRefused(code.to_owned()),
    };
    Reason::SetupRefused(format!("{code}; {advice}"))
}

/// What to do about a server of another protocol.
pub(super) fn impostor(impostor: Impostor) -> Reason {
    let text = match impostor {
        Impostor::StratumV1 => {
            "a Stratum V1 pool answers there; write stratum+tcp://host:port for it, or use the \
             pool's V2 port"
        }
        Impostor::Http => {
            "a web server or a Bitcoin node answers there; check the port, or write \
             http://host:port to mine solo on a node"
        }
        Impostor::Tls => {
            "a TLS server answers there; write stratum+tls://host:port for a V1 pool over TLS, or \
             use the pool's V2 port"
        }
    };
    Reason::WrongProtocol(text.to_owned())
}

/// The server was silent, or hung up, instead of answering the handshake.
pub(super) fn no_handshake(what: &str) -> Reason {
    Reason::Noise(format!(
        "the server {what} instead of answering our Stratum V2 handshake; likely this is no V2 \
         port (a V1 pool does so too), or the server takes no more connections or is not ready \
         yet: check host and port in the pool's URL"
    ))
}
