//! The jobs of one channel: those for a block to come, the tip that they wait for, and those on
//! the current tip. A new tip voids all but the one job that it names.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use mining::{Job, Share, Target};

use super::wire::{ExtendedJob, StandardJob, Tip};

/// A job that still lacks what the tip adds: previous block, network target and time.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// The job's number within its channel.
    pub(super) id: u32,
    /// Lowest block time; `None` for a job of a block to come.
    pub(super) min_ntime: Option<u32>,
    /// Zero bytes between the pool's part of the extranonce and ours, see [`Terms::pad`].
    pub(super) pad: usize,
    job: Job,
}

/// What a channel adds to its jobs, as it is when they arrive.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) session: u64,
    /// The server's part of the extranonce.
    pub(super) prefix: Vec<u8>,
    /// Our part of the extranonce, bytes; `None` on a standard channel.
    pub(super) extranonce_size: Option<usize>,
    pub(super) target: Target,
    pub(super) version_mask: u32,
}

/// The longest part of an extranonce that a [`Job`] leaves to the miner, bytes.
const MAX_EXTRANONCE2: usize = 16;

impl Terms {
    /// Bytes of our part that are more than a miner takes; they stay zero.
    fn pad(&self) -> usize {
        self.extranonce_size
            .unwrap_or(0)
            .saturating_sub(MAX_EXTRANONCE2)
    }

    fn job(&self, id: u32, version: u32) -> Job {
        Job {
            session: self.session,
            id: id.to_string(),
            generation: 0,
            prev_hash: [0; 32],
            coinbase1: Vec::new(),
            extranonce1: Vec::new(),
            extranonce2_len: 0,
            coinbase2: Vec::new(),
            merkle_branch: Vec::new(),
            fixed_root: None,
            version,
            version_mask: self.version_mask,
            nbits: 0,
            ntime: 0,
            target: self.target,
            received: Duration::ZERO,
        }
    }
}

impl Draft {
    /// A job whose merkle root the pool made.
    pub(super) fn standard(job: &StandardJob, terms: &Terms) -> Self {
        Self {
            id: job.id,
            min_ntime: job.min_ntime,
            pad: 0,
            job: Job {
                fixed_root: Some(job.merkle_root),
                ..terms.job(job.id, job.version)
            },
        }
    }

    /// A job whose merkle root is made from a coinbase: by the miner on an extended channel,
    /// here and now on a standard one, which has no extranonce of its own. `None` if the
    /// coinbase has witness data that is none of a coinbase.
    pub(super) fn extended(job: ExtendedJob, terms: &Terms) -> Option<Self> {
        let ExtendedJob {
            id,
            min_ntime,
            version,
            version_rolling,
            branch,
            coinbase_prefix: mut coinbase1,
            coinbase_suffix: mut coinbase2,
            ..
        } = job;
        strip_witness(&mut coinbase1, &mut coinbase2)?;
        let mut draft = terms.job(id, version);
        if !version_rolling {
            draft.version_mask = 0;
        }
        match terms.extranonce_size {
            Some(size) => {
                draft.extranonce1 = terms.prefix.clone();
                let pad = terms.prefix.len() + terms.pad();
                draft.extranonce1.resize(pad, 0);
                draft.extranonce2_len = size.min(MAX_EXTRANONCE2);
                draft.coinbase1 = coinbase1;
                draft.coinbase2 = coinbase2;
                draft.merkle_branch = branch;
            }
            None => {
                let coinbase = [&coinbase1[..], &terms.prefix, &coinbase2].concat();
                let leaf = mining::header::coinbase_hash(&coinbase);
                draft.fixed_root = Some(mining::header::merkle_root(leaf, &branch));
            }
        }
        Some(Self {
            id,
            min_ntime,
            pad: terms.pad(),
            job: draft,
        })
    }
}

/// Makes the form that the transaction's id is computed of: without marker and flag behind the
/// version, and without the witness in front of the lock time. A coinbase's witness is always
/// one item of 32 bytes. `None` if it is not.
fn strip_witness(prefix: &mut Vec<u8>, suffix: &mut Vec<u8>) -> Option<()> {
    const MARKER: std::ops::Range<usize> = 4..6;
    const WITNESS_LEN: usize = 2 + 32;
    const LOCK_TIME_LEN: usize = 4;
    // Without a witness the number of inputs, which is 1, stands there.
    if prefix.get(MARKER) != Some(&[0, 1][..]) {
        return Some(());
    }
    let end = suffix.len().checked_sub(LOCK_TIME_LEN)?;
    let start = end.checked_sub(WITNESS_LEN)?;
    if suffix.get(start..start + 2) != Some(&[1, 32][..]) {
        return None;
    }
    prefix.drain(MARKER);
    suffix.drain(start..end);
    Some(())
}

/// A job on the current tip.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) job: Arc<Job>,
    pub(super) id: u32,
    pub(super) pad: usize,
    /// Difficulty that its shares are worth.
    pub(super) difficulty: f64,
}

/// The block that work builds on, and when it was announced.
#[derive(Clone, Copy, Debug)]
struct Base {
    prev_hash: [u8; 32],
    min_ntime: u32,
    nbits: u32,
    at: Duration,
    generation: u64,
}

