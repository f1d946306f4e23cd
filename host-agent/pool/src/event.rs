//! What the pool tells its owner: things that happened, and counters.

use crate::hash::BlockHash;
use crate::share::Reject;
use crate::target::Difficulty;
use std::time::Duration;

/// A connection's name inside the pool, chosen by whoever owns the sockets and never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

impl std::fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Why the pool hangs up, or how a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CloseReason {
    /// The other side did it.
    #[error("closed by the miner")]
    ByPeer,
    /// A line was not a JSON object.
    #[error("a line that is not a JSON object")]
    BadJson,
    /// A line was longer than allowed.
    #[error("a line of more than {0} bytes")]
    LineTooLong(usize),
    /// Nothing came for too long.
    #[error("nothing came for {} s", .0.as_secs())]
    Idle(Duration),
    /// The miner does not read what is sent.
    #[error("the miner does not read its messages")]
    SlowReader,
    /// A switch asks for it.
    #[error("on purpose: {0}")]
    Quirk(&'static str),
    /// The owner of the pool asked for it.
    #[error("closed by the owner of the pool")]
    ByOwner,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A connection was taken.
    Connected {
        /// Which.
        connection: ConnectionId,
    },
    /// A miner subscribed.
    Subscribed {
        /// Which.
        connection: ConnectionId,
        /// Its user agent, shortened to 128 characters.
        agent: String,
        /// What it was given as extranonce1.
        extranonce1: Vec<u8>,
        /// Whether it got the extranonce1 of its earlier session back.
        resumed: bool,
    },
    /// A worker was authorised, or refused.
    Authorized {
        /// Which.
        connection: ConnectionId,
        /// The worker's name.
        worker: String,
        /// The answer.
        accepted: bool,
    },
    /// A connection was given another difficulty.
    DifficultyChanged {
        /// Which.
        connection: ConnectionId,
        /// The difficulty of its jobs from the next one on.
        difficulty: Difficulty,
    },
    /// A new template was made for all connections.
    NewJob {
        /// Its job id.
        job_id: String,
        /// Height of the block.
        height: u32,
        /// Whether it voids all older jobs.
        clean: bool,
    },
    /// A share was good.
    ShareAccepted {
        /// From which connection.
        connection: ConnectionId,
        /// From which worker.
        worker: String,
        /// For which job.
        job_id: String,
        /// The header's hash.
        hash: BlockHash,
        /// What the hash is worth.
        share_difficulty: f64,
        /// What was asked for.
        difficulty: Difficulty,
    },
    /// A share was refused.
    ShareRejected {
        /// From which connection.
        connection: ConnectionId,
        /// For which job, as the miner named it; empty if it did not.
        job_id: String,
        /// Why.
        reason: Reject,
        /// What the hash is worth, if it was computed.
        share_difficulty: Option<f64>,
    },
    /// A share met the network's target.
    BlockFound {
        /// From which connection.
        connection: ConnectionId,
        /// From which worker.
        worker: String,
        /// Height of the block.
        height: u32,
        /// Its hash.
        hash: BlockHash,
    },
    /// A miner answered a request of the pool (`mining.ping`, `client.get_version`).
    ClientAnswered {
        /// Which.
        connection: ConnectionId,
        /// What had been asked.
        method: &'static str,
        /// The result as JSON text, shortened to 128 characters.
        result: String,
    },
    /// A connection ended.
    Disconnected {
        /// Which.
        connection: ConnectionId,
        /// Why.
        reason: CloseReason,
    },
}

/// Counters since the start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PoolStats {
    /// Connections now.
    pub connections: usize,
    /// Connections ever taken.
    pub connects: u64,
    /// Connections refused because the pool was full.
    pub refused_connections: u64,
    /// Sessions that got their extranonce1 back.
    pub resumed: u64,
    /// Shares accepted.
    pub accepted: u64,
    /// Shares refused, by kind.
    pub rejected: RejectCounts,
    /// Sum of the difficulties asked for by the accepted shares.
    pub accepted_work: f64,
    /// Best share so far, as a difficulty.
    pub best_share: f64,
    /// Blocks found by miners of this pool.
    pub blocks_found: u64,
    /// Blocks made up.
    pub blocks_seen: u64,
    /// Jobs made.
    pub jobs: u64,
    /// Height of the block being worked on.
    pub height: u32,
    /// Rate that the accepted shares of the last ten minutes stand for, hashes per second.
    pub hashrate_hps: f64,
    /// Shares on which the two independent checks of the Stratum V2 pool did not agree; a defect in one
    /// of them, if it is not zero.
    pub disagreements: u64,
    /// Events that nobody took in time and were dropped, oldest first.
    pub events_lost: u64,
}

/// Refusals by Stratum's codes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RejectCounts {
    /// 20: malformed, ntime, version bits, sizes.
    pub other: u64,
    /// 21: job unknown or stale.
    pub stale: u64,
    /// 22: duplicate.
    pub duplicate: u64,
    /// 23: hash above the target.
    pub low_difficulty: u64,
    /// 24 and 25: worker or session.
    pub unauthorized: u64,
}

impl RejectCounts {
    /// All refusals.
    pub fn total(&self) -> u64 {
        self.other + self.stale + self.duplicate + self.low_difficulty + self.unauthorized
    }

    pub(crate) fn count(&mut self, code: i64) {
        let counter = match code {
            21 => &mut self.stale,
            22 => &mut self.duplicate,
            23 => &mut self.low_difficulty,
            24 | 25 => &mut self.unauthorized,
            _ => &mut self.other,
        };
        *counter += 1;
    }
}

/// One connection as it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionInfo {
    /// Which.
    pub connection: ConnectionId,
    /// Its user agent, empty before it subscribed.
    pub agent: String,
    /// The workers that it authorised.
    pub workers: Vec<String>,
    /// The difficulty of its next job.
    pub difficulty: Difficulty,
    /// The agreed version-rolling mask.
    pub version_mask: Option<u32>,
    /// Its shares that were accepted.
    pub accepted: u64,
    /// Its shares that were refused.
    pub rejected: u64,
}
