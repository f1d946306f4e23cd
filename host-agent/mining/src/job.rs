//! A job as an upstream hands it out, and a share as we hand it back. Nothing here knows
//! which protocol carried them: Stratum V1, Stratum V2 (extended channel) and solo mining
//! all reduce to these two values.

use std::sync::Arc;
use std::time::Duration;

use crate::target::{Target, hash_difficulty};

/// A unit of work from an upstream, already in header byte order.
///
/// The coinbase of a header is `coinbase1 ‖ extranonce1 ‖ extranonce2 ‖ coinbase2`, where
/// extranonce2 (`extranonce2_len` bytes) is ours to choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which upstream session this job belongs to. A new connection that did not resume the
    /// old session raises it; a share is only worth sending to the session it came from.
    pub session: u64,
    /// The upstream's own name for the job, opaque to us.
    pub id: String,
    /// Raised by every clean job and every change of session: work of an older generation
    /// must not be submitted. It rises monotonically over the life of the program.
    pub generation: u64,
    /// Previous block hash, as it stands in header bytes 4..36.
    pub prev_hash: [u8; 32],
    /// Coinbase bytes in front of extranonce1.
    pub coinbase1: Vec<u8>,
    /// The upstream's part of the extranonce, 0 to 32 bytes.
    pub extranonce1: Vec<u8>,
    /// Length of our part of the extranonce, 1 to 16 bytes; 0 beside a `fixed_root`.
    pub extranonce2_len: usize,
    /// Coinbase bytes behind extranonce2.
    pub coinbase2: Vec<u8>,
    /// Merkle branch, each hash in header byte order, leaf side first.
    pub merkle_branch: Vec<[u8; 32]>,
    /// The merkle root in header byte order, where the upstream fixes it (standard channels of
    /// Stratum V2). The parts of a coinbase above are then empty and `extranonce2_len` is 0:
    /// only version, time and nonce are ours. `None` for all other jobs.
    pub fixed_root: Option<[u8; 32]>,
    /// Block version as the upstream gave it. Bits in it are never cleared.
    pub version: u32,
    /// Version bits that upstream and agent agreed may be rolled; 0 if rolling is off. Only
    /// bits that are zero in `version` are really rolled, see [`Job::rollable_mask`].
    pub version_mask: u32,
    /// Compact network target.
    pub nbits: u32,
    /// Lowest block time to use, seconds since 1970.
    pub ntime: u32,
    /// The share target in force for this job.
    pub target: Target,
    /// When the job arrived, on the agent's monotonic clock. ntime may be advanced by the
    /// whole seconds that have passed since.
    pub received: Duration,
}

impl Job {
    /// The version bits that may be rolled on this job: agreed, and zero in its version.
    ///
    /// Pools disagree on how to combine rolled bits with bits that the job already sets, and
    /// chips OR their counter onto the version; leaving set bits alone is right for all.
    #[must_use]
    pub fn rollable_mask(&self) -> u32 {
        self.version_mask & !self.version
    }
}

/// A solution that meets its job's target, with everything an upstream needs to check it.
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// The job that it solves.
    pub job: Arc<Job>,
    /// Our part of the extranonce, exactly `job.extranonce2_len` bytes.
    pub extranonce2: Vec<u8>,
    /// Header time, seconds since 1970.
    pub ntime: u32,
    /// Header nonce.
    pub nonce: u32,
    /// The whole header version, rolled bits included.
    pub version: u32,
    /// Block hash in header (internal) byte order.
    pub hash: [u8; 32],
}

impl Share {
    /// Difficulty of the hash.
    #[must_use]
    pub fn difficulty(&self) -> f64 {
        hash_difficulty(&self.hash)
    }

    /// Whether the hash meets the network's target, that is, whether a block was found.
    #[must_use]
    pub fn solves_block(&self) -> bool {
        Target::from_nbits(self.job.nbits).is_ok_and(|target| target.is_met_by(&self.hash))
    }
}
