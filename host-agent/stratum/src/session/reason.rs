//! Why a connection to an upstream ended, in words that tell its owner what to do.

use std::time::Duration;

use thiserror::Error;

use crate::text::utc;

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Reason {
    /// The owner or the shell stopped the session.
    #[error("stopped")]
    Stopped,
    /// No connection came about.
    #[error("cannot connect: {0}")]
    ConnectFailed(String),
    /// No connection came about in time.
    #[error("cannot connect: no answer within {0:?}")]
    ConnectTimeout(Duration),
    /// The pool closed the connection.
    #[error("the pool closed the connection")]
    PeerClosed,
    /// Reading or writing failed.
    #[error("the connection broke: {0}")]
    Io(String),
    /// The pool did not take our bytes in time.
    #[error("the pool took no data for {0:?}")]
    WriteTimeout(Duration),
    /// The pool or node did not answer a request.
    #[error("{0} was not answered in time")]
    NoAnswer(&'static str),
    /// The peer does not speak the protocol that the URL names; the text says what it looks
    /// like, and which form of URL is for that.
    #[error("wrong protocol: {0}")]
    WrongProtocol(String),
    /// TLS did not come about.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The encrypted channel of Stratum V2 did not come about or broke.
    #[error("the encryption with the pool failed: {0}")]
    Noise(String),
    /// The server's certificate is not signed by the authority that the URL names.
    #[error(
        "the server does not hold a certificate of the authority key {expected}: the key in the \
         pool's URL is wrong or out of date, or somebody stands between us and the pool; compare \
         the URL with the one on the pool's page"
    )]
    KeyMismatch {
        /// The key in the URL.
        expected: String,
    },
    /// The server's certificate is genuine, but not valid by the clock of this computer.
    #[error("{}", certificate(*.valid_from, *.valid_until, *.now))]
    Certificate {
        /// First moment of its validity, seconds since 1970.
        valid_from: u64,
        /// Last moment of its validity, seconds since 1970.
        valid_until: u64,
        /// This computer's clock, seconds since 1970.
        now: u64,
    },
    /// The pool does not serve miners like this one.
    #[error("the pool refused the connection: {0}")]
    SetupRefused(String),
    /// The pool opened no channel for us.
    #[error("the pool opened no channel: {0}")]
    ChannelRefused(String),
    /// The pool closed our channel.
    #[error("the pool closed our channel: {0}")]
    ChannelClosed(String),
    /// The pool refused the subscription.
    #[error("the pool refused the subscription: {0}")]
    SubscribeRefused(String),
    /// The pool forgot our subscription, as it says in the answer to a share.
    #[error("the pool no longer knows our subscription: {0}")]
    SubscriptionLost(String),
    /// The pool refused the worker.
    #[error("the pool refused user and password: {0}; check the pool's user setting")]
    AuthorizeRefused(String),
    /// The pool never sent a first job.
    #[error("the pool sent no job within {0:?}")]
    NoFirstJob(Duration),
    /// The pool stopped sending jobs.
    #[error("the pool sent no new job for {0:?}")]
    Silent(Duration),
    /// Shares stay without answer and nothing else comes.
    #[error("the pool is silent since a share was sent {0:?} ago")]
    Unresponsive(Duration),
    /// The pool sent something that its protocol does not allow.
    #[error("the pool does not speak proper Stratum: {0}")]
    Protocol(String),
    /// The pool sent a line without end.
    #[error("the pool sent a line of more than {0} bytes")]
    LineTooLong(usize),
    /// The pool asked for a reconnect.
    #[error("the pool asked us to reconnect")]
    Reconnect,
    /// The node answered a call with an error, or with something that is no answer.
    #[error("the node does not serve us: {0}")]
    Rpc(String),
    /// The node refused user and password, or there is no cookie to be read.
    #[error("the node refused our credentials: {0}")]
    RpcAuth(String),
    /// The node does not know the newest blocks yet.
    #[error(
        "the node is still syncing: it has {blocks} blocks of {headers}; mining on it would be for \
         nothing, so it begins when the node is done"
    )]
    NodeSyncing {
        /// Blocks that the node has.
        blocks: u64,
        /// Blocks that it knows of.
        headers: u64,
    },
    /// The work does not pay what the owner demands.
    #[error("the pool's work was refused: {0}")]
    Payout(String),
}

/// The first moment at which this program can have run, 2026-01-01. A clock that shows less
/// was never set.
const PROGRAM_BORN: u64 = 1_767_225_600;

fn certificate(valid_from: u64, valid_until: u64, now: u64) -> String {
    let (from, until, clock) = (utc(valid_from), utc(valid_until), utc(now));
    let facts = format!(
        "the server's certificate is valid from {from} to {until}, and the clock of this computer \
         shows {clock}"
    );
    if now < PROGRAM_BORN {
        format!("{facts}, which is wrong; set the clock (most systems do so over NTP)")
    } else if now < valid_from {
        format!(
            "{facts}; the clock is slow, or the certificate was made for later: check the clock"
        )
    } else {
        format!(
            "{facts}; if the clock is right, the certificate has run out and only the pool can \
             renew it"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_never_set_is_told_apart_from_an_old_certificate() {
        let said = |now| {
            Reason::Certificate {
                valid_from: 1_790_000_000,
                valid_until: 1_800_000_000,
                now,
            }
            .to_string()
        };
        assert!(said(86_400).contains("shows 1970-01-02 00:00:00 UTC, which is wrong"));
        assert!(said(1_789_999_000).contains("check the clock"));
        assert!(said(1_800_000_001).contains("the certificate has run out"));
    }
}