/// All jobs of a channel.
#[derive(Debug, Default)]
pub(super) struct JobBook {
    /// Jobs for a block to come, oldest first.
    future: VecDeque<Draft>,
    /// Jobs on the tip, oldest first; the last one is worked on.
    known: VecDeque<Known>,
    base: Option<Base>,
}

/// Jobs for a block to come that are kept.
const MAX_FUTURE: usize = 16;
/// Jobs on the tip that shares are taken for. SRI's servers keep at least 16.
const MAX_KNOWN: usize = 32;
/// SRI's servers take block times up to this far above the tip's, seconds.
const LATEST_NTIME: u32 = 7200;

impl JobBook {
    pub(super) fn current(&self) -> Option<&Known> {
        self.known.back()
    }

    /// Takes a job. `Some` if it is to be worked on at once.
    pub(super) fn add(&mut self, draft: Draft, now: Duration) -> Option<Arc<Job>> {
        match (draft.min_ntime, self.base) {
            (Some(min_ntime), Some(base)) => self.enter(draft, base, min_ntime, now),
            // A job for the current tip, before there is one, waits as well.
            _ => {
                self.future.retain(|other| other.id != draft.id);
                if self.future.len() == MAX_FUTURE {
                    self.future.pop_front();
                }
                self.future.push_back(draft);
                None
            }
        }
    }

    /// Whether a tip says only what was said before, perhaps to the channel and to its group.
    pub(super) fn knows(&self, tip: &Tip) -> bool {
        let same = |base: Base| (base.prev_hash, base.nbits) == (tip.prev_hash, tip.nbits);
        self.base.is_some_and(same)
            && self.known.iter().any(|known| known.id == tip.job)
            && self.future.iter().all(|draft| draft.id != tip.job)
    }

    /// Builds on another block: voids all jobs but the one that the tip names, which is to be
    /// worked on at once if it is there.
    pub(super) fn new_tip(
        &mut self,
        tip: &Tip,
        now: Duration,
        generation: u64,
    ) -> Option<Arc<Job>> {
        let base = Base {
            prev_hash: tip.prev_hash,
            min_ntime: tip.min_ntime,
            nbits: tip.nbits,
            at: now,
            generation,
        };
        self.base = Some(base);
        self.known.clear();
        // A tip that names none of them may be a mistake, and the next one may name one.
        let named = self.future.iter().position(|draft| draft.id == tip.job)?;
        let draft = self.future.remove(named)?;
        self.future.clear();
        self.enter(draft, base, tip.min_ntime, now)
    }

    /// Another target for jobs of blocks to come; jobs on the tip keep theirs.
    pub(super) fn retarget(&mut self, target: Target) {
        for draft in &mut self.future {
            draft.job.target = target;
        }
    }

    /// The job of a share, if shares may still be sent for it.
    pub(super) fn find(&self, share: &Share) -> Option<&Known> {
        self.known
            .iter()
            .rev()
            .find(|known| Arc::ptr_eq(&known.job, &share.job) || known.job == share.job)
    }

    /// Latest block time that servers take.
    pub(super) fn latest_ntime(&self) -> u32 {
        self.base
            .map_or(u32::MAX, |base| base.min_ntime.saturating_add(LATEST_NTIME))
    }

    /// Drops all jobs; true if there was work to stop.
    pub(super) fn clear(&mut self) -> bool {
        let worked = !self.known.is_empty();
        *self = Self::default();
        worked
    }

    fn enter(
        &mut self,
        draft: Draft,
        base: Base,
        min_ntime: u32,
        now: Duration,
    ) -> Option<Arc<Job>> {
        // The tip may be minutes old, and a block's time shall be about now. The server takes
        // what lies within the seconds that have passed since it announced the tip.
        let passed = now.saturating_sub(base.at).as_secs();
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        let job = Job {
            generation: base.generation,
            prev_hash: base.prev_hash,
            nbits: base.nbits,
            ntime: base.min_ntime.saturating_add(passed).max(min_ntime),
            received: now,
            ..draft.job
        };
        // Said twice, perhaps to the channel and to its group, it is work that was begun already.
        if self.known.iter().any(|known| same_work(&known.job, &job)) {
            return None;
        }
        self.known.retain(|known| known.id != draft.id);
        if self.known.len() == MAX_KNOWN {
            self.known.pop_front();
        }
        let job = Arc::new(job);
        self.known.push_back(Known {
            job: Arc::clone(&job),
            id: draft.id,
            pad: draft.pad,
            difficulty: job.target.difficulty().min(f64::MAX),
        });
        Some(job)
    }
}

/// Whether two jobs of one tip give the same headers under the same name.
fn same_work(one: &Job, other: &Job) -> bool {
    one.id == other.id
        && one.version == other.version
        && one.target == other.target
        && one.fixed_root == other.fixed_root
        && one.extranonce1 == other.extranonce1
        && one.coinbase1 == other.coinbase1
        && one.coinbase2 == other.coinbase2
        && one.merkle_branch == other.merkle_branch
}
