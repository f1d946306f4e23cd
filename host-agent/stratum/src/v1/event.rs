//! What a session asks of its shell, and what it has to tell.

use std::sync::Arc;
use std::time::Duration;

use mining::{Job, Share};
use thiserror::Error;

use super::answer::RejectKind;
use super::message::MessageError;

/// Something that the shell must do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Open a connection, then call `connected` or `disconnected`.
    Connect {
        /// Host name or address.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// Close the connection, or stop opening it. `disconnected` need not be called.
    Close(Reason),
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The connection is open.
    Connected {
        /// Host that it goes to.
        host: String,
        /// Its port.
        port: u16,
    },
    /// The pool accepted the subscription.
    Subscribed {
        /// The pool gave back the extranonce of the connection before.
        resumed: bool,
    },
    /// The pool accepted the worker.
    Authorized,
    /// Work on this from now on. A higher generation than before voids all earlier work.
    Job(Arc<Job>),
    /// There is no job any more; work on it would be worthless.
    NoJob,
    /// The pool set a share difficulty, which counts from the next job on.
    Difficulty(f64),
    /// The version bits that may be rolled have changed; 0 if none may.
    VersionMask(u32),
    /// The pool took a share.
    ShareAccepted(Box<Receipt>),
    /// The pool did not take a share.
    ShareRejected {
        /// The share.
        receipt: Box<Receipt>,
        /// Why, normalised.
        kind: RejectKind,
        /// The pool's own words, at most 200 characters.
        text: String,
    },
    /// A share was sent, and no answer came.
    ShareUnconfirmed(Box<Share>),
    /// A share was not sent.
    ShareDropped {
        /// The share.
        share: Box<Share>,
        /// Why it would have been worthless.
        refusal: Refusal,
    },
    /// The pool has words for the owner, at most 300 characters.
    Message(String),
    /// The pool wanted us to go to a host that is not its own; we stay.
    RedirectRefused {
        /// The stranger.
        host: String,
    },
    /// The session learnt something about the pool; see `Session::memory`.
    Learnt(&'static str),
    /// The connection is gone, or did not come about.
    Disconnected {
        /// Why.
        reason: Reason,
        /// Until the next attempt; `None` if the session was stopped.
        retry_in: Option<Duration>,
    },
}

/// A share that the pool answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Receipt {
    /// The share.
    pub share: Share,
    /// Difficulty that was in force for its job, which is what an accepted share is worth.
    pub difficulty: f64,
    /// From the submit to the answer.
    pub latency: Duration,
    /// It had been sent on an earlier connection already.
    pub resent: bool,
}

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
    /// The pool did not answer a request of the handshake.
    #[error("the pool did not answer mining.{0} in time")]
    NoAnswer(&'static str),
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
    /// The pool sent something that cannot be Stratum.
    #[error("the pool does not speak proper Stratum: {0}")]
    Protocol(#[from] MessageError),
    /// The pool sent a line without end.
    #[error("the pool sent a line of more than {0} bytes")]
    LineTooLong(usize),
    /// The pool asked for a reconnect.
    #[error("the pool asked us to reconnect")]
    Reconnect,
}

/// Why a share was not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Error)]
pub enum Refusal {
    /// Its session is over.
    #[error("the share belongs to another session")]
    OtherSession,
    /// Its job was replaced by a clean one, or is not this pool's.
    #[error("the share's job is out of date")]
    UnknownJob,
    /// The extranonce2 has the wrong length, which spoils the whole job at some pools.
    #[error("the share's extranonce2 has not the length that the pool asked for")]
    Extranonce2Length,
    /// The block time is below the job's or more than 7000 s above.
    #[error("the share's time is outside of what pools take")]
    TimeOutOfRange,
    /// Version bits outside the agreed mask were changed.
    #[error("the share changes version bits that the pool does not allow")]
    VersionBits,
    /// The difficulty has risen since, and this pool judges by the new one.
    #[error("the share misses the difficulty that the pool has set since")]
    DifficultyRaised,
    /// It waited too long for a connection.
    #[error("the share is too old to be sent")]
    TooOld,
    /// Too many shares wait for a connection.
    #[error("too many shares wait to be sent")]
    QueueFull,
}
