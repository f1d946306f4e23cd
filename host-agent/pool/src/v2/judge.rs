//! The second share check: this crate's own record of what a channel was given, and its own way from a
//! share to a header and a verdict. It knows nothing of the reference crates, so that a mistake there
//! does not repeat here. The order of the rules is that observed on the SRI pool.

use crate::hash::{BlockHash, sha256d};
use crate::target::Target;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use super::template::Template;

/// Error codes of refused shares.
pub mod code {
    /// The job is of a block that is over.
    pub const STALE_SHARE: &str = "stale-share";
    /// The channel never had the job, or it is forgotten.
    pub const INVALID_JOB_ID: &str = "invalid-job-id";
    /// The connection has no such channel.
    pub const INVALID_CHANNEL_ID: &str = "invalid-channel-id";
    /// The extranonce is not of the size that the channel was given.
    pub const BAD_EXTRANONCE_SIZE: &str = "bad-extranonce-size";
    /// The header time is below the job's minimum or too far above it.
    pub const INVALID_SHARE: &str = "invalid-share";
    /// A version bit differs that may not be rolled.
    pub const INVALID_NON_ROLLABLE_VERSION_BIT: &str = "invalid-non-rollable-version-bit";
    /// The version differs although the job forbids it.
    pub const VERSION_ROLLING_NOT_ALLOWED: &str = "version-rolling-not-allowed";
    /// The header was accepted before.
    pub const DUPLICATE_SHARE: &str = "duplicate-share";
    /// The hash is above the target.
    pub const DIFFICULTY_TOO_LOW: &str = "difficulty-too-low";
}

/// Version bits that BIP 323 leaves to miners.
const ROLLABLE_BITS: u32 = 0x1fff_ffe0;
/// Most seconds that a header time may be above the job's minimum (observed; two hours are what nodes
/// take).
const MAX_NTIME_AHEAD: u32 = 7200;
/// Jobs of the present block that are remembered: the newest and 16 before it (the SRI's bound).
const MAX_LIVE: usize = 17;
/// Jobs that wait for a prevhash (the SRI's bound).
const MAX_FUTURE: usize = 16;

/// A share as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Submit {
    pub(super) job_id: u32,
    pub(super) sequence: u32,
    pub(super) nonce: u32,
    pub(super) ntime: u32,
    pub(super) version: u32,
    /// The miner's part; `None` on standard channels.
    pub(super) extranonce: Option<Vec<u8>>,
}

/// What a share is found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good {
        hash: BlockHash,
        target: Target,
        height: u32,
        is_block: bool,
    },
    Bad {
        code: &'static str,
        /// The hash, if it came to that.
        hash: Option<BlockHash>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Future,
    Live,
    Stale,
}

/// A job as the channel got it.
#[derive(Debug)]
struct Grant {
    job_id: u32,
    template_id: u64,
    template: Arc<Template>,
    extranonce_prefix: Vec<u8>,
    stage: Stage,
    min_ntime: u32,
    target: Target,
}

/// Everything that one channel was given and has delivered for the present block.
#[derive(Debug)]
pub(super) struct Book {
    grants: VecDeque<Grant>,
    /// Size of the miner's part; `None` on standard channels, which take no part in it.
    extranonce_size: Option<usize>,
    prev_hash: Option<[u8; 32]>,
    seen: HashSet<BlockHash>,
}

impl Book {
    pub(super) fn new(extranonce_size: Option<usize>) -> Book {
        Book {
            grants: VecDeque::new(),
            extranonce_size,
            prev_hash: None,
            seen: HashSet::new(),
        }
    }

    /// Notes a job. With a `min_ntime` it counts at once, under this target; without it waits for its
    /// prevhash.
    pub(super) fn note_job(
        &mut self,
        job_id: u32,
        template_id: u64,
        template: &Arc<Template>,
        extranonce_prefix: &[u8],
        min_ntime: Option<u32>,
        target: Target,
    ) {
        let stage = match min_ntime {
            Some(_) => Stage::Live,
            None => Stage::Future,
        };
        self.grants.push_back(Grant {
            job_id,
            template_id,
            template: template.clone(),
            extranonce_prefix: extranonce_prefix.to_vec(),
            stage,
            min_ntime: min_ntime.unwrap_or(0),
            target,
        });
        let limit = if stage == Stage::Live {
            MAX_LIVE
        } else {
            MAX_FUTURE
        };
        let count = self.grants.iter().filter(|g| g.stage == stage).count();
        if count > limit
            && let Some(oldest) = self.grants.iter().position(|g| g.stage == stage)
        {
            self.grants.remove(oldest);
        }
    }

