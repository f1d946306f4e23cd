//! What all upstreams have in common: the shape of a session, what it asks of its shell and
//! what it has to tell. Each protocol has its own state machine behind [`Session`]; the shell
//! in [`crate::transport`] and the program around it know only what stands here.

mod reason;
mod reject;
mod stats;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use mining::{Job, Share};
use thiserror::Error;

pub use reason::Reason;
pub use reject::RejectKind;
pub use stats::{Counters, Latency, RejectCount, Stats};

/// The client side of one upstream over all its connections, with one byte stream at a time.
///
/// It is driven from outside. After each call that takes a time, fetch what it has to say
/// with [`poll_action`](Self::poll_action), [`poll_transmit`](Self::poll_transmit) and
/// [`poll_event`](Self::poll_event), and call [`handle_timeout`](Self::handle_timeout) when the
/// time of [`poll_timeout`](Self::poll_timeout) has come. All times are on one monotonic clock,
/// that of [`mining::Job::received`].
pub trait Session: Send {
    /// The upstream's URL, without secrets.
    fn name(&self) -> String;

    /// Begins to connect. Does nothing if the session is started already.
    fn start(&mut self, now: Duration);

    /// Closes the connection and gives up jobs and shares; [`start`](Self::start) begins again.
    fn stop(&mut self, now: Duration);

    /// The connection that [`Action::Connect`] asked for is open.
    fn connected(&mut self, now: Duration, opening: Opening);

    /// The connection is gone, or could not be opened.
    fn disconnected(&mut self, now: Duration, reason: Reason);

    /// Takes bytes from the upstream, cut anywhere.
    fn handle_bytes(&mut self, now: Duration, bytes: &[u8]);

    /// Does what is due at `now`. Calling it early or late does no harm.
    fn handle_timeout(&mut self, now: Duration);

    /// When [`handle_timeout`](Self::handle_timeout) is due; `None` if nothing is waited for.
    fn poll_timeout(&self) -> Option<Duration>;

    /// Hands in a share. It is sent at once if possible, else kept for as long as it is worth
    /// something.
    ///
    /// # Errors
    ///
    /// If the upstream would surely reject it; then it is counted as dropped and forgotten.
    fn submit(&mut self, now: Duration, share: Share) -> Result<(), Refusal>;

    /// The rate that this upstream will get from now on, hashes a second. Upstreams that do not
    /// ask for it ignore it.
    fn set_hashrate(&mut self, _now: Duration, _hashes_per_second: f64) {}

    /// What the shell must do next, if anything.
    fn poll_action(&mut self) -> Option<Action>;

    /// The next message for the upstream, to be written at once and whole.
    fn poll_transmit(&mut self) -> Option<Vec<u8>>;

    /// What has happened, oldest first.
    fn poll_event(&mut self) -> Option<Event>;

    /// Where the session stands and what it has counted.
    fn stats(&self) -> Stats;

    /// A message of [`poll_transmit`](Self::poll_transmit) as logs may have it, without secrets.
    fn loggable(&self, message: &[u8]) -> String {
        format!("{} bytes", message.len())
    }
}

/// What a session needs from outside with each new connection, since it has no source of its
/// own for either.
#[derive(Clone)]
pub struct Opening {
    /// Time since 1970 by the clock of this computer, which may be wrong; certificates are
    /// judged by it.
    pub unix_time: Duration,
    /// Bytes that nobody can guess and that are never used again; keys are made of them.
    pub entropy: [u8; 32],
}

/// The entropy is as secret as the keys made of it.
impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening")
            .field("unix_time", &self.unix_time)
            .finish_non_exhaustive()
    }
}

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
    /// Something that the owner should know; mining goes on as far as it can.
    Warning(String),
    /// A block was found, or something has become of it. Only solo sessions know so much.
    Block(Box<Block>),
    /// The pool wanted us to go to a host that is not its own; we stay.
    RedirectRefused {
        /// The stranger.
        host: String,
    },
    /// The session learnt something about the pool that it keeps over connections.
    Learnt(&'static str),
    /// The connection is gone, or did not come about.
    Disconnected {
        /// Why.
        reason: Reason,
        /// Until the next attempt; `None` if the session was stopped.
        retry_in: Option<Duration>,
    },
}

/// A block that we found, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Its height.
    pub height: u32,
    /// Its hash in header (internal) byte order.
    pub hash: [u8; 32],
    /// What happened to it last.
    pub fate: BlockFate,
}

/// What happens to a block that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockFate {
    /// It was found.
    Found,
    /// It was written to a file before it is sent.
    Saved(String),
    /// It could not be written to a file, and is sent all the same.
    NotSaved(String),
    /// The node took it.
    Accepted,
    /// The node refused it, with its words and what they mean.
    Rejected(String),
    /// No definite answer yet; it is sent again.
    Retried(String),
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