    /// Notes a prevhash: the future job of that template counts from now on, all else is void.
    pub(super) fn note_prev_hash(&mut self, template: &Template, min_ntime: u32, target: Target) {
        let named =
            |grant: &Grant| grant.stage == Stage::Future && grant.template_id == template.id;
        self.grants
            .retain(|grant| grant.stage == Stage::Live || named(grant));
        for grant in &mut self.grants {
            if grant.stage == Stage::Future {
                grant.stage = Stage::Live;
                grant.min_ntime = min_ntime;
                grant.target = target;
            } else {
                grant.stage = Stage::Stale;
            }
        }
        if self.prev_hash != Some(template.prev_hash) {
            self.prev_hash = Some(template.prev_hash);
            self.seen.clear();
        }
    }

    /// Judges a share; a good one is remembered.
    pub(super) fn judge(&mut self, submit: &Submit) -> Verdict {
        let bad = |code| Verdict::Bad { code, hash: None };
        let known = self.grants.iter().find(|grant| {
            grant.job_id == submit.job_id && matches!(grant.stage, Stage::Live | Stage::Stale)
        });
        let Some(grant) = known else {
            return bad(code::INVALID_JOB_ID);
        };
        if grant.stage == Stage::Stale {
            return bad(code::STALE_SHARE);
        }
        let extranonce = submit.extranonce.as_deref().unwrap_or_default();
        if extranonce.len() != self.extranonce_size.unwrap_or(0) {
            return bad(code::BAD_EXTRANONCE_SIZE);
        }
        let latest = grant.min_ntime.saturating_add(MAX_NTIME_AHEAD);
        if !(grant.min_ntime..=latest).contains(&submit.ntime) {
            return bad(code::INVALID_SHARE);
        }
        let template = &grant.template;
        // Standard channels may always roll.
        let rolling = template.version_rolling || self.extranonce_size.is_none();
        let rolled = submit.version ^ template.version;
        if !rolling && rolled != 0 {
            return bad(code::VERSION_ROLLING_NOT_ALLOWED);
        }
        if rolled & !ROLLABLE_BITS != 0 {
            return bad(code::INVALID_NON_ROLLABLE_VERSION_BIT);
        }
        let hash = grant.hash(extranonce, submit);
        let is_block =
            Target::from_nbits(template.nbits).is_some_and(|network| network.is_met_by(&hash));
        if !is_block && !grant.target.is_met_by(&hash) {
            return Verdict::Bad {
                code: code::DIFFICULTY_TOO_LOW,
                hash: Some(hash),
            };
        }
        let good = Verdict::Good {
            hash,
            target: grant.target,
            height: template.height,
            is_block,
        };
        if !self.seen.insert(hash) {
            return Verdict::Bad {
                code: code::DUPLICATE_SHARE,
                hash: Some(hash),
            };
        }
        good
    }
}

impl Grant {
    /// The hash of the header that a share stands for.
    fn hash(&self, extranonce: &[u8], submit: &Submit) -> BlockHash {
        let template = &self.template;
        let coinbase = [
            template.prefix.as_slice(),
            &self.extranonce_prefix,
            extranonce,
            &template.suffix,
        ]
        .concat();
        let root = template
            .branch
            .iter()
            .fold(sha256d(&coinbase), |left, right| {
                sha256d(&[left, *right].concat())
            });
        let mut header = [0; 80];
        header[..4].copy_from_slice(&submit.version.to_le_bytes());
        header[4..36].copy_from_slice(&template.prev_hash);
        header[36..68].copy_from_slice(&root);
        header[68..72].copy_from_slice(&submit.ntime.to_le_bytes());
        header[72..76].copy_from_slice(&template.nbits.to_le_bytes());
        header[76..].copy_from_slice(&submit.nonce.to_le_bytes());
        BlockHash(sha256d(&header))
    }
}
